//! The host: all portable plugins of a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use plugyard_model::{Key, PluginName, Problem};
use plugyard_platform::files::missing_is_fine;
use plugyard_platform::kind::{HealthEvent, Version};
use plugyard_platform::{Home, Platform, PluginAccess};
use plugyard_sandbox::{HostReport, Launcher, reap_leftovers};
use plugyard_symbol::{
    Catalog, FunctionSymbol, Provider, SinkSymbol, SourceSymbol, SymbolError, SymbolKind,
};
use tokio::sync::{OnceCell, broadcast, watch};

use crate::environment;
use crate::function::PortableFunction;
use crate::kept::Kept;
use crate::kind::PortableKind;
use crate::lobby::Lobby;
use crate::manifest::Manifest;
use crate::options::{OptionError, PortableOptions};
use crate::package::KIND;
use crate::place::{Ground, run_directories};
use crate::plugin::Plugin;
use crate::process::Launch;
use crate::registry::Registry;
use crate::settings::{IsolationMode, PortableSettings};
use crate::sink::PortableSink;
use crate::source::PortableSource;
use crate::versions;

/// Where the SDKs look for sockets.
const TMP: &str = "/tmp";
/// Changes of health that a follower may be behind before it misses some.
const EVENTS: usize = 256;
/// Between two looks at idle function channels, into which the SDKs write every 5 s.
const TEND_EVERY: Duration = Duration::from_secs(10);

/// All portable plugins of a server. Cheap to clone; clones are the same host.
///
/// It starts nothing by itself: the platform does, through [`kind`](Self::kind).
#[derive(Debug, Clone)]
pub struct PortableHost {
    inner: Arc<Host>,
}

/// What is behind a [`PortableHost`].
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Registry,
    /// Every plugin that was ever here since the start of the server, by key: a rule may wait for one
    /// that was uninstalled, and its status can still be asked.
    plugins: RwLock<BTreeMap<String, Arc<Plugin>>>,
}

/// What all plugins share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) home: Home,
    pub(crate) settings: PortableSettings,
    pub(crate) health: broadcast::Sender<HealthEvent>,
    /// What eKuiper's interface was told.
    pub(crate) kept: Arc<Kept>,
    /// Gives each process a token of its plugin's; without it they have none.
    pub(crate) access: OnceLock<PluginAccess>,
    ground: OnceCell<Ground>,
    shim: Option<PathBuf>,
}

impl Shared {
    /// What processes stand on. Made on first use, when the platform has prepared the home directory;
    /// before that, what an earlier server left is ended and removed (HOST-9).
    pub(crate) async fn ground(&self) -> Result<&Ground, String> {
        let make = || async {
            let (directory, shim) = (self.home.run().join("portable"), self.shim.clone());
            let sockets = run_directories(&self.home);
            let make = move || {
                std::fs::create_dir_all(&directory)?;
                let left = reap_leftovers(&directory)?;
                if !left.killed.is_empty() {
                    tracing::warn!(pids = ?left.killed, "Ended processes that an earlier server left");
                }
                // Its run directories, with sockets on which nobody listens.
                missing_is_fine(std::fs::remove_dir_all(sockets))?;
                let launcher = match shim {
                    Some(shim) => Launcher::with_shim(&directory, shim),
                    None => Launcher::new(&directory),
                }?;
                let lobby = Lobby::new(Path::new(TMP), launcher.instance());
                lobby.clean();
                Ok::<_, std::io::Error>((launcher, lobby))
            };
            let done = tokio::task::spawn_blocking(make)
                .await
                .map_err(|error| error.to_string())?;
            let (launcher, lobby) =
                done.map_err(|error| format!("no process can be started: {error}"))?;
            let shared = self.why_shared(&launcher).await;
            if let Some(reason) = &shared {
                tracing::warn!(
                    reason,
                    "Plugins share the directory for temporary files and see the machine's processes"
                );
            }
            Ok(Ground {
                launcher,
                shared: shared.map(|reason| (Arc::new(lobby), reason)),
            })
        };
        self.ground.get_or_try_init(make).await
    }

    /// Why running processes have no `/tmp` of their own; nothing when they have, or none was started yet.
    pub(crate) fn why_sharing(&self) -> Option<&str> {
        let (_, reason) = self.ground.get()?.shared.as_ref()?;
        Some(reason)
    }

    /// Why processes have no `/tmp` of their own; nothing when they have.
    async fn why_shared(&self, launcher: &Launcher) -> Option<String> {
        match self.settings.isolation {
            IsolationMode::Namespaces => None,
            IsolationMode::Shared => Some("`portable.isolation` is `shared`".to_owned()),
            IsolationMode::Auto => match launcher.isolation().await {
                Ok(isolated) if isolated.pid_namespace && isolated.private_tmp => None,
                Ok(isolated) => Some(isolated.missing.join("; ")),
                // Nothing can be started, which the first start will say.
                Err(_) => None,
            },
        }
    }
}

impl PortableHost {
    /// A host for the plugins of `home`. Does nothing yet.
    pub fn new(settings: PortableSettings, home: Home) -> Self {
        Self::with(settings, home, None)
    }

    /// A host whose processes are started through another binary than the running one, which then need
    /// not call [`plugyard_sandbox::shim::run_if_asked`].
    pub fn with_shim(settings: PortableSettings, home: Home, shim: PathBuf) -> Self {
        Self::with(settings, home, Some(shim))
    }

    fn with(settings: PortableSettings, home: Home, shim: Option<PathBuf>) -> Self {
        let shared = Shared {
            kept: Kept::new(&home.data()),
            home,
            settings,
            health: broadcast::Sender::new(EVENTS),
            access: OnceLock::new(),
            ground: OnceCell::new(),
            shim,
        };
        let inner = Host {
            shared: Arc::new(shared),
            registry: Registry::new(),
            plugins: RwLock::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Reads the configuration keys that were set and the requests of installations. To be called before anything
    /// is resumed: without it a source would be started without its keys.
    ///
    /// # Errors
    /// As [`Platform::secrets`], or that what an earlier version left cannot be read. Sources are refused then.
    pub async fn begin(&self, platform: &Platform) -> Result<(), Problem> {
        self.inner.shared.kept.load(platform).await
    }

    /// From now on each process gets a token with which its plugin can ask the server about itself. Only
    /// the first call counts.
    pub fn set_access(&self, access: PluginAccess) {
        // Fails when there is one already.
        let _ = self.inner.shared.access.set(access);
    }

    /// The kind, to be registered with the platform.
    pub fn kind(&self) -> Arc<dyn plugyard_platform::Kind> {
        Arc::new(PortableKind::new(Arc::clone(&self.inner)))
    }

    /// The symbols that plugins serve.
    pub fn catalog(&self) -> Arc<dyn Catalog> {
        Arc::new(SymbolCatalog(Arc::clone(&self.inner)))
    }

    /// Changes whenever a plugin begins or ceases to serve symbols, so that rules which waited for one
    /// can be started. The number itself means nothing.
    pub fn catalog_changes(&self) -> watch::Receiver<u64> {
        self.inner.registry.changes()
    }

    /// Which plugin serves each symbol of a kind: pairs of symbol and plugin key, sorted.
    pub fn owners(&self, kind: SymbolKind) -> Vec<(String, String)> {
        self.inner.registry.owners(kind)
    }

    /// The status of a plugin in eKuiper's shape; `None` for a name never seen since the server started.
    pub fn status(&self, key: &str) -> Option<serde_json::Value> {
        self.inner.find(key).map(|plugin| plugin.status())
    }

    /// The same of every plugin seen since the server started, by name.
    pub fn statuses(&self) -> Vec<(PluginName, serde_json::Value)> {
        let plugins = self.inner.all().into_iter();
        plugins
            .map(|plugin| (plugin.name.clone(), plugin.status()))
            .collect()
    }

    /// What this machine permits of isolation and limits.
    ///
    /// # Errors
    /// Why no process can be started at all.
    pub async fn host_report(&self) -> Result<HostReport, String> {
        Ok(self.inner.shared.ground().await?.launcher.host().await)
    }

    pub(crate) fn inner(&self) -> &Arc<Host> {
        &self.inner
    }
}

impl Host {
    /// A plugin that was here since the server started.
    pub(crate) fn find(&self, key: &str) -> Option<Arc<Plugin>> {
        self.plugins.read().get(key).cloned()
    }

    /// The plugin of that name, made when it is new.
    pub(crate) fn plugin(&self, name: &PluginName) -> Arc<Plugin> {
        let key = name.key.as_str();
        if let Some(plugin) = self.find(key) {
            return plugin;
        }
        let mut plugins = self.plugins.write();
        let make = || Arc::new(Plugin::new(name.clone(), Arc::clone(&self.shared)));
        Arc::clone(plugins.entry(key.to_owned()).or_insert_with(make))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Plugin>> {
        self.plugins.read().values().cloned().collect()
    }

    /// The plugin that has a symbol now, which need not be the one that had it when the rule was made.
    ///
    /// # Errors
    /// When no plugin has it: why.
    pub(crate) fn provider(
        &self,
        kind: SymbolKind,
        symbol: &str,
        first: &Arc<Plugin>,
    ) -> Result<Arc<Plugin>, SymbolError> {
        match self.registry.find(kind, symbol) {
            Some(plugin) => Ok(plugin),
            None => match self.registry.absence(kind, symbol) {
                Some(absence) => Err(SymbolError::missing(absence)),
                None => Ok(Arc::clone(first)),
            },
        }
    }

    /// Gives a plugin that runs now what waits for its symbols since another plugin is gone.
    pub(crate) async fn adopt(&self, plugin: &Arc<Plugin>) {
        plugin.adopt(&self.registry, &self.all()).await;
    }

    /// What it takes to start a version.
    ///
    /// # Errors
    /// When the stored manifest is none, which an accepted package cannot cause.
    pub(crate) fn launch(&self, name: &PluginName, version: &Version) -> Result<Launch, String> {
        let manifest: Manifest = serde_json::from_value(version.manifest.clone())
            .map_err(|error| format!("the stored manifest of {name} cannot be read: {error}"))?;
        let options = PortableOptions::read(&version.options).map_err(|error| {
            let OptionError { option, reason } = error;
            format!("the option `{option}` of {name} cannot be used: {reason}")
        })?;
        let granted = manifest
            .plugyard
            .limits
            .within(&self.shared.settings.limits);
        let home = &self.shared.home;
        let id = versions::id(version);
        let directory = home.versions(name).join(&id);
        Ok(Launch {
            environment: environment::of(home, &directory),
            directory,
            version: id,
            id: version.id,
            label: version.label.clone(),
            data: home.plugin_data(name),
            config: plugyard_platform::config::config_file(home, name, version.id),
            shown_executable: shown_directory(home, &name.key).join(&manifest.executable),
            manifest: Arc::new(manifest),
            limits: options.limits.over(&granted),
            options: Arc::new(options),
        })
    }

    /// Keeps idle channels empty for as long as the host lives.
    pub(crate) fn tend(host: &Arc<Self>) {
        let host: Weak<Self> = Arc::downgrade(host);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TEND_EVERY).await;
                let Some(host) = host.upgrade() else { return };
                if let Some((lobby, _)) = host.shared.ground.get().and_then(|it| it.shared.as_ref())
                {
                    lobby.mend();
                }
                for plugin in host.all() {
                    plugin.tend();
                }
            }
        });
    }
}

/// `plugins/portable/{key}`: where people and rules find the current version.
pub(crate) fn shown_directory(home: &Home, key: &Key) -> PathBuf {
    home.plugins().join(KIND.as_str()).join(key.as_str())
}

/// The catalogue over the registry.
struct SymbolCatalog(Arc<Host>);

impl Catalog for SymbolCatalog {
    fn source(&self, name: &str) -> Option<Arc<dyn SourceSymbol>> {
        let plugin = self.0.registry.find(SymbolKind::Source, name)?;
        Some(Arc::new(PortableSource {
            host: Arc::clone(&self.0),
            plugin,
            symbol: name.to_owned(),
        }))
    }

    fn sink(&self, name: &str) -> Option<Arc<dyn SinkSymbol>> {
        let plugin = self.0.registry.find(SymbolKind::Sink, name)?;
        Some(Arc::new(PortableSink {
            host: Arc::clone(&self.0),
            plugin,
            symbol: name.to_owned(),
        }))
    }

    fn function(&self, name: &str) -> Option<Arc<dyn FunctionSymbol>> {
        let plugin = self.0.registry.find(SymbolKind::Function, name)?;
        Some(Arc::new(PortableFunction {
            host: Arc::clone(&self.0),
            plugin,
            symbol: name.to_owned(),
        }))
    }

    fn names(&self, kind: SymbolKind) -> Vec<String> {
        self.0.registry.names(kind)
    }

    fn absence(&self, kind: SymbolKind, name: &str) -> Option<String> {
        self.0.registry.absence(kind, name)
    }

    fn provider(&self, kind: SymbolKind, name: &str) -> Option<Provider> {
        let plugin = self.0.registry.find(kind, name)?;
        let version = plugin.launch().map_or_else(String::new, |it| it.label);
        Some(Provider {
            plugin: plugin.name.key.to_string(),
            version,
        })
    }
}
