//! Accounts that can be disabled, and an audit log that can be asked for a plugin, a person, a time.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, text_null};

/// See the module.
pub(super) struct Accounts;

impl MigrationName for Accounts {
    fn name(&self) -> &'static str {
        "m202611210930_platform_accounts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Accounts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [
            ("accounts", big_integer_null("disabled_at")),
            ("audit_events", text_null("plugin")),
        ] {
            let added = Table::alter().table(table).add_column(column).take();
            manager.alter_table(added).await?;
        }
        for (name, columns) in [
            ("audit_events_plugin", ["plugin", "id"].as_slice()),
            ("audit_events_who", &["who", "id"]),
            ("audit_events_at", &["at"]),
        ] {
            let mut index = Index::create().name(name).table("audit_events").take();
            for &column in columns {
                index.col(column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
