//! The kind as the platform sees it.
//!
//! There is no process to start: the application loads the code itself. The steps of a change are `unpack`
//! (the version on disk), `commit` (the link in `plugins/`, with the rows in the same transaction), and
//! `stop` (a handler's process, where there is one). An uninstalled plugin keeps its directory and its
//! record.

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use plugyard_archive::{Listing, PackageReader};
use plugyard_model::{
    Code, Health, HealthState, Inspection, KindId, Params, PluginName, Problem, StepName, codes,
};
use plugyard_platform::Kind;
use plugyard_platform::kind::{
    Action, Change, HealthEvent, Installation, KindError, Likeness, LogLine, Plan, StepCx,
    StepError, StepOutput, StepSpec, Version,
};
use plugyard_store::{StoreError, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::host::AppHost;
use crate::manifest::Handler;
use crate::package::{self, KIND, Stored};
use crate::records;
use plugyard_platform::files;

/// Implements [`Kind`].
pub(crate) struct AppKind {
    host: AppHost,
    /// Whether `plugins/` was looked through at the start.
    looked: tokio::sync::OnceCell<()>,
}

/// What the kind does under the platform's words for steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    /// The version on disk, whole.
    Unpack,
    /// The link leads to the version.
    Link,
    /// Only rows change.
    Record,
    /// A handler's process ends.
    StopHandler,
}

impl Act {
    const fn step(self) -> StepName {
        match self {
            Self::Unpack => StepName::Unpack,
            Self::Link | Self::Record => StepName::Commit,
            Self::StopHandler => StepName::Stop,
        }
    }

    fn spec(self, input: Json) -> StepSpec {
        let word = serde_json::to_value(self).ok();
        StepSpec {
            name: self.step(),
            action: word
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

/// What the step of unpacking knows from when it was planned.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Input {
    /// The version was not on disk, so that taking the step back removes it.
    fresh: bool,
}

impl AppKind {
    pub(crate) fn new(host: AppHost) -> Self {
        Self {
            host,
            looked: tokio::sync::OnceCell::new(),
        }
    }

    async fn unpack(&self, cx: &StepCx) -> Result<StepOutput, StepError> {
        let version = target(&cx.change)?;
        let package = cx.packages.file(&version.digest).await?;
        let directory = self.directory(&cx.change.plugin, version);
        let placed = blocking(move || {
            if let Some(parent) = directory.parent() {
                std::fs::create_dir_all(parent).map_err(|error| error.to_string())?;
            }
            let package = files::open_package(&package).map_err(|error| error.to_string())?;
            files::place(&package, &directory)
        });
        Ok(json!({ "reused": !placed.await? }))
    }

    async fn link(&self, plugin: &PluginName, version: &Version) -> Result<(), StepError> {
        let (home, plugin, digest) = (self.host.0.home.clone(), plugin.clone(), version.digest);
        blocking(move || {
            let shown = files::shown(&home, plugin.key.as_str());
            files::link(&home, &shown, &plugin, &digest)
                .map_err(|error| format!("the link cannot be made: {error}"))
        })
        .await
    }

    fn directory(&self, plugin: &PluginName, version: &Version) -> std::path::PathBuf {
        files::version_directory(&self.host.0.home, plugin, &version.digest)
    }
}

#[async_trait]
impl Kind for AppKind {
    fn id(&self) -> KindId {
        KIND
    }

    fn has_process(&self) -> bool {
        false
    }

    fn config_file(&self) -> Option<&'static str> {
        Some(package::CONFIG)
    }

    fn recognise(&self, names: &Listing) -> Likeness {
        package::recognise(names)
    }

    fn inspect(&self, package: &dyn PackageReader, expected: Option<&str>) -> Inspection {
        package::inspect(package, expected)
    }

    async fn plan(&self, change: &Change) -> Result<Plan, KindError> {
        let mut acts = Vec::new();
        match change.action {
            Action::Install | Action::Enable => acts.extend([Act::Unpack, Act::Link]),
            Action::Upgrade | Action::Rollback | Action::Restart => {
                acts.extend([Act::Unpack, Act::Link, Act::StopHandler]);
            }
            // It is stopped before it is said to be: nothing of it answers afterwards.
            Action::Disable | Action::Uninstall => acts.extend([Act::StopHandler, Act::Record]),
            Action::Perform => {
                return Err(Problem::new(codes::ACTION_UNSUPPORTED).about(&change.plugin));
            }
        }
        let fresh = change
            .target
            .as_ref()
            .is_some_and(|version| !files::is_there(&self.directory(&change.plugin, version)));
        let input = |act| match act {
            Act::Unpack => json!(Input { fresh }),
            _ => Json::Object(serde_json::Map::new()),
        };
        Ok(Plan {
            steps: acts.into_iter().map(|act| act.spec(input(act))).collect(),
        })
    }

    async fn run(&self, step: &StepSpec, cx: &StepCx) -> Result<StepOutput, StepError> {
        match Act::of(step)? {
            Act::Unpack => self.unpack(cx).await,
            Act::Link => {
                self.link(&cx.change.plugin, target(&cx.change)?).await?;
                Ok(Json::Null)
            }
            Act::Record => Ok(Json::Null),
            Act::StopHandler => {
                self.host.0.handlers.stop(&cx.change.plugin).await;
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
                let directory = self.directory(&change.plugin, target(change)?);
                blocking(move || {
                    files::discard(&directory.with_extension("part"))
                        .and_then(|()| files::discard(&directory))
                        .map_err(|error| error.to_string())
                })
                .await
            }
            Act::Link => match &change.current {
                Some(version) => self.link(&change.plugin, version).await,
                None => {
                    let (home, plugin) = (self.host.0.home.clone(), change.plugin.clone());
                    blocking(move || {
                        let shown = files::shown(&home, plugin.key.as_str());
                        files::unlink(&home, &shown, plugin.key.as_str())
                            .map_err(|error| format!("the link cannot be removed: {error}"))
                    })
                    .await
                }
            },
            // A handler starts again when it is asked.
            Act::Record | Act::StopHandler => Ok(()),
        }
    }

    async fn commit_rows(
        &self,
        change: &Change,
        transaction: &Transaction,
        now: i64,
    ) -> Result<(), StoreError> {
        records::committed(&**transaction, change, now).await
    }

    async fn is_whole(&self, installation: &Installation) -> bool {
        files::is_there(&self.directory(&installation.plugin, &installation.current))
    }

    async fn resume(&self, _all: &[Installation]) {
        let look = || async {
            match self.host.0.discover().await {
                Ok(Ok(found)) => {
                    for it in found.iter().filter(|it| !it.is_valid()) {
                        tracing::warn!(
                            "`plugins/{}` is no plugin that could be installed",
                            it.name
                        );
                    }
                }
                Ok(Err(error)) => tracing::warn!(%error, "`plugins/` cannot be looked through"),
                Err(problem) => tracing::warn!(%problem, "Plugins found cannot be written down"),
            }
        };
        self.looked.get_or_init(look).await;
    }

    async fn shut_down(&self) {
        self.host.0.handlers.stop_all().await;
    }

    async fn discard(&self, plugin: &PluginName, version: &Version) {
        let directory = self.directory(plugin, version);
        // An uninstalled plugin's link may still lead there; then it stays what people see.
        let shown = files::shown(&self.host.0.home, plugin.key.as_str());
        let in_use = std::fs::canonicalize(shown).is_ok_and(|it| it == canonical(&directory));
        if in_use {
            return;
        }
        let removed = blocking(move || files::discard(&directory).map_err(|it| it.to_string()));
        if let Err(error) = removed.await {
            tracing::warn!(%error, plugin.name = %plugin, "A version cannot be removed");
        }
    }

    async fn probe(&self, installation: &Installation) -> Health {
        if !installation.wanted.is_on() {
            return Health::new(HealthState::Stopped);
        }
        let home = &self.host.0.home;
        let shown = files::shown(home, installation.plugin.key.as_str());
        let directory = self.directory(&installation.plugin, &installation.current);
        let state = blocking(move || {
            Ok(match std::fs::canonicalize(&shown) {
                Ok(now) if now == canonical(&directory) => Health::new(HealthState::Ready),
                Ok(_) => Health::because(
                    HealthState::Degraded,
                    "its directory in `plugins/` is not the version that is installed",
                ),
                Err(error) => Health::because(
                    HealthState::Failed,
                    format!("its directory in `plugins/` cannot be read: {error}"),
                ),
            })
        });
        state
            .await
            .unwrap_or_else(|error: StepError| Health::because(HealthState::Failed, error.text))
    }

    fn watch(&self) -> BoxStream<'static, HealthEvent> {
        stream::pending().boxed()
    }

    async fn details(&self, installation: &Installation) -> Json {
        let stored: Stored =
            serde_json::from_value(installation.current.manifest.clone()).unwrap_or_default();
        let handler = match &stored.app.handler {
            None => Json::Null,
            Some(Handler::Command(words)) => json!({
                "command": words,
                "pid": self.host.0.handlers.pid(&installation.plugin).await,
            }),
            // An address may hold a password.
            Some(Handler::Url(_)) => json!({ "url": true }),
        };
        json!({
            "directory": format!("plugins/{}", installation.plugin.key),
            "display_name": stored.app.display_name,
            "author": stored.app.author,
            "permissions": stored.app.permissions,
            "handler": handler,
        })
    }

    fn logs(
        &self,
        plugin: &PluginName,
        tail: usize,
    ) -> (Vec<LogLine>, BoxStream<'static, LogLine>) {
        self.host.0.handlers.log(plugin).follow(tail)
    }
}

fn canonical(path: &std::path::Path) -> std::path::PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn target(change: &Change) -> Result<&Version, StepError> {
    change.target.as_ref().ok_or_else(|| {
        failure(
            codes::INTERNAL,
            "the change has no version to go to".to_owned(),
        )
    })
}

fn failure(code: Code, text: String) -> StepError {
    StepError {
        code,
        text,
        params: Params::new(),
    }
}

/// Runs what reads and writes files where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, StepError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(|text| failure(codes::STEP_FAILED, text))
}
