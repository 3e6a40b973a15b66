//! Frames and backtraces: any bytes, in two portions, give what they give in one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plugyard_sp::Backtrace;
use plugyard_sp::frame::{self, Decoder, FrameError};

const LIMIT: usize = 1 << 20;

fn decode(portions: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut payloads = Vec::new();
    for portion in portions {
        decoder.extend(portion);
        while let Ok(Some(payload)) = decoder.next_frame() {
            payloads.push(payload.to_vec());
            if let Some((backtrace, body)) = Backtrace::split(payload.clone()) {
                assert_eq!([backtrace.as_bytes(), &body[..]].concat(), payload);
            }
        }
    }
    (payloads, decoder.finish())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, wire)) = bytes.split_first() else { return };
    let cut = usize::from(*cut).min(wire.len());
    let whole = decode(&[wire]);
    assert_eq!(whole, decode(&[&wire[..cut], &wire[cut..]]));
    if whole.1.is_ok() {
        let mut again = Vec::new();
        for payload in &whole.0 {
            frame::encode(payload, &mut again);
        }
        assert_eq!(again, wire);
    }
});
