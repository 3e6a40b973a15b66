//! From what was read to a point in time.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::Instant;
use super::civil;
use super::parsed::{Parsed, Special, Zone};

/// A date and time with its zone, after everything was added.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) zone: Zone,
}

/// The point in time that was named; `None` when it does not fit 64 bits.
pub(super) fn instant(parsed: &Parsed, now: i64) -> Option<Instant> {
    moment(parsed, now).map(|it| it.instant)
}

pub(super) fn moment(parsed: &Parsed, now: i64) -> Option<Moment> {
    // What is not named is as it is now where the zone is.
    let here = now.saturating_add(parsed.zone.as_ref().map_or(0, |zone| offset_now(zone, now)));
    let (now_year, now_month, now_day) = civil::date(here.div_euclid(86_400));
    let of_day = here.rem_euclid(86_400);
    let midnight = parsed.dates > 0 && parsed.times == 0;
    let time = |value: Option<i64>, of_now: i64| {
        if midnight { 0 } else { value.unwrap_or(of_now) }
    };
    let mut year = parsed.year.unwrap_or(now_year);
    let mut month = parsed.month.unwrap_or(now_month);
    let mut day = parsed.day.unwrap_or(now_day);
    let hour = time(parsed.hour, of_day / 3600);
    let minute = time(parsed.minute, of_day / 60 % 60);
    let second = time(parsed.second, of_day % 60);
    let micros = if midnight {
        0
    } else {
        parsed.micros.unwrap_or(0)
    };

    let relative = &parsed.relative;
    let mut months = relative.months;
    match relative.special {
        Some(Special::DayOfWeekInMonth) => {
            day = 1;
            month = month.checked_add(months)?;
            months = 0;
        }
        Some(Special::LastDayOfWeekInMonth) => {
            day = 1;
            month = month.checked_add(months)?.checked_add(1)?;
            months = 0;
        }
        _ => {}
    }
    // A time of 24:00 is the next day before anything is added.
    let of_day = hour * 3600 + minute * 60 + second;
    let mut days = civil::days(year, month, day).checked_add(of_day.div_euclid(86_400))?;
    let of_day = of_day.rem_euclid(86_400);
    if let Some(weekday) = relative.weekday {
        days = days.checked_add(to_weekday(
            weekday,
            relative.behavior,
            relative.days,
            civil::weekday(days),
        ))?;
    }
    (year, month, day) = civil::date(days);
    day = day.checked_add(relative.days)?;
    month = month.checked_add(months)?;
    year = year.checked_add(relative.years)?;
    match relative.last_day_of {
        Some(false) => day = 1,
        Some(true) => {
            day = 0;
            month = month.checked_add(1)?;
        }
        None => {}
    }
    let mut days = civil::days(year, month, day);
    if let Some(Special::Weekdays(amount)) = relative.special {
        days = days.checked_add(working_days(amount, civil::weekday(days)))?;
    }

    let local = i128::from(days) * 86_400 + i128::from(of_day);
    let zone = parsed
        .zone
        .clone()
        .unwrap_or_else(|| Zone::Named("UTC".to_owned(), TimeZone::UTC));
    let offset = offset_at(&zone, i64::try_from(local).ok()?);
    let micros = i128::from(micros) + i128::from(relative.micros);
    let seconds = local - i128::from(offset)
        + i128::from(relative.hours) * 3600
        + i128::from(relative.minutes) * 60
        + i128::from(relative.seconds)
        + micros.div_euclid(1_000_000);
    Some(Moment {
        instant: Instant {
            seconds: i64::try_from(seconds).ok()?,
            micros: i64::try_from(micros.rem_euclid(1_000_000)).ok()?,
        },
        zone,
    })
}

/// How many days on a day of the week lies.
fn to_weekday(weekday: i64, behavior: i64, days: i64, today: i64) -> i64 {
    if behavior == 2 {
        // The week begins on Monday.
        let weekday = match weekday {
            0 if today != 0 => 7,
            day if today == 0 && day != 0 => day - 7,
            day => day,
        };
        return weekday - today;
    }
    let mut difference = weekday - today;
    if (days < 0 && difference < 0) || (days >= 0 && difference <= -behavior) {
        difference += 7;
    }
    if weekday >= 0 {
        difference
    } else {
        -(7 - (weekday.abs() - today))
    }
}

/// How many days on so many working days lie, from a day of the week.
fn working_days(count: i64, today: i64) -> i64 {
    let weeks = (count / 5).saturating_mul(7);
    let rest = count % 5;
    let step = if count > 0 {
        match (rest, today) {
            (0, 0) => -2,
            (0, 6) => -1,
            (0, _) => 0,
            (_, 6) => 1,
            (rest, today) if today + rest > 5 => 2,
            _ => 0,
        }
    } else {
        match (rest, today) {
            (0, 6) => 2,
            (0, 0) => 1,
            (0, _) => 0,
            (_, 0) => -1,
            (rest, today) if today > 0 && today + rest < 1 => -2,
            _ => 0,
        }
    };
    weeks.saturating_add(step + rest)
}

/// The offset of a zone at a point in time.
fn offset_now(zone: &Zone, now: i64) -> i64 {
    match zone {
        Zone::Offset(offset) | Zone::Abbreviation(_, offset, _) => *offset,
        Zone::Named(_, zone) => jiff::Timestamp::from_second(now)
            .map_or(0, |stamp| i64::from(zone.to_offset(stamp).seconds())),
    }
}

/// The offset of a zone at a local time in seconds.
fn offset_at(zone: &Zone, local: i64) -> i64 {
    match zone {
        Zone::Offset(offset) | Zone::Abbreviation(_, offset, _) => *offset,
        Zone::Named(_, zone) => civil_time(local).map_or(0, |time| {
            zone.to_ambiguous_timestamp(time)
                .compatible()
                .map_or(0, |stamp| local - stamp.as_second())
        }),
    }
}

/// A local time in years that the database of zones reaches.
fn civil_time(local: i64) -> Option<DateTime> {
    let stamp = jiff::Timestamp::from_second(local).ok()?;
    Some(Offset::UTC.to_datetime(stamp))
}
