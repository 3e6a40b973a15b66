//! The schema of this crate.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, text};

/// The migrations of streams and rules, for whoever migrates the database.
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Initial)]
}

struct Initial;

impl MigrationName for Initial {
    fn name(&self) -> &'static str {
        "m202611210810_flow_initial"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Initial {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("streams")
                    .col(text("name").primary_key())
                    .col(text("statement"))
                    .col(big_integer("created_at"))
                    .col(big_integer("updated_at"))
                    .take(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("rules")
                    .col(text("id").primary_key())
                    .col(text("json"))
                    .col(boolean("triggered"))
                    .col(big_integer("created_at"))
                    .col(big_integer("updated_at"))
                    .take(),
            )
            .await
    }
}
