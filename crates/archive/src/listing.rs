//! What is in a package.

use std::collections::BTreeSet;

/// File or directory; a package holds nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory that the package names itself; others exist only through the files in them.
    Directory,
}

/// One file or directory of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path below the package's root: parts joined by single `/`, none of them empty, `.` or `..`.
    pub path: String,
    /// File or directory.
    pub kind: EntryKind,
    /// Unpacked bytes; 0 for a directory.
    pub size: u64,
    /// Permission bits (`0o777` at most), as the package says; 0644 and 0755 where it says nothing.
    pub mode: u32,
}

impl Entry {
    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == EntryKind::File
    }
}

/// The entries of a package that have sound names and kinds, in the order of the package.
///
/// An entry whose name or kind was refused is not here; a finding names it. Of duplicates the first is.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Places of the entries, sorted by their paths.
    by_path: Vec<usize>,
    declared: u64,
}

impl Listing {
    /// A listing of these entries, whose paths must differ; `declared` counts the refused ones too.
    pub(crate) fn new(entries: Vec<Entry>, declared: u64) -> Self {
        let mut by_path: Vec<usize> = (0..entries.len()).collect();
        by_path.sort_by(|&a, &b| entries[a].path.cmp(&entries[b].path));
        Self {
            entries,
            by_path,
            declared,
        }
    }

    /// A listing made up by hand, for tests of what only looks at names. Paths should differ.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries: Vec<_> = entries.into_iter().collect();
        let declared = entries.len() as u64;
        Self::new(entries, declared)
    }

    /// The entry of that path.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        self.position(path).map(|i| &self.entries[i])
    }

    /// Whether there is a file of that path.
    pub fn has_file(&self, path: &str) -> bool {
        self.find(path).is_some_and(Entry::is_file)
    }

    /// The files, in order.
    pub fn files(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_file())
    }

    /// The files directly in the root, in order.
    pub fn root_files(&self) -> impl Iterator<Item = &Entry> {
        self.files().filter(|entry| !entry.path.contains('/'))
    }

    /// The first parts of all paths, each once, sorted: what one sees at the root.
    pub fn root_names(&self) -> BTreeSet<&str> {
        self.entries
            .iter()
            .filter_map(|entry| entry.path.split('/').next())
            .collect()
    }

    /// How many entries the package states, directories and refused entries included.
    pub fn declared(&self) -> u64 {
        self.declared
    }

    /// Bytes of all files together.
    pub fn total_size(&self) -> u64 {
        self.entries
            .iter()
            .fold(0, |sum, entry| sum.saturating_add(entry.size))
    }

    pub(crate) fn position(&self, path: &str) -> Option<usize> {
        self.by_path
            .binary_search_by(|&i| self.entries[i].path.as_str().cmp(path))
            .ok()
            .map(|found| self.by_path[found])
    }
}
