//! Table `plugin_usages`.

use sea_orm::entity::prelude::*;

/// Where a plugin is offered: the columns that the table documentation of Fresns 2.x defines.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plugin_usages")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub usage_type: i16,
    pub plugin_fskey: String,
    /// In the default language.
    pub name: String,
    pub icon_file_id: Option<i64>,
    pub icon_file_url: Option<String>,
    /// Numbers with commas between them.
    pub scene: Option<String>,
    pub editor_toolbar: i16,
    pub editor_number: Option<i16>,
    pub data_sources: Option<Json>,
    pub is_group_admin: i16,
    pub group_id: Option<i64>,
    /// Numbers with commas between them.
    pub roles: Option<String>,
    pub parameter: Option<String>,
    pub rating: i32,
    pub can_delete: i16,
    pub is_enabled: i16,
    /// This and the other times: UTC.
    pub created_at: DateTime,
    pub updated_at: Option<DateTime>,
    pub deleted_at: Option<DateTime>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
