//! Table `installations`.

use sea_orm::entity::prelude::*;

/// A plugin made available here, or being made so (`current_version` is empty then).
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "installations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    pub key: String,
    pub wanted: String,
    pub current_version: Option<Uuid>,
    pub previous_version: Option<Uuid>,
    /// Grows with each change; for `ETag`.
    pub revision: i64,
    /// The version whose configuration is in force; empty when none is registered.
    pub config_version: Option<Uuid>,
    /// Grows with each write of the configuration, and never goes back.
    pub config_revision: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
