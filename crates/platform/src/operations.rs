//! Operations: one change to one installation, from its plan to its outcome.
//!
//! What holds, whatever happens:
//!
//! * One at a time for each plugin. A unique index of the database decides, so it holds across
//!   processes; the second is refused at once.
//! * The plan is stored whole before its first step. Each step is journalled as running before it
//!   takes effect and as done after it.
//! * A step that fails is undone, and those before it in reverse, journalled the same way.
//! * The commit step's end and the new state of the installation are one transaction. A crash before the
//!   commit step began leads back to the old state, one after it to the new.
//! * Steps after the commit cannot fail the change; what goes wrong there stands at the step.
//! * A way back that fails is remembered, and tried again at the next start and before the next change.
//! * Where the journal has no room (the disk of the database is full), a change that has not begun to commit
//!   goes back at once, unrecorded if need be: what a crash would then leave is gone back over once more. Any
//!   other waits, set aside, and whoever follows it is told why. It goes on as soon as there is room.
//!
//! `change` decides whether a change may begin, `driver` walks through its steps, `journal` is all that
//! is written, `recover` takes up what a crash left, `log` and `follow` are for those who watch.

mod change;
mod driver;
mod follow;
pub(crate) mod journal;
mod log;
pub(crate) mod recover;
mod view;

use std::sync::Arc;

use parking_lot::Mutex;
use plugyard_model::{OperationId, PluginName, Problem, VersionId, Wanted, codes};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use change::InstallOptions;
pub use follow::OperationEvent;
pub use view::{Failure, OperationFilter, OperationState, OperationView, StepState, StepView};

use log::OperationLog;

/// A change, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeRequest {
    /// Install a plugin at a version.
    Install {
        /// The version.
        version: VersionId,
        /// What is wanted of it; `None` for working.
        wanted: Option<Wanted>,
    },
    /// Go to another version, or to the same again.
    Upgrade {
        /// The version.
        version: VersionId,
    },
    /// Go back.
    Rollback {
        /// To which version; `None` for the previous one.
        to: Option<VersionId>,
    },
    /// Let it work.
    Enable,
    /// Let it rest.
    Disable,
    /// End and start the same version.
    Restart,
    /// Take it away.
    Uninstall {
        /// Whether the plugin's data stays.
        keep_data: bool,
    },
    /// Do one of the kind's own tasks with what is there.
    Perform {
        /// Which, in the kind's own words.
        task: &'static str,
    },
    /// Do one of the kind's own tasks with a version of a plugin that is not installed, and does not become so.
    Prepare {
        /// Which, in the kind's own words.
        task: &'static str,
        /// The version.
        version: VersionId,
    },
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The new state holds.
    Done,
    /// It failed, and the previous version works: its probe said so.
    RolledBack(Problem),
    /// It failed, and all is as before.
    Failed(Problem),
    /// It failed, and so did the way back.
    UndoFailed(Problem),
    /// It was cancelled, and all is as before.
    Cancelled(Problem),
}

impl Outcome {
    /// `Ok` when it is done, else the problem to answer with.
    ///
    /// # Errors
    /// For every end but the good one.
    pub fn into_result(self) -> Result<(), Problem> {
        match self {
            Self::Done => Ok(()),
            Self::RolledBack(problem)
            | Self::Failed(problem)
            | Self::UndoFailed(problem)
            | Self::Cancelled(problem) => Err(problem),
        }
    }
}

/// How far an operation is, as far as cancelling goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    PastCommit,
    Ended,
}

/// What is known of an operation that was set aside, besides its journal.
#[derive(Debug)]
pub(crate) struct Aside {
    /// Why it goes back, when it does: that may not be written yet.
    turned: Option<Failure>,
    /// What it waits for; `None` when the database does not answer.
    waits: Option<Problem>,
}

/// An operation that this process carries out.
#[derive(Debug)]
pub(crate) struct Running {
    id: OperationId,
    plugin: PluginName,
    stage: Mutex<Stage>,
    cancelled: CancellationToken,
    outcome: watch::Sender<Option<Outcome>>,
    log: Arc<OperationLog>,
}

impl Running {
    fn new(id: OperationId, plugin: PluginName, log: Arc<OperationLog>) -> Arc<Self> {
        Arc::new(Self {
            id,
            plugin,
            stage: Mutex::new(Stage::Open),
            cancelled: CancellationToken::new(),
            outcome: watch::Sender::new(None),
            log,
        })
    }

    /// Asks it to go back; the operation ends as cancelled when it got there.
    ///
    /// # Errors
    /// `operation_past_commit`.
    pub(crate) fn cancel(&self) -> Result<(), Problem> {
        let stage = self.stage.lock();
        let reason = match *stage {
            Stage::Open => {
                self.cancelled.cancel();
                return Ok(());
            }
            Stage::PastCommit => "has taken effect",
            Stage::Ended => "has ended",
        };
        Err(past_commit(self.id, &self.plugin, reason))
    }

    /// From here on nobody can cancel; `false` when somebody has.
    fn enter_commit(&self) -> bool {
        let mut stage = self.stage.lock();
        if self.cancelled.is_cancelled() {
            return false;
        }
        *stage = Stage::PastCommit;
        true
    }
}

fn past_commit(id: OperationId, plugin: &PluginName, reason: &str) -> Problem {
    Problem::new(codes::OPERATION_PAST_COMMIT)
        .about(plugin)
        .with("operation", id)
        .with("reason", reason)
}

fn not_found(id: OperationId) -> Problem {
    Problem::new(codes::OPERATION_NOT_FOUND).with("operation", id)
}
