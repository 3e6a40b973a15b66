//! What a window holds, and when it gives it away. No clock and no tasks in here: whoever runs it says what
//! time it is, first [`Buffer::tick`] until nothing is due, then [`Buffer::push`].
//!
//! A row's time is when it comes to the window, or its own time (event time). Then whoever runs it says of each
//! row and of the watermark "it is now as late as that", so that the same rows make the same windows however they
//! came. As in eKuiper,
//!
//! * tumbling and hopping windows end at natural times: ten seconds at :00, :10, :20; days at midnight, local time. A
//!   row belongs to the window from its start on and before its end. What ends while nobody was
//!   there is not made up for, where it would be empty;
//! * a sliding window is over the rows that came after `now - length`, the row at `now` included;
//! * a session ends `timeout` after its last row, or, when it is older than `length`, at a natural time for
//!   windows of that length;
//! * a count window is over the last rows, every so many rows, once there are enough;
//! * a state window is between rows that its conditions are true for, see [`state`].
//!
//! By event time natural times begin with the first row, windows without rows are not given away, and a sliding
//! window is when time has passed the row that triggers it, since another may have the same time.
//!
//! A window holds [`MAX_ROWS`] rows and [`MAX_BYTES`] bytes at most. When there is no room, its oldest rows
//! are dropped, and it says how many.

mod state;

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Span as Period, Timestamp, Unit as TimeUnit, ZonedRound};

use super::checkpoint::WindowState;
use crate::eval::{Member, Span};
use crate::sql::window::{MAX_ROWS, Unit, Window};
use state::States;

/// Most bytes that the rows of one window hold together. One row is always taken, however large.
pub(super) const MAX_BYTES: usize = 128 * 1024 * 1024;
/// What a row costs besides its columns.
const OVERHEAD: usize = 128;

/// Rows that a window gives away.
#[derive(Debug)]
pub(super) struct Fired {
    pub(super) rows: Vec<Arc<Member>>,
    pub(super) span: Span,
}

/// A window with its rows.
pub(super) struct Buffer {
    window: Window,
    zone: TimeZone,
    rows: VecDeque<Entry>,
    bytes: usize,
    limits: (usize, usize),
    by_event: bool,
    /// The natural time that comes next, for windows that have such times; none before the first row where
    /// that sets it.
    next: Option<i64>,
    /// When the session began, and when it ends if no row comes.
    session: Option<(i64, i64)>,
    /// When sliding windows are due that do not come with their rows.
    delayed: VecDeque<i64>,
    /// Rows since a count window was last due.
    counted: usize,
    /// In place of `rows`, for state windows.
    states: Option<States>,
}

struct Entry {
    row: Arc<Member>,
    bytes: usize,
}

impl Buffer {
    /// An empty window of a rule that starts `now`.
    pub(super) fn new(window: Window, now: i64, zone: TimeZone) -> Self {
        Self::bounded(window, Some(now), zone, (MAX_ROWS, MAX_BYTES))
    }

    /// An empty window by event time.
    pub(super) fn by_event(window: Window, zone: TimeZone) -> Self {
        Self::bounded(window, None, zone, (MAX_ROWS, MAX_BYTES))
    }

    fn bounded(window: Window, now: Option<i64>, zone: TimeZone, limits: (usize, usize)) -> Self {
        let next = now.zip(period(&window));
        Self {
            next: next.map(|(now, (unit, length))| aligned_after(now, unit, length, &zone)),
            by_event: now.is_none(),
            states: match window {
                Window::State { single } => Some(States::new(single, limits)),
                _ => None,
            },
            window,
            zone,
            rows: VecDeque::new(),
            bytes: 0,
            limits,
            session: None,
            delayed: VecDeque::new(),
            counted: 0,
        }
    }

    /// What it has in hand.
    pub(super) fn state(&self) -> WindowState {
        WindowState {
            rows: self.rows.iter().map(|entry| entry.row.clone()).collect(),
            next: self.next,
            session: self.session,
            delayed: self.delayed.iter().copied().collect(),
            counted: self.counted,
            open: self.states.as_ref().map_or_else(Vec::new, States::state),
        }
    }

    /// Takes over what one for the same rule had in hand. What was due meanwhile is due at once.
    pub(super) fn restore(&mut self, state: WindowState) {
        if !state.rows.is_empty() {
            self.next = state.next.or(self.next);
        }
        for row in state.rows {
            self.put(row);
        }
        self.session = state.session.filter(|_| !self.rows.is_empty());
        self.delayed = state.delayed.into();
        self.counted = state.counted;
        if let Some(states) = &mut self.states {
            states.restore(state.open);
        }
    }

    /// Whether a state window of that key has begun.
    pub(super) fn is_open(&self, key: &str) -> bool {
        self.states.as_ref().is_some_and(|it| it.is_open(key))
    }

    /// Takes a row into the state window of that key; `matches`: the condition is true that its state asks for.
    pub(super) fn push_state(
        &mut self,
        key: &str,
        row: Arc<Member>,
        matches: bool,
    ) -> (Option<Fired>, u64) {
        match &mut self.states {
            Some(states) => states.push(key, row, matches),
            None => (None, 0),
        }
    }

    /// When something is due next, without another row.
    pub(super) fn due(&self) -> Option<i64> {
        match self.window {
            Window::Tumbling { .. } | Window::Hopping { .. } => self.next,
            Window::Sliding { .. } => self.delayed.front().copied(),
            Window::Session { .. } => {
                let (_, end) = self.session?;
                Some(self.next.map_or(end, |next| end.min(next)))
            }
            Window::Count { .. } | Window::State { .. } => None,
        }
    }

    /// Gives away what is due; to be called until nothing is.
    pub(super) fn tick(&mut self, now: i64) -> Option<Fired> {
        match self.window {
            Window::Tumbling { unit, length } => self.end_of_period(now, unit, length, length),
            Window::Hopping { unit, length, hop } => self.end_of_period(now, unit, length, hop),
            Window::Sliding {
                unit,
                length,
                delay,
            } => {
                let passed = |end: i64| end < now || (end == now && !self.by_event);
                let end = *self.delayed.front().filter(|end| passed(**end))?;
                self.delayed.pop_front();
                let start = end - (length + delay) * unit.milliseconds();
                let fired = self.between(start + 1, end + 1, Span::of(start, end));
                Some(fired)
            }
            Window::Session { unit, length, .. } => self.end_of_session(now, unit, length),
            Window::Count { .. } | Window::State { .. } => None,
        }
    }

    /// Takes a row at its time; one that triggers may make it give rows away. The number is of rows
    /// that were dropped for want of room.
    pub(super) fn push(&mut self, row: Arc<Member>, triggers: bool) -> (Option<Fired>, u64) {
        let now = row.at;
        if self.next.is_none() {
            let period = period(&self.window);
            self.next = period.map(|(unit, length)| aligned_after(now, unit, length, &self.zone));
        }
        if let Window::Sliding {
            unit,
            length,
            delay,
        } = self.window
        {
            let kept = (length + delay) * unit.milliseconds();
            self.forget_before(now - kept + 1);
        }
        let dropped = self.put(row);
        let fired = match self.window {
            // Rows of state windows come another way.
            Window::Tumbling { .. } | Window::Hopping { .. } | Window::State { .. } => None,
            Window::Sliding {
                unit,
                length,
                delay: 0,
            } if !self.by_event => triggers.then(|| {
                let start = now - length * unit.milliseconds();
                self.between(start + 1, now + 1, Span::of(start, now))
            }),
            Window::Sliding { unit, delay, .. } => {
                if triggers {
                    self.delayed.push_back(now + delay * unit.milliseconds());
                    if self.delayed.len() > self.limits.0 {
                        self.delayed.pop_front();
                    }
                }
                None
            }
            Window::Session {
                unit,
                length,
                timeout,
            } => {
                let end = now + timeout * unit.milliseconds();
                self.session = match self.session {
                    Some((start, _)) => Some((start, end)),
                    None => {
                        self.next = Some(aligned_after(now, unit, length, &self.zone));
                        Some((now, end))
                    }
                };
                None
            }
            Window::Count { length, interval } => self.count(length, interval),
        };
        (fired, dropped)
    }

    fn end_of_period(&mut self, now: i64, unit: Unit, length: i64, hop: i64) -> Option<Fired> {
        loop {
            let end = self.next.filter(|end| *end <= now)?;
            let start = self.before(end, unit, length);
            let fired = self.between(start, end, Span::of(start, end));
            let mut next = later(end, unit, hop, &self.zone);
            let kept = self.before(next, unit, length);
            self.forget_before(kept);
            if self.rows.is_empty() {
                // Where nobody was there, no window for each period that has gone by.
                let behind = (now - next).max(0) / (hop * unit.milliseconds());
                next = later(next, unit, hop * behind, &self.zone);
                while next <= now {
                    next = later(next, unit, hop, &self.zone);
                }
            }
            self.next = Some(next);
            if !fired.rows.is_empty() || !self.by_event {
                return Some(fired);
            }
        }
    }

    fn end_of_session(&mut self, now: i64, unit: Unit, length: i64) -> Option<Fired> {
        loop {
            let ((start, timeout), next) = self.session.zip(self.next)?;
            if timeout <= now && timeout <= next {
                self.session = None;
                return Some(self.everything(Span::of(start, timeout)));
            }
            if next > now {
                return None;
            }
            self.next = Some(later(next, unit, length, &self.zone));
            if start <= next - length * unit.milliseconds() {
                self.session = None;
                return Some(self.everything(Span::of(start, next)));
            }
        }
    }

    fn count(&mut self, length: usize, interval: usize) -> Option<Fired> {
        self.counted += 1;
        while self.rows.len() > length {
            self.drop_oldest();
        }
        if !self.counted.is_multiple_of(interval) || self.rows.len() < length {
            return None;
        }
        self.counted = 0;
        let (first, last) = (self.rows.front()?.row.at, self.rows.back()?.row.at);
        let fired = Fired {
            rows: self.rows.iter().map(|entry| entry.row.clone()).collect(),
            span: Span::of(first, last),
        };
        if interval == length {
            self.rows.clear();
            self.bytes = 0;
        }
        Some(fired)
    }

    fn put(&mut self, row: Arc<Member>) -> u64 {
        let bytes = row.bytes.saturating_add(OVERHEAD);
        let mut dropped = 0;
        let (most_rows, most_bytes) = self.limits;
        while !self.rows.is_empty()
            && (self.rows.len() >= most_rows || self.bytes.saturating_add(bytes) > most_bytes)
        {
            self.drop_oldest();
            dropped += 1;
        }
        self.bytes += bytes;
        self.rows.push_back(Entry { row, bytes });
        dropped
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.rows.pop_front() {
            self.bytes -= entry.bytes;
        }
    }

    fn forget_before(&mut self, start: i64) {
        while self.rows.front().is_some_and(|entry| entry.row.at < start) {
            self.drop_oldest();
        }
    }

    /// The rows that came from `start` on and before `end`.
    fn between(&self, start: i64, end: i64, span: Span) -> Fired {
        let rows = self
            .rows
            .iter()
            .filter(|entry| (start..end).contains(&entry.row.at))
            .map(|entry| entry.row.clone())
            .collect();
        Fired { rows, span }
    }

    fn everything(&mut self, span: Span) -> Fired {
        self.bytes = 0;
        let rows = self.rows.drain(..).map(|entry| entry.row).collect();
        Fired { rows, span }
    }

    /// So long before a natural time.
    fn before(&self, end: i64, unit: Unit, length: i64) -> i64 {
        later(end, unit, -length, &self.zone)
    }
}

impl Span {
    pub(super) fn of(start: i64, end: i64) -> Self {
        Self {
            start,
            end,
            trigger: end,
        }
    }
}

/// The natural times that a window goes by.
fn period(window: &Window) -> Option<(Unit, i64)> {
    match *window {
        Window::Tumbling { unit, length } | Window::Session { unit, length, .. } => {
            Some((unit, length))
        }
        Window::Hopping { unit, hop, .. } => Some((unit, hop)),
        Window::Sliding { .. } | Window::Count { .. } | Window::State { .. } => None,
    }
}

/// So many units later; days are those of the calendar.
fn later(time: i64, unit: Unit, count: i64, zone: &TimeZone) -> i64 {
    let plain = time + count * unit.milliseconds();
    if unit != Unit::Day {
        return plain;
    }
    let day = Timestamp::from_millisecond(time).ok().and_then(|time| {
        let period = Period::new().try_days(count).ok()?;
        time.to_zoned(zone.clone()).checked_add(period).ok()
    });
    day.map_or(plain, |day| day.timestamp().as_millisecond())
}

/// The first natural time after `now`: counted in steps of `length` from the beginning of the next larger unit (the
/// second for milliseconds, the minute for seconds, the hour for minutes, the day for hours and days).
fn aligned_after(now: i64, unit: Unit, length: i64, zone: &TimeZone) -> i64 {
    let base = base(now, unit, zone).unwrap_or(now);
    if unit == Unit::Day {
        return later(base, unit, length, zone);
    }
    let step = length * unit.milliseconds();
    base + ((now - base) / step + 1) * step
}

/// The beginning of the next larger unit, in local time.
fn base(now: i64, unit: Unit, zone: &TimeZone) -> Option<i64> {
    let zoned = Timestamp::from_millisecond(now)
        .ok()?
        .to_zoned(zone.clone());
    let larger = match unit {
        Unit::Millisecond => TimeUnit::Second,
        Unit::Second => TimeUnit::Minute,
        Unit::Minute => TimeUnit::Hour,
        Unit::Hour | Unit::Day => {
            let midnight = zoned.with().time(Time::midnight()).build().ok()?;
            return Some(midnight.timestamp().as_millisecond());
        }
    };
    let round = ZonedRound::new().smallest(larger).mode(RoundMode::Trunc);
    Some(zoned.round(round).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests;
