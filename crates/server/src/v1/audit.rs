//! `/v1/audit`: who changed what.

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{ApiResult, Json, Page, PageQuery, Query};
use plugyard_model::rights::Right;
use plugyard_platform::audit::AuditEvent;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[(Method::GET, "/v1/audit", Right::AuditRead)];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A row of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
struct Row {
    /// Grows with each.
    id: i64,
    /// Milliseconds since 1970 (UTC).
    at: i64,
    /// Who.
    who: String,
    /// What, as `METHOD /path/{template}` or a word.
    action: String,
    /// To what.
    target: String,
    /// `ok`, or the code of the problem it was answered with.
    result: String,
    /// Id of the request, to be found in the server's log.
    request: String,
}

impl From<AuditEvent> for Row {
    fn from(event: AuditEvent) -> Self {
        Self {
            id: event.id,
            at: event.at,
            who: event.who,
            action: event.action,
            target: event.target,
            result: event.result,
            request: event.request,
        }
    }
}

/// The audit log, latest first
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", operation_id = "audit_list",
    params(PageQuery),
    responses((status = 200, description = "A page of it", body = Page<Row>)),
)]
async fn list(State(app): State<App>, Query(page): Query<PageQuery>) -> ApiResult<Json<Page<Row>>> {
    let page = app.platform.audit_list(&page).await?;
    Ok(Json(Page {
        items: page.items.into_iter().map(Into::into).collect(),
        next: page.next,
    }))
}
