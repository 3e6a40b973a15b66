//! Where things are kept: the database ([`Database`]), its migrations, and immutable bytes ([`Objects`]).
//!
//! SQLite on one machine, PostgreSQL beyond it, through the same entities and the same migrations.
//! Tables and queries live in the crates whose resources they hold; this crate knows none of them.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod database;
mod error;
mod migrate;
mod objects;
#[cfg(feature = "testing")]
pub mod testing;

pub use database::{Database, DatabaseUrl, ParseDatabaseUrlError, Transaction};
pub use error::StoreError;
pub use migrate::Migrations;
pub use objects::{ObjectError, Objects};
