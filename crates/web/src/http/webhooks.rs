//! `/v1/webhooks`: endpoints that are told of events, and what was delivered.

use std::time::Instant;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Caller, Cursor, Json, Page, PageQuery, Path, Query};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_store::StoreError;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Set,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Entry;
use crate::entity::delivery;
use crate::host::{Web, now};
use crate::records;
use crate::webhooks::deliver::{self, DEAD, WAITING};
use crate::webhooks::endpoints::{self, NewWebhook, WebhookChange, invalid};

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/webhooks", Right::PluginRead),
    (Method::POST, "/v1/webhooks", Right::PluginConfigure),
    (Method::GET, "/v1/webhooks/{webhook}", Right::PluginRead),
    (
        Method::PATCH,
        "/v1/webhooks/{webhook}",
        Right::PluginConfigure,
    ),
    (
        Method::DELETE,
        "/v1/webhooks/{webhook}",
        Right::PluginConfigure,
    ),
    (
        Method::POST,
        "/v1/webhooks/{webhook}/test",
        Right::PluginConfigure,
    ),
    (Method::GET, "/v1/webhook-deliveries", Right::PluginRead),
    (
        Method::GET,
        "/v1/webhook-deliveries/{delivery}",
        Right::PluginRead,
    ),
    (
        Method::POST,
        "/v1/webhook-deliveries/{delivery}/retry",
        Right::PluginConfigure,
    ),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, remove))
        .routes(routes!(test))
        .routes(routes!(deliveries))
        .routes(routes!(delivery_show))
        .routes(routes!(retry))
}

/// The webhooks
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", operation_id = "webhook_list",
    responses((status = 200, description = "The webhooks, without their secrets", body = serde_json::Value)),
)]
async fn list(State(web): State<Web>) -> ApiResult<Json<Value>> {
    let rows = endpoints::all(web.connection()?)
        .await
        .map_err(Problem::from)?;
    let items: Vec<Value> = rows.iter().map(endpoints::document).collect();
    Ok(Json(json!({ "items": items })))
}

/// Register a webhook
///
/// Its secret is in this answer and in no other.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", operation_id = "webhook_create",
    request_body = NewWebhook,
    responses(
        (status = 201, description = "The webhook with its `secret`", body = serde_json::Value),
        (status = 409, description = "There is one of that name", body = plugyard_http::ProblemBody),
        (status = 422, description = "A field cannot be used", body = plugyard_http::ProblemBody),
    ),
)]
async fn create(
    State(web): State<Web>,
    Caller(who): Caller,
    Json(new): Json<NewWebhook>,
) -> ApiResult<Response> {
    let secrets = web.platform.secrets().await?;
    let database = web.database()?;
    let transaction = database.begin().await.map_err(Problem::from)?;
    let (row, secret) = endpoints::add(&transaction, &secrets, &new, &who.name, now()).await?;
    transaction.commit().await.map_err(Problem::from)?;
    let mut document = endpoints::document(&row);
    document["secret"] = secret.expose().into();
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, headers, Json(document)).into_response())
}

/// One webhook
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook}", tag = "webhooks", operation_id = "webhook_show",
    params(("webhook" = String, Path, description = "Its id or name")),
    responses(
        (status = 200, description = "The webhook", body = serde_json::Value),
        (status = 404, description = "No such webhook", body = plugyard_http::ProblemBody),
    ),
)]
async fn show(State(web): State<Web>, Path(webhook): Path<String>) -> ApiResult<Json<Value>> {
    let connection = web.connection()?;
    let row = endpoints::find(connection, &webhook).await?;
    Ok(Json(endpoints::document(&row)))
}

/// Change a webhook
#[utoipa::path(
    patch, path = "/v1/webhooks/{webhook}", tag = "webhooks", operation_id = "webhook_change",
    params(("webhook" = String, Path, description = "Its id or name")),
    request_body = WebhookChange,
    responses(
        (status = 200, description = "The webhook", body = serde_json::Value),
        (status = 404, description = "No such webhook", body = plugyard_http::ProblemBody),
        (status = 422, description = "A field cannot be used", body = plugyard_http::ProblemBody),
    ),
)]
async fn change(
    State(web): State<Web>,
    Path(webhook): Path<String>,
    Json(change): Json<WebhookChange>,
) -> ApiResult<Json<Value>> {
    let connection = web.connection()?;
    let row = endpoints::find(connection, &webhook).await?;
    let row = endpoints::change(connection, row, &change, now()).await?;
    if row.is_enabled {
        // What waited while it was disabled goes on.
        deliver::ask_for_all(&web.host, Some(row.id))
            .await
            .map_err(Problem::from)?;
    }
    Ok(Json(endpoints::document(&row)))
}

/// Remove a webhook with all its deliveries
#[utoipa::path(
    delete, path = "/v1/webhooks/{webhook}", tag = "webhooks", operation_id = "webhook_delete",
    params(("webhook" = String, Path, description = "Its id or name")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such webhook", body = plugyard_http::ProblemBody),
    ),
)]
async fn remove(State(web): State<Web>, Path(webhook): Path<String>) -> ApiResult<StatusCode> {
    let database = web.database()?;
    let transaction = database.begin().await.map_err(Problem::from)?;
    let row = endpoints::find(&*transaction, &webhook).await?;
    endpoints::remove(&transaction, &row)
        .await
        .map_err(Problem::from)?;
    transaction.commit().await.map_err(Problem::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a webhook an event that means nothing
///
/// It is sent at once and only once, also when the webhook is disabled.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook}/test", tag = "webhooks", operation_id = "webhook_test",
    params(("webhook" = String, Path, description = "Its id or name")),
    responses(
        (status = 200, description = "What came of it", body = serde_json::Value),
        (status = 404, description = "No such webhook", body = plugyard_http::ProblemBody),
    ),
)]
async fn test(State(web): State<Web>, Path(webhook): Path<String>) -> ApiResult<Json<Value>> {
    let connection = web.connection()?;
    let row = endpoints::find(connection, &webhook).await?;
    let body = json!({
        "type": "webhook.test",
        "timestamp": records::rfc3339(records::time(now())),
        "data": {},
    });
    let test = delivery::Model {
        seq: 0,
        id: Uuid::now_v7(),
        webhook_id: row.id,
        event_id: String::new(),
        event: "webhook.test".to_owned(),
        fskey: String::new(),
        body: body.to_string(),
        state: WAITING.to_owned(),
        attempts: 0,
        next_at: 0,
        status: None,
        error: None,
        created_at: now(),
        ended_at: None,
    };
    let begun = Instant::now();
    let limit = web.host.settings().webhooks.timeout;
    let (delivered, status, error) = match deliver::send(&web.host, &row, &test, limit).await {
        Ok(answer) if answer.is_success() => (true, Some(answer.status), None),
        Ok(answer) => (
            false,
            Some(answer.status),
            Some(format!("it answered {}", answer.status)),
        ),
        Err(reason) => (false, None, Some(reason)),
    };
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Json(json!({
        "delivered": delivered,
        "status": status,
        "error": error,
        "milliseconds": took,
    })))
}

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DeliveryQuery {
    /// Only those to this webhook, by id or name.
    webhook: Option<String>,
    /// Only those in this state: `waiting`, `delivered`, `dead`, `passed`, `vetoed`, `unreachable`.
    state: Option<String>,
    /// Only those of this plugin.
    fskey: Option<String>,
}

/// What was delivered and what was not, the latest first
#[utoipa::path(
    get, path = "/v1/webhook-deliveries", tag = "webhooks", operation_id = "webhook_delivery_list",
    params(DeliveryQuery, PageQuery),
    responses(
        (status = 200, description = "The deliveries", body = serde_json::Value),
        (status = 404, description = "No such webhook", body = plugyard_http::ProblemBody),
    ),
)]
async fn deliveries(
    State(web): State<Web>,
    Query(query): Query<DeliveryQuery>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Value>> {
    use delivery::Column;
    const STATES: [&str; 6] = [
        "waiting",
        "delivered",
        "dead",
        "passed",
        "vetoed",
        "unreachable",
    ];
    let connection = web.connection()?;
    let limit = page.limit()?;
    let mut rows = delivery::Entity::find().order_by_desc(Column::Seq);
    if let Some(webhook) = &query.webhook {
        let row = endpoints::find(connection, webhook).await?;
        rows = rows.filter(Column::WebhookId.eq(row.id));
    }
    if let Some(state) = &query.state {
        if !STATES.contains(&state.as_str()) {
            return Err(invalid("state", format!("it is one of {}", STATES.join(", "))).into());
        }
        rows = rows.filter(Column::State.eq(state));
    }
    if let Some(fskey) = &query.fskey {
        rows = rows.filter(Column::Fskey.eq(fskey));
    }
    if let Some(cursor) = &page.cursor {
        rows = rows.filter(Column::Seq.lt(cursor.position::<i64>()?));
    }
    let mut rows = rows
        .limit(u64::from(limit) + 1)
        .all(connection)
        .await
        .map_err(store)?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| Cursor::at(&row.seq));
    let page = Page {
        items: rows
            .iter()
            .map(|row| document(row, false))
            .collect::<Vec<Value>>(),
        next,
    };
    Ok(Json(serde_json::to_value(page).unwrap_or_default()))
}

/// One delivery, with what was sent
#[utoipa::path(
    get, path = "/v1/webhook-deliveries/{delivery}", tag = "webhooks", operation_id = "webhook_delivery_show",
    params(("delivery" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The delivery", body = serde_json::Value),
        (status = 404, description = "No such delivery", body = plugyard_http::ProblemBody),
    ),
)]
async fn delivery_show(State(web): State<Web>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    Ok(Json(document(&find(&web, &id).await?, true)))
}

/// Deliver a dead letter again
///
/// It comes after what was delivered meanwhile, under its old id.
#[utoipa::path(
    post, path = "/v1/webhook-deliveries/{delivery}/retry", tag = "webhooks", operation_id = "webhook_delivery_retry",
    params(("delivery" = String, Path, description = "Its id")),
    responses(
        (status = 202, description = "It waits for delivery", body = serde_json::Value),
        (status = 404, description = "No such delivery", body = plugyard_http::ProblemBody),
        (status = 409, description = "It is no dead letter", body = plugyard_http::ProblemBody),
    ),
)]
async fn retry(State(web): State<Web>, Path(id): Path<String>) -> ApiResult<Response> {
    let row = find(&web, &id).await?;
    if row.state != DEAD {
        return Err(Problem::new(codes::DELIVERY_NOT_DEAD)
            .with("delivery", row.id)
            .with("state", row.state)
            .into());
    }
    let database = web.database()?;
    let transaction = database.begin().await.map_err(Problem::from)?;
    let (webhook, fskey) = (row.webhook_id, row.fskey.clone());
    let mut row = row.into_active_model();
    row.state = Set(WAITING.to_owned());
    row.attempts = Set(0);
    row.next_at = Set(now());
    row.ended_at = Set(None);
    let row = row.update(&*transaction).await.map_err(store)?;
    deliver::ask(&web.host, &transaction, webhook, &fskey)
        .await
        .map_err(Problem::from)?;
    transaction.commit().await.map_err(Problem::from)?;
    Ok((StatusCode::ACCEPTED, Json(document(&row, false))).into_response())
}

async fn find(web: &Web, id: &str) -> Result<delivery::Model, Problem> {
    let unknown = || {
        Problem::new(codes::DELIVERY_NOT_FOUND)
            .with("delivery", id.chars().take(64).collect::<String>())
    };
    let bare = id.strip_prefix("msg_").unwrap_or(id);
    let parsed = Uuid::try_parse(bare).map_err(|_| unknown())?;
    delivery::Entity::find()
        .filter(delivery::Column::Id.eq(parsed))
        .one(web.connection()?)
        .await
        .map_err(store)?
        .ok_or_else(unknown)
}

fn document(row: &delivery::Model, body: bool) -> Value {
    let mut document = json!({
        "id": row.id,
        "webhook_id": row.webhook_id,
        "event": row.event,
        "fskey": row.fskey,
        "state": row.state,
        "attempts": row.attempts,
        "status": row.status,
        "error": row.error,
        "created_at": row.created_at,
        "next_at": (row.state == WAITING).then_some(row.next_at),
        "ended_at": row.ended_at,
    });
    if body {
        document["body"] = serde_json::from_str(&row.body).unwrap_or_default();
    }
    document
}

fn store(error: sea_orm::DbErr) -> Problem {
    StoreError::from(error).into()
}
