//! Checks of one value, without its neighbours.

mod email;
mod json;
mod url;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

pub(crate) use email::EmailModes;
pub use email::{EmailMode, is_email};
pub use url::is_url;
pub(crate) use url::is_url_with;

use crate::rule::RuleName;
use crate::set::Rule;
use crate::value::{Value, is_numeric_text, trim};

/// The text of a string or a number.
pub(crate) fn string_or_number(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(_) | Value::Int(_) | Value::Float(_) => value.text(),
        _ => None,
    }
}

/// Whether a text is ASCII as the library sees it that Laravel asks: without control characters other
/// than tab, line feed, carriage return, and those numbered 16 and 19.
fn is_ascii(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x10 | 0x13 | b' '..=b'~'))
}

/// Rules without parameters.
pub(crate) fn plain(name: RuleName, value: &Value) -> bool {
    if let Value::Text(text) = value {
        match name {
            RuleName::Ascii => return is_ascii(text),
            RuleName::Lowercase => {
                return text.chars().flat_map(char::to_lowercase).eq(text.chars());
            }
            RuleName::Uppercase => {
                return text.chars().flat_map(char::to_uppercase).eq(text.chars());
            }
            RuleName::HexColor => return is_hex_color(text),
            RuleName::MacAddress => return is_mac_address(text),
            RuleName::Base64 => return is_base64(text),
            RuleName::Ulid => return is_ulid(text),
            RuleName::Ip => return text.parse::<IpAddr>().is_ok(),
            RuleName::Ipv4 => return text.parse::<Ipv4Addr>().is_ok(),
            RuleName::Ipv6 => return text.parse::<Ipv6Addr>().is_ok(),
            _ => {}
        }
    }
    // All but null, false and arrays have a text, and only some of those are JSON.
    name == RuleName::Json
        && !matches!(value, Value::Null)
        && value.text().is_some_and(|text| json::is_valid(&text))
}

/// `[+-]?(0|[1-9][0-9]*)` within 64 bits, after trimming.
pub(crate) fn is_integer(value: &Value, strict: bool) -> bool {
    match value {
        Value::Int(_) => true,
        _ if strict => false,
        Value::Bool(it) => *it,
        Value::Float(_) => value.text().is_some_and(|text| is_integer_text(&text)),
        Value::Text(text) => is_integer_text(text.trim_matches([' ', '\t', '\n', '\r', '\x0b'])),
        _ => false,
    }
}

fn is_integer_text(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (digits == "0" || !digits.starts_with('0'))
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<i64>().is_ok()
}

/// Whether a value is one of PHP's booleans as Laravel takes them.
pub(crate) fn is_boolean(value: &Value, strict: bool) -> bool {
    match value {
        Value::Bool(_) => true,
        _ if strict => false,
        Value::Int(it) => matches!(it, 0 | 1),
        Value::Text(it) => matches!(it.as_str(), "0" | "1"),
        _ => false,
    }
}

/// A number of digits that a rule asks for, compared as PHP compares an integer with a text.
#[derive(Debug, Clone)]
pub(crate) enum DigitLimit {
    Number(f64),
    Text(Box<str>),
}

impl DigitLimit {
    pub(crate) fn new(parameter: &str) -> Self {
        if is_numeric_text(parameter) {
            Self::Number(trim(parameter).parse().unwrap_or(f64::NAN))
        } else {
            Self::Text(parameter.into())
        }
    }

    /// Whether it is a whole number from 0.
    pub(crate) fn is_count(&self) -> bool {
        matches!(self, Self::Number(it) if *it >= 0.0 && it.fract() == 0.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "lengths are far below the loss")]
    fn order(&self, count: usize) -> Option<std::cmp::Ordering> {
        match self {
            Self::Number(it) => (count as f64).partial_cmp(it),
            Self::Text(it) => Some(count.to_string().as_str().cmp(it)),
        }
    }

    pub(crate) fn equals(&self, count: usize) -> bool {
        self.order(count).is_some_and(std::cmp::Ordering::is_eq)
    }

    /// Whether it is at most the count.
    pub(crate) fn at_most(&self, count: usize) -> bool {
        self.order(count).is_some_and(std::cmp::Ordering::is_ge)
    }

    /// Whether it is at least the count.
    pub(crate) fn at_least(&self, count: usize) -> bool {
        self.order(count).is_some_and(std::cmp::Ordering::is_le)
    }
}

/// The number of digits of a value that consists of nothing else.
pub(crate) fn digits(value: &Value) -> Option<usize> {
    let text = string_or_number(value)?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text.len())
}

/// Whether a value is a decimal without an exponent whose places lie within the limits.
pub(crate) fn is_decimal(value: &Value, limits: &[DigitLimit]) -> bool {
    if !value.is_numeric() {
        return false;
    }
    let text = value.text().unwrap_or_default();
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return false;
    }
    let places = fraction.len();
    match limits {
        [exact] => exact.equals(places),
        [low, high, ..] => low.at_most(places) && high.at_least(places),
        [] => false,
    }
}

/// Whether an array has no key but the parameters.
pub(crate) fn has_only_keys(value: &Value, rule: &Rule) -> bool {
    value
        .keyed()
        .all(|(key, _)| rule.parameters().any(|it| it == key))
}

/// Whether an array has the keys 0, 1, 2 … in order.
pub(crate) fn is_list(value: &Value) -> bool {
    value.is_array()
        && value
            .keyed()
            .enumerate()
            .all(|(index, (key, _))| key == index.to_string())
}

/// Whether an array has a value that is loosely equal to a parameter.
pub(crate) fn contains(value: &Value, rule: &Rule, parameter: usize) -> bool {
    value
        .keyed()
        .any(|(_, item)| match rule.parameter(parameter) {
            Some(text) => item.is_loosely_text(text),
            None => item.is_loosely(&Value::Null),
        })
}

/// Whether a value is one of the parameters; of an array with the rule `array`, whether all entries are.
pub(crate) fn is_in(value: &Value, rule: &Rule, array: bool) -> bool {
    let listed = |text: &str| rule.parameters.iter().any(|it| it.as_deref() == Some(text));
    if value.is_array() {
        return array
            && value.keyed().all(|(_, item)| {
                // A difference of arrays sees the null of `in:` as empty text.
                item.text().is_some_and(|text| {
                    listed(&text)
                        || (text.is_empty() && rule.parameters.iter().any(Option::is_none))
                })
            });
    }
    value.text().is_some_and(|text| listed(&text))
}

/// Whether one of the parameters stands at an end of a string or a number; `None` for other values.
pub(crate) fn has_affix(
    value: &Value,
    rule: &Rule,
    holds: impl Fn(&str, &str) -> bool,
) -> Option<bool> {
    let text = string_or_number(value)?;
    Some(
        rule.parameters
            .iter()
            .flatten()
            .any(|affix| !affix.is_empty() && holds(&text, affix)),
    )
}

/// Letters and marks, at least one.
pub(crate) fn is_alpha(text: &str, ascii: bool) -> bool {
    all(text, |it| {
        it.is_ascii_alphabetic() || (!ascii && is_letter_or_mark(it))
    })
}

/// Letters, marks and numbers, at least one.
pub(crate) fn is_alpha_num(text: &str, ascii: bool) -> bool {
    all(text, |it| {
        it.is_ascii_alphanumeric() || (!ascii && (is_letter_or_mark(it) || is_number(it)))
    })
}

/// Letters, marks, numbers, `_` and `-`, at least one.
pub(crate) fn is_alpha_dash(text: &str, ascii: bool) -> bool {
    all(text, |it| {
        it.is_ascii_alphanumeric()
            || matches!(it, '_' | '-')
            || (!ascii && (is_letter_or_mark(it) || is_number(it)))
    })
}

fn all(text: &str, holds: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(holds)
}

fn group(letter: char) -> Option<GeneralCategoryGroup> {
    (!letter.is_ascii()).then(|| letter.general_category_group())
}

fn is_letter_or_mark(letter: char) -> bool {
    matches!(
        group(letter),
        Some(GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark)
    )
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphabetic() || group(letter) == Some(GeneralCategoryGroup::Letter)
}

fn is_mark(letter: char) -> bool {
    group(letter) == Some(GeneralCategoryGroup::Mark)
}

fn is_number(letter: char) -> bool {
    letter.is_ascii_digit() || group(letter) == Some(GeneralCategoryGroup::Number)
}

/// `\p{S}`, of ASCII too.
fn is_symbol(letter: char) -> bool {
    letter.general_category_group() == GeneralCategoryGroup::Symbol
}

/// `\p{C}`, of ASCII too.
fn is_other(letter: char) -> bool {
    letter.general_category_group() == GeneralCategoryGroup::Other
}

fn is_hex_color(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_prefix('#').is_some_and(|digits| {
        matches!(digits.len(), 3 | 4 | 6 | 8) && digits.bytes().all(|it| it.is_ascii_hexdigit())
    })
}

fn is_mac_address(text: &str) -> bool {
    let (length, separator) = match text.as_bytes() {
        bytes if bytes.len() == 14 => (4, '.'),
        bytes if bytes.len() == 17 && bytes[2] == b':' => (2, ':'),
        bytes if bytes.len() == 17 && bytes[2] == b'-' => (2, '-'),
        _ => return false,
    };
    text.split(separator)
        .all(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_ulid(text: &str) -> bool {
    text.len() == 26
        && text.as_bytes()[0] <= b'7'
        && text.bytes().all(|byte| {
            byte.is_ascii_digit()
                || (byte.is_ascii_alphabetic()
                    && !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U'))
        })
}

/// Standard alphabet, padding, and no bits that decoding would lose.
fn is_base64(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
        return false;
    }
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return false;
    }
    let digits = &bytes[..bytes.len() - padding];
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let last = digits.last().and_then(|byte| digit(*byte)).unwrap_or(0);
    let dropped = match padding {
        0 => 0,
        1 => last & 0b11,
        _ => last & 0b1111,
    };
    dropped == 0 && digits.iter().all(|byte| digit(*byte).is_some())
}

/// Which version of UUID a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UuidVersion {
    Max,
    /// 0 is the UUID of zeros; those above 8 do not exist.
    Number(i64),
}

impl UuidVersion {
    /// `max`, or PHP's conversion of the text to an integer.
    pub(crate) fn new(parameter: &str) -> Self {
        if parameter == "max" {
            return Self::Max;
        }
        let text = parameter.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        let sign = usize::from(text.starts_with(['+', '-']));
        let end = text[sign..]
            .find(|it: char| !it.is_ascii_digit())
            .map_or(text.len(), |at| at + sign);
        Self::Number(text[..end].parse().unwrap_or(0))
    }
}

pub(crate) fn is_uuid(text: &str, version: Option<UuidVersion>) -> bool {
    let Some(version) = version else {
        return is_hyphenated_uuid(text);
    };
    // The library that Laravel asks for versions takes these marks away wherever they stand.
    let mut bare = text.to_ascii_lowercase();
    for mark in ["urn:", "uuid:", "{", "}"] {
        if bare.contains(mark) {
            bare = bare.replace(mark, "");
        }
    }
    if bare.contains('-') {
        bare = bare.replace('-', "");
    }
    let bytes = bare.as_bytes();
    if bytes.len() != 32 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return false;
    }
    match version {
        UuidVersion::Max => bytes.iter().all(|byte| *byte == b'f'),
        UuidVersion::Number(0) => bytes.iter().all(|byte| *byte == b'0'),
        UuidVersion::Number(version) => {
            (1..=8).contains(&version)
                && i64::from(bytes[12]) == i64::from(b'0') + version
                && matches!(bytes[16], b'8' | b'9' | b'a' | b'b')
        }
    }
}

fn is_hyphenated_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
