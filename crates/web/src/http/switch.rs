//! `/v1/web/plugins/{fskey}/…`: what is loaded, and going back to a version.

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{ApiResult, Caller, Json, Path, Principal, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{PluginName, Problem};
use plugyard_platform::ChangeRequest;
use plugyard_platform::config::{ConfigChange, ConfigInput};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::{Web, now};
use crate::lifecycle::dependants_in_order;
use crate::{records, states};

pub(super) const RIGHTS: &[Entry] = &[
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/activate",
        Right::PluginOperate,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/deactivate",
        Right::PluginOperate,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/rollback",
        Right::PluginInstall,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/crash",
        Right::PluginOperate,
    ),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(activate))
        .routes(routes!(deactivate))
        .routes(routes!(rollback))
        .routes(routes!(crash))
}

/// Within so many milliseconds a second crash counts.
const CRASHES_WITHIN: i64 = 5 * 60 * 1000;

/// Let the application load a plugin, and wait for it
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/activate", tag = "web", operation_id = "web_plugin_activate",
    params(("fskey" = String, Path, description = "The plugin")),
    responses((status = 200, description = "The record as it is now", body = serde_json::Value)),
)]
async fn activate(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
) -> ApiResult<Json<Value>> {
    web.switch(&who, &fskey, true).await?;
    Ok(Json(web.shown(&fskey).await?))
}

/// How to deactivate.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Deactivate {
    /// Deactivate also what depends on it, that first.
    #[serde(default)]
    cascade: bool,
}

/// Let the application load a plugin no longer, and wait for it
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/deactivate", tag = "web", operation_id = "web_plugin_deactivate",
    params(("fskey" = String, Path, description = "The plugin")),
    request_body = Option<Deactivate>,
    responses((status = 200, description = "The record as it is now; `cascaded` went before it", body = serde_json::Value)),
)]
async fn deactivate(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    body: Option<Json<Deactivate>>,
) -> ApiResult<Json<Value>> {
    let cascade = body.is_some_and(|Json(body)| body.cascade);
    let mut cascaded = Vec::new();
    if cascade {
        let connection = web.connection()?;
        records::live(connection, &fskey).await?;
        let rows = records::all(connection).await.map_err(Problem::from)?;
        let all = states::all(connection).await.map_err(Problem::from)?;
        cascaded = dependants_in_order(&rows, &all, &fskey);
        for dependant in &cascaded {
            web.switch(&who, dependant, false).await?;
        }
    }
    web.switch(&who, &fskey, false).await?;
    let mut document = web.shown(&fskey).await?;
    document["cascaded"] = json!(cascaded);
    Ok(Json(document))
}

/// Where to go back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebRollback)]
struct Rollback {
    /// The version, e.g. `1.5.7`; the one before unless said otherwise.
    to: Option<String>,
    /// Go also to a version that the data may not fit.
    #[serde(default)]
    force: bool,
}

/// Go back to a version by its name, and wait for it
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/rollback", tag = "web", operation_id = "web_plugin_rollback",
    params(("fskey" = String, Path, description = "The plugin")),
    request_body = Option<Rollback>,
    responses((status = 200, description = "The record as it is now", body = serde_json::Value)),
)]
async fn rollback(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    body: Option<Json<Rollback>>,
) -> ApiResult<Json<Value>> {
    let Rollback { to, force } = body.map(|Json(body)| body).unwrap_or_default();
    let view = web
        .installation(&fskey)
        .await?
        .ok_or_else(|| records::not_found(&fskey))?;
    let to = match to {
        None => None,
        Some(name) => Some(web.platform.version_named(&view.plugin, &name).await?),
    };
    let request = ChangeRequest::Rollback { to };
    web.carry_out(&who, &view.plugin, request, force).await?;
    Ok(Json(web.shown(&fskey).await?))
}

/// What the application says of a crash.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Crash {
    /// What it met, for people.
    #[serde(default)]
    #[schema(max_length = 2000)]
    reason: String,
}

/// Say that loading a plugin ended the application
///
/// The second time within 5 minutes the plugin is quarantined: deactivated, with the reason.
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/crash", tag = "web", operation_id = "web_plugin_crash",
    params(("fskey" = String, Path, description = "The plugin")),
    request_body = Crash,
    responses((status = 200, description = "Whether it is quarantined now", body = serde_json::Value)),
)]
async fn crash(
    State(web): State<Web>,
    Caller(who): Caller,
    _: Unhurried,
    Path(fskey): Path<String>,
    Json(body): Json<Crash>,
) -> ApiResult<Json<Value>> {
    let count = web.host.crashed(&fskey, now() - CRASHES_WITHIN).await?;
    let quarantined = count >= 2;
    if quarantined {
        let reason: String = body.reason.chars().take(2000).collect();
        tracing::warn!(%fskey, %reason, "Loading `{fskey}` ended the application twice; it is deactivated");
        web.switch(&who, &fskey, false).await?;
        let reason = format!("quarantined: loading it ended the application twice: {reason}");
        web.host
            .quarantined(&fskey, &reason)
            .await
            .map_err(Problem::from)?;
    }
    Ok(Json(
        json!({ "crashes": count, "quarantined": quarantined }),
    ))
}

impl Web {
    /// Activates or deactivates; nothing happens when it is so already.
    pub(super) async fn switch(
        &self,
        who: &Principal,
        fskey: &str,
        on: bool,
    ) -> Result<(), Problem> {
        let Some(view) = self.installation(fskey).await? else {
            return self.host.switch_record(fskey, on).await;
        };
        let row = records::live(self.connection()?, fskey).await?;
        let switched = crate::status_file::is_listed(&row);
        if switched && view.wanted.is_on() == on && (row.is_enabled == 1) == on {
            return Ok(());
        }
        let request = if on {
            ChangeRequest::Enable
        } else {
            ChangeRequest::Disable
        };
        self.carry_out(who, &view.plugin, request, false).await
    }

    pub(super) async fn carry_out(
        &self,
        who: &Principal,
        plugin: &PluginName,
        request: ChangeRequest,
        force: bool,
    ) -> Result<(), Problem> {
        let input = ConfigInput {
            change: ConfigChange {
                force,
                ..ConfigChange::default()
            },
            values: None,
        };
        let begun = self
            .platform
            .change_with(who, plugin, request, input)
            .await?;
        self.platform.wait(begun).await?.into_result()
    }
}
