//! Connecting to SQLite or PostgreSQL.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode,
    SqlxSqliteConnector, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigrationTrait;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::{Migrations, StoreError};

/// How long a query waits for a connection, or for another process that writes to the same SQLite file.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Address);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Sqlite(PathBuf),
    Postgres(String),
}

/// An address that is neither `sqlite:<path>` nor `postgres://…`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a database address begins with `sqlite:` or `postgres://`")]
pub struct ParseDatabaseUrlError;

impl DatabaseUrl {
    /// A SQLite database in a file; it is made when it is not there.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Address::Sqlite(path.into()))
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.0
    }
}

impl FromStr for DatabaseUrl {
    type Err = ParseDatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, ParseDatabaseUrlError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.is_empty() {
                return Ok(Self::sqlite(path));
            }
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self(Address::Postgres(text.to_owned())));
        }
        Err(ParseDatabaseUrlError)
    }
}

impl fmt::Display for DatabaseUrl {
    /// The address without user and password, for people and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Address::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Address::Postgres(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                let host = authority.rsplit('@').next().unwrap_or_default();
                // What follows the path may hold a password too, so it is left out.
                let path = rest[authority.len()..]
                    .split('?')
                    .next()
                    .unwrap_or_default();
                write!(f, "postgres://{host}{path}")
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// A pool of connections. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    connection: DatabaseConnection,
    /// SQLite lets one transaction write at a time. Waiting for this lock is fair and wakes at once;
    /// SQLite's own waiting is neither.
    writer: Option<Arc<Mutex<()>>>,
    /// Told after each commit that enqueued jobs.
    jobs: Arc<watch::Sender<()>>,
    /// Grows with everything that is written through this.
    writes: Arc<AtomicU64>,
}

impl fmt::Debug for Database {
    /// Without the options of the connection, which hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({:?})", self.backend())
    }
}

impl Database {
    /// Connects. SQLite: write-ahead log, every commit on disk before it is answered, foreign keys held.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Directory`].
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        match &url.0 {
            Address::Sqlite(path) => Self::open_sqlite(path, url).await,
            Address::Postgres(address) => {
                let mut options = ConnectOptions::new(address.clone());
                options
                    .max_connections(16)
                    .acquire_timeout(PATIENCE)
                    .connect_timeout(PATIENCE)
                    .sqlx_logging(false)
                    .set_application_name("plugyard");
                let connection = sea_orm::Database::connect(options)
                    .await
                    .map_err(|source| StoreError::Open {
                        address: url.to_string(),
                        source,
                    })?;
                Ok(Self::new(connection, None))
            }
        }
    }

    async fn open_sqlite(path: &Path, url: &DatabaseUrl) -> Result<Self, StoreError> {
        if let Some(directory) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
            tokio::fs::create_dir_all(directory)
                .await
                .map_err(|source| StoreError::Directory {
                    path: path.to_owned(),
                    source,
                })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let pool = sea_orm::sqlx::sqlite::SqlitePoolOptions::new()
            .max_connections(4)
            .min_connections(1)
            .acquire_timeout(PATIENCE)
            // A file does not go away; asking for it before each query would take as long as the query.
            .test_before_acquire(false)
            // SQLite itself rolls back what meets a full disk; the driver then still counts a transaction,
            // and the next one on that connection would never end. Such a connection is replaced.
            .before_acquire(|connection, _| {
                let clean = !connection.is_in_transaction();
                Box::pin(async move { Ok(clean) })
            })
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Open {
                address: url.to_string(),
                source: sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(Arc::new(source))),
            })?;
        let connection = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
        Ok(Self::new(connection, Some(Arc::default())))
    }

    fn new(mut connection: DatabaseConnection, writer: Option<Arc<Mutex<()>>>) -> Self {
        let written = Arc::new(AtomicU64::default());
        let counted = written.clone();
        connection.set_metric_callback(move |done| {
            if may_write(&done.statement.sql) {
                counted.fetch_add(1, Ordering::AcqRel);
            }
        });
        Self {
            connection,
            writer,
            jobs: Arc::default(),
            writes: written,
        }
    }

    /// For reading, and for writing with a single statement. Several statements that belong together
    /// need [`begin`](Self::begin): a transaction begun on this connection itself can fail on SQLite
    /// when another one writes meanwhile.
    pub fn conn(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// Begins a transaction that writes. Dropping it without [`Transaction::commit`] takes it back.
    ///
    /// While holding one, read through it, and begin no other: a second one would wait for the first
    /// on SQLite, and on PostgreSQL for a connection that the first ones may all hold.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        let guard = match &self.writer {
            Some(writer) => Some(writer.clone().lock_owned().await),
            None => None,
        };
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let inner = self.connection.begin_with_options(options).await?;
        Ok(Transaction {
            inner,
            jobs: self.jobs.clone(),
            announces_jobs: AtomicBool::new(false),
            writes: self.writes.clone(),
            _guard: guard,
        })
    }

    /// How much was written through this and its clones: who reads something finds the same again for as long
    /// as this number, taken before reading, has not changed.
    ///
    /// It grows before a write is answered, also for a write that fails. What others write to the same
    /// database is not in it, nor a write that nobody waited for to its end; who keeps what it read therefore
    /// looks again after a while all the same.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Brings the schema up to date: all crates' migrations, ordered by name, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Newer`] when the database knows a migration that is not in the list: then nothing
    /// was touched. [`StoreError::Migrate`] when one failed: then everything is as before.
    pub async fn migrate(
        &self,
        migrations: Vec<Box<dyn MigrationTrait>>,
    ) -> Result<(), StoreError> {
        Migrations::new(migrations)?.apply(self).await
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.connection.ping().await?)
    }

    /// Closes the connections; queries fail from now on.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn close(&self) -> Result<(), StoreError> {
        Ok(self.connection.close_by_ref().await?)
    }

    /// Changes whenever workers of this process should look for jobs.
    pub(crate) fn job_changes(&self) -> watch::Receiver<()> {
        self.jobs.subscribe()
    }

    pub(crate) fn wake_workers(&self) {
        self.jobs.send_replace(());
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }
}

/// A transaction that may write; queries take it by `&*transaction`.
#[derive(Debug)]
pub struct Transaction {
    inner: DatabaseTransaction,
    jobs: Arc<watch::Sender<()>>,
    announces_jobs: AtomicBool,
    writes: Arc<AtomicU64>,
    _guard: Option<OwnedMutexGuard<()>>,
}

impl Transaction {
    /// Makes it last.
    ///
    /// # Errors
    /// [`StoreError::Query`]: it may or may not have been made to last.
    pub async fn commit(self) -> Result<(), StoreError> {
        // Also when it fails: whether it holds is not known then.
        let _written = OnDrop(|| {
            self.writes.fetch_add(1, Ordering::AcqRel);
        });
        self.inner.commit().await?;
        if self.announces_jobs.into_inner() {
            self.jobs.send_replace(());
        }
        Ok(())
    }

    /// Workers of this process shall look for jobs once this is committed.
    pub(crate) fn announces_jobs(&self) {
        self.announces_jobs.store(true, Ordering::Relaxed);
    }
}

impl Deref for Transaction {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.inner
    }
}

/// Whether a statement is anything but a plain read.
fn may_write(sql: &str) -> bool {
    let word = sql.trim_start().get(..6);
    !word.is_some_and(|word| word.eq_ignore_ascii_case("select"))
}

/// Does something at the end, also of a future that nobody waited for.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url: DatabaseUrl = "postgres://me:p@ss@db:5432/plugyard?password=x"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "postgres://db:5432/plugyard");
        assert_eq!(
            format!("{url:?}"),
            "DatabaseUrl(postgres://db:5432/plugyard)"
        );
        let bare: DatabaseUrl = "postgres://db?user=me".parse().unwrap();
        assert_eq!(bare.to_string(), "postgres://db");
    }

    #[test]
    fn sqlite_addresses_come_with_and_without_slashes() {
        for text in ["sqlite:///a/b.db", "sqlite:/a/b.db"] {
            assert_eq!(
                text.parse::<DatabaseUrl>(),
                Ok(DatabaseUrl::sqlite("/a/b.db"))
            );
        }
        for bad in ["", "sqlite:", "mysql://x", "/a/b.db"] {
            assert_eq!(
                bad.parse::<DatabaseUrl>(),
                Err(ParseDatabaseUrlError),
                "{bad}"
            );
        }
    }
}
