//! The whole home as one file, and back.
//!
//! A backup is a gzipped tar: what the home holds, and as its last entry a [`Manifest`] that names every
//! entry with its digest. The database comes first, as SQLite's own snapshot, and changes wait until all
//! files are copied; so what it names is there. Logs, `run/`, `staging/` and older backups stay out; the
//! keys come along only when asked for. A PostgreSQL is not in it: it has tools of its own.
//!
//! [`Platform::backup`] makes one while the server runs, [`write()`] without a server, [`restore()`] brings
//! one back.

mod archive;
mod restore;

use std::path::{Path, PathBuf};
use std::time::Duration;

use plugyard_http::Principal;
use plugyard_model::{Digest, Problem, codes};
use plugyard_store::secrets::key_needed;
use plugyard_store::{Database, StoreError};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};

use crate::entity::operation;
use crate::{Home, Platform};

pub use restore::{foresee, restore, verify};

/// What this version writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// The last entry of a backup.
const MANIFEST: &str = "plugyard-backup.json";
/// The database, relative to the home.
const DATABASE: &str = "plugyard.db";
/// What a backup holds of a home, as far as it is there.
const HELD: [&str; 11] = [
    "plugyard.toml",
    "objects",
    "versions",
    "plugins",
    "themes",
    "assets",
    "plugin-data",
    "etc",
    "data",
    "uploads",
    "backups/adopted",
];
/// Only when asked for.
const KEYS: &str = "keys";

/// Between two looks whether changes are still under way, and how often to look.
const PAUSE: Duration = Duration::from_millis(100);
const LOOKS: u32 = 600;

/// What a backup is to hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Also the keys, with which every secret in it can be read.
    pub keys: bool,
    /// The version of the program that makes it, for people.
    pub program: String,
    /// The packages are elsewhere, where `objects.url` says.
    pub objects_elsewhere: bool,
}

/// Where something of a backed-up home is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// In the backup.
    Included,
    /// Elsewhere, in a PostgreSQL or an object store, which have tools of their own.
    External,
}

fn included() -> Stored {
    Stored::Included
}

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Version of that program.
    pub program: String,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
    /// Where its database is.
    pub database: Stored,
    /// The migrations its database has: a program that lacks one of them cannot use it.
    pub migrations: Vec<String>,
    /// Whether the keys are in it.
    pub keys: bool,
    /// Where its packages are.
    #[serde(default = "included")]
    pub objects: Stored,
    /// The name of the master key that its secrets need; `None` when it has no secrets.
    #[serde(default)]
    pub master_key: Option<String>,
    /// Everything in it, in order.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// How many files are in it, and their bytes.
    pub fn totals(&self) -> (u64, u64) {
        self.entries
            .iter()
            .fold((0, 0), |(files, bytes), it| match it.what {
                What::File { size, .. } => (files + 1, bytes + size),
                What::Directory { .. } | What::Link { .. } => (files, bytes),
            })
    }
}

/// One entry of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Below the home; bytes that are no UTF-8 are written as escapes.
    pub path: String,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A directory.
    Directory {
        /// Permissions.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads, as it says.
        target: String,
    },
    /// A file.
    File {
        /// Permissions.
        mode: u32,
        /// Bytes.
        size: u64,
        /// Of its bytes.
        sha256: Digest,
    },
}

/// A backup that was made, in a file that goes with this value.
#[derive(Debug)]
pub struct Backup {
    /// The file.
    pub file: tempfile::TempPath,
    /// What is in it.
    pub manifest: Manifest,
}

impl Platform {
    /// Backs the home up while the server runs. Changes under way are waited for, at most a minute; new
    /// ones wait until the copy is complete. Plugins, rules and requests that only read go on.
    ///
    /// # Errors
    /// `operation_in_progress` when a change takes longer than that; `backup_failed`;
    /// `store_unavailable`.
    pub async fn backup(&self, who: &Principal, options: Options) -> Result<Backup, Problem> {
        tracing::info!(user.name = who.name, "Making a backup");
        // Nothing that a row names can come or go while this is held, and no change can begin.
        let _keeping = self.at_rest().await?;
        let file = tempfile::Builder::new()
            .prefix("backup-")
            .tempfile_in(self.home().staging())
            .map_err(|error| failed(&self.home().staging(), &error))?
            .into_temp_path();
        let options = Options {
            objects_elsewhere: self.settings().objects.is_some(),
            ..options
        };
        let manifest = write(self.home(), self.database(), options, self.now(), &file).await?;
        Ok(Backup { file, manifest })
    }

    /// Waits until no change is under way, and keeps new ones from beginning.
    async fn at_rest(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Problem> {
        let mut looks = 0;
        loop {
            let keeping = self.0.keeping.lock().await;
            let open = operation::Entity::find().filter(operation::Column::EndedAt.is_null());
            let connection = self.database().conn();
            let open = open.one(connection).await.map_err(StoreError::from)?;
            let Some(open) = open else {
                return Ok(keeping);
            };
            looks += 1;
            if looks > LOOKS {
                return Err(Problem::new(codes::OPERATION_IN_PROGRESS)
                    .with("plugin", format!("{}:{}", open.kind, open.key))
                    .with("operation", open.id));
            }
            // Not held while waiting: what is under way may need it to end.
            drop(keeping);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Writes a backup of a home that nobody changes meanwhile into the file `to`, which is complete and on
/// disk when this returns.
///
/// # Errors
/// `backup_failed`, `store_unavailable`.
pub async fn write(
    home: &Home,
    database: &Database,
    options: Options,
    now: i64,
    to: &Path,
) -> Result<Manifest, Problem> {
    let staging = home.staging();
    std::fs::create_dir_all(&staging).map_err(|error| failed(&staging, &error))?;
    let work = tempfile::Builder::new()
        .prefix("backup-")
        .tempdir_in(&staging)
        .map_err(|error| failed(&staging, &error))?;
    let migrations = migrations_of(database).await?;
    // Before any file: what is copied later may be newer than the database, but is never missing.
    let snapshot = snapshot(database, work.path()).await?;
    let manifest = Manifest {
        format: FORMAT,
        program: options.program,
        created_at: now,
        database: match snapshot {
            Some(_) => Stored::Included,
            None => Stored::External,
        },
        migrations,
        keys: options.keys,
        objects: if options.objects_elsewhere {
            Stored::External
        } else {
            Stored::Included
        },
        master_key: master_key_of(database).await?,
        entries: Vec::new(),
    };
    let (home, target) = (home.clone(), to.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        archive::write(&home, manifest, snapshot.as_deref(), work.path(), &target)
    });
    written
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(|error| failed(to, &error))
}

/// SQLite's own copy of the database at one moment; `None` for a PostgreSQL.
async fn snapshot(database: &Database, directory: &Path) -> Result<Option<PathBuf>, Problem> {
    let connection = database.conn();
    if connection.get_database_backend() != DbBackend::Sqlite {
        return Ok(None);
    }
    let path = directory.join(DATABASE);
    let quoted = path.display().to_string().replace('\'', "''");
    connection
        .execute_unprepared(&format!("VACUUM INTO '{quoted}'"))
        .await
        .map_err(StoreError::from)?;
    Ok(Some(path))
}

/// A database of before there were secrets needs no key.
async fn master_key_of(database: &Database) -> Result<Option<String>, Problem> {
    let has_secrets = migrations_of(database)
        .await?
        .iter()
        .any(|name| name.ends_with("_store_secrets"));
    if !has_secrets {
        return Ok(None);
    }
    let needed = key_needed(database.conn()).await?;
    Ok(needed.map(|key| key.to_string()))
}

async fn migrations_of(database: &Database) -> Result<Vec<String>, Problem> {
    let query = Query::select()
        .column("name")
        .from("schema_migrations")
        .order_by("name", sea_orm::Order::Asc)
        .take();
    let rows = database.conn().query_all(&query).await;
    let rows = rows.map_err(StoreError::from)?;
    let names = rows.iter().map(|row| row.try_get::<String>("", "name"));
    Ok(names.collect::<Result<_, _>>().map_err(StoreError::from)?)
}

fn failed(path: &Path, reason: &std::io::Error) -> Problem {
    Problem::new(codes::BACKUP_FAILED)
        .with("path", path.display())
        .with("reason", reason)
}

/// How the manifest writes a path.
fn name_of(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.escape_ascii().to_string(), str::to_owned)
}
