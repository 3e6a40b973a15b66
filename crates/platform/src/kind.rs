//! The seam between the platform and the kinds: [`Kind`], and the data that crosses it.
//!
//! The platform owns the frame of a change (one at a time, journalled, undone or finished after a
//! crash), a kind owns the steps. So that a change can be recovered by a process that knows nothing
//! of the one that began it, a [`Plan`] is data, stored whole before its first step.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use plugyard_archive::{Limits, Listing, PackageReader};
use plugyard_model::{
    Code, Digest, Health, Inspection, InstallationId, KindId, OperationId, Params, PluginName,
    Problem, StepName, VersionId, Wanted,
};
use plugyard_store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::config::ConfigChange;
use crate::home::Home;

/// How sure a kind is that a package is of its format, from the names in it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    /// Nothing speaks for it.
    No,
    /// It could be; its own inspection will tell.
    Maybe,
    /// It has what only this format has.
    Yes,
}

/// What is to be done to an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// From nothing to a version.
    Install,
    /// From a version to another one (or to the same again: a restart without a gap).
    Upgrade,
    /// Back to an earlier version.
    Rollback,
    /// Let it work.
    Enable,
    /// Let it rest, but keep it.
    Disable,
    /// End and start the same version.
    Restart,
    /// Take it away.
    Uninstall,
    /// Do one of the kind's own tasks with the version that is there, or (see [`Change::is_preparation`]) with one
    /// of a plugin that is not installed; version and what is wanted stay.
    Perform,
}

impl Action {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Rollback => "rollback",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Restart => "restart",
            Self::Uninstall => "uninstall",
            Self::Perform => "perform",
        }
    }
}

/// One accepted package of a plugin. Immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its id.
    pub id: VersionId,
    /// Digest of the package's bytes; the object `packages/{digest}` holds them.
    pub digest: Digest,
    /// What the package calls its version; free text, may be empty.
    pub label: String,
    /// The manifest in the kind's normal form, as its inspection gave it.
    pub manifest: Json,
    /// What the installer added and what is part of the version's identity (e.g. `shellParas`); an object.
    pub options: Json,
}

/// A plugin made available here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Installation {
    /// Its id.
    pub id: InstallationId,
    /// Its name.
    pub plugin: PluginName,
    /// What the operator wants.
    pub wanted: Wanted,
    /// The version in force.
    pub current: Version,
    /// The version before it, when there was one.
    pub previous: Option<Version>,
}

/// A change somebody asked for, with everything a kind needs to plan it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The operation that carries it out.
    pub operation: OperationId,
    /// The installation, which exists as a row even while it is being installed.
    pub installation: InstallationId,
    /// Whose.
    pub plugin: PluginName,
    /// What.
    pub action: Action,
    /// What the operator wants before the change.
    pub wanted_before: Wanted,
    /// What the operator will want after it.
    pub wanted_after: Wanted,
    /// The version in force before.
    pub current: Option<Version>,
    /// The version in force after; `None` for uninstall.
    pub target: Option<Version>,
    /// Whether an uninstall keeps the plugin's data.
    pub keep_data: bool,
    /// For [`Action::Perform`]: the task, in the kind's own words.
    #[serde(default)]
    pub task: Option<String>,
    /// What becomes of the configuration.
    #[serde(default)]
    pub config: ConfigChange,
    /// Who asked for it.
    #[serde(default)]
    pub by: String,
}

impl Change {
    /// Whether it is about a version of a plugin that is not installed, and does not become so.
    pub fn is_preparation(&self) -> bool {
        self.action == Action::Perform && self.current.is_none()
    }
}

/// The ordered steps of a change. Exactly one of them is the commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// In order.
    pub steps: Vec<StepSpec>,
}

/// One step as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSpec {
    /// The word people see.
    pub name: StepName,
    /// What the kind does under that word; the kind's own vocabulary.
    pub action: String,
    /// What the kind needs to do, repeat and undo it.
    pub input: Json,
    /// From the moment this step begins, a crash is recovered forwards: the step is run again and the
    /// rest after it. Steps before it are undone after a crash. Steps after it cannot fail the change:
    /// their errors are warnings.
    pub commit: bool,
}

/// What a step has to say when it is done; shown with the operation.
pub type StepOutput = Json;

/// Why a step failed, in the plugin's or the kind's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct StepError {
    /// A code of the kind's, or `step_failed`.
    pub code: Code,
    /// The reason, first line the useful one; shown to people, so never a secret.
    pub text: String,
    /// Values for the code's texts.
    pub params: Params,
}

/// Why a change cannot even be planned: the problem to answer with.
pub type KindError = Problem;

/// Why a change goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The step that failed; `None` when the change was stopped between two.
    pub step: Option<StepName>,
    /// The step's own text.
    pub text: String,
}

/// What a step can reach while it runs.
#[derive(Clone)]
pub struct StepCx {
    /// The change it belongs to.
    pub change: Arc<Change>,
    /// Where things are.
    pub home: Home,
    /// The bytes of packages.
    pub packages: Arc<dyn Packages>,
    /// Takes lines for the operation's log and its followers; must not block.
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
    /// Cancelled when the operator cancels; a step that takes long should look.
    pub cancelled: tokio_util::sync::CancellationToken,
    /// Why the change goes back; `None` on the way forward.
    pub reason: Option<Reason>,
}

impl std::fmt::Debug for StepCx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StepCx")
            .field("change", &self.change)
            .finish_non_exhaustive()
    }
}

/// Gives the bytes of a package that was taken in.
#[async_trait]
pub trait Packages: Send + Sync {
    /// A local file with exactly the bytes of `digest` (verified when they were taken in).
    async fn file(&self, digest: &Digest) -> Result<PathBuf, StepError>;
}

/// A change of health that nobody asked for: exits, restarts, limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEvent {
    /// Whose.
    pub plugin: PluginName,
    /// How it is now.
    pub health: Health,
}

/// One line a plugin wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Position in the plugin's log; grows by one per line and never goes back.
    pub sequence: u64,
    /// Milliseconds since 1970 (UTC).
    pub time: i64,
    /// `stdout`, `stderr`, or `host` for what the platform says about the plugin.
    pub stream: String,
    /// Process id on the host, 0 for `host`.
    pub pid: u32,
    /// The text without its line end, cut at 8 KiB.
    pub text: String,
}

/// A directory that somebody put by hand where a kind's plugins are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its name, which the plugin in it must have; not yet checked.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
}

/// One format of plugin, and how it is brought to life.
#[async_trait]
pub trait Kind: Send + Sync {
    /// The word before the colon in its plugins' names.
    fn id(&self) -> KindId;

    /// Whether its plugins run as something of their own. Decides the words for what is wanted of an
    /// installation: [`Wanted::Running`] and [`Wanted::Stopped`], or [`Wanted::Enabled`] and
    /// [`Wanted::Disabled`].
    fn has_process(&self) -> bool {
        true
    }

    /// Whether a plugin works at once when it is installed and nobody says what is wanted of it.
    ///
    /// # Errors
    /// When the database cannot be read.
    async fn begins_enabled(
        &self,
        _plugin: &PluginName,
        _version: &Version,
        _transaction: &Transaction,
    ) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// Whether an uninstall keeps the plugin's data when nobody says whether it should.
    fn keeps_data(&self) -> bool {
        false
    }

    /// How many versions of each plugin are kept, the one in force included; `None` for the server's setting.
    ///
    /// # Errors
    /// When the database cannot be read.
    async fn keeps_versions(&self) -> Result<Option<usize>, StoreError> {
        Ok(None)
    }

    /// Whether a package of this kind may be fetched from this address.
    ///
    /// # Errors
    /// With the problem to answer when not.
    fn may_come_from(&self, _url: &str) -> Result<(), Problem> {
        Ok(())
    }

    /// Bounds of packages of this kind; none goes beyond [`Limits::MOST`].
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Whether packages may have names in a code page that the archive does not tell, read as it most probably
    /// is. Otherwise such a name keeps the package out.
    fn takes_legacy_names(&self) -> bool {
        false
    }

    /// The options that are part of a version, of those that were given: not those about one change alone, such
    /// as `seed`, which goes into [`ConfigChange::seed`].
    fn lasting_options(&self, options: &Json) -> Json {
        options.clone()
    }

    /// Whether a package with these names looks like one of this kind.
    fn recognise(&self, names: &Listing) -> Likeness;

    /// Says everything about a package and fails on nothing: bad input is findings, not errors.
    ///
    /// Pure: the same package gives the same inspection offline and on the server. `expected` is the
    /// key the caller wants to install it under, when there is one.
    fn inspect(&self, package: &dyn PackageReader, expected: Option<&str>) -> Inspection;

    /// The file of a package that says what can be configured; `None` for a kind whose plugins have
    /// no configuration.
    fn config_file(&self) -> Option<&'static str> {
        Some("plugyard.config.json")
    }

    /// The directories that were put into the home by hand and are no installed plugins yet, in order. Only
    /// looks: [`Platform::rescan`](crate::Platform::rescan) has them installed, and the commit of that
    /// change must see to it that they are not found again.
    fn dropped(&self, _home: &Home) -> Vec<Dropped> {
        Vec::new()
    }

    /// The steps that take an installation from one version (or none) to another.
    ///
    /// # Errors
    /// With the problem to answer when the change is impossible here and now.
    async fn plan(&self, change: &Change) -> Result<Plan, KindError>;

    /// Does a step. Safe to run twice, also after half a run in a process that was killed.
    ///
    /// # Errors
    /// With the reason; the platform then undoes this step and those before it.
    async fn run(&self, step: &StepSpec, cx: &StepCx) -> Result<StepOutput, StepError>;

    /// Takes a step back. Also called after half a run, and in a process that did not run it.
    ///
    /// # Errors
    /// When the earlier state cannot be reached.
    async fn undo(&self, step: &StepSpec, cx: &StepCx) -> Result<(), StepError>;

    /// Whether what was made of the version in force, such as its unpacked directory, is still there. Asked at
    /// start; where it is not, a restart follows, whose steps make it again out of the package.
    async fn is_whole(&self, _installation: &Installation) -> bool {
        true
    }

    /// At start, after interrupted operations were recovered: brings these installations to their
    /// wanted state, in parallel. Returns when their symbols can be found, not when they are ready.
    ///
    /// Called once with all, and again with any whose recovery took long; what is not in `all` is not to
    /// be touched. A recovery may already have started what it came back to.
    async fn resume(&self, all: &[Installation]);

    /// At the end of the server: stops everything that runs, within the grace the kind has.
    async fn shut_down(&self);

    /// Removes what was made of a version that nothing refers to any more, such as its unpacked
    /// directory. Called after the version's row is gone; what is left behind is garbage, no error.
    async fn discard(&self, _plugin: &PluginName, _version: &Version) {}

    /// Rows of the kind's own that belong to the new state of an installation: written in the transaction
    /// that puts the change in force, so that nobody ever sees one without the other. May be called
    /// again when it is not known whether that transaction arrived.
    ///
    /// # Errors
    /// When the rows cannot be written: then the commit is tried again.
    async fn commit_rows(
        &self,
        _change: &Change,
        _transaction: &Transaction,
        _now: i64,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// Is it really working? Answered by the plugin, not by us.
    async fn probe(&self, installation: &Installation) -> Health;

    /// Changes of health as they happen.
    fn watch(&self) -> BoxStream<'static, HealthEvent>;

    /// The kind's own part of `show`: an object (processes, symbols, limits, …).
    async fn details(&self, installation: &Installation) -> Json;

    /// The latest lines a plugin wrote (at most `tail`), and a stream of those that follow.
    fn logs(&self, plugin: &PluginName, tail: usize)
    -> (Vec<LogLine>, BoxStream<'static, LogLine>);
}
