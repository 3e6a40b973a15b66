//! What each type of field takes, and the one form in which it is stored.

use plugyard_model::{Code, codes};
use plugyard_validation::{FieldType, RuleName, Value as EngineValue, is_blank, is_numeric_text};

use crate::definition::{Choice, Field};
use crate::rules;
use crate::value::{Secret, Value};

/// The first whole number that a double cannot tell from its neighbour.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The canonical form of a value that was normalised; `None` when the type does not take it. Any text
/// stands for an address here, see [`fault`].
pub(crate) fn canonical(
    field_type: FieldType,
    options: &[Choice],
    value: &EngineValue,
) -> Option<Value> {
    match (field_type, value) {
        (FieldType::Checkbox, value) => checkbox(value).map(Value::Bool),
        (_, EngineValue::Null) => Some(Value::Null),
        (FieldType::Number, value) => number(value),
        (FieldType::Select, value) => choice(options, value),
        (FieldType::Password, EngineValue::Text(text)) => {
            Some(Value::Secret(Secret::new(text.as_str())))
        }
        (_, EngineValue::Text(text)) => Some(Value::Text(text.clone())),
        _ => None,
    }
}

/// The code of a value that is none of the field's type. Blank values are exempt: rules judge them.
///
/// Addresses are judged as the plain rule has them, unless the field has that rule with parameters of its own.
pub(crate) fn fault(field: &Field, value: &EngineValue) -> Option<Code> {
    let text = match value {
        EngineValue::Null => return None,
        EngineValue::Text(text) if is_blank(text) => return None,
        EngineValue::Text(text) => Some(text.as_str()),
        _ => None,
    };
    let takes = |rule, is_address: fn(&str) -> bool| {
        text.is_some_and(|text| field.rules.has(rule) || is_address(text))
    };
    let (fits, code) = match field.field_type {
        FieldType::Number => (number(value).is_some(), codes::TYPE_NUMBER),
        FieldType::Checkbox => (checkbox(value).is_some(), codes::TYPE_CHECKBOX),
        FieldType::Select => (choice(&field.options, value).is_some(), codes::TYPE_SELECT),
        FieldType::Email => (takes(RuleName::Email, rules::is_email), codes::TYPE_EMAIL),
        FieldType::Url => (takes(RuleName::Url, rules::is_url), codes::TYPE_URL),
        FieldType::Text | FieldType::Password | FieldType::Textarea => {
            (text.is_some(), codes::TYPE_STRING)
        }
    };
    (!fits).then_some(code)
}

/// A number: a whole one within 64 bits where it is one, exactly; otherwise a finite double.
fn number(value: &EngineValue) -> Option<Value> {
    let float = match value {
        EngineValue::Int(value) => return Some(Value::Int(*value)),
        EngineValue::Float(value) => *value,
        EngineValue::Text(text) if is_numeric_text(text) => {
            let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
            if let Ok(integer) = text.parse() {
                return Some(Value::Int(integer));
            }
            text.parse().ok()?
        }
        _ => return None,
    };
    if !float.is_finite() {
        return None;
    }
    if float.fract() == 0.0 && float.abs() < EXACT {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole and below 2^53"
        )]
        return Some(Value::Int(float as i64));
    }
    Some(Value::Float(float))
}

/// Yes or no, in one of the spellings that forms and files have for it. Nothing at all is no.
pub(crate) fn checkbox(value: &EngineValue) -> Option<bool> {
    match value {
        EngineValue::Null | EngineValue::Int(0) => Some(false),
        EngineValue::Bool(value) => Some(*value),
        EngineValue::Int(1) => Some(true),
        #[expect(clippy::float_cmp, reason = "1.0 is a whole number as well as 1")]
        EngineValue::Float(value) if *value == 0.0 || *value == 1.0 => Some(*value == 1.0),
        EngineValue::Text(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "on" | "yes" => Some(true),
            "" | "0" | "false" | "off" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// The option whose value has this string form, as the file writes it. An option may be written with
/// white space around it, which is not submitted.
fn choice(options: &[Choice], value: &EngineValue) -> Option<Value> {
    let text = match value {
        EngineValue::Text(text) => text.clone(),
        value => whole(value)?.to_string(),
    };
    let exactly = options.iter().find(|option| option.text() == text);
    let found = exactly.or_else(|| {
        options
            .iter()
            .find(|option| trimmed(&option.text()) == text)
    });
    found.map(|option| option.value.clone())
}

/// The integer of a value that is one, `1.0` included.
pub(crate) fn whole(value: &EngineValue) -> Option<i64> {
    match value {
        EngineValue::Int(value) => Some(*value),
        EngineValue::Float(value) if value.fract() == 0.0 && value.abs() < EXACT =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole and below 2^53"
            )]
            Some(*value as i64)
        }
        _ => None,
    }
}

/// A submitted value as rules and types see it: white space and invisible characters gone from both
/// ends (kept in secrets and texts of several lines), and nothing instead of an empty text.
pub(crate) fn normalised(field_type: FieldType, value: EngineValue) -> EngineValue {
    match value {
        EngineValue::Text(text) => {
            let kept = match field_type {
                FieldType::Password | FieldType::Textarea => text.as_str(),
                _ => trimmed(&text),
            };
            if kept.is_empty() {
                EngineValue::Null
            } else if kept.len() == text.len() {
                EngineValue::Text(text)
            } else {
                EngineValue::Text(kept.to_owned())
            }
        }
        other => other,
    }
}

/// Without white space and invisible characters at both ends.
fn trimmed(text: &str) -> &str {
    text.trim_matches(is_trimmed)
}

/// What Laravel's `TrimStrings` takes away: Unicode white space and characters without a shape.
fn is_trimmed(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}'
            | '\u{17b5}' | '\u{180e}' | '\u{2000}'..='\u{200f}' | '\u{202f}'
            | '\u{205f}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{2800}' | '\u{3000}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0020}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> EngineValue {
        EngineValue::Text(text.to_owned())
    }

    #[test]
    fn numbers_are_whole_where_they_can_be() {
        let check = |value: EngineValue, expected: Option<Value>| {
            assert_eq!(
                canonical(FieldType::Number, &[], &value),
                expected,
                "{value:?}"
            );
        };
        check(text("30"), Some(Value::Int(30)));
        check(text("\t+5\u{c}"), Some(Value::Int(5)));
        check(text("007"), Some(Value::Int(7)));
        check(text("-0"), Some(Value::Int(0)));
        check(text("1.50"), Some(Value::Float(1.5)));
        check(text("1e3"), Some(Value::Int(1000)));
        check(text(".5"), Some(Value::Float(0.5)));
        check(text("5."), Some(Value::Int(5)));
        check(EngineValue::Float(1.0), Some(Value::Int(1)));
        check(
            text("9007199254740993.0"),
            Some(Value::Float(9_007_199_254_740_992.0)),
        );
        check(text("9223372036854775807"), Some(Value::Int(i64::MAX)));
        check(
            text("9223372036854775808"),
            Some(Value::Float(9_223_372_036_854_775_808.0)),
        );
        for bad in ["abc", "0x1f", "1_000", "１", "1e999", "NaN", "inf"] {
            check(text(bad), None);
        }
        check(text(&"9".repeat(10_000)), None);
        check(EngineValue::Bool(true), None);
    }

    #[test]
    fn boxes_are_ticked_in_many_spellings() {
        for yes in [
            text("1"),
            text("TRUE"),
            text("On"),
            text("yes"),
            true.into(),
            1.into(),
        ] {
            assert_eq!(checkbox(&yes), Some(true), "{yes:?}");
        }
        for no in [
            text("0"),
            text("False"),
            text("OFF"),
            text("no"),
            text(""),
            0.into(),
        ] {
            assert_eq!(checkbox(&no), Some(false), "{no:?}");
        }
        for neither in [text("maybe"), text("2"), text(" 1"), 2.into()] {
            assert_eq!(checkbox(&neither), None, "{neither:?}");
        }
    }

    #[test]
    fn options_are_stored_as_the_file_writes_them() {
        let option = |value| Choice {
            value,
            label: "x".to_owned(),
        };
        let options = [
            option(Value::Text("1".into())),
            option(Value::Int(2)),
            option(Value::Text(" a ".into())),
        ];
        let check = |value: EngineValue, expected| {
            assert_eq!(choice(&options, &value), expected, "{value:?}");
        };
        check(1.into(), Some(Value::Text("1".into())));
        check(text("2"), Some(Value::Int(2)));
        check(EngineValue::Float(2.0), Some(Value::Int(2)));
        check(text("a"), Some(Value::Text(" a ".into())));
        check(text("3"), None);
        check(true.into(), None);
    }

    #[test]
    fn invisible_characters_go_from_both_ends_except_of_secrets() {
        let dirty = || text("\u{feff}\u{3000} a\u{200b}b \u{ad}\n");
        assert_eq!(normalised(FieldType::Text, dirty()), text("a\u{200b}b"));
        assert_eq!(normalised(FieldType::Password, dirty()), dirty());
        assert_eq!(normalised(FieldType::Textarea, text("a\n")), text("a\n"));
        assert_eq!(normalised(FieldType::Textarea, text("")), EngineValue::Null);
        assert_eq!(
            normalised(FieldType::Url, text("\u{2800}")),
            EngineValue::Null
        );
    }
}
