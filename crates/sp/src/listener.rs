//! The listening side.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::{debug, warn};

use crate::address::{self, SocketFile};
use crate::{Connection, HandshakeError, Options, Protocol};

/// Connections that wait for [`Listener::accept`]; when there are more, newcomers wait in the kernel.
const WAITING: usize = 64;
/// Peers that may be silent at the same time; one more, and the one that has been silent longest goes.
const SILENT: usize = 128;
/// After the system refused to accept, for want of descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens on a Unix socket and shakes hands with everybody who connects.
///
/// The exchange of headers goes on in the background for all peers at the same time, whether or
/// not somebody is waiting in [`accept`](Self::accept): a peer that connects and then waits for
/// its header is served at once, and one that says nothing or nonsense is in nobody's way.
///
/// Dropping the listener ends it and removes the socket file if it is still the one it made.
/// Connections already accepted stay.
#[derive(Debug)]
pub struct Listener {
    accepted: mpsc::Receiver<io::Result<Connection>>,
    task: JoinHandle<()>,
    rejected: Arc<AtomicU64>,
    path: PathBuf,
    protocol: Protocol,
    _file: SocketFile,
}

impl Listener {
    /// Listens on `path` in the role `protocol`, with default [`Options`].
    ///
    /// The socket file has mode 0600. A socket file on which nobody listens any more is replaced.
    /// The path may be longer than the 107 bytes the kernel takes; its last component may have up
    /// to 255.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when somebody listens there, `AlreadyExists` when the path is something else
    /// than a socket, and what the operating system says otherwise.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time enabled.
    pub fn bind(path: impl AsRef<Path>, protocol: Protocol) -> io::Result<Self> {
        Self::bind_with(path, protocol, Options::default())
    }

    /// As [`bind`](Self::bind), with limits and deadline of one's own for each connection.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    ///
    /// # Panics
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_with(
        path: impl AsRef<Path>,
        protocol: Protocol,
        options: Options,
    ) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let (socket, file) = address::listen(&path)?;
        let socket = UnixListener::from_std(socket)?;
        let (sender, accepted) = mpsc::channel(WAITING);
        let rejected = Arc::new(AtomicU64::new(0));
        let reception = Reception {
            socket,
            path: path.clone(),
            protocol,
            options,
            sender,
            rejected: Arc::clone(&rejected),
            handshakes: JoinSet::new(),
            arrivals: VecDeque::new(),
        };
        let task = tokio::spawn(reception.run());
        Ok(Self {
            accepted,
            task,
            rejected,
            path,
            protocol,
            _file: file,
        })
    }

    /// The next peer that has shaken hands. Cancelling this loses nobody.
    ///
    /// # Errors
    ///
    /// What the operating system said when it could not accept, for example for want of file
    /// descriptors. The listener goes on after a pause, so calling again is right. Peers that did
    /// not shake hands properly are no error; they are counted in [`rejected`](Self::rejected).
    pub async fn accept(&mut self) -> io::Result<Connection> {
        match self.accepted.recv().await {
            Some(outcome) => outcome,
            None => Err(io::Error::other(
                "the runtime of this listener is shutting down",
            )),
        }
    }

    /// How many peers were turned away: other protocol, other role, silence.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Where it listens, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The role of our side.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task behind a listener.
struct Reception {
    socket: UnixListener,
    path: PathBuf,
    protocol: Protocol,
    options: Options,
    sender: mpsc::Sender<io::Result<Connection>>,
    rejected: Arc<AtomicU64>,
    handshakes: JoinSet<Result<Connection, HandshakeError>>,
    /// The handshakes in the order of arrival; may contain some that have ended.
    arrivals: VecDeque<AbortHandle>,
}

impl Reception {
    async fn run(mut self) {
        loop {
            let outcome = tokio::select! {
                arrival = self.socket.accept() => match arrival {
                    Ok((stream, _)) => {
                        self.shake_hands(stream);
                        continue;
                    }
                    Err(error) => Err(error),
                },
                Some(ended) = self.handshakes.join_next() => match ended {
                    Ok(Ok(connection)) => Ok(connection),
                    Ok(Err(error)) => {
                        self.reject(Some(&error));
                        continue;
                    }
                    Err(_) => {
                        self.reject(None);
                        continue;
                    }
                },
            };
            let failed = outcome.is_err();
            if self.sender.send(outcome).await.is_err() {
                return;
            }
            if failed {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn shake_hands(&mut self, stream: UnixStream) {
        if self.handshakes.len() >= SILENT {
            self.arrivals.retain(|handshake| !handshake.is_finished());
            if let Some(oldest) = self.arrivals.pop_front() {
                oldest.abort();
            }
        }
        let handshake = Connection::establish(stream, self.protocol, self.options);
        self.arrivals.push_back(self.handshakes.spawn(handshake));
    }

    fn reject(&self, error: Option<&HandshakeError>) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        let path = self.path.display();
        match error {
            // Somebody only looked whether we live.
            Some(HandshakeError::Closed) => debug!(%path, "A peer left without a header"),
            Some(error) => warn!(%path, "Turned a peer away: {error}"),
            None => warn!(%path, "Turned a silent peer away to make room for others"),
        }
    }
}
