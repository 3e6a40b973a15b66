//! Values as they are stored: typed, in one canonical form per field type, secrets apart from the rest.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use plugyard_validation::Value as EngineValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value as Json;

/// What everybody but the plugin itself sees of a secret that is set; eight asterisks, whatever its length.
pub const MASK: &str = "********";

/// The content of a `password` field. It has no `Serialize`, and its `Debug` says `[redacted]`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text in clear: for encrypting it, for the plugin that owns it, and for rules that compare it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is stored of a field, in canonical form.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Unset or cleared.
    #[default]
    Null,
    /// Of a `checkbox`.
    Bool(bool),
    /// Of a `number` that is a whole one within 64 bits, or of a `select` whose option is.
    Int(i64),
    /// Of any other `number`; always finite.
    Float(f64),
    /// Of every other type but `password`.
    Text(String),
    /// Of a `password`.
    Secret(Secret),
    /// Of a `password` whose stored form cannot be decrypted: set, but nobody can say to what.
    Unreadable,
}

impl Value {
    /// Whether there is a value.
    pub fn is_set(&self) -> bool {
        !matches!(self, Self::Null)
    }

    /// Reads what [`to_json`](Self::to_json) wrote of a value that is no secret; `None` for arrays and objects.
    ///
    /// Integers beyond 64 bits become [`Float`](Self::Float).
    pub fn from_json(json: &Json) -> Option<Self> {
        Some(match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(integer) => Self::Int(integer),
                None => Self::Float(number.as_f64()?),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(_) | Json::Object(_) => return None,
        })
    }

    /// The value as everybody may see it: secrets are eight asterisks.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Float(value) => Json::from(*value),
            Self::Text(text) => Json::from(text.as_str()),
            Self::Secret(_) | Self::Unreadable => Json::from(MASK),
        }
    }

    /// The value as the plugin itself may see it, secrets in clear; `None` when it is
    /// [`Unreadable`](Self::Unreadable).
    pub fn expose_json(&self) -> Option<Json> {
        match self {
            Self::Unreadable => None,
            Self::Secret(secret) => Some(Json::from(secret.expose())),
            other => Some(other.to_json()),
        }
    }

    /// The value as rules see it; `None` when there is none to see.
    ///
    /// A secret that cannot be read shows its mask, so that others see that it is there.
    pub(crate) fn to_engine(&self) -> Option<EngineValue> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => EngineValue::Text(if *value { "1" } else { "0" }.to_owned()),
            Self::Int(value) => EngineValue::Int(*value),
            Self::Float(value) => EngineValue::Float(*value),
            Self::Text(text) => EngineValue::Text(text.clone()),
            Self::Secret(secret) => EngineValue::Text(secret.expose().to_owned()),
            Self::Unreadable => EngineValue::Text(MASK.to_owned()),
        })
    }

    /// The text that a field of another type may be able to read; `None` when there is none, or none that
    /// may become readable.
    pub(crate) fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Null | Self::Secret(_) | Self::Unreadable => return None,
            Self::Bool(value) => Cow::Borrowed(if *value { "1" } else { "0" }),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Float(value) => EngineValue::Float(*value)
                .text()
                .map(|text| Cow::Owned(text.into_owned()))?,
            Self::Text(text) => Cow::Borrowed(text),
        })
    }
}

/// What is stored of one field.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// Whether somebody changed it since it was last initial.
    pub user_modified: bool,
}

/// What is stored of all fields of a plugin, by field key.
///
/// A field that is not in here counts as unset and never touched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values(BTreeMap<String, Entry>);

impl Values {
    /// Nothing stored.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is stored of a field.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.0.get(key)
    }

    /// The value of a field; [`Value::Null`] when nothing is stored of it.
    pub fn value(&self, key: &str) -> &Value {
        const NONE: &Value = &Value::Null;
        self.0.get(key).map_or(NONE, |entry| &entry.value)
    }

    /// Whether somebody changed the field since it was last initial.
    pub fn user_modified(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|entry| entry.user_modified)
    }

    /// Stores an entry.
    pub fn insert(&mut self, key: impl Into<String>, entry: Entry) {
        self.0.insert(key.into(), entry);
    }

    /// Every field of which something is stored, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    /// How many fields have something stored.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Entry)> for Values {
    fn from_iter<T: IntoIterator<Item = (String, Entry)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown_by_accident() {
        let value = Value::Secret(Secret::new("sk-0123456789"));
        assert_eq!(format!("{value:?}"), "Secret([redacted])");
        assert_eq!(value.to_json(), MASK);
        assert_eq!(value.expose_json(), Some(Json::from("sk-0123456789")));
        assert_eq!(value.to_text(), None);
        assert_eq!(Value::Unreadable.to_json(), MASK);
        assert_eq!(Value::Unreadable.expose_json(), None);
    }

    #[test]
    fn what_is_no_secret_reads_back() {
        for value in [
            Value::Null,
            Value::Bool(true),
            Value::Int(-3),
            Value::Float(1.5),
            Value::Text("ä".into()),
        ] {
            assert_eq!(Value::from_json(&value.to_json()), Some(value));
        }
        assert_eq!(Value::from_json(&serde_json::json!([])), None);
    }
}
