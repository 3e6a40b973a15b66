//! The file in which a plugin's processes find their values (`PLUGYARD_CONFIG_FILE`).
//!
//! Each version has one of its own, in a directory of its own: during an upgrade two versions run beside
//! each other, and each sees the values as its definition has them, here and where it asks for them
//! ([`Platform::config_plain_of`]). A write replaces the file by a rename, so that nobody reads half of
//! one; whoever shows it to a process must therefore show the directory. Who is of no version, such as the
//! application that a plugin belongs to, goes by the link `current`, which leads to the version in force,
//! and by `ready`, which is there as long as files that are missing mean that nothing is configured.
//! The files hold secrets in clear, so they are for the server's user alone, go when the server ends, and are
//! in no backup.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use futures::stream;
use parking_lot::Mutex;
use plugyard_config::{Definition, Values};
use plugyard_model::{PluginName, Problem, VersionId, codes};

use super::PlainConfig;
use crate::kind::{Change, Installation};
use crate::operations::journal;
use crate::{Home, Platform};

const FILE: &str = "config.json";
/// Files written at the same time, at the start.
const TOGETHER: usize = 8;
/// The link beside the versions that leads to the one in force.
const CURRENT: &str = "current";
/// There while what is there, and what is not, is true: who finds no values knows that there are none.
const READY: &str = "ready";

/// Where the values for a version's processes are; the file is there exactly when something can be
/// configured. Show a process the directory that it is in, not the file.
pub fn config_file(home: &Home, plugin: &PluginName, version: VersionId) -> PathBuf {
    directory(home, plugin).join(version.to_string()).join(FILE)
}

/// The change that each plugin is in the middle of, whose processes may run before it takes effect.
#[derive(Default)]
pub(crate) struct Pending(Mutex<HashMap<PluginName, Change>>);

impl Pending {
    fn put(&self, change: &Change) {
        self.0.lock().insert(change.plugin.clone(), change.clone());
    }

    fn remove(&self, plugin: &PluginName) {
        self.0.lock().remove(plugin);
    }

    /// The change, while the version that it leads to is not the one in force.
    fn get(&self, plugin: &PluginName, in_force: Option<VersionId>) -> Option<Change> {
        let change = self.0.lock().get(plugin).cloned()?;
        let target = change.target.as_ref()?.id;
        (Some(target) != in_force).then_some(change)
    }
}

impl Platform {
    /// The values for a process of one version: until a change takes effect its new processes see the values
    /// that will be in force, and the old ones those that are; those that are left over afterwards see what
    /// they saw last.
    ///
    /// # Errors
    /// As [`config`](Self::config); `internal` when the values of a version that is not in force cannot be
    /// read.
    pub async fn config_plain_of(
        &self,
        plugin: &PluginName,
        version: VersionId,
    ) -> Result<PlainConfig, Problem> {
        let row = crate::versions::installation_of(self.database().conn(), plugin).await?;
        let in_force = row.and_then(|row| row.current_version).map(VersionId);
        if in_force == Some(version) {
            return self.config_plain(plugin).await;
        }
        match read(config_file(self.home(), plugin, version)).await {
            Ok(Some(plain)) => Ok(plain),
            Ok(None) => {
                let pending = self.0.config_pending.get(plugin, in_force);
                let target = pending.and_then(|change| change.target);
                if target.is_some_and(|target| target.id == version) {
                    return Ok(PlainConfig::empty());
                }
                self.config_plain(plugin).await
            }
            Err(error) => {
                tracing::error!(
                    plugin.name = %plugin,
                    error = &error as &dyn std::error::Error,
                    "The configuration file of `{plugin}` cannot be read"
                );
                Err(Problem::new(codes::INTERNAL))
            }
        }
    }

    /// Writes the files of all versions in force, at the start, and says that they are there.
    pub(crate) async fn config_files_begin(&self, all: &[Installation]) {
        stream::iter(all)
            .for_each_concurrent(TOGETHER, |it| self.config_file_refresh(&it.plugin))
            .await;
        let root = self.home().plugin_config();
        let said = blocking(move || {
            directories(&root)?;
            fs::write(root.join(READY), "")
        });
        if let Err(error) = said.await {
            tracing::error!(%error, "Applications are not told that the values of their plugins are there");
        }
    }

    /// Writes the files that the processes of a change need: those of the version in force, and those of the
    /// one that is to come, with the values that it would have now.
    pub(crate) async fn config_files_of(&self, change: &Change) -> Result<(), String> {
        let plugin = &change.plugin;
        self.0.config_pending.put(change);
        self.config_file_refresh(plugin).await;
        // What an earlier change still removes must not meet what this one makes.
        let _alone = self.0.config_file_locks.hold(plugin).await;
        self.config_file_next(change).await
    }

    /// Writes the file of the version that a change leads to.
    async fn config_file_next(&self, change: &Change) -> Result<(), String> {
        let Some(target) = &change.target else {
            return Ok(());
        };
        let connection = self.database().conn();
        let next = self.config_next(connection, change).await;
        let next = next.map_err(|problem| problem.to_string())?;
        let Some(next) = next.filter(|next| next.registered) else {
            return Ok(());
        };
        let plain = PlainConfig::of(&next.definition, &next.values, next.revision.unsigned_abs());
        let path = config_file(self.home(), &change.plugin, target.id);
        write(path, plain).await.map_err(|error| error.to_string())
    }

    /// Writes the file of the version in force anew, and that of the one that is to come. What goes wrong is
    /// logged: the write that it follows is done, and `GET /v1/self/config` has the values.
    pub(crate) async fn config_file_refresh(&self, plugin: &PluginName) {
        let _alone = self.0.config_file_locks.hold(plugin).await;
        let Ok(current) = self.config_current(plugin).await else {
            return;
        };
        let in_force = current.as_ref().map(|(version, _)| *version);
        if let Some((version, config)) = current {
            let plain = config.map(|(definition, values, revision)| {
                PlainConfig::of(&definition, &values, revision)
            });
            if let Err(error) = self.config_file_in_force(plugin, version, plain).await {
                tracing::error!(
                    plugin.name = %plugin,
                    error = &error as &dyn std::error::Error,
                    "The configuration file of `{plugin}` cannot be written"
                );
            }
        }
        if let Some(change) = self.0.config_pending.get(plugin, in_force)
            && let Err(error) = self.config_file_next(&change).await
        {
            tracing::error!(plugin.name = %plugin, error, "The configuration file of the version to come cannot be written");
        }
    }

    /// Writes the file of the version in force, or takes it away, and lets the link lead to it.
    async fn config_file_in_force(
        &self,
        plugin: &PluginName,
        version: VersionId,
        plain: Option<PlainConfig>,
    ) -> io::Result<()> {
        let path = config_file(self.home(), plugin, version);
        let current = directory(self.home(), plugin).join(CURRENT);
        match plain {
            Some(plain) => {
                write(path, plain).await?;
                blocking(move || link(&current, version)).await
            }
            None => {
                let absent = |removed: io::Result<()>| match removed {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                };
                absent(tokio::fs::remove_file(current).await)?;
                absent(tokio::fs::remove_file(path).await)
            }
        }
    }

    /// Removes the files of versions that are not in force. While a change is under way nothing is removed: it may
    /// have made what it needs, and its own end comes here again.
    pub(crate) async fn config_files_prune(&self, plugin: &PluginName) {
        let _alone = self.0.config_file_locks.hold(plugin).await;
        let running = journal::operation_running(self.database().conn(), plugin).await;
        if !matches!(running, Ok(None)) {
            return;
        }
        self.0.config_pending.remove(plugin);
        let current = self.config_current(plugin).await;
        let Ok(current) = current else { return };
        let keep = current.map(|(version, _)| version.to_string());
        let directory = directory(self.home(), plugin);
        let pruned = tokio::task::spawn_blocking(move || prune(&directory, keep.as_deref())).await;
        if let Ok(Err(error)) = pruned {
            tracing::warn!(%error, plugin.name = %plugin, "Old configuration files stay");
        }
    }

    /// The version in force, and what is configured.
    async fn config_current(
        &self,
        plugin: &PluginName,
    ) -> Result<Option<(VersionId, Option<(Definition, Values, u64)>)>, plugyard_model::Problem>
    {
        let row = crate::versions::installation_of(self.database().conn(), plugin).await?;
        let Some(version) = row.and_then(|row| row.current_version) else {
            return Ok(None);
        };
        let config = self.config(plugin).await?;
        let config = config.map(|it| (it.definition, it.values, it.revision));
        Ok(Some((VersionId(version), config)))
    }
}

/// Removes what an earlier server left.
pub(crate) fn clear(home: &Home) -> io::Result<()> {
    // First: from then on nobody takes what is missing for unset.
    let _ = fs::remove_file(home.plugin_config().join(READY));
    match fs::remove_dir_all(home.plugin_config()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn directory(home: &Home, plugin: &PluginName) -> PathBuf {
    home.plugin_config()
        .join(plugin.kind.as_str())
        .join(plugin.key.as_str())
}

async fn write(path: PathBuf, plain: PlainConfig) -> io::Result<()> {
    blocking(move || {
        let directory = path.parent().unwrap_or(Path::new("/"));
        directories(directory)?;
        // Such files are 0600 from the beginning.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, &plain)?;
        file.flush()?;
        file.persist(&path)?;
        Ok(())
    })
    .await
}

fn directories(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Lets the link lead to a version's directory, beside which it lies.
fn link(current: &Path, version: VersionId) -> io::Result<()> {
    let to = version.to_string();
    if fs::read_link(current).is_ok_and(|it| it.as_os_str() == to.as_str()) {
        return Ok(());
    }
    let new = current.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(to, &new)?;
    fs::rename(new, current)
}

/// What a file says; `None` when it is not there.
async fn read(path: PathBuf) -> io::Result<Option<PlainConfig>> {
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn prune(directory: &Path, keep: Option<&str>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str();
        if keep.is_none() || (name != keep && name != Some(CURRENT)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    if keep.is_none() {
        fs::remove_dir(directory)?;
    }
    Ok(())
}
