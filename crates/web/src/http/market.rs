//! `/v1/web/markets`, and what comes from there.

use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Caller, Json, Path, Principal, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::Web;
use crate::market::store::{self, Protocol};
use crate::market::{Adding, Taken, Wanted, Wish, settings, upgrades};

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/web/markets", Right::PluginRead),
    (Method::POST, "/v1/web/markets", Right::PluginConfigure),
    (Method::GET, "/v1/web/markets/{name}", Right::PluginRead),
    (
        Method::DELETE,
        "/v1/web/markets/{name}",
        Right::PluginConfigure,
    ),
    (Method::GET, "/v1/web/check", Right::PluginRead),
    (Method::POST, "/v1/web/check", Right::PluginOperate),
    (Method::GET, "/v1/web/upgrades", Right::PluginRead),
    (Method::POST, "/v1/web/upgrades", Right::PluginInstall),
    (
        Method::POST,
        "/v1/web/upgrades/{fskey}",
        Right::PluginInstall,
    ),
    (
        Method::POST,
        "/v1/web/downloads/{fskey}",
        Right::PluginInstall,
    ),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, remove))
        .routes(routes!(checked, check))
        .routes(routes!(offered, upgrade_all))
        .routes(routes!(upgrade))
        .routes(routes!(download))
}

/// A market to add.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewWebMarket {
    /// Where it is.
    url: String,
    /// How it is called here; its host, when left out.
    name: Option<String>,
    /// `plugyard` (signed, the default), or `v2` or `v3` for Fresns' protocol.
    protocol: Option<String>,
    /// Whom to believe; for the protocol `plugyard`.
    trust: Option<WebMarketTrust>,
    /// Whether it, and where it leads, may lie in this server's own network.
    #[serde(default)]
    allow_private: bool,
    /// An HTTP proxy on the way there.
    proxy: Option<String>,
    /// Whether it is told whose site asks; for Fresns' protocol.
    send_site_headers: Option<bool>,
}

/// Whom to believe: keys of the root, all of which must have signed it, or the root itself.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct WebMarketTrust {
    /// Public keys, in hexadecimal digits.
    #[serde(default)]
    keys: Vec<String>,
    /// The document `root.json`.
    #[schema(value_type = Option<Object>)]
    root: Option<Value>,
}

/// Where a plugin is to come from.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct WebMarketChoice {
    /// The market; else the one the plugin came from, or the first that has it.
    market: Option<String>,
    /// Whether it is an application that is deployed on its own. Signed markets say so themselves, and so
    /// do those of the third generation of Fresns.
    #[serde(default)]
    standalone: bool,
}

/// Answers with the change that was begun, or with what the operator is to deploy.
async fn take(
    web: &Web,
    who: &Principal,
    fskey: &str,
    choice: &WebMarketChoice,
    wish: Wish,
) -> ApiResult<Response> {
    let wanted = Wanted {
        fskey,
        market: choice.market.as_deref(),
        standalone: choice.standalone,
        wish,
    };
    let taken = web.market_take(who, wanted).await?;
    let status = match taken {
        Taken::Begun(_) => StatusCode::ACCEPTED,
        Taken::Handed(_) => StatusCode::OK,
    };
    Ok((status, Json(taken.document())).into_response())
}

/// The markets, in the order they are asked in, with the highest versions seen of their documents
#[utoipa::path(
    get, path = "/v1/web/markets", tag = "web", operation_id = "web_market_list",
    responses((status = 200, description = "The markets", body = serde_json::Value)),
)]
async fn list(State(web): State<Web>) -> ApiResult<Json<Value>> {
    let database = web.host.database().map_err(Problem::from)?;
    let items = store::documents(database.conn())
        .await
        .map_err(Problem::from)?;
    Ok(Json(json!({ "items": items })))
}

/// Add a market; a signed one is asked for its catalogue first
#[utoipa::path(
    post, path = "/v1/web/markets", tag = "web", operation_id = "web_market_add",
    request_body = NewWebMarket,
    responses(
        (status = 201, description = "The market", body = serde_json::Value),
        (status = 409, description = "Its name or address is taken"),
        (status = 422, description = "It cannot be a market's"),
        (status = 502, description = "It cannot be asked, or is not to be believed"),
    ),
)]
async fn add(
    State(web): State<Web>,
    _: Unhurried,
    Json(body): Json<NewWebMarket>,
) -> ApiResult<Response> {
    let word = body.protocol.as_deref().unwrap_or("plugyard");
    let Some(protocol) = Protocol::from_word(word) else {
        return Err(Problem::new(codes::E_MARKET_INVALID)
            .with("field", "protocol")
            .with("reason", "it is `plugyard`, `v2` or `v3`")
            .into());
    };
    let trust = body.trust.unwrap_or_default();
    let adding = Adding {
        name: body.name,
        url: body.url,
        protocol,
        keys: trust.keys,
        root: trust.root,
        allow_private: body.allow_private,
        proxy: body.proxy,
        send_site_headers: body.send_site_headers,
    };
    let market = web.host.market_add(adding).await?;
    let location = format!(
        "/v1/web/markets/{}",
        market["name"].as_str().unwrap_or_default()
    );
    let mut response = (StatusCode::CREATED, Json(market)).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// One market
#[utoipa::path(
    get, path = "/v1/web/markets/{name}", tag = "web", operation_id = "web_market_show",
    params(("name" = String, Path, description = "The market")),
    responses((status = 200, description = "The market", body = serde_json::Value)),
)]
async fn show(State(web): State<Web>, Path(name): Path<String>) -> ApiResult<Json<Value>> {
    let database = web.host.database().map_err(Problem::from)?;
    let row = store::row(database.conn(), &name).await?;
    Ok(Json(store::document(&row)))
}

/// Forget a market; plugins that came from there stay
#[utoipa::path(
    delete, path = "/v1/web/markets/{name}", tag = "web", operation_id = "web_market_remove",
    params(("name" = String, Path, description = "The market")),
    responses((status = 204, description = "It is forgotten")),
)]
async fn remove(State(web): State<Web>, Path(name): Path<String>) -> ApiResult<StatusCode> {
    web.host.market_remove(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// When all markets were last asked with success
#[utoipa::path(
    get, path = "/v1/web/check", tag = "web", operation_id = "web_check_show",
    responses((status = 200, description = "The time, or null", body = serde_json::Value)),
)]
async fn checked(State(web): State<Web>) -> ApiResult<Json<Value>> {
    let site = web.host.site().await.map_err(Problem::from)?;
    Ok(Json(json!({ "checkedAt": site.text(settings::CHECKED) })))
}

/// Ask all markets for newer versions now
#[utoipa::path(
    post, path = "/v1/web/check", tag = "web", operation_id = "web_check",
    responses((status = 200, description = "What each market and each plugin came to; `complete` says whether all could be asked", body = serde_json::Value)),
)]
async fn check(State(web): State<Web>, _: Unhurried) -> ApiResult<Json<Value>> {
    Ok(Json(web.host.market_check().await?.document))
}

/// The plugins that have a newer version, and what keeps it out
#[utoipa::path(
    get, path = "/v1/web/upgrades", tag = "web", operation_id = "web_upgrade_list",
    responses((status = 200, description = "The upgrades", body = serde_json::Value)),
)]
async fn offered(State(web): State<Web>) -> ApiResult<Json<Value>> {
    Ok(Json(json!({ "items": upgrades(&web.host).await? })))
}

/// Upgrade all plugins that have a newer version, each for itself, and say what became of each
#[utoipa::path(
    post, path = "/v1/web/upgrades", tag = "web", operation_id = "web_upgrade_all",
    responses((status = 200, description = "One item for each; `failed` counts those that were not upgraded", body = serde_json::Value)),
)]
async fn upgrade_all(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
) -> ApiResult<Json<Value>> {
    Ok(Json(Box::pin(web.market_upgrade_all(&who)).await?))
}

/// Upgrade one plugin to the newest version of its market
#[utoipa::path(
    post, path = "/v1/web/upgrades/{fskey}", tag = "web", operation_id = "web_upgrade",
    params(("fskey" = String, Path, description = "The plugin")), request_body = WebMarketChoice,
    responses(
        (status = 202, description = "The operation that does it", body = serde_json::Value),
        (status = 200, description = "An application that is deployed on its own: nothing is installed, `archive` says where it is", body = serde_json::Value),
        (status = 409, description = "There is nothing newer, or its requirements are not met"),
    ),
)]
async fn upgrade(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    Json(choice): Json<WebMarketChoice>,
) -> ApiResult<Response> {
    take(&web, &who, &fskey, &choice, Wish::Newer).await
}

/// Install a plugin from a market
#[utoipa::path(
    post, path = "/v1/web/downloads/{fskey}", tag = "web", operation_id = "web_download",
    params(("fskey" = String, Path, description = "The plugin")), request_body = WebMarketChoice,
    responses(
        (status = 202, description = "The operation that does it", body = serde_json::Value),
        (status = 200, description = "An application that is deployed on its own: nothing is installed, `archive` says where it is", body = serde_json::Value),
        (status = 404, description = "No market has it"),
    ),
)]
async fn download(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    Json(choice): Json<WebMarketChoice>,
) -> ApiResult<Response> {
    take(&web, &who, &fskey, &choice, Wish::Have).await
}
