//! Names of time zones: which there are, and what their offsets are.
//!
//! `timezone/zones.txt` has the identifiers of the IANA time zone database as PHP lists them, each with
//! the country of a canonical name; those without a country are names kept for old programs.
//! `timezone/abbreviations.txt` has PHP's abbreviations with their offsets in seconds, and `summer` after
//! those that mean summer time.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Identifiers, with the country of those that are canonical.
static ZONES: LazyLock<HashMap<&str, Option<&str>>> = LazyLock::new(|| {
    include_str!("timezone/zones.txt")
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((name, country)) => (name, Some(country)),
            None => (line, None),
        })
        .collect()
});

static ABBREVIATIONS: LazyLock<HashMap<&str, (i64, bool)>> = LazyLock::new(|| {
    include_str!("timezone/abbreviations.txt")
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, offset) = (words.next()?, words.next()?);
            Some((name, (offset.parse().ok()?, words.next().is_some())))
        })
        .collect()
});

/// Countries without a zone of their own.
const NOWHERE: &[&str] = &["BV", "HM"];

/// Regions that are groups of their own.
const REGIONS: &[&str] = &[
    "AFRICA",
    "AMERICA",
    "ANTARCTICA",
    "ARCTIC",
    "ASIA",
    "ATLANTIC",
    "AUSTRALIA",
    "EUROPE",
    "INDIAN",
    "PACIFIC",
];

/// Which names the rule `timezone` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Zones {
    /// Canonical names and `UTC`.
    All,
    /// All names.
    AllWithOld,
    /// `UTC` alone.
    Utc,
    /// Canonical names of a region, with its slash.
    Region(String),
    /// Canonical names of a country.
    Country(String),
}

impl Zones {
    /// Reads the parameters of the rule; gives back the word that PHP has no group for.
    pub(crate) fn new(group: Option<&str>, country: Option<&str>) -> Result<Self, String> {
        let word = group.unwrap_or("ALL").to_uppercase();
        match word.as_str() {
            "ALL" => Ok(Self::All),
            "ALL_WITH_BC" => Ok(Self::AllWithOld),
            "UTC" => Ok(Self::Utc),
            "PER_COUNTRY" => {
                let country = country.unwrap_or("").to_uppercase();
                if country.len() == 2 {
                    Ok(Self::Country(country))
                } else {
                    Err(country)
                }
            }
            region if REGIONS.contains(&region) => {
                let (first, rest) = region.split_at(1);
                Ok(Self::Region(format!("{first}{}/", rest.to_lowercase())))
            }
            _ => Err(group.unwrap_or("").to_owned()),
        }
    }

    /// Whether a name is one of them; case matters.
    pub(crate) fn contain(&self, name: &str) -> bool {
        let Some(country) = ZONES.get(name) else {
            return false;
        };
        match self {
            Self::AllWithOld => true,
            Self::All => country.is_some(),
            Self::Utc => name == "UTC",
            Self::Region(region) => country.is_some() && name.starts_with(region.as_str()),
            Self::Country(wanted) => *country == Some(wanted),
        }
    }

    /// Whether it names a country that there is.
    pub(crate) fn is_known(&self) -> bool {
        match self {
            Self::Country(wanted) => {
                NOWHERE.contains(&wanted.as_str())
                    || ZONES.values().any(|it| *it == Some(wanted.as_str()))
            }
            _ => true,
        }
    }
}

/// The offset of an abbreviation in seconds east of UTC, and whether it means summer; case does not
/// matter.
pub(crate) fn abbreviation(name: &str) -> Option<(i64, bool)> {
    ABBREVIATIONS
        .get(name.to_ascii_lowercase().as_str())
        .copied()
}

/// A zone of the database by its name; case does not matter.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}
