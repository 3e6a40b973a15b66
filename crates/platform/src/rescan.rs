//! Directories that were put into the home by hand: found, packed, and installed like any package.

use std::path::PathBuf;

use plugyard_http::Principal;
use plugyard_model::{Finding, KindId, OperationId, PluginName, Problem, codes};
use serde_json::Value as Json;

use crate::config::ConfigInput;
use crate::kind::Dropped;
use crate::operations::{ChangeRequest, InstallOptions};
use crate::platform::itself;
use crate::{Kind, Platform, Source, TakeIn};

/// A directory that was found, and what came of it.
#[derive(Debug, Clone)]
pub struct Rescanned {
    /// The kind whose place it stands in.
    pub kind: KindId,
    /// Its name.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
    /// What was found in it, when it was taken in all the same.
    pub findings: Vec<Finding>,
    /// What it becomes, or why nothing comes of it: then the directory was not touched.
    pub outcome: Result<Adoption, Problem>,
}

/// A directory that becomes a plugin, or a version of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The plugin.
    pub plugin: PluginName,
    /// Whether the plugin is here and gets another version.
    pub upgrade: bool,
    /// The change that puts it in force; none when it was only looked at.
    pub operation: Option<OperationId>,
}

impl Platform {
    /// Looks for directories that were put into the home by hand and begins to install each (or to
    /// upgrade to it, when the plugin is here). Packed, they are packages like any other: a
    /// directory with errors is reported and stays as it is, and so does one whose change fails.
    ///
    /// Doing it twice has the effect of doing it once.
    ///
    /// # Errors
    /// `store_unavailable`. What is wrong with one directory stands in its [`Rescanned::outcome`].
    pub async fn rescan(&self, who: &Principal) -> Result<Vec<Rescanned>, Problem> {
        self.look_through(Some(who)).await
    }

    /// Says what [`rescan`](Self::rescan) would do, and changes nothing.
    ///
    /// # Errors
    /// As [`rescan`](Self::rescan).
    pub async fn rescan_foresee(&self) -> Result<Vec<Rescanned>, Problem> {
        self.look_through(None).await
    }

    /// For nobody it only looks.
    async fn look_through(&self, who: Option<&Principal>) -> Result<Vec<Rescanned>, Problem> {
        // Two looks at once would pack a directory that the other one just put by.
        let _alone = self.0.rescanning.lock().await;
        let mut all = Vec::new();
        for kind in self.kinds() {
            let (looking, home) = (kind.clone(), self.home().clone());
            let found = tokio::task::spawn_blocking(move || looking.dropped(&home)).await;
            for dropped in found.unwrap_or_default() {
                all.push(self.adopt(who, kind.as_ref(), dropped).await);
            }
        }
        Ok(all)
    }

    /// The same at the start of the server, where the log tells what came of it.
    pub(crate) async fn rescan_at_start(&self) {
        match self.rescan(&itself()).await {
            Err(problem) => tracing::warn!(%problem, "`plugins/` cannot be looked through"),
            Ok(all) => all.iter().for_each(tell),
        }
    }

    async fn adopt(&self, who: Option<&Principal>, kind: &dyn Kind, dropped: Dropped) -> Rescanned {
        let Dropped { key, path } = dropped;
        let mut findings = Vec::new();
        let outcome = self
            .adopt_as(who, kind.id(), &key, &path, &mut findings)
            .await;
        Rescanned {
            kind: kind.id(),
            key,
            path,
            findings,
            outcome,
        }
    }

    async fn adopt_as(
        &self,
        who: Option<&Principal>,
        kind: KindId,
        key: &str,
        path: &std::path::Path,
        findings: &mut Vec<Finding>,
    ) -> Result<Adoption, Problem> {
        let here = match self.installation(&format!("{kind}:{key}")).await {
            Ok(view) => view.current,
            Err(problem) if problem.code == codes::PLUGIN_NOT_FOUND => None,
            Err(problem) => return Err(problem),
        };
        let lasting = self.kind(&kind)?;
        let options = here.as_ref().map_or_else(
            || Json::Object(serde_json::Map::new()),
            |it| lasting.lasting_options(&it.options),
        );
        let take_in = TakeIn {
            kind: Some(kind),
            expected_key: Some(key.to_owned()),
            options,
        };
        let (source, upgrade) = (Source::Path(path.to_owned()), here.is_some());
        let Some(who) = who else {
            let considered = self.consider(source, take_in).await?;
            findings.clone_from(&considered.package.inspection.findings);
            let version = considered.version.id;
            let change = if upgrade {
                ChangeRequest::Upgrade { version }
            } else {
                ChangeRequest::Install {
                    version,
                    wanted: None,
                }
            };
            let (plugin, config) = (considered.plugin.clone(), ConfigInput::default());
            self.foresee(&plugin, change, config, Some(&considered))
                .await?;
            return Ok(Adoption {
                plugin,
                upgrade,
                operation: None,
            });
        };
        let taken = self.take_in(source, take_in).await?;
        *findings = taken.inspection.findings;
        let (plugin, version) = (taken.plugin, taken.version.id);
        let operation = if upgrade {
            self.upgrade(who, &plugin, version).await?
        } else {
            let options = InstallOptions::default();
            self.install(who, &plugin, version, options).await?
        };
        Ok(Adoption {
            plugin,
            upgrade,
            operation: Some(operation),
        })
    }
}

fn tell(found: &Rescanned) {
    let path = found.path.display();
    match &found.outcome {
        Ok(Adoption {
            plugin,
            operation: Some(operation),
            ..
        }) => tracing::info!(
            plugin.name = %plugin,
            operation.id = %operation,
            "Found `{path}`; operation {operation} puts it in force"
        ),
        Ok(_) => {}
        Err(problem) => tracing::warn!(
            code = problem.code.as_str(),
            "Found `{path}`, which stays as it is: {problem}"
        ),
    }
}
