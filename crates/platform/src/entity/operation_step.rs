//! Table `operation_steps`.

use sea_orm::entity::prelude::*;

/// The journal: how far each step of the plan is.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "operation_steps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub operation_id: Uuid,
    /// Index in the plan.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub state: String,
    /// How far taking it back is.
    pub undo: Option<String>,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub output: Option<Json>,
    pub error: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
