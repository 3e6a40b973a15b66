//! Answers in the form of eKuiper's HTTP interface, whose clients compare bytes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

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
