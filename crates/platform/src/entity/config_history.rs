//! Table `config_history`.

use sea_orm::entity::prelude::*;

/// One write: what it changed, so that everything before it can be found again.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "config_history")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub installation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    /// Whose definition was in force.
    pub version_id: Uuid,
    pub action: String,
    /// Each field that it changed with what was stored of it before and after, JSON as text.
    pub changes: String,
    pub at: i64,
    pub who: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
