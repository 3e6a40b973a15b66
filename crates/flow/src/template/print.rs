//! Values as Go prints them.

use std::fmt::Write as _;

use plugyard_symbol::Value;

/// Deepest nesting that is printed.
const MAX_DEPTH: usize = 64;

/// As `%v`, and `<no value>` for nothing.
pub(super) fn text(value: &Value) -> String {
    if matches!(value, Value::Null) {
        return "<no value>".to_owned();
    }
    let mut out = String::new();
    write(value, &mut out, 0);
    out
}

/// What Go calls the type.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Number(_) | Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::Bytes(_) => "[]uint8",
        Value::List(_) => "[]interface {}",
        Value::Object(_) | Value::Json(_) => "map[string]interface {}",
    }
}

fn write(value: &Value, out: &mut String, depth: usize) {
    if depth > MAX_DEPTH {
        out.push('…');
        return;
    }
    // Writing into memory does not fail.
    let _ = match value.decoded().as_ref() {
        Value::Null => write!(out, "<nil>"),
        Value::Bool(truth) => write!(out, "{truth}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Float(number) => write!(out, "{}", float(*number)),
        Value::Number(text) | Value::Text(text) => write!(out, "{text}"),
        Value::Bytes(bytes) => write!(out, "{}", String::from_utf8_lossy(bytes)),
        Value::List(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                write(value, out, depth + 1);
            }
            out.push(']');
            Ok(())
        }
        Value::Object(row) => {
            let mut sorted: Vec<_> = row.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            out.push_str("map[");
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(name);
                out.push(':');
                write(value, out, depth + 1);
            }
            out.push(']');
            Ok(())
        }
        Value::Json(_) => Ok(()),
    };
}

/// A float as `%v`: an exponent of two digits below 10⁻⁴ and from 10²¹ on.
pub(super) fn float(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-4..1e21).contains(&size) {
        return format!("{number}");
    }
    exponent(&format!("{number:e}"))
}

/// Rust's `1.5e-7` in Go's form, `1.5e-07`.
pub(super) fn exponent(text: &str) -> String {
    match text.split_once('e') {
        Some((digits, power)) => {
            let (sign, power) = match power.strip_prefix('-') {
                Some(power) => ('-', power),
                None => ('+', power),
            };
            format!("{digits}e{sign}{power:0>2}")
        }
        None => text.to_owned(),
    }
}
