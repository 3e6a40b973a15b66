//! `/v1/audit`: who changed what.

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{ApiResult, Json, Page, PageQuery, Query};
use plugyard_model::PluginName;
use plugyard_model::rights::Right;
use plugyard_platform::audit::{AuditEvent, AuditFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
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
    /// The plugin it concerns, `kind:key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<String>,
}

/// Which rows are wanted; all of it must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only what concerns this plugin, `kind:key`.
    #[param(value_type = Option<String>)]
    plugin: Option<PluginName>,
    /// Only what this one did: an account's name, `local`, `nobody`, `plugin`.
    who: Option<String>,
    /// Only what happened at this time or later, in milliseconds since 1970 (UTC).
    since: Option<i64>,
    /// Only what happened before this time, in milliseconds since 1970 (UTC).
    until: Option<i64>,
}

impl From<Filter> for AuditFilter {
    fn from(filter: Filter) -> Self {
        Self {
            plugin: filter.plugin,
            who: filter.who,
            since: filter.since,
            until: filter.until,
        }
    }
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
            plugin: event.plugin,
        }
    }
}

/// The audit log, latest first
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", operation_id = "audit_list",
    params(Filter, PageQuery),
    responses((status = 200, description = "A page of it", body = Page<Row>)),
)]
async fn list(
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Page<Row>>> {
    let page = app.platform.audit_list(&filter.into(), &page).await?;
    Ok(Json(Page {
        items: page.items.into_iter().map(Into::into).collect(),
        next: page.next,
    }))
}
