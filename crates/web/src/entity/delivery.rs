//! Table `web_webhook_deliveries`.

use sea_orm::entity::prelude::*;

/// One event for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_webhook_deliveries")]
pub struct Model {
    /// The order in which they are delivered.
    #[sea_orm(primary_key)]
    pub seq: i64,
    /// What the endpoint knows it by; the same for every attempt.
    #[sea_orm(unique)]
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub event_id: String,
    pub event: String,
    pub fskey: String,
    #[sea_orm(column_type = "Text")]
    pub body: String,
    /// `waiting`, `delivered`, `dead`; of events that can be refused: `passed`, `vetoed`, `unreachable`.
    pub state: String,
    pub attempts: i32,
    /// Milliseconds since 1970 (UTC), as all times here.
    pub next_at: i64,
    /// Status of the latest answer.
    pub status: Option<i32>,
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    pub created_at: i64,
    pub ended_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
