//! The home directory: where everything on disk has its place.

use std::path::{Path, PathBuf};

use plugyard_model::{KindId, PluginName};

/// `PLUGYARD_HOME`. Cheap to clone; knows paths and creates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// A home at an absolute path.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// `plugyard.toml`, the optional configuration.
    pub fn configuration(&self) -> PathBuf {
        self.0.join("plugyard.toml")
    }

    /// `plugyard.db`, the SQLite database.
    pub fn database(&self) -> PathBuf {
        self.0.join("plugyard.db")
    }

    /// `objects/`, packages by digest and other immutable bytes.
    pub fn objects(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// `cache/`, copies of what lies elsewhere; may be removed while nothing runs.
    pub fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    /// `plugins/`, links to current versions.
    pub fn plugins(&self) -> PathBuf {
        self.0.join("plugins")
    }

    /// `themes/`, links to current versions of themes.
    pub fn themes(&self) -> PathBuf {
        self.0.join("themes")
    }

    /// `assets/`, what plugins of an application publish: links into current versions.
    pub fn assets(&self) -> PathBuf {
        self.0.join("assets")
    }

    /// `versions/{kind}/{key}/`, every unpacked version of a plugin.
    pub fn versions(&self, plugin: &PluginName) -> PathBuf {
        self.0
            .join("versions")
            .join(plugin.kind.as_str())
            .join(plugin.key.as_str())
    }

    /// `plugin-data/{kind}/{key}/`, what a plugin keeps for itself (`PLUGYARD_DATA_DIR`).
    pub fn plugin_data(&self, plugin: &PluginName) -> PathBuf {
        self.0
            .join("plugin-data")
            .join(plugin.kind.as_str())
            .join(plugin.key.as_str())
    }

    /// `plugin-config/{kind}/{key}/{version}/`, the values for a plugin's processes; gone when no server
    /// runs.
    pub fn plugin_config(&self) -> PathBuf {
        self.0.join("plugin-config")
    }

    /// `etc/`, metadata of symbols as eKuiper lays it out.
    pub fn etc(&self) -> PathBuf {
        self.0.join("etc")
    }

    /// `data/`, configuration of symbols and files that rules write.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// `uploads/`, files a client sent ahead of a request that names them.
    pub fn uploads(&self) -> PathBuf {
        self.0.join("uploads")
    }

    /// `downloads/`, packages of markets that came in part; kept from one start to the next.
    pub fn downloads(&self) -> PathBuf {
        self.0.join("downloads")
    }

    /// `staging/`, half-done work; emptied at start.
    pub fn staging(&self) -> PathBuf {
        self.0.join("staging")
    }

    /// `backups/`.
    pub fn backups(&self) -> PathBuf {
        self.0.join("backups")
    }

    /// `logs/{kind}/`.
    pub fn logs(&self, kind: &KindId) -> PathBuf {
        self.0.join("logs").join(kind.as_str())
    }

    /// `run/`, sockets and process records; emptied at start.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// `run/api.sock`, where the local command line talks to the server.
    pub fn api_socket(&self) -> PathBuf {
        self.run().join("api.sock")
    }

    /// `keys/`, the master key and signing keys (0700).
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// `keys/master.key`, where the master key of the secrets is unless configured elsewhere.
    pub fn master_key(&self) -> PathBuf {
        self.keys().join("master.key")
    }
}
