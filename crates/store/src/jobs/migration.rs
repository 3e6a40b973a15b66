//! The table of jobs.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, integer, text, text_null, uuid, uuid_null,
};

/// See the module.
pub(crate) struct Jobs;

impl MigrationName for Jobs {
    fn name(&self) -> &'static str {
        "m202611210910_store_jobs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Jobs {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("jobs")
            .col(uuid("id").primary_key())
            .col(text("queue"))
            .col(text("name"))
            .col(text("payload"))
            .col(text_null("once"))
            .col(text("state"))
            .col(integer("priority"))
            .col(integer("attempts"))
            .col(big_integer("run_at"))
            .col(uuid_null("claim"))
            .col(big_integer_null("lease_until"))
            .col(text_null("error"))
            .col(big_integer("created_at"))
            .take();
        manager.create_table(table).await?;
        let due = Index::create()
            .name("jobs_due")
            .table("jobs")
            .col("queue")
            .col("state")
            .col("run_at")
            .take();
        manager.create_index(due).await?;
        // What makes equal jobs wait once only, whoever asks at the same time.
        let once = Index::create()
            .name("jobs_waiting_once")
            .table("jobs")
            .col("once")
            .unique()
            .and_where(Expr::cust(super::rows::IS_WAITING))
            .take();
        manager.create_index(once).await
    }
}
