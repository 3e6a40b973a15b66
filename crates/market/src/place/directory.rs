//! A place in a directory: files written whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use rustix::fs::{FlockOperation, flock};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::{changed, pass};
use crate::hex::Sha256;
use crate::repository::RepositoryError;

/// Held while a directory is changed; goes with the process.
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

pub(crate) fn make(path: &Path, mode: u32) -> Result<(), RepositoryError> {
    let mut builder = DirBuilder::new();
    builder
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(at(path))
}

/// A whole file; `None` when it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, RepositoryError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

/// Puts a file in place of another, durably.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), RepositoryError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(at(path))?;
    file.write_all(bytes).map_err(at(path))?;
    settle(file, path, mode)
}

/// Copies a file with these bytes.
pub(super) fn take_in(
    from: &Path,
    to: &Path,
    expected: (Sha256, u64),
) -> Result<(), RepositoryError> {
    let directory = to.parent().unwrap_or(Path::new("."));
    make(directory, 0o755)?;
    if to.exists() {
        return Ok(());
    }
    let mut target = tempfile::NamedTempFile::new_in(directory).map_err(at(directory))?;
    let copied = pass(from, |bytes| target.write_all(bytes).map_err(at(to)))?;
    if copied != expected {
        return Err(changed(from));
    }
    settle(target, to, 0o644)
}

pub(super) fn names(path: &Path) -> Result<Vec<String>, RepositoryError> {
    let entries = fs::read_dir(path).map_err(at(path))?;
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.map_err(at(path))?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

pub(super) async fn stream(
    path: &Path,
    begin: u64,
    size: u64,
) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(SeekFrom::Start(begin)).await?;
    Ok(ReaderStream::new(file.take(size - begin)).boxed())
}

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> RepositoryError {
    move |source| RepositoryError::File {
        path: path.to_owned(),
        source,
    }
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
