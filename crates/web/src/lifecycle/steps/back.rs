//! What is left of a change that went back: why, and who is told.

use plugyard_platform::kind::{Action, StepCx, StepError};
use plugyard_store::StoreError;
use sea_orm::Set;
use serde_json::json;

use super::error::stored;
use crate::events::{Event, Name};
use crate::host::{WebHost, now};
use crate::lifecycle::Facts;
use crate::lifecycle::commit::versions;
use crate::states;

impl WebHost {
    /// Everything is as before: says why, and that it went back.
    pub(super) async fn gone_back(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        let change = &*cx.change;
        let (step, reason) = match &cx.reason {
            Some(reason) => (reason.step, reason.text.clone()),
            None => (None, "the change was interrupted".to_owned()),
        };
        let goes = matches!(change.action, Action::Upgrade | Action::Rollback);
        let event = goes.then(|| {
            let mut more = versions(change);
            more["step"] = json!(step);
            more["reason"] = json!(reason);
            let id = change.operation.to_string();
            Event::new(&id, Name::RolledBack, &facts.fskey, more, now())
        });
        let failed = change.target.as_ref().map(|it| it.label.clone());
        let failed = failed.filter(|_| change.action == Action::Upgrade);
        self.failed_with(&facts.fskey, &reason, failed, event)
            .await
            .map_err(stored)?;
        if let Err(error) = self.export_status().await {
            (cx.log)(&format!("warning: {error}"));
        }
        Ok(())
    }

    /// Writes down why a change of a plugin failed.
    pub(crate) async fn failed(
        &self,
        fskey: &str,
        reason: &str,
        version: Option<String>,
    ) -> Result<(), StoreError> {
        self.failed_with(fskey, reason, version, None).await
    }

    async fn failed_with(
        &self,
        fskey: &str,
        reason: &str,
        version: Option<String>,
        event: Option<Event>,
    ) -> Result<(), StoreError> {
        let at = now();
        let reason: String = reason.chars().take(2000).collect();
        let transaction = self.database()?.begin().await?;
        states::change(&*transaction, fskey, at, |state| {
            state.last_error = Set(Some(reason));
            state.last_error_at = Set(Some(at));
            if version.is_some() {
                state.failed_version = Set(version);
            }
        })
        .await?;
        if let Some(event) = event {
            self.0.listeners.after(&event, &transaction).await?;
        }
        transaction.commit().await
    }
}
