//! Configuration of installed plugins, of whatever kind: definitions, values, history.
//!
//! What can be configured stands in a file of the package ([`Kind::config_file`](crate::Kind::config_file)),
//! whose rules are those of `plugyard-config`. This module keeps what was decided: the definition that is
//! in force, the value of each field, and each write of the past.
//!
//! What holds:
//!
//! * Every write is one transaction that raises the revision by one, or changes nothing. It is decided
//!   on the values of one revision and refused, or decided again, when they are others by then; so parallel
//!   writers lose nothing.
//! * A change of version takes its values along in the transaction of its commit: a version is never in
//!   force with another's definition.
//! * Secrets are stored encrypted and leave only through [`Platform::config_plain`] and the file for
//!   the plugin's processes ([`config_file`]).
//!
//! `rows` reads and writes the tables, `write` decides on writes, `lifecycle` is what changes of the
//! version do, `history` and `transfer` what their names say, `file` what processes see.

mod definitions;
mod file;
mod history;
mod lifecycle;
mod locks;
mod rows;
mod transfer;
mod write;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use plugyard_config::{Definition, Rejected, UpgradePlan, Values, plan_upgrade};
use plugyard_model::{PluginName, Problem, VersionId, codes};
use plugyard_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::Platform;
pub(crate) use definitions::{Cache, forget_shipped, read_file};
pub use file::config_file;
pub(crate) use file::{Pending, clear};
pub use history::{ConfigDifference, HistoryEntry};
pub(crate) use lifecycle::Prepared;
pub(crate) use locks::Locks;
pub use transfer::{Export, ParseRecipientError, Recipient};
pub use write::{Terms, Written};

/// Changes that a slow listener may miss before it is told to look for itself.
const NEWS: usize = 256;

/// What is configured of a plugin.
#[derive(Debug, Clone)]
pub struct StoredConfig {
    /// What can be configured. Secrets that the package was shipped with are not in it.
    pub definition: Definition,
    /// What is stored of every field, secrets in clear or
    /// [`Value::Unreadable`](plugyard_config::Value::Unreadable).
    pub values: Values,
    /// Grows with each write.
    pub revision: u64,
    /// The version that the definition is of.
    pub version: VersionId,
    /// Milliseconds since 1970 (UTC) of the last write to any field.
    pub updated_at: i64,
}

/// What a change of version does with the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigChange {
    /// Whether the new version's definition comes into force. Without, definition and values stay as they
    /// are.
    pub update_definitions: bool,
    /// Whether an upgrade may go to a definition of a lower version.
    pub force: bool,
    /// Whether the plugin's first data are written with it, where its kind has such; `None` for as the kind does
    /// when nobody says.
    pub seed: Option<bool>,
}

impl Default for ConfigChange {
    fn default() -> Self {
        Self {
            update_definitions: true,
            force: false,
            seed: None,
        }
    }
}

/// What a caller says about the configuration when it changes an installation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConfigInput {
    /// What becomes of the definition.
    pub change: ConfigChange,
    /// Values to begin with, when the plugin is installed.
    pub values: Option<Map<String, Json>>,
}

/// Why a write was refused. Nothing changed.
#[derive(Debug, Clone)]
pub enum ConfigRefusal {
    /// For what was submitted: every mistake in it.
    Rejected(Rejected),
    /// For any other reason.
    Problem(Problem),
}

impl From<Problem> for ConfigRefusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<StoreError> for ConfigRefusal {
    fn from(error: StoreError) -> Self {
        Self::Problem(error.into())
    }
}

impl ConfigRefusal {
    /// As the problem to answer with.
    pub fn into_problem(self, plugin: &PluginName) -> Problem {
        match self {
            Self::Rejected(rejected) => Problem::from(&rejected).about(plugin),
            Self::Problem(problem) => problem,
        }
    }
}

/// The values as the plugin itself reads them. This is also the content of its [`config_file`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct PlainConfig {
    /// Grows with each write.
    pub revision: u64,
    /// Each field with its value, secrets in clear; null when unset.
    pub values: Map<String, Json>,
    /// Secrets that are set and cannot be decrypted: reading one of them is an error.
    pub unreadable: Vec<String>,
}

impl std::fmt::Debug for PlainConfig {
    /// Without the values, of which some are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlainConfig")
            .field("revision", &self.revision)
            .field("keys", &self.values.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl PlainConfig {
    /// Nothing configured.
    fn empty() -> Self {
        Self {
            revision: 0,
            values: Map::new(),
            unreadable: Vec::new(),
        }
    }

    fn of(definition: &Definition, values: &Values, revision: u64) -> Self {
        let mut plain = Self {
            revision,
            ..Self::empty()
        };
        for key in definition.fields().keys() {
            match values.value(key).expose_json() {
                Some(value) => drop(plain.values.insert(key.clone(), value)),
                None => plain.unreadable.push(key.clone()),
            }
        }
        plain
    }
}

/// That a configuration was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigChanged {
    /// The revision it has now.
    pub revision: u64,
    /// The fields that changed; empty when they are not known and everything is to be read again.
    pub keys: Vec<String>,
}

/// Tells of writes within this process.
pub(crate) type Announcer = broadcast::Sender<(PluginName, ConfigChanged)>;

/// An announcer to whom nobody listens yet.
pub(crate) fn announcer() -> Announcer {
    broadcast::Sender::new(NEWS)
}

impl Platform {
    /// The configuration of an installed plugin; `None` when none is registered: its package has no
    /// definition, or the configuration was deleted.
    ///
    /// # Errors
    /// `plugin_not_found` when it is not installed; `store_unavailable`.
    pub async fn config(&self, plugin: &PluginName) -> Result<Option<StoredConfig>, Problem> {
        let state = self.config_state(plugin).await?;
        Ok(state.map(rows::State::into_config))
    }

    /// The same, where there must be one.
    ///
    /// # Errors
    /// Also `config_not_registered`.
    pub async fn config_registered(&self, plugin: &PluginName) -> Result<StoredConfig, Problem> {
        let config = self.config(plugin).await?;
        config.ok_or_else(|| not_registered(plugin))
    }

    /// The values as the plugin itself may read them, also while it is being installed. Who asks is for the
    /// caller to know.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub async fn config_plain(&self, plugin: &PluginName) -> Result<PlainConfig, Problem> {
        let state = self.config_state_early(plugin).await?;
        Ok(state.map_or_else(PlainConfig::empty, |it| {
            PlainConfig::of(it.definition(), &it.values, it.revision.unsigned_abs())
        }))
    }

    /// What another definition would do to the values as they are now.
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub async fn config_plan(
        &self,
        plugin: &PluginName,
        definition: &Definition,
    ) -> Result<UpgradePlan, Problem> {
        let (old, values) = match self.config(plugin).await? {
            Some(config) => (config.definition, config.values),
            None => (Definition::empty(), Values::new()),
        };
        Ok(plan_upgrade(&old, definition, &values, self.seconds()))
    }

    /// What going to a version would do to the values as they are now.
    ///
    /// # Errors
    /// As [`config`](Self::config); `version_not_found`, `objects_unavailable`.
    pub async fn config_plan_version(
        &self,
        plugin: &PluginName,
        version: VersionId,
    ) -> Result<UpgradePlan, Problem> {
        let definition = self.config_definition(plugin, version).await?;
        let definition = definition.unwrap_or_else(Definition::empty);
        self.config_plan(plugin, &definition).await
    }

    /// Tells of every write from now on, and first of the revision there is. Ends with the platform.
    ///
    /// Who has `seen` a revision is first told which keys were written since: nothing when none was, and
    /// no keys, which means all, when that is not known any more. `version` is that of the process that
    /// listens, for which another revision may be in force ([`config_plain_of`](Self::config_plain_of)).
    ///
    /// # Errors
    /// As [`config`](Self::config).
    pub async fn config_changes(
        &self,
        plugin: &PluginName,
        version: Option<VersionId>,
        seen: Option<u64>,
    ) -> Result<BoxStream<'static, ConfigChanged>, Problem> {
        // Before reading: what is written meanwhile is told twice rather than never.
        let news = self.0.config_news.subscribe();
        let now = self.config_revision_of(plugin, version).await?;
        let first = match seen {
            Some(seen) if seen == now => None,
            Some(seen) if seen < now => Some(self.config_written_since(plugin, seen, now).await),
            _ => Some(Vec::new()),
        };
        let first = first.map(|keys| ConfigChanged {
            revision: now,
            keys,
        });
        let follower = (news, plugin.clone(), self.clone(), now);
        let rest = stream::unfold(
            follower,
            move |(mut news, plugin, platform, last)| async move {
                loop {
                    let change = match news.recv().await {
                        Ok((of, change)) if of == plugin => change,
                        Ok(_) => continue,
                        Err(RecvError::Closed) => return None,
                        // Missed some: what they were is not known any more.
                        Err(RecvError::Lagged(_)) => ConfigChanged {
                            revision: platform.config_revision_of(&plugin, version).await.ok()?,
                            keys: Vec::new(),
                        },
                    };
                    if change.revision > last {
                        let last = change.revision;
                        return Some((change, (news, plugin, platform, last)));
                    }
                }
            },
        );
        let closing = self.0.closing.clone().cancelled_owned();
        let all = stream::iter(first).chain(rest);
        Ok(all.take_until(closing).boxed())
    }

    async fn config_revision_of(
        &self,
        plugin: &PluginName,
        version: Option<VersionId>,
    ) -> Result<u64, Problem> {
        let plain = match version {
            Some(version) => self.config_plain_of(plugin, version).await,
            None => self.config_plain(plugin).await,
        };
        Ok(plain?.revision)
    }

    /// Seconds since 1970 (UTC), as rules about dates take them.
    fn seconds(&self) -> i64 {
        self.now() / 1000
    }
}

fn not_registered(plugin: &PluginName) -> Problem {
    Problem::new(codes::CONFIG_NOT_REGISTERED).about(plugin)
}

fn conflict(plugin: &PluginName, revision: u64) -> Problem {
    Problem::new(codes::REVISION_CONFLICT)
        .about(plugin)
        .with("revision", revision)
}
