//! The cover image: every plugin and theme has one, at one place.

use plugyard_archive::{PackageReader, ReadError};
use plugyard_model::{Finding, Place, Severity, codes};

use super::asset_directory;

/// Its name.
const FILE: &str = "fresns.png";

/// The largest that is looked at.
const LIMIT: u64 = 16 << 20;

/// Says when it is missing, is no PNG or is not square. It is a warning: everything else works without it.
pub(super) fn check(
    package: &dyn PackageReader,
    inside: impl Fn(&str) -> String,
    theme: bool,
    findings: &mut Vec<Finding>,
) {
    let file = inside(&format!("{}/{FILE}", asset_directory(theme)));
    let mut warn = |mut finding: Finding| {
        finding.severity = Severity::Warning;
        findings.push(finding);
    };
    if !package.listing().has_file(&file) {
        // A file that is not there is no place.
        warn(Finding::error(codes::W_COVER_MISSING, Place::default()).with("file", &file));
        return;
    }
    let actual = match package.read(&file, LIMIT) {
        Ok(bytes) => match dimensions(&bytes) {
            Some((width, height)) if width == height && width > 0 => return,
            Some((width, height)) => format!("{width} × {height}"),
            None => "no_png".to_owned(),
        },
        Err(ReadError::TooLarge { .. }) => "image_too_large".to_owned(),
        // What keeps it from being read is a finding of the archive already.
        Err(_) => return,
    };
    warn(Finding::error(codes::W_COVER_FORMAT, Place::file(&file)).with("actual", actual));
}

/// Width and height of a PNG, as its first chunk says.
fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(..16)?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    (header.get(4..8)? == b"IHDR").then_some((number(8)?, number(12)?))
}
