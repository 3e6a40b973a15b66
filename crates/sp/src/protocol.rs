//! The four roles and the eight bytes with which each connection begins.

use std::fmt;

use crate::HandshakeError;

/// Length in bytes of the header that both sides send first.
pub const HEADER_LEN: usize = 8;

/// A role in one of the two patterns this crate speaks.
///
/// Source: the SP RFCs on request/reply and pipeline; the numbers are `major << 4 | role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Asks, and waits for the answer to that very question.
    Req,
    /// Answers questions, in any order.
    Rep,
    /// Sends messages one way.
    Push,
    /// Receives messages one way.
    Pull,
}

impl Protocol {
    /// The number of this role on the wire.
    pub const fn id(self) -> u16 {
        match self {
            Self::Req => 0x0030,
            Self::Rep => 0x0031,
            Self::Push => 0x0050,
            Self::Pull => 0x0051,
        }
    }

    /// The only role that the other side of a connection may have.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Req => Self::Rep,
            Self::Rep => Self::Req,
            Self::Push => Self::Pull,
            Self::Pull => Self::Push,
        }
    }

    /// The header this role sends: `00 'S' 'P' 00`, its number, `00 00`.
    pub const fn header(self) -> [u8; HEADER_LEN] {
        let id = self.id().to_be_bytes();
        [0, b'S', b'P', 0, id[0], id[1], 0, 0]
    }

    /// Judges the header received from the other side.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NotSp`] when the bytes are no SP header of version 0,
    /// [`HandshakeError::WrongPeer`] when they announce another role than [`peer`](Self::peer).
    pub fn check_peer(self, header: [u8; HEADER_LEN]) -> Result<(), HandshakeError> {
        let [0, b'S', b'P', 0, high, low, 0, 0] = header else {
            return Err(HandshakeError::NotSp { header });
        };
        let found = u16::from_be_bytes([high, low]);
        if found == self.peer().id() {
            Ok(())
        } else {
            Err(HandshakeError::WrongPeer {
                expected: self.peer(),
                found,
            })
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Push => "PUSH",
            Self::Pull => "PULL",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Protocol; 4] = [Protocol::Req, Protocol::Rep, Protocol::Push, Protocol::Pull];

    #[test]
    fn headers_are_the_documented_bytes() {
        assert_eq!(Protocol::Req.header(), [0, 0x53, 0x50, 0, 0, 0x30, 0, 0]);
        assert_eq!(Protocol::Rep.header(), [0, 0x53, 0x50, 0, 0, 0x31, 0, 0]);
        assert_eq!(Protocol::Push.header(), [0, 0x53, 0x50, 0, 0, 0x50, 0, 0]);
        assert_eq!(Protocol::Pull.header(), [0, 0x53, 0x50, 0, 0, 0x51, 0, 0]);
    }

    #[test]
    fn each_role_takes_its_counterpart_and_nothing_else() {
        for ours in ALL {
            for theirs in ALL {
                let verdict = ours.check_peer(theirs.header());
                if theirs == ours.peer() {
                    assert!(verdict.is_ok(), "{ours} refused {theirs}");
                } else {
                    assert!(
                        matches!(verdict, Err(HandshakeError::WrongPeer { expected, found })
                            if expected == ours.peer() && found == theirs.id()),
                        "{ours} took {theirs}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_byte_of_the_header_counts() {
        for position in [0, 1, 2, 3, 6, 7] {
            let mut header = Protocol::Req.header();
            header[position] ^= 0x40;
            assert!(
                matches!(
                    Protocol::Rep.check_peer(header),
                    Err(HandshakeError::NotSp { .. })
                ),
                "byte {position} was not looked at"
            );
        }
    }
}
