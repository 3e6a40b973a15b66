//! Calls of functions.
//!
//! A function has one channel, or several, to each process that serves it; a channel carries one call
//! at a time. [`Pool`] holds the channels of one process and lends them first come, first served
//! (HOST-31). A call is written and its answer awaited by the task that calls: no other task takes
//! part.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use parking_lot::Mutex;
use plugyard_sp::{Listener, Protocol, RepConnection, SendError};
use plugyard_symbol::{BoundFunction, CallSite, FunctionSymbol, JsonText, SymbolError, Value};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::command::{Order, useful_first};
use crate::plugin::Plugin;
use crate::process::{Worker, is_ours};
use crate::token::{Event, Tokens};

/// Channels of one function in one process.
const CHANNELS: usize = 64;
/// A channel that was quiet for so long may have a handshake waiting.
const STALE_AFTER: Duration = Duration::from_secs(1);
/// Between two attempts to start a function whose channel ended although its process lives.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A function in use, whichever process serves it at the moment.
#[derive(Debug)]
pub(crate) struct FunctionInstance {
    pub(crate) symbol: String,
    /// `None` while no process serves it; calls wait for one within their deadline.
    pool: watch::Sender<Option<Arc<Pool>>>,
    deadline: Duration,
}

impl FunctionInstance {
    pub(crate) fn new(symbol: &str, deadline: Duration) -> Self {
        Self {
            symbol: symbol.to_owned(),
            pool: watch::Sender::new(None),
            deadline,
        }
    }

    /// Starts it on a process, without calling it there yet.
    pub(crate) async fn attach(&self, worker: &Arc<Worker>) -> Result<Arc<Pool>, SymbolError> {
        Pool::start(&self.symbol, worker).await
    }

    /// Sends calls there from now on; those under way end where they began. Returns the pool before.
    pub(crate) fn switch(&self, pool: Option<Arc<Pool>>) -> Option<Arc<Pool>> {
        self.pool.send_replace(pool)
    }

    /// The pool in use.
    pub(crate) fn pool(&self) -> Option<Arc<Pool>> {
        self.pool.borrow().clone()
    }

    /// Writes a request on a free channel and waits for the result; `None` when the deadline passed.
    async fn exchange(&self, request: &[u8]) -> Option<Result<Bytes, SymbolError>> {
        let deadline = Instant::now() + self.deadline;
        timeout_at(deadline, self.exchange_without_deadline(request))
            .await
            .ok()
    }

    async fn exchange_without_deadline(&self, request: &[u8]) -> Result<Bytes, SymbolError> {
        let now = self.pool();
        if let Some(mut borrowed) = now.as_ref().and_then(Pool::try_borrow) {
            match borrowed.call(request).await {
                Err(Trouble::NothingSent) => {}
                Err(Trouble::Failed(error)) => return Err(error),
                Ok(result) => return Ok(result),
            }
        }
        let mut pools = self.pool.subscribe();
        loop {
            let pool = pools.borrow_and_update().clone();
            let changed = async {
                if pools.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let borrowed = match &pool {
                None => {
                    changed.await;
                    continue;
                }
                Some(pool) => tokio::select! {
                    borrowed = pool.borrow() => borrowed,
                    () = changed => continue,
                },
            };
            let Some(mut borrowed) = borrowed else {
                continue;
            };
            match borrowed.call(request).await {
                Err(Trouble::NothingSent) => {}
                Err(Trouble::Failed(error)) => return Err(error),
                Ok(result) => return Ok(result),
            }
        }
    }
}

/// The channels of one function to one process.
#[derive(Debug)]
pub(crate) struct Pool {
    worker: Arc<Worker>,
    order: Order,
    idle: Semaphore,
    channels: Mutex<VecDeque<Channel>>,
    /// Channels, idle or not.
    count: AtomicUsize,
    /// Channels that carry a call.
    busy: AtomicUsize,
    restarting: AtomicBool,
    acceptor: Mutex<Option<AbortHandle>>,
    /// Asked once for each process (HOST-30).
    aggregate: OnceCell<bool>,
}

#[derive(Debug)]
struct Channel {
    connection: RepConnection,
    tokens: Tokens,
    used: Instant,
    /// A frame is being written: should that be given up, the channel is of no use any more.
    writing: bool,
}

/// Why a channel did not carry a call.
enum Trouble {
    /// It was gone already; another may do.
    NothingSent,
    /// The call may have reached the plugin.
    Failed(SymbolError),
}

impl Pool {
    /// Listens, gives the start command, and waits for the first channel.
    async fn start(symbol: &str, worker: &Arc<Worker>) -> Result<Arc<Self>, SymbolError> {
        let path = worker.socket(&format!("func_{symbol}.ipc"))?;
        let listener =
            Listener::bind_with(&path, Protocol::Rep, worker.options()).map_err(|error| {
                SymbolError::io(format!("function {symbol} cannot listen: {error}"))
            })?;
        let pool = Arc::new(Self {
            worker: Arc::clone(worker),
            order: Order::function(symbol),
            idle: Semaphore::new(0),
            channels: Mutex::default(),
            count: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            restarting: AtomicBool::new(false),
            acceptor: Mutex::default(),
            aggregate: OnceCell::new(),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::downgrade(&pool)));
        *pool.acceptor.lock() = Some(acceptor.abort_handle());
        let opened = pool.open(symbol).await;
        if opened.is_err() {
            // The socket's name is free again when this returns, so that it can be tried again.
            acceptor.abort();
            let _ = acceptor.await;
        }
        opened.map(|()| pool)
    }

    async fn open(&self, symbol: &str) -> Result<(), SymbolError> {
        self.worker.command(self.order.start()).await?;
        // The SDKs dial before they answer, so this is a matter of moments.
        let patience = self.worker.options().handshake_timeout;
        match timeout(patience, self.idle.acquire()).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(SymbolError::timeout(format!(
                "function {symbol} was started, but did not open its channel"
            ))),
        }
    }

    /// Resolves when no call is under way.
    pub(crate) async fn quiet(&self) {
        while self.busy.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Takes in the handshakes that idle channels received and notices those that ended.
    pub(crate) fn tend(self: &Arc<Self>) {
        for _ in 0..self.idle.available_permits() {
            let Some(mut borrowed) = self.try_borrow() else {
                return;
            };
            if let Some(channel) = &mut borrowed.channel
                && !channel.take_in()
            {
                borrowed.lose();
            }
        }
    }

    fn try_borrow(self: &Arc<Self>) -> Option<Borrowed> {
        self.idle.try_acquire().ok()?.forget();
        self.take()
    }

    async fn borrow(self: &Arc<Self>) -> Option<Borrowed> {
        self.idle.acquire().await.ok()?.forget();
        self.take()
    }

    fn take(self: &Arc<Self>) -> Option<Borrowed> {
        let channel = self.channels.lock().pop_front()?;
        self.busy.fetch_add(1, Ordering::AcqRel);
        Some(Borrowed {
            pool: Arc::clone(self),
            channel: Some(channel),
        })
    }

    fn give(&self, channel: Channel) {
        self.channels.lock().push_back(channel);
        self.idle.add_permits(1);
    }

    /// A channel ended. The Python SDK does not open another by itself (HOST-14).
    fn lost(self: &Arc<Self>) {
        let left = self.count.fetch_sub(1, Ordering::AcqRel) - 1;
        if left > 0 || self.restarting.swap(true, Ordering::AcqRel) {
            return;
        }
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(RESTART_PAUSE).await;
                let Some(pool) = pool.upgrade() else { return };
                let needless = pool.count.load(Ordering::Acquire) > 0
                    || pool.worker.is_ending()
                    || pool.worker.process.try_wait().is_some();
                if needless || pool.worker.command(pool.order.start()).await.is_ok() {
                    pool.restarting.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor.get_mut().take() {
            acceptor.abort();
        }
    }
}

/// Takes in channels as the process opens them, the first and those after a reconnect.
async fn accept(mut listener: Listener, pool: std::sync::Weak<Pool>) {
    loop {
        let Ok(connection) = listener.accept().await else {
            continue;
        };
        let Some(pool) = pool.upgrade() else { return };
        if !is_ours(&connection) || pool.count.load(Ordering::Acquire) >= CHANNELS {
            tracing::warn!("Turned away a peer on a function channel");
            continue;
        }
        let Ok(connection) = connection.into_rep() else {
            continue;
        };
        pool.count.fetch_add(1, Ordering::AcqRel);
        pool.give(Channel {
            connection,
            tokens: Tokens::default(),
            used: Instant::now(),
            writing: false,
        });
    }
}

impl Channel {
    /// Takes in what has come without waiting; false when the channel has ended.
    fn take_in(&mut self) -> bool {
        loop {
            match self.connection.recv().now_or_never() {
                Some(Ok(Some(request))) => {
                    self.tokens.receive(request);
                }
                Some(_) => return false,
                None => return true,
            }
        }
    }
}

/// A channel on loan. Dropped in the middle of a call, it goes back when the late result has come.
struct Borrowed {
    pool: Arc<Pool>,
    channel: Option<Channel>,
}

impl Borrowed {
    async fn call(&mut self, request: &[u8]) -> Result<Bytes, Trouble> {
        let outcome = self.try_call(request).await;
        if matches!(outcome, Err(Trouble::NothingSent)) {
            self.lose();
        }
        outcome
    }

    async fn try_call(&mut self, request: &[u8]) -> Result<Bytes, Trouble> {
        let Some(channel) = &mut self.channel else {
            return Err(Trouble::NothingSent);
        };
        if channel.used.elapsed() > STALE_AFTER && !channel.take_in() {
            return Err(Trouble::NothingSent);
        }
        let mut token = loop {
            if let Some(token) = channel.tokens.issue() {
                break token;
            }
            match channel.connection.recv().await {
                Ok(Some(request)) => {
                    channel.tokens.receive(request);
                }
                _ => return Err(Trouble::NothingSent),
            }
        };
        let mut first = true;
        loop {
            channel.writing = true;
            match channel.connection.reply(&token, request).await {
                Ok(()) => channel.writing = false,
                Err(SendError::TooLong { length, limit }) => {
                    channel.writing = false;
                    channel.tokens.give_up();
                    return Err(Trouble::Failed(SymbolError::refused(format!(
                        "the arguments have {length} bytes, and plugins written in Go take at most {limit}"
                    ))));
                }
                Err(_) if first => return Err(Trouble::NothingSent),
                Err(_) => return Err(Trouble::Failed(self.ended())),
            }
            first = false;
            token = loop {
                match channel.connection.recv().await {
                    Ok(Some(request)) => match channel.tokens.receive(request) {
                        Event::Result(body) => {
                            channel.used = Instant::now();
                            return Ok(body);
                        }
                        Event::Again(token) => break token,
                        Event::Idle => {}
                    },
                    _ => return Err(Trouble::Failed(self.ended())),
                }
            };
        }
    }

    /// The channel ended during a call.
    fn ended(&mut self) -> SymbolError {
        self.lose();
        let name = &self.pool.worker.launch.manifest.name;
        let process = match self.pool.worker.process.try_wait() {
            Some(exit) => format!("its process ended ({})", crate::process::describe(&exit)),
            None => "it closed the function's channel".to_owned(),
        };
        SymbolError::io(format!("plugin {name} did not finish the call: {process}"))
    }

    fn lose(&mut self) {
        if self.channel.take().is_some() {
            self.pool.busy.fetch_sub(1, Ordering::AcqRel);
            self.pool.lost();
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Some(mut channel) = self.channel.take() else {
            return;
        };
        if !channel.tokens.in_flight() {
            self.pool.busy.fetch_sub(1, Ordering::AcqRel);
            self.pool.give(channel);
            return;
        }
        let pool = Arc::clone(&self.pool);
        if channel.writing {
            pool.busy.fetch_sub(1, Ordering::AcqRel);
            drop(channel);
            pool.lost();
            return;
        }
        // The caller has gone; the plugin is still at it (HOST-31).
        tokio::spawn(async move {
            loop {
                match channel.connection.recv().await {
                    Ok(Some(request)) => match channel.tokens.receive(request) {
                        Event::Result(_) => break,
                        // It never got the call, which nobody wants any more.
                        Event::Again(_) => {
                            channel.tokens.give_up();
                            break;
                        }
                        Event::Idle => {}
                    },
                    _ => {
                        pool.busy.fetch_sub(1, Ordering::AcqRel);
                        drop(channel);
                        pool.lost();
                        return;
                    }
                }
            }
            channel.used = Instant::now();
            pool.busy.fetch_sub(1, Ordering::AcqRel);
            pool.give(channel);
        });
    }
}

/// What a plugin answers to a call.
#[derive(Deserialize)]
struct Answer<'a> {
    state: bool,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

/// A function as the catalogue hands it out.
#[derive(Debug)]
pub(crate) struct PortableFunction {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) symbol: String,
}

impl PortableFunction {
    async fn ask(&self, request: &[u8]) -> Result<Bytes, SymbolError> {
        let instance = self.plugin.function(&self.symbol).await?;
        self.plugin.exchanged(instance.exchange(request).await)
    }
}

#[async_trait]
impl FunctionSymbol for PortableFunction {
    async fn validate(&self, arguments: usize) -> Result<(), SymbolError> {
        // Only the number means anything to a plugin: upstream sends a dump of its syntax tree here.
        let list = (0..arguments)
            .map(|n| format!(r#"{{"expr":"${n}"}}"#))
            .collect::<Vec<_>>()
            .join(",");
        let body = self
            .ask(format!(r#"{{"func":"Validate","arg":[{list}]}}"#).as_bytes())
            .await?;
        let answer = read(&self.symbol, &body)?;
        if answer.state {
            return Ok(());
        }
        Err(SymbolError::refused(
            failure_text(answer.result).unwrap_or_else(|| "refused".into()),
        ))
    }

    async fn is_aggregate(&self) -> Result<bool, SymbolError> {
        let instance = self.plugin.function(&self.symbol).await?;
        let ask = || async {
            let body = self.ask(br#"{"func":"IsAggregate","arg":null}"#).await?;
            let answer = read(&self.symbol, &body)?;
            let text = answer.result.map_or("null", RawValue::get);
            match (answer.state, text) {
                (true, "true") => Ok(true),
                (true, "false" | "null") => Ok(false),
                _ => Err(SymbolError::refused(format!(
                    "function {} did not say whether it is an aggregate: {text}",
                    self.symbol
                ))),
            }
        };
        match instance.pool() {
            Some(pool) => pool.aggregate.get_or_try_init(ask).await.copied(),
            None => ask().await,
        }
    }

    fn bind(&self, site: CallSite) -> Arc<dyn BoundFunction> {
        #[derive(Serialize)]
        struct Context<'a> {
            #[serde(rename = "ruleId")]
            rule: &'a str,
            #[serde(rename = "opId")]
            op: &'a str,
            #[serde(rename = "instanceId")]
            instance: u32,
            #[serde(rename = "funcId")]
            function: u32,
        }
        let context = Context {
            rule: &site.node.rule_id,
            op: &site.node.op_id,
            instance: site.node.instance_id,
            function: site.func_id,
        };
        let context = serde_json::to_string(&context).expect("texts and numbers can be written");
        let mut end = serde_json::to_string(&context).expect("a text can be written");
        end.push_str("]}");
        Arc::new(Bound {
            plugin: Arc::clone(&self.plugin),
            symbol: self.symbol.clone(),
            instance: OnceCell::new(),
            end,
        })
    }
}

/// A function at one place of one rule.
struct Bound {
    plugin: Arc<Plugin>,
    symbol: String,
    instance: OnceCell<Arc<FunctionInstance>>,
    /// The context argument and the end of the request.
    end: String,
}

#[async_trait]
impl BoundFunction for Bound {
    async fn call(&self, arguments: &[Value]) -> Result<Option<Value>, SymbolError> {
        let instance = self
            .instance
            .get_or_try_init(|| self.plugin.function(&self.symbol))
            .await?;
        let request = request(arguments, &self.end)?;
        let body = self.plugin.exchanged(instance.exchange(&request).await)?;
        let answer = read(&self.symbol, &body)?;
        if !answer.state {
            // "No value" rather than an error.
            return failure_text(answer.result)
                .map_or(Ok(None), |text| Err(SymbolError::refused(text)));
        }
        Ok(Some(match answer.result {
            None => Value::Null,
            Some(result) if result.get() == "null" => Value::Null,
            Some(result) => Value::Json(JsonText::within(&body, result)),
        }))
    }
}

/// The bytes of a call: arguments that are still text are passed on as they are.
fn request(arguments: &[Value], end: &str) -> Result<Vec<u8>, SymbolError> {
    let mut request = Vec::with_capacity(64 + end.len() + 32 * arguments.len());
    request.extend_from_slice(br#"{"func":"Exec","arg":["#);
    for argument in arguments {
        match argument {
            Value::Json(text) => request.extend_from_slice(text.as_bytes()),
            Value::Int(number) => {
                write!(request, "{number}").map_err(|error| SymbolError::io(error.to_string()))?;
            }
            other => serde_json::to_writer(&mut request, other).map_err(|error| {
                SymbolError::refused(format!("an argument is no JSON: {error}"))
            })?,
        }
        request.push(b',');
    }
    request.extend_from_slice(end.as_bytes());
    Ok(request)
}

fn read<'a>(symbol: &str, body: &'a [u8]) -> Result<Answer<'a>, SymbolError> {
    serde_json::from_slice(body).map_err(|error| unreadable(symbol, &error))
}

fn unreadable(symbol: &str, error: &serde_json::Error) -> SymbolError {
    SymbolError::refused(format!(
        "the answer of function {symbol} cannot be read: {error}"
    ))
}

/// The words of a failed call: a text, or whatever else it is as JSON; `None` for null.
fn failure_text(result: Option<&RawValue>) -> Option<String> {
    let text = result.map(RawValue::get).filter(|text| *text != "null")?;
    let text = serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned());
    Some(useful_first(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_are_text_are_passed_on_as_they_are() {
        let raw = JsonText::parse(Bytes::from_static(br#"{"deep": [1,  2]}"#)).unwrap();
        let arguments = [
            Value::Json(raw),
            Value::Int(-7),
            Value::from("a\"b"),
            Value::Null,
            Value::from(true),
        ];
        let bytes = request(&arguments, r#""ctx"]}"#).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            r#"{"func":"Exec","arg":[{"deep": [1,  2]},-7,"a\"b",null,true,"ctx"]}"#
        );
        assert_eq!(
            request(&[], r#""ctx"]}"#).unwrap(),
            br#"{"func":"Exec","arg":["ctx"]}"#
        );
    }

    #[test]
    fn failures_speak_in_the_plugins_words() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let said = |text: &str| failure_text(Some(&raw(text)));
        assert_eq!(said(r#""no""#).as_deref(), Some("no"));
        assert_eq!(
            said(r#""Traceback\n  x\nKeyError: 'a'\n""#)
                .unwrap()
                .lines()
                .next(),
            Some("KeyError: 'a'")
        );
        assert_eq!(said("{}").as_deref(), Some("{}"));
        assert_eq!(said("null"), None);
        assert_eq!(failure_text(None), None);
    }
}
