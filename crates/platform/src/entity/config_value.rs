//! Table `config_values`.

use sea_orm::entity::prelude::*;

/// What is stored of one field. Of a secret only where it is.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "config_values")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub installation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// JSON, as text: databases do not agree on numbers. Empty when unset, and for secrets.
    pub value: Option<String>,
    /// Which secret it is: the revision that set it.
    pub secret: Option<i64>,
    pub user_modified: bool,
    pub updated_at: i64,
    pub updated_by: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
