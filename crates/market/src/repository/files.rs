//! Files of a market: written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::RepositoryError;
use crate::hex::Sha256;

/// What makes a directory a market.
pub(super) const SETTINGS: &str = "market.json";

/// Held while the directory is changed; goes with the process.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "holds the lock")] File);

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Self, RepositoryError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(at(path))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(io::Error::from)
            .map_err(at(path))?;
        Ok(Self(file))
    }
}

pub(super) fn make_directory(path: &Path, mode: u32) -> Result<(), RepositoryError> {
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(at(path))
}

/// A whole file; `None` when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, RepositoryError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Puts a file in place of another, durably.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), RepositoryError> {
    place(path, mode, |file| file.write_all(bytes))
}

/// Copies a file to where `name` says, given its hash, and tells size and hash.
pub(super) fn take_in(
    from: &Path,
    directory: &Path,
    name: impl FnOnce(Sha256) -> String,
) -> Result<(Sha256, u64), RepositoryError> {
    make_directory(directory, 0o755)?;
    let mut source = File::open(from).map_err(at(from))?;
    let mut target = tempfile::NamedTempFile::new_in(directory).map_err(at(directory))?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let read = source.read(&mut buffer).map_err(at(from))?;
        if read == 0 {
            break;
        }
        context.update(&buffer[..read]);
        target.write_all(&buffer[..read]).map_err(at(directory))?;
        size += read as u64;
    }
    let hash = Sha256::finished(context.finish());
    let path = directory.join(name(hash));
    settle(target, &path, 0o644)?;
    Ok((hash, size))
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> RepositoryError {
    move |source| RepositoryError::File {
        path: path.to_owned(),
        source,
    }
}

fn place(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut tempfile::NamedTempFile) -> io::Result<()>,
) -> Result<(), RepositoryError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(at(path))?;
    write(&mut file).map_err(at(path))?;
    settle(file, path, mode)
}

fn settle(file: tempfile::NamedTempFile, path: &Path, mode: u32) -> Result<(), RepositoryError> {
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(mode))
        .and_then(|()| file.as_file().sync_all())
        .map_err(at(path))?;
    file.persist(path).map_err(|error| at(path)(error.error))?;
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(at(path))
}
