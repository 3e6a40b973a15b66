//! The kind as the platform sees it.

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use plugyard_archive::{Limits, Listing, PackageReader};
use plugyard_model::{Health, HealthState, Inspection, KindId, PluginName, Problem, codes};
use plugyard_platform::kind::{
    Change, HealthEvent, Installation, KindError, Likeness, LogLine, Plan, StepCx, StepError,
    StepOutput, StepSpec, Version,
};
use plugyard_platform::{Kind, files};
use plugyard_store::{StoreError, Transaction};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::host::WebHost;
use crate::lifecycle::{self, Facts};
use crate::package::{self, KIND};
use crate::{assets, health, records, states};

/// Implements [`Kind`].
pub(crate) struct WebKind {
    pub(crate) host: WebHost,
}

impl WebKind {
    pub(crate) fn new(host: WebHost) -> Self {
        Self { host }
    }
}

#[async_trait]
impl Kind for WebKind {
    fn id(&self) -> KindId {
        KIND
    }

    fn has_process(&self) -> bool {
        false
    }

    fn config_file(&self) -> Option<&'static str> {
        Some("config.json")
    }

    fn limits(&self) -> Limits {
        self.host.0.settings.package_limits.of_archive()
    }

    fn takes_legacy_names(&self) -> bool {
        true
    }

    fn lasting_options(&self, options: &Json) -> Json {
        // Whether seeds run is about one change, and makes no version of its own.
        let mut options = options.clone();
        if let Some(options) = options.as_object_mut() {
            options.remove(lifecycle::SEED);
        }
        options
    }

    fn recognise(&self, names: &Listing) -> Likeness {
        package::recognise(names)
    }

    fn inspect(&self, package: &dyn PackageReader, expected: Option<&str>) -> Inspection {
        let limits = &self.host.0.settings.package_limits;
        package::inspect(package, expected, limits)
    }

    async fn begins_enabled(
        &self,
        plugin: &PluginName,
        version: &Version,
        transaction: &Transaction,
    ) -> Result<bool, StoreError> {
        let row = records::find(&**transaction, plugin.key.as_str()).await?;
        Ok(lifecycle::begins_enabled(version, row.as_ref()))
    }

    fn keeps_data(&self) -> bool {
        true
    }

    async fn keeps_versions(&self) -> Result<Option<usize>, StoreError> {
        // As many former ones as the site wants, beside the one in force.
        let kept = self.host.site().await?.backups_kept();
        Ok(Some(kept.saturating_add(1)))
    }

    fn may_come_from(&self, url: &str) -> Result<(), Problem> {
        let settings = &self.host.0.settings;
        let parsed = reqwest::Url::parse(url).ok();
        let host = parsed.as_ref().and_then(reqwest::Url::host_str);
        let named = |host: &str| {
            let mut hosts = settings.package_hosts.iter();
            hosts.any(|named| named.eq_ignore_ascii_case(host))
        };
        if host.is_some_and(named) {
            return Ok(());
        }
        let reason = "`web.package_hosts` does not name this host, and only the hosts named there are trusted \
                      with packages of this kind";
        Err(Problem::new(codes::PACKAGE_URL_REFUSED)
            .with("uri", host.unwrap_or("?"))
            .with("reason", reason))
    }

    async fn plan(&self, change: &Change) -> Result<Plan, KindError> {
        self.host.plan(change).await
    }

    async fn run(&self, step: &StepSpec, cx: &StepCx) -> Result<StepOutput, StepError> {
        self.host.run(step, cx).await
    }

    async fn undo(&self, step: &StepSpec, cx: &StepCx) -> Result<(), StepError> {
        self.host.undo(step, cx).await
    }

    async fn commit_rows(
        &self,
        change: &Change,
        transaction: &Transaction,
        now: i64,
    ) -> Result<(), StoreError> {
        self.host.committed(change, transaction, now).await
    }

    async fn is_whole(&self, installation: &Installation) -> bool {
        self.host.seen(installation).await.is_ok()
    }

    async fn resume(&self, _all: &[Installation]) {
        // Whatever happened to it meanwhile; also how safe mode begins and ends.
        if let Err(error) = self.host.export_status().await {
            tracing::warn!(%error, "The status file cannot be written");
        }
    }

    async fn shut_down(&self) {}

    async fn discard(&self, plugin: &PluginName, version: &Version) {
        let home = &self.host.0.home;
        let directory = files::version_directory(home, plugin, &version.digest);
        let removed = tokio::task::spawn_blocking(move || files::discard(&directory)).await;
        let removed = removed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = removed {
            tracing::warn!(%error, plugin.name = %plugin, "A version cannot be removed");
        }
    }

    async fn probe(&self, installation: &Installation) -> Health {
        let facts = Facts::now(installation);
        if !installation.wanted.is_on() {
            return Health::new(HealthState::Stopped);
        }
        if facts.is_standalone() {
            return Health::new(HealthState::Ready);
        }
        if let Err(reason) = self.host.seen(installation).await {
            return Health::because(HealthState::Failed, reason);
        }
        if self.host.0.safe_mode && !facts.is_theme() {
            return Health::because(HealthState::Stopped, "safe mode: nothing is loaded");
        }
        let address = self.host.health_address(&facts).await;
        let asked = match address {
            Ok(Some(address)) => health::asked(&self.host.0.settings, &address).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
        match asked {
            Ok(()) => Health::new(HealthState::Ready),
            Err(reason) => Health::because(HealthState::Degraded, reason),
        }
    }

    fn watch(&self) -> BoxStream<'static, HealthEvent> {
        stream::pending().boxed()
    }

    async fn details(&self, installation: &Installation) -> Json {
        match self.host.told(installation).await {
            Ok(details) => details,
            Err(error) => json!({ "error": error.to_string() }),
        }
    }

    fn logs(
        &self,
        _plugin: &PluginName,
        _tail: usize,
    ) -> (Vec<LogLine>, BoxStream<'static, LogLine>) {
        // The application loads the code; what it writes is the application's.
        (Vec::new(), stream::pending().boxed())
    }
}

/// The files of a plugin, as its operator finds them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Seen {
    /// Where people and the application find it.
    directory: String,
    /// Where its assets are found.
    assets: String,
    /// Whether the directory holds the version that is installed, with its manifest.
    matches: bool,
    /// Whether the application may load it: the files are there and nothing keeps them from being loaded.
    loadable: bool,
    /// Whether its assets can be seen.
    published: bool,
    /// Why it does not match.
    reason: Option<String>,
}

impl WebHost {
    /// What there is of a plugin on disk.
    pub(crate) async fn files(&self, installation: &Installation) -> Option<Seen> {
        let facts = Facts::now(installation);
        if facts.is_standalone() {
            return None;
        }
        let seen = self.seen(installation).await;
        let shown = self.shown_at(&facts.fskey, facts.is_theme());
        let state = match self.database() {
            Ok(database) => states::find(database.conn(), &facts.fskey).await.ok(),
            Err(_) => None,
        };
        let failed = state.and_then(|state| state.last_error).is_some();
        Some(Seen {
            assets: assets::shown(&self.0.home, &facts.fskey)
                .display()
                .to_string(),
            directory: shown.display().to_string(),
            matches: seen.is_ok(),
            loadable: seen.is_ok() && !facts.is_theme() && !failed && !self.0.safe_mode,
            published: assets::published(&self.0.home, &facts.fskey).is_some(),
            reason: seen.err(),
        })
    }

    /// Whether the version in force is what people and the application see; else what is there.
    pub(crate) async fn seen(&self, installation: &Installation) -> Result<(), String> {
        let facts = Facts::now(installation);
        if facts.is_standalone() {
            return Ok(());
        }
        let home = self.0.home.clone();
        let shown = self.shown_at(&facts.fskey, facts.is_theme());
        let plugin = installation.plugin.clone();
        let version = installation.current.clone();
        let state = match self.database() {
            Ok(database) => states::find(database.conn(), &facts.fskey).await,
            Err(error) => Err(error),
        };
        let hidden = state.map_err(|error| error.to_string())?.is_unpublished == 1;
        let assets = !hidden && facts.target.as_ref().is_some_and(|it| it.contents.assets);
        let theme = facts.is_theme();
        let looked = tokio::task::spawn_blocking(move || {
            let directory = files::version_directory(&home, &plugin, &version.digest);
            let canonical = |path: &std::path::Path| {
                std::fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
            };
            if canonical(&shown)? != canonical(&directory)? {
                return Err(format!(
                    "{} is not the version that is installed",
                    shown.display()
                ));
            }
            let published = assets::published(&home, plugin.key.as_str());
            let expected = assets.then(|| assets::target(&plugin, &version.digest, theme));
            if expected.is_some() && published != expected {
                return Err("its assets are not those of the version that is installed".to_owned());
            }
            Ok(())
        });
        looked.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The kind's own part of `show`.
    async fn told(&self, installation: &Installation) -> Result<Json, StoreError> {
        let facts = Facts::now(installation);
        let connection = self.database()?.conn();
        let row = records::find(connection, &facts.fskey).await?;
        let state = states::find(connection, &facts.fskey).await?;
        let site = self.site().await?;
        let manifest = facts.target.as_ref();
        let shown = self.shown_at(&facts.fskey, facts.is_theme());
        Ok(json!({
            "record": row.map(|row| records::document(&row, &site)),
            "directory": (!facts.is_standalone()).then(|| shown.display().to_string()),
            "providers": manifest.map(|it| &it.providers),
            "requirements": manifest.map(|it| &it.platform),
            "foreign_dependencies": manifest.map(|it| &it.foreign_dependencies),
            "last_error": state.last_error,
            "failed_version": state.failed_version,
            "safe_mode": self.0.safe_mode,
        }))
    }
}
