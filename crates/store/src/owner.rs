//! One server at a time works on a database.
//!
//! A `PostgreSQL` can be reached by many: the server that works on it holds an advisory lock, in a session of
//! its own, for as long as it runs. The lock goes with the session, however the server ends. An SQLite file
//! lies in one home, whose own lock does the same.

use std::time::Duration;

use futures::future::BoxFuture;
use plugyard_model::{Problem, codes};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _, Row as _};
use sea_orm::{DbErr, RuntimeErr};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::database::Address;
use crate::{DatabaseUrl, StoreError};

/// The key of the lock, which other programs on the same server are not likely to choose: `plugownr`. Not that of
/// migrations, which are made while this one is held.
const KEY: i64 = 0x706c_7567_6f77_6e72;
/// Between two tries to get the lock.
const PAUSE: Duration = Duration::from_millis(250);
/// Between two looks whether the session still lives, and between two tries to connect again.
const LOOK: Duration = Duration::from_secs(1);
/// How long the session may take to answer before it counts as gone.
const ANSWER: Duration = Duration::from_secs(10);
/// `PostgreSQL` cuts longer names off.
const NAME: usize = 63;

/// The database belongs to somebody else, or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another server works on it.
    #[error("the database {address} belongs to {owner}")]
    Taken {
        /// The database, without its password.
        address: String,
        /// Who: the name that server gave itself, and its address.
        owner: String,
    },
    /// It cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OwnerError> for Problem {
    fn from(error: OwnerError) -> Self {
        match error {
            OwnerError::Taken { address, owner } => Self::new(codes::STORE_IN_USE)
                .with("address", address)
                .with("owner", owner),
            OwnerError::Store(error) => error.into(),
        }
    }
}

/// Holds a database for this server until it is dropped.
#[derive(Debug)]
pub struct Owner {
    lost: watch::Receiver<Option<String>>,
    address: String,
    holding: Option<JoinHandle<()>>,
}

impl Owner {
    /// Makes this server, called `name`, the only one that works on the database. Another server that is
    /// just ending is waited for, as long as `patience`.
    ///
    /// # Errors
    /// [`OwnerError::Taken`] names the server that has it; [`OwnerError::Store`].
    pub async fn claim(
        url: &DatabaseUrl,
        name: &str,
        patience: Duration,
    ) -> Result<Self, OwnerError> {
        let (told, lost) = watch::channel(None);
        let Address::Postgres(address) = url.address() else {
            return Ok(Self {
                lost,
                address: url.to_string(),
                holding: None,
            });
        };
        let options = options(address, name).map_err(|error| open_failed(url, error))?;
        let session = connect(&options).await;
        let mut session = session.map_err(|error| open_failed(url, error))?;
        let deadline = Instant::now() + patience;
        while let Some(owner) = lock(&mut session).await.map_err(query_failed)? {
            if Instant::now() >= deadline {
                return Err(OwnerError::Taken {
                    address: url.to_string(),
                    owner,
                });
            }
            sleep(PAUSE).await;
        }
        let name = options
            .get_application_name()
            .unwrap_or_default()
            .to_owned();
        let holding = tokio::spawn(async move {
            let owner = hold(session, &options, &name).await;
            told.send_replace(Some(owner));
        });
        Ok(Self {
            lost,
            address: url.to_string(),
            holding: Some(holding),
        })
    }

    /// Resolves when another server has taken the database over, which it can only while the database was
    /// out of reach of this one. Nothing may be written from then on.
    pub fn lost(&self) -> BoxFuture<'static, OwnerError> {
        let (mut lost, address) = (self.lost.clone(), self.address.clone());
        Box::pin(async move {
            let owner = lost.wait_for(Option::is_some).await.map(|it| it.clone());
            match owner {
                Ok(Some(owner)) => OwnerError::Taken { address, owner },
                // There is nothing to lose.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(holding) = &self.holding {
            holding.abort();
        }
    }
}

fn options(address: &str, name: &str) -> Result<PgConnectOptions, sea_orm::sqlx::Error> {
    let mut name = format!("plugyard {name}");
    while name.len() > NAME {
        name.pop();
    }
    let options: PgConnectOptions = address.parse()?;
    Ok(options.application_name(&name).disable_statement_logging())
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sea_orm::sqlx::Error> {
    match timeout(ANSWER, options.connect()).await {
        Ok(connected) => connected,
        Err(_) => Err(sea_orm::sqlx::Error::PoolTimedOut),
    }
}

/// Takes the lock, or says who has it.
async fn lock(session: &mut PgConnection) -> Result<Option<String>, sea_orm::sqlx::Error> {
    let row = sea_orm::sqlx::query("SELECT pg_try_advisory_lock($1)")
        .bind(KEY)
        .fetch_one(&mut *session)
        .await?;
    if row.try_get::<bool, _>(0)? {
        return Ok(None);
    }
    let row = sea_orm::sqlx::query(
        "SELECT a.application_name, host(a.client_addr) FROM pg_locks l \
         JOIN pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
         AND (l.classid::bigint << 32) | l.objid::bigint = $1 AND a.datname = current_database()",
    )
    .bind(KEY)
    .fetch_optional(session)
    .await?;
    // Gone since, or not ours to see.
    let Some(row) = row else {
        return Ok(Some("unknown".to_owned()));
    };
    let name: Option<String> = row.try_get(0)?;
    let from: Option<String> = row.try_get(1)?;
    let name = name.unwrap_or_else(|| "unknown".to_owned());
    Ok(Some(match from {
        Some(from) => format!("{name} ({from})"),
        None => name,
    }))
}

/// Keeps the session, and takes the lock again after the database was away. Ends when somebody else has it.
async fn hold(mut session: PgConnection, options: &PgConnectOptions, name: &str) -> String {
    loop {
        while matches!(timeout(ANSWER, session.ping()).await, Ok(Ok(()))) {
            sleep(LOOK).await;
        }
        tracing::warn!("The database is out of reach");
        // What is left of the old session: its lock may outlive it for a while on the other side.
        drop(session);
        session = loop {
            sleep(PAUSE).await;
            let Ok(mut again) = connect(options).await else {
                sleep(LOOK).await;
                continue;
            };
            match lock(&mut again).await {
                Ok(None) => break again,
                Ok(Some(owner)) if owner.split(" (").next() != Some(name) => return owner,
                Ok(Some(_)) | Err(_) => {}
            }
        };
        tracing::info!("The database is back");
    }
}

fn open_failed(url: &DatabaseUrl, error: sea_orm::sqlx::Error) -> StoreError {
    StoreError::Open {
        address: url.to_string(),
        source: DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}

fn query_failed(error: sea_orm::sqlx::Error) -> StoreError {
    StoreError::Query(DbErr::Query(RuntimeErr::SqlxError(error.into())))
}
