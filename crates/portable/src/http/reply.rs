//! Answers in eKuiper's form.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_model::{Lang, Problem, codes};
use serde::Serialize;
use serde_json::json;

/// An error in eKuiper's envelope, or one that is told like the server's own.
#[derive(Debug)]
pub(super) enum Failure {
    /// 400, code 1001: something is wrong with the request or came of it.
    Bad(String),
    /// 404, code 1002.
    NotFound(String),
    /// Not eKuiper's business: busy, no database, no right.
    Problem(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(message) => failure(StatusCode::BAD_REQUEST, 1001, &message),
            Self::NotFound(message) => failure(StatusCode::NOT_FOUND, 1002, &message),
            Self::Problem(problem) => plugyard_http::ProblemResponse(problem).into_response(),
        }
    }
}

/// `{"error":code,"message":"…"}` and a line end, as plain text.
fn failure(status: StatusCode, code: u16, message: &str) -> Response {
    let mut body = json!({ "error": code, "message": message }).to_string();
    body.push('\n');
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

/// A JSON document without a line end.
pub(super) fn document(document: &impl Serialize) -> Response {
    let text = serde_json::to_string(document).expect("a document of ours is plain data");
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], text).into_response()
}

/// Plain text without a line end.
pub(super) fn text(status: StatusCode, text: String) -> Response {
    (status, text).into_response()
}

/// Whether a problem is about the server rather than the request, so that eKuiper has no words for it.
pub(super) fn is_ours(problem: &Problem) -> bool {
    [
        codes::NOT_SIGNED_IN,
        codes::NOT_PERMITTED,
        codes::SHUTTING_DOWN,
        codes::STORE_UNAVAILABLE,
        codes::INTERNAL,
    ]
    .contains(&problem.code)
}

/// A problem as the cause at the end of one of eKuiper's sentences.
pub(super) fn cause(problem: &Problem) -> String {
    problem.detail(Lang::En)
}
