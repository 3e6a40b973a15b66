//! Answers and refusals of these routes.

use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use plugyard_config::Rejected;
use plugyard_http::admin::Answer;
use plugyard_http::{Concerns, Refusal};
use plugyard_model::json as strict;
use plugyard_model::{Finding, Lang, PluginName, Problem, Severity, codes};
use plugyard_platform::config::ConfigRefusal;
use plugyard_store::StoreError;
use serde_json::{Map, Value as Json, json};

use super::words::{self, Done, Expected};

/// The name in a path, as it was sent.
pub(super) type Name = Result<Path<String>, PathRejection>;
/// The body of a request, as it was sent.
pub(super) type Sent = Result<Bytes, BytesRejection>;

/// What went well.
pub(super) struct Success {
    done: Done,
    data: Json,
    revision: Option<u64>,
}

impl Success {
    pub(super) fn new(done: Done, data: impl serde::Serialize) -> Self {
        Self {
            done,
            data: serde_json::to_value(data).unwrap_or_default(),
            revision: None,
        }
    }

    /// Also as `ETag`.
    pub(super) fn at(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }
}

/// What was refused.
#[derive(Debug)]
pub(super) struct Refused(Box<Refusing>);

#[derive(Debug)]
struct Refusing {
    problem: Problem,
    /// Another status than the problem's own.
    status: Option<u16>,
    data: Json,
    errors: Option<Json>,
    details: Option<Json>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        // The message is the format's own; what is wrong with the key stands beside it.
        let data = match problem.params.get("reason") {
            Some(reason) if problem.code == codes::SECRET_STORE_UNAVAILABLE => {
                json!({ "reason": reason })
            }
            _ => Json::Null,
        };
        Self(Box::new(Refusing {
            problem,
            status: None,
            data,
            errors: None,
            details: None,
        }))
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl Refused {
    pub(super) fn with_data(mut self, data: impl serde::Serialize) -> Self {
        self.0.data = serde_json::to_value(data).unwrap_or_default();
        self
    }

    /// Says that what the client holds is not what is there.
    pub(super) fn precondition(&mut self) {
        self.0.status = Some(412);
    }

    /// A write of values that was refused. A conflict with `If-Match` is a failed precondition.
    pub(super) fn config(
        refusal: ConfigRefusal,
        plugin: &PluginName,
        if_match: bool,
        lang: Lang,
    ) -> Self {
        match refusal {
            ConfigRefusal::Problem(problem) => {
                let conflict = problem.code == codes::REVISION_CONFLICT && if_match;
                let mut refused = Self::from(problem.about(plugin));
                refused.0.status = conflict.then_some(412);
                refused
            }
            ConfigRefusal::Rejected(rejected) => Self::rejected(&rejected, plugin, lang),
        }
    }

    /// Values that were refused for what they are.
    pub(super) fn rejected(rejected: &Rejected, plugin: &PluginName, lang: Lang) -> Self {
        let only_unknown = rejected
            .failures
            .iter()
            .all(|failure| failure.code == codes::UNKNOWN_FIELD);
        let problem = match rejected.failures.first() {
            Some(first) if only_unknown => {
                Problem::new(codes::UNKNOWN_FIELD).with("key", &first.field)
            }
            _ => Problem::new(codes::VALIDATION_FAILED),
        };
        let document = rejected.document(lang);
        let mut refused = Self::from(problem.about(plugin));
        refused.0.errors = serde_json::to_value(&document.errors).ok();
        refused.0.details = serde_json::to_value(&document.details).ok();
        refused
    }

    /// Fields of a request that are not as they must be.
    pub(super) fn fields(wrong: Vec<Wrong>, lang: Lang) -> Self {
        let mut errors = Map::new();
        for it in &wrong {
            errors.insert(it.field.to_owned(), json!([it.text(lang)]));
        }
        let details = wrong.iter().map(|it| {
            json!({
                "path": format!("/{}", it.field),
                "code": if it.expected.is_none() { "rule_failed" } else { "wrong_type" },
                "field": it.field,
                "rule": if it.expected.is_none() { "required" } else { "type" },
                "params": {},
                "message": it.text(lang),
                "messages": { "zh-CN": it.text(Lang::ZhCn), "en": it.text(Lang::En) },
            })
        });
        let details = details.collect();
        let mut refused = Self::from(Problem::new(codes::VALIDATION_FAILED));
        refused.0.errors = Some(Json::Object(errors));
        refused.0.details = Some(Json::Array(details));
        refused
    }

    fn answer(&self, lang: Lang) -> Answer {
        let refusing = &*self.0;
        let mut answer = Answer::problem(&refusing.problem, lang);
        answer.code = refusing.status.unwrap_or(answer.code);
        answer.message = words::problem(&refusing.problem, lang);
        answer.data = refusing.data.clone();
        answer.errors.clone_from(&refusing.errors);
        answer.details.clone_from(&refusing.details);
        answer
    }
}

/// A field of a request that is missing (nothing expected) or of the wrong type.
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) expected: Option<Expected>,
}

impl Wrong {
    fn text(&self, lang: Lang) -> String {
        match self.expected {
            None => words::required(self.field, lang),
            Some(expected) => words::wrong_type(self.field, expected, lang),
        }
    }
}

/// The answer to send, and for the audit log what it was about.
pub(super) fn answer(
    outcome: Result<Success, Refused>,
    plugin: Option<&PluginName>,
    lang: Lang,
) -> Response {
    let mut response = match outcome {
        Ok(success) => {
            let answer = Answer::ok(success.done.text(lang), success.data);
            let mut response = answer.response(lang);
            let tag = success
                .revision
                .and_then(|revision| HeaderValue::from_str(&format!("\"{revision}\"")).ok());
            if let Some(tag) = tag {
                response.headers_mut().insert(header::ETAG, tag);
            }
            response
        }
        Err(refused) => {
            let mut response = refused.answer(lang).response(lang);
            let word = refused.0.problem.code.as_str();
            response.extensions_mut().insert(Refusal(word));
            response
        }
    };
    if let Some(plugin) = plugin {
        response.extensions_mut().insert(Concerns(plugin.clone()));
    }
    response
}

/// The bytes of a request, within the server's limit.
pub(super) fn bytes(body: Sent) -> Result<Bytes, Refused> {
    body.map_err(|rejection| {
        let problem = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(codes::REQUEST_TOO_LARGE).with("limit", "1MiB")
        } else {
            bad_json()
        };
        problem.into()
    })
}

/// A request's object; an empty body is an empty one.
pub(super) fn object(body: Sent) -> Result<Map<String, Json>, Refused> {
    let bytes = bytes(body)?;
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    // The strict reader bounds depth; what it accepts, the other reads too.
    if strict::parse(&bytes, strict::Options::default()).is_err() {
        return Err(bad_json().into());
    }
    match serde_json::from_slice(&bytes) {
        Ok(Json::Object(object)) => Ok(object),
        _ => Err(bad_json().into()),
    }
}

/// A body that is no JSON object.
pub(super) fn bad_json() -> Problem {
    Problem::new(codes::BAD_JSON)
}

/// Findings in the form of a report on a definition, for what keeps a package out beside it.
pub(super) fn report_of(findings: &[Finding], file: &str, lang: Lang) -> Json {
    let of = |severity| -> Vec<Json> {
        let items = findings.iter().filter(|it| it.severity == severity);
        items
            .map(|it| {
                json!({
                    "path": it.place.pointer,
                    "file": it.place.file,
                    "code": it.code.as_str(),
                    "message": it.text(lang),
                    "messages": { "zh-CN": it.text(Lang::ZhCn), "en": it.text(Lang::En) },
                    "params": it.params,
                })
            })
            .collect()
    };
    let errors = of(Severity::Error);
    json!({
        "valid": errors.is_empty(),
        "file": file,
        "errors": errors,
        "warnings": of(Severity::Warning),
    })
}

/// Milliseconds since 1970 as RFC 3339 in UTC.
pub(super) fn time(milliseconds: i64) -> Json {
    let time = jiff::Timestamp::from_millisecond(milliseconds);
    time.map_or(Json::Null, |time| {
        time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string().into()
    })
}
