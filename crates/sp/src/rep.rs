//! The REP side: one connection with one asking peer.

use crate::wire::{FrameReader, FrameWriter};
use crate::{Backtrace, RecvError, Request, SendError};

/// A connection that receives requests and replies to them, by their backtrace, at any time, in
/// any order, as often as wanted.
///
/// There is no state machine in here: what a request means, and whether it may be answered later,
/// is the caller's business.
#[derive(Debug)]
pub struct RepConnection {
    reader: RepReader,
    writer: RepWriter,
}

impl RepConnection {
    pub(crate) fn new(reader: FrameReader, writer: FrameWriter) -> Self {
        Self {
            reader: RepReader {
                frames: reader,
                discarded: 0,
            },
            writer: RepWriter { frames: writer },
        }
    }

    /// See [`RepReader::recv`].
    ///
    /// # Errors
    ///
    /// See [`RepReader::recv`].
    pub async fn recv(&mut self) -> Result<Option<Request>, RecvError> {
        self.reader.recv().await
    }

    /// See [`RepReader::recv_soon`].
    ///
    /// # Errors
    ///
    /// See [`RepReader::recv`].
    pub async fn recv_soon(&mut self) -> Result<Option<Request>, RecvError> {
        self.reader.recv_soon().await
    }

    /// See [`RepReader::try_recv`].
    ///
    /// # Errors
    ///
    /// See [`RepReader::try_recv`].
    pub fn try_recv(&mut self) -> Result<Option<Request>, RecvError> {
        self.reader.try_recv()
    }

    /// See [`RepWriter::reply`].
    ///
    /// # Errors
    ///
    /// See [`RepWriter::reply`].
    pub async fn reply(&mut self, to: &Backtrace, body: &[u8]) -> Result<(), SendError> {
        self.writer.reply(to, body).await
    }

    /// Both directions, to be used by different tasks.
    pub fn split(self) -> (RepReader, RepWriter) {
        (self.reader, self.writer)
    }
}

/// The receiving direction of a [`RepConnection`].
#[derive(Debug)]
pub struct RepReader {
    frames: FrameReader,
    discarded: u64,
}

impl RepReader {
    /// The next request; `None` when the peer has closed and everything it sent was returned.
    /// Cancelling this loses nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError::Frame`] and [`RecvError::Io`]; nothing can be received after either.
    pub async fn recv(&mut self) -> Result<Option<Request>, RecvError> {
        while let Some(payload) = self.frames.next().await? {
            if let Some((backtrace, body)) = Backtrace::split(payload) {
                return Ok(Some(Request { backtrace, body }));
            }
            self.discarded += 1;
        }
        Ok(None)
    }

    /// As [`recv`](Self::recv), for a request that is likely to come within microseconds, as the answer of
    /// a peer that is at work on nothing else: before the task waits, its thread looks for it for up to 50 µs,
    /// where that has paid off lately and there are cores to spare.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_soon(&mut self) -> Result<Option<Request>, RecvError> {
        while let Some(payload) = self.frames.next_soon().await? {
            if let Some((backtrace, body)) = Backtrace::split(payload) {
                return Ok(Some(Request { backtrace, body }));
            }
            self.discarded += 1;
        }
        Ok(None)
    }

    /// The next request if it has already been read from the socket together with an earlier one.
    /// `None` says nothing about whether the peer is still there.
    ///
    /// # Errors
    ///
    /// [`RecvError::Frame`].
    pub fn try_recv(&mut self) -> Result<Option<Request>, RecvError> {
        while let Some(payload) = self.frames.next_buffered()? {
            if let Some((backtrace, body)) = Backtrace::split(payload) {
                return Ok(Some(Request { backtrace, body }));
            }
            self.discarded += 1;
        }
        Ok(None)
    }

    /// How many messages had no request id and were thrown away.
    pub fn discarded(&self) -> u64 {
        self.discarded
    }
}

/// The sending direction of a [`RepConnection`]. Dropping it ends this direction, which peers take
/// for the end of the connection.
#[derive(Debug)]
pub struct RepWriter {
    frames: FrameWriter,
}

impl RepWriter {
    /// Sends `body` as the reply to the request that came with the backtrace `to`.
    ///
    /// Cancelling this in the middle of the frame poisons the connection.
    ///
    /// # Errors
    ///
    /// Each [`SendError`] except `NoRequest`.
    pub async fn reply(&mut self, to: &Backtrace, body: &[u8]) -> Result<(), SendError> {
        self.frames.send(to.as_bytes(), body).await
    }

    /// How many replies were handed to the operating system completely.
    pub fn sent(&self) -> u64 {
        self.frames.sent()
    }
}
