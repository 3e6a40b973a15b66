//! Calls of functions: what a rule calls, and how a call becomes bytes and back.
//!
//! The channels that carry calls are those of a [`Pool`].

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use plugyard_symbol::{
    BoundFunction, CallSite, FunctionSymbol, JsonText, SymbolError, SymbolKind, Value,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, timeout_at};

use crate::command::useful_first;
use crate::host::Host;
use crate::plugin::{FunctionUse, Plugin};
use crate::pool::{Borrowed, Pool, Trouble};
use crate::process::seconds;
use crate::tally::Tally;

/// A function in use, whichever processes serve it at the moment.
#[derive(Debug)]
pub(crate) struct FunctionInstance {
    pub(crate) symbol: String,
    /// `None` while no process serves it; calls wait for one within their deadline.
    pool: watch::Sender<Option<Arc<Pool>>>,
    /// Why none will for the time being: then calls do not wait.
    gone: Mutex<Option<String>>,
    /// Of a call that has no process to go to yet.
    deadline: Duration,
    /// Calls that were answered.
    pub(crate) tally: Tally,
    /// Places of rules that use it, and questions about it that are under way.
    pub(crate) uses: AtomicUsize,
}

impl FunctionInstance {
    pub(crate) fn new(symbol: &str, deadline: Duration) -> Self {
        Self {
            symbol: symbol.to_owned(),
            pool: watch::Sender::new(None),
            gone: Mutex::default(),
            deadline,
            tally: Tally::default(),
            uses: AtomicUsize::new(0),
        }
    }

    /// Sends calls there from now on; those under way end where they began. Returns the pool before.
    pub(crate) fn switch(&self, pool: Option<Arc<Pool>>) -> Option<Arc<Pool>> {
        if pool.is_some() {
            *self.gone.lock() = None;
        }
        self.pool.send_replace(pool)
    }

    /// No process serves it until somebody does something about it: calls fail with `reason`.
    pub(crate) fn withdraw(&self, reason: &str) {
        *self.gone.lock() = Some(reason.to_owned());
        self.pool.send_replace(None);
    }

    /// The pool in use.
    pub(crate) fn pool(&self) -> Option<Arc<Pool>> {
        self.pool.borrow().clone()
    }

    /// Writes a request on a free channel and waits for the result.
    async fn exchange(&self, rule: &Arc<str>, request: &[u8]) -> Result<Bytes, Missed> {
        let pool = self.pool();
        let limit = pool.as_ref().map_or(self.deadline, |pool| pool.deadline());
        let mut since = Instant::now();
        let deadline = since + limit;
        let mut borrowed = pool.as_ref().and_then(Pool::try_borrow);
        // Not used any more where the first channel does, which is nearly always so.
        drop(pool);
        loop {
            let channel = match borrowed.take() {
                Some(channel) => channel,
                None => match timeout_at(deadline, self.borrow(rule)).await {
                    Ok(Ok(channel)) => {
                        since = Instant::now();
                        channel
                    }
                    Ok(Err(gone)) => return Err(Missed::Gone(gone)),
                    Err(_) => return Err(Missed::Late(self.why_busy())),
                },
            };
            match channel.call(rule, since, request, deadline).await {
                Ok(result) => {
                    self.tally.add(1);
                    return Ok(result);
                }
                Err(Trouble::Failed(error)) => return Err(Missed::Failed(error)),
                Err(Trouble::Late) => {
                    return Err(Missed::Late(Some(format!(
                        "function {} did not answer within {}",
                        self.symbol,
                        seconds(since.elapsed())
                    ))));
                }
                Err(Trouble::NothingSent) => {}
            }
        }
    }

    /// Why a call had to wait for a channel until its time was over.
    fn why_busy(&self) -> Option<String> {
        match self.pool() {
            Some(pool) => pool.why_busy(),
            None => Some(format!("no process serves function {}", self.symbol)),
        }
    }

    /// The next free channel of whichever pool is in use by then.
    async fn borrow(&self, rule: &str) -> Result<Borrowed, SymbolError> {
        let mut pools = self.pool.subscribe();
        loop {
            let pool = pools.borrow_and_update().clone();
            if pool.is_none()
                && let Some(reason) = &*self.gone.lock()
            {
                return Err(SymbolError::missing(reason));
            }
            let borrow = async {
                match &pool {
                    Some(pool) => pool.borrow(rule).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                borrowed = borrow => if let Some(borrowed) = borrowed {
                    return Ok(borrowed);
                },
                changed = pools.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
            }
        }
    }
}

/// Why a call has no result.
pub(crate) enum Missed {
    /// It could not be made, or the plugin did not finish it.
    Failed(SymbolError),
    /// No process serves the function until somebody does something about it.
    Gone(SymbolError),
    /// The deadline passed, with what is known of why.
    Late(Option<String>),
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
    pub(crate) host: Arc<Host>,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) symbol: String,
}

impl PortableFunction {
    async fn ask(&self, request: &[u8]) -> Result<Bytes, SymbolError> {
        let instance = self.plugin.function(&self.symbol).await?;
        self.plugin
            .exchanged(instance.exchange(&Arc::from(""), request).await)
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
        // eKuiper prints the whole answer, as Go does.
        let words = failure_text(answer.result).unwrap_or_else(|| "<nil>".into());
        Err(SymbolError::refused(format!(
            "validate return state is false, got &{{State:false Result:{words}}}"
        )))
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
            host: Arc::clone(&self.host),
            plugin: Arc::clone(&self.plugin),
            symbol: self.symbol.clone(),
            first: OnceCell::new(),
            end,
            rule: site.node.rule_id.into(),
            elsewhere: Mutex::default(),
        })
    }
}

/// The plugin that has a function, and the function in use there.
type Served = (Arc<Plugin>, FunctionUse);

/// A function at one place of one rule.
struct Bound {
    host: Arc<Host>,
    plugin: Arc<Plugin>,
    symbol: String,
    /// The plugin that had it at the first call.
    first: OnceCell<Served>,
    /// The context argument and the end of the request.
    end: String,
    /// Whose turn it is that its calls wait for.
    rule: Arc<str>,
    /// The function of another plugin that came in the place of one that is gone.
    elsewhere: Mutex<Option<Arc<Served>>>,
}

impl Bound {
    async fn exchange(&self, request: &[u8]) -> Result<Bytes, SymbolError> {
        let first = || async {
            let kind = SymbolKind::Function;
            let plugin = self.host.provider(kind, &self.symbol, &self.plugin)?;
            let instance = plugin.function(&self.symbol).await?;
            Ok::<_, SymbolError>((plugin, instance))
        };
        let (plugin, instance) = self.first.get_or_try_init(first).await?;
        match instance.exchange(&self.rule, request).await {
            Err(Missed::Gone(error)) => self.exchange_elsewhere(plugin, request, error).await,
            exchanged => plugin.exchanged(exchanged),
        }
    }

    /// The same with whichever plugin has the function now.
    async fn exchange_elsewhere(
        &self,
        first: &Arc<Plugin>,
        request: &[u8],
        gone: SymbolError,
    ) -> Result<Bytes, SymbolError> {
        let now = self.host.registry.find(SymbolKind::Function, &self.symbol);
        let mut elsewhere = self.elsewhere.lock().clone();
        if let Some(plugin) = now.filter(|plugin| !Arc::ptr_eq(plugin, first))
            && !elsewhere
                .as_ref()
                .is_some_and(|it| Arc::ptr_eq(&it.0, &plugin))
        {
            let instance = plugin.function(&self.symbol).await?;
            elsewhere = Some(Arc::new((plugin, instance)));
            self.elsewhere.lock().clone_from(&elsewhere);
        }
        let Some(elsewhere) = elsewhere else {
            return Err(gone);
        };
        let registry = &self.host.registry;
        if registry.was_last(SymbolKind::Function, &self.symbol, first) {
            return Err(gone);
        }
        let (plugin, instance) = &*elsewhere;
        plugin.exchanged(instance.exchange(&self.rule, request).await)
    }
}

#[async_trait]
impl BoundFunction for Bound {
    async fn call(&self, arguments: &[Value]) -> Result<Option<Value>, SymbolError> {
        let request = request(arguments, &self.end)?;
        let body = self.exchange(&request).await?;
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
