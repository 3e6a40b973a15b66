//! [`AppHost`]: what the kind, its routes and its handlers share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use plugyard_model::Problem;
use plugyard_platform::{Home, Kind, PluginAccess};
use plugyard_store::{Database, StoreError};

use crate::discovery::{self, Found};
use crate::handler::Handlers;
use crate::kind::AppKind;
use crate::records;
use crate::settings::AppSettings;

/// Everything about plugins of this kind. Cheap to clone; clones are the same host.
#[derive(Clone)]
pub struct AppHost(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) home: Home,
    pub(crate) settings: AppSettings,
    /// None where packages are only looked at.
    pub(crate) database: Option<Database>,
    pub(crate) handlers: Handlers,
    /// When the directories were last looked through, in milliseconds; 0 for never.
    looked_at: AtomicI64,
}

impl std::fmt::Debug for AppHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppHost")
            .field("home", &self.0.home)
            .finish_non_exhaustive()
    }
}

impl AppHost {
    /// A host for the plugins of `home`, whose records are in `database`. Does nothing yet.
    pub fn new(settings: AppSettings, home: Home, database: Database) -> Self {
        Self::with(settings, home, Some(database), None)
    }

    /// A host that only looks at packages.
    pub fn offline(home: Home) -> Self {
        Self::with(AppSettings::default(), home, None, None)
    }

    /// A host whose processes are started through another binary than the running one, which then need
    /// not call [`plugyard_sandbox::shim::run_if_asked`].
    pub fn with_shim(settings: AppSettings, home: Home, database: Database, shim: PathBuf) -> Self {
        Self::with(settings, home, Some(database), Some(shim))
    }

    fn with(
        settings: AppSettings,
        home: Home,
        database: Option<Database>,
        shim: Option<PathBuf>,
    ) -> Self {
        Self(Arc::new(Inner {
            handlers: Handlers::new(home.clone(), settings.clone(), shim),
            home,
            settings,
            database,
            looked_at: AtomicI64::new(0),
        }))
    }

    /// The kind, to be registered with the platform.
    pub fn kind(&self) -> Arc<dyn Kind> {
        Arc::new(AppKind::new(self.clone()))
    }

    /// Where handlers get a token of their own from.
    pub fn set_access(&self, access: PluginAccess) {
        self.0.handlers.set_access(access);
    }
}

impl Inner {
    /// Looks through `plugins/` and writes down what is there. The directories come with what was found.
    pub(crate) async fn discover(&self) -> Result<std::io::Result<Vec<Found>>, Problem> {
        let home = self.home.clone();
        let looked = tokio::task::spawn_blocking(move || discovery::look(&home)).await;
        let found = match looked.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        self.register(&found).await?;
        self.looked_at.store(now(), Ordering::Relaxed);
        Ok(Ok(found))
    }

    /// Writes down what was found, where its name can be one.
    pub(crate) async fn register(&self, found: &[Found]) -> Result<(), StoreError> {
        let Some(database) = &self.database else {
            return Ok(());
        };
        let transaction = database.begin().await?;
        for it in found
            .iter()
            .filter(|it| crate::name::check(&it.name).is_none())
        {
            records::discovered(&*transaction, &it.name, &it.seen, now()).await?;
        }
        transaction.commit().await
    }

    /// When the directories were last looked through.
    pub(crate) fn looked_at(&self) -> Option<i64> {
        Some(self.looked_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }
}

/// Milliseconds since 1970 (UTC).
pub(crate) fn now() -> i64 {
    std::time::UNIX_EPOCH
        .elapsed()
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
