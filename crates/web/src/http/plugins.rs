//! `/v1/web/plugins`: the records.

mod document;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use plugyard_http::{ApiResult, Caller, Cursor, Json, Language, PageQuery, Path, Query, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_platform::{ChangeRequest, InstallationView};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Entry, created, included};
use crate::entity::plugin::Model;
use crate::host::Web;
use crate::package::KIND;
use crate::records;

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
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, delete))
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
