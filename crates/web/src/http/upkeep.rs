//! Whether everything agrees, and setting it right: files, table, status file, and rows nobody needs.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use plugyard_http::{ApiResult, Caller, Json, Path, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_platform::InstallationView;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::Web;
use crate::records;

pub(super) const RIGHTS: &[Entry] = &[
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/purge",
        Right::PluginRemove,
    ),
    (
        Method::GET,
        "/v1/web/plugins/{fskey}/verify",
        Right::PluginRead,
    ),
    (Method::GET, "/v1/web/doctor", Right::PluginRead),
    (Method::POST, "/v1/web/sync-status", Right::PluginOperate),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(purge))
        .routes(routes!(verify))
        .routes(routes!(doctor))
        .routes(routes!(sync_status))
}

/// Forget a plugin that was uninstalled, for good
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/purge", tag = "web", operation_id = "web_plugin_purge",
    params(("fskey" = String, Path, description = "The plugin")),
    responses(
        (status = 204, description = "Its row is gone; its number is not used again"),
        (status = 409, description = "Files, assets or usages remain"),
    ),
)]
async fn purge(State(web): State<Web>, Path(fskey): Path<String>) -> ApiResult<StatusCode> {
    web.host.purge(&fskey).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Compare the files of a plugin with its package
#[utoipa::path(
    get, path = "/v1/web/plugins/{fskey}/verify", tag = "web", operation_id = "web_plugin_verify",
    params(("fskey" = String, Path, description = "The plugin")),
    responses((status = 200, description = "Files that differ", body = serde_json::Value)),
)]
async fn verify(
    State(web): State<Web>,
    _: Unhurried,
    Path(fskey): Path<String>,
) -> ApiResult<Json<Value>> {
    let view = web.installation(&fskey).await?;
    let installation = view
        .as_ref()
        .and_then(InstallationView::installed)
        .ok_or_else(|| records::not_found(&fskey))?;
    let files = web.verify(&installation).await?;
    Ok(Json(json!({
        "fskey": fskey,
        "version": installation.current.label,
        "sha256": installation.current.digest,
        "whole": files.is_empty(),
        "files": files,
    })))
}

/// Say where table, files, assets and status file disagree
#[utoipa::path(
    get, path = "/v1/web/doctor", tag = "web", operation_id = "web_doctor",
    responses((status = 200, description = "What disagrees", body = serde_json::Value)),
)]
async fn doctor(State(web): State<Web>, _: Unhurried) -> ApiResult<Json<Value>> {
    let found = web.examine().await?;
    Ok(Json(json!({ "ok": found.is_empty(), "items": found })))
}

/// Which way the states go.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SyncStatus {
    /// Take what is enabled from the file; a plugin that it does not name is disabled. Otherwise the file is
    /// written.
    #[serde(default)]
    from_file: bool,
}

/// Write the status file, or take over once what it says
#[utoipa::path(
    post, path = "/v1/web/sync-status", tag = "web", operation_id = "web_sync_status",
    request_body = Option<SyncStatus>,
    responses((status = 200, description = "What the file says, and what changed", body = serde_json::Value)),
)]
async fn sync_status(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    body: Option<Json<SyncStatus>>,
) -> ApiResult<Json<Value>> {
    let unusable = |error: crate::status_file::StatusFileError| {
        Problem::new(codes::REQUEST_INVALID).with("reason", error)
    };
    let (mut changed, mut failed) = (Vec::new(), Vec::new());
    if body.is_some_and(|Json(body)| body.from_file) {
        let said = web.host.status().await.map_err(unusable)?;
        let connection = web.connection()?;
        let rows = records::all(connection).await.map_err(Problem::from)?;
        for row in rows.iter().filter(|row| crate::status_file::is_listed(row)) {
            let on = said.get(&row.fskey).copied().unwrap_or(false);
            if (row.is_enabled == 1) == on {
                continue;
            }
            match web.switch(&who, &row.fskey, on).await {
                Ok(()) => changed.push(json!({ "fskey": row.fskey, "isEnabled": on })),
                Err(problem) => failed.push(json!({
                    "fskey": row.fskey,
                    "code": problem.code.as_str(),
                    "reason": problem.to_string(),
                })),
            }
        }
    }
    web.host.export_status().await.map_err(unusable)?;
    let plugins = web.host.status().await.map_err(unusable)?;
    Ok(Json(json!({
        "file": web.host.status_path().display().to_string(),
        "plugins": plugins,
        "changed": changed,
        "failed": failed,
    })))
}
