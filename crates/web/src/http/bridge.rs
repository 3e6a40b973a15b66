//! `/web/bridge.js` and its test page. For everybody: pages of plugins load them in visitors' browsers.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, ETag};
use plugyard_model::rights::Right;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::Web;
use crate::pages::bridge;
use crate::pages::settings::client_origins;

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/web/bridge.js", Right::Public),
    (Method::GET, "/web/bridge", Right::Public),
    (Method::GET, "/web/bridge/page", Right::Public),
    (Method::GET, "/web/bridge-test.js", Right::Public),
];

/// What both sides of the test page may load.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; \
    frame-src 'self'; base-uri 'none'; form-action 'none'";

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(script))
        .routes(routes!(test))
        .routes(routes!(test_page))
        .routes(routes!(test_script))
}

/// The script for messages between plugin pages and clients
///
/// It knows the origins in the setting `client_origins`.
#[utoipa::path(
    get, path = "/web/bridge.js", tag = "web", operation_id = "web_bridge",
    responses((status = 200, description = "The script", content_type = "text/javascript", body = String)),
)]
async fn script(State(web): State<Web>, headers: HeaderMap) -> ApiResult<Response> {
    let site = web.site().await?;
    Ok(javascript(bridge::script(&client_origins(&site)), &headers))
}

/// A page for trying the script: the client's side
#[utoipa::path(
    get, path = "/web/bridge", tag = "web", operation_id = "web_bridge_test",
    responses((status = 200, description = "The page", content_type = "text/html", body = String)),
)]
async fn test() -> Response {
    page(bridge::TEST, "frame-ancestors 'none'", "DENY")
}

/// A page for trying the script: the plugin's side
#[utoipa::path(
    get, path = "/web/bridge/page", tag = "web", operation_id = "web_bridge_test_page",
    responses((status = 200, description = "The page", content_type = "text/html", body = String)),
)]
async fn test_page() -> Response {
    page(bridge::TEST_PAGE, "frame-ancestors 'self'", "SAMEORIGIN")
}

/// What the test pages do
#[utoipa::path(
    get, path = "/web/bridge-test.js", tag = "web", operation_id = "web_bridge_test_script",
    responses((status = 200, description = "The script", content_type = "text/javascript", body = String)),
)]
async fn test_script(headers: HeaderMap) -> Response {
    javascript(bridge::TEST_SCRIPT.to_owned(), &headers)
}

/// A script that any page may load, kept by browsers as long as it stays the same.
fn javascript(text: String, headers: &HeaderMap) -> Response {
    let tag = ETag::of(&text);
    let known = headers.get(header::IF_NONE_MATCH);
    let mut response = (tag, text).into_response();
    let out = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ),
    ] {
        out.insert(name, HeaderValue::from_static(value));
    }
    if known.is_some() && known == response.headers().get(header::ETAG) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = axum::body::Body::empty();
    }
    response
}

fn page(text: &'static str, ancestors: &str, frames: &'static str) -> Response {
    let policy = format!("{POLICY}; {ancestors}");
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_FRAME_OPTIONS, frames.to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, text).into_response()
}
