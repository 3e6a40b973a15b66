//! Table `plugin_usage_names`.

use sea_orm::entity::prelude::*;

/// A usage's name in a language other than the site's default one, whose name is a column of the usage.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plugin_usage_names")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub usage_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub lang_tag: String,
    pub name: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
