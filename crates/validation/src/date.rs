//! Dates as PHP reads, formats and compares them.
//!
//! [`parse`] reads free form as PHP's `strtotime` and Carbon do, [`DateFormat`] a given format as
//! `DateTime::createFromFormat` does. Without a zone a date is in UTC. The time is passed in.

mod civil;
mod format;
mod parsed;
mod reader;
mod resolve;
mod scan;

use std::cmp::Ordering;

pub(crate) use format::DateFormat;

use crate::rule::RuleName;
use crate::value::is_numeric_text;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant {
    /// Seconds since 1970 (UTC).
    pub(crate) seconds: i64,
    /// Microseconds after those.
    pub(crate) micros: i64,
}

/// Reads a text as Carbon does: empty text is now, a number that is not of 1 to 14 digits counts
/// seconds since 1970, everything else is for PHP to read.
pub(crate) fn parse(text: &str, now: i64) -> Option<Instant> {
    if text.is_empty() {
        return Some(Instant {
            seconds: now,
            micros: 0,
        });
    }
    let digits = text.strip_suffix('\n').unwrap_or(text);
    let plain =
        (1..=14).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain && is_numeric_text(text) {
        return timestamp(text);
    }
    resolve::instant(&scan::scan(text)?, now)
}

/// A number of seconds, with or without a fraction.
fn timestamp(text: &str) -> Option<Instant> {
    /// The first second of the year -9999 and the last one of the year 9999, which have a form in text.
    const YEARS: std::ops::RangeInclusive<i64> = -377_705_116_800..=253_402_300_799;
    let number: f64 = text.trim().parse().ok()?;
    if !number.is_finite() || number.abs() > 1e15 {
        return None;
    }
    let seconds = number.floor();
    #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked")]
    let instant = Instant {
        seconds: seconds as i64,
        micros: ((number - seconds) * 1e6).round() as i64,
    };
    YEARS.contains(&instant.seconds).then_some(instant)
}

/// Whether a text names a calendar date by itself, with year, month and day.
pub(crate) fn is_date(text: &str, now: i64) -> bool {
    let Some(parsed) = scan::scan(text) else {
        return false;
    };
    let named = match (parsed.year, parsed.month, parsed.day) {
        (Some(year), Some(month), Some(day)) => {
            (1..=32_767).contains(&year) && civil::exists(year, month, day)
        }
        _ => false,
    };
    named && resolve::instant(&parsed, now).is_some()
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
