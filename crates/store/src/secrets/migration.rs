//! The tables of secrets and of what encrypts them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary, integer, text, uuid};

/// See the module.
pub(crate) struct Secrets;

impl MigrationName for Secrets {
    fn name(&self) -> &'static str {
        "m202611210920_store_secrets"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Secrets {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let master_key = Table::create()
            .table("master_key")
            .col(integer("id").primary_key())
            .col(text("key_id"))
            .col(big_integer("changed_at"))
            .take();
        let data_keys = Table::create()
            .table("data_keys")
            .col(uuid("owner").primary_key())
            .col(text("key_id"))
            .col(binary("wrapped"))
            .col(big_integer("created_at"))
            .take();
        let secrets = Table::create()
            .table("secrets")
            .col(uuid("owner"))
            .col(text("name"))
            .col(binary("sealed"))
            .col(big_integer("updated_at"))
            .primary_key(Index::create().col("owner").col("name"))
            .foreign_key(
                ForeignKey::create()
                    .from("secrets", "owner")
                    .to("data_keys", "owner")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        for table in [master_key, data_keys, secrets] {
            manager.create_table(table).await?;
        }
        Ok(())
    }
}
