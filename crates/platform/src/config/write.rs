//! Deciding on writes: what somebody submits, a reset, a return, an import.

use plugyard_config::{Body, Definition, Value, Values};
use plugyard_http::Principal;
use plugyard_model::{PluginName, Problem, codes};
use plugyard_store::StoreError;
use plugyard_store::secrets::{self, Secrets};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Expr};

use super::history::differing;
use super::rows::{self, State, Write};
use super::{ConfigChanged, ConfigRefusal, StoredConfig, conflict};
use crate::entity::{config_definition, config_history, config_value, installation};
use crate::events::{self, codes as event_codes};
use crate::{Platform, failpoint};

/// How often a write without a condition is decided anew, because others came first.
const TURNS: usize = 64;

/// On what terms something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// The revision that the caller has seen, and that must still be in force; without one the write is
    /// decided on whatever is there.
    pub expected: Option<u64>,
    /// Say what would be written, and write nothing.
    pub dry_run: bool,
}

impl From<Option<u64>> for Terms {
    fn from(expected: Option<u64>) -> Self {
        Self {
            expected,
            dry_run: false,
        }
    }
}

/// A write that was done, or had nothing to do; or, on such [`Terms`], one that would be done.
#[derive(Debug, Clone)]
pub struct Written {
    /// The fields that were named and have another value now.
    pub updated: Vec<String>,
    /// The fields that were named and had this value already.
    pub unchanged: Vec<String>,
    /// The configuration afterwards; of a write that was not done with the revision there is.
    pub config: StoredConfig,
}

/// What a write is to lead to.
pub(super) struct Decision {
    pub(super) values: Values,
    pub(super) updated: Vec<String>,
    pub(super) unchanged: Vec<String>,
}

impl Platform {
    /// Takes what somebody submitted: all of it or, with every reason, nothing. Only the fields it names
    /// change.
    ///
    /// # Errors
    /// [`ConfigRefusal::Rejected`]; `revision_conflict`, `config_not_registered`, `plugin_not_found`,
    /// `secret_store_unavailable`, `store_unavailable`.
    pub async fn config_put(
        &self,
        who: &Principal,
        plugin: &PluginName,
        body: &Body,
        terms: impl Into<Terms>,
    ) -> Result<Written, ConfigRefusal> {
        let mut terms = terms.into();
        terms.expected = terms.expected.or(body.revision());
        let now = self.seconds();
        self.config_write(who, plugin, "put", terms, |state, _| {
            let accepted = state.definition().submit(&state.values, body, now);
            let accepted = accepted.map_err(ConfigRefusal::Rejected)?;
            Ok(Decision {
                values: accepted.values,
                updated: accepted.updated,
                unchanged: accepted.unchanged,
            })
        })
        .await
    }

    /// Gives fields, or all of them, their initial values back. `updated` names those it was asked for.
    ///
    /// # Errors
    /// As [`config_put`](Self::config_put).
    pub async fn config_reset(
        &self,
        who: &Principal,
        plugin: &PluginName,
        keys: Option<&[String]>,
        terms: impl Into<Terms>,
    ) -> Result<Written, ConfigRefusal> {
        self.config_write(who, plugin, "reset", terms.into(), |state, complete| {
            let reset = complete.reset(&state.values, keys);
            let reset = reset.map_err(ConfigRefusal::Rejected)?;
            Ok(Decision {
                values: reset.values,
                updated: reset.reset,
                unchanged: Vec::new(),
            })
        })
        .await
    }

    /// Takes the configuration away: definitions, values, history and secrets. The plugin stays. Going to a
    /// version registers its definition again. Says how many fields there were.
    ///
    /// # Errors
    /// `config_not_registered`, `plugin_not_found`, `store_unavailable`.
    pub async fn config_delete(
        &self,
        who: &Principal,
        plugin: &PluginName,
    ) -> Result<u64, Problem> {
        let _one = self.0.config_locks.hold(plugin).await;
        let state = self.config_state_registered(plugin).await?;
        let id = state.installation.0;
        let transaction = self.database().begin().await?;
        let connection = &*transaction;
        let revision = state.revision + 1;
        let deleted = async {
            installation::Entity::update_many()
                .col_expr(
                    installation::Column::ConfigVersion,
                    Expr::value(None::<uuid::Uuid>),
                )
                .col_expr(installation::Column::ConfigRevision, revision.into())
                .filter(installation::Column::Id.eq(id))
                .exec(connection)
                .await?;
            let values = config_value::Entity::find()
                .filter(config_value::Column::InstallationId.eq(id))
                .count(connection)
                .await?;
            config_value::Entity::delete_many()
                .filter(config_value::Column::InstallationId.eq(id))
                .exec(connection)
                .await?;
            config_history::Entity::delete_many()
                .filter(config_history::Column::InstallationId.eq(id))
                .exec(connection)
                .await?;
            config_definition::Entity::delete_many()
                .filter(config_definition::Column::InstallationId.eq(id))
                .exec(connection)
                .await?;
            secrets::forget(connection, state.installation).await?;
            Ok::<_, StoreError>(values)
        };
        let deleted = deleted.await?;
        transaction.commit().await?;
        tracing::info!(user.name = who.name, plugin.name = %plugin, "Deleted the configuration");
        let keys = state.rows.into_keys().collect();
        self.config_written(plugin, revision, keys).await;
        Ok(deleted)
    }

    /// Decides on a write and does it. `decide` gets the state, and its definition with the secrets it was
    /// shipped with; it may be asked several times.
    pub(super) async fn config_write(
        &self,
        who: &Principal,
        plugin: &PluginName,
        action: &'static str,
        terms: Terms,
        decide: impl Fn(&State, &Definition) -> Result<Decision, ConfigRefusal> + Send + Sync,
    ) -> Result<Written, ConfigRefusal> {
        let _one = self.0.config_locks.hold(plugin).await;
        for _ in 0..TURNS {
            let state = self.config_state_registered(plugin).await?;
            let expected = terms.expected;
            if expected.is_some_and(|it| it != state.revision.unsigned_abs()) {
                return Err(conflict(plugin, state.revision.unsigned_abs()).into());
            }
            let secrets = if state
                .definition()
                .fields()
                .values()
                .any(plugyard_config::Field::is_secret)
            {
                self.secrets_or_none().await?
            } else {
                None
            };
            let connection = self.database().conn();
            let complete = state.complete(connection, secrets.as_ref()).await?;
            let decision = decide(&state, &complete)?;
            if terms.dry_run {
                return self
                    .config_rehearse(state, secrets.as_ref(), decision)
                    .await;
            }
            let changes = self
                .config_persist(
                    &state,
                    secrets.as_ref(),
                    &decision.values,
                    action,
                    &who.name,
                )
                .await;
            let changes = match changes {
                Err(problem) if problem.code == codes::SECRET_STORE_UNAVAILABLE => {
                    // What is wrong with the key is known to who looked for it.
                    let reason = self.secrets().await.err();
                    return Err(reason.unwrap_or(problem).into());
                }
                changes => changes?,
            };
            let Some((revision, keys)) = changes else {
                continue;
            };
            if !keys.is_empty() {
                self.config_written(plugin, revision, keys).await;
            }
            return Ok(Written {
                updated: decision.updated,
                unchanged: decision.unchanged,
                config: self.config_state_registered(plugin).await?.into_config(),
            });
        }
        Err(conflict(plugin, 0).into())
    }

    /// What a write would lead to.
    async fn config_rehearse(
        &self,
        state: State,
        secrets: Option<&Secrets>,
        decision: Decision,
    ) -> Result<Written, ConfigRefusal> {
        let seals = differing(&state.values, &decision.values)
            .iter()
            .any(|key| matches!(decision.values.value(key), Value::Secret(_)));
        if seals && secrets.is_none() {
            self.secrets().await?;
        }
        let mut config = state.into_config();
        config.values = decision.values;
        Ok(Written {
            updated: decision.updated,
            unchanged: decision.unchanged,
            config,
        })
    }

    /// Writes values in place of a state; `None` when that is not the one in force any more.
    async fn config_persist(
        &self,
        state: &State,
        secrets: Option<&Secrets>,
        values: &Values,
        action: &'static str,
        who: &str,
    ) -> Result<Option<(i64, Vec<String>)>, Problem> {
        if *values == state.values {
            return Ok(Some((state.revision, Vec::new())));
        }
        let write = Write {
            installation: state.installation,
            revision: state.revision + 1,
            version: state.version,
            action,
            who,
            now: self.now(),
        };
        let transaction = self.database().begin().await?;
        let version = Some(state.version);
        if !rows::raise(&transaction, state.installation, state.revision, version).await? {
            return Ok(None);
        }
        failpoint::pass();
        let keys = rows::store(
            &transaction,
            secrets,
            &state.rows,
            &state.values,
            values,
            &write,
        )
        .await?;
        failpoint::pass();
        transaction.commit().await?;
        failpoint::pass();
        Ok(Some((write.revision, keys)))
    }

    /// Tells everybody of a write, and gives the plugin's processes the new values.
    pub(crate) async fn config_written(
        &self,
        plugin: &PluginName,
        revision: i64,
        keys: Vec<String>,
    ) {
        self.config_file_refresh(plugin).await;
        self.0.events.publish(
            events::plugin_topic(plugin),
            event_codes::CONFIG_CHANGED,
            [
                ("plugin", plugin.to_string()),
                ("revision", revision.to_string()),
                ("keys", keys.join(",")),
            ],
        );
        let change = ConfigChanged {
            revision: revision.unsigned_abs(),
            keys,
        };
        // Nobody may be listening.
        let _ = self.0.config_news.send((plugin.clone(), change));
    }
}
