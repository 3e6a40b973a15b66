//! Walking a real directory without ever following a link.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use plugyard_model::{Code, codes};
use rustix::fs::{FileType, Mode, OFlags, RawMode, mkdirat, openat};
use rustix::io::Errno;

use crate::EntryKind;

/// Permissions of a file that says nothing about them, and of every file in what we pack.
pub(crate) const FILE_MODE: u32 = 0o644;
/// The same for a file that can be executed.
pub(crate) const EXECUTABLE_MODE: u32 = 0o755;
/// The same for a directory.
pub(crate) const DIRECTORY_MODE: u32 = 0o755;

/// Reads a file of `limit` bytes at most below a directory that others may write to: neither it nor a directory on
/// the way to it (`path`, clean and relative) may be a link, so nothing outside is read, and nobody waits on a pipe.
///
/// # Errors
/// When there is no such file, it is none, it is larger, or it cannot be read.
pub fn read_file(directory: impl AsRef<Path>, path: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_file(open_root(directory.as_ref())?, path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut content = Vec::new();
    // One more than there may be tells that there is more.
    let read = file
        .take(limit.saturating_add(1))
        .read_to_end(&mut content)?;
    if read as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(content)
}

/// What the type bits of a Unix mode say: a kind, a refusal, or nothing.
pub(crate) fn kind_of_mode(mode: u32) -> Option<Result<EntryKind, Code>> {
    if mode & 0o170_000 == 0 {
        return None;
    }
    Some(match FileType::from_raw_mode(mode as RawMode) {
        FileType::RegularFile => Ok(EntryKind::File),
        FileType::Directory => Ok(EntryKind::Directory),
        FileType::Symlink => Err(codes::ARCHIVE_LINK),
        _ => Err(codes::ARCHIVE_SPECIAL_FILE),
    })
}

/// Opens the directory that the caller names; links on the way to it are the caller's and are followed.
pub(crate) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens the directory `path` (clean, relative) below `root`, part by part, none of which may be a link.
/// With `create`, missing ones are made.
pub(crate) fn open_directory(root: impl AsFd, path: &str, create: bool) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        debug_assert!(part != ".." && part != ".", "paths are clean");
        at = match openat(&at, part, flags, Mode::empty()) {
            Err(Errno::NOENT) if create => {
                match mkdirat(&at, part, Mode::from_raw_mode(DIRECTORY_MODE as RawMode)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                openat(&at, part, flags, Mode::empty())?
            }
            other => other?,
        };
    }
    Ok(at)
}

/// Opens a file below `root` for reading; neither it nor a directory on the way may be a link. Does not
/// wait on a pipe that took the file's place.
pub(crate) fn open_file(root: impl AsFd, path: &str) -> io::Result<std::fs::File> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let directory = open_directory(root, parent, false)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(openat(&directory, name, flags, Mode::empty())?.into())
}
