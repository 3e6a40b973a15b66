//! Sources, sinks and functions as their users see them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value as Json};

use crate::{SymbolError, Tuple, Value};

/// The three name spaces of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SymbolKind {
    /// Brings tuples in.
    Source,
    /// Takes encoded rows out.
    Sink,
    /// Computes a value.
    Function,
}

/// Which instance in which rule: eKuiper's *meta* triple, which also names its sockets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeId {
    /// The rule; for a shared stream `$$subtopo_{stream}`.
    pub rule_id: String,
    /// The operator: the stream's name for a source, `{sink}_{index}` for a sink, `2_project` for a function.
    pub op_id: String,
    /// Always 0 for plugins: the Go SDK ignores any other when it builds socket paths.
    pub instance_id: u32,
}

/// What a source is started with.
#[derive(Debug, Clone)]
pub struct SourceRequest {
    /// Which instance.
    pub node: NodeId,
    /// The stream's DATASOURCE; may be empty.
    pub datasource: String,
    /// The stream's CONF_KEY: which section of the provider's own configuration applies.
    pub conf_key: Option<String>,
    /// What the stream sets on top of it (EXTRA and the fixed keys), in the order of precedence.
    pub config: Map<String, Json>,
}

/// What a sink is started with.
#[derive(Debug, Clone)]
pub struct SinkRequest {
    /// Which instance.
    pub node: NodeId,
    /// The action's properties exactly as the rule has them.
    pub properties: Map<String, Json>,
}

/// How a source or sink stands to the outside; the numbers are eKuiper's `connection_status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// −1: broken, with the reason.
    Disconnected(String),
    /// 0: being established.
    Connecting,
    /// 1: established.
    Connected,
}

/// Where a running source puts what it has. Implemented by the user of the source.
#[async_trait]
pub trait SourceInbox: Send + Sync {
    /// Takes a tuple without ever waiting; when the queue is full the oldest one is dropped and counted.
    ///
    /// For sources that must not be stalled (plugins, HOST-24).
    fn offer(&self, tuple: Tuple);
    /// Takes several as [`offer`](Self::offer) takes one, leaving `tuples` empty; cheaper than one by one.
    fn offer_all(&self, tuples: &mut Vec<Tuple>) {
        for tuple in tuples.drain(..) {
            self.offer(tuple);
        }
    }
    /// Whether whoever takes tuples out has nothing else to do. Where it has, a source may let messages
    /// gather for a moment, so that they cost one wake-up together.
    fn is_waiting(&self) -> bool {
        true
    }
    /// Resolves when [`is_waiting`](Self::is_waiting) is true.
    async fn waiting(&self) {}
    /// Takes a tuple, waiting for room: for sources that can push back.
    async fn push(&self, tuple: Tuple);
    /// Takes several as [`push`](Self::push) takes one, in order.
    async fn push_all(&self, tuples: Vec<Tuple>) {
        for tuple in tuples {
            self.push(tuple).await;
        }
    }
    /// Records an error of the source as an exception of its node.
    fn exception(&self, error: SymbolError);
    /// Records a change of the connection.
    fn connection(&self, connection: Connection);
}

/// Where a running sink reports what happens between sends. Implemented by the user of the sink.
pub trait SinkObserver: Send + Sync {
    /// Records an error as an exception of the node.
    fn exception(&self, error: SymbolError);
    /// Records a change of the connection.
    fn connection(&self, connection: Connection);
}

/// A kind of source that can be started any number of times.
#[async_trait]
pub trait SourceSymbol: Send + Sync {
    /// Whether its instances wait where a rule has no room ([`SourceInbox::push`]). A rule over such a
    /// source drops nothing by itself.
    fn can_wait(&self) -> bool {
        false
    }
    /// Whether an instance could be started there, as far as that can be told without starting it.
    ///
    /// # Errors
    /// Why not, for whoever makes the rule.
    fn check(&self, _node: &NodeId) -> Result<(), SymbolError> {
        Ok(())
    }
    /// Starts an instance. Tuples and troubles go to `inbox` until the handle is stopped.
    ///
    /// # Errors
    /// When the source cannot be started now; a started source that breaks later recovers by itself
    /// and tells the inbox.
    async fn start(
        &self,
        request: SourceRequest,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError>;
}

/// A running source.
#[async_trait]
pub trait SourceHandle: Send + Sync {
    /// Stops it. When this returns, everything the source had sent has been offered to the inbox.
    async fn stop(self: Box<Self>) -> Result<(), SymbolError>;
}

/// A kind of sink that can be started any number of times.
#[async_trait]
pub trait SinkSymbol: Send + Sync {
    /// Whether an instance could be started like that, as far as that can be told without starting it.
    ///
    /// # Errors
    /// Why not, for whoever makes the rule.
    fn check(&self, _request: &SinkRequest) -> Result<(), SymbolError> {
        Ok(())
    }
    /// Starts an instance.
    ///
    /// # Errors
    /// When the sink cannot be started now.
    async fn start(
        &self,
        request: SinkRequest,
        observer: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError>;
}

/// A running sink.
#[async_trait]
pub trait SinkHandle: Send + Sync {
    /// Delivers one encoded message; returns when it is delivered (acknowledged, where that was asked for).
    ///
    /// # Errors
    /// [`crate::ErrorClass::Io`] when trying again may help; the message was then not delivered, or not known to be.
    async fn send(&mut self, message: Bytes) -> Result<(), SymbolError>;

    /// Delivers several messages in order, one result for each; may be faster than one by one.
    async fn send_many(&mut self, messages: Vec<Bytes>) -> Vec<Result<(), SymbolError>> {
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            results.push(self.send(message).await);
        }
        results
    }

    /// As [`send_many`](Self::send_many), but tells what is known while it goes on: `told` gets the results in
    /// order, in one portion or in several. For sinks that wait long for an answer to each message.
    async fn send_each(
        &mut self,
        messages: Vec<Bytes>,
        told: &mut (dyn FnMut(Vec<Result<(), SymbolError>>) + Send),
    ) {
        told(self.send_many(messages).await);
    }

    /// Stops it after what was sent has been taken, within the provider's bound.
    async fn stop(self: Box<Self>) -> Result<(), SymbolError>;
}

/// Where in which statement a function is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallSite {
    /// Rule and operator.
    pub node: NodeId,
    /// Zero-based index of the call inside the statement.
    pub func_id: u32,
}

/// A function that SQL can call.
#[async_trait]
pub trait FunctionSymbol: Send + Sync {
    /// Whether it accepts so many arguments; asked once when a rule is planned.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Refused`] with the function's own words when it does not.
    async fn validate(&self, arguments: usize) -> Result<(), SymbolError>;
    /// Whether each argument is the list of values of a group.
    async fn is_aggregate(&self) -> Result<bool, SymbolError>;
    /// Prepares the calls of one place in one rule.
    fn bind(&self, site: CallSite) -> Arc<dyn BoundFunction>;
}

/// A function bound to a place in a rule.
#[async_trait]
pub trait BoundFunction: Send + Sync {
    /// Calls it. `None` is "no value": the column is left out.
    ///
    /// # Errors
    /// In the function's words; the message is then dropped by the rule and counted.
    async fn call(&self, arguments: &[Value]) -> Result<Option<Value>, SymbolError>;
}

/// A plugin that has a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub plugin: String,
    /// Its version as people know it; may be empty.
    pub version: String,
}

/// Finds symbols by name. Names are case-sensitive.
///
/// The answer may change at any time: plugins come and go.
pub trait Catalog: Send + Sync {
    /// The source of that name.
    fn source(&self, name: &str) -> Option<Arc<dyn SourceSymbol>>;
    /// The sink of that name.
    fn sink(&self, name: &str) -> Option<Arc<dyn SinkSymbol>>;
    /// The function of that name.
    fn function(&self, name: &str) -> Option<Arc<dyn FunctionSymbol>>;
    /// All names of a kind, sorted: for suggestions.
    fn names(&self, kind: SymbolKind) -> Vec<String>;
    /// Why a symbol that is known by that name cannot be had at the moment, and what to do about it; nothing
    /// when it is there or was never heard of.
    fn absence(&self, _kind: SymbolKind, _name: &str) -> Option<String> {
        None
    }
    /// Which plugin has a symbol; nothing for one that is built in or not there.
    fn provider(&self, _kind: SymbolKind, _name: &str) -> Option<Provider> {
        None
    }
}
