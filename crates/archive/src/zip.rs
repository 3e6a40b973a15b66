//! Zip archives: everything is compared before anything is read.

mod content;
mod end;
mod headers;
mod inspect;
mod layout;
mod names;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use plugyard_model::Finding;

pub(crate) use inspect::inspect;

use crate::{Listing, PackageReader, Policy, ReadAt, ReadError};

/// An inspected zip archive.
///
/// Central directory, every local header and every data descriptor were read and compared, and (unless the
/// policy says otherwise) every content checked. An archive with findings can still be asked for
/// what is sound in it.
pub struct Zip {
    source: Box<dyn ReadAt>,
    listing: Listing,
    /// One for each entry of the listing.
    contents: Vec<content::Located>,
    findings: Vec<Finding>,
}

impl Zip {
    /// Inspects an archive. What is wrong, up to a file that cannot be read at all, stands in its findings.
    pub fn open(source: impl ReadAt + 'static, policy: &Policy) -> Self {
        let inspected = inspect(&source, policy);
        Self {
            source: Box::new(source),
            listing: inspected.listing,
            contents: inspected.contents,
            findings: inspected.findings,
        }
    }

    /// Inspects the archive in a file.
    ///
    /// # Errors
    ///
    /// What opening the file gives.
    pub fn open_path(path: impl AsRef<Path>, policy: &Policy) -> io::Result<Self> {
        Ok(Self::open(File::open(path)?, policy))
    }

    /// Inspects bytes in memory.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>, policy: &Policy) -> Self {
        Self::open(bytes.into(), policy)
    }
}

impl std::fmt::Debug for Zip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Zip")
            .field("entries", &self.listing.entries.len())
            .field("findings", &self.findings)
            .finish_non_exhaustive()
    }
}

impl PackageReader for Zip {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn copy_to(&self, path: &str, limit: u64, out: &mut dyn Write) -> Result<u64, ReadError> {
        let position = self
            .listing
            .position(path)
            .filter(|&i| self.listing.entries[i].is_file())
            .ok_or_else(|| ReadError::NotFound {
                path: path.to_owned(),
            })?;
        let mut scratch = content::Scratch::new();
        let located = &self.contents[position];
        content::copy(&*self.source, path, located, limit, out, &mut scratch)
    }
}
