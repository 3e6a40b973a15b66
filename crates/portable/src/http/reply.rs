//! Errors of plugins in eKuiper's form.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use plugyard_http::ekuiper::failure;
pub(super) use plugyard_http::ekuiper::{document, text};
use plugyard_model::{Lang, Problem, codes};

/// An error in eKuiper's envelope, or one that is told like the server's own.
#[derive(Debug)]
pub(super) enum Failure {
    /// 400, code 1001: something is wrong with the request or came of it.
    Bad(String),
    /// 404, code 1002.
    NotFound(String),
    /// An error with a code of its own.
    Worded(Box<Response>),
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
            Self::Worded(response) => *response,
            Self::Problem(problem) => plugyard_http::ProblemResponse(problem).into_response(),
        }
    }
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

/// Why something could not be fetched, in eKuiper's words where it has some.
pub(super) fn fetch_failure(problem: &Problem) -> String {
    if let Some(address) = problem.params.get("address") {
        return format!("ip {address} is in internal network");
    }
    let reason = problem.params.get("reason").cloned();
    reason.unwrap_or_else(|| cause(problem))
}

/// A problem as the cause at the end of one of eKuiper's sentences.
pub(super) fn cause(problem: &Problem) -> String {
    problem.detail(Lang::En)
}
