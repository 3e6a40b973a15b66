//! What the platform is started with.

use std::sync::Arc;
use std::time::Duration;

use plugyard_model::ByteSize;
use plugyard_store::secrets::KeySource;
use plugyard_store::{Database, ObjectsUrl, S3Options};

use crate::{Clock, Dependents, Home, PluginAccess};

/// What [`Platform::open`](crate::Platform::open) needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where things are.
    pub home: Home,
    /// Open and migrated.
    pub database: Database,
    /// Default: the system's.
    pub clock: Clock,
    /// Where packages are kept; `None` for the home's own directory.
    pub objects: Option<ObjectsUrl>,
    /// How to get there, when it is an S3-compatible store.
    pub s3: S3Options,
    /// Where the master key of the secrets is. Default: `keys/master.key` in the home.
    pub master_key: KeySource,
    /// Largest package in bytes as it comes in. Default 512 MiB.
    pub package_limit: ByteSize,
    /// Whether packages may be fetched from private, loopback and link-local addresses. Default: no.
    pub allow_private_urls: bool,
    /// How long fetching a package may take as a whole. Default 10 minutes.
    pub fetch_timeout: Duration,
    /// How many versions of a plugin stay besides the current and the previous one. Default 3.
    pub keep_versions: usize,
    /// Gives tokens to plugins' processes; the kinds that start them have the same one.
    pub plugin_access: PluginAccess,
    /// What knows who uses a plugin; `None` when nothing does.
    pub dependents: Option<Arc<dyn Dependents>>,
    /// How long the answers to requests with an `Idempotency-Key` are kept. Default 24 hours.
    pub answer_retention: Duration,
    /// How long rows of the audit log are kept; `None` for ever. Default 365 days.
    pub audit_retention: Option<Duration>,
    /// How long an operation under way waits for a database that does not answer, before it is set
    /// aside; it is taken up again when the database answers. Default 45 s.
    pub store_patience: Duration,
    /// How long a starting server waits for changes that a crash interrupted. Those that take longer go
    /// on, and their plugins come back after them. Default 60 s.
    pub recovery_patience: Duration,
    /// How long a stopping server waits for changes to be taken back. Default 30 s.
    pub stop_grace: Duration,
}

impl Settings {
    /// The defaults, with these two that have none.
    pub fn new(home: Home, database: Database) -> Self {
        Self {
            master_key: KeySource::File(home.master_key()),
            home,
            database,
            clock: Clock::system(),
            objects: None,
            s3: S3Options::default(),
            package_limit: ByteSize::mib(512),
            allow_private_urls: false,
            fetch_timeout: Duration::from_mins(10),
            keep_versions: 3,
            plugin_access: PluginAccess::default(),
            dependents: None,
            answer_retention: Duration::from_hours(24),
            audit_retention: Some(Duration::from_hours(365 * 24)),
            store_patience: Duration::from_secs(45),
            recovery_patience: Duration::from_mins(1),
            stop_grace: Duration::from_secs(30),
        }
    }
}
