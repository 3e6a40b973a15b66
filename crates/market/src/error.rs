//! Why a catalogue or a package is refused.

use jiff::Timestamp;

use crate::hex::Sha256;

/// Why a document, a catalogue or a package is not accepted. What was accepted before stays valid.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The market could not be asked, or broke off.
    #[error("no answer from `{path}`: {reason}")]
    Unreachable {
        /// What was asked for, without anything secret.
        path: String,
        /// The innermost cause.
        reason: String,
    },
    /// The market says no.
    #[error("the market refuses `{path}`: {reason}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The market's own words, shortened.
        reason: String,
    },
    /// The market gives a package only to who has an upgrade code, and the one sent is missing or not good.
    #[error("the market refuses `{path}`: an upgrade code is needed")]
    NotEntitled {
        /// What was asked for.
        path: String,
    },
    /// An answer that is no document of this format, or is larger than one may be.
    #[error("`{document}` is no document of a market: {reason}")]
    Malformed {
        /// The document's name.
        document: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A document lacks signatures of the keys that may sign it.
    #[error("`{document}` has {valid} of the {threshold} signatures it needs")]
    Signature {
        /// The document's name.
        document: String,
        /// Good signatures of trusted keys.
        valid: usize,
        /// How many it takes.
        threshold: u64,
    },
    /// A document is signed and too old: somebody may be holding newer ones back.
    #[error("`{document}` expired at {expires}")]
    Expired {
        /// The document's name.
        document: String,
        /// Until when it was good.
        expires: Timestamp,
    },
    /// A document is older than one that was seen before.
    #[error("`{document}` has version {version}, and version {seen} was seen before")]
    Rollback {
        /// The document's name.
        document: String,
        /// The version it has.
        version: u64,
        /// The version that was seen.
        seen: u64,
    },
    /// Documents do not belong together.
    #[error("`{document}` does not belong to this catalogue: {reason}")]
    Inconsistent {
        /// The document's name.
        document: String,
        /// How it shows.
        reason: String,
    },
    /// There are more roots than are followed at once. The ones so far are trusted: asking again goes on.
    #[error("there are more than {followed} new roots")]
    TooManyRoots {
        /// Roots that were followed.
        followed: usize,
    },
    /// A package is longer than the catalogue says; it was not read to its end.
    #[error("`{path}` has more than the {expected_size} bytes of the catalogue")]
    PackageLength {
        /// The package's path.
        path: String,
        /// Bytes it should have.
        expected_size: u64,
    },
    /// A package has other bytes than the catalogue says.
    #[error("`{path}` has {size} bytes with the hash {hash}, not {expected_size} with {expected}")]
    PackageHash {
        /// The package's path.
        path: String,
        /// Bytes it has, as far as they were read.
        size: u64,
        /// Its hash; of what was read.
        hash: Sha256,
        /// Bytes it should have.
        expected_size: u64,
        /// The hash it should have.
        expected: Sha256,
    },
}

impl Refusal {
    /// The stable code of this sort of refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "E_MARKET_UNREACHABLE",
            Self::Refused { .. } => "E_MARKET_REFUSED",
            Self::Malformed { .. } | Self::TooManyRoots { .. } => "E_MARKET_RESPONSE",
            Self::Signature { .. } => "E_SIGNATURE_INVALID",
            Self::Expired { .. } => "E_SIGNATURE_EXPIRED",
            Self::Rollback { .. } => "E_CATALOGUE_ROLLBACK",
            Self::Inconsistent { .. } => "E_CATALOGUE_INCONSISTENT",
            Self::PackageHash { .. } | Self::PackageLength { .. } => "E_PACKAGE_HASH",
            Self::NotEntitled { .. } => "E_UPGRADE_CODE",
        }
    }
}
