//! Making, changing and forgetting records that have no package, with the same rules and events as others.

use plugyard_model::{Finding, Problem, codes};
use plugyard_store::StoreError;
use sea_orm::ActiveValue::Unchanged;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, PaginatorTrait as _, QueryFilter, Set, SqlErr,
};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::{Model, draft, find, live, soft_delete, switch, time};
use crate::columns::{Issue, PluginType};
use crate::entity::plugin::{ActiveModel, Column, Entity};
use crate::entity::usage;
use crate::events::{Event, Name};
use crate::host::{WebHost, now};
use crate::lifecycle::dependants;
use crate::site::Site;
use crate::states;
use crate::usages::fields::refused;

/// What a record without a package is, for its events.
fn is_theme(row: &Model) -> bool {
    row.plugin_type == PluginType::Theme as i16
}

impl WebHost {
    /// Makes a record without a package; a deleted one of the same fskey lives again. The findings are warnings.
    pub(crate) async fn create_record(
        &self,
        body: &Map<String, Json>,
    ) -> Result<(Model, Vec<Finding>), Problem> {
        let site = self.site().await?;
        let (mut columns, mut fields) = draft::read(body, None, false, &site);
        let transaction = self.database()?.begin().await?;
        let fskey = draft::set(&columns.fskey).cloned().unwrap_or_default();
        let same = Entity::find()
            .all(&*transaction)
            .await
            .map_err(StoreError::from)?;
        let same = same
            .into_iter()
            .find(|row| row.fskey.eq_ignore_ascii_case(&fskey));
        let revived = same
            .as_ref()
            .filter(|row| row.fskey == fskey && row.deleted_at.is_some())
            .cloned();
        if let (Some(same), None) = (&same, &revived) {
            let issue = Issue::error(codes::E_FSKEY_DUPLICATE)
                .with("fskey", &fskey)
                .with("existing", &same.fskey);
            fields.note("/fskey", issue);
        }
        if fields.has_errors() {
            return Err(refused(fields.findings));
        }
        let change = Uuid::now_v7().to_string();
        let standalone = draft::set(&columns.is_standalone) == Some(&1);
        let theme = draft::set(&columns.plugin_type) == Some(&(PluginType::Theme as i16));
        let (before, after) = match (standalone, theme) {
            (true, _) => (None, Name::AppData),
            (_, true) => (Some(Name::ThemeInstalling), Name::ThemeInstalled),
            _ => (Some(Name::Installing), Name::Installed),
        };
        // Nobody who is asked may hold the database up.
        drop(transaction);
        if let Some(name) = before {
            self.ask(&change, name, &fskey).await?;
        }
        let _alone = self.0.promises.alone().await;
        if let Some(twin) = self.0.promises.twin(&fskey) {
            return Err(Problem::new(codes::E_FSKEY_DUPLICATE)
                .with("fskey", &fskey)
                .with("existing", twin));
        }
        let (at, transaction) = (now(), self.database()?.begin().await?);
        columns.updated_at = Set(time(at));
        columns.deleted_at = Set(None);
        let written = match revived {
            Some(row) => {
                columns.id = Unchanged(row.id);
                columns.fskey = Unchanged(row.fskey);
                draft::empty_unsaid(&mut columns);
                if draft::set(&columns.is_enabled).is_none() {
                    columns.is_enabled = Set(i16::from(theme || standalone));
                }
                columns.update(&*transaction).await.map(drop)
            }
            None => {
                columns.created_at = Set(time(at));
                let inserted = Entity::insert(columns);
                inserted
                    .exec_without_returning(&*transaction)
                    .await
                    .map(drop)
            }
        };
        if let Err(error) = written {
            // Somebody else was faster.
            let twice = matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)));
            return Err(if twice {
                Problem::new(codes::E_FSKEY_DUPLICATE)
                    .with("fskey", &fskey)
                    .with("existing", &fskey)
            } else {
                StoreError::from(error).into()
            });
        }
        states::change(&*transaction, &fskey, at, |state| {
            state.manifest = Set(None);
            state.last_error = Set(None);
        })
        .await?;
        let row = live(&*transaction, &fskey).await?;
        let more = match after {
            Name::AppData => super::document(&row, &site),
            _ => json!({}),
        };
        let event = Event::new(&change, after, &fskey, more, at);
        self.0.listeners.after(&event, &transaction).await?;
        transaction.commit().await?;
        self.export_gently().await;
        Ok((row, fields.findings))
    }

    /// Changes a record: what `body` does not name stays. The findings are warnings.
    pub(crate) async fn change_record(
        &self,
        fskey: &str,
        body: &Map<String, Json>,
        packaged: bool,
    ) -> Result<(Model, Vec<Finding>), Problem> {
        let site = self.site().await?;
        let transaction = self.database()?.begin().await?;
        let row = live(&*transaction, fskey).await?;
        let (mut columns, fields) = draft::read(body, Some(&row), packaged, &site);
        if fields.has_errors() {
            return Err(refused(fields.findings));
        }
        if let Some(version) = draft::set(&columns.version)
            && !announces(&row, version)
        {
            columns.is_upgrade = Set(0);
            columns.upgrade_version = Set(None);
        }
        columns.id = Unchanged(row.id);
        let changed = differs(&columns, &row);
        if changed {
            columns.updated_at = Set(time(now()));
            columns
                .update(&*transaction)
                .await
                .map_err(StoreError::from)?;
        }
        let row = live(&*transaction, fskey).await?;
        transaction.commit().await?;
        if changed {
            self.export_gently().await;
        }
        Ok((row, fields.findings))
    }

    /// Enables or disables a record without a package. Doing it again changes nothing and tells nobody.
    pub(crate) async fn switch_record(&self, fskey: &str, on: bool) -> Result<(), Problem> {
        let database = self.database()?;
        let row = live(database.conn(), fskey).await?;
        let refusal = if is_theme(&row) {
            Some(codes::E_THEME_NOT_ACTIVATABLE)
        } else if row.is_standalone == 1 {
            Some(codes::E_STANDALONE_NOT_ACTIVATABLE)
        } else {
            None
        };
        if let Some(code) = refusal {
            return Err(Problem::new(code).with("fskey", fskey));
        }
        if (row.is_enabled == 1) == on {
            return Ok(());
        }
        if !on {
            self.not_required(fskey).await?;
        }
        let (before, after) = if on {
            (Name::Activating, Name::Activated)
        } else {
            (Name::Deactivating, Name::Deactivated)
        };
        let change = Uuid::now_v7().to_string();
        self.ask(&change, before, fskey).await?;
        let _alone = self.0.promises.alone().await;
        if !on {
            self.not_required(fskey).await?;
        }
        let (at, transaction) = (now(), database.begin().await?);
        let row = live(&*transaction, fskey).await?;
        if (row.is_enabled == 1) != on {
            switch(&*transaction, &row, on, at).await?;
            states::change(&*transaction, fskey, at, |state| {
                state.last_error = Set(None);
                state.last_error_at = Set(None);
                if on {
                    state.crashes = Set(None);
                }
            })
            .await?;
            let event = Event::new(&change, after, fskey, json!({}), at);
            self.0.listeners.after(&event, &transaction).await?;
        }
        transaction.commit().await?;
        self.export_gently().await;
        Ok(())
    }

    /// Deletes a record without a package: the row stays, and lives again with the fskey.
    pub(crate) async fn delete_record(&self, fskey: &str, force: bool) -> Result<(), Problem> {
        let database = self.database()?;
        let row = live(database.conn(), fskey).await?;
        let theme = is_theme(&row);
        let on = row.is_enabled == 1 && !theme && row.is_standalone == 0;
        if on {
            self.not_required(fskey).await?;
        }
        if theme {
            let site = self.site().await?;
            let slots = crate::site::slots_of(&site, fskey);
            if !slots.is_empty() && !force {
                return Err(Problem::new(codes::E_THEME_IN_USE)
                    .with("fskey", fskey)
                    .with("slots", slots.join(", ")));
            }
        }
        let change = Uuid::now_v7().to_string();
        let going = if theme {
            Name::ThemeUninstalling
        } else {
            Name::Uninstalling
        };
        self.ask(&change, going, fskey).await?;
        if on {
            self.ask(&change, Name::Deactivating, fskey).await?;
        }
        let _alone = self.0.promises.alone().await;
        if on {
            self.not_required(fskey).await?;
        }
        let (at, transaction) = (now(), database.begin().await?);
        let row = live(&*transaction, fskey).await?;
        soft_delete(&*transaction, &row, at).await?;
        if theme {
            let site = Site::read(&*transaction).await?;
            for slot in crate::site::slots_of(&site, fskey) {
                let tag = Some(crate::site::THEMES);
                crate::site::put(&*transaction, &slot, Json::from(""), tag, at).await?;
            }
        }
        let gone = if theme {
            Name::ThemeUninstalled
        } else {
            Name::Uninstalled
        };
        for name in on.then_some(Name::Deactivated).into_iter().chain([gone]) {
            let event = Event::new(&change, name, fskey, json!({}), at);
            self.0.listeners.after(&event, &transaction).await?;
        }
        transaction.commit().await?;
        self.export_gently().await;
        Ok(())
    }

    /// Forgets a deleted record for good.
    pub(crate) async fn purge(&self, fskey: &str) -> Result<(), Problem> {
        let home = self.0.home.clone();
        let transaction = self.database()?.begin().await?;
        let row = find(&*transaction, fskey)
            .await?
            .ok_or_else(|| super::not_found(fskey))?;
        let there = |path: &std::path::Path| std::fs::symlink_metadata(path).is_ok();
        let usages = usage::Entity::find()
            .filter(usage::Column::PluginFskey.eq(fskey))
            .filter(usage::Column::DeletedAt.is_null())
            .count(&*transaction)
            .await
            .map_err(StoreError::from)?;
        let mut remains = Vec::new();
        if row.deleted_at.is_none() {
            remains.push("it is not uninstalled".to_owned());
        }
        for directory in [home.plugins(), home.themes(), home.assets()] {
            let path = directory.join(fskey);
            if there(&path) {
                remains.push(format!("`{}` is there", path.display()));
            }
        }
        if usages > 0 {
            remains.push(format!("{usages} usages are there"));
        }
        if !remains.is_empty() {
            return Err(Problem::new(codes::E_PURGE_REFUSED)
                .with("fskey", fskey)
                .with("remains", remains.join("; ")));
        }
        Entity::delete_many()
            .filter(Column::Id.eq(row.id))
            .exec(&*transaction)
            .await
            .map_err(StoreError::from)?;
        states::forget(&*transaction, fskey).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether no enabled plugin depends on it.
    pub(crate) async fn not_required(&self, fskey: &str) -> Result<(), Problem> {
        let connection = self.database()?.conn();
        let rows = super::all(connection).await?;
        let others = self.0.promises.others(None);
        let users = dependants(&rows, &states::all(connection).await?, &others, fskey);
        if users.is_empty() {
            return Ok(());
        }
        let users: Vec<_> = users.iter().map(|name| format!("`{name}`")).collect();
        Err(Problem::new(codes::E_REQUIRED_BY)
            .with("fskey", fskey)
            .with("dependants", users.join(", ")))
    }

    /// Asks the listeners; the first veto counts.
    async fn ask(&self, change: &str, name: Name, fskey: &str) -> Result<(), Problem> {
        let event = Event::new(change, name, fskey, json!({}), now());
        let asked = self.0.listeners.before(&event).await;
        asked.map_err(|veto| {
            Problem::new(codes::E_VETO)
                .with("event", name.as_str())
                .with("reason", veto)
        })
    }

    /// Notes that loading a plugin ended the application; gives how often it did since then.
    pub(crate) async fn crashed(&self, fskey: &str, since: i64) -> Result<usize, Problem> {
        let transaction = self.database()?.begin().await?;
        live(&*transaction, fskey).await?;
        let state = states::find(&*transaction, fskey).await?;
        let at = now();
        let mut times: Vec<i64> = super::crashes(&state)
            .into_iter()
            .filter(|time| *time > since)
            .collect();
        times.push(at);
        let count = times.len();
        states::change(&*transaction, fskey, at, |state| {
            state.crashes = Set(Some(json!(times)));
        })
        .await?;
        transaction.commit().await?;
        Ok(count)
    }

    /// Says why a plugin was taken out of use.
    pub(crate) async fn quarantined(&self, fskey: &str, reason: &str) -> Result<(), StoreError> {
        let (at, transaction) = (now(), self.database()?.begin().await?);
        states::change(&*transaction, fskey, at, |state| {
            state.last_error = Set(Some(reason.to_owned()));
            state.last_error_at = Set(Some(at));
        })
        .await?;
        let change = Uuid::now_v7().to_string();
        let event = Event::new(
            &change,
            Name::Quarantined,
            fskey,
            json!({ "reason": reason }),
            at,
        );
        self.0.listeners.after(&event, &transaction).await?;
        transaction.commit().await
    }

    /// Writes the status file. The record counts, so that a failure is only told.
    pub(crate) async fn export_gently(&self) {
        if let Err(error) = self.export_status().await {
            tracing::warn!(%error, "The status file cannot be written");
        }
    }
}

/// Whether what the record announces is newer than a version.
pub(crate) fn announces(row: &Model, version: &str) -> bool {
    let parse = |text: &str| semver::Version::parse(text).ok();
    match (
        row.upgrade_version.as_deref().and_then(parse),
        parse(version),
    ) {
        (Some(announced), Some(version)) => announced.cmp_precedence(&version).is_gt(),
        _ => false,
    }
}

/// Whether any column would hold another value.
fn differs(columns: &ActiveModel, row: &Model) -> bool {
    fn other<T: PartialEq + Into<sea_orm::Value>>(
        column: &sea_orm::ActiveValue<T>,
        now: &T,
    ) -> bool {
        draft::set(column).is_some_and(|value| value != now)
    }
    other(&columns.plugin_type, &row.plugin_type)
        || other(&columns.name, &row.name)
        || other(&columns.description, &row.description)
        || other(&columns.version, &row.version)
        || other(&columns.author, &row.author)
        || other(&columns.author_link, &row.author_link)
        || other(&columns.scene, &row.scene)
        || other(&columns.plugin_host, &row.plugin_host)
        || other(&columns.access_path, &row.access_path)
        || other(&columns.settings_path, &row.settings_path)
        || other(&columns.is_standalone, &row.is_standalone)
        || other(&columns.is_upgrade, &row.is_upgrade)
        || other(&columns.upgrade_code, &row.upgrade_code)
        || other(&columns.is_enabled, &row.is_enabled)
}
