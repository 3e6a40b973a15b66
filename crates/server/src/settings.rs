//! What a server is told: where to listen, who may come, how much it takes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use plugyard_model::ByteSize;

use crate::metrics::Text;

/// Says of a process id, as this process sees it, whether it is a plugin or descends from one.
pub type PluginCheck = Arc<dyn Fn(u32) -> bool + Send + Sync>;

/// What this machine can enforce on plugins, as a document; found out when first asked.
pub type HostReporter = Arc<dyn Fn() -> BoxFuture<'static, serde_json::Value> + Send + Sync>;

/// Writes what it counts; asked at each scrape, so it must not take long. The number of different labels is
/// to be bounded, and no two hooks may write one family.
pub type MetricsHook = Arc<dyn Fn(&mut Text) + Send + Sync>;

/// Settings of a [`Server`](crate::Server).
#[derive(Clone)]
pub struct ServerSettings {
    /// TCP addresses; port 0 takes any free one.
    pub listen: Vec<SocketAddr>,
    /// The Unix socket for the local command line (0600), or none.
    pub socket: Option<PathBuf>,
    /// Who has to sign in.
    pub auth: Auth,
    /// How much is taken.
    pub limits: HttpLimits,
    /// The program's version, as `GET /` and `/v1/session` tell it.
    pub version: String,
    /// Tells plugins from people among local peers; `plugyard_sandbox::is_plugin_peer`.
    pub is_plugin: PluginCheck,
    /// What `/v1/nodes` tells of the machine.
    pub host_report: Option<HostReporter>,
    /// What others tell on `/metrics`, in this order after the server's own.
    pub metrics: Vec<MetricsHook>,
}

impl ServerSettings {
    /// The defaults: `127.0.0.1:9081`, no socket, sign-in by token.
    pub fn new(version: impl Into<String>, is_plugin: PluginCheck) -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9081))],
            socket: None,
            auth: Auth::Tokens,
            limits: HttpLimits::default(),
            version: version.into(),
            is_plugin,
            host_report: None,
            metrics: Vec::new(),
        }
    }
}

impl std::fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSettings")
            .field("listen", &self.listen)
            .field("socket", &self.socket)
            .field("auth", &self.auth)
            .field("limits", &self.limits)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Who has to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Everybody but the server's own user on the Unix socket, with a bearer token.
    Tokens,
    /// Nobody (`--auth none`): only on loopback, only for requests of this machine's own programs
    /// and pages, and never for a plugin.
    None,
}

/// How much a server takes from its clients.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Largest body of a request, except where a route takes packages.
    pub body: ByteSize,
    /// Most requests worked on at once; more are answered with `server_busy`.
    pub requests: usize,
    /// Most connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long an answer may take to begin.
    pub deadline: Duration,
    /// The same for uploads, and for compatible routes that answer when an operation has ended.
    pub slow_deadline: Duration,
    /// How long a connection may take to send the head of a request, and stay idle between two.
    pub header_timeout: Duration,
    /// How long a client may pause within a body it sends, and take nothing of what it is sent.
    pub body_timeout: Duration,
    /// How long requests may go on when the server stops.
    pub grace: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body: ByteSize::mib(1),
            requests: 512,
            connections: 2048,
            deadline: Duration::from_secs(30),
            slow_deadline: Duration::from_mins(15),
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}
