//! `/v1/self/config`: the values for the plugin itself, secrets in clear.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use plugyard_http::sse::{Closing, LastEventId, SseEvent, events};
use plugyard_http::{ApiResult, ETag, Json, OwnPlugin};
use plugyard_model::VersionId;
use plugyard_model::rights::Right;
use plugyard_platform::config::PlainConfig;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::sign_in::Shown;
use crate::v1::Entry;

pub(in crate::v1) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/self/config", Right::PluginSelf),
    (Method::GET, "/v1/self/config/events", Right::PluginSelf),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(watch))
}

/// The values of a plugin as it reads them itself.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginConfig)]
struct PlainDocument {
    /// Grows with each write; 0 when nothing can be configured.
    revision: u64,
    /// Each field with its value, secrets in clear; null when unset.
    #[schema(value_type = BTreeMap<String, Value>)]
    values: Map<String, Value>,
    /// Secrets that are set and cannot be decrypted: reading one of them is an error.
    unreadable: Vec<String>,
}

impl From<PlainConfig> for PlainDocument {
    fn from(it: PlainConfig) -> Self {
        Self {
            revision: it.revision,
            values: it.values,
            unreadable: it.unreadable,
        }
    }
}

/// My values
///
/// The same document as in the file that `PLUGYARD_CONFIG_FILE` names: the values as the definition of the version
/// has them that the process is of. While an upgrade is under way the processes of the new version are given the
/// values that are in force afterwards, those of the old one the values that are in force.
#[utoipa::path(
    get, path = "/v1/self/config", tag = "self", operation_id = "self_config",
    responses((status = 200, description = "The values of the plugin whose token it is", body = PlainDocument)),
)]
async fn show(
    State(app): State<App>,
    OwnPlugin(plugin): OwnPlugin,
    shown: Option<Extension<Shown>>,
) -> ApiResult<Response> {
    let plain = match version_of(&app, shown) {
        Some(version) => app.platform.config_plain_of(&plugin, version).await?,
        None => app.platform.config_plain(&plugin).await?,
    };
    let tag = ETag::of(format!("config/{plugin}/{}", plain.revision));
    let unkept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((tag, unkept, Json(PlainDocument::from(plain))).into_response())
}

/// Watch my values
///
/// Server-sent events named `config` with `{revision, keys}`, never values: first the revision there is, then
/// each write in order. No keys means: read everything again. With `Last-Event-ID` the first event tells which
/// keys were written since that revision, and there is none when there was no write.
#[utoipa::path(
    get, path = "/v1/self/config/events", tag = "self", operation_id = "self_config_events",
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String)),
)]
async fn watch(
    State(app): State<App>,
    OwnPlugin(plugin): OwnPlugin,
    shown: Option<Extension<Shown>>,
    LastEventId(seen): LastEventId,
    closing: Closing,
) -> ApiResult<Response> {
    let version = version_of(&app, shown);
    let changes = app.platform.config_changes(&plugin, version, seen).await?;
    let source = changes.map(|it| SseEvent::new(Some(it.revision), "config", &it));
    Ok(events(closing, source))
}

/// The version of the process that asks; `None` when its token was just taken away.
fn version_of(app: &App, shown: Option<Extension<Shown>>) -> Option<VersionId> {
    let Extension(Shown(token)) = shown?;
    app.platform.settings().plugin_access.version_of(token)
}
