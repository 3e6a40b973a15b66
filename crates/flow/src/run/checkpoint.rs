//! Checkpoints: what a rule's windows hold, on disk, so that its next run goes on with it (`qos` above 0).
//!
//! One file for each rule, replaced as a whole and synced to the device: after a kill there is the last one or the one
//! before. It is of one statement over one stream: that of another is not used. A file that cannot be read is set
//! aside. Writing that fails leaves the last good one.
//!
//! What this gives, and what not, is decision 13: no source here can be read again from an earlier place.

mod codec;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flate2::Crc;
use parking_lot::Mutex;
use serde_json::{Map, Value as Json};
use tokio::task::{JoinHandle, spawn_blocking};

use super::metrics::Node;
use crate::eval::Member;
use crate::plan::Plan;
use crate::rule::RuleOptions;

/// What a file begins with; the number is of the format.
const MAGIC: &[u8] = b"plugyard rule state 1\n";
/// Largest file.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
const FILE: &str = "checkpoint";
const NEW: &str = "checkpoint.new";
const BROKEN: &str = "checkpoint.broken";

/// What a rule has in hand.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// For each operator, if it is a window.
    pub(super) windows: Vec<Option<WindowState>>,
    pub(super) watermark: Option<WatermarkState>,
}

/// What a window has in hand.
#[derive(Debug, Default)]
pub(super) struct WindowState {
    pub(super) rows: Vec<Arc<Member>>,
    pub(super) next: Option<i64>,
    pub(super) session: Option<(i64, i64)>,
    pub(super) delayed: Vec<i64>,
    pub(super) counted: usize,
    /// Of state windows, those that have begun.
    pub(super) open: Vec<OpenState>,
}

/// A state window that has begun.
#[derive(Debug)]
pub(super) struct OpenState {
    pub(super) key: String,
    pub(super) start: i64,
    pub(super) rows: Vec<Arc<Member>>,
}

/// Rows that wait for the watermark, and where it is.
#[derive(Debug, Default)]
pub(super) struct WatermarkState {
    pub(super) time: Option<i64>,
    pub(super) rows: Vec<Arc<Member>>,
}

/// How a rule stands with its checkpoints.
#[derive(Debug)]
pub(crate) struct Status {
    qos: u8,
    saved_at: AtomicI64,
    restored: AtomicI64,
    error: Mutex<String>,
}

impl Status {
    /// That of a rule that has checkpoints.
    pub(super) fn of(options: &RuleOptions) -> Option<Arc<Self>> {
        (options.qos > 0).then(|| {
            Arc::new(Self {
                qos: options.qos,
                saved_at: AtomicI64::new(0),
                restored: AtomicI64::new(0),
                error: Mutex::default(),
            })
        })
    }

    /// Adds it to a status document.
    pub(super) fn describe(&self, document: &mut Map<String, Json>) {
        let mut add = |key: &str, value: Json| document.insert(format!("checkpoint_{key}"), value);
        add("qos", self.qos.into());
        // Of each row: windows give their results once or again, see the decision.
        add(
            "delivery",
            "at most once: the source cannot be read again".into(),
        );
        add("last_time", self.saved_at.load(Ordering::Relaxed).into());
        add(
            "restored_time",
            self.restored.load(Ordering::Relaxed).into(),
        );
        add("last_error", self.error.lock().as_str().into());
    }
}

/// The checkpoints of one run.
pub(super) struct Checkpoints {
    shelf: Arc<Shelf>,
    /// In milliseconds.
    interval: i64,
    /// Before results leave, too.
    before_results: bool,
    at_stop: bool,
    /// When the next one is due.
    due: i64,
    /// Something has changed since the last one.
    dirty: bool,
    writing: Option<JoinHandle<()>>,
}

struct Shelf {
    dir: PathBuf,
    meaning: String,
    status: Arc<Status>,
    /// Where trouble is counted.
    node: Arc<Node>,
}

impl Checkpoints {
    /// Those of a plan that has any state, kept in this directory.
    pub(super) fn new(
        plan: &Plan,
        dir: PathBuf,
        status: Arc<Status>,
        node: Arc<Node>,
        now: i64,
    ) -> Self {
        let options = &plan.rule.options;
        let interval = i64::try_from(options.checkpoint_interval.as_millis());
        let interval = interval.unwrap_or(i64::MAX).max(1);
        Self {
            shelf: Arc::new(Shelf {
                dir,
                meaning: meaning(plan),
                status,
                node,
            }),
            interval,
            before_results: options.qos > 1,
            at_stop: options.save_at_stop,
            due: now.saturating_add(interval),
            dirty: false,
            writing: None,
        }
    }

    /// What the last run left, if it was of the same statement.
    pub(super) async fn restore(&self) -> Option<Snapshot> {
        let place = self.shelf.clone();
        spawn_blocking(move || place.restore()).await.ok().flatten()
    }

    /// Something has changed.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    /// When the clock has something to do.
    pub(super) fn due(&self) -> Option<i64> {
        self.dirty.then_some(self.due)
    }

    /// Whether one is to be written before results leave.
    pub(super) fn is_first(&self) -> bool {
        self.dirty && self.before_results
    }

    /// Whether one is to be written when the rule stops.
    pub(super) fn is_last(&self) -> bool {
        self.dirty && self.at_stop
    }

    /// Writes one beside what goes on, unless another is still being written.
    pub(super) fn save(&mut self, now: i64, snapshot: impl FnOnce() -> Snapshot) {
        self.due = now.saturating_add(self.interval);
        if self.writing.as_ref().is_some_and(|it| !it.is_finished()) {
            return;
        }
        self.dirty = false;
        let (place, snapshot) = (self.shelf.clone(), snapshot());
        self.writing = Some(spawn_blocking(move || place.save(now, &snapshot)));
    }

    /// Writes one and waits for it.
    pub(super) async fn save_now(&mut self, now: i64, snapshot: Snapshot) {
        self.settle().await;
        self.save(now, || snapshot);
        self.settle().await;
    }

    /// Waits for one that is being written.
    pub(super) async fn settle(&mut self) {
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
    }
}

impl Shelf {
    fn restore(&self) -> Option<Snapshot> {
        match read(&self.dir, &self.meaning) {
            Ok(Some((saved_at, snapshot))) => {
                self.status.restored.store(saved_at, Ordering::Relaxed);
                self.status.saved_at.store(saved_at, Ordering::Relaxed);
                Some(snapshot)
            }
            Ok(None) => None,
            Err(error) => {
                // A copy for whoever wants to look; there is none where even that fails.
                let aside = fs::rename(self.dir.join(FILE), self.dir.join(BROKEN));
                let what = if aside.is_ok() { "set aside" } else { "left" };
                self.tell(format!("checkpoint not read and {what}: {error}"));
                None
            }
        }
    }

    fn save(&self, now: i64, snapshot: &Snapshot) {
        match write(&self.dir, &self.meaning, now, snapshot) {
            Ok(()) => {
                self.status.saved_at.store(now, Ordering::Relaxed);
                self.status.error.lock().clear();
            }
            Err(error) => {
                // The last good one stands.
                let _ = fs::remove_file(self.dir.join(NEW));
                self.tell(format!("checkpoint not written: {error}"));
            }
        }
    }

    fn tell(&self, text: String) {
        tracing::warn!(flow.state = %self.dir.display(), "{text}");
        self.node.failed(text.clone());
        *self.status.error.lock() = text;
    }
}

/// What the state of a plan is the state of: a change in here makes it useless.
fn meaning(plan: &Plan) -> String {
    let (rule, options) = (&plan.rule, &plan.rule.options);
    serde_json::json!({
        "sql": rule.sql,
        "graph": rule.graph,
        "eventTime": options.event_time,
        "tolerance": options.late_tolerance.as_millis().to_string(),
        "stream": plan.stream.describe(""),
    })
    .to_string()
}

fn write(dir: &Path, meaning: &str, now: i64, snapshot: &Snapshot) -> io::Result<()> {
    let mut body = Vec::new();
    codec::bytes(meaning.as_bytes(), &mut body);
    body.extend(now.to_le_bytes());
    codec::write(snapshot, &mut body)
        .map_err(|_| io::Error::other("a value is nested too deep"))?;
    if body.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!(
            "it has {} bytes, more than the {MAX_BYTES} allowed",
            body.len()
        )));
    }
    fs::create_dir_all(dir)?;
    let path = dir.join(NEW);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&path)?;
    file.write_all(MAGIC)?;
    file.write_all(&crc(&body).to_le_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&path, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

/// When it was written, and what it says; nothing where there is none, or one of another statement.
fn read(dir: &Path, meaning: &str) -> io::Result<Option<(i64, Snapshot)>> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let file = match File::open(dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1024).read_to_end(&mut bytes)?;
    let body = bytes.strip_prefix(MAGIC);
    let (sum, body) = body
        .and_then(|body| body.split_first_chunk::<4>())
        .ok_or_else(|| broken("it is no checkpoint"))?;
    if crc(body) != u32::from_le_bytes(*sum) {
        return Err(broken("it is damaged"));
    }
    let mut reader = codec::Reader::new(body);
    let head = reader.bytes().zip(reader.int());
    let (of, saved_at) = head.ok_or_else(|| broken("its head is damaged"))?;
    if of != meaning.as_bytes() {
        return Ok(None);
    }
    let snapshot = codec::read(reader.rest).ok_or_else(|| broken("its rows are damaged"))?;
    Ok(Some((saved_at, snapshot)))
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
