//! Table `audit_events`.

use sea_orm::entity::prelude::*;

/// Who did what, and how it ended.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub at: i64,
    pub who: String,
    pub action: String,
    pub target: String,
    pub result: String,
    /// Id of the request, for the log.
    pub request: String,
    /// Whom it concerns, `kind:key`.
    pub plugin: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
