//! Takes up what a crash left: interrupted operations go back, or on when they were committing.

use futures::future::join_all;
use plugyard_model::{OperationId, Params, codes};
use plugyard_store::StoreError;

use super::driver::{Begin, Driver};
use super::journal::{self, Progress, StepRow};
use super::log::OperationLog;
use super::view::Failure;
use super::{Outcome, Running};
use crate::Platform;
use crate::entity::operation;
use crate::kind::{Change, Plan};

impl Platform {
    /// Brings every open operation to one of its ends, all at once: one that takes long, or cannot be
    /// ended, keeps no other waiting.
    pub(crate) async fn recover_operations(&self) -> Result<(), StoreError> {
        let open = journal::operation_list_open(self.database().conn()).await?;
        let results = join_all(open.into_iter().map(|row| self.recover_operation(row))).await;
        results
            .into_iter()
            .try_for_each(|result| result.map(|_| ()))
    }

    /// Takes an operation up again that was set aside because the database did not answer.
    pub(super) fn recover_later(&self, id: OperationId) {
        let (platform, pause) = (self.clone(), self.settings().store_patience);
        tokio::spawn(
            self.0
                .closing
                .clone()
                .run_until_cancelled_owned(async move {
                    loop {
                        tokio::time::sleep(pause).await;
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
            self.release(&change).await?;
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
        let begin = direction(&plan, &steps, row.undoing, row.failure);
        tracing::info!(
            operation.id = %id,
            plugin.name = %change.plugin,
            "Recovering operation {id} of `{}`",
            change.plugin
        );
        let log = OperationLog::open(id, self.database().clone(), self.clock().clone()).await?;
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
    Begin::Back(stored.unwrap_or_else(|| {
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
