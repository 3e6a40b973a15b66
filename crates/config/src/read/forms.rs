//! Forms of texts, and values of the document as rules see them.

use plugyard_model::json::{Node, Value as JsonValue};
use plugyard_validation::Value as EngineValue;
use serde_json::Value as Json;

/// Characters of a key or icon.
pub(super) const KEY_MAX: usize = 64;

/// Characters of a rule string.
pub(super) const VALIDATION_MAX: usize = 4096;

/// A value of the file as rules see it; `None` for arrays and objects.
pub(super) fn scalar(node: &Node) -> Option<EngineValue> {
    Some(match &node.value {
        JsonValue::Null => EngineValue::Null,
        JsonValue::Bool(value) => EngineValue::Bool(*value),
        JsonValue::Number(number) => match number.as_i64() {
            Some(integer) => EngineValue::Int(integer),
            None => EngineValue::Float(number.as_f64()),
        },
        JsonValue::String(text) => EngineValue::Text(text.clone()),
        JsonValue::Array(_) | JsonValue::Object(_) => return None,
    })
}

/// The rule string that somebody may have meant by an object or array; `Null` when nothing can be made of it.
pub(super) fn rule_string(node: &Node) -> Json {
    let parameter = |node: &Node| match &node.value {
        JsonValue::Null => Some(String::new()),
        JsonValue::Bool(value) => Some(value.to_string()),
        JsonValue::Number(number) => Some(number.as_text().to_owned()),
        JsonValue::String(text) => Some(text.clone()),
        JsonValue::Array(_) | JsonValue::Object(_) => None,
    };
    let segments: Option<Vec<String>> = match &node.value {
        JsonValue::Object(object) => object
            .iter()
            .filter(|(_, node)| node.as_bool() != Some(false))
            .map(|(name, node)| match &node.value {
                JsonValue::Bool(_) | JsonValue::Null => Some(name.to_owned()),
                JsonValue::Array(items) => {
                    let items: Option<Vec<String>> = items.iter().map(parameter).collect();
                    Some(format!("{name}:{}", items?.join(",")))
                }
                _ => Some(format!("{name}:{}", parameter(node)?)),
            })
            .collect(),
        JsonValue::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    };
    let text = segments.unwrap_or_default().join("|");
    if text.is_empty() || text.len() > VALIDATION_MAX {
        Json::Null
    } else {
        Json::String(text)
    }
}

pub(super) fn is_field_key(key: &str) -> bool {
    let bytes = key.as_bytes();
    (1..=KEY_MAX).contains(&bytes.len())
        && !bytes[0].is_ascii_digit()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

pub(super) fn is_group_key(key: &str) -> bool {
    let bytes = key.as_bytes();
    (1..=KEY_MAX).contains(&bytes.len())
        && (bytes[0].is_ascii_alphabetic() || bytes[0] == b'_')
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(super) fn is_icon(icon: &str) -> bool {
    let bytes = icon.as_bytes();
    (1..=KEY_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        })
}

/// A date of the Gregorian calendar as `YYYY-MM-DD`.
pub(super) fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let number = |from: usize, to: usize| {
        bytes[from..to].iter().try_fold(0_u32, |sum, byte| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + u32::from(byte - b'0'))
        })
    };
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}
