//! The frame decoder on well-formed, cut and arbitrary bytes.

use plugyard_sp::Backtrace;
use plugyard_sp::frame::{self, Decoder, FrameError};
use proptest::prelude::*;

/// Feeds `wire` in the portions that `cuts` make and collects the payloads.
fn decode(wire: &[u8], cuts: &[usize], limit: usize) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
    cuts.extend([0, wire.len()]);
    cuts.sort_unstable();
    let mut decoder = Decoder::new(limit);
    let mut payloads = Vec::new();
    for portion in cuts.windows(2) {
        decoder.extend(&wire[portion[0]..portion[1]]);
        loop {
            match decoder.next_frame() {
                Ok(Some(payload)) => payloads.push(payload.to_vec()),
                Ok(None) => break,
                Err(error) => return (payloads, Err(error)),
            }
        }
    }
    (payloads, decoder.finish())
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let short = prop::collection::vec(any::<u8>(), 0..40);
    let long = (0..200_000_usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    prop::collection::vec(prop_oneof![8 => short, 1 => long], 0..12)
}

proptest! {
    #[test]
    fn what_is_encoded_comes_out_however_it_is_cut(
        sent in payloads(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut wire = Vec::new();
        for payload in &sent {
            frame::encode(payload, &mut wire);
        }
        let (received, end) = decode(&wire, &cuts, 200_000);
        prop_assert_eq!(received, sent);
        prop_assert_eq!(end, Ok(()));
    }

    #[test]
    fn where_the_cuts_are_makes_no_difference_even_for_nonsense(
        wire in prop::collection::vec(prop_oneof![Just(0), Just(1), Just(2), any::<u8>()], 0..200),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        prop_assert_eq!(decode(&wire, &cuts, 100), decode(&wire, &[], 100));
    }

    #[test]
    fn a_missing_rest_is_noticed(sent in payloads(), cut in any::<usize>()) {
        let mut wire = Vec::new();
        let mut ends = vec![0];
        for payload in &sent {
            frame::encode(payload, &mut wire);
            ends.push(wire.len());
        }
        let cut = cut % (wire.len() + 1);
        let whole = ends.iter().rposition(|end| *end <= cut).unwrap();
        let (received, end) = decode(&wire[..cut], &[], 200_000);
        prop_assert_eq!(&received[..], &sent[..whole]);
        let rest = cut - ends[whole];
        let expected = if rest == 0 { Ok(()) } else { Err(FrameError::Truncated { received: rest }) };
        prop_assert_eq!(end, expected);
    }

    #[test]
    fn a_backtrace_is_what_stood_in_front_of_the_body(
        payload in prop::collection::vec(prop_oneof![Just(0), Just(0x80), any::<u8>()], 0..50),
    ) {
        if let Some((backtrace, body)) = Backtrace::split(payload.clone().into()) {
            prop_assert_eq!([backtrace.as_bytes(), &body[..]].concat(), payload);
            prop_assert!(backtrace.id() >= 0x8000_0000);
        }
    }
}

#[test]
fn the_header_is_the_documented_bytes() {
    assert_eq!(frame::header(13), [1, 0, 0, 0, 0, 0, 0, 0, 0x0D]);
    assert_eq!(frame::header(0x0102_0304), [1, 0, 0, 0, 0, 1, 2, 3, 4]);
}

#[test]
fn another_first_byte_is_refused_at_once_and_for_good() {
    let mut decoder = Decoder::new(100);
    decoder.extend(&[0]);
    assert_eq!(decoder.next_frame(), Err(FrameError::Marker { found: 0 }));
    decoder.extend(&frame::header(0));
    assert_eq!(decoder.next_frame(), Err(FrameError::Marker { found: 0 }));
    assert_eq!(decoder.finish(), Err(FrameError::Marker { found: 0 }));
}

#[test]
fn the_limit_itself_passes_and_one_more_does_not() {
    let mut decoder = Decoder::new(3);
    decoder.extend(&[1, 0, 0, 0, 0, 0, 0, 0, 3, 7, 8, 9]);
    assert_eq!(
        decoder.next_frame().unwrap().as_deref(),
        Some(&[7, 8, 9][..])
    );
    decoder.extend(&[1, 0, 0, 0, 0, 0, 0, 0, 4]);
    assert_eq!(
        decoder.next_frame(),
        Err(FrameError::TooLong {
            length: 4,
            limit: 3
        })
    );
}

#[test]
fn the_longest_length_there_is_does_not_overflow() {
    for limit in [64 << 20, usize::MAX] {
        let mut decoder = Decoder::new(limit);
        decoder.extend(&[1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        let verdict = decoder.next_frame();
        if limit == usize::MAX {
            assert_eq!(verdict, Ok(None));
        } else {
            assert_eq!(
                verdict,
                Err(FrameError::TooLong {
                    length: u64::MAX,
                    limit
                })
            );
        }
    }
}
