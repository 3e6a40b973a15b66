//! Discovery: what is in `plugins/`, and what of it is written down.

use std::collections::{BTreeSet, HashSet};

use axum::extract::State;
use axum::response::Response;
use plugyard_http::{Language, Unhurried};
use plugyard_model::{Lang, PluginName, Problem, codes};
use plugyard_platform::files;
use serde_json::{Map, Value as Json, json};

use super::reply::{Name, Refused, Success, answer, report_of, time};
use super::words::Done;
use super::{Routes, not_found};
use crate::discovery::{self, Found};
use crate::package::{CONFIG, KIND};
use crate::records;

/// Look for plugins
///
/// Each directory of `plugins/` is looked at, and a record made or refreshed. What is installed and enabled
/// stays as it is.
#[utoipa::path(
    post, path = "/api/admin/plugins/discover", tag = "app", operation_id = "app_discover",
    responses((status = 200, description = "What was found in `data`", body = serde_json::Value)),
)]
pub(super) async fn discover(
    State(routes): State<Routes>,
    Language(lang): Language,
    _: Unhurried,
) -> Response {
    answer(all(&routes, Done::Discovered, lang).await, None, lang)
}

/// Look for plugins, and forget those that are gone
///
/// As discover, after records were dropped that are not installed and whose directory is gone.
#[utoipa::path(
    post, path = "/api/admin/plugins/rescan", tag = "app", operation_id = "app_rescan",
    responses((status = 200, description = "What was found in `data`", body = serde_json::Value)),
)]
pub(super) async fn rescan(
    State(routes): State<Routes>,
    Language(lang): Language,
    _: Unhurried,
) -> Response {
    let outcome = async {
        forget_gone(&routes).await?;
        all(&routes, Done::Rescanned, lang).await
    };
    answer(outcome.await, None, lang)
}

async fn forget_gone(routes: &Routes) -> Result<(), Refused> {
    let Some(database) = &routes.host.database else {
        return Ok(());
    };
    let installed = routes.platform.installations_of(&KIND).await?;
    let installed: HashSet<_> = installed.iter().map(|it| it.plugin.key.as_str()).collect();
    for record in records::list(database.conn()).await? {
        let is_installed = installed.contains(record.name.as_str());
        let is_there = files::is_there(&files::shown(&routes.host.home, &record.name));
        if !is_installed && !is_there {
            records::delete(database.conn(), record.id).await?;
        }
    }
    Ok(())
}

async fn all(routes: &Routes, done: Done, lang: Lang) -> Result<Success, Refused> {
    let found = match routes.host.discover().await? {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(%error, "`plugins/` cannot be read");
            return Err(Problem::new(codes::INTERNAL).with("request", "-").into());
        }
    };
    let mut results = Map::new();
    let (mut registered, mut failed) = (0, 0);
    let mut names = Vec::new();
    for it in &found {
        names.push(it.name.clone());
        if it.is_valid() {
            registered += 1;
        } else {
            failed += 1;
        }
        results.insert(it.name.clone(), result(it, lang));
    }
    let data = json!({
        "discovered": found.len(),
        "registered": registered,
        "failed": failed,
        "plugins": names,
        "results": results,
    });
    Ok(Success::new(done, data))
}

/// `{success, message, errors?}`, with the report where there is something to report.
fn result(found: &Found, lang: Lang) -> Json {
    if found.is_valid() {
        return json!({ "success": true, "message": message(true, lang) });
    }
    let report = report(found, lang);
    json!({
        "success": false,
        "message": message(false, lang),
        "errors": report["errors"],
        "report": report,
    })
}

fn message(valid: bool, lang: Lang) -> &'static str {
    match (valid, lang) {
        (true, Lang::ZhCn) => "插件注册成功",
        (true, Lang::En) => "Plugin registered",
        (false, Lang::ZhCn) => "插件存在错误，无法安装",
        (false, Lang::En) => "The plugin has errors and cannot be installed",
    }
}

/// The report on a directory: that on its definition, with what else keeps it out.
pub(super) fn report(found: &Found, lang: Lang) -> Json {
    let file = format!("plugins/{}/{CONFIG}", found.name);
    let beside = report_of(&found.findings, &file, lang);
    let Some(report) = &found.report else {
        return beside;
    };
    let mut report = serde_json::to_value(report.document(&file, lang)).unwrap_or_default();
    for list in ["errors", "warnings"] {
        let more = beside[list].as_array().cloned().unwrap_or_default();
        if let Some(list) = report[list].as_array_mut() {
            list.extend(more);
        }
    }
    report["valid"] = found.is_valid().into();
    report
}

/// What discovery knows
#[utoipa::path(
    get, path = "/api/admin/plugins/discovery-status", tag = "app",
    operation_id = "app_discovery_status",
    responses((status = 200, description = "Names and counts in `data`", body = serde_json::Value)),
)]
pub(super) async fn status(
    State(routes): State<Routes>,
    Language(lang): Language,
    _: Unhurried,
) -> Response {
    answer(counted(&routes).await, None, lang)
}

async fn counted(routes: &Routes) -> Result<Success, Refused> {
    let home = routes.host.home.clone();
    let looked = tokio::task::spawn_blocking(move || discovery::look(&home)).await;
    let found = looked.ok().and_then(Result::ok);
    let records = match &routes.host.database {
        Some(database) => records::list(database.conn()).await?,
        None => Vec::new(),
    };
    let views = routes.platform.installations_of(&KIND).await?;
    let views: Vec<_> = views.iter().filter(|it| it.current.is_some()).collect();
    let there: Vec<&str> = found.iter().flatten().map(|it| it.name.as_str()).collect();
    let registered: BTreeSet<&str> = records.iter().map(|it| it.name.as_str()).collect();
    let unregistered: Vec<&str> = there
        .iter()
        .copied()
        .filter(|name| !registered.contains(name))
        .collect();
    let valid = found.iter().flatten().filter(|it| it.is_valid()).count();
    let examples = there
        .iter()
        .filter(|name| name.to_ascii_lowercase().starts_with("example"))
        .count();
    let latest = records.iter().filter_map(|it| it.discovered_at).max();
    let last_check = routes.host.looked_at().max(latest);
    let data = json!({
        "filesystem_exists": found.is_some(),
        "filesystem_plugins": there,
        "registered_plugins": registered,
        "unregistered_plugins": unregistered,
        "stats": {
            "filesystem": {
                "total": there.len(),
                "valid": valid,
                "examples": examples,
                "invalid": there.len() - valid,
            },
            "database": {
                "total": records.len(),
                "installed": views.len(),
                "enabled": views.iter().filter(|it| it.wanted.is_on()).count(),
            },
        },
        "last_check": last_check.map_or(Json::Null, time),
    });
    Ok(Success::new(Done::Status, data))
}

/// Look at one directory
#[utoipa::path(
    post, path = "/api/admin/plugins/{name}/discover", tag = "app", operation_id = "app_discover_one",
    params(("name" = String, Path, description = "Name of the directory")),
    responses((status = 200, description = "What became of it in `data`", body = serde_json::Value)),
)]
pub(super) async fn discover_one(
    State(routes): State<Routes>,
    Language(lang): Language,
    name: Name,
) -> Response {
    let plugin = super::plugin_in(name);
    let outcome = match &plugin {
        Ok(plugin) => one(&routes, plugin, lang).await,
        Err(problem) => Err(problem.clone().into()),
    };
    answer(outcome, plugin.as_ref().ok(), lang)
}

async fn one(routes: &Routes, plugin: &PluginName, lang: Lang) -> Result<Success, Refused> {
    let found = routes.look(plugin).await?;
    let found = found.ok_or_else(|| not_found(plugin.key.as_str()))?;
    routes.host.register(std::slice::from_ref(&found)).await?;
    if !found.is_valid() {
        return Err(broken(plugin, &found, lang));
    }
    let data = json!({
        "plugin": plugin.key,
        "registration": { "success": true, "message": message(true, lang) },
    });
    Ok(Success::new(Done::Discovered, data))
}

/// A directory that cannot be installed: what is wrong with its definition, or else the first thing that is.
pub(super) fn broken(plugin: &PluginName, found: &Found, lang: Lang) -> Refused {
    let definition = found.report.as_ref().is_some_and(|report| !report.valid());
    let first = found.findings.first().filter(|_| !definition);
    let problem = match first {
        None => Problem::new(codes::CONFIG_INVALID),
        Some(first) => {
            let mut problem = Problem::new(first.code);
            problem.params = first.params.clone();
            problem
        }
    };
    Refused::from(problem.about(plugin)).with_data(report(found, lang))
}
