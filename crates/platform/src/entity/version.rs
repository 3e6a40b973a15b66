//! Table `versions`.

use sea_orm::entity::prelude::*;

/// One accepted package of a plugin. Immutable but for `used_at`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "versions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    pub key: String,
    /// The package.
    pub digest: String,
    /// What the installer added.
    pub options: Json,
    /// SHA-256 of the options in canonical form: a version is unique by package and options.
    pub options_digest: String,
    /// What the package calls its version.
    pub label: String,
    /// In the normal form of the kind.
    pub manifest: Json,
    /// What was found in the package.
    pub findings: Json,
    pub created_at: i64,
    /// When it was last taken in or put in force: the oldest go first.
    pub used_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
