//! The header of requests and replies: where they came from and which they are.

use std::fmt;

use bytes::{Buf, Bytes};

/// Beyond this many words a request is taken for a loop and thrown away, as mangos and nng do.
const MAX_HOPS: usize = 8;
const WORD: usize = 4;
/// Set in the last word of a backtrace, which is the request id, and in no other.
pub(crate) const REQUEST_BIT: u32 = 0x8000_0000;

/// The way a request came: up to seven words of devices between, then the request id.
///
/// A reply carries the backtrace of its request in front. On a direct connection it is the
/// request id alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backtrace {
    bytes: [u8; MAX_HOPS * WORD],
    length: u8,
}

impl Backtrace {
    /// The backtrace of a request that came directly. The top bit is set if it was not.
    pub fn direct(id: u32) -> Self {
        let mut bytes = [0; MAX_HOPS * WORD];
        bytes[..WORD].copy_from_slice(&(id | REQUEST_BIT).to_be_bytes());
        Self { bytes, length: 4 }
    }

    /// Splits the payload of a frame into backtrace and body.
    ///
    /// `None` when there is no request id among the first eight words; such messages are to be
    /// discarded without a word.
    pub fn split(mut payload: Bytes) -> Option<(Self, Bytes)> {
        let mut bytes = [0; MAX_HOPS * WORD];
        for hop in 0..MAX_HOPS {
            let word: [u8; WORD] = *payload.get(hop * WORD..)?.first_chunk()?;
            let end = (hop + 1) * WORD;
            bytes[hop * WORD..end].copy_from_slice(&word);
            if u32::from_be_bytes(word) & REQUEST_BIT != 0 {
                payload.advance(end);
                let length = u8::try_from(end).ok()?;
                return Some((Self { bytes, length }, payload));
            }
        }
        None
    }

    /// The request id, always at least `0x8000_0000`.
    pub fn id(&self) -> u32 {
        self.as_bytes()
            .last_chunk()
            .map_or(REQUEST_BIT, |word| u32::from_be_bytes(*word))
    }

    /// The words as they stand on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backtrace(")?;
        for (hop, word) in self.as_bytes().chunks(WORD).enumerate() {
            if hop > 0 {
                f.write_str(" ")?;
            }
            for byte in word {
                write!(f, "{byte:02x}")?;
            }
        }
        f.write_str(")")
    }
}

/// A request as the REP side receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// To be given back with the reply.
    pub backtrace: Backtrace,
    /// What was asked.
    pub body: Bytes,
}

impl Request {
    /// The request id. The same id again means that the peer sent the same request again.
    pub fn id(&self) -> u32 {
        self.backtrace.id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(words: &[u32], body: &[u8]) -> Bytes {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend_from_slice(body);
        bytes.into()
    }

    #[test]
    fn a_direct_request_has_one_word() {
        let (backtrace, body) = Backtrace::split(payload(&[0xE5F8_40B4], b"handshake")).unwrap();
        assert_eq!(backtrace, Backtrace::direct(0xE5F8_40B4));
        assert_eq!(
            (backtrace.id(), &body[..]),
            (0xE5F8_40B4, &b"handshake"[..])
        );
        assert_eq!(format!("{backtrace:?}"), "Backtrace(e5f840b4)");
    }

    #[test]
    fn words_of_devices_are_kept_in_order() {
        let (backtrace, body) = Backtrace::split(payload(&[7, 9, 0x8000_0001], b"")).unwrap();
        assert_eq!(
            backtrace.as_bytes(),
            &payload(&[7, 9, 0x8000_0001], b"")[..]
        );
        assert_eq!((backtrace.id(), body.len()), (0x8000_0001, 0));
    }

    #[test]
    fn eight_words_pass_and_nine_do_not() {
        let eight = [1, 2, 3, 4, 5, 6, 7, 0x8000_0000];
        let (backtrace, body) = Backtrace::split(payload(&eight, b"x")).unwrap();
        assert_eq!((backtrace.as_bytes().len(), &body[..]), (32, &b"x"[..]));
        let nine = [1, 2, 3, 4, 5, 6, 7, 8, 0x8000_0000];
        assert!(Backtrace::split(payload(&nine, b"x")).is_none());
    }

    #[test]
    fn a_payload_without_a_request_id_is_nothing() {
        for bytes in [&b""[..], b"\x80\0\0", b"\0\0\0\x01", b"\0\0\0\x01\x80\0\0"] {
            assert!(
                Backtrace::split(Bytes::copy_from_slice(bytes)).is_none(),
                "{bytes:?}"
            );
        }
    }
}
