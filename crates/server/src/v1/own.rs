//! `/v1/self`: what a plugin's own process may ask, with the token it was started with.

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, ETag, Json, OwnPlugin};
use plugyard_model::rights::Right;
use plugyard_model::{KindId, PluginName, Problem, Wanted, codes};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use super::documents::{HealthDocument, VersionDocument};
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[(Method::GET, "/v1/self", Right::PluginSelf)];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// A plugin, as it sees itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginSelf)]
struct OwnDocument {
    /// Its name, `kind:key`.
    #[schema(value_type = String)]
    plugin: PluginName,
    /// The kind.
    #[schema(value_type = String)]
    kind: KindId,
    /// The key.
    key: String,
    /// What the operator wants.
    #[schema(value_type = String)]
    wanted: Wanted,
    /// How it is, as the server sees it.
    health: HealthDocument,
    /// The version in force: while an upgrade is under way still the one before. Absent while the first
    /// one is being installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<VersionDocument>,
    /// The server.
    server: OwnServer,
}

/// The server that a plugin runs on.
#[derive(Debug, Serialize, ToSchema)]
struct OwnServer {
    /// The program's version.
    version: String,
}

/// Who am I, as a plugin?
///
/// Only with the token that a plugin's process finds in `PLUGYARD_TOKEN`; it is worth nothing elsewhere.
#[utoipa::path(
    get, path = "/v1/self", tag = "self", operation_id = "self_show",
    responses((status = 200, description = "The plugin whose token it is", body = OwnDocument)),
)]
async fn show(State(app): State<App>, OwnPlugin(plugin): OwnPlugin) -> ApiResult<Response> {
    let view = app.platform.installation(&plugin.to_string()).await?;
    if view.plugin != plugin {
        return Err(Problem::new(codes::PLUGIN_NOT_FOUND).about(&plugin).into());
    }
    let tag = ETag::of(format!("{}/{}", view.id, view.revision));
    let own = OwnDocument {
        kind: view.plugin.kind.clone(),
        key: view.plugin.key.to_string(),
        plugin: view.plugin,
        wanted: view.wanted,
        health: view.health.into(),
        version: view.current.map(Into::into),
        server: OwnServer {
            version: app.settings.version.clone(),
        },
    };
    Ok((tag, Json(own)).into_response())
}
