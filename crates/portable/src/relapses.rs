//! How soon a symbol that ended by itself is started again: at once, and later the oftener it happens.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::settings::RestartSettings;

/// The ends of one source or sink that followed each other soon (HOST-25, HOST-28).
#[derive(Debug, Default)]
pub(crate) struct Relapses(Mutex<Option<Relapse>>);

#[derive(Debug, Clone, Copy)]
struct Relapse {
    in_a_row: u32,
    /// When it was to be started again.
    started: Instant,
}

impl Relapses {
    /// It ended: the pause before it is started again. None after the first end, or after one that came when
    /// it had run for `reset_after`; then as for processes, but without an end.
    pub(crate) fn pause(&self, restart: &RestartSettings) -> Duration {
        let mut last = self.0.lock();
        let now = Instant::now();
        let in_a_row = match *last {
            Some(last) if now.saturating_duration_since(last.started) < restart.reset_after.0 => {
                last.in_a_row.saturating_add(1)
            }
            _ => 0,
        };
        let pause = match in_a_row {
            0 => Duration::ZERO,
            again => restart.pause(again - 1),
        };
        *last = Some(Relapse {
            in_a_row,
            started: now + pause,
        });
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn host_25_pauses_grow_up_to_the_cap_and_begin_anew_after_a_good_run() {
        let relapses = Relapses::default();
        let restart = RestartSettings::default();
        let mut pauses = Vec::new();
        for _ in 0..20 {
            let pause = relapses.pause(&restart);
            tokio::time::advance(pause).await;
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses[..5], [0, 100, 200, 400, 800]);
        assert_eq!(pauses[19], 30_000, "it is never given up");
        tokio::time::advance(restart.reset_after.0).await;
        assert_eq!(relapses.pause(&restart), Duration::ZERO);
    }
}
