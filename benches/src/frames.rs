//! Frames over a blocking socket, one buffer for each direction: for the minimal loop and the bare plugin.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::ops::Range;
use std::os::unix::net::UnixStream;

/// Low byte of a protocol's number: who asks.
pub const REQ: u8 = 0x30;
/// Who answers.
pub const REP: u8 = 0x31;
/// Who sends.
pub const PUSH: u8 = 0x50;
/// Who receives.
pub const PULL: u8 = 0x51;

/// Bytes in front of each payload: the marker and the length.
const HEADER: usize = 9;

/// A connection that carries frames.
#[derive(Debug)]
pub struct Line {
    stream: UnixStream,
    /// Holds more than any message here, and many small ones.
    input: Box<[u8]>,
    unread: Range<usize>,
    output: Vec<u8>,
}

impl Line {
    /// Exchanges headers; `role` is the low byte of our protocol's number.
    pub fn new(mut stream: UnixStream, role: u8) -> io::Result<Self> {
        stream.write_all(&[0, b'S', b'P', 0, 0, role, 0, 0])?;
        let mut theirs = [0; 8];
        stream.read_exact(&mut theirs)?;
        // REQ and REP, PUSH and PULL differ in the last bit.
        if theirs != [0, b'S', b'P', 0, 0, role ^ 1, 0, 0] {
            return Err(ErrorKind::InvalidData.into());
        }
        let (input, unread, output) = (vec![0; 256 * 1024].into(), 0..0, Vec::new());
        Ok(Self {
            stream,
            input,
            unread,
            output,
        })
    }

    /// The socket.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The next payload, read from the socket where none is left of the last read.
    pub fn frame(&mut self) -> io::Result<Range<usize>> {
        loop {
            if let Some(payload) = self.buffered() {
                return Ok(payload);
            }
            if self.unread.is_empty() || self.unread.end == self.input.len() {
                self.input.copy_within(self.unread.clone(), 0);
                self.unread = 0..self.unread.len();
            }
            match self.stream.read(&mut self.input[self.unread.end..])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => self.unread.end += read,
            }
        }
    }

    /// The next payload if it was read already.
    pub fn buffered(&mut self) -> Option<Range<usize>> {
        let held = &self.input[self.unread.clone()];
        let length = u64::from_be_bytes(*held.get(1..)?.first_chunk()?);
        let to = HEADER.checked_add(usize::try_from(length).ok()?)?;
        let from = self.unread.start + HEADER;
        self.unread.start += held.get(..to)?.len();
        Some(from..self.unread.start)
    }

    /// The bytes of a payload, until more is read.
    pub fn bytes(&self, payload: Range<usize>) -> &[u8] {
        &self.input[payload]
    }

    /// Appends a frame to what is to be written.
    pub fn push(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.output.push(1);
        self.output
            .extend_from_slice(&(length as u64).to_be_bytes());
        for part in parts {
            self.output.extend_from_slice(part);
        }
    }

    /// Writes it.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }
}
