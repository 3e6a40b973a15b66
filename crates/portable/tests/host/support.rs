//! A home of its own for each test, the way of a change through the kind, and what rules would be.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use parking_lot::Mutex;
use plugyard_archive::{PackageReader as _, Policy, Zip, digest_file, pack_to_file};
use plugyard_model::{
    Digest, Health, HealthState, InstallationId, OperationId, PluginName, VersionId, Wanted,
};
use plugyard_platform::kind::{
    Action, Change, Installation, Packages, StepCx, StepError, StepSpec, Version,
};
use plugyard_platform::{Home, Kind};
use plugyard_portable::{PortableHost, PortableSettings, Span};
use plugyard_symbol::{
    Body, Catalog, Connection, NodeId, SinkHandle, SinkObserver, SinkRequest, SourceHandle,
    SourceInbox, SourceRequest, SymbolError, Tuple,
};
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use uuid::Uuid;

/// The host's processes are started through this very binary.
#[ctor::ctor(unsafe)]
fn become_the_shim() {
    plugyard_sandbox::shim::run_if_asked();
}

/// Longest wait for something that will come; reaching it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A Python with the SDK, or a word about why the test does not run.
pub(crate) fn python() -> Option<String> {
    let python = std::env::var("PLUGYARD_TEST_PYTHON").ok();
    if python.is_none() {
        println!("skipped: PLUGYARD_TEST_PYTHON names no Python with the SDK");
    }
    python
}

/// A host with its home.
pub(crate) struct Rig {
    pub(crate) directory: TempDir,
    pub(crate) home: Home,
    pub(crate) host: PortableHost,
    pub(crate) kind: Arc<dyn Kind>,
    pub(crate) catalog: Arc<dyn Catalog>,
    installed: Mutex<Vec<Installation>>,
}

/// Why a change failed, after it was taken back.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) step: String,
    pub(crate) error: StepError,
}

impl Rig {
    pub(crate) fn new(python: &str) -> Self {
        Self::with(python, |_| {})
    }

    pub(crate) fn with(python: &str, adjust: impl FnOnce(&mut PortableSettings)) -> Self {
        let mut settings = PortableSettings {
            python_bin: Some(python.to_owned()),
            init_timeout: Span::secs(20),
            ..PortableSettings::default()
        };
        adjust(&mut settings);
        // The whole home lies below `/tmp`, which each process has one of its own of.
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let home = Home::new(directory.path().join("home"));
        for path in [home.staging(), home.run(), home.keys()] {
            std::fs::create_dir_all(path).unwrap();
        }
        let host = PortableHost::new(settings, home.clone());
        Self {
            directory,
            home,
            kind: host.kind(),
            catalog: host.catalog(),
            host,
            installed: Mutex::default(),
        }
    }

    /// A new directory for a package, filled by `fill`.
    pub(crate) fn package(&self, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> Version {
        let directory = self
            .directory
            .path()
            .join(format!("source-{}", Uuid::now_v7()));
        std::fs::create_dir(&directory).unwrap();
        fill(&directory).unwrap();
        self.pack(&directory)
    }

    /// Packs a directory and has it inspected, as the platform would.
    pub(crate) fn pack(&self, directory: &Path) -> Version {
        let packages = self.directory.path().join("packages");
        std::fs::create_dir_all(&packages).unwrap();
        let passing = packages.join("passing");
        pack_to_file(directory, &passing, &Policy::default()).unwrap();
        let (digest, _) = digest_file(&passing).unwrap();
        let file = packages.join(digest.to_string());
        std::fs::rename(passing, &file).unwrap();
        let zip = Zip::open_path(&file, &Policy::default()).unwrap();
        assert!(!zip.has_errors(), "{:?}", zip.findings());
        let inspection = self.kind.inspect(&zip, None);
        assert!(!inspection.has_errors(), "{:?}", inspection.findings);
        Version {
            id: VersionId(Uuid::now_v7()),
            digest,
            label: inspection.version.unwrap_or_default(),
            manifest: inspection.manifest,
            options: json!({}),
        }
    }

    pub(crate) async fn install(&self, version: &Version) -> Result<(), Failed> {
        self.change(Action::Install, &key(version), Some(version))
            .await
    }

    pub(crate) async fn upgrade(&self, version: &Version) -> Result<(), Failed> {
        self.change(Action::Upgrade, &key(version), Some(version))
            .await
    }

    pub(crate) async fn change(
        &self,
        action: Action,
        key: &str,
        target: Option<&Version>,
    ) -> Result<(), Failed> {
        let plugin: PluginName = format!("portable:{key}").parse().unwrap();
        let before = self.installation(key);
        let on = |on| if on { Wanted::Running } else { Wanted::Stopped };
        let wanted_before = before.as_ref().map_or(Wanted::Stopped, |it| it.wanted);
        let change = Change {
            operation: OperationId(Uuid::now_v7()),
            installation: before
                .as_ref()
                .map_or(InstallationId(Uuid::now_v7()), |it| it.id),
            plugin: plugin.clone(),
            action,
            wanted_before,
            wanted_after: on(!matches!(action, Action::Disable | Action::Uninstall)),
            current: before.as_ref().map(|it| it.current.clone()),
            target: match action {
                Action::Uninstall => None,
                _ => target
                    .cloned()
                    .or_else(|| before.as_ref().map(|it| it.current.clone())),
            },
            keep_data: false,
            task: None,
            config: plugyard_platform::config::ConfigChange::default(),
            by: String::new(),
        };
        let cx = StepCx {
            change: Arc::new(change.clone()),
            home: self.home.clone(),
            packages: Arc::new(Folder(self.directory.path().join("packages"))),
            log: Arc::new(|_| {}),
            reason: None,
            cancelled: tokio_util::sync::CancellationToken::new(),
        };
        let plan = self.kind.plan(&change).await.map_err(|problem| Failed {
            step: "plan".into(),
            error: StepError {
                code: problem.code,
                text: problem.to_string(),
                params: problem.params.clone(),
            },
        })?;
        assert_eq!(plan.steps.iter().filter(|step| step.commit).count(), 1);
        // As it would be after a crash: from its stored form.
        let plan: plugyard_platform::kind::Plan =
            serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        for (index, step) in plan.steps.iter().enumerate() {
            if let Err(error) = self.kind.run(step, &cx).await {
                self.take_back(&plan.steps[..=index], &cx).await;
                return Err(Failed {
                    step: step.name.as_str().to_owned(),
                    error,
                });
            }
        }
        let mut installed = self.installed.lock();
        installed.retain(|it| it.plugin != plugin);
        if let Some(current) = change.target {
            installed.push(Installation {
                id: change.installation,
                plugin,
                wanted: change.wanted_after,
                current,
                previous: before.map(|it| it.current),
            });
        }
        Ok(())
    }

    async fn take_back(&self, steps: &[StepSpec], cx: &StepCx) {
        for step in steps.iter().rev() {
            self.kind.undo(step, cx).await.unwrap();
        }
    }

    pub(crate) fn installation(&self, key: &str) -> Option<Installation> {
        self.installed
            .lock()
            .iter()
            .find(|it| it.plugin.key.as_str() == key)
            .cloned()
    }

    pub(crate) async fn health(&self, key: &str) -> Health {
        self.kind.probe(&self.installation(key).unwrap()).await
    }

    /// Waits until the plugin's health is that.
    pub(crate) async fn until(&self, key: &str, state: HealthState) {
        use futures::StreamExt as _;
        let mut events = self.kind.watch();
        let reached = async {
            while self.health(key).await.state != state {
                events.next().await.unwrap();
            }
        };
        let came = tokio::time::timeout(PATIENCE, reached).await.is_ok();
        let health = self.health(key).await;
        assert!(came, "{key} did not become {state:?}: {health:?}");
    }

    /// Waits until the plugin has printed a line.
    pub(crate) async fn until_said(&self, key: &str, line: &str) {
        let plugin = format!("portable:{key}").parse().unwrap();
        let (said, coming) = self.kind.logs(&plugin, usize::MAX);
        let all = futures::stream::iter(said).chain(coming);
        let mut there = std::pin::pin!(all.filter(|it| std::future::ready(it.text == line)));
        let waiting = tokio::time::timeout(Duration::from_mins(1), there.next());
        assert!(
            waiting.await.unwrap().is_some(),
            "{key} never said `{line}`"
        );
    }

    pub(crate) fn status(&self, key: &str) -> Json {
        self.host.status(key).unwrap()
    }

    pub(crate) fn pid(&self, key: &str) -> i32 {
        i32::try_from(self.status(key)["pid"].as_i64().unwrap()).unwrap()
    }

    /// What the plugin keeps for itself.
    pub(crate) fn data(&self, key: &str, file: &str) -> PathBuf {
        self.home
            .plugin_data(&format!("portable:{key}").parse().unwrap())
            .join(file)
    }

    pub(crate) async fn source(
        &self,
        symbol: &str,
        rule: &str,
    ) -> (Box<dyn SourceHandle>, Arc<Inbox>) {
        let inbox = Arc::new(Inbox::default());
        let handle = self.try_source(symbol, rule, &inbox).await.unwrap();
        (handle, inbox)
    }

    pub(crate) async fn try_source(
        &self,
        symbol: &str,
        rule: &str,
        inbox: &Arc<Inbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError> {
        let request = SourceRequest {
            node: node(rule, "stream"),
            datasource: "topic".into(),
            conf_key: None,
            config: Map::new(),
        };
        let source = self.catalog.source(symbol).expect("the source is served");
        source
            .start(request, Arc::clone(inbox) as Arc<dyn SourceInbox>)
            .await
    }

    pub(crate) async fn sink(
        &self,
        symbol: &str,
        rule: &str,
        properties: Json,
    ) -> (Box<dyn SinkHandle>, Arc<Observer>) {
        self.try_sink(symbol, rule, properties).await.unwrap()
    }

    pub(crate) async fn try_sink(
        &self,
        symbol: &str,
        rule: &str,
        properties: Json,
    ) -> Result<(Box<dyn SinkHandle>, Arc<Observer>), SymbolError> {
        let observer = Arc::new(Observer::default());
        let request = SinkRequest {
            node: node(rule, &format!("{symbol}_0")),
            properties: properties.as_object().unwrap().clone(),
        };
        let sink = self.catalog.sink(symbol).expect("the sink is served");
        let told = Arc::clone(&observer) as Arc<dyn SinkObserver>;
        Ok((sink.start(request, told).await?, observer))
    }

    pub(crate) async fn end(self) {
        self.kind.shut_down().await;
    }
}

pub(crate) fn key(version: &Version) -> String {
    version.manifest["name"].as_str().unwrap().to_owned()
}

pub(crate) fn node(rule: &str, op: &str) -> NodeId {
    NodeId {
        rule_id: rule.into(),
        op_id: op.into(),
        instance_id: 0,
    }
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// A process that is told from another that got its number later.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks after the boot.
    started: u64,
}

impl Process {
    pub(crate) fn of(pid: i32) -> Self {
        let started = Self::started(pid).expect("it lives");
        Self { pid, started }
    }

    pub(crate) fn lives(&self) -> bool {
        Self::started(self.pid) == Some(self.started)
    }

    /// Nothing for one that has ended, waited for or not.
    fn started(pid: i32) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything, fields 3 and 22.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok();
        started.filter(|_| state != "Z")
    }
}

/// Packages in a folder, by digest.
struct Folder(PathBuf);

#[async_trait]
impl Packages for Folder {
    async fn file(&self, digest: &Digest) -> Result<PathBuf, StepError> {
        Ok(self.0.join(digest.to_string()))
    }
}

/// Keeps what a source says.
#[derive(Default)]
pub(crate) struct Inbox {
    tuples: Mutex<Vec<Tuple>>,
    exceptions: Mutex<Vec<String>>,
    connections: Mutex<Vec<Connection>>,
    changed: Notify,
}

impl Inbox {
    pub(crate) fn rows(&self) -> Vec<Json> {
        let tuples = self.tuples.lock();
        tuples
            .iter()
            .map(|tuple| match &tuple.body {
                Body::Json(text) => serde_json::from_slice(text.as_bytes()).unwrap(),
                Body::Row(_) => panic!("a row was decoded"),
            })
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.tuples.lock().len()
    }

    pub(crate) fn metas(&self) -> Vec<Option<Json>> {
        let tuples = self.tuples.lock();
        let read = |tuple: &Tuple| {
            tuple
                .meta
                .as_ref()
                .map(|meta| serde_json::from_slice(meta.as_bytes()).unwrap())
        };
        tuples.iter().map(read).collect()
    }

    pub(crate) fn exceptions(&self) -> Vec<String> {
        self.exceptions.lock().clone()
    }

    pub(crate) fn connection(&self) -> Option<Connection> {
        self.connections.lock().last().cloned()
    }

    /// Waits until `there` holds.
    pub(crate) async fn until(&self, what: &str, there: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if there(self) {
                    return;
                }
                changed.await;
            }
        };
        assert!(
            tokio::time::timeout(PATIENCE, wait).await.is_ok(),
            "not {what}: {} rows, exceptions {:?}",
            self.count(),
            self.exceptions()
        );
    }

    /// Waits for so many more rows than there are.
    pub(crate) async fn more(&self, count: usize) {
        let wanted = self.count() + count;
        self.until("more rows", |inbox| inbox.count() >= wanted)
            .await;
    }
}

#[async_trait]
impl SourceInbox for Inbox {
    fn offer(&self, tuple: Tuple) {
        self.tuples.lock().push(tuple);
        self.changed.notify_waiters();
    }

    async fn push(&self, tuple: Tuple) {
        self.offer(tuple);
    }

    fn exception(&self, error: SymbolError) {
        self.exceptions.lock().push(error.text);
        self.changed.notify_waiters();
    }

    fn connection(&self, connection: Connection) {
        self.connections.lock().push(connection);
        self.changed.notify_waiters();
    }
}

/// Keeps what a sink says.
#[derive(Default)]
pub(crate) struct Observer {
    exceptions: Mutex<Vec<String>>,
}

impl Observer {
    pub(crate) fn exceptions(&self) -> Vec<String> {
        self.exceptions.lock().clone()
    }
}

impl SinkObserver for Observer {
    fn exception(&self, error: SymbolError) {
        self.exceptions.lock().push(error.text);
    }

    fn connection(&self, _: Connection) {}
}

pub(crate) fn message(n: usize) -> Bytes {
    Bytes::from(format!(r#"[{{"n":{n}}}]"#))
}

/// The numbers in the file that a notebook sink wrote.
pub(crate) fn numbers_in(file: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .map(|line| {
            serde_json::from_str::<Json>(line).unwrap()[0]["n"]
                .as_u64()
                .unwrap()
        })
        .collect()
}

/// The toolbox as an executable that its manifest calls `go`: what the host does for that language is
/// done for it, whatever it was written in.
pub(crate) fn go_toolbox_dir(at: &Path, python: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    plugyard_portable::testing::toolbox_dir(at, "go")?;
    let manifest = std::fs::read_to_string(at.join("toolbox.json"))?;
    let manifest = manifest.replace(r#""language":"python""#, r#""language":"go""#);
    std::fs::write(at.join("toolbox.json"), manifest)?;
    let script = at.join("toolbox.py");
    let text = std::fs::read_to_string(&script)?;
    std::fs::write(&script, format!("#!{python}\n{text}"))?;
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755))
}
