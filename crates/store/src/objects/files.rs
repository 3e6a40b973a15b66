//! Hashing and moving files so that they last.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use plugyard_model::Digest;
use sha2::{Digest as _, Sha256};

/// Moves a file with the bytes of `digest` to `to`; one with others stays. Says which digest it has.
pub(super) fn verify_and_move(from: &Path, to: &Path, digest: &Digest) -> io::Result<Digest> {
    let found = hash(from)?;
    if found == *digest {
        move_durably(from, to)?;
    }
    Ok(found)
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_bytes(hash.finalize().into())),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A rename, not a copy: packages are large, and staging is on the same file system as a rule.
/// A file that is at `to` already stays; only `from` is removed.
pub(super) fn move_durably(from: &Path, to: &Path) -> io::Result<()> {
    let directory = to.parent().unwrap_or(Path::new("/"));
    if to.exists() {
        return std::fs::remove_file(from);
    }
    File::open(from)?.sync_all()?;
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            // The name beside the final one is taken by nobody else: digests have no dot.
            let near = to.with_extension("part");
            std::fs::copy(from, &near)?;
            File::open(&near)?.sync_all()?;
            std::fs::rename(&near, to)?;
            std::fs::remove_file(from)?;
        }
        other => other?,
    }
    File::open(directory)?.sync_all()
}
