//! Server-sent events: each with an id, so that a client that lost its connection goes on where it
//! was (`Last-Event-ID`).
//!
//! Events are taken from their source only as fast as the client reads them; what a source does
//! with a reader that stays behind (drop it, or end its stream) is the source's business, so that
//! memory stays bounded there too.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use plugyard_model::{Problem, codes};
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ProblemResponse;

/// How often an idle stream sends a comment, so that proxies keep it and a dead peer is noticed.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// What `Last-Event-ID` will say; grows along the stream.
    pub id: Option<u64>,
    /// The event's type, one of the words of the route.
    pub name: &'static str,
    /// JSON text.
    data: String,
}

impl SseEvent {
    /// An event with a payload.
    pub fn new(id: Option<u64>, name: &'static str, data: &impl Serialize) -> Self {
        let data = serde_json::to_string(data).expect("an event's payload is plain data");
        Self { id, name, data }
    }

    fn into_axum(self) -> Event {
        let event = Event::default().event(self.name).data(self.data);
        match self.id {
            Some(id) => event.id(id.to_string()),
            None => event,
        }
    }
}

/// Answers with a stream of events. It ends with the source, when the server closes, and when the reader's
/// sign-in ends.
pub fn events<S>(closing: Closing, source: S) -> Response
where
    S: Stream<Item = SseEvent> + Send + 'static,
{
    let stream = source
        .take_until(closing.ended())
        .map(|event| Ok::<_, Infallible>(event.into_axum()));
    let mut response = Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    // Reverse proxies that gather answers would hold events back.
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// The id of the last event a client saw, from `Last-Event-ID`; refuses what is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastEventId(pub Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        let Some(value) = parts.headers.get("last-event-id") else {
            return Ok(Self(None));
        };
        value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .map(|id| Self(Some(id)))
            .ok_or_else(|| {
                Problem::new(codes::REQUEST_INVALID)
                    .with("reason", "`Last-Event-ID` must be a number")
                    .into()
            })
    }
}

/// When a stream has to end although its source goes on: the server stops, or whoever reads it has lost the
/// sign-in that let them in. Put into requests by the server.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    server: CancellationToken,
    session: CancellationToken,
    until: Option<Instant>,
}

impl Closing {
    /// Ends when the server begins to stop.
    pub fn new(server: CancellationToken) -> Self {
        Self {
            server,
            ..Self::default()
        }
    }

    /// Ends also with the session, and at that time.
    #[must_use]
    pub fn with_session(self, session: CancellationToken, until: Option<Instant>) -> Self {
        Self {
            session,
            until,
            ..self
        }
    }

    /// Resolves when the stream has to end.
    pub async fn ended(self) {
        let expired = async {
            match self.until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.server.cancelled() => {}
            () = self.session.cancelled() => {}
            () = expired => {}
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Closing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_event_is_one_record_with_its_id() {
        let source = stream::iter([
            SseEvent::new(Some(7), "step", &json!({ "text": "a\nb\r" })),
            SseEvent::new(None, "end", &json!({})),
        ]);
        let response = events(Closing::default(), source);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "event: step\ndata: {\"text\":\"a\\nb\\r\"}\nid: 7\n\nevent: end\ndata: {}\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn endless_streams_end_with_the_server_the_session_or_its_time() {
        let tokens = || (CancellationToken::new(), CancellationToken::new());
        let until = Instant::now() + Duration::from_secs(1);
        for which in ["server", "session", "time"] {
            let (server, session) = tokens();
            let until = (which == "time").then_some(until);
            let closing = Closing::new(server.clone()).with_session(session.clone(), until);
            let response = events(closing, stream::pending());
            match which {
                "server" => server.cancel(),
                "session" => session.cancel(),
                _ => {}
            }
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body.is_empty(), "{which}");
        }
    }
}
