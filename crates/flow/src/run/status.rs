//! How a rule stands, and the document that says so.

use serde_json::{Map, Value as Json};

use super::Run;

/// What a rule is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleState {
    /// Nothing.
    Stopped,
    /// Its symbols are being started.
    Starting,
    /// All its symbols have been started.
    Running,
    /// It delivers what it has, and ends.
    Stopping,
    /// It could not be started or could not go on.
    StoppedByError,
    /// Its schedule does not want it to run now.
    Waiting,
}

impl RuleState {
    /// eKuiper's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::StoppedByError => "stopped by error",
            Self::Waiting => "stopped: waiting for next schedule.",
        }
    }
}

/// A state and since when.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) doing: RuleState,
    /// Why it is stopped by error; else empty.
    pub(crate) message: String,
    pub(crate) started_at: i64,
    pub(crate) stopped_at: i64,
}

impl State {
    /// A rule that was never started.
    pub(crate) fn idle() -> Self {
        Self {
            doing: RuleState::Stopped,
            message: String::new(),
            started_at: 0,
            stopped_at: 0,
        }
    }

    /// A rule that cannot be started.
    pub(crate) fn error(message: String, now: i64) -> Self {
        Self {
            doing: RuleState::StoppedByError,
            message,
            started_at: 0,
            stopped_at: now,
        }
    }

    pub(super) fn starting(now: i64) -> Self {
        Self {
            doing: RuleState::Starting,
            started_at: now,
            ..Self::idle()
        }
    }

    pub(super) fn running(&mut self) {
        if self.doing == RuleState::Starting {
            self.doing = RuleState::Running;
        }
    }

    pub(super) fn stopping(&mut self, now: i64) {
        match self.doing {
            RuleState::Starting | RuleState::Running => {
                self.doing = RuleState::Stopping;
                self.stopped_at = now;
            }
            // Whoever stops it has seen why.
            RuleState::StoppedByError => {
                self.doing = RuleState::Stopped;
                self.message.clear();
            }
            RuleState::Stopped | RuleState::Stopping | RuleState::Waiting => {}
        }
    }

    pub(super) fn ended(&mut self, now: i64, failure: Option<String>) {
        self.stopped_at = now;
        match failure {
            Some(message) => {
                self.doing = RuleState::StoppedByError;
                self.message = message;
            }
            None => self.doing = RuleState::Stopped,
        }
    }
}

/// The status document: the state, then every node's metrics in topology order. `next` is when the rule
/// starts by itself, in milliseconds since 1970; 0: it does not.
pub(crate) fn document(state: &State, next: i64, run: Option<&Run>) -> Map<String, Json> {
    let mut document = Map::new();
    document.insert("status".to_owned(), state.doing.as_str().into());
    document.insert("message".to_owned(), state.message.as_str().into());
    document.insert("lastStartTimestamp".to_owned(), state.started_at.into());
    document.insert("lastStopTimestamp".to_owned(), state.stopped_at.into());
    document.insert("nextStartTimestamp".to_owned(), next.into());
    for node in run.into_iter().flat_map(Run::nodes) {
        node.describe(&mut document);
    }
    if let Some(checkpoint) = run.and_then(Run::checkpoint) {
        checkpoint.describe(&mut document);
    }
    document
}

/// One entry of the status of all rules: exceptions of all nodes together, and the last of them.
pub(crate) fn summary(state: &State, run: Option<&Run>) -> Json {
    let nodes = run.map_or(&[][..], Run::nodes);
    let total: u64 = nodes.iter().map(|node| node.exceptions()).sum();
    let last = nodes
        .iter()
        .map(|node| node.last_exception())
        .max_by_key(|(_, time)| *time)
        .map_or(String::new(), |(text, _)| text);
    serde_json::json!({
        "status": state.doing.as_str(),
        "last_exception": last,
        "exceptions_total": total,
    })
}
