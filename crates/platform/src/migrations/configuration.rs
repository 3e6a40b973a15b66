//! Configuration: definitions, values, history.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, json, text, text_null, uuid, uuid_null,
};

/// See the module.
pub(super) struct Configuration;

impl MigrationName for Configuration {
    fn name(&self) -> &'static str {
        "m202611211130_platform_configuration"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Configuration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            uuid_null("config_version"),
            big_integer("config_revision").default(0).take(),
        ] {
            let added = Table::alter()
                .table("installations")
                .add_column(column)
                .take();
            manager.alter_table(added).await?;
        }
        let of_installation = |table: &'static str| {
            ForeignKey::create()
                .from(table, "installation_id")
                .to("installations", "id")
                .on_delete(ForeignKeyAction::Cascade)
                .take()
        };
        let definitions = Table::create()
            .table("config_definitions")
            .col(uuid("installation_id"))
            .col(uuid("version_id"))
            .col(text("definition"))
            .col(json("shipped"))
            .col(big_integer("created_at"))
            .primary_key(Index::create().col("installation_id").col("version_id"))
            .foreign_key(&mut of_installation("config_definitions"))
            .foreign_key(
                ForeignKey::create()
                    .from("config_definitions", "version_id")
                    .to("versions", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .take();
        let values = Table::create()
            .table("config_values")
            .col(uuid("installation_id"))
            .col(text("key"))
            .col(text_null("value"))
            .col(big_integer_null("secret"))
            .col(boolean("user_modified"))
            .col(big_integer("updated_at"))
            .col(text("updated_by"))
            .primary_key(Index::create().col("installation_id").col("key"))
            .foreign_key(&mut of_installation("config_values"))
            .take();
        let history = Table::create()
            .table("config_history")
            .col(uuid("installation_id"))
            .col(big_integer("revision"))
            .col(uuid("version_id"))
            .col(text("action"))
            .col(text("changes"))
            .col(big_integer("at"))
            .col(text("who"))
            .primary_key(Index::create().col("installation_id").col("revision"))
            .foreign_key(&mut of_installation("config_history"))
            .take();
        for table in [definitions, values, history] {
            manager.create_table(table).await?;
        }
        Ok(())
    }
}
