//! Days and dates of the Gregorian calendar, in any year.

/// Days since 1970 of a date whose month and day may lie outside their ranges.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let months = i128::from(month) - 1;
    let year = i128::from(year) + months.div_euclid(12);
    let month = months.rem_euclid(12) + 1;
    // Years that begin in March have their leap day at the end.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = (month + 9) % 12;
    let of_year = (153 * shifted + 2) / 5;
    let of_era_days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = era * 146_097 + of_era_days - 719_468 + i128::from(day) - 1;
    i64::try_from(days).unwrap_or(if days < 0 { i64::MIN } else { i64::MAX })
}

/// Year, month and day of so many days since 1970.
pub(super) fn date(days: i64) -> (i64, i64, i64) {
    let days = i128::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    let small = |it: i128| i64::try_from(it).unwrap_or(0);
    (small(year), small(month), small(day))
}

/// The day of the week, from Sunday.
pub(super) fn weekday(days: i64) -> i64 {
    days.saturating_add(4).rem_euclid(7)
}

/// Whether a year, month and day exist.
pub(super) fn exists(year: i64, month: i64, day: i64) -> bool {
    (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day)
}

/// How many days a month has.
pub(super) fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Whether a year has a leap day.
pub(super) fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

/// How many days after the first of January a day of an ISO week lies.
pub(super) fn day_of_week_date(year: i64, week: i64, day: i64) -> i64 {
    let first = weekday(days(year, 1, 1));
    let monday = if first > 4 { 7 - first } else { -first };
    monday + (week - 1) * 7 + day
}
