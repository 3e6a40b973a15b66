//! Table `web_webhooks`.

use sea_orm::entity::prelude::*;

/// Somebody who is told of events. Its secret is kept under its id.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_webhooks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub name: String,
    #[sea_orm(column_type = "Text")]
    pub url: String,
    /// Names of events; `*` for all, `plugin:*` for those that begin so.
    pub events: Json,
    /// What an event that can be refused becomes when the endpoint cannot be reached: `veto` or `allow`.
    pub on_unreachable: String,
    pub is_enabled: bool,
    pub created_by: String,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
