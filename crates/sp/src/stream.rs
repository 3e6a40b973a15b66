//! The streams a connection can run over, and their halves.
//!
//! A Unix socket is watched for what can be read, and for room to write only while there is none. A
//! socket that is watched for both, as the runtime's own are, wakes us up each time the peer takes a
//! message out of it: twice as many wake-ups for a question and its answer, and one for each message that
//! is only sent.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::{self, pipe};
use tokio::task::coop;

/// A peer that is gone is an error to us, not a signal to the process.
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
/// Writes in a row that find room at once, after which nobody watches for room any more.
const ROOM_AGAIN: u32 = 256;

/// What a connection runs over: a Unix socket, or memory in tests.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// A connected Unix stream socket.
    Unix(UnixStream),
    /// One end of [`tokio::io::duplex`].
    Memory(DuplexStream),
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<DuplexStream> for Stream {
    fn from(stream: DuplexStream) -> Self {
        Self::Memory(stream)
    }
}

impl Stream {
    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Unix(stream) => match halves(&stream) {
                Ok(halves) => halves,
                // Without a descriptor to spare it costs more wake-ups, and works as well.
                Err(_) => {
                    let (read, write) = stream.into_split();
                    (ReadHalf::Watched(read), WriteHalf::Watched(write))
                }
            },
            Self::Memory(stream) => {
                let (read, write) = tokio::io::split(stream);
                (ReadHalf::Memory(read), WriteHalf::Memory(write))
            }
        }
    }
}

/// The halves of a socket, each with a descriptor of its own, so that each is watched for itself.
fn halves(stream: &UnixStream) -> io::Result<(ReadHalf, WriteHalf)> {
    let (read, write) = (
        fcntl_dupfd_cloexec(stream, 0)?,
        fcntl_dupfd_cloexec(stream, 0)?,
    );
    // To the runtime the end of a pipe is a descriptor that is watched for one direction, which is all
    // that is wanted of it here, and below.
    let read = pipe::Receiver::from_owned_fd_unchecked(read)?;
    Ok((ReadHalf::Unix(read), WriteHalf::Unix(Writer::new(write))))
}

#[derive(Debug)]
pub(crate) enum ReadHalf {
    Unix(pipe::Receiver),
    Watched(unix::OwnedReadHalf),
    Memory(tokio::io::ReadHalf<DuplexStream>),
}

#[derive(Debug)]
pub(crate) enum WriteHalf {
    Unix(Writer),
    Watched(unix::OwnedWriteHalf),
    Memory(tokio::io::WriteHalf<DuplexStream>),
}

/// The writing direction of a socket. Dropping it ends this direction.
#[derive(Debug)]
pub(crate) struct Writer {
    socket: OwnedFd,
    /// There while there was no room lately.
    watched: Option<pipe::Sender>,
    /// Writes since then that found room at once.
    at_once: u32,
}

impl Writer {
    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            watched: None,
            at_once: 0,
        }
    }

    /// Writes by `send`; where there is no room, by `wait`, which waits for some.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(&OwnedFd) -> rustix::io::Result<usize>,
        wait: impl FnOnce(Pin<&mut pipe::Sender>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let watched = match &mut self.watched {
            Some(watched) => watched,
            none => {
                let budget = ready!(coop::poll_proceed(cx));
                match send(&self.socket) {
                    Err(Errno::AGAIN) => {
                        let again = fcntl_dupfd_cloexec(&self.socket, 0)?;
                        self.at_once = 0;
                        none.insert(pipe::Sender::from_owned_fd_unchecked(again)?)
                    }
                    outcome => {
                        budget.made_progress();
                        return Poll::Ready(outcome.map_err(io::Error::from));
                    }
                }
            }
        };
        let outcome = wait(Pin::new(watched), cx);
        if outcome.is_pending() {
            self.at_once = 0;
        } else {
            self.at_once += 1;
            if self.at_once >= ROOM_AGAIN {
                self.watched = None;
            }
        }
        outcome
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Fails where the peer has closed already, which is the end that was wanted.
        let _ = shutdown(&self.socket, Shutdown::Write);
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Memory(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl ReadHalf {
    /// Reads what has come, whatever the runtime knows of it. `None` where nothing has, and at the end
    /// and after errors, which an ordinary read tells.
    pub(crate) fn read_now(&self, into: &mut [u8]) -> Option<usize> {
        match self {
            Self::Unix(half) => {
                let (read, _) = rustix::net::recv(half, into, RecvFlags::DONTWAIT).ok()?;
                (read > 0).then_some(read)
            }
            Self::Watched(_) | Self::Memory(_) => None,
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(half) => Pin::new(half).poll_read(cx, buf),
            Self::Watched(half) => Pin::new(half).poll_read(cx, buf),
            Self::Memory(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(half) => half.poll_send(
                cx,
                |socket| rustix::net::send(socket, buf, FLAGS),
                |watched, cx| watched.poll_write(cx, buf),
            ),
            Self::Watched(half) => Pin::new(half).poll_write(cx, buf),
            Self::Memory(half) => Pin::new(half).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(half) => half.poll_send(
                cx,
                |socket| sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), FLAGS),
                |watched, cx| watched.poll_write_vectored(cx, slices),
            ),
            Self::Watched(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Self::Memory(half) => Pin::new(half).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Watched(half) => half.is_write_vectored(),
            Self::Memory(half) => half.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Watched(half) => Pin::new(half).poll_flush(cx),
            Self::Memory(half) => Pin::new(half).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(half) => Poll::Ready(Ok(shutdown(&half.socket, Shutdown::Write)?)),
            Self::Watched(half) => Pin::new(half).poll_shutdown(cx),
            Self::Memory(half) => Pin::new(half).poll_shutdown(cx),
        }
    }
}
