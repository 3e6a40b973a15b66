//! Whether table, files, assets and status file agree, and whether files are those of their packages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plugyard_model::{Digest, PluginName, Problem};
use plugyard_platform::InstallationView;
use plugyard_platform::files::{self, Difference};
use plugyard_platform::kind::{Installation, Packages as _};
use serde::Serialize;

use crate::columns::PluginType;
use crate::entity::plugin::Model;
use crate::host::Web;
use crate::lifecycle::Facts;
use crate::package::{KIND, MANIFESTS};
use crate::wrapped::Inside;
use crate::{records, status_file};

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Drift {
    /// Whose; empty for the installation as a whole.
    pub(crate) fskey: String,
    /// What was compared: `table`, `files`, `assets`, `status_file`, `operation`.
    pub(crate) check: &'static str,
    /// What is wrong.
    pub(crate) reason: String,
}

/// A file that differs from its package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Differing {
    pub(crate) path: String,
    /// `missing`, `changed` or `foreign`.
    pub(crate) difference: &'static str,
}

impl Web {
    /// The platform's installation of a plugin, when it came as a package.
    pub(crate) async fn installation(
        &self,
        fskey: &str,
    ) -> Result<Option<InstallationView>, Problem> {
        let Ok(key) = fskey.parse() else {
            return Ok(None);
        };
        let plugin = PluginName::new(KIND, key);
        self.platform.installation_of(&plugin).await
    }

    /// Everything that does not agree.
    pub(crate) async fn examine(&self) -> Result<Vec<Drift>, Problem> {
        let rows = records::all(self.host.database()?.conn()).await?;
        let views = self.platform.installations_of(&KIND).await?;
        let unresolved = self.platform.unresolved_operations(&KIND).await?;
        let mut found = Vec::new();
        let live: BTreeMap<&str, &Model> = rows
            .iter()
            .filter(|row| row.deleted_at.is_none())
            .map(|row| (row.fskey.as_str(), row))
            .collect();
        for view in views.iter().filter(|view| view.operation.is_none()) {
            if let Some(installation) = view.installed() {
                self.agree(&installation, &live, &mut found).await;
            }
            let left = unresolved.iter().find(|it| it.plugin == view.plugin);
            if let Some(problem) = left.and_then(|left| left.problem.as_ref()) {
                found.push(drift(
                    view.plugin.key.as_str(),
                    "operation",
                    problem.to_string(),
                ));
            }
        }
        let installed: BTreeSet<&str> = views.iter().map(|it| it.plugin.key.as_str()).collect();
        for row in live.values() {
            let announced = row.upgrade_version.as_deref();
            if (row.is_upgrade == 1) != announced.is_some() {
                let reason = "`is_upgrade` and `upgrade_version` disagree";
                found.push(drift(&row.fskey, "table", reason.to_owned()));
            }
        }
        let home = self.platform.home().clone();
        let (live_keys, installed) = (
            live.keys()
                .map(|key| (*key).to_owned())
                .collect::<BTreeSet<_>>(),
            installed
                .into_iter()
                .map(str::to_owned)
                .collect::<BTreeSet<_>>(),
        );
        let strays = tokio::task::spawn_blocking(move || strays(&home, &live_keys, &installed));
        found.extend(strays.await.unwrap_or_default());
        let expected = status_file::expected(&rows, self.host.0.safe_mode);
        match self.host.status().await {
            Ok(said) if said == expected => {}
            Ok(said) => {
                let keys: BTreeSet<&String> = expected.keys().chain(said.keys()).collect();
                for key in keys {
                    let (should, does) = (expected.get(key), said.get(key));
                    if should != does {
                        let word =
                            |it: Option<&bool>| it.map_or("absent".to_owned(), bool::to_string);
                        let reason = format!("it says {}, not {}", word(does), word(should));
                        found.push(drift(key, "status_file", reason));
                    }
                }
            }
            Err(error) => found.push(drift("", "status_file", error.to_string())),
        }
        found.sort_by(|a, b| (&a.fskey, a.check).cmp(&(&b.fskey, b.check)));
        Ok(found)
    }

    async fn agree(
        &self,
        installation: &Installation,
        live: &BTreeMap<&str, &Model>,
        found: &mut Vec<Drift>,
    ) {
        let fskey = installation.plugin.key.as_str();
        let Some(row) = live.get(fskey) else {
            let reason = "it is installed and has no record".to_owned();
            found.push(drift(fskey, "table", reason));
            return;
        };
        if row.version != installation.current.label {
            let reason = format!(
                "the record says {}, installed is {}",
                row.version, installation.current.label
            );
            found.push(drift(fskey, "table", reason));
        }
        let switched = row.is_standalone == 0 && row.plugin_type != PluginType::Theme as i16;
        if switched && (row.is_enabled == 1) != installation.wanted.is_on() {
            let reason = "`is_enabled` is not what was last asked for".to_owned();
            found.push(drift(fskey, "table", reason));
        }
        if let Err(reason) = self.host.seen(installation).await {
            let check = if reason.contains("assets") {
                "assets"
            } else {
                "files"
            };
            found.push(drift(fskey, check, reason));
        }
    }

    /// In what the files of a plugin differ from its package.
    pub(crate) async fn verify(
        &self,
        installation: &Installation,
    ) -> Result<Vec<Differing>, Problem> {
        let facts = Facts::now(installation);
        if facts.is_standalone() {
            return Ok(Vec::new());
        }
        let digest: Digest = installation.current.digest;
        let package = self
            .platform
            .file(&digest)
            .await
            .map_err(|error| Problem::new(error.code).about(&installation.plugin))?;
        let shown = self.host.shown_at(&facts.fskey, facts.is_theme());
        let compared = tokio::task::spawn_blocking(move || {
            let zip = files::open_package(&package).map_err(|error| error.to_string())?;
            let directory = std::fs::canonicalize(&shown).unwrap_or(shown);
            files::differences(&Inside::of(&zip), &directory)
        });
        let compared = compared
            .await
            .unwrap_or_else(|error| Err(error.to_string()));
        let differences = compared.map_err(|reason| {
            Problem::new(plugyard_model::codes::E_FILES)
                .with("fskey", &facts.fskey)
                .with("reason", reason)
        })?;
        Ok(differences
            .into_iter()
            .map(|(path, difference)| Differing {
                path,
                difference: match difference {
                    Difference::Missing => "missing",
                    Difference::Changed => "changed",
                    Difference::Foreign => "foreign",
                },
            })
            .collect())
    }
}

fn drift(fskey: &str, check: &'static str, reason: String) -> Drift {
    Drift {
        fskey: fskey.to_owned(),
        check,
        reason,
    }
}

/// What lies where plugins do and belongs to none.
fn strays(
    home: &plugyard_platform::Home,
    live: &BTreeSet<String>,
    installed: &BTreeSet<String>,
) -> Vec<Drift> {
    let names = |directory: &Path| -> Vec<(String, std::path::PathBuf)> {
        std::fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?.to_owned();
                (!name.starts_with('.')).then_some((name, path))
            })
            .collect()
    };
    let mut found = Vec::new();
    for directory in [home.plugins(), home.themes()] {
        for (name, path) in names(&directory) {
            let ours = MANIFESTS.iter().any(|file| path.join(file).is_file())
                || std::fs::read_link(&path).is_ok_and(|to| to.starts_with("../versions/web"));
            if ours && !installed.contains(&name) {
                let reason = format!("{} was copied there and is not installed", path.display());
                found.push(drift(&name, "files", reason));
            }
        }
    }
    for (name, path) in names(&home.assets()) {
        if !live.contains(&name) {
            let reason = format!("{} belongs to no plugin", path.display());
            found.push(drift(&name, "assets", reason));
        }
    }
    found
}
