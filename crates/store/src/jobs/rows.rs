//! How rows of jobs change. Every change is one transaction or one statement, and one that a worker makes
//! names its claim, so that it does nothing once the claim has gone to another.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;

use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Set,
};
use sha2::{Digest as _, Sha256};
use uuid::{ContextV7, Timestamp, Uuid};

use super::JobState;
use super::entity::{ActiveModel, Column, Entity, Model};
use crate::{Database, StoreError, Transaction};

/// The condition of the index that holds equal jobs apart; the same text where it is named.
pub(super) const IS_WAITING: &str = "state = 'waiting'";

/// Counts within a millisecond, so that ids made here sort as they were made.
static IDS: Mutex<AssertUnwindSafe<ContextV7>> = Mutex::new(AssertUnwindSafe(ContextV7::new()));

/// Bytes of an error that are kept.
const MAX_ERROR: usize = 16 << 10;

/// A job to be written.
pub(super) struct New {
    pub(super) queue: &'static str,
    pub(super) name: &'static str,
    pub(super) payload: String,
    pub(super) once: Option<String>,
    pub(super) priority: i32,
    pub(super) run_at: i64,
    pub(super) now: i64,
}

/// What equal jobs have in common.
pub(super) fn once(name: &str, payload: &str) -> String {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([0])
        .chain_update(payload)
        .finalize();
    plugyard_model::Digest::from_bytes(hash.into()).to_string()
}

/// Writes a job, or joins an equal one that waits. That one stays locked until the transaction ends, so
/// that no worker begins it before it can see what the transaction did.
pub(super) async fn insert(transaction: &Transaction, new: New) -> Result<Uuid, StoreError> {
    let millis = u64::try_from(new.now).unwrap_or_default();
    let nanos = u32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
    let row = ActiveModel {
        id: Set(Uuid::new_v7(Timestamp::from_unix(
            &IDS,
            millis / 1000,
            nanos,
        ))),
        queue: Set(new.queue.to_owned()),
        name: Set(new.name.to_owned()),
        payload: Set(new.payload),
        once: Set(new.once),
        state: Set(JobState::Waiting),
        priority: Set(new.priority),
        attempts: Set(0),
        run_at: Set(new.run_at),
        claim: Set(None),
        lease_until: Set(None),
        error: Set(None),
        created_at: Set(new.now),
    };
    let join = OnConflict::column(Column::Once)
        .target_and_where(Expr::cust(IS_WAITING))
        .value(
            Column::RunAt,
            Expr::cust(
                "CASE WHEN excluded.run_at < jobs.run_at THEN excluded.run_at ELSE jobs.run_at END",
            ),
        )
        .value(Column::Attempts, 0)
        .to_owned();
    let row = Entity::insert(row)
        .on_conflict(join)
        .exec_with_returning(&**transaction)
        .await?;
    Ok(row.id)
}

/// Takes the first job that is due, whether it waits or its worker was not heard of for a lease.
/// Jobs that another worker is taking at this moment are passed over.
pub(super) async fn claim(
    database: &Database,
    queue: &str,
    names: &[&'static str],
    now: i64,
    lease: i64,
) -> Result<Option<Model>, StoreError> {
    let transaction = database.begin().await?;
    let found = Entity::find()
        .filter(Column::Queue.eq(queue))
        .filter(Column::Name.is_in(names.iter().copied()))
        .filter(
            Condition::any()
                .add(
                    Column::State
                        .eq(JobState::Waiting)
                        .and(Column::RunAt.lte(now)),
                )
                .add(
                    Column::State
                        .eq(JobState::Running)
                        .and(Column::LeaseUntil.lt(now)),
                ),
        )
        .order_by_desc(Column::Priority)
        .order_by_asc(Column::RunAt)
        .order_by_asc(Column::Id)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(&*transaction)
        .await?;
    let Some(row) = found else {
        return Ok(None);
    };
    let attempts = row.attempts.saturating_add(1);
    let mut row = row.into_active_model();
    row.state = Set(JobState::Running);
    row.attempts = Set(attempts);
    row.claim = Set(Some(Uuid::new_v4()));
    row.lease_until = Set(Some(now.saturating_add(lease)));
    let row = row.update(&*transaction).await?;
    transaction.commit().await?;
    Ok(Some(row))
}

/// Renews a lease; says whether the claim still holds.
pub(super) async fn extend(
    database: &Database,
    claimed: &Model,
    until: i64,
) -> Result<bool, StoreError> {
    let done = Entity::update_many()
        .col_expr(Column::LeaseUntil, Expr::value(until))
        .filter(held(claimed))
        .exec(database.conn())
        .await?;
    Ok(done.rows_affected > 0)
}

/// Removes a job that is done.
pub(super) async fn done(database: &Database, claimed: &Model) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(held(claimed))
        .exec(database.conn())
        .await?;
    Ok(())
}

/// Keeps a job as failed.
pub(super) async fn failed(
    database: &Database,
    claimed: &Model,
    error: &str,
) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(JobState::Failed))
        .col_expr(Column::Claim, Expr::value(Option::<Uuid>::None))
        .col_expr(Column::LeaseUntil, Expr::value(Option::<i64>::None))
        .col_expr(Column::Error, Expr::value(shortened(error)))
        .filter(held(claimed))
        .exec(database.conn())
        .await?;
    Ok(())
}

/// How a job waits again.
pub(super) struct Back {
    run_at: i64,
    attempts: Option<i32>,
    error: Option<String>,
}

impl Back {
    /// As if it had just been asked for.
    pub(super) fn fresh(now: i64) -> Self {
        Self {
            run_at: now,
            attempts: Some(0),
            error: None,
        }
    }

    /// After a run that failed.
    pub(super) fn later(run_at: i64, error: &str) -> Self {
        Self {
            run_at,
            attempts: None,
            error: Some(shortened(error)),
        }
    }

    /// After a run that was broken off and does not count.
    pub(super) fn uncounted(now: i64, claimed: &Model) -> Self {
        Self {
            run_at: now,
            attempts: Some(claimed.attempts.saturating_sub(1)),
            error: None,
        }
    }
}

/// Lets a job that a worker holds wait again, unless the claim has gone to another.
pub(super) async fn give_back(
    database: &Database,
    claimed: &Model,
    back: Back,
) -> Result<(), StoreError> {
    let transaction = database.begin().await?;
    let row = locked(&transaction, claimed.id, JobState::Running).await?;
    if let Some(row) = row.filter(|row| row.claim == claimed.claim) {
        put_back(&transaction, row, back).await?;
        super::wake::announce(&transaction).await?;
    }
    transaction.commit().await
}

/// The job, if it is in that state, for this transaction alone.
pub(super) async fn locked(
    transaction: &Transaction,
    id: Uuid,
    state: JobState,
) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(id)
        .filter(Column::State.eq(state))
        .lock(LockType::Update)
        .one(&**transaction)
        .await?)
}

/// Lets a job wait again. If an equal one waits meanwhile, that one stands for both.
pub(super) async fn put_back(
    transaction: &Transaction,
    row: Model,
    back: Back,
) -> Result<(), StoreError> {
    if let Some(once) = &row.once {
        let twin = Entity::find()
            .filter(Column::Once.eq(once))
            .filter(Expr::cust(IS_WAITING))
            .lock(LockType::Update)
            .one(&**transaction)
            .await?;
        if twin.is_some() {
            Entity::delete_by_id(row.id).exec(&**transaction).await?;
            return Ok(());
        }
    }
    let mut row = row.into_active_model();
    row.state = Set(JobState::Waiting);
    row.claim = Set(None);
    row.lease_until = Set(None);
    row.run_at = Set(back.run_at);
    if let Some(attempts) = back.attempts {
        row.attempts = Set(attempts);
    }
    if let Some(error) = back.error {
        row.error = Set(Some(error));
    }
    row.update(&**transaction).await?;
    Ok(())
}

/// When the next of these jobs is due: waits end and leases run out.
pub(super) async fn next_due(
    connection: &impl ConnectionTrait,
    queue: &str,
    names: &[&'static str],
) -> Result<Option<i64>, StoreError> {
    let mut earliest = None;
    for (state, time) in [
        (JobState::Waiting, Column::RunAt),
        (JobState::Running, Column::LeaseUntil),
    ] {
        let due: Option<Option<i64>> = Entity::find()
            .select_only()
            .column_as(time.min(), "due")
            .filter(Column::Queue.eq(queue))
            .filter(Column::Name.is_in(names.iter().copied()))
            .filter(Column::State.eq(state))
            .into_tuple()
            .one(connection)
            .await?;
        earliest = [earliest, due.flatten()].into_iter().flatten().min();
    }
    Ok(earliest)
}

fn held(claimed: &Model) -> Condition {
    Condition::all()
        .add(Column::Id.eq(claimed.id))
        .add(Column::State.eq(JobState::Running))
        .add(Column::Claim.eq(claimed.claim))
}

fn shortened(error: &str) -> String {
    let mut end = error.len().min(MAX_ERROR);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    // PostgreSQL's texts cannot hold it.
    error[..end].replace('\0', "\u{fffd}")
}
