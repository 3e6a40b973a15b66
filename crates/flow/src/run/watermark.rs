//! Rows by event time: they wait here until no earlier one is to be expected, and leave in order.
//!
//! The *watermark* is the highest time seen less the tolerance. Rows up to it leave, by their times and, where those
//! are the same, as they came. One that comes with a time before it is late: the windows it belongs to may be gone.
//!
//! As many rows and bytes wait as a window holds. When there is no room, the watermark goes on to the oldest row,
//! sooner than the tolerance says, so that none is lost here.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::window::MAX_BYTES;
use crate::sql::window::MAX_ROWS;

/// See the module.
pub(super) struct Watermark<T> {
    /// In milliseconds.
    tolerance: i64,
    /// The watermark; none before the first row.
    time: Option<i64>,
    /// By time, then as they came.
    waiting: BTreeMap<(i64, u64), (usize, T)>,
    bytes: usize,
    /// The number of the next row.
    number: u64,
    limits: (usize, usize),
}

/// A row that came too late.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Late {
    at: i64,
    watermark: i64,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its time {} is before the watermark {}",
            self.at, self.watermark
        )
    }
}

impl<T> Watermark<T> {
    /// Nothing has been seen; rows may come so much later than others.
    pub(super) fn new(tolerance: Duration) -> Self {
        Self::bounded(tolerance, (MAX_ROWS, MAX_BYTES))
    }

    fn bounded(tolerance: Duration, limits: (usize, usize)) -> Self {
        Self {
            tolerance: i64::try_from(tolerance.as_millis()).unwrap_or(i64::MAX),
            time: None,
            waiting: BTreeMap::new(),
            bytes: 0,
            number: 0,
            limits,
        }
    }

    /// The rows that wait, in their order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &T> {
        self.waiting.values().map(|(_, row)| row)
    }

    /// Takes over where one of the same rule was.
    pub(super) fn restore(
        &mut self,
        time: Option<i64>,
        rows: impl Iterator<Item = (i64, usize, T)>,
    ) {
        for (at, bytes, row) in rows {
            self.waiting.insert((at, self.number), (bytes, row));
            self.number += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.time = time;
    }

    /// The watermark: no row before it will come.
    pub(super) fn time(&self) -> Option<i64> {
        self.time
    }

    /// Takes a row of that time in.
    ///
    /// # Errors
    /// When it is late; it is not kept then.
    pub(super) fn take(&mut self, at: i64, bytes: usize, row: T) -> Result<(), Late> {
        if let Some(watermark) = self.time.filter(|watermark| at < *watermark) {
            return Err(Late { at, watermark });
        }
        self.waiting.insert((at, self.number), (bytes, row));
        self.number += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.reach(at.saturating_sub(self.tolerance));
        let (rows, most) = self.limits;
        // All up to that one leave: enough, since one came.
        if (self.waiting.len() > rows || self.bytes > most)
            && let Some(((first, _), _)) = self.waiting.first_key_value()
        {
            self.reach(*first);
        }
        Ok(())
    }

    /// The next row that the watermark has reached, with its time.
    pub(super) fn next(&mut self) -> Option<(i64, T)> {
        let time = self.time?;
        let entry = self.waiting.first_entry()?;
        let (at, _) = *entry.key();
        if at > time {
            return None;
        }
        let (bytes, row) = entry.remove();
        self.bytes -= bytes;
        Some((at, row))
    }

    fn reach(&mut self, time: i64) {
        self.time = Some(self.time.map_or(time, |before| before.max(time)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(watermark: &mut Watermark<u32>, rows: &[(i64, u32)]) -> Vec<u32> {
        let mut out = Vec::new();
        for (at, row) in rows {
            let _ = watermark.take(*at, 1, *row);
            while let Some((_, row)) = watermark.next() {
                out.push(row);
            }
        }
        out
    }

    #[test]
    fn rows_leave_in_the_order_of_their_times_when_the_watermark_has_reached_them() {
        let mut it = Watermark::new(Duration::from_millis(10));
        assert_eq!(it.time(), None);
        let rows = [(100, 1), (95, 2), (105, 3), (95, 4), (110, 5)];
        assert_eq!(taken(&mut it, &rows), [2, 4, 1]);
        assert_eq!(it.time(), Some(100));
        // At the watermark is not before it.
        assert_eq!(taken(&mut it, &[(100, 6)]), [6]);
        let late = it.take(99, 1, 7).unwrap_err();
        assert_eq!(late.to_string(), "its time 99 is before the watermark 100");
        assert_eq!(taken(&mut it, &[(1000, 8)]), [3, 5]);
    }

    #[test]
    fn when_there_is_no_room_the_oldest_leave_early_and_none_is_lost() {
        for limits in [(2, 1000), (1000, 2)] {
            let mut it = Watermark::bounded(Duration::from_hours(1), limits);
            let rows = [(5, 1), (3, 2), (4, 3), (3, 4), (9, 5)];
            assert_eq!(taken(&mut it, &rows), [2, 4, 3]);
            assert_eq!(it.time(), Some(4));
            assert!(it.take(2, 1, 6).is_err());
        }
    }

    #[test]
    fn times_at_the_end_of_time_do_not_overflow() {
        let mut it = Watermark::new(Duration::from_hours(1));
        assert_eq!(taken(&mut it, &[(i64::MIN, 1)]), [1]);
        assert!(taken(&mut it, &[(i64::MAX, 2), (i64::MAX, 3)]).is_empty());
    }
}
