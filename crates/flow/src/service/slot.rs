//! A rule's place: its definition, whether it shall run, and the run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json};
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::FlowError;
use crate::clock::Clock;
use crate::plan::{Plan, Program};
use crate::rule::RuleDefinition;
use crate::run::status::{State, document, summary};
use crate::run::{Predecessor, RuleState, Run};

/// How long a request waits for a rule to end; it ends by itself afterwards.
const STOP_WAIT: Duration = Duration::from_millis(2500);
/// Rows a watcher may be behind before it misses some.
const TAIL_CAPACITY: usize = 256;

/// A rule and what it says to do, read.
pub(super) struct Parsed {
    pub(super) rule: Arc<RuleDefinition>,
    pub(super) program: Program,
}

impl Parsed {
    pub(super) fn read(json: &str, id: Option<&str>) -> Result<Arc<Self>, FlowError> {
        let rule = RuleDefinition::parse(json, id)?;
        let program = Program::read(&rule)?;
        Ok(Arc::new(Self {
            rule: Arc::new(rule),
            program,
        }))
    }
}

/// See the module.
pub(super) struct Slot {
    pub(super) id: String,
    /// Held while the rule is being changed; never while a plugin is asked something.
    pub(super) changing: tokio::sync::Mutex<()>,
    inner: Mutex<Contents>,
    tail: broadcast::Sender<Bytes>,
}

struct Contents {
    json: Arc<str>,
    /// Nothing when what is stored cannot be read (any more).
    parsed: Option<Arc<Parsed>>,
    wanted: bool,
    deleted: bool,
    run: Option<Run>,
    /// Why it could not be started, since the last run.
    error: Option<State>,
}

impl Slot {
    pub(super) fn new(
        id: String,
        json: Arc<str>,
        parsed: Result<Arc<Parsed>, FlowError>,
        wanted: bool,
    ) -> Self {
        let (parsed, error) = match parsed {
            Ok(parsed) => (Some(parsed), None),
            Err(error) => (None, Some(State::error(error.to_string(), 0))),
        };
        Self {
            id,
            changing: tokio::sync::Mutex::default(),
            inner: Mutex::new(Contents {
                json,
                parsed,
                wanted,
                deleted: false,
                run: None,
                error,
            }),
            tail: broadcast::Sender::new(TAIL_CAPACITY),
        }
    }

    pub(super) fn json(&self) -> Arc<str> {
        self.inner.lock().json.clone()
    }

    pub(super) fn parsed(&self) -> Option<Arc<Parsed>> {
        self.inner.lock().parsed.clone()
    }

    pub(super) fn watch(&self) -> broadcast::Receiver<Bytes> {
        self.tail.subscribe()
    }

    /// Why nothing of it can be run.
    pub(super) fn unreadable(&self) -> FlowError {
        let text = self.inner.lock().error.as_ref().map_or_else(
            || "the stored rule cannot be read".to_owned(),
            |state| state.message.clone(),
        );
        FlowError::RuleJson(text)
    }

    /// Whether it shall run and neither runs nor is being started.
    pub(super) fn is_waiting(&self) -> bool {
        let inner = self.inner.lock();
        inner.wanted
            && inner.parsed.is_some()
            && matches!(
                inner.state().doing,
                RuleState::Stopped | RuleState::StoppedByError
            )
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.inner.lock().deleted
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state().doing, RuleState::Starting | RuleState::Running)
    }

    pub(super) fn state(&self) -> State {
        self.inner.lock().state()
    }

    pub(super) fn document(&self) -> Map<String, Json> {
        let inner = self.inner.lock();
        document(&inner.state(), inner.run.as_ref())
    }

    pub(super) fn summary(&self) -> Json {
        let inner = self.inner.lock();
        summary(&inner.state(), inner.run.as_ref())
    }

    pub(super) fn set_wanted(&self, wanted: bool) {
        self.inner.lock().wanted = wanted;
    }

    /// Replaces the definition.
    pub(super) fn set_rule(&self, json: Arc<str>, parsed: Arc<Parsed>, wanted: bool) {
        let mut inner = self.inner.lock();
        inner.json = json;
        inner.parsed = Some(parsed);
        inner.wanted = wanted;
        inner.error = None;
    }

    /// Says why it could not be started.
    pub(super) fn set_error(&self, parsed: &Arc<Parsed>, error: &FlowError, now: i64) {
        let mut inner = self.inner.lock();
        if inner.is_current(parsed) {
            inner.error = Some(State::error(error.to_string(), now));
        }
    }

    /// Starts a plan of `parsed`, unless the rule has changed or gone meanwhile or runs already.
    pub(super) fn start(
        &self,
        parsed: &Arc<Parsed>,
        plan: Plan,
        clock: Arc<dyn Clock>,
        predecessor: Predecessor,
    ) {
        let mut inner = self.inner.lock();
        let runs = matches!(
            inner.run_state(),
            Some(RuleState::Starting | RuleState::Running)
        );
        if runs || !inner.wanted || !inner.is_current(parsed) {
            return;
        }
        let predecessor = inner.run.as_ref().map(Run::done).or(predecessor);
        inner.error = None;
        inner.run = Some(Run::start(plan, clock, self.tail.clone(), predecessor));
    }

    /// Ends the run, if there is one, and waits for it within bounds.
    pub(super) async fn stop(&self) {
        let mut done = {
            let mut inner = self.inner.lock();
            inner.error = None;
            match &inner.run {
                Some(run) => {
                    run.stop();
                    run.done()
                }
                None => return,
            }
        };
        // It goes on ending by itself when the wait is over.
        let _ = timeout(STOP_WAIT, done.wait_for(|ended| *ended)).await;
    }

    /// Marks it as gone: nothing starts it any more. Gives what the next rule of its id has to wait for.
    pub(super) fn delete(&self) -> Predecessor {
        let mut inner = self.inner.lock();
        inner.deleted = true;
        inner.wanted = false;
        inner.run.as_ref().map(Run::done)
    }
}

impl Contents {
    fn is_current(&self, parsed: &Arc<Parsed>) -> bool {
        !self.deleted
            && self
                .parsed
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, parsed))
    }

    fn run_state(&self) -> Option<RuleState> {
        self.run.as_ref().map(|run| run.state().doing)
    }

    fn state(&self) -> State {
        match (&self.error, &self.run) {
            (Some(error), Some(run)) => State {
                started_at: run.state().started_at,
                ..error.clone()
            },
            (Some(error), None) => error.clone(),
            (None, Some(run)) => run.state(),
            (None, None) => State::idle(),
        }
    }
}
