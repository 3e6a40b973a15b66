//! Functions on texts. Positions count characters, not bytes.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plugyard_symbol::Value;

use super::functions::wrong;
use super::{Outcome, fail};

/// A function of one text.
pub(super) fn one(value: &Value, function: &str, compute: fn(&str) -> String) -> Outcome {
    match value.decoded().as_ref() {
        Value::Text(text) => Ok(compute(text).as_str().into()),
        Value::Null => Ok(Value::Null),
        other => wrong(function, "a text", other),
    }
}

/// A function of two texts.
pub(super) fn two(values: &[Value], function: &str, compute: fn(&str, &str) -> Value) -> Outcome {
    match (values[0].decoded().as_ref(), values[1].decoded().as_ref()) {
        (Value::Text(first), Value::Text(second)) => Ok(compute(first, second)),
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Text(_), other) | (other, _) => wrong(function, "a text", other),
    }
}

/// `concat`: numbers and truth values are written out.
pub(super) fn concat(values: &[Value]) -> Outcome {
    let mut all = String::new();
    for value in values {
        match value.decoded().as_ref() {
            Value::Text(text) => all.push_str(text),
            Value::Null => {}
            Value::Bool(truth) => {
                let _ = write!(all, "{truth}");
            }
            number @ (Value::Int(_) | Value::Float(_) | Value::Number(_)) => {
                match serde_json::to_string(number) {
                    Ok(text) => all.push_str(&text),
                    Err(error) => return fail(format!("concat: {error}")),
                }
            }
            other => return wrong("concat", "texts and numbers", other),
        }
    }
    Ok(all.as_str().into())
}

/// `split_value(text, separator, index)`.
pub(super) fn split_value(values: &[Value]) -> Outcome {
    let (text, separator, index) = (
        values[0].decoded(),
        values[1].decoded(),
        values[2].decoded(),
    );
    match (text.as_ref(), separator.as_ref(), index.as_ref()) {
        (Value::Null, _, _) => Ok(Value::Null),
        (Value::Text(text), Value::Text(separator), Value::Int(index)) => {
            let part = usize::try_from(*index)
                .ok()
                .and_then(|index| text.split(&**separator).nth(index));
            match part {
                Some(part) => Ok(part.into()),
                None => fail(format!("split_value has no part {index}")),
            }
        }
        (Value::Text(_), Value::Text(_), other) => wrong("split_value", "an index", other),
        (Value::Text(_), other, _) | (other, _, _) => wrong("split_value", "texts", other),
    }
}

/// `substring(text, from[, to])`.
pub(super) fn substring(values: &[Value]) -> Outcome {
    let text = values[0].decoded();
    let text = match text.as_ref() {
        Value::Text(text) => text,
        Value::Null => return Ok(Value::Null),
        other => return wrong("substring", "a text", other),
    };
    let mut ends = [0, usize::MAX];
    for (end, value) in ends.iter_mut().zip(&values[1..]) {
        match value.decoded().as_ref() {
            Value::Int(at) => match usize::try_from(*at) {
                Ok(at) => *end = at,
                Err(_) => return fail(format!("substring has no position {at}")),
            },
            other => return wrong("substring", "positions", other),
        }
    }
    let [from, to] = ends;
    let part: String = text
        .chars()
        .skip(from)
        .take(to.saturating_sub(from))
        .collect();
    Ok(part.as_str().into())
}

/// A time in milliseconds since 1970 as text, in UTC.
pub(super) fn now(millis: i64) -> Value {
    Timestamp::from_millisecond(millis).map_or(Value::Null, |time| {
        time.to_zoned(TimeZone::UTC)
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string()
            .as_str()
            .into()
    })
}
