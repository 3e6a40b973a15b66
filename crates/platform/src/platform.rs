//! [`Platform`]: what it holds, how it begins and how it ends.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use futures::future::join_all;
use parking_lot::Mutex;
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_model::{
    Digest, Health, HealthState, InstallationId, KindId, OperationId, Params, PluginName, Problem,
    codes,
};
use plugyard_store::jobs::{Queue, Workers};
use plugyard_store::{Database, ObjectError, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;
use crate::events::EventLog;
use crate::kind::{Installation, Packages, StepError};
use crate::objects::{Keeper, SweepObjects};
use crate::operations::{Aside, Running};
use crate::secrets::Vault;
use crate::sessions::Sessions;
use crate::versions::HandedIn;
use crate::{Clock, Home, Kind, Settings};

/// The platform cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// A directory of the home cannot be made or emptied.
    #[error("cannot prepare `{}`", path.display())]
    Home {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store cannot be used.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The object store is another installation's.
    #[error("{0}")]
    Foreign(Problem),
    /// Two kinds have one name: a mistake in the program.
    #[error("two kinds are called `{0}`")]
    DuplicateKind(KindId),
}

impl From<PlatformError> for Problem {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::Home { path, source } => Self::new(codes::HOME_UNUSABLE)
                .with("path", path.display())
                .with("reason", source),
            PlatformError::Store(error) => error.into(),
            PlatformError::Objects(error) => error.into(),
            PlatformError::Foreign(problem) => problem,
            PlatformError::DuplicateKind(kind) => {
                tracing::error!(%kind, "Two kinds have one name");
                Self::new(codes::INTERNAL).with("request", "-")
            }
        }
    }
}

/// Everything that kinds share. Cheap to clone; all clones are the same platform.
#[derive(Clone)]
pub struct Platform(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) objects: Keeper,
    pub(crate) vault: Vault,
    /// In the order of registration, which decides between equal likenesses.
    pub(crate) kinds: Vec<Arc<dyn Kind>>,
    pub(crate) running: Mutex<HashMap<OperationId, Arc<Running>>>,
    /// Operations that are claimed and not yet planned; those who wait for one hear when that is over.
    pub(crate) planning: Mutex<HashMap<OperationId, CancellationToken>>,
    /// Operations that wait for the database.
    pub(crate) aside: Mutex<HashMap<OperationId, Aside>>,
    pub(crate) health: Mutex<HashMap<PluginName, Health>>,
    /// Grows with each change of health.
    pub(crate) health_changes: AtomicU64,
    pub(crate) events: EventLog,
    pub(crate) sessions: Sessions,
    /// Changes under way; waited for at the end.
    pub(crate) changes: TaskTracker,
    /// Those who do jobs; they end with `closing`.
    pub(crate) workers: TaskTracker,
    /// Ends what only listens.
    pub(crate) closing: CancellationToken,
    /// Held while an object and the rows that refer to it come or go together.
    pub(crate) keeping: tokio::sync::Mutex<()>,
    /// Versions that were handed in and that no change has claimed yet.
    pub(crate) handed_in: HandedIn,
    pub(crate) config_cache: config::Cache,
    pub(crate) config_locks: config::Locks,
    /// Held while the configuration files of a plugin's processes come or go.
    pub(crate) config_file_locks: config::Locks,
    pub(crate) config_pending: config::Pending,
    pub(crate) config_news: config::Announcer,
    /// Held while the home is looked through for plugins put there by hand.
    pub(crate) rescanning: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platform")
            .field("home", &self.0.settings.home)
            .finish_non_exhaustive()
    }
}

impl Platform {
    /// Opens a home: makes its directories and empties `staging/`. The database must be open and
    /// migrated. Nothing runs yet; call [`recover`](Self::recover) next.
    ///
    /// # Errors
    /// [`PlatformError`] says what cannot be used.
    pub async fn open(
        settings: Settings,
        kinds: Vec<Arc<dyn Kind>>,
    ) -> Result<Self, PlatformError> {
        for (index, kind) in kinds.iter().enumerate() {
            if kinds[..index].iter().any(|other| other.id() == kind.id()) {
                return Err(PlatformError::DuplicateKind(kind.id()));
            }
        }
        let home = settings.home.clone();
        tokio::task::spawn_blocking(move || prepare(&home))
            .await
            .unwrap_or_else(|error| {
                Err((settings.home.root().into(), std::io::Error::other(error)))
            })
            .map_err(|(path, source)| PlatformError::Home { path, source })?;
        let objects = Keeper::open(&settings)?;
        let vault = Vault::new(&settings);
        let closing = CancellationToken::new();
        let events = EventLog::open(&settings, closing.clone()).await?;
        let platform = Self(Arc::new(Inner {
            objects,
            vault,
            kinds,
            running: Mutex::default(),
            planning: Mutex::default(),
            aside: Mutex::default(),
            health: Mutex::default(),
            health_changes: AtomicU64::default(),
            events,
            sessions: Sessions::default(),
            changes: TaskTracker::new(),
            workers: TaskTracker::new(),
            closing,
            keeping: tokio::sync::Mutex::default(),
            rescanning: tokio::sync::Mutex::default(),
            handed_in: HandedIn::default(),
            config_cache: config::Cache::default(),
            config_locks: config::Locks::default(),
            config_file_locks: config::Locks::default(),
            config_pending: config::Pending::default(),
            config_news: config::announcer(),
            settings,
        }));
        let claimed = platform.objects_claim().await;
        claimed.map_err(PlatformError::Foreign)?;
        platform.vault_open().await;
        Ok(platform)
    }

    /// Brings interrupted operations to one of their ends, then lets every kind bring its
    /// installations to their wanted state, in parallel. Call it once, before serving.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer. An operation that could not be brought to
    /// an end is no error: it stands in the list, and its plugin's health says so.
    pub async fn recover(&self) -> Result<(), StoreError> {
        let late = self.recover_operations().await?;
        self.make_room_everywhere().await?;
        self.objects_sweep_or_later().await;
        self.work();
        self.follow_health();
        self.keep_pruning();
        let mut all = self.installed().await?;
        self.config_files_begin(&all).await;
        all.retain(|it| !late.iter().any(|late| late.name == name_of(&it.plugin)));
        self.resume(all).await;
        for late in late {
            tracing::warn!("Recovering `{}:{}` takes long", late.name.0, late.name.1);
            let platform = self.clone();
            self.0.changes.spawn(async move {
                if let Ok(Ok(())) = late.task.await
                    && let Ok(mut all) = platform.installed().await
                {
                    all.retain(|it| late.name == name_of(&it.plugin));
                    platform.resume(all).await;
                }
            });
        }
        // What was put into `plugins/` by hand may take long to install, and nobody waits for it.
        let platform = self.clone();
        self.0
            .changes
            .spawn(async move { platform.rescan_at_start().await });
        Ok(())
    }

    /// Does the jobs of the database until the end.
    fn work(&self) {
        let queue = Queue::new(self.database().clone(), self.job_settings());
        let workers = Workers::new(queue, self.clone()).register::<SweepObjects>();
        let closing = self.0.closing.clone();
        let grace = self.0.settings.stop_grace;
        self.0.workers.spawn(async move {
            workers.run(closing.cancelled_owned(), grace).await;
        });
    }

    /// Lets every kind bring these to their wanted state, and asks them how they are.
    async fn resume(&self, mut all: Vec<Installation>) {
        let by_kind = self.0.kinds.iter().map(|kind| {
            let id = kind.id();
            let (own, rest): (Vec<_>, _) = std::mem::take(&mut all)
                .into_iter()
                .partition(|it| it.plugin.kind == id);
            all = rest;
            async move {
                kind.resume(&own).await;
                join_all(own.iter().map(|installation| self.probe(installation))).await;
                for installation in &own {
                    if installation.wanted.is_on() && !kind.is_whole(installation).await {
                        self.heal(&installation.plugin).await;
                    }
                }
            }
        });
        join_all(by_kind.collect::<Vec<_>>()).await;
        for orphan in all {
            tracing::warn!(plugin.name = %orphan.plugin, "No kind serves `{}`", orphan.plugin);
            let reason = format!(
                "this server does not serve the kind `{}`",
                orphan.plugin.kind
            );
            self.health_set(&orphan.plugin, Health::because(HealthState::Failed, reason));
        }
    }

    /// Begins to make what is missing of a plugin again: an operation like any other, so that it is seen,
    /// and taken up again after a crash.
    async fn heal(&self, plugin: &PluginName) {
        tracing::warn!(plugin.name = %plugin, "What was unpacked of `{plugin}` is gone; it is unpacked again");
        if let Err(problem) = self.restart(&itself(), plugin).await {
            tracing::error!(%problem, plugin.name = %plugin, "`{plugin}` cannot be unpacked again");
        }
    }

    /// Ends: begins nothing new, takes back what is not yet committed, and stops all plugins. What
    /// does not end within [`Settings::stop_grace`] is recovered at the next start.
    pub async fn shut_down(&self) {
        self.0.changes.close();
        let running: Vec<_> = self.0.running.lock().values().cloned().collect();
        for operation in running {
            // One that is past its commit goes on to its end.
            let _past = operation.cancel();
        }
        if tokio::time::timeout(self.0.settings.stop_grace, self.0.changes.wait())
            .await
            .is_err()
        {
            tracing::warn!("Changes are still under way; the next start recovers them");
        }
        join_all(self.0.kinds.iter().map(|kind| kind.shut_down())).await;
        if let Err(error) = config::clear(self.home()) {
            tracing::warn!(%error, "The configuration files of plugins stay until the next start");
        }
        self.0.events.flush().await;
        self.0.closing.cancel();
        self.0.workers.close();
        self.0.workers.wait().await;
    }

    /// The kind of that name.
    ///
    /// # Errors
    /// The problem [`kind_not_served`](codes::KIND_NOT_SERVED).
    pub fn kind(&self, id: &KindId) -> Result<Arc<dyn Kind>, Problem> {
        kind_of(&self.0.kinds, id).cloned()
    }

    /// All kinds, in the order of registration.
    pub fn kinds(&self) -> &[Arc<dyn Kind>] {
        &self.0.kinds
    }

    /// What it was started with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where things are.
    pub fn home(&self) -> &Home {
        &self.0.settings.home
    }

    /// Whether the database answers; for readiness.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database().ping().await
    }

    /// The database, for what a kind keeps beside what the platform keeps for it.
    pub fn database(&self) -> &Database {
        &self.0.settings.database
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock().now()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.settings.clock
    }
}

/// Who does what nobody asked for.
pub(crate) fn itself() -> Principal {
    Principal {
        name: "server".to_owned(),
        roles: vec![Role::Operator],
    }
}

/// Kind and key, as rows have them.
fn name_of(plugin: &PluginName) -> (String, String) {
    (
        plugin.kind.as_str().to_owned(),
        plugin.key.as_str().to_owned(),
    )
}

/// Finds a kind by its name.
pub(crate) fn kind_of<'a>(
    kinds: &'a [Arc<dyn Kind>],
    id: &KindId,
) -> Result<&'a Arc<dyn Kind>, Problem> {
    kinds.iter().find(|kind| kind.id() == *id).ok_or_else(|| {
        let known: Vec<_> = kinds.iter().map(|kind| kind.id().to_string()).collect();
        Problem::new(codes::KIND_NOT_SERVED)
            .with("kind", id)
            .with("known", known.join(", "))
    })
}

#[async_trait]
impl Packages for Platform {
    async fn file(&self, digest: &Digest) -> Result<PathBuf, StepError> {
        self.0
            .objects
            .store
            .local_file(digest)
            .await
            .map_err(|error| StepError {
                code: codes::OBJECTS_UNAVAILABLE,
                text: error.to_string(),
                params: Params::new(),
            })
    }
}

fn prepare(home: &Home) -> Result<(), (PathBuf, std::io::Error)> {
    let staging = home.staging();
    match std::fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err((staging, error)),
        _ => {}
    }
    config::clear(home).map_err(|error| (home.plugin_config(), error))?;
    for directory in [
        home.root().to_owned(),
        staging,
        home.plugins(),
        home.uploads(),
        home.run(),
    ] {
        std::fs::create_dir_all(&directory).map_err(|error| (directory.clone(), error))?;
    }
    let keys = home.keys();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&keys)
        .map_err(|error| (keys, error))
}

/// A new id, later than all before it.
pub(crate) fn new_operation_id() -> OperationId {
    OperationId(uuid::Uuid::now_v7())
}

pub(crate) fn new_installation_id() -> InstallationId {
    InstallationId(uuid::Uuid::now_v7())
}
