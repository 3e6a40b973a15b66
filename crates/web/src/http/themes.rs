//! `/v1/web/themes/{fskey}/settings` and the page that shows it: the settings form of a theme.

use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Json, Path};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::columns::{Issue, closest};
use crate::host::Web;
use crate::pages::frames::ancestors;
use crate::pages::settings::client_origins;
use crate::themes;
use crate::usages::fields::{Fields, pointer, refused};

pub(super) const RIGHTS: &[Entry] = &[
    (
        Method::GET,
        "/v1/web/themes/{fskey}/settings",
        Right::PluginConfigure,
    ),
    (
        Method::PATCH,
        "/v1/web/themes/{fskey}/settings",
        Right::PluginConfigure,
    ),
    // Nothing of the site stands in it: what it shows it asks for, with the operator's token.
    (Method::GET, "/web/themes/{fskey}/settings", Right::Public),
    (Method::GET, "/web/theme-settings.js", Right::Public),
];

const PAGE: &str = include_str!("../../assets/theme-settings.html");
const SCRIPT: &str = include_str!("../../assets/theme-settings.js");

/// What the page may load and do.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
    style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(show, change))
        .routes(routes!(page))
        .routes(routes!(script))
}

/// The settings form of a theme: its fields and what they hold
#[utoipa::path(
    get, path = "/v1/web/themes/{fskey}/settings", tag = "web", operation_id = "web_theme_settings",
    params(("fskey" = String, Path, description = "The theme")),
    responses(
        (status = 200, description = "The form", body = serde_json::Value),
        (status = 404, description = "No such theme, or it has no form", body = plugyard_http::ProblemBody),
    ),
)]
async fn show(State(web): State<Web>, Path(fskey): Path<String>) -> ApiResult<Json<Value>> {
    Ok(Json(document(&web, &fskey).await?))
}

/// Fill in the settings form of a theme
///
/// Null takes a field back to its empty value. When one of them is wrong, none changes.
#[utoipa::path(
    patch, path = "/v1/web/themes/{fskey}/settings", tag = "web", operation_id = "web_theme_settings_change",
    params(("fskey" = String, Path, description = "The theme")),
    request_body = serde_json::Value,
    responses(
        (status = 200, description = "The form as it is now", body = serde_json::Value),
        (status = 404, description = "No such theme, or it has no form", body = plugyard_http::ProblemBody),
        (status = 422, description = "Everything that is wrong, at once", body = plugyard_http::ProblemBody),
    ),
)]
async fn change(
    State(web): State<Web>,
    Path(fskey): Path<String>,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    let connection = web.connection()?;
    let (_, manifest) = themes::find(connection, &fskey).await?;
    let known: Vec<&str> = themes::fields(&manifest)
        .map(|field| field.item_key.as_str())
        .collect();
    let members: Vec<&str> = body.keys().map(String::as_str).collect();
    let mut fields = Fields::new(&body, &members);
    for key in members.iter().filter(|key| !known.contains(key)) {
        let issue = Issue::error(codes::SETTING_UNKNOWN).with("key", key);
        let issue = match closest(key, known.iter().copied()) {
            Some(suggestion) => issue.with("suggestion", suggestion),
            None => issue,
        };
        fields.note(&pointer("", key), issue);
    }
    if fields.has_errors() {
        return Err(refused(fields.findings).into());
    }
    super::settings::write(&web, &body).await?;
    Ok(Json(document(&web, &fskey).await?))
}

/// The page with the settings form of a theme, for operators
#[utoipa::path(
    get, path = "/web/themes/{fskey}/settings", tag = "web", operation_id = "web_theme_form",
    params(("fskey" = String, Path, description = "The theme")),
    responses((status = 200, description = "The page", content_type = "text/html", body = String)),
)]
async fn page(State(web): State<Web>, Path(_fskey): Path<String>) -> ApiResult<Response> {
    let site = web.site().await?;
    let policy = format!("{POLICY}; {}", ancestors(&client_origins(&site)));
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    Ok((headers, PAGE).into_response())
}

/// What the page does
#[utoipa::path(
    get, path = "/web/theme-settings.js", tag = "web", operation_id = "web_theme_form_script",
    responses((status = 200, description = "The script", content_type = "text/javascript", body = String)),
)]
async fn script() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, SCRIPT).into_response()
}

async fn document(web: &Web, fskey: &str) -> Result<Value, Problem> {
    let connection = web.connection()?;
    let (row, manifest) = themes::find(connection, fskey).await?;
    let site = web.site().await?;
    Ok(themes::document(&row, &manifest, &site))
}
