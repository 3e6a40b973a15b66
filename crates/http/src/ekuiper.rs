//! Answers in the form of eKuiper's HTTP interface, whose clients compare bytes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_model::{Lang, Problem};
use serde::Serialize;
use serde_json::json;

use crate::problem::pending;

/// An error: `{"error":code,"message":"…"}` and a line end, sent as plain text.
///
/// `code` is one of eKuiper's: 1001 general, 1002 not found, 2101 plan, 3000 stream, and so on.
pub fn failure(status: StatusCode, code: u16, message: &str) -> Response {
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

/// The code of eKuiper's that a problem is told under, where it is neither 1001 nor 1002.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnCode(pub(crate) u16);

/// A problem as an error with one of eKuiper's own codes: in English by itself, and in the language of the
/// request below the [`present`](crate::present()) layer.
pub fn problem(code: u16, problem: Problem) -> Response {
    let status =
        StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = failure(status, code, &problem.detail(Lang::En));
    response.extensions_mut().insert(OwnCode(code));
    response.extensions_mut().insert(pending(problem));
    response
}

/// A JSON document without a line end.
pub fn document(document: &impl Serialize) -> Response {
    text_as_json(serde_json::to_string(document).expect("a document of ours is plain data"))
}

/// JSON text as it is.
pub fn text_as_json(text: String) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], text).into_response()
}

/// Plain text without a line end.
pub fn text(status: StatusCode, text: String) -> Response {
    (status, text).into_response()
}
