//! Values as Laravel's validator sees them, and PHP's ideas of text, number, emptiness and equality.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A JSON value with the integer/float distinction of its text, as PHP's `json_decode` keeps it.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A JSON array; its keys are 0, 1, 2 …
    List(Vec<Value>),
    /// A JSON object in the order of its text.
    Map(Vec<(String, Value)>),
}

/// How deep a nested value is looked into; what lies deeper is `null`.
const DEPTH: usize = 128;

impl Value {
    /// Reads a JSON value. Integers outside 64 bits are floats; what is nested deeper than 128
    /// levels becomes `null`.
    pub fn from_json(json: &serde_json::Value) -> Self {
        Self::at_depth(json, DEPTH)
    }

    fn at_depth(json: &serde_json::Value, depth: usize) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(it) => Self::Bool(*it),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::Int(integer),
                None => Self::Float(number.as_f64().unwrap_or(f64::INFINITY)),
            },
            serde_json::Value::String(text) => Self::Text(text.clone()),
            _ if depth == 0 => Self::Null,
            serde_json::Value::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| Self::at_depth(item, depth - 1))
                    .collect(),
            ),
            serde_json::Value::Object(entries) => Self::Map(
                entries
                    .iter()
                    .map(|(key, item)| (key.clone(), Self::at_depth(item, depth - 1)))
                    .collect(),
            ),
        }
    }

    /// PHP's string form; `None` for arrays, which have none.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Null | Self::Bool(false) => Cow::Borrowed(""),
            Self::Bool(true) => Cow::Borrowed("1"),
            Self::Int(integer) => Cow::Owned(integer.to_string()),
            Self::Float(float) => Cow::Owned(float_text(*float)),
            Self::Text(text) => Cow::Borrowed(text),
            Self::List(_) | Self::Map(_) => return None,
        })
    }

    /// Whether `required` calls it empty: null, blank text, an array without entries.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => is_blank(text),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// PHP's `is_numeric`: integers, floats, and decimal text with optional sign, exponent and
    /// surrounding white space.
    pub fn is_numeric(&self) -> bool {
        match self {
            Self::Int(_) | Self::Float(_) => true,
            Self::Text(text) => is_numeric_text(text),
            _ => false,
        }
    }

    /// Whether it is an array in PHP's sense.
    pub fn is_array(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }

    /// Number of entries of an array.
    pub fn entries(&self) -> Option<usize> {
        match self {
            Self::List(items) => Some(items.len()),
            Self::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// Whether the array has this key; text that looks like a canonical integer is that integer.
    pub fn has_key(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The entry of an array under a key.
    pub fn entry(&self, key: &str) -> Option<&Self> {
        match self {
            Self::List(items) => {
                let index: usize = key.parse().ok()?;
                if index.to_string() == key {
                    items.get(index)
                } else {
                    None
                }
            }
            Self::Map(entries) => entries
                .iter()
                .rev()
                .find(|(it, _)| it == key)
                .map(|it| &it.1),
            _ => None,
        }
    }

    /// PHP's `===`.
    pub fn is_identical(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            #[expect(clippy::float_cmp, reason = "PHP compares exactly here")]
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (a, b) if a.is_array() && b.is_array() => {
                a.entries() == b.entries()
                    && a.keyed()
                        .zip(b.keyed())
                        .all(|((k, v), (l, w))| k == l && v.is_identical(w))
            }
            _ => false,
        }
    }

    /// PHP 8's `==`.
    pub fn is_loosely(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), b) | (b, Self::Bool(a)) => *a == b.is_truthy(),
            (Self::Text(text), other) | (other, Self::Text(text)) => other.is_loosely_text(text),
            (Self::Null, b) | (b, Self::Null) => !b.is_truthy(),
            (Self::Int(a), Self::Int(b)) => a == b,
            #[expect(clippy::float_cmp, reason = "PHP compares exactly here")]
            (a @ (Self::Int(_) | Self::Float(_)), b @ (Self::Int(_) | Self::Float(_))) => {
                a.number() == b.number()
            }
            (a, b) if a.is_array() && b.is_array() => {
                a.entries() == b.entries()
                    && a.keyed()
                        .all(|(key, v)| b.entry(&key).is_some_and(|w| v.is_loosely(w)))
            }
            _ => false,
        }
    }

    /// PHP 8's `==` with a text.
    pub(crate) fn is_loosely_text(&self, text: &str) -> bool {
        match self {
            Self::Null => text.is_empty(),
            Self::Bool(it) => *it == (!text.is_empty() && text != "0"),
            Self::Text(own) => loose_text(own, text),
            Self::Int(_) | Self::Float(_) => loose_number(self, text),
            Self::List(_) | Self::Map(_) => false,
        }
    }

    /// PHP's conversion to a boolean.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(it) => *it,
            Self::Int(it) => *it != 0,
            Self::Float(it) => *it != 0.0,
            Self::Text(it) => !it.is_empty() && it != "0",
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "PHP converts the same way")]
    fn number(&self) -> f64 {
        match self {
            Self::Int(it) => *it as f64,
            Self::Float(it) => *it,
            _ => f64::NAN,
        }
    }

    /// Keys and values of an array, in order.
    pub(crate) fn keyed(&self) -> Box<dyn Iterator<Item = (Cow<'_, str>, &Self)> + '_> {
        match self {
            Self::List(items) => Box::new(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| (Cow::Owned(index.to_string()), item)),
            ),
            Self::Map(entries) => Box::new(
                entries
                    .iter()
                    .map(|(key, item)| (Cow::Borrowed(key.as_str()), item)),
            ),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// PHP's `gettype`, as far as values of JSON go.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Text(_) => 4,
            Self::List(_) | Self::Map(_) => 5,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Self::Int(integer)
    }
}

impl From<bool> for Value {
    fn from(it: bool) -> Self {
        Self::Bool(it)
    }
}

/// Where values are found by the names of their fields.
pub trait Data {
    /// The value of a field; `None` when the field is absent, which differs from `null`.
    fn value(&self, name: &str) -> Option<&Value>;
}

impl Data for BTreeMap<String, Value> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl<S: std::hash::BuildHasher> Data for HashMap<String, Value, S> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl<K: AsRef<str>> Data for [(K, Value)] {
    fn value(&self, name: &str) -> Option<&Value> {
        self.iter()
            .find(|(key, _)| key.as_ref() == name)
            .map(|(_, value)| value)
    }
}

impl<K: AsRef<str>> Data for Vec<(K, Value)> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.as_slice().value(name)
    }
}

impl<K: AsRef<str>, const N: usize> Data for [(K, Value); N] {
    fn value(&self, name: &str) -> Option<&Value> {
        self.as_slice().value(name)
    }
}

/// No data at all.
impl Data for () {
    fn value(&self, _: &str) -> Option<&Value> {
        None
    }
}

/// What PHP's `trim` takes away.
pub(crate) const BLANKS: &[char] = &[' ', '\t', '\n', '\r', '\0', '\x0b'];

/// PHP's `trim`.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(BLANKS)
}

/// Whether nothing is left of a text after PHP's `trim`. Full-width and no-break spaces are not blank.
pub fn is_blank(text: &str) -> bool {
    trim(text).is_empty()
}

/// PHP's `is_numeric` of a text.
pub fn is_numeric_text(text: &str) -> bool {
    const SPACE: &[char] = &[' ', '\t', '\n', '\r', '\x0b', '\x0c'];
    let bytes = text.trim_matches(SPACE).as_bytes();
    let digits = |mut at: usize| {
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at, at - start)
    };
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let (mut at, whole) = digits(sign);
    let mut count = whole;
    if bytes.get(at) == Some(&b'.') {
        let (after, fraction) = digits(at + 1);
        count += fraction;
        at = after;
    }
    if count == 0 {
        return false;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let mut exponent = at + 1;
        if matches!(bytes.get(exponent), Some(b'+' | b'-')) {
            exponent += 1;
        }
        let (after, length) = digits(exponent);
        if length > 0 {
            at = after;
        }
    }
    at == bytes.len()
}

/// PHP's text of a float with `precision` 14.
pub(crate) fn float_text(float: f64) -> String {
    const PRECISION: usize = 14;
    if float.is_nan() {
        return "NAN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    if float == 0.0 {
        return if float.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{:.*e}", PRECISION - 1, float);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    if !(-4..14).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let rest = if rest.is_empty() { "0" } else { rest };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}.{rest}E{exponent_sign}{}", exponent.abs());
    }
    let point = usize::try_from(exponent + 1);
    match point {
        Ok(point) if point > 0 => {
            if digits.len() <= point {
                format!("{sign}{digits}{}", "0".repeat(point - digits.len()))
            } else {
                let (whole, fraction) = digits.split_at(point);
                format!("{sign}{whole}.{fraction}")
            }
        }
        _ => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
            format!("{sign}0.{}{digits}", "0".repeat(zeros))
        }
    }
}

/// A numeric text as PHP reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Int(i64),
    /// With the side on which an integer left the 64 bits: -1, 0 (no integer), 1.
    Float(f64, i8),
}

impl Number {
    /// Reads a text for which [`is_numeric_text`] holds.
    fn read(text: &str) -> Self {
        let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        if let Ok(integer) = text.parse::<i64>() {
            return Self::Int(integer);
        }
        let float = text.parse().unwrap_or(f64::NAN);
        let integral = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-'));
        let side = match (integral, text.starts_with('-')) {
            (false, _) => 0,
            (true, true) => -1,
            (true, false) => 1,
        };
        Self::Float(float, side)
    }

    #[expect(clippy::cast_precision_loss, reason = "PHP converts the same way")]
    fn float(self) -> f64 {
        match self {
            Self::Int(integer) => integer as f64,
            Self::Float(float, _) => float,
        }
    }
}

/// `==` of two texts: as numbers when both are numeric, else byte by byte.
#[expect(clippy::float_cmp, reason = "PHP compares exactly here")]
fn loose_text(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    if !is_numeric_text(a) || !is_numeric_text(b) {
        return false;
    }
    match (Number::read(a), Number::read(b)) {
        (Number::Int(a), Number::Int(b)) => a == b,
        // Integers beyond 64 bits on the same side are compared as texts, and those differ.
        (Number::Float(x, side), Number::Float(y, other)) => {
            x == y && x.is_finite() && (side == 0 || side != other)
        }
        (Number::Int(_), Number::Float(_, side)) | (Number::Float(_, side), Number::Int(_))
            if side != 0 =>
        {
            false
        }
        (one, two) => one.float() == two.float(),
    }
}

#[expect(clippy::float_cmp, reason = "PHP compares exactly here")]
fn loose_number(number: &Value, text: &str) -> bool {
    if !is_numeric_text(text) {
        return number.text().is_some_and(|it| it == text);
    }
    match (number, Number::read(text)) {
        (Value::Int(a), Number::Int(b)) => *a == b,
        (a, b) => a.number() == b.float(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::excessive_precision,
        reason = "what the text says is what is tested"
    )]
    fn floats_read_as_php_prints_them() {
        for (float, text) in [
            (1.0, "1"),
            (0.300_000_000_000_000_04, "0.3"),
            (100_000_000_000_000.0, "1.0E+14"),
            (99_999_999_999_999.0, "99999999999999"),
            (99_999_999_999_999.9, "1.0E+14"),
            (1.5e300, "1.5E+300"),
            (0.000_01, "1.0E-5"),
            (0.000_1, "0.0001"),
            (12_345_678.123_456_789, "12345678.123457"),
            (-0.0, "-0"),
            (-1.25, "-1.25"),
            (1e20, "1.0E+20"),
            (1e-10, "1.0E-10"),
            (120.0, "120"),
        ] {
            assert_eq!(float_text(float), text);
        }
    }

    #[test]
    fn numeric_texts_are_php_s() {
        for text in [
            "1", " 1 ", "+1", "-.5", "5.", "1e3", "1E-3", "\t1\n", "0001", "1.5e+2",
        ] {
            assert!(is_numeric_text(text), "{text:?}");
        }
        for text in [
            "", " ", ".", "+", "e5", "1e", "1e+", "0x1A", "1_000", "１", "1 2", "--1", "NaN",
        ] {
            assert!(!is_numeric_text(text), "{text:?}");
        }
    }

    #[test]
    fn loose_equality_is_php_8_s() {
        let text = Value::from;
        for (a, b, equal) in [
            (text("1"), text("01"), true),
            (text("10"), text("1e1"), true),
            (text("abc"), text("ABC"), false),
            (Value::Int(0), text(""), false),
            (Value::Int(1), text("1.0"), true),
            (Value::Int(1), text("1abc"), false),
            (Value::Null, text(""), true),
            (Value::Null, Value::Int(0), true),
            (Value::Bool(true), text("false"), true),
            (Value::Bool(false), text("0"), true),
            (Value::List(vec![]), Value::Null, true),
            (Value::List(vec![]), Value::Int(0), false),
            (
                text("9223372036854775808"),
                text("9223372036854775809"),
                false,
            ),
            (text("1e1000"), text("1e1001"), false),
        ] {
            assert_eq!(a.is_loosely(&b), equal, "{a:?} == {b:?}");
            assert_eq!(b.is_loosely(&a), equal, "{b:?} == {a:?}");
        }
    }
}
