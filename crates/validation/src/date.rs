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
use crate::value::{Value, is_numeric_text, trim as php_trim};

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant {
    /// Seconds since 1970 (UTC).
    pub(crate) seconds: i64,
    /// Microseconds after those.
    pub(crate) micros: i64,
}

/// Reads a text as Carbon does: empty text is now, what begins with `@` and a number that is not of 1 to
/// 14 digits count seconds since 1970, everything else is for PHP to read, after a second try with a
/// few more words.
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
    let read = if let Some(number) = text.strip_prefix('@') {
        timestamp(number, now)
    } else if !plain && is_numeric_text(text) {
        timestamp(text, now)
    } else {
        scan::scan(text).and_then(|parsed| resolve::instant(&parsed, now))
    };
    read.or_else(|| change(text, now))
}

/// Reads a value as Carbon does: numbers count seconds since 1970 however long they are, and so do
/// booleans, which PHP makes numbers of.
pub(crate) fn parse_value(value: &Value, now: i64) -> Option<Instant> {
    match value {
        Value::Text(text) => parse(text, now),
        Value::Bool(it) => timestamp(if *it { "1" } else { "0" }, now),
        Value::Int(number) => timestamp(&number.to_string(), now),
        Value::Float(number) => timestamp(&format!("{number:.6}"), now),
        _ => None,
    }
}

/// What Carbon tries with a text that PHP does not read: changing the present moment by it, with words
/// of its own. What the text does not name stays as it is now.
fn change(text: &str, now: i64) -> Option<Instant> {
    let text = php_trim(text);
    let replaced = text
        .replace(" at ", " ")
        .replace("just now", "now")
        .replace("after tomorrow", "tomorrow +1 day")
        .replace("before yesterday", "yesterday -1 day");
    if replaced.is_empty() {
        return None;
    }
    let mut parsed = scan::scan(&replaced)?;
    parsed.keep_the_time(now);
    resolve::instant(&parsed, now)
}

/// Seconds since 1970 as Carbon reads them: the runs of digits and dots in a text are added up, and a
/// leading `-` makes the sum negative, so that `1e14` is 15.
fn timestamp(text: &str, now: i64) -> Option<Instant> {
    /// The first second of the year -9999 and the last one of the year 9999, which have a form in text.
    const YEARS: std::ops::RangeInclusive<i64> = -377_705_116_800..=253_402_300_799;
    let (mut whole, mut part) = (0_i128, 0_f64);
    for run in text.split(|it: char| !it.is_ascii_digit() && it != '.') {
        let mut pieces = run.split('.');
        let integer = pieces.next().unwrap_or("");
        let decimal = pieces.next().unwrap_or("");
        if !integer.is_empty() {
            whole = whole.saturating_add(integer.parse::<i64>().unwrap_or(i64::MAX).into());
        }
        if !decimal.is_empty() {
            part += format!("0.{decimal}").parse::<f64>().ok()?;
        }
    }
    let mut micros = (part * 1e6).round();
    // More than 14 digits get an exponent when PHP writes them, which it then does not read.
    if !(0.0..1e15).contains(&micros) || whole > 99_999_999_999_999 {
        return None;
    }
    if text.starts_with('-') {
        whole = -whole;
        micros = -micros;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked")]
    let micros = micros as i64;
    let instant = Instant {
        seconds: i64::try_from(whole).ok()? + micros.div_euclid(1_000_000),
        micros: micros.rem_euclid(1_000_000),
    };
    if YEARS.contains(&instant.seconds) {
        return Some(instant);
    }
    // Carbon writes the moment as text, and PHP reads of a longer year what it can.
    let (year, month, day) = civil::date(instant.seconds.div_euclid(86_400));
    let of_day = instant.seconds.rem_euclid(86_400);
    let text = format!(
        "{year:05}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}+00:00",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        instant.micros,
    );
    resolve::instant(&scan::scan(&text)?, now)
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
    /// are made booleans, so null is below every timestamp but 0, which is neither above nor below it.
    /// Equal is null only to null.
    pub(crate) fn holds_of_timestamps(self, left: Option<i64>, right: Option<i64>) -> bool {
        if self == Self::Equal {
            return left == right;
        }
        self.holds(match (left, right) {
            (Some(left), Some(right)) => left.cmp(&right),
            (left, right) => {
                let truth = |it: Option<i64>| it.is_some_and(|it| it != 0);
                truth(left).cmp(&truth(right))
            }
        })
    }
}
