//! Each step, and what takes it back. All of them can be done again after half a run in a process that was
//! killed.

mod application;
mod back;
mod data;
mod error;
mod files;

use plugyard_model::codes;
use plugyard_platform::files::{discard, unlink};
use plugyard_platform::kind::{Action, Change, StepCx, StepError, StepOutput, StepSpec, Version};
use serde_json::{Value as Json, json};

pub(super) use self::data::marks;
use self::data::{snapshot, unreverted};
use self::error::{blocking, failure, params, refusal, stored};
use self::files::take_away;
use super::commit::versions;
use super::tasks::Task;
use super::{Act, Facts, Input};
use crate::assets;
use crate::events::{Event, Name};
use crate::hooks::Hook;
use crate::host::{WebHost, now};

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
            Act::Place => self.place(cx, &facts).await?,
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
                    discard(&directory.with_extension("part")).and_then(|()| discard(&directory))
                })
                .await
            }
            Act::Place => self.unplace(cx, &facts, input.occupied).await,
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
                    blocking(move || unlink(&home, &shown, &facts.fskey)).await
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
}

/// The same seen from before the change.
fn before(facts: &Facts) -> Facts {
    Facts {
        fskey: facts.fskey.clone(),
        target: facts.current.clone(),
        current: facts.current.clone(),
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
