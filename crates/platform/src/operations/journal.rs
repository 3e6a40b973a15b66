//! All that is written about an operation.

use plugyard_model::{KindId, OperationId, PluginName, Wanted};
use plugyard_store::{StoreError, secrets};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait as _, QueryFilter, QueryOrder,
    QuerySelect, Set, sea_query::Expr,
};
use serde_json::Value as Json;

use super::view::{Failure, OperationState};
use crate::entity::{installation, operation, operation_step};
use crate::installations::version_id;
use crate::kind::{Action, Change, Plan};
use crate::versions::version_touch;

/// Operations kept of each plugin; older ones go.
const KEPT: u64 = 100;

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not begun.
    Pending,
    /// Begun, and perhaps in effect, in part or as a whole.
    Running,
    /// It ended, well or badly.
    Ended,
}

/// A row of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StepRow {
    pub(super) progress: Progress,
    /// It was taken back.
    pub(super) undone: bool,
}

impl StepRow {
    pub(super) fn begun(self) -> bool {
        self.progress != Progress::Pending
    }
}

/// Claims the plugin for an operation: fails on the unique index when there is another.
pub(super) async fn operation_insert(
    connection: &impl ConnectionTrait,
    change: &Change,
    created_by: &str,
    now: i64,
) -> Result<(), StoreError> {
    let row = operation::ActiveModel {
        id: Set(change.operation.0),
        installation_id: Set(change.installation.0),
        kind: Set(change.plugin.kind.as_str().to_owned()),
        key: Set(change.plugin.key.as_str().to_owned()),
        action: Set(change.action.as_str().to_owned()),
        state: Set(OperationState::Running.as_str().to_owned()),
        change: Set(to_json(change)),
        plan: Set(None),
        undoing: Set(false),
        unresolved: Set(false),
        failure: Set(None),
        created_by: Set(created_by.to_owned()),
        created_at: Set(now),
        ended_at: Set(None),
    };
    operation::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Stores the whole plan and the journal of its steps, all pending.
pub(super) async fn operation_store_plan(
    connection: &impl ConnectionTrait,
    id: OperationId,
    plan: &Plan,
) -> Result<(), StoreError> {
    operation::Entity::update_many()
        .col_expr(operation::Column::Plan, Expr::value(to_json(plan)))
        .filter(operation::Column::Id.eq(id.0))
        .exec(connection)
        .await?;
    let steps = (0..plan.steps.len()).map(|index| operation_step::ActiveModel {
        operation_id: Set(id.0),
        position: Set(position(index)),
        state: Set("pending".to_owned()),
        undo: Set(None),
        started_at: Set(None),
        ended_at: Set(None),
        output: Set(None),
        error: Set(None),
    });
    operation_step::Entity::insert_many(steps)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Takes an operation away that never had a plan.
pub(super) async fn operation_delete(
    connection: &impl ConnectionTrait,
    id: OperationId,
) -> Result<(), StoreError> {
    operation::Entity::delete_by_id(id.0)
        .exec(connection)
        .await?;
    Ok(())
}

/// One operation.
pub(super) async fn operation_fetch(
    connection: &impl ConnectionTrait,
    id: OperationId,
) -> Result<Option<operation::Model>, StoreError> {
    Ok(operation::Entity::find_by_id(id.0).one(connection).await?)
}

/// The operation of a plugin that is under way.
pub(crate) async fn operation_running(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
) -> Result<Option<OperationId>, StoreError> {
    let row = of_plugin(plugin)
        .filter(operation::Column::EndedAt.is_null())
        .one(connection)
        .await?;
    Ok(row.map(|row| OperationId(row.id)))
}

/// The changes of a plugin whose versions may still be needed: under way, or not undone.
pub(crate) async fn change_list_open(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
) -> Result<Vec<Change>, StoreError> {
    let rows = of_plugin(plugin)
        .filter(
            operation::Column::EndedAt
                .is_null()
                .or(operation::Column::Unresolved.eq(true)),
        )
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| serde_json::from_value(row.change).ok())
        .collect())
}

/// Operations that are not at one of their ends: interrupted, or with something not undone.
pub(super) async fn operation_list_open(
    connection: &impl ConnectionTrait,
) -> Result<Vec<operation::Model>, StoreError> {
    Ok(operation::Entity::find()
        .filter(
            operation::Column::EndedAt
                .is_null()
                .or(operation::Column::Unresolved.eq(true)),
        )
        .order_by_asc(operation::Column::Id)
        .all(connection)
        .await?)
}

/// The operation of a plugin whose way back failed.
pub(super) async fn operation_unresolved(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
) -> Result<Option<operation::Model>, StoreError> {
    Ok(of_plugin(plugin)
        .filter(operation::Column::Unresolved.eq(true))
        .order_by_desc(operation::Column::Id)
        .one(connection)
        .await?)
}

/// The same for all plugins of a kind.
pub(super) async fn operation_unresolved_of(
    connection: &impl ConnectionTrait,
    kind: &KindId,
) -> Result<Vec<operation::Model>, StoreError> {
    Ok(operation::Entity::find()
        .filter(operation::Column::Kind.eq(kind.as_str()))
        .filter(operation::Column::Unresolved.eq(true))
        .order_by_desc(operation::Column::Id)
        .all(connection)
        .await?)
}

/// From now on it goes back.
pub(super) async fn operation_undoing(
    connection: &impl ConnectionTrait,
    id: OperationId,
    failure: &Failure,
) -> Result<(), StoreError> {
    operation::Entity::update_many()
        .col_expr(operation::Column::Undoing, true.into())
        .col_expr(operation::Column::Failure, Expr::value(to_json(failure)))
        .filter(operation::Column::Id.eq(id.0))
        .exec(connection)
        .await?;
    Ok(())
}

/// It is at its end.
pub(super) async fn operation_end(
    connection: &impl ConnectionTrait,
    id: OperationId,
    state: OperationState,
    failure: Option<&Failure>,
    now: i64,
) -> Result<(), StoreError> {
    operation::Entity::update_many()
        .col_expr(operation::Column::State, state.as_str().into())
        .col_expr(
            operation::Column::Unresolved,
            (state == OperationState::UndoFailed).into(),
        )
        .col_expr(
            operation::Column::Failure,
            Expr::value(failure.map(to_json)),
        )
        .col_expr(operation::Column::EndedAt, Some(now).into())
        .filter(operation::Column::Id.eq(id.0))
        .exec(connection)
        .await?;
    Ok(())
}

/// Nothing needs to be undone any more, because the plugin was taken away altogether.
pub(super) async fn operation_resolve_all(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
) -> Result<(), StoreError> {
    operation::Entity::update_many()
        .col_expr(operation::Column::Unresolved, false.into())
        .filter(operation::Column::Kind.eq(plugin.kind.as_str()))
        .filter(operation::Column::Key.eq(plugin.key.as_str()))
        .filter(operation::Column::Unresolved.eq(true))
        .exec(connection)
        .await?;
    Ok(())
}

/// Keeps the latest operations of a plugin, with their steps and events.
pub(super) async fn operation_prune(
    connection: &impl ConnectionTrait,
    plugin: &PluginName,
) -> Result<(), StoreError> {
    let oldest_kept = of_plugin(plugin)
        .order_by_desc(operation::Column::Id)
        .offset(KEPT)
        .one(connection)
        .await?;
    if let Some(row) = oldest_kept {
        operation::Entity::delete_many()
            .filter(operation::Column::Kind.eq(plugin.kind.as_str()))
            .filter(operation::Column::Key.eq(plugin.key.as_str()))
            .filter(operation::Column::Id.lte(row.id))
            .filter(operation::Column::EndedAt.is_not_null())
            .filter(operation::Column::Unresolved.eq(false))
            .exec(connection)
            .await?;
    }
    Ok(())
}

/// The journal, in order.
pub(super) async fn step_list(
    connection: &impl ConnectionTrait,
    id: OperationId,
) -> Result<Vec<StepRow>, StoreError> {
    let rows = operation_step::Entity::find()
        .filter(operation_step::Column::OperationId.eq(id.0))
        .order_by_asc(operation_step::Column::Position)
        .all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| StepRow {
            progress: match row.state.as_str() {
                "pending" => Progress::Pending,
                "running" => Progress::Running,
                _ => Progress::Ended,
            },
            undone: row.undo.as_deref() == Some("undone"),
        })
        .collect())
}

/// The step is about to take effect.
pub(super) async fn step_running(
    connection: &impl ConnectionTrait,
    id: OperationId,
    index: usize,
    now: i64,
) -> Result<(), StoreError> {
    let row = operation_step::ActiveModel {
        state: Set("running".to_owned()),
        started_at: Set(Some(now)),
        ..Default::default()
    };
    step_update(connection, id, index, row).await
}

/// The step has taken effect.
pub(super) async fn step_done(
    connection: &impl ConnectionTrait,
    id: OperationId,
    index: usize,
    output: &Json,
    now: i64,
) -> Result<(), StoreError> {
    let row = operation_step::ActiveModel {
        state: Set("done".to_owned()),
        output: Set(Some(output.clone())),
        ended_at: Set(Some(now)),
        ..Default::default()
    };
    step_update(connection, id, index, row).await
}

/// The step failed.
pub(super) async fn step_failed(
    connection: &impl ConnectionTrait,
    id: OperationId,
    index: usize,
    error: &str,
    now: i64,
) -> Result<(), StoreError> {
    let row = operation_step::ActiveModel {
        state: Set("failed".to_owned()),
        error: Set(Some(error.to_owned())),
        ended_at: Set(Some(now)),
        ..Default::default()
    };
    step_update(connection, id, index, row).await
}

/// The step is about to be taken back.
pub(super) async fn step_undoing(
    connection: &impl ConnectionTrait,
    id: OperationId,
    index: usize,
) -> Result<(), StoreError> {
    let row = operation_step::ActiveModel {
        undo: Set(Some("running".to_owned())),
        ..Default::default()
    };
    step_update(connection, id, index, row).await
}

/// The step is taken back.
pub(super) async fn step_undone(
    connection: &impl ConnectionTrait,
    id: OperationId,
    index: usize,
) -> Result<(), StoreError> {
    let row = operation_step::ActiveModel {
        undo: Set(Some("undone".to_owned())),
        ..Default::default()
    };
    step_update(connection, id, index, row).await
}

/// The step could not be taken back.
pub(super) async fn step_undo_failed(
    connection: &impl ConnectionTrait,
    id: OperationId,
    index: usize,
    error: &str,
) -> Result<(), StoreError> {
    let row = operation_step::ActiveModel {
        undo: Set(Some("failed".to_owned())),
        error: Set(Some(error.to_owned())),
        ..Default::default()
    };
    step_update(connection, id, index, row).await
}

/// The new state of the installation: what the commit is about. Right also when done twice.
pub(super) async fn installation_commit(
    connection: &impl ConnectionTrait,
    change: &Change,
    now: i64,
) -> Result<(), StoreError> {
    let Some(target) = &change.target else {
        installation::Entity::delete_by_id(change.installation.0)
            .exec(connection)
            .await?;
        secrets::forget(connection, change.installation).await?;
        return operation_resolve_all(connection, &change.plugin).await;
    };
    if change.is_preparation() {
        installation_delete_empty(connection, change).await?;
        return version_touch(connection, &change.plugin, target.id.0, now).await;
    }
    let mut update = installation::Entity::update_many()
        .col_expr(
            installation::Column::CurrentVersion,
            Some(target.id.0).into(),
        )
        .col_expr(
            installation::Column::Wanted,
            change.wanted_after.as_str().into(),
        )
        .col_expr(
            installation::Column::Revision,
            Expr::col(installation::Column::Revision).add(1),
        )
        .col_expr(installation::Column::UpdatedAt, now.into())
        .filter(installation::Column::Id.eq(change.installation.0));
    // Going to the same version again changes neither current nor previous.
    if let Some(before) = version_id(change.current.as_ref()).filter(|id| *id != target.id) {
        update = update.col_expr(installation::Column::PreviousVersion, Some(before.0).into());
    }
    update.exec(connection).await?;
    version_touch(connection, &change.plugin, target.id.0, now).await
}

/// The row that an installation needs before it has a version.
pub(super) async fn installation_insert(
    connection: &impl ConnectionTrait,
    change: &Change,
    now: i64,
) -> Result<(), StoreError> {
    let row = installation::ActiveModel {
        id: Set(change.installation.0),
        kind: Set(change.plugin.kind.as_str().to_owned()),
        key: Set(change.plugin.key.as_str().to_owned()),
        wanted: Set(change.wanted_before.as_str().to_owned()),
        current_version: Set(None),
        previous_version: Set(None),
        revision: Set(0),
        config_version: Set(None),
        config_revision: Set(0),
        created_at: Set(now),
        updated_at: Set(now),
    };
    installation::Entity::insert(row)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// Takes the row of an installation away that came to nothing.
pub(super) async fn installation_delete_empty(
    connection: &impl ConnectionTrait,
    change: &Change,
) -> Result<(), StoreError> {
    if change.action == Action::Install || change.is_preparation() {
        let deleted = installation::Entity::delete_many()
            .filter(installation::Column::Id.eq(change.installation.0))
            .filter(installation::Column::CurrentVersion.is_null())
            .exec(connection)
            .await?;
        if deleted.rows_affected > 0 {
            secrets::forget(connection, change.installation).await?;
        }
    }
    Ok(())
}

/// What is wanted of an installation now.
pub(super) fn wanted(row: &installation::Model) -> Wanted {
    Wanted::from_word(&row.wanted).unwrap_or(Wanted::Stopped)
}

fn of_plugin(plugin: &PluginName) -> sea_orm::Select<operation::Entity> {
    operation::Entity::find()
        .filter(operation::Column::Kind.eq(plugin.kind.as_str()))
        .filter(operation::Column::Key.eq(plugin.key.as_str()))
}

async fn step_update(
    connection: &impl ConnectionTrait,
    id: OperationId,
    index: usize,
    row: operation_step::ActiveModel,
) -> Result<(), StoreError> {
    operation_step::Entity::update_many()
        .set(row)
        .filter(operation_step::Column::OperationId.eq(id.0))
        .filter(operation_step::Column::Position.eq(position(index)))
        .exec(connection)
        .await?;
    Ok(())
}

fn position(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn to_json(value: impl serde::Serialize) -> Json {
    serde_json::to_value(value).expect("what we store is plain data")
}
