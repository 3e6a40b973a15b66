//! The receiving end of a pipeline.

use bytes::Bytes;

use crate::RecvError;
use crate::wire::{FrameReader, FrameWriter};

/// A connection that receives messages and sends none.
#[derive(Debug)]
pub struct PullConnection {
    reader: FrameReader,
    /// Never used, but to close it would close the connection in the eyes of the peer.
    _writer: FrameWriter,
}

impl PullConnection {
    pub(crate) fn new(reader: FrameReader, writer: FrameWriter) -> Self {
        Self {
            reader,
            _writer: writer,
        }
    }

    /// The next message; `None` when the peer has closed and everything it sent was returned.
    /// Cancelling this loses nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError::Frame`] and [`RecvError::Io`]; nothing can be received after either.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        self.reader.next().await
    }

    /// The next message if it has already been read from the socket together with an earlier one.
    /// `None` says nothing about whether the peer is still there.
    ///
    /// # Errors
    ///
    /// [`RecvError::Frame`].
    pub fn try_recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        self.reader.next_buffered()
    }

    /// Waits for a message and appends it to `out`, with those that came along in the same read,
    /// at most `limit` in all. Returns how many; 0 when the peer has closed (or `limit` is 0).
    /// Cancelling this loses nothing.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv). An error found after a message is kept for the next call.
    pub async fn recv_many(
        &mut self,
        out: &mut Vec<Bytes>,
        limit: usize,
    ) -> Result<usize, RecvError> {
        if limit == 0 {
            return Ok(0);
        }
        let Some(first) = self.reader.next().await? else {
            return Ok(0);
        };
        out.push(first);
        let mut count = 1;
        while count < limit {
            let Ok(Some(message)) = self.reader.next_buffered() else {
                break;
            };
            out.push(message);
            count += 1;
        }
        Ok(count)
    }
}
