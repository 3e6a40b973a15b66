//! eKuiper's `POST /batch/req`: several requests in one, one after the other.
//!
//! Each is answered as if it had come alone, by the same routes and with the same rights of its caller; so
//! the batch itself needs little. Only eKuiper's own routes can be asked: the native ones answer in streams
//! and with headers, for which a batch has no place.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Extensions, HeaderValue, Method, Request, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use plugyard_http::sse::Closing;
use plugyard_http::{
    ApiResult, Caller, Envelope, Json, Principal, RequestId, RouteRight, Unhurried, ekuiper,
};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower::ServiceExt;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::peer::Peer;

/// Where it is.
const PATH: &str = "/batch/req";
/// Most requests of one batch.
const MOST: usize = 100;
/// Largest answer to one of them, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(batch))
}

pub(crate) fn rights() -> Vec<RouteRight> {
    vec![RouteRight {
        method: Method::POST,
        path: PATH,
        // What every account has; each request asks for its own right besides.
        right: Right::FlowRead,
        envelope: Envelope::Ekuiper,
    }]
}

/// One request of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = BatchRequest)]
struct Asked {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`; any case.
    method: String,
    /// Path and query of one of eKuiper's routes.
    path: String,
    /// Its body: JSON text, or the JSON itself.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    body: Value,
}

/// What one request of a batch was answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchAnswer)]
struct Answered {
    /// HTTP status.
    code: u16,
    /// The body as text.
    response: String,
}

/// Several requests in one, one after the other
///
/// Each needs its own right and is answered by itself; one that fails does not stop the next.
#[utoipa::path(
    post, path = "/batch/req", tag = "server", operation_id = "batch",
    request_body = Vec<Asked>,
    responses((status = 200, description = "The answers, in the order of the requests", body = Vec<Answered>)),
)]
async fn batch(
    State(app): State<App>,
    _: Unhurried,
    Caller(who): Caller,
    request: axum::extract::Request,
) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    // Read as eKuiper does, whatever the media type says.
    let limit = app.settings.limits.body;
    let most = usize::try_from(limit.0).unwrap_or(usize::MAX);
    let Ok(body) = Limited::new(body, most).collect().await else {
        return Err(plugyard_http::ProblemResponse::too_large(limit));
    };
    let asked: Vec<Asked> = serde_json::from_slice(&body.to_bytes())
        .map_err(|error| invalid(format!("Invalid body: {error}")))?;
    if asked.len() > MOST {
        return Err(invalid(format!("a batch has at most {MOST} requests")).into());
    }
    let mut answers = Vec::with_capacity(asked.len());
    for asked in asked {
        answers.push(answer(&app, &who, &parts, asked).await);
    }
    Ok(Json(answers).into_response())
}

async fn answer(app: &App, who: &Principal, outer: &request::Parts, asked: Asked) -> Answered {
    let request = match inner(app, who, outer, asked) {
        Ok(request) => request,
        Err((status, message)) => return refused(status, &message).await,
    };
    let Some(routes) = app.inner_routes() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping").await;
    };
    match routes.oneshot(request).await {
        Ok(response) => read(response).await,
        Err(never) => match never {},
    }
}

/// The request as it would have come alone.
fn inner(
    app: &App,
    who: &Principal,
    outer: &request::Parts,
    asked: Asked,
) -> Result<Request<Body>, (StatusCode, String)> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    let method = Method::from_bytes(asked.method.to_ascii_uppercase().as_bytes())
        .map_err(|error| bad(error.to_string()))?;
    let body = match asked.body {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(&asked.path)
        .body(Body::from(body))
        .map_err(|error| bad(error.to_string()))?;
    let path = request.uri().path();
    if !path.starts_with('/') || request.uri().authority().is_some() {
        return Err(bad(format!("`{}` is no path", asked.path)));
    }
    if path == PATH {
        return Err(bad("a batch has no batches in it".to_owned()));
    }
    if app.rights.envelope_at(path) != Envelope::Ekuiper {
        let text = format!("`{path}` cannot be asked in a batch");
        return Err((StatusCode::NOT_FOUND, text));
    }
    let headers = request.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(lang) = outer.headers.get(header::CONTENT_LANGUAGE) {
        headers.insert(header::CONTENT_LANGUAGE, lang.clone());
    }
    let extensions = request.extensions_mut();
    extensions.insert(who.clone());
    copy::<RequestId>(outer, extensions);
    copy::<Closing>(outer, extensions);
    copy::<Peer>(outer, extensions);
    Ok(request)
}

/// What the layers around the batch found out holds for each of its requests.
fn copy<T: Clone + Send + Sync + 'static>(outer: &request::Parts, to: &mut Extensions) {
    if let Some(value) = outer.extensions.get::<T>() {
        to.insert(value.clone());
    }
}

async fn refused(status: StatusCode, message: &str) -> Answered {
    read(ekuiper::failure(status, 1001, message)).await
}

async fn read(response: Response) -> Answered {
    let code = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await;
    match body {
        Ok(body) => Answered {
            code,
            response: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        },
        Err(_) => Answered {
            code: StatusCode::BAD_GATEWAY.as_u16(),
            response: format!("the answer is larger than {MAX_ANSWER} bytes"),
        },
    }
}

fn invalid(reason: String) -> Problem {
    Problem::new(codes::REQUEST_INVALID).with("reason", reason)
}
