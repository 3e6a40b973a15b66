//! Work to be done later, on tables of the same database: no broker beside it.
//!
//! A [`Job`] is data with one `run`. [`Queue::enqueue`] writes it in the caller's transaction, so a job
//! exists exactly when what asked for it does. [`Workers`] claim jobs by row lock and hold each by a lease
//! they renew; the lease of a killed worker ends, and another takes the job. A job that fails is tried
//! again, later each time, and kept as failed with its error when its attempts are used up.
//!
//! **A job may run twice** (a worker dies after the work and before saying so), hence it must be safe to.
//! Leases compare the clocks of nodes, so these must agree to within a fraction of [`JobSettings::lease`].
//!
//! Not here: schedules, results, jobs that wait for jobs. The shape is that of the worker of crates.io.

mod backoff;
pub(crate) mod entity;
pub(crate) mod migration;
mod rows;
mod wake;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{Database, StoreError, Transaction};
pub use entity::JobState;
pub use worker::Workers;

/// One sort of work: its data, and what is done with it.
///
/// Fields are written as JSON and may be read by a later version of the program: add fields with
/// `#[serde(default)]`, and give a job that means something else another [`NAME`](Self::NAME).
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it is called in the table; never changed.
    const NAME: &'static str;
    /// Which workers take it. Those of one queue do not wait for those of another.
    const QUEUE: &'static str = "default";
    /// Higher comes first.
    const PRIORITY: i32 = 0;
    /// Whether an equal job that waits already stands for this one too. One that is running does not:
    /// it may have read what changed since.
    const DEDUPLICATE: bool = false;
    /// How many runs may fail, or die with their worker, before the job is failed for good.
    const MAX_ATTEMPTS: u32 = 10;
    /// What a run needs besides its data.
    type Context: Clone + Send + Sync + 'static;

    /// Does it. May be called again after any part of it was done. The future is dropped at an await
    /// when the worker ends or has lost its lease.
    ///
    /// # Errors
    /// Any: it is kept with the job, with its causes, and the job is tried again later.
    fn run(&self, context: &Self::Context) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Which job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is known of a job that is not done; one that is done is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobView {
    /// Which.
    pub id: JobId,
    /// The queue it is in.
    pub queue: String,
    /// [`Job::NAME`].
    pub name: String,
    /// Its data as JSON.
    pub payload: String,
    /// Where it stands.
    pub state: JobState,
    /// Higher comes first.
    pub priority: i32,
    /// Runs begun so far.
    pub attempts: u32,
    /// Milliseconds since 1970 (UTC) before which it is not begun.
    pub run_at: i64,
    /// Until when its worker holds it.
    pub lease_until: Option<i64>,
    /// What the last run that failed said, with its causes.
    pub error: Option<String>,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
}

/// How a queue behaves, and where it takes time and chance from.
#[derive(Clone)]
pub struct JobSettings {
    /// Milliseconds since 1970 (UTC).
    pub now: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Evenly from 0 to 1, for spreading retries.
    pub chance: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// How long a worker holds a job without renewing, which it does three times in that span.
    pub lease: Duration,
    /// The wait after the first failed run; each further one doubles it.
    pub first_wait: Duration,
    /// The longest wait between two runs.
    pub longest_wait: Duration,
    /// How often idle workers look for themselves, should a notification have been lost.
    pub poll: Duration,
}

impl Default for JobSettings {
    /// The system's clock and chance; lease 30 s, waits from 2 s to 1 h, looking every 10 s.
    fn default() -> Self {
        Self {
            now: Arc::new(|| {
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .ok()
                    .and_then(|since| i64::try_from(since.as_millis()).ok())
                    .unwrap_or_default()
            }),
            chance: Arc::new(|| {
                // Without randomness retries are only less spread.
                getrandom::u32().map_or(0.5, |chance| f64::from(chance) / f64::from(u32::MAX))
            }),
            lease: Duration::from_secs(30),
            first_wait: Duration::from_secs(2),
            longest_wait: Duration::from_hours(1),
            poll: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for JobSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobSettings")
            .field("lease", &self.lease)
            .field("first_wait", &self.first_wait)
            .field("longest_wait", &self.longest_wait)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}

/// Where jobs wait. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    database: Database,
    settings: JobSettings,
}

impl Queue {
    /// The queue in a database that was migrated with [`migrations`](crate::migrations).
    pub fn new(database: Database, settings: JobSettings) -> Self {
        Self { database, settings }
    }

    /// Asks for a job as soon as the transaction is committed; says which job will do it.
    ///
    /// # Errors
    /// [`StoreError::Query`], also for data that JSON cannot hold.
    pub async fn enqueue<J: Job>(
        &self,
        transaction: &Transaction,
        job: &J,
    ) -> Result<JobId, StoreError> {
        self.enqueue_at(transaction, job, self.now()).await
    }

    /// Asks for a job not before `run_at`, milliseconds since 1970 (UTC). An equal one that waits
    /// already (see [`Job::DEDUPLICATE`]) runs at the earlier of both times.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn enqueue_at<J: Job>(
        &self,
        transaction: &Transaction,
        job: &J,
        run_at: i64,
    ) -> Result<JobId, StoreError> {
        let payload = serde_json::to_string(job)
            .map_err(|error| StoreError::Query(sea_orm::DbErr::Json(error.to_string())))?;
        let id = rows::insert(
            transaction,
            rows::New {
                queue: J::QUEUE,
                name: J::NAME,
                once: J::DEDUPLICATE.then(|| rows::once(J::NAME, &payload)),
                payload,
                priority: J::PRIORITY,
                run_at,
                now: self.now(),
            },
        )
        .await?;
        wake::announce(transaction).await?;
        Ok(JobId(id))
    }

    /// The jobs in a state, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn list(&self, state: JobState, limit: u64) -> Result<Vec<JobView>, StoreError> {
        let rows = entity::Entity::find()
            .filter(entity::Column::State.eq(state))
            .order_by_asc(entity::Column::CreatedAt)
            .order_by_asc(entity::Column::Id)
            .limit(limit)
            .all(self.database.conn())
            .await?;
        Ok(rows.into_iter().map(JobView::from).collect())
    }

    /// Lets a failed job run again, with all its attempts. Says whether there was such a failed job.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn retry(&self, id: JobId) -> Result<bool, StoreError> {
        let transaction = self.database.begin().await?;
        let Some(row) = rows::locked(&transaction, id.0, JobState::Failed).await? else {
            return Ok(false);
        };
        rows::put_back(&transaction, row, rows::Back::fresh(self.now())).await?;
        wake::announce(&transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Removes a failed job. Says whether there was such a failed job.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn discard(&self, id: JobId) -> Result<bool, StoreError> {
        let deleted = entity::Entity::delete_many()
            .filter(entity::Column::Id.eq(id.0))
            .filter(entity::Column::State.eq(JobState::Failed))
            .exec(self.database.conn())
            .await?;
        Ok(deleted.rows_affected > 0)
    }

    fn now(&self) -> i64 {
        (self.settings.now)()
    }
}

impl From<entity::Model> for JobView {
    fn from(row: entity::Model) -> Self {
        Self {
            id: JobId(row.id),
            queue: row.queue,
            name: row.name,
            payload: row.payload,
            state: row.state,
            priority: row.priority,
            attempts: attempts(row.attempts),
            run_at: row.run_at,
            lease_until: row.lease_until,
            error: row.error,
            created_at: row.created_at,
        }
    }
}

/// Counts are written by us alone and never below zero.
fn attempts(stored: i32) -> u32 {
    u32::try_from(stored).unwrap_or_default()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
