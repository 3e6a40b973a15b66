//! Rows of `web_states`: what is known of a plugin beyond its documented columns.

use plugyard_store::StoreError;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait as _, ConnectionTrait, EntityTrait, Set};

use crate::entity::state::{ActiveModel, Column, Entity, Model};
use crate::package::Manifest;

/// What is known; the defaults when nothing is.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    fskey: &str,
) -> Result<Model, StoreError> {
    let found = Entity::find_by_id(fskey).one(connection).await?;
    Ok(found.unwrap_or_else(|| empty(fskey)))
}

/// All there are.
pub(crate) async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, StoreError> {
    Ok(Entity::find().all(connection).await?)
}

/// Changes what is known; the row is made when there is none.
pub(crate) async fn change(
    connection: &impl ConnectionTrait,
    fskey: &str,
    now: i64,
    change: impl FnOnce(&mut ActiveModel),
) -> Result<(), StoreError> {
    let new = ActiveModel {
        fskey: Set(fskey.to_owned()),
        updated_at: Set(now),
        ..Default::default()
    };
    let again = OnConflict::column(Column::Fskey)
        .update_column(Column::UpdatedAt)
        .to_owned();
    Entity::insert(new)
        .on_conflict(again)
        .exec_without_returning(connection)
        .await?;
    let mut row = ActiveModel {
        fskey: sea_orm::ActiveValue::Unchanged(fskey.to_owned()),
        updated_at: Set(now),
        ..Default::default()
    };
    change(&mut row);
    row.update(connection).await?;
    Ok(())
}

/// Forgets it.
pub(crate) async fn forget(
    connection: &impl ConnectionTrait,
    fskey: &str,
) -> Result<(), StoreError> {
    Entity::delete_by_id(fskey).exec(connection).await?;
    Ok(())
}

/// The stored manifest.
pub(crate) fn manifest(state: &Model) -> Option<Manifest> {
    serde_json::from_value(state.manifest.clone()?).ok()
}

/// Remembers the certificate that came with a package; it becomes the record's when that package is in force.
pub(crate) async fn offer(
    connection: &impl ConnectionTrait,
    fskey: &str,
    digest: &plugyard_model::Digest,
    code: &str,
    now: i64,
) -> Result<(), StoreError> {
    change(connection, fskey, now, |row| {
        row.offered_digest = Set(Some(digest.to_string()));
        row.offered_code = Set(Some(code.to_owned()));
    })
    .await
}

fn empty(fskey: &str) -> Model {
    Model {
        fskey: fskey.to_owned(),
        manifest: None,
        last_error: None,
        last_error_at: None,
        failed_version: None,
        migration_marks: None,
        offered_digest: None,
        offered_code: None,
        crashes: None,
        is_unpublished: 0,
        task_mark: None,
        updated_at: 0,
    }
}
