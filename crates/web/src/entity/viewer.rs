//! Table `web_viewers`.

use sea_orm::entity::prelude::*;

/// What the application told about one of its users.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_viewers")]
pub struct Model {
    /// The application's own number of the user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i64,
    /// This and the next two: lists of numbers.
    pub roles: Json,
    pub groups: Json,
    pub administered_groups: Json,
    pub lang_tag: Option<String>,
    /// Milliseconds since 1970 (UTC).
    pub updated_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
