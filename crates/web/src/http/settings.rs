//! `/v1/web/settings`: what belongs to the site.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{ApiResult, Json};
use plugyard_model::Problem;
use plugyard_model::rights::Right;
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::{Web, now};
use crate::site::Site;
use crate::site_rules::{self, Changes};
use crate::{records, site, states};

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/web/settings", Right::PluginRead),
    (Method::PATCH, "/v1/web/settings", Right::PluginConfigure),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(show, change))
}

/// The site's settings
///
/// `settings` are the values, defaults where nothing is set; `providers` says of each service that a plugin
/// provides whether that plugin can: 0, 32100 nothing set, 32101 no such plugin, 32102 not enabled.
#[utoipa::path(
    get, path = "/v1/web/settings", tag = "web", operation_id = "web_settings_show",
    responses((status = 200, description = "The settings", body = serde_json::Value)),
)]
async fn show(State(web): State<Web>) -> ApiResult<Json<Value>> {
    Ok(Json(document(&web).await?))
}

/// Change settings of the site
///
/// Null takes a setting back to its default. When one of them is wrong, none changes.
#[utoipa::path(
    patch, path = "/v1/web/settings", tag = "web", operation_id = "web_settings_change",
    request_body = serde_json::Value,
    responses(
        (status = 200, description = "The settings as they are now", body = serde_json::Value),
        (status = 422, description = "Everything that is wrong, at once"),
    ),
)]
async fn change(
    State(web): State<Web>,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    write(&web, &body).await?;
    Ok(Json(document(&web).await?))
}

pub(super) async fn write(web: &Web, body: &Map<String, Value>) -> Result<(), Problem> {
    let transaction = web.database()?.begin().await?;
    let rows = records::all(&*transaction).await?;
    let all = states::all(&*transaction).await?;
    let Changes { values, wider } = site_rules::check(body, &rows, &all)?;
    if wider {
        records::make_room_for_paths(&*transaction).await?;
    }
    let at = now();
    for (key, value, tag) in values {
        site::put(&*transaction, &key, value, tag.as_deref(), at).await?;
    }
    transaction.commit().await?;
    if body.keys().any(|key| key.starts_with("market.")) {
        web.host.market_settings_changed();
    }
    Ok(())
}

async fn document(web: &Web) -> Result<Value, Problem> {
    let connection = web.connection()?;
    let stored = Site::read(connection).await?;
    let rows = records::all(connection).await?;
    let mut settings: BTreeMap<String, Value> = site_rules::defaults();
    settings.extend(stored.0.clone());
    Ok(json!({
        "settings": settings,
        "providers": site_rules::providers(&stored, &rows),
    }))
}
