//! The kind as the platform sees it: plans, steps and their undoing.
//!
//! The steps of a change are `unpack`, `build`, `start` (the new process beside the old one), `probe` (its
//! handshake), `ready` (it takes over what running rules use), `commit` (links), and `stop` (the old
//! process). Up to the commit everything can go back, and the old version goes on working until `ready`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use plugyard_archive::{Listing, PackageReader};
use plugyard_model::{
    Code, Health, HealthState, Inspection, KindId, Params, PluginName, Problem, StepName, codes,
};
use plugyard_platform::kind::{
    Action, Change, Dropped, HealthEvent, Installation, KindError, Likeness, LogLine, Plan, StepCx,
    StepError, StepOutput, StepSpec, Version,
};
use plugyard_platform::{Home, Kind, files};
use plugyard_symbol::SymbolKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::adopt;
use crate::environment::{self, Wanted, requirements};
use crate::host::{Host, shown_directory};
use crate::manifest::{Manifest, word};
use crate::options::{OptionError, PortableOptions};
use crate::package::{self, KIND, Signs};
use crate::process::Launch;
use crate::settings::Span;
use crate::versions::{self, Build};

/// Implements [`Kind`].
#[derive(Debug)]
pub(crate) struct PortableKind {
    host: Arc<Host>,
}

/// What the kind does under the platform's words for steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Unpack,
    Build,
    Start,
    Probe,
    TakeOver,
    Link,
    RetirePrevious,
    Rest,
    StopAll,
    Unlink,
    RemoveFiles,
}

impl Act {
    const fn step(self) -> StepName {
        match self {
            Self::Unpack => StepName::Unpack,
            Self::Build => StepName::Build,
            Self::Start => StepName::Start,
            Self::Probe => StepName::Probe,
            Self::TakeOver => StepName::Ready,
            Self::Link | Self::Rest | Self::Unlink => StepName::Commit,
            Self::RetirePrevious | Self::StopAll => StepName::Stop,
            Self::RemoveFiles => StepName::Remove,
        }
    }

    fn spec(self, input: Json) -> StepSpec {
        StepSpec {
            name: self.step(),
            action: serde_json::to_value(self)
                .ok()
                .and_then(|word| word.as_str().map(str::to_owned))
                .unwrap_or_default(),
            input,
            commit: self.step() == StepName::Commit,
        }
    }

    fn of(step: &StepSpec) -> Result<Self, StepError> {
        serde_json::from_value(Json::from(step.action.as_str())).map_err(|_| {
            failure(
                codes::INTERNAL,
                format!("there is no step `{}`", step.action),
            )
        })
    }
}

/// What a step of unpacking knows from when it was planned.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Input {
    /// The version was not on disk, so that taking the step back removes it.
    #[serde(default)]
    fresh: bool,
}

impl PortableKind {
    pub(crate) fn new(host: Arc<Host>) -> Self {
        Self { host }
    }

    fn target(&self, change: &Change) -> Result<(Launch, Version), StepError> {
        let version = change.target.clone().ok_or_else(|| {
            failure(
                codes::INTERNAL,
                "the change has no version to go to".to_owned(),
            )
        })?;
        let launch = self
            .host
            .launch(&change.plugin, &version)
            .map_err(|text| failure(codes::INTERNAL, text))?;
        Ok((launch, version))
    }

    async fn unpack(&self, cx: &StepCx) -> Result<StepOutput, StepError> {
        let (launch, version) = self.target(&cx.change)?;
        if versions::is_built(&launch.directory) {
            return Ok(json!({"reused": true}));
        }
        let package = cx.packages.file(&version.digest).await?;
        let directory = launch.directory.clone();
        let files = blocking(move || versions::unpack_package(&package, &directory)).await?;
        Ok(json!({"files": files}))
    }

    async fn build(&self, cx: &StepCx) -> Result<StepOutput, StepError> {
        let (launch, _) = self.target(&cx.change)?;
        let shared = &self.host.shared;
        let start_failed = |text| failure(codes::PORTABLE_START_FAILED, text);
        let ground = shared.ground().await.map_err(start_failed)?;
        // Also for a version that is there: what is in a cache may be gone.
        if requirements::is_managed(&launch.manifest) {
            let wanted = Wanted {
                name: &launch.manifest.name,
                directory: &launch.directory,
                env: &launch.options.env,
                limits: &launch.limits,
            };
            let (home, settings) = (&shared.home, &shared.settings);
            environment::ensure(ground, home, settings, wanted, &*cx.log, &cx.cancelled)
                .await
                .map_err(|text| failure(codes::PORTABLE_ENVIRONMENT_FAILED, text))?;
        }
        if versions::is_built(&launch.directory) {
            return Ok(json!({"reused": true}));
        }
        let build = Build {
            name: &launch.manifest.name,
            directory: &launch.directory,
            data: &launch.data,
            paras: &launch.options.shell_paras,
            env: &launch.options.env,
            limits: &launch.limits,
        };
        versions::run_script(
            ground,
            &shared.home,
            &shared.settings,
            &build,
            &*cx.log,
            &cx.cancelled,
        )
        .await
        .map_err(|failure| StepError {
            code: codes::PORTABLE_INSTALL_SCRIPT_FAILED,
            text: failure.text,
            params: Params::from([("reason".to_owned(), failure.told)]),
        })?;
        let executable = launch.directory.join(&launch.manifest.executable);
        if let Err(error) = tokio::fs::metadata(&executable).await {
            let shown = launch.shown_executable.display();
            return Err(start_failed(format!(
                "cannot find executable `{shown}` when loading portable plugins: {error}"
            )));
        }
        let directory = launch.directory.clone();
        blocking(move || versions::seal(&directory).map_err(|error| error.to_string())).await?;
        Ok(Json::Null)
    }

    async fn start(&self, cx: &StepCx) -> Result<StepOutput, StepError> {
        let (launch, _) = self.target(&cx.change)?;
        let plugin = self.host.plugin(&cx.change.plugin);
        let pid = plugin.stage(launch).await.map_err(|error| StepError {
            code: error.code,
            text: error.text,
            params: error.params,
        })?;
        Ok(json!({"pid": pid}))
    }

    async fn probe_new(&self, cx: &StepCx) -> Result<StepOutput, StepError> {
        let plugin = self.host.plugin(&cx.change.plugin);
        tokio::select! {
            answer = plugin.probe_staged() => {
                answer.map_err(|text| failure(codes::PORTABLE_START_FAILED, text))?;
                Ok(Json::Null)
            }
            () = cx.cancelled.cancelled() => {
                Err(failure(codes::OPERATION_CANCELLED, "cancelled".to_owned()))
            }
        }
    }

    async fn take_over(&self, cx: &StepCx) -> Result<StepOutput, StepError> {
        let (launch, _) = self.target(&cx.change)?;
        let plugin = self.host.plugin(&cx.change.plugin);
        // Checked when it was planned; another plugin may have come since.
        if let Some(taken) = self.host.registry.conflict(&launch.manifest) {
            return Err(failure(
                codes::PORTABLE_SYMBOL_FAILED,
                format!(
                    "the {} `{}` belongs to the plugin `{}` already",
                    word(taken.kind),
                    taken.symbol,
                    taken.owner
                ),
            ));
        }
        plugin
            .take_over()
            .await
            .map_err(|error| failure(codes::PORTABLE_SYMBOL_FAILED, error.text))?;
        self.host.registry.set(&plugin, Some(&launch.manifest));
        Ok(Json::Null)
    }

    async fn link(&self, change: &Change, version: &Version) -> Result<StepOutput, StepError> {
        let launch = self
            .host
            .launch(&change.plugin, version)
            .map_err(|text| failure(codes::INTERNAL, text))?;
        let (home, key) = (self.host.shared.home.clone(), change.plugin.key.clone());
        blocking(move || {
            versions::link(&home, &launch.manifest, &key, &launch.version)
                .map_err(|error| format!("links cannot be made: {error}"))
        })
        .await?;
        Ok(Json::Null)
    }

    async fn unlink(&self, change: &Change) -> Result<StepOutput, StepError> {
        let (home, key) = (self.host.shared.home.clone(), change.plugin.key.clone());
        blocking(move || {
            versions::unlink(&home, &key)
                .map_err(|error| format!("links cannot be removed: {error}"))
        })
        .await?;
        Ok(Json::Null)
    }

    async fn stop_all(&self, change: &Change) -> StepOutput {
        let plugin = self.host.plugin(&change.plugin);
        let removed = change.action == Action::Uninstall;
        let current = change.current.as_ref();
        match current.and_then(|version| self.host.launch(&change.plugin, version).ok()) {
            Some(launch) => self.host.registry.rest(&plugin, &launch.manifest, removed),
            None => self.host.registry.set(&plugin, None),
        }
        let reason = match change.action {
            Action::Uninstall => format!("plugin {} was removed", change.plugin.key),
            _ => format!("plugin {} was stopped", change.plugin.key),
        };
        plugin.shut(Some(&reason)).await;
        Json::Null
    }

    /// After a take-over was taken back: the symbols of the version before.
    fn register_current(&self, change: &Change) {
        let plugin = self.host.plugin(&change.plugin);
        let manifest = change
            .current
            .as_ref()
            .filter(|_| change.wanted_before.is_on())
            .and_then(|version| self.host.launch(&change.plugin, version).ok())
            .map(|launch| launch.manifest);
        self.host.registry.set(&plugin, manifest.as_deref());
    }
}

#[async_trait]
impl Kind for PortableKind {
    fn id(&self) -> KindId {
        KIND
    }

    fn recognise(&self, names: &Listing) -> Likeness {
        match package::signs(names) {
            Signs::Strong => Likeness::Yes,
            Signs::Weak => Likeness::Maybe,
            Signs::None => Likeness::No,
        }
    }

    fn inspect(&self, package: &dyn PackageReader, expected: Option<&str>) -> Inspection {
        package::inspect(package, expected)
    }

    fn dropped(&self, home: &Home) -> Vec<Dropped> {
        adopt::dropped(home)
    }

    async fn plan(&self, change: &Change) -> Result<Plan, KindError> {
        let mut acts = Vec::new();
        let mut fresh = false;
        if let Some(version) = &change.target {
            let manifest: Manifest = serde_json::from_value(version.manifest.clone())
                .map_err(|_| Problem::new(codes::INTERNAL).about(&change.plugin))?;
            check_options(version, &manifest).map_err(|problem| problem.about(&change.plugin))?;
            if let Some(taken) = self.host.registry.conflict(&manifest) {
                return Err(Problem::new(codes::PORTABLE_SYMBOL_TAKEN)
                    .about(&change.plugin)
                    .with("kind", word(taken.kind))
                    .with("symbol", taken.symbol)
                    .with("owner", taken.owner));
            }
            let directory = self
                .host
                .shared
                .home
                .versions(&change.plugin)
                .join(versions::id(version));
            fresh = !versions::is_built(&directory);
        }
        match change.action {
            Action::Uninstall => acts.extend([Act::Unlink, Act::StopAll, Act::RemoveFiles]),
            Action::Disable => acts.extend([Act::Rest, Act::StopAll]),
            Action::Perform => {
                return Err(Problem::new(codes::ACTION_UNSUPPORTED).about(&change.plugin));
            }
            Action::Install
            | Action::Upgrade
            | Action::Rollback
            | Action::Enable
            | Action::Restart => {
                acts.extend([Act::Unpack, Act::Build]);
                if change.wanted_after.is_on() {
                    acts.extend([Act::Start, Act::Probe, Act::TakeOver]);
                }
                acts.push(Act::Link);
                if change.wanted_before.is_on() && change.current.is_some() {
                    acts.push(Act::RetirePrevious);
                }
            }
        }
        let input = |act| match act {
            Act::Unpack => json!(Input { fresh }),
            _ => Json::Object(serde_json::Map::new()),
        };
        Ok(Plan {
            steps: acts.into_iter().map(|act| act.spec(input(act))).collect(),
        })
    }

    async fn run(&self, step: &StepSpec, cx: &StepCx) -> Result<StepOutput, StepError> {
        let change = &cx.change;
        match Act::of(step)? {
            Act::Unpack => self.unpack(cx).await,
            Act::Build => self.build(cx).await,
            Act::Start => self.start(cx).await,
            Act::Probe => self.probe_new(cx).await,
            Act::TakeOver => self.take_over(cx).await,
            Act::Link => match &change.target {
                Some(version) => {
                    let linked = self.link(change, version).await?;
                    if change.wanted_after.is_on() {
                        self.host.adopt(&self.host.plugin(&change.plugin)).await;
                    }
                    Ok(linked)
                }
                None => self.unlink(change).await,
            },
            Act::RetirePrevious => {
                self.host.plugin(&change.plugin).retire_previous().await;
                Ok(Json::Null)
            }
            Act::Rest => Ok(Json::Null),
            Act::StopAll => Ok(self.stop_all(change).await),
            Act::Unlink => self.unlink(change).await,
            Act::RemoveFiles => {
                let (home, name) = (self.host.shared.home.clone(), change.plugin.clone());
                let keep_data = change.keep_data;
                blocking(move || {
                    versions::remove_installation(&home, &name, keep_data)
                        .and_then(|()| environment::sweep(&home))
                        .map_err(|error| format!("files cannot be removed: {error}"))
                })
                .await?;
                Ok(Json::Null)
            }
        }
    }

    async fn undo(&self, step: &StepSpec, cx: &StepCx) -> Result<(), StepError> {
        let change = &cx.change;
        match Act::of(step)? {
            Act::Unpack => {
                let input: Input = serde_json::from_value(step.input.clone()).unwrap_or_default();
                if !input.fresh {
                    return Ok(());
                }
                let (launch, _) = self.target(change)?;
                let first = change.current.is_none();
                let (home, name) = (self.host.shared.home.clone(), change.plugin.clone());
                blocking(move || {
                    versions::discard(&launch.directory).map_err(|error| error.to_string())?;
                    environment::forget(&home, &launch.directory)
                        .map_err(|error| error.to_string())?;
                    if first {
                        // Nothing of a plugin that never was shall remain; neither is full by now.
                        let _ = std::fs::remove_dir(home.versions(&name));
                        let _ = std::fs::remove_dir(home.plugin_data(&name));
                    }
                    Ok(())
                })
                .await
            }
            Act::Start => {
                self.host.plugin(&change.plugin).unstage().await;
                Ok(())
            }
            Act::TakeOver => {
                let plugin = self.host.plugin(&change.plugin);
                let back = plugin.give_back().await;
                self.register_current(change);
                back.map_err(|error| failure(codes::PORTABLE_SYMBOL_FAILED, error.text))
            }
            Act::Link => match &change.current {
                Some(version) => self.link(change, version).await.map(drop),
                None => self.unlink(change).await.map(drop),
            },
            Act::Unlink => match &change.current {
                Some(version) => self.link(change, version).await.map(drop),
                None => Ok(()),
            },
            Act::Build
            | Act::Probe
            | Act::RetirePrevious
            | Act::Rest
            | Act::StopAll
            | Act::RemoveFiles => Ok(()),
        }
    }

    async fn is_whole(&self, installation: &Installation) -> bool {
        let id = versions::id(&installation.current);
        let home = &self.host.shared.home;
        let directory = home.versions(&installation.plugin).join(id);
        versions::is_built(&directory) && environment::is_there(home, &directory)
    }

    async fn resume(&self, all: &[Installation]) {
        Host::tend(&self.host);
        let mut starting = Vec::new();
        // First all symbols, so that no rule finds one missing whose plugin is merely slower (HOST-6).
        for installation in all {
            let plugin = self.host.plugin(&installation.plugin);
            let launch = match self
                .host
                .launch(&installation.plugin, &installation.current)
            {
                Ok(launch) => launch,
                Err(text) => {
                    plugin.logs.host(text);
                    continue;
                }
            };
            let home = &self.host.shared.home;
            let key = &installation.plugin.key;
            // A directory that was put there meanwhile is to be looked at first, not put by.
            if !versions::is_directory(&shown_directory(home, key))
                && let Err(error) = versions::link(home, &launch.manifest, key, &launch.version)
            {
                tracing::warn!(plugin = %installation.plugin, %error, "Links cannot be made");
            }
            if installation.wanted.is_on() {
                self.host.registry.set(&plugin, Some(&launch.manifest));
                starting.push((plugin, launch));
            } else {
                self.host.registry.rest(&plugin, &launch.manifest, false);
                plugin.shut(None).await;
            }
        }
        for (plugin, launch) in starting {
            plugin.resume(launch).await;
        }
    }

    async fn shut_down(&self) {
        let all = self.host.all();
        futures::future::join_all(all.iter().map(|plugin| plugin.shut(None))).await;
    }

    async fn discard(&self, plugin: &PluginName, version: &Version) {
        let home = self.host.shared.home.clone();
        let (key, id) = (plugin.key.clone(), versions::id(version));
        let directory = home.versions(plugin).join(&id);
        let remove = move || {
            // Versions that differ only in what their processes may do share their files.
            if versions::is_shown(&home, &key, &id) {
                return Ok(());
            }
            versions::discard(&directory)?;
            environment::forget(&home, &directory)
        };
        let removed = tokio::task::spawn_blocking(remove).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%plugin, %error, "An old version cannot be removed");
        }
    }

    async fn probe(&self, installation: &Installation) -> Health {
        match self.host.find(installation.plugin.key.as_str()) {
            Some(plugin) => plugin.health(),
            None if installation.wanted.is_on() => Health::new(HealthState::Unknown),
            None => Health::new(HealthState::Stopped),
        }
    }

    fn watch(&self) -> BoxStream<'static, HealthEvent> {
        follow(self.host.shared.health.subscribe())
    }

    async fn details(&self, installation: &Installation) -> Json {
        let key = &installation.plugin.key;
        let mut details = match self.host.find(key.as_str()) {
            Some(plugin) => plugin.details().await,
            None => Json::Object(serde_json::Map::new()),
        };
        let home = self.host.shared.home.clone();
        let adopted: Vec<_> = files::adopted(&home, key.as_str())
            .iter()
            .map(|path| {
                path.strip_prefix(home.root())
                    .unwrap_or(path)
                    .display()
                    .to_string()
            })
            .collect();
        if let Some(details) = details.as_object_mut().filter(|_| !adopted.is_empty()) {
            details.insert("adopted".to_owned(), adopted.into());
        }
        details
    }

    fn logs(
        &self,
        plugin: &PluginName,
        tail: usize,
    ) -> (Vec<LogLine>, BoxStream<'static, LogLine>) {
        let (lines, live) = self.host.plugin(plugin).logs.follow(tail);
        (lines, follow(live))
    }
}

/// Whether a version can be run with its options.
fn check_options(version: &Version, manifest: &Manifest) -> Result<(), Problem> {
    let wrong = |OptionError { option, reason }| {
        Problem::new(codes::PORTABLE_OPTION_INVALID)
            .with("option", option)
            .with("reason", reason)
    };
    let options = PortableOptions::read(&version.options).map_err(wrong)?;
    let functions: Vec<_> = manifest.symbols(SymbolKind::Function).iter().collect();
    let symbols = manifest.all_symbols().map(|(_, name)| name);
    named(
        "call_timeouts",
        "function",
        &options.call_timeouts,
        &functions,
    )
    .map_err(wrong)?;
    named(
        "start_timeouts",
        "symbol",
        &options.start_timeouts,
        &symbols.collect::<Vec<_>>(),
    )
    .map_err(wrong)
}

/// Whether a plugin has everything that an option names.
fn named(
    option: &str,
    what: &str,
    given: &BTreeMap<String, Span>,
    there: &[impl AsRef<str>],
) -> Result<(), OptionError> {
    let there: Vec<&str> = there.iter().map(AsRef::as_ref).collect();
    match given.keys().find(|name| !there.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(OptionError {
            option: format!("{option}.{name}"),
            reason: format!("the plugin has no such {what}; it has {}", there.join(", ")),
        }),
    }
}

/// A stream of what is sent from now on; what a slow follower missed is left out.
fn follow<T: Clone + Send + 'static>(receiver: broadcast::Receiver<T>) -> BoxStream<'static, T> {
    stream::unfold(receiver, |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(item) => return Some((item, receiver)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    })
    .boxed()
}

fn failure(code: Code, text: String) -> StepError {
    let params = Params::from([("reason".to_owned(), text.clone())]);
    StepError { code, text, params }
}

/// Work on files, away from the threads that rows pass through.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, StepError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
        .map_err(|text| failure(codes::PORTABLE_FILES_FAILED, text))
}
