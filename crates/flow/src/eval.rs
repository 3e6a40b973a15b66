//! Evaluating expressions over a row.
//!
//! The rules are eKuiper's, on exact integers:
//!
//! * A column that is not there is NULL. NULL in arithmetic gives NULL; `NULL = NULL`, `NULL <= NULL` and
//!   `NULL >= NULL` are true, any other comparison with NULL is false, except `!=`, which is true.
//! * `AND` is false as soon as one side is, `OR` true as soon as one side is; otherwise NULL stays NULL.
//!   WHERE keeps a row only on true.
//! * Integers are exact beyond 64 bits (up to 38 digits, beyond that they become floats). `/` of two integers
//!   is an integer where it divides without remainder and a float where not; division by zero is an error.
//! * A number compares with a number and a text with a text; a number with a text is an error. `IN` and
//!   `CASE x WHEN` treat what cannot be compared as different.
//!
//! Nothing in here awaits. An expression that meets a call of a plugin's function whose result it does
//! not have yet stops with [`Stop::Call`]; whoever runs it makes the call, puts the result into the slot
//! and evaluates again. So calls are made in order and only where the statement gets to them (not in a
//! branch of `CASE` that is not taken), and an expression without plugin functions costs no future.

pub(crate) mod aggregate;
pub(crate) mod functions;
mod like;
mod number;
pub(crate) mod project;
#[cfg(test)]
mod tests;
mod text;

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::sync::Arc;

use plugyard_symbol::{JsonText, Row, Value};

use crate::sql::expr::{AggregateCall, AggregateFunction, Expr, Operator, WindowTime};
use number::Number;

/// Why an evaluation did not give a value.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The result of this slot's call with these arguments is needed first.
    Call(usize, Vec<Value>),
    /// For each row of the group, the results of the calls in the arguments of this aggregate are needed first.
    Members(Box<AggregateCall>),
    /// It cannot be computed.
    Error(String),
}

/// The result of a plugin call: not made yet, or made and without or with a value.
pub(crate) type Slot = Option<Option<Value>>;

/// What an expression may look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The columns.
    pub(crate) row: &'a Row,
    /// What the source says about the message they came in.
    pub(crate) meta: Option<&'a JsonText>,
    /// The time of the row: its own by event time, else when it came.
    pub(crate) at: i64,
    /// The time, in milliseconds since 1970.
    pub(crate) now: i64,
    /// The rule.
    pub(crate) rule_id: &'a str,
    /// Results of plugin calls.
    pub(crate) slots: &'a [Slot],
    /// The window they are in, in rules with windows.
    pub(crate) window: Option<Span>,
    /// The rows that aggregates work on.
    pub(crate) group: Option<&'a GroupScope<'a>>,
}

/// When a window begins, ends and was triggered, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) trigger: i64,
}

/// A row of a window.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its columns.
    pub(crate) row: Row,
    /// What the source says about it.
    pub(crate) meta: Option<JsonText>,
    /// How many bytes it keeps from being freed, roughly.
    pub(crate) bytes: usize,
    /// Its time, in milliseconds since 1970: its own by event time, else when it came.
    pub(crate) at: i64,
}

/// The rows of a group, and what plugins said about each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupScope<'a> {
    pub(crate) members: &'a [Arc<Member>],
    /// Results of plugin calls, for each row; may be shorter.
    pub(crate) slots: &'a [Vec<Slot>],
}

impl<'a> GroupScope<'a> {
    /// What an expression about one of the rows may look at.
    pub(crate) fn scope(&self, index: usize, outer: &Scope<'a>) -> Scope<'a> {
        let member = &self.members[index];
        Scope {
            row: &member.row,
            meta: member.meta.as_ref(),
            at: member.at,
            slots: self.slots.get(index).map_or(&[], Vec::as_slice),
            group: None,
            ..*outer
        }
    }
}

type Outcome = Result<Value, Stop>;

/// An error as an outcome.
fn fail<T>(text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Error(text.into()))
}

impl Expr {
    /// Computes the value.
    pub(crate) fn eval(&self, scope: &Scope<'_>) -> Outcome {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Column(name) => Ok(scope.row.get(name).cloned().unwrap_or(Value::Null)),
            Self::Member(object, name) => member(&object.eval(scope)?, name),
            Self::Index(list, index) => element(&list.eval(scope)?, &index.eval(scope)?),
            Self::Not(value) => Ok(match truth(&value.eval(scope)?, "NOT")? {
                Some(truth) => Value::Bool(!truth),
                None => Value::Null,
            }),
            Self::Negate(value) => number::negate(&value.eval(scope)?),
            Self::Binary(Operator::And, left, right) => logic(left, right, scope, false),
            Self::Binary(Operator::Or, left, right) => logic(left, right, scope, true),
            Self::Binary(operator, left, right) => {
                binary(*operator, &left.eval(scope)?, &right.eval(scope)?)
            }
            Self::Case {
                operand,
                branches,
                otherwise,
            } => case(operand.as_deref(), branches, otherwise.as_deref(), scope),
            Self::Between {
                value,
                low,
                high,
                negated,
            } => {
                let value = value.eval(scope)?;
                let inside = holds(Operator::GreaterOrEqual, &value, &low.eval(scope)?)?
                    && holds(Operator::LessOrEqual, &value, &high.eval(scope)?)?;
                Ok(Value::Bool(inside != *negated))
            }
            Self::In {
                value,
                list,
                negated,
            } => {
                let value = value.eval(scope)?;
                for candidate in list {
                    if same(&value, &candidate.eval(scope)?) {
                        return Ok(Value::Bool(!negated));
                    }
                }
                Ok(Value::Bool(*negated))
            }
            Self::Like {
                value,
                pattern,
                negated,
            } => like(&value.eval(scope)?, &pattern.eval(scope)?, *negated),
            Self::IsNull { value, negated } => {
                let null = matches!(*value.eval(scope)?.decoded(), Value::Null);
                Ok(Value::Bool(null != *negated))
            }
            Self::IsTruth {
                value,
                truth: wanted,
                negated,
            } => {
                let is = truth(&value.eval(scope)?, "IS")? == Some(*wanted);
                Ok(Value::Bool(is != *negated))
            }
            Self::Meta(key) => Ok(meta(scope.meta, key.as_deref())),
            Self::Builtin(function, arguments) => {
                function.call(&eval_all(arguments, scope)?, scope)
            }
            Self::Plugin { slot, arguments } => match scope.slots.get(*slot) {
                Some(Some(result)) => Ok(result.clone().unwrap_or(Value::Null)),
                _ => Err(Stop::Call(*slot, eval_all(arguments, scope)?)),
            },
            Self::Row => Ok(Value::Object(scope.row.clone())),
            Self::Aggregate(call) => call.eval(scope),
            Self::WindowTime(time) => Ok(scope.window.map_or(Value::Null, |span| {
                Value::Int(match time {
                    WindowTime::Start => span.start,
                    WindowTime::End => span.end,
                    WindowTime::Trigger => span.trigger,
                })
            })),
        }
    }

    /// The slot, when the expression is nothing but a plugin call: its "no value" leaves the column out.
    pub(crate) fn plugin_slot(&self) -> Option<usize> {
        match self {
            Self::Plugin { slot, .. } => Some(*slot),
            Self::Aggregate(call) => match call.function {
                AggregateFunction::Plugin(slot) => Some(slot),
                AggregateFunction::Builtin(_) => None,
            },
            _ => None,
        }
    }
}

/// Whether WHERE keeps the row.
pub(crate) fn keeps(filter: &Expr, scope: &Scope<'_>) -> Result<bool, Stop> {
    Ok(truth(&filter.eval(scope)?, "WHERE")?.unwrap_or(false))
}

fn eval_all(expressions: &[Expr], scope: &Scope<'_>) -> Result<Vec<Value>, Stop> {
    expressions.iter().map(|expr| expr.eval(scope)).collect()
}

fn member(object: &Value, name: &str) -> Outcome {
    match object.decoded().as_ref() {
        Value::Object(row) => Ok(row.get(name).cloned().unwrap_or(Value::Null)),
        Value::Null => Ok(Value::Null),
        other => fail(format!("invalid operation {} -> {name}", describe(other))),
    }
}

fn element(list: &Value, index: &Value) -> Outcome {
    match (list.decoded().as_ref(), index.decoded().as_ref()) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::List(values), Value::Int(index)) => {
            let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
            let wanted = if *index < 0 { length + index } else { *index };
            match usize::try_from(wanted).ok().and_then(|at| values.get(at)) {
                Some(value) => Ok(value.clone()),
                None => fail(format!("index {index} is out of range of {length}")),
            }
        }
        (list, index) => fail(format!(
            "invalid operation {}[{}]",
            describe(list),
            describe(index)
        )),
    }
}

/// `AND` with `decisive` false, `OR` with true: the right side is looked at only where it matters.
fn logic(left: &Expr, right: &Expr, scope: &Scope<'_>, decisive: bool) -> Outcome {
    let word = if decisive { "OR" } else { "AND" };
    let left = truth(&left.eval(scope)?, word)?;
    if left == Some(decisive) {
        return Ok(Value::Bool(decisive));
    }
    let right = truth(&right.eval(scope)?, word)?;
    Ok(match (left, right) {
        (_, Some(right)) if right == decisive => Value::Bool(decisive),
        (Some(_), Some(_)) => Value::Bool(!decisive),
        _ => Value::Null,
    })
}

fn truth(value: &Value, place: &str) -> Result<Option<bool>, Stop> {
    match value.decoded().as_ref() {
        Value::Bool(truth) => Ok(Some(*truth)),
        Value::Null => Ok(None),
        other => fail(format!(
            "{place} needs true or false, got {}",
            describe(other)
        )),
    }
}

fn case(
    operand: Option<&Expr>,
    branches: &[(Expr, Expr)],
    otherwise: Option<&Expr>,
    scope: &Scope<'_>,
) -> Outcome {
    let operand = operand.map(|operand| operand.eval(scope)).transpose()?;
    for (condition, result) in branches {
        let condition = condition.eval(scope)?;
        let taken = match &operand {
            Some(operand) => same(operand, &condition),
            None => truth(&condition, "CASE WHEN")? == Some(true),
        };
        if taken {
            return result.eval(scope);
        }
    }
    otherwise.map_or(Ok(Value::Null), |otherwise| otherwise.eval(scope))
}

fn binary(operator: Operator, left: &Value, right: &Value) -> Outcome {
    match operator {
        Operator::Add
        | Operator::Subtract
        | Operator::Multiply
        | Operator::Divide
        | Operator::Modulo => number::arithmetic(operator, left, right),
        _ => holds(operator, left, right).map(Value::Bool),
    }
}

/// Whether a comparison is true.
fn holds(operator: Operator, left: &Value, right: &Value) -> Result<bool, Stop> {
    let (left, right) = (left.decoded(), right.decoded());
    let (left, right) = (left.as_ref(), right.as_ref());
    let both_null = match (left, right) {
        (Value::Null, Value::Null) => Some(true),
        (Value::Null, _) | (_, Value::Null) => Some(false),
        _ => None,
    };
    if let Some(both) = both_null {
        return Ok(match operator {
            Operator::Equal | Operator::LessOrEqual | Operator::GreaterOrEqual => both,
            Operator::NotEqual => !both,
            _ => false,
        });
    }
    let Some(ordering) = compare(left, right) else {
        return fail(format!(
            "invalid operation {} {} {}",
            describe(left),
            operator.sign(),
            describe(right)
        ));
    };
    if matches!(left, Value::Bool(_)) && !matches!(operator, Operator::Equal | Operator::NotEqual) {
        return fail(format!(
            "invalid operation boolean {} boolean",
            operator.sign()
        ));
    }
    Ok(match operator {
        Operator::Equal => ordering == Ordering::Equal,
        Operator::NotEqual => ordering != Ordering::Equal,
        Operator::Less => ordering == Ordering::Less,
        Operator::LessOrEqual => ordering != Ordering::Greater,
        Operator::Greater => ordering == Ordering::Greater,
        _ => ordering != Ordering::Less,
    })
}

/// The order of two values of one kind; `None` where there is none.
fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        _ => Number::of(left)?.compare(&Number::of(right)?),
    }
}

/// Whether two values are the same; what cannot be compared is not.
fn same(left: &Value, right: &Value) -> bool {
    let (left, right) = (left.decoded(), right.decoded());
    match (left.as_ref(), right.as_ref()) {
        (Value::Null, Value::Null) => true,
        (left, right) => compare(left, right) == Some(Ordering::Equal),
    }
}

/// The order of any two values, for ORDER BY: NULL, truth values, numbers, texts, bytes, anything else.
pub(crate) fn order(left: &Value, right: &Value) -> Ordering {
    const fn rank(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(_) => 1,
            Value::Int(_) | Value::Number(_) | Value::Float(_) => 2,
            Value::Text(_) => 3,
            Value::Bytes(_) => 4,
            _ => 5,
        }
    }
    let (left, right) = (left.decoded(), right.decoded());
    compare(&left, &right).unwrap_or_else(|| rank(&left).cmp(&rank(&right)))
}

/// Writes what makes a value the same as another for GROUP BY: numbers by what they are, not by how they are
/// written.
pub(crate) fn write_key(value: &Value, out: &mut String) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value = value.decoded();
    // Writing to a text cannot fail.
    let _ = match (value.as_ref(), Number::of(&value)) {
        (_, Some(Number::Int(number))) => write!(out, "n{number};"),
        (_, Some(Number::Float(number))) if number.fract() == 0.0 && number.abs() < EXACT => {
            write!(out, "n{:.0};", number + 0.0)
        }
        (_, Some(Number::Float(number))) => write!(out, "n{number};"),
        (other, None) => {
            let text = serde_json::to_string(other).unwrap_or_default();
            write!(out, "{}:{text};", text.len())
        }
    };
}

fn like(value: &Value, pattern: &Value, negated: bool) -> Outcome {
    match (value.decoded().as_ref(), pattern.decoded().as_ref()) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Bool(false)),
        (Value::Text(text), Value::Text(pattern)) => {
            Ok(Value::Bool(like::matches(text, pattern) != negated))
        }
        (value, pattern) => fail(format!(
            "invalid operation {} LIKE {}",
            describe(value),
            describe(pattern)
        )),
    }
}

fn meta(meta: Option<&JsonText>, key: Option<&str>) -> Value {
    let Some(meta) = meta else {
        return Value::Null;
    };
    match key {
        None => Value::Json(meta.clone()),
        Some(key) => match meta.decode() {
            Value::Object(row) => row.get(key).cloned().unwrap_or(Value::Null),
            _ => Value::Null,
        },
    }
}

/// A value in an error's text: its kind and, where short, itself.
fn describe(value: &Value) -> String {
    let (kind, text) = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(truth) => ("boolean", truth.to_string()),
        Value::Int(number) => ("bigint", number.to_string()),
        Value::Number(text) => ("bigint", text.to_string()),
        Value::Float(number) => ("float", number.to_string()),
        Value::Text(text) => ("string", text.to_string()),
        Value::Bytes(_) => return "bytea".to_owned(),
        Value::List(_) => return "array".to_owned(),
        Value::Object(_) => return "struct".to_owned(),
        Value::Json(text) => return describe(&text.decode()),
    };
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{kind}({short})")
}
