//! `/v1/installations/{plugin}/config/history`: who changed what, and going back.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use plugyard_http::{ApiResult, Json, Page, PageQuery, Path, Query};
use plugyard_model::VersionId;
use plugyard_model::rights::Right;
use plugyard_platform::config::{ConfigDifference, HistoryEntry};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ConfigWritten, How, Writing, registered};
use crate::app::App;
use crate::v1::Entry;

pub(in crate::v1) const RIGHTS: &[Entry] = &[
    (
        Method::GET,
        "/v1/installations/{plugin}/config/history",
        Right::PluginRead,
    ),
    (
        Method::GET,
        "/v1/installations/{plugin}/config/diff",
        Right::PluginRead,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/config/restore",
        Right::PluginConfigure,
    ),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(history))
        .routes(routes!(diff))
        .routes(routes!(restore))
}

/// One write.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigWrite {
    /// The revision it led to.
    revision: u64,
    /// `install`, `put`, `reset`, `restore`, `import`, `upgrade` or `rollback`.
    action: String,
    /// The version of the plugin whose definition was in force.
    #[schema(value_type = String, format = Uuid)]
    version: VersionId,
    /// Who.
    who: String,
    /// Milliseconds since 1970 (UTC).
    at: i64,
    /// What it changed.
    changes: Vec<ConfigFieldChange>,
}

/// A field before and after.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigFieldChange {
    /// Its key.
    key: String,
    /// What it had; a secret is eight asterisks.
    before: Value,
    /// What it has; a secret is eight asterisks.
    after: Value,
    /// Whether one of them is a secret: then all that is said is that it changed.
    secret: bool,
}

impl From<ConfigDifference> for ConfigFieldChange {
    fn from(it: ConfigDifference) -> Self {
        Self {
            key: it.key,
            before: it.before,
            after: it.after,
            secret: it.secret,
        }
    }
}

impl From<HistoryEntry> for ConfigWrite {
    fn from(it: HistoryEntry) -> Self {
        Self {
            revision: it.revision,
            action: it.action,
            version: it.version,
            who: it.who,
            at: it.at,
            changes: it.changes.into_iter().map(Into::into).collect(),
        }
    }
}

/// Two revisions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Between {
    /// The earlier one.
    from: u64,
    /// The later one; the one in force unless said otherwise.
    to: Option<u64>,
}

/// What differs between two revisions.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigDiff {
    /// The earlier revision.
    from: u64,
    /// The later revision.
    to: u64,
    /// The fields that differ.
    changes: Vec<ConfigFieldChange>,
}

/// Where to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RestoreRequest {
    /// The revision whose values come back, as a new revision.
    revision: u64,
}

/// Who changed what, latest first
#[utoipa::path(
    get, path = "/v1/installations/{plugin}/config/history", tag = "config", operation_id = "config_history",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), PageQuery),
    responses((status = 200, description = "The writes that are remembered: the latest hundred", body = Page<ConfigWrite>)),
)]
async fn history(
    State(app): State<App>,
    Path(plugin): Path<String>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Page<ConfigWrite>>> {
    let plugin = app.platform.installation(&plugin).await?.plugin;
    let page = app.platform.config_history(&plugin, &page).await?;
    Ok(Json(Page {
        items: page.items.into_iter().map(Into::into).collect(),
        next: page.next,
    }))
}

/// What differs between two revisions
#[utoipa::path(
    get, path = "/v1/installations/{plugin}/config/diff", tag = "config", operation_id = "config_diff",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), Between),
    responses((status = 200, description = "The fields that differ", body = ConfigDiff)),
)]
async fn diff(
    State(app): State<App>,
    Path(plugin): Path<String>,
    Query(between): Query<Between>,
) -> ApiResult<Json<ConfigDiff>> {
    let (plugin, config) = registered(&app, &plugin).await?;
    let (from, to) = (between.from, between.to.unwrap_or(config.revision));
    let changes = app.platform.config_diff(&plugin, from, to).await?;
    let changes = changes.into_iter().map(Into::into).collect();
    Ok(Json(ConfigDiff { from, to, changes }))
}

/// Bring the values of a revision back
///
/// Secrets too. What the definition in force does not allow is converted or replaced as by an upgrade.
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/config/restore", tag = "config", operation_id = "config_restore",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    request_body = RestoreRequest,
    responses((status = 200, description = "Done", body = ConfigWritten)),
)]
async fn restore(writing: Writing, Json(request): Json<RestoreRequest>) -> ApiResult<Response> {
    let (platform, to) = (&writing.app.platform, &writing);
    let written = platform
        .config_restore(&to.who, &to.plugin, request.revision, to.terms)
        .await;
    writing.answer(written)
}
