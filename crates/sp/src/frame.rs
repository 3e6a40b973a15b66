//! The framing of messages, as pure functions over bytes.
//!
//! A frame is `01`, the length of the payload as eight bytes (big endian), and the payload. This
//! module does no input or output; it is what the connections are built on and what is fuzzed.
//! Entry point: [`Decoder`].

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Length in bytes of what stands before each payload.
pub const FRAME_HEADER_LEN: usize = 9;

/// The first byte of each frame. (nng closes the connection on any other value, mangos does not look.)
pub const MARKER: u8 = 1;

/// How much is asked for at first; grows while reads fill it completely.
const FIRST_CHUNK: usize = 8 * 1024;
const LARGEST_CHUNK: usize = TRUSTED;
/// Below this much free space a new piece of memory is taken.
const LEAST_ROOM: usize = 2 * 1024;
/// Room given on the strength of an announced length alone. Beyond it, what has really arrived
/// decides: the room at most doubles it.
const TRUSTED: usize = 256 * 1024;
/// After a frame longer than this its memory is not kept for the frames to come.
const DETACH_ABOVE: usize = 64 * 1024;

/// The bytes received are no sequence of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame began with another byte than [`MARKER`].
    #[error("a frame begins with {found:#04x} instead of 0x01")]
    Marker {
        /// The byte found.
        found: u8,
    },
    /// A frame announced a payload longer than allowed; nothing was reserved for it.
    #[error("a frame of {length} bytes exceeds the limit of {limit} bytes")]
    TooLong {
        /// The length announced, in bytes.
        length: u64,
        /// The longest payload allowed, in bytes.
        limit: usize,
    },
    /// The bytes ended in the middle of a frame.
    #[error("the connection ended after {received} bytes of an incomplete frame")]
    Truncated {
        /// How many bytes of that frame had arrived, its header included.
        received: usize,
    },
}

/// The header of a frame with a payload of `length` bytes.
pub const fn header(length: usize) -> [u8; FRAME_HEADER_LEN] {
    let l = (length as u64).to_be_bytes();
    [MARKER, l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7]]
}

/// Appends one whole frame to `out`.
pub fn encode(payload: &[u8], out: &mut impl BufMut) {
    out.put_slice(&header(payload.len()));
    out.put_slice(payload);
}

/// Takes bytes in any portions and gives back the payloads of the frames in them.
///
/// Payloads are slices of the memory into which the bytes were read; they are not copied.
/// After an error the decoder stays at that error, because the place of the next frame is unknown.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
    chunk: usize,
    failed: Option<FrameError>,
}

impl Decoder {
    /// A decoder that refuses payloads longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit,
            chunk: FIRST_CHUNK,
            failed: None,
        }
    }

    /// Takes a copy of `bytes`, which follow those given before.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The payload of the next frame, or `None` when more bytes are needed first.
    ///
    /// # Errors
    ///
    /// [`FrameError::Marker`] and [`FrameError::TooLong`], as soon as the header shows it.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Some(length) = self
            .announced()
            .inspect_err(|error| self.failed = Some(*error))?
        else {
            return Ok(None);
        };
        if self.buffer.len() - FRAME_HEADER_LEN < length {
            return Ok(None);
        }
        self.buffer.advance(FRAME_HEADER_LEN);
        if length == 0 {
            // An empty slice would keep the whole buffer alive for nothing.
            return Ok(Some(Bytes::new()));
        }
        let payload = self.buffer.split_to(length).freeze();
        if length > DETACH_ABOVE {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Ok(Some(payload))
    }

    /// Says whether the bytes may end here.
    ///
    /// # Errors
    ///
    /// [`FrameError::Truncated`] when a frame is incomplete, or the error found before.
    pub fn finish(&self) -> Result<(), FrameError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.buffer.is_empty() => Ok(()),
            None => Err(FrameError::Truncated {
                received: self.buffer.len(),
            }),
        }
    }

    /// How many bytes were received and not yet given back.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// How much memory is held at present, in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The buffer with free space at its end, for reading straight into it. Report what was read
    /// to [`filled`](Self::filled).
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        let missing = match self.announced() {
            Ok(Some(length)) => length
                .saturating_add(FRAME_HEADER_LEN)
                .saturating_sub(self.buffer.len()),
            _ => 0,
        };
        let (least, wanted) = if missing == 0 {
            (LEAST_ROOM, self.chunk)
        } else {
            let earned = TRUSTED.max(self.buffer.len());
            (missing.min(LEAST_ROOM), missing.clamp(self.chunk, earned))
        };
        if self.buffer.capacity() - self.buffer.len() < least {
            self.buffer.reserve(wanted);
        }
        &mut self.buffer
    }

    /// Learns from a read of `read` bytes how much to ask for next time.
    pub(crate) fn filled(&mut self, read: usize) {
        if read >= self.chunk / 2 {
            self.chunk = (self.chunk * 2).min(LARGEST_CHUNK);
        }
    }

    /// The payload length in the header at the front, once that header is complete.
    fn announced(&self) -> Result<Option<usize>, FrameError> {
        match self.buffer.first() {
            None | Some(&MARKER) => {}
            Some(&found) => return Err(FrameError::Marker { found }),
        }
        let Some(header) = self.buffer.first_chunk::<FRAME_HEADER_LEN>() else {
            return Ok(None);
        };
        let [_, length @ ..] = *header;
        let length = u64::from_be_bytes(length);
        match usize::try_from(length) {
            Ok(fits) if fits <= self.limit => Ok(Some(fits)),
            _ => Err(FrameError::TooLong {
                length,
                limit: self.limit,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `bytes` through the decoder's own room, as a connection does.
    fn feed(decoder: &mut Decoder, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = decoder.room();
            let count = bytes.len().min(room.capacity() - room.len());
            assert!(count > 0, "no room to read into");
            room.put_slice(&bytes[..count]);
            decoder.filled(count);
            bytes = &bytes[count..];
        }
    }

    #[test]
    fn an_announced_length_alone_takes_little_memory() {
        let mut decoder = Decoder::new(usize::MAX);
        feed(&mut decoder, &header(1 << 40));
        decoder.room();
        assert!(
            decoder.capacity() <= 2 * TRUSTED,
            "{} bytes",
            decoder.capacity()
        );
        feed(&mut decoder, &vec![0; 1 << 20]);
        decoder.room();
        assert!(
            decoder.capacity() <= 5 << 20,
            "{} bytes",
            decoder.capacity()
        );
    }

    #[test]
    fn the_memory_of_a_long_message_is_not_kept() {
        let mut decoder = Decoder::new(usize::MAX);
        let mut wire = Vec::new();
        encode(&vec![1; 8 << 20], &mut wire);
        encode(b"next", &mut wire);
        feed(&mut decoder, &wire);
        let long = decoder.next_frame().unwrap().unwrap();
        assert_eq!(long.len(), 8 << 20);
        let next = decoder.next_frame().unwrap().unwrap();
        assert_eq!(next, "next");
        let place_in_memory_of_long = long.as_ptr_range().end.wrapping_add(FRAME_HEADER_LEN);
        assert_ne!(next.as_ptr(), place_in_memory_of_long);
        assert!(
            decoder.capacity() <= LARGEST_CHUNK,
            "{} bytes",
            decoder.capacity()
        );
    }

    #[test]
    fn messages_that_are_dropped_leave_their_memory_to_the_next() {
        let mut decoder = Decoder::new(1000);
        let mut wire = Vec::new();
        encode(&[1; 100], &mut wire);
        feed(&mut decoder, &wire);
        let mut places = std::collections::HashSet::new();
        for _ in 0..10_000 {
            drop(decoder.next_frame().unwrap().unwrap());
            places.insert(decoder.room().as_ptr() as usize / FIRST_CHUNK);
            feed(&mut decoder, &wire);
        }
        assert!(places.len() <= 4, "{} different places", places.len());
    }
}
