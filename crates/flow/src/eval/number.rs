//! Arithmetic on exact integers and floats.

use std::cmp::Ordering;

use plugyard_symbol::Value;

use super::{Outcome, describe, fail};
use crate::sql::expr::Operator;

/// Integers below this magnitude are floats without loss.
const EXACT: u128 = 1 << 53;

/// A number to compute with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// An integer of up to 38 digits.
    Int(i128),
    /// Anything else.
    Float(f64),
}

impl Number {
    /// The number in a value that is already decoded; `None` when it holds none.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number) => Some(Self::Int((*number).into())),
            Value::Float(number) => Some(Self::Float(*number)),
            Value::Number(text) => text
                .parse()
                .map(Self::Int)
                .or_else(|_| text.parse().map(Self::Float))
                .ok(),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a float is asked for")]
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// Which is greater; exact also between an integer and a float.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (*self, *other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(&right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Int(left), Self::Float(right)) => int_with_float(left, right),
            (Self::Float(left), Self::Int(right)) => {
                int_with_float(right, left).map(Ordering::reverse)
            }
        }
    }

    /// The number as a value; what no float can be is NULL.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::Int(number) => i64::try_from(number)
                .map_or_else(|_| Value::Number(number.to_string().into()), Value::Int),
            Self::Float(number) => Value::from_f64(number),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "within ±2¹²⁶ the whole part of a float is exact as i128; below 2⁵³ integers are exact as floats"
)]
fn int_with_float(int: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if int.unsigned_abs() < EXACT {
        return (int as f64).partial_cmp(&float);
    }
    if float.abs() >= 2_f64.powi(126) {
        return Some(if float > 0.0 {
            Ordering::Less
        } else {
            Ordering::Greater
        });
    }
    let whole = float.trunc();
    Some(int.cmp(&(whole as i128)).then_with(|| {
        // Equal whole parts: the fraction decides.
        0.0_f64.total_cmp(&(float - whole + 0.0))
    }))
}

/// `-x`.
pub(super) fn negate(value: &Value) -> Outcome {
    let value = value.decoded();
    match (Number::of(&value), value.as_ref()) {
        (Some(Number::Int(number)), _) => Ok(number.checked_neg().map_or_else(
            || Number::Float(-Number::Int(number).to_f64()).into_value(),
            |negated| Number::Int(negated).into_value(),
        )),
        (Some(Number::Float(number)), _) => Ok(Value::from_f64(-number)),
        (None, Value::Null) => Ok(Value::Null),
        (None, other) => fail(format!("invalid operation -{}", describe(other))),
    }
}

/// `+ - * / %`.
pub(super) fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Outcome {
    let (left, right) = (left.decoded(), right.decoded());
    if matches!(*left, Value::Null) || matches!(*right, Value::Null) {
        return Ok(Value::Null);
    }
    let (Some(a), Some(b)) = (Number::of(&left), Number::of(&right)) else {
        return fail(format!(
            "invalid operation {} {} {}",
            describe(&left),
            operator.sign(),
            describe(&right)
        ));
    };
    if matches!(operator, Operator::Divide | Operator::Modulo) && b.to_f64() == 0.0 {
        return fail("divided by zero");
    }
    if let (Number::Int(a), Number::Int(b)) = (a, b)
        && let Some(exact) = exact(operator, a, b)
    {
        return Ok(Number::Int(exact).into_value());
    }
    let (a, b) = (a.to_f64(), b.to_f64());
    Ok(Value::from_f64(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        _ => a % b,
    }))
}

/// The result where it is an integer that fits.
fn exact(operator: Operator, a: i128, b: i128) -> Option<i128> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Modulo => a.checked_rem(b),
        _ if a.checked_rem(b) == Some(0) => a.checked_div(b),
        _ => None,
    }
}
