//! What a catalogue says of a package, and which package is the one to take.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::hex::Sha256;

/// What is known of a package beside its bytes. Stands as `custom` with its target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Release {
    /// The plugin.
    pub fskey: String,
    /// Semantic version.
    pub version: String,
    /// Kind of web plugin, 1 to 5.
    #[serde(rename = "type")]
    pub plugin_type: u8,
    /// Display name.
    pub name: String,
    /// One line.
    pub description: String,
    /// Who made it.
    pub author: String,
    /// The author's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_link: Option<String>,
    /// Versions of the application it works with, as a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_core: Option<String>,
    /// Plugins it needs, with ranges of their versions.
    pub dependencies: BTreeMap<String, String>,
    /// Plugins it cannot be beside, with ranges of their versions.
    pub conflicts: BTreeMap<String, String>,
    /// Where its changes are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changelog_url: Option<String>,
    /// Whether it was taken back: nobody is offered it any more.
    pub yanked: bool,
    /// Whether only who has an upgrade code may load it.
    pub entitled: bool,
}

/// A package that a verified catalogue lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What it is.
    pub release: Release,
    /// Its version, read.
    pub version: Version,
    /// Where it lies, relative to the market's address.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// What its bytes hash to.
    pub sha256: Sha256,
}

/// Who is offered what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Releases; pre-releases only to who has a pre-release.
    #[default]
    Stable,
    /// Pre-releases too.
    Beta,
}

impl Channel {
    /// Whether `offered` may be shown to somebody who has `installed`.
    #[must_use]
    pub fn offers(self, offered: &Version, installed: Option<&Version>) -> bool {
        offered.pre.is_empty()
            || self == Self::Beta
            || installed.is_some_and(|version| !version.pre.is_empty())
    }
}

/// The newest that is neither taken back nor of another channel.
#[must_use]
pub fn newest<'a>(
    offers: &'a [Offer],
    channel: Channel,
    installed: Option<&Version>,
) -> Option<&'a Offer> {
    offers
        .iter()
        .filter(|offer| !offer.release.yanked && channel.offers(&offer.version, installed))
        // Build metadata does not make a version newer; `cmp_precedence` leaves it out.
        .max_by(|one, other| {
            one.version
                .cmp_precedence(&other.version)
                .then_with(|| one.version.cmp(&other.version))
        })
}
