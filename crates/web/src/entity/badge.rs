//! Table `plugin_badges`.

use sea_orm::entity::prelude::*;

/// What a plugin has to tell one user: the columns that the table documentation of Fresns 2.x defines.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plugin_badges")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub plugin_fskey: String,
    pub user_id: i64,
    /// 1 a dot, 2 a number, 3 a text.
    pub display_type: i16,
    pub value_number: Option<i32>,
    pub value_text: Option<String>,
    /// This and the other times: UTC.
    pub created_at: DateTime,
    pub updated_at: Option<DateTime>,
    pub deleted_at: Option<DateTime>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
