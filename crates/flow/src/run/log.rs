//! A log of a rule's own (`debug`, `logFilename`): a file below the directory for that, bounded.
//!
//! When it reaches [`MAX_FILE`] it becomes `{name}.log.1` in the place of the one before. Whoever writes to it
//! never waits: lines beyond what the writer keeps up with are counted and left out.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::task::spawn_blocking;

use crate::clock::Clock;
use crate::rule::RuleLogOptions;

/// Bytes of a file before a new one is begun.
const MAX_FILE: u64 = 1024 * 1024;
/// Lines that wait for the writer.
const CAPACITY: usize = 1024;
/// Bytes of a line.
const MAX_LINE: usize = 8 * 1024;

/// See the module. The writer ends when the last of these is gone.
pub(crate) struct RuleLog {
    lines: mpsc::Sender<String>,
    left_out: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

impl RuleLog {
    /// Begins to write below `dir`. With `debug` also the rows that come over `rows`.
    pub(crate) fn start(
        options: &RuleLogOptions,
        rule: &str,
        dir: &Path,
        clock: Arc<dyn Clock>,
        rows: broadcast::Receiver<Bytes>,
    ) -> Arc<Self> {
        let name = if options.name.is_empty() {
            rule
        } else {
            &options.name
        };
        let (lines, receiver) = mpsc::channel(CAPACITY);
        let left_out = Arc::new(AtomicU64::new(0));
        tokio::spawn(write(
            receiver,
            dir.join(format!("{name}.log")),
            left_out.clone(),
        ));
        let log = Arc::new(Self {
            lines,
            left_out,
            clock,
        });
        if options.debug {
            tokio::spawn(follow(Arc::downgrade(&log), rows));
        }
        log
    }

    /// Writes a line, with the time before it.
    pub(crate) fn line(&self, text: &str) {
        let time = Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or_default();
        let end = (0..=text.len().min(MAX_LINE))
            .rev()
            .find(|at| text.is_char_boundary(*at));
        let text = text[..end.unwrap_or(0)].replace('\n', " ");
        if self.lines.try_send(format!("{time:.3} {text}\n")).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes the rows of the rule until its log is gone.
async fn follow(log: std::sync::Weak<RuleLog>, mut rows: broadcast::Receiver<Bytes>) {
    loop {
        let row = rows.recv().await;
        let Some(log) = log.upgrade() else { return };
        match row {
            Ok(row) => log.line(&format!("row {}", String::from_utf8_lossy(&row))),
            Err(RecvError::Lagged(count)) => log.line(&format!("{count} rows are not shown")),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn write(mut lines: mpsc::Receiver<String>, path: PathBuf, left_out: Arc<AtomicU64>) {
    let mut batch = Vec::new();
    while lines.recv_many(&mut batch, CAPACITY).await > 0 {
        let mut text = batch.concat();
        batch.clear();
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            // Writing into memory does not fail.
            let _ = writeln!(text, "{missing} lines are left out");
        }
        let file = path.clone();
        let written = spawn_blocking(move || append(&file, text.as_bytes())).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "The log {} cannot be written", path.display());
        }
    }
}

fn append(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    if std::fs::metadata(path).is_ok_and(|found| found.len() >= MAX_FILE) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_way_and_there_are_never_more_than_two() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules/r.log");
        let line = vec![b'x'; 512 * 1024];
        for _ in 0..9 {
            append(&path, &line).unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path().join("rules"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    entry.metadata().unwrap().len(),
                )
            })
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                ("r.log".to_owned(), 512 * 1024),
                ("r.log.1".to_owned(), 1024 * 1024)
            ]
        );
    }
}
