//! What can go wrong with the database.

use std::path::PathBuf;

use plugyard_model::{Problem, codes};
use sea_orm::{DbErr, RuntimeErr};

/// The database cannot be used.
///
/// To a caller all of it is the problem [`store_unavailable`](codes::STORE_UNAVAILABLE),
/// [`store_full`](codes::STORE_FULL) or [`store_newer`](codes::STORE_NEWER); the chain of causes is for the log.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("cannot open the database {address}")]
    Open {
        /// The address without its password.
        address: String,
        /// The cause.
        #[source]
        source: DbErr,
    },
    /// The directory of a database file cannot be made.
    #[error("cannot make the directory of the database `{}`", path.display())]
    Directory {
        /// The database file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A migration failed; the database is as it was before all of them.
    #[error("migration `{name}` failed")]
    Migrate {
        /// Its name.
        name: String,
        /// The cause.
        #[source]
        source: DbErr,
    },
    /// The database was written by a version that knows more migrations than this one. It was not touched.
    #[error("the database is of a newer version: this one does not know its migration `{name}`")]
    Newer {
        /// The first migration not known here.
        name: String,
    },
    /// Two migrations have one name: a mistake in the program.
    #[error("two migrations are called `{name}`")]
    DuplicateMigration {
        /// The name.
        name: String,
    },
    /// A query or a transaction failed.
    #[error("the database refused a query")]
    Query(#[from] DbErr),
}

impl StoreError {
    /// Whether the disk of the database is full: then nothing of what was asked for was written, reading
    /// goes on, and the same succeeds once there is room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Query(source) | Self::Open { source, .. } | Self::Migrate { source, .. } => {
                lacks_room(source)
            }
            Self::Directory { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Newer { .. } | Self::DuplicateMigration { .. } => false,
        }
    }
}

/// `SQLITE_FULL`, and `SQLITE_IOERR_SHMSIZE` for the index of the write-ahead log; `PostgreSQL`'s `disk_full`.
fn lacks_room(error: &DbErr) -> bool {
    let (DbErr::Conn(inner) | DbErr::Exec(inner) | DbErr::Query(inner)) = error else {
        return false;
    };
    let RuntimeErr::SqlxError(inner) = inner else {
        return false;
    };
    let code = inner
        .as_database_error()
        .and_then(sea_orm::sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(&*code, "13" | "4874" | "53100"))
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Newer { name } => Problem::new(codes::STORE_NEWER).with("migration", name),
            full if full.is_full() => {
                tracing::error!(
                    error = full as &dyn std::error::Error,
                    "The disk of the database is full"
                );
                Problem::new(codes::STORE_FULL)
            }
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "Database failed");
                Problem::new(codes::STORE_UNAVAILABLE)
            }
        }
    }
}
