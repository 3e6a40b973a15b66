//! Files of a version: checked, put in place, seen, and taken out of sight.

use std::io;
use std::path::{Path, PathBuf};

use plugyard_archive::unpack;
use plugyard_model::codes;
use plugyard_platform::files;
use plugyard_platform::kind::{Change, StepCx, StepError, StepOutput, Version};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::error::{blocking, failure, params, refusal, stored};
use super::target;
use crate::host::WebHost;
use crate::lifecycle::{Facts, is_theme, manifest};
use crate::wrapped::Inside;
use crate::{assets, states};

/// Free space that a package must find, in multiples of its size.
const SPACE: u64 = 3;

/// Where a package is placed, and what lay there goes.
struct Placing {
    shown: PathBuf,
    part: PathBuf,
    kept: PathBuf,
}

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
            room(parent, &package)?;
            let zip = files::open_package(&package).map_err(|error| error.to_string())?;
            files::place(&Inside::of(&zip), &directory)
        });
        let placed = placed
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|text| failure(codes::STEP_FAILED, text))?;
        Ok(json!({ "reused": !placed }))
    }

    /// Whether something lies where a plugin is seen.
    pub(in crate::lifecycle) fn occupied(&self, facts: &Facts) -> bool {
        std::fs::symlink_metadata(self.shown(facts)).is_ok()
    }

    /// Puts a package where plugins lie, for the operator to look at and to change. What lay there is kept in
    /// `backups/adopted/`.
    pub(super) async fn place(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        // Nobody may come into force under a name that differs in the case of letters meanwhile.
        let _alone = self.0.promises.alone().await;
        self.possible_beside(&cx.change, facts)
            .await
            .map_err(refusal)?;
        let version = target(&cx.change)?;
        let package = cx.packages.file(&version.digest).await?;
        let paths = self.placing(&cx.change, facts);
        let placed = tokio::task::spawn_blocking(move || -> Result<(), String> {
            let Placing { shown, part, kept } = paths;
            let parent = shown.parent().unwrap_or(&shown);
            let failed = |error: io::Error| format!("{}: {error}", shown.display());
            std::fs::create_dir_all(parent).map_err(failed)?;
            room(parent, &package)?;
            files::discard(&part).map_err(failed)?;
            let zip = files::open_package(&package).map_err(|error| error.to_string())?;
            unpack(&Inside::of(&zip), &part, |entry| vec![entry.path.clone()])
                .map_err(|error| error.to_string())?;
            if std::fs::symlink_metadata(&shown).is_ok() {
                if let Some(parent) = kept.parent() {
                    std::fs::create_dir_all(parent).map_err(failed)?;
                }
                std::fs::rename(&shown, &kept).map_err(failed)?;
            }
            renameat_with(CWD, &part, CWD, &shown, RenameFlags::NOREPLACE)
                .map_err(|error| failed(error.into()))?;
            std::fs::File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(failed)
        });
        let placed = placed.await.unwrap_or_else(|error| Err(error.to_string()));
        placed.map_err(|text| failure(codes::STEP_FAILED, text))
    }

    /// Takes what was placed away again, and puts back what lay there.
    pub(super) async fn unplace(
        &self,
        cx: &StepCx,
        facts: &Facts,
        occupied: bool,
    ) -> Result<(), StepError> {
        let Placing { shown, part, kept } = self.placing(&cx.change, facts);
        blocking(move || {
            // As long as the part is there, or what lay there was not moved, nothing of ours is seen.
            let moved = std::fs::symlink_metadata(&kept).is_ok();
            let ours = std::fs::symlink_metadata(&part).is_err() && (moved || !occupied);
            files::discard(&part)?;
            if ours {
                files::discard(&shown)?;
            }
            if moved && std::fs::symlink_metadata(&shown).is_err() {
                std::fs::rename(&kept, &shown)?;
            }
            Ok(())
        })
        .await
    }

    fn placing(&self, change: &Change, facts: &Facts) -> Placing {
        let shown = self.shown(facts);
        let name = format!("{}-{}", facts.fskey, change.operation);
        Placing {
            part: shown.with_file_name(format!(".{name}.part")),
            kept: self.0.home.backups().join("adopted").join(name),
            shown,
        }
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
    pub(super) async fn publish(
        &self,
        change: &Change,
        version: &Version,
    ) -> Result<(), StepError> {
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
    pub(super) async fn show_as_before(
        &self,
        change: &Change,
        version: &Version,
    ) -> Result<(), StepError> {
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
pub(super) fn take_away(
    home: &plugyard_platform::Home,
    shown: &Path,
    name: &str,
) -> io::Result<()> {
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

/// Whether there is room for a package's files.
fn room(directory: &Path, package: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", directory.display());
    let size = std::fs::metadata(package).map_err(failed)?.len();
    let room = rustix::fs::statvfs(directory).map_err(|error| failed(error.into()))?;
    if room.f_bavail.saturating_mul(room.f_frsize) < size.saturating_mul(SPACE) {
        return Err(format!("fewer than {SPACE} × {size} bytes are free"));
    }
    Ok(())
}
