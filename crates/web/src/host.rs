//! [`WebHost`]: what the kind and its routes share.

use std::sync::Arc;

use plugyard_model::Problem;
use plugyard_platform::{Home, Kind, Platform};
use plugyard_store::{Database, StoreError};

use crate::events::{Listener, Listeners};
use crate::kind::WebKind;
use crate::settings::WebSettings;
use crate::site::Site;

/// Everything about plugins of this kind. Cheap to clone; clones are the same host.
#[derive(Clone)]
pub struct WebHost(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) home: Home,
    pub(crate) settings: WebSettings,
    /// None where packages are only looked at.
    pub(crate) database: Option<Database>,
    /// The application loads nothing while this is set; what is enabled stays so.
    pub(crate) safe_mode: bool,
    pub(crate) listeners: Listeners,
    /// What changes under way will leave behind.
    pub(crate) promises: crate::lifecycle::promises::Promises,
    /// Dependencies are the application's as a whole, so they are resolved one at a time.
    pub(crate) resolving: tokio::sync::Mutex<()>,
    /// Held while the status file is written, so that the latest state is written last.
    pub(crate) exporting: tokio::sync::Mutex<()>,
    pub(crate) pages: crate::pages::service::Shared,
    pub(crate) markets: crate::market::Shared,
    pub(crate) listings: crate::usages::listing::Listings,
}

/// What handlers work with: the state of every router of this kind.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) host: WebHost,
    pub(crate) platform: Platform,
}

impl Web {
    /// The database.
    pub(crate) fn database(&self) -> Result<&Database, Problem> {
        Ok(self.host.database()?)
    }

    /// For reads and single statements.
    pub(crate) fn connection(&self) -> Result<&sea_orm::DatabaseConnection, Problem> {
        Ok(self.database()?.conn())
    }

    /// The site's settings as they are now.
    pub(crate) async fn site(&self) -> Result<Site, Problem> {
        Ok(self.host.site().await?)
    }
}

impl std::fmt::Debug for WebHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebHost")
            .field("home", &self.0.home)
            .field("safe_mode", &self.0.safe_mode)
            .finish_non_exhaustive()
    }
}

impl WebHost {
    /// A host for the plugins of `home`, whose records are in `database`. Does nothing yet.
    ///
    /// With `safe_mode` the application is told to load no plugin, whatever is enabled.
    pub fn new(settings: WebSettings, home: Home, database: Database, safe_mode: bool) -> Self {
        Self::with(settings, home, Some(database), safe_mode)
    }

    /// A host that only looks at packages.
    pub fn offline(home: Home) -> Self {
        Self::with(WebSettings::default(), home, None, false)
    }

    fn with(
        settings: WebSettings,
        home: Home,
        database: Option<Database>,
        safe_mode: bool,
    ) -> Self {
        Self(Arc::new(Inner {
            home,
            settings,
            database,
            safe_mode,
            listeners: Listeners::default(),
            promises: crate::lifecycle::promises::Promises::default(),
            resolving: tokio::sync::Mutex::default(),
            exporting: tokio::sync::Mutex::default(),
            pages: crate::pages::service::Shared::default(),
            markets: crate::market::Shared::default(),
            listings: crate::usages::listing::Listings::default(),
        }))
    }

    /// The kind, to be registered with the platform.
    pub fn kind(&self) -> Arc<dyn Kind> {
        Arc::new(WebKind::new(self.clone()))
    }

    /// Tells this listener of everything that happens from now on.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.0.listeners.add(listener);
    }

    /// The database.
    ///
    /// # Errors
    /// When this host only looks at packages.
    pub(crate) fn database(&self) -> Result<&Database, StoreError> {
        self.0.database.as_ref().ok_or_else(|| {
            StoreError::Query(sea_orm::DbErr::Custom(
                "this host has no database".to_owned(),
            ))
        })
    }

    /// The site's settings as they are now.
    pub(crate) async fn site(&self) -> Result<Site, StoreError> {
        Site::read(self.database()?.conn()).await
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
