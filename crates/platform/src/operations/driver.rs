//! Walks through the steps of an operation, forwards and back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use plugyard_model::{HealthState, Params, StepName, Wanted, codes};
use plugyard_store::StoreError;
use serde_json::json;

use super::journal::{self, StepRow};
use super::view::{Failure, OperationState, StepState, problem};
use super::{Aside, Outcome, Running, Stage};
use crate::events::{self, codes as event_codes};
use crate::kind::{Change, Installation, Plan, Reason, StepCx, StepError, StepOutput, StepSpec};
use crate::{Kind, Platform, failpoint};

/// How long the journal rests after it could not be written; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How a full disk is told by the system.
const NO_SPACE: &str = "(os error 28)";

/// Where to begin.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Begin {
    /// At a step; what is before it is in effect.
    Forward(usize),
    /// Back from where the journal says it came.
    Back(Failure),
}

/// Something to be written to the journal.
#[derive(Debug)]
enum Entry {
    Running(usize),
    Done(usize, StepOutput),
    /// A step after the commit failed.
    Failed(usize, String),
    /// From now on it goes back.
    Turn {
        failed: Option<usize>,
        failure: Failure,
    },
    Undoing(usize),
    Undone(usize),
    UndoFailed(usize, String),
    /// The last one, with the last events.
    End(OperationState, Option<Failure>),
}

/// One operation and all that its steps need.
pub(super) struct Driver {
    platform: Platform,
    kind: Arc<dyn Kind>,
    plan: Plan,
    /// Which steps have to be taken back, should it come to that.
    begun: Vec<bool>,
    commit: usize,
    /// The step that is being done or taken back.
    at: usize,
    /// Why it goes back, once it does.
    turned: Option<Failure>,
    context: StepCx,
    running: Arc<Running>,
}

impl Driver {
    pub(super) fn new(
        platform: Platform,
        kind: Arc<dyn Kind>,
        change: Change,
        plan: Plan,
        journal: &[StepRow],
        running: Arc<Running>,
    ) -> Self {
        let log = running.log.clone();
        let context = StepCx {
            change: Arc::new(change),
            home: platform.home().clone(),
            packages: Arc::new(platform.clone()),
            log: Arc::new(move |text| log.line(text)),
            cancelled: running.cancelled.clone(),
            reason: None,
        };
        let begun = (0..plan.steps.len())
            .map(|index| {
                journal
                    .get(index)
                    .is_some_and(|row| row.begun() && !row.undone)
            })
            .collect();
        let commit = plan
            .steps
            .iter()
            .position(|step| step.commit)
            .unwrap_or(plan.steps.len());
        Self {
            platform,
            kind,
            plan,
            begun,
            commit,
            at: 0,
            turned: None,
            context,
            running,
        }
    }

    /// Goes to one of the ends, and tells everybody. Without an answer from the database there is no
    /// end: then the operation is set aside and recovered later, as after a crash.
    pub(super) fn drive(self, begin: Begin) -> BoxFuture<'static, Option<Outcome>> {
        Box::pin(self.walk(begin))
    }

    async fn walk(mut self, begin: Begin) -> Option<Outcome> {
        let log = self.running.log.clone();
        let storing = tokio::spawn(async move { log.keep_storing().await });
        let files = self.platform.config_files_of(&self.context.change).await;
        let result = match begin {
            Begin::Forward(0) if let Err(reason) = files => {
                self.turn_back(None, unconfigured(reason)).await
            }
            Begin::Forward(from) => self.forward(from).await,
            Begin::Back(failure) => self.back(failure).await,
        };
        storing.abort();
        let outcome = match result {
            Ok(outcome) => Some(outcome),
            Err(error) => {
                self.warn(
                    &error,
                    "The operation is set aside: its journal cannot be written",
                );
                self.set_aside(&error);
                None
            }
        };
        self.platform.0.running.lock().remove(&self.running.id);
        self.running.outcome.send_replace(outcome.clone());
        match outcome {
            Some(_) => self.afterwards().await,
            None => self.platform.recover_later(self.running.id),
        }
        outcome
    }

    async fn forward(&mut self, from: usize) -> Result<Outcome, StoreError> {
        for index in from..self.plan.steps.len() {
            if index == self.commit {
                if !self.running.enter_commit() {
                    return self.turn_back(None, cancelled()).await;
                }
            } else if index < self.commit && self.running.cancelled.is_cancelled() {
                return self.turn_back(None, cancelled()).await;
            }
            failpoint::pass();
            self.at = index;
            match self.journal(Entry::Running(index)).await {
                Err(error) if error.is_full() && index <= self.commit => {
                    self.warn(&error, "The change goes back: its journal has no room");
                    return self.turn_back(None, self.no_room()).await;
                }
                written => written?,
            }
            self.begun[index] = true;
            self.tell(index, StepState::Running, None);
            failpoint::pass();
            let began = self.platform.now();
            let result = self.run_step(index).await;
            failpoint::pass();
            let took = self.platform.now() - began;
            match result {
                Ok(output) => {
                    match self.journal(Entry::Done(index, output)).await {
                        Err(error) if error.is_full() && index < self.commit => {
                            self.warn(&error, "The change goes back: its journal has no room");
                            return self.turn_back(None, self.no_room()).await;
                        }
                        written => written?,
                    }
                    self.tell(index, StepState::Done, Some(took));
                    if index == self.commit {
                        self.tell_installation();
                    }
                }
                Err(error) if index > self.commit => {
                    self.running.log.line(&format!("warning: {}", error.text));
                    self.journal(Entry::Failed(index, error.text)).await?;
                    self.tell(index, StepState::Failed, Some(took));
                }
                Err(error) => {
                    self.tell(index, StepState::Failed, Some(took));
                    let failure = self.failure(index, error);
                    return self.turn_back(Some(index), failure).await;
                }
            }
            failpoint::pass();
        }
        self.end(OperationState::Done, None).await
    }

    /// Journals that the way leads back from now on, and goes it.
    async fn turn_back(
        &mut self,
        failed: Option<usize>,
        failure: Failure,
    ) -> Result<Outcome, StoreError> {
        self.turned = Some(failure.clone());
        let turn = Entry::Turn {
            failed,
            failure: failure.clone(),
        };
        self.journal_back(turn, !self.commit_begun()).await?;
        failpoint::pass();
        self.back(failure).await
    }

    async fn back(&mut self, mut failure: Failure) -> Result<Outcome, StoreError> {
        self.turned = Some(failure.clone());
        self.context.reason = Some(Reason {
            step: failure.step,
            text: failure.text.clone(),
        });
        // Without a commit that began, a start that knows nothing of this goes back as well.
        let unrecorded = !self.commit_begun();
        for index in (0..self.plan.steps.len())
            .rev()
            .filter(|&index| index <= self.commit)
        {
            if !self.begun[index] {
                continue;
            }
            self.at = index;
            self.journal_back(Entry::Undoing(index), unrecorded).await?;
            self.tell(index, StepState::Undoing, None);
            failpoint::pass();
            let result = self.undo_step(index).await;
            failpoint::pass();
            if let Err(error) = result {
                self.running.log.line(&error.text);
                failure.undo = Some(error.text.clone());
                self.journal(Entry::UndoFailed(index, error.text)).await?;
                return self.end(OperationState::UndoFailed, Some(failure)).await;
            }
            self.journal_back(Entry::Undone(index), unrecorded).await?;
            self.begun[index] = false;
            self.tell(index, StepState::Undone, None);
            failpoint::pass();
        }
        failure.undo = None;
        let state = if failure.cancelled {
            OperationState::Cancelled
        } else if self.previous_works().await {
            OperationState::RolledBack
        } else {
            OperationState::Failed
        };
        self.end(state, Some(failure)).await
    }

    /// Whether there is an earlier version that should work, and says itself that it does.
    async fn previous_works(&self) -> bool {
        let change = &self.context.change;
        let Some(current) = change.current.clone() else {
            return false;
        };
        if !matches!(change.wanted_before, Wanted::Running | Wanted::Enabled) {
            return false;
        }
        let installation = Installation {
            id: change.installation,
            plugin: change.plugin.clone(),
            wanted: change.wanted_before,
            current,
            previous: None,
        };
        let health = self.platform.probe(&installation).await;
        matches!(health.state, HealthState::Ready | HealthState::Degraded)
    }

    /// The last transaction: the end, and the last events with it.
    async fn end(
        &mut self,
        state: OperationState,
        failure: Option<Failure>,
    ) -> Result<Outcome, StoreError> {
        *self.running.stage.lock() = Stage::Ended;
        self.running.log.close();
        // Held until the end is stored, so that nobody is told of it by the storing of lines before.
        let log = Arc::clone(&self.running.log);
        let _one = log.writing().await;
        let problem = failure
            .as_ref()
            .map(|it| problem(state, it, &self.context.change));
        self.running.log.push(
            "end",
            json!({ "state": state, "code": problem.as_ref().map(|it| it.code.as_str()) }),
        );
        failpoint::pass();
        self.journal(Entry::End(state, failure)).await?;
        failpoint::pass();
        let problem = || problem.clone().expect("an operation that failed says why");
        Ok(match state {
            OperationState::Done | OperationState::Running => Outcome::Done,
            OperationState::Failed => Outcome::Failed(problem()),
            OperationState::RolledBack => Outcome::RolledBack(problem()),
            OperationState::UndoFailed => Outcome::UndoFailed(problem()),
            OperationState::Cancelled => Outcome::Cancelled(problem()),
        })
    }

    /// What nobody waits for: the news, the health, and making room.
    async fn afterwards(&self) {
        let change = &self.context.change;
        let plugin = &change.plugin;
        let state = match self.platform.operation(change.operation).await {
            Ok(view) => view.state.as_str(),
            Err(_) => return,
        };
        self.platform.0.events.publish(
            events::operation_topic(change.operation),
            event_codes::OPERATION_ENDED,
            [
                ("operation", change.operation.to_string()),
                ("plugin", plugin.to_string()),
                ("action", change.action.as_str().to_owned()),
                ("state", state.to_owned()),
            ],
        );
        match self.platform.installation_of(plugin).await {
            Ok(Some(view)) => {
                if let Some(installation) = view.installed() {
                    self.platform.probe(&installation).await;
                }
            }
            Ok(None) => self.platform.health_forget(plugin),
            Err(_) => {}
        }
        let pruned = journal::operation_prune(self.connection(), plugin).await;
        if let Err(error) = pruned {
            self.warn(&error, "Cannot prune operations");
        }
        self.platform.make_room(plugin).await;
        self.platform.config_files_prune(plugin).await;
    }

    async fn run_step(&self, index: usize) -> Result<StepOutput, StepError> {
        let step = &self.plan.steps[index];
        AssertUnwindSafe(self.kind.run(step, &self.context))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(panicked(step)))
    }

    async fn undo_step(&self, index: usize) -> Result<(), StepError> {
        let step = &self.plan.steps[index];
        AssertUnwindSafe(self.kind.undo(step, &self.context))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(panicked(step)))
    }

    fn commit_begun(&self) -> bool {
        self.begun.get(self.commit).is_some_and(|begun| *begun)
    }

    /// The failure of a change whose step cannot be recorded.
    fn no_room(&self) -> Failure {
        Failure {
            step: Some(self.plan.steps[self.at].name),
            text: "the disk of the database is full".to_owned(),
            code: codes::STEP_STORE_FULL.as_str().to_owned(),
            params: Params::new(),
            undo: None,
            cancelled: false,
        }
    }

    /// Remembers why it goes back, which may stand nowhere yet, and what to tell those who wait.
    fn set_aside(&self, error: &StoreError) {
        let id = self.running.id;
        let waits = error.is_full().then(|| {
            let failure = self.no_room();
            problem(OperationState::Failed, &failure, &self.context.change)
        });
        let turned = self.turned.clone();
        let aside = Aside { turned, waits };
        self.platform.0.aside.lock().insert(id, aside);
    }

    fn failure(&self, index: usize, error: StepError) -> Failure {
        // Kinds tell the system's own words.
        let code = if error.text.contains(NO_SPACE) {
            codes::STEP_DISK_FULL
        } else {
            error.code
        };
        Failure {
            step: Some(self.plan.steps[index].name),
            text: error.text,
            code: code.as_str().to_owned(),
            params: error.params,
            undo: None,
            cancelled: self.running.cancelled.is_cancelled(),
        }
    }

    fn tell(&self, index: usize, state: StepState, took: Option<i64>) {
        let name: StepName = self.plan.steps[index].name;
        self.running.log.push(
            "step",
            json!({ "index": index, "name": name, "state": state, "ms": took }),
        );
    }

    fn tell_installation(&self) {
        let change = &self.context.change;
        if change.action == crate::kind::Action::Uninstall {
            // What still runs of it until it is stopped is nobody here any more.
            let access = &self.platform.settings().plugin_access;
            access.forget(&change.plugin);
        }
        self.platform.0.events.publish(
            events::plugin_topic(&change.plugin),
            event_codes::INSTALLATION_CHANGED,
            [
                ("plugin", change.plugin.to_string()),
                ("action", change.action.as_str().to_owned()),
            ],
        );
    }

    /// Writes to the journal on the way back. Where it has no room and need not know, nothing is written:
    /// taking a step back may be what makes room.
    async fn journal_back(&self, entry: Entry, unrecorded: bool) -> Result<(), StoreError> {
        match self.journal(entry).await {
            Err(error) if unrecorded && error.is_full() => {
                self.warn(&error, "The way back is not recorded");
                Ok(())
            }
            written => written,
        }
    }

    /// Writes to the journal, again and again while the database does not answer. A full disk is told at
    /// once: waiting makes no room.
    async fn journal(&self, entry: Entry) -> Result<(), StoreError> {
        let (mut pause, mut left) = (FIRST_PAUSE, self.platform.settings().store_patience);
        while !left.is_zero() {
            match self.write(&entry).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_full() => return Err(error),
                Err(error) => self.warn(&error, "The journal waits for the database"),
            }
            pause = pause.min(left);
            tokio::time::sleep(pause).await;
            left -= pause;
            pause *= 2;
        }
        self.write(&entry).await
    }

    /// Writes an entry. Whether a commit arrived is not always known, so all of it may be done twice.
    async fn write(&self, entry: &Entry) -> Result<(), StoreError> {
        let (id, now, one) = (self.running.id, self.platform.now(), self.connection());
        let change = &self.context.change;
        match entry {
            Entry::Running(index) => journal::step_running(one, id, *index, now).await,
            Entry::Done(index, output) if *index == self.commit => {
                let (_one, secrets) = self.platform.config_commit_begin(&change.plugin).await?;
                let transaction = self.platform.database().begin().await?;
                journal::step_done(&*transaction, id, *index, output, now).await?;
                journal::installation_commit(&*transaction, change, now).await?;
                let config = (self.platform).config_commit(&transaction, secrets.as_ref(), change);
                let config = config.await?;
                self.kind.commit_rows(change, &transaction, now).await?;
                failpoint::pass();
                transaction.commit().await?;
                let plugin = &change.plugin;
                match config {
                    Some((revision, keys)) => {
                        self.platform.config_written(plugin, revision, keys).await;
                    }
                    // The same values, perhaps of another version now.
                    None => self.platform.config_file_refresh(plugin).await,
                }
                Ok(())
            }
            Entry::Done(index, output) => journal::step_done(one, id, *index, output, now).await,
            Entry::Failed(index, text) => journal::step_failed(one, id, *index, text, now).await,
            Entry::Turn { failed, failure } => {
                let transaction = self.platform.database().begin().await?;
                if let Some(index) = failed {
                    journal::step_failed(&*transaction, id, *index, &failure.text, now).await?;
                }
                journal::operation_undoing(&*transaction, id, failure).await?;
                transaction.commit().await
            }
            Entry::Undoing(index) => journal::step_undoing(one, id, *index).await,
            Entry::Undone(index) => journal::step_undone(one, id, *index).await,
            Entry::UndoFailed(index, text) => {
                journal::step_undo_failed(one, id, *index, text).await
            }
            Entry::End(state, failure) => {
                let transaction = self.platform.database().begin().await?;
                let last = self.running.log.flush_in(&*transaction).await?;
                journal::operation_end(&*transaction, id, *state, failure.as_ref(), now).await?;
                if matches!(state, OperationState::Failed | OperationState::Cancelled) {
                    journal::installation_delete_empty(&*transaction, change).await?;
                }
                failpoint::pass();
                transaction.commit().await?;
                self.running.log.told(last);
                Ok(())
            }
        }
    }

    fn warn(&self, error: &(dyn std::error::Error + 'static), message: &str) {
        tracing::warn!(error, operation.id = %self.running.id, "{message}");
    }

    fn connection(&self) -> &sea_orm::DatabaseConnection {
        self.platform.database().conn()
    }
}

/// The failure of a change whose processes would not find their values.
fn unconfigured(reason: String) -> Failure {
    Failure {
        step: None,
        text: format!("the configuration cannot be given to the plugin: {reason}"),
        code: codes::STEP_FAILED.as_str().to_owned(),
        params: Params::new(),
        undo: None,
        cancelled: false,
    }
}

/// The failure of a change that somebody stopped between two steps.
fn cancelled() -> Failure {
    Failure {
        step: None,
        text: "cancelled".to_owned(),
        code: codes::OPERATION_CANCELLED.as_str().to_owned(),
        params: Params::new(),
        undo: None,
        cancelled: true,
    }
}

fn panicked(step: &StepSpec) -> StepError {
    tracing::error!(step = step.action, "A step panicked");
    StepError {
        code: codes::STEP_FAILED,
        text: format!("internal error in `{}`", step.action),
        params: Params::new(),
    }
}
