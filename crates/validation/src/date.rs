//! Dates as PHP reads and compares them.

use std::cmp::Ordering;

use crate::rule::RuleName;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant {
    /// Seconds since 1970 (UTC).
    pub(crate) seconds: i64,
    /// Microseconds after those.
    pub(crate) micros: i64,
}

/// Reads a date text; relative words count from now.
pub(crate) fn parse(_text: &str, _now: i64) -> Option<Instant> { None }
/// Whether a text names a calendar date by itself.
pub(crate) fn is_date(_text: &str, _now: i64) -> bool { false }

/// One format of `date_format`.
#[derive(Debug, Clone)]
pub(crate) struct DateFormat { _text: Box<str> }
impl DateFormat {
    pub(crate) fn new(text: &str) -> Self { Self { _text: text.into() } }
    pub(crate) fn accepts(&self, _text: &str, _now: i64) -> bool { false }
    pub(crate) fn or_parse(&self, text: &str, now: i64) -> Option<Instant> { parse(text, now) }
}

/// How two dates are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    After,
    AfterOrEqual,
    Before,
    BeforeOrEqual,
    Equal,
}

impl Comparison {
    /// The comparison of a rule that compares dates.
    pub(crate) fn of(rule: RuleName) -> Self {
        match rule {
            RuleName::After => Self::After,
            RuleName::AfterOrEqual => Self::AfterOrEqual,
            RuleName::Before => Self::Before,
            RuleName::BeforeOrEqual => Self::BeforeOrEqual,
            _ => Self::Equal,
        }
    }

    pub(crate) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::After => order.is_gt(),
            Self::AfterOrEqual => order.is_ge(),
            Self::Before => order.is_lt(),
            Self::BeforeOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
        }
    }

    /// Compares timestamps of which either may be missing, as PHP compares null with integers: both
    /// are made booleans, so null is below every timestamp but 0, which it equals.
    pub(crate) fn holds_of_timestamps(self, left: Option<i64>, right: Option<i64>) -> bool {
        self.holds(match (left, right) {
            (Some(left), Some(right)) => left.cmp(&right),
            (left, right) => {
                let truth = |it: Option<i64>| it.is_some_and(|it| it != 0);
                truth(left).cmp(&truth(right))
            }
        })
    }
}
