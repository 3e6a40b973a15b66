//! Deciding whether a change may begin, and beginning it.

use plugyard_http::Principal;
use plugyard_model::{OperationId, PluginName, Problem, VersionId, Wanted, codes};
use plugyard_store::StoreError;
use sea_orm::SqlErr;
use tokio_util::sync::CancellationToken;

use super::driver::{Begin, Driver};
use super::log::OperationLog;
use super::{ChangeRequest, Outcome, Running, journal};
use crate::config::{ConfigChange, ConfigInput, Prepared};
use crate::events::{self, codes as event_codes};
use crate::expected::Expected;
use crate::kind::{Action, Change, Plan, Version};
use crate::platform::{new_installation_id, new_operation_id};
use crate::versions::{installation_id, installation_of, version_fetch, view};
use crate::{Considered, Kind, Platform, failpoint};

/// Steps a plan may have.
const MAX_STEPS: usize = 64;

/// How to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InstallOptions {
    /// What is wanted of the plugin; `None` for working.
    pub wanted: Option<Wanted>,
}

impl Platform {
    /// Begins a change. Answers when its plan is stored; [`wait`](Self::wait) tells how it ended.
    ///
    /// # Errors
    /// `operation_in_progress`, `plugin_exists`, `plugin_not_found`, `no_previous_version`,
    /// `version_not_found`, `kind_not_served`, `shutting_down`, `store_unavailable`; `undo_failed` when
    /// an earlier change is still not undone; and what the kind answers when the change is impossible.
    pub async fn change(
        &self,
        who: &Principal,
        plugin: &PluginName,
        request: ChangeRequest,
    ) -> Result<OperationId, Problem> {
        self.change_with(who, plugin, request, ConfigInput::default())
            .await
    }

    /// The same, and says what becomes of the configuration.
    ///
    /// # Errors
    /// Also `validation_failed` for values to begin with that the definition does not allow,
    /// `config_not_registered` for values where nothing can be configured, `definition_downgrade`,
    /// `secret_store_unavailable`.
    pub async fn change_with(
        &self,
        who: &Principal,
        plugin: &PluginName,
        request: ChangeRequest,
        config: ConfigInput,
    ) -> Result<OperationId, Problem> {
        self.change_expecting(who, plugin, request, config, None)
            .await
    }

    /// The same, if the installation is as the client believes. That is checked in the transaction which
    /// claims the plugin for the change.
    ///
    /// # Errors
    /// Also what the condition answers.
    pub async fn change_expecting(
        &self,
        who: &Principal,
        plugin: &PluginName,
        request: ChangeRequest,
        config: ConfigInput,
        expected: Option<Expected>,
    ) -> Result<OperationId, Problem> {
        if self.0.changes.is_closed() {
            return Err(Problem::new(codes::SHUTTING_DOWN));
        }
        let kind = self.kind(&plugin.kind)?;
        // Being dropped halfway must not leave the plugin claimed, so this goes on without its caller.
        let (platform, who, plugin) = (self.clone(), who.name.clone(), plugin.clone());
        let begun = self.0.changes.spawn(async move {
            let ConfigInput { change, values } = config;
            let (change, planning) = platform
                .claim(kind.as_ref(), &plugin, request, change, expected, &who)
                .await?;
            let begun = platform.begin(kind, change, values).await;
            drop(planning);
            begun
        });
        begun.await.unwrap_or_else(|error| {
            tracing::error!(%error, "Beginning a change failed");
            Err(Problem::new(codes::INTERNAL).with("request", "-"))
        })
    }

    /// What a change would do, without doing it.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn plan_only(
        &self,
        plugin: &PluginName,
        request: ChangeRequest,
    ) -> Result<Plan, Problem> {
        self.foresee(plugin, request, ConfigInput::default(), None)
            .await
    }

    /// The same, for a change that says what becomes of the configuration, and perhaps goes to a package that
    /// was [`consider`](Self::consider)ed and not taken in.
    ///
    /// # Errors
    /// As [`change_with`](Self::change_with).
    pub async fn foresee(
        &self,
        plugin: &PluginName,
        request: ChangeRequest,
        config: ConfigInput,
        considered: Option<&Considered>,
    ) -> Result<Plan, Problem> {
        let kind = self.kind(&plugin.kind)?;
        let transaction = self.database().begin().await?;
        let offered = considered.map(|it| &it.version);
        let mut change = decide(&transaction, kind.as_ref(), plugin, request, offered).await?;
        drop(transaction);
        change.config = config.change;
        let plan = checked(kind.plan(&change).await?, plugin)?;
        self.config_foresee(kind.as_ref(), &change, config.values, considered)
            .await?;
        Ok(plan)
    }

    /// [`ChangeRequest::Install`].
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn install(
        &self,
        who: &Principal,
        plugin: &PluginName,
        version: VersionId,
        options: InstallOptions,
    ) -> Result<OperationId, Problem> {
        let request = ChangeRequest::Install {
            version,
            wanted: options.wanted,
        };
        self.change(who, plugin, request).await
    }

    /// [`ChangeRequest::Upgrade`].
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn upgrade(
        &self,
        who: &Principal,
        plugin: &PluginName,
        version: VersionId,
    ) -> Result<OperationId, Problem> {
        self.change(who, plugin, ChangeRequest::Upgrade { version })
            .await
    }

    /// [`ChangeRequest::Rollback`].
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn rollback(
        &self,
        who: &Principal,
        plugin: &PluginName,
        to: Option<VersionId>,
    ) -> Result<OperationId, Problem> {
        self.change(who, plugin, ChangeRequest::Rollback { to })
            .await
    }

    /// [`ChangeRequest::Enable`].
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn enable(
        &self,
        who: &Principal,
        plugin: &PluginName,
    ) -> Result<OperationId, Problem> {
        self.change(who, plugin, ChangeRequest::Enable).await
    }

    /// [`ChangeRequest::Disable`].
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn disable(
        &self,
        who: &Principal,
        plugin: &PluginName,
    ) -> Result<OperationId, Problem> {
        self.change(who, plugin, ChangeRequest::Disable).await
    }

    /// [`ChangeRequest::Restart`].
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn restart(
        &self,
        who: &Principal,
        plugin: &PluginName,
    ) -> Result<OperationId, Problem> {
        self.change(who, plugin, ChangeRequest::Restart).await
    }

    /// [`ChangeRequest::Uninstall`].
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn uninstall(
        &self,
        who: &Principal,
        plugin: &PluginName,
        keep_data: bool,
    ) -> Result<OperationId, Problem> {
        self.change(who, plugin, ChangeRequest::Uninstall { keep_data })
            .await
    }

    /// Claims the plugin in the database: the row of the operation, and of a new installation.
    async fn claim(
        &self,
        kind: &dyn Kind,
        plugin: &PluginName,
        request: ChangeRequest,
        config: ConfigChange,
        expected: Option<Expected>,
        who: &str,
    ) -> Result<(Change, Planning), Problem> {
        // Versions must not be pruned between being chosen and being claimed.
        let _keeping = self.0.keeping.lock().await;
        let transaction = self.database().begin().await?;
        let mut change = decide(&transaction, kind, plugin, request, None).await?;
        if let Some(expected) = expected {
            expected.check(&transaction, plugin).await?;
        }
        change.config = config;
        who.clone_into(&mut change.by);
        let now = self.now();
        // Before the row can be seen: who finds it finds this too.
        let planning = Planning::begin(self, change.operation);
        let claimed = journal::operation_insert(&*transaction, &change, who, now).await;
        if let Err(error) = claimed {
            drop(transaction);
            return Err(if lost_race(&error) {
                self.in_progress(plugin).await?
            } else {
                error.into()
            });
        }
        let row = installation_of(&*transaction, plugin).await?;
        if row.is_none() {
            journal::installation_insert(&*transaction, &change, now).await?;
        }
        failpoint::pass();
        transaction.commit().await?;
        failpoint::pass();
        if let Some(target) = &change.target {
            // From here on the operation's row keeps it.
            self.0.handed_in.remove(plugin, target.id);
        }
        Ok((change, planning))
    }

    /// Plans what was claimed, stores the plan and sets it going.
    async fn begin(
        &self,
        kind: std::sync::Arc<dyn Kind>,
        change: Change,
        values: Option<serde_json::Map<String, serde_json::Value>>,
    ) -> Result<OperationId, Problem> {
        let id = change.operation;
        let planned = async {
            let plan = self.plan(kind.as_ref(), &change).await?;
            let prepared = self.config_prepare(kind.as_ref(), &change, values).await?;
            Ok::<_, Problem>((plan, prepared))
        };
        let (plan, prepared) = match planned.await {
            Ok(planned) => planned,
            Err(problem) => {
                self.release(&change).await;
                return Err(problem);
            }
        };
        let log = match self.store_plan(&change, &plan, prepared).await {
            Ok(log) => log,
            Err(problem) => {
                // Also when the plan arrived after all: nothing of it was done, and nothing will be.
                self.release(&change).await;
                return Err(problem);
            }
        };
        let running = Running::new(id, change.plugin.clone(), log);
        self.0.running.lock().insert(id, running.clone());
        self.0.events.publish(
            events::operation_topic(id),
            event_codes::OPERATION_STARTED,
            [
                ("operation", id.to_string()),
                ("plugin", change.plugin.to_string()),
                ("action", change.action.as_str().to_owned()),
            ],
        );
        let driver = Driver::new(self.clone(), kind, change, plan, &[], running);
        self.0.changes.spawn(driver.drive(Begin::Forward(0)));
        Ok(id)
    }

    async fn plan(&self, kind: &dyn Kind, change: &Change) -> Result<Plan, Problem> {
        let left = journal::operation_unresolved(self.database().conn(), &change.plugin).await?;
        if let Some(row) = left {
            // A way back that failed is tried again first: no change begins from a mixture. Only
            // taking the plugin away needs no sound beginning.
            if let Some(Outcome::UndoFailed(problem)) = self.recover_operation(row).await?
                && change.action != Action::Uninstall
            {
                return Err(problem);
            }
        }
        checked(kind.plan(change).await?, &change.plugin)
    }

    /// Stores the plan with what its commit needs, and opens the log for those who follow.
    async fn store_plan(
        &self,
        change: &Change,
        plan: &Plan,
        prepared: Option<Prepared>,
    ) -> Result<std::sync::Arc<OperationLog>, Problem> {
        let id = change.operation;
        let transaction = self.database().begin().await?;
        journal::operation_store_plan(&*transaction, id, plan).await?;
        if let Some(prepared) = prepared {
            self.config_store_prepared(&transaction, change, prepared)
                .await?;
        }
        failpoint::pass();
        transaction.commit().await?;
        failpoint::pass();
        let log = OperationLog::open(id, self.database().clone(), self.clock().clone());
        Ok(log.await?)
    }

    /// Gives a claim back that came to nothing; later, where the database has no answer or no room for it.
    async fn release(&self, change: &Change) {
        if let Err(error) = self.release_claim(change).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, operation.id = %change.operation, "A claim is given back later");
            self.recover_later(change.operation);
        }
    }

    /// Takes the rows away that claim a plugin for a change of which nothing was done.
    pub(super) async fn release_claim(&self, change: &Change) -> Result<(), StoreError> {
        let transaction = self.database().begin().await?;
        journal::operation_delete(&*transaction, change.operation).await?;
        journal::installation_delete_empty(&*transaction, change).await?;
        transaction.commit().await
    }

    async fn in_progress(&self, plugin: &PluginName) -> Result<Problem, StoreError> {
        let id = journal::operation_running(self.database().conn(), plugin).await?;
        Ok(busy(plugin, id))
    }
}

/// An operation whose row is claimed, until it is under way or given back.
struct Planning {
    platform: Platform,
    id: OperationId,
}

impl Planning {
    fn begin(platform: &Platform, id: OperationId) -> Self {
        platform
            .0
            .planning
            .lock()
            .insert(id, CancellationToken::new());
        Self {
            platform: platform.clone(),
            id,
        }
    }
}

impl Drop for Planning {
    fn drop(&mut self) {
        if let Some(over) = self.platform.0.planning.lock().remove(&self.id) {
            over.cancel();
        }
    }
}

fn busy(plugin: &PluginName, id: Option<OperationId>) -> Problem {
    Problem::new(codes::OPERATION_IN_PROGRESS)
        .about(plugin)
        .with(
            "operation",
            id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        )
}

/// Whether another process claimed the plugin between our look and our write.
fn lost_race(error: &StoreError) -> bool {
    match error {
        StoreError::Query(error) => {
            matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
        }
        _ => false,
    }
}

/// Makes the change that a request means, or says why it cannot be.
async fn decide(
    transaction: &plugyard_store::Transaction,
    kind: &dyn Kind,
    plugin: &PluginName,
    request: ChangeRequest,
    offered: Option<&Version>,
) -> Result<Change, Problem> {
    let connection = &**transaction;
    if let Some(id) = journal::operation_running(connection, plugin).await? {
        return Err(busy(plugin, Some(id)));
    }
    let row = installation_of(connection, plugin).await?;
    let current = version_of(connection, row.as_ref().and_then(|row| row.current_version)).await?;
    let previous = version_of(
        connection,
        row.as_ref().and_then(|row| row.previous_version),
    )
    .await?;
    let (active, resting) = if kind.has_process() {
        (Wanted::Running, Wanted::Stopped)
    } else {
        (Wanted::Enabled, Wanted::Disabled)
    };
    let wanted_before = row.as_ref().map_or(resting, journal::wanted);
    let not_installed = || Problem::new(codes::PLUGIN_NOT_FOUND).about(plugin);
    // What was left of a failed installation can still be taken away.
    let is_there = current.is_some() || (row.is_some() && is_uninstall(request));
    let (action, target, wanted_after) = match request {
        ChangeRequest::Install { version, wanted } => {
            if current.is_some() {
                return Err(Problem::new(codes::PLUGIN_EXISTS).about(plugin));
            }
            let target = target(connection, plugin, version, offered).await?;
            let on = match wanted {
                Some(wanted) => wanted.is_on(),
                None => kind.begins_enabled(plugin, &target, transaction).await?,
            };
            let wanted = if on { active } else { resting };
            (Action::Install, Some(target), wanted)
        }
        ChangeRequest::Prepare { version, .. } => {
            if current.is_some() {
                return Err(Problem::new(codes::PLUGIN_EXISTS).about(plugin));
            }
            let target = target(connection, plugin, version, offered).await?;
            (Action::Perform, Some(target), wanted_before)
        }
        _ if !is_there => return Err(not_installed()),
        ChangeRequest::Upgrade { version } => {
            let target = target(connection, plugin, version, offered).await?;
            (Action::Upgrade, Some(target), wanted_before)
        }
        ChangeRequest::Rollback { to } => {
            let target = match to {
                Some(version) => target(connection, plugin, version, offered).await?,
                None => previous
                    .ok_or_else(|| Problem::new(codes::NO_PREVIOUS_VERSION).about(plugin))?,
            };
            (Action::Rollback, Some(target), wanted_before)
        }
        ChangeRequest::Enable => (Action::Enable, current.clone(), active),
        ChangeRequest::Disable => (Action::Disable, current.clone(), resting),
        ChangeRequest::Restart => (Action::Restart, current.clone(), active),
        ChangeRequest::Uninstall { .. } => (Action::Uninstall, None, resting),
        ChangeRequest::Perform { .. } => (Action::Perform, current.clone(), wanted_before),
    };
    Ok(Change {
        operation: new_operation_id(),
        installation: row
            .as_ref()
            .map_or_else(new_installation_id, installation_id),
        plugin: plugin.clone(),
        action,
        wanted_before,
        wanted_after,
        current,
        target,
        keep_data: matches!(request, ChangeRequest::Uninstall { keep_data: true }),
        task: match request {
            ChangeRequest::Perform { task } | ChangeRequest::Prepare { task, .. } => {
                Some(task.to_owned())
            }
            _ => None,
        },
        config: ConfigChange::default(),
        by: String::new(),
    })
}

fn is_uninstall(request: ChangeRequest) -> bool {
    matches!(request, ChangeRequest::Uninstall { .. })
}

async fn version_of(
    connection: &impl sea_orm::ConnectionTrait,
    id: Option<uuid::Uuid>,
) -> Result<Option<Version>, StoreError> {
    let Some(id) = id else { return Ok(None) };
    Ok(version_fetch(connection, id)
        .await?
        .and_then(view)
        .map(|it| it.version))
}

/// The version to go to: one that is here, or the one that is offered and not kept.
async fn target(
    connection: &impl sea_orm::ConnectionTrait,
    plugin: &PluginName,
    id: VersionId,
    offered: Option<&Version>,
) -> Result<Version, Problem> {
    match offered {
        Some(offered) if offered.id == id => Ok(offered.clone()),
        _ => version_named(connection, plugin, id).await,
    }
}

async fn version_named(
    connection: &impl sea_orm::ConnectionTrait,
    plugin: &PluginName,
    id: VersionId,
) -> Result<Version, Problem> {
    version_fetch(connection, id.0)
        .await?
        .and_then(view)
        .filter(|it| it.plugin == *plugin)
        .map(|it| it.version)
        .ok_or_else(|| {
            Problem::new(codes::VERSION_NOT_FOUND)
                .about(plugin)
                .with("version", id)
        })
}

/// A plan without exactly one commit is a mistake of the kind's.
fn checked(plan: Plan, plugin: &PluginName) -> Result<Plan, Problem> {
    let commits = plan.steps.iter().filter(|step| step.commit).count();
    if commits == 1 && plan.steps.len() <= MAX_STEPS {
        return Ok(plan);
    }
    tracing::error!(
        plugin.name = %plugin,
        commits,
        steps = plan.steps.len(),
        "A kind made a plan that cannot be carried out"
    );
    Err(Problem::new(codes::INTERNAL).with("request", "-"))
}
