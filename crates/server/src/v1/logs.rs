//! What plugins wrote.

use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use plugyard_http::sse::{Closing, LastEventId, SseEvent, events};
use plugyard_http::{ApiResult, Json, Path, Query};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_platform::kind::LogLine;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

/// Most lines that can be asked for at once.
const MAX_TAIL: usize = 10_000;

pub(super) const RIGHTS: &[Entry] = &[(
    Method::GET,
    "/v1/installations/{plugin}/logs",
    Right::PluginRead,
)];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(logs))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// How many of the latest lines, at most 10000; 100 unless said otherwise.
    #[param(maximum = 10000)]
    tail: Option<usize>,
    /// Go on with lines as they come, as `Accept: text/event-stream` does.
    #[serde(default)]
    follow: bool,
}

/// Lines of a plugin's log.
#[derive(Debug, Serialize, ToSchema)]
struct Log {
    /// Oldest first.
    lines: Vec<Line>,
}

/// One line a plugin wrote.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLine)]
struct Line {
    /// Position in the plugin's log; grows by one per line.
    sequence: u64,
    /// Milliseconds since 1970 (UTC).
    time: i64,
    /// `stdout`, `stderr`, or `host` for what the platform says about the plugin.
    stream: String,
    /// Process id, 0 for `host`.
    pid: u32,
    /// The text without its line end.
    text: String,
}

impl From<LogLine> for Line {
    fn from(line: LogLine) -> Self {
        Self {
            sequence: line.sequence,
            time: line.time,
            stream: line.stream,
            pid: line.pid,
            text: line.text,
        }
    }
}

/// The latest lines a plugin wrote
///
/// With `Accept: text/event-stream` or `follow=true` a stream of events `line`, whose ids are the
/// positions of the lines.
#[utoipa::path(
    get, path = "/v1/installations/{plugin}/logs", tag = "installations", operation_id = "installation_logs",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), LogQuery),
    responses((status = 200, description = "The lines", content(
        (Log = "application/json"),
        (String = "text/event-stream"),
    ))),
)]
async fn logs(
    State(app): State<App>,
    Path(plugin): Path<String>,
    Query(query): Query<LogQuery>,
    LastEventId(last): LastEventId,
    closing: Closing,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let tail = query.tail.unwrap_or(100);
    if tail > MAX_TAIL {
        let reason = format!("`tail` must be at most {MAX_TAIL}");
        return Err(Problem::new(codes::REQUEST_INVALID)
            .with("reason", reason)
            .into());
    }
    let plugin = app.platform.installation(&plugin).await?.plugin;
    let kind = app.platform.kind(&plugin.kind)?;
    if !query.follow && !wants_events(&headers) {
        let (lines, _) = kind.logs(&plugin, tail);
        let lines = lines.into_iter().map(Into::into).collect();
        return Ok(Json(Log { lines }).into_response());
    }
    // Who comes back gets what came meanwhile, as far as it is still there.
    let tail = if last.is_some() { MAX_TAIL } else { tail };
    let (lines, following) = kind.logs(&plugin, tail);
    let missed = lines
        .into_iter()
        .filter(move |line| last.is_none_or(|last| line.sequence > last));
    let source = stream::iter(missed.collect::<Vec<_>>())
        .chain(following)
        .map(|line| SseEvent::new(Some(line.sequence), "line", &Line::from(line)));
    Ok(events(closing, source))
}

/// Whether the client asks for a stream of events.
fn wants_events(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"))
}
