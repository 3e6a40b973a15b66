//! The routes of the test server, in the words of eKuiper's.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};

use super::session::{Request, Session};

pub(super) fn router(session: Arc<Session>) -> Router {
    Router::new()
        .route("/symbol/start", post(start))
        .route("/symbol/stop", post(stop))
        .route("/symbol", get(list))
        .route("/transcript", get(transcript))
        .with_state(session)
}

async fn start(State(session): State<Arc<Session>>, headers: HeaderMap, body: Bytes) -> Response {
    let done = match read(&headers, &body) {
        Ok(request) => session.start(request).await,
        Err(text) => Err(text),
    };
    answer(done)
}

async fn stop(State(session): State<Arc<Session>>, headers: HeaderMap, body: Bytes) -> Response {
    let done = match read(&headers, &body) {
        Ok(request) => session.stop(&request).await,
        Err(text) => Err(text),
    };
    answer(done)
}

async fn list(State(session): State<Arc<Session>>) -> Response {
    Json(session.list().await).into_response()
}

async fn transcript(State(session): State<Arc<Session>>) -> Response {
    Json(session.transcript().latest()).into_response()
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Request, String> {
    // What a page in a browser sends names the page; nothing else has business here.
    if headers.contains_key(header::ORIGIN) {
        return Err("requests of web pages are refused".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| format!("Invalid body: {error}"))
}

fn answer(done: Result<(), String>) -> Response {
    match done {
        Ok(()) => (StatusCode::OK, "ok").into_response(),
        Err(text) => (StatusCode::BAD_REQUEST, text).into_response(),
    }
}
