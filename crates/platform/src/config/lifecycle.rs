//! What changes of the version do to the configuration.
//!
//! The definition of the version to come is read out of its package before the change begins and stored with
//! the plan, so that neither a store that is away nor a crash leaves the commit without it. What the
//! change then does is decided in the transaction of its commit, on the values of that moment.

use std::collections::BTreeMap;

use plugyard_config::{Body, Definition, Values, plan_upgrade};
use plugyard_model::{PluginName, Problem, codes};
use plugyard_store::secrets::Secrets;
use plugyard_store::{StoreError, Transaction};
use sea_orm::ConnectionTrait;
use serde_json::{Map, Value as Json};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use super::definitions;
use super::rows::{self, Kept, State, Write};
use crate::intake::Considered;
use crate::kind::{Action, Change, Version};
use crate::{Kind, Platform};

/// What is stored with the plan of a change.
pub(crate) struct Prepared {
    definition: Option<Definition>,
    /// The values a new installation begins with.
    begin: Option<Values>,
    secrets: Option<Secrets>,
}

/// What is configured when a change has taken effect.
pub(super) struct Next {
    pub(super) definition: Definition,
    pub(super) values: Values,
    pub(super) revision: i64,
    /// Whether anything can be configured at all.
    pub(super) registered: bool,
    /// The state that it takes the place of, and how.
    before: Option<State>,
    version: Uuid,
    /// The fields that are secrets from now on and were none before.
    sealed: Vec<String>,
}

impl Platform {
    /// Reads what the version to come says, and refuses what cannot be done, before anything begins.
    ///
    /// # Errors
    /// `validation_failed`, `definition_downgrade`, `secret_store_unavailable`, `objects_unavailable`,
    /// `config_not_registered` for values of a plugin that has no configuration.
    pub(crate) async fn config_prepare(
        &self,
        kind: &dyn Kind,
        change: &Change,
        values: Option<Map<String, Json>>,
    ) -> Result<Option<Prepared>, Problem> {
        let Some(target) = changes_version(change) else {
            return Ok(None);
        };
        let definition = self.config_target(kind, change, target).await?;
        self.config_judge(change, definition, values)
            .await
            .map(Some)
    }

    /// The same for a change that is not begun, perhaps to a package that is not kept.
    ///
    /// # Errors
    /// As [`config_prepare`](Self::config_prepare).
    pub(crate) async fn config_foresee(
        &self,
        kind: &dyn Kind,
        change: &Change,
        values: Option<Map<String, Json>>,
        considered: Option<&Considered>,
    ) -> Result<(), Problem> {
        let Some(target) = changes_version(change) else {
            return Ok(());
        };
        let definition = match considered {
            Some(considered) => considered.definition.clone(),
            None => self.config_target(kind, change, target).await?,
        };
        self.config_judge(change, definition, values)
            .await
            .map(drop)
    }

    async fn config_judge(
        &self,
        change: &Change,
        definition: Option<Definition>,
        values: Option<Map<String, Json>>,
    ) -> Result<Prepared, Problem> {
        let has_secrets = |definition: &Definition| !definition.shipped_secrets().is_empty();
        let now = self.seconds();
        let mut begin = None;
        let mut needs_key = definition.as_ref().is_some_and(has_secrets);
        match (&definition, change.action) {
            (Some(definition), Action::Install) => {
                let mut initial = definition.initial_values();
                if let Some(values) = values {
                    let submitted = definition.submit(&initial, &Body::flat(values), now);
                    initial = submitted
                        .map_err(|rejected| Problem::from(&rejected).about(&change.plugin))?
                        .values;
                }
                needs_key |= initial.iter().any(|(_, entry)| is_secret(&entry.value));
                begin = Some(initial);
            }
            (None, Action::Install) if values.is_some_and(|it| !it.is_empty()) => {
                return Err(super::not_registered(&change.plugin));
            }
            (Some(definition), Action::Upgrade) if change.config.update_definitions => {
                let old = self.config(&change.plugin).await?;
                if let Some(old) = old {
                    let plan = plan_upgrade(&old.definition, definition, &old.values, now);
                    if plan.downgrade && !change.config.force {
                        return Err(Problem::new(codes::DEFINITION_DOWNGRADE)
                            .about(&change.plugin)
                            .with("from", old.definition.version())
                            .with("to", definition.version()));
                    }
                    needs_key |= plan.values.iter().any(|(key, entry)| {
                        is_secret(&entry.value) && old.values.value(key) != &entry.value
                    });
                }
            }
            _ => {}
        }
        let secrets = if needs_key {
            Some(self.secrets().await?)
        } else {
            None
        };
        Ok(Prepared {
            definition,
            begin,
            secrets,
        })
    }

    /// The definition of the version to come: as it was registered, else out of the package.
    async fn config_target(
        &self,
        kind: &dyn Kind,
        change: &Change,
        target: &Version,
    ) -> Result<Option<Definition>, Problem> {
        let (connection, id) = (self.database().conn(), change.installation.0);
        let registered = self.definition_fetch(connection, id, target.id.0).await?;
        if let Some(registered) = registered {
            let secrets = if registered.shipped.is_empty() {
                None
            } else {
                self.secrets_or_none().await?
            };
            let (version, secrets) = (target.id.0, secrets.as_ref());
            let whole = definitions::complete(connection, secrets, id, version, &registered);
            return Ok(Some(whole.await?));
        }
        match self.definition_of(kind, &change.plugin, target).await {
            // Without a store there is a way back all the same, for who has no configuration.
            Err(problem)
                if problem.code == codes::OBJECTS_UNAVAILABLE
                    && change.action == Action::Rollback
                    && self.config(&change.plugin).await?.is_none() =>
            {
                Ok(None)
            }
            found => found,
        }
    }

    /// Stores it in the transaction that stores the plan.
    pub(crate) async fn config_store_prepared(
        &self,
        transaction: &Transaction,
        change: &Change,
        prepared: Prepared,
    ) -> Result<(), Problem> {
        let (Some(target), Some(definition)) = (&change.target, prepared.definition) else {
            return Ok(());
        };
        let (installation, now) = (change.installation, self.now());
        let secrets = prepared.secrets.as_ref();
        definitions::register(
            transaction,
            secrets,
            installation,
            target.id,
            &definition,
            now,
        )
        .await?;
        let Some(values) = prepared.begin else {
            return Ok(());
        };
        // What an installation that failed may have left is taken along by its row, as a rule.
        let state = self
            .config_state_in(&**transaction, None, &change.plugin)
            .await?;
        let (from, before) = match state {
            Some(state) => (state.revision, state.rows),
            None => (
                self.config_revision(&**transaction, &change.plugin).await?,
                BTreeMap::new(),
            ),
        };
        rows::raise(transaction, installation, from, Some(target.id.0)).await?;
        let write = Write {
            installation,
            revision: from + 1,
            version: target.id.0,
            action: "install",
            who: &change.by,
            now,
        };
        let nothing = Values::new();
        rows::store(transaction, secrets, &before, &nothing, &values, &write).await?;
        Ok(())
    }

    /// What will be configured after a change, if it took effect now; `None` when that is nothing, or what
    /// there is already.
    pub(super) async fn config_next(
        &self,
        connection: &impl ConnectionTrait,
        change: &Change,
    ) -> Result<Option<Next>, Problem> {
        let secrets = self.secrets_or_none().await?;
        self.config_next_in(connection, secrets.as_ref(), change)
            .await
    }

    async fn config_next_in(
        &self,
        connection: &impl ConnectionTrait,
        secrets: Option<&Secrets>,
        change: &Change,
    ) -> Result<Option<Next>, Problem> {
        let Some(target) = changes_version(change) else {
            return Ok(None);
        };
        let plugin = &change.plugin;
        let state = self.config_state_in(connection, secrets, plugin).await?;
        let unchanged = |state: State| Next {
            definition: state.registered.definition.clone(),
            values: state.values.clone(),
            revision: state.revision,
            registered: true,
            version: state.version,
            sealed: Vec::new(),
            before: None,
        };
        if change.action == Action::Install || !change.config.update_definitions {
            return Ok(state.map(unchanged));
        }
        let id = change.installation;
        let registered = self.definition_fetch(connection, id.0, target.id.0).await?;
        let Some(registered) = registered else {
            // A version without a definition: nothing can be configured while it is in force.
            return Ok(state.map(|state| Next {
                definition: Definition::empty(),
                values: Values::new(),
                revision: state.revision + 1,
                registered: false,
                version: target.id.0,
                sealed: Vec::new(),
                before: Some(state),
            }));
        };
        let new =
            definitions::complete(connection, secrets, id.0, target.id.0, &registered).await?;
        let Some(state) = state else {
            let revision = self.config_revision(connection, plugin).await?;
            let back = self
                .values_under(connection, secrets, change, &BTreeMap::new(), target)
                .await?;
            return Ok(Some(Next {
                values: back.unwrap_or_else(|| new.initial_values()),
                definition: registered.definition,
                revision: revision + 1,
                registered: true,
                version: target.id.0,
                sealed: Vec::new(),
                before: None,
            }));
        };
        let back = if state.version == target.id.0 {
            None
        } else {
            self.values_under(connection, secrets, change, &state.rows, target)
                .await?
        };
        let values = back.unwrap_or_else(|| {
            plan_upgrade(state.definition(), &new, &state.values, self.seconds()).values
        });
        let is_secret = |definition: &Definition, key: &str| {
            definition
                .field(key)
                .is_some_and(plugyard_config::Field::is_secret)
        };
        let sealed = new
            .fields()
            .keys()
            .filter(|key| is_secret(&new, key) && !is_secret(state.definition(), key))
            .cloned()
            .collect();
        Ok(Some(Next {
            definition: registered.definition,
            values,
            revision: state.revision + 1,
            registered: true,
            version: target.id.0,
            sealed,
            before: Some(state),
        }))
    }

    /// On the way back: the values as they last were under the version that comes back.
    async fn values_under(
        &self,
        connection: &impl ConnectionTrait,
        secrets: Option<&Secrets>,
        change: &Change,
        now: &BTreeMap<String, Kept>,
        target: &Version,
    ) -> Result<Option<Values>, Problem> {
        if change.action != Action::Rollback {
            return Ok(None);
        }
        let id = change.installation;
        let last = rows::history_last_of(connection, id, target.id.0).await?;
        let Some(last) = last else { return Ok(None) };
        let rows = rows::rows_at(connection, id, now, last.revision).await?;
        let Some(rows) = rows else { return Ok(None) };
        let values = rows::values_of(connection, secrets, id, &rows).await?;
        Ok(Some(values))
    }

    async fn config_revision(
        &self,
        connection: &impl ConnectionTrait,
        plugin: &PluginName,
    ) -> Result<i64, StoreError> {
        let row = crate::versions::installation_of(connection, plugin).await?;
        Ok(row.map_or(0, |row| row.config_revision))
    }

    /// What the commit of a change needs besides its transaction.
    pub(crate) async fn config_commit_begin(
        &self,
        plugin: &PluginName,
    ) -> Result<(OwnedMutexGuard<()>, Option<Secrets>), StoreError> {
        // Both before the transaction: they may wait, and opening the secrets writes.
        let one = self.0.config_locks.hold(plugin).await;
        let secrets = self.secrets_or_none().await;
        Ok((one, secrets.map_err(|problem| as_store(&problem))?))
    }

    /// Puts the configuration of the new version in force, in the transaction of the commit. Gives the
    /// revision and the fields that changed, to be told afterwards.
    ///
    /// # Errors
    /// [`StoreError`]: then the commit is tried again. Nothing else keeps a commit from happening: a new
    /// secret that cannot be encrypted now, though it could when the change began, is left unset.
    pub(crate) async fn config_commit(
        &self,
        transaction: &Transaction,
        secrets: Option<&Secrets>,
        change: &Change,
    ) -> Result<Option<(i64, Vec<String>)>, StoreError> {
        let connection = &**transaction;
        let next = match self.config_next_in(connection, secrets, change).await {
            Ok(next) => next,
            Err(problem) => return Err(as_store(&problem)),
        };
        let Some(mut next) = next else {
            return Ok(None);
        };
        if change.action == Action::Install {
            let keys = next.definition.fields().keys().cloned().collect();
            return Ok(Some((next.revision, keys)));
        }
        if !change.config.update_definitions {
            return Ok(None);
        }
        let id = change.installation;
        let (from, old, before) = match &next.before {
            Some(state) if state.version == next.version && state.values == next.values => {
                return Ok(None);
            }
            Some(state) => (state.revision, state.values.clone(), state.rows.clone()),
            None => (next.revision - 1, Values::new(), BTreeMap::new()),
        };
        if secrets.is_none() {
            next.values = without_new_secrets(&old, &next.values);
        }
        let version = next.registered.then_some(next.version);
        if !rows::raise(transaction, id, from, version).await? {
            return Err(StoreError::Query(sea_orm::DbErr::RecordNotUpdated));
        }
        let write = Write {
            installation: id,
            revision: next.revision,
            version: next.version,
            action: change.action.as_str(),
            who: &change.by,
            now: self.now(),
        };
        let stored = rows::store(transaction, secrets, &before, &old, &next.values, &write).await;
        let keys = stored.map_err(|problem| as_store(&problem))?;
        rows::history_blacken(transaction, id, &next.sealed).await?;
        Ok(Some((next.revision, keys)))
    }
}

/// The version a change leads to, when that is what it is about.
fn changes_version(change: &Change) -> Option<&Version> {
    match change.action {
        Action::Install | Action::Upgrade | Action::Rollback => change.target.as_ref(),
        Action::Enable
        | Action::Disable
        | Action::Restart
        | Action::Uninstall
        | Action::Perform => None,
    }
}

fn is_secret(value: &plugyard_config::Value) -> bool {
    matches!(value, plugyard_config::Value::Secret(_))
}

fn without_new_secrets(old: &Values, next: &Values) -> Values {
    next.iter()
        .map(|(key, entry)| {
            let mut entry = entry.clone();
            if is_secret(&entry.value) && old.value(key) != &entry.value {
                tracing::error!(
                    config.key = key,
                    "A secret cannot be encrypted and is left unset"
                );
                entry.value = plugyard_config::Value::Null;
            }
            (key.to_owned(), entry)
        })
        .collect()
}

/// Only the database can be in the way here, and its cause was logged where it became a problem.
fn as_store(problem: &Problem) -> StoreError {
    StoreError::Query(sea_orm::DbErr::Custom(problem.to_string()))
}
