//! Archives of any bytes: inspection never panics and is the same twice; what it accepts can be read whole.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plugyard_archive::{Limits, PackageReader, Policy, Zip};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { total: 1 << 24, entry: 1 << 22, ..Limits::default() };
    let policy = Policy { limits, ..Policy::default() };
    let zip = Zip::from_bytes(bytes, &policy);
    assert_eq!(zip.findings(), Zip::from_bytes(bytes, &policy).findings());
    for file in zip.listing().files() {
        match zip.read(&file.path, limits.entry) {
            Ok(content) => assert_eq!(content.len() as u64, file.size),
            Err(error) => assert!(zip.has_errors(), "accepted, but {error}"),
        }
    }
});
