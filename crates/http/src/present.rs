//! The outermost layer: gives the request its id and language, and words problems on the way out.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use plugyard_model::{Lang, Problem, codes};

use crate::ekuiper::OwnCode;
use crate::problem::{Pending, challenge, render};
use crate::rights::{Envelope, Rights};

/// The id of a request, in the log and in the header `x-request-id` of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// The language of the request, for handlers that put texts into answers that are no problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(pub Lang);

impl<S: Send + Sync> FromRequestParts<S> for Language {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts
            .extensions
            .get()
            .copied()
            .unwrap_or_else(|| Self(language(&parts.headers, Envelope::Native))))
    }
}

/// Puts [`Language`] into the request, and writes every [`ProblemResponse`](crate::ProblemResponse)
/// in that language and in the envelope of its path.
///
/// The request's [`RequestId`] must be there already.
pub async fn present(
    State(rights): State<Arc<Rights>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().to_owned();
    let envelope = rights.envelope_at(&path);
    let lang = language(request.headers(), envelope);
    let id = request
        .extensions()
        .get::<RequestId>()
        .map_or_else(String::new, |id| id.0.clone());
    request.extensions_mut().insert(Language(lang));

    let mut response = next.run(request).await;
    let Some(Pending(problem)) = response.extensions_mut().remove::<Pending>() else {
        return with_id(response, &id);
    };
    let problem = if problem.code == codes::INTERNAL {
        Arc::new(Problem::clone(&problem).with("request", &id))
    } else {
        problem
    };
    let mut rendered = match envelope {
        Envelope::Native => render(&problem, lang, &path),
        Envelope::Ekuiper => {
            let own = response.extensions().get::<OwnCode>().map(|own| own.0);
            render_ekuiper(&problem, lang, own)
        }
        Envelope::Admin => crate::admin::render(&problem, lang),
    };
    // What the inner layers said beside the body still holds (Allow, Retry-After, …).
    for (name, value) in response.headers() {
        if !rendered.headers().contains_key(name)
            && ![header::CONTENT_LENGTH, header::CACHE_CONTROL].contains(name)
        {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("Accept-Language"));
    *rendered.extensions_mut() = std::mem::take(response.extensions_mut());
    with_id(rendered, &id)
}

/// The native routes look at `Accept-Language`, the eKuiper-compatible ones at `Content-Language`
/// (as eKuiper does; English unless said otherwise). Those of `/api/admin/` speak Chinese unless they are
/// asked for English.
fn language(headers: &HeaderMap, envelope: Envelope) -> Lang {
    let name = match envelope {
        Envelope::Native | Envelope::Admin => header::ACCEPT_LANGUAGE,
        Envelope::Ekuiper => header::CONTENT_LANGUAGE,
    };
    let fallback = match envelope {
        Envelope::Admin => Lang::ZhCn,
        Envelope::Native | Envelope::Ekuiper => Lang::En,
    };
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map_or(fallback, |wanted| Lang::negotiate_or(wanted, fallback))
}

/// eKuiper's error body: a code of its own, or 1002 for what is not there, 1001 for the rest.
fn render_ekuiper(problem: &Problem, lang: Lang, own: Option<u16>) -> Response {
    let status =
        StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = own.unwrap_or(if status == StatusCode::NOT_FOUND {
        1002
    } else {
        1001
    });
    let mut response = crate::ekuiper::failure(status, code, &problem.detail(lang));
    challenge(problem, &mut response);
    response
}

fn with_id(mut response: Response, id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(id)
        && !id.is_empty()
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, Request as HttpRequest};
    use axum::routing::get;
    use axum::{Router, middleware};
    use http_body_util::BodyExt;
    use plugyard_model::rights::Right;
    use tower::ServiceExt;

    use super::*;
    use crate::{ProblemResponse, RouteRight};

    async fn ask(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let rights = Rights::new([RouteRight {
            method: Method::GET,
            path: "/rules/{id}",
            right: Right::FlowRead,
            envelope: Envelope::Ekuiper,
        }])
        .unwrap();
        let fail = || async { ProblemResponse(Problem::new(codes::INTERNAL)) };
        let sign_in = || async { ProblemResponse(Problem::new(codes::NOT_SIGNED_IN)) };
        let app = Router::new()
            .route("/v1/broken", get(fail))
            .route("/v1/closed", get(sign_in))
            .route("/rules/{id}", get(sign_in))
            .layer(middleware::from_fn_with_state(Arc::new(rights), present));
        let mut request = HttpRequest::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .extension(RequestId("r-1".into()))
            .body(Body::empty())
            .unwrap();
        let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status,
            parts.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_problem_speaks_the_readers_language_and_names_path_and_request() {
        let (status, headers, body) =
            ask("/v1/broken", &[("accept-language", "fr, zh-CN;q=0.9")]).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 500);
        assert_eq!(headers["content-language"], "zh-CN");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["x-request-id"], "r-1");
        assert_eq!(body["instance"], "/v1/broken");
        assert_eq!(body["title"], "内部错误");
        assert!(body["detail"].as_str().unwrap().contains("r-1"));
    }

    #[tokio::test]
    async fn a_refusal_on_a_compatible_route_has_that_routes_envelope() {
        let (status, headers, body) = ask("/rules/r1", &[("accept-language", "zh-CN")]).await;
        assert_eq!(status, 401);
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(
            body,
            "{\"error\":1001,\"message\":\"This needs a valid token\"}\n"
        );
        let (.., body) = ask("/rules/r1", &[("content-language", "zh-CN")]).await;
        assert!(body.contains("有效令牌"), "{body}");
    }

    #[tokio::test]
    async fn a_401_says_how_to_sign_in() {
        let (status, headers, _) = ask("/v1/closed", &[]).await;
        assert_eq!(status, 401);
        assert_eq!(headers["www-authenticate"], "Bearer realm=\"plugyard\"");
    }
}
