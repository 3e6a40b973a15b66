//! The tables of markets.

use sea_orm_migration::prelude::{DbErr, MigrationName, MigrationTrait, SchemaManager};

use crate::migrations::execute;

pub(crate) struct Markets;

impl MigrationName for Markets {
    fn name(&self) -> &'static str {
        "m202611211430_web_markets"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Markets {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute(manager, &[MARKETS, OFFERS]).await
    }
}

const MARKETS: &str = "CREATE TABLE web_markets (
    id {id},
    name varchar(64) NOT NULL UNIQUE,
    url varchar(255) NOT NULL UNIQUE,
    protocol varchar(16) NOT NULL CHECK (protocol IN ('plugyard', 'v2', 'v3')),
    allow_private boolean NOT NULL,
    proxy varchar(255),
    send_site_headers boolean,
    trust {json},
    checked_at {bigint},
    succeeded_at {bigint},
    error {json},
    created_at {bigint} NOT NULL
)";

const OFFERS: &str = "CREATE TABLE web_offers (
    fskey varchar(64) NOT NULL PRIMARY KEY,
    origin_id {bigint},
    market_id {bigint},
    blocked_by {json},
    needs {json},
    changelog_url text,
    checked_at {bigint} NOT NULL
)";
