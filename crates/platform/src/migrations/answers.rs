//! Answers to requests that may be sent twice.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary_null, integer_null, json_null, text, uuid};

/// See the module.
pub(super) struct Answers;

impl MigrationName for Answers {
    fn name(&self) -> &'static str {
        "m202611211125_platform_answers"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Answers {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let answers = Table::create()
            .table("answers")
            .col(text("key").primary_key())
            .col(text("request"))
            .col(uuid("server"))
            .col(big_integer("at"))
            .col(integer_null("status"))
            .col(json_null("headers"))
            .col(binary_null("body"))
            .take();
        manager.create_table(answers).await?;
        let by_age = Index::create()
            .name("answers_at")
            .table("answers")
            .col("at")
            .take();
        manager.create_index(by_age).await
    }
}
