//! The product's side: the real host with its sandboxed processes, and the real rules, as libraries.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use async_trait::async_trait;
use plugyard_archive::{Policy, Zip, pack_to_file};
use plugyard_flow::{Builtins, Combined, FlowService};
use plugyard_model::{Digest, InstallationId, KindId, OperationId, PluginName, VersionId, Wanted};
use plugyard_platform::kind::{Action, Change, Packages, StepCx, StepError, Version};
use plugyard_platform::{Home, Kind};
use plugyard_portable::{PortableHost, PortableSettings};
use plugyard_store::{Database, DatabaseUrl};
use plugyard_symbol::{
    BoundFunction, CallSite, Catalog, Connection, NodeId, SinkHandle, SinkObserver, SinkRequest,
    SourceHandle, SourceInbox, SourceRequest, SymbolError, Tuple,
};
use serde_json::{Map, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::plugins::Plugin;

/// A server's inside: host, database and rules in a home of their own.
pub struct Ours {
    home: TempDir,
    kind: Arc<dyn Kind>,
    catalog: Arc<dyn Catalog>,
    flow: FlowService,
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
            ..PortableSettings::default()
        };
        let host = PortableHost::new(settings, home.clone());
        let database = Database::open(&DatabaseUrl::sqlite(home.database())).await?;
        database.migrate(plugyard_flow::migrations()).await?;
        let builtins = Arc::new(Builtins::new(Some(home.data().join("files"))));
        let catalog = Arc::new(Combined::new(builtins, host.catalog()));
        let flow = FlowService::new(database.conn().clone(), catalog.clone());
        let kind = host.kind();
        kind.resume(&[]).await;
        Ok(Self {
            home: directory,
            kind,
            catalog,
            flow,
            database,
        })
    }

    /// Installs a plugin by the kind's own steps; how long they took.
    ///
    /// # Errors
    /// When the package is refused or a step fails.
    pub async fn install(&self, plugin: &Plugin) -> Result<Duration> {
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
            options: json!({}),
        };
        let change = Change {
            operation: OperationId(Uuid::now_v7()),
            installation: InstallationId(Uuid::now_v7()),
            plugin: PluginName::new(
                KindId::from_static("portable"),
                plugin.name.parse().map_err(|_| anyhow!("no key"))?,
            ),
            action: Action::Install,
            wanted_before: Wanted::Stopped,
            wanted_after: Wanted::Running,
            current: None,
            target: Some(version),
            keep_data: false,
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
            packages: Arc::new(OnePackage(zip)),
            log: Arc::new(|_| {}),
            cancelled: tokio_util::sync::CancellationToken::new(),
        };
        for step in &plan.steps {
            self.kind
                .run(step, &cx)
                .await
                .with_context(|| format!("step {}", step.action))?;
        }
        Ok(began.elapsed())
    }

    /// The function of a plugin, bound to a place in a rule.
    ///
    /// # Errors
    /// When there is none.
    pub fn function(&self, plugin: &Plugin) -> Result<Arc<dyn BoundFunction>> {
        let function = self.catalog.function(&plugin.function());
        Ok(function.context("no such function")?.bind(CallSite {
            node: node("2_project"),
            func_id: 0,
        }))
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
        let symbol = plugin.source();
        let request = SourceRequest {
            node: node(&symbol),
            datasource: String::new(),
            conf_key: None,
            config: Map::new(),
        };
        let source = self.catalog.source(&symbol).context("no such source")?;
        Ok(source.start(request, counter.clone()).await?)
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
        let symbol = plugin.sink();
        let request = SinkRequest {
            node: node(&symbol),
            properties: Map::new(),
        };
        let sink = self.catalog.sink(&symbol).context("no such sink")?;
        Ok(sink.start(request, counter.clone()).await?)
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
