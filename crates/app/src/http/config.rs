//! The configuration of a plugin: definition and values.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use plugyard_config::{Body, BodyError, Definition, Values};
use plugyard_http::{Caller, Language};
use plugyard_model::{Lang, PluginName, Problem, codes};
use plugyard_platform::config::{StoredConfig, Written};
use plugyard_platform::kind::Installation;
use serde_json::{Value as Json, json};

use super::reply::{Name, Refused, Sent, Success, Wrong, answer, bytes, options};
use super::words::{Done, Expected};
use super::{Routes, not_found};
use crate::host;
use crate::package::{KIND, Stored};

/// Definition and values of a plugin
#[utoipa::path(
    get, path = "/api/admin/plugins/{name}/config", tag = "app", operation_id = "app_config",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "Fields, groups and values in `data`", body = serde_json::Value)),
)]
pub(super) async fn show(
    State(routes): State<Routes>,
    Language(lang): Language,
    name: Name,
) -> Response {
    let outcome = async {
        let (installation, config) = routes.read(name).await?;
        let name = installation.plugin.key.as_str();
        let Some(config) = config else {
            let empty = Definition::empty();
            let view = empty.view(name, 0, &Values::new(), seconds(), lang);
            let mut view = serde_json::to_value(view).unwrap_or_default();
            view["has_config"] = false.into();
            view["values"] = json!({});
            return Ok(Success::new(Done::Config, view));
        };
        let view = config
            .definition
            .view(name, config.revision, &config.values, seconds(), lang);
        Ok(Success::new(Done::Config, view).at(config.revision))
    };
    answer(outcome.await, None, lang)
}

/// The values of a plugin
#[utoipa::path(
    get, path = "/api/admin/plugins/{name}/config/values", tag = "app",
    operation_id = "app_config_values",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "Values in `data`, secrets masked", body = serde_json::Value)),
)]
pub(super) async fn values(
    State(routes): State<Routes>,
    Language(lang): Language,
    name: Name,
) -> Response {
    let outcome = async {
        let (_, config) = routes.read(name).await?;
        let Some(config) = config else {
            let data = json!({ "values": {}, "revision": 0, "is_set": {}, "has_config": false });
            return Ok(Success::new(Done::Values, data));
        };
        let view = config
            .definition
            .values_view(&config.values, config.revision);
        Ok(Success::new(Done::Values, view).at(config.revision))
    };
    answer(outcome.await, None, lang)
}

/// Change values
///
/// A flat object, or one in `values` or `config`. Only what is named changes; all of it or nothing.
#[utoipa::path(
    put, path = "/api/admin/plugins/{name}/config", tag = "app", operation_id = "app_config_put",
    params(
        ("name" = String, Path, description = "Name of the plugin"),
        ("If-Match" = Option<String>, Header, description = "The revision that is to be changed"),
    ),
    responses((status = 200, description = "What changed in `data`", body = serde_json::Value)),
)]
pub(super) async fn put(
    State(routes): State<Routes>,
    Caller(who): Caller,
    Language(lang): Language,
    name: Name,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    let mut concerns = None;
    let outcome = async {
        let body = bytes(sent)?;
        let (installation, config) = routes.read(name).await?;
        let plugin = concerns.insert(installation.plugin.clone());
        let empty = Definition::empty();
        let definition = config.as_ref().map_or(&empty, |config| &config.definition);
        let body = Body::read(&body, definition).map_err(|error| match error {
            BodyError::Revision => {
                Refused::fields(vec![Wrong::of_type("revision", Expected::Whole)], lang)
            }
            other => Problem::from(&other).into(),
        })?;
        let if_match = if_match(&headers)?;
        if config.is_none() {
            // Nothing can be configured, so nothing can be set.
            let accepted = empty.submit(&Values::new(), &body, seconds());
            accepted.map_err(|rejected| Refused::rejected(&rejected, plugin, lang))?;
            return Ok(Success::new(Done::Saved, nothing_to_save()));
        }
        let written = routes
            .platform
            .config_put(&who, plugin, &body, if_match)
            .await
            .map_err(|refusal| Refused::config(refusal, plugin, if_match.is_some(), lang))?;
        Ok(saved(&written))
    };
    let outcome = outcome.await;
    answer(outcome, concerns.as_ref(), lang)
}

fn nothing_to_save() -> Json {
    json!({
        "updated": [], "unchanged": [], "revision": 0, "values": {}, "config_complete": true,
    })
}

fn saved(written: &Written) -> Success {
    let config = &written.config;
    let complete = config.definition.completeness(&config.values, seconds());
    let data = json!({
        "updated": written.updated,
        "unchanged": written.unchanged,
        "revision": config.revision,
        "values": config.definition.masked(&config.values),
        "config_complete": complete.is_empty(),
    });
    Success::new(Done::Saved, data).at(config.revision)
}

/// Give fields their initial values back
///
/// All of them, or those in `keys`.
#[utoipa::path(
    post, path = "/api/admin/plugins/{name}/config/reset", tag = "app",
    operation_id = "app_config_reset",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "What was reset in `data`", body = serde_json::Value)),
)]
pub(super) async fn reset(
    State(routes): State<Routes>,
    Caller(who): Caller,
    Language(lang): Language,
    name: Name,
    headers: HeaderMap,
    sent: Sent,
) -> Response {
    let mut concerns = None;
    let outcome = async {
        let keys = keys(&options(sent, &["keys"], lang)?, lang)?;
        let (installation, config) = routes.read(name).await?;
        let plugin = concerns.insert(installation.plugin.clone());
        let if_match = if_match(&headers)?;
        if config.is_none() {
            let reset = Definition::empty().reset(&Values::new(), keys.as_deref());
            reset.map_err(|rejected| Refused::rejected(&rejected, plugin, lang))?;
            let data = json!({ "reset": [], "values": {}, "revision": 0 });
            return Ok(Success::new(Done::Reset, data));
        }
        let written = routes
            .platform
            .config_reset(&who, plugin, keys.as_deref(), if_match)
            .await
            .map_err(|refusal| Refused::config(refusal, plugin, if_match.is_some(), lang))?;
        let config = &written.config;
        let data = json!({
            "reset": written.updated,
            "values": config.definition.masked(&config.values),
            "revision": config.revision,
        });
        Ok(Success::new(Done::Reset, data).at(config.revision))
    };
    let outcome = outcome.await;
    answer(outcome, concerns.as_ref(), lang)
}

fn keys(body: &serde_json::Map<String, Json>, lang: Lang) -> Result<Option<Vec<String>>, Refused> {
    let keys = match body.get("keys") {
        None | Some(Json::Null) => return Ok(None),
        Some(Json::Array(keys)) => keys
            .iter()
            .map(|key| key.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>(),
        Some(_) => None,
    };
    keys.map(Some)
        .ok_or_else(|| Refused::fields(vec![Wrong::of_type("keys", Expected::Texts)], lang))
}

/// Take the configuration away
///
/// Definitions and values go; the plugin stays installed. An upgrade registers the definitions again.
#[utoipa::path(
    delete, path = "/api/admin/plugins/{name}/config", tag = "app", operation_id = "app_config_delete",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "How many fields there were in `data`", body = serde_json::Value)),
)]
pub(super) async fn delete(
    State(routes): State<Routes>,
    Caller(who): Caller,
    Language(lang): Language,
    name: Name,
) -> Response {
    let mut concerns = None;
    let outcome = async {
        let (installation, config) = routes.read(name).await?;
        let plugin = concerns.insert(installation.plugin.clone());
        let deleted = match config {
            Some(_) => routes.platform.config_delete(&who, plugin).await?,
            None => 0,
        };
        let data = json!({ "deleted": deleted });
        Ok(Success::new(Done::Deleted, data))
    };
    let outcome = outcome.await;
    answer(outcome, concerns.as_ref(), lang)
}

impl Routes {
    /// The installation and its configuration; `None` for a plugin that has nothing to configure.
    async fn read(&self, name: Name) -> Result<(Installation, Option<StoredConfig>), Refused> {
        let name = name.map_err(|_| not_found("?"))?;
        let installation = self.configured(&name.0).await?;
        let config = self.platform.config(&installation.plugin).await?;
        if config.is_none() && has_definition(&installation) {
            return Err(not_registered(&installation.plugin));
        }
        Ok((installation, config))
    }
}

fn not_registered(plugin: &PluginName) -> Refused {
    Problem::new(codes::CONFIG_NOT_REGISTERED)
        .about(plugin)
        .into()
}

/// Whether the version in force came with a definition.
fn has_definition(installation: &Installation) -> bool {
    if installation.plugin.kind != KIND {
        return true;
    }
    serde_json::from_value::<Stored>(installation.current.manifest.clone())
        .is_ok_and(|stored| stored.config.is_some())
}

/// The revision that a client has seen. A tag that is none of ours matches nothing.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Refused> {
    let Some(given) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let tag = given.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    tag.trim_matches('"').parse().map(Some).map_err(|_| {
        let mut refused = Refused::from(Problem::new(codes::REVISION_CONFLICT));
        refused.precondition();
        refused
    })
}

/// Seconds since 1970.
fn seconds() -> i64 {
    host::now() / 1000
}
