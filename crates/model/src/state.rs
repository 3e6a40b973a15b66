//! The two axes of an installation's state, and the words for the steps of every change.

use serde::{Deserialize, Serialize};

/// What the operator wants of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Processes run and symbols are served.
    Running,
    /// Installed, but nothing of it runs.
    Stopped,
    /// In force, for kinds without a process.
    Enabled,
    /// Not in force, for kinds without a process.
    Disabled,
}

impl Wanted {
    /// The stable word, as stored and as sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the stable word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Running, Self::Stopped, Self::Enabled, Self::Disabled]
            .into_iter()
            .find(|wanted| wanted.as_str() == word)
    }

    /// Whether the operator wants it to be at work.
    pub const fn is_on(self) -> bool {
        matches!(self, Self::Running | Self::Enabled)
    }
}

/// How an installation really is. `Ready` is only ever the result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Nobody has asked yet.
    Unknown,
    /// Started, but the probe has not answered.
    Starting,
    /// The plugin itself said that it works.
    Ready,
    /// It works in part: restarting, or over a limit.
    Degraded,
    /// It does not work, and nothing more is tried without the operator.
    Failed,
    /// Stopped on purpose.
    Stopped,
}

impl HealthState {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A health with the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The state.
    pub state: HealthState,
    /// Why, in the plugin's or the platform's words; empty when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl Health {
    /// A health that needs no reason.
    pub const fn new(state: HealthState) -> Self {
        Self {
            state,
            reason: String::new(),
        }
    }

    /// A health with its reason.
    pub fn because(state: HealthState, reason: impl Into<String>) -> Self {
        Self {
            state,
            reason: reason.into(),
        }
    }
}

/// The steps of a change: the same words in API, command line and console.
///
/// The order of a full change is the order of the variants; a kind leaves out what it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// Bring the bytes here.
    Fetch,
    /// Compare them with their digest and signature.
    Verify,
    /// Say everything that is wrong with them.
    Inspect,
    /// Write them out.
    Unpack,
    /// Make what the package needs to run.
    Build,
    /// Carry stored data over to the new version.
    Migrate,
    /// Bring it to life.
    Start,
    /// Ask it whether it works.
    Probe,
    /// Let it take over the work.
    Ready,
    /// The point of no return: from here the new state holds.
    Commit,
    /// End what runs.
    Stop,
    /// Take away what is no longer needed.
    Remove,
}

impl StepName {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Verify => "verify",
            Self::Inspect => "inspect",
            Self::Unpack => "unpack",
            Self::Build => "build",
            Self::Migrate => "migrate",
            Self::Start => "start",
            Self::Probe => "probe",
            Self::Ready => "ready",
            Self::Commit => "commit",
            Self::Stop => "stop",
            Self::Remove => "remove",
        }
    }
}
