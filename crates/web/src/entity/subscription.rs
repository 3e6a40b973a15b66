//! Table `web_subscriptions`.

use sea_orm::entity::prelude::*;

/// A command word that is called when something happens in the application.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_subscriptions")]
pub struct Model {
    /// 1 table change, 2 user activity, 3 login, 4 content view.
    #[sea_orm(primary_key, auto_increment = false, column_name = "type")]
    pub subscription_type: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub fskey: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub word: String,
    /// The table, for type 1; otherwise empty.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
