//! Sinks: the host dials the plugin, sends what the rule has encoded, and drains the acknowledgements.
//!
//! Acknowledgements are always drained, whether or not anybody asked for them: an SDK that cannot
//! get rid of one ends its sink (HOST-26).

mod answers;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plugyard_sp::{Protocol, PullConnection, PushSender, SendError, connect_with};
use plugyard_symbol::{
    Connection, SinkHandle, SinkObserver, SinkRequest, SinkSymbol, SymbolError, SymbolKind,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::alarm::Alarm;
use crate::attach::{Begun, Owner, Running, accept, stop_until_ended};
use crate::command::{Order, PluginType, useful_first};
use crate::config::{Sections, refuse_connection};
use crate::host::Host;
use crate::manifest::Language;
use crate::place::{Arrivals, SinkSocket};
use crate::plugin::{InstanceKey, Plugin};
use crate::process::{Worker, check_socket, seconds, socket_stem};
use crate::relapses::Relapses;
use crate::tally::Tally;
use answers::{Answers, Outcome};

/// Acknowledgements that wait for the sender; more are counted and dropped, which only a plugin that
/// acknowledges what it never got can cause.
const ACKS: usize = 1024;
/// Messages in a row with an acknowledgement for another one only, after which the count is lost.
const OUT_OF_STEP: u32 = 3;
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
    /// Messages that it took.
    pub(crate) tally: Tally,
    pub(crate) relapses: Relapses,
    pub(crate) owner: Owner,
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
    socket: SinkSocket,
    line: Option<Line>,
    acks: mpsc::Receiver<Result<(), String>>,
    /// Whether the plugin opened its channel for them.
    acks_open: Arc<AtomicBool>,
    received: watch::Receiver<u64>,
    sent: u64,
    /// Acknowledgements that are still to come for messages that nobody waits for any more.
    late: u64,
    /// Messages in a row that had no acknowledgement although earlier ones' came meanwhile.
    out_of_step: u32,
    alarm: Alarm,
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
            tally: Tally::default(),
            relapses: Relapses::default(),
            owner: Owner::default(),
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

    /// It did not start elsewhere, and goes on where it is.
    pub(crate) async fn stays(&self) {
        let attachment = self.attachment.lock().await;
        if attachment
            .as_ref()
            .is_some_and(SinkAttachment::is_connected)
        {
            self.observer.connection(Connection::Connected);
        }
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
            return Err(never_acknowledges(&self.symbol));
        }
        let node = &self.request.node;
        let stem = socket_stem(node);
        let name = format!("{stem}.ipc");
        worker.before_sink(&self.symbol, &name)?;
        let mut listener =
            worker.listen(&self.symbol, &format!("{stem}_ack.ipc"), Protocol::Pull)?;
        let order = Order::new(
            PluginType::Sink,
            &self.symbol,
            node,
            "",
            &self.request.properties,
        );
        self.observer.connection(Connection::Connecting);
        worker
            .start_symbol(SymbolKind::Sink, &self.symbol, &order)
            .await?;
        // At once: where the name is everybody's, it is free for another process again.
        let socket = worker.sink_socket(&name).map_err(|error| error.to_string());
        // Plugins made with earlier Go SDKs never open it.
        let may_lack_acks = worker.launch.manifest.language == Language::Go;
        let opened = async {
            let acks = if may_lack_acks {
                None
            } else {
                let opened = timeout(worker.options().handshake_timeout, accept(&mut listener));
                let missing = |_| "it did not open its acknowledgement channel".to_owned();
                Some(opened.await.map_err(missing)?)
            };
            let socket = socket?;
            let connection = connect_with(socket.path(), Protocol::Push, worker.options())
                .await
                .map_err(|error| chain(&error))?;
            socket.check(&connection)?;
            Ok::<_, String>((acks, connection, socket))
        };
        let (pull, connection, socket) = match opened.await {
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
        let acks_open = Arc::new(AtomicBool::new(pull.is_some()));
        let (count, received) = watch::channel(0);
        let on_end = OnEnd(Arc::new(ended));
        let reading = AckReading {
            observer: Arc::clone(&self.observer),
            report: self.require_ack.then_some(report),
            open: Arc::clone(&acks_open),
            received: count,
            stopping: stopping.clone(),
            on_end: on_end.clone(),
        };
        let ack_reader = tokio::spawn(reading.run(listener, pull));
        let line = Line::new(connection, &stopping, &on_end)?;
        self.observer.connection(Connection::Connected);
        Ok(SinkAttachment {
            worker: Arc::clone(worker),
            order,
            socket,
            line: Some(line),
            acks,
            acks_open,
            received,
            sent: 0,
            late: 0,
            out_of_step: 0,
            alarm: Alarm::default(),
            stopping,
            ack_reader,
            on_end,
        })
    }

    /// As [`send`](Self::send), for one.
    async fn send_one(&self, message: &Bytes) -> Outcome {
        if !self.require_ack
            && let Ok(mut attachment) = self.attachment.try_lock()
            && let Some(attachment) = attachment.as_mut().filter(|it| it.is_connected())
        {
            return attachment.send_one(message, self.times).await;
        }
        let mut outcome = Ok(());
        let mut told = |outcomes: Vec<Outcome>| outcome = outcomes.into_iter().collect();
        self.send(std::slice::from_ref(message), &mut told).await;
        outcome
    }

    /// Sends all of them, in order, and tells of each as soon as its fate is known. After one that is not
    /// acknowledged, whoever moves or stops the sink has its turn: where none is, all of them take very long.
    async fn send(&self, messages: &[Bytes], told: &mut (dyn FnMut(Vec<Outcome>) + Send)) {
        let mut answers = Answers::new(told);
        while answers.known() < messages.len() {
            let rest = &messages[answers.known()..];
            self.send_some(rest, &mut answers).await;
        }
    }

    /// Sends where the sink is connected, which is nearly always so at once.
    async fn send_some(&self, messages: &[Bytes], answers: &mut Answers<'_>) {
        if let Ok(mut attachment) = self.attachment.try_lock()
            && let Some(attachment) = attachment.as_mut().filter(|it| it.is_connected())
        {
            return attachment
                .send(messages, self.require_ack, self.times, answers)
                .await;
        }
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
                            .send(messages, self.require_ack, self.times, answers)
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
                return answers.tell_failed(messages.len(), error);
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

    /// Whether a message can be sent without dialling first.
    fn is_connected(&self) -> bool {
        self.line.is_some() && !self.has_ended()
    }

    async fn send(
        &mut self,
        messages: &[Bytes],
        require_ack: bool,
        times: SinkTimes,
        answers: &mut Answers<'_>,
    ) {
        if require_ack {
            self.send_acknowledged(messages, times, answers).await;
        } else {
            answers.tell(self.send_unacknowledged(messages, times).await);
        }
    }

    async fn send_unacknowledged(&mut self, messages: &[Bytes], times: SinkTimes) -> Vec<Outcome> {
        let Some(line) = &mut self.line else {
            return vec![Err(not_connected()); messages.len()];
        };
        let before = line.sender.sent();
        let sending = line.sender.send_many(messages);
        let outcome = self.alarm.within(times.send, sending).await;
        let gone = usize::try_from(line.sender.sent() - before).unwrap_or(messages.len());
        self.sent += gone as u64;
        let error = match outcome {
            Some(Ok(())) => return vec![Ok(()); messages.len()],
            // One of them is too long: then none was sent, and each has its own fate.
            Some(Err(SendError::TooLong { .. })) => {
                let mut results = Vec::with_capacity(messages.len());
                for message in messages {
                    results.push(self.send_one(message, times).await);
                }
                return results;
            }
            Some(Err(error)) => self.broken(&error),
            None => timed_out(times.send),
        };
        let failed = messages.len().saturating_sub(gone);
        vec![Ok(()); messages.len() - failed]
            .into_iter()
            .chain(vec![Err(error); failed])
            .collect()
    }

    async fn send_one(&mut self, message: &Bytes, times: SinkTimes) -> Outcome {
        let line = self.line.as_mut().ok_or_else(not_connected)?;
        let sending = line.sender.send(message);
        match self.alarm.within(times.send, sending).await {
            Some(Ok(())) => {
                self.sent += 1;
                Ok(())
            }
            Some(Err(error)) => Err(self.broken(&error)),
            None => Err(timed_out(times.send)),
        }
    }

    /// Sends as many as may be under way, and more as acknowledgements come; stops after one that failed,
    /// having told of fewer than all messages. Acknowledgements belong to the
    /// messages in order; those that come when nobody waits for them any more are counted off first
    /// (HOST-26, HOST-27).
    async fn send_acknowledged(
        &mut self,
        messages: &[Bytes],
        times: SinkTimes,
        answers: &mut Answers<'_>,
    ) {
        let window = self.worker.launch.options.acks_under_way.max(1);
        let before = answers.known();
        let all = before + messages.len();
        // Those that were sent and have no answer yet stand between `answers.known()` and this.
        let mut next = before;
        while answers.known() < all {
            let until = all.min(answers.known() + window);
            if next < until {
                let sent = self
                    .send_unacknowledged(&messages[next - before..until - before], times)
                    .await;
                for outcome in sent {
                    if let Err(error) = outcome {
                        // Not sent, nor is what comes after it; what went before has its answers.
                        self.collect(next - answers.known(), answers, times).await;
                        answers.tell_failed(1, error);
                    }
                    next += 1;
                }
            }
            let owing = next - answers.known();
            if owing > 0 {
                self.collect_some(owing, answers, times).await;
            }
            // One was not taken: the rest is for the next call, if it is still this process that gets it.
            if next == answers.known() && answers.last_failed() {
                break;
            }
        }
    }

    /// Waits for the answers to `owing` messages.
    async fn collect(&mut self, owing: usize, answers: &mut Answers<'_>, times: SinkTimes) {
        let all = answers.known() + owing;
        while answers.known() < all {
            let left = all - answers.known();
            self.collect_some(left, answers, times).await;
        }
    }

    /// Waits for the answer to one of `owing` messages, and takes what else has come.
    async fn collect_some(&mut self, owing: usize, answers: &mut Answers<'_>, times: SinkTimes) {
        let deadline = Instant::now() + times.ack;
        let late = self.late;
        let missing = loop {
            match self.alarm.until(deadline, self.acks.recv()).await {
                Some(Some(_)) if self.late > 0 => self.late -= 1,
                Some(Some(ack)) => {
                    self.out_of_step = 0;
                    let mut come = vec![ack.map_err(SymbolError::io)];
                    while come.len() < owing
                        && let Ok(ack) = self.acks.try_recv()
                    {
                        come.push(ack.map_err(SymbolError::io));
                    }
                    return answers.tell(come);
                }
                Some(None) => break SymbolError::io("the sink ended before it acknowledged"),
                None => {
                    let wait = seconds(times.ack);
                    let mut text = format!("the sink did not acknowledge within {wait}");
                    if self.is_out_of_step(late) {
                        text.push_str("; it has left one out, and is started again");
                    }
                    break SymbolError::io(text);
                }
            }
        };
        // Whatever comes for these comes too late.
        self.late += owing as u64;
        answers.tell_failed(owing, missing);
    }

    /// Whether a sink that does acknowledge is always one behind, as after one that it never sent: nothing
    /// tells which messages its acknowledgements belong to, so only a new start helps, which it gets.
    /// `late` were to come when the message was sent.
    fn is_out_of_step(&mut self, late: u64) -> bool {
        self.out_of_step = if self.late < late {
            self.out_of_step + 1
        } else {
            0
        };
        let given_up = self.out_of_step >= OUT_OF_STEP;
        if given_up {
            (self.on_end.0)();
        }
        given_up
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
        let connection = connect_with(self.socket.path(), Protocol::Push, self.worker.options())
            .await
            .map_err(|error| SymbolError::io(chain(&error)))?;
        self.socket.check(&connection).map_err(SymbolError::io)?;
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
        let sent = self.sent;
        // Fails at the end of the channel, after which none will come.
        let all = self
            .received
            .wait_for(|received| *received == 0 || *received >= sent);
        let _ = timeout_at(deadline, all).await;
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
        if self.sent > 0 && *self.received.borrow() == 0 {
            self.idle(grace).await;
        }
        self.stopping.cancel();
        let (worker, order) = (Arc::clone(&self.worker), self.order.clone());
        if !self.acks_open.load(Ordering::Acquire) {
            // No pipe tells of its end: its answer does.
            if let Err(error) = worker.command(order.stop()).await {
                tracing::debug!(%error, "A sink was not stopped");
            }
            return Ok(());
        }
        stop_until_ended(
            SymbolKind::Sink,
            &worker,
            &order,
            &mut self.ack_reader,
            limit,
        )
        .await
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

fn never_acknowledges(symbol: &str) -> SymbolError {
    SymbolError::refused(format!(
        "sink {symbol} belongs to a plugin written in Go, whose SDK never acknowledges: leave out \
         `requireAck`"
    ))
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
    /// Whether there is such a channel.
    open: Arc<AtomicBool>,
    received: watch::Sender<u64>,
    stopping: CancellationToken,
    on_end: OnEnd,
}

impl AckReading {
    /// Without `pull` the channel is waited for as long as the sink lives: there may be none.
    async fn run(self, mut listener: Arrivals, pull: Option<PullConnection>) {
        let mut pull = match pull {
            Some(pull) => pull,
            None => accept(&mut listener).await,
        };
        self.open.store(true, Ordering::Release);
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
                    self.received.send_modify(|received| *received += 1);
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
    pub(crate) host: Arc<Host>,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) symbol: String,
}

impl PortableSink {
    /// What the configuration key sets that an action names by `resourceId`; the action's own properties win.
    fn lay_below(&self, properties: &mut Map<String, Json>) {
        let Some(resource) = properties.get("resourceId").and_then(Json::as_str) else {
            return;
        };
        let keys = self.plugin.kept().keys(SymbolKind::Sink, &self.symbol);
        // Where there is no such key it is a property like any other.
        let sections = Sections::default().with(keys);
        let Some(mut merged) = sections.section(resource).cloned() else {
            return;
        };
        merged.extend(std::mem::take(properties));
        merged.shift_remove("resourceId");
        *properties = merged;
    }
}

#[async_trait]
impl SinkSymbol for PortableSink {
    fn check(&self, request: &SinkRequest) -> Result<(), SymbolError> {
        check_socket(&format!("{}_ack.ipc", socket_stem(&request.node)))?;
        let mut properties = request.properties.clone();
        self.lay_below(&mut properties);
        refuse_connection("sink", &self.symbol, &properties)?;
        let language = self.plugin.launch().map(|it| it.manifest.language);
        if is_true(properties.get("requireAck")) && language == Some(Language::Go) {
            return Err(never_acknowledges(&self.symbol));
        }
        Ok(())
    }

    async fn start(
        &self,
        mut request: SinkRequest,
        observer: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError> {
        let plugin = self
            .host
            .provider(SymbolKind::Sink, &self.symbol, &self.plugin)?;
        let times = plugin.sink_times();
        self.lay_below(&mut request.properties);
        refuse_connection("sink", &self.symbol, &request.properties)?;
        let instance = SinkInstance::new(&self.symbol, request, observer, times);
        let running = Running::start(&plugin, instance).await?;
        Ok(Box::new(RunningSink(running)))
    }
}

#[async_trait]
impl Begun for SinkInstance {
    const KIND: SymbolKind = SymbolKind::Sink;

    fn owner(&self) -> &Owner {
        &self.owner
    }

    async fn start(self: &Arc<Self>, plugin: &Arc<Plugin>) -> Result<(), SymbolError> {
        plugin.start_sink(self).await
    }

    async fn stop(self: &Arc<Self>, plugin: &Arc<Plugin>) -> Option<Result<(), SymbolError>> {
        plugin.stop_sink(self).await
    }
}

struct RunningSink(Running<SinkInstance>);

#[async_trait]
impl SinkHandle for RunningSink {
    async fn send(&mut self, message: Bytes) -> Result<(), SymbolError> {
        let instance = &self.0.instance;
        let sent = instance.send_one(&message).await;
        instance.tally.add(usize::from(sent.is_ok()));
        sent
    }

    async fn send_many(&mut self, messages: Vec<Bytes>) -> Vec<Result<(), SymbolError>> {
        let mut all = Vec::with_capacity(messages.len());
        self.send_each(messages, &mut |outcomes| all.extend(outcomes))
            .await;
        all
    }

    async fn send_each(
        &mut self,
        messages: Vec<Bytes>,
        told: &mut (dyn FnMut(Vec<Outcome>) + Send),
    ) {
        let instance = &self.0.instance;
        let mut counted = |outcomes: Vec<Outcome>| {
            let taken = outcomes.iter().filter(|outcome| outcome.is_ok());
            instance.tally.add(taken.count());
            told(outcomes);
        };
        instance.send(&messages, &mut counted).await;
    }

    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        self.0.stop().await
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
