//! Files of a version: checked, put in place, seen, and taken out of sight.

use std::io;
use std::path::{Path, PathBuf};

use plugyard_model::codes;
use plugyard_platform::files;
use plugyard_platform::kind::{Change, StepCx, StepError, StepOutput, Version};
use serde_json::json;

use super::error::{blocking, failure, params, stored};
use super::target;
use crate::host::WebHost;
use crate::lifecycle::{Facts, is_theme, manifest};
use crate::wrapped::Inside;
use crate::{assets, states};

/// Free space that a package must find, in multiples of its size.
const SPACE: u64 = 3;

impl WebHost {
    /// The files in force are there and are those of the version.
    pub(super) async fn check(&self, change: &Change, facts: &Facts) -> Result<(), StepError> {
        let (shown, directory) = (self.shown(facts), self.directory(change, target(change)?));
        let reason = blocking(move || {
            let here = std::fs::canonicalize(&shown);
            Ok(match here {
                Err(error) => Some(format!("{}: {error}", shown.display())),
                Ok(here) if std::fs::canonicalize(&directory).is_ok_and(|it| it == here) => {
                    let file = here.join("plugin.json");
                    (!file.is_file()).then(|| "`plugin.json` is missing".to_owned())
                }
                Ok(_) => Some(format!(
                    "{} is not the version that is installed",
                    shown.display()
                )),
            })
        })
        .await?;
        match reason {
            None => Ok(()),
            Some(reason) => Err(StepError {
                params: params([("fskey", &facts.fskey), ("reason", &reason)]),
                ..failure(codes::E_FILES, reason)
            }),
        }
    }

    pub(super) async fn unpack(&self, cx: &StepCx) -> Result<StepOutput, StepError> {
        let version = target(&cx.change)?;
        let package = cx.packages.file(&version.digest).await?;
        let directory = self.directory(&cx.change, version);
        let placed = tokio::task::spawn_blocking(move || -> Result<bool, String> {
            let parent = directory.parent().unwrap_or(&directory);
            let failed = |error: io::Error| format!("{}: {error}", parent.display());
            std::fs::create_dir_all(parent).map_err(failed)?;
            let size = std::fs::metadata(&package).map_err(failed)?.len();
            let room = rustix::fs::statvfs(parent).map_err(|error| failed(error.into()))?;
            if room.f_bavail.saturating_mul(room.f_frsize) < size.saturating_mul(SPACE) {
                return Err(format!("fewer than {SPACE} × {size} bytes are free"));
            }
            let zip = files::open_package(&package).map_err(|error| error.to_string())?;
            files::place(&Inside::of(&zip), &directory)
        });
        let placed = placed
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|text| failure(codes::STEP_FAILED, text))?;
        Ok(json!({ "reused": !placed }))
    }

    pub(super) async fn link(
        &self,
        change: &Change,
        version: &Version,
        facts: &Facts,
    ) -> Result<(), StepError> {
        let (home, plugin, digest) = (self.0.home.clone(), change.plugin.clone(), version.digest);
        let shown = self.shown(facts);
        blocking(move || files::link(&home, &shown, &plugin, &digest)).await
    }

    /// Assets of a version; none when it has none.
    pub(super) async fn publish(&self, change: &Change, version: &Version) -> Result<(), StepError> {
        let (home, plugin, digest) = (self.0.home.clone(), change.plugin.clone(), version.digest);
        let manifest = manifest(version);
        blocking(move || match manifest {
            Some(it) if it.contents.assets => {
                assets::publish(&home, &plugin, &digest, is_theme(&it))
            }
            _ => assets::unpublish(&home, plugin.key.as_str()),
        })
        .await
    }

    /// Assets of a version, unless they were out of sight before the change.
    pub(super) async fn show_as_before(&self, change: &Change, version: &Version) -> Result<(), StepError> {
        let connection = self.database().map_err(stored)?.conn();
        let fskey = change.plugin.key.as_str().to_owned();
        let state = states::find(connection, &fskey).await.map_err(stored)?;
        if state.is_unpublished == 0 {
            return self.publish(change, version).await;
        }
        let home = self.0.home.clone();
        blocking(move || assets::unpublish(&home, &fskey)).await
    }

    pub(super) fn directory(&self, change: &Change, version: &Version) -> PathBuf {
        files::version_directory(&self.0.home, &change.plugin, &version.digest)
    }

    /// Where people and the application find it.
    pub(super) fn shown(&self, facts: &Facts) -> PathBuf {
        self.shown_at(&facts.fskey, facts.is_theme())
    }

    pub(crate) fn shown_at(&self, fskey: &str, theme: bool) -> PathBuf {
        if theme {
            self.0.home.themes().join(fskey)
        } else {
            self.0.home.plugins().join(fskey)
        }
    }
}

/// Takes what is seen away. A directory that somebody put there is kept in `backups/adopted/`.
pub(super) fn take_away(home: &plugyard_platform::Home, shown: &Path, name: &str) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(shown) else {
        return Ok(());
    };
    if metadata.is_dir() {
        files::link_to(home, shown, Path::new("../versions"), name)?;
    }
    match std::fs::remove_file(shown) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
