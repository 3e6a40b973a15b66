//! Names of entries: what is allowed, and which of them are the same to some file system.

use std::borrow::Cow;
use std::collections::HashMap;

use plugyard_model::{Code, Finding, Place, Severity, codes};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::notes::{Notes, whole};
use crate::{EntryKind, Limits, Policy};

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

/// Names may need directories that the package does not name; so many names in all for each entry allowed.
const NAMES_PER_ENTRY: u64 = 2;

/// The names of a package so far, as a tree: entries, and the directories that exist only through them.
pub(crate) struct Names {
    nodes: Vec<Node>,
    /// The first node of each relation, parent and part; one map for all, as there may be many small ones.
    known: HashMap<Box<[u8]>, usize>,
    /// The key being looked up.
    key: Vec<u8>,
}

/// One name below its parent. The first of several names that are the same to some file system stands for
/// all of them, and the children of all of them are compared there.
struct Node {
    parent: usize,
    part: Box<str>,
    entry: Option<EntryKind>,
    /// The node that stands for this one when Unicode forms do not count.
    form: usize,
    /// The node that stands for this one when case does not count either.
    case: usize,
}

/// How a name is known below its parent.
#[derive(Clone, Copy)]
enum Relation {
    /// By its bytes.
    Exact,
    /// By its Unicode normal form.
    Form,
    /// By its normal form in lower case.
    Case,
}

impl Names {
    pub(crate) fn new() -> Self {
        let root = Node {
            parent: 0,
            part: "".into(),
            entry: None,
            form: 0,
            case: 0,
        };
        Self {
            nodes: vec![root],
            known: HashMap::new(),
            key: Vec::new(),
        }
    }

    /// Takes a clean path; `false` when it cannot be listed: the same path is here already, or there are
    /// too many names.
    pub(crate) fn add(
        &mut self,
        path: &str,
        kind: EntryKind,
        policy: &Policy,
        notes: &mut Notes,
    ) -> bool {
        let limit = policy.limits.entries.saturating_mul(NAMES_PER_ENTRY);
        let mut at = 0;
        for part in path.split('/') {
            at = match self.find(Relation::Exact, at, part) {
                Some(known) => known,
                None if self.nodes.len() as u64 > limit => {
                    if !notes.has(codes::ARCHIVE_TOO_MANY_ENTRIES) {
                        notes.push(
                            whole(codes::ARCHIVE_TOO_MANY_ENTRIES)
                                .with("count", self.nodes.len())
                                .with("limit", limit),
                        );
                    }
                    return false;
                }
                None => self.grow(at, part, policy.case_collision, notes),
            };
        }
        if self.nodes[at].entry.replace(kind).is_some() {
            notes.push(Finding::error(codes::ARCHIVE_DUPLICATE, Place::file(path)));
            return false;
        }
        true
    }

    /// Notes each entry that would lie below a file.
    pub(crate) fn note_files_as_directories(&self, notes: &mut Notes) {
        for (at, node) in self.nodes.iter().enumerate() {
            if node.entry.is_none() {
                continue;
            }
            let above = self.up(node.parent);
            let file = above.filter(|&up| self.nodes[up].entry == Some(EntryKind::File));
            if let Some(file) = file.last() {
                let place = Place::file(self.path(at));
                notes.push(
                    Finding::error(codes::ARCHIVE_FILE_AS_DIRECTORY, place)
                        .with("other", self.path(file)),
                );
            }
        }
    }

    /// Makes the child `part` of `parent` and notes what it is the same as. Of several clashes on the way down
    /// the first is the cause of the others, and the one told.
    fn grow(
        &mut self,
        parent: usize,
        part: &str,
        case_collision: Severity,
        notes: &mut Notes,
    ) -> usize {
        let new = self.nodes.len();
        let form: Cow<'_, str> = if is_nfc(part) {
            part.into()
        } else {
            part.nfc().collect::<String>().into()
        };
        let (form_parent, case_parent) = (self.nodes[parent].form, self.nodes[parent].case);
        self.find_or_insert(Relation::Exact, parent, part, new);
        let same_form = self.find_or_insert(Relation::Form, form_parent, &form, new);
        let folded = form.to_lowercase();
        let same_case = self.find_or_insert(Relation::Case, case_parent, &folded, new);
        self.nodes.push(Node {
            parent,
            part: part.into(),
            entry: None,
            form: same_form,
            case: same_case,
        });
        let clash = if same_form != new && form_parent == parent {
            Some((codes::ARCHIVE_DUPLICATE_UNICODE, Severity::Error, same_form))
        } else if same_form == new && same_case != new && case_parent == parent {
            Some((codes::ARCHIVE_CASE_COLLISION, case_collision, same_case))
        } else {
            None
        };
        if let Some((code, severity, other)) = clash {
            let place = Place::file(self.path(new));
            let mut finding = Finding::error(code, place).with("other", self.path(other));
            finding.severity = severity;
            notes.push(finding);
        }
        new
    }

    fn find(&mut self, relation: Relation, parent: usize, part: &str) -> Option<usize> {
        self.key.clear();
        self.key.push(relation as u8);
        self.key.extend(parent.to_le_bytes());
        self.key.extend(part.as_bytes());
        self.known.get(self.key.as_slice()).copied()
    }

    fn find_or_insert(
        &mut self,
        relation: Relation,
        parent: usize,
        part: &str,
        new: usize,
    ) -> usize {
        self.find(relation, parent, part).unwrap_or_else(|| {
            self.known.insert(self.key.as_slice().into(), new);
            new
        })
    }

    /// A node and all above it, without the root.
    fn up(&self, from: usize) -> impl Iterator<Item = usize> {
        let existing = |at: usize| (at != 0).then_some(at);
        std::iter::successors(existing(from), move |&at| existing(self.nodes[at].parent))
    }

    fn path(&self, at: usize) -> String {
        let mut parts: Vec<&str> = self.up(at).map(|up| &*self.nodes[up].part).collect();
        parts.reverse();
        parts.join("/")
    }
}
