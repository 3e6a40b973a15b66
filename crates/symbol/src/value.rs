//! What passes through a rule: values, rows and tuples.
//!
//! A plugin's message arrives as JSON text and often leaves as JSON text with nothing computed on
//! the way. So a [`Value`] may stay undecoded ([`Value::Json`]) and a [`Tuple`] may be a slice of
//! the frame it came in ([`Body::Json`]): they are decoded when somebody looks, and only as far as
//! they look. No `serde_json::Value` tree is built on this path.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL NULL, JSON null.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer within 64 bits.
    Int(i64),
    /// A number that neither `Int` nor `Float` holds exactly, e.g. an integer above 2⁶³: its JSON text (HOST-23).
    Number(Arc<str>),
    /// A number with a fraction or an exponent; never NaN or infinite.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Bytes; base64 in JSON.
    Bytes(Bytes),
    /// A list.
    List(Vec<Value>),
    /// An object.
    Object(Row),
    /// A value nobody has looked into yet.
    Json(JsonText),
}

/// The text of exactly one valid JSON value, without space around it.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Bytes);

impl JsonText {
    /// Checks that `bytes` are one JSON value in UTF-8 and keeps them without copying.
    ///
    /// # Errors
    /// The parser's message when they are not.
    pub fn parse(bytes: Bytes) -> Result<Self, serde_json::Error> {
        let raw: &RawValue = serde_json::from_slice(&bytes)?;
        let text = bytes.slice_ref(raw.get().as_bytes());
        Ok(Self(text))
    }

    /// The text of a value that a parse of `bytes` came across, which therefore need not be checked again.
    ///
    /// # Panics
    /// When `raw` was not borrowed from `bytes`.
    pub fn within(bytes: &Bytes, raw: &RawValue) -> Self {
        Self(bytes.slice_ref(raw.get().as_bytes()))
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, for whoever wants to keep it.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Decodes one level: members of an object or list stay text.
    pub fn decode(&self) -> Value {
        // The text was checked when it was made, so this cannot fail; a null would be the least surprising value if it did.
        serde_json::from_slice(&self.0).unwrap_or(Value::Null)
    }

    /// The text of a part of this text, as given by a zero-copy parse of it.
    fn part(&self, raw: &RawValue) -> Self {
        Self(self.0.slice_ref(raw.get().as_bytes()))
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Named values in a fixed order. Names are unique; rows are small, so a name is found by looking through them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row(Vec<(Arc<str>, Value)>);

impl Row {
    /// An empty row.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| value)
    }

    /// Sets a name, in place when it is there, at the end when not.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: Value) {
        let name = name.into();
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(key, _)| &**key == name)?;
        Some(self.0.remove(index).1)
    }

    /// The entries in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sorts by name: the order eKuiper sends rows in.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
    }
}

impl FromIterator<(Arc<str>, Value)> for Row {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Value)>>(entries: I) -> Self {
        let mut row = Self::new();
        for (name, value) in entries {
            row.set(name, value);
        }
        row
    }
}

/// The contents of a tuple: decoded, or still the JSON object it came as.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A JSON object, undecoded.
    Json(JsonText),
    /// Decoded columns.
    Row(Row),
}

impl Body {
    /// Takes a JSON object as it is.
    ///
    /// # Errors
    /// When the text is no JSON, or JSON but no object.
    pub fn from_json_object(bytes: Bytes) -> Result<Self, serde_json::Error> {
        let text = JsonText::parse(bytes)?;
        if text.as_bytes().first() == Some(&b'{') {
            Ok(Self::Json(text))
        } else {
            Err(de::Error::custom("expected an object"))
        }
    }

    /// The columns that `wanted` names, in its order; others are skipped without being decoded.
    pub fn columns(&self, wanted: &[Arc<str>]) -> Row {
        match self {
            Self::Row(row) => wanted
                .iter()
                .filter_map(|name| Some((name.clone(), row.get(name)?.clone())))
                .collect(),
            Self::Json(text) => {
                let mut found: Vec<Option<Value>> = vec![None; wanted.len()];
                let scan = ColumnScan {
                    text,
                    wanted,
                    found: &mut found,
                };
                // The text was checked when it was made.
                let _ = serde_json::Deserializer::from_slice(text.as_bytes()).deserialize_map(scan);
                wanted
                    .iter()
                    .zip(found)
                    .filter_map(|(name, value)| Some((name.clone(), value?)))
                    .collect()
            }
        }
    }

    /// All columns; nested values stay undecoded.
    pub fn row(&self) -> Cow<'_, Row> {
        match self {
            Self::Row(row) => Cow::Borrowed(row),
            Self::Json(text) => Cow::Owned(match text.decode() {
                Value::Object(row) => row,
                _ => Row::new(),
            }),
        }
    }
}

/// One message on its way through a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuple {
    /// Its columns.
    pub body: Body,
    /// What the source says about it; read by `meta(key)`.
    pub meta: Option<JsonText>,
    /// When the host received it, in milliseconds since 1970 (UTC).
    pub received_at: i64,
}

impl Value {
    /// Looks into a value that is still text, one level deep.
    pub fn decoded(&self) -> Cow<'_, Self> {
        match self {
            Self::Json(text) => Cow::Owned(text.decode()),
            other => Cow::Borrowed(other),
        }
    }

    /// A float, or null where JSON has no such number.
    pub fn from_f64(number: f64) -> Self {
        if number.is_finite() {
            Self::Float(number)
        } else {
            Self::Null
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.serialize_str(&base64(bytes)),
            Self::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
            Self::Object(row) => row.serialize(serializer),
            Self::Number(text) => raw(text, serializer),
            Self::Json(text) => {
                let text =
                    std::str::from_utf8(text.as_bytes()).map_err(serde::ser::Error::custom)?;
                raw(text, serializer)
            }
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Numbers are read as text first: only so are integers beyond 64 bits kept exactly.
        let raw: &RawValue = Deserialize::deserialize(deserializer)?;
        from_raw(raw).map_err(de::Error::custom)
    }
}

/// Decodes one level; members of lists and objects become [`Value::Json`] when they are containers themselves.
fn from_raw(raw: &RawValue) -> Result<Value, serde_json::Error> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            Value::Object(serde_json::Deserializer::from_str(text).deserialize_map(RowVisitor)?)
        }
        Some(b'[') => {
            Value::List(serde_json::Deserializer::from_str(text).deserialize_seq(ListVisitor)?)
        }
        Some(b'"') => Value::Text(serde_json::from_str::<Lossy<'_>>(text)?.0.into()),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') | None => Value::Null,
        Some(_) => number(text),
    })
}

/// Reads the text of a JSON number without losing digits.
fn number(text: &str) -> Value {
    if let Ok(number) = text.parse() {
        return Value::Int(number);
    }
    if text.contains(['.', 'e', 'E'])
        && let Ok(number) = text.parse::<f64>()
        && number.is_finite()
    {
        return Value::Float(number);
    }
    Value::Number(text.into())
}

/// A member: scalars are decoded at once, containers stay text of their own.
fn member(raw: &RawValue) -> Result<Value, serde_json::Error> {
    match raw.get().as_bytes().first() {
        Some(b'{' | b'[') => Ok(Value::Json(JsonText(Bytes::copy_from_slice(
            raw.get().as_bytes(),
        )))),
        _ => from_raw(raw),
    }
}

/// A text in which half a pair of surrogates, which no Unicode text can hold, reads as U+FFFD: as Go reads it.
struct Lossy<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Lossy<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, halves come encoded by themselves; as a text, they would be errors.
        deserializer.deserialize_bytes(LossyVisitor)
    }
}

struct LossyVisitor;

impl<'de> Visitor<'de> for LossyVisitor {
    type Value = Lossy<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Lossy<'de>, E> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Lossy(Cow::Borrowed(text))),
            Err(_) => self.visit_bytes(bytes),
        }
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Lossy<'de>, E> {
        let mut text = String::with_capacity(bytes.len());
        let mut rest = bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(sound) => {
                    text.push_str(sound);
                    return Ok(Lossy(Cow::Owned(text)));
                }
                Err(error) => {
                    let (sound, from) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(sound));
                    text.push(char::REPLACEMENT_CHARACTER);
                    // A half is three bytes, of which the first says so; anything else cannot come out of JSON.
                    let half = matches!(from, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]);
                    rest = from.get(if half { 3 } else { 1 }..).unwrap_or_default();
                }
            }
        }
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut row = Row::new();
        while let Some(Lossy(name)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            row.set(name.into_owned(), member(raw).map_err(de::Error::custom)?);
        }
        Ok(row)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Value>, A::Error> {
        let mut values = Vec::new();
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            values.push(member(raw).map_err(de::Error::custom)?);
        }
        Ok(values)
    }
}

/// Goes through an object and keeps only the wanted columns, as slices of the text.
struct ColumnScan<'a> {
    text: &'a JsonText,
    wanted: &'a [Arc<str>],
    found: &'a mut [Option<Value>],
}

impl<'de> Visitor<'de> for ColumnScan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Lossy(name)) = map.next_key()? {
            match self.wanted.iter().position(|wanted| **wanted == *name) {
                Some(index) => {
                    let raw: &'de RawValue = map.next_value()?;
                    self.found[index] = Some(Value::Json(self.text.part(raw)));
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Writes JSON text into a JSON serializer as it is.
fn raw<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
    raw.serialize(serializer)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(text: &'static str) -> Body {
        Body::from_json_object(Bytes::from_static(text.as_bytes())).unwrap()
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn halves_of_surrogates_read_as_go_reads_them() {
        for (text, expected) in [
            (r#""\ud800""#, "\u{fffd}"),
            (r#""a\udfffb""#, "a\u{fffd}b"),
            (r#""\ud800\ud800""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\ude00é""#, "😀é"),
        ] {
            let value = JsonText::parse(text.into()).unwrap().decode();
            assert_eq!(value, Value::Text(expected.into()), "{text}");
        }
        let text = r#"{"\udc00":1,"b":"\ud800x"}"#;
        let Value::Object(row) = JsonText::parse(text.into()).unwrap().decode() else {
            panic!("no object");
        };
        assert_eq!(row.get("\u{fffd}"), Some(&Value::Int(1)));
        assert_eq!(row.get("b"), Some(&Value::Text("\u{fffd}x".into())));
    }

    #[test]
    fn only_wanted_columns_are_taken_and_in_the_wanted_order() {
        let body = body(r#"{"a": 1, "b": {"deep": [1, 2]}, "c": "x"}"#);
        let row = body.columns(&names(&["c", "b", "missing"]));
        assert_eq!(json(&row), r#"{"c":"x","b":{"deep": [1, 2]}}"#);
    }

    #[test]
    fn host_23_integers_keep_every_digit() {
        let body = body(
            r#"{"i":9007199254740993,"u":18446744073709551615,"h":123456789012345678901234567890}"#,
        );
        let row = body.row().into_owned();
        assert_eq!(row.get("i"), Some(&Value::Int(9_007_199_254_740_993)));
        assert_eq!(
            json(&row),
            r#"{"i":9007199254740993,"u":18446744073709551615,"h":123456789012345678901234567890}"#
        );
    }

    #[test]
    fn escaped_names_are_found() {
        let row = body(r#"{"n\u0061me":1}"#).columns(&names(&["name"]));
        assert_eq!(json(&row), r#"{"name":1}"#);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in ["[1]", "1", "null", "{", "{}x", "", "\"{}\""] {
            assert!(
                Body::from_json_object(Bytes::from_static(bad.as_bytes())).is_err(),
                "{bad}"
            );
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            (-1e9..1e9_f64).prop_map(Into::into),
            ".*".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map(".*", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn decoding_and_encoding_changes_nothing(tree in any_json()) {
            let text = serde_json::to_vec(&tree).unwrap();
            let value = JsonText::parse(text.into()).unwrap().decode();
            let back: serde_json::Value = serde_json::from_str(&json(&value)).unwrap();
            prop_assert_eq!(back, tree);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(body) = Body::from_json_object(bytes.into()) {
                let _ = body.row();
            }
        }
    }
}
