//! Answers in eKuiper's form.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::FlowError;

/// An error with the words eKuiper puts before it.
pub(super) struct Failure {
    prefix: &'static str,
    error: FlowError,
}

/// Adds those words.
pub(super) trait During<T> {
    fn during(self, prefix: &'static str) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, FlowError> {
    fn during(self, prefix: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure { prefix, error })
    }
}

impl From<FlowError> for Failure {
    fn from(error: FlowError) -> Self {
        Self { prefix: "", error }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { prefix, error } = self;
        let message = if prefix.is_empty() {
            error.to_string()
        } else {
            format!("{prefix}: {error}")
        };
        if let FlowError::Store { source, .. } = &error {
            tracing::error!(%error, cause = %source, "{message}");
        }
        failure(error.status(), error.code(), &message)
    }
}

/// `{"error":code,"message":"…"}` and a line end, as plain text.
fn failure(status: u16, code: u16, message: &str) -> Response {
    let mut body = json!({ "error": code, "message": message }).to_string();
    body.push('\n');
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// A body that is a text, whatever its media type, as eKuiper takes it.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        String::from_request(request, state)
            .await
            .map(Self)
            .map_err(|rejection| {
                let status = rejection.status().as_u16();
                failure(
                    status,
                    1000,
                    &format!("Invalid body: {}", rejection.body_text()),
                )
            })
    }
}

/// A JSON document without a line end.
pub(super) fn document(document: &impl Serialize) -> Response {
    text_as_json(serde_json::to_string(document).expect("a document of ours is plain data"))
}

/// JSON text.
pub(super) fn text_as_json(text: String) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], text).into_response()
}

/// Plain text.
pub(super) fn text(status: StatusCode, text: String) -> Response {
    (status, text).into_response()
}
