//! Table `answers`.

use sea_orm::entity::prelude::*;

/// The answer to a request that came with an `Idempotency-Key`, or that there will be one.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "answers")]
pub struct Model {
    /// Digest of caller and key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// Digest of the request.
    pub request: String,
    /// The server that works on it, or did.
    pub server: Uuid,
    pub at: i64,
    /// Absent until it is answered.
    pub status: Option<i32>,
    pub headers: Option<Json>,
    pub body: Option<Vec<u8>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
