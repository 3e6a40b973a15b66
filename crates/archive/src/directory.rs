//! A directory read as a package.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use plugyard_model::{Finding, Place, codes};
use rustix::fs::{AtFlags, Dir, statat};

use crate::name::{self, Names};
use crate::notes::{Notes, whole};
use crate::tree::{self, DIRECTORY_MODE, EXECUTABLE_MODE, FILE_MODE};
use crate::{Entry, EntryKind, Limits, Listing, PackageReader, Policy, ReadError};

/// Names that are never part of a package, wherever they lie: a repository, and what interpreters and
/// desktops leave behind. Everything else is packed.
pub const JUNK: [&str; 3] = [".git", ".DS_Store", "__pycache__"];

/// An inspected directory. It is held open: replacing it under our hands changes nothing, and links
/// that appear later are not followed.
#[derive(Debug)]
pub struct Directory {
    root: Option<OwnedFd>,
    listing: Listing,
    findings: Vec<Finding>,
}

impl Directory {
    /// Inspects a directory. Its entries are sorted by path; permissions are as in what [`pack`](crate::pack())
    /// makes of it, so both read the same. [`JUNK`] is left out.
    ///
    /// What is wrong, up to a directory that cannot be read at all, stands in its findings.
    pub fn open(path: impl AsRef<Path>, policy: &Policy) -> Self {
        let mut notes = Notes::default();
        let root = tree::open_root(path.as_ref());
        let (root, listing) = match root.and_then(|root| {
            let listing = Walk::new(policy, &mut notes).run(&root)?;
            Ok((root, listing))
        }) {
            Ok((root, listing)) => (Some(root), listing),
            Err(error) => {
                notes.push(whole(codes::ARCHIVE_UNREADABLE).with("reason", error));
                (None, Listing::default())
            }
        };
        Self {
            root,
            listing,
            findings: notes.finish(),
        }
    }

    /// Takes a file out of the listing.
    pub(crate) fn leave_out(&mut self, path: &str) {
        let left_out = |entry: &Entry| entry.is_file() && entry.path == path;
        if self.listing.entries.iter().any(left_out) {
            let entries = std::mem::take(&mut self.listing.entries);
            self.listing = Listing::of(entries.into_iter().filter(|entry| !left_out(entry)));
        }
    }
}

impl PackageReader for Directory {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn copy_to(&self, path: &str, limit: u64, out: &mut dyn Write) -> Result<u64, ReadError> {
        let found = self.listing.find(path).filter(|entry| entry.is_file());
        let (Some(root), Some(entry)) = (&self.root, found) else {
            return Err(ReadError::NotFound {
                path: path.to_owned(),
            });
        };
        let path = || path.to_owned();
        let size = entry.size;
        if size > limit {
            return Err(ReadError::TooLarge {
                path: path(),
                size,
                limit,
            });
        }
        let input = |source| ReadError::Input {
            path: path(),
            source,
        };
        let file = tree::open_file(root, &entry.path).map_err(input)?;
        if !file.metadata().map_err(input)?.is_file() {
            return Err(ReadError::SizeMismatch { path: path(), size });
        }
        let count = copy(file, size, out).map_err(|error| match error {
            Side::In(source) => input(source),
            Side::Out(source) => ReadError::Output {
                path: path(),
                source,
            },
        })?;
        if count == size {
            Ok(count)
        } else {
            Err(ReadError::SizeMismatch { path: path(), size })
        }
    }
}

enum Side {
    In(io::Error),
    Out(io::Error),
}

/// Copies `size` bytes, or one more to tell that there are more; that one is not passed on.
fn copy(file: File, size: u64, out: &mut dyn Write) -> Result<u64, Side> {
    let mut input = file.take(size.saturating_add(1));
    let mut buffer = vec![0; 64 << 10];
    let mut count = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(count),
            Ok(read) => {
                count += read as u64;
                if count > size {
                    return Ok(count);
                }
                out.write_all(&buffer[..read]).map_err(Side::Out)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Side::In(error)),
        }
    }
}

struct Walk<'a> {
    policy: &'a Policy,
    notes: &'a mut Notes,
    entries: Vec<Entry>,
    /// Entries seen, the refused ones too.
    seen: u64,
}

impl<'a> Walk<'a> {
    fn new(policy: &'a Policy, notes: &'a mut Notes) -> Self {
        Self {
            policy,
            notes,
            entries: Vec::new(),
            seen: 0,
        }
    }

    fn run(mut self, root: &OwnedFd) -> io::Result<Listing> {
        let limits = &self.policy.limits;
        let mut waiting = vec![String::new()];
        while let Some(path) = waiting.pop() {
            match self.directory(root, &path, &mut waiting) {
                Ok(()) => {}
                Err(error) if path.is_empty() => return Err(error),
                Err(error) => self.notes.push(
                    Finding::error(codes::ARCHIVE_UNREADABLE, Place::file(&path))
                        .with("reason", error),
                ),
            }
            if self.seen > limits.entries {
                // Not counted to the end: the directory may be a whole disk.
                self.notes.push(
                    whole(codes::ARCHIVE_TOO_MANY_ENTRIES)
                        .with("count", self.seen)
                        .with("limit", limits.entries),
                );
                break;
            }
        }
        self.entries.sort_by(|a, b| a.path.cmp(&b.path));
        let mut names = Names::new();
        for entry in &self.entries {
            names.add(&entry.path, entry.kind, self.policy, self.notes);
        }
        let listing = Listing::new(self.entries, self.seen);
        note_bounds(&listing, limits, self.notes);
        Ok(listing)
    }

    fn directory(
        &mut self,
        root: &OwnedFd,
        path: &str,
        waiting: &mut Vec<String>,
    ) -> io::Result<()> {
        let limits = &self.policy.limits;
        let directory = tree::open_directory(root, path, false)?;
        for found in Dir::read_from(&directory)? {
            let found = found?;
            let own = found.file_name().to_bytes();
            if matches!(own, b"." | b"..") || JUNK.iter().any(|junk| junk.as_bytes() == own) {
                continue;
            }
            self.seen += 1;
            if self.seen > limits.entries {
                return Ok(());
            }
            let raw = if path.is_empty() {
                own.to_owned()
            } else {
                [path.as_bytes(), b"/", own].concat()
            };
            let index = usize::try_from(self.seen).unwrap_or(usize::MAX);
            let clean = match name::clean(&raw, index, limits) {
                Ok(clean) => clean,
                Err(finding) => {
                    self.notes.push(finding);
                    continue;
                }
            };
            let stat = statat(&directory, found.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            let (kind, size, mode) = match tree::kind_of_mode(stat.st_mode) {
                Some(Ok(EntryKind::Directory)) => (EntryKind::Directory, 0, DIRECTORY_MODE),
                Some(Ok(EntryKind::File)) => {
                    let mode = if stat.st_mode & 0o111 == 0 {
                        FILE_MODE
                    } else {
                        EXECUTABLE_MODE
                    };
                    (
                        EntryKind::File,
                        u64::try_from(stat.st_size).unwrap_or(0),
                        mode,
                    )
                }
                Some(Err(code)) => {
                    self.notes.push(Finding::error(code, Place::file(&clean)));
                    continue;
                }
                None => continue,
            };
            if kind == EntryKind::Directory {
                waiting.push(clean.clone());
            }
            self.entries.push(Entry {
                path: clean,
                kind,
                size,
                mode,
            });
        }
        Ok(())
    }
}

fn note_bounds(listing: &Listing, limits: &Limits, notes: &mut Notes) {
    for entry in listing.files().filter(|entry| entry.size > limits.entry) {
        notes.push(
            Finding::error(codes::ARCHIVE_ENTRY_TOO_LARGE, Place::file(&entry.path))
                .with("size", entry.size)
                .with("limit", limits.entry),
        );
    }
    let size = listing.total_size();
    if size > limits.total {
        notes.push(
            whole(codes::ARCHIVE_TOTAL_TOO_LARGE)
                .with("size", size)
                .with("limit", limits.total),
        );
    }
}
