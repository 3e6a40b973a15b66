//! The home directory as the server's own: made, locked, and marked with who uses it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use plugyard_model::{Problem, codes};
use plugyard_platform::Home;
use rustix::fs::{FlockOperation, flock};

/// The problem of a home that cannot be used.
pub(crate) fn unusable(home: &Home, reason: &std::io::Error) -> Problem {
    Problem::new(codes::HOME_UNUSABLE)
        .with("path", home.root().display())
        .with("reason", reason)
}

/// Makes the directory, for this user alone, and gives its absolute path.
pub(crate) fn prepare(path: &Path) -> Result<Home, Problem> {
    let at = |reason: std::io::Error| unusable(&Home::new(path), &reason);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(at)?;
    Ok(Home::new(path.canonicalize().map_err(at)?))
}

/// Keeps other servers out for as long as the file is open; the kernel lets go when the process ends.
pub(crate) fn lock(home: &Home) -> Result<File, Problem> {
    let path = home.root().join("plugyard.lock");
    let at = |reason: std::io::Error| unusable(home, &reason);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(Problem::new(codes::HOME_IN_USE)
                .with("path", home.root().display())
                .with("holder", format!("pid {}", holder.trim())));
        }
        Err(error) => return Err(at(error.into())),
    }
    file.set_len(0).map_err(at)?;
    file.rewind().map_err(at)?;
    writeln!(file, "{}", std::process::id()).map_err(at)?;
    Ok(file)
}

/// `run/server.json`: who serves this home and where; goes when the server ends well.
pub(super) struct Record(PathBuf);

impl Record {
    pub(crate) fn write(home: &Home, address: &str) -> Result<Self, Problem> {
        let path = home.run().join("server.json");
        let record = serde_json::json!({
            "pid": std::process::id(),
            "address": format!("http://{address}"),
            "version": env!("CARGO_PKG_VERSION"),
            "started_at": jiff::Timestamp::now().as_millisecond(),
        });
        fs::write(&path, format!("{record}\n")).map_err(|error| unusable(home, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
