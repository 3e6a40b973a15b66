//! Table `operations`.

use sea_orm::entity::prelude::*;

/// One change to an installation. At most one without `ended_at` for each plugin: a unique index decides.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "operations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// No foreign key: operations outlive what they uninstalled.
    pub installation_id: Uuid,
    pub kind: String,
    pub key: String,
    pub action: String,
    pub state: String,
    pub change: Json,
    /// Whole, before the first step; empty while it is being planned.
    pub plan: Option<Json>,
    /// Whether it is on its way back.
    pub undoing: bool,
    /// Whether it ended with something not undone.
    pub unresolved: bool,
    pub failure: Option<Json>,
    pub created_by: String,
    pub created_at: i64,
    pub ended_at: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
