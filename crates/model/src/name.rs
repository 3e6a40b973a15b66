//! How plugins are called: `kind:key`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`Key::MAX_LEN`] bytes.
    #[error("`{0}…` is longer than {max} bytes", max = Key::MAX_LEN)]
    TooLong(String),
    /// A character outside `A–Z a–z 0–9 _ -`.
    #[error("`{name}` contains `{found}`: only letters, digits, `_` and `-` are allowed")]
    Character {
        /// The name as given.
        name: String,
        /// The first character that may not stand there.
        found: char,
    },
}

/// Which of the formats a plugin has, e.g. `portable`.
///
/// A word rather than an enumeration: the platform names no kind, kinds register themselves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KindId(Cow<'static, str>);

impl KindId {
    /// A kind known at compile time.
    pub const fn from_static(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }

    /// The word itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for KindId {
    fn from(id: String) -> Self {
        Self(Cow::Owned(id))
    }
}

impl fmt::Display for KindId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a plugin is called within its kind: `^[A-Za-z0-9_-]{1,128}$`.
///
/// A key becomes a directory, a socket and an identifier in SQL (HOST-2), hence the narrow alphabet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

impl Key {
    /// Longest key in bytes.
    pub const MAX_LEN: usize = 128;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(found) = text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        {
            return Err(NameError::Character {
                name: text.to_owned(),
                found,
            });
        }
        if text.len() > Self::MAX_LEN {
            return Err(NameError::TooLong(text[..16].to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Key {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The full name of a plugin, written `kind:key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName {
    /// The format.
    pub kind: KindId,
    /// The name within the format.
    pub key: Key,
}

impl PluginName {
    /// Puts the two parts together.
    pub const fn new(kind: KindId, key: Key) -> Self {
        Self { kind, key }
    }
}

impl FromStr for PluginName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (kind, key) = text.split_once(':').ok_or(NameError::Empty)?;
        let kind: Key = kind.parse()?;
        Ok(Self {
            kind: KindId::from(String::from(kind)),
            key: key.parse()?,
        })
    }
}

impl TryFrom<String> for PluginName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<PluginName> for String {
    fn from(name: PluginName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_could_leave_its_directory_is_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "a.b", "插件", "a\0"] {
            assert!(bad.parse::<Key>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(129).parse::<Key>().is_err());
        assert_eq!(
            "my-Plugin_1".parse::<Key>().unwrap().as_str(),
            "my-Plugin_1"
        );
    }

    #[test]
    fn a_full_name_reads_back_as_it_is_written() {
        let name: PluginName = "portable:pysam".parse().unwrap();
        assert_eq!(
            (name.kind.as_str(), name.key.as_str()),
            ("portable", "pysam")
        );
        assert_eq!(name.to_string(), "portable:pysam");
        assert!("pysam".parse::<PluginName>().is_err());
        assert!("a:b:c".parse::<PluginName>().is_err());
    }
}
