//! A kind whose effects are files, and a platform to try it on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use plugyard_archive::{Listing, PackageReader};
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_model::{
    Finding, Health, HealthState, Inspection, KindId, Params, Place, PluginName, StepName, codes,
};
use plugyard_platform::failpoint;
use plugyard_platform::kind::{
    Action, Change, Dropped, HealthEvent, Installation, KindError, Likeness, LogLine, Plan, StepCx,
    StepError, StepOutput, StepSpec, Version,
};
use plugyard_platform::operations::InstallOptions;
use plugyard_platform::{Home, Kind, Platform, Settings, Source, TakeIn};
use plugyard_store::testing::{self, TestDatabase};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::sync::Notify;

pub(crate) const KIND: KindId = KindId::from_static("fake");

/// What a task of the kind leaves.
pub(crate) const NOTED: &str = "noted";

/// What a plugin keeps for itself, among its effects.
pub(crate) const DATA: &str = "data";

pub(crate) fn plugin(key: &str) -> PluginName {
    PluginName::new(KIND, key.parse().unwrap())
}

pub(crate) fn operator() -> Principal {
    Principal {
        name: "tester".to_owned(),
        roles: vec![Role::Operator],
    }
}

/// Holds steps, and the planning of changes (`plan`), at a gate until the test opens it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The step actions that wait here.
    pub(crate) closed_for: Mutex<Vec<String>>,
    pub(crate) arrived: Notify,
    pub(crate) open: Notify,
}

/// Its effects: `unpacked/{digest}`, `started/{digest}` and `current` below `effects/{key}`.
#[derive(Debug)]
pub(crate) struct Fake {
    root: PathBuf,
    id: KindId,
    pub(crate) gate: Gate,
    /// Told after each resume.
    pub(crate) came_back: Notify,
    /// Keys that were resumed.
    pub(crate) resumed: Mutex<Vec<String>>,
    /// Undo waits at the gate while this names its action.
    pub(crate) slow_undo: Mutex<Option<String>>,
    /// Undo fails while this names its action.
    pub(crate) broken_undo: Mutex<Option<String>>,
}

impl Fake {
    pub(crate) fn new(home: &Path) -> Arc<Self> {
        Self::called(home, KIND)
    }

    pub(crate) fn called(home: &Path, id: KindId) -> Arc<Self> {
        let root = home.join("effects");
        Arc::new(Self {
            root,
            id,
            gate: Gate::default(),
            came_back: Notify::new(),
            resumed: Mutex::default(),
            slow_undo: Mutex::default(),
            broken_undo: Mutex::default(),
        })
    }

    /// Every file of a plugin with its content: what the world sees of it.
    pub(crate) fn effects(&self, key: &str) -> BTreeMap<String, String> {
        let mut effects = BTreeMap::new();
        let root = self.root.join(key);
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = std::fs::read_dir(directory) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap().display().to_string();
                    effects.insert(name, std::fs::read_to_string(&path).unwrap());
                }
            }
        }
        effects
    }

    fn path(&self, cx: &StepCx, name: &str) -> PathBuf {
        self.root.join(cx.change.plugin.key.as_str()).join(name)
    }

    /// Writes in two parts, as real work does: killed between them, half of it is there.
    fn write(&self, cx: &StepCx, name: &str, content: &str) -> Result<(), StepError> {
        let path = self.path(cx, name);
        let part = path.with_extension("part");
        let disk = |failed: std::io::Error| error(&format!("cannot write `{name}`: {failed}"));
        std::fs::create_dir_all(path.parent().unwrap()).map_err(disk)?;
        failpoint::pass();
        std::fs::write(&part, "half").map_err(disk)?;
        failpoint::pass();
        std::fs::write(&part, content).map_err(disk)?;
        std::fs::rename(&part, &path).map_err(disk)?;
        failpoint::pass();
        Ok(())
    }

    fn remove(&self, cx: &StepCx, name: &str) {
        let path = self.path(cx, name);
        for path in [path.with_extension("part"), path] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
                _ => {}
            }
            failpoint::pass();
        }
    }

    fn do_step(&self, action: &str, cx: &StepCx) -> Result<(), StepError> {
        let (current, target) = digests(&cx.change);
        match action {
            "unpack" if self.path(cx, &format!("unpacked/{target}")).exists() => {}
            "unpack" => {
                let files = cx
                    .change
                    .target
                    .as_ref()
                    .and_then(|it| it.manifest["files"].as_u64());
                let content = "files".repeat(usize::try_from(files.unwrap_or(1)).unwrap());
                self.write(cx, &format!("unpacked/{target}"), &content)?;
            }
            "start_again" | "stop" if current == target => {
                self.remove(cx, &format!("started/{current}"));
                if action == "start_again" {
                    self.write(cx, &format!("started/{current}"), "process")?;
                }
            }
            "start" | "start_again" => {
                self.write(cx, &format!("started/{target}"), "process")?;
            }
            "stop" => self.remove(cx, &format!("started/{current}")),
            "switch" => {
                self.write(cx, "current", &target)?;
                self.put_by(cx);
            }
            "note" => self.write(cx, NOTED, &target)?,
            "clear" => {
                let key = self.path(cx, "");
                for name in self.effects(cx.change.plugin.key.as_str()).keys() {
                    if cx.change.keep_data && name == DATA {
                        continue;
                    }
                    std::fs::remove_file(key.join(name)).unwrap();
                    failpoint::pass();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Where somebody may put a plugin's directory by hand.
    pub(crate) fn dropped_at(&self, key: &str) -> PathBuf {
        self.root.with_file_name("dropped").join(key)
    }

    /// What was put there by hand is in force now, and is not to be found again.
    fn put_by(&self, cx: &StepCx) {
        let key = cx.change.plugin.key.as_str();
        let put_by = self.root.with_file_name("put-by");
        std::fs::create_dir_all(&put_by).unwrap();
        failpoint::pass();
        match std::fs::rename(self.dropped_at(key), put_by.join(key)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
        failpoint::pass();
    }
}

fn digests(change: &Change) -> (String, String) {
    let digest = |version: &Option<Version>| {
        version
            .as_ref()
            .map_or_else(String::new, |version| version.digest.to_string())
    };
    (digest(&change.current), digest(&change.target))
}

fn step(name: StepName, action: &str, input: Json) -> StepSpec {
    StepSpec {
        name,
        action: action.to_owned(),
        input,
        commit: name == StepName::Commit,
    }
}

pub(crate) fn error(text: &str) -> StepError {
    StepError {
        code: codes::STEP_FAILED,
        text: text.to_owned(),
        params: Params::new(),
    }
}

/// Steps of a plan that fail, by action, as the package's manifest says.
fn fails(change: &Change, list: &str, action: &str) -> bool {
    change.target.as_ref().is_some_and(|version| {
        version.manifest[list]
            .as_array()
            .is_some_and(|list| list.contains(&json!(action)))
    })
}

#[async_trait]
impl Kind for Fake {
    fn id(&self) -> KindId {
        self.id.clone()
    }

    fn recognise(&self, names: &Listing) -> Likeness {
        if names.has_file("fake.json") {
            Likeness::Yes
        } else {
            Likeness::No
        }
    }

    fn inspect(&self, package: &dyn PackageReader, expected: Option<&str>) -> Inspection {
        let mut findings = package.findings().to_vec();
        let manifest = package
            .read("fake.json", 1 << 20)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Json>(&bytes).ok());
        let Some(manifest) = manifest else {
            let place = Place::file("fake.json");
            findings.push(Finding::error(codes::MANIFEST_FIELD_TYPE, place));
            return Inspection::failed(Some(self.id.clone()), findings);
        };
        let text = |name: &str| manifest[name].as_str().map(str::to_owned);
        if let (Some(expected), Some(actual)) = (expected, text("name"))
            && expected != actual
        {
            findings.push(
                Finding::error(
                    codes::MANIFEST_NAME_MISMATCH,
                    Place::pointer("fake.json", "/name"),
                )
                .with("expected", expected)
                .with("actual", actual),
            );
        }
        Inspection {
            kind: Some(self.id.clone()),
            key: text("name"),
            version: text("version"),
            manifest,
            findings,
        }
    }

    async fn plan(&self, change: &Change) -> Result<Plan, KindError> {
        if fails(change, "fail", "plan") {
            return Err(KindError::new(codes::STEP_FAILED).with("reason", "cannot be planned"));
        }
        let held = self.gate.closed_for.lock().iter().any(|it| it == "plan");
        if held {
            self.gate.arrived.notify_one();
            self.gate.open.notified().await;
        }
        let (current, target) = digests(change);
        let unpacked = self
            .root
            .join(change.plugin.key.as_str())
            .join("unpacked")
            .join(&target);
        let input = json!({ "was_unpacked": unpacked.exists() });
        let bring = [
            step(StepName::Unpack, "unpack", input.clone()),
            step(StepName::Start, "start", input.clone()),
            step(StepName::Probe, "probe", input.clone()),
            step(StepName::Commit, "switch", input.clone()),
        ];
        let steps = match change.action {
            Action::Install => bring.to_vec(),
            Action::Upgrade | Action::Rollback if current != target => {
                let mut steps = bring.to_vec();
                steps.push(step(StepName::Stop, "stop", input));
                steps
            }
            Action::Disable => vec![
                step(StepName::Commit, "switch", json!({})),
                step(StepName::Stop, "stop", json!({})),
            ],
            Action::Upgrade | Action::Rollback | Action::Enable | Action::Restart => {
                let mut steps = Vec::new();
                if !unpacked.exists() {
                    steps.push(step(StepName::Unpack, "unpack", input));
                }
                steps.push(step(StepName::Start, "start_again", json!({})));
                steps.push(step(StepName::Commit, "switch", json!({})));
                steps
            }
            Action::Perform => vec![
                step(StepName::Migrate, "note", json!({})),
                step(StepName::Commit, "tell", json!({})),
            ],
            Action::Uninstall => vec![
                step(StepName::Commit, "clear", json!({})),
                step(StepName::Remove, "clear", json!({})),
            ],
        };
        Ok(Plan { steps })
    }

    async fn run(&self, step: &StepSpec, cx: &StepCx) -> Result<StepOutput, StepError> {
        (cx.log)(&format!("doing {}", step.action));
        let number = |name: &str| {
            let target = cx.change.target.as_ref()?;
            usize::try_from(target.manifest[name].as_u64()?).ok()
        };
        if step.action == "unpack" {
            for _ in 0..number("lines").unwrap_or(0) {
                (cx.log)(&"x".repeat(number("width").unwrap_or(10)));
            }
        }
        if self.gate.closed_for.lock().contains(&step.action) {
            self.gate.arrived.notify_one();
            tokio::select! {
                () = self.gate.open.notified() => {}
                () = cx.cancelled.cancelled() => return Err(error("stopped waiting")),
            }
        }
        self.do_step(&step.action, cx)?;
        // After the effect: the worst moment to fail.
        if fails(&cx.change, "fail", &step.action) {
            return Err(error(&format!("\n{} went wrong\nsecond line", step.action)));
        }
        assert!(
            !fails(&cx.change, "panic", &step.action),
            "a mistake in the kind"
        );
        Ok(json!({ "did": step.action }))
    }

    async fn undo(&self, step: &StepSpec, cx: &StepCx) -> Result<(), StepError> {
        if self.broken_undo.lock().as_ref() == Some(&step.action) {
            return Err(error("cannot go back"));
        }
        let slow = self.slow_undo.lock().as_ref() == Some(&step.action);
        if slow {
            self.gate.open.notified().await;
        }
        let (current, target) = digests(&cx.change);
        match step.action.as_str() {
            "unpack" if step.input["was_unpacked"] != json!(true) => {
                self.remove(cx, &format!("unpacked/{target}"));
            }
            "start" => self.remove(cx, &format!("started/{target}")),
            "note" => self.remove(cx, NOTED),
            "start_again" if cx.change.wanted_before.is_on() => {
                self.write(cx, &format!("started/{current}"), "process")?;
            }
            // It rested before.
            "start_again" => self.remove(cx, &format!("started/{current}")),
            "switch" if current.is_empty() => self.remove(cx, "current"),
            // As it was: what is right already needs no room on a full disk.
            "switch"
                if self.effects(cx.change.plugin.key.as_str()).get("current") == Some(&current) =>
            {
                let part = self.path(cx, "current.part");
                let _ = std::fs::remove_file(part);
            }
            "switch" => self.write(cx, "current", &current)?,
            _ => {}
        }
        Ok(())
    }

    fn dropped(&self, _: &Home) -> Vec<Dropped> {
        let Ok(entries) = std::fs::read_dir(self.dropped_at("")) else {
            return Vec::new();
        };
        let mut dropped: Vec<_> = entries
            .map(|entry| {
                let path = entry.unwrap().path();
                let key = path.file_name().unwrap().to_str().unwrap().to_owned();
                Dropped { key, path }
            })
            .collect();
        dropped.sort_by(|a, b| a.key.cmp(&b.key));
        dropped
    }

    async fn discard(&self, plugin: &PluginName, version: &Version) {
        let path = self
            .root
            .join(plugin.key.as_str())
            .join("unpacked")
            .join(version.digest.to_string());
        failpoint::pass();
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
        failpoint::pass();
    }

    async fn is_whole(&self, installation: &Installation) -> bool {
        let unpacked = format!("unpacked/{}", installation.current.digest);
        self.effects(installation.plugin.key.as_str())
            .contains_key(&unpacked)
    }

    async fn resume(&self, all: &[Installation]) {
        let keys = all.iter().map(|it| it.plugin.key.as_str().to_owned());
        self.resumed.lock().extend(keys);
        self.came_back.notify_one();
    }

    async fn shut_down(&self) {}

    async fn probe(&self, installation: &Installation) -> Health {
        let started = format!("started/{}", installation.current.digest);
        let effects = self.effects(installation.plugin.key.as_str());
        Health::new(if effects.contains_key(&started) {
            HealthState::Ready
        } else {
            HealthState::Stopped
        })
    }

    fn watch(&self) -> BoxStream<'static, HealthEvent> {
        stream::pending().boxed()
    }

    async fn details(&self, _installation: &Installation) -> Json {
        json!({})
    }

    fn logs(&self, _: &PluginName, _: usize) -> (Vec<LogLine>, BoxStream<'static, LogLine>) {
        (Vec::new(), stream::pending().boxed())
    }
}

/// A platform on a fresh database in a fresh home.
pub(crate) struct Bench {
    pub(crate) platform: Platform,
    pub(crate) kind: Arc<Fake>,
    pub(crate) test: TestDatabase,
    pub(crate) home: TempDir,
    /// What the next start is told of versions.
    pub(crate) keep_versions: usize,
}

impl Bench {
    pub(crate) async fn new(test: TestDatabase) -> Self {
        Self::with(test, |settings| settings).await
    }

    pub(crate) async fn with(
        test: TestDatabase,
        change: impl FnOnce(Settings) -> Settings,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        test.database
            .migrate(plugyard_platform::migrations())
            .await
            .unwrap();
        let kind = Fake::new(home.path());
        let settings = change(Settings::new(Home::new(home.path()), test.database.clone()));
        let platform = Platform::open(settings, vec![kind.clone()]).await.unwrap();
        platform.recover().await.unwrap();
        Self {
            platform,
            kind,
            test,
            home,
            keep_versions: 3,
        }
    }

    /// The same home and database, as the next start of the server sees them.
    pub(crate) async fn reopen(&self) -> Platform {
        let mut settings = Settings::new(Home::new(self.home.path()), self.test.database.clone());
        settings.keep_versions = self.keep_versions;
        let platform = Platform::open(settings, vec![self.kind.clone()])
            .await
            .unwrap();
        platform.recover().await.unwrap();
        platform
    }

    /// Ends the platform and opens it again, as a start of the server does: never are there two on one home.
    pub(crate) async fn start_again(&mut self) {
        self.platform.shut_down().await;
        self.platform = self.reopen().await;
    }

    /// Takes a package of the fake kind in.
    pub(crate) async fn version(&self, key: &str, label: &str, more: Json) -> Version {
        take_in(&self.platform, key, label, more).await
    }

    /// Takes a first version in and installs it.
    pub(crate) async fn installed(&self, key: &str) -> Version {
        let version = self.version(key, "1", json!({})).await;
        let who = operator();
        let id = self
            .platform
            .install(&who, &plugin(key), version.id, InstallOptions::default())
            .await
            .unwrap();
        self.platform.wait(id).await.unwrap().into_result().unwrap();
        version
    }
}

/// One bench for each database.
pub(crate) async fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for test in testing::databases().await {
        benches.push(Bench::new(test).await);
    }
    benches
}

pub(crate) async fn take_in(platform: &Platform, key: &str, label: &str, more: Json) -> Version {
    let directory = package(key, label, more);
    let source = Source::Path(directory.path().to_owned());
    platform
        .take_in(source, TakeIn::default())
        .await
        .unwrap()
        .version
}

/// A directory that is a package of the fake kind.
pub(crate) fn package(key: &str, label: &str, more: Json) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut manifest = match more {
        Json::Null => json!({}),
        more => more,
    };
    manifest["name"] = json!(key);
    manifest["version"] = json!(label);
    std::fs::write(directory.path().join("fake.json"), manifest.to_string()).unwrap();
    directory
}

/// What the world looks like with this version in force, and these unpacked.
pub(crate) fn world(current: &Version, unpacked: &[&Version]) -> BTreeMap<String, String> {
    let mut world = BTreeMap::from([
        ("current".to_owned(), current.digest.to_string()),
        (format!("started/{}", current.digest), "process".to_owned()),
    ]);
    for version in unpacked {
        world.insert(format!("unpacked/{}", version.digest), "files".to_owned());
    }
    world
}
