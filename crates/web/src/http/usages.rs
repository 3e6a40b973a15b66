//! `/v1/web/usages`: where plugins are offered, for operators.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use plugyard_http::{ApiResult, Cursor, Json, Language, PageQuery, Path, Query};
use plugyard_model::rights::Right;
use plugyard_model::{Finding, Lang, Problem, codes};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Entry, created, included};
use crate::host::Web;
use crate::records;
use crate::site::Site;
use crate::url::{Parameter, usage_url};
use crate::usages::sources::{self, SOURCES};
use crate::usages::store::{self, Filter, Stored};

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/web/usages", Right::PluginRead),
    (Method::POST, "/v1/web/usages", Right::PluginConfigure),
    (Method::PUT, "/v1/web/usages/order", Right::PluginConfigure),
    (Method::GET, "/v1/web/usages/{id}", Right::PluginRead),
    (Method::PATCH, "/v1/web/usages/{id}", Right::PluginConfigure),
    (
        Method::DELETE,
        "/v1/web/usages/{id}",
        Right::PluginConfigure,
    ),
    (
        Method::GET,
        "/v1/web/usages/{id}/data-sources/{name}",
        Right::PluginRead,
    ),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(order))
        .routes(routes!(show, change, delete))
        .routes(routes!(data_source))
}

/// Which usages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only those of this type, 1 to 9.
    #[param(minimum = 1, maximum = 9)]
    r#type: Option<u8>,
    /// Only those of this plugin.
    plugin: Option<String>,
    /// Only those of this group.
    group: Option<u32>,
    /// Only those that are enabled, or only those that are not.
    enabled: Option<bool>,
    /// `deleted`: those that were deleted too.
    include: Option<String>,
    /// Where to go on: `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many at most, 1 to 500; 50 unless said otherwise.
    limit: Option<u32>,
}

/// Usages, by type, then in the order they are shown in
#[utoipa::path(
    get, path = "/v1/web/usages", tag = "web", operation_id = "web_usage_list", params(ListQuery),
    responses((status = 200, description = "A page of usages", body = serde_json::Value)),
)]
async fn list(State(web): State<Web>, Query(query): Query<ListQuery>) -> ApiResult<Json<Value>> {
    let page = PageQuery {
        cursor: query.cursor,
        limit: query.limit,
    };
    let [deleted] = included(query.include.as_deref(), ["deleted"])?;
    let filter = Filter {
        usage_type: query.r#type,
        plugin: query.plugin,
        group: query.group,
        enabled: query.enabled,
        deleted,
    };
    let database = web.database()?;
    let site = web.site().await?;
    let page = store::page(database, &filter, &page).await?;
    let items: Vec<Value> = page.items.iter().map(|it| document(it, &site)).collect();
    Ok(Json(json!({ "items": items, "next": page.next })))
}

/// Offer a plugin somewhere
#[utoipa::path(
    post, path = "/v1/web/usages", tag = "web", operation_id = "web_usage_create",
    request_body = serde_json::Value,
    responses(
        (status = 201, description = "The usage; `findings` are warnings", body = serde_json::Value),
        (status = 422, description = "Everything that is wrong, at once"),
    ),
)]
async fn create(
    State(web): State<Web>,
    Language(lang): Language,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<Response> {
    let database = web.database()?;
    let (stored, findings) = store::create(database, &body).await?;
    let answer = with_findings(&web, &stored, &findings, lang).await?;
    let location = format!("/v1/web/usages/{}", stored.draft.usage.id);
    Ok(created(&location, answer))
}

/// Usages of one list, in the order they are to be shown in.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Their numbers. Those of the list that are not named come after them, as they were.
    #[schema(max_items = 1000)]
    ids: Vec<i64>,
}

/// Put the usages of a type in order
#[utoipa::path(
    put, path = "/v1/web/usages/order", tag = "web", operation_id = "web_usage_order",
    request_body = Order,
    responses((status = 200, description = "All usages of the list, in order", body = serde_json::Value)),
)]
async fn order(State(web): State<Web>, Json(order): Json<Order>) -> ApiResult<Json<Value>> {
    let mut sorted = order.ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if order.ids.is_empty() || sorted.len() < order.ids.len() || order.ids.len() > 1000 {
        let problem = Problem::new(codes::REQUEST_INVALID);
        let reason = "`ids` names 1 to 1000 usages, each once";
        return Err(problem.with("reason", reason).into());
    }
    let database = web.database()?;
    let site = web.site().await?;
    let stored = store::order(database, &order.ids).await?;
    let items: Vec<Value> = stored.iter().map(|it| document(it, &site)).collect();
    Ok(Json(json!({ "items": items })))
}

/// One usage
#[utoipa::path(
    get, path = "/v1/web/usages/{id}", tag = "web", operation_id = "web_usage_show",
    params(("id" = i64, Path, description = "The usage")),
    responses((status = 200, description = "The usage", body = serde_json::Value)),
)]
async fn show(State(web): State<Web>, Path(id): Path<i64>) -> ApiResult<Json<Value>> {
    let database = web.database()?;
    let site = web.site().await?;
    let stored = store::find(database.conn(), id).await?;
    Ok(Json(document(&stored, &site)))
}

/// Change a usage; what is not named stays
#[utoipa::path(
    patch, path = "/v1/web/usages/{id}", tag = "web", operation_id = "web_usage_change",
    params(("id" = i64, Path, description = "The usage")), request_body = serde_json::Value,
    responses(
        (status = 200, description = "The usage; `findings` are warnings", body = serde_json::Value),
        (status = 422, description = "Everything that is wrong, at once"),
    ),
)]
async fn change(
    State(web): State<Web>,
    Path(id): Path<i64>,
    Language(lang): Language,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    let database = web.database()?;
    let (stored, findings) = store::change(database, id, &body).await?;
    Ok(Json(with_findings(&web, &stored, &findings, lang).await?))
}

/// Offer a plugin there no longer
#[utoipa::path(
    delete, path = "/v1/web/usages/{id}", tag = "web", operation_id = "web_usage_delete",
    params(("id" = i64, Path, description = "The usage")),
    responses(
        (status = 204, description = "It is deleted; its row stays"),
        (status = 409, description = "It is protected"),
    ),
)]
async fn delete(State(web): State<Web>, Path(id): Path<i64>) -> ApiResult<StatusCode> {
    let database = web.database()?;
    store::delete(database, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who answers a request for content of this type: the plugin that was chosen, or the main program
#[utoipa::path(
    get, path = "/v1/web/usages/{id}/data-sources/{name}", tag = "web",
    operation_id = "web_usage_data_source",
    params(
        ("id" = i64, Path, description = "A usage of type 4"),
        ("name" = String, Path, description = "The request, e.g. `postByAll`"),
    ),
    responses((status = 200, description = "`plugin` is null where the main program answers", body = serde_json::Value)),
)]
async fn data_source(
    State(web): State<Web>,
    Path((id, name)): Path<(i64, String)>,
) -> ApiResult<Json<Value>> {
    let Some((name, command)) = SOURCES.into_iter().find(|(known, _)| *known == name) else {
        let names = SOURCES.map(|(name, _)| name).join("`, `");
        let problem = Problem::new(codes::REQUEST_INVALID);
        let reason = format!("a data source is one of `{names}`");
        return Err(problem.with("reason", reason).into());
    };
    let database = web.database()?;
    let stored = store::find(database.conn(), id).await?;
    let Some(chosen) = sources::chosen(stored.draft.data_sources.as_ref(), name) else {
        return Ok(Json(
            json!({ "plugin": null, "command": command, "reason": null }),
        ));
    };
    let record = records::find_live(database.conn(), chosen)
        .await
        .map_err(Problem::from)?;
    let answering = sources::answering(chosen, record.as_ref());
    if let Some(reason) = answering.reason {
        tracing::warn!(
            usage = id,
            source = name,
            plugin = chosen,
            reason,
            "The main program answers in place of a plugin"
        );
    }
    Ok(Json(json!({
        "plugin": answering.plugin,
        "command": command,
        "reason": answering.reason,
    })))
}

/// A usage as operators see it, with the page it leads to.
fn document(stored: &Stored, site: &Site) -> Value {
    let mut document = stored.draft.document();
    let url = stored.plugin.as_ref().map(|plugin| {
        let parameter = Parameter {
            value: stored.draft.usage.parameter.as_deref(),
            encoding: site.parameter_encoding(),
        };
        usage_url(&site.addresses(plugin), parameter).ok()
    });
    let icon = site.icon(
        stored.draft.icon_file_id,
        stored.draft.icon_file_url.as_deref(),
    );
    document["icon"] = json!(icon);
    document["url"] = json!(url.flatten());
    document["createdAt"] = json!(records::rfc3339(stored.created_at));
    document["updatedAt"] = json!(stored.updated_at.map(records::rfc3339));
    document["deletedAt"] = json!(stored.deleted_at.map(records::rfc3339));
    document
}

async fn with_findings(
    web: &Web,
    stored: &Stored,
    findings: &[Finding],
    lang: Lang,
) -> Result<Value, Problem> {
    let site = web.site().await?;
    let mut answer = document(stored, &site);
    answer["findings"] = findings.iter().map(|it| json!(it.document(lang))).collect();
    Ok(answer)
}
