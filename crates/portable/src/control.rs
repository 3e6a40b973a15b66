//! The control channel of one process: commands go out one at a time, results come back.
//!
//! A task owns the connection and reads it all the time, also while nothing is asked, so that the
//! plugin's idle handshakes never pile up and the end of the connection is seen.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use plugyard_sp::{Backtrace, Connection, Listener, Options, Protocol, RepConnection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::place::Arrivals;
use crate::process::{is_ours, is_same_user};
use crate::token::{Event, Tokens};

/// Commands that may wait for their turn; more callers wait for room.
const WAITING: usize = 64;

/// Gives commands to the process on the other side. Dropping it closes the channel.
#[derive(Debug)]
pub(crate) struct Control {
    commands: mpsc::Sender<Command>,
    ready: watch::Receiver<bool>,
    results: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Command {
    bytes: Vec<u8>,
    reply: oneshot::Sender<Bytes>,
}

/// What passes over a channel, for whoever looks on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen<'a> {
    /// A process connected.
    Met(Option<u32>),
    /// It is gone.
    Lost,
    /// From the plugin.
    In(&'a [u8]),
    /// To the plugin.
    Out(&'a [u8]),
}

/// Looks on, and must not take long.
pub(crate) type Observer = Arc<dyn Fn(Seen<'_>) + Send + Sync>;

/// Why a command has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Its deadline passed.
    Deadline,
    /// The channel is no more.
    Closed,
}

impl Control {
    /// Speaks to whoever comes; to be made before the process starts, because the Go SDK dials once.
    pub(crate) fn new(arrivals: Arrivals) -> Self {
        Self::with(arrivals, Arc::new(|_| {}), is_ours)
    }

    /// As [`new`](Self::new), for any process of the same user that comes to `path`, and somebody looks on.
    ///
    /// # Errors
    /// When the path cannot be listened on.
    pub(crate) fn observed(path: &Path, options: Options, observer: Observer) -> io::Result<Self> {
        let listener = Listener::bind_with(path, Protocol::Rep, options)?;
        Ok(Self::with(Arrivals::Own(listener), observer, is_same_user))
    }

    fn with(arrivals: Arrivals, observer: Observer, welcome: fn(&Connection) -> bool) -> Self {
        let (commands, orders) = mpsc::channel(WAITING);
        let (tell, ready) = watch::channel(false);
        let results = Arc::new(AtomicU64::new(0));
        let dialogue = Dialogue {
            arrivals,
            results: Arc::clone(&results),
            peer: None,
            tokens: Tokens::default(),
            current: None,
            ready: tell,
            observer,
            welcome,
        };
        Self {
            commands,
            ready,
            results,
            task: tokio::spawn(dialogue.run(orders)),
        }
    }

    /// Resolves when the process has sent its first request.
    pub(crate) async fn handshake(&self) {
        let mut ready = self.ready.clone();
        if ready.wait_for(|ready| *ready).await.is_err() {
            // The task ends only with its owner; whoever still waits is ended from elsewhere.
            std::future::pending::<()>().await;
        }
    }

    /// Gives a command and waits for its result (HOST-12).
    pub(crate) async fn command(&self, bytes: &[u8], deadline: Duration) -> Result<Bytes, Silence> {
        let (reply, result) = oneshot::channel();
        let exchange = async {
            let command = Command {
                bytes: bytes.to_vec(),
                reply,
            };
            self.commands
                .send(command)
                .await
                .map_err(|_| Silence::Closed)?;
            result.await.map_err(|_| Silence::Closed)
        };
        tokio::time::timeout(deadline, exchange)
            .await
            .unwrap_or(Err(Silence::Deadline))
    }
}

impl Control {
    /// Results that have come, also those that came too late.
    pub(crate) fn results(&self) -> u64 {
        self.results.load(Ordering::Acquire)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task behind a [`Control`].
struct Dialogue {
    arrivals: Arrivals,
    peer: Option<RepConnection>,
    tokens: Tokens,
    /// The command that is waiting for a token, or in flight.
    current: Option<Command>,
    results: Arc<AtomicU64>,
    ready: watch::Sender<bool>,
    observer: Observer,
    /// Who may connect (HOST-8).
    welcome: fn(&Connection) -> bool,
}

impl Dialogue {
    async fn run(mut self, mut orders: mpsc::Receiver<Command>) {
        loop {
            tokio::select! {
                arrival = self.arrivals.accept() => match arrival {
                    Ok(connection) => self.meet(connection),
                    Err(error) => tracing::warn!(%error, "A control listener cannot accept"),
                },
                request = receive(&mut self.peer) => match request {
                    Some(request) => {
                        (self.observer)(Seen::In(&request.body));
                        let event = self.tokens.receive(request);
                        self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
                        self.react(event).await;
                    }
                    None => {
                        (self.observer)(Seen::Lost);
                        self.peer = None;
                        self.tokens.connection_lost();
                    }
                },
                order = orders.recv(), if self.current.is_none() => match order {
                    Some(order) => self.current = Some(order),
                    None => return,
                },
            }
            self.issue().await;
        }
    }

    /// Takes a connection. Only the plugin and what it started gets here, so a second one
    /// is the same process again (the Go SDK reconnects) and presents its last request anew.
    fn meet(&mut self, connection: Connection) {
        if !(self.welcome)(&connection) {
            tracing::warn!(peer = ?connection.peer(), "Turned a foreign peer away on a control channel");
            return;
        }
        let pid = connection.peer().and_then(|peer| peer.pid);
        if let Ok(peer) = connection.into_rep() {
            (self.observer)(Seen::Met(pid));
            self.tokens.connection_lost();
            self.peer = Some(peer);
        }
    }

    async fn react(&mut self, event: Event) {
        match event {
            Event::Idle => {}
            Event::Again(token) => match self.current.take_if(|it| !it.reply.is_closed()) {
                Some(command) => {
                    self.write(token, &command.bytes).await;
                    self.current = Some(command);
                }
                None => {
                    // Nobody waits for it any more, and the plugin does not have it.
                    self.current = None;
                    self.tokens.give_up();
                }
            },
            Event::Result(body) => {
                self.results.fetch_add(1, Ordering::AcqRel);
                if let Some(command) = self.current.take() {
                    // Fails when the deadline has passed: a late result is nobody's.
                    let _ = command.reply.send(body);
                }
            }
        }
    }

    /// Writes the command that waits, when it may be written.
    async fn issue(&mut self) {
        if self.tokens.in_flight() {
            return;
        }
        let Some(command) = self.current.take_if(|it| !it.reply.is_closed()) else {
            self.current = None;
            return;
        };
        if let Some(token) = self.tokens.issue() {
            self.write(token, &command.bytes).await;
        }
        self.current = Some(command);
    }

    async fn write(&mut self, token: Backtrace, bytes: &[u8]) {
        let Some(peer) = &mut self.peer else { return };
        (self.observer)(Seen::Out(bytes));
        if let Err(error) = peer.reply(&token, bytes).await {
            tracing::debug!(%error, "A command could not be written");
            self.peer = None;
            self.tokens.connection_lost();
        }
    }
}

/// The next request, `None` at the end of the connection; waits for ever without one.
async fn receive(peer: &mut Option<RepConnection>) -> Option<plugyard_sp::Request> {
    match peer {
        Some(peer) => match peer.recv().await {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "A control channel broke");
                None
            }
        },
        None => std::future::pending().await,
    }
}
