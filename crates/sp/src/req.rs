//! The REQ side.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;

use crate::request::REQUEST_BIT;
use crate::wire::{FrameReader, FrameWriter};
use crate::{Backtrace, Connection, Protocol, RecvError, RoleError, SendError};

/// A connection that asks one question at a time.
#[derive(Debug)]
pub struct ReqConnection {
    reader: FrameReader,
    writer: FrameWriter,
    next_id: u32,
    outstanding: Option<(Backtrace, Bytes)>,
}

impl ReqConnection {
    pub(crate) fn new(reader: FrameReader, writer: FrameWriter) -> Self {
        // Chance only keeps ids of different connections apart, nothing depends on its quality.
        let seed = RandomState::new().build_hasher().finish().to_be_bytes();
        let [a, b, c, d, ..] = seed;
        Self {
            reader,
            writer,
            next_id: u32::from_be_bytes([a, b, c, d]),
            outstanding: None,
        }
    }

    /// Sends a request and gives up the one before, whose reply will be ignored. Returns its id:
    /// the top bit is set, and each request has the id of the one before plus one.
    ///
    /// Cancelling this in the middle of the frame poisons the connection.
    ///
    /// # Errors
    ///
    /// Each [`SendError`] except `NoRequest`. The request counts as outstanding even then, so that
    /// it can be [sent again](Self::resend) after a [reconnect](Self::reconnect).
    pub async fn send(&mut self, body: impl Into<Bytes>) -> Result<u32, SendError> {
        let backtrace = Backtrace::direct(self.next_id | REQUEST_BIT);
        self.next_id = self.next_id.wrapping_add(1);
        self.outstanding = Some((backtrace, body.into()));
        self.resend().await?;
        Ok(backtrace.id())
    }

    /// Sends the outstanding request again, with the same id.
    ///
    /// # Errors
    ///
    /// [`SendError::NoRequest`] when none is outstanding, else as [`send`](Self::send).
    pub async fn resend(&mut self) -> Result<(), SendError> {
        let (backtrace, body) = self.outstanding.as_ref().ok_or(SendError::NoRequest)?;
        self.writer.send(backtrace.as_bytes(), body).await
    }

    /// The reply to the outstanding request; replies with another id are ignored. `None` when the
    /// peer has closed; the request stays outstanding then. Cancelling this loses nothing.
    ///
    /// # Errors
    ///
    /// [`RecvError::NoRequest`] when no request is outstanding, else [`RecvError::Frame`] and
    /// [`RecvError::Io`].
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        let wanted = self.outstanding_id().ok_or(RecvError::NoRequest)?;
        while let Some(payload) = self.reader.next().await? {
            match Backtrace::split(payload) {
                Some((backtrace, body)) if backtrace == Backtrace::direct(wanted) => {
                    self.outstanding = None;
                    return Ok(Some(body));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Gives the outstanding request up: [`recv`](Self::recv) needs a new one first.
    pub fn forget(&mut self) {
        self.outstanding = None;
    }

    /// The id of the request that waits for its reply.
    pub fn outstanding_id(&self) -> Option<u32> {
        self.outstanding
            .as_ref()
            .map(|(backtrace, _)| backtrace.id())
    }

    /// Goes on with another connection in place of this one; ids continue, and the outstanding
    /// request can be [sent again](Self::resend).
    ///
    /// # Errors
    ///
    /// [`RoleError`] when the connection was not opened as [`Protocol::Req`].
    pub fn reconnect(&mut self, connection: Connection) -> Result<(), RoleError> {
        (self.reader, self.writer) = connection.into_halves(Protocol::Req)?;
        Ok(())
    }
}
