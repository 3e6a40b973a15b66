//! The site's settings: rows of `web_settings`, read anew for each request.

use std::collections::BTreeMap;

use plugyard_store::StoreError;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, EntityTrait, Set};
use serde_json::Value as Json;

use crate::columns::{PATH_MAX, PluginType};
use crate::entity::setting;
use crate::url::{Addresses, Encoding};

/// The site's own address.
pub(crate) const SYSTEM_URL: &str = "system_url";
/// Longest `access_path`.
pub(crate) const ACCESS_PATH_MAX: &str = "plugins.access_path_max";
/// What to do about dependencies that no hook resolves: `warn`, `require`, `ignore`.
pub(crate) const FOREIGN_DEPENDENCIES: &str = "plugins.foreign_dependencies";
/// How many former versions of each plugin are kept.
pub(crate) const BACKUPS_KEPT: &str = "plugins.backups_kept";
/// How many unless the site says otherwise.
pub(crate) const BACKUPS: usize = 3;
/// Where browsers reach this server; the site's own address unless it is set.
pub(crate) const PANEL_URL: &str = "panel_url";
/// How `{parameter}` is put in.
pub(crate) const PARAMETER_ENCODING: &str = "plugin_usages.parameter_encoding";

/// All settings at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Site(pub(crate) BTreeMap<String, Json>);

impl Site {
    pub(crate) async fn read(connection: &impl ConnectionTrait) -> Result<Self, StoreError> {
        let rows = setting::Entity::find().all(connection).await?;
        let values = rows.into_iter().map(|row| (row.key, row.value));
        Ok(Self(values.collect()))
    }

    /// A text that is set and not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.0.get(key)?.as_u64()
    }

    /// The site's own address, for plugins that the main backend serves.
    pub(crate) fn system_url(&self) -> Option<&str> {
        self.text(SYSTEM_URL)
    }

    /// Longest path that is taken.
    pub(crate) fn access_path_max(&self) -> usize {
        self.number(ACCESS_PATH_MAX)
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(PATH_MAX)
    }

    /// How many former versions of each plugin are kept.
    pub(crate) fn backups_kept(&self) -> usize {
        self.number(BACKUPS_KEPT)
            .and_then(|kept| usize::try_from(kept).ok())
            .unwrap_or(BACKUPS)
    }

    pub(crate) fn parameter_encoding(&self) -> Encoding {
        match self.text(PARAMETER_ENCODING) {
            Some("component") => Encoding::Component,
            _ => Encoding::Verbatim,
        }
    }

    /// What a record's URLs are made of.
    pub(crate) fn addresses<'a>(&'a self, row: &'a crate::entity::plugin::Model) -> Addresses<'a> {
        Addresses {
            system_url: self.system_url(),
            plugin_host: row.plugin_host.as_deref(),
            access_path: row.access_path.as_deref(),
            settings_path: row.settings_path.as_deref(),
            own_form: row.plugin_type == PluginType::Theme as i16
                && row.settings_path.as_ref() == Some(&row.fskey),
            panel_url: self.text(PANEL_URL),
        }
    }
}

/// The tag of settings that belong to themes and engines.
pub(crate) const THEMES: &str = "themes";
/// What the slots of engines end with.
pub(crate) const SLOTS: [&str; 2] = ["_Desktop", "_Mobile"];

/// The slots of engines that use a theme.
pub(crate) fn slots_of(site: &Site, theme: &str) -> Vec<String> {
    site.0
        .iter()
        .filter(|(key, value)| {
            SLOTS.iter().any(|slot| key.ends_with(slot)) && value.as_str() == Some(theme)
        })
        .map(|(key, _)| key.clone())
        .collect()
}

/// Sets one; null takes it away.
pub(crate) async fn put(
    connection: &impl ConnectionTrait,
    key: &str,
    value: Json,
    tag: Option<&str>,
    now: i64,
) -> Result<(), StoreError> {
    if value.is_null() {
        setting::Entity::delete_by_id(key).exec(connection).await?;
        return Ok(());
    }
    let row = setting::ActiveModel {
        key: Set(key.to_owned()),
        value: Set(value),
        tag: Set(tag.map(str::to_owned)),
        updated_at: Set(now),
    };
    let again = OnConflict::column(setting::Column::Key)
        .update_columns([setting::Column::Value, setting::Column::UpdatedAt])
        .to_owned();
    setting::Entity::insert(row)
        .on_conflict(again)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
