//! One ordered list of migrations, whichever crates they come from.
//!
//! All pending ones run in one transaction, which both databases can do with schema changes: a crash
//! or a failure in the middle leaves the old schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Set};
use sea_orm_migration::sea_orm::Schema;
use sea_orm_migration::{MigrationTrait, SchemaManager};

use crate::{Database, StoreError};

/// Any number: what processes that migrate the same PostgreSQL at once agree on to go one after the other.
const LOCK: i64 = 0x706c_7567_7961_7264;

mod applied {
    #![expect(
        unreachable_pub,
        reason = "entities are public to the macro that derives them"
    )]

    use sea_orm::entity::prelude::*;

    /// A migration that was applied.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "schema_migrations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Migrations ordered by name; names begin with the time they were written, `m{YYYYMMDDHHMM}_{crate}_{what}`.
pub struct Migrations(BTreeMap<String, Box<dyn MigrationTrait>>);

impl fmt::Debug for Migrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Migrations {
    /// Merges the lists of all crates.
    ///
    /// # Errors
    /// [`StoreError::DuplicateMigration`].
    pub fn new(list: Vec<Box<dyn MigrationTrait>>) -> Result<Self, StoreError> {
        let mut migrations = BTreeMap::new();
        for migration in list {
            let name = migration.name().to_owned();
            if migrations.insert(name.clone(), migration).is_some() {
                return Err(StoreError::DuplicateMigration { name });
            }
        }
        Ok(Self(migrations))
    }

    /// Applies those that the database lacks.
    ///
    /// # Errors
    /// As [`Database::migrate`].
    pub async fn apply(&self, database: &Database) -> Result<(), StoreError> {
        let transaction = database.begin().await?;
        let connection = &*transaction;
        if database.backend() == DbBackend::Postgres {
            connection
                .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})"))
                .await?;
        }
        let mut table = Schema::new(database.backend()).create_table_from_entity(applied::Entity);
        connection.execute(table.if_not_exists()).await?;
        let applied: BTreeSet<String> = applied::Entity::find()
            .all(connection)
            .await?
            .into_iter()
            .map(|row| row.name)
            .collect();
        if let Some(name) = applied.iter().find(|name| !self.0.contains_key(*name)) {
            return Err(StoreError::Newer { name: name.clone() });
        }
        for (name, migration) in self.0.iter().filter(|(name, _)| !applied.contains(*name)) {
            let failed = |source| StoreError::Migrate {
                name: name.clone(),
                source,
            };
            migration
                .up(&SchemaManager::new(connection))
                .await
                .map_err(failed)?;
            let row = applied::ActiveModel {
                name: Set(name.clone()),
            };
            applied::Entity::insert(row)
                .exec_without_returning(connection)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await
    }
}
