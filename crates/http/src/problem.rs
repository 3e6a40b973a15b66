//! Problems as answers: `application/problem+json` (RFC 9457).

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_model::{FindingDocument, Lang, Problem, ProblemDocument, codes};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What a handler returns: its answer, or a problem through `?`.
pub type ApiResult<T> = Result<T, ProblemResponse>;

/// A [`Problem`] as the answer to a request.
///
/// On its own it answers in English; below the [`present`](crate::present()) layer in the language of
/// the request and the envelope of the route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemResponse(pub Problem);

impl From<Problem> for ProblemResponse {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let mut response = render(&self.0, Lang::En, "");
        response.extensions_mut().insert(pending(self.0));
        response
    }
}

/// To ride on a response that tells this problem.
pub(crate) fn pending(problem: Problem) -> Pending {
    Pending(Arc::new(problem))
}

/// The problem that a response will tell, while it passes the inner layers: for the audit log.
pub fn problem_of(response: &Response) -> Option<&Problem> {
    response
        .extensions()
        .get()
        .map(|Pending(problem)| &**problem)
}

/// Rides on a response until the outermost layer knows how to word it.
#[derive(Debug, Clone)]
pub(crate) struct Pending(pub(crate) Arc<Problem>);

/// The native form of a problem, in a language.
pub(crate) fn render(problem: &Problem, lang: Lang, instance: &str) -> Response {
    let document = problem.document(lang, instance);
    let body = serde_json::to_vec(&document).expect("a problem document is plain data");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(document.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(
        header::CONTENT_LANGUAGE,
        HeaderValue::from_static(lang.tag()),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    challenge(problem, &mut response);
    response
}

/// RFC 9110: a 401 says how to sign in.
pub(crate) fn challenge(problem: &Problem, response: &mut Response) {
    if problem.code == codes::NOT_SIGNED_IN {
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"plugyard\""),
        );
    }
}

fn text(what: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .description(Some(what))
}

fn number(what: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .description(Some(what))
}

/// The schema of [`FindingDocument`] for the OpenAPI document.
#[derive(Debug)]
pub struct FindingBody(pub FindingDocument);

impl PartialSchema for FindingBody {
    fn schema() -> RefOr<Schema> {
        let value = AdditionalProperties::RefOr(RefOr::T(text("A value").into()));
        let params = ObjectBuilder::new()
            .description(Some("The values that the message mentions"))
            .additional_properties(Some(value));
        let severity = text("How bad").enum_values(Some(["error", "warning", "info"]));
        ObjectBuilder::new()
            .description(Some("One thing wrong with a package"))
            .property("code", text("Stable code"))
            .property("severity", severity)
            .property("file", text("Path inside the package"))
            .property("pointer", text("JSON pointer into the file"))
            .property("line", number("Line, from 1"))
            .property("column", number("Column in characters, from 1"))
            .property("message", text("What is wrong, in the reader's language"))
            .property("hint", text("What to do about it"))
            .property("params", params)
            .required("code")
            .required("severity")
            .required("message")
            .into()
    }
}

impl ToSchema for FindingBody {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Finding")
    }
}

/// The schema of [`ProblemDocument`] for the OpenAPI document.
#[derive(Debug)]
pub struct ProblemBody(pub ProblemDocument);

impl PartialSchema for ProblemBody {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("What went wrong (RFC 9457)"))
            .property("type", text("Where this code is explained"))
            .property("title", text("The same for every problem of this code"))
            .property("status", number("HTTP status"))
            .property("detail", text("What happened this time"))
            .property("instance", text("The path that was asked for"))
            .property("code", text("Stable code; `/docs/errors` lists them"))
            .property("hint", text("What to do next"))
            .property("plugin", text("The plugin it is about, as `kind:key`"))
            .property(
                "findings",
                ArrayBuilder::new().items(Ref::from_schema_name(FindingBody::name())),
            )
            .required("type")
            .required("title")
            .required("status")
            .required("detail")
            .required("code")
            .into()
    }
}

impl ToSchema for ProblemBody {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Problem")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((FindingBody::name().into_owned(), FindingBody::schema()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use plugyard_model::{Finding, Place};

    use super::*;

    #[test]
    fn the_schema_names_what_a_problem_has() {
        let problem = Problem::new(codes::PACKAGE_INVALID)
            .about(&"portable:demo".parse().unwrap())
            .with_findings(vec![
                Finding::error(
                    codes::MANIFEST_NAME_MISMATCH,
                    Place::pointer("demo.json", "/name").at(1, 2),
                )
                .with("expected", "demo"),
            ]);
        let sent = serde_json::to_value(problem.document(Lang::En, "/v1/packages")).unwrap();
        let schema = serde_json::to_value(ProblemBody::schema()).unwrap();
        let finding = serde_json::to_value(FindingBody::schema()).unwrap();
        let keys = |value: &serde_json::Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(keys(&sent), keys(&schema["properties"]));
        assert_eq!(keys(&sent["findings"][0]), keys(&finding["properties"]));
    }
}
