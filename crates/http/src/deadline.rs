//! How long a request may take until its answer begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use plugyard_model::{Problem, codes};
use tokio::time::Instant;

use crate::ProblemResponse;

/// The two deadlines of a server.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// For a request that looks something up or starts something.
    pub usual: Duration,
    /// For a request that a handler declared [`Unhurried`].
    pub unhurried: Duration,
}

/// The deadline of one request in milliseconds after its begin; a handler may put it off.
#[derive(Debug, Clone)]
struct Allowed {
    millis: Arc<AtomicU64>,
    unhurried: u64,
}

/// Extractor of handlers that wait for something slow before they answer: an upload, a fetch, an
/// operation that a compatible route answers with. Place it before the body's extractor.
#[derive(Debug, Clone, Copy)]
pub struct Unhurried;

impl<S: Send + Sync> FromRequestParts<S> for Unhurried {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        if let Some(allowed) = parts.extensions.get::<Allowed>() {
            allowed.millis.store(allowed.unhurried, Ordering::Relaxed);
        }
        Ok(Self)
    }
}

impl Deadline {
    /// Runs the rest: a request whose answer has not begun in time is dropped and answered with
    /// `deadline_exceeded`. Bodies that stream (events, logs) go on as long as they like.
    pub async fn keep(self, mut request: Request, next: Next) -> Response {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let allowed = Allowed {
            millis: Arc::new(AtomicU64::new(millis(self.usual))),
            unhurried: millis(self.unhurried),
        };
        request.extensions_mut().insert(allowed.clone());
        let begun = Instant::now();
        let mut answer = std::pin::pin!(next.run(request));
        let mut waited = 0;
        loop {
            // Read again after each wait: the handler may have asked for more time meanwhile.
            let until = allowed.millis.load(Ordering::Relaxed);
            if until <= waited {
                let problem = Problem::new(codes::DEADLINE_EXCEEDED)
                    .with("seconds", Duration::from_millis(waited).as_secs_f64());
                return ProblemResponse(problem).into_response();
            }
            let end = begun + Duration::from_millis(until);
            match tokio::time::timeout_at(end, &mut answer).await {
                Ok(response) => return response,
                Err(_) => waited = until,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request as HttpRequest;
    use axum::routing::get;
    use axum::{Router, middleware};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_unhurried_get_more_time() {
        let wait = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let limits = Deadline {
            usual: Duration::from_secs(10),
            unhurried: Duration::from_mins(1),
        };
        let app = Router::new()
            .route("/quick", get(async move || wait(9).await))
            .route("/slow", get(async move || wait(11).await))
            .route("/upload", get(async move |_: Unhurried| wait(59).await))
            .route("/stuck", get(async move |_: Unhurried| wait(61).await))
            .layer(middleware::from_fn(move |request, next| {
                limits.keep(request, next)
            }));
        for (path, status) in [
            ("/quick", 200),
            ("/slow", 503),
            ("/upload", 200),
            ("/stuck", 503),
        ] {
            let request = HttpRequest::get(path).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
        }
    }
}
