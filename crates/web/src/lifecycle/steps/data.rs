//! What migrations do to a plugin's data: marked, and taken back as far as that does no harm.

use std::collections::BTreeMap;
use std::path::PathBuf;

use plugyard_model::{Problem, codes};
use plugyard_platform::kind::{Change, StepCx, StepError};
use plugyard_store::StoreError;
use sea_orm::Set;
use serde_json::{Value as Json, json};

use super::error::{params, stored};
use super::{before, target};
use crate::hooks::Hook;
use crate::host::{WebHost, now};
use crate::lifecycle::Facts;
use crate::states;

impl WebHost {
    pub(super) async fn mark(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        let version = &target(&cx.change)?.label;
        let again = cx.change.current.as_ref().map(|it| &it.label) == Some(version);
        let connection = self.database().map_err(stored)?.conn();
        let state = states::find(connection, &facts.fskey)
            .await
            .map_err(stored)?;
        let mut marks = marks(state.migration_marks.as_ref());
        // The same version again has its own migrations above the mark already.
        if again && marks.contains_key(version) {
            return Ok(());
        }
        let mark = self.says_mark(cx, facts).await?;
        marks.insert(version.clone(), mark);
        states::change(connection, &facts.fskey, now(), |row| {
            row.migration_marks = Set(Some(json!(marks)));
        })
        .await
        .map_err(stored)
    }

    /// Where the migrations stand, in the application's words. Where data may be there, silence is no such
    /// word: the way back would take all of it.
    async fn says_mark(&self, cx: &StepCx, facts: &Facts) -> Result<String, StepError> {
        let mark = self.hook_says(cx, Hook::Mark, facts, "").await?;
        match &cx.change.current {
            Some(current) if mark.is_empty() && self.0.settings.hooks.has(Hook::Mark) => {
                let reason = "it printed nothing of where the migrations stand, and a way back \
                              without that takes all of the plugin's data";
                Err(StepError {
                    code: codes::E_MIGRATION,
                    text: format!(
                        "the command `mark` failed at version {}: {reason}",
                        current.label
                    ),
                    params: params([
                        ("hook", Hook::Mark.as_str()),
                        ("fskey", &facts.fskey),
                        ("reason", reason),
                    ]),
                })
            }
            _ => Ok(mark),
        }
    }

    /// The same for a task: what runs now is all that the way back may take.
    pub(super) async fn mark_task(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        let mark = self.says_mark(cx, facts).await?;
        let version = target(&cx.change)?.label.clone();
        let connection = self.database().map_err(stored)?.conn();
        let state = states::find(connection, &facts.fskey)
            .await
            .map_err(stored)?;
        let mut marks = marks(state.migration_marks.as_ref());
        let first = !marks.contains_key(&version);
        marks.entry(version).or_insert_with(|| mark.clone());
        states::change(connection, &facts.fskey, now(), |row| {
            row.task_mark = Set(Some(mark));
            if first {
                row.migration_marks = Set(Some(json!(marks)));
            }
        })
        .await
        .map_err(stored)
    }

    /// Takes back what a task's migrations did, as far as that can be done without harm.
    pub(super) async fn unmigrate_task(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        let target = facts.target.as_ref();
        let connection = self.database().map_err(stored)?.conn();
        let state = states::find(connection, &facts.fskey)
            .await
            .map_err(stored)?;
        let reason = match state.task_mark {
            _ if target.and_then(|it| it.platform.reversible_migrations) == Some(false) => {
                "its migrations cannot be taken back"
            }
            _ if !self.0.settings.hooks.has(Hook::Revert) => "there is no command `revert`",
            Some(mark) if self.0.settings.hooks.has(Hook::Mark) => {
                return self.hook(cx, Hook::Revert, facts, &mark).await;
            }
            _ => "where its migrations stood before is not known",
        };
        (cx.log)(&unreverted(facts, reason));
        Ok(())
    }

    pub(super) async fn unmark(&self, change: &Change, facts: &Facts) -> Result<(), StoreError> {
        let label = change.target.as_ref().map(|it| it.label.as_str());
        if label == change.current.as_ref().map(|it| it.label.as_str()) {
            return Ok(());
        }
        let connection = self.database()?.conn();
        let state = states::find(connection, &facts.fskey).await?;
        let mut marks = marks(state.migration_marks.as_ref());
        if label.is_none_or(|label| marks.remove(label).is_none()) {
            return Ok(());
        }
        states::change(connection, &facts.fskey, now(), |row| {
            row.migration_marks = Set(Some(json!(marks)));
        })
        .await
    }

    /// Takes the migrations of the new version back, as far as that can be done without harm.
    pub(super) async fn unmigrate(
        &self,
        cx: &StepCx,
        facts: &Facts,
        new: bool,
    ) -> Result<(), StepError> {
        let target = facts.target.as_ref();
        let reason = if target.and_then(|it| it.platform.reversible_migrations) == Some(false) {
            "its migrations cannot be taken back"
        } else if !self.0.settings.hooks.has(Hook::Revert) {
            "there is no command `revert`"
        } else {
            let connection = self.database().map_err(stored)?.conn();
            let state = states::find(connection, &facts.fskey)
                .await
                .map_err(stored)?;
            let marks = marks(state.migration_marks.as_ref());
            let version = target.map(|it| it.version.as_str()).unwrap_or_default();
            match marks.get(version) {
                Some(mark) => return self.hook(cx, Hook::Revert, facts, mark).await,
                // Without a mark all migrations would go, and older data with them.
                None if !new => "where its migrations stood before is not known",
                None => return self.hook(cx, Hook::Revert, facts, "").await,
            }
        };
        (cx.log)(&unreverted(facts, reason));
        Ok(())
    }

    /// Takes migrations back that came after the version to go back to, while their code is still there.
    pub(super) async fn revert_to_target(
        &self,
        cx: &StepCx,
        facts: &Facts,
    ) -> Result<(), StepError> {
        let now = before(facts);
        let reversible = facts
            .current
            .as_ref()
            .is_some_and(|it| it.platform.reversible_migrations != Some(false));
        let connection = self.database().map_err(stored)?.conn();
        let state = states::find(connection, &facts.fskey)
            .await
            .map_err(stored)?;
        let to = facts.target.as_ref().map(|it| it.version.as_str());
        let to = to.and_then(|it| semver::Version::parse(it).ok());
        let next = marks(state.migration_marks.as_ref())
            .into_iter()
            .filter_map(|(version, mark)| Some((semver::Version::parse(&version).ok()?, mark)))
            .filter(|(version, _)| to.as_ref().is_some_and(|to| version > to))
            .min();
        match next {
            Some((_, mark)) if reversible && self.0.settings.hooks.has(Hook::Revert) => {
                self.hook(cx, Hook::Revert, &now, &mark).await
            }
            _ => {
                (cx.log)(&unreverted(facts, "its migrations stay as they are"));
                Ok(())
            }
        }
    }
}

/// Where the data go that a change takes away.
pub(super) fn snapshot(home: &plugyard_platform::Home, change: &Change) -> PathBuf {
    let name = format!("{}-{}", change.plugin.key, change.operation);
    home.backups().join("snapshots").join(name)
}

/// Where migrations stood before each version's.
pub(in crate::lifecycle) fn marks(stored: Option<&Json>) -> BTreeMap<String, String> {
    stored
        .and_then(|it| serde_json::from_value(it.clone()).ok())
        .unwrap_or_default()
}

pub(super) fn unreverted(facts: &Facts, reason: &str) -> String {
    let from = facts.target.as_ref().or(facts.current.as_ref());
    let problem = Problem::new(codes::W_DATA_NOT_REVERTED)
        .with("fskey", &facts.fskey)
        .with("from", from.map_or("?", |it| it.version.as_str()))
        .with("reason", reason);
    format!("{}: {problem}", problem.code.as_str())
}
