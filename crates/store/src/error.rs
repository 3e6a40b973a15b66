//! What can go wrong with the database.

use std::path::PathBuf;

use plugyard_model::{Problem, codes};
use sea_orm::DbErr;

/// The database cannot be used.
///
/// To a caller all of it is the problem [`store_unavailable`](codes::STORE_UNAVAILABLE) or
/// [`store_newer`](codes::STORE_NEWER); the chain of causes is for the log.
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

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Newer { name } => Problem::new(codes::STORE_NEWER).with("migration", name),
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "Database failed");
                Problem::new(codes::STORE_UNAVAILABLE)
            }
        }
    }
}
