//! Sinks: the host dials the plugin, sends what the rule has encoded, and drains the acknowledgements.
//!
//! Acknowledgements are always drained, whether or not anybody asked for them: an SDK that cannot
//! get rid of one ends its sink (HOST-26).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plugyard_sp::{Listener, Protocol, PullConnection, PushSender, SendError, connect_with};
use plugyard_symbol::{
    Connection, SinkHandle, SinkObserver, SinkRequest, SinkSymbol, SymbolError, SymbolKind,
};
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::command::{Order, PluginType, useful_first};
use crate::manifest::Language;
use crate::plugin::{InstanceKey, Plugin};
use crate::process::{Worker, is_ours, seconds};
use crate::source::cannot_listen;

/// Acknowledgements that wait for the sender; more are counted and dropped, which only a plugin that
/// acknowledges what it never got can cause.
const ACKS: usize = 1024;
/// Between two stop commands that the plugin answered without ending the sink (HOST-40).
const STOP_AGAIN: Duration = Duration::from_millis(100);
/// Between two attempts to reach a sink that does not listen, or not any more.
const DIAL_AGAIN: Duration = Duration::from_millis(20);
/// How often it is looked whether a process still works on its last message.
const IDLE_LOOK: Duration = Duration::from_millis(10);
/// Processor time between two looks that is no work.
const IDLE_CPU: Duration = Duration::from_millis(1);

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinkTimes {
    /// Until the plugin has room for a message.
    pub(crate) send: Duration,
    /// Until it has acknowledged one.
    pub(crate) ack: Duration,
}

/// A sink in use, whichever process serves it at the moment.
pub(crate) struct SinkInstance {
    pub(crate) symbol: String,
    pub(crate) request: SinkRequest,
    pub(crate) observer: Arc<dyn SinkObserver>,
    times: SinkTimes,
    require_ack: bool,
    attachment: Mutex<Option<SinkAttachment>>,
    arrived: Notify,
}

impl fmt::Debug for SinkInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkInstance")
            .field("symbol", &self.symbol)
            .field("node", &self.request.node)
            .finish_non_exhaustive()
    }
}

/// A sink running in one process.
#[derive(Debug)]
pub(crate) struct SinkAttachment {
    pub(crate) worker: Arc<Worker>,
    order: Order,
    path: PathBuf,
    line: Option<Line>,
    acks: mpsc::Receiver<Result<(), String>>,
    received: Arc<AtomicU64>,
    sent: u64,
    /// Acknowledgements that are still to come; the last of them is that of the latest message.
    owed: u64,
    /// Its end is wanted.
    stopping: CancellationToken,
    ack_reader: JoinHandle<()>,
    on_end: OnEnd,
}

/// The connection to the plugin's listener.
#[derive(Debug)]
struct Line {
    sender: PushSender,
    /// The plugin has closed it, which it does only after it has read everything.
    closed: CancellationToken,
    /// That it closes is our wish.
    expected: CancellationToken,
}

/// Who is told that a sink ended by itself.
#[derive(Clone)]
struct OnEnd(Arc<dyn Fn() + Send + Sync>);

impl fmt::Debug for OnEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnEnd")
    }
}

impl Drop for SinkAttachment {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.ack_reader.abort();
    }
}

impl SinkInstance {
    pub(crate) fn new(
        symbol: &str,
        request: SinkRequest,
        observer: Arc<dyn SinkObserver>,
        times: SinkTimes,
    ) -> Self {
        let require_ack = is_true(request.properties.get("requireAck"));
        Self {
            symbol: symbol.to_owned(),
            request,
            observer,
            times,
            require_ack,
            attachment: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    pub(crate) fn key(&self) -> InstanceKey {
        InstanceKey {
            kind: SymbolKind::Sink,
            symbol: self.symbol.clone(),
            node: Some(self.request.node.clone()),
        }
    }

    /// Puts it to work in a process, or nowhere; waits for a message that is being sent.
    pub(crate) async fn set(&self, attachment: Option<SinkAttachment>) -> Option<SinkAttachment> {
        let before = std::mem::replace(&mut *self.attachment.lock().await, attachment);
        self.arrived.notify_waiters();
        before
    }

    /// Whether it runs in that process.
    pub(crate) async fn is_in(&self, worker: &Arc<Worker>) -> bool {
        self.attachment
            .lock()
            .await
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(&it.worker, worker))
    }

    /// Starts it in a process; `ended` is told, perhaps more than once, when it ends there by itself.
    pub(crate) async fn attach(
        &self,
        worker: &Arc<Worker>,
        ended: impl Fn() + Send + Sync + 'static,
    ) -> Result<SinkAttachment, SymbolError> {
        if self.require_ack && worker.launch.manifest.language == Language::Go {
            return Err(SymbolError::refused(format!(
                "sink {} belongs to a plugin written in Go, whose SDK never acknowledges: leave out \
                 `requireAck`",
                self.symbol
            )));
        }
        let node = &self.request.node;
        let name = format!("{}_{}_{}", node.rule_id, node.op_id, node.instance_id);
        let path = worker.socket(&format!("{name}.ipc"))?;
        let ack_path = worker.socket(&format!("{name}_ack.ipc"))?;
        let mut listener = Listener::bind_with(&ack_path, Protocol::Pull, worker.options())
            .map_err(|error| cannot_listen(&self.symbol, &error))?;
        let order = Order::new(
            PluginType::Sink,
            &self.symbol,
            node,
            "",
            &self.request.properties,
        );
        self.observer.connection(Connection::Connecting);
        worker.command(order.start()).await?;
        let opened = async {
            let acks = timeout(worker.options().handshake_timeout, accept(&mut listener))
                .await
                .map_err(|_| "it did not open its acknowledgement channel".to_owned())?;
            let connection = connect_with(&path, Protocol::Push, worker.options())
                .await
                .map_err(|error| chain(&error))?;
            Ok::<_, String>((acks, connection))
        };
        let (pull, connection) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                // Whatever it did start is not wanted now.
                let _ = worker.command(order.stop()).await;
                return Err(SymbolError::io(format!(
                    "sink {} was started, but cannot be reached: {error}",
                    self.symbol
                )));
            }
        };
        let (report, acks) = mpsc::channel(ACKS);
        let stopping = CancellationToken::new();
        let received = Arc::new(AtomicU64::new(0));
        let on_end = OnEnd(Arc::new(ended));
        let reading = AckReading {
            observer: Arc::clone(&self.observer),
            report: self.require_ack.then_some(report),
            received: Arc::clone(&received),
            stopping: stopping.clone(),
            on_end: on_end.clone(),
        };
        let ack_reader = tokio::spawn(reading.run(listener, pull));
        let line = Line::new(connection, &stopping, &on_end)?;
        self.observer.connection(Connection::Connected);
        Ok(SinkAttachment {
            worker: Arc::clone(worker),
            order,
            path,
            line: Some(line),
            acks,
            received,
            sent: 0,
            owed: 0,
            stopping,
            ack_reader,
            on_end,
        })
    }

    async fn send(&self, messages: &[Bytes]) -> Vec<Result<(), SymbolError>> {
        let deadline = Instant::now() + self.times.send;
        let mut reason = None;
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            let mut attachment = self.attachment.lock().await;
            if let Some(attachment) = attachment.as_mut().filter(|it| !it.has_ended()) {
                match attachment.connect().await {
                    Ok(()) => {
                        return attachment
                            .send(messages, self.require_ack, self.times)
                            .await;
                    }
                    Err(error) => reason = Some(error.text),
                }
            }
            // Not held while waiting: whoever brings the sink back needs it.
            drop(attachment);
            if Instant::now() >= deadline {
                let after = seconds(self.times.send);
                let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
                let error = SymbolError::io(format!(
                    "sink {} is not running: no process took the message within {after}{reason}",
                    self.symbol
                ));
                return vec![Err(error); messages.len()];
            }
            let _ = timeout_at(deadline.min(Instant::now() + DIAL_AGAIN), arrived).await;
        }
    }
}

impl Line {
    fn new(
        connection: plugyard_sp::Connection,
        stopping: &CancellationToken,
        on_end: &OnEnd,
    ) -> Result<Self, SymbolError> {
        let push = connection
            .into_push()
            .map_err(|error| SymbolError::io(error.to_string()))?;
        let (sender, mut watcher) = push.split();
        let closed = CancellationToken::new();
        // Of the sink as a whole, or of this connection alone.
        let expected = stopping.child_token();
        let (tell, wanted, on_end) = (closed.clone(), expected.clone(), on_end.clone());
        tokio::spawn(async move {
            watcher.closed().await;
            tell.cancel();
            if !wanted.is_cancelled() {
                (on_end.0)();
            }
        });
        Ok(Self {
            sender,
            closed,
            expected,
        })
    }
}

impl SinkAttachment {
    /// Whether the plugin's side is gone, so that only a new start helps.
    fn has_ended(&self) -> bool {
        self.ack_reader.is_finished()
    }

    async fn send(
        &mut self,
        messages: &[Bytes],
        require_ack: bool,
        times: SinkTimes,
    ) -> Vec<Result<(), SymbolError>> {
        if require_ack || messages.len() == 1 {
            let mut results = Vec::with_capacity(messages.len());
            for message in messages {
                results.push(self.send_one(message, require_ack, times).await);
            }
            return results;
        }
        let Some(line) = &mut self.line else {
            return vec![Err(not_connected()); messages.len()];
        };
        let before = line.sender.sent();
        let outcome = timeout(times.send, line.sender.send_many(messages)).await;
        let gone = usize::try_from(line.sender.sent() - before).unwrap_or(messages.len());
        self.sent += gone as u64;
        let error = match outcome {
            Ok(Ok(())) => return vec![Ok(()); messages.len()],
            // One of them is too long: then none was sent, and each has its own fate.
            Ok(Err(SendError::TooLong { .. })) => {
                let mut results = Vec::with_capacity(messages.len());
                for message in messages {
                    results.push(self.send_one(message, false, times).await);
                }
                return results;
            }
            Ok(Err(error)) => self.broken(&error),
            Err(_) => timed_out(times.send),
        };
        let failed = messages.len().saturating_sub(gone);
        vec![Ok(()); messages.len() - failed]
            .into_iter()
            .chain(vec![Err(error); failed])
            .collect()
    }

    async fn send_one(
        &mut self,
        message: &Bytes,
        require_ack: bool,
        times: SinkTimes,
    ) -> Result<(), SymbolError> {
        let line = self.line.as_mut().ok_or_else(not_connected)?;
        match timeout(times.send, line.sender.send(message)).await {
            Ok(Ok(())) => self.sent += 1,
            Ok(Err(error)) => return Err(self.broken(&error)),
            Err(_) => return Err(timed_out(times.send)),
        }
        if !require_ack {
            return Ok(());
        }
        self.owed += 1;
        let deadline = Instant::now() + times.ack;
        loop {
            match timeout_at(deadline, self.acks.recv()).await {
                Ok(Some(ack)) => {
                    self.owed = self.owed.saturating_sub(1);
                    if self.owed == 0 {
                        return ack.map_err(SymbolError::io);
                    }
                }
                Ok(None) => return Err(SymbolError::io("the sink ended before it acknowledged")),
                Err(_) => {
                    return Err(SymbolError::io(format!(
                        "the sink did not acknowledge within {}",
                        seconds(times.ack)
                    )));
                }
            }
        }
    }

    /// Dials again where the connection is gone, as after a frame that was not finished.
    async fn connect(&mut self) -> Result<(), SymbolError> {
        if self.line.is_some() {
            Ok(())
        } else {
            self.redial().await
        }
    }

    /// Takes up a sink again that was left without being stopped.
    pub(crate) async fn redial(&mut self) -> Result<(), SymbolError> {
        let connection = connect_with(&self.path, Protocol::Push, self.worker.options())
            .await
            .map_err(|error| SymbolError::io(chain(&error)))?;
        self.line = Some(Line::new(connection, &self.stopping, &self.on_end)?);
        Ok(())
    }

    fn broken(&mut self, error: &SendError) -> SymbolError {
        if !matches!(error, SendError::TooLong { .. }) {
            // A half-written frame is never resumed: the next message dials anew (HOST-28).
            if let Some(line) = self.line.take() {
                line.expected.cancel();
            }
        }
        match error {
            SendError::TooLong { .. } => SymbolError::refused(error.to_string()),
            _ => SymbolError::io(chain(error)),
        }
    }

    /// Sends nothing more and waits, for at most `grace`, until the plugin has taken what was sent,
    /// and has acknowledged it where it does so at all.
    pub(crate) async fn quiesce(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        if let Some(line) = self.line.take() {
            line.expected.cancel();
            drop(line.sender);
            let _ = timeout_at(deadline, line.closed.cancelled()).await;
        }
        while self.received.load(Ordering::Acquire) > 0
            && self.received.load(Ordering::Acquire) < self.sent
            && Instant::now() < deadline
            && !self.ack_reader.is_finished()
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Stops it after what was sent has been taken.
    ///
    /// # Errors
    /// When its pipe did not end within `limit`; it is cut off then.
    pub(crate) async fn detach(
        mut self,
        grace: Duration,
        limit: Duration,
    ) -> Result<(), SymbolError> {
        self.quiesce(grace).await;
        if self.sent > 0 && self.received.load(Ordering::Acquire) == 0 {
            self.idle(grace).await;
        }
        self.stopping.cancel();
        let deadline = Instant::now() + limit;
        let mut pause = STOP_AGAIN;
        loop {
            if self.ack_reader.is_finished() {
                return Ok(());
            }
            // An error says less than the pipe: what counts is whether it ends.
            if let Err(error) = self.worker.command(self.order.stop()).await {
                tracing::debug!(%error, "A sink was not stopped at once");
            }
            if timeout(pause, &mut self.ack_reader).await.is_ok()
                || self.worker.process.try_wait().is_some()
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(SymbolError::timeout(
                    "the sink answered `stop`, but did not end".to_owned(),
                ));
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Waits until the process does nothing: a sink that never acknowledges may still be at work on
    /// the last message it took.
    async fn idle(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let mut before = self.worker.process.usage().cpu_time;
        let mut quiet = 0;
        while quiet < 2 && Instant::now() < deadline && self.worker.process.try_wait().is_none() {
            tokio::time::sleep(IDLE_LOOK).await;
            let now = self.worker.process.usage().cpu_time;
            quiet = if now.saturating_sub(before) < IDLE_CPU {
                quiet + 1
            } else {
                0
            };
            before = now;
        }
    }
}

async fn accept(listener: &mut Listener) -> PullConnection {
    loop {
        let Ok(connection) = listener.accept().await else {
            continue;
        };
        if is_ours(&connection)
            && let Ok(pull) = connection.into_pull()
        {
            return pull;
        }
    }
}

fn not_connected() -> SymbolError {
    SymbolError::io("the sink's connection broke at an earlier message")
}

fn timed_out(after: Duration) -> SymbolError {
    SymbolError::io(format!(
        "send time out: the sink took nothing for {}",
        seconds(after)
    ))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn is_true(value: Option<&Json>) -> bool {
    match value {
        Some(Json::Bool(truth)) => *truth,
        Some(Json::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// The reader of one sink's acknowledgements.
struct AckReading {
    observer: Arc<dyn SinkObserver>,
    /// Where they are wanted.
    report: Option<mpsc::Sender<Result<(), String>>>,
    received: Arc<AtomicU64>,
    stopping: CancellationToken,
    on_end: OnEnd,
}

impl AckReading {
    async fn run(self, listener: Listener, mut pull: PullConnection) {
        loop {
            match pull.recv().await {
                Ok(Some(message)) => {
                    let ack = read_ack(&message);
                    match &self.report {
                        // Full only with acknowledgements of what was never sent.
                        Some(report) => drop(report.try_send(ack)),
                        None => {
                            if let Err(text) = ack {
                                self.observer.exception(SymbolError::io(text));
                            }
                        }
                    }
                    self.received.fetch_add(1, Ordering::AcqRel);
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "An acknowledgement channel broke");
                    break;
                }
            }
        }
        drop(listener);
        if !self.stopping.is_cancelled() {
            (self.on_end.0)();
        }
    }
}

/// `{}` accepts, `{"error":"text"}` rejects; anything else is no acceptance either.
fn read_ack(message: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Ack {
        #[serde(default)]
        error: Json,
    }
    match serde_json::from_slice(message) {
        Ok(Ack { error: Json::Null }) => Ok(()),
        Ok(Ack {
            error: Json::String(text),
        }) if text.is_empty() => Ok(()),
        Ok(Ack {
            error: Json::String(text),
        }) => Err(useful_first(&text)),
        Ok(Ack { error }) => Err(error.to_string()),
        Err(error) => Err(format!(
            "the sink's acknowledgement cannot be read: {error}"
        )),
    }
}

/// A sink as the catalogue hands it out.
#[derive(Debug)]
pub(crate) struct PortableSink {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) symbol: String,
}

#[async_trait]
impl SinkSymbol for PortableSink {
    async fn start(
        &self,
        request: SinkRequest,
        observer: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError> {
        let times = self.plugin.sink_times();
        let instance = Arc::new(SinkInstance::new(&self.symbol, request, observer, times));
        let plugin = Arc::clone(&self.plugin);
        let (tell, told) = oneshot::channel();
        // Begun, it is finished: if nobody takes the handle any more, that stops the sink again.
        tokio::spawn(async move {
            let started = plugin.start_sink(&instance).await;
            let _ = tell.send(started.map(|()| RunningSink {
                plugin,
                instance,
                stopped: false,
            }));
        });
        match told.await {
            Ok(started) => Ok(Box::new(started?)),
            Err(_) => Err(SymbolError::io(
                "the sink was not started: the server is ending",
            )),
        }
    }
}

/// Dropped without having been stopped, it is stopped in the background.
struct RunningSink {
    plugin: Arc<Plugin>,
    instance: Arc<SinkInstance>,
    stopped: bool,
}

#[async_trait]
impl SinkHandle for RunningSink {
    async fn send(&mut self, message: Bytes) -> Result<(), SymbolError> {
        self.instance.send(&[message]).await.pop().unwrap_or(Ok(()))
    }

    async fn send_many(&mut self, messages: Vec<Bytes>) -> Vec<Result<(), SymbolError>> {
        self.instance.send(&messages).await
    }

    async fn stop(mut self: Box<Self>) -> Result<(), SymbolError> {
        let stopped = self.plugin.stop_sink(&self.instance).await;
        self.stopped = true;
        stopped
    }
}

impl Drop for RunningSink {
    fn drop(&mut self) {
        if !self.stopped
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (plugin, instance) = (Arc::clone(&self.plugin), Arc::clone(&self.instance));
            runtime.spawn(async move { plugin.stop_sink(&instance).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_26_acknowledgements_accept_or_reject() {
        assert_eq!(read_ack(b"{}"), Ok(()));
        assert_eq!(read_ack(br#"{"error": "full"}"#), Err("full".into()));
        assert!(read_ack(b"ok").is_err());
        assert!(read_ack(b"").is_err());
    }
}
