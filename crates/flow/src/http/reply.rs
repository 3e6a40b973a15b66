//! Errors of flows in eKuiper's form.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use plugyard_http::BodyLimit;
use plugyard_http::ekuiper::failure;
pub(super) use plugyard_http::ekuiper::{document, text, text_as_json};

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
        let status =
            StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        failure(status, error.code(), &message)
    }
}

/// A body that is a text, whatever its media type, as eKuiper takes it.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if BodyLimit::passed_by(&request).is_some() {
            return Err(failure(
                StatusCode::PAYLOAD_TOO_LARGE,
                1000,
                "Invalid body: length limit exceeded",
            ));
        }
        String::from_request(request, state)
            .await
            .map(Self)
            .map_err(|rejection| {
                failure(
                    rejection.status(),
                    1000,
                    &format!("Invalid body: {}", rejection.body_text()),
                )
            })
    }
}
