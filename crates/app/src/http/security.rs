//! `GET …/security-check`.

use axum::extract::State;
use axum::response::Response;
use plugyard_http::{Language, Unhurried};
use plugyard_model::{Lang, PluginName, Problem, codes};
use plugyard_platform::kind::Packages as _;

use super::reply::{Name, Refused, Success, answer, time};
use super::words::Done;
use super::{Routes, not_found, plugin_in};
use crate::security::{Subject, check as look};
use crate::{discovery, host};

/// Check a plugin's files
///
/// Integrity, what the code does, permissions, and the configuration. Answers 200 also when something is
/// found; `valid` tells.
#[utoipa::path(
    get, path = "/api/admin/plugins/{name}/security-check", tag = "app",
    operation_id = "app_security_check",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "What was found in `data`", body = serde_json::Value)),
)]
pub(super) async fn check(
    State(routes): State<Routes>,
    Language(lang): Language,
    _: Unhurried,
    name: Name,
) -> Response {
    let plugin = plugin_in(name);
    let outcome = match &plugin {
        Ok(plugin) => run(&routes, plugin, lang).await,
        Err(problem) => Err(problem.clone().into()),
    };
    answer(outcome, plugin.as_ref().ok(), lang)
}

async fn run(routes: &Routes, plugin: &PluginName, lang: Lang) -> Result<Success, Refused> {
    let known = routes.known(plugin.clone()).await?;
    let found = routes.look(plugin).await?;
    let found = found.ok_or_else(|| not_found(plugin.key.as_str()))?;
    let installed =
        match known.installed() {
            Some(installation) => {
                let digest = installation.current.digest;
                let file = routes.platform.file(&digest).await;
                Some(file.map_err(|error| {
                    Problem::new(codes::OBJECTS_UNAVAILABLE).with("reason", error)
                })?)
            }
            None => None,
        };
    let (home, settings) = (routes.host.home.clone(), routes.host.settings.clone());
    let name = plugin.key.to_string();
    let work = move || {
        let directory = discovery::source(&home, &name).ok()?;
        let description = found.seen.stored.description();
        Some(look(Subject {
            name: &name,
            directory: &directory,
            installed,
            manifest: &found.seen.stored.app,
            description: &description,
            config: found.report,
            settings: &settings,
        }))
    };
    let outcome = tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, plugin.name = %plugin, "A security check failed");
        Problem::new(codes::INTERNAL).with("request", "-")
    })?;
    let outcome = outcome.ok_or_else(|| not_found(plugin.key.as_str()))?;
    let at = time(host::now());
    let document = outcome.document(plugin.key.as_str(), at.as_str().unwrap_or_default(), lang);
    Ok(Success::new(Done::Checked, document))
}
