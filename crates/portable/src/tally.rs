//! How much goes through one use of a symbol: rows of a source, messages of a sink, calls of a function.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A rate is of at least so long.
const SPAN: Duration = Duration::from_secs(1);

/// A count, and how fast it grows.
#[derive(Debug)]
pub(crate) struct Tally {
    count: AtomicU64,
    last: Mutex<Look>,
}

/// The last look at the count.
#[derive(Debug)]
struct Look {
    at: Instant,
    count: u64,
    /// For each second, before that look.
    rate: f64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            count: AtomicU64::new(0),
            last: Mutex::new(Look {
                at: Instant::now(),
                count: 0,
                rate: 0.0,
            }),
        }
    }
}

impl Tally {
    /// Counts so many more.
    pub(crate) fn add(&self, more: usize) {
        self.count.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How many came each second since the last look that is a second ago.
    pub(crate) fn rate(&self) -> f64 {
        self.rate_at(Instant::now())
    }

    fn rate_at(&self, now: Instant) -> f64 {
        let mut last = self.last.lock();
        let (count, span) = (self.count(), now.saturating_duration_since(last.at));
        if span >= SPAN {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a rate is shown with three digits"
            )]
            let rate = (count - last.count) as f64 / span.as_secs_f64();
            *last = Look {
                at: now,
                count,
                rate,
            };
        }
        last.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_time_since_the_look_before() {
        let tally = Tally::default();
        let begin = tally.last.lock().at;
        tally.add(30);
        let rate = |seconds: f64| {
            tally
                .rate_at(begin + Duration::from_secs_f64(seconds))
                .round()
        };
        assert!(rate(0.5) < 1.0, "too early to say");
        assert!((rate(2.0) - 15.0).abs() < 0.5);
        tally.add(4);
        assert!((rate(2.5) - 15.0).abs() < 0.5, "the rate before");
        assert!((rate(4.0) - 2.0).abs() < 0.5);
        assert!(rate(6.0) < 0.5, "nothing came");
        assert_eq!(tally.count(), 34);
    }
}
