//! Telling idle workers that there is something to do.
//!
//! Within the process through the database handle, when a transaction is committed; between processes by
//! PostgreSQL's notifications, which it also delivers at the commit. Either may be lost (a connection
//! breaks), which costs no more than the wait for the next look.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgListener, PgPoolOptions};
use sea_orm::{ConnectionTrait, DbBackend};

use crate::{Database, StoreError, Transaction};

const CHANNEL: &str = "plugyard_jobs";

/// Workers look once this transaction is committed.
pub(super) async fn announce(transaction: &Transaction) -> Result<(), StoreError> {
    transaction.announces_jobs();
    if transaction.get_database_backend() == DbBackend::Postgres {
        transaction
            .execute_unprepared(&format!("NOTIFY {CHANNEL}"))
            .await?;
    }
    Ok(())
}

/// Passes on what other processes announce, for as long as it is polled.
pub(super) async fn listen(database: Database, pause: Duration) {
    if database.backend() != DbBackend::Postgres {
        // Another process with the same file is found by looking.
        return std::future::pending().await;
    }
    loop {
        if let Err(error) = pass_on(&database).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Notifications of jobs are interrupted; workers look every {pause:?} meanwhile"
            );
        }
        tokio::time::sleep(pause).await;
    }
}

async fn pass_on(database: &Database) -> Result<(), sea_orm::sqlx::Error> {
    // A connection of its own: one that is held forever must not be missing in the pool.
    let options = database
        .conn()
        .get_postgres_connection_pool()
        .connect_options();
    let own = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_with((*options).clone())
        .await?;
    let mut listener = PgListener::connect_with(&own).await?;
    listener.ignore_pool_close_event(true);
    listener.listen(CHANNEL).await?;
    loop {
        // What was announced before it listened, or while the connection was broken, is not told again.
        database.wake_workers();
        listener.try_recv().await?;
    }
}
