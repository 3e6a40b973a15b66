//! `/v1/web/plugins`: records, what is loaded, and whether all agrees.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use plugyard_http::{ApiResult, Caller, Cursor, Json, Language, PageQuery, Path, Query, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{Finding, Lang, PluginName, Problem, codes};
use plugyard_platform::config::{ConfigChange, ConfigInput};
use plugyard_platform::kind::Action;
use plugyard_platform::{ChangeRequest, InstallationView, OperationView};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Entry, created, included};
use crate::entity::plugin::Model;
use crate::host::{Web, now};
use crate::lifecycle::dependants_in_order;
use crate::package::KIND;
use crate::{records, states};

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/web/plugins", Right::PluginRead),
    (Method::POST, "/v1/web/plugins", Right::PluginInstall),
    (Method::GET, "/v1/web/plugins/{fskey}", Right::PluginRead),
    (
        Method::PATCH,
        "/v1/web/plugins/{fskey}",
        Right::PluginConfigure,
    ),
    (
        Method::DELETE,
        "/v1/web/plugins/{fskey}",
        Right::PluginRemove,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/activate",
        Right::PluginOperate,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/deactivate",
        Right::PluginOperate,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/rollback",
        Right::PluginInstall,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/purge",
        Right::PluginRemove,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/crash",
        Right::PluginOperate,
    ),
    (
        Method::GET,
        "/v1/web/plugins/{fskey}/verify",
        Right::PluginRead,
    ),
    (Method::GET, "/v1/web/doctor", Right::PluginRead),
    (Method::POST, "/v1/web/sync-status", Right::PluginOperate),
];

/// Within so many milliseconds a second crash counts.
const CRASHES_WITHIN: i64 = 5 * 60 * 1000;

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, delete))
        .routes(routes!(activate))
        .routes(routes!(deactivate))
        .routes(routes!(rollback))
        .routes(routes!(purge))
        .routes(routes!(crash))
        .routes(routes!(verify))
        .routes(routes!(doctor))
        .routes(routes!(sync_status))
}

/// Which plugins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this type, 1 to 5.
    #[param(minimum = 1, maximum = 5)]
    r#type: Option<i16>,
    /// Only those that can be selected there, e.g. `sendEmail`.
    scene: Option<String>,
    /// Only those that are enabled, or only those that are not.
    enabled: Option<bool>,
    /// Only those the market has a newer version of, or only the others.
    upgrade: Option<bool>,
    /// Only those with this text in fskey or name, in whatever case.
    search: Option<String>,
    /// With commas: `deleted`, those that were uninstalled too; `files`, whether directory, manifest and assets
    /// are those that were installed, and where they are.
    include: Option<String>,
    /// Where to go on: `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most, 1 to 500; 50 unless said otherwise.
    limit: Option<u32>,
}

/// Whether records of what was uninstalled are shown.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ShowQuery {
    /// `deleted`: also one that was uninstalled.
    include: Option<String>,
}

/// The plugins of the application, by fskey
#[utoipa::path(
    get, path = "/v1/web/plugins", tag = "web", operation_id = "web_plugin_list", params(ListQuery),
    responses((status = 200, description = "A page of records", body = serde_json::Value)),
)]
async fn list(State(web): State<Web>, Query(query): Query<ListQuery>) -> ApiResult<Json<Value>> {
    let [deleted, files] = included(query.include.as_deref(), ["deleted", "files"])?;
    let page = PageQuery {
        cursor: query.cursor,
        limit: query.limit,
    };
    let limit = page.limit()? as usize;
    let after: Option<String> = page.cursor.as_ref().map(Cursor::position).transpose()?;
    let search = query.search.map(|text| text.to_lowercase());
    let liked = |row: &&Model| {
        (deleted || row.deleted_at.is_none())
            && query.r#type.is_none_or(|it| row.plugin_type == it)
            && query.enabled.is_none_or(|it| (row.is_enabled == 1) == it)
            && query.upgrade.is_none_or(|it| (row.is_upgrade == 1) == it)
            && query
                .scene
                .as_ref()
                .is_none_or(|scene| records::scene(row).contains(scene))
            && search.as_ref().is_none_or(|text| {
                row.fskey.to_lowercase().contains(text) || row.name.to_lowercase().contains(text)
            })
            && after.as_ref().is_none_or(|after| row.fskey > *after)
    };
    let rows = records::all(web.connection()?)
        .await
        .map_err(Problem::from)?;
    let mut page: Vec<&Model> = rows.iter().filter(liked).take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page
        .last()
        .filter(|_| more)
        .map(|row| Cursor::at(&row.fskey));
    let views = web.platform.installations_of(&KIND).await?;
    let views: BTreeMap<&str, &InstallationView> = views
        .iter()
        .map(|view| (view.plugin.key.as_str(), view))
        .collect();
    let broken = web.platform.unresolved_operations(&KIND).await?;
    let site = web.site().await?;
    let mut items = Vec::with_capacity(page.len());
    for row in page {
        let view = views.get(row.fskey.as_str()).copied();
        let mut document = records::document(row, &site);
        document["state"] = json!(web.state(row, view, &broken).await?);
        if files {
            document["files"] = web.files(view).await;
        }
        items.push(document);
    }
    Ok(Json(json!({ "items": items, "next": next })))
}

/// Register a plugin that has no package
///
/// One that comes as a package is installed with `POST /v1/installations`.
#[utoipa::path(
    post, path = "/v1/web/plugins", tag = "web", operation_id = "web_plugin_create",
    request_body = serde_json::Value,
    responses(
        (status = 201, description = "The record; `findings` are warnings", body = serde_json::Value),
        (status = 422, description = "Everything that is wrong, at once"),
    ),
)]
async fn create(
    State(web): State<Web>,
    Language(lang): Language,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<Response> {
    let (row, findings) = web.host.create_record(&body).await?;
    let answer = web.with_findings(&row, &findings, lang).await?;
    let location = format!("/v1/web/plugins/{}", row.fskey);
    Ok(created(&location, answer))
}

/// One plugin of the application
#[utoipa::path(
    get, path = "/v1/web/plugins/{fskey}", tag = "web", operation_id = "web_plugin_show",
    params(("fskey" = String, Path, description = "The plugin"), ShowQuery),
    responses((status = 200, description = "The record and what is known beside it", body = serde_json::Value)),
)]
async fn show(
    State(web): State<Web>,
    Path(fskey): Path<String>,
    Query(query): Query<ShowQuery>,
) -> ApiResult<Json<Value>> {
    let [deleted] = included(query.include.as_deref(), ["deleted"])?;
    let connection = web.connection()?;
    let row = records::find(connection, &fskey)
        .await
        .map_err(Problem::from)?
        .filter(|row| deleted || row.deleted_at.is_none())
        .ok_or_else(|| records::not_found(&fskey))?;
    Ok(Json(web.document(&row).await?))
}

/// Change a plugin's record
///
/// Of a plugin that came as a package `pluginHost` and `upgradeCode` are written here; the rest is its manifest's.
#[utoipa::path(
    patch, path = "/v1/web/plugins/{fskey}", tag = "web", operation_id = "web_plugin_change",
    params(("fskey" = String, Path, description = "The plugin")),
    request_body = serde_json::Value,
    responses(
        (status = 200, description = "The record; `findings` are warnings", body = serde_json::Value),
        (status = 422, description = "Everything that is wrong, at once"),
    ),
)]
async fn change(
    State(web): State<Web>,
    Language(lang): Language,
    Path(fskey): Path<String>,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    let packaged = web.installation(&fskey).await?.is_some();
    let (row, findings) = web.host.change_record(&fskey, &body, packaged).await?;
    Ok(Json(web.with_findings(&row, &findings, lang).await?))
}

/// How to uninstall.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RemoveQuery {
    /// `true`, `1`, `yes`: the plugin's data go too; `false`, `0`, `no`: they stay, as when nothing is said.
    cleardata: Option<String>,
    /// Take a theme away although a slot uses it: the slot becomes empty.
    #[serde(default)]
    force: bool,
}

/// Uninstall a plugin, and wait for it
///
/// The record stays, hidden, and lives again when the plugin is installed again.
#[utoipa::path(
    delete, path = "/v1/web/plugins/{fskey}", tag = "web", operation_id = "web_plugin_delete",
    params(("fskey" = String, Path, description = "The plugin"), RemoveQuery),
    responses((status = 200, description = "The record as it is now", body = serde_json::Value)),
)]
async fn delete(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    Query(query): Query<RemoveQuery>,
) -> ApiResult<Json<Value>> {
    let clear = match query.cleardata.as_deref() {
        None | Some("false" | "0" | "no") => false,
        Some("true" | "1" | "yes") => true,
        Some(_) => {
            let reason = "`cleardata` is `true`, `1`, `yes`, `false`, `0` or `no`";
            return Err(Problem::new(codes::REQUEST_INVALID)
                .with("reason", reason)
                .into());
        }
    };
    match web.installation(&fskey).await? {
        Some(view) => {
            let request = ChangeRequest::Uninstall { keep_data: !clear };
            web.carry_out(&who, &view.plugin, request, query.force)
                .await?;
        }
        None => web.host.delete_record(&fskey, query.force).await?,
    }
    let connection = web.connection()?;
    let row = records::find(connection, &fskey)
        .await
        .map_err(Problem::from)?
        .ok_or_else(|| records::not_found(&fskey))?;
    Ok(Json(web.document(&row).await?))
}

/// Let the application load a plugin, and wait for it
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/activate", tag = "web", operation_id = "web_plugin_activate",
    params(("fskey" = String, Path, description = "The plugin")),
    responses((status = 200, description = "The record as it is now", body = serde_json::Value)),
)]
async fn activate(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
) -> ApiResult<Json<Value>> {
    web.switch(&who, &fskey, true).await?;
    Ok(Json(web.shown(&fskey).await?))
}

/// How to deactivate.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Deactivate {
    /// Deactivate also what depends on it, that first.
    #[serde(default)]
    cascade: bool,
}

/// Let the application load a plugin no longer, and wait for it
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/deactivate", tag = "web", operation_id = "web_plugin_deactivate",
    params(("fskey" = String, Path, description = "The plugin")),
    request_body = Option<Deactivate>,
    responses((status = 200, description = "The record as it is now; `cascaded` went before it", body = serde_json::Value)),
)]
async fn deactivate(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    body: Option<Json<Deactivate>>,
) -> ApiResult<Json<Value>> {
    let cascade = body.is_some_and(|Json(body)| body.cascade);
    let mut cascaded = Vec::new();
    if cascade {
        let connection = web.connection()?;
        records::live(connection, &fskey).await?;
        let rows = records::all(connection).await.map_err(Problem::from)?;
        let all = states::all(connection).await.map_err(Problem::from)?;
        cascaded = dependants_in_order(&rows, &all, &fskey);
        for dependant in &cascaded {
            web.switch(&who, dependant, false).await?;
        }
    }
    web.switch(&who, &fskey, false).await?;
    let mut document = web.shown(&fskey).await?;
    document["cascaded"] = json!(cascaded);
    Ok(Json(document))
}

/// Where to go back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebRollback)]
struct Rollback {
    /// The version, e.g. `1.5.7`; the one before unless said otherwise.
    to: Option<String>,
    /// Go also to a version that the data may not fit.
    #[serde(default)]
    force: bool,
}

/// Go back to a version by its name, and wait for it
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/rollback", tag = "web", operation_id = "web_plugin_rollback",
    params(("fskey" = String, Path, description = "The plugin")),
    request_body = Option<Rollback>,
    responses((status = 200, description = "The record as it is now", body = serde_json::Value)),
)]
async fn rollback(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    body: Option<Json<Rollback>>,
) -> ApiResult<Json<Value>> {
    let Rollback { to, force } = body.map(|Json(body)| body).unwrap_or_default();
    let view = web
        .installation(&fskey)
        .await?
        .ok_or_else(|| records::not_found(&fskey))?;
    let to = match to {
        None => None,
        Some(name) => Some(web.platform.version_named(&view.plugin, &name).await?),
    };
    let request = ChangeRequest::Rollback { to };
    web.carry_out(&who, &view.plugin, request, force).await?;
    Ok(Json(web.shown(&fskey).await?))
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

/// What the application says of a crash.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Crash {
    /// What it met, for people.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
}

/// Say that loading a plugin ended the application
///
/// The second time within 5 minutes the plugin is quarantined: deactivated, with the reason.
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/crash", tag = "web", operation_id = "web_plugin_crash",
    params(("fskey" = String, Path, description = "The plugin")),
    request_body = Crash,
    responses((status = 200, description = "Whether it is quarantined now", body = serde_json::Value)),
)]
async fn crash(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    Json(body): Json<Crash>,
) -> ApiResult<Json<Value>> {
    let count = web.host.crashed(&fskey, now() - CRASHES_WITHIN).await?;
    let quarantined = count >= 2;
    if quarantined {
        let reason: String = body.reason.chars().take(2000).collect();
        tracing::warn!(%fskey, %reason, "Loading `{fskey}` ended the application twice; it is deactivated");
        web.switch(&who, &fskey, false).await?;
        let reason = format!("quarantined: loading it ended the application twice: {reason}");
        web.host
            .quarantined(&fskey, &reason)
            .await
            .map_err(Problem::from)?;
    }
    Ok(Json(
        json!({ "crashes": count, "quarantined": quarantined }),
    ))
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

impl Web {
    /// A record with what is known beside it.
    async fn document(&self, row: &Model) -> Result<Value, Problem> {
        let site = self.site().await?;
        let state = states::find(self.connection()?, &row.fskey).await?;
        let view = self.installation(&row.fskey).await?;
        let broken = self.platform.unresolved_operations(&KIND).await?;
        let mut document = records::document(row, &site);
        document["state"] = json!(self.state(row, view.as_ref(), &broken).await?);
        document["lastError"] = json!(state.last_error);
        document["failedVersion"] = json!(state.failed_version);
        document["hasPackage"] = json!(view.is_some());
        document["files"] = self.files(view.as_ref()).await;
        let foreign = states::manifest(&state).map(|it| it.foreign_dependencies);
        document["foreignDependencies"] = match foreign {
            Some(foreign) => {
                json!({ "require": foreign.require, "require-dev": foreign.require_dev })
            }
            None => Value::Null,
        };
        document["manifest"] = json!(state.manifest);
        Ok(document)
    }

    /// What there is of a plugin on disk; null where nothing of it is loaded here.
    async fn files(&self, view: Option<&InstallationView>) -> Value {
        match view.and_then(InstallationView::installed) {
            Some(installation) => json!(self.host.files(&installation).await),
            None => Value::Null,
        }
    }

    async fn shown(&self, fskey: &str) -> Result<Value, Problem> {
        let row = records::live(self.connection()?, fskey).await?;
        self.document(&row).await
    }

    async fn with_findings(
        &self,
        row: &Model,
        findings: &[Finding],
        lang: Lang,
    ) -> Result<Value, Problem> {
        let mut answer = self.document(row).await?;
        answer["findings"] = findings.iter().map(|it| json!(it.document(lang))).collect();
        Ok(answer)
    }

    /// The word for where a plugin is.
    async fn state(
        &self,
        row: &Model,
        view: Option<&InstallationView>,
        broken: &[OperationView],
    ) -> Result<&'static str, Problem> {
        if let Some(id) = view.and_then(|view| view.operation) {
            let operation = self.platform.operation(id).await?;
            return Ok(match operation.action {
                Action::Install => "installing",
                Action::Upgrade | Action::Restart | Action::Perform => "upgrading",
                Action::Rollback => "rolling_back",
                Action::Enable => "activating",
                Action::Disable => "deactivating",
                Action::Uninstall => "uninstalling",
            });
        }
        if view.is_some_and(|view| broken.iter().any(|it| it.plugin == view.plugin)) {
            return Ok("broken");
        }
        Ok(match (row.deleted_at, row.is_enabled) {
            (Some(_), _) => "removed",
            (None, 1) => "enabled",
            (None, _) => "installed",
        })
    }

    /// Activates or deactivates; nothing happens when it is so already.
    async fn switch(
        &self,
        who: &plugyard_http::Principal,
        fskey: &str,
        on: bool,
    ) -> Result<(), Problem> {
        let Some(view) = self.installation(fskey).await? else {
            return self.host.switch_record(fskey, on).await;
        };
        let row = records::live(self.connection()?, fskey).await?;
        let switched = crate::status_file::is_listed(&row);
        if switched && view.wanted.is_on() == on && (row.is_enabled == 1) == on {
            return Ok(());
        }
        let request = if on {
            ChangeRequest::Enable
        } else {
            ChangeRequest::Disable
        };
        self.carry_out(who, &view.plugin, request, false).await
    }

    async fn carry_out(
        &self,
        who: &plugyard_http::Principal,
        plugin: &PluginName,
        request: ChangeRequest,
        force: bool,
    ) -> Result<(), Problem> {
        let input = ConfigInput {
            change: ConfigChange {
                force,
                ..ConfigChange::default()
            },
            values: None,
        };
        let begun = self
            .platform
            .change_with(who, plugin, request, input)
            .await?;
        self.platform.wait(begun).await?.into_result()
    }
}
