//! The rows of a change that is now in force, and the events that say so: all in the transaction of the commit.

use plugyard_platform::kind::{Action, Change, Version};
use plugyard_store::{StoreError, Transaction};
use sea_orm::ActiveValue::Unchanged;
use sea_orm::{ActiveModelTrait as _, EntityTrait, Set};
use serde_json::{Value as Json, json};

use super::tasks::Task;
use super::{Facts, enables, is_theme};
use crate::entity::plugin::{ActiveModel, Entity, Model};
use crate::events::{Event, Name};
use crate::host::WebHost;
use crate::package::Manifest;
use crate::site::{self, Site};
use crate::{records, states, themes};

impl WebHost {
    /// Writes the rows and tells those who listen. Right also when done twice.
    pub(crate) async fn committed(
        &self,
        change: &Change,
        transaction: &Transaction,
        now: i64,
    ) -> Result<(), StoreError> {
        let facts = Facts::of(change);
        let fskey = facts.fskey.as_str();
        let row = records::find(&**transaction, fskey).await?;
        match change.action {
            Action::Install | Action::Upgrade | Action::Rollback => {
                if let (Some(target), Some(version)) = (&facts.target, &change.target) {
                    replace(transaction, row, change, target, version, now).await?;
                }
            }
            Action::Enable | Action::Disable | Action::Restart => {
                let on = change.wanted_after.is_on();
                if let Some(row) = row {
                    records::switch(&**transaction, &row, on, now).await?;
                }
                states::change(&**transaction, fskey, now, |state| {
                    state.last_error = Set(None);
                    state.last_error_at = Set(None);
                    if on {
                        state.crashes = Set(None);
                    }
                })
                .await?;
            }
            // Nothing of it is here but files.
            Action::Perform if change.is_preparation() => {}
            Action::Perform => {
                let shown = match Task::of(change) {
                    Some(Task::Publish) => Some(0),
                    Some(Task::Unpublish) => Some(1),
                    _ => None,
                };
                states::change(&**transaction, fskey, now, |state| {
                    state.last_error = Set(None);
                    state.last_error_at = Set(None);
                    state.task_mark = Set(None);
                    if let Some(hidden) = shown {
                        state.is_unpublished = Set(hidden);
                    }
                })
                .await?;
            }
            Action::Uninstall => {
                if let Some(row) = row {
                    records::soft_delete(&**transaction, &row, now).await?;
                }
                if !change.keep_data {
                    states::change(&**transaction, fskey, now, |state| {
                        state.migration_marks = Set(None);
                    })
                    .await?;
                }
                if facts.is_theme() {
                    theme_goes(transaction, &facts, change.keep_data, now).await?;
                }
            }
        }
        let id = change.operation.to_string();
        for (name, more) in told(change, &facts) {
            let event = Event::new(&id, name, fskey, more, now);
            self.0.listeners.after(&event, transaction).await?;
        }
        Ok(())
    }
}

/// What is told of a change that is in force, in order.
fn told(change: &Change, facts: &Facts) -> Vec<(Name, Json)> {
    let theme = facts.is_theme();
    let mut events = Vec::new();
    let comes = matches!(
        change.action,
        Action::Install | Action::Upgrade | Action::Rollback
    );
    if facts.is_standalone() {
        if let Some(target) = facts.target.as_ref().filter(|_| comes) {
            events.push((Name::AppData, metadata(target)));
        }
        if change.action == Action::Uninstall {
            events.push((Name::Uninstalled, json!({})));
        }
        return events;
    }
    match change.action {
        Action::Install | Action::Upgrade | Action::Rollback => {
            let installed = if theme {
                Name::ThemeInstalled
            } else {
                Name::Installed
            };
            events.push((installed, json!({})));
            if change.action != Action::Install {
                events.push((Name::Upgraded, versions(change)));
            }
            if enables(change) && !theme {
                events.push((Name::Activated, json!({})));
            }
        }
        Action::Enable if enables(change) => events.push((Name::Activated, json!({}))),
        Action::Disable if change.wanted_before.is_on() => {
            events.push((Name::Deactivated, json!({})));
        }
        Action::Enable | Action::Disable | Action::Restart | Action::Perform => {}
        Action::Uninstall if theme => events.push((Name::ThemeUninstalled, json!({}))),
        Action::Uninstall => {
            if change.wanted_before.is_on() {
                events.push((Name::Deactivated, json!({})));
            }
            events.push((Name::Uninstalled, json!({})));
        }
    }
    events
}

/// From which version to which.
pub(super) fn versions(change: &Change) -> Json {
    let label = |version: Option<&Version>| version.map(|it| it.label.clone());
    json!({ "from": label(change.current.as_ref()), "to": label(change.target.as_ref()) })
}

/// What an application that is deployed on its own says of itself.
fn metadata(manifest: &Manifest) -> Json {
    json!({
        "type": manifest.plugin_type,
        "name": manifest.name,
        "description": manifest.description,
        "version": manifest.version,
        "author": manifest.author,
        "authorLink": manifest.author_link,
        "accessPath": manifest.access_path,
        "settingsPath": manifest.settings_path,
        "isStandalone": true,
    })
}

/// The record says what the manifest does. What belongs to the operator and the market stays.
async fn replace(
    transaction: &Transaction,
    row: Option<Model>,
    change: &Change,
    target: &Manifest,
    version: &Version,
    now: i64,
) -> Result<(), StoreError> {
    let state = states::find(&**transaction, &target.fskey).await?;
    let offered = state
        .offered_code
        .filter(|_| state.offered_digest == Some(version.digest.to_string()));
    let time = records::time(now);
    let existing = row.as_ref().filter(|row| row.deleted_at.is_none());
    let enabled = match existing {
        _ if is_theme(target) => true,
        Some(row) if target.is_standalone => row.is_enabled == 1,
        None if target.is_standalone => true,
        _ => change.wanted_after.is_on(),
    };
    let mut columns = ActiveModel {
        plugin_type: Set(i16::from(target.plugin_type)),
        name: Set(target.name.clone()),
        description: Set(target.description.clone()),
        version: Set(target.version.clone()),
        author: Set(target.author.clone()),
        author_link: Set(target.author_link.clone()),
        scene: Set(Some(json!(target.scene))),
        access_path: Set(target.access_path.clone()),
        settings_path: Set(target.settings_path.clone()),
        is_standalone: Set(i16::from(target.is_standalone)),
        is_enabled: Set(i16::from(enabled)),
        updated_at: Set(time),
        deleted_at: Set(None),
        ..Default::default()
    };
    // Going back leaves announced what is still newer.
    let announced = row
        .as_ref()
        .is_some_and(|row| records::announces(row, &target.version));
    if change.action != Action::Rollback || !announced {
        columns.is_upgrade = Set(0);
        columns.upgrade_version = Set(None);
    }
    if let Some(code) = offered.clone() {
        columns.upgrade_code = Set(Some(code));
    }
    match row {
        Some(row) => {
            columns.id = Unchanged(row.id);
            columns.update(&**transaction).await?;
        }
        None => {
            columns.fskey = Set(target.fskey.clone());
            columns.created_at = Set(time);
            Entity::insert(columns)
                .exec_without_returning(&**transaction)
                .await?;
        }
    }
    states::change(&**transaction, &target.fskey, now, |state| {
        state.manifest = Set(serde_json::to_value(target).ok());
        state.last_error = Set(None);
        state.last_error_at = Set(None);
        state.failed_version = Set(None);
        state.is_unpublished = Set(0);
        if offered.is_some() {
            state.offered_code = Set(None);
            state.offered_digest = Set(None);
        }
    })
    .await
}

/// Slots that use the theme become empty; its own settings go, unless they are kept.
async fn theme_goes(
    transaction: &Transaction,
    facts: &Facts,
    keep: bool,
    now: i64,
) -> Result<(), StoreError> {
    let site = Site::read(&**transaction).await?;
    for slot in site::slots_of(&site, &facts.fskey) {
        let tag = Some(site::THEMES);
        site::put(&**transaction, &slot, Json::from(""), tag, now).await?;
    }
    let keys = facts.current.iter().flat_map(themes::fields);
    for key in keys.filter(|_| !keep) {
        site::put(&**transaction, &key.item_key, Json::Null, None, now).await?;
    }
    Ok(())
}
