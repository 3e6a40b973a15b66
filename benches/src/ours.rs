//! The product's side: the real host with its sandboxed processes, and the real rules, as libraries.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use async_trait::async_trait;
use bytes::Bytes;
use plugyard_archive::{Policy, Zip, pack_to_file};
use plugyard_flow::{Builtins, Combined, FlowService};
use plugyard_model::{Digest, InstallationId, KindId, OperationId, PluginName, VersionId, Wanted};
use plugyard_platform::kind::{Action, Change, Packages, StepCx, StepError, Version};
use plugyard_platform::{Home, Kind};
use plugyard_portable::{PortableHost, PortableSettings, RestartSettings, Span};
use plugyard_store::{Database, DatabaseUrl};
use plugyard_symbol::{
    BoundFunction, CallSite, Catalog, Connection, FunctionSymbol, NodeId, SinkHandle, SinkObserver,
    SinkRequest, SinkSymbol, SourceHandle, SourceInbox, SourceRequest, SourceSymbol, SymbolError,
    SymbolKind, Tuple,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::plugins::Plugin;

/// A process, told from another that got its number later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: i32,
    /// In clock ticks after the boot.
    started: u64,
}

impl Process {
    /// The process that has that number now.
    pub fn of(pid: i32) -> Option<Self> {
        let started = Self::started(pid)?;
        Some(Self { pid, started })
    }

    /// Whether it has not ended; one that nobody waited for has.
    pub fn lives(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    fn started(pid: i32) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything, fields 3 and 22.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok();
        started.filter(|_| state != "Z")
    }
}

/// A server's inside: host, database and rules in a home of their own.
pub struct Ours {
    home: TempDir,
    kind: Arc<dyn Kind>,
    host: PortableHost,
    catalog: Arc<dyn Catalog>,
    flow: FlowService,
    builtins: Arc<Builtins>,
    counting: Arc<Counting>,
    installed: Mutex<HashMap<String, (Version, PathBuf)>>,
    /// The database, with every commit on disk before it is answered.
    pub database: Database,
}

impl std::fmt::Debug for Ours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ours").finish_non_exhaustive()
    }
}

impl Ours {
    /// Makes everything; no plugin yet.
    ///
    /// # Errors
    /// When the home or its database cannot be made.
    pub async fn new(python: &Path) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let home = Home::new(directory.path());
        let settings = PortableSettings {
            python_bin: Some(python.to_string_lossy().into_owned()),
            restart: RestartSettings {
                reset_after: Span::secs(5),
                ..RestartSettings::default()
            },
            ..PortableSettings::default()
        };
        let host = PortableHost::new(settings, home.clone());
        let database = Database::open(&DatabaseUrl::sqlite(home.database())).await?;
        database.migrate(plugyard_flow::migrations()).await?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let builtins = Builtins::new(Some(home.data().join("files"))).with_push_address(address);
        let builtins = Arc::new(builtins);
        let counting = Arc::new(Counting::default());
        let plugins = Arc::new(Combined::new(counting.clone(), host.catalog()));
        let catalog = Arc::new(Combined::new(builtins.clone(), plugins));
        let flow = FlowService::new(database.conn().clone(), catalog.clone());
        let kind = host.kind();
        kind.resume(&[]).await;
        Ok(Self {
            home: directory,
            kind,
            host,
            catalog,
            flow,
            builtins,
            counting,
            installed: Mutex::default(),
            database,
        })
    }

    /// Installs a plugin by the kind's own steps; how long they took.
    ///
    /// # Errors
    /// When the package is refused or a step fails.
    pub async fn install(&self, plugin: &Plugin) -> Result<Duration> {
        self.install_with(plugin, json!({})).await
    }

    /// [`install`](Self::install) with options; over an installation of the same name it is an upgrade.
    ///
    /// # Errors
    /// As there.
    pub async fn install_with(&self, plugin: &Plugin, options: Json) -> Result<Duration> {
        let policy = Policy::default();
        let zip = self.home.path().join(format!("{}.zip", plugin.name));
        let packed = pack_to_file(&plugin.directory, &zip, &policy)?;
        let began = Instant::now();
        let package = Zip::open_path(&zip, &policy)?;
        let inspection = self.kind.inspect(&package, Some(&plugin.name));
        if inspection.has_errors() {
            bail!("the package is refused: {:?}", inspection.findings);
        }
        let version = Version {
            id: VersionId(Uuid::now_v7()),
            digest: packed.digest,
            label: String::new(),
            manifest: inspection.manifest,
            options,
        };
        self.change(&plugin.name, version, zip).await?;
        Ok(began.elapsed())
    }

    /// Puts new processes in the place of a plugin's, as an upgrade does.
    ///
    /// # Errors
    /// When it is not there, or a step fails.
    pub async fn swap(&self, plugin: &Plugin) -> Result<()> {
        let installed = self.installed().get(&plugin.name).cloned();
        let (version, zip) = installed.context("not installed")?;
        self.change(&plugin.name, version, zip).await
    }

    fn installed(&self) -> MutexGuard<'_, HashMap<String, (Version, PathBuf)>> {
        self.installed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn change(&self, name: &str, version: Version, zip: PathBuf) -> Result<()> {
        let current = self.installed().get(name).map(|it| it.0.clone());
        let (action, before) = match current {
            None => (Action::Install, Wanted::Stopped),
            Some(_) => (Action::Upgrade, Wanted::Running),
        };
        let change = Change {
            operation: OperationId(Uuid::now_v7()),
            installation: InstallationId(Uuid::now_v7()),
            plugin: PluginName::new(
                KindId::from_static("portable"),
                name.parse().map_err(|_| anyhow!("no key"))?,
            ),
            action,
            wanted_before: before,
            wanted_after: Wanted::Running,
            current,
            target: Some(version.clone()),
            keep_data: false,
            task: None,
            config: plugyard_platform::config::ConfigChange::default(),
            by: String::new(),
        };
        let plan = self
            .kind
            .plan(&change)
            .await
            .map_err(|problem| anyhow!("{problem:?}"))?;
        let cx = StepCx {
            change: Arc::new(change),
            home: Home::new(self.home.path()),
            packages: Arc::new(OnePackage(zip.clone())),
            log: Arc::new(|_| {}),
            cancelled: tokio_util::sync::CancellationToken::new(),
            reason: None,
        };
        for step in &plan.steps {
            self.kind
                .run(step, &cx)
                .await
                .with_context(|| format!("step {}", step.action))?;
        }
        self.installed().insert(name.to_owned(), (version, zip));
        Ok(())
    }

    /// Kills the first process of a plugin, and says which that was.
    ///
    /// # Errors
    /// When none runs.
    pub fn kill(&self, plugin: &Plugin) -> Result<Process> {
        let status = self.host.status(&plugin.name).context("not installed")?;
        let pid = status["pid"].as_u64().context("no process")?;
        let pid = i32::try_from(pid)?;
        let process = Process::of(pid).context("no process")?;
        kill_process(Pid::from_raw(pid).context("no process")?, Signal::KILL)?;
        Ok(process)
    }

    /// A function by its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn bind(&self, function: &str) -> Result<Arc<dyn BoundFunction>> {
        let function = self.catalog.function(function);
        Ok(function.context("no such function")?.bind(CallSite {
            node: node("2_project"),
            func_id: 0,
        }))
    }

    /// Starts a source by its name.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn open(
        &self,
        symbol: &str,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>> {
        let request = SourceRequest {
            node: node(symbol),
            datasource: String::new(),
            conf_key: None,
            config: Map::new(),
        };
        let source = self.catalog.source(symbol).context("no such source")?;
        Ok(source.start(request, inbox).await?)
    }

    /// Starts a sink by its name.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn drain(
        &self,
        symbol: &str,
        properties: Json,
        observer: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>> {
        let request = SinkRequest {
            node: node(symbol),
            properties: properties.as_object().cloned().unwrap_or_default(),
        };
        let sink = self.catalog.sink(symbol).context("no such sink")?;
        Ok(sink.start(request, observer).await?)
    }

    /// What a plugin keeps for itself.
    pub fn data(&self, plugin: &Plugin, file: &str) -> Option<PathBuf> {
        let name = format!("portable:{}", plugin.name).parse().ok()?;
        Some(Home::new(self.home.path()).plugin_data(&name).join(file))
    }

    /// Rules and streams.
    pub fn flow(&self) -> &FlowService {
        &self.flow
    }

    /// Where `httppush` listens.
    pub fn push_address(&self) -> SocketAddr {
        self.builtins.push_address()
    }

    /// Rows that the sink `count` has taken.
    pub fn counted(&self) -> u64 {
        self.counting.rows.load(Ordering::Relaxed)
    }

    /// The function of a plugin, bound to a place in a rule.
    ///
    /// # Errors
    /// When there is none.
    pub fn function(&self, plugin: &Plugin) -> Result<Arc<dyn BoundFunction>> {
        self.bind(&plugin.function())
    }

    /// Starts the source of a plugin.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn source(
        &self,
        plugin: &Plugin,
        counter: &Arc<Counter>,
    ) -> Result<Box<dyn SourceHandle>> {
        self.open(&plugin.source(), counter.clone()).await
    }

    /// Starts the sink of a plugin.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn sink(
        &self,
        plugin: &Plugin,
        counter: &Arc<Counter>,
    ) -> Result<Box<dyn SinkHandle>> {
        self.drain(&plugin.sink(), json!({}), counter.clone()).await
    }

    /// Creates a rule from a plugin's source to its sink, with `column` computed, and starts it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn rule(&self, plugin: &Plugin, column: &str) -> Result<Rule<'_>> {
        let stream = format!(
            "CREATE STREAM rows () WITH (TYPE=\"{}\", CONF_KEY=\"closed\", FORMAT=\"json\")",
            plugin.source()
        );
        self.flow.create_stream(&stream).await?;
        let sink = plugin.sink();
        let rule = json!({
            "id": "bench",
            "sql": format!("SELECT {column} AS data FROM rows"),
            "actions": [{sink.as_str(): {}}],
        });
        self.flow.create_rule(&rule.to_string()).await?;
        Ok(Rule {
            flow: &self.flow,
            out: format!("sink_{sink}_0_0_records_out_total"),
        })
    }

    /// Ends every plugin.
    pub async fn end(self) {
        self.flow.shutdown().await;
        self.kind.shut_down().await;
    }
}

/// A rule at work.
#[derive(Debug)]
pub struct Rule<'a> {
    flow: &'a FlowService,
    out: String,
}

impl Rule<'_> {
    /// How many rows its sink has taken.
    ///
    /// # Errors
    /// When the rule has failed.
    pub fn count(&self) -> Result<u64> {
        let status = self.flow.rule_status("bench")?;
        let state = status.get("status").and_then(|it| it.as_str());
        if state.is_some_and(|state| state.starts_with("stopped")) {
            bail!("the rule stopped: {status:?}");
        }
        let count = status.get(&self.out).and_then(serde_json::Value::as_u64);
        count.with_context(|| format!("no `{}` in {status:?}", self.out))
    }

    /// Takes it and its stream away.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub async fn end(self) -> Result<()> {
        self.flow.delete_rule("bench").await?;
        self.flow.drop_stream("rows", true).await?;
        Ok(())
    }
}

/// Counts rows and remembers what went wrong.
#[derive(Debug, Default)]
pub struct Counter {
    rows: AtomicU64,
    failures: AtomicU64,
}

impl Counter {
    /// Rows until now.
    ///
    /// # Errors
    /// When something went wrong, so that the count means nothing.
    pub fn count(&self) -> Result<u64> {
        match self.failures.load(Ordering::Relaxed) {
            0 => Ok(self.rows.load(Ordering::Relaxed)),
            failures => bail!("{failures} exceptions"),
        }
    }
}

#[async_trait]
impl SourceInbox for Counter {
    fn offer(&self, _tuple: Tuple) {
        self.rows.fetch_add(1, Ordering::Relaxed);
    }

    async fn push(&self, _tuple: Tuple) {
        self.rows.fetch_add(1, Ordering::Relaxed);
    }

    fn exception(&self, _error: SymbolError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn connection(&self, _connection: Connection) {}
}

impl SinkObserver for Counter {
    fn exception(&self, _error: SymbolError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn connection(&self, _connection: Connection) {}
}

/// The sink `count`, which counts the rows that it is given.
#[derive(Debug, Default)]
struct Counting {
    rows: Arc<AtomicU64>,
}

struct RunningCount(Arc<AtomicU64>);

impl Catalog for Counting {
    fn source(&self, _: &str) -> Option<Arc<dyn SourceSymbol>> {
        None
    }

    fn sink(&self, name: &str) -> Option<Arc<dyn SinkSymbol>> {
        let rows = self.rows.clone();
        (name == "count").then(|| Arc::new(Self { rows }) as _)
    }

    fn function(&self, _: &str) -> Option<Arc<dyn FunctionSymbol>> {
        None
    }

    fn names(&self, _: SymbolKind) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl SinkSymbol for Counting {
    async fn start(
        &self,
        _: SinkRequest,
        _: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError> {
        Ok(Box::new(RunningCount(self.rows.clone())))
    }
}

#[async_trait]
impl SinkHandle for RunningCount {
    async fn send(&mut self, _: Bytes) -> Result<(), SymbolError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn send_many(&mut self, messages: Vec<Bytes>) -> Vec<Result<(), SymbolError>> {
        self.0.fetch_add(messages.len() as u64, Ordering::Relaxed);
        vec![Ok(()); messages.len()]
    }

    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        Ok(())
    }
}

struct OnePackage(PathBuf);

#[async_trait]
impl Packages for OnePackage {
    async fn file(&self, _digest: &Digest) -> Result<PathBuf, StepError> {
        Ok(self.0.clone())
    }
}

fn node(op_id: &str) -> NodeId {
    NodeId {
        rule_id: "bench".into(),
        op_id: op_id.into(),
        instance_id: 0,
    }
}
