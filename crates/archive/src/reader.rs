//! The one way to read a package, whatever it is stored in.

use std::io::{self, Write};

use plugyard_model::{Finding, Place, Severity, codes};

use crate::Listing;

/// A package that was inspected: what is in it, what is wrong with it, and its contents.
pub trait PackageReader: Send + Sync {
    /// Everything in the package.
    fn listing(&self) -> &Listing;

    /// Everything wrong with the container itself, in the one order of findings.
    fn findings(&self) -> &[Finding];

    /// Writes a file's content to `out` and answers its size. What was written counts only when this is
    /// `Ok`: size and checksum are known to be right at the end.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooLarge`] before anything is written when the file has more than `limit` bytes; the
    /// others say what they mean.
    fn copy_to(&self, path: &str, limit: u64, out: &mut dyn Write) -> Result<u64, ReadError>;

    /// A file's content, checked against its declared size and checksum.
    ///
    /// # Errors
    ///
    /// As [`copy_to`](Self::copy_to).
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        let mut content = Vec::new();
        self.copy_to(path, limit, &mut content)?;
        Ok(content)
    }

    /// Whether a finding keeps the package out.
    fn has_errors(&self) -> bool {
        self.findings()
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }
}

/// Why a file of a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("`{path}` is not a file of the package")]
    NotFound {
        /// The path asked for.
        path: String,
    },
    /// The entry has an error already, among the package's findings.
    #[error("`{path}` was refused: {}", finding.code)]
    Refused {
        /// The path asked for.
        path: String,
        /// The finding that refused it.
        finding: Box<Finding>,
    },
    /// It is larger than the caller takes.
    #[error("`{path}` has {size} bytes, more than the {limit} taken here")]
    TooLarge {
        /// The path asked for.
        path: String,
        /// Its size.
        size: u64,
        /// What the caller takes.
        limit: u64,
    },
    /// It has more or fewer bytes than declared.
    #[error("`{path}` has not the {size} bytes declared")]
    SizeMismatch {
        /// The path asked for.
        path: String,
        /// The declared size.
        size: u64,
    },
    /// Its checksum is not the declared one.
    #[error("`{path}` has the checksum {actual:08x} instead of {declared:08x}")]
    ChecksumMismatch {
        /// The path asked for.
        path: String,
        /// The checksum declared.
        declared: u32,
        /// The checksum of the content.
        actual: u32,
    },
    /// Its compressed data cannot be expanded.
    #[error("`{path}` cannot be expanded")]
    Corrupt {
        /// The path asked for.
        path: String,
    },
    /// The package cannot be read.
    #[error("cannot read `{path}` from the package")]
    Input {
        /// The path asked for.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The content cannot be passed on.
    #[error("cannot write the content of `{path}`")]
    Output {
        /// The path asked for.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl ReadError {
    /// The error as a finding about the package.
    pub fn to_finding(&self) -> Finding {
        let at = |code, path: &String| Finding::error(code, Place::file(path));
        match self {
            Self::NotFound { path } => at(codes::ARCHIVE_ENTRY_NOT_FOUND, path),
            Self::Refused { finding, .. } => finding.as_ref().clone(),
            Self::TooLarge { path, size, limit } => at(codes::ARCHIVE_ENTRY_TOO_LARGE, path)
                .with("size", size)
                .with("limit", limit),
            Self::SizeMismatch { path, size } => {
                at(codes::ARCHIVE_SIZE_MISMATCH, path).with("size", size)
            }
            Self::ChecksumMismatch {
                path,
                declared,
                actual,
            } => at(codes::ARCHIVE_CHECKSUM_MISMATCH, path)
                .with("declared", format_args!("{declared:08x}"))
                .with("actual", format_args!("{actual:08x}")),
            Self::Corrupt { path } => at(codes::ARCHIVE_DATA_CORRUPT, path),
            Self::Input { path, source } | Self::Output { path, source } => {
                at(codes::ARCHIVE_UNREADABLE, path).with("reason", source)
            }
        }
    }
}
