//! `/rules`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::stream;
use plugyard_http::sse::{Closing, SseEvent, events};
use plugyard_http::{Path, ProblemResponse};
use serde_json::json;
use serde_json::value::RawValue;

use super::reply::{During, Failure, Text, document, text, text_as_json};
use crate::{FlowService, RuleSummary, Tail, TailEvent};

/// All rules.
#[utoipa::path(get, path = "/rules", tag = "rules", operation_id = "rules_list",
    responses((status = 200, description = "Sorted by id", body = Vec<RuleSummary>)))]
pub(super) async fn list(State(service): State<FlowService>) -> Response {
    document(&service.rules())
}

/// Creates a rule and starts it, unless it says `"triggered": false`.
#[utoipa::path(post, path = "/rules", tag = "rules", operation_id = "rules_create",
    request_body(content = Object, description = "id, sql, actions, options, …"),
    responses((status = 201, description = "`Rule <id> was created successfully.`", body = String),
        (status = 400, description = "Why it is not possible", body = String)))]
pub(super) async fn create(
    State(service): State<FlowService>,
    Text(body): Text,
) -> Result<Response, Failure> {
    let id = service.create_rule(&body).await?;
    Ok(text(
        StatusCode::CREATED,
        format!("Rule {id} was created successfully."),
    ))
}

/// Whether a rule could be created.
#[utoipa::path(post, path = "/rules/validate", tag = "rules", operation_id = "rules_validate",
    request_body(content = Object, description = "As for creating one"),
    responses((status = 200, description = "It could; the streams it reads", body = Object),
        (status = 422, description = "Why not", body = String)))]
pub(super) async fn validate(State(service): State<FlowService>, Text(body): Text) -> Response {
    match service.validate_rule(&body).await {
        Ok(sources) => document(&json!({ "sources": sources, "valid": true })),
        Err(error) => text(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
    }
}

/// How all rules stand, in short.
#[utoipa::path(get, path = "/rules/status/all", tag = "rules", operation_id = "rules_status_all",
    responses((status = 200, description = "Id → status, last_exception, exceptions_total", body = Object)))]
pub(super) async fn all_status(State(service): State<FlowService>) -> Response {
    document(&service.all_status())
}

/// A rule, as it was sent.
#[utoipa::path(get, path = "/rules/{id}", tag = "rules", operation_id = "rules_show",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "The rule", body = Object),
        (status = 404, description = "No such rule", body = String)))]
pub(super) async fn show(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let json = service.rule_json(&id).during("Describe rule error")?;
    Ok(text_as_json(json.to_string()))
}

/// Replaces a rule, or creates it. Until the new one has been found possible the old one runs on.
#[utoipa::path(put, path = "/rules/{id}", tag = "rules", operation_id = "rules_replace",
    params(("id" = String, Path, description = "The rule")),
    request_body(content = Object, description = "As for creating one"),
    responses((status = 200, description = "`Rule <id> was updated successfully.`", body = String),
        (status = 400, description = "Why it is not possible; the old one runs on", body = String)))]
pub(super) async fn replace(
    State(service): State<FlowService>,
    Path(id): Path<String>,
    Text(body): Text,
) -> Result<Response, Failure> {
    let result = service.put_rule(&id, &body).await;
    result.during("Update rule error")?;
    Ok(text(
        StatusCode::OK,
        format!("Rule {id} was updated successfully."),
    ))
}

/// Deletes a rule.
#[utoipa::path(delete, path = "/rules/{id}", tag = "rules", operation_id = "rules_delete",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "`Rule <id> is dropped.`", body = String),
        (status = 400, description = "No such rule", body = String)))]
pub(super) async fn delete(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let result = service.delete_rule(&id).await;
    result.during("Delete rule error")?;
    Ok(text(StatusCode::OK, format!("Rule {id} is dropped.")))
}

/// Starts a rule.
#[utoipa::path(post, path = "/rules/{id}/start", tag = "rules", operation_id = "rules_start",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "`Rule <id> was started`", body = String),
        (status = 400, description = "Why it cannot be started", body = String),
        (status = 404, description = "No such rule", body = String)))]
pub(super) async fn start(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let result = service.start_rule(&id).await;
    result.during("start rule error")?;
    Ok(text(StatusCode::OK, format!("Rule {id} was started")))
}

/// Stops a rule.
#[utoipa::path(post, path = "/rules/{id}/stop", tag = "rules", operation_id = "rules_stop",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "`Rule <id> was stopped.`", body = String),
        (status = 404, description = "No such rule", body = String)))]
pub(super) async fn stop(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let result = service.stop_rule(&id).await;
    result.during("stop rule error")?;
    Ok(text(StatusCode::OK, format!("Rule {id} was stopped.")))
}

/// Stops and starts a rule; its counters begin anew.
#[utoipa::path(post, path = "/rules/{id}/restart", tag = "rules", operation_id = "rules_restart",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "`Rule <id> was restarted`", body = String),
        (status = 400, description = "Why it cannot be started", body = String),
        (status = 404, description = "No such rule", body = String)))]
pub(super) async fn restart(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let result = service.restart_rule(&id).await;
    result.during("restart rule error")?;
    Ok(text(StatusCode::OK, format!("Rule {id} was restarted")))
}

/// How a rule stands, with the metrics of its nodes; indented by two spaces.
#[utoipa::path(get, path = "/rules/{id}/status", tag = "rules", operation_id = "rules_status",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "The status", body = Object),
        (status = 404, description = "No such rule", body = String)))]
pub(super) async fn status(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let status = service.rule_status(&id).during("get rule status error")?;
    let text = serde_json::to_string_pretty(&status).expect("a status is plain data");
    Ok(text_as_json(text))
}

/// The same without indentation.
#[utoipa::path(get, path = "/v2/rules/{id}/status", tag = "rules", operation_id = "rules_status_v2",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "The status", body = Object),
        (status = 404, description = "No such rule", body = String)))]
pub(super) async fn status_v2(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let status = service.rule_status(&id).during("get rule status error")?;
    Ok(document(&status))
}

/// A rule's nodes, and what leads from which to which.
#[utoipa::path(get, path = "/rules/{id}/topo", tag = "rules", operation_id = "rules_topology",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "Sources and edges", body = Object),
        (status = 404, description = "No such rule", body = String)))]
pub(super) async fn topology(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let topology = service.rule_topology(&id).during("get rule topo error")?;
    Ok(document(&topology))
}

/// What a rule does, in eKuiper's form: a line for each operator, the last first.
#[utoipa::path(get, path = "/rules/{id}/explain", tag = "rules", operation_id = "rules_explain_lines",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "A JSON object with `op` and `info` on each line", body = String),
        (status = 400, description = "Why it cannot run as it is, or that it is a graph", body = String),
        (status = 404, description = "No such rule", body = String)))]
pub(super) async fn explain_lines(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let lines = service.explain_rule_in_lines(&id).await;
    Ok(text(StatusCode::OK, lines.during("explain rules error")?))
}

/// What a rule does: its nodes, the plugins that have a part in it with their versions, and the options and
/// properties in force, also those that the rule does not name.
#[utoipa::path(get, path = "/v1/rules/{id}/explain", tag = "rules", operation_id = "rules_explain",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "The plan", body = Object),
        (status = 404, description = "No such rule"),
        (status = 400, description = "Why it cannot run as it is")))]
pub(super) async fn explain(
    State(service): State<FlowService>,
    Path(id): Path<String>,
) -> Response {
    plan(service.explain_rule(&id).await)
}

/// What a rule would do; it is not made.
#[utoipa::path(post, path = "/v1/rules/explain", tag = "rules", operation_id = "rules_explain_draft",
    request_body(content = Object, description = "As for creating one"),
    responses((status = 200, description = "The plan", body = Object),
        (status = 400, description = "Why it could not run")))]
pub(super) async fn explain_draft(
    State(service): State<FlowService>,
    Text(body): Text,
) -> Response {
    plan(service.explain_draft(&body).await)
}

fn plan(plan: Result<serde_json::Value, crate::FlowError>) -> Response {
    match plan {
        Ok(plan) => document(&plan),
        Err(error) => ProblemResponse(error.problem()).into_response(),
    }
}

/// The rows a rule gives to its sinks, from now on, as server-sent events: `row` with the row, `dropped` with
/// `{"count"}` when the reader was too slow for so many. The rule itself never waits for a reader.
#[utoipa::path(get, path = "/v1/rules/{id}/tail", tag = "rules", operation_id = "rules_tail",
    params(("id" = String, Path, description = "The rule")),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String),
        (status = 404, description = "No such rule")))]
pub(super) async fn tail(
    State(service): State<FlowService>,
    Path(id): Path<String>,
    closing: Closing,
) -> Response {
    match service.tail_rule(&id) {
        Ok(tail) => events(closing, stream::unfold(tail, next_event)),
        Err(error) => ProblemResponse(error.problem()).into_response(),
    }
}

async fn next_event(mut tail: Tail) -> Option<(SseEvent, Tail)> {
    let event = match tail.next().await? {
        TailEvent::Row(row) => {
            // Rows are encoded by us, so this is JSON; an empty object would be the least surprising if not.
            let row = String::from_utf8(row.to_vec())
                .ok()
                .and_then(|text| RawValue::from_string(text).ok());
            SseEvent::new(None, "row", &row)
        }
        TailEvent::Dropped(count) => SseEvent::new(None, "dropped", &json!({ "count": count })),
    };
    Some((event, tail))
}
