//! What was read from a date text, before it is a point in time.

use jiff::tz::TimeZone;

/// Names of months.
pub(super) const MONTHS: &[(&str, i64)] = &[
    ("jan", 1),
    ("feb", 2),
    ("mar", 3),
    ("apr", 4),
    ("may", 5),
    ("jun", 6),
    ("jul", 7),
    ("aug", 8),
    ("sep", 9),
    ("sept", 9),
    ("oct", 10),
    ("nov", 11),
    ("dec", 12),
    ("i", 1),
    ("ii", 2),
    ("iii", 3),
    ("iv", 4),
    ("v", 5),
    ("vi", 6),
    ("vii", 7),
    ("viii", 8),
    ("ix", 9),
    ("x", 10),
    ("xi", 11),
    ("xii", 12),
    ("january", 1),
    ("february", 2),
    ("march", 3),
    ("april", 4),
    ("june", 6),
    ("july", 7),
    ("august", 8),
    ("september", 9),
    ("october", 10),
    ("november", 11),
    ("december", 12),
];

/// A zone that was named.
#[derive(Debug, Clone)]
pub(super) enum Zone {
    /// So many seconds east of UTC.
    Offset(i64),
    /// An abbreviation, with the seconds east of UTC that it stands for, and whether it means summer.
    Abbreviation(String, i64, bool),
    /// One of the database, by the name that was written.
    Named(String, TimeZone),
}

/// A day that depends on the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    DayOfWeekInMonth,
    LastDayOfWeekInMonth,
    /// So many working days away.
    Weekdays(i64),
}

/// What is to be added.
#[derive(Debug, Clone, Default)]
pub(super) struct Relative {
    pub(super) years: i64,
    pub(super) months: i64,
    pub(super) days: i64,
    pub(super) hours: i64,
    pub(super) minutes: i64,
    pub(super) seconds: i64,
    pub(super) micros: i64,
    pub(super) weekday: Option<i64>,
    /// 0: from the next day on, 1: from this day on, 2: in the week of this day.
    pub(super) behavior: i64,
    /// `last day of` or `first day of`.
    pub(super) last_day_of: Option<bool>,
    pub(super) special: Option<Special>,
}

impl Relative {
    pub(super) fn negate(&mut self) {
        for amount in [
            &mut self.years,
            &mut self.months,
            &mut self.days,
            &mut self.hours,
            &mut self.minutes,
            &mut self.seconds,
            &mut self.micros,
        ] {
            *amount = amount.saturating_neg();
        }
        self.weekday = self.weekday.map(|day| if day == 0 { -7 } else { -day });
        if let Some(Special::Weekdays(amount)) = &mut self.special {
            *amount = amount.saturating_neg();
        }
    }
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Parsed {
    pub(super) year: Option<i64>,
    pub(super) month: Option<i64>,
    pub(super) day: Option<i64>,
    pub(super) hour: Option<i64>,
    pub(super) minute: Option<i64>,
    pub(super) second: Option<i64>,
    pub(super) micros: Option<i64>,
    pub(super) zone: Option<Zone>,
    pub(super) relative: Relative,
    pub(super) dates: u8,
    pub(super) times: u8,
    zones: u8,
}

impl Parsed {
    /// The first moment of 1970, with nothing left open.
    pub(super) fn reset(&mut self) {
        self.year = Some(1970);
        self.month = Some(1);
        self.day = Some(1);
        self.drop_time();
        self.dates = 1;
        self.times = 1;
        self.zone = None;
    }

    /// Leaves what was not named as it is at a moment, the time of day as well; a zone counts for
    /// nothing then.
    pub(super) fn keep_the_time(&mut self, now: i64) {
        self.zone = None;
        if self.times == 0 && self.hour.is_none() {
            let of_day = now.rem_euclid(86_400);
            self.hour = Some(of_day / 3600);
            self.minute = Some(of_day / 60 % 60);
            self.second = Some(of_day % 60);
            self.times = 1;
        }
    }

    /// There is a time; a second one is an error.
    pub(super) fn have_time(&mut self) -> Option<()> {
        if self.times > 0 {
            return None;
        }
        self.drop_time();
        self.times = 1;
        Some(())
    }

    /// There is a date; a second one is an error.
    pub(super) fn have_date(&mut self) -> Option<()> {
        if self.dates > 0 {
            return None;
        }
        self.dates = 1;
        Some(())
    }

    /// There is a zone. A second one is passed over, a third one is an error.
    pub(super) fn have_zone(&mut self) -> Option<bool> {
        self.zones = self.zones.saturating_add(1);
        (self.zones <= 2).then_some(self.zones == 1)
    }

    /// Midnight, unless a time follows.
    pub(super) fn drop_time(&mut self) {
        self.times = 0;
        self.hour = Some(0);
        self.minute = Some(0);
        self.second = Some(0);
        self.micros = Some(0);
    }
}
