//! What a crate hands to the program that assembles everything.

use std::sync::Arc;

use plugyard_http::RouteRight;
use sea_orm_migration::MigrationTrait;
use utoipa_axum::router::OpenApiRouter;

use crate::Kind;

/// A kind with the routes, tables and rights that come with it.
#[expect(
    missing_debug_implementations,
    reason = "routers and migrations have none"
)]
pub struct Registration {
    /// The kind.
    pub kind: Arc<dyn Kind>,
    /// The routes of the system whose format this is.
    pub router: OpenApiRouter,
    /// Tables that only this kind has.
    pub migrations: Vec<Box<dyn MigrationTrait>>,
    /// Which right each of the routes needs.
    pub rights: Vec<RouteRight>,
}
