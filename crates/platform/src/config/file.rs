//! The file in which a plugin's processes find their values (`PLUGYARD_CONFIG_FILE`).
//!
//! Each version has one of its own, in a directory of its own: during an upgrade two versions run beside
//! each other, and each sees the values as its definition has them. A write replaces the file by a
//! rename, so that nobody reads half of one; whoever shows it to a process must therefore show the
//! directory. The files hold secrets in clear, so they are for the server's user alone, go when the
//! server ends, and are in no backup.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use plugyard_config::{Definition, Values};
use plugyard_model::{PluginName, VersionId};

use super::PlainConfig;
use crate::kind::Change;
use crate::operations::journal;
use crate::{Home, Platform};

const FILE: &str = "config.json";

/// Where the values for a version's processes are; the file is there exactly when something can be
/// configured. Show a process the directory that it is in, not the file.
pub fn config_file(home: &Home, plugin: &PluginName, version: VersionId) -> PathBuf {
    directory(home, plugin).join(version.to_string()).join(FILE)
}

impl Platform {
    /// Writes the files that the processes of a change need: those of the version in force, and those of the
    /// one that is to come, with the values that it would have now.
    pub(crate) async fn config_files_of(&self, change: &Change) -> Result<(), String> {
        self.config_file_refresh(&change.plugin).await;
        // What an earlier change still removes must not meet what this one makes.
        let _alone = self.0.config_file_locks.hold(&change.plugin).await;
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

    /// Writes the file of the version in force anew. What goes wrong is logged: the write that it follows
    /// is done, and `GET /v1/self/config` has the values.
    pub(crate) async fn config_file_refresh(&self, plugin: &PluginName) {
        let refreshed = async {
            let Ok(Some(installation)) = self.config_current(plugin).await else {
                return Ok(());
            };
            let (version, config) = installation;
            let path = config_file(self.home(), plugin, version);
            match config {
                Some((definition, values, revision)) => {
                    write(path, PlainConfig::of(&definition, &values, revision)).await
                }
                None => match tokio::fs::remove_file(path).await {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            }
        };
        if let Err(error) = refreshed.await {
            tracing::error!(
                plugin.name = %plugin,
                error = &error as &dyn std::error::Error,
                "The configuration file of `{plugin}` cannot be written"
            );
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
    tokio::task::spawn_blocking(move || {
        let directory = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        // Such files are 0600 from the beginning.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, &plain)?;
        file.flush()?;
        file.persist(&path)?;
        Ok(())
    })
    .await
    .unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn prune(directory: &Path, keep: Option<&str>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str() != keep {
            fs::remove_dir_all(entry.path())?;
        }
    }
    if keep.is_none() {
        fs::remove_dir(directory)?;
    }
    Ok(())
}
