//! Table `config_definitions`.

use sea_orm::entity::prelude::*;

/// What a version of an installed plugin says can be configured.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "config_definitions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub installation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version_id: Uuid,
    /// In normal form, as text: the order of its fields counts. Without secrets that the file had.
    pub definition: String,
    /// The fields whose initial value is a secret, which is stored as such: a list of keys.
    pub shipped: Json,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
