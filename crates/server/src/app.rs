//! What all handlers of this crate reach, and the layers around all routes.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use axum::body::{Body, HttpBody as _};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use bytes::Bytes;
use plugyard_http::{BodyLimit, Deadline, Envelope, ProblemResponse, RequestId, Rights, present};
use plugyard_model::{Problem, codes};
use plugyard_platform::Platform;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutBody;
use tracing::Instrument;

use crate::audit_log::Knocks;
use crate::metrics::Metrics;
use crate::remembered::{Answers, MOST};
use crate::settings::ServerSettings;
use crate::sign_in::{LetIn, sign_in};
use crate::v1::Recorded;

/// What handlers and layers share.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) platform: Platform,
    pub(crate) settings: ServerSettings,
    pub(crate) rights: Arc<Rights>,
    pub(crate) metrics: Metrics,
    /// Lists that are asked for over and over.
    pub(crate) lists: Answers<Bytes>,
    /// What the database says of single installations.
    pub(crate) installations: Answers<Arc<Recorded>>,
    pub(crate) started: Instant,
    /// Seconds since 1970.
    pub(crate) started_at: u64,
    /// Another one after each start.
    pub(crate) instance: uuid::Uuid,
    /// Those who were not let in.
    pub(crate) knocks: Knocks,
    /// Set when recovery is done.
    pub(crate) recovered: AtomicBool,
    /// Cancelled by `/stop` and by whoever runs the server.
    pub(crate) closing: CancellationToken,
    /// The routes as a batch asks them; the server holds them, because they hold this.
    inner: OnceLock<Weak<Router>>,
    slots: Arc<Semaphore>,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub(crate) fn new(platform: Platform, settings: ServerSettings, rights: Arc<Rights>) -> Self {
        Self(Arc::new(Shared {
            platform,
            rights,
            metrics: Metrics::default(),
            lists: Answers::new(MOST),
            installations: Answers::new(MOST),
            started: Instant::now(),
            started_at: std::time::UNIX_EPOCH
                .elapsed()
                .map_or(0, |since| since.as_secs()),
            instance: uuid::Uuid::now_v7(),
            knocks: Knocks::default(),
            recovered: AtomicBool::new(false),
            closing: CancellationToken::new(),
            inner: OnceLock::new(),
            slots: Arc::new(Semaphore::new(settings.limits.requests)),
            settings,
        }))
    }

    /// Takes the routes that a batch asks, as they are within all layers that look at connections and
    /// credentials.
    pub(crate) fn set_inner_routes(&self, routes: &Arc<Router>) {
        // Fails when there are some already.
        let _ = self.inner.set(Arc::downgrade(routes));
    }

    /// Those routes, while the server lives.
    pub(crate) fn inner_routes(&self) -> Option<Router> {
        Some(Router::clone(&*self.inner.get()?.upgrade()?))
    }
}

/// Puts the layers around the merged routes that every request meets, also one of a batch.
pub(crate) fn limited(routes: Router, app: &App) -> Router {
    let limits = app.settings.limits;
    routes
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(route_not_found)
        .layer((
            Extension(BodyLimit(limits.body)),
            DefaultBodyLimit::max(usize::try_from(limits.body.0).unwrap_or(usize::MAX)),
        ))
}

/// Those around [`limited`] routes for a request that came by itself. It meets them from the first line to the
/// last.
///
/// They are one layer to the router, and as few functions as there are places for them: each is one more box for
/// every request, and a copy of all that is within.
pub(crate) fn layered(routes: Router, app: &App) -> Router {
    let header =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    routes.layer((
        from_fn_with_state(app.clone(), observe),
        header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        header(header::X_FRAME_OPTIONS, "DENY"),
        header(header::REFERRER_POLICY, "no-referrer"),
        header(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        CatchPanicLayer::custom(panicked),
        from_fn_with_state(app.clone(), enter),
    ))
}

/// What pages of ours may load, where they do not say otherwise.
const CONTENT_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The outermost layer: the request's id, its line in the log, its place in the metrics; and the words of what
/// went wrong within.
async fn observe(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = uuid::Uuid::now_v7().simple().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    // A template, never what the client wrote: labels stay few, and the log free of secrets that
    // somebody put into an address.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(none)", MatchedPath::as_str)
        .to_owned();
    let method_label = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "other",
    };
    let span = tracing::info_span!("request", request.id = %id);
    let held = app.metrics.request_begins();
    let presented = present(State(app.rights.clone()), request, next);
    let response = presented.instrument(span.clone()).await;
    drop(held);

    let took = begun.elapsed();
    let status = response.status().as_u16();
    app.metrics.answered(&route, method_label, status, took);
    let who = response
        .extensions()
        .get::<LetIn>()
        .map_or("anonymous", |let_in| &let_in.0);
    tracing::info!(
        parent: &span,
        http.method = method_label,
        http.route = route,
        http.status = status,
        duration_ms = took.as_millis(),
        user.name = who,
        "{method_label} {route} answered {status}"
    );
    response
}

/// Lets a request in, as somebody or as nobody, for as long as it may take.
async fn enter(State(app): State<App>, request: Request, next: Next) -> Response {
    let _slot = match admit(&app, &request) {
        Ok(slot) => slot,
        Err(refusal) => return *refusal,
    };
    let (request, who) = match sign_in(&app, request).await {
        Ok(signed_in) => signed_in,
        Err(problem) => return ProblemResponse(problem).into_response(),
    };
    let limits = app.settings.limits;
    // eKuiper's writes are answered when their operation has ended, which may take as long as a plugin's own
    // installation script.
    let waits = !request.method().is_safe()
        && app.rights.envelope_at(request.uri().path()) == Envelope::Ekuiper;
    let deadline = Deadline {
        usual: if waits {
            limits.slow_deadline
        } else {
            limits.deadline
        },
        unhurried: limits.slow_deadline,
    };
    // No body may stand still.
    let request = if request.body().is_end_stream() {
        request
    } else {
        request.map(|body| Body::new(TimeoutBody::new(limits.body_timeout, body)))
    };
    let mut response = deadline.keep(request, next).await;
    if let Some(name) = who {
        response.extensions_mut().insert(LetIn(name));
    }
    response
}

/// A place for a request: a bounded number is let in, none but probes before recovery is done, none that is not
/// sound.
fn admit(app: &App, request: &Request) -> Result<OwnedSemaphorePermit, Box<Response>> {
    if let Some(reason) = unsound(request) {
        let problem = Problem::new(codes::REQUEST_INVALID).with("reason", reason);
        return Err(Box::new(ProblemResponse(problem).into_response()));
    }
    let path = request.uri().path();
    let probe = matches!(path, "/healthz" | "/readyz" | "/metrics" | "/ping");
    if !probe && !app.recovered.load(Ordering::Acquire) {
        return Err(Box::new(try_again(codes::SERVER_STARTING)));
    }
    let slot = app.slots.clone().try_acquire_owned();
    slot.map_err(|_| Box::new(try_again(codes::SERVER_BUSY)))
}

/// What no route could make sense of, whatever it is.
fn unsound(request: &Request) -> Option<&'static str> {
    let uri = request.uri();
    // No database of ours stores that character, and PostgreSQL fails when it is asked for it.
    if uri.path().contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        return Some("an address cannot hold the character NUL");
    }
    // RFC 9112, 3.2: who stands between us and the client might read another one of several.
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return Some("there is more than one header `Host`");
    }
    None
}

fn try_again(code: plugyard_model::Code) -> Response {
    let retry = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
    (retry, ProblemResponse(Problem::new(code))).into_response()
}

/// A panic is a mistake of ours: the log gets it with the request's id (from the span), the client
/// the id.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer gives it like this"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    tracing::error!("A handler panicked: {text}");
    ProblemResponse(Problem::new(codes::INTERNAL)).into_response()
}

async fn route_not_found(request: Request) -> ProblemResponse {
    Problem::new(codes::ROUTE_NOT_FOUND)
        .with("path", shown(&request))
        .into()
}

async fn method_not_allowed(request: Request) -> ProblemResponse {
    Problem::new(codes::METHOD_NOT_ALLOWED)
        .with("path", shown(&request))
        .with("method", request.method())
        .into()
}

/// The path for a text: cut, because a stranger wrote it.
fn shown(request: &Request) -> String {
    request.uri().path().chars().take(256).collect()
}
