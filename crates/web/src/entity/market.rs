//! Table `web_markets`.

use sea_orm::entity::prelude::*;

/// A market that plugins come from.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_markets")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[sea_orm(unique)]
    pub name: String,
    /// Without a slash at its end.
    #[sea_orm(unique)]
    pub url: String,
    /// `plugyard`, or `v2` and `v3` for the protocol of Fresns.
    pub protocol: String,
    /// Whether it, and where it leads, may lie in the server's own network.
    pub allow_private: bool,
    /// Null: what the site's settings say.
    pub proxy: Option<String>,
    /// The same.
    pub send_site_headers: Option<bool>,
    /// What is trusted, with the highest versions seen; null for the protocol of Fresns.
    pub trust: Option<Json>,
    /// Milliseconds since 1970 (UTC), as all times here.
    pub checked_at: Option<i64>,
    /// The latest time it was asked with success.
    pub succeeded_at: Option<i64>,
    /// Why the latest time was none: a code, and its parameters.
    pub error: Option<Json>,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
