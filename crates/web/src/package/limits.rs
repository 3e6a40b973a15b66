//! How large a package may be, and what of it.

use plugyard_archive::Limits;
use plugyard_model::ByteSize;
use serde::{Deserialize, Serialize};

/// The section `web.package_limits` of the configuration. Values beyond what is possible count as the nearest one
/// that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackageLimits {
    /// All files together, unpacked, up to 64 GiB. Default 512 MiB.
    pub unpacked: ByteSize,
    /// Entries, directories included, up to a million. Default 50 000.
    pub entries: u64,
    /// Unpacked to packed bytes of one file above 1 MiB, and of all together above 10 MiB; up to 10 000. Default
    /// 100.
    pub ratio: u64,
    /// Parts of a path, up to 256. Default 32.
    pub depth: usize,
    /// Characters of a path, up to 1024. Default 240.
    pub path_length: usize,
}

/// Most characters of a path.
const PATH_MOST: usize = 1024;
/// Most parts of a path.
const DEPTH_MOST: usize = 256;
/// Bytes that a zip's directory spends on an entry, generously.
const BYTES_PER_ENTRY: u64 = 512;

impl Default for PackageLimits {
    fn default() -> Self {
        Self {
            unpacked: ByteSize::mib(512),
            entries: 50_000,
            ratio: 100,
            depth: 32,
            path_length: 240,
        }
    }
}

impl PackageLimits {
    /// With every value possible.
    pub(crate) fn possible(self) -> Self {
        Self {
            unpacked: ByteSize(self.unpacked.0.clamp(1, Limits::MOST.total)),
            entries: self.entries.clamp(1, Limits::MOST.entries),
            ratio: self.ratio.clamp(1, Limits::MOST.entry_ratio),
            depth: self.depth.clamp(1, DEPTH_MOST),
            path_length: self.path_length.clamp(1, PATH_MOST),
        }
    }

    /// The bounds of the archive. Those of paths are not narrower than what is allowed in the end, where characters
    /// count and not bytes.
    pub(crate) fn of_archive(self) -> Limits {
        let usual = Limits::default();
        let own = self.possible();
        Limits {
            entries: own.entries,
            total: own.unpacked.0,
            entry: own.unpacked.0,
            entry_ratio: own.ratio,
            total_ratio: own.ratio,
            name: usual.name.max(own.path_length * 4 + 1),
            depth: usual.depth.max(own.depth),
            directory: usual.directory.max(own.entries * BYTES_PER_ENTRY),
            ..usual
        }
    }
}
