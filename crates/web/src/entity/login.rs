//! Table `web_logins`.

use sea_orm::entity::prelude::*;

/// A token that the application gave an account, or one of its users, as it told us. Only its hash is kept.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_logins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub aid: String,
    /// Empty: the account's own token.
    pub uid: String,
    /// SHA-256 in hexadecimal.
    pub token_hash: String,
    /// The platform it was given on; null: any.
    pub platform_id: Option<i32>,
    /// Milliseconds since 1970 (UTC), as all times here; null: until it is taken back.
    pub expires_at: Option<i64>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
