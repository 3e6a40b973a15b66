//! A service with its routes over a database of its own, and symbols that do as the test says.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body as HttpBody;
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use plugyard_flow::{Builtins, Clock, Combined, FlowService, RuleState, migrations, routes};
use plugyard_store::testing::{TestDatabase, sqlite};
use plugyard_symbol::{
    Body, BoundFunction, CallSite, Catalog, Connection, FunctionSymbol, JsonText, SinkHandle,
    SinkObserver, SinkRequest, SinkSymbol, SourceHandle, SourceInbox, SourceRequest, SourceSymbol,
    SymbolError, SymbolKind, Tuple, Value,
};
use serde_json::Value as Json;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// A time that stands still.
pub(crate) const NOW: i64 = 1_795_248_000_000;

pub(crate) struct TestClock(watch::Sender<i64>);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(NOW)))
    }

    /// Lets so many milliseconds pass.
    pub(crate) fn pass(&self, milliseconds: i64) {
        self.0.send_modify(|now| *now += milliseconds);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        *self.0.borrow()
    }

    fn sleep_until(&self, at: i64) -> BoxFuture<'_, ()> {
        async move {
            let mut time = self.0.subscribe();
            let _ = time.wait_for(|now| *now >= at).await;
        }
        .boxed()
    }
}

/// What a test has in its hands.
pub(crate) struct App {
    pub(crate) service: FlowService,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) builtins: Builtins,
    pub(crate) database: TestDatabase,
    pub(crate) clock: Arc<TestClock>,
    /// What rules keep lies below it.
    pub(crate) home: tempfile::TempDir,
    router: Router,
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::over(sqlite().await).await
    }

    pub(crate) async fn over(database: TestDatabase) -> Self {
        database.database.migrate(migrations()).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        Self::again(database, Arc::new(Plugins::default()), home)
    }

    /// The program started once more over the same database.
    pub(crate) fn restarted(self, plugins: Arc<Plugins>) -> Self {
        Self::again(self.database, plugins, self.home)
    }

    fn again(database: TestDatabase, plugins: Arc<Plugins>, home: tempfile::TempDir) -> Self {
        let builtins = Builtins::new(None);
        let catalog = Combined::new(
            Arc::new(builtins.clone()),
            Arc::new(PluginsCatalog(plugins.clone())),
        );
        let clock = TestClock::new();
        let service = FlowService::with_clock(
            database.database.conn().clone(),
            Arc::new(catalog),
            clock.clone(),
        )
        .with_directories(home.path().join("cache"), home.path().join("logs"))
        .with_state_directory(home.path().join("state"));
        let (router, _) = routes(service.clone()).split_for_parts();
        Self {
            service,
            plugins,
            builtins,
            database,
            clock,
            home,
            router,
        }
    }

    /// With the stream `demo` of the plugin's source `pyjson`.
    pub(crate) async fn with_stream() -> Self {
        let app = Self::new().await;
        app.post(
            "/streams",
            r#"{"sql":"CREATE STREAM demo () WITH (TYPE=\"pyjson\", DATASOURCE=\"d\")"}"#,
        )
        .await
        .is(201, "Stream demo is created.");
        app
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        self.send_bytes(method, path, body.as_bytes()).await
    }

    pub(crate) async fn post_bytes(&self, path: &str, body: &[u8]) -> Answer {
        self.send_bytes(Method::POST, path, body).await
    }

    async fn send_bytes(&self, method: Method, path: &str, body: &[u8]) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(HttpBody::from(body.to_owned()))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .map_or(String::new(), |value| value.to_str().unwrap().to_owned())
        };
        let (content_type, options) = (header("content-type"), header("x-content-type-options"));
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer {
            status,
            content_type,
            options,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// The answer as it comes, for streams of events.
    pub(crate) async fn open(&self, path: &str) -> axum::response::Response {
        let request = Request::get(path).body(HttpBody::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.send(Method::PUT, path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "").await
    }

    /// Creates a rule and waits until it runs.
    pub(crate) async fn run(&self, json: Json) {
        let id = json["id"].as_str().unwrap().to_owned();
        self.post("/rules", &json.to_string())
            .await
            .is(201, &format!("Rule {id} was created successfully."));
        self.until_state(&id, RuleState::Running).await;
    }

    pub(crate) async fn until_state(&self, id: &str, state: RuleState) {
        until(&format!("rule {id} is {state:?}"), || {
            self.service.rule_state(id).unwrap() == state
        })
        .await;
    }

    /// A metric of a rule.
    pub(crate) fn metric(&self, id: &str, name: &str) -> Json {
        let status = self.service.rule_status(id).unwrap();
        status
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not among {:?}", status.keys()))
            .clone()
    }

    pub(crate) fn count(&self, id: &str, name: &str) -> u64 {
        self.metric(id, name).as_u64().unwrap()
    }
}

/// Waits for something to become true.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .is_ok(),
        "waited in vain: {what}"
    );
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) options: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (status, body));
    }

    /// An error in eKuiper's envelope.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, code: u16, message: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.content_type, "text/plain; charset=utf-8");
        assert_eq!(self.options, "nosniff");
        assert!(self.body.ends_with("}\n"), "{:?}", self.body);
        let error: Json = serde_json::from_str(&self.body).unwrap();
        let expected = serde_json::json!({ "error": code, "message": message });
        assert_eq!(error, expected);
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        assert_eq!(self.content_type, "application/json");
        assert!(!self.body.ends_with('\n'));
        serde_json::from_str(&self.body).unwrap()
    }
}

/// How a symbol answers its next starts.
#[derive(Clone)]
pub(crate) enum Starts {
    Well,
    Fails(SymbolError),
}

/// The plugins' catalogue: source `pyjson`, sinks `print`, `gated`, `acked` (the same, but it says of each message
/// when it has taken it), `moody`, `broken`, functions `revert`, `fail`,
/// `none`, `hold`, `total` (an aggregate).
pub(crate) struct Plugins {
    missing: Mutex<Vec<&'static str>>,
    pub(crate) source_starts: Mutex<Starts>,
    pub(crate) sink_starts: Mutex<Starts>,
    sources: Mutex<HashMap<String, Arc<dyn SourceInbox>>>,
    pub(crate) source_requests: Mutex<Vec<SourceRequest>>,
    pub(crate) sink_requests: Mutex<Vec<SinkRequest>>,
    pub(crate) sites: Mutex<Vec<CallSite>>,
    /// What was delivered, with the sink's `op_id`.
    pub(crate) delivered: Mutex<Vec<(String, String)>>,
    /// What `moody` says to messages, if not that they are delivered.
    pub(crate) mood: Mutex<Option<SymbolError>>,
    /// How many messages `gated` and `acked` may still take.
    pub(crate) gate: Semaphore,
    /// Functions do not answer any more.
    pub(crate) silent: AtomicBool,
    /// The arguments that `hold` was called with.
    pub(crate) called: Mutex<Vec<i64>>,
    /// Those of them that it answers.
    pub(crate) answers: watch::Sender<Vec<i64>>,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            missing: Mutex::default(),
            source_starts: Mutex::new(Starts::Well),
            sink_starts: Mutex::new(Starts::Well),
            sources: Mutex::default(),
            source_requests: Mutex::default(),
            sink_requests: Mutex::default(),
            sites: Mutex::default(),
            delivered: Mutex::default(),
            mood: Mutex::default(),
            gate: Semaphore::new(0),
            silent: AtomicBool::new(false),
            called: Mutex::default(),
            answers: watch::Sender::default(),
        }
    }
}

impl Plugins {
    /// As if the plugin with this symbol were not installed.
    pub(crate) fn without(symbol: &'static str) -> Arc<Self> {
        let plugins = Self::default();
        plugins.missing.lock().push(symbol);
        Arc::new(plugins)
    }

    /// As a catalogue.
    pub(crate) fn catalog(self: Arc<Self>) -> Arc<dyn Catalog> {
        Arc::new(PluginsCatalog(self))
    }

    /// Installs what was missing.
    pub(crate) fn install(&self) {
        self.missing.lock().clear();
    }

    /// Lets the source of a rule emit.
    pub(crate) fn emit(&self, rule: &str, json: &str) {
        self.inbox(rule).offer(tuple(json));
    }

    pub(crate) fn inbox(&self, rule: &str) -> Arc<dyn SourceInbox> {
        self.sources.lock()[rule].clone()
    }

    pub(crate) fn delivered(&self) -> Vec<String> {
        let delivered = self.delivered.lock();
        delivered
            .iter()
            .map(|(_, message)| message.clone())
            .collect()
    }

    /// Lets `hold` answer these, and all that it was let answer before.
    pub(crate) fn answer(&self, numbers: &[i64]) {
        self.answers.send_modify(|answers| answers.extend(numbers));
    }

    /// Waits until so many messages have been delivered.
    pub(crate) async fn until_delivered(&self, count: usize) -> Vec<String> {
        until(&format!("{count} messages delivered"), || {
            self.delivered.lock().len() >= count
        })
        .await;
        self.delivered()
    }

    fn has(&self, name: &str, names: &[&str]) -> bool {
        names.contains(&name) && !self.missing.lock().contains(&name)
    }
}

pub(crate) fn tuple(json: &str) -> Tuple {
    Tuple {
        body: Body::from_json_object(json.as_bytes().to_vec().into()).unwrap(),
        meta: Some(JsonText::parse(br#"{"topic":"t"}"#.to_vec().into()).unwrap()),
        received_at: NOW,
    }
}

const SOURCES: &[&str] = &["pyjson"];
const SINKS: &[&str] = &["acked", "broken", "gated", "moody", "print"];
const FUNCTIONS: &[&str] = &["fail", "hold", "none", "revert", "total"];

/// The catalogue and its symbols share what the test looks at.
#[derive(Clone)]
struct Symbol {
    plugins: Arc<Plugins>,
    name: String,
}

impl Catalog for PluginsCatalog {
    fn source(&self, name: &str) -> Option<Arc<dyn SourceSymbol>> {
        self.symbol(name, SOURCES).map(|it| Arc::new(it) as _)
    }

    fn sink(&self, name: &str) -> Option<Arc<dyn SinkSymbol>> {
        self.symbol(name, SINKS).map(|it| Arc::new(it) as _)
    }

    fn function(&self, name: &str) -> Option<Arc<dyn FunctionSymbol>> {
        self.symbol(name, FUNCTIONS).map(|it| Arc::new(it) as _)
    }

    fn names(&self, kind: SymbolKind) -> Vec<String> {
        let names = match kind {
            SymbolKind::Source => SOURCES,
            SymbolKind::Sink => SINKS,
            SymbolKind::Function => FUNCTIONS,
        };
        names
            .iter()
            .filter(|name| self.0.has(name, names))
            .map(|&name| name.to_owned())
            .collect()
    }
}

struct PluginsCatalog(Arc<Plugins>);

impl PluginsCatalog {
    fn symbol(&self, name: &str, names: &[&str]) -> Option<Symbol> {
        self.0.has(name, names).then(|| Symbol {
            plugins: self.0.clone(),
            name: name.to_owned(),
        })
    }
}

#[async_trait]
impl SourceSymbol for Symbol {
    async fn start(
        &self,
        request: SourceRequest,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError> {
        if let Starts::Fails(error) = self.plugins.source_starts.lock().clone() {
            return Err(error);
        }
        inbox.connection(Connection::Connected);
        let rule = request.node.rule_id.clone();
        self.plugins.sources.lock().insert(rule, inbox);
        self.plugins.source_requests.lock().push(request);
        Ok(Box::new(Running))
    }
}

struct Running;

#[async_trait]
impl SourceHandle for Running {
    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        Ok(())
    }
}

#[async_trait]
impl SinkSymbol for Symbol {
    async fn start(
        &self,
        request: SinkRequest,
        observer: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError> {
        if let Starts::Fails(error) = self.plugins.sink_starts.lock().clone() {
            return Err(error);
        }
        observer.connection(Connection::Connected);
        let op_id = request.node.op_id.clone();
        self.plugins.sink_requests.lock().push(request);
        Ok(Box::new(RunningSink {
            symbol: self.clone(),
            op_id,
        }))
    }
}

struct RunningSink {
    symbol: Symbol,
    op_id: String,
}

#[async_trait]
impl SinkHandle for RunningSink {
    async fn send(&mut self, message: Bytes) -> Result<(), SymbolError> {
        let plugins = &self.symbol.plugins;
        match self.symbol.name.as_str() {
            "broken" => return Err(SymbolError::io("the pipe is broken")),
            "moody" => {
                if let Some(error) = plugins.mood.lock().clone() {
                    return Err(error);
                }
            }
            "gated" | "acked" => plugins.gate.acquire().await.unwrap().forget(),
            _ => {}
        }
        let text = String::from_utf8(message.to_vec()).unwrap();
        plugins.delivered.lock().push((self.op_id.clone(), text));
        Ok(())
    }

    async fn send_each(
        &mut self,
        messages: Vec<Bytes>,
        told: &mut (dyn FnMut(Vec<Result<(), SymbolError>>) + Send),
    ) {
        if self.symbol.name != "acked" {
            return told(self.send_many(messages).await);
        }
        for message in messages {
            told(vec![self.send(message).await]);
        }
    }

    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        Ok(())
    }
}

#[async_trait]
impl FunctionSymbol for Symbol {
    async fn validate(&self, arguments: usize) -> Result<(), SymbolError> {
        if self.plugins.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if arguments == 1 {
            return Ok(());
        }
        Err(SymbolError::refused(format!(
            "validate return state is false, got &{{State:false Result:{} function only supports 1 parameter but got {arguments}}}",
            self.name
        )))
    }

    async fn is_aggregate(&self) -> Result<bool, SymbolError> {
        Ok(self.name == "total")
    }

    fn bind(&self, site: CallSite) -> Arc<dyn BoundFunction> {
        self.plugins.sites.lock().push(site);
        Arc::new(self.clone())
    }
}

#[async_trait]
impl BoundFunction for Symbol {
    async fn call(&self, arguments: &[Value]) -> Result<Option<Value>, SymbolError> {
        // As if over a wire.
        tokio::task::yield_now().await;
        match (self.name.as_str(), arguments[0].decoded().as_ref()) {
            ("none", _) => Ok(None),
            // Answers when it is told to: the argument is the permit that it waits for.
            ("hold", Value::Int(number)) => {
                self.plugins.called.lock().push(*number);
                let number = *number;
                self.plugins
                    .answers
                    .subscribe()
                    .wait_for(|answers| answers.contains(&number))
                    .await
                    .map_err(|error| SymbolError::io(error.to_string()))?;
                Ok(Some(Value::Int(number)))
            }
            ("revert", Value::Text(text)) => {
                let reverted: String = text.chars().rev().collect();
                Ok(Some(reverted.as_str().into()))
            }
            // An aggregate: its argument is the list of the group's values.
            ("total", Value::List(values)) => Ok(Some(Value::Int(
                values
                    .iter()
                    .map(|value| match value.decoded().as_ref() {
                        Value::Int(number) => *number,
                        _ => 0,
                    })
                    .sum(),
            ))),
            (name, other) => Err(SymbolError::refused(format!("{name} cannot do {other:?}"))),
        }
    }
}
