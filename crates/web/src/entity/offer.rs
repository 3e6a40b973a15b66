//! Table `web_offers`.

use sea_orm::entity::prelude::*;

/// What markets know of a plugin that is here.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_offers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fskey: String,
    /// The market it came from, which alone is asked about it; null when it came otherwise.
    pub origin_id: Option<i64>,
    /// The market whose version `plugins.upgrade_version` is.
    pub market_id: Option<i64>,
    /// What that version needs and is not here: a list.
    pub blocked_by: Option<Json>,
    /// The plugins that that version needs: a list.
    pub needs: Option<Json>,
    pub changelog_url: Option<String>,
    /// Milliseconds since 1970 (UTC).
    pub checked_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
