//! Records of plugins: rows that stay when a plugin is uninstalled, and live again when it comes back.

use plugyard_platform::kind::{Action, Change};
use plugyard_store::StoreError;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Set,
};
use uuid::Uuid;

use crate::discovery::Seen;
use crate::entity::{ActiveModel, Column, Entity, Model};

/// All records, by name.
pub(crate) async fn list(connection: &impl ConnectionTrait) -> Result<Vec<Model>, StoreError> {
    let mut rows = Entity::find()
        .order_by_asc(Column::Name)
        .all(connection)
        .await?;
    // Databases do not agree on the order of texts.
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rows)
}

/// One record.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    name: &str,
) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find()
        .filter(Column::Name.eq(name))
        .one(connection)
        .await?)
}

/// What was seen of a plugin's directory. Makes the record when there is none.
pub(crate) async fn discovered(
    connection: &impl ConnectionTrait,
    name: &str,
    seen: &Seen,
    now: i64,
) -> Result<(), StoreError> {
    let seen = serde_json::to_string(seen).unwrap_or_default();
    match find(connection, name).await? {
        Some(row) => {
            let changed = row.seen != seen;
            let mut row = ActiveModel::from(row);
            row.discovered_at = Set(Some(now));
            if changed {
                row.seen = Set(seen);
                row.updated_at = Set(now);
            }
            row.update(connection).await?;
        }
        None => {
            let mut row = new(name, now);
            row.seen = Set(seen);
            row.discovered_at = Set(Some(now));
            Entity::insert(row)
                .exec_without_returning(connection)
                .await?;
        }
    }
    Ok(())
}

/// Forgets a plugin.
pub(crate) async fn delete(connection: &impl ConnectionTrait, id: Uuid) -> Result<(), StoreError> {
    Entity::delete_by_id(id).exec(connection).await?;
    Ok(())
}

/// What a change that is now in force means for the record. Right also when done twice.
pub(crate) async fn committed(
    connection: &impl ConnectionTrait,
    change: &Change,
    now: i64,
) -> Result<(), StoreError> {
    let name = change.plugin.key.as_str();
    let found = find(connection, name).await?;
    let is_new = found.is_none();
    let mut row = found.map_or_else(|| new(name, now), ActiveModel::from);
    row.updated_at = Set(now);
    let on = change.wanted_after.is_on();
    match change.action {
        Action::Install => {
            row.installed_at = Set(Some(now));
            row.uninstalled_at = Set(None);
            row.enabled_at = Set(on.then_some(now));
            row.disabled_at = Set(None);
        }
        Action::Enable => {
            row.enabled_at = Set(Some(now));
            row.disabled_at = Set(None);
        }
        Action::Disable => row.disabled_at = Set(Some(now)),
        Action::Uninstall => {
            row.uninstalled_at = Set(Some(now));
            if change.wanted_before.is_on() {
                row.disabled_at = Set(Some(now));
            }
        }
        Action::Upgrade | Action::Rollback | Action::Restart | Action::Perform => {}
    }
    if is_new {
        Entity::insert(row)
            .exec_without_returning(connection)
            .await?;
    } else {
        row.update(connection).await?;
    }
    Ok(())
}

fn new(name: &str, now: i64) -> ActiveModel {
    ActiveModel {
        id: Set(Uuid::now_v7()),
        name: Set(name.to_owned()),
        seen: Set(String::new()),
        discovered_at: Set(None),
        installed_at: Set(None),
        enabled_at: Set(None),
        disabled_at: Set(None),
        uninstalled_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    }
}
