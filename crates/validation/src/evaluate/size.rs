//! Rules that measure.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Scope;
use crate::decimal::{Bound, Decimal};
use crate::rule::RuleName;
use crate::set::{Compiled, Rule};
use crate::value::Value;

/// What was measured.
enum Size<'v> {
    /// A count of characters or entries, or an integer.
    Whole(i64),
    /// The decimal value of a numeric text.
    Number(Cow<'v, str>),
}

impl Size<'_> {
    fn order_of(&self, bound: &Bound) -> Option<Ordering> {
        match self {
            Self::Whole(size) => bound.order_of_integer(*size),
            Self::Number(text) => bound.order_of(&Decimal::measured(text)?),
        }
    }

    fn compare(&self, other: &Size<'_>) -> Option<Ordering> {
        if let (Self::Whole(a), Size::Whole(b)) = (self, other) {
            return Some(a.cmp(b));
        }
        let (a, b) = (self.text(), other.text());
        // PHP compares these two itself, and for it a form feed is white space.
        let number = |text: &str| text.trim_matches('\x0c').to_owned();
        let (a, b) = (number(&a), number(&b));
        Some(Decimal::measured(&a)?.compare(&Decimal::measured(&b)?))
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Whole(size) => Cow::Owned(size.to_string()),
            Self::Number(text) => Cow::Borrowed(text),
        }
    }
}

/// The size of a value; numbers count as themselves only where the attribute is numeric.
fn measure(value: &Value, numeric: bool) -> Size<'_> {
    if numeric && value.is_numeric() {
        return match value {
            Value::Int(integer) => Size::Whole(*integer),
            other => Size::Number(other.text().unwrap_or_default()),
        };
    }
    if let Some(entries) = value.entries() {
        return Size::Whole(whole(entries));
    }
    match value {
        Value::Text(text) => Size::Whole(whole(text.chars().count())),
        other => Size::Whole(whole(other.text().map_or(0, |text| text.chars().count()))),
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Scope<'_> {
    pub(super) fn size_passes(&self, rule: &Rule, value: &Value) -> bool {
        match &rule.compiled {
            Compiled::Bounds(bounds) if rule.name() == RuleName::MultipleOf => {
                multiple(value, bounds.first())
            }
            Compiled::Bounds(bounds) => {
                let size = measure(value, self.set.flags.numeric);
                let order = |at: usize| bounds.get(at).and_then(|bound| size.order_of(bound));
                match rule.name() {
                    RuleName::Min => order(0).is_some_and(Ordering::is_ge),
                    RuleName::Max => order(0).is_some_and(Ordering::is_le),
                    RuleName::Size => order(0).is_some_and(Ordering::is_eq),
                    _ => {
                        order(0).is_some_and(Ordering::is_ge)
                            && order(1).is_some_and(Ordering::is_le)
                    }
                }
            }
            Compiled::Versus(bound) => {
                self.versus(rule, bound.as_ref(), value)
                    .is_some_and(|order| match rule.name() {
                        RuleName::Gt => order.is_gt(),
                        RuleName::Gte => order.is_ge(),
                        RuleName::Lt => order.is_lt(),
                        _ => order.is_le(),
                    })
            }
            _ => false,
        }
    }

    /// How a value compares with a number or with another field; `None` when it does not.
    fn versus(&self, rule: &Rule, bound: Option<&Bound>, value: &Value) -> Option<Ordering> {
        let other = self.get(rule.parameter(0).unwrap_or(""));
        let numeric = self.set.flags.numeric || value.is_numeric();
        if let Some(bound) = bound {
            return if matches!(other, Value::Null) && value.is_numeric() {
                measure(value, true).order_of(bound)
            } else {
                None
            };
        }
        if value.is_numeric() && other.is_numeric() {
            let (a, b) = (value.text()?, other.text()?);
            let order = Decimal::parse(crate::value::trim(&a))?
                .compare(&Decimal::parse(crate::value::trim(&b))?);
            return Some(order);
        }
        if value.kind() != other.kind() {
            return None;
        }
        measure(value, numeric).compare(&measure(other, numeric))
    }
}

fn multiple(value: &Value, bound: Option<&Bound>) -> bool {
    let Some(bound) = bound.filter(|_| value.is_numeric()) else {
        return false;
    };
    if let (Value::Int(number), Ok(divisor)) = (value, bound.text().parse::<i64>()) {
        return number
            .checked_rem(divisor)
            .map_or(divisor == -1, |rest| rest == 0);
    }
    let text = value.text().unwrap_or_default();
    match (Decimal::parse(crate::value::trim(&text)), bound.decimal()) {
        (Some(number), Some(divisor)) => number.is_multiple_of(&divisor),
        _ => false,
    }
}
