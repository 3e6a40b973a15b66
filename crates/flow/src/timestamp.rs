//! The time of a row by event time: a column, and how it is written. `TIMESTAMP` and `TIMESTAMP_FORMAT` of a stream.
//!
//! A number is milliseconds since 1970. A text is read by the format, in eKuiper's letters; without one, by RFC 3339
//! or `YYYY-MM-DD HH:MM:SS` and its parts. What names no zone is local time.

use std::sync::Arc;

use jiff::civil::{DateTime, Time};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use plugyard_symbol::{Row, Value};

use crate::sql::stream::StreamOptions;

/// Longest format.
const MAX_FORMAT: usize = 256;
/// Bytes of a value shown in an error.
const SHOWN: usize = 64;

/// Where a row says when it is of.
#[derive(Debug, Clone)]
pub(crate) struct Timestamps {
    column: Arc<str>,
    /// For texts; in the letters of `strftime`.
    format: Option<String>,
    zone: TimeZone,
}

impl Timestamps {
    /// Those of a stream.
    ///
    /// # Errors
    /// In words, when it says nothing of them or the format is none.
    pub(crate) fn read(options: &StreamOptions) -> Result<Self, String> {
        if options.timestamp.is_empty() {
            return Err(
                "preprocessor is set to be event time but stream option TIMESTAMP not found"
                    .to_owned(),
            );
        }
        let written = &options.timestamp_format;
        let format = (!written.is_empty()).then(|| translate(written));
        Ok(Self {
            column: options.timestamp.as_str().into(),
            format: format
                .transpose()
                .map_err(|reason| format!("TIMESTAMP_FORMAT `{written}`: {reason}"))?,
            zone: TimeZone::system(),
        })
    }

    /// The column.
    pub(crate) fn column(&self) -> &Arc<str> {
        &self.column
    }

    /// The time of a row, in milliseconds since 1970; within the years -9999 to 9999.
    ///
    /// # Errors
    /// In eKuiper's words, when the row has none or it cannot be read.
    pub(crate) fn of(&self, row: &Row) -> Result<i64, String> {
        let name = &self.column;
        let Some(value) = row.get(name) else {
            return Err(format!("cannot find timestamp field {name}"));
        };
        let value = value.decoded();
        let time = match &*value {
            Value::Int(number) => Timestamp::from_millisecond(*number).map_err(reason),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float out of range is no time"
            )]
            Value::Float(number) => Timestamp::from_millisecond(*number as i64).map_err(reason),
            Value::Text(text) => self.text(text),
            Value::Null => Err("it is NULL".to_owned()),
            _ => Err("it is neither a number nor a text".to_owned()),
        };
        time.map(Timestamp::as_millisecond).map_err(|reason| {
            let mut shown = serde_json::to_string(&*value).unwrap_or_default();
            if shown.len() > SHOWN {
                let end = (0..=SHOWN).rev().find(|at| shown.is_char_boundary(*at));
                shown.truncate(end.unwrap_or(0));
                shown.push('…');
            }
            format!(
                "cannot convert timestamp field {name} to timestamp with error {shown}: {reason}"
            )
        })
    }

    fn text(&self, text: &str) -> Result<Timestamp, String> {
        let local = match &self.format {
            None => match text.parse::<Timestamp>() {
                Ok(time) => return Ok(time),
                Err(_) => text.parse::<DateTime>().map_err(reason)?,
            },
            Some(format) => {
                let parts = strtime::parse(format, text).map_err(reason)?;
                if parts.offset().is_some() {
                    return parts.to_timestamp().map_err(reason);
                }
                let date: civil::Date = parts.to_date().map_err(reason)?;
                // A format may be of a day.
                let time = match parts.hour() {
                    Some(_) => parts.to_time().map_err(reason)?,
                    None => Time::midnight(),
                };
                date.to_datetime(time)
            }
        };
        let local = local.to_zoned(self.zone.clone()).map_err(reason)?;
        Ok(local.timestamp())
    }
}

fn reason(error: jiff::Error) -> String {
    error.to_string()
}

/// From eKuiper's letters to those of `strftime`.
fn translate(format: &str) -> Result<String, String> {
    if format.len() > MAX_FORMAT {
        return Err(format!("it is longer than {MAX_FORMAT} bytes"));
    }
    let letters: Vec<char> = format.chars().collect();
    let mut out = String::with_capacity(format.len() * 2);
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        let run = letters[at..].iter().take_while(|it| **it == letter).count();
        let plain = |out: &mut String, letter: char| {
            if letter == '%' {
                out.push('%');
            }
            out.push(letter);
        };
        let directive = match (letter, run) {
            ('Y' | 'y', 4) => "%Y",
            ('Y' | 'y', 2) => "%y",
            ('M', 1 | 2) => "%m",
            ('M', 3) => "%b",
            ('M', 4) => "%B",
            ('d', 1 | 2) => "%d",
            ('E', 3) => "%a",
            ('E', 4) => "%A",
            ('H', 2) => "%H",
            ('h', 1 | 2) => "%I",
            ('m', 1 | 2) => "%M",
            ('s', 1 | 2) => "%S",
            ('a', 1) => "%p",
            ('X', 2) | ('Z', 1) => "%z",
            ('X', 3) => "%:z",
            ('S', _) => {
                // The letters stand for the point as well, whether it is written or not.
                if out.ends_with('.') {
                    out.pop();
                }
                "%.f"
            }
            ('\\', _) => {
                let next = letters.get(at + 1).ok_or("it ends with \\")?;
                plain(&mut out, *next);
                at += 2;
                continue;
            }
            ('\'', 2..) => {
                out.push('\'');
                at += 2;
                continue;
            }
            ('\'', _) => {
                let text = &letters[at + 1..];
                let end = text.iter().position(|it| *it == '\'');
                let end = end.ok_or("a ' has no end")?;
                for letter in &text[..end] {
                    plain(&mut out, *letter);
                }
                at += end + 2;
                continue;
            }
            (
                'Y' | 'y' | 'M' | 'd' | 'E' | 'H' | 'h' | 'm' | 's' | 'a' | 'X' | 'Z' | 'G' | 'z',
                _,
            ) => {
                let part: String = letters[at..at + run].iter().collect();
                return Err(format!("{part} is not supported"));
            }
            (other, _) => {
                plain(&mut out, other);
                at += 1;
                continue;
            }
        };
        out.push_str(directive);
        at += run;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 08:00:00 UTC.
    const MORNING: i64 = 1_795_248_000_000;

    fn of(format: &str, value: &str) -> Result<i64, String> {
        let options = StreamOptions {
            timestamp: "ts".to_owned(),
            timestamp_format: format.to_owned(),
            ..StreamOptions::default()
        };
        let mut timestamps = Timestamps::read(&options)?;
        timestamps.zone = TimeZone::UTC;
        match serde_json::from_str(&format!(r#"{{"ts":{value}}}"#)).unwrap() {
            Value::Object(row) => timestamps.of(&row),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_milliseconds_and_texts_are_read_by_the_format() {
        for (format, value) in [
            ("", "1795248000000"),
            ("", "1795248000000.7"),
            ("", r#""2026-11-21T08:00:00Z""#),
            ("", r#""2026-11-21T16:00:00+08:00""#),
            ("", r#""2026-11-21 08:00:00""#),
            ("", r#""2026-11-21T08:00:00.000""#),
            ("YYYY-MM-dd HH:mm:ss", r#""2026-11-21 08:00:00""#),
            ("YYYY-MM-dd HH:mm:ss", "1795248000000"),
            ("YYYY-MM-dd'T'HH:mm:ssSSS", r#""2026-11-21T08:00:00.000""#),
            (
                "YYYY-MM-dd'T'HH:mm:ss.SSSXXX",
                r#""2026-11-21T09:00:00.000+01:00""#,
            ),
            (
                "EEE MMM dd yyyy hh:mm a Z",
                r#""Sat Nov 21 2026 09:00 AM +0100""#,
            ),
            ("HH 'o''''clock'", r#""x""#),
            ("100% dd\\MMMM/YY HHXX", r#""100% 21MNov/26 08+0000""#),
        ] {
            if format.starts_with("HH 'o") {
                // No date: read as a format, never as a time.
                assert!(of(format, value).is_err());
                continue;
            }
            assert_eq!(of(format, value), Ok(MORNING), "{format} {value}");
        }
        assert_eq!(of("", r#""2026-11-21 08:00:00.25""#), Ok(MORNING + 250));
        assert_eq!(of("YYYYMMdd", r#""20261121""#), Ok(MORNING - 8 * 3_600_000));
    }

    #[test]
    fn what_is_no_time_is_told_with_the_column_and_the_value() {
        for (value, expect) in [
            ("null", "null: it is NULL"),
            ("[1]", "[1]: it is neither a number nor a text"),
            ("9e99", "9e+99: "),
            ("9223372036854775807", "9223372036854775807: "),
            (r#""soon""#, "\"soon\": "),
        ] {
            let error = of("", value).unwrap_err();
            let start = "cannot convert timestamp field ts to timestamp with error ";
            assert!(error.starts_with(&format!("{start}{expect}")), "{error}");
        }
        let long = format!("\"{}\"", "é".repeat(1000));
        assert!(of("", &long).unwrap_err().len() < 400);
        let options = StreamOptions {
            timestamp: "ts".to_owned(),
            ..StreamOptions::default()
        };
        let error = Timestamps::read(&options).unwrap().of(&Row::new());
        assert_eq!(error, Err("cannot find timestamp field ts".to_owned()));
    }

    #[test]
    fn a_format_that_is_none_is_refused_with_the_part() {
        for (format, expect) in [
            ("YYY", "TIMESTAMP_FORMAT `YYY`: YYY is not supported"),
            ("H:mm", "TIMESTAMP_FORMAT `H:mm`: H is not supported"),
            ("YYYY z", "TIMESTAMP_FORMAT `YYYY z`: z is not supported"),
            ("'T", "TIMESTAMP_FORMAT `'T`: a ' has no end"),
            ("dd\\", "TIMESTAMP_FORMAT `dd\\`: it ends with \\"),
        ] {
            assert_eq!(of(format, "1").unwrap_err(), expect);
        }
    }
}
