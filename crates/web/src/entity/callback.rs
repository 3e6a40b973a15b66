//! Table `plugin_callbacks`.

use sea_orm::entity::prelude::*;

/// A result that a plugin left to be fetched: the columns that the table documentation of Fresns 2.x defines.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plugin_callbacks")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Who made it.
    pub plugin_fskey: String,
    pub account_id: Option<i64>,
    pub user_id: Option<i64>,
    #[sea_orm(unique)]
    pub ulid: String,
    #[sea_orm(column_name = "type")]
    pub callback_type: i32,
    pub content: Option<Json>,
    pub is_used: i16,
    /// Who fetched it.
    pub used_plugin_fskey: Option<String>,
    /// This and the other times: UTC.
    pub created_at: DateTime,
    pub updated_at: Option<DateTime>,
    pub deleted_at: Option<DateTime>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
