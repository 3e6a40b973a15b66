//! `Idempotency-Key`: the same POST sent twice has one effect and one answer.
//!
//! The layer [`replay`] goes around native POST routes with JSON bodies. A key belongs to the caller
//! who sent it, for the route and body it came with first; the answer is kept by an
//! [`AnswerStore`]. Problems are not kept, because such a request had no effect and may simply be
//! repeated. Of an answer that tells a secret (`Cache-Control: no-store`) only is kept that there was one:
//! whoever repeats such a request learns that it was carried out, and nothing is made twice.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use plugyard_model::{ByteSize, Digest, Problem, codes};
use sha2::{Digest as _, Sha256};

use crate::{Principal, ProblemResponse};

/// Longest key that is taken, in bytes.
pub const MAX_KEY: usize = 255;
/// Largest request and answer that take part, in bytes; larger ones pass without being kept.
pub const MAX_BODY: usize = 256 * 1024;

/// An answer as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// `Content-Type`, `Location` and `ETag`, where it had them: names and values.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

/// What is known about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is now claimed, and the caller has to [`AnswerStore::keep`] or
    /// [`AnswerStore::release`] it.
    Claimed,
    /// The first request is still being worked on.
    Pending,
    /// A server that ended worked on the first request, and nobody knows what came of it.
    Unsettled,
    /// It came before, with another request.
    Differs,
    /// It came before, and this was the answer.
    Answered(Answer),
}

/// Keeps answers by key.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// Claims a key for a request with this fingerprint, or says what is known about it.
    ///
    /// # Errors
    /// When the store does not answer: then the request is not worked on.
    async fn claim(&self, key: Digest, request: Digest) -> Result<Known, Problem>;
    /// Keeps the answer to a claimed key.
    async fn keep(&self, key: Digest, answer: Answer);
    /// Gives a claimed key back: the request had no effect worth remembering.
    async fn release(&self, key: Digest);
}

/// The layer. Requests without the header, with other methods than POST, without JSON or with a
/// body over [`MAX_BODY`] pass unchanged.
pub async fn replay(
    State(store): State<Arc<dyn AnswerStore>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = request.headers().get("idempotency-key") else {
        return next.run(request).await;
    };
    let caller = request.extensions().get::<Principal>();
    let (Some(caller), true) = (caller, takes_part(&request)) else {
        return next.run(request).await;
    };
    if key.is_empty() || key.len() > MAX_KEY {
        let reason = format!("`Idempotency-Key` must have 1 to {MAX_KEY} bytes");
        return ProblemResponse(Problem::new(codes::REQUEST_INVALID).with("reason", reason))
            .into_response();
    }
    let key = digest([caller.name.as_bytes(), key.as_bytes()]);

    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return ProblemResponse::too_large(ByteSize(MAX_BODY as u64)).into_response();
    };
    let body = body.to_bytes();
    let target = parts
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    let fingerprint = digest([parts.method.as_str().as_bytes(), target.as_bytes(), &body]);
    let problem = match store.claim(key, fingerprint).await {
        Ok(Known::Claimed) => None,
        Ok(Known::Answered(answer)) if answer.told_a_secret() => {
            Some(Problem::new(codes::IDEMPOTENCY_ANSWER_TOLD))
        }
        Ok(Known::Answered(answer)) => return answer.into_response(),
        Ok(Known::Pending) => Some(Problem::new(codes::IDEMPOTENCY_KEY_PENDING)),
        Ok(Known::Unsettled) => Some(Problem::new(codes::IDEMPOTENCY_KEY_UNSETTLED)),
        Ok(Known::Differs) => Some(
            Problem::new(codes::IDEMPOTENCY_KEY_REUSED)
                .with("reason", "this key came before, with another request"),
        ),
        Err(problem) => Some(problem),
    };
    if let Some(problem) = problem {
        return ProblemResponse(problem).into_response();
    }
    // A client that hangs up drops this future: the key must not stay claimed for ever.
    let mut claim = Claim {
        store: Some(store),
        key,
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    claim.settle(response).await
}

/// A claimed key; released on drop unless its answer was kept.
struct Claim {
    store: Option<Arc<dyn AnswerStore>>,
    key: Digest,
}

impl Claim {
    async fn settle(&mut self, response: Response) -> Response {
        let secret = response
            .headers()
            .get(header::CACHE_CONTROL)
            .is_some_and(|value| value.as_bytes() == b"no-store");
        let is_problem = response
            .extensions()
            .get::<crate::problem::Pending>()
            .is_some();
        if is_problem || response.status().is_server_error() {
            return response;
        }
        if secret {
            if let Some(store) = self.store.take() {
                store
                    .keep(self.key, Answer::secret(response.status()))
                    .await;
            }
            return response;
        }
        let (parts, body) = response.into_parts();
        let body = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                tracing::error!(%error, "Answer to a request with an idempotency key cannot be kept");
                return ProblemResponse(Problem::new(codes::INTERNAL)).into_response();
            }
        };
        let told = |name: header::HeaderName| {
            let value = parts.headers.get(&name)?.to_str().ok()?;
            Some((name.to_string(), value.to_owned()))
        };
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: [header::CONTENT_TYPE, header::LOCATION, header::ETAG]
                .into_iter()
                .filter_map(told)
                .collect(),
            body: body.clone(),
        };
        if let Some(store) = self.store.take() {
            store.keep(self.key, answer).await;
        }
        Response::from_parts(parts, Body::from(body))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let (Some(store), Ok(runtime)) =
            (self.store.take(), tokio::runtime::Handle::try_current())
        {
            let key = self.key;
            runtime.spawn(async move { store.release(key).await });
        }
    }
}

impl Answer {
    /// What is kept of an answer that told a secret.
    fn secret(status: StatusCode) -> Self {
        Self {
            status: status.as_u16(),
            headers: vec![(header::CACHE_CONTROL.to_string(), "no-store".to_owned())],
            body: Bytes::new(),
        }
    }

    fn told_a_secret(&self) -> bool {
        let name = header::CACHE_CONTROL.as_str();
        self.headers.iter().any(|(it, _)| it == name)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        // What a store gives back is what was kept; should it not be, a 500 says that something is wrong.
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn takes_part(request: &Request) -> bool {
    let json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_none_or(|value| value.as_bytes().starts_with(b"application/json"));
    request.method() == Method::POST && json
}

/// Of parts with their lengths, so that no two lists of parts give the same.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Digest::from_bytes(hash.finalize().into())
}

#[cfg(test)]
mod tests;
