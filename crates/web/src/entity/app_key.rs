//! Table `web_keys`.

use sea_orm::entity::prelude::*;

/// An application key. Its secret is kept under its id.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub app_id: String,
    pub name: String,
    /// `platform` or `plugin`.
    pub kind: String,
    /// The platform whose requests it signs; null: any.
    pub platform_id: Option<i32>,
    /// Whose it is, for the kind `plugin`.
    pub plugin_fskey: Option<String>,
    pub is_enabled: bool,
    pub created_by: String,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
