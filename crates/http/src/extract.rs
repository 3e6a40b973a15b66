//! Extractors for bodies, paths and queries whose refusals are problems.

use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use plugyard_model::{ByteSize, Problem, codes};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ProblemResponse;

/// A JSON body, in and out.
///
/// In: refuses another media type (`media_type_unsupported`), a body over the route's limit
/// (`request_too_large`), and what cannot be read as `T` (`request_invalid`, with line and column).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ProblemResponse> {
        let given = request
            .headers()
            .get(header::CONTENT_TYPE)
            .map_or("", |value| value.to_str().unwrap_or("?"));
        // Also keeps pages of other origins from sending bodies without asking first (CORS).
        if !is_json(given) {
            return Err(Problem::new(codes::MEDIA_TYPE_UNSUPPORTED)
                .with("given", if given.is_empty() { "none" } else { given })
                .with("expected", "application/json")
                .into());
        }
        let limit = request.extensions().get::<BodyLimit>().copied();
        if let Some(limit) = BodyLimit::passed_by(&request) {
            return Err(ProblemResponse::too_large(limit));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(&rejection, limit))?;
        if holds_nul(&bytes) {
            let reason = "a text cannot hold the character NUL";
            return Err(Problem::new(codes::REQUEST_INVALID)
                .with("reason", reason)
                .into());
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Problem::new(codes::REQUEST_INVALID)
                .with("reason", &error)
                .with("line", error.line())
                .with("column", error.column())
                .into()
        })
    }
}

/// A body that may be left out: no `Content-Type`, no body.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = ProblemResponse;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, ProblemResponse> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state)
            .await
            .map(Some)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Whether a text in a JSON document holds NUL, which no database of ours stores.
fn holds_nul(json: &[u8]) -> bool {
    const ESCAPED: &[u8] = br"\u0000";
    json.windows(ESCAPED.len()).enumerate().any(|(at, window)| {
        // After an even number of backslashes the one that is here begins an escape.
        window == ESCAPED
            && json[..at]
                .iter()
                .rev()
                .take_while(|&&byte| byte == b'\\')
                .count()
                % 2
                == 0
    })
}

/// Whether a media type is JSON: `application/json` or `…+json`.
fn is_json(media_type: &str) -> bool {
    let essence = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The largest body that [`Json`] reads on a route, for the text of the refusal; put into requests
/// where axum's `DefaultBodyLimit` is set to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(pub ByteSize);

impl BodyLimit {
    /// The limit, when a request says of its body that it is larger: then none of it need be waited for.
    pub fn passed_by(request: &Request) -> Option<ByteSize> {
        let limit = request.extensions().get::<Self>()?.0;
        let length = request.headers().get(header::CONTENT_LENGTH)?;
        let length: u64 = length.to_str().ok()?.parse().ok()?;
        (length > limit.0).then_some(limit)
    }
}

fn unreadable(rejection: &BytesRejection, limit: Option<BodyLimit>) -> ProblemResponse {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // axum's own limit, when nobody set one.
        return ProblemResponse::too_large(limit.map_or(ByteSize::mib(2), |limit| limit.0));
    }
    Problem::new(codes::REQUEST_INVALID)
        .with("reason", rejection.body_text())
        .into()
}

impl ProblemResponse {
    /// `request_too_large` with the limit that was passed.
    pub fn too_large(limit: ByteSize) -> Self {
        Self(Problem::new(codes::REQUEST_TOO_LARGE).with("limit", limit))
    }
}

/// Parameters of the path.
///
/// One that cannot be what the route takes, such as an id that is no UUID, is refused as `path_invalid`, which
/// names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(path) => Ok(Self(path.0)),
            Err(rejection) => Err(misplaced(&rejection, parts, state).await.into()),
        }
    }
}

/// Which parameter it is that a route can make nothing of, as far as can be told.
async fn misplaced<S: Send + Sync>(
    rejection: &PathRejection,
    parts: &mut Parts,
    state: &S,
) -> Problem {
    use axum::extract::path::ErrorKind::{
        DeserializeError, InvalidUtf8InPathParam, ParseErrorAtIndex, ParseErrorAtKey,
    };
    // Where somebody put a secret into an address, a text need not repeat all of it.
    let cut = |text: &str| text.chars().take(64).collect::<String>();
    let given: Vec<(String, String)> = RawPathParams::from_request_parts(parts, state)
        .await
        .iter()
        .flatten()
        .map(|(name, value)| (name.to_owned(), cut(value)))
        .collect();
    let kind = match rejection {
        PathRejection::FailedToDeserializePathParams(failed) => Some(failed.kind()),
        _ => None,
    };
    let named = match (kind, given.as_slice()) {
        (Some(ParseErrorAtKey { key, value, .. } | DeserializeError { key, value, .. }), _) => {
            Some((key.clone(), cut(value)))
        }
        (Some(ParseErrorAtIndex { index, .. }), _) => given.get(*index).cloned(),
        (Some(InvalidUtf8InPathParam { key }), _) => Some((key.clone(), "?".to_owned())),
        (_, [only]) => Some(only.clone()),
        _ => None,
    };
    match named {
        Some((name, value)) => Problem::new(codes::PATH_INVALID)
            .with("name", name)
            .with("value", value),
        None => Problem::new(codes::REQUEST_INVALID).with("reason", rejection.body_text()),
    }
}

/// Parameters of the query; a name that `T` does not know is an error where `T` says
/// `deny_unknown_fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        axum::extract::Query::from_request_parts(parts, state)
            .await
            .map(|query| Self(query.0))
            .map_err(|rejection: QueryRejection| {
                Problem::new(codes::REQUEST_INVALID)
                    .with("reason", rejection.body_text())
                    .into()
            })
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::DefaultBodyLimit;
    use axum::http::Request as HttpRequest;
    use axum::routing::{get, post};
    use axum::{Extension, Router};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[expect(dead_code, reason = "only its type matters")]
        size: u32,
    }

    async fn code(request: HttpRequest<Body>) -> (u16, serde_json::Value) {
        let app = Router::new()
            .route("/", post(|_: Json<Thing>| async {}))
            .route("/query", get(|_: Query<Thing>| async {}))
            .route("/path/{id}", get(|_: Path<u32>| async {}))
            .route(
                "/id/{id}",
                get(|_: Path<plugyard_model::OperationId>| async {}),
            )
            .route("/two/{id}/{name}", get(|_: Path<(u32, String)>| async {}))
            .layer(DefaultBodyLimit::max(64))
            .layer(Extension(BodyLimit(ByteSize(64))));
        let response = app.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn json(body: impl Into<Body>) -> HttpRequest<Body> {
        HttpRequest::post("/")
            .header("content-type", "application/json; charset=utf-8")
            .body(body.into())
            .unwrap()
    }

    #[tokio::test]
    async fn a_wrong_body_is_answered_with_the_place() {
        let (status, problem) = code(json("{\n  \"size\": \"x\"}")).await;
        assert_eq!((status, &problem["code"]), (400, &"request_invalid".into()));
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("line 2 column 13"),
            "{problem}"
        );
        assert_eq!(code(json("{\"size\": 1}")).await.0, 200);
        assert_eq!(code(json("{\"size\": 1, \"sise\": 2}")).await.0, 400);
    }

    #[tokio::test]
    async fn a_large_or_foreign_body_is_refused() {
        let (status, problem) = code(json(" ".repeat(65))).await;
        assert_eq!(
            (status, &problem["code"]),
            (413, &"request_too_large".into())
        );
        assert!(
            problem["detail"].as_str().unwrap().contains("64"),
            "{problem}"
        );
        let plain = HttpRequest::post("/").body(Body::from("{}")).unwrap();
        let (status, problem) = code(plain).await;
        assert_eq!(
            (status, &problem["code"]),
            (415, &"media_type_unsupported".into())
        );
    }

    #[tokio::test]
    async fn queries_refuse_with_problems() {
        for uri in ["/query", "/query?size=x", "/query?size=1&other=1"] {
            let request = HttpRequest::get(uri).body(Body::empty()).unwrap();
            let (status, problem) = code(request).await;
            assert_eq!(
                (status, &problem["code"]),
                (400, &"request_invalid".into()),
                "{uri}"
            );
        }
    }

    #[tokio::test]
    async fn what_cannot_stand_in_a_path_is_named_without_the_words_of_a_parser() {
        for (uri, value) in [
            ("/path/x", "x"),
            ("/path/%FF", "?"),
            ("/id/not-a-uuid", "not-a-uuid"),
            ("/two/7x/name", "7x"),
        ] {
            let request = HttpRequest::get(uri).body(Body::empty()).unwrap();
            let (status, problem) = code(request).await;
            assert_eq!(
                (status, &problem["code"]),
                (400, &"path_invalid".into()),
                "{uri}: {problem}"
            );
            let detail = format!("`{value}` cannot be the `id` of this address");
            assert_eq!(problem["detail"], detail, "{uri}");
            assert!(
                problem["hint"].as_str().is_some_and(|it| !it.is_empty()),
                "{uri}"
            );
        }
        let long = format!("/id/{}", "x".repeat(1000));
        let request = HttpRequest::get(long).body(Body::empty()).unwrap();
        let (_, problem) = code(request).await;
        assert!(problem.to_string().len() < 600, "{problem}");
        let id = HttpRequest::get("/id/01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(code(id.body(Body::empty()).unwrap()).await.0, 200);
    }
}
