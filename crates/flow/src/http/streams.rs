//! `/streams`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use plugyard_http::{Path, Query};
use serde::Deserialize;

use super::reply::{During, Failure, Text, document, text};
use crate::{FlowError, FlowService, StreamSummary};

const COMMAND: &str = "Stream command error";

/// A statement.
#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Statement {
    /// `CREATE STREAM …`
    #[serde(default)]
    sql: String,
}

/// Takes the statement out of a body, whatever its media type, as eKuiper does.
fn statement(body: &str) -> Result<String, Failure> {
    serde_json::from_str::<Statement>(body)
        .map(|statement| statement.sql)
        .map_err(|error| FlowError::StreamBody(error.to_string()))
        .during("Invalid body")
}

/// Names of all streams.
#[utoipa::path(get, path = "/streams", tag = "streams", operation_id = "streams_list",
    responses((status = 200, description = "Sorted names", body = Vec<String>)))]
pub(super) async fn list(State(service): State<FlowService>) -> Response {
    let names: Vec<String> = service
        .streams()
        .into_iter()
        .map(|stream| stream.name)
        .collect();
    document(&names)
}

/// Creates a stream; the plugin of its TYPE need not be there yet.
#[utoipa::path(post, path = "/streams", tag = "streams", operation_id = "streams_create",
    request_body = Statement,
    responses((status = 201, description = "`Stream <name> is created.`", body = String),
        (status = 400, description = "Not understood, or there already", body = String)))]
pub(super) async fn create(
    State(service): State<FlowService>,
    Text(body): Text,
) -> Result<Response, Failure> {
    let sql = statement(&body)?;
    let name = service.create_stream(&sql).await.during(COMMAND)?;
    Ok(text(
        StatusCode::CREATED,
        format!("Stream {name} is created."),
    ))
}

/// All streams with their type and format.
#[utoipa::path(get, path = "/streamdetails", tag = "streams", operation_id = "streams_details",
    responses((status = 200, description = "Sorted by name", body = Vec<StreamSummary>)))]
pub(super) async fn details(State(service): State<FlowService>) -> Response {
    document(&service.streams())
}

/// A stream.
#[utoipa::path(get, path = "/streams/{name}", tag = "streams", operation_id = "streams_describe",
    params(("name" = String, Path, description = "The stream")),
    responses((status = 200, description = "Name, StreamFields, Options, StreamType, Statement", body = Object),
        (status = 400, description = "No such stream", body = String)))]
pub(super) async fn describe(
    State(service): State<FlowService>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let stream = service.describe_stream(&name);
    Ok(document(&stream.during("describe stream error")?))
}

/// Replaces a stream. Rules that run go on with the old one until they are restarted.
#[utoipa::path(put, path = "/streams/{name}", tag = "streams", operation_id = "streams_replace",
    params(("name" = String, Path, description = "The stream")), request_body = Statement,
    responses((status = 200, description = "`Stream <name> is replaced.`", body = String),
        (status = 400, description = "Not understood, or of another name", body = String),
        (status = 404, description = "No such stream", body = String)))]
pub(super) async fn replace(
    State(service): State<FlowService>,
    Path(name): Path<String>,
    Text(body): Text,
) -> Result<Response, Failure> {
    let sql = statement(&body)?;
    service.replace_stream(&name, &sql).await.during(COMMAND)?;
    Ok(text(StatusCode::OK, format!("Stream {name} is replaced.")))
}

/// How to delete.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct Deletion {
    /// `true`: also while rules read from it.
    #[serde(default)]
    force: String,
}

/// Deletes a stream; refused while a rule reads from it, unless forced.
#[utoipa::path(delete, path = "/streams/{name}", tag = "streams", operation_id = "streams_delete",
    params(("name" = String, Path, description = "The stream"), Deletion),
    responses((status = 200, description = "`Stream <name> is dropped.`", body = String),
        (status = 400, description = "Rules read from it", body = String),
        (status = 404, description = "No such stream", body = String)))]
pub(super) async fn delete(
    State(service): State<FlowService>,
    Path(name): Path<String>,
    Query(deletion): Query<Deletion>,
) -> Result<Response, Failure> {
    let force = ["1", "t", "T", "true", "TRUE", "True"].contains(&deletion.force.as_str());
    match service.drop_stream(&name, force).await {
        Ok(()) => Ok(text(StatusCode::OK, format!("Stream {name} is dropped."))),
        // The one refusal that eKuiper sends without words before it.
        Err(error @ FlowError::StreamReferenced(_)) => Err(error.into()),
        Err(error) => Err(error).during("delete stream error"),
    }
}

/// The types of a stream's columns; null when any are taken.
#[utoipa::path(get, path = "/streams/{name}/schema", tag = "streams", operation_id = "streams_schema",
    params(("name" = String, Path, description = "The stream")),
    responses((status = 200, description = "Column → type", body = Object),
        (status = 404, description = "No such stream", body = String)))]
pub(super) async fn schema(
    State(service): State<FlowService>,
    Path(name): Path<String>,
) -> Result<Response, Failure> {
    let schema = service.stream_schema(&name);
    Ok(document(&schema.during("get schema of stream error")?))
}
