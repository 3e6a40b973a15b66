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
use std::time::Duration;

use rustix::io::{Errno, fcntl_dupfd_cloexec, ioctl_fionbio};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::{self, pipe};
use tokio::task::coop;

/// A peer that is gone is an error to us, not a signal to the process.
const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
/// What the kernel takes for the shortest time to wait.
const SHORTEST: Duration = Duration::from_micros(1);

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
    Ok((
        ReadHalf::Unix(Reader::new(read)),
        WriteHalf::Unix(Writer::new(write)),
    ))
}

#[derive(Debug)]
pub(crate) enum ReadHalf {
    Unix(Reader),
    Watched(unix::OwnedReadHalf),
    Memory(tokio::io::ReadHalf<DuplexStream>),
}

#[derive(Debug)]
pub(crate) enum WriteHalf {
    Unix(Writer),
    Watched(unix::OwnedWriteHalf),
    Memory(tokio::io::WriteHalf<DuplexStream>),
}

/// The reading direction of a socket.
#[derive(Debug)]
pub(crate) struct Reader {
    socket: pipe::Receiver,
    /// Whether a read of it sleeps, and does so for a tick at most; not known before it is wanted.
    sleeps: Option<bool>,
}

impl Reader {
    fn new(socket: pipe::Receiver) -> Self {
        Self {
            socket,
            sleeps: None,
        }
    }

    /// Makes reads sleep for a tick at most; whether they do. The limit comes first, because without it
    /// nothing would wake them.
    fn sleeps(&mut self) -> bool {
        *self.sleeps.get_or_insert_with(|| {
            // The kernel rounds up to the next tick of its clock.
            set_socket_timeout(&self.socket, Timeout::Recv, Some(SHORTEST))
                .and_then(|()| set_socket_timeout(&self.socket, Timeout::Send, Some(SHORTEST)))
                .and_then(|()| ioctl_fionbio(&self.socket, false))
                .is_ok()
        })
    }
}

/// The writing direction of a socket. Dropping it ends this direction.
#[derive(Debug)]
pub(crate) struct Writer {
    socket: OwnedFd,
    /// There while there is no room, and no longer: each message that the peer takes while somebody watches
    /// wakes a thread of ours, and takes a core from the peer.
    watched: Option<pipe::Sender>,
}

impl Writer {
    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            watched: None,
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
                        none.insert(pipe::Sender::from_owned_fd_unchecked(again)?)
                    }
                    outcome => {
                        budget.made_progress();
                        return Poll::Ready(outcome.map_err(io::Error::from));
                    }
                }
            }
        };
        let outcome = ready!(wait(Pin::new(watched), cx));
        self.watched = None;
        Poll::Ready(outcome)
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
            Self::Unix(half) => received(&half.socket, into, RecvFlags::DONTWAIT),
            Self::Watched(_) | Self::Memory(_) => None,
        }
    }

    /// As [`read_now`](Self::read_now), but where nothing has come, the thread sleeps until something does, for a
    /// tick of the kernel's clock (1 to 10 ms) at most.
    pub(crate) fn read_within_a_tick(&mut self, into: &mut [u8]) -> Option<usize> {
        match self {
            Self::Unix(half) => half
                .sleeps()
                .then(|| received(&half.socket, into, RecvFlags::empty()))
                .flatten(),
            Self::Watched(_) | Self::Memory(_) => None,
        }
    }
}

fn received(socket: &pipe::Receiver, into: &mut [u8], flags: RecvFlags) -> Option<usize> {
    let (read, _) = rustix::net::recv(socket, into, flags).ok()?;
    (read > 0).then_some(read)
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // Where reads sleep (see `Reader`) and the runtime is wrong in that something has come, this one
            // does so for a tick at most, and the runtime learns that it was wrong.
            Self::Unix(half) => Pin::new(&mut half.socket).poll_read(cx, buf),
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_socket_whose_reads_may_sleep_is_read_and_written_as_any_other() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut read, mut write) = Stream::from(ours).into_split();
        let mut into = [0; 64];
        assert_eq!(read.read_within_a_tick(&mut into), None, "nothing has come");
        theirs.write_all(b"one").await.unwrap();
        assert_eq!(read.read_within_a_tick(&mut into), Some(3));
        theirs.write_all(b"two").await.unwrap();
        assert_eq!(read.read_now(&mut into), Some(3));
        assert_eq!(read.read_now(&mut into), None);
        // The runtime was told of both, which are gone, and has to wait for this one.
        let late = tokio::spawn(async move {
            tokio::task::yield_now().await;
            theirs.write_all(b"three").await.unwrap();
            theirs
        });
        assert_eq!(read.read(&mut into).await.unwrap(), 5);
        let mut theirs = late.await.unwrap();
        // Far more than there is room for, so that writing has to wait.
        let long = vec![7; 4 << 20];
        let sending = tokio::spawn(async move {
            write.write_all(&long).await.unwrap();
            write
        });
        let mut taken = vec![0; 4 << 20];
        theirs.read_exact(&mut taken).await.unwrap();
        assert!(taken.iter().all(|byte| *byte == 7));
        drop(sending.await.unwrap());
        assert_eq!(theirs.read(&mut into).await.unwrap(), 0, "an end");
        drop(theirs);
        assert_eq!(
            read.read_within_a_tick(&mut into),
            None,
            "an end is nothing"
        );
        assert_eq!(read.read(&mut into).await.unwrap(), 0);
    }
}
