//! `/v1/secrets`: the key to what nobody may read.

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{ApiResult, Caller, Json, Unhurried};
use plugyard_model::rights::Right;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[(Method::POST, "/v1/secrets/rotate", Right::Admin)];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(rotate))
}

/// A master key that came into force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeyRotation)]
struct RotationDocument {
    /// The name of the key in force, from which the key cannot be found.
    key: String,
    /// How many data keys were encrypted with it.
    data_keys: usize,
}

/// Put another master key in force
///
/// A key file gets a new key by itself. An environment variable or a command must have a new key in
/// front of the old one already.
#[utoipa::path(
    post, path = "/v1/secrets/rotate", tag = "server", operation_id = "secret_rotate",
    responses((status = 200, description = "Done", body = RotationDocument)),
)]
async fn rotate(
    State(app): State<App>,
    _: Unhurried,
    Caller(who): Caller,
) -> ApiResult<Json<RotationDocument>> {
    let rotation = app.platform.secrets_rotate(&who).await?;
    Ok(Json(RotationDocument {
        key: rotation.key.to_string(),
        data_keys: rotation.data_keys,
    }))
}
