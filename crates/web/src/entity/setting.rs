//! Table `web_settings`.

use sea_orm::entity::prelude::*;

/// One setting of the site.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_settings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub value: Json,
    /// Who it belongs to: `themes` for those of themes and engines.
    pub tag: Option<String>,
    /// Milliseconds since 1970 (UTC).
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
