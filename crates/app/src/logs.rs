//! The latest lines of a handler.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use plugyard_platform::kind::LogLine;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Lines that are kept.
const KEPT: usize = 1000;
/// Characters of a last line that stand in an error.
const WORDS: usize = 300;

/// What one plugin's handler wrote, in memory.
pub(crate) struct Log {
    lines: Mutex<(u64, VecDeque<LogLine>)>,
    live: broadcast::Sender<LogLine>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            lines: Mutex::default(),
            live: broadcast::Sender::new(256),
        }
    }
}

impl Log {
    /// What the platform says about it.
    pub(crate) fn host(&self, text: &str) {
        self.line("host", 0, text);
    }

    pub(crate) fn line(&self, stream: &str, pid: u32, text: &str) {
        let mut lines = self.lines.lock();
        lines.0 += 1;
        let line = LogLine {
            sequence: lines.0,
            time: now(),
            stream: stream.to_owned(),
            pid,
            text: text.to_owned(),
        };
        if lines.1.len() == KEPT {
            lines.1.pop_front();
        }
        lines.1.push_back(line.clone());
        // Under the lock, so that nobody sees a line twice or never. Fails when nobody follows.
        let _ = self.live.send(line);
    }

    /// The last thing that a process wrote to standard error.
    pub(crate) fn last_words(&self, pid: u32) -> Option<String> {
        let lines = self.lines.lock();
        let mut latest = lines.1.iter().rev();
        let said = latest.find(|line| line.pid == pid && line.stream == "stderr");
        said.map(|line| line.text.chars().take(WORDS).collect())
    }

    /// The latest lines, and those that follow.
    pub(crate) fn follow(&self, tail: usize) -> (Vec<LogLine>, BoxStream<'static, LogLine>) {
        let lines = self.lines.lock();
        let live = self.live.subscribe();
        let skip = lines.1.len().saturating_sub(tail);
        let latest = lines.1.iter().skip(skip).cloned().collect();
        let following = stream::unfold(live, |mut live| async move {
            loop {
                match live.recv().await {
                    Ok(next) => return Some((next, live)),
                    // Who is too slow misses lines, and sees it by their numbers.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        (latest, following.boxed())
    }
}

fn now() -> i64 {
    std::time::UNIX_EPOCH
        .elapsed()
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
