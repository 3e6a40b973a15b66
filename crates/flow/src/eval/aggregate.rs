//! Functions of the rows of a group: eKuiper's aggregates.
//!
//! NULL takes no part, except where a function is there for whole rows or lists (`count(*)`, `collect`). A
//! function that has nothing to compute from gives NULL; `count` gives 0.

use std::cmp::Ordering;

use plugyard_symbol::{Row, Value};

use super::number::{self, Number};
use super::{Outcome, Scope, Stop, compare, describe, fail, keeps, same};
use crate::sql::expr::{AggregateCall, AggregateFunction, Expr, Operator};

/// A function of lists of values, one list for each argument.
#[derive(Debug)]
pub struct Aggregate {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Fewest arguments.
    pub min: usize,
    /// Most arguments.
    pub max: usize,
    /// What it does.
    pub doc: &'static str,
    /// Whether `*` may stand for its argument.
    pub(crate) star: bool,
    /// Whether it gets the rows as an argument before its own.
    pub(crate) rows: bool,
    run: fn(&[Vec<Value>]) -> Outcome,
}

/// All of them, sorted by name.
pub static AGGREGATES: &[Aggregate] = &[
    plain(
        "avg",
        "the average; of integers an integer where it is one",
        |a| {
            let (sum, count) = total("avg", &a[0])?;
            if count == 0 {
                return Ok(Value::Null);
            }
            number::arithmetic(Operator::Divide, &sum, &super::functions::int(count))
        },
    ),
    star(
        "collect",
        "the values as a list, NULL too; of `*` the rows",
        |a| Ok(Value::List(a[0].clone())),
    ),
    star(
        "count",
        "how many values there are; of `*` how many rows",
        |a| Ok(super::functions::int(present(&a[0]).count())),
    ),
    Aggregate {
        name: "deduplicate",
        min: 2,
        max: 2,
        doc: "with `true` the first row for each value of the first argument, as a list; with `false` the last row if its value has not been there before",
        star: false,
        rows: true,
        run: |a| Ok(deduplicate(&a[0], &a[1], flag("deduplicate", &a[2])?)),
    },
    Aggregate {
        name: "last_value",
        min: 2,
        max: 2,
        doc: "the last value; with `true` as second argument the last that is not NULL",
        star: false,
        rows: false,
        run: |a| {
            let last = if flag("last_value", &a[1])? {
                present(&a[0]).last()
            } else {
                a[0].last()
            };
            Ok(last.cloned().unwrap_or(Value::Null))
        },
    },
    plain("max", "the greatest number or text", |a| {
        extreme("max", &a[0], Ordering::Greater)
    }),
    plain(
        "median",
        "the middle value, or the mean of the middle two",
        |a| quantile("median", &a[0], 0.5),
    ),
    star(
        "merge_agg",
        "one object with the members of all; the later wins",
        |a| {
            let mut merged = Row::new();
            for value in present(&a[0]) {
                if let Value::Object(row) = value.decoded().as_ref() {
                    for (name, value) in row.iter() {
                        merged.set(name.clone(), value.clone());
                    }
                }
            }
            Ok(Value::Object(merged))
        },
    ),
    plain("min", "the smallest number or text", |a| {
        extreme("min", &a[0], Ordering::Less)
    }),
    two("percentile", "same as `percentile_cont`", |a| {
        quantile("percentile", &a[0], share("percentile", &a[1])?)
    }),
    two(
        "percentile_cont",
        "the value below which that share (0 to 1) of the values is, between two values by proportion",
        |a| quantile("percentile_cont", &a[0], share("percentile_cont", &a[1])?),
    ),
    two(
        "percentile_disc",
        "the first value at or below which that share (0 to 1) of the values is",
        |a| {
            let share = share("percentile_disc", &a[1])?;
            let sorted = sorted("percentile_disc", &a[0])?;
            let Some(last) = sorted.len().checked_sub(1) else {
                return Ok(Value::Null);
            };
            let rank = (share * count_f64(sorted.len())).ceil();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a count"
            )]
            let index = (rank as usize).saturating_sub(1).min(last);
            Ok(sorted[index].1.clone())
        },
    ),
    plain("stddev", "the standard deviation of all values", |a| {
        variance("stddev", &a[0], 0, f64::sqrt)
    }),
    plain("stddevs", "the standard deviation of a sample", |a| {
        variance("stddevs", &a[0], 1, f64::sqrt)
    }),
    plain("sum", "the sum; of integers exact", |a| {
        let (sum, count) = total("sum", &a[0])?;
        Ok(if count == 0 { Value::Null } else { sum })
    }),
    plain("var", "the variance of all values", |a| {
        variance("var", &a[0], 0, |variance| variance)
    }),
    plain("vars", "the variance of a sample", |a| {
        variance("vars", &a[0], 1, |variance| variance)
    }),
];

/// Those of eKuiper that are not there: they remember earlier windows, or make several columns.
const REFUSED: &[&str] = &["agg_by_key", "last_agg_hit_count", "last_agg_hit_time"];

/// Whether eKuiper has an aggregate of that name that we have not.
pub(crate) fn is_refused(name: &str) -> bool {
    REFUSED.iter().any(|it| it.eq_ignore_ascii_case(name))
}

const fn plain(
    name: &'static str,
    doc: &'static str,
    run: fn(&[Vec<Value>]) -> Outcome,
) -> Aggregate {
    Aggregate {
        name,
        min: 1,
        max: 1,
        doc,
        star: false,
        rows: false,
        run,
    }
}

const fn star(
    name: &'static str,
    doc: &'static str,
    run: fn(&[Vec<Value>]) -> Outcome,
) -> Aggregate {
    Aggregate {
        star: true,
        ..plain(name, doc, run)
    }
}

const fn two(
    name: &'static str,
    doc: &'static str,
    run: fn(&[Vec<Value>]) -> Outcome,
) -> Aggregate {
    Aggregate {
        min: 2,
        max: 2,
        ..plain(name, doc, run)
    }
}

impl Aggregate {
    /// Looks a name up, whatever its case.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        AGGREGATES
            .iter()
            .find(|aggregate| aggregate.name.eq_ignore_ascii_case(name))
    }

    /// Refuses a wrong number of arguments.
    pub(crate) fn check(&self, count: usize) -> Result<(), String> {
        if (self.min..=self.max).contains(&count) {
            return Ok(());
        }
        Err(format!(
            "Expect {} arguments but found {count} in function {}",
            self.min, self.name
        ))
    }
}

impl AggregateCall {
    /// The arguments for one row; `None` where the row takes no part.
    pub(crate) fn values(&self, scope: &Scope<'_>) -> Result<Option<Vec<Value>>, Stop> {
        if let Some(filter) = &self.filter
            && !keeps(filter, scope)?
        {
            return Ok(None);
        }
        let values: Result<_, _> = self.arguments.iter().map(|it| it.eval(scope)).collect();
        values.map(Some)
    }

    /// Computes the value over the rows of the scope's group.
    pub(super) fn eval(&self, scope: &Scope<'_>) -> Outcome {
        if let AggregateFunction::Plugin(slot) = self.function
            && let Some(Some(result)) = scope.slots.get(slot)
        {
            return Ok(result.clone().unwrap_or(Value::Null));
        }
        let Some(group) = scope.group else {
            return fail("an aggregate has no rows here");
        };
        let mut lists = vec![Vec::with_capacity(group.members.len()); self.arguments.len()];
        for index in 0..group.members.len() {
            let values = match self.values(&group.scope(index, scope)) {
                // A call for one row will be followed by those for the others.
                Err(Stop::Call(..)) => return Err(Stop::Members(Box::new(self.clone()))),
                other => other?,
            };
            for (list, value) in lists.iter_mut().zip(values.into_iter().flatten()) {
                list.push(value);
            }
        }
        match self.function {
            AggregateFunction::Builtin(aggregate) => (aggregate.run)(&lists),
            AggregateFunction::Plugin(slot) => Err(Stop::Call(
                slot,
                lists.into_iter().map(Value::List).collect(),
            )),
        }
    }
}

impl Expr {
    /// Whether an aggregate is part of it.
    pub(crate) fn has_aggregate(&mut self) -> bool {
        matches!(self, Self::Aggregate(_)) || self.parts_mut().into_iter().any(Self::has_aggregate)
    }
}

fn is_null(value: &Value) -> bool {
    matches!(*value.decoded(), Value::Null)
}

fn present(values: &[Value]) -> impl DoubleEndedIterator<Item = &Value> {
    values.iter().filter(|value| !is_null(value))
}

/// The sum of the numbers and how many they are.
fn total(function: &str, values: &[Value]) -> Result<(Value, usize), Stop> {
    let (mut sum, mut count) = (Value::Int(0), 0);
    for value in present(values) {
        numeric(function, value)?;
        sum = number::arithmetic(Operator::Add, &sum, value)?;
        count += 1;
    }
    Ok((sum, count))
}

fn numeric(function: &str, value: &Value) -> Result<f64, Stop> {
    let value = value.decoded();
    match Number::of(&value) {
        Some(number) => Ok(number.to_f64()),
        None => fail(format!(
            "{function} needs numbers, got {}",
            describe(&value)
        )),
    }
}

/// The value that is furthest in a direction.
fn extreme(function: &str, values: &[Value], wanted: Ordering) -> Outcome {
    let mut best: Option<Value> = None;
    for value in present(values) {
        let value = value.decoded();
        let better = match &best {
            None if matches!(*value, Value::Text(_)) || Number::of(&value).is_some() => true,
            None => {
                return fail(format!(
                    "{function} needs numbers or texts, got {}",
                    describe(&value)
                ));
            }
            Some(best) => match compare(&value, best) {
                Some(order) => order == wanted,
                None => {
                    return fail(format!(
                        "{function} cannot compare {} with {}",
                        describe(best),
                        describe(&value)
                    ));
                }
            },
        };
        if better {
            best = Some(value.into_owned());
        }
    }
    Ok(best.unwrap_or(Value::Null))
}

/// A constant truth value: the same for each row.
fn flag(function: &str, values: &[Value]) -> Result<bool, Stop> {
    match values.first().map(|value| value.decoded().into_owned()) {
        None => Ok(true),
        Some(Value::Bool(truth)) => Ok(truth),
        Some(other) => fail(format!(
            "{function} needs true or false, got {}",
            describe(&other)
        )),
    }
}

/// A constant from 0 to 1.
fn share(function: &str, values: &[Value]) -> Result<f64, Stop> {
    let Some(value) = values.first() else {
        return Ok(0.0);
    };
    let share = numeric(function, value)?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        fail(format!("{function} needs a share from 0 to 1, got {share}"))
    }
}

/// The numbers in order, with their values.
fn sorted(function: &str, values: &[Value]) -> Result<Vec<(f64, Value)>, Stop> {
    let mut sorted = Vec::with_capacity(values.len());
    for value in present(values) {
        sorted.push((numeric(function, value)?, value.decoded().into_owned()));
    }
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(sorted)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rows of a window are far fewer than 2⁵³"
)]
fn count_f64(count: usize) -> f64 {
    count as f64
}

/// Between the two nearest values by proportion, as `percentile_cont` of SQL.
fn quantile(function: &str, values: &[Value], share: f64) -> Outcome {
    let sorted = sorted(function, values)?;
    let Some(last) = sorted.len().checked_sub(1) else {
        return Ok(Value::Null);
    };
    let place = share * count_f64(last);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let part = place - place.floor();
    if part == 0.0 || sorted[below].0.total_cmp(&sorted[above].0) == Ordering::Equal {
        return Ok(sorted[below].1.clone());
    }
    Ok(Value::from_f64(
        sorted[below].0 + (sorted[above].0 - sorted[below].0) * part,
    ))
}

/// The mean square distance from the mean, with so many fewer than all as divisor.
fn variance(function: &str, values: &[Value], fewer: usize, finish: fn(f64) -> f64) -> Outcome {
    let numbers: Vec<f64> = present(values)
        .map(|value| numeric(function, value))
        .collect::<Result<_, _>>()?;
    if numbers.len() <= fewer {
        return Ok(Value::Null);
    }
    let mean = numbers.iter().sum::<f64>() / count_f64(numbers.len());
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    Ok(Value::from_f64(finish(
        squares / count_f64(numbers.len() - fewer),
    )))
}

fn deduplicate(rows: &[Value], keys: &[Value], all: bool) -> Value {
    if !all {
        let Some((last, earlier)) = keys.split_last() else {
            return Value::Null;
        };
        let new = !earlier.iter().any(|key| same(key, last));
        return rows.last().filter(|_| new).cloned().unwrap_or(Value::Null);
    }
    let mut seen = std::collections::HashSet::new();
    let mut first = Vec::new();
    for (row, key) in rows.iter().zip(keys) {
        let mut text = String::new();
        super::write_key(key, &mut text);
        if seen.insert(text) {
            first.push(row.clone());
        }
    }
    Value::List(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_unique_and_no_other_functions() {
        for pair in AGGREGATES.windows(2) {
            assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
        }
        for aggregate in AGGREGATES {
            assert!(aggregate.min <= aggregate.max && !aggregate.doc.is_empty());
            assert!(super::super::functions::Builtin::find(aggregate.name).is_none());
            assert!(!is_refused(aggregate.name));
        }
    }
}
