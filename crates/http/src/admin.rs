//! Answers in the form of `/api/admin/…`: always an object with `code`, `message` and `data`, whose `code`
//! is the HTTP status, and with `error` where something was refused.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use plugyard_model::{Lang, Problem, codes};
use serde::Serialize;
use serde_json::Value as Json;

use crate::problem::challenge;

/// An answer in this form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// HTTP status.
    pub code: u16,
    /// For people, in their language.
    pub message: String,
    /// What was asked for; `null` when there is nothing.
    pub data: Json,
    /// Stable word for what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// Texts by field, as Laravel's clients read them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Json>,
    /// The same with places, codes and both languages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
}

impl Answer {
    /// All went well.
    pub fn ok(message: impl Into<String>, data: Json) -> Self {
        Self {
            code: 200,
            message: message.into(),
            data,
            error: None,
            errors: None,
            details: None,
        }
    }

    /// A problem, in a language.
    pub fn problem(problem: &Problem, lang: Lang) -> Self {
        Self {
            code: problem.code.status(),
            message: problem.detail(lang),
            data: Json::Null,
            error: Some(word(problem)),
            errors: None,
            details: None,
        }
    }

    /// The answer to send.
    pub fn response(&self, lang: Lang) -> Response {
        let body = serde_json::to_vec(self).expect("an answer is plain data");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json; charset=utf-8"),
            (header::CONTENT_LANGUAGE, lang.tag()),
            (header::CACHE_CONTROL, "no-store"),
            (header::VARY, "Accept-Language"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A problem of the layers around the routes.
pub(crate) fn render(problem: &Problem, lang: Lang) -> Response {
    let mut response = Answer::problem(problem, lang).response(lang);
    challenge(problem, &mut response);
    response
}

/// The words that this interface has for what every interface refuses.
fn word(problem: &Problem) -> &'static str {
    match problem.code {
        code if code == codes::NOT_SIGNED_IN => "unauthenticated",
        code if code == codes::NOT_PERMITTED => "forbidden",
        code if code == codes::REQUEST_INVALID => "bad_json",
        code => code.as_str(),
    }
}
