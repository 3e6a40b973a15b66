//! Table `plugins`.

use sea_orm::entity::prelude::*;

/// A plugin's record: the columns that the table documentation of Fresns 2.x defines, no others.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plugins")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub fskey: String,
    #[sea_orm(column_name = "type")]
    pub plugin_type: i16,
    pub name: String,
    pub description: String,
    pub version: String,
    pub author: String,
    pub author_link: Option<String>,
    /// A list of words.
    pub scene: Option<Json>,
    pub plugin_host: Option<String>,
    pub access_path: Option<String>,
    pub settings_path: Option<String>,
    pub is_standalone: i16,
    pub is_upgrade: i16,
    pub upgrade_version: Option<String>,
    /// A secret: in no answer, event, log or export.
    pub upgrade_code: Option<String>,
    pub is_enabled: i16,
    /// This and the other times: UTC.
    pub created_at: DateTime,
    pub updated_at: DateTime,
    pub deleted_at: Option<DateTime>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
