//! Formats of dates in the letters of PHP's `date`: reading as `DateTime::createFromFormat` does, and
//! writing.

use std::fmt::Write as _;

use super::parsed::{Parsed, Zone};
use super::reader::Reader;
use super::resolve::{self, Moment};
use super::{Instant, civil, parse, parse_value};
use crate::value::Value;

/// Letters that a format may have.
const LETTERS: &str = "dDjlNSwzWFmMntLoYyXxaABgGhHisuveIOPpTZcrU";

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

const NAMES: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A format of a rule.
#[derive(Debug, Clone)]
pub(crate) struct DateFormat {
    format: Box<str>,
}

impl DateFormat {
    pub(crate) fn new(format: &str) -> Self {
        Self {
            format: format.into(),
        }
    }

    /// The first letter that means nothing to PHP.
    pub(crate) fn unknown_letter(&self) -> Option<char> {
        let mut letters = self.format.chars();
        while let Some(letter) = letters.next() {
            if letter == '\\' {
                letters.next();
            } else if letter.is_ascii_alphabetic() && !LETTERS.contains(letter) {
                return Some(letter);
            }
        }
        None
    }

    /// Whether the text of a value has the format, and what is written of it again equals the value.
    pub(crate) fn accepts(&self, value: &Value, text: &str, now: i64) -> bool {
        self.read(text, now)
            .is_some_and(|moment| value.is_loosely_text(&write(&self.format, &moment)))
    }

    /// Reads a text in the format, or else in free form.
    pub(crate) fn or_parse(&self, text: &str, now: i64) -> Option<Instant> {
        self.read(text, now)
            .map(|moment| moment.instant)
            .or_else(|| parse(text, now))
    }

    /// Reads a value by its text in the format, or else as [`parse_value`] does.
    pub(crate) fn or_parse_value(&self, value: &Value, now: i64) -> Option<Instant> {
        self.read(&value.text()?, now)
            .map(|moment| moment.instant)
            .or_else(|| parse_value(value, now))
    }

    /// Reads a text in the format; fields that the format does not name are those of the first moment
    /// of 1970.
    fn read(&self, text: &str, now: i64) -> Option<Moment> {
        if text.contains('\0') {
            return None;
        }
        let mut parsed = Parsed::default();
        parsed.reset();
        let mut extra = false;
        let mut reader = Reader::new(text.as_bytes());
        let mut letters = self.format.bytes();
        while !reader.is_done() {
            let Some(letter) = letters.next() else {
                if extra {
                    break;
                }
                return None;
            };
            if letter == b'\\' {
                let escaped = letters.next()?;
                reader.expect(escaped)?;
                continue;
            }
            match letter {
                b'+' => extra = true,
                b'!' => parsed.reset(),
                b'|' => {}
                _ => read_letter(letter, &mut reader, &mut parsed)?,
            }
        }
        // What is left of the format must be able to stand for nothing.
        if letters.any(|letter| !matches!(letter, b'!' | b'|' | b'+')) {
            return None;
        }
        resolve::moment(&parsed, now)
    }
}

/// Reads what one letter stands for.
fn read_letter(letter: u8, reader: &mut Reader<'_>, parsed: &mut Parsed) -> Option<()> {
    match letter {
        b'd' | b'j' => parsed.day = Some(reader.digits(1, 2)?),
        b'm' | b'n' => parsed.month = Some(reader.digits(1, 2)?),
        b'Y' => parsed.year = Some(reader.digits(1, 4)?),
        b'y' => {
            let year = reader.digits(1, 2)?;
            parsed.year = Some(if year < 70 { year + 2000 } else { year + 1900 });
        }
        b'X' | b'x' => {
            let negative = reader.peek() == Some(b'-');
            if reader.starts_with_any(b"+-") {
                reader.skip(1);
            }
            let year = reader.digits(1, 19)?;
            parsed.year = Some(if negative { -year } else { year });
        }
        b'z' => {
            let day = reader.digits(1, 3)?;
            let days = civil::days(parsed.year.unwrap_or(1970), 1, day + 1);
            let (year, month, day) = civil::date(days);
            parsed.year = Some(year);
            parsed.month = Some(month);
            parsed.day = Some(day);
        }
        b'D' | b'l' => {
            parsed.relative.weekday = Some(reader.weekday()?);
            parsed.relative.behavior = 1;
        }
        b'S' => reader.skip_suffix(),
        b'M' | b'F' => parsed.month = Some(reader.month()?),
        b'g' | b'h' => {
            let hour = reader.digits(1, 2)?;
            if hour > 12 {
                return None;
            }
            parsed.hour = Some(hour);
        }
        b'G' | b'H' => parsed.hour = Some(reader.digits(1, 2)?),
        b'a' | b'A' => {
            let hour = parsed.hour.unwrap_or(0);
            parsed.hour = Some(hour + reader.exact_meridian(hour)?);
        }
        b'i' => parsed.minute = Some(reader.digits(2, 2)?),
        b's' => parsed.second = Some(reader.digits(2, 2)?),
        b'u' => parsed.micros = Some(reader.part_of_second(6)?),
        b'v' => parsed.micros = Some(reader.part_of_second(3)?),
        b'U' => {
            let seconds = reader.timestamp()?;
            parsed.year = Some(1970);
            parsed.month = Some(1);
            parsed.day = Some(1);
            parsed.hour = Some(0);
            parsed.minute = Some(0);
            parsed.second = Some(0);
            parsed.relative.seconds = parsed.relative.seconds.checked_add(seconds)?;
            parsed.zone = Some(Zone::Offset(0));
        }
        b'e' | b'P' | b'p' | b'T' | b'O' => parsed.zone = Some(reader.zone()?),
        b' ' => {
            while reader.starts_with_any(b" \t") {
                reader.skip(1);
            }
        }
        b'#' => {
            if !reader.starts_with_any(b";:/.,-()") {
                return None;
            }
            reader.skip(1);
        }
        b'?' => reader.skip(1),
        b'*' => {
            // One byte at least, whatever it is.
            reader.skip(1);
            while !reader.is_done() && !reader.starts_with_any(b" ,;:/.-0123456789\t") {
                reader.skip(1);
            }
        }
        other => reader.expect(other)?,
    }
    Some(())
}

impl Reader<'_> {
    /// One byte.
    fn expect(&mut self, byte: u8) -> Option<()> {
        if self.peek() != Some(byte) {
            return None;
        }
        self.skip(1);
        Some(())
    }

    /// A number that begins here, of so many digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        if !self.peek()?.is_ascii_digit() {
            return None;
        }
        let (number, length) = self.number_and_length(most)?;
        (length >= least).then_some(number)
    }

    fn part_of_second(&mut self, most: usize) -> Option<i64> {
        if !self.peek()?.is_ascii_digit() {
            return None;
        }
        let (number, length) = self.number_and_length(most)?;
        let places = u32::try_from(6 - length).ok()?;
        Some(number * 10_i64.pow(places))
    }

    fn timestamp(&mut self) -> Option<i64> {
        if !self.starts_with_any(b"+-0123456789") {
            return None;
        }
        self.signed()
    }

    /// `am`, `pm`, `a.m.` or `p.m.`, here.
    fn exact_meridian(&mut self, hour: i64) -> Option<i64> {
        let first = self.peek()?;
        let amount = match first {
            b'a' | b'A' => {
                if hour == 12 {
                    -12
                } else {
                    0
                }
            }
            b'p' | b'P' => {
                if hour == 12 {
                    0
                } else {
                    12
                }
            }
            _ => return None,
        };
        self.skip(1);
        if self.peek() == Some(b'.') {
            self.skip(1);
            if !self.starts_with_any(b"mM") {
                return None;
            }
            self.skip(1);
            self.expect(b'.')?;
        } else {
            if !self.starts_with_any(b"mM") {
                return None;
            }
            self.skip(1);
        }
        Some(amount)
    }
}

/// Local fields of a moment.
struct Local<'m> {
    moment: &'m Moment,
    offset: i64,
    summer: bool,
    abbreviation: String,
    days: i64,
    year: i64,
    month: i64,
    day: i64,
    of_day: i64,
}

impl<'m> Local<'m> {
    fn new(moment: &'m Moment) -> Self {
        let (offset, summer, abbreviation) = match &moment.zone {
            Zone::Offset(offset) => {
                let text = colon(*offset).replacen(':', "", 1);
                (*offset, false, format!("GMT{text}"))
            }
            Zone::Abbreviation(name, offset, summer) => (*offset, *summer, name.clone()),
            Zone::Named(_, zone) => match jiff::Timestamp::from_second(moment.instant.seconds) {
                Ok(stamp) => {
                    let info = zone.to_offset_info(stamp);
                    (
                        i64::from(info.offset().seconds()),
                        info.dst().is_dst(),
                        info.abbreviation().to_owned(),
                    )
                }
                Err(_) => (0, false, "UTC".to_owned()),
            },
        };
        let local = moment.instant.seconds.saturating_add(offset);
        let days = local.div_euclid(86_400);
        let (year, month, day) = civil::date(days);
        Self {
            moment,
            offset,
            summer,
            abbreviation,
            days,
            year,
            month,
            day,
            of_day: local.rem_euclid(86_400),
        }
    }

    fn weekday(&self) -> i64 {
        civil::weekday(self.days)
    }

    fn day_of_year(&self) -> i64 {
        self.days - civil::days(self.year, 1, 1)
    }

    /// ISO year and week.
    fn iso_week(&self) -> (i64, i64) {
        let weekday = (self.weekday() + 6) % 7;
        // The Thursday of a week decides to which year it belongs.
        let thursday = self.days - weekday + 3;
        let (year, _, _) = civil::date(thursday);
        (year, (thursday - civil::days(year, 1, 1)) / 7 + 1)
    }
}

/// Writes a moment in a format.
fn write(format: &str, moment: &Moment) -> String {
    let local = Local::new(moment);
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            text.extend(letters.next());
        } else {
            write_letter(&mut text, letter, &local);
        }
    }
    text
}

fn write_letter(text: &mut String, letter: char, local: &Local<'_>) {
    let name = |names: &[&'static str], index: i64| -> &'static str {
        usize::try_from(index)
            .ok()
            .and_then(|index| names.get(index).copied())
            .unwrap_or("")
    };
    let (hour, minute, second) = (
        local.of_day / 3600,
        local.of_day / 60 % 60,
        local.of_day % 60,
    );
    let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let micros = local.moment.instant.micros;
    let year = local.year;
    // Writing to a text cannot fail.
    let _ = match letter {
        'd' => write!(text, "{:02}", local.day),
        'j' => write!(text, "{}", local.day),
        'D' => write!(text, "{}", &name(&DAYS, local.weekday())[..3]),
        'l' => write!(text, "{}", name(&DAYS, local.weekday())),
        'N' => write!(text, "{}", (local.weekday() + 6) % 7 + 1),
        'S' => write!(text, "{}", suffix(local.day)),
        'w' => write!(text, "{}", local.weekday()),
        'z' => write!(text, "{}", local.day_of_year()),
        'W' => write!(text, "{:02}", local.iso_week().1),
        'o' => write!(text, "{}", local.iso_week().0),
        'F' => write!(text, "{}", name(&NAMES, local.month - 1)),
        'M' => write!(text, "{}", &name(&NAMES, local.month - 1)[..3]),
        'm' => write!(text, "{:02}", local.month),
        'n' => write!(text, "{}", local.month),
        't' => write!(text, "{}", civil::days_in(year, local.month)),
        'L' => write!(text, "{}", i32::from(civil::is_leap(year))),
        'Y' => write!(text, "{}", four_digits(year)),
        'y' => write!(text, "{:02}", year.rem_euclid(100)),
        'X' => write!(text, "{}{}", sign(year, true), four_digits(year.abs())),
        'x' => write!(
            text,
            "{}{}",
            sign(year, year >= 10_000),
            four_digits(year.abs())
        ),
        'a' => write!(text, "{}", if hour >= 12 { "pm" } else { "am" }),
        'A' => write!(text, "{}", if hour >= 12 { "PM" } else { "AM" }),
        'B' => write!(text, "{:03}", internet_time(local.moment.instant.seconds)),
        'g' => write!(text, "{hour12}"),
        'h' => write!(text, "{hour12:02}"),
        'G' => write!(text, "{hour}"),
        'H' => write!(text, "{hour:02}"),
        'i' => write!(text, "{minute:02}"),
        's' => write!(text, "{second:02}"),
        'u' => write!(text, "{micros:06}"),
        'v' => write!(text, "{:03}", micros / 1000),
        'e' => write!(text, "{}", zone_name(local)),
        'I' => write!(text, "{}", i32::from(local.summer)),
        'O' => write!(text, "{}", colon(local.offset).replacen(':', "", 1)),
        'p' if matches!(local.abbreviation.as_str(), "UTC" | "Z" | "GMT+0000") => {
            write!(text, "Z")
        }
        'P' | 'p' => write!(text, "{}", colon(local.offset)),
        'T' => write!(text, "{}", local.abbreviation),
        'Z' => write!(text, "{}", local.offset),
        'c' => {
            for letter in "Y-m-d".chars() {
                write_letter(text, letter, local);
            }
            write!(
                text,
                "T{hour:02}:{minute:02}:{second:02}{}",
                colon(local.offset)
            )
        }
        'r' => {
            for letter in "D, d M Y H:i:s O".chars() {
                write_letter(text, letter, local);
            }
            Ok(())
        }
        'U' => write!(text, "{}", local.moment.instant.seconds),
        other => {
            text.push(other);
            Ok(())
        }
    };
}

fn sign(year: i64, plus: bool) -> &'static str {
    match (year < 0, plus) {
        (true, _) => "-",
        (false, true) => "+",
        (false, false) => "",
    }
}

fn four_digits(year: i64) -> String {
    if year < 0 {
        format!("-{:04}", year.unsigned_abs())
    } else {
        format!("{year:04}")
    }
}

fn suffix(day: i64) -> &'static str {
    match day {
        11..=13 => "th",
        _ if day % 10 == 1 => "st",
        _ if day % 10 == 2 => "nd",
        _ if day % 10 == 3 => "rd",
        _ => "th",
    }
}

/// Thousandths of a day in Biel.
fn internet_time(seconds: i64) -> i64 {
    let of_day = seconds.saturating_add(3600).rem_euclid(86_400);
    of_day * 10 / 864 % 1000
}

fn colon(offset: i64) -> String {
    let (sign, offset) = if offset < 0 {
        ('-', -offset)
    } else {
        ('+', offset)
    };
    let text = format!("{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60);
    match offset % 60 {
        0 => text,
        seconds => format!("{text}:{seconds:02}"),
    }
}

fn zone_name(local: &Local<'_>) -> String {
    match &local.moment.zone {
        Zone::Named(name, _) if name.eq_ignore_ascii_case("utc") => "UTC".to_owned(),
        Zone::Named(name, _) | Zone::Abbreviation(name, ..) => name.clone(),
        Zone::Offset(offset) => colon(*offset),
    }
}
