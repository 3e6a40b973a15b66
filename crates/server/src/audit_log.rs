//! Every request that changes something leaves a row in the audit log, also a refused one.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use plugyard_http::{Principal, ProblemResponse, RequestId, problem_of};
use plugyard_model::rights::Role;
use plugyard_model::{Problem, codes};
use tracing::Instrument;

use crate::app::App;

/// A plugin that knocks all the time fills no database.
const REFUSED_PLUGIN_EVERY: Duration = Duration::from_secs(10);

/// The layer around [`authorize`](plugyard_http::authorize), for routes that change something.
///
/// The work goes on when the client hangs up: what it began is not cut in half, and the row is
/// written. Requests of nobody are only in the server's log: strangers fill no database.
pub(crate) async fn record(State(app): State<App>, request: Request, next: Next) -> Response {
    let who = request.extensions().get::<Principal>().cloned();
    let (false, Some(who)) = (request.method().is_safe(), who) else {
        return next.run(request).await;
    };
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    let action = format!("{} {route}", request.method());
    let target = request.uri().path().to_owned();
    let id = request_id(request.extensions());
    let work = async move {
        let response = next.run(request).await;
        let status = response.status();
        let result = match problem_of(&response) {
            Some(problem) => problem.code.as_str().to_owned(),
            None if status.is_client_error() || status.is_server_error() => {
                status.as_u16().to_string()
            }
            None => "ok".to_owned(),
        };
        write(&app, &who, &action, &target, &result, &id).await;
        response
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(response) => response,
        // The layer for panics is further out.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => ProblemResponse(Problem::new(codes::INTERNAL)).into_response(),
    }
}

/// A plugin's process came where only people and their tools may.
pub(crate) async fn record_refused_plugin(app: &App, listener: &str, request: &Parts) {
    tracing::warn!(
        listener,
        "Refused {} {} to a plugin's process",
        request.method,
        request.uri.path()
    );
    {
        let mut last = app.plugin_refused.lock();
        if last.is_some_and(|last| last.elapsed() < REFUSED_PLUGIN_EVERY) {
            return;
        }
        *last = Some(Instant::now());
    }
    let plugin = Principal {
        name: "plugin".to_owned(),
        roles: vec![Role::Plugin],
    };
    let action = format!("{} over {listener}", request.method);
    let id = request_id(&request.extensions);
    let result = codes::PLUGIN_REFUSED.as_str();
    write(app, &plugin, &action, request.uri.path(), result, &id).await;
}

async fn write(app: &App, who: &Principal, action: &str, target: &str, result: &str, id: &str) {
    let written = app.platform.audit(who, action, target, result, id).await;
    if let Err(problem) = written {
        tracing::error!(%problem, user.name = who.name, "Cannot write the audit log: {action} {target}");
    }
}

fn request_id(extensions: &axum::http::Extensions) -> String {
    extensions
        .get::<RequestId>()
        .map_or_else(String::new, |id| id.0.clone())
}
