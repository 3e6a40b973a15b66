//! The strict JSON reader: it accepts what serde_json accepts, and reads the same values.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plugyard_model::json::{DEPTH_MAX, Options, parse};

fuzz_target!(|bytes: &[u8]| {
    let options = Options { depth: DEPTH_MAX - 1, ..Options::default() };
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes);
    match (parse(bytes, options), theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours.root.to_serde(), theirs),
        (Ok(ours), Err(error)) => assert!(ours.bom, "only we accept: {error}"),
        (Err(error), Ok(_)) => panic!("only serde_json accepts: {error}"),
        (Err(error), Err(_)) => assert!(error.at.offset as usize <= bytes.len()),
    }
});
