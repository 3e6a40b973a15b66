//! What a node counts.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use plugyard_symbol::{Connection, SinkObserver, SymbolError};
use serde_json::{Map, Value as Json};

use super::log::RuleLog;
use super::queue::Dropped;
use crate::clock::Clock;

/// What a node is; the prefix of its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Source,
    Operator,
    Sink,
}

impl NodeKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Operator => "op",
            Self::Sink => "sink",
        }
    }
}

/// The last exception, in its cheapest form: overload must not make texts.
#[derive(Debug, Clone)]
enum Exception {
    None,
    Text(String),
    Dropped(u64),
}

#[derive(Debug)]
struct Link {
    /// eKuiper's numbers: −1, 0, 1.
    status: i8,
    connected_at: i64,
    disconnected_at: i64,
    disconnected_message: String,
    tried_at: i64,
}

/// One node of a running rule.
pub(crate) struct Node {
    kind: NodeKind,
    name: String,
    clock: Arc<dyn Clock>,
    records_in: AtomicU64,
    records_out: AtomicU64,
    processed: AtomicU64,
    latency_us: AtomicU64,
    last_invocation: AtomicI64,
    exceptions: AtomicU64,
    /// Of the exceptions, those that were messages dropped from the queue this node fills.
    dropped: AtomicU64,
    exception_time: AtomicI64,
    exception: Mutex<Exception>,
    link: Option<Mutex<Link>>,
    /// The node its output queue belongs to.
    next: OnceLock<String>,
    /// The length of its input queue.
    buffer: OnceLock<Arc<AtomicUsize>>,
    /// The rule's own log, where it has one.
    log: OnceLock<Arc<RuleLog>>,
}

const RELAXED: Ordering = Ordering::Relaxed;

impl Node {
    pub(crate) fn new(kind: NodeKind, name: &str, clock: Arc<dyn Clock>) -> Self {
        let link = (kind != NodeKind::Operator).then(|| {
            Mutex::new(Link {
                status: 0,
                connected_at: 0,
                disconnected_at: 0,
                disconnected_message: String::new(),
                tried_at: 0,
            })
        });
        Self {
            kind,
            name: name.to_owned(),
            clock,
            records_in: AtomicU64::default(),
            records_out: AtomicU64::default(),
            processed: AtomicU64::default(),
            latency_us: AtomicU64::default(),
            last_invocation: AtomicI64::default(),
            exceptions: AtomicU64::default(),
            dropped: AtomicU64::default(),
            exception_time: AtomicI64::default(),
            exception: Mutex::new(Exception::None),
            link,
            next: OnceLock::new(),
            buffer: OnceLock::new(),
            log: OnceLock::new(),
        }
    }

    /// Says where exceptions are written to besides.
    pub(crate) fn logs_to(&self, log: &Arc<RuleLog>) {
        let _ = self.log.set(log.clone());
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Says whose queue this node fills.
    pub(crate) fn feeds(&self, next: &str) {
        let _ = self.next.set(next.to_owned());
    }

    /// Says which queue this node reads.
    pub(crate) fn reads(&self, length: Arc<AtomicUsize>) {
        let _ = self.buffer.set(length);
    }

    /// Messages have come in.
    pub(crate) fn came_in(&self, count: u64) {
        self.records_in.fetch_add(count, RELAXED);
        self.last_invocation.store(self.clock.now_ms(), RELAXED);
    }

    /// Messages have been worked on, taking so long together.
    pub(crate) fn worked(&self, count: u64, took: Duration) {
        if count == 0 {
            return;
        }
        self.processed.fetch_add(count, RELAXED);
        let each = took.as_micros() / u128::from(count);
        self.latency_us
            .store(u64::try_from(each).unwrap_or(u64::MAX), RELAXED);
    }

    /// Messages have gone out.
    pub(crate) fn went_out(&self, count: u64) {
        self.records_out.fetch_add(count, RELAXED);
    }

    /// Something went wrong.
    pub(crate) fn failed(&self, text: impl Into<String>) {
        self.failed_times(1, text);
    }

    /// Something went wrong with several messages.
    pub(crate) fn failed_times(&self, count: u64, text: impl Into<String>) {
        if count > 0 {
            self.count_exception(count, Exception::Text(text.into()));
        }
    }

    /// Messages were dropped from the full queue this node fills. They are exceptions of this node, as in
    /// eKuiper, and are counted for themselves as well, because they say that the rule is too slow rather
    /// than that something is wrong.
    pub(crate) fn dropped(&self, dropped: Dropped) {
        if dropped.count > 0 {
            self.dropped.fetch_add(dropped.count, RELAXED);
            self.count_exception(dropped.count, Exception::Dropped(dropped.last));
        }
    }

    /// Messages were dropped from the full queue before this node.
    pub(crate) fn overrun(&self, dropped: Dropped) {
        if dropped.count > 0 {
            self.dropped.fetch_add(dropped.count, RELAXED);
            let text = format!(
                "buffer full, drop message {} before {}",
                dropped.last, self.name
            );
            self.count_exception(dropped.count, Exception::Text(text));
        }
    }

    /// Messages were lost that this node kept. Without any it is told as one exception: there is trouble.
    pub(crate) fn lost(&self, count: u64, text: String) {
        self.dropped.fetch_add(count, RELAXED);
        self.count_exception(count.max(1), Exception::Text(text));
    }

    /// An attempt to connect begins.
    pub(crate) fn trying(&self) {
        if let Some(link) = &self.link {
            let mut link = link.lock();
            link.status = 0;
            link.tried_at = self.clock.now_ms();
        }
    }

    /// The attempt has succeeded. What its provider has said about the connection meanwhile stands.
    pub(crate) fn started(&self) {
        let silent = self
            .link
            .as_ref()
            .is_some_and(|link| link.lock().status == 0);
        if silent {
            self.link_changed(Connection::Connected);
        }
    }

    /// The connection has changed.
    pub(crate) fn link_changed(&self, connection: Connection) {
        let Some(link) = &self.link else { return };
        let now = self.clock.now_ms();
        let mut link = link.lock();
        match connection {
            Connection::Disconnected(message) => {
                link.status = -1;
                link.disconnected_at = now;
                link.disconnected_message = message;
            }
            Connection::Connecting => {
                link.status = 0;
                link.tried_at = now;
            }
            Connection::Connected => {
                if link.status != 1 {
                    link.connected_at = now;
                }
                link.status = 1;
            }
        }
    }

    /// How many went wrong.
    pub(crate) fn exceptions(&self) -> u64 {
        self.exceptions.load(RELAXED)
    }

    /// What went wrong last and when; empty and 0 when nothing did.
    pub(crate) fn last_exception(&self) -> (String, i64) {
        let text = self.text(&self.exception.lock());
        (text, self.exception_time.load(RELAXED))
    }

    fn text(&self, exception: &Exception) -> String {
        match exception {
            Exception::None => String::new(),
            Exception::Text(text) => text.clone(),
            Exception::Dropped(number) => format!(
                "buffer full, drop message {number} from {} to {}",
                self.name,
                self.next.get().map_or("", String::as_str)
            ),
        }
    }

    /// Adds its metrics to a status document.
    pub(crate) fn describe(&self, document: &mut Map<String, Json>) {
        let (exception, exception_time) = self.last_exception();
        let buffer = self.buffer.get().map_or(0, |length| length.load(RELAXED));
        let mut add = |metric: &str, value: Json| {
            let key = format!("{}_{}_0_{metric}", self.kind.prefix(), self.name);
            document.insert(key, value);
        };
        add("records_in_total", self.records_in.load(RELAXED).into());
        add("records_out_total", self.records_out.load(RELAXED).into());
        add(
            "messages_processed_total",
            self.processed.load(RELAXED).into(),
        );
        add("process_latency_us", self.latency_us.load(RELAXED).into());
        add("buffer_length", buffer.into());
        add("last_invocation", self.last_invocation.load(RELAXED).into());
        add("exceptions_total", self.exceptions().into());
        add("last_exception", exception.into());
        add("last_exception_time", exception_time.into());
        if let Some(link) = &self.link {
            let link = link.lock();
            add("connection_status", link.status.into());
            add("connection_last_connected_time", link.connected_at.into());
            add(
                "connection_last_disconnected_time",
                link.disconnected_at.into(),
            );
            add(
                "connection_last_disconnected_message",
                link.disconnected_message.as_str().into(),
            );
            add("connection_last_try_time", link.tried_at.into());
        }
        // Ours; eKuiper's document has no such key, so that it stands only where it says something.
        let dropped = self.dropped.load(RELAXED);
        if dropped > 0 {
            add("records_dropped_total", dropped.into());
        }
    }

    fn count_exception(&self, count: u64, exception: Exception) {
        if let Some(log) = self.log.get() {
            log.line(&format!(
                "exception {}: {}",
                self.name,
                self.text(&exception)
            ));
        }
        *self.exception.lock() = exception;
        self.exception_time.store(self.clock.now_ms(), RELAXED);
        self.exceptions.fetch_add(count, RELAXED);
    }
}

impl SinkObserver for Node {
    fn exception(&self, error: SymbolError) {
        self.failed(error.text);
    }

    fn connection(&self, connection: Connection) {
        self.link_changed(connection);
    }
}
