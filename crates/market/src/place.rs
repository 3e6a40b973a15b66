//! Where a market's public half lies: its documents and packages, in a directory or in a bucket.
//!
//! Paths are relative to the place, with `/`. Everything that is named by a version or a hash is written
//! once ([`Put::New`]); what has one name and changes is written over what was read ([`Put::Over`]), so that
//! of two who change it at once one notices.

mod bucket;
mod directory;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{ObjectStore, UpdateVersion};
use tokio::runtime::Handle;

use crate::hex::Sha256;
use crate::repository::RepositoryError;
use bucket::Bucket;

/// Where the documents and packages of a market lie.
#[derive(Debug, Clone)]
pub struct Place(Sort);

#[derive(Debug, Clone)]
enum Sort {
    Directory(PathBuf),
    Bucket(Bucket),
}

/// What was read, and what a change of it has to follow.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) bytes: Vec<u8>,
    pub(crate) state: State,
}

/// The state of something that changes.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// It is not there.
    Absent,
    /// It is there, under a lock that nobody else has.
    Locked,
    /// It is there, in this version.
    Version(UpdateVersion),
}

/// What may be there when something is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Put<'a> {
    /// Nothing, or the same bytes.
    New,
    /// What was read, or the same bytes.
    Over(&'a State),
    /// Anything.
    Any,
}

/// Held while a place is changed.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "holds the lock")] Option<directory::Lock>);

impl Place {
    /// A directory.
    #[must_use]
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self(Sort::Directory(path.into()))
    }

    /// An object store, or the part of it below a prefix. `address` is how it is called, without anything
    /// secret. The calls of a [`Repository`](crate::Repository) wait for the store on `runtime`, so they must
    /// not be made by one of its own tasks, other than with `spawn_blocking`.
    ///
    /// Where the store can put on a condition, publishers on several machines do not lose one another's
    /// changes; where it cannot, one must publish at a time.
    #[must_use]
    pub fn bucket(
        store: Arc<dyn ObjectStore>,
        address: impl Into<String>,
        runtime: Handle,
    ) -> Self {
        Self(Sort::Bucket(Bucket::new(store, address.into(), runtime)))
    }

    /// Whether private files may lie beside the public ones: in a directory, never in a bucket.
    pub(crate) fn as_directory(&self) -> Option<&Path> {
        match &self.0 {
            Sort::Directory(path) => Some(path),
            Sort::Bucket(_) => None,
        }
    }

    /// Makes sure that nobody else on this machine changes it.
    pub(crate) fn lock(&self) -> Result<Lock, RepositoryError> {
        Ok(Lock(match &self.0 {
            Sort::Directory(root) => Some(directory::Lock::take(&root.join("market.lock"))?),
            Sort::Bucket(_) => None,
        }))
    }

    /// Makes it ready to be a market, where that takes anything.
    pub(crate) fn prepare(&self) -> Result<(), RepositoryError> {
        match &self.0 {
            Sort::Directory(root) => {
                for made in ["metadata", "packages"] {
                    directory::make(&root.join(made), 0o755)?;
                }
                Ok(())
            }
            Sort::Bucket(_) => Ok(()),
        }
    }

    /// A whole file; `None` when it is not there.
    pub(crate) fn read(&self, path: &str) -> Result<Option<Found>, RepositoryError> {
        match &self.0 {
            Sort::Directory(root) => Ok(directory::read(&root.join(path))?.map(|bytes| Found {
                bytes,
                state: State::Locked,
            })),
            Sort::Bucket(bucket) => bucket.read(path),
        }
    }

    /// Writes a file, whole or not at all, durably. Gives whether it was: `false` when something else is there
    /// than `how` allows.
    pub(crate) fn put(
        &self,
        path: &str,
        bytes: &[u8],
        how: Put<'_>,
    ) -> Result<bool, RepositoryError> {
        match &self.0 {
            Sort::Directory(root) => {
                let file = root.join(path);
                if matches!(how, Put::New)
                    && let Some(there) = directory::read(&file)?
                {
                    return Ok(there == bytes);
                }
                // Who may enter with an upgrade code is nobody else's to read.
                let mode = if path == crate::repository::CODES {
                    0o600
                } else {
                    0o644
                };
                directory::write(&file, bytes, mode)?;
                Ok(true)
            }
            Sort::Bucket(bucket) => bucket.put(path, bytes, how),
        }
    }

    /// Copies a file with these bytes to a path that names them; one that is there stays.
    pub(crate) fn put_file(
        &self,
        path: &str,
        from: &Path,
        expected: (Sha256, u64),
    ) -> Result<(), RepositoryError> {
        match &self.0 {
            Sort::Directory(root) => directory::take_in(from, &root.join(path), expected),
            Sort::Bucket(bucket) => bucket.take_in(from, path, expected),
        }
    }

    /// The names of the files right below a path.
    pub(crate) fn names(&self, path: &str) -> Result<Vec<String>, RepositoryError> {
        match &self.0 {
            Sort::Directory(root) => directory::names(&root.join(path)),
            Sort::Bucket(bucket) => bucket.names(path),
        }
    }

    /// Takes a file away. That it fails is no harm: nothing names it.
    pub(crate) fn remove(&self, path: &str) {
        match &self.0 {
            Sort::Directory(root) => drop(std::fs::remove_file(root.join(path))),
            Sort::Bucket(bucket) => bucket.remove(path),
        }
    }

    /// A file's bytes from one on, as they come.
    pub(crate) async fn stream(
        &self,
        path: &str,
        begin: u64,
        size: u64,
    ) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        match &self.0 {
            Sort::Directory(root) => directory::stream(&root.join(path), begin, size).await,
            Sort::Bucket(bucket) => bucket.stream(path, begin).await,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Sort::Directory(path) => path.display().fmt(f),
            Sort::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

/// Reads a local file to its end, and tells hash and size of what went through `each`.
fn pass(
    from: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), RepositoryError>,
) -> Result<(Sha256, u64), RepositoryError> {
    use std::io::Read as _;
    let mut source = std::fs::File::open(from).map_err(directory::at(from))?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok((Sha256::finished(context.finish()), size)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(directory::at(from)(error)),
        };
        context.update(&buffer[..read]);
        size += read as u64;
        each(&buffer[..read])?;
    }
}

/// Hash and size of a local file.
pub(crate) fn hash(from: &Path) -> Result<(Sha256, u64), RepositoryError> {
    pass(from, |_| Ok(()))
}

fn changed(from: &Path) -> RepositoryError {
    RepositoryError::Damaged {
        what: from.display().to_string(),
        reason: "it was changed while it was read".to_owned(),
    }
}

pub(crate) use directory::{at, make, read as read_file, write as write_file};
