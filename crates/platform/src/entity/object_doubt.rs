//! Table `object_doubts`.

use sea_orm::entity::prelude::*;

/// An object that may be in a store without a package that needs it: it is about to be put, or was to be
/// removed. Settled by looking whether a package names it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "object_doubts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    pub since: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
