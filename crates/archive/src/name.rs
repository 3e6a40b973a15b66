//! Names of entries: what is allowed, and which of them are the same to some file system.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use plugyard_model::{Code, Finding, Place, Severity, codes};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::notes::Notes;
use crate::{Entry, Limits, Policy};

/// A name as findings show it: legible, bounded, without control characters.
pub(crate) fn shown(raw: &[u8]) -> String {
    let raw = &raw[..raw.len().min(4096)];
    let mut out = String::new();
    for c in String::from_utf8_lossy(raw).chars().take(1024) {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The clean path of a name: single slashes, no `.` parts, none at the end. Empty only for the root itself.
///
/// `index` counts entries from 1, for one that has no name. Of several faults the first in this order is
/// told: encoding, characters, length, absolute, upwards, depth.
pub(crate) fn clean(raw: &[u8], index: usize, limits: &Limits) -> Result<String, Finding> {
    let refuse = |code: Code| Finding::error(code, Place::file(shown(raw)));
    let Ok(name) = std::str::from_utf8(raw) else {
        return Err(refuse(codes::ARCHIVE_NAME_ENCODING));
    };
    if name.is_empty() {
        return Err(refuse(codes::ARCHIVE_NAME_EMPTY).with("index", index));
    }
    if let Some(c) = name.chars().find(|c| c.is_control()) {
        let c = format_args!("U+{:04X}", u32::from(c)).to_string();
        return Err(refuse(codes::ARCHIVE_NAME_CONTROL).with("character", c));
    }
    if name.contains('\\') {
        return Err(refuse(codes::ARCHIVE_NAME_BACKSLASH));
    }
    let too_long = |length: usize, limit: usize| {
        refuse(codes::ARCHIVE_NAME_TOO_LONG)
            .with("length", length)
            .with("limit", limit)
    };
    if name.len() > limits.name {
        return Err(too_long(name.len(), limits.name));
    }
    if let Some(part) = name.split('/').find(|part| part.len() > limits.name_part) {
        return Err(too_long(part.len(), limits.name_part));
    }
    if name.starts_with('/') {
        return Err(refuse(codes::ARCHIVE_NAME_ABSOLUTE));
    }
    if matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(refuse(codes::ARCHIVE_NAME_DRIVE));
    }
    if name.split('/').any(|part| part == "..") {
        return Err(refuse(codes::ARCHIVE_NAME_TRAVERSAL));
    }
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.len() > limits.depth {
        return Err(refuse(codes::ARCHIVE_NAME_TOO_DEEP)
            .with("depth", parts.len())
            .with("limit", limits.depth));
    }
    Ok(parts.join("/"))
}

/// The names of a package so far. Directories that exist only through the files in them count as well.
#[derive(Default)]
pub(crate) struct Names {
    entries: HashSet<String>,
    seen: HashSet<String>,
    by_form: HashMap<String, String>,
    by_case: HashMap<String, String>,
}

impl Names {
    /// Takes a clean path; `false` when the same path is here already.
    pub(crate) fn add(&mut self, path: &str, policy: &Policy, notes: &mut Notes) -> bool {
        if !self.entries.insert(path.to_owned()) {
            notes.push(Finding::error(codes::ARCHIVE_DUPLICATE, Place::file(path)));
            return false;
        }
        // From the whole path to its first part, ending at what is known: its parents are known, too.
        // Of several clashes on the way the highest directory is the cause, and the one told.
        let mut clash = None;
        for prefix in prefixes(path) {
            if !self.seen.insert(prefix.to_owned()) {
                break;
            }
            clash = self.clash(prefix, policy.case_collision).or(clash);
        }
        if let Some(clash) = clash {
            notes.push(clash);
        }
        true
    }

    fn clash(&mut self, path: &str, case_collision: Severity) -> Option<Finding> {
        let form: Cow<'_, str> = if is_nfc(path) {
            path.into()
        } else {
            path.nfc().collect::<String>().into()
        };
        if let Some(other) = self.by_form.get(form.as_ref()) {
            let place = Place::file(path);
            return Some(
                Finding::error(codes::ARCHIVE_DUPLICATE_UNICODE, place).with("other", other),
            );
        }
        let case = form.to_lowercase();
        self.by_form.insert(form.into_owned(), path.to_owned());
        if let Some(other) = self.by_case.get(&case) {
            let mut finding = Finding::error(codes::ARCHIVE_CASE_COLLISION, Place::file(path))
                .with("other", other);
            finding.severity = case_collision;
            return Some(finding);
        }
        self.by_case.insert(case, path.to_owned());
        None
    }
}

/// Notes each entry that would lie below a file.
pub(crate) fn note_files_as_directories(entries: &[Entry], notes: &mut Notes) {
    let files: HashSet<&str> = entries
        .iter()
        .filter(|entry| entry.is_file())
        .map(|entry| entry.path.as_str())
        .collect();
    for entry in entries {
        if let Some(file) = prefixes(&entry.path).skip(1).find(|p| files.contains(p)) {
            let place = Place::file(&entry.path);
            notes.push(Finding::error(codes::ARCHIVE_FILE_AS_DIRECTORY, place).with("other", file));
        }
    }
}

/// `a/b/c`, `a/b`, `a`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |p| p.rsplit_once('/').map(|(parent, _)| parent))
}
