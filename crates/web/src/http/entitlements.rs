//! `/v1/web/markets/{name}/codes`: what entitles this installation to packages of a market.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use plugyard_http::{ApiResult, Json, Path};
use plugyard_model::rights::Right;
use plugyard_store::SecretText;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::Web;

pub(super) const RIGHTS: &[Entry] = &[
    (
        Method::GET,
        "/v1/web/markets/{name}/codes",
        Right::PluginRead,
    ),
    (
        Method::PUT,
        "/v1/web/markets/{name}/codes/{fskey}",
        Right::PluginConfigure,
    ),
    (
        Method::DELETE,
        "/v1/web/markets/{name}/codes/{fskey}",
        Right::PluginConfigure,
    ),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(put, forget))
}

/// What entitles to a plugin's packages.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebMarketCode {
    /// As the market gave it: 1 to 32 printable characters of ASCII without spaces. It is never told again.
    #[schema(value_type = String)]
    code: SecretText,
}

/// The plugins that there is an upgrade code for, of one market
#[utoipa::path(
    get, path = "/v1/web/markets/{name}/codes", tag = "web", operation_id = "web_market_code_list",
    params(("name" = String, Path, description = "The market")),
    responses((status = 200, description = "Plugins; codes are not told", body = serde_json::Value)),
)]
async fn list(State(web): State<Web>, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let items = web.market_codes(&name).await?.into_iter();
    let items: Vec<Value> = items.map(|fskey| json!({ "fskey": fskey })).collect();
    Ok(Json(json!({ "items": items })))
}

/// Keep the upgrade code of a plugin for a market
///
/// It is kept encrypted and sent to that market alone, also for a first installation.
#[utoipa::path(
    put, path = "/v1/web/markets/{name}/codes/{fskey}", tag = "web", operation_id = "web_market_code_put",
    params(
        ("name" = String, Path, description = "The market"),
        ("fskey" = String, Path, description = "The plugin, which need not be here"),
    ),
    request_body = WebMarketCode,
    responses(
        (status = 204, description = "It is kept"),
        (status = 422, description = "It cannot be a code"),
    ),
)]
async fn put(
    State(web): State<Web>,
    Path((name, fskey)): Path<(String, String)>,
    Json(body): Json<WebMarketCode>,
) -> ApiResult<StatusCode> {
    web.market_code_put(&name, &fskey, &body.code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forget the upgrade code of a plugin for a market
#[utoipa::path(
    delete, path = "/v1/web/markets/{name}/codes/{fskey}", tag = "web", operation_id = "web_market_code_forget",
    params(
        ("name" = String, Path, description = "The market"),
        ("fskey" = String, Path, description = "The plugin"),
    ),
    responses((status = 204, description = "There is none")),
)]
async fn forget(
    State(web): State<Web>,
    Path((name, fskey)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    web.market_code_forget(&name, &fskey).await?;
    Ok(StatusCode::NO_CONTENT)
}
