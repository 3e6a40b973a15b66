//! Every request that changes something leaves a row in the audit log, also a refused one, and so do
//! those who knock at the door and are not let in.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use plugyard_http::{About, Concerns, Principal, ProblemResponse, Refusal, RequestId, problem_of};
use plugyard_model::rights::Role;
use plugyard_model::{Code, PluginName, Problem, codes};
use plugyard_platform::audit::AuditEntry;
use tracing::Instrument;

use crate::app::App;

/// Strangers fill no database: so many rows about them in so much time.
const KNOCKS: u32 = 10;
const KNOCKS_IN: Duration = Duration::from_mins(1);
/// A plugin that knocks all the time needs fewer.
const PLUGIN_KNOCKS: u32 = 1;
const PLUGIN_KNOCKS_IN: Duration = Duration::from_secs(10);

/// Counts what strangers cause, so that only some of it is written.
#[derive(Debug)]
pub(crate) struct Damper {
    most: u32,
    within: Duration,
    state: Mutex<Option<Window>>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    seen: u32,
}

impl Damper {
    const fn new(most: u32, within: Duration) -> Self {
        Self {
            most,
            within,
            state: Mutex::new(None),
        }
    }

    /// Whether this one may still be written.
    fn admits(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let window = match state.take() {
            Some(window) if now.duration_since(window.since) < self.within => window,
            _ => Window {
                since: now,
                seen: 0,
            },
        };
        *state = Some(Window {
            seen: window.seen.saturating_add(1),
            ..window
        });
        window.seen < self.most
    }
}

/// Those who are not let in.
#[derive(Debug)]
pub(crate) struct Knocks {
    plugins: Damper,
    strangers: Damper,
}

impl Default for Knocks {
    fn default() -> Self {
        Self {
            plugins: Damper::new(PLUGIN_KNOCKS, PLUGIN_KNOCKS_IN),
            strangers: Damper::new(KNOCKS, KNOCKS_IN),
        }
    }
}

/// The layer around [`authorize`](plugyard_http::authorize), for routes that change something.
///
/// The work goes on when the client hangs up: what it began is not cut in half, and the row is
/// written. Requests of nobody are only in the server's log, except some that tried to sign in.
pub(crate) async fn record(State(app): State<App>, mut request: Request, next: Next) -> Response {
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
    let named = plugin_in(route, &target);
    let id = request_id(request.extensions());
    let about = About::default();
    request.extensions_mut().insert(about.clone());
    let work = async move {
        let response = next.run(request).await;
        let status = response.status();
        let result = match problem_of(&response) {
            Some(problem) => problem.code.as_str().to_owned(),
            None if let Some(Refusal(word)) = response.extensions().get() => (*word).to_owned(),
            None if status.is_client_error() || status.is_server_error() => {
                status.as_u16().to_string()
            }
            None => "ok".to_owned(),
        };
        let concerns = response.extensions().get::<Concerns>();
        let entry = AuditEntry {
            action: &action,
            target: &target,
            plugin: concerns
                .map(|it| &it.0)
                .or(about.named())
                .or(named.as_ref()),
            result: &result,
            request: &id,
        };
        write(&app, &who, entry).await;
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
    if !app.knocks.plugins.admits(Instant::now()) {
        return;
    }
    let plugin = Principal {
        name: "plugin".to_owned(),
        roles: vec![Role::Plugin],
    };
    let action = format!("{} over {listener}", request.method);
    refused(app, &plugin, &action, request, codes::PLUGIN_REFUSED).await;
}

/// Somebody came with a token that is worth nothing. The token itself is nowhere.
pub(crate) async fn record_failed_sign_in(app: &App, from: &str, request: &Parts) {
    if !app.knocks.strangers.admits(Instant::now()) {
        tracing::warn!("Sign-in failed from {from}; not written to the audit log, there were many");
        return;
    }
    let nobody = Principal {
        name: "nobody".to_owned(),
        roles: Vec::new(),
    };
    let action = format!("sign in from {from}");
    refused(app, &nobody, &action, request, codes::NOT_SIGNED_IN).await;
}

async fn refused(app: &App, who: &Principal, action: &str, request: &Parts, code: Code) {
    let entry = AuditEntry {
        action,
        target: request.uri.path(),
        plugin: None,
        result: code.as_str(),
        request: &request_id(&request.extensions),
    };
    write(app, who, entry).await;
}

async fn write(app: &App, who: &Principal, entry: AuditEntry<'_>) {
    if let Err(problem) = app.platform.audit(who, entry).await {
        let AuditEntry { action, target, .. } = entry;
        tracing::error!(%problem, user.name = who.name, "Cannot write the audit log: {action} {target}");
    }
}

/// The plugin that an address of ours names in full.
fn plugin_in(route: &str, path: &str) -> Option<PluginName> {
    let prefix = "/v1/installations/";
    route.strip_prefix(prefix)?.strip_prefix("{plugin}")?;
    let name = path.strip_prefix(prefix)?.split('/').next()?;
    name.replace("%3A", ":").replace("%3a", ":").parse().ok()
}

fn request_id(extensions: &axum::http::Extensions) -> String {
    extensions
        .get::<RequestId>()
        .map_or_else(String::new, |id| id.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_written_down_a_few_times_in_a_while() {
        let damper = Damper::new(2, Duration::from_mins(1));
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let admitted = [0, 1, 2, 59, 60, 61, 62].map(|second| damper.admits(at(second)));
        assert_eq!(admitted, [true, true, false, false, true, true, false]);
    }

    #[test]
    fn an_address_names_its_plugin() {
        let of = |route, path| plugin_in(route, path).map(|it| it.to_string());
        let route = "/v1/installations/{plugin}/restart";
        let named = Some("portable:a".to_owned());
        assert_eq!(of(route, "/v1/installations/portable:a/restart"), named);
        assert_eq!(of(route, "/v1/installations/portable%3Aa/restart"), named);
        assert_eq!(of(route, "/v1/installations/a/restart"), None);
        assert_eq!(of("/v1/tokens/{id}", "/v1/tokens/portable:a"), None);
    }
}
