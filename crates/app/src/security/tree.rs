//! The files of a plugin as they lie there: names, links, and what they permit.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use plugyard_archive::JUNK;
use plugyard_model::{Finding, Place, codes};
use sha2::{Digest as _, Sha256};

use super::Outcome;
use plugyard_platform::files;

/// Entries that are looked at; a plugin taken in has fewer.
const ENTRIES: usize = 20_000;

/// A regular file.
#[derive(Debug)]
pub(super) struct File {
    /// Below the plugin's directory, with `/`.
    pub(super) path: String,
    pub(super) at: PathBuf,
    pub(super) size: u64,
    pub(super) digest: [u8; 32],
}

/// All files, by path. What is wrong with names, links and permissions is told on the way.
pub(super) fn walk(root: &Path, outcome: &mut Outcome) -> Vec<File> {
    let mut found = Vec::new();
    let mut waiting = vec![(root.to_owned(), String::new())];
    let mut left = ENTRIES;
    while let Some((directory, path)) = waiting.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                outcome.file_integrity.push(unreadable(&path, &error));
                continue;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            if left == 0 {
                // What is not looked at is not said to be good.
                let error = io::Error::other(format!("there are more than {ENTRIES} entries"));
                outcome.file_integrity.push(unreadable(&path, &error));
                waiting.clear();
                break;
            }
            left -= 1;
            let name = entry.file_name();
            if JUNK.iter().any(|junk| OsStr::new(junk) == name) {
                continue;
            }
            let below = if path.is_empty() {
                name.to_string_lossy().into_owned()
            } else {
                format!("{path}/{}", name.to_string_lossy())
            };
            if !is_safe(&name) {
                let finding = Finding::error(codes::SECURITY_NAME_UNSAFE, Place::file(&below));
                outcome.file_integrity.push(finding.with("file", &below));
                continue;
            }
            look(
                root,
                &entry.path(),
                below,
                outcome,
                &mut waiting,
                &mut found,
            );
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn look(
    root: &Path,
    at: &Path,
    path: String,
    outcome: &mut Outcome,
    waiting: &mut Vec<(PathBuf, String)>,
    found: &mut Vec<File>,
) {
    let metadata = match fs::symlink_metadata(at) {
        Ok(metadata) => metadata,
        Err(error) => {
            outcome.file_integrity.push(unreadable(&path, &error));
            return;
        }
    };
    if metadata.is_symlink() {
        let inside = fs::canonicalize(at).is_ok_and(|target| target.starts_with(root));
        if !inside {
            let finding = Finding::error(codes::SECURITY_LINK_ESCAPES, Place::file(&path));
            outcome.file_integrity.push(finding.with("file", &path));
        }
        return;
    }
    for (bit, code) in [
        (0o002, codes::SECURITY_WORLD_WRITABLE),
        (0o6000, codes::SECURITY_SET_ID),
    ] {
        // A directory with the set-group bit hands its group down; nothing runs by it.
        let counts = !(metadata.is_dir() && bit == 0o6000);
        if counts && metadata.mode() & bit != 0 {
            let finding = Finding::error(code, Place::file(&path));
            outcome.permissions.push(finding.with("file", &path));
        }
    }
    if metadata.is_dir() {
        waiting.push((at.to_owned(), path));
    } else if metadata.is_file() {
        match files::file_digest(at) {
            Ok(digest) => found.push(File {
                size: metadata.len(),
                at: at.to_owned(),
                digest,
                path,
            }),
            Err(error) => {
                outcome.file_integrity.push(unreadable(&path, &error));
            }
        }
    }
}

fn unreadable(path: &str, error: &io::Error) -> Finding {
    Finding::error(codes::SECURITY_UNREADABLE, Place::file(path))
        .with("file", path)
        .with("reason", error)
}

/// Whether a name is UTF-8 and nothing but a name, on this system and on others.
fn is_safe(name: &OsStr) -> bool {
    std::str::from_utf8(name.as_bytes())
        .is_ok_and(|name| !name.contains(['\\', ':']) && !name.chars().any(char::is_control))
}

/// SHA-256 over names and contents, in order.
pub(super) fn digest(files: &[File]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.path.as_bytes());
        hash.update([0]);
        hash.update(file.digest);
    }
    hex(&hash.finalize().into())
}

pub(super) fn hex(digest: &[u8; 32]) -> String {
    plugyard_model::Digest::from_bytes(*digest).to_string()
}
