//! A record as it is told.

use plugyard_model::{Finding, Lang, Problem};
use plugyard_platform::kind::Action;
use plugyard_platform::{InstallationView, OperationView};
use serde_json::{Value, json};

use crate::entity::plugin::Model;
use crate::host::Web;
use crate::package::KIND;
use crate::{records, states};

impl Web {
    /// A record with what is known beside it.
    pub(in crate::http) async fn document(&self, row: &Model) -> Result<Value, Problem> {
        let site = self.site().await?;
        let state = states::find(self.connection()?, &row.fskey).await?;
        let view = self.installation(&row.fskey).await?;
        let broken = self.platform.unresolved_operations(&KIND).await?;
        let mut document = records::document(row, &site);
        document["state"] = json!(self.state(row, view.as_ref(), &broken).await?);
        document["lastError"] = json!(state.last_error);
        document["failedVersion"] = json!(state.failed_version);
        document["hasPackage"] = json!(view.is_some());
        document["files"] = self.files(view.as_ref()).await;
        let foreign = states::manifest(&state).map(|it| it.foreign_dependencies);
        document["foreignDependencies"] = match foreign {
            Some(foreign) => {
                json!({ "require": foreign.require, "require-dev": foreign.require_dev })
            }
            None => Value::Null,
        };
        document["manifest"] = json!(state.manifest);
        Ok(document)
    }

    /// What there is of a plugin on disk; null where nothing of it is loaded here.
    pub(in crate::http) async fn files(&self, view: Option<&InstallationView>) -> Value {
        match view.and_then(InstallationView::installed) {
            Some(installation) => json!(self.host.files(&installation).await),
            None => Value::Null,
        }
    }

    pub(in crate::http) async fn shown(&self, fskey: &str) -> Result<Value, Problem> {
        let row = records::live(self.connection()?, fskey).await?;
        self.document(&row).await
    }

    pub(in crate::http) async fn with_findings(
        &self,
        row: &Model,
        findings: &[Finding],
        lang: Lang,
    ) -> Result<Value, Problem> {
        let mut answer = self.document(row).await?;
        answer["findings"] = findings.iter().map(|it| json!(it.document(lang))).collect();
        Ok(answer)
    }

    /// The word for where a plugin is.
    pub(in crate::http) async fn state(
        &self,
        row: &Model,
        view: Option<&InstallationView>,
        broken: &[OperationView],
    ) -> Result<&'static str, Problem> {
        if let Some(id) = view.and_then(|view| view.operation) {
            let operation = self.platform.operation(id).await?;
            return Ok(match operation.action {
                Action::Install => "installing",
                Action::Upgrade | Action::Restart | Action::Perform => "upgrading",
                Action::Rollback => "rolling_back",
                Action::Enable => "activating",
                Action::Disable => "deactivating",
                Action::Uninstall => "uninstalling",
            });
        }
        if view.is_some_and(|view| broken.iter().any(|it| it.plugin == view.plugin)) {
            return Ok("broken");
        }
        Ok(match (row.deleted_at, row.is_enabled) {
            (Some(_), _) => "removed",
            (None, 1) => "enabled",
            (None, _) => "installed",
        })
    }
}
