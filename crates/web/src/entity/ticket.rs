//! Table `web_tickets`.

use sea_orm::entity::prelude::*;

/// A launch ticket that nobody has exchanged yet.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "web_tickets")]
pub struct Model {
    /// The first part of the ticket, by which it is found.
    #[sea_orm(primary_key, auto_increment = false)]
    pub selector: String,
    /// SHA-256 of the second part.
    pub verifier: String,
    pub fskey: String,
    /// Where the page was opened.
    pub origin: String,
    /// Who opened it: what the exchange answers.
    pub identity: Json,
    /// Milliseconds since 1970 (UTC).
    pub created_at: i64,
    pub expires_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
