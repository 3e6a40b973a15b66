//! Where things are kept: the database ([`Database`]), its migrations, and immutable bytes ([`Objects`]).
//!
//! SQLite and a directory on one machine, PostgreSQL and an S3-compatible store beyond it, through the
//! same entities, the same migrations and the same calls.
//! Tables and queries live in the crates whose resources they hold; this crate knows none of them.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod database;
mod error;
mod migrate;
mod objects;
mod secrets;
#[cfg(feature = "testing")]
pub mod testing;

pub use database::{Database, DatabaseUrl, ParseDatabaseUrlError, Transaction};
pub use error::StoreError;
pub use migrate::Migrations;
pub use objects::{ObjectError, Objects, ObjectsUrl, ParseObjectsUrlError, S3Options};
pub use secrets::SecretText;
