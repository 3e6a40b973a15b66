//! Install, upgrade, uninstall, enable, disable.

use axum::extract::State;
use axum::response::Response;
use plugyard_config::{Definition, Version as DefinitionVersion};
use plugyard_http::{Caller, Language, Principal, Unhurried};
use plugyard_model::{Lang, OperationId, PluginName, Problem, Wanted, codes};
use plugyard_platform::config::{ConfigChange, ConfigInput};
use plugyard_platform::kind::Installation;
use plugyard_platform::{ChangeRequest, Intake, Source, TakeIn};
use serde_json::{Map, Value as Json, json};

use super::discover::{broken, report};
use super::reply::{Name, Refused, Sent, Success, Wrong, answer, object, options, report_of};
use super::words::{Done, Expected};
use super::{Known, Routes, not_found, plugin_in};
use crate::discovery::{self, Found};
use crate::host;
use crate::package::{CONFIG, KIND, Stored};

/// Install a plugin from its directory
#[utoipa::path(
    post, path = "/api/admin/plugins/{name}/install", tag = "app", operation_id = "app_install",
    params(("name" = String, Path, description = "Name of the directory")),
    responses((status = 200, description = "What was registered in `data`", body = serde_json::Value)),
)]
pub(super) async fn install(
    State(routes): State<Routes>,
    Caller(who): Caller,
    Language(lang): Language,
    _: Unhurried,
    name: Name,
    sent: Sent,
) -> Response {
    let plugin = plugin_in(name);
    let outcome = async {
        object(sent)?;
        let plugin = plugin.as_ref().map_err(Clone::clone)?;
        routes.install(&who, plugin, lang).await
    };
    answer(outcome.await, plugin.as_ref().ok(), lang)
}

/// Upgrade a plugin to what its directory is now
///
/// `{"update_definitions": true, "dry_run": false, "force": false}`, all of which may be left out.
#[utoipa::path(
    post, path = "/api/admin/plugins/{name}/upgrade", tag = "app", operation_id = "app_upgrade",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "What became of the fields in `data`", body = serde_json::Value)),
)]
pub(super) async fn upgrade(
    State(routes): State<Routes>,
    Caller(who): Caller,
    Language(lang): Language,
    _: Unhurried,
    name: Name,
    sent: Sent,
) -> Response {
    let plugin = plugin_in(name);
    let outcome = async {
        let options = UpgradeOptions::read(&options(sent, &UpgradeOptions::FIELDS, lang)?, lang)?;
        let plugin = plugin.as_ref().map_err(Clone::clone)?;
        routes.upgrade(&who, plugin, options, lang).await
    };
    answer(outcome.await, plugin.as_ref().ok(), lang)
}

/// Uninstall a plugin
///
/// Its configuration goes; its record and its directory stay.
#[utoipa::path(
    delete, path = "/api/admin/plugins/{name}", tag = "app", operation_id = "app_uninstall",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "Whether anything changed in `data`", body = serde_json::Value)),
)]
pub(super) async fn uninstall(
    State(routes): State<Routes>,
    Caller(who): Caller,
    Language(lang): Language,
    _: Unhurried,
    name: Name,
) -> Response {
    let plugin = plugin_in(name);
    let outcome = async {
        let plugin = plugin.as_ref().map_err(Clone::clone)?;
        let known = routes.known(plugin.clone()).await?;
        let installed = known.installed().is_some();
        if known.record.is_none() && !installed {
            return Err(not_found(plugin.key.as_str()).into());
        }
        if installed {
            let request = ChangeRequest::Uninstall { keep_data: false };
            routes.carry_out(&who, plugin, request, None).await?;
        }
        let data = json!({ "plugin": plugin.key, "changed": installed });
        Ok(Success::new(Done::Uninstalled, data))
    };
    answer(outcome.await, plugin.as_ref().ok(), lang)
}

/// Enable a plugin
#[utoipa::path(
    post, path = "/api/admin/plugins/{name}/enable", tag = "app", operation_id = "app_enable",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "Whether anything changed in `data`", body = serde_json::Value)),
)]
pub(super) async fn enable(
    State(routes): State<Routes>,
    Caller(who): Caller,
    Language(lang): Language,
    _: Unhurried,
    name: Name,
    sent: Sent,
) -> Response {
    switch(&routes, &who, lang, name, sent, true).await
}

/// Disable a plugin
#[utoipa::path(
    post, path = "/api/admin/plugins/{name}/disable", tag = "app", operation_id = "app_disable",
    params(("name" = String, Path, description = "Name of the plugin")),
    responses((status = 200, description = "Whether anything changed in `data`", body = serde_json::Value)),
)]
pub(super) async fn disable(
    State(routes): State<Routes>,
    Caller(who): Caller,
    Language(lang): Language,
    _: Unhurried,
    name: Name,
    sent: Sent,
) -> Response {
    switch(&routes, &who, lang, name, sent, false).await
}

async fn switch(
    routes: &Routes,
    who: &Principal,
    lang: Lang,
    name: Name,
    sent: Sent,
    on: bool,
) -> Response {
    let plugin = plugin_in(name);
    let outcome = async {
        object(sent)?;
        let plugin = plugin.as_ref().map_err(Clone::clone)?;
        let known = routes.known(plugin.clone()).await?;
        let installed = routes.installed_or_conflict(&known).await?;
        let changed = installed.wanted.is_on() != on;
        if changed {
            let request = if on {
                ChangeRequest::Enable
            } else {
                ChangeRequest::Disable
            };
            routes.carry_out(who, plugin, request, None).await?;
        }
        let warnings = if on {
            routes.incomplete(plugin, lang).await?
        } else {
            Vec::new()
        };
        let data = json!({ "plugin": plugin.key, "changed": changed, "warnings": warnings });
        let done = if on { Done::Enabled } else { Done::Disabled };
        Ok(Success::new(done, data))
    };
    answer(outcome.await, plugin.as_ref().ok(), lang)
}

/// How to upgrade.
#[derive(Debug, Clone, Copy)]
struct UpgradeOptions {
    update_definitions: bool,
    dry_run: bool,
    force: bool,
}

impl UpgradeOptions {
    const FIELDS: [&str; 3] = ["update_definitions", "dry_run", "force"];

    fn read(body: &Map<String, Json>, lang: Lang) -> Result<Self, Refused> {
        let mut wrong = Vec::new();
        let mut flag = |field: &'static str, default: bool| match body.get(field) {
            None | Some(Json::Null) => default,
            Some(Json::Bool(value)) => *value,
            Some(_) => {
                wrong.push(Wrong::of_type(field, Expected::Bool));
                default
            }
        };
        let options = Self {
            update_definitions: flag("update_definitions", true),
            dry_run: flag("dry_run", false),
            force: flag("force", false),
        };
        if wrong.is_empty() {
            Ok(options)
        } else {
            Err(Refused::fields(wrong, lang))
        }
    }
}

impl Routes {
    async fn install(
        &self,
        who: &Principal,
        plugin: &PluginName,
        lang: Lang,
    ) -> Result<Success, Refused> {
        let known = self.known(plugin.clone()).await?;
        if known.installed().is_some() {
            return Err(Problem::new(codes::ALREADY_INSTALLED).about(plugin).into());
        }
        let found = self.sound_directory(plugin, lang).await?;
        let taken = self.take_in(plugin, lang).await?;
        let request = ChangeRequest::Install {
            version: taken.version.id,
            wanted: Some(Wanted::Disabled),
        };
        self.carry_out(who, plugin, request, None).await?;
        let config = self.platform.config(plugin).await?;
        let set = config.as_ref().map_or(0, |config| {
            let entries = config.values.iter();
            entries.filter(|(_, entry)| entry.value.is_set()).count()
        });
        let data = json!({
            "plugin": plugin.key,
            "registered": config.is_some(),
            "values_initialised": set,
            "warnings": report(&found, lang)["warnings"],
        });
        Ok(Success::new(Done::Installed, data))
    }

    async fn upgrade(
        &self,
        who: &Principal,
        plugin: &PluginName,
        options: UpgradeOptions,
        lang: Lang,
    ) -> Result<Success, Refused> {
        let known = self.known(plugin.clone()).await?;
        let installed = self.installed_or_conflict(&known).await?;
        let found = self.sound_directory(plugin, lang).await?;
        let definition = found
            .report
            .as_ref()
            .and_then(|report| report.definition.clone())
            .unwrap_or_else(Definition::empty);
        let data = if options.update_definitions {
            let plan = self.platform.config_plan(plugin, &definition).await?;
            if plan.downgrade && !options.force {
                let problem = Problem::new(codes::DEFINITION_DOWNGRADE)
                    .with("from", plan.from.as_str())
                    .with("to", plan.to.as_str());
                return Err(problem.about(plugin).into());
            }
            serde_json::to_value(plan.document(&definition, lang)).unwrap_or_default()
        } else {
            untouched(&installed, definition.version())
        };
        if options.dry_run {
            return Ok(Success::new(Done::UpgradePlanned, data));
        }
        let taken = self.take_in(plugin, lang).await?;
        let request = ChangeRequest::Upgrade {
            version: taken.version.id,
        };
        let change = ConfigChange {
            update_definitions: options.update_definitions,
            force: options.force,
            ..ConfigChange::default()
        };
        self.carry_out(who, plugin, request, Some(change)).await?;
        Ok(Success::new(Done::Upgraded, data))
    }

    /// The installation, or why there is none to change.
    async fn installed_or_conflict(&self, known: &Known) -> Result<Installation, Refused> {
        match known.installed() {
            Some(installation) => Ok(installation),
            None if self.is_known(known).await => Err(Problem::new(codes::NOT_INSTALLED)
                .about(&known.plugin)
                .into()),
            None => Err(not_found(known.plugin.key.as_str()).into()),
        }
    }

    /// The directory, when it could be installed.
    async fn sound_directory(&self, plugin: &PluginName, lang: Lang) -> Result<Found, Refused> {
        let found = self.look(plugin).await?;
        let found = found.ok_or_else(|| not_found(plugin.key.as_str()))?;
        if found.is_valid() {
            Ok(found)
        } else {
            Err(broken(plugin, &found, lang))
        }
    }

    async fn take_in(&self, plugin: &PluginName, lang: Lang) -> Result<Intake, Refused> {
        let name = plugin.key.as_str();
        let source = discovery::source(&self.host.home, name).map_err(|_| not_found(name))?;
        let options = TakeIn {
            kind: Some(KIND),
            expected_key: Some(name.to_owned()),
            ..TakeIn::default()
        };
        let taken = self.platform.take_in(Source::Path(source), options).await;
        taken.map_err(|problem| {
            if problem.findings.is_empty() {
                return problem.into();
            }
            // Somebody changed the directory since it was looked at.
            let file = format!("plugins/{name}/{CONFIG}");
            let data = report_of(&problem.findings, &file, lang);
            Refused::from(problem).with_data(data)
        })
    }

    /// Begins a change and waits for its end.
    async fn carry_out(
        &self,
        who: &Principal,
        plugin: &PluginName,
        request: ChangeRequest,
        change: Option<ConfigChange>,
    ) -> Result<OperationId, Refused> {
        let input = ConfigInput {
            change: change.unwrap_or_default(),
            values: None,
        };
        let begun = self
            .platform
            .change_with(who, plugin, request, input)
            .await
            .map_err(|problem| {
                // Somebody else was faster.
                let code = match problem.code {
                    code if code == codes::PLUGIN_EXISTS => codes::ALREADY_INSTALLED,
                    code if code == codes::PLUGIN_NOT_FOUND => codes::NOT_INSTALLED,
                    _ => return problem,
                };
                Problem::new(code).about(plugin)
            })?;
        self.platform.wait(begun).await?.into_result()?;
        Ok(begun)
    }

    /// What keeps the configuration from being complete.
    async fn incomplete(&self, plugin: &PluginName, lang: Lang) -> Result<Vec<Json>, Refused> {
        let Some(config) = self.platform.config(plugin).await? else {
            return Ok(Vec::new());
        };
        let failures = config
            .definition
            .completeness(&config.values, host::now() / 1000);
        let issues = failures.iter().map(|it| it.issue(lang));
        Ok(issues
            .filter_map(|issue| serde_json::to_value(issue).ok())
            .collect())
    }
}

/// An upgrade that leaves definitions and values as they are.
fn untouched(installed: &Installation, to: &DefinitionVersion) -> Json {
    let stored: Stored =
        serde_json::from_value(installed.current.manifest.clone()).unwrap_or_default();
    json!({
        "from": stored.version(),
        "to": to.as_str(),
        "added": [], "removed": [], "changed": [], "kept": [], "reset": [], "issues": [],
    })
}
