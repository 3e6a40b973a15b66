//! The sending end of a pipeline.

use crate::SendError;
use crate::wire::{FrameReader, FrameWriter};

/// A connection that sends messages; whatever the peer sends is thrown away.
///
/// A frame once begun is never resumed. When a sending future is dropped before it is done (by a
/// timeout, say) the connection may be left in the middle of a frame; every later send then says
/// [`SendError::Poisoned`]. [`sent`](Self::sent) tells exactly how many messages went out whole.
#[derive(Debug)]
pub struct PushConnection {
    sender: PushSender,
    watcher: PushWatcher,
}

impl PushConnection {
    pub(crate) fn new(reader: FrameReader, writer: FrameWriter) -> Self {
        Self {
            sender: PushSender { frames: writer },
            watcher: PushWatcher { frames: reader },
        }
    }

    /// See [`PushSender::send`].
    ///
    /// # Errors
    ///
    /// See [`PushSender::send`].
    pub async fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.sender.send(message).await
    }

    /// See [`PushSender::send_many`].
    ///
    /// # Errors
    ///
    /// See [`PushSender::send_many`].
    pub async fn send_many<T: AsRef<[u8]>>(&mut self, messages: &[T]) -> Result<(), SendError> {
        self.sender.send_many(messages).await
    }

    /// See [`PushSender::sent`].
    pub fn sent(&self) -> u64 {
        self.sender.sent()
    }

    /// See [`PushWatcher::closed`].
    pub async fn closed(&mut self) {
        self.watcher.closed().await;
    }

    /// Says that nothing more will come, and waits until the peer closes, which SP libraries do
    /// when they have read everything up to that point.
    ///
    /// So when this succeeds, the peer has taken over all messages. Without it, nobody knows, and
    /// what is sent on another connection to the same peer may overtake what it has not read yet.
    /// A peer that does not read keeps this waiting: set a deadline.
    ///
    /// # Errors
    ///
    /// [`SendError::Poisoned`] when the last frame is incomplete, [`SendError::Closed`] and
    /// [`SendError::Io`] when the peer cannot be told.
    pub async fn drain(mut self) -> Result<(), SendError> {
        self.sender.frames.shutdown().await?;
        self.watcher.closed().await;
        Ok(())
    }

    /// Both directions, to be used by different tasks.
    pub fn split(self) -> (PushSender, PushWatcher) {
        (self.sender, self.watcher)
    }
}

/// The sending direction of a [`PushConnection`]. Dropping it ends this direction, which peers take
/// for the end of the connection.
#[derive(Debug)]
pub struct PushSender {
    frames: FrameWriter,
}

impl PushSender {
    /// Hands one message to the operating system; waits while the peer does not keep up.
    ///
    /// # Errors
    ///
    /// Each [`SendError`] except `NoRequest`.
    pub async fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        self.frames.send(&[], message).await
    }

    /// Hands several messages to the operating system with as few system calls as possible.
    ///
    /// # Errors
    ///
    /// Each [`SendError`] except `NoRequest`. With [`SendError::TooLong`] none of the messages was
    /// sent; otherwise [`sent`](Self::sent) tells how many were.
    pub async fn send_many<T: AsRef<[u8]>>(&mut self, messages: &[T]) -> Result<(), SendError> {
        self.frames.send_many(messages).await
    }

    /// How many messages were handed to the operating system completely.
    pub fn sent(&self) -> u64 {
        self.frames.sent()
    }
}

/// Notices the end of a [`PushConnection`].
#[derive(Debug)]
pub struct PushWatcher {
    frames: FrameReader,
}

impl PushWatcher {
    /// Resolves when the peer has closed the connection; at once when called again.
    /// Cancelling this loses nothing.
    pub async fn closed(&mut self) {
        self.frames.drain().await;
    }
}
