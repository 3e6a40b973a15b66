//! Writing entries below a directory that is held open.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};

use plugyard_model::{Finding, Place, codes};
use rustix::fs::{AtFlags, Mode, OFlags, RawMode, fchmod, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::{Entry, Limits, PackageReader, ReadError, name, notes, tree};

/// Threads that wait for the disk at the same time: the file system writes for all of them in one go.
const AT_ONCE: usize = 8;

/// What an unpacking wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnpackReport {
    /// Files written; one that was written to two places counts twice.
    pub files: u64,
    /// Directories that the package names.
    pub directories: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Why a package was not unpacked, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The package has errors; nothing was written.
    #[error("the package has {} error(s)", findings.len())]
    Refused {
        /// The errors.
        findings: Vec<Finding>,
    },
    /// The place to write to is no directory that can be opened.
    #[error("cannot open the directory `{}`", path.display())]
    Root {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A target path is absolute, has a `..`, or is otherwise no clean relative path.
    #[error("`{path}`: path escapes from parent")]
    Target {
        /// The target path.
        path: String,
    },
    /// An entry's content turned out wrong while it was written; its file was removed.
    #[error("cannot unpack an entry")]
    Content(#[source] ReadError),
    /// An entry cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The target path below the directory.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl UnpackError {
    /// What is wrong with the package; empty when it is the disk that failed.
    pub fn findings(&self) -> Vec<Finding> {
        match self {
            Self::Refused { findings } => findings.clone(),
            Self::Content(ReadError::Output { .. } | ReadError::Input { .. })
            | Self::Root { .. }
            | Self::Write { .. } => Vec::new(),
            Self::Content(error) => vec![error.to_finding()],
            Self::Target { path } => {
                vec![Finding::error(
                    codes::ARCHIVE_NAME_TRAVERSAL,
                    Place::file(path),
                )]
            }
        }
    }
}

/// A directory that is held open to be written below. Paths are followed part by part from it, and never
/// through a link, so nothing that happens meanwhile can lead elsewhere.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

impl Root {
    /// Opens a directory, which must exist.
    ///
    /// # Errors
    ///
    /// [`UnpackError::Root`] when it does not exist, is no directory or cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, UnpackError> {
        let path = path.as_ref();
        tree::open_root(path)
            .map(|directory| Self { directory })
            .map_err(|source| UnpackError::Root {
                path: path.to_owned(),
                source,
            })
    }

    /// Opens a directory, made with its parents when it is missing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn create(path: impl AsRef<Path>) -> Result<Self, UnpackError> {
        let path = path.as_ref();
        std::fs::create_dir_all(path).map_err(|source| UnpackError::Root {
            path: path.to_owned(),
            source,
        })?;
        Self::open(path)
    }

    /// Writes one entry of a package at `target` below this directory, and answers its bytes.
    ///
    /// Missing parents are made. A file is complete, checked and on disk when it appears: it takes the
    /// place of an existing file at once. Set-uid, set-gid, sticky and the write bits of others are
    /// dropped, the owner can always read and write. Directories on disk are synced by
    /// [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// [`UnpackError::Target`], [`UnpackError::Content`] or [`UnpackError::Write`]; then `target` is as before.
    pub fn write(
        &self,
        reader: &dyn PackageReader,
        entry: &Entry,
        target: &str,
    ) -> Result<u64, UnpackError> {
        self.place(reader, entry, target, Durable::Now)
    }

    fn place(
        &self,
        reader: &dyn PackageReader,
        entry: &Entry,
        target: &str,
        durable: Durable,
    ) -> Result<u64, UnpackError> {
        // The mapping of paths is the caller's; it is held to the same rules as names in packages.
        let target = match name::clean(target.as_bytes(), 1, &Limits::default()) {
            Ok(clean) if !clean.is_empty() => clean,
            _ => {
                return Err(UnpackError::Target {
                    path: target.to_owned(),
                });
            }
        };
        let failed = |source: io::Error| UnpackError::Write {
            path: target.clone(),
            source,
        };
        if !entry.is_file() {
            let directory = tree::open_directory(&self.directory, &target, true).map_err(failed)?;
            let mode = (entry.mode & 0o755) | 0o700;
            fchmod(&directory, Mode::from_raw_mode(mode as RawMode))
                .map_err(|error| failed(error.into()))?;
            return Ok(0);
        }
        let (parent, own) = target.rsplit_once('/').unwrap_or(("", &target));
        let parent = tree::open_directory(&self.directory, parent, true).map_err(failed)?;
        let (temporary, file) = temporary(&parent).map_err(failed)?;
        let written = fill(reader, entry, file, durable).and_then(|count| {
            renameat(&parent, &temporary, &parent, own)
                .map_err(|error| Failure::Disk(error.into()))?;
            Ok(count)
        });
        written.map_err(|failure| {
            // Nothing is left of what could not be finished; a second failure here adds nothing.
            let _ = unlinkat(&parent, &temporary, AtFlags::empty());
            match failure {
                Failure::Content(ReadError::Output { source, .. }) | Failure::Disk(source) => {
                    failed(source)
                }
                Failure::Content(error) => UnpackError::Content(error),
            }
        })
    }

    /// Makes names below `directories` (paths below this directory; empty for itself) last a power failure.
    ///
    /// # Errors
    ///
    /// [`UnpackError::Write`].
    pub fn sync<'a>(
        &self,
        directories: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), UnpackError> {
        for path in directories {
            tree::open_directory(&self.directory, path, false)
                .and_then(|directory| Ok(fsync(directory)?))
                .map_err(|source| UnpackError::Write {
                    path: path.to_owned(),
                    source,
                })?;
        }
        Ok(())
    }

    fn sync_files(&self, paths: &[String]) -> Result<(), UnpackError> {
        paths.iter().try_for_each(|path| {
            tree::open_file(&self.directory, path)
                .and_then(|file| file.sync_all())
                .map_err(|source| UnpackError::Write {
                    path: path.clone(),
                    source,
                })
        })
    }
}

/// Unpacks a package below the directory `into`, which is made when it is missing.
///
/// `map` says where each entry goes below `into`: to its own path (`|entry| vec![entry.path.clone()]`), to
/// several, or nowhere. Entries that go to other directories are written with [`Root::write`]. On return,
/// files and directories are on disk; the name of `into` itself is for the caller to sync.
///
/// # Errors
///
/// [`UnpackError::Refused`] before anything is written when the package has errors; otherwise the first
/// thing that fails. What was written until then stays: unpack into a directory of your own.
pub fn unpack(
    reader: &dyn PackageReader,
    into: impl AsRef<Path>,
    map: impl Fn(&Entry) -> Vec<String>,
) -> Result<UnpackReport, UnpackError> {
    let errors = notes::errors(reader.findings());
    if !errors.is_empty() {
        return Err(UnpackError::Refused { findings: errors });
    }
    let root = Root::create(into)?;
    let mut report = UnpackReport::default();
    let mut files = Vec::new();
    let mut directories = BTreeSet::from([String::new()]);
    for entry in &reader.listing().entries {
        for target in map(entry) {
            report.bytes += root.place(reader, entry, &target, Durable::Later)?;
            if entry.is_file() {
                report.files += 1;
                files.push(target.clone());
            } else {
                report.directories += 1;
                directories.insert(target.clone());
            }
            let mut path = target.as_str();
            while let Some((parent, _)) = path.rsplit_once('/') {
                if !directories.insert(parent.to_owned()) {
                    break;
                }
                path = parent;
            }
        }
    }
    // All at the end: the file system then writes many files in one go instead of waiting for each.
    let directories: Vec<String> = directories.into_iter().collect();
    thread::scope(|scope| {
        let root = &root;
        let shares = files.chunks(files.len().div_ceil(AT_ONCE).max(1));
        let waiting: Vec<_> = shares
            .map(|share| scope.spawn(move || root.sync_files(share)))
            .collect();
        root.sync(directories.iter().map(String::as_str))?;
        let mut joined = waiting.into_iter().map(ScopedJoinHandle::join);
        joined.try_for_each(|synced| match synced {
            Ok(synced) => synced,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(report)
}

enum Failure {
    Content(ReadError),
    Disk(io::Error),
}

/// When a file has to be on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    /// Before it appears under its name.
    Now,
    /// The caller syncs it.
    Later,
}

/// Writes and checks the content, and gives the file its permissions.
fn fill(
    reader: &dyn PackageReader,
    entry: &Entry,
    file: File,
    durable: Durable,
) -> Result<u64, Failure> {
    let mut out = BufWriter::with_capacity(64 << 10, file);
    let count = reader
        .copy_to(&entry.path, entry.size, &mut out)
        .map_err(Failure::Content)?;
    out.flush().map_err(Failure::Disk)?;
    let file = out.get_ref();
    let mode = (entry.mode & 0o755) | 0o600;
    fchmod(file, Mode::from_raw_mode(mode as RawMode)).map_err(|e| Failure::Disk(e.into()))?;
    if durable == Durable::Now {
        file.sync_all().map_err(Failure::Disk)?;
    }
    Ok(count)
}

/// A new file of a name that nobody else has.
fn temporary(directory: &OwnedFd) -> io::Result<(String, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    loop {
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".plugyard-{}-{count}.part", std::process::id());
        match openat(directory, &name, flags, mode) {
            Ok(file) => return Ok((name, file.into())),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
