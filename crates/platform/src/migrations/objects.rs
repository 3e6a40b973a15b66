//! What keeps objects in a store that others may use too.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, text, uuid};

/// See the module.
pub(super) struct Objects;

impl MigrationName for Objects {
    fn name(&self) -> &'static str {
        "m202611211055_platform_objects"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Objects {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let instance = Table::create()
            .table("instance")
            .col(integer("id").primary_key())
            .col(uuid("name"))
            .take();
        let doubts = Table::create()
            .table("object_doubts")
            .col(text("digest").primary_key())
            .col(big_integer("since"))
            .take();
        for table in [instance, doubts] {
            manager.create_table(table).await?;
        }
        Ok(())
    }
}
