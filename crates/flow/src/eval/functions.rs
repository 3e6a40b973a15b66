//! The functions of ours. Their names are case-insensitive and win over plugin functions of the same name.
//!
//! NULL in, NULL out, unless a function is there for NULL (`coalesce`, `isnull`, `concat`).

use std::sync::Arc;

use plugyard_symbol::{JsonText, Value};

use super::number::Number;
use super::{Outcome, Scope, describe, fail, text};

/// A function of ours.
#[derive(Debug)]
pub struct Builtin {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Fewest arguments.
    pub min: usize,
    /// Most arguments.
    pub max: usize,
    /// What it does.
    pub doc: &'static str,
    run: fn(&[Value], &Scope<'_>) -> Outcome,
}

const MANY: usize = 64;

/// All of them, sorted by name.
pub static BUILTINS: &[Builtin] = &[
    builtin("abs", 1, 1, "the number without its sign", |a, _| {
        numeric(&a[0], "abs", |n| match n {
            Number::Int(n) => Number::Int(n.saturating_abs()),
            Number::Float(n) => Number::Float(n.abs()),
        })
    }),
    builtin(
        "cardinality",
        1,
        1,
        "how many values a list has",
        |a, _| match a[0].decoded().as_ref() {
            Value::List(values) => Ok(int(values.len())),
            Value::Null => Ok(Value::Int(0)),
            other => wrong("cardinality", "a list", other),
        },
    ),
    builtin(
        "cast",
        2,
        2,
        "the value as `bigint`, `float`, `string` or `boolean`",
        |a, _| cast(&a[0], &a[1]),
    ),
    builtin("ceil", 1, 1, "the next integer above", |a, _| {
        rounded(&a[0], "ceil", f64::ceil)
    }),
    builtin("ceiling", 1, 1, "same as `ceil`", |a, _| {
        rounded(&a[0], "ceiling", f64::ceil)
    }),
    builtin(
        "coalesce",
        1,
        MANY,
        "the first value that is not NULL",
        |a, _| {
            Ok(a.iter()
                .find(|value| !matches!(*value.decoded(), Value::Null))
                .cloned()
                .unwrap_or(Value::Null))
        },
    ),
    builtin(
        "concat",
        1,
        MANY,
        "the texts one after the other; NULL is left out",
        |a, _| text::concat(a),
    ),
    builtin("endswith", 2, 2, "whether the text ends so", |a, _| {
        text::two(a, "endswith", |text, end| text.ends_with(end).into())
    }),
    builtin(
        "event_time",
        0,
        0,
        "the time of the row in milliseconds since 1970: its own with `isEventTime`, else when it came",
        |_, scope| Ok(Value::Int(scope.at)),
    ),
    builtin("floor", 1, 1, "the next integer below", |a, _| {
        rounded(&a[0], "floor", f64::floor)
    }),
    builtin(
        "indexof",
        2,
        2,
        "where the second text begins in the first, in characters from 0; -1 when it does not",
        |a, _| {
            text::two(a, "indexof", |text, part| {
                text.find(part)
                    .map_or(Value::Int(-1), |at| int(text[..at].chars().count()))
            })
        },
    ),
    builtin("isnull", 1, 1, "whether the value is NULL", |a, _| {
        Ok(matches!(*a[0].decoded(), Value::Null).into())
    }),
    builtin(
        "length",
        1,
        1,
        "how many characters a text or values a list has",
        |a, _| match a[0].decoded().as_ref() {
            Value::Text(text) => Ok(int(text.chars().count())),
            Value::List(values) => Ok(int(values.len())),
            Value::Object(row) => Ok(int(row.len())),
            Value::Bytes(bytes) => Ok(int(bytes.len())),
            Value::Null => Ok(Value::Null),
            other => wrong("length", "a text or a list", other),
        },
    ),
    builtin("lower", 1, 1, "the text in small letters", |a, _| {
        text::one(&a[0], "lower", str::to_lowercase)
    }),
    builtin("ltrim", 1, 1, "the text without space before it", |a, _| {
        text::one(&a[0], "ltrim", |text| text.trim_start().to_owned())
    }),
    builtin("mod", 2, 2, "the remainder of a division", |a, _| {
        super::number::arithmetic(crate::sql::expr::Operator::Modulo, &a[0], &a[1])
    }),
    builtin(
        "now",
        0,
        0,
        "the time (UTC) as `YYYY-MM-DD HH:MM:SS`",
        |_, scope| Ok(text::now(scope.now)),
    ),
    builtin(
        "parse_json",
        1,
        1,
        "what a JSON text says",
        |a, _| match a[0].decoded().as_ref() {
            Value::Text(text) => match JsonText::parse(text.as_bytes().to_vec().into()) {
                Ok(json) => Ok(Value::Json(json)),
                Err(error) => fail(format!("parse_json: {error}")),
            },
            Value::Null => Ok(Value::Null),
            other => wrong("parse_json", "a text", other),
        },
    ),
    builtin(
        "power",
        2,
        2,
        "the first number to the power of the second",
        |a, _| match (float(&a[0], "power")?, float(&a[1], "power")?) {
            (Some(base), Some(exponent)) => Ok(Value::from_f64(base.powf(exponent))),
            _ => Ok(Value::Null),
        },
    ),
    builtin(
        "round",
        1,
        1,
        "the nearest integer; halves go away from zero",
        |a, _| rounded(&a[0], "round", f64::round),
    ),
    builtin("rtrim", 1, 1, "the text without space after it", |a, _| {
        text::one(&a[0], "rtrim", |text| text.trim_end().to_owned())
    }),
    builtin("rule_id", 0, 0, "the rule's id", |_, scope| {
        Ok(scope.rule_id.into())
    }),
    builtin("sign", 1, 1, "-1, 0 or 1", |a, _| {
        numeric(&a[0], "sign", |n| match n {
            Number::Int(n) => Number::Int(n.signum()),
            Number::Float(n) if n > 0.0 => Number::Int(1),
            Number::Float(n) if n < 0.0 => Number::Int(-1),
            Number::Float(_) => Number::Int(0),
        })
    }),
    builtin(
        "split_value",
        3,
        3,
        "the part with that index (from 0) of a text split at a separator",
        |a, _| text::split_value(a),
    ),
    builtin(
        "sqrt",
        1,
        1,
        "the square root; NULL of a negative number",
        |a, _| Ok(float(&a[0], "sqrt")?.map_or(Value::Null, |n| Value::from_f64(n.sqrt()))),
    ),
    builtin("startswith", 2, 2, "whether the text begins so", |a, _| {
        text::two(a, "startswith", |text, start| {
            text.starts_with(start).into()
        })
    }),
    builtin(
        "substring",
        2,
        3,
        "the characters from an index (from 0) on, up to another, not including it",
        |a, _| text::substring(a),
    ),
    builtin(
        "to_json",
        1,
        1,
        "the value as a JSON text",
        |a, _| match serde_json::to_string(&a[0]) {
            Ok(text) => Ok(text.as_str().into()),
            Err(error) => fail(format!("to_json: {error}")),
        },
    ),
    builtin("trim", 1, 1, "the text without space around it", |a, _| {
        text::one(&a[0], "trim", |text| text.trim().to_owned())
    }),
    builtin(
        "tstamp",
        0,
        0,
        "the time in milliseconds since 1970",
        |_, scope| Ok(Value::Int(scope.now)),
    ),
    builtin("upper", 1, 1, "the text in capital letters", |a, _| {
        text::one(&a[0], "upper", str::to_uppercase)
    }),
];

const STATEFUL: &[&str] = &[
    "acc_avg",
    "acc_count",
    "acc_max",
    "acc_min",
    "acc_sum",
    "changed_col",
    "changed_cols",
    "had_changed",
    "lag",
    "latest",
    "row_number",
    "statewindow",
    "unnest",
];

/// Whether eKuiper has a function of that name that remembers rows or makes several of one.
pub(crate) fn is_stateful(name: &str) -> bool {
    STATEFUL.iter().any(|it| it.eq_ignore_ascii_case(name))
}

const fn builtin(
    name: &'static str,
    min: usize,
    max: usize,
    doc: &'static str,
    run: fn(&[Value], &Scope<'_>) -> Outcome,
) -> Builtin {
    Builtin {
        name,
        min,
        max,
        doc,
        run,
    }
}

impl Builtin {
    /// Looks a name up, whatever its case.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        BUILTINS
            .iter()
            .find(|builtin| builtin.name.eq_ignore_ascii_case(name))
    }

    /// Refuses a wrong number of arguments.
    pub(crate) fn check(&self, count: usize) -> Result<(), String> {
        if (self.min..=self.max).contains(&count) {
            return Ok(());
        }
        let wanted = match (self.min, self.max) {
            (min, max) if min == max => min.to_string(),
            (min, MANY) => format!("at least {min}"),
            (min, max) => format!("{min} to {max}"),
        };
        Err(format!(
            "Expect {wanted} arguments but found {count} in function {}",
            self.name
        ))
    }

    /// Calls it with as many arguments as [`Builtin::check`] has let pass.
    pub(super) fn call(&self, arguments: &[Value], scope: &Scope<'_>) -> Outcome {
        (self.run)(arguments, scope)
    }
}

/// A count as a value.
pub(super) fn int(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The error of an argument of the wrong kind.
pub(super) fn wrong<T>(function: &str, wanted: &str, got: &Value) -> Result<T, super::Stop> {
    fail(format!("{function} needs {wanted}, got {}", describe(got)))
}

fn numeric(value: &Value, function: &str, compute: fn(Number) -> Number) -> Outcome {
    let value = value.decoded();
    match (Number::of(&value), value.as_ref()) {
        (Some(number), _) => Ok(compute(number).into_value()),
        (None, Value::Null) => Ok(Value::Null),
        (None, other) => wrong(function, "a number", other),
    }
}

/// An integer out of a float where it fits; integers pass unchanged.
fn rounded(value: &Value, function: &str, round: fn(f64) -> f64) -> Outcome {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    let value = value.decoded();
    match (Number::of(&value), value.as_ref()) {
        (Some(Number::Int(_)), whole) => Ok(whole.clone()),
        (Some(Number::Float(number)), _) => {
            let number = round(number);
            if number.abs() < LIMIT {
                #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2⁵³")]
                let whole = number as i64;
                Ok(Value::Int(whole))
            } else {
                Ok(Value::from_f64(number))
            }
        }
        (None, Value::Null) => Ok(Value::Null),
        (None, other) => wrong(function, "a number", other),
    }
}

fn float(value: &Value, function: &str) -> Result<Option<f64>, super::Stop> {
    let value = value.decoded();
    match (Number::of(&value), value.as_ref()) {
        (Some(number), _) => Ok(Some(number.to_f64())),
        (None, Value::Null) => Ok(None),
        (None, other) => wrong(function, "a number", other),
    }
}

fn cast(value: &Value, target: &Value) -> Outcome {
    let (value, target) = (value.decoded(), target.decoded());
    let Value::Text(target) = target.as_ref() else {
        return wrong("cast", "the name of a type", &target);
    };
    if matches!(*value, Value::Null) {
        return Ok(Value::Null);
    }
    let result = match &**target {
        "bigint" => to_bigint(&value),
        "float" => match value.as_ref() {
            Value::Text(text) => text.trim().parse().ok().map(Value::from_f64),
            Value::Bool(truth) => Some(Value::Float(f64::from(u8::from(*truth)))),
            other => Number::of(other).map(|number| Value::from_f64(number.to_f64())),
        },
        "string" => to_text(&value),
        "boolean" => match value.as_ref() {
            Value::Bool(truth) => Some(Value::Bool(*truth)),
            Value::Text(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "t" => Some(Value::Bool(true)),
                "false" | "0" | "f" => Some(Value::Bool(false)),
                _ => None,
            },
            other => Number::of(other).map(|number| Value::Bool(number.to_f64() != 0.0)),
        },
        other => {
            return fail(format!(
                "cast to {other} is not supported; bigint, float, string and boolean are"
            ));
        }
    };
    result.map_or_else(
        || fail(format!("cannot cast {} to {target}", describe(&value))),
        Ok,
    )
}

fn to_bigint(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(truth) => Some(Value::Int(i64::from(*truth))),
        Value::Text(text) => text.trim().parse().ok().map(Value::Int),
        other => match Number::of(other)? {
            Number::Int(number) => Some(Number::Int(number).into_value()),
            // Toward zero, as in eKuiper; where i64 ends there is nothing sensible to give.
            #[expect(clippy::cast_possible_truncation, reason = "within the range checked")]
            Number::Float(number) if number.abs() < 9.2e18 => Some(Value::Int(number as i64)),
            Number::Float(_) => None,
        },
    }
}

fn to_text(value: &Value) -> Option<Value> {
    let text: Arc<str> = match value {
        Value::Text(text) => text.clone(),
        Value::Bool(truth) => truth.to_string().into(),
        other => serde_json::to_string(other).ok()?.into(),
    };
    Some(Value::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique() {
        for pair in BUILTINS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
        }
        for builtin in BUILTINS {
            assert!(builtin.min <= builtin.max && !builtin.doc.is_empty());
            assert!(!is_stateful(builtin.name));
        }
    }
}
