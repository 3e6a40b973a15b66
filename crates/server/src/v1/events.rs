//! `/v1/events`: one stream for everything a client watches.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use futures::StreamExt;
use plugyard_http::sse::{Closing, LastEventId, SseEvent, events};
use plugyard_http::{ApiResult, Query};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_platform::events::LOST_TOPIC;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

/// Most topics of one stream.
const MAX_TOPICS: usize = 64;

pub(super) const RIGHTS: &[Entry] = &[(Method::GET, "/v1/events", Right::OperationRead)];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(watch))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Topics {
    /// What to watch, separated by commas: `plugins`, `plugins/{kind:key}`, `operations`,
    /// `operations/{id}`. Everything unless said otherwise.
    topics: Option<String>,
}

/// Watch what happens
///
/// Server-sent events named `event` with `{id, topic, code, params, at}`. `Last-Event-ID` goes on after
/// that event. What is no longer kept when the reader comes to it (the latest 10000 are) is told as one event
/// of the topic `events` with the code `events_lost`: then ask for the state itself.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "event_watch",
    params(Topics),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String)),
)]
async fn watch(
    State(app): State<App>,
    Query(query): Query<Topics>,
    LastEventId(last): LastEventId,
    closing: Closing,
) -> ApiResult<Response> {
    let topics: Vec<String> = query
        .topics
        .iter()
        .flat_map(|topics| topics.split(','))
        .map(|topic| topic.trim().to_owned())
        .filter(|topic| !topic.is_empty())
        .collect();
    if topics.len() > MAX_TOPICS {
        let reason = format!("at most {MAX_TOPICS} topics");
        return Err(Problem::new(codes::REQUEST_INVALID)
            .with("reason", reason)
            .into());
    }
    let source = app.platform.events(last).await?.filter_map(move |event| {
        let wanted = topics.is_empty()
            || event.topic == LOST_TOPIC
            || topics.iter().any(|topic| covers(topic, &event.topic));
        futures::future::ready(wanted.then(|| SseEvent::new(Some(event.id), "event", &event)))
    });
    Ok(events(closing, source))
}

/// A topic covers itself and everything below it.
fn covers(topic: &str, actual: &str) -> bool {
    actual
        .strip_prefix(topic)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_topic_covers_what_is_below_it() {
        assert!(covers("plugins", "plugins/portable:a"));
        assert!(covers("plugins/portable:a", "plugins/portable:a"));
        assert!(!covers("plugins/portable:a", "plugins/portable:ab"));
        assert!(!covers("operations", "plugins/portable:a"));
    }
}
