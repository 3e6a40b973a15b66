//! Records: rows of `plugins`. They stay when a plugin is uninstalled, and live again when it comes back.

mod draft;
mod write;

pub(crate) use self::write::announces;
use plugyard_model::{Problem, codes};
use plugyard_store::StoreError;
use sea_orm::ActiveValue::Unchanged;
use sea_orm::prelude::DateTime;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter,
    QueryOrder, Set,
};
use serde_json::{Value as Json, json};

use crate::columns::PluginType;
use crate::entity::plugin::{ActiveModel, Column, Entity, Model};
use crate::site::Site;
use crate::url;
use crate::usage::PluginState;

/// The record of an fskey, deleted or not.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    fskey: &str,
) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find()
        .filter(Column::Fskey.eq(fskey))
        .one(connection)
        .await?)
}

/// The record of an fskey that is not deleted.
pub(crate) async fn find_live(
    connection: &impl ConnectionTrait,
    fskey: &str,
) -> Result<Option<Model>, StoreError> {
    Ok(find(connection, fskey)
        .await?
        .filter(|row| row.deleted_at.is_none()))
}

/// The same, or the problem to answer.
pub(crate) async fn live(connection: &impl ConnectionTrait, fskey: &str) -> Result<Model, Problem> {
    find_live(connection, fskey)
        .await?
        .ok_or_else(|| not_found(fskey))
}

/// All records by fskey, deleted ones too.
pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, StoreError> {
    let mut rows = Entity::find()
        .order_by_asc(Column::Fskey)
        .all(connection)
        .await?;
    // Databases do not agree on the order of texts.
    rows.sort_by(|a, b| a.fskey.cmp(&b.fskey));
    Ok(rows)
}

/// Lets paths be as long as the setting allows at most, where the database knows how long its texts may be.
pub(crate) async fn make_room_for_paths(
    connection: &impl ConnectionTrait,
) -> Result<(), StoreError> {
    if connection.get_database_backend() == DbBackend::Postgres {
        let wider = "ALTER TABLE plugins DROP CONSTRAINT IF EXISTS plugins_access_path_length, \
                     DROP CONSTRAINT IF EXISTS plugins_settings_path_length";
        connection.execute_unprepared(wider).await?;
    }
    Ok(())
}

/// Sets whether it works.
pub(crate) async fn switch(
    connection: &impl ConnectionTrait,
    row: &Model,
    on: bool,
    now: i64,
) -> Result<(), StoreError> {
    if (row.is_enabled == 1) == on {
        return Ok(());
    }
    let columns = ActiveModel {
        id: Unchanged(row.id),
        is_enabled: Set(i16::from(on)),
        updated_at: Set(time(now)),
        ..Default::default()
    };
    columns.update(connection).await?;
    Ok(())
}

/// Marks it as deleted; its usages stay, hidden. A theme stays enabled, as themes are.
pub(crate) async fn soft_delete(
    connection: &impl ConnectionTrait,
    row: &Model,
    now: i64,
) -> Result<(), StoreError> {
    if row.deleted_at.is_some() {
        return Ok(());
    }
    let theme = i64::from(row.plugin_type) == PluginType::Theme as i64;
    let time = time(now).max(row.created_at);
    let columns = ActiveModel {
        id: Unchanged(row.id),
        is_enabled: Set(i16::from(theme)),
        is_upgrade: Set(0),
        upgrade_version: Set(None),
        updated_at: Set(time),
        deleted_at: Set(Some(time)),
        ..Default::default()
    };
    columns.update(connection).await?;
    Ok(())
}

/// When loading it ended the application, in milliseconds.
pub(crate) fn crashes(state: &crate::entity::state::Model) -> Vec<i64> {
    let times = state.crashes.as_ref().and_then(Json::as_array);
    times
        .into_iter()
        .flatten()
        .filter_map(Json::as_i64)
        .collect()
}

/// There is no such plugin.
pub(crate) fn not_found(fskey: &str) -> Problem {
    let fskey: String = fskey.chars().take(64).collect();
    Problem::new(codes::E_PLUGIN_NOT_FOUND).with("fskey", fskey)
}

/// Where a plugin can be selected.
pub(crate) fn scene(row: &Model) -> Vec<String> {
    let words = row.scene.as_ref().and_then(serde_json::Value::as_array);
    words
        .into_iter()
        .flatten()
        .filter_map(|word| Some(word.as_str()?.to_owned()))
        .collect()
}

/// Whether it is there and works.
pub(crate) const fn is_offered(row: &Model) -> bool {
    row.is_enabled == 1 && row.deleted_at.is_none()
}

/// What the listing of usages needs to know; `scene` is [`scene`]'s.
pub(crate) fn state<'a>(row: &Model, scene: &'a [String]) -> PluginState<'a> {
    PluginState {
        scene,
        is_offered: is_offered(row),
    }
}

/// A record as it is told. The certificate for upgrades is not in it.
pub(crate) fn document(row: &Model, site: &Site) -> Json {
    let addresses = site.addresses(row);
    let gone = row.deleted_at.is_some();
    json!({
        "id": row.id,
        "fskey": row.fskey,
        "type": row.plugin_type,
        "name": row.name,
        "description": row.description,
        "version": row.version,
        "author": row.author,
        "authorLink": row.author_link,
        "scene": scene(row),
        "pluginHost": row.plugin_host,
        "accessPath": row.access_path,
        "settingsPath": row.settings_path,
        "isStandalone": row.is_standalone == 1,
        "isUpgrade": row.is_upgrade == 1,
        "upgradeVersion": row.upgrade_version,
        "isEnabled": row.is_enabled == 1,
        "createdAt": rfc3339(row.created_at),
        "updatedAt": rfc3339(row.updated_at),
        "deletedAt": row.deleted_at.map(rfc3339),
        "accessUrl": url::access_url(&addresses).ok().filter(|_| !gone),
        "settingsUrl": url::settings_url(&addresses).ok().filter(|_| !gone),
        "hasUpgradeCode": row.upgrade_code.is_some(),
    })
}

/// A time of a row.
pub(crate) fn time(milliseconds: i64) -> DateTime {
    chrono::DateTime::from_timestamp_millis(milliseconds)
        .unwrap_or_default()
        .naive_utc()
}

/// A time of a row as RFC 3339, in UTC.
pub(crate) fn rfc3339(time: DateTime) -> String {
    time.and_utc()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
