//! Frames over a stream: what all roles share.

use std::io::{self, IoSlice};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::frame::{self, Decoder, FRAME_HEADER_LEN};
use crate::glance::Glance;
use crate::stream::{ReadHalf, WriteHalf};
use crate::{RecvError, SendError};

/// Payloads up to this length are copied into the coalescing buffer, which is cheaper than one
/// more slice per system call; longer ones are written from where they are.
const COPY_UP_TO: usize = 16 * 1024;
/// Bytes of an answer that is looked for; the rest of a longer one is read as usual.
const AT_ONCE: usize = 4 * 1024;
/// A system call is made when this much has been gathered.
const GATHER: usize = 64 * 1024;

/// Reads frames. Cancelling a read loses nothing.
#[derive(Debug)]
pub(crate) struct FrameReader {
    io: ReadHalf,
    decoder: Decoder,
    ended: bool,
    glance: Glance,
    /// What an answer that is looked for is read into; there once one was.
    looked: Box<[u8]>,
}

impl FrameReader {
    pub(crate) fn new(io: ReadHalf, limit: usize) -> Self {
        Self {
            io,
            decoder: Decoder::new(limit),
            ended: false,
            glance: Glance::default(),
            looked: Box::default(),
        }
    }

    /// As [`next`](Self::next), where it is likely to come within microseconds.
    pub(crate) async fn next_soon(&mut self) -> Result<Option<Bytes>, RecvError> {
        if let Some(payload) = self.decoder.next_frame()? {
            return Ok(Some(payload));
        }
        if self.glance.is_due() {
            self.look();
        }
        self.next().await
    }

    fn look(&mut self) {
        if self.looked.is_empty() {
            self.looked = vec![0; AT_ONCE].into();
        }
        let (io, read) = (&mut self.io, &mut self.looked);
        let count = if Glance::has_one_core() {
            self.glance.doze(|| io.read_within_a_tick(read))
        } else {
            self.glance.look(|| io.read_now(read))
        };
        if let Some(count) = count {
            self.decoder.room();
            self.decoder.extend(&self.looked[..count]);
        }
    }

    /// The next payload; `None` after the peer closed and everything complete has been returned.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RecvError> {
        loop {
            if let Some(payload) = self.decoder.next_frame()? {
                return Ok(Some(payload));
            }
            if self.ended {
                self.decoder.finish()?;
                return Ok(None);
            }
            match self.io.read_buf(self.decoder.room()).await {
                Ok(0) => self.ended = true,
                Ok(read) => self.decoder.filled(read),
                // Said after the last byte to a reader whose peer left without having read
                // everything we sent, which is as good an end as any other.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => return Err(RecvError::Io(error)),
            }
        }
    }

    /// The next payload if it has already been read from the socket.
    pub(crate) fn next_buffered(&mut self) -> Result<Option<Bytes>, RecvError> {
        Ok(self.decoder.next_frame()?)
    }

    /// Reads and forgets until the peer closes.
    pub(crate) async fn drain(&mut self) {
        let mut unwanted = [0; 1024];
        while !self.ended {
            self.ended = !matches!(self.io.read(&mut unwanted).await, Ok(1..));
        }
    }
}

/// Writes frames, several with one system call where it can.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    io: WriteHalf,
    limit: usize,
    gathered: Vec<u8>,
    /// Where the frames of the write under way end, counted from its beginning.
    ends: Vec<usize>,
    sent: u64,
    /// The last byte written was not the last of its frame.
    amid_frame: bool,
}

impl FrameWriter {
    pub(crate) fn new(io: WriteHalf, limit: usize) -> Self {
        Self {
            io,
            limit,
            gathered: Vec::new(),
            ends: Vec::new(),
            sent: 0,
            amid_frame: false,
        }
    }

    /// How many frames were written completely.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes one frame whose payload is `head` and `body`.
    pub(crate) async fn send(&mut self, head: &[u8], body: &[u8]) -> Result<(), SendError> {
        self.check(head.len() + body.len())?;
        self.begin()?;
        let tail = self.gather(head, body);
        self.write(tail).await
    }

    /// Writes one frame for each payload.
    pub(crate) async fn send_many<T: AsRef<[u8]>>(
        &mut self,
        payloads: &[T],
    ) -> Result<(), SendError> {
        let mut length = 0;
        for payload in payloads {
            let own = payload.as_ref().len();
            self.check(own)?;
            length += FRAME_HEADER_LEN + own;
        }
        self.begin()?;
        self.gathered.reserve(length.min(GATHER));
        for payload in payloads {
            let tail = self.gather(&[], payload.as_ref());
            if !tail.is_empty() || self.gathered.len() >= GATHER {
                self.write(tail).await?;
                self.begin()?;
            }
        }
        self.write(&[]).await
    }

    /// Tells the peer that nothing more will come.
    pub(crate) async fn shutdown(&mut self) -> Result<(), SendError> {
        if self.amid_frame {
            return Err(SendError::Poisoned);
        }
        self.io.shutdown().await.map_err(send_error)
    }

    fn check(&self, length: usize) -> Result<(), SendError> {
        if length > self.limit {
            return Err(SendError::TooLong {
                length,
                limit: self.limit,
            });
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), SendError> {
        if self.amid_frame {
            return Err(SendError::Poisoned);
        }
        self.gathered.clear();
        self.ends.clear();
        Ok(())
    }

    /// Appends a frame to what is to be written; returns what has to be written after it.
    fn gather<'a>(&mut self, head: &[u8], body: &'a [u8]) -> &'a [u8] {
        self.gathered
            .extend_from_slice(&frame::header(head.len() + body.len()));
        self.gathered.extend_from_slice(head);
        let tail = if body.len() <= COPY_UP_TO {
            self.gathered.extend_from_slice(body);
            &[]
        } else {
            body
        };
        self.ends.push(self.gathered.len() + tail.len());
        tail
    }

    /// Writes what was gathered, then `tail`. Keeps the books after each system call, so that
    /// they are right whenever the caller gives up.
    async fn write(&mut self, tail: &[u8]) -> Result<(), SendError> {
        let total = self.gathered.len() + tail.len();
        let mut written = 0;
        let mut complete = 0;
        while written < total {
            let step = match self.gathered.get(written..) {
                Some(rest) if !rest.is_empty() && tail.is_empty() => self.io.write(rest).await,
                Some(rest) if !rest.is_empty() => {
                    self.io
                        .write_vectored(&[IoSlice::new(rest), IoSlice::new(tail)])
                        .await
                }
                _ => self.io.write(&tail[written - self.gathered.len()..]).await,
            };
            match step {
                Ok(0) => return Err(SendError::Closed),
                Ok(count) => written += count,
                Err(error) => return Err(send_error(error)),
            }
            if written == total {
                self.sent += (self.ends.len() - complete) as u64;
                self.amid_frame = false;
                return Ok(());
            }
            while self.ends.get(complete).is_some_and(|end| *end <= written) {
                complete += 1;
                self.sent += 1;
            }
            let boundary = complete.checked_sub(1).map_or(0, |last| self.ends[last]);
            self.amid_frame = written > boundary;
        }
        Ok(())
    }
}

fn send_error(error: io::Error) -> SendError {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::NotConnected => SendError::Closed,
        _ => SendError::Io(error),
    }
}
