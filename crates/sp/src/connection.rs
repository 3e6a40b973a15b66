//! A connection right after the exchange of headers, before it is given its role's functions.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::wire::{FrameReader, FrameWriter};
use crate::{
    HEADER_LEN, HandshakeError, Protocol, PullConnection, PushConnection, RepConnection,
    ReqConnection, RoleError, Stream,
};

/// Deadlines and limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How long a peer may take until its header is complete. Default 10 s, as in nng.
    pub handshake_timeout: Duration,
    /// The longest payload taken from the peer, in bytes; a request header counts.
    /// Default 64 MiB.
    pub max_receive: usize,
    /// The longest payload sent to the peer, in bytes; a request header counts. Default without
    /// limit. (A mangos peer that keeps its defaults closes the connection above 1 MiB.)
    pub max_send: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            max_receive: 64 * 1024 * 1024,
            max_send: usize::MAX,
        }
    }
}

/// Who is at the other end of a Unix socket, as the kernel knew it when the peer connected (or, for
/// a peer that listens, when it began to listen).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Process id in our namespace; `None` when the process is not visible from it.
    pub pid: Option<u32>,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// Two peers that have told each other their roles.
///
/// It becomes usable by one of the `into_…` functions.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    protocol: Protocol,
    options: Options,
    peer: Option<PeerCredentials>,
}

impl Connection {
    /// Exchanges headers over a stream that is already connected.
    ///
    /// # Errors
    ///
    /// Each [`HandshakeError`]; the stream is closed then.
    pub async fn establish(
        stream: impl Into<Stream>,
        protocol: Protocol,
        options: Options,
    ) -> Result<Self, HandshakeError> {
        let mut stream = stream.into();
        let exchange = async {
            stream.write_all(&protocol.header()).await?;
            let mut header = [0; HEADER_LEN];
            stream.read_exact(&mut header).await?;
            Ok(header)
        };
        let header = tokio::time::timeout(options.handshake_timeout, exchange)
            .await
            .map_err(|_| HandshakeError::TimedOut {
                after: options.handshake_timeout,
            })?
            .map_err(handshake_error)?;
        protocol.check_peer(header)?;
        let peer = match &stream {
            Stream::Unix(unix) => Some(credentials(unix).map_err(HandshakeError::Io)?),
            Stream::Memory(_) => None,
        };
        Ok(Self {
            stream,
            protocol,
            options,
            peer,
        })
    }

    /// The role of our side.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Who is at the other end; `None` in memory.
    pub fn peer(&self) -> Option<PeerCredentials> {
        self.peer
    }

    /// Other limits than those the listener or dialler was given, now that the peer is known.
    #[must_use]
    pub fn with_limits(mut self, max_receive: usize, max_send: usize) -> Self {
        self.options.max_receive = max_receive;
        self.options.max_send = max_send;
        self
    }

    /// Uses a connection opened as [`Protocol::Rep`].
    ///
    /// # Errors
    ///
    /// [`RoleError`] when it was opened as another.
    pub fn into_rep(self) -> Result<RepConnection, RoleError> {
        let (reader, writer) = self.into_halves(Protocol::Rep)?;
        Ok(RepConnection::new(reader, writer))
    }

    /// Uses a connection opened as [`Protocol::Req`].
    ///
    /// # Errors
    ///
    /// [`RoleError`] when it was opened as another.
    pub fn into_req(self) -> Result<ReqConnection, RoleError> {
        let (reader, writer) = self.into_halves(Protocol::Req)?;
        Ok(ReqConnection::new(reader, writer))
    }

    /// Uses a connection opened as [`Protocol::Push`].
    ///
    /// # Errors
    ///
    /// [`RoleError`] when it was opened as another.
    pub fn into_push(self) -> Result<PushConnection, RoleError> {
        let (reader, writer) = self.into_halves(Protocol::Push)?;
        Ok(PushConnection::new(reader, writer))
    }

    /// Uses a connection opened as [`Protocol::Pull`].
    ///
    /// # Errors
    ///
    /// [`RoleError`] when it was opened as another.
    pub fn into_pull(self) -> Result<PullConnection, RoleError> {
        let (reader, writer) = self.into_halves(Protocol::Pull)?;
        Ok(PullConnection::new(reader, writer))
    }

    pub(crate) fn into_halves(
        self,
        wanted: Protocol,
    ) -> Result<(FrameReader, FrameWriter), RoleError> {
        if self.protocol != wanted {
            return Err(RoleError {
                opened: self.protocol,
                wanted,
            });
        }
        let (read, write) = self.stream.into_split();
        Ok((
            FrameReader::new(read, self.options.max_receive),
            FrameWriter::new(write, self.options.max_send),
        ))
    }
}

/// Two connected ends in memory with `capacity` bytes on the way in each direction: one with the
/// role `protocol`, one with its counterpart. For tests.
pub fn pair(protocol: Protocol, capacity: usize, options: Options) -> (Connection, Connection) {
    let (ours, theirs) = tokio::io::duplex(capacity);
    let end = |stream, protocol| Connection {
        stream,
        protocol,
        options,
        peer: None,
    };
    (
        end(Stream::Memory(ours), protocol),
        end(Stream::Memory(theirs), protocol.peer()),
    )
}

fn credentials(stream: &UnixStream) -> std::io::Result<PeerCredentials> {
    let found = stream.peer_cred()?;
    Ok(PeerCredentials {
        // The kernel says 0 for a process outside our namespace.
        pid: found
            .pid()
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid != 0),
        uid: found.uid(),
        gid: found.gid(),
    })
}

fn handshake_error(error: std::io::Error) -> HandshakeError {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
    match error.kind() {
        UnexpectedEof | BrokenPipe | ConnectionReset | NotConnected => HandshakeError::Closed,
        _ => HandshakeError::Io(error),
    }
}
