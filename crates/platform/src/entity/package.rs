//! Table `packages`.

use sea_orm::entity::prelude::*;

/// Bytes somebody handed in, known by their digest; the object `packages/{digest}` holds them.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "packages")]
pub struct Model {
    /// SHA-256 in hexadecimal.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    /// Bytes.
    pub size: i64,
    /// When they first came.
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
