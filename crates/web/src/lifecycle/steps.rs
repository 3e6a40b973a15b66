//! Each step, and what takes it back. All of them can be done again after half a run in a process that was
//! killed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use plugyard_model::{Code, Params, Problem, codes};
use plugyard_platform::files;
use plugyard_platform::kind::{Action, Change, StepCx, StepError, StepOutput, StepSpec, Version};
use plugyard_store::StoreError;
use sea_orm::Set;
use serde_json::{Value as Json, json};

use super::commit::versions;
use super::tasks::Task;
use super::{Act, Facts, Input, is_theme, manifest};
use crate::events::{Event, Name};
use crate::hooks::{self, Hook, Subject};
use crate::host::{WebHost, now};
use crate::package::Manifest;
use crate::wrapped::Inside;
use crate::{assets, health, records, states};

/// Why a plugin that is watched does not stay.
const CRASHED: &str = "the application said that loading it ended it";

/// Free space that a package must find, in multiples of its size.
const SPACE: u64 = 3;

impl WebHost {
    /// Does a step.
    pub(crate) async fn run(&self, step: &StepSpec, cx: &StepCx) -> Result<StepOutput, StepError> {
        let input: Input = serde_json::from_value(step.input.clone()).unwrap_or_default();
        let change = &*cx.change;
        let facts = Facts::of(change);
        let home = self.0.home.clone();
        match act(step)? {
            Act::Begin => {
                self.promise(change, &facts).await.map_err(refusal)?;
                for line in &input.warnings {
                    (cx.log)(line);
                }
                if input.warnings.is_empty() {
                    return Ok(Json::Null);
                }
                return Ok(json!({ "warnings": input.warnings }));
            }
            Act::Check => self.check(change, &facts).await?,
            Act::Announce => self.announce(change, &facts, &input).await?,
            Act::Unpack => return self.unpack(cx).await,
            Act::Revert => self.revert_to_target(cx, &facts).await?,
            Act::Link => self.link(change, target(change)?, &facts).await?,
            Act::Resolve => self.resolve(cx, &facts).await?,
            Act::Mark => self.mark(cx, &facts).await?,
            Act::MarkTask => self.mark_task(cx, &facts).await?,
            Act::Migrate => self.hook(cx, Hook::Migrate, &facts, "").await?,
            Act::Seed => self.hook(cx, Hook::Seed, &facts, "").await?,
            // What somebody took out of sight stays so when only the rest is repaired.
            Act::Publish if change.action == Action::Restart => {
                self.show_as_before(change, target(change)?).await?;
            }
            Act::Publish => self.publish(change, target(change)?).await?,
            Act::Load => self.hook(cx, Hook::Load, &facts, "").await?,
            Act::Unload => self.unload(cx, &facts).await?,
            Act::Health => return self.healthy(cx, &facts).await,
            Act::Snapshot => {
                let directory = snapshot(&home, change);
                let parent = directory.parent().unwrap_or(&directory).to_owned();
                blocking(move || std::fs::create_dir_all(parent)).await?;
                self.hook(cx, Hook::Snapshot, &facts, "").await?;
            }
            Act::Clear => self.hook(cx, Hook::Revert, &facts, "").await?,
            Act::RevertOwn => {
                let mark = self.own_mark(&facts).await.map_err(refusal)?;
                let mark = mark.unwrap_or_default();
                self.hook(cx, Hook::Revert, &facts, &mark).await?;
            }
            Act::Unpublish => {
                let fskey = facts.fskey.clone();
                let shown = assets::shown(&home, &fskey);
                blocking(move || take_away(&home, &shown, &format!("{fskey}.assets"))).await?;
            }
            Act::Unlink => {
                let (shown, fskey) = (self.shown(&facts), facts.fskey.clone());
                blocking(move || take_away(&home, &shown, &fskey)).await?;
            }
            // It has its part on the way back.
            Act::ResolveAgain => {}
            // Rows are written with it. A server that found it committing has not heard the promise.
            Act::Record => self.0.promises.make(change, &facts),
            Act::Export => {
                self.0.promises.settle(change.operation);
                self.export_status()
                    .await
                    .map_err(|error| failure(codes::STEP_FAILED, error.to_string()))?;
            }
        }
        Ok(Json::Null)
    }

    /// Takes a step back.
    pub(crate) async fn undo(&self, step: &StepSpec, cx: &StepCx) -> Result<(), StepError> {
        let input: Input = serde_json::from_value(step.input.clone()).unwrap_or_default();
        let change = &*cx.change;
        let facts = Facts::of(change);
        match act(step)? {
            Act::Begin => {
                self.0.promises.settle(change.operation);
                self.gone_back(cx, &facts).await
            }
            // A snapshot touches nothing, and what seeds wrote goes with the tables.
            Act::Check
            | Act::Announce
            | Act::Health
            | Act::Resolve
            | Act::MarkTask
            | Act::Seed
            | Act::Snapshot
            | Act::Record
            | Act::Export => Ok(()),
            Act::Unpack => {
                if !input.fresh {
                    return Ok(());
                }
                let directory = self.directory(change, target(change)?);
                blocking(move || {
                    files::discard(&directory.with_extension("part"))
                        .and_then(|()| files::discard(&directory))
                })
                .await
            }
            Act::ResolveAgain => {
                let as_before = match facts.current {
                    Some(_) => before(&facts),
                    None => facts,
                };
                self.gently(cx, self.resolve(cx, &as_before).await);
                Ok(())
            }
            Act::Revert => self.hook(cx, Hook::Migrate, &before(&facts), "").await,
            Act::Link => match &change.current {
                Some(version) => self.link(change, version, &before(&facts)).await,
                None => {
                    let (home, shown) = (self.0.home.clone(), self.shown(&facts));
                    blocking(move || files::unlink(&home, &shown, &facts.fskey)).await
                }
            },
            Act::Mark => self.unmark(change, &facts).await.map_err(stored),
            Act::Migrate => match Task::of(change) {
                None => self.unmigrate(cx, &facts, input.new).await,
                Some(Task::Migrate) => self.unmigrate_task(cx, &facts).await,
                // What was taken back before it is brought back as a whole.
                Some(_) => Ok(()),
            },
            Act::Publish => match &change.current {
                Some(version) => self.show_as_before(change, version).await,
                None => {
                    let (home, fskey) = (self.0.home.clone(), facts.fskey.clone());
                    blocking(move || assets::unpublish(&home, &fskey)).await
                }
            },
            Act::Load => {
                if self.0.settings.hooks.has(Hook::Unload) {
                    self.gently(cx, self.hook(cx, Hook::Unload, &facts, "").await);
                }
                Ok(())
            }
            Act::Unload => {
                if self.0.settings.hooks.has(Hook::Load) {
                    let loaded = self.hook(cx, Hook::Load, &before(&facts), "").await;
                    self.gently(cx, loaded);
                }
                Ok(())
            }
            Act::Clear | Act::RevertOwn => {
                let hooks = &self.0.settings.hooks;
                let there = snapshot(&self.0.home, change).exists();
                let hook = if there && hooks.has(Hook::Restore) {
                    Hook::Restore
                } else {
                    (cx.log)(&unreverted(
                        &facts,
                        "its tables are made again, without what stood in them",
                    ));
                    Hook::Migrate
                };
                self.hook(cx, hook, &facts, "").await
            }
            Act::Unpublish => match &change.current {
                Some(version) => self.show_as_before(change, version).await,
                None => Ok(()),
            },
            Act::Unlink => match &change.current {
                Some(version) => self.link(change, version, &facts).await,
                None => Ok(()),
            },
        }
    }

    /// The files in force are there and are those of the version.
    async fn check(&self, change: &Change, facts: &Facts) -> Result<(), StepError> {
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

    async fn announce(
        &self,
        change: &Change,
        facts: &Facts,
        input: &Input,
    ) -> Result<(), StepError> {
        let id = change.operation.to_string();
        for name in &input.announced {
            let more = match name {
                Name::Upgrading => versions(change),
                _ => json!({}),
            };
            let event = Event::new(&id, *name, &facts.fskey, more, now());
            if let Err(veto) = self.0.listeners.before(&event).await {
                let reason = veto.to_string();
                return Err(StepError {
                    params: params([("event", name.as_str()), ("reason", &reason)]),
                    ..failure(codes::E_VETO, reason)
                });
            }
        }
        Ok(())
    }

    async fn unpack(&self, cx: &StepCx) -> Result<StepOutput, StepError> {
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

    async fn link(
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
    async fn publish(&self, change: &Change, version: &Version) -> Result<(), StepError> {
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
    async fn show_as_before(&self, change: &Change, version: &Version) -> Result<(), StepError> {
        let connection = self.database().map_err(stored)?.conn();
        let fskey = change.plugin.key.as_str().to_owned();
        let state = states::find(connection, &fskey).await.map_err(stored)?;
        if state.is_unpublished == 0 {
            return self.publish(change, version).await;
        }
        let home = self.0.home.clone();
        blocking(move || assets::unpublish(&home, &fskey)).await
    }

    /// Dependencies are the application's as a whole, so one at a time.
    async fn resolve(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        let _one = self.0.resolving.lock().await;
        self.hook(cx, Hook::Dependencies, facts, "").await
    }

    async fn unload(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        self.hook(cx, Hook::Unload, &before(facts), "").await
    }

    /// Asks the application until it said yes, and watches for a while whether it stays so. Where it cannot be
    /// asked it is only watched: the application says when loading the plugin ended it.
    async fn healthy(&self, cx: &StepCx, facts: &Facts) -> Result<StepOutput, StepError> {
        let asks = |it: &Manifest| it.platform.health_path.is_some();
        let address = self.health_address(facts).await.map_err(stored)?;
        if address.is_none() && facts.target.as_ref().is_some_and(asks) {
            let reason = "neither `plugin_host` nor `system_url` says where to ask";
            return Err(unhealthy(facts, reason.to_owned()));
        }
        let settings = &self.0.settings;
        let began = now();
        let watched = async {
            let Some(address) = address.as_deref() else {
                (cx.log)(&format!("watching for {:?}", settings.observation));
                tokio::time::sleep(settings.observation).await;
                return Ok(());
            };
            (cx.log)(&format!("asking {address}"));
            health::tried(settings, address).await?;
            (cx.log)(&format!(
                "it answers; watching for {:?}",
                settings.observation
            ));
            health::observed(settings, address, &*cx.log).await
        };
        let said = tokio::select! {
            said = watched => said,
            reason = self.crash(&facts.fskey, began) => Err(reason),
            () = cx.cancelled.cancelled() => Err("cancelled".to_owned()),
        };
        said.map_err(|reason| unhealthy(facts, reason))?;
        if self.crashed_since(&facts.fskey, began).await {
            return Err(unhealthy(facts, CRASHED.to_owned()));
        }
        Ok(json!({ "address": address }))
    }

    /// Waits for the application to say that loading the plugin ended it.
    async fn crash(&self, fskey: &str, began: i64) -> String {
        loop {
            tokio::time::sleep(health::PAUSE).await;
            if self.crashed_since(fskey, began).await {
                return CRASHED.to_owned();
            }
        }
    }

    /// Whether it said so since then. A database that does not answer is asked again, here or by the commit.
    async fn crashed_since(&self, fskey: &str, began: i64) -> bool {
        let Ok(database) = self.database() else {
            return false;
        };
        let state = states::find(database.conn(), fskey).await;
        state.is_ok_and(|state| records::crashes(&state).iter().any(|at| *at >= began))
    }

    /// Where the plugin's health is asked for; `None` without a base address or a path.
    pub(crate) async fn health_address(&self, facts: &Facts) -> Result<Option<String>, StoreError> {
        let manifest = facts.target.as_ref().or(facts.current.as_ref());
        let Some(path) = manifest.and_then(|it| it.platform.health_path.as_deref()) else {
            return Ok(None);
        };
        let row = records::find(self.database()?.conn(), &facts.fskey).await?;
        let host = row
            .and_then(|row| row.plugin_host)
            .filter(|it| !it.is_empty());
        let base = match host {
            Some(host) => Some(host),
            None => self.site().await?.system_url().map(str::to_owned),
        };
        Ok(base.map(|base| health::address(&base, path)))
    }

    async fn mark(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
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
        let mark = self.hook_says(cx, Hook::Mark, facts, "").await?;
        marks.insert(version.clone(), mark);
        states::change(connection, &facts.fskey, now(), |row| {
            row.migration_marks = Set(Some(json!(marks)));
        })
        .await
        .map_err(stored)
    }

    /// The same for a task: what runs now is all that the way back may take.
    async fn mark_task(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
        let mark = self.hook_says(cx, Hook::Mark, facts, "").await?;
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
    async fn unmigrate_task(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
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

    async fn unmark(&self, change: &Change, facts: &Facts) -> Result<(), StoreError> {
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
    async fn unmigrate(&self, cx: &StepCx, facts: &Facts, new: bool) -> Result<(), StepError> {
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
    async fn revert_to_target(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
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

    async fn hook(
        &self,
        cx: &StepCx,
        hook: Hook,
        facts: &Facts,
        mark: &str,
    ) -> Result<(), StepError> {
        self.hook_says(cx, hook, facts, mark).await.map(drop)
    }

    async fn hook_says(
        &self,
        cx: &StepCx,
        hook: Hook,
        facts: &Facts,
        mark: &str,
    ) -> Result<String, StepError> {
        let version = |it: Option<&Manifest>| it.map(|it| it.version.clone()).unwrap_or_default();
        let manifest = facts.target.as_ref().or(facts.current.as_ref());
        let subject = Subject {
            fskey: facts.fskey.clone(),
            directory: self.shown(facts),
            version: version(manifest),
            from: cx
                .change
                .current
                .as_ref()
                .map(|it| it.label.clone())
                .unwrap_or_default(),
            mark: mark.to_owned(),
            snapshot: snapshot(&self.0.home, &cx.change),
        };
        // A way back is not cut short by what ended the way there.
        let never = tokio_util::sync::CancellationToken::new();
        let cancelled = match cx.reason {
            Some(_) => &never,
            None => &cx.cancelled,
        };
        let (settings, home) = (&self.0.settings.hooks, self.0.home.root());
        hooks::run(settings, hook, &subject, home, &*cx.log, cancelled).await
    }

    /// Logs what does not keep the way back from being gone.
    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn gently(&self, cx: &StepCx, outcome: Result<(), StepError>) {
        if let Err(error) = outcome {
            (cx.log)(&format!("warning: {}", error.text));
        }
    }

    /// Everything is as before: says why, and that it went back.
    async fn gone_back(&self, cx: &StepCx, facts: &Facts) -> Result<(), StepError> {
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

    fn directory(&self, change: &Change, version: &Version) -> PathBuf {
        files::version_directory(&self.0.home, &change.plugin, &version.digest)
    }

    /// Where people and the application find it.
    fn shown(&self, facts: &Facts) -> PathBuf {
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

/// The same seen from before the change.
fn before(facts: &Facts) -> Facts {
    Facts {
        fskey: facts.fskey.clone(),
        target: facts.current.clone(),
        current: facts.current.clone(),
    }
}

/// Takes what is seen away. A directory that somebody put there is kept in `backups/adopted/`.
fn take_away(home: &plugyard_platform::Home, shown: &Path, name: &str) -> io::Result<()> {
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

/// Where the data go that a change takes away.
fn snapshot(home: &plugyard_platform::Home, change: &Change) -> PathBuf {
    let name = format!("{}-{}", change.plugin.key, change.operation);
    home.backups().join("snapshots").join(name)
}

/// Where migrations stood before each version's.
pub(super) fn marks(stored: Option<&Json>) -> BTreeMap<String, String> {
    stored
        .and_then(|it| serde_json::from_value(it.clone()).ok())
        .unwrap_or_default()
}

fn unreverted(facts: &Facts, reason: &str) -> String {
    let from = facts.target.as_ref().or(facts.current.as_ref());
    let problem = Problem::new(codes::W_DATA_NOT_REVERTED)
        .with("fskey", &facts.fskey)
        .with("from", from.map_or("?", |it| it.version.as_str()))
        .with("reason", reason);
    format!("{}: {problem}", problem.code.as_str())
}

fn unhealthy(facts: &Facts, reason: String) -> StepError {
    let version = facts.target.as_ref().map_or("", |it| &it.version);
    StepError {
        params: params([
            ("fskey", facts.fskey.as_str()),
            ("version", version),
            ("reason", &reason),
        ]),
        ..failure(codes::E_HEALTH, reason)
    }
}

fn act(step: &StepSpec) -> Result<Act, StepError> {
    Act::of(step).ok_or_else(|| {
        failure(
            codes::INTERNAL,
            format!("there is no step `{}`", step.action),
        )
    })
}

fn target(change: &Change) -> Result<&Version, StepError> {
    change.target.as_ref().ok_or_else(|| {
        failure(
            codes::INTERNAL,
            "the change has no version to go to".to_owned(),
        )
    })
}

fn params<const N: usize>(pairs: [(&str, &str); N]) -> Params {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A change that is not possible any more.
fn refusal(problem: Problem) -> StepError {
    StepError {
        params: problem.params.clone(),
        ..failure(problem.code, problem.to_string())
    }
}

fn failure(code: Code, text: String) -> StepError {
    StepError {
        code,
        text,
        params: Params::new(),
    }
}

fn stored(error: StoreError) -> StepError {
    let mut text = error.to_string();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        text = format!("{text}: {source}");
        cause = source;
    }
    failure(codes::STEP_FAILED, text)
}

/// Runs what reads and writes files where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StepError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| failure(codes::STEP_FAILED, error.to_string()))
}
