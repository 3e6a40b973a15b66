//! What a package may be.

use plugyard_model::Severity;

/// Bounds of a package. Each holds while reading, not after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries, directories included; with the directories that exist only through the files in them there
    /// may be twice as many. Default 10 000.
    pub entries: u64,
    /// Bytes of all files together, unpacked. Default 512 MiB.
    pub total: u64,
    /// Bytes of one file, unpacked. Default 256 MiB.
    pub entry: u64,
    /// Unpacked to packed bytes of one file, for files above 1 MiB. Default 200.
    pub entry_ratio: u64,
    /// Unpacked to packed bytes of all files together, above 10 MiB. Default 100.
    pub total_ratio: u64,
    /// Bytes of a name. Default 1024.
    pub name: usize,
    /// Bytes of one part of a name. Default 255, which is what file systems take.
    pub name_part: usize,
    /// Parts of a name. Default 64.
    pub depth: usize,
    /// Bytes of a zip's central directory, which is held in memory. Default 4 MiB.
    pub directory: u64,
}

impl Limits {
    /// Below this size a file's ratio says nothing: a page of spaces compresses well, too.
    pub(crate) const ENTRY_RATIO_FROM: u64 = 1 << 20;
    /// The same for the whole package.
    pub(crate) const TOTAL_RATIO_FROM: u64 = 10 << 20;

    /// What no setting goes beyond, so that every package that was ever taken in can be read.
    pub const MOST: Self = Self {
        entries: 1_000_000,
        total: 64 << 30,
        entry: 64 << 30,
        entry_ratio: 10_000,
        total_ratio: 10_000,
        name: 8 << 10,
        name_part: 255,
        depth: 512,
        directory: 512 << 20,
    };

    /// Bounds that hold whatever either of them holds.
    #[must_use]
    pub fn widest(self, other: Self) -> Self {
        Self {
            entries: self.entries.max(other.entries),
            total: self.total.max(other.total),
            entry: self.entry.max(other.entry),
            entry_ratio: self.entry_ratio.max(other.entry_ratio),
            total_ratio: self.total_ratio.max(other.total_ratio),
            name: self.name.max(other.name),
            name_part: self.name_part.max(other.name_part),
            depth: self.depth.max(other.depth),
            directory: self.directory.max(other.directory),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 10_000,
            total: 512 << 20,
            entry: 256 << 20,
            entry_ratio: 200,
            total_ratio: 100,
            name: 1024,
            name_part: 255,
            depth: 64,
            directory: 4 << 20,
        }
    }
}

/// When the contents of a zip are checked against their declared sizes and checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contents {
    /// On opening, so that the findings are all there are; and again whenever they are read.
    #[default]
    OnOpen,
    /// Only when they are read: for bytes that were inspected before and are known by their digest.
    WhenRead,
}

/// What is allowed, beyond what never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Bounds.
    pub limits: Limits,
    /// How bad it is when two names differ only in case. Default: a warning.
    pub case_collision: Severity,
    /// When contents are checked. Default: on opening.
    pub contents: Contents,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            case_collision: Severity::Warning,
            contents: Contents::OnOpen,
        }
    }
}

impl Policy {
    /// These bounds, and all else as usual.
    #[must_use]
    pub fn within(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}
