//! Reads the parts of a piece of a date text.

use super::parsed::{Parsed, Special, Zone};
use super::scan::month;
use crate::timezone;

/// A place in a piece of text.
#[derive(Debug, Clone)]
pub(super) struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

/// Units that amounts are counted in.
enum Unit {
    Micros(i64),
    Seconds(i64),
    Minutes,
    Hours,
    Days(i64),
    Months,
    Years,
    Weekday(i64),
    Weekdays,
}

impl<'t> Reader<'t> {
    pub(super) fn new(bytes: &'t [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied().filter(|byte| *byte != 0)
    }

    pub(super) fn rest(&self) -> &'t [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.at = (self.at + count).min(self.bytes.len());
    }

    pub(super) fn is_done(&self) -> bool {
        self.peek().is_none()
    }

    pub(super) fn starts_with_any(&self, letters: &[u8]) -> bool {
        self.peek().is_some_and(|byte| letters.contains(&byte))
    }

    pub(super) fn is_negative(&self) -> bool {
        self.bytes.contains(&b'-')
    }

    /// The next number of at most so many digits, wherever it stands.
    pub(super) fn number(&mut self, digits: usize) -> Option<i64> {
        self.number_and_length(digits).map(|(number, _)| number)
    }

    pub(super) fn number_and_length(&mut self, digits: usize) -> Option<(i64, usize)> {
        while !self.peek()?.is_ascii_digit() {
            self.at += 1;
        }
        let start = self.at;
        let mut number = 0_i64;
        while self.at - start < digits {
            let Some(digit) = self.peek().filter(u8::is_ascii_digit) else {
                break;
            };
            number = number
                .checked_mul(10)?
                .checked_add(i64::from(digit - b'0'))?;
            self.at += 1;
        }
        Some((number, self.at - start))
    }

    /// A year; those of one or two digits lie between 1970 and 2069.
    pub(super) fn short_year(&mut self, digits: usize) -> Option<i64> {
        let (year, length) = self.number_and_length(digits)?;
        Some(match year {
            _ if length >= 4 || year >= 100 => year,
            0..=69 => year + 2000,
            _ => year + 1900,
        })
    }

    pub(super) fn signed_year(&mut self) -> Option<i64> {
        let negative = self.peek() == Some(b'-');
        let year = self.number(19)?;
        Some(if negative { -year } else { year })
    }

    /// A number with any number of signs before it.
    pub(super) fn signed(&mut self) -> Option<i64> {
        let mut negative = false;
        loop {
            match self.peek()? {
                b'-' => negative = !negative,
                byte if byte.is_ascii_digit() => break,
                _ => {}
            }
            self.at += 1;
        }
        let number = self.number(24)?;
        Some(if negative { -number } else { number })
    }

    /// Microseconds after a point.
    pub(super) fn fraction(&mut self) -> i64 {
        self.at += 1;
        let mut micros = 0;
        let mut place = 100_000;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            micros += i64::from(digit - b'0') * place;
            place /= 10;
            self.at += 1;
        }
        micros
    }

    /// Hour, and minute, second and fraction where they follow.
    pub(super) fn time(&mut self, parsed: &mut Parsed) -> Option<()> {
        parsed.hour = Some(self.number(2)?);
        if self.starts_with_any(b":.") {
            parsed.minute = Some(self.number(2)?);
            if self.starts_with_any(b":.") {
                parsed.second = Some(self.number(2)?);
                if self.starts_with_any(b":.") {
                    parsed.micros = Some(self.fraction());
                }
            }
        }
        Some(())
    }

    /// What `am` or `pm` adds to an hour.
    pub(super) fn meridian(&mut self, hour: i64) -> i64 {
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'a' | b'A' => return if hour == 12 { -12 } else { 0 },
                b'p' | b'P' => return if hour == 12 { 0 } else { 12 },
                _ => {}
            }
        }
        0
    }

    pub(super) fn skip_suffix(&mut self) {
        let suffix = self.rest().get(..2).map(<[u8]>::to_ascii_lowercase);
        if matches!(suffix.as_deref(), Some(b"st" | b"nd" | b"rd" | b"th")) {
            self.at += 2;
        }
    }

    pub(super) fn letters(&mut self) -> String {
        let rest = self.rest();
        let length = rest
            .iter()
            .take_while(|it| it.is_ascii_alphabetic())
            .count();
        self.at += length;
        rest[..length]
            .iter()
            .map(|it| char::from(it.to_ascii_lowercase()))
            .collect()
    }

    /// A month by its name.
    pub(super) fn month(&mut self) -> Option<i64> {
        while self.starts_with_any(b" \t-./") {
            self.at += 1;
        }
        month(&self.letters())
    }

    /// `first` … `twelfth`, `next`, `last`, `previous`, `this`, with how a day of the week is then found.
    pub(super) fn relative_text(&mut self) -> Option<(i64, i64)> {
        while self.starts_with_any(b" \t-/") {
            self.at += 1;
        }
        Some(match self.letters().as_str() {
            "first" | "next" => (1, 0),
            "second" => (2, 0),
            "third" => (3, 0),
            "fourth" => (4, 0),
            "fifth" => (5, 0),
            "sixth" => (6, 0),
            "seventh" => (7, 0),
            "eight" | "eighth" => (8, 0),
            "ninth" => (9, 0),
            "tenth" => (10, 0),
            "eleventh" => (11, 0),
            "twelfth" => (12, 0),
            "last" | "previous" => (-1, 0),
            "this" => (0, 1),
            _ => return None,
        })
    }

    fn space(&mut self) {
        loop {
            let rest = self.rest();
            let length = match rest {
                [b' ' | b'\t', ..] => 1,
                [0xC2, 0xA0, ..] => 2,
                [0xE2, 0x80, 0xAF, ..] => 3,
                _ => return,
            };
            self.at += length;
        }
    }

    fn unit(&mut self) -> Option<Unit> {
        self.space();
        let rest = self.rest();
        let length = rest
            .iter()
            .take_while(|byte| !b"\0 ,\t;:/.-()".contains(byte))
            .count();
        self.at += length;
        let word = String::from_utf8_lossy(&rest[..length]).to_ascii_lowercase();
        Some(match word.as_str() {
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => Unit::Micros(1000),
            "µs" | "µss" | "usec" | "usecs" | "microsecond" | "microseconds" => Unit::Micros(1),
            "sec" | "secs" | "second" | "seconds" => Unit::Seconds(1),
            "min" | "mins" | "minute" | "minutes" => Unit::Minutes,
            "hour" | "hours" => Unit::Hours,
            "day" | "days" => Unit::Days(1),
            "week" | "weeks" => Unit::Days(7),
            "fortnight" | "fortnights" | "forthnight" | "forthnights" => Unit::Days(14),
            "month" | "months" => Unit::Months,
            "year" | "years" => Unit::Years,
            "weekday" | "weekdays" => Unit::Weekdays,
            day => Unit::Weekday(weekday(day)?),
        })
    }

    /// A day of the week by its name; `weekday` counts as Monday, as PHP has it.
    pub(super) fn weekday(&mut self) -> Option<i64> {
        match self.unit()? {
            Unit::Weekday(day) => Some(day),
            Unit::Weekdays => Some(1),
            _ => None,
        }
    }

    /// Takes an amount of a unit over.
    pub(super) fn set_relative(
        &mut self,
        amount: i64,
        behavior: i64,
        parsed: &mut Parsed,
        drops_time: bool,
    ) -> Option<()> {
        let unit = self.unit()?;
        let relative = &mut parsed.relative;
        let (place, factor) = match unit {
            Unit::Micros(factor) => (&mut relative.micros, factor),
            Unit::Seconds(factor) => (&mut relative.seconds, factor),
            Unit::Minutes => (&mut relative.minutes, 1),
            Unit::Hours => (&mut relative.hours, 1),
            Unit::Days(factor) => (&mut relative.days, factor),
            Unit::Months => (&mut relative.months, 1),
            Unit::Years => (&mut relative.years, 1),
            Unit::Weekday(day) => {
                relative.weekday = Some(day);
                relative.behavior = behavior;
                let weeks = if amount > 0 { amount - 1 } else { amount };
                relative.days = relative.days.saturating_add(weeks.saturating_mul(7));
                if drops_time {
                    parsed.drop_time();
                }
                return Some(());
            }
            Unit::Weekdays => {
                relative.special = Some(Special::Weekdays(amount));
                if drops_time {
                    parsed.drop_time();
                }
                return Some(());
            }
        };
        *place = place.saturating_add(amount.saturating_mul(factor));
        Some(())
    }

    /// An offset, an abbreviation or a name of the database.
    pub(super) fn zone(&mut self) -> Option<Zone> {
        while self.starts_with_any(b" \t(")
            || matches!(self.rest(), [0xC2, 0xA0, ..] | [0xE2, 0x80, 0xAF, ..])
        {
            self.at += match self.rest() {
                [0xC2, ..] => 2,
                [0xE2, ..] => 3,
                _ => 1,
            };
        }
        if let [b'G', b'M', b'T', b'+' | b'-', ..] = self.rest() {
            self.at += 3;
        }
        let zone = match self.peek()? {
            sign @ (b'+' | b'-') => {
                self.at += 1;
                let offset = self.offset()?;
                Zone::Offset(if sign == b'-' { -offset } else { offset })
            }
            _ => {
                let rest = self.rest();
                let length = rest
                    .iter()
                    .take_while(|it| it.is_ascii_alphanumeric() || b"/_-+".contains(it))
                    .count();
                self.at += length;
                let name = std::str::from_utf8(&rest[..length]).ok()?;
                match timezone::abbreviation(name) {
                    Some((offset, summer)) if !name.eq_ignore_ascii_case("utc") => {
                        Zone::Abbreviation(name.to_ascii_uppercase(), offset, summer)
                    }
                    _ => Zone::Named(name.to_owned(), timezone::zone(name)?),
                }
            }
        };
        while self.peek() == Some(b')') {
            self.at += 1;
        }
        Some(zone)
    }

    /// `H`, `HH`, `HMM`, `HHMM`, `HHMMSS`, or the same with colons, in seconds.
    fn offset(&mut self) -> Option<i64> {
        let rest = self.rest();
        let length = rest
            .iter()
            .take_while(|it| it.is_ascii_digit() || **it == b':')
            .count();
        self.at += length;
        let text = std::str::from_utf8(&rest[..length]).ok()?;
        let number = |text: &str| text.parse::<i64>().ok();
        let (hours, minutes, seconds) = if text.contains(':') {
            let mut parts = text.split(':');
            let hours = number(parts.next()?)?;
            let minutes = parts.next().map_or(Some(0), number)?;
            (hours, minutes, parts.next().map_or(Some(0), number)?)
        } else {
            match text.len() {
                1 | 2 => (number(text)?, 0, 0),
                3 => (number(&text[..1])?, number(&text[1..])?, 0),
                4 => (number(&text[..2])?, number(&text[2..])?, 0),
                6 => (
                    number(&text[..2])?,
                    number(&text[2..4])?,
                    number(&text[4..])?,
                ),
                _ => return None,
            }
        };
        Some(hours * 3600 + minutes * 60 + seconds)
    }
}

/// The number of a day of the week, from Sunday.
fn weekday(name: &str) -> Option<i64> {
    Some(match name {
        "sun" | "sunday" | "sundays" => 0,
        "mon" | "monday" | "mondays" => 1,
        "tue" | "tues" | "tuesday" | "tuesdays" => 2,
        "wed" | "wednesday" | "wednesdays" => 3,
        "thu" | "thur" | "thurs" | "thursday" | "thursdays" => 4,
        "fri" | "friday" | "fridays" => 5,
        "sat" | "saturday" | "saturdays" => 6,
        _ => return None,
    })
}
