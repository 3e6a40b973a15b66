//! Table `web_schedules`.

use sea_orm::entity::prelude::*;

/// A command word that is called again and again.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_schedules")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub fskey: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub word: String,
    /// Five fields, as in a crontab; in UTC.
    pub cron: String,
    /// Milliseconds since 1970 (UTC), as all times here.
    pub next_at: i64,
    pub last_at: Option<i64>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
