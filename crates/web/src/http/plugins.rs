//! `/v1/web/plugins`: records.

use axum::extract::{RawQuery, State};
use axum::http::Method;
use plugyard_http::{ApiResult, Json, Path};
use plugyard_model::rights::Right;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::Web;
use crate::records;

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/web/plugins", Right::PluginRead),
    (Method::GET, "/v1/web/plugins/{fskey}", Right::PluginRead),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
}

/// The plugins of the application, by fskey
#[utoipa::path(
    get, path = "/v1/web/plugins", tag = "web", operation_id = "web_plugin_list",
    responses((status = 200, description = "The records", body = serde_json::Value)),
)]
async fn list(State(web): State<Web>, RawQuery(query): RawQuery) -> ApiResult<Json<Value>> {
    let database = web.host.database().map_err(plugyard_model::Problem::from)?;
    let with_deleted = query.is_some_and(|query| query.contains("include=deleted"));
    let rows = records::all(database.conn())
        .await
        .map_err(plugyard_model::Problem::from)?;
    let site = web
        .host
        .site()
        .await
        .map_err(plugyard_model::Problem::from)?;
    let items: Vec<Value> = rows
        .iter()
        .filter(|row| with_deleted || row.deleted_at.is_none())
        .map(|row| records::document(row, &site))
        .collect();
    Ok(Json(json!({ "items": items })))
}

/// One plugin of the application
#[utoipa::path(
    get, path = "/v1/web/plugins/{fskey}", tag = "web", operation_id = "web_plugin_show",
    params(("fskey" = String, Path, description = "The plugin")),
    responses((status = 200, description = "The record", body = serde_json::Value)),
)]
async fn show(State(web): State<Web>, Path(fskey): Path<String>) -> ApiResult<Json<Value>> {
    let database = web.host.database().map_err(plugyard_model::Problem::from)?;
    let row = records::live(database.conn(), &fskey).await?;
    let site = web
        .host
        .site()
        .await
        .map_err(plugyard_model::Problem::from)?;
    Ok(Json(records::document(&row, &site)))
}
