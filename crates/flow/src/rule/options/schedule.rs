//! When a rule runs: `cron`, `duration` and `cronDatetimeRange`.
//!
//! | given | the rule runs |
//! |---|---|
//! | `cron` and `duration` | from each time of `cron` for `duration`; also when the server starts within it |
//! | besides `cronDatetimeRange` | the same, within the ranges alone |
//! | `cronDatetimeRange` alone | within the ranges |
//! | `duration` alone | once, for so long |
//!
//! Times without a time zone are the machine's.

use std::sync::Arc;
use std::time::Duration;

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value as Json;

/// Most ranges a rule may have.
const MAX_RANGES: usize = 1024;

/// When a rule runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Option<(String, Arc<Crontab>)>,
    duration: Duration,
    /// From and to, in milliseconds since 1970; sorted.
    ranges: Vec<(i64, i64)>,
}

/// What a schedule says about a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The rule shall run.
    Now,
    /// It shall wait until then.
    At(i64),
    /// It shall not run any more.
    Never,
}

/// What stands in the options.
#[derive(Default)]
pub(super) struct Given {
    pub(super) cron: String,
    pub(super) duration: Duration,
    pub(super) ranges: Vec<(i64, i64)>,
}

impl Given {
    pub(super) fn read(mut self) -> Result<Option<Schedule>, String> {
        let cron = match self.cron.trim() {
            "" => None,
            text => Some((text.to_owned(), Arc::new(crontab(text)?))),
        };
        if cron.is_some() && self.duration.is_zero() {
            return Err("cron needs duration, which says how long each run takes".to_owned());
        }
        if cron.is_none() && !self.duration.is_zero() && !self.ranges.is_empty() {
            return Err(
                "duration and cronDatetimeRange together need cron, which says when a run begins"
                    .to_owned(),
            );
        }
        if cron.is_none() && self.duration.is_zero() && self.ranges.is_empty() {
            return Ok(None);
        }
        self.ranges.sort_unstable();
        Ok(Some(Schedule {
            cron,
            duration: self.duration,
            ranges: self.ranges,
        }))
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        let cron = |it: &Self| it.cron.as_ref().map(|(text, _)| text.clone());
        cron(self) == cron(other) && self.duration == other.duration && self.ranges == other.ranges
    }
}

impl Schedule {
    /// How long the one run takes, where there is only one.
    pub(crate) fn once(&self) -> Option<Duration> {
        (self.cron.is_none() && self.ranges.is_empty()).then_some(self.duration)
    }

    /// Whether the rule shall run at that time, in milliseconds since 1970.
    pub(crate) fn due(&self, now: i64) -> Due {
        if self.once().is_some() {
            return Due::Now;
        }
        let mut from = now;
        // Each turn goes to the next range, so that there are not more turns than ranges.
        loop {
            let Some(begin) = self.in_range(from) else {
                return Due::Never;
            };
            from = from.max(begin);
            let Some((_, cron)) = &self.cron else {
                return at(from, now);
            };
            let length = i64::try_from(self.duration.as_millis()).unwrap_or(i64::MAX);
            let Some(fires) = next(cron, from.saturating_sub(length)) else {
                return Due::Never;
            };
            // A run that has begun goes on until its duration ends.
            let start = fires.max(from);
            match self.in_range(start) {
                Some(begin) if begin <= start => return at(start, now),
                Some(begin) => from = begin,
                None => return Due::Never,
            }
        }
    }

    /// The next time at which it begins to be due, for a rule that runs; nothing when there is none.
    pub(crate) fn following(&self, now: i64) -> Option<i64> {
        let Some((_, cron)) = &self.cron else {
            let begins = self.ranges.iter().map(|(begin, _)| *begin);
            return begins.filter(|begin| *begin > now).min();
        };
        let mut from = now;
        loop {
            let start = next(cron, from)?;
            match self.in_range(start)? {
                begin if begin <= start => return Some(start),
                begin => from = begin - 1,
            }
        }
    }

    /// The first moment from `from` on that lies in a range, or before which one begins.
    fn in_range(&self, from: i64) -> Option<i64> {
        if self.ranges.is_empty() {
            return Some(from);
        }
        self.ranges
            .iter()
            .filter(|(_, end)| from < *end)
            .map(|(begin, _)| (*begin).max(from))
            .min()
    }
}

fn at(start: i64, now: i64) -> Due {
    if start <= now {
        Due::Now
    } else {
        Due::At(start)
    }
}

/// The first time of a crontab after that one.
fn next(cron: &Crontab, after: i64) -> Option<i64> {
    let after = MakeTimestamp::from_millisecond(after).ok()?;
    let next = cron.find_next(after).ok()?;
    Some(next.timestamp().as_millisecond())
}

/// Five fields, or one of the words for them; `CRON_TZ=Area/City` before it, or the area after it.
fn crontab(text: &str) -> Result<Crontab, String> {
    let (zone, fields) = match text
        .strip_prefix("CRON_TZ=")
        .or_else(|| text.strip_prefix("TZ="))
    {
        Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
        None => ("", text),
    };
    let fields = match fields.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        word if word.starts_with('@') => {
            return Err(format!(
                "cron {word} is not supported; five fields are, such as `0 6 * * 1-5`"
            ));
        }
        fields => fields,
    };
    // A question mark is Go's other word for "any".
    let fields = fields.replace('?', "*");
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::System;
    cronexpr::parse_crontab_with(&format!("{fields} {zone}"), options).map_err(|error| {
        // The library draws the place below the text, which has no room in one line.
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default();
        let reason = reason.trim_start_matches([' ', '|', '^', '-', '~', '='].as_slice());
        format!("cron `{text}` cannot be read: {reason}")
    })
}

/// `[{"begin": "2026-11-21 08:00:00", "end": …}]`, or with `beginTimestamp` and `endTimestamp`.
pub(super) fn ranges(value: &Json) -> Result<Vec<(i64, i64)>, String> {
    let list = match value {
        Json::Array(list) if list.len() <= MAX_RANGES => list,
        Json::Array(_) => {
            return Err(format!(
                "cronDatetimeRange has more than {MAX_RANGES} ranges"
            ));
        }
        _ => return Err("cronDatetimeRange must be a list of ranges".to_owned()),
    };
    list.iter()
        .enumerate()
        .map(|(index, range)| {
            let name = format!("cronDatetimeRange[{index}]");
            let range = range
                .as_object()
                .ok_or_else(|| format!("{name} must be an object with begin and end"))?;
            let begin = moment(&name, range, "begin")?;
            let end = moment(&name, range, "end")?;
            if begin > end {
                return Err(format!("{name}: begin time shouldn't after end time"));
            }
            Ok((begin, end))
        })
        .collect()
}

fn moment(name: &str, range: &serde_json::Map<String, Json>, key: &str) -> Result<i64, String> {
    let stamp = range.get(&format!("{key}Timestamp")).and_then(Json::as_i64);
    if let Some(stamp) = stamp.filter(|stamp| *stamp > 0) {
        return Ok(stamp);
    }
    let wrong = || {
        format!(
            "{name}.{key} must be a time such as `2026-11-21 08:00:00`, or {name}.{key}Timestamp one in milliseconds"
        )
    };
    let text = range.get(key).and_then(Json::as_str).ok_or_else(wrong)?;
    let time: DateTime = text.trim().parse().map_err(|_| wrong())?;
    let zoned = time.to_zoned(TimeZone::system()).map_err(|_| wrong())?;
    Ok(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2026-11-21 00:00:00 UTC.
    const DAY: i64 = 1_795_219_200_000;
    const HOUR: i64 = 3_600_000;
    const MINUTE: i64 = 60_000;

    fn schedule(cron: &str, minutes: u64, within: &[(i64, i64)]) -> Result<Schedule, String> {
        let given = Given {
            cron: cron.to_owned(),
            duration: Duration::from_secs(minutes * 60),
            ranges: within.to_vec(),
        };
        given.read().map(|schedule| schedule.unwrap())
    }

    #[test]
    fn a_run_takes_its_duration_from_each_time_of_the_crontab() {
        let hourly = schedule("CRON_TZ=UTC 0 * * * *", 30, &[]).unwrap();
        assert_eq!(hourly.due(DAY), Due::Now);
        assert_eq!(hourly.due(DAY + 30 * MINUTE - 1), Due::Now);
        assert_eq!(hourly.due(DAY + 30 * MINUTE), Due::At(DAY + HOUR));
        assert_eq!(hourly.due(DAY + HOUR), Due::Now);
        for same in ["CRON_TZ=UTC @hourly", "0 * * * * UTC", "TZ=UTC 0 * ? * ?"] {
            let same = schedule(same, 30, &[]).unwrap();
            assert_eq!(same.due(DAY + 31 * MINUTE), Due::At(DAY + HOUR));
        }
    }

    #[test]
    fn ranges_stand_alone_or_limit_the_crontab() {
        let within = [
            (DAY + HOUR, DAY + 2 * HOUR),
            (DAY + 5 * HOUR, DAY + 6 * HOUR),
        ];
        let alone = schedule("", 0, &within).unwrap();
        assert_eq!(alone.due(DAY), Due::At(DAY + HOUR));
        assert_eq!(alone.due(DAY + HOUR), Due::Now);
        assert_eq!(alone.due(DAY + 2 * HOUR), Due::At(DAY + 5 * HOUR));
        assert_eq!(alone.due(DAY + 6 * HOUR), Due::Never);
        let cron = schedule("CRON_TZ=UTC 30 * * * *", 10, &within).unwrap();
        assert_eq!(cron.due(DAY), Due::At(DAY + HOUR + 30 * MINUTE));
        assert_eq!(cron.due(DAY + HOUR + 35 * MINUTE), Due::Now);
        assert_eq!(
            cron.due(DAY + HOUR + 40 * MINUTE),
            Due::At(DAY + 5 * HOUR + 30 * MINUTE)
        );
        assert_eq!(cron.due(DAY + 5 * HOUR + 50 * MINUTE), Due::Never);
    }

    #[test]
    fn what_says_no_time_is_refused() {
        for (cron, minutes, reason) in [
            (
                "0 * * * *",
                0,
                "cron needs duration, which says how long each run takes",
            ),
            (
                "@every 1h",
                1,
                "cron @every 1h is not supported; five fields are, such as `0 6 * * 1-5`",
            ),
        ] {
            assert_eq!(schedule(cron, minutes, &[]).unwrap_err(), reason);
        }
        assert!(
            schedule("61 * * * *", 1, &[])
                .unwrap_err()
                .starts_with("cron `61 * * * *` cannot be read: ")
        );
        assert!(schedule("often", 1, &[]).is_err());
        assert!(schedule("", 5, &[(1, 2)]).is_err());
        assert_eq!(
            schedule("", 5, &[]).unwrap().once(),
            Some(Duration::from_mins(5))
        );
    }

    #[test]
    fn ranges_are_read_as_texts_and_as_numbers() {
        let read = ranges(&json!([
            {"begin": "2026-11-21 08:00:00", "end": "2026-11-21 09:00:00"},
            {"beginTimestamp": 5, "endTimestamp": 7},
        ]))
        .unwrap();
        assert_eq!(read[0].1 - read[0].0, HOUR);
        assert_eq!(read[1], (5, 7));
        assert_eq!(
            ranges(&json!([{"beginTimestamp": 7, "endTimestamp": 5}])),
            Err("cronDatetimeRange[0]: begin time shouldn't after end time".to_owned())
        );
        assert!(ranges(&json!([{"begin": "soon", "end": "later"}])).is_err());
        assert!(ranges(&json!("always")).is_err());
    }
}
