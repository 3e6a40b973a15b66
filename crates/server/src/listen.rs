//! Listeners and connections.

use std::convert::Infallible;
use std::fs::{File, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::app::App;
use crate::error::StartError;
use crate::peer::{Peer, tcp_peer_may_be_plugin};
use crate::settings::Auth;

/// Longest path that a Unix socket's address takes, in bytes (`sun_path` with its final zero).
const MAX_SOCKET_PATH: usize = 107;
/// How long to wait when the process has no file descriptors left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// How many looks for the process behind a connection go on at once: each takes a thread and walks `/proc`.
static LOOKS: Semaphore = Semaphore::const_new(4);

/// A bound Unix socket; its file goes when this does.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.path);
    }
}

/// Binds a TCP address.
pub(crate) async fn bind_tcp(address: SocketAddr, auth: Auth) -> Result<TcpListener, StartError> {
    if auth == Auth::None && !address.ip().to_canonical().is_loopback() {
        return Err(StartError::NotLoopback { address });
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            address: address.to_string(),
            source,
        })
}

/// Binds the Unix socket with mode 0600; replaces what a dead server left, not a living one's.
pub(crate) async fn bind_unix(path: &Path) -> Result<Socket, StartError> {
    let failed = |source| StartError::Listen {
        address: path.display().to_string(),
        source,
    };
    let reach = Reach::new(path).map_err(failed)?;
    if UnixStream::connect(&reach.path).await.is_ok() {
        return Err(failed(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another server answers there",
        )));
    }
    // Made under another name, closed to others, then put in place in one step: there is no moment
    // at which somebody else could connect.
    let new = Reach::new(&path.with_extension("new")).map_err(failed)?;
    let bind = || -> io::Result<UnixListener> {
        _ = std::fs::remove_file(&new.path);
        let listener = UnixListener::bind(&new.path)?;
        std::fs::set_permissions(&new.path, Permissions::from_mode(0o600))?;
        std::fs::rename(&new.path, &reach.path)?;
        Ok(listener)
    };
    Ok(Socket {
        listener: bind().map_err(failed)?,
        path: path.to_owned(),
    })
}

/// A path short enough for a socket's address: through the directory's descriptor if need be.
struct Reach {
    path: PathBuf,
    _directory: Option<File>,
}

impl Reach {
    fn new(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(Self {
                path: path.to_owned(),
                _directory: None,
            });
        }
        let directory = File::open(path.parent().unwrap_or(Path::new("/")))?;
        let name = path.file_name().unwrap_or_default();
        Ok(Self {
            path: Path::new("/proc/self/fd")
                .join(directory.as_raw_fd().to_string())
                .join(name),
            _directory: Some(directory),
        })
    }
}

/// Accepts TCP connections until the server closes.
pub(crate) async fn serve_tcp(listener: TcpListener, routes: Router, app: App) {
    let mut connections = Connections::new(&app);
    while let Some(slot) = connections.slot(&app).await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.closing.cancelled() => break,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        _ = stream.set_nodelay(true);
        give_up_on_idle_readers(&stream, &app);
        let (app, routes) = (app.clone(), routes.clone());
        connections.tasks.spawn(async move {
            let _slot = slot;
            let _counted = app.metrics.connection(false);
            let peer = tcp_peer(&app, &stream, remote).await;
            serve(stream, peer, routes, &app).await;
        });
    }
    connections.end(&app).await;
}

/// Accepts connections on the Unix socket until the server closes.
pub(crate) async fn serve_unix(socket: Socket, routes: Router, app: App) {
    let mut connections = Connections::new(&app);
    while let Some(slot) = connections.slot(&app).await {
        let accepted = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            () = app.closing.cancelled() => break,
        };
        let (stream, _) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let (app, routes) = (app.clone(), routes.clone());
        connections.tasks.spawn(async move {
            let _slot = slot;
            let _counted = app.metrics.connection(true);
            let peer = Peer::of_unix(&stream, &app.settings.is_plugin);
            serve(stream, peer, routes, &app).await;
        });
    }
    // Nobody new finds the socket while the last requests end.
    drop(socket);
    connections.end(&app).await;
}

/// A peer that takes nothing of what is sent, or is no longer there, would hold its place for ever.
fn give_up_on_idle_readers(stream: &tokio::net::TcpStream, app: &App) {
    let millis = app.settings.limits.body_timeout.as_millis();
    let millis = u32::try_from(millis).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, millis) {
        tracing::debug!(%error, "Cannot limit how long a peer may take nothing");
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "Cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// The connections of one listener.
struct Connections {
    tasks: JoinSet<()>,
    slots: Arc<Semaphore>,
}

impl Connections {
    fn new(app: &App) -> Self {
        Self {
            tasks: JoinSet::new(),
            slots: Arc::new(Semaphore::new(app.settings.limits.connections)),
        }
    }

    /// Waits for a place; `None` when the server closes.
    async fn slot(&mut self, app: &App) -> Option<tokio::sync::OwnedSemaphorePermit> {
        while self.tasks.try_join_next().is_some() {}
        tokio::select! {
            slot = self.slots.clone().acquire_owned() => slot.ok(),
            () = app.closing.cancelled() => None,
        }
    }

    /// Lets requests end within the grace, then cuts what is left.
    async fn end(mut self, app: &App) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(app.settings.limits.grace, all)
            .await
            .is_err()
        {
            tracing::warn!(
                connections = self.tasks.len(),
                "Cut the connections that did not end in time"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// Only a server without sign-in has to look for plugins behind TCP connections.
async fn tcp_peer(app: &App, stream: &tokio::net::TcpStream, remote: SocketAddr) -> Peer {
    let may_be_plugin = match (app.settings.auth, stream.local_addr()) {
        (Auth::None, Ok(local)) => {
            let is_plugin = app.settings.is_plugin.clone();
            // Held by the look itself: it goes on when its connection is gone.
            let look = LOOKS.acquire().await;
            tokio::task::spawn_blocking(move || {
                let _look = look;
                tcp_peer_may_be_plugin(local, remote, &is_plugin)
            })
            .await
            .unwrap_or(true)
        }
        (Auth::None, Err(_)) => true,
        (Auth::Tokens, _) => false,
    };
    Peer::Tcp {
        remote,
        may_be_plugin,
    }
}

/// Serves one connection until it ends, or the server closes and its request has been answered.
async fn serve<IO>(stream: IO, peer: Peer, routes: Router, app: &App)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let routes = routes.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            let response = routes.oneshot(request).await;
            Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.settings.limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = app.closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended early");
    }
}
