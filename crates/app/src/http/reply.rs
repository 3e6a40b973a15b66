//! Answers and refusals of these routes.

use std::borrow::Cow;

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

/// Characters of a foreign key that are repeated.
const SHOWN: usize = 255;

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
            errors.insert(it.field.to_string(), json!([it.text(lang)]));
        }
        let details = wrong.iter().map(|it| {
            let (code, rule) = it.words();
            json!({
                "path": strict::pointer_join("", &it.field),
                "code": code,
                "field": it.field,
                "rule": rule,
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

/// A field of a request that is not as it must be.
pub(super) struct Wrong {
    field: Cow<'static, str>,
    fault: Fault,
}

enum Fault {
    Missing,
    Type(Expected),
    Unknown,
}

impl Wrong {
    /// A field that must be there.
    pub(super) fn missing(field: &'static str) -> Self {
        Self {
            field: field.into(),
            fault: Fault::Missing,
        }
    }

    /// A field of another type.
    pub(super) fn of_type(field: &'static str, expected: Expected) -> Self {
        Self {
            field: field.into(),
            fault: Fault::Type(expected),
        }
    }

    /// A field that no such request has.
    fn unknown(field: &str) -> Self {
        Self {
            field: field.chars().take(SHOWN).collect::<String>().into(),
            fault: Fault::Unknown,
        }
    }

    /// The code, and the rule that failed.
    fn words(&self) -> (&'static str, Option<&'static str>) {
        match self.fault {
            Fault::Missing => (codes::RULE_FAILED.as_str(), Some("required")),
            Fault::Type(_) => (codes::WRONG_TYPE.as_str(), Some("type")),
            Fault::Unknown => (codes::UNKNOWN_FIELD.as_str(), None),
        }
    }

    fn text(&self, lang: Lang) -> String {
        let field = &*self.field;
        match self.fault {
            Fault::Missing => words::required(field, lang),
            Fault::Type(expected) => words::wrong_type(field, expected, lang),
            Fault::Unknown => words::unknown(field, lang),
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
            Problem::new(codes::BAD_JSON)
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
    plugyard_config::read_object(&bytes).map_err(|error| Problem::from(&error).into())
}

/// The object of a request that names what it does, by these keys and no other: a key that is misspelt must not
/// mean that everything is meant.
pub(super) fn options(
    body: Sent,
    known: &[&'static str],
    lang: Lang,
) -> Result<Map<String, Json>, Refused> {
    let object = object(body)?;
    let unknown = object.keys().filter(|key| !known.contains(&key.as_str()));
    let wrong: Vec<_> = unknown.map(|key| Wrong::unknown(key)).collect();
    if wrong.is_empty() {
        Ok(object)
    } else {
        Err(Refused::fields(wrong, lang))
    }
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
