//! The tables of pages and webhooks.
//!
//! `plugin_callbacks` is the documented table of Fresns 2.x; the others are ours.

use sea_orm_migration::prelude::{DbErr, MigrationName, MigrationTrait, SchemaManager};

use crate::migrations::execute;

pub(crate) struct Pages;

impl MigrationName for Pages {
    fn name(&self) -> &'static str {
        "m202611211415_web_pages"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Pages {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute(
            manager,
            &[
                CALLBACKS,
                KEYS,
                LOGINS,
                "CREATE INDEX web_logins_who ON web_logins (aid, uid)",
                TICKETS,
                SCHEDULES,
                SUBSCRIPTIONS,
                WEBHOOKS,
                DELIVERIES,
                "CREATE UNIQUE INDEX web_webhook_deliveries_once ON web_webhook_deliveries (webhook_id, event_id)",
                "CREATE INDEX web_webhook_deliveries_next ON web_webhook_deliveries (webhook_id, fskey, state, seq)",
            ],
        )
        .await
    }
}

const CALLBACKS: &str = "CREATE TABLE plugin_callbacks (
    id {bigid},
    plugin_fskey varchar(64) NOT NULL,
    account_id {bigint} CHECK (account_id >= 0),
    user_id {bigint} CHECK (user_id >= 0),
    ulid varchar(64) NOT NULL UNIQUE,
    type {smallint} NOT NULL DEFAULT 1 CHECK (type BETWEEN 0 AND 65535),
    content {json},
    is_used {tinyint} NOT NULL DEFAULT 0 CHECK (is_used IN (0, 1)),
    used_plugin_fskey varchar(64),
    created_at {timestamp} NOT NULL DEFAULT {now},
    updated_at {timestamp},
    deleted_at {timestamp}
)";

const KEYS: &str = "CREATE TABLE web_keys (
    id {uuid} NOT NULL PRIMARY KEY,
    app_id varchar(64) NOT NULL UNIQUE,
    name varchar(64) NOT NULL,
    kind varchar(16) NOT NULL,
    platform_id integer,
    plugin_fskey varchar(64),
    is_enabled boolean NOT NULL,
    created_by text NOT NULL,
    created_at {bigint} NOT NULL
)";

const LOGINS: &str = "CREATE TABLE web_logins (
    id {uuid} NOT NULL PRIMARY KEY,
    aid varchar(64) NOT NULL,
    uid varchar(64) NOT NULL,
    token_hash varchar(64) NOT NULL,
    platform_id integer,
    expires_at {bigint},
    created_at {bigint} NOT NULL
)";

const TICKETS: &str = "CREATE TABLE web_tickets (
    selector varchar(32) NOT NULL PRIMARY KEY,
    verifier varchar(64) NOT NULL,
    fskey varchar(64) NOT NULL,
    origin varchar(255) NOT NULL,
    identity {json} NOT NULL,
    created_at {bigint} NOT NULL,
    expires_at {bigint} NOT NULL
)";

const SCHEDULES: &str = "CREATE TABLE web_schedules (
    fskey varchar(64) NOT NULL,
    word varchar(64) NOT NULL,
    cron varchar(128) NOT NULL,
    next_at {bigint} NOT NULL,
    last_at {bigint},
    created_at {bigint} NOT NULL,
    PRIMARY KEY (fskey, word)
)";

const SUBSCRIPTIONS: &str = "CREATE TABLE web_subscriptions (
    type {tinyint} NOT NULL,
    fskey varchar(64) NOT NULL,
    word varchar(64) NOT NULL,
    subject varchar(64) NOT NULL,
    created_at {bigint} NOT NULL,
    PRIMARY KEY (type, fskey, word, subject)
)";

const WEBHOOKS: &str = "CREATE TABLE web_webhooks (
    id {uuid} NOT NULL PRIMARY KEY,
    name varchar(64) NOT NULL UNIQUE,
    url text NOT NULL,
    events {json} NOT NULL,
    on_unreachable varchar(8) NOT NULL,
    is_enabled boolean NOT NULL,
    created_by text NOT NULL,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL
)";

const DELIVERIES: &str = "CREATE TABLE web_webhook_deliveries (
    seq {bigid},
    id {uuid} NOT NULL UNIQUE,
    webhook_id {uuid} NOT NULL,
    event_id varchar(255) NOT NULL,
    event varchar(64) NOT NULL,
    fskey varchar(64) NOT NULL,
    body text NOT NULL,
    state varchar(16) NOT NULL,
    attempts integer NOT NULL,
    next_at {bigint} NOT NULL,
    status integer,
    error text,
    created_at {bigint} NOT NULL,
    ended_at {bigint}
)";
