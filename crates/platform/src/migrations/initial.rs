//! Packages, versions, installations, operations, accounts, audit and events.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, json, json_null, pk_auto, text, text_null,
    uuid, uuid_null,
};

/// See the module.
pub(super) struct Initial;

impl MigrationName for Initial {
    fn name(&self) -> &'static str {
        "m202611210800_platform_initial"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Initial {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in plugins()
            .into_iter()
            .chain(operations())
            .chain(accounts())
            .chain(records())
        {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).take()
}

fn plugins() -> [TableCreateStatement; 3] {
    [
        table("packages")
            .col(text("digest").primary_key())
            .col(big_integer("size"))
            .col(big_integer("created_at"))
            .take(),
        table("versions")
            .col(uuid("id").primary_key())
            .col(text("kind"))
            .col(text("key"))
            .col(text("digest"))
            .col(json("options"))
            .col(text("options_digest"))
            .col(text("label"))
            .col(json("manifest"))
            .col(json("findings"))
            .col(big_integer("created_at"))
            .col(big_integer("used_at"))
            .foreign_key(
                ForeignKey::create()
                    .from("versions", "digest")
                    .to("packages", "digest"),
            )
            .take(),
        table("installations")
            .col(uuid("id").primary_key())
            .col(text("kind"))
            .col(text("key"))
            .col(text("wanted"))
            .col(uuid_null("current_version"))
            .col(uuid_null("previous_version"))
            .col(big_integer("revision"))
            .col(big_integer("created_at"))
            .col(big_integer("updated_at"))
            .foreign_key(
                ForeignKey::create()
                    .from("installations", "current_version")
                    .to("versions", "id"),
            )
            .foreign_key(
                ForeignKey::create()
                    .from("installations", "previous_version")
                    .to("versions", "id"),
            )
            .take(),
    ]
}

fn operations() -> [TableCreateStatement; 3] {
    let of_operation = |table: &'static str| {
        ForeignKey::create()
            .from(table, "operation_id")
            .to("operations", "id")
            .on_delete(ForeignKeyAction::Cascade)
            .take()
    };
    [
        table("operations")
            .col(uuid("id").primary_key())
            .col(uuid("installation_id"))
            .col(text("kind"))
            .col(text("key"))
            .col(text("action"))
            .col(text("state"))
            .col(json("change"))
            .col(json_null("plan"))
            .col(boolean("undoing"))
            .col(boolean("unresolved"))
            .col(json_null("failure"))
            .col(text("created_by"))
            .col(big_integer("created_at"))
            .col(big_integer_null("ended_at"))
            .take(),
        table("operation_steps")
            .col(uuid("operation_id"))
            .col(integer("position"))
            .col(text("state"))
            .col(text_null("undo"))
            .col(big_integer_null("started_at"))
            .col(big_integer_null("ended_at"))
            .col(json_null("output"))
            .col(text_null("error"))
            .primary_key(Index::create().col("operation_id").col("position"))
            .foreign_key(&mut of_operation("operation_steps"))
            .take(),
        table("operation_events")
            .col(uuid("operation_id"))
            .col(big_integer("sequence"))
            .col(text("name"))
            .col(json("data"))
            .col(big_integer("at"))
            .primary_key(Index::create().col("operation_id").col("sequence"))
            .foreign_key(&mut of_operation("operation_events"))
            .take(),
    ]
}

fn accounts() -> [TableCreateStatement; 2] {
    [
        table("accounts")
            .col(uuid("id").primary_key())
            .col(text("name").unique_key())
            .col(json("roles"))
            .col(big_integer("created_at"))
            .take(),
        table("tokens")
            .col(uuid("id").primary_key())
            .col(uuid("account_id"))
            .col(text("name"))
            .col(text("hash"))
            .col(json("roles"))
            .col(big_integer("created_at"))
            .col(big_integer_null("expires_at"))
            .col(big_integer_null("last_used_at"))
            .col(big_integer_null("revoked_at"))
            .foreign_key(
                ForeignKey::create()
                    .from("tokens", "account_id")
                    .to("accounts", "id"),
            )
            .take(),
    ]
}

fn records() -> [TableCreateStatement; 2] {
    [
        table("audit_events")
            .col(pk_auto("id").big_integer())
            .col(big_integer("at"))
            .col(text("who"))
            .col(text("action"))
            .col(text("target"))
            .col(text("result"))
            .col(text("request"))
            .take(),
        table("events")
            .col(pk_auto("id").big_integer())
            .col(text("topic"))
            .col(text("code"))
            .col(json("params"))
            .col(big_integer("at"))
            .take(),
    ]
}

fn indexes() -> [IndexCreateStatement; 5] {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create().name(name).table(table).take();
        for &column in columns {
            index.col(column);
        }
        index
    };
    [
        index(
            "versions_identity",
            "versions",
            &["kind", "key", "digest", "options_digest"],
        )
        .unique()
        .take(),
        index("versions_digest", "versions", &["digest"]),
        index("installations_plugin", "installations", &["kind", "key"])
            .unique()
            .take(),
        index("operations_plugin", "operations", &["kind", "key", "id"]),
        // This is what makes changes of one plugin go one at a time.
        index("operations_one_at_a_time", "operations", &["kind", "key"])
            .unique()
            .and_where(Expr::col("ended_at").is_null())
            .take(),
    ]
}
