//! Declared columns against the rows that come: eKuiper's `STRICT_VALIDATION`.
//!
//! Without that option the columns of a stream say which names a statement may use, and rows are taken as
//! they come. With it, every declared column has to be there and is given its type, as far as that changes
//! no meaning: a whole number that came as a float becomes an integer, an integer a float, a text with
//! a JSON list or object that list or object. Anything else drops the row, in eKuiper's words.

use jiff::Timestamp;
use plugyard_symbol::{Row, Value};

use crate::sql::stream::{Column, ColumnType};

/// Integers up to here are the same as floats.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Bytes of a value shown in an error.
const SHOWN: usize = 64;

/// The row with its declared columns in their types; other columns stay as they are.
///
/// # Errors
/// The first column, in the order of the declaration, that is not there or of another type.
pub(super) fn conform(columns: &[Column], row: &Row) -> Result<Row, String> {
    let mut conforming = row.clone();
    for column in columns {
        let name = &column.name;
        let value = row
            .get(name)
            .ok_or_else(|| format!("field {name} is not found"))?;
        let value = convert(&column.column_type, value)
            .map_err(|reason| format!("field {name} type mismatch: {reason}"))?;
        conforming.set(name.as_str(), value);
    }
    Ok(conforming)
}

fn convert(wanted: &ColumnType, value: &Value) -> Result<Value, String> {
    let value = value.decoded();
    let mismatch = |wanted: &str| Err(format!("cannot convert {} to {wanted}", shown(&value)));
    match (wanted, &*value) {
        (ColumnType::Basic("bigint"), Value::Float(number)) => {
            if number.fract() != 0.0 || number.abs() > EXACT {
                return mismatch("int64");
            }
            #[expect(clippy::cast_possible_truncation, reason = "a whole number up to 2⁵³")]
            let number = *number as i64;
            Ok(Value::Int(number))
        }
        (ColumnType::Basic("bigint"), Value::Number(text)) if !text.contains(['.', 'e', 'E']) => {
            Ok(value.into_owned())
        }
        (ColumnType::Basic("float"), Value::Int(number)) => {
            #[expect(clippy::cast_precision_loss, reason = "what a float column is")]
            let number = *number as f64;
            Ok(Value::Float(number))
        }
        (ColumnType::Basic("bigint" | "datetime"), Value::Int(_))
        | (ColumnType::Basic("float"), Value::Float(_) | Value::Number(_))
        | (ColumnType::Basic("string"), Value::Text(_))
        | (ColumnType::Basic("boolean"), Value::Bool(_))
        | (ColumnType::Basic("bytea"), Value::Bytes(_) | Value::Text(_))
        | (ColumnType::Array(_) | ColumnType::Struct(_), Value::Null) => Ok(value.into_owned()),
        (ColumnType::Basic("bigint"), _) => mismatch("int64"),
        (ColumnType::Basic("float"), _) => mismatch("float64"),
        (ColumnType::Basic("string"), _) => mismatch("string"),
        (ColumnType::Basic("boolean"), _) => mismatch("bool"),
        (ColumnType::Basic("bytea"), _) => mismatch("bytes"),
        (ColumnType::Basic("datetime"), Value::Text(text)) if text.parse::<Timestamp>().is_ok() => {
            Ok(value.into_owned())
        }
        (ColumnType::Basic("datetime"), _) => mismatch("datetime"),
        (ColumnType::Basic(_), _) => Ok(value.into_owned()),
        (ColumnType::Array(_) | ColumnType::Struct(_), Value::Text(text)) => {
            match serde_json::from_str::<Value>(text) {
                // Not again a text in a text: that would be no list or object either.
                Ok(inner @ (Value::List(_) | Value::Object(_))) => convert(wanted, &inner),
                _ => mismatch(word(wanted)),
            }
        }
        (ColumnType::Array(element), Value::List(values)) => {
            let values = values.iter().map(|value| convert(element, value));
            Ok(Value::List(values.collect::<Result<_, _>>()?))
        }
        (ColumnType::Struct(columns), Value::Object(row)) => {
            Ok(Value::Object(conform(columns, row)?))
        }
        (ColumnType::Array(_) | ColumnType::Struct(_), _) => mismatch(word(wanted)),
    }
}

const fn word(wanted: &ColumnType) -> &'static str {
    match wanted {
        ColumnType::Array(_) => "array",
        _ => "struct",
    }
}

/// A value in an error: its type, as eKuiper's language calls it, and the beginning of its text.
fn shown(value: &Value) -> String {
    let kind = match value {
        Value::Null => return "<nil>(<nil>)".to_owned(),
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) | Value::Number(_) => "float64",
        Value::Text(_) => "string",
        Value::Bytes(_) => "[]uint8",
        Value::List(_) => "[]interface {}",
        Value::Object(_) | Value::Json(_) => "map[string]interface {}",
    };
    let mut text = match value {
        Value::Text(text) => text.to_string(),
        other => serde_json::to_string(other).unwrap_or_default(),
    };
    if text.len() > SHOWN {
        let end = (0..=SHOWN).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    format!("{kind}({text})")
}

#[cfg(test)]
mod tests {
    use crate::sql::stream::StreamDefinition;

    use super::*;

    fn check(columns: &str, row: &str) -> Result<String, String> {
        let sql = format!("CREATE STREAM s ({columns}) WITH (TYPE=\"x\")");
        let columns = StreamDefinition::parse(&sql).unwrap().columns;
        let row: Row = match serde_json::from_str(row).unwrap() {
            Value::Object(row) => row,
            _ => unreachable!(),
        };
        conform(&columns, &row).map(|row| serde_json::to_string(&Value::Object(row)).unwrap())
    }

    #[test]
    fn values_are_given_their_column_s_type_where_that_changes_no_meaning() {
        for (columns, row, expect) in [
            (
                "a bigint",
                r#"{"a":5.0,"b":"as it is"}"#,
                r#"{"a":5,"b":"as it is"}"#,
            ),
            (
                "a bigint",
                r#"{"a":18446744073709551616}"#,
                r#"{"a":18446744073709551616}"#,
            ),
            ("a float", r#"{"a":5}"#, r#"{"a":5.0}"#),
            (
                "a string, b boolean",
                r#"{"a":"x","b":true}"#,
                r#"{"a":"x","b":true}"#,
            ),
            (
                "a datetime",
                r#"{"a":"2026-11-21T10:00:00Z"}"#,
                r#"{"a":"2026-11-21T10:00:00Z"}"#,
            ),
            (
                "a datetime",
                r#"{"a":1795248000000}"#,
                r#"{"a":1795248000000}"#,
            ),
            ("a array(bigint)", r#"{"a":[1.0,2]}"#, r#"{"a":[1,2]}"#),
            ("a array(bigint)", r#"{"a":"[1]"}"#, r#"{"a":[1]}"#),
            (
                "a struct(b float)",
                r#"{"a":{"b":1,"c":0}}"#,
                r#"{"a":{"b":1.0,"c":0}}"#,
            ),
            ("a struct(b float)", r#"{"a":null}"#, r#"{"a":null}"#),
        ] {
            assert_eq!(
                check(columns, row).as_deref(),
                Ok(expect),
                "{columns} {row}"
            );
        }
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_told_in_ekuiper_s_words() {
        let long = format!(r#"{{"a":"{}"}}"#, "é".repeat(1000));
        for (columns, row, expect) in [
            ("a bigint", "{}", "field a is not found"),
            (
                "a bigint",
                r#"{"a":"1"}"#,
                "field a type mismatch: cannot convert string(1) to int64",
            ),
            (
                "a bigint",
                r#"{"a":1.5}"#,
                "field a type mismatch: cannot convert float64(1.5) to int64",
            ),
            (
                "a bigint",
                r#"{"a":null}"#,
                "field a type mismatch: cannot convert <nil>(<nil>) to int64",
            ),
            (
                "a bigint",
                r#"{"a":1e300}"#,
                "field a type mismatch: cannot convert float64(1e+300) to int64",
            ),
            (
                "a float",
                r#"{"a":true}"#,
                "field a type mismatch: cannot convert bool(true) to float64",
            ),
            (
                "a string",
                r#"{"a":1}"#,
                "field a type mismatch: cannot convert int64(1) to string",
            ),
            (
                "a boolean",
                r#"{"a":1}"#,
                "field a type mismatch: cannot convert int64(1) to bool",
            ),
            (
                "a datetime",
                r#"{"a":"soon"}"#,
                "field a type mismatch: cannot convert string(soon) to datetime",
            ),
            (
                "a array(bigint)",
                r#"{"a":["x"]}"#,
                "field a type mismatch: cannot convert string(x) to int64",
            ),
            (
                "a array(bigint)",
                r#"{"a":"\"[1]\""}"#,
                "field a type mismatch: cannot convert string(\"[1]\") to array",
            ),
            (
                "a struct(b float)",
                r#"{"a":{}}"#,
                "field a type mismatch: field b is not found",
            ),
            (
                "a struct(b float)",
                r#"{"a":[1]}"#,
                "field a type mismatch: cannot convert []interface {}([1]) to struct",
            ),
        ] {
            assert_eq!(
                check(columns, row),
                Err(expect.to_owned()),
                "{columns} {row}"
            );
        }
        assert!(check("a bigint", &long).unwrap_err().len() < 200);
    }
}
