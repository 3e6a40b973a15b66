//! Databases and object stores for tests: the same test runs on every sort there is.
//!
//! SQLite and a directory always; PostgreSQL when `PLUGYARD_TEST_PG` names one where databases may be
//! created, S3 when `PLUGYARD_TEST_PYTHON` names a Python with `moto[server]`. What is left out is said.

mod databases;
mod objects;

pub use databases::{TestDatabase, databases, sqlite};
pub use objects::{TestObjects, object_stores};
