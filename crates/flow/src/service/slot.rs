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
use crate::rule::Due;
use crate::rule::RuleDefinition;
use crate::run::log::RuleLog;
use crate::run::status::{State, document, summary};
use crate::run::{Places, Predecessor, RuleState, Run};

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
    clock: Arc<dyn Clock>,
    places: Places,
    /// Held while the rule is being changed; never while a plugin is asked something.
    pub(super) changing: tokio::sync::Mutex<()>,
    inner: Mutex<Contents>,
    tail: broadcast::Sender<Bytes>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "what is wanted of a rule and what is being done are separate questions"
)]
struct Contents {
    json: Arc<str>,
    /// Nothing when what is stored cannot be read (any more).
    parsed: Option<Arc<Parsed>>,
    wanted: bool,
    deleted: bool,
    run: Option<Run>,
    /// Why it could not be started, since the last run.
    error: Option<State>,
    /// Its schedule lets it wait.
    waiting: bool,
    /// Somebody is starting it because of its schedule or its restart strategy.
    launching: bool,
    retry: Retry,
}

/// Where a rule stands with its restart strategy.
#[derive(Default)]
struct Retry {
    /// Attempts since it last ran well.
    made: u32,
    /// When the next one is due.
    at: Option<i64>,
}

/// What a rule's schedule or restart strategy wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    Start,
    /// End it until its schedule starts it again.
    Pause,
    /// End it for good.
    End,
}

impl Slot {
    pub(super) fn new(
        id: String,
        json: Arc<str>,
        parsed: Result<Arc<Parsed>, FlowError>,
        wanted: bool,
        clock: Arc<dyn Clock>,
        places: Places,
    ) -> Self {
        let (parsed, error) = match parsed {
            Ok(parsed) => (Some(parsed), None),
            Err(error) => (None, Some(State::error(error.to_string(), 0))),
        };
        Self {
            id,
            clock,
            places,
            changing: tokio::sync::Mutex::default(),
            inner: Mutex::new(Contents {
                json,
                parsed,
                wanted,
                deleted: false,
                run: None,
                error,
                waiting: false,
                launching: false,
                retry: Retry::default(),
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
        let mut state = inner.state();
        let next = inner.next_start(&state, self.clock.now_ms());
        if state.doing == RuleState::Waiting && next == 0 {
            "schedule terminated".clone_into(&mut state.message);
        }
        document(&state, next, inner.run.as_ref())
    }

    pub(super) fn summary(&self) -> Json {
        let inner = self.inner.lock();
        summary(&inner.state(), inner.run.as_ref())
    }

    pub(super) fn set_wanted(&self, wanted: bool) {
        let mut inner = self.inner.lock();
        inner.wanted = wanted;
        inner.waiting = false;
        inner.retry = Retry::default();
    }

    /// Replaces the definition.
    pub(super) fn set_rule(&self, json: Arc<str>, parsed: Arc<Parsed>, wanted: bool) {
        let mut inner = self.inner.lock();
        inner.json = json;
        inner.parsed = Some(parsed);
        inner.wanted = wanted;
        inner.error = None;
        inner.waiting = false;
        inner.retry = Retry::default();
    }

    /// Says why it could not be started.
    pub(super) fn set_error(&self, parsed: &Arc<Parsed>, error: &FlowError, now: i64) {
        let mut inner = self.inner.lock();
        if inner.is_current(parsed) {
            inner.error = Some(State::error(error.to_string(), now));
            if let (Some(options), Some(dir)) = (&parsed.rule.options.log, &self.places.logs) {
                let rows = self.tail.subscribe();
                let log = RuleLog::start(options, &self.id, dir, self.clock.clone(), rows);
                log.line(&format!("cannot be started: {error}"));
            }
        }
    }

    /// Starts a plan of `parsed`, unless the rule has changed or gone meanwhile or runs already.
    pub(super) fn start(&self, parsed: &Arc<Parsed>, plan: Plan, predecessor: Predecessor) {
        let mut inner = self.inner.lock();
        let runs = matches!(
            inner.run_state(),
            Some(RuleState::Starting | RuleState::Running)
        );
        if runs || !inner.wanted || !inner.is_current(parsed) {
            return;
        }
        if let Some(schedule) = &parsed.rule.options.schedule
            && schedule.due(self.clock.now_ms()) != Due::Now
        {
            inner.error = None;
            inner.waiting = true;
            return;
        }
        let predecessor = inner.run.as_ref().map(Run::done).or(predecessor);
        inner.error = None;
        inner.waiting = false;
        inner.run = Some(Run::start(
            plan,
            self.clock.clone(),
            self.tail.clone(),
            predecessor,
            self.places.clone(),
        ));
    }

    /// What shall be done with it by itself. `look`: it is time to look after rules that an error stopped.
    /// Whoever is told to start it has to say so with [`Slot::launched`] afterwards.
    pub(super) fn wants(&self, now: i64, look: bool) -> Wants {
        let mut inner = self.inner.lock();
        let Some(parsed) = inner
            .parsed
            .clone()
            .filter(|_| inner.wanted && !inner.deleted)
        else {
            return Wants::Nothing;
        };
        let state = inner.state();
        let active = matches!(state.doing, RuleState::Starting | RuleState::Running);
        if let Some(schedule) = &parsed.rule.options.schedule {
            if let Some(length) = schedule.once() {
                let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
                if active && now.saturating_sub(state.started_at) >= length {
                    return Wants::End;
                }
            }
            let due = schedule.due(now) == Due::Now;
            if active && !due {
                return Wants::Pause;
            }
            if state.doing == RuleState::Waiting {
                return if due { inner.launch() } else { Wants::Nothing };
            }
        }
        let strategy = parsed.rule.options.restart;
        let runs = state.doing == RuleState::Running;
        if runs && now.saturating_sub(state.started_at) >= millis(strategy.max_delay) {
            inner.retry = Retry::default();
        }
        if state.doing != RuleState::StoppedByError || inner.retry.made >= strategy.attempts {
            return Wants::Nothing;
        }
        let made = inner.retry.made;
        let due = *inner
            .retry
            .at
            .get_or_insert_with(|| state.stopped_at + strategy.delay_after(made));
        if !look || now < due {
            return Wants::Nothing;
        }
        let wish = inner.launch();
        if wish == Wants::Start {
            inner.retry = Retry {
                made: made + 1,
                at: None,
            };
        }
        wish
    }

    /// The start that [`Slot::wants`] asked for has been tried.
    pub(super) fn launched(&self) {
        self.inner.lock().launching = false;
    }

    /// Ends the run until its schedule starts it again.
    pub(super) async fn pause(&self) {
        self.inner.lock().waiting = true;
        self.stop().await;
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

    /// Marks it as gone: nothing starts it any more. Gives what the next rule of its id has to wait for; what
    /// it kept is deleted before that.
    pub(super) fn delete(&self) -> Predecessor {
        let mut inner = self.inner.lock();
        inner.deleted = true;
        inner.wanted = false;
        if !inner.run.as_ref().is_some_and(Run::forget) {
            self.places.forget(&self.id);
        }
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
            (None, run) => {
                let mut state = run.as_ref().map_or_else(State::idle, Run::state);
                if self.waiting && state.doing == RuleState::Stopped {
                    state.doing = RuleState::Waiting;
                }
                state
            }
        }
    }

    fn launch(&mut self) -> Wants {
        if std::mem::replace(&mut self.launching, true) {
            return Wants::Nothing;
        }
        Wants::Start
    }

    /// When it starts by itself; 0: not at all.
    fn next_start(&self, state: &State, now: i64) -> i64 {
        let options = self.parsed.as_ref().map(|parsed| &parsed.rule.options);
        let schedule = options.and_then(|options| options.schedule.as_ref());
        match (state.doing, schedule) {
            (RuleState::StoppedByError, _) => self.retry.at.unwrap_or(0),
            (RuleState::Waiting, Some(schedule)) => match schedule.due(now) {
                Due::At(next) => next,
                Due::Now => now,
                Due::Never => 0,
            },
            (RuleState::Starting | RuleState::Running, Some(schedule)) => {
                schedule.following(now).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
