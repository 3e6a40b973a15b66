//! Where things are kept: the database ([`Database`]), its migrations, immutable bytes ([`Objects`]),
//! work to be done later ([`jobs`]), and what nobody may read ([`secrets`]).
//!
//! SQLite and a directory on one machine, PostgreSQL and an S3-compatible store beyond it, through the
//! same entities, the same migrations and the same calls.
//! Tables and queries live in the crates whose resources they hold; this crate knows none of them, only
//! its own in [`migrations`]: jobs, secrets and their keys.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod database;
mod error;
pub mod jobs;
mod migrate;
mod objects;
mod owner;
mod remembered;
pub mod secrets;
#[cfg(feature = "testing")]
pub mod testing;

use sea_orm_migration::MigrationTrait;

pub use database::{Database, DatabaseUrl, ParseDatabaseUrlError, Transaction};
pub use error::StoreError;
pub use migrate::Migrations;
pub use objects::{ObjectError, Objects, ObjectsUrl, ParseObjectsUrlError, S3Options};
pub use owner::{Owner, OwnerError};
pub use remembered::{FRESH, Remembered};
pub use secrets::SecretText;

/// The tables of this crate, for [`Database::migrate`].
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![
        Box::new(jobs::migration::Jobs),
        Box::new(secrets::migration::Secrets),
    ]
}
