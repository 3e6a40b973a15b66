//! Versions of definitions.

use std::cmp::Ordering;
use std::fmt;

/// The version of a definition: `MAJOR.MINOR.PATCH` with optional pre-release and build parts.
///
/// It keeps its text as written and orders by the precedence of Semantic Versioning 2.0.0: numbers by
/// value and of any length, a pre-release before its release, build parts ignored. Two versions that
/// differ in their build part only are therefore equal.
#[derive(Clone)]
pub struct Version(Box<str>);

/// Longest version, in characters.
pub(crate) const VERSION_LIMIT: usize = 64;

impl Version {
    /// Reads a version; `None` when it has another form or more than 64 characters.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() <= VERSION_LIMIT && is_version(text);
        valid.then(|| Self(text.into()))
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parts(&self) -> (impl Iterator<Item = &str>, Option<&str>) {
        let text = self.0.split_once('+').map_or(&*self.0, |parts| parts.0);
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        (core.split('.'), pre)
    }
}

impl Default for Version {
    /// `1.0.0`, the version of a definition that names none.
    fn default() -> Self {
        Self("1.0.0".into())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((core, pre), (other_core, other_pre)) = (self.parts(), other.parts());
        core.map(Numeric)
            .cmp(other_core.map(Numeric))
            .then_with(|| match (pre, other_pre) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(pre), Some(other)) => identifiers(pre).cmp(identifiers(other)),
            })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

/// Digits of any length, ordered by value.
#[derive(PartialEq, Eq)]
struct Numeric<'a>(&'a str);

impl Ord for Numeric<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (
            self.0.trim_start_matches('0'),
            other.0.trim_start_matches('0'),
        );
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    }
}

impl PartialOrd for Numeric<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Numbers are less than words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identifier<'a> {
    Number(Numeric<'a>),
    Word(&'a str),
}

fn identifiers(pre: &str) -> impl Iterator<Item = Identifier<'_>> {
    pre.split('.').map(|part| {
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            Identifier::Number(Numeric(part))
        } else {
            Identifier::Word(part)
        }
    })
}

/// The form `(0|[1-9][0-9]*)` three times, then `-…` and `+…` of letters, digits, points and hyphens.
fn is_version(text: &str) -> bool {
    let tail = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
    };
    let (text, build) = match text.split_once('+') {
        Some((text, build)) => (text, Some(build)),
        None => (text, None),
    };
    let (core, pre) = match text.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (text, None),
    };
    let number = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            && !part.is_empty()
            && (part == "0" || !part.starts_with('0'))
    };
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(tail)
        && build.is_none_or(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers() {
        for good in [
            "0.0.0",
            "1.2.3",
            "1.0.0-rc.1",
            "1.0.0+build.7",
            "1.0.0-a-b+c-d",
        ] {
            assert!(Version::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "01.0.0",
            "v1.0.0",
            "1.0.0-",
            "1.0.0+",
            "1.0.x",
            " 1.0.0",
            "1.0.0\n",
            "1.0.0+a+b",
            "1.0.0-ä",
            "٣.0.0",
        ] {
            assert!(Version::parse(bad).is_none(), "{bad}");
        }
        assert!(Version::parse(&format!("1.0.{}", "1".repeat(61))).is_none());
    }

    #[test]
    fn precedence_is_that_of_semantic_versioning() {
        let ascending = [
            "0.9.10",
            "1.0.0-0",
            "1.0.0-2",
            "1.0.0-10",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-beta",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "18446744073709551616.0.0",
        ];
        let versions: Vec<_> = ascending
            .iter()
            .map(|text| Version::parse(text).unwrap())
            .collect();
        assert!(versions.is_sorted_by(|a, b| a < b));
        assert_eq!(Version::parse("1.0.0+a"), Version::parse("1.0.0+b"));
    }
}
