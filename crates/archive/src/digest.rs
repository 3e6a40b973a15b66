//! Hashing files without reading them into memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use plugyard_model::Digest;
use sha2::{Digest as _, Sha256};

/// The SHA-256 of a file and its size in bytes.
///
/// # Errors
///
/// What opening or reading the file gives.
pub fn digest_file(path: impl AsRef<Path>) -> io::Result<(Digest, u64)> {
    digest(File::open(path)?)
}

/// The SHA-256 of everything that `input` gives, and its size.
pub(crate) fn digest(mut input: impl Read) -> io::Result<(Digest, u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok((Digest::from_bytes(hash.finalize().into()), size)),
            Ok(read) => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
