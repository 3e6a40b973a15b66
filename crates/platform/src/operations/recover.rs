//! Takes up what a crash left: interrupted operations go back, or on when they were committing.

use std::collections::BTreeMap;
use std::time::Duration;

use plugyard_model::{OperationId, Params, codes};
use plugyard_store::StoreError;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::driver::{Begin, Driver};
use super::journal::{self, Progress, StepRow};
use super::log::OperationLog;
use super::view::Failure;
use super::{Outcome, Running};
use crate::Platform;
use crate::entity::operation;
use crate::kind::{Change, Plan};

/// How often to look whether an operation that was set aside can go on.
const PAUSE: Duration = Duration::from_secs(1);

/// A plugin whose recovery goes on.
pub(crate) struct Late {
    /// Kind and key.
    pub(crate) name: (String, String),
    pub(crate) task: JoinHandle<Result<(), StoreError>>,
}

impl Platform {
    /// Brings every open operation to one of its ends, all plugins at once. A plugin that takes longer than
    /// [`Settings::recovery_patience`](crate::Settings::recovery_patience) is handed back, for the
    /// others are not to wait for it.
    pub(crate) async fn recover_operations(&self) -> Result<Vec<Late>, StoreError> {
        let mut by_plugin = BTreeMap::<(String, String), Vec<OperationId>>::new();
        for row in journal::operation_list_open(self.database().conn()).await? {
            let ids = by_plugin.entry((row.kind, row.key)).or_default();
            // Latest first: it was begun on top of what an earlier one left, and may have settled that.
            ids.insert(0, OperationId(row.id));
        }
        let tasks: Vec<_> = by_plugin
            .into_iter()
            .map(|(name, ids)| {
                let platform = self.clone();
                let task = self
                    .0
                    .changes
                    .spawn(async move { platform.recover_all_of(ids).await });
                Late { name, task }
            })
            .collect();
        let deadline = Instant::now() + self.settings().recovery_patience;
        let mut late = Vec::new();
        for mut it in tasks {
            match tokio::time::timeout_at(deadline, &mut it.task).await {
                Ok(Ok(result)) => result?,
                Ok(Err(error)) => tracing::error!(%error, "Recovering a change failed"),
                Err(_) => late.push(it),
            }
        }
        Ok(late)
    }

    async fn recover_all_of(&self, ids: Vec<OperationId>) -> Result<(), StoreError> {
        for id in ids {
            let row = journal::operation_fetch(self.database().conn(), id).await?;
            if let Some(row) = row.filter(|row| row.ended_at.is_none() || row.unresolved) {
                self.recover_operation(row).await?;
            }
        }
        Ok(())
    }

    /// Takes an operation up again that was set aside because the database did not answer, or had no room.
    pub(super) fn recover_later(&self, id: OperationId) {
        let platform = self.clone();
        tokio::spawn(
            self.0
                .closing
                .clone()
                .run_until_cancelled_owned(async move {
                    loop {
                        tokio::time::sleep(PAUSE).await;
                        let Ok(row) =
                            journal::operation_fetch(platform.database().conn(), id).await
                        else {
                            continue;
                        };
                        let Some(row) = row.filter(|row| row.ended_at.is_none()) else {
                            break;
                        };
                        // Once it is walking again, it sets itself aside when it has to.
                        if platform.recover_operation(row).await.is_ok() {
                            break;
                        }
                    }
                }),
        );
    }

    /// Brings one to an end. `None` when there was nothing to do, or the journal could not be written.
    pub(super) async fn recover_operation(
        &self,
        row: operation::Model,
    ) -> Result<Option<Outcome>, StoreError> {
        let id = OperationId(row.id);
        let Ok(change) = serde_json::from_value::<Change>(row.change) else {
            tracing::error!(operation.id = %id, "Operation {id} cannot be read; it stays as it is");
            return Ok(None);
        };
        let Some(plan) = row.plan else {
            // It was still being planned: nothing has happened.
            self.release_claim(&change).await?;
            return Ok(None);
        };
        let (Ok(plan), Ok(kind)) = (
            serde_json::from_value::<Plan>(plan),
            self.kind(&change.plugin.kind),
        ) else {
            tracing::error!(operation.id = %id, "No kind knows operation {id}; it stays as it is");
            return Ok(None);
        };
        let steps = journal::step_list(self.database().conn(), id).await?;
        tracing::info!(
            operation.id = %id,
            plugin.name = %change.plugin,
            "Recovering operation {id} of `{}`",
            change.plugin
        );
        let log = OperationLog::open(id, self.database().clone(), self.clock().clone()).await?;
        let aside = self.0.aside.lock().remove(&id).and_then(|it| it.turned);
        let begin = direction(&plan, &steps, row.undoing, row.failure, aside);
        log.line("This change was interrupted; it goes on now");
        let running = Running::new(id, change.plugin.clone(), log);
        if matches!(begin, Begin::Forward(_)) {
            running.enter_commit();
        }
        self.0.running.lock().insert(id, running.clone());
        let driver = Driver::new(self.clone(), kind, change, plan, &steps, running);
        Ok(driver.drive(begin).await)
    }
}

/// Where it has to go.
fn direction(
    plan: &Plan,
    steps: &[StepRow],
    undoing: bool,
    failure: Option<serde_json::Value>,
    aside: Option<Failure>,
) -> Begin {
    let commit = plan.steps.iter().position(|step| step.commit);
    let committing = commit.is_some_and(|commit| steps.get(commit).is_some_and(|it| it.begun()));
    if committing && !undoing {
        let ended = steps
            .iter()
            .take_while(|it| it.progress == Progress::Ended)
            .count();
        return Begin::Forward(ended);
    }
    let stored = failure.and_then(|it| serde_json::from_value(it).ok());
    Begin::Back(stored.or(aside).unwrap_or_else(|| {
        let last = steps.iter().rposition(|it| it.begun());
        Failure {
            step: last.and_then(|index| Some(plan.steps.get(index)?.name)),
            text: "the change was interrupted".to_owned(),
            code: codes::STEP_FAILED.as_str().to_owned(),
            params: Params::new(),
            undo: None,
            cancelled: false,
        }
    }))
}
