//! `/v1/operations`: changes under way and their outcome.

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use futures::StreamExt;
use plugyard_http::sse::{Closing, LastEventId, SseEvent, events};
use plugyard_http::{ApiResult, Json, Language, Page, PageQuery, Path, ProblemBody, Query};
use plugyard_model::rights::Right;
use plugyard_model::{Lang, OperationId, PluginName, Problem, ProblemDocument, StepName, codes};
use plugyard_platform::OperationView;
use plugyard_platform::kind::Action;
use plugyard_platform::operations::{
    OperationEvent, OperationFilter, OperationState, StepState, StepView,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;
use crate::remembered::{self, Key};

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/operations", Right::OperationRead),
    (Method::GET, "/v1/operations/{id}", Right::OperationRead),
    (
        Method::POST,
        "/v1/operations/{id}/cancel",
        Right::OperationCancel,
    ),
    (
        Method::GET,
        "/v1/operations/{id}/events",
        Right::OperationRead,
    ),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .routes(routes!(follow))
}

/// One change to an installation.
#[derive(Debug, Serialize, ToSchema)]
struct Operation {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: OperationId,
    /// Whose, `kind:key`.
    #[schema(value_type = String)]
    plugin: PluginName,
    /// `install`, `upgrade`, `rollback`, `enable`, `disable`, `restart`, `uninstall` or `perform`.
    #[schema(value_type = String)]
    action: Action,
    /// Which of its kind's own tasks, for `perform`.
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    /// `running`, `done`, `failed`, `rolled_back`, `undo_failed` or `cancelled`.
    #[schema(value_type = String)]
    state: OperationState,
    /// In order; empty while it is being planned.
    steps: Vec<Step>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemBody>)]
    error: Option<ProblemDocument>,
    /// The failed step's own text, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_text: Option<String>,
    /// Who asked for it.
    created_by: String,
    /// Milliseconds since 1970 (UTC).
    created_at: i64,
    /// Milliseconds since 1970 (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<i64>,
}

/// One step of a change.
#[derive(Debug, Serialize, ToSchema)]
struct Step {
    /// `fetch`, `verify`, `inspect`, `unpack`, `build`, `migrate`, `start`, `probe`, `ready`,
    /// `commit`, `stop` or `remove`.
    #[schema(value_type = String)]
    name: StepName,
    /// What the kind does under that word.
    action: String,
    /// Whether the new state holds from here on.
    commit: bool,
    /// `pending`, `running`, `done`, `failed`, `undoing`, `undone` or `skipped`.
    #[schema(value_type = String)]
    state: StepState,
    /// Milliseconds since 1970 (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<i64>,
    /// Milliseconds since 1970 (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<i64>,
    /// What it said.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Value>,
    /// Why it failed, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Operation {
    fn new(view: OperationView, lang: Lang) -> Self {
        Self {
            error: error(&view, lang),
            id: view.id,
            plugin: view.plugin,
            action: view.action,
            task: view.task,
            state: view.state,
            steps: view.steps.into_iter().map(Into::into).collect(),
            error_text: view.failure.map(|failure| failure.text),
            created_by: view.created_by,
            created_at: view.created_at,
            ended_at: view.ended_at,
        }
    }
}

impl From<StepView> for Step {
    fn from(step: StepView) -> Self {
        Self {
            name: step.name,
            action: step.action,
            commit: step.commit,
            state: step.state,
            started_at: step.started_at,
            ended_at: step.ended_at,
            output: step.output,
            error: step.error,
        }
    }
}

fn error(view: &OperationView, lang: Lang) -> Option<ProblemDocument> {
    let problem = view.problem.as_ref()?;
    Some(problem.document(lang, &format!("/v1/operations/{}", view.id)))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Of this plugin only: `kind:key`, or a key that only one kind has.
    plugin: Option<String>,
}

/// The operations, latest first
#[utoipa::path(
    get, path = "/v1/operations", tag = "operations", operation_id = "operation_list",
    params(Filter, PageQuery),
    responses((status = 200, description = "A page of them", body = Page<Operation>)),
)]
async fn list(
    State(app): State<App>,
    Language(lang): Language,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Response> {
    let plugin = match filter.plugin {
        // A full name also finds the operations of what is no longer installed.
        Some(name) => Some(match name.parse() {
            Ok(full) => full,
            Err(_) => app.platform.installation(&name).await?.plugin,
        }),
        None => None,
    };
    let filter = OperationFilter { plugin };
    let key = Key {
        route: "operations",
        asked: format!("{filter:?} {page:?}"),
        lang,
    };
    let make = async || {
        let page = app.platform.operations(&filter, &page).await?;
        // Those under way say more than the database does.
        let over = page.items.iter().all(|view| view.ended_at.is_some());
        let documents = Page {
            items: page
                .items
                .into_iter()
                .map(|view| Operation::new(view, lang))
                .collect(),
            next: page.next,
        };
        Ok((documents, over))
    };
    Ok(remembered::answer(&app.lists, &app.platform, key, make).await?)
}

/// One operation with its steps
#[utoipa::path(
    get, path = "/v1/operations/{id}", tag = "operations", operation_id = "operation_show",
    params(("id" = String, Path, description = "The operation's id")),
    responses((status = 200, description = "The operation", body = Operation)),
)]
async fn show(
    State(app): State<App>,
    Language(lang): Language,
    Path(id): Path<OperationId>,
) -> ApiResult<Json<Operation>> {
    let view = app.platform.operation(id).await?;
    Ok(Json(Operation::new(view, lang)))
}

/// Ask an operation to go back
///
/// It ends as `cancelled` when it got there; refused when it has taken effect already.
#[utoipa::path(
    post, path = "/v1/operations/{id}/cancel", tag = "operations", operation_id = "operation_cancel",
    params(("id" = String, Path, description = "The operation's id")),
    responses((status = 202, description = "It is on its way back")),
)]
async fn cancel(State(app): State<App>, Path(id): Path<OperationId>) -> ApiResult<StatusCode> {
    app.platform.cancel(id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Follow an operation to its end
///
/// Server-sent events: `step` with `index`, `name`, `state`, `ms`; `log` with `line`; `end` with
/// `state` and, when it failed, `error` (a problem); `waiting` with `error`, when the disk of the database is
/// full: it goes on when there is room. `Last-Event-ID` goes on after that event.
#[utoipa::path(
    get, path = "/v1/operations/{id}/events", tag = "operations", operation_id = "operation_follow",
    params(("id" = String, Path, description = "The operation's id")),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String)),
)]
async fn follow(
    State(app): State<App>,
    Language(lang): Language,
    Path(id): Path<OperationId>,
    LastEventId(last): LastEventId,
    closing: Closing,
) -> ApiResult<Response> {
    let source = app.platform.operation_events(id, last).await?;
    let source = source.then(move |event| told(app.clone(), id, lang, event));
    Ok(events(closing, source))
}

/// The event as sent: the last one says why, in the reader's language.
async fn told(app: App, id: OperationId, lang: Lang, event: OperationEvent) -> SseEvent {
    let name = match event.name.as_str() {
        "step" => "step",
        "log" => "log",
        "end" => "end",
        "waiting" => "waiting",
        _ => "other",
    };
    let mut data = event.data;
    if matches!(name, "end" | "waiting")
        && let Some(data) = data.as_object_mut()
    {
        match app.platform.operation(id).await {
            Ok(view) => {
                if let Some(error) = error(&view, lang) {
                    let error = serde_json::to_value(error).unwrap_or_default();
                    data.insert("error".to_owned(), error);
                }
            }
            // The state in the event still tells that it failed.
            Err(problem) => tracing::warn!(%problem, "Cannot read an operation that ended"),
        }
    }
    SseEvent::new(Some(event.sequence), name, &data)
}

/// `request_invalid` for the routes beside this one.
pub(super) fn invalid(reason: &str) -> Problem {
    Problem::new(codes::REQUEST_INVALID).with("reason", reason)
}
