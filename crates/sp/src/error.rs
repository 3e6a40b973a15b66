//! What can go wrong, one enum for each thing one can try.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::frame::FrameError;
use crate::{HEADER_LEN, Protocol};

/// The exchange of headers on a new connection failed; the connection has been closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer sent eight bytes that are no SP header of version 0.
    #[error("the peer does not speak SP version 0: its first bytes are {header:02x?}")]
    NotSp {
        /// The bytes received.
        header: [u8; HEADER_LEN],
    },
    /// The peer has a role that cannot talk to ours.
    #[error("the peer has protocol number {found:#06x}, expected {expected} ({:#06x})", expected.id())]
    WrongPeer {
        /// The role that fits ours.
        expected: Protocol,
        /// The number the peer sent.
        found: u16,
    },
    /// The peer closed the connection before its header was complete.
    #[error("the peer closed the connection before it had sent its header")]
    Closed,
    /// The peer did not send its header in time.
    #[error("the peer sent no complete header within {after:?}")]
    TimedOut {
        /// The deadline that passed, see [`Options::handshake_timeout`](crate::Options).
        after: Duration,
    },
    /// The operating system reported an error.
    #[error("could not exchange headers with the peer")]
    Io(#[source] io::Error),
}

/// A peer could not be reached by [`connect`](crate::connect).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody listens: the file is missing, or nobody answers behind it any more.
    #[error("nobody listens on `{}`", path.display())]
    NobodyListens {
        /// The path dialled.
        path: PathBuf,
        /// `NotFound` or `ConnectionRefused`.
        #[source]
        source: io::Error,
    },
    /// The listener has so many unaccepted connections that ours did not get in before the deadline.
    #[error("the listener on `{}` accepted nobody within {after:?}", path.display())]
    Busy {
        /// The path dialled.
        path: PathBuf,
        /// The deadline that passed, see [`Options::handshake_timeout`](crate::Options).
        after: Duration,
    },
    /// Any other failure to connect, such as a missing right.
    #[error("could not connect to `{}`", path.display())]
    Io {
        /// The path dialled.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Somebody answered, but did not become a peer.
    #[error("no SP connection came about on `{}`", path.display())]
    Handshake {
        /// The path dialled.
        path: PathBuf,
        /// Why not.
        #[source]
        source: HandshakeError,
    },
}

/// Nothing more can be received from this connection.
///
/// An orderly end is not an error: receiving functions say `None` then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The peer broke the framing, exceeded the limit or left amid a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The operating system reported an error.
    #[error("could not read from the peer")]
    Io(#[source] io::Error),
    /// A REQ side can only receive after it has sent.
    #[error("no request is waiting for a reply")]
    NoRequest,
}

/// A message was not, or not completely, handed to the operating system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message is longer than allowed. Nothing was written; the connection is still good.
    #[error("a message of {length} bytes exceeds the limit of {limit} bytes for this peer")]
    TooLong {
        /// Length of the message with its request header, in bytes.
        length: usize,
        /// See [`Options::max_send`](crate::Options).
        limit: usize,
    },
    /// The peer has closed the connection.
    #[error("the peer closed the connection")]
    Closed,
    /// An earlier send ended in the middle of a frame, because it was cancelled, timed out or
    /// failed. A frame is never resumed, so this connection can only be dropped.
    #[error("an earlier message was written only in part, the connection is not usable any more")]
    Poisoned,
    /// The operating system reported an error.
    #[error("could not write to the peer")]
    Io(#[source] io::Error),
    /// A REQ side has nothing to send again.
    #[error("no request is waiting for a reply")]
    NoRequest,
}

/// A connection was asked to play a role other than the one it was opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection was opened as {opened} and cannot be used as {wanted}")]
pub struct RoleError {
    /// The role it was opened with.
    pub opened: Protocol,
    /// The role asked for.
    pub wanted: Protocol,
}
