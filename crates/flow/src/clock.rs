//! The time, so that tests can hold it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::{BoxFuture, FutureExt as _};

/// Longest sleep at a stretch: when the machine's time is set anew, whoever waits sees it after that.
const STRETCH: u64 = 10_000;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 (UTC).
    fn now_ms(&self) -> i64;

    /// Resolves at that time, or earlier: whoever waits looks again.
    fn sleep_until(&self, at: i64) -> BoxFuture<'_, ()> {
        let left = u64::try_from(at.saturating_sub(self.now_ms())).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(left.min(STRETCH))).boxed()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok())
            .unwrap_or(0)
    }
}
