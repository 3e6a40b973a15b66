//! What plugins write: the latest lines in memory, all of them (within a bound) in a file.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use plugyard_platform::files::missing_is_fine;
use plugyard_platform::kind::LogLine;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::broadcast;

/// Lines kept in memory for each plugin.
const KEPT: usize = 2000;
/// Bytes of a line that are kept.
const LINE_LIMIT: usize = 8 * 1024;
/// Lines a follower may be behind before it misses some.
const FOLLOWERS: usize = 1024;

/// The log of one plugin, over all its processes.
#[derive(Debug)]
pub(crate) struct Logs {
    inner: Mutex<Inner>,
    live: broadcast::Sender<LogLine>,
}

#[derive(Debug)]
struct Inner {
    lines: VecDeque<LogLine>,
    next: u64,
    file: LogFile,
}

impl Logs {
    /// A log that also goes to `path`, of which, with its predecessor `{path}.1`, at most `limit`
    /// bytes are kept.
    pub(crate) fn new(path: PathBuf, limit: u64) -> Self {
        let file = LogFile {
            path,
            half: limit / 2,
            written: 0,
            open: None,
            broken: false,
        };
        let inner = Inner {
            lines: VecDeque::new(),
            next: 1,
            file,
        };
        Self {
            inner: Mutex::new(inner),
            live: broadcast::Sender::new(FOLLOWERS),
        }
    }

    /// From now on at most `limit` bytes are kept on disk.
    pub(crate) fn limit(&self, limit: u64) {
        self.inner.lock().file.half = limit / 2;
    }

    /// Takes a line in.
    pub(crate) fn push(&self, stream: &str, pid: u32, text: String) {
        let mut inner = self.inner.lock();
        let line = LogLine {
            sequence: inner.next,
            time: now(),
            stream: stream.into(),
            pid,
            text,
        };
        inner.next += 1;
        inner.file.write(&line);
        if inner.lines.len() == KEPT {
            inner.lines.pop_front();
        }
        inner.lines.push_back(line.clone());
        // Sent under the lock, so that a follower gets all lines in order; fails without followers.
        let _ = self.live.send(line);
    }

    /// What the platform says about the plugin.
    pub(crate) fn host(&self, text: impl Into<String>) {
        self.push("host", 0, text.into());
    }

    /// The latest lines, oldest first, and those that follow.
    pub(crate) fn follow(&self, tail: usize) -> (Vec<LogLine>, broadcast::Receiver<LogLine>) {
        let inner = self.inner.lock();
        let skip = inner.lines.len().saturating_sub(tail);
        (
            inner.lines.iter().skip(skip).cloned().collect(),
            self.live.subscribe(),
        )
    }

    /// The last `count` lines that the process `pid` wrote and that are not empty, oldest first.
    pub(crate) fn last_of(&self, pid: u32, count: usize) -> Vec<String> {
        let inner = self.inner.lock();
        let mut lines: Vec<String> = inner
            .lines
            .iter()
            .rev()
            .filter(|line| line.pid == pid && !line.text.trim().is_empty())
            .take(count)
            .map(|line| line.text.clone())
            .collect();
        lines.reverse();
        lines
    }

    /// Reads `pipe` to its end, line by line.
    pub(crate) async fn drain(&self, stream: &str, pid: u32, mut pipe: impl AsyncRead + Unpin) {
        let mut line = Vec::new();
        let mut chunk = vec![0; 8 * 1024];
        // A read error is an end like another: the process has gone, or its pipe.
        while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
            let mut rest = &chunk[..read];
            while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                take(&mut line, &rest[..end]);
                self.push(stream, pid, text(&line));
                line.clear();
                rest = &rest[end + 1..];
            }
            take(&mut line, rest);
        }
        if !line.is_empty() {
            self.push(stream, pid, text(&line));
        }
    }
}

/// Appends as much as a line may hold.
fn take(line: &mut Vec<u8>, more: &[u8]) {
    let room = LINE_LIMIT.saturating_sub(line.len());
    line.extend_from_slice(&more[..more.len().min(room)]);
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

/// A file that begins anew when it has half of what may be kept.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    half: u64,
    written: u64,
    open: Option<File>,
    broken: bool,
}

impl LogFile {
    fn write(&mut self, line: &LogLine) {
        if let Err(error) = self.try_write(line)
            && !self.broken
        {
            // Said once: the log of a plugin must not flood the log of the server.
            self.broken = true;
            tracing::warn!(%error, path = %self.path.display(), "Cannot write a plugin's log file");
        }
    }

    fn try_write(&mut self, line: &LogLine) -> std::io::Result<()> {
        if self.written > self.half {
            self.open = None;
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            missing_is_fine(fs::rename(&self.path, older))?;
        }
        let mut file = match self.open.take() {
            // Somebody may have removed it by hand.
            Some(file) if file.metadata()?.nlink() > 0 => file,
            _ => {
                if let Some(directory) = self.path.parent() {
                    fs::create_dir_all(directory)?;
                }
                let file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(&self.path)?;
                self.written = file.metadata()?.len();
                file
            }
        };
        let LogLine {
            time,
            stream,
            pid,
            text,
            ..
        } = line;
        let entry = format!("{time} {stream} {pid} {text}\n");
        file.write_all(entry.as_bytes())?;
        self.written += entry.len() as u64;
        self.open = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_numbered_and_bounded_in_memory_and_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/x.log");
        let logs = Logs::new(path.clone(), 64 * 1024);
        let long = "x".repeat(LINE_LIMIT + 5);
        let mut input = format!("first\r\n\n{long}\nlast without end").into_bytes();
        logs.drain("stdout", 7, &input[..]).await;
        let (lines, mut live) = logs.follow(10);
        let texts: Vec<_> = lines
            .iter()
            .map(|line| (line.sequence, line.text.len()))
            .collect();
        assert_eq!(texts, [(1, 5), (2, 0), (3, LINE_LIMIT), (4, 16)]);
        assert_eq!(
            logs.last_of(7, 2),
            [lines[2].text.clone(), "last without end".into()]
        );
        assert!(logs.last_of(8, 2).is_empty());
        logs.host("hello");
        assert_eq!(live.recv().await.unwrap().text, "hello");

        input = "a line of some length\n".repeat(5000).into_bytes();
        logs.drain("stderr", 7, &input[..]).await;
        assert_eq!(logs.follow(usize::MAX).0.len(), KEPT);
        let size = |path: &std::path::Path| fs::metadata(path).unwrap().len();
        assert!(size(&path) + size(&path.with_extension("log.1")) < 66 * 1024);
    }

    #[tokio::test]
    async fn a_file_that_was_removed_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.log");
        let logs = Logs::new(path.clone(), 1024);
        // Also where it would be moved aside next.
        for lines in [1, 20, 20] {
            let input = "a line of some length, to fill the file\n".repeat(lines);
            logs.drain("stdout", 1, input.as_bytes()).await;
            fs::remove_file(&path).unwrap();
        }
        logs.drain("stdout", 1, &b"still here\n"[..]).await;
        assert!(fs::read_to_string(&path).unwrap().ends_with("still here\n"));
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_no_trouble() {
        let directory = tempfile::tempdir().unwrap();
        let logs = Logs::new(directory.path().join("x.log"), 1024);
        logs.drain("stdout", 1, &b"\xff\xfe\0\n"[..]).await;
        assert_eq!(logs.follow(1).0.len(), 1);
    }
}
