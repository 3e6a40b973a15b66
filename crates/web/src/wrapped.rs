//! A package as the plugin's own directory sees it: without the one directory around everything that code hosts
//! pack in, and without what desktops leave in archives.

use std::io::Write;

use plugyard_archive::{Entry, Listing, PackageReader, ReadError};
use plugyard_model::Finding;

use crate::package::{JUNK, MANIFESTS};

/// The inside of a package. Its findings and what it reads are the package's own.
pub(crate) struct Inside<'a> {
    package: &'a dyn PackageReader,
    prefix: String,
    listing: Listing,
}

impl<'a> Inside<'a> {
    /// The inside of a package that has one manifest.
    pub(crate) fn of(package: &'a dyn PackageReader) -> Self {
        let prefix = prefix(package.listing());
        let entries = package.listing().entries.iter().filter_map(|entry| {
            let path = entry.path.strip_prefix(&prefix)?;
            let junk = path.split('/').any(|part| JUNK.contains(&part));
            (!path.is_empty() && !junk).then(|| Entry {
                path: path.to_owned(),
                ..entry.clone()
            })
        });
        Self {
            listing: Listing::of(entries),
            prefix,
            package,
        }
    }
}

/// Empty, or the name of the one directory and a slash.
fn prefix(names: &Listing) -> String {
    if MANIFESTS.iter().any(|file| names.has_file(file)) {
        return String::new();
    }
    let roots = names.root_names();
    let roots: Vec<&str> = roots.into_iter().filter(|it| !JUNK.contains(it)).collect();
    match roots.as_slice() {
        [directory] => format!("{directory}/"),
        _ => String::new(),
    }
}

impl PackageReader for Inside<'_> {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn findings(&self) -> &[Finding] {
        self.package.findings()
    }

    fn copy_to(&self, path: &str, limit: u64, out: &mut dyn Write) -> Result<u64, ReadError> {
        let path = format!("{}{path}", self.prefix);
        self.package.copy_to(&path, limit, out)
    }
}
