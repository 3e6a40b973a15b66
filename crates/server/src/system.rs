//! Routes about the server itself: probes, metrics, eKuiper's `/`, `/ping` and `/stop`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Caller, Envelope, PageQuery, Principal, RouteRight};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_platform::installations::InstallationFilter;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::metrics::{Text, names};
use crate::process;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(root))
        .routes(routes!(ping))
        .routes(routes!(stop))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
}

pub(crate) fn rights() -> Vec<RouteRight> {
    let right = |method: Method, path, right, envelope| RouteRight {
        method,
        path,
        right,
        envelope,
    };
    vec![
        // A browser without a token is sent to the console; the document itself asks who it is for.
        right(Method::GET, "/", Right::Public, Envelope::Ekuiper),
        right(Method::GET, "/ping", Right::Public, Envelope::Ekuiper),
        right(Method::POST, "/stop", Right::Admin, Envelope::Ekuiper),
        right(Method::GET, "/healthz", Right::Public, Envelope::Native),
        right(Method::GET, "/readyz", Right::Public, Envelope::Native),
        right(Method::GET, "/metrics", Right::PluginRead, Envelope::Native),
    ]
}

/// What eKuiper tells about itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EkuiperAbout)]
#[serde(rename_all = "camelCase")]
struct About {
    /// The program's version.
    version: String,
    /// `linux`, …
    os: &'static str,
    /// As Go calls it: `amd64`, `arm64`, …
    arch: &'static str,
    /// Seconds since the start.
    up_time_seconds: u64,
    /// Average since the start, e.g. `1.20%`.
    cpu_usage: String,
    /// Bytes.
    memory_used: String,
    /// Bytes.
    memory_total: String,
}

/// About this server, in eKuiper's words; a browser is sent to the console
#[utoipa::path(
    get, path = "/", tag = "server", operation_id = "about",
    responses(
        (status = 200, description = "About this server", body = About),
        (status = 302, description = "To the console, for a browser"),
    ),
)]
async fn root(
    State(app): State<App>,
    principal: Option<Extension<Principal>>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let accepts = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if accepts.contains("text/html") {
        return Ok((
            StatusCode::FOUND,
            [(header::LOCATION, HeaderValue::from_static("/ui/"))],
        )
            .into_response());
    }
    if principal.is_none() {
        return Err(Problem::new(codes::NOT_SIGNED_IN).into());
    }
    let usage = process::usage();
    let up = app.started.elapsed();
    let percent = usage.cpu.as_secs_f64() / up.as_secs_f64().max(0.001) * 100.0;
    let about = About {
        version: app.settings.version.clone(),
        os: std::env::consts::OS,
        arch: match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        },
        up_time_seconds: up.as_secs(),
        cpu_usage: format!("{percent:.2}%"),
        memory_used: usage.resident.to_string(),
        memory_total: process::memory_total().to_string(),
    };
    Ok(axum::Json(about).into_response())
}

/// Is there a server?
#[utoipa::path(
    get, path = "/ping", tag = "server", operation_id = "ping",
    responses((status = 200, description = "Yes; the body is empty")),
)]
async fn ping() -> StatusCode {
    StatusCode::OK
}

/// Stop the server
#[utoipa::path(
    post, path = "/stop", tag = "server", operation_id = "stop",
    responses((status = 200, description = "`stop success`", body = String)),
)]
async fn stop(State(app): State<App>, Caller(who): Caller) -> &'static str {
    tracing::info!(
        user.name = who.name,
        "Stopping: `{}` asked for it",
        who.name
    );
    app.closing.cancel();
    "stop success"
}

/// Does the process live?
#[utoipa::path(
    get, path = "/healthz", tag = "server", operation_id = "healthz",
    responses((status = 200, description = "`ok`", body = String)),
)]
async fn healthz() -> &'static str {
    "ok"
}

/// Does the server take requests?
#[utoipa::path(
    get, path = "/readyz", tag = "server", operation_id = "readyz",
    responses(
        (status = 200, description = "`ready`: recovery is done and the database answers", body = String),
    ),
)]
async fn readyz(State(app): State<App>) -> ApiResult<&'static str> {
    if !app.recovered.load(Ordering::Acquire) {
        return Err(Problem::new(codes::SERVER_STARTING).into());
    }
    app.platform.ping().await.map_err(Problem::from)?;
    Ok("ready")
}

/// Counters and gauges in Prometheus' text form
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    responses((status = 200, description = "The metrics", body = String)),
)]
async fn metrics(State(app): State<App>) -> ApiResult<Response> {
    let mut text = Text::default();
    app.metrics.write(&mut text);
    text.gauge(names::BUILD_INFO, &[("version", &app.settings.version)], 1);
    let ready = app.recovered.load(Ordering::Acquire);
    text.gauge(names::READY, &[], u8::from(ready));
    let usage = process::usage();
    text.family(names::CPU_SECONDS, "counter");
    text.sample(names::CPU_SECONDS, &[], usage.cpu.as_secs_f64());
    text.gauge(names::RESIDENT_BYTES, &[], usage.resident);
    text.gauge(names::START_SECONDS, &[], app.started_at);
    text.family(names::PLUGINS, "gauge");
    for ((kind, wanted, health), count) in plugins(&app).await? {
        let labels = [("kind", &*kind), ("wanted", wanted), ("health", health)];
        text.sample(names::PLUGINS, &labels, count);
    }
    for hook in &app.settings.metrics {
        hook(&mut text);
    }
    let version = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, version)], text.finish()).into_response())
}

/// How many installations there are of each kind, wanted state and health.
async fn plugins(
    app: &App,
) -> Result<BTreeMap<(String, &'static str, &'static str), u64>, Problem> {
    let mut counts = BTreeMap::new();
    let mut page = PageQuery {
        cursor: None,
        limit: Some(PageQuery::MAX_LIMIT),
    };
    loop {
        let filter = InstallationFilter::default();
        let installations = app.platform.installations(&filter, &page).await?;
        for it in installations.items {
            let key = (
                it.plugin.kind.to_string(),
                it.wanted.as_str(),
                it.health.state.as_str(),
            );
            *counts.entry(key).or_default() += 1;
        }
        page.cursor = installations.next;
        if page.cursor.is_none() {
            return Ok(counts);
        }
    }
}
