//! Table `operation_events`.

use sea_orm::entity::prelude::*;

/// What followers of an operation see.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "operation_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub operation_id: Uuid,
    /// From 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    pub name: String,
    pub data: Json,
    pub at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
