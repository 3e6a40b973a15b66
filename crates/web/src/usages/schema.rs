//! Tables beside `plugin_usages`, and the rows that every site has.

use sea_orm::ConnectionTrait as _;
use sea_orm_migration::prelude::{DbErr, MigrationName, MigrationTrait, SchemaManager};

use crate::migrations::execute;
use crate::usage::CONTENT_TYPES;

/// Badges, names in other languages, viewers; and the six content types.
pub(crate) struct Usages;

impl MigrationName for Usages {
    fn name(&self) -> &'static str {
        "m202611211410_web_usages"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Usages {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute(manager, &[BADGES, NAMES, VIEWERS]).await?;
        for (name, rating) in CONTENT_TYPES.iter().zip(1..) {
            let seed = format!(
                "INSERT INTO plugin_usages (usage_type, plugin_fskey, name, scene, rating, can_delete) \
                 VALUES (4, '{name}', '{name}', '1,2', {rating}, 0)"
            );
            manager.get_connection().execute_unprepared(&seed).await?;
        }
        Ok(())
    }
}

const BADGES: &str = "CREATE TABLE plugin_badges (
    id {bigid},
    plugin_fskey varchar(64) NOT NULL,
    user_id {bigint} NOT NULL CHECK (user_id >= 0),
    display_type {tinyint} NOT NULL DEFAULT 1 CHECK (display_type BETWEEN 0 AND 255),
    value_number {smallint} CHECK (value_number BETWEEN 0 AND 65535),
    value_text varchar(8),
    created_at {timestamp} NOT NULL DEFAULT {now},
    updated_at {timestamp},
    deleted_at {timestamp},
    UNIQUE (plugin_fskey, user_id)
)";

const NAMES: &str = "CREATE TABLE plugin_usage_names (
    usage_id {int} NOT NULL,
    lang_tag varchar(16) NOT NULL,
    name varchar(128) NOT NULL,
    PRIMARY KEY (usage_id, lang_tag)
)";

const VIEWERS: &str = "CREATE TABLE web_viewers (
    id {bigint} NOT NULL PRIMARY KEY,
    roles {json} NOT NULL,
    groups {json} NOT NULL,
    administered_groups {json} NOT NULL,
    lang_tag varchar(16),
    updated_at {bigint} NOT NULL
)";
