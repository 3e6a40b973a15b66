//! What a viewer is shown: the rows of a type, which are the same for everybody, and the rules of
//! [`crate::usage`] over all of them.
//!
//! Visitors come far more often than usages change, so the rows are kept until something is written
//! ([`Remembered`]); badges, which are a user's own, are read each time.

use std::collections::HashMap;
use std::sync::Arc;

use plugyard_store::{Database, Remembered, StoreError};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query as Sql, SelectStatement};
use sea_orm::{ConnectionTrait as _, QueryResult};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::{sources, store};
use crate::site::Site;
use crate::url::{self, Addresses, Parameter};
use crate::usage::{PluginState, Query, Usage, UsageType, is_content_type, visible_of};

/// One usage as a viewer is shown it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    /// The plugin, or a built-in content type.
    pub(crate) fskey: String,
    /// In the language asked for, else in the default one.
    pub(crate) name: String,
    /// Where its icon is.
    pub(crate) icon: Option<String>,
    /// Its page, `{parameter}` replaced; the rest of its variables are the client's.
    pub(crate) url: Option<String>,
    /// 1 a dot, 2 a number, 3 a text; null without a badge.
    pub(crate) badge_type: Option<i16>,
    /// The badge's number or text.
    #[schema(value_type = Option<Object>)]
    pub(crate) badge_value: Option<Json>,
    /// Whether it stands in the toolbar itself.
    pub(crate) editor_toolbar: bool,
    /// How often it may be used in one draft.
    pub(crate) editor_number: Option<u8>,
    /// How content from its data sources can be sorted: a list for each of the six requests.
    #[schema(value_type = Object)]
    pub(crate) plugin_rating: Json,
}

/// For whom, beside what decides what they see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For<'a> {
    /// Whose badges; none without a user.
    pub(crate) user: Option<i64>,
    /// The language asked for.
    pub(crate) language: &'a str,
}

/// The rows of listings, as they were read last.
#[derive(Debug)]
pub(crate) struct Listings(Remembered<u64, Key, Arc<[Row]>>);

/// Listings kept at once.
const MOST: usize = 64;
/// Rows of the longest that is kept; with [`MOST`] of them that is some 64 MB.
const LONGEST: usize = 2000;

/// What the rows of a listing depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: u8,
    group: Option<u32>,
    /// The language asked for and the default one.
    languages: [String; 2],
}

impl Default for Listings {
    fn default() -> Self {
        Self(Remembered::new(MOST))
    }
}

impl Listings {
    /// The usages that a viewer sees, in order.
    pub(crate) async fn list(
        &self,
        database: &Database,
        site: &Site,
        query: Query<'_>,
        whom: For<'_>,
    ) -> Result<Vec<Shown>, StoreError> {
        if query.is_nobodys() {
            return Ok(Vec::new());
        }
        let languages = [whom.language, site.default_language()];
        let rows = self.rows(database, query, languages).await?;
        let badges = badges(database, whom.user).await?;
        let seen = visible_of(
            rows.iter().collect(),
            |row| (&row.usage, row.state()),
            query,
        );
        Ok(seen
            .into_iter()
            .map(|row| row.shown(site, whom.language, &badges))
            .collect())
    }

    async fn rows(
        &self,
        database: &Database,
        query: Query<'_>,
        languages: [&str; 2],
    ) -> Result<Arc<[Row]>, StoreError> {
        let now = database.writes();
        let key = Key {
            kind: query.usage_type.number(),
            group: group_of(query),
            languages: languages.map(str::to_owned),
        };
        if let Some(rows) = self.0.get(&now, &key) {
            return Ok(rows);
        }
        let statement = statement(query, languages);
        let rows = database.conn().query_all(&statement).await?;
        let rows = rows
            .iter()
            .map(|row| Row::read(row, query.usage_type))
            .collect::<Result<Arc<[Row]>, _>>()?;
        if rows.len() <= LONGEST {
            self.0.put(now, key, rows.clone());
        }
        Ok(rows)
    }
}

/// Only the usages of one type are asked for by group.
fn group_of(query: Query<'_>) -> Option<u32> {
    query.group.filter(|_| query.usage_type == UsageType::Group)
}

/// What plugins show a user beside their names, by plugin.
async fn badges(
    database: &Database,
    user: Option<i64>,
) -> Result<HashMap<String, Badge>, StoreError> {
    let Some(user) = user else {
        return Ok(HashMap::new());
    };
    let statement = Sql::select()
        .columns(["plugin_fskey", "display_type", "value_number", "value_text"])
        .from("plugin_badges")
        .and_where(Expr::col("user_id").eq(user))
        .and_where(Expr::col("deleted_at").is_null())
        .to_owned();
    let rows = database.conn().query_all(&statement).await?;
    let badge = |row: &QueryResult| {
        let badge = Badge {
            display: row.try_get_by_index(1)?,
            number: row.try_get_by_index(2)?,
            text: row.try_get_by_index(3)?,
        };
        Ok((row.try_get_by_index(0)?, badge))
    };
    Ok(rows
        .iter()
        .map(badge)
        .collect::<Result<_, sea_orm::DbErr>>()?)
}

/// A usage with what is shown beside it.
#[derive(Debug)]
struct Row {
    usage: Usage,
    icon_file_id: Option<i64>,
    icon_file_url: Option<String>,
    data_sources: Option<Json>,
    plugin: Option<Page>,
    /// In the language asked for and in the default one.
    names: [Option<String>; 2],
}

/// The page of a plugin that is there and enabled.
#[derive(Debug)]
struct Page {
    host: Option<String>,
    path: Option<String>,
}

struct Badge {
    display: i16,
    number: Option<i32>,
    text: Option<String>,
}

fn statement(query: Query<'_>, languages: [&str; 2]) -> SelectStatement {
    let mut select = Sql::select();
    for column in [
        "id",
        "plugin_fskey",
        "name",
        "icon_file_id",
        "icon_file_url",
        "scene",
        "editor_toolbar",
        "editor_number",
        "is_group_admin",
        "group_id",
        "roles",
        "parameter",
        "rating",
    ] {
        select.column(("plugin_usages", column));
    }
    select
        .column(("plugins", "is_enabled"))
        .column(("plugins", "plugin_host"))
        .column(("plugins", "access_path"))
        .column(("asked", "name"))
        .column(("usual", "name"))
        .from("plugin_usages")
        .left_join(
            "plugins",
            Expr::col(("plugins", "fskey"))
                .equals(("plugin_usages", "plugin_fskey"))
                .and(Expr::col(("plugins", "deleted_at")).is_null())
                .and(Expr::col(("plugins", "is_enabled")).eq(1)),
        );
    for (alias, language) in ["asked", "usual"].into_iter().zip(languages) {
        select.join_as(
            sea_orm::sea_query::JoinType::LeftJoin,
            "plugin_usage_names",
            alias,
            Expr::col((alias, "usage_id"))
                .equals(("plugin_usages", "id"))
                .and(Expr::col((alias, "lang_tag")).eq(language)),
        );
    }
    select
        .and_where(
            Expr::col(("plugin_usages", "usage_type")).eq(i16::from(query.usage_type.number())),
        )
        .and_where(Expr::col(("plugin_usages", "is_enabled")).eq(1))
        .and_where(Expr::col(("plugin_usages", "deleted_at")).is_null());
    if query.usage_type == UsageType::ContentType {
        select.column(("plugin_usages", "data_sources"));
    }
    if let Some(group) = group_of(query) {
        select.and_where(Expr::col(("plugin_usages", "group_id")).eq(i64::from(group)));
    }
    select
}

impl Row {
    /// A row of [`statement`], by the places of its columns.
    fn read(row: &QueryResult, kind: UsageType) -> Result<Self, sea_orm::DbErr> {
        let number: Option<i16> = row.try_get_by_index(7)?;
        let group: Option<i64> = row.try_get_by_index(9)?;
        let id: i64 = row.try_get_by_index(0)?;
        let scene: Option<String> = row.try_get_by_index(5)?;
        let roles: Option<String> = row.try_get_by_index(10)?;
        let enabled: Option<i16> = row.try_get_by_index(13)?;
        Ok(Self {
            usage: Usage {
                id: u32::try_from(id).unwrap_or(u32::MAX),
                usage_type: kind.number(),
                plugin_fskey: row.try_get_by_index(1)?,
                name: row.try_get_by_index(2)?,
                scene: store::scenes(scene.as_deref()),
                editor_toolbar: row.try_get_by_index::<i16>(6)? == 1,
                editor_number: number.and_then(|number| u8::try_from(number).ok()),
                is_group_admin: row.try_get_by_index::<i16>(8)? == 1,
                group_id: group.and_then(|group| u32::try_from(group).ok()),
                roles: store::roles(roles.as_deref()),
                parameter: row.try_get_by_index(11)?,
                rating: store::rating(row.try_get_by_index(12)?),
                can_delete: true,
                is_enabled: true,
            },
            icon_file_id: row.try_get_by_index(3)?,
            icon_file_url: row.try_get_by_index(4)?,
            plugin: match enabled {
                Some(_) => Some(Page {
                    host: row.try_get_by_index(14)?,
                    path: row.try_get_by_index(15)?,
                }),
                None => None,
            },
            names: [row.try_get_by_index(16)?, row.try_get_by_index(17)?],
            data_sources: match kind {
                UsageType::ContentType => row.try_get_by_index(18)?,
                _ => None,
            },
        })
    }

    fn state(&self) -> Option<PluginState<'_>> {
        // The query joined only plugins that are there and enabled; scenes matter when a usage is written.
        self.plugin.as_ref().map(|_| PluginState {
            scene: &[],
            is_offered: true,
        })
    }

    fn shown(&self, site: &Site, language: &str, badges: &HashMap<String, Badge>) -> Shown {
        let badge = badges.get(&self.usage.plugin_fskey);
        let built_in = self.usage.usage_type == 4 && is_content_type(&self.usage.plugin_fskey);
        let page = self.plugin.as_ref().filter(|_| !built_in);
        let url = page.and_then(|page| {
            let addresses = Addresses {
                system_url: site.system_url(),
                plugin_host: page.host.as_deref(),
                access_path: page.path.as_deref(),
                ..Addresses::default()
            };
            let parameter = Parameter {
                value: self.usage.parameter.as_deref(),
                encoding: site.parameter_encoding(),
            };
            url::usage_url(&addresses, parameter).ok()
        });
        let [asked, usual] = &self.names;
        Shown {
            name: asked
                .as_ref()
                .or(usual.as_ref())
                .unwrap_or(&self.usage.name)
                .clone(),
            icon: site.icon(self.icon_file_id, self.icon_file_url.as_deref()),
            url,
            badge_type: badge.map(|badge| badge.display),
            badge_value: badge.and_then(Badge::value),
            editor_toolbar: self.usage.editor_toolbar,
            editor_number: self.usage.editor_number,
            plugin_rating: sources::ratings(self.data_sources.as_ref(), language),
            fskey: self.usage.plugin_fskey.clone(),
        }
    }
}

impl Badge {
    /// What it shows beside being there.
    fn value(&self) -> Option<Json> {
        match self.display {
            2 => self.number.map(Json::from),
            3 => self.text.clone().map(Json::from),
            _ => None,
        }
    }
}
