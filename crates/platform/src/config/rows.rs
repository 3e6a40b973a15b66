//! The tables of configuration: reading what is in force, and writing what comes after it.

use std::collections::BTreeMap;

use plugyard_config::{Definition, Entry, Secret, Value, Values};
use plugyard_model::{InstallationId, PluginName, Problem, VersionId, codes};
use plugyard_store::secrets::{SecretError, Secrets};
use plugyard_store::{SecretText, StoreError, Transaction};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use uuid::Uuid;

use super::definitions::{Registered, complete};
use super::{StoredConfig, not_registered};
use crate::Platform;
use crate::entity::{config_history, config_value, installation};

/// Writes remembered of each installation; older ones go, and the secrets with them that nothing else has.
const KEPT: i64 = 100;

/// What a row holds of a field: of a secret only where it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub(super) value: Json,
    /// The revision that set the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<i64>,
    #[serde(default)]
    pub(super) modified: bool,
}

/// A field before and after a write; `None` where it was not there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) before: Option<Kept>,
    pub(super) after: Option<Kept>,
}

/// What one write changed.
pub(super) type Steps = BTreeMap<String, Step>;

/// The configuration of an installation at one revision.
pub(super) struct State {
    pub(super) installation: InstallationId,
    pub(super) version: Uuid,
    pub(super) revision: i64,
    pub(super) updated_at: i64,
    pub(super) registered: Registered,
    pub(super) rows: BTreeMap<String, Kept>,
    pub(super) values: Values,
}

impl State {
    pub(super) fn into_config(self) -> StoredConfig {
        StoredConfig {
            definition: self.registered.definition,
            values: self.values,
            revision: self.revision.unsigned_abs(),
            version: VersionId(self.version),
            updated_at: self.updated_at,
        }
    }

    pub(super) fn definition(&self) -> &Definition {
        &self.registered.definition
    }

    /// The definition with the secrets it was shipped with.
    pub(super) async fn complete(
        &self,
        connection: &impl ConnectionTrait,
        secrets: Option<&Secrets>,
    ) -> Result<Definition, Problem> {
        let (installation, version) = (self.installation.0, self.version);
        complete(connection, secrets, installation, version, &self.registered).await
    }
}

/// Who writes, why, and under which definition it then stands.
pub(super) struct Write<'a> {
    pub(super) installation: InstallationId,
    pub(super) revision: i64,
    pub(super) version: Uuid,
    pub(super) action: &'static str,
    pub(super) who: &'a str,
    pub(super) now: i64,
}

/// What an installation's row says of its configuration, with all its values: one statement, one moment.
struct Found {
    id: Uuid,
    version: Option<Uuid>,
    revision: i64,
    installed: bool,
    updated_at: i64,
    rows: BTreeMap<String, Kept>,
}

impl Platform {
    /// The configuration of an installed plugin; `None` when none is registered.
    pub(super) async fn config_state(&self, plugin: &PluginName) -> Result<Option<State>, Problem> {
        self.config_state_if(plugin, |found| found.installed).await
    }

    /// The same also while the plugin is being installed: for itself, whose process starts before that
    /// takes effect.
    pub(super) async fn config_state_early(
        &self,
        plugin: &PluginName,
    ) -> Result<Option<State>, Problem> {
        self.config_state_if(plugin, |_| true).await
    }

    async fn config_state_if(
        &self,
        plugin: &PluginName,
        is_there: fn(&Found) -> bool,
    ) -> Result<Option<State>, Problem> {
        let connection = self.database().conn();
        let found = find(connection, plugin).await?.filter(is_there);
        let found = found.ok_or_else(|| Problem::new(codes::PLUGIN_NOT_FOUND).about(plugin))?;
        // Only asked for when it is needed: its first use reads the key.
        let secrets = self.secrets_for(&found.rows).await?;
        self.state_of(connection, secrets.as_ref(), found).await
    }

    /// The same where there must be one.
    pub(super) async fn config_state_registered(
        &self,
        plugin: &PluginName,
    ) -> Result<State, Problem> {
        let state = self.config_state(plugin).await?;
        state.ok_or_else(|| not_registered(plugin))
    }

    /// The configuration inside a transaction, also of a plugin that is just being installed.
    pub(super) async fn config_state_in(
        &self,
        connection: &impl ConnectionTrait,
        secrets: Option<&Secrets>,
        plugin: &PluginName,
    ) -> Result<Option<State>, Problem> {
        let Some(found) = find(connection, plugin).await? else {
            return Ok(None);
        };
        self.state_of(connection, secrets, found).await
    }

    async fn secrets_for(&self, rows: &BTreeMap<String, Kept>) -> Result<Option<Secrets>, Problem> {
        if rows.values().all(|row| row.secret.is_none()) {
            return Ok(None);
        }
        self.secrets_or_none().await
    }

    /// The secrets, or `None` when the master key is not to be had.
    pub(crate) async fn secrets_or_none(&self) -> Result<Option<Secrets>, Problem> {
        match self.secrets().await {
            Ok(secrets) => Ok(Some(secrets)),
            Err(problem) if problem.code == codes::SECRET_STORE_UNAVAILABLE => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    async fn state_of(
        &self,
        connection: &impl ConnectionTrait,
        secrets: Option<&Secrets>,
        found: Found,
    ) -> Result<Option<State>, Problem> {
        let Some(version) = found.version else {
            return Ok(None);
        };
        let registered = self.definition_fetch(connection, found.id, version).await?;
        let Some(registered) = registered else {
            return Ok(None);
        };
        let installation = InstallationId(found.id);
        let values = values_of(connection, secrets, installation, &found.rows).await?;
        Ok(Some(State {
            installation,
            version,
            revision: found.revision,
            updated_at: found.updated_at,
            registered,
            rows: found.rows,
            values,
        }))
    }
}

async fn find(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
) -> Result<Option<Found>, StoreError> {
    let query = Query::select()
        .column(("installations", "id"))
        .column(("installations", "config_version"))
        .column(("installations", "config_revision"))
        .column(("installations", "current_version"))
        .column(("config_values", "key"))
        .column(("config_values", "value"))
        .column(("config_values", "secret"))
        .column(("config_values", "user_modified"))
        .column(("config_values", "updated_at"))
        .from("installations")
        .left_join(
            "config_values",
            Expr::col(("config_values", "installation_id")).equals(("installations", "id")),
        )
        .and_where(Expr::col(("installations", "kind")).eq(plugin.kind.as_str()))
        .and_where(Expr::col(("installations", "key")).eq(plugin.key.as_str()))
        .take();
    let mut found: Option<Found> = None;
    for row in connection.query_all(&query).await? {
        let found = match &mut found {
            Some(found) => found,
            None => found.insert(Found {
                id: row.try_get("", "id")?,
                version: row.try_get("", "config_version")?,
                revision: row.try_get("", "config_revision")?,
                installed: row
                    .try_get::<Option<Uuid>>("", "current_version")?
                    .is_some(),
                updated_at: 0,
                rows: BTreeMap::new(),
            }),
        };
        let Some(key) = row.try_get::<Option<String>>("", "key")? else {
            continue;
        };
        let value: Option<String> = row.try_get("", "value")?;
        let value = value.and_then(|text| serde_json::from_str(&text).ok());
        let kept = Kept {
            value: value.unwrap_or_default(),
            secret: row.try_get("", "secret")?,
            modified: row
                .try_get::<Option<bool>>("", "user_modified")?
                .unwrap_or_default(),
        };
        let at: Option<i64> = row.try_get("", "updated_at")?;
        found.updated_at = Ord::max(found.updated_at, at.unwrap_or_default());
        found.rows.insert(key, kept);
    }
    Ok(found)
}

/// Rows as values, secrets decrypted.
pub(super) async fn values_of(
    connection: &impl ConnectionTrait,
    secrets: Option<&Secrets>,
    installation: InstallationId,
    rows: &BTreeMap<String, Kept>,
) -> Result<Values, StoreError> {
    let mut values = Values::new();
    for (key, kept) in rows {
        let value = match (kept.secret, secrets) {
            (Some(revision), Some(secrets)) => {
                let name = secret_name(key, revision);
                match secrets.get(connection, installation, &name).await {
                    Ok(Some(text)) => Value::Secret(Secret::new(text.expose())),
                    Ok(None) => Value::Unreadable,
                    Err(SecretError::Store(error)) => return Err(error),
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            config.key = key,
                            "A secret cannot be read"
                        );
                        Value::Unreadable
                    }
                }
            }
            (Some(_), None) => Value::Unreadable,
            (None, _) => Value::from_json(&kept.value).unwrap_or_default(),
        };
        let user_modified = kept.modified;
        values.insert(
            key.clone(),
            Entry {
                value,
                user_modified,
            },
        );
    }
    Ok(values)
}

/// Raises the revision of an installation from one to the next; `false` when it is another by now.
pub(super) async fn raise(
    transaction: &Transaction,
    installation: InstallationId,
    from: i64,
    version: Option<Uuid>,
) -> Result<bool, StoreError> {
    let raised = installation::Entity::update_many()
        .col_expr(installation::Column::ConfigRevision, (from + 1).into())
        .col_expr(installation::Column::ConfigVersion, version.into())
        .filter(installation::Column::Id.eq(installation.0))
        .filter(installation::Column::ConfigRevision.eq(from))
        .exec(&**transaction)
        .await?;
    Ok(raised.rows_affected == 1)
}

/// Writes what differs between the rows and `next`, and remembers it under the revision. Gives the rows as
/// they are then, and the keys that changed.
///
/// # Errors
/// `secret_store_unavailable` when there is a new secret and no key to it; `store_unavailable`.
pub(super) async fn store(
    transaction: &Transaction,
    secrets: Option<&Secrets>,
    before: &BTreeMap<String, Kept>,
    old: &Values,
    next: &Values,
    write: &Write<'_>,
) -> Result<Vec<String>, Problem> {
    let mut steps = Steps::new();
    for (key, entry) in next.iter() {
        let was = before.get(key);
        let unchanged = was.is_some() && old.value(key) == &entry.value;
        let kept = match (&entry.value, was) {
            (Value::Unreadable, Some(was)) => Kept {
                modified: entry.user_modified,
                ..was.clone()
            },
            (_, Some(was)) if unchanged => Kept {
                modified: entry.user_modified,
                ..was.clone()
            },
            (Value::Unreadable, None) => Kept::default(),
            (Value::Secret(secret), _) => {
                let Some(secrets) = secrets else {
                    return Err(no_key());
                };
                let text = SecretText::new(secret.expose());
                let name = secret_name(key, write.revision);
                let put = secrets.put(transaction, write.installation, &name, &text);
                put.await?;
                Kept {
                    value: Json::Null,
                    secret: Some(write.revision),
                    modified: entry.user_modified,
                }
            }
            (value, _) => Kept {
                value: value.to_json(),
                secret: None,
                modified: entry.user_modified,
            },
        };
        if was != Some(&kept) {
            steps.insert(
                key.to_owned(),
                Step {
                    before: was.cloned(),
                    after: Some(kept),
                },
            );
        }
    }
    for (key, was) in before {
        if next.get(key).is_none() {
            let step = Step {
                before: Some(was.clone()),
                after: None,
            };
            steps.insert(key.clone(), step);
        }
    }
    for (key, step) in &steps {
        match &step.after {
            Some(kept) => value_upsert(transaction, key, kept, write).await?,
            None => {
                let id = (write.installation.0, key.clone());
                config_value::Entity::delete_by_id(id)
                    .exec(&**transaction)
                    .await
                    .map_err(StoreError::from)?;
            }
        }
    }
    history_insert(transaction, &steps, write).await?;
    history_prune(transaction, secrets, write).await?;
    Ok(steps.into_keys().collect())
}

async fn value_upsert(
    transaction: &Transaction,
    key: &str,
    kept: &Kept,
    write: &Write<'_>,
) -> Result<(), StoreError> {
    let row = config_value::ActiveModel {
        installation_id: Set(write.installation.0),
        key: Set(key.to_owned()),
        value: Set(stored(&kept.value)),
        secret: Set(kept.secret),
        user_modified: Set(kept.modified),
        updated_at: Set(write.now),
        updated_by: Set(write.who.to_owned()),
    };
    let again = OnConflict::columns([
        config_value::Column::InstallationId,
        config_value::Column::Key,
    ])
    .update_columns([
        config_value::Column::Value,
        config_value::Column::Secret,
        config_value::Column::UserModified,
        config_value::Column::UpdatedAt,
        config_value::Column::UpdatedBy,
    ])
    .to_owned();
    config_value::Entity::insert(row)
        .on_conflict(again)
        .exec_without_returning(&**transaction)
        .await?;
    Ok(())
}

async fn history_insert(
    transaction: &Transaction,
    steps: &Steps,
    write: &Write<'_>,
) -> Result<(), StoreError> {
    let row = config_history::ActiveModel {
        installation_id: Set(write.installation.0),
        revision: Set(write.revision),
        version_id: Set(write.version),
        action: Set(write.action.to_owned()),
        changes: Set(text(steps)),
        at: Set(write.now),
        who: Set(write.who.to_owned()),
    };
    config_history::Entity::insert(row)
        .exec_without_returning(&**transaction)
        .await?;
    Ok(())
}

/// Forgets the oldest writes. A secret that one of them replaced can be reached from nowhere then: each
/// secret is written once and replaced once.
async fn history_prune(
    transaction: &Transaction,
    secrets: Option<&Secrets>,
    write: &Write<'_>,
) -> Result<(), Problem> {
    let old = config_history::Entity::find()
        .filter(config_history::Column::InstallationId.eq(write.installation.0))
        .filter(config_history::Column::Revision.lte(write.revision - KEPT))
        .all(&**transaction)
        .await
        .map_err(StoreError::from)?;
    for row in old {
        for (key, step) in steps_of(&row.changes) {
            let replaced = step.before.and_then(|it| it.secret);
            let still = step.after.and_then(|it| it.secret);
            if let (Some(revision), Some(secrets)) = (replaced, secrets)
                && still != replaced
            {
                let name = secret_name(&key, revision);
                secrets
                    .delete(&**transaction, write.installation, &name)
                    .await?;
            }
        }
        config_history::Entity::delete_by_id((row.installation_id, row.revision))
            .exec(&**transaction)
            .await
            .map_err(StoreError::from)?;
    }
    Ok(())
}

/// The writes after a revision, latest first.
pub(super) async fn history_after(
    connection: &impl ConnectionTrait,
    installation: InstallationId,
    revision: i64,
) -> Result<Vec<config_history::Model>, StoreError> {
    Ok(config_history::Entity::find()
        .filter(config_history::Column::InstallationId.eq(installation.0))
        .filter(config_history::Column::Revision.gt(revision))
        .order_by_desc(config_history::Column::Revision)
        .all(connection)
        .await?)
}

/// The last write under a version's definition, before the one in force came.
pub(super) async fn history_last_of(
    connection: &impl ConnectionTrait,
    installation: InstallationId,
    version: Uuid,
) -> Result<Option<config_history::Model>, StoreError> {
    Ok(config_history::Entity::find()
        .filter(config_history::Column::InstallationId.eq(installation.0))
        .filter(config_history::Column::VersionId.eq(version))
        .order_by_desc(config_history::Column::Revision)
        .limit(1)
        .one(connection)
        .await?)
}

/// The rows as they were at a revision; `None` when it is forgotten, or was never there.
pub(super) async fn rows_at(
    connection: &impl ConnectionTrait,
    installation: InstallationId,
    now: &BTreeMap<String, Kept>,
    revision: i64,
) -> Result<Option<BTreeMap<String, Kept>>, StoreError> {
    let after = history_after(connection, installation, revision.saturating_sub(1)).await?;
    if after.last().is_none_or(|first| first.revision != revision) {
        return Ok(None);
    }
    let mut rows = now.clone();
    for row in after.iter().filter(|row| row.revision > revision) {
        for (key, step) in steps_of(&row.changes) {
            match step.before {
                Some(kept) => drop(rows.insert(key, kept)),
                None => drop(rows.remove(&key)),
            }
        }
    }
    Ok(Some(rows))
}

/// Takes what is no secret out of the past of fields that are secrets from now on.
pub(super) async fn history_blacken(
    transaction: &Transaction,
    installation: InstallationId,
    keys: &[String],
) -> Result<(), StoreError> {
    for row in history_after(&**transaction, installation, -1).await? {
        let mut steps = steps_of(&row.changes);
        let mut found = false;
        for key in keys {
            let Some(step) = steps.get_mut(key) else {
                continue;
            };
            for kept in [&mut step.before, &mut step.after].into_iter().flatten() {
                found |= kept.value != Json::Null;
                kept.value = Json::Null;
            }
        }
        if found {
            config_history::Entity::update_many()
                .col_expr(config_history::Column::Changes, text(&steps).into())
                .filter(config_history::Column::InstallationId.eq(installation.0))
                .filter(config_history::Column::Revision.eq(row.revision))
                .exec(&**transaction)
                .await?;
        }
    }
    Ok(())
}

pub(super) fn steps_of(changes: &str) -> Steps {
    serde_json::from_str(changes).unwrap_or_else(|error| {
        tracing::error!(%error, "A row of the history cannot be read");
        Steps::new()
    })
}

pub(super) fn no_key() -> Problem {
    Problem::new(codes::SECRET_STORE_UNAVAILABLE).with("reason", "there is no master key")
}

/// A value as its column has it.
fn stored(value: &Json) -> Option<String> {
    (*value != Json::Null).then(|| value.to_string())
}

fn text(steps: &Steps) -> String {
    serde_json::to_string(steps).expect("what we store is plain data")
}

fn secret_name(key: &str, revision: i64) -> String {
    format!("config/{key}/{revision}")
}
