//! `/v1/nodes`: the servers and what their machines can do. Today there is one, the one that answers.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{Json, Unhurried};
use plugyard_model::rights::Right;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[(Method::GET, "/v1/nodes", Right::NodeRead)];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A server.
#[derive(Debug, Serialize, ToSchema)]
struct Node {
    /// Name of its machine.
    name: String,
    /// Another one after each start.
    instance: String,
    /// The program's version.
    version: String,
    /// What it does: `api` answers requests, `runtime` runs plugins and rules.
    roles: Vec<&'static str>,
    /// Whether it has recovered and works.
    ready: bool,
    /// Milliseconds since 1970 (UTC).
    started_at: u64,
    /// What its machine can enforce, found out by trying; absent where nothing runs plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    host: Option<Value>,
}

/// The servers.
#[derive(Debug, Serialize, ToSchema)]
struct Nodes {
    /// By name.
    items: Vec<Node>,
}

/// The servers
#[utoipa::path(
    get, path = "/v1/nodes", tag = "nodes", operation_id = "node_list",
    responses((status = 200, description = "The servers; today the one that answers", body = Nodes)),
)]
async fn list(State(app): State<App>, _: Unhurried) -> Json<Nodes> {
    let host = match &app.settings.host_report {
        Some(report) => Some(report().await),
        None => None,
    };
    let node = Node {
        name: rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        instance: app.instance.to_string(),
        version: app.settings.version.clone(),
        roles: vec!["api", "runtime"],
        ready: app.recovered.load(Ordering::Acquire),
        started_at: app.started_at.saturating_mul(1000),
        host,
    };
    Json(Nodes { items: vec![node] })
}
