//! What was written when by whom, and going back to it.

use std::collections::BTreeMap;

use plugyard_config::{MASK, Values, plan_upgrade};
use plugyard_http::{Cursor, Page, PageQuery, Principal};
use plugyard_model::{PluginName, Problem, VersionId, codes};
use plugyard_store::StoreError;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use serde_json::Value as Json;

use super::ConfigRefusal;
use super::rows::{self, Kept, State, steps_of};
use super::write::{Decision, Terms, Written};
use crate::Platform;
use crate::entity::config_history;

/// How many writes are looked at for what a plugin missed.
const KEPT: u32 = 100;

/// One write.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryEntry {
    /// The revision it led to.
    pub revision: u64,
    /// `install`, `put`, `reset`, `restore`, `import`, `upgrade` or `rollback`.
    pub action: String,
    /// The version whose definition was in force then.
    pub version: VersionId,
    /// Who.
    pub who: String,
    /// Milliseconds since 1970 (UTC).
    pub at: i64,
    /// What it changed, by field.
    pub changes: Vec<ConfigDifference>,
}

/// A field that has two values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigDifference {
    /// The field.
    pub key: String,
    /// What it had; a secret is eight asterisks.
    pub before: Json,
    /// What it has; a secret is eight asterisks.
    pub after: Json,
    /// Whether one of them is a secret: then all that is said is that it changed.
    pub secret: bool,
}

impl Platform {
    /// The writes of a plugin's configuration that are remembered, latest first.
    ///
    /// # Errors
    /// `config_not_registered`, `plugin_not_found`, `request_invalid` for a cursor or limit that is none,
    /// `store_unavailable`.
    pub async fn config_history(
        &self,
        plugin: &PluginName,
        page: &PageQuery,
    ) -> Result<Page<HistoryEntry>, Problem> {
        let limit = page.limit()?;
        let before: Option<i64> = page.cursor.as_ref().map(Cursor::position).transpose()?;
        let state = self.config_state_registered(plugin).await?;
        let mut query = config_history::Entity::find()
            .filter(config_history::Column::InstallationId.eq(state.installation.0))
            .order_by_desc(config_history::Column::Revision)
            .limit(u64::from(limit) + 1);
        if let Some(before) = before {
            query = query.filter(config_history::Column::Revision.lt(before));
        }
        let rows = query.all(self.database().conn()).await;
        let mut rows = rows.map_err(StoreError::from)?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows
            .last()
            .filter(|_| more)
            .map(|it| Cursor::at(&it.revision));
        let items = rows.into_iter().map(entry).collect();
        Ok(Page { items, next })
    }

    /// What differs between two revisions, by field.
    ///
    /// # Errors
    /// As [`config_history`](Self::config_history); `config_revision_not_found`.
    pub async fn config_diff(
        &self,
        plugin: &PluginName,
        from: u64,
        to: u64,
    ) -> Result<Vec<ConfigDifference>, Problem> {
        let state = self.config_state_registered(plugin).await?;
        let (from, to) = (
            self.rows_of(plugin, &state, from).await?,
            self.rows_of(plugin, &state, to).await?,
        );
        let keys: std::collections::BTreeSet<_> = from.keys().chain(to.keys()).collect();
        let differences = keys.into_iter().filter_map(|key| {
            let (before, after) = (from.get(key), to.get(key));
            let content = |kept: Option<&Kept>| kept.map(|it| (it.value.clone(), it.secret));
            (content(before) != content(after)).then(|| difference(key, before, after))
        });
        Ok(differences.collect())
    }

    /// The keys that were written after a revision, up to another; none when that is not remembered.
    pub(super) async fn config_written_since(
        &self,
        plugin: &PluginName,
        seen: u64,
        now: u64,
    ) -> Vec<String> {
        let page = PageQuery {
            limit: Some(KEPT),
            ..PageQuery::default()
        };
        // What cannot be told is as good as everything: the plugin then reads all of it again.
        let Ok(page) = self.config_history(plugin, &page).await else {
            return Vec::new();
        };
        let writes: Vec<_> = page
            .items
            .into_iter()
            .filter(|it| (seen + 1..=now).contains(&it.revision))
            .collect();
        if writes.len() as u64 != now - seen {
            return Vec::new();
        }
        let changes = writes.into_iter().flat_map(|it| it.changes);
        let keys: std::collections::BTreeSet<_> = changes.map(|it| it.key).collect();
        keys.into_iter().collect()
    }

    /// Brings the values of a revision back, secrets too, under the definition that is in force: as an
    /// upgrade from the definition of then would.
    ///
    /// # Errors
    /// As [`config_put`](Self::config_put); `config_revision_not_found`.
    pub async fn config_restore(
        &self,
        who: &Principal,
        plugin: &PluginName,
        revision: u64,
        terms: impl Into<Terms>,
    ) -> Result<Written, ConfigRefusal> {
        let terms = terms.into();
        let state = self.config_state_registered(plugin).await?;
        let then = self.values_at(plugin, &state, revision).await?;
        let (seen, now) = (state.revision, self.seconds());
        self.config_write(who, plugin, "restore", terms, |state, _| {
            // The past does not change; but what is to be undone may have grown.
            if state.revision != seen && terms.expected.is_some() {
                return Err(super::conflict(plugin, state.revision.unsigned_abs()).into());
            }
            let (definition, values) = &then;
            let plan = plan_upgrade(definition, state.definition(), values, now);
            let updated = differing(&state.values, &plan.values);
            Ok(Decision {
                values: plan.values,
                updated,
                unchanged: Vec::new(),
            })
        })
        .await
    }

    /// The definition and the values of a revision.
    async fn values_at(
        &self,
        plugin: &PluginName,
        state: &State,
        revision: u64,
    ) -> Result<(plugyard_config::Definition, Values), Problem> {
        let rows = self.rows_of(plugin, state, revision).await?;
        let connection = self.database().conn();
        let secrets = self.secrets_or_none().await?;
        let values =
            rows::values_of(connection, secrets.as_ref(), state.installation, &rows).await?;
        let wanted = i64::try_from(revision).unwrap_or(i64::MAX);
        let row = config_history::Entity::find_by_id((state.installation.0, wanted))
            .one(connection)
            .await
            .map_err(StoreError::from)?;
        let version = row.map_or(state.version, |row| row.version_id);
        let registered = self
            .definition_fetch(connection, state.installation.0, version)
            .await?;
        // A version that is gone took its definition along; the values tell what they are all the same.
        let definition = registered.map_or_else(|| state.definition().clone(), |it| it.definition);
        Ok((definition, values))
    }

    async fn rows_of(
        &self,
        plugin: &PluginName,
        state: &State,
        revision: u64,
    ) -> Result<BTreeMap<String, Kept>, Problem> {
        let wanted = i64::try_from(revision).unwrap_or(i64::MAX);
        let (connection, id) = (self.database().conn(), state.installation);
        let rows = rows::rows_at(connection, id, &state.rows, wanted).await?;
        rows.ok_or_else(|| {
            Problem::new(codes::CONFIG_REVISION_NOT_FOUND)
                .about(plugin)
                .with("revision", revision)
        })
    }
}

/// The keys whose values differ.
pub(super) fn differing(before: &Values, after: &Values) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = before
        .iter()
        .chain(after.iter())
        .map(|(key, _)| key)
        .collect();
    keys.into_iter()
        .filter(|key| before.value(key) != after.value(key))
        .map(str::to_owned)
        .collect()
}

fn entry(row: config_history::Model) -> HistoryEntry {
    let changes = steps_of(&row.changes)
        .iter()
        .map(|(key, step)| difference(key, step.before.as_ref(), step.after.as_ref()))
        .collect();
    HistoryEntry {
        revision: row.revision.unsigned_abs(),
        action: row.action,
        version: VersionId(row.version_id),
        who: row.who,
        at: row.at,
        changes,
    }
}

fn difference(key: &str, before: Option<&Kept>, after: Option<&Kept>) -> ConfigDifference {
    let shown = |kept: Option<&Kept>| match kept {
        Some(Kept {
            secret: Some(_), ..
        }) => Json::from(MASK),
        Some(kept) => kept.value.clone(),
        None => Json::Null,
    };
    let is_secret = |kept: Option<&Kept>| kept.is_some_and(|it| it.secret.is_some());
    ConfigDifference {
        key: key.to_owned(),
        before: shown(before),
        after: shown(after),
        secret: is_secret(before) || is_secret(after),
    }
}
