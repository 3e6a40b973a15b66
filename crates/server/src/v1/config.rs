//! `/v1/installations/{plugin}/config`: what is configured of a plugin, of whatever kind.
//!
//! [`history`] goes back in it, [`transfer`] takes values out and in, [`own`] is what the plugin itself
//! sees of it. Secrets are shown to nobody but the plugin.

mod history;
mod own;
mod transfer;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use plugyard_config::{
    Body, ConfigIssue, Definition, FieldView, GroupView, UpgradeDocument, ValuesView,
};
use plugyard_http::{
    ApiResult, Caller, Concerns, ETag, IfMatch, Json, Language, Path, Principal, ProblemResponse,
    Query,
};
use plugyard_model::rights::Right;
use plugyard_model::{Digest, Lang, PluginName, Problem, VersionId, codes};
use plugyard_platform::config::{ConfigRefusal, StoredConfig, Terms, Written};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

const CONFIG: &str = "/v1/installations/{plugin}/config";

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, CONFIG, Right::PluginRead),
    (Method::PUT, CONFIG, Right::PluginConfigure),
    (Method::DELETE, CONFIG, Right::PluginConfigure),
    (
        Method::GET,
        "/v1/installations/{plugin}/config/values",
        Right::PluginRead,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/config/reset",
        Right::PluginConfigure,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/config/plan",
        Right::PluginRead,
    ),
];
pub(super) use history::RIGHTS as HISTORY_RIGHTS;
pub(super) use own::RIGHTS as OWN_RIGHTS;
pub(super) use transfer::RIGHTS as TRANSFER_RIGHTS;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show, put, delete))
        .routes(routes!(values))
        .routes(routes!(reset))
        .routes(routes!(plan))
        .merge(history::router())
        .merge(transfer::router())
        .merge(own::router())
}

/// Definition and values of a plugin, secrets masked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Config)]
struct ConfigDocument {
    /// Whose.
    #[schema(value_type = String)]
    plugin: PluginName,
    /// What the definition calls its version.
    version: String,
    /// The version of the plugin that the definition is of.
    #[schema(value_type = String, format = Uuid)]
    definition_of: VersionId,
    /// What its author says about it.
    description: String,
    /// Grows with each write.
    revision: u64,
    /// Whether the plugin has all that it needs.
    complete: bool,
    /// What it lacks.
    issues: Vec<ConfigIssue>,
    /// Every field by its key, in the order in which they are shown.
    #[schema(value_type = BTreeMap<String, FieldView>)]
    fields: Vec2<FieldView>,
    /// Every group by its key, in the order in which they are shown.
    #[schema(value_type = BTreeMap<String, GroupView>)]
    groups: Vec2<GroupView>,
    /// Milliseconds since 1970 (UTC) of the last write to any field.
    updated_at: i64,
}

/// Pairs that are written as an object and keep their order.
#[derive(Debug)]
struct Vec2<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for Vec2<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// A write that was done.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigWritten {
    /// The fields that were named and have another value now.
    updated: Vec<String>,
    /// The fields that were named and had this value already.
    unchanged: Vec<String>,
    /// The revision afterwards.
    revision: u64,
    /// Every value, secrets masked.
    values: Map<String, Value>,
    /// Whether the plugin has all that it needs.
    complete: bool,
    /// What it lacks.
    issues: Vec<ConfigIssue>,
}

#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// Say what would be written, and write nothing: `revision` is then the one there is.
    #[serde(default)]
    dry_run: bool,
}

/// Which fields get their initial values back.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResetRequest {
    /// All of them unless said otherwise.
    keys: Option<Vec<String>>,
}

/// A configuration that was taken away.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigDeleted {
    /// How many fields there were.
    deleted: u64,
}

/// The definition to plan with: of a package that was handed in, or as it stands in its file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanRequest {
    /// SHA-256 of a package of this plugin.
    #[schema(value_type = Option<String>)]
    package: Option<Digest>,
    /// The text of a definition.
    definition: Option<String>,
}

/// What is configured
#[utoipa::path(
    get, path = "/v1/installations/{plugin}/config", tag = "config", operation_id = "config_show",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has")),
    responses((status = 200, description = "Definition and values; `ETag` names their revision", body = ConfigDocument)),
)]
async fn show(
    State(app): State<App>,
    Language(lang): Language,
    Path(plugin): Path<String>,
) -> ApiResult<Response> {
    let (plugin, config) = registered(&app, &plugin).await?;
    let now = seconds(&app);
    let tag = tag(&plugin, &config);
    let view = (config.definition).view(
        &plugin.to_string(),
        config.revision,
        &config.values,
        now,
        lang,
    );
    let document = ConfigDocument {
        plugin,
        version: view.version,
        definition_of: config.version,
        description: view.description,
        revision: view.revision,
        complete: view.config_complete,
        issues: view.config_issues,
        fields: Vec2(view.fields.into_iter().collect()),
        groups: Vec2(view.groups.into_iter().collect()),
        updated_at: config.updated_at,
    };
    Ok((tag, Json(document)).into_response())
}

/// The values alone
#[utoipa::path(
    get, path = "/v1/installations/{plugin}/config/values", tag = "config", operation_id = "config_values",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has")),
    responses((status = 200, description = "The values, secrets masked", body = ValuesView)),
)]
async fn values(State(app): State<App>, Path(plugin): Path<String>) -> ApiResult<Response> {
    let (plugin, config) = registered(&app, &plugin).await?;
    let view = config
        .definition
        .values_view(&config.values, config.revision);
    Ok((tag(&plugin, &config), Json(view)).into_response())
}

/// Set values
///
/// Only the fields that are named change, and all of them or none. A secret sent as eight asterisks
/// stays as it is. The body is a map of values, or such a map as `values` with the `revision` it was made
/// for beside it; `If-Match` does the same.
#[utoipa::path(
    put, path = "/v1/installations/{plugin}/config", tag = "config", operation_id = "config_put",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    request_body = BTreeMap<String, Value>,
    responses((status = 200, description = "Done", body = ConfigWritten)),
)]
async fn put(writing: Writing, body: Bytes) -> ApiResult<Response> {
    let body = Body::read(&body, &writing.config.definition);
    let body = body.map_err(|error| Problem::from(&error))?;
    let (platform, to) = (&writing.app.platform, &writing);
    let written = platform
        .config_put(&to.who, &to.plugin, &body, to.terms)
        .await;
    writing.answer(written)
}

/// Give fields their initial values back
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/config/reset", tag = "config", operation_id = "config_reset",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    request_body = Option<ResetRequest>,
    responses((status = 200, description = "Done", body = ConfigWritten)),
)]
async fn reset(writing: Writing, request: Option<Json<ResetRequest>>) -> ApiResult<Response> {
    let keys = request.and_then(|Json(request)| request.keys);
    let (platform, to) = (&writing.app.platform, &writing);
    let written = platform
        .config_reset(&to.who, &to.plugin, keys.as_deref(), to.terms)
        .await;
    writing.answer(written)
}

/// Take the configuration away
///
/// Definition, values, history and secrets. The plugin stays; going to a version registers its
/// definition again.
#[utoipa::path(
    delete, path = "/v1/installations/{plugin}/config", tag = "config", operation_id = "config_delete",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has")),
    responses((status = 200, description = "Done", body = ConfigDeleted)),
)]
async fn delete(
    State(app): State<App>,
    Caller(who): Caller,
    if_match: IfMatch,
    Path(plugin): Path<String>,
) -> ApiResult<Response> {
    let (plugin, config) = registered(&app, &plugin).await?;
    expected(&plugin, &config, &if_match)?;
    let deleted = app.platform.config_delete(&who, &plugin).await?;
    let concerns = Extension(Concerns(plugin));
    Ok((concerns, Json(ConfigDeleted { deleted })).into_response())
}

/// What another definition would do
///
/// With the values as they are now; nothing is changed.
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/config/plan", tag = "config", operation_id = "config_plan",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has")),
    request_body = PlanRequest,
    responses((status = 200, description = "What would become of every value", body = UpgradeDocument)),
)]
async fn plan(
    State(app): State<App>,
    Language(lang): Language,
    Path(plugin): Path<String>,
    Json(request): Json<PlanRequest>,
) -> ApiResult<Json<UpgradeDocument>> {
    let plugin = app.platform.installation(&plugin).await?.plugin;
    let definition = match (request.package, request.definition) {
        (Some(package), None) => of_package(&app, &plugin, &package).await?,
        (None, Some(text)) => {
            let report = Definition::read(text.as_bytes());
            let findings = report.findings("definition");
            report.definition.ok_or_else(|| {
                Problem::new(codes::CONFIG_INVALID)
                    .about(&plugin)
                    .with_findings(findings)
            })?
        }
        _ => {
            return Err(Problem::new(codes::REQUEST_INVALID)
                .with("reason", "one of `package` and `definition` is needed")
                .into());
        }
    };
    let plan = app.platform.config_plan(&plugin, &definition).await?;
    Ok(Json(plan.document(&definition, lang)))
}

async fn of_package(
    app: &App,
    plugin: &PluginName,
    package: &Digest,
) -> Result<Definition, Problem> {
    let versions = app.platform.package(package).await?.versions;
    let version = versions.iter().find(|it| it.plugin == *plugin);
    let Some(version) = version else {
        return Err(match versions.first() {
            Some(other) => Problem::new(codes::PLUGIN_MISMATCH)
                .about(plugin)
                .with("actual", &other.plugin),
            None => Problem::new(codes::PACKAGE_NOT_FOUND).with("digest", package),
        });
    };
    let definition = (app.platform)
        .config_definition(plugin, version.version.id)
        .await?;
    Ok(definition.unwrap_or_else(Definition::empty))
}

/// The installation that was named, and its configuration.
async fn registered(app: &App, plugin: &str) -> Result<(PluginName, StoredConfig), Problem> {
    let plugin = app.platform.installation(plugin).await?.plugin;
    let config = app.platform.config_registered(&plugin).await?;
    Ok((plugin, config))
}

/// The revision that the client has seen, if it says so and it is still the one in force.
fn expected(
    plugin: &PluginName,
    config: &StoredConfig,
    if_match: &IfMatch,
) -> Result<Option<u64>, Problem> {
    if_match.check(&tag(plugin, config))?;
    Ok(if_match.is_given().then_some(config.revision))
}

fn tag(plugin: &PluginName, config: &StoredConfig) -> ETag {
    ETag::of(format!("config/{plugin}/{}", config.revision))
}

/// Somebody who writes the configuration of a plugin that has one.
struct Writing {
    app: App,
    who: Principal,
    lang: Lang,
    plugin: PluginName,
    /// As it is now.
    config: StoredConfig,
    /// The revision that it must still have, when the client says so; and whether anything is to be done.
    terms: Terms,
}

impl FromRequestParts<App> for Writing {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ProblemResponse> {
        let Caller(who) = Caller::from_request_parts(parts, app).await?;
        let Ok(Language(lang)) = Language::from_request_parts(parts, app).await;
        let Ok(if_match) = IfMatch::from_request_parts(parts, app).await;
        let Path(plugin) = Path::<String>::from_request_parts(parts, app).await?;
        let (plugin, config) = registered(app, &plugin).await?;
        let Query(how) = Query::<How>::from_request_parts(parts, app).await?;
        let terms = Terms {
            expected: expected(&plugin, &config, &if_match)?,
            dry_run: how.dry_run,
        };
        Ok(Self {
            app: app.clone(),
            who,
            lang,
            plugin,
            config,
            terms,
        })
    }
}

impl Writing {
    /// Answers with what was written, or why not.
    fn answer(self, written: Result<Written, ConfigRefusal>) -> ApiResult<Response> {
        let written = written.map_err(|refusal| {
            let problem = refusal.into_problem(&self.plugin);
            // Another came in between our look and our write.
            if self.terms.expected.is_some() && problem.code == codes::REVISION_CONFLICT {
                Problem::new(codes::PRECONDITION_FAILED)
            } else {
                problem
            }
        })?;
        let config = written.config;
        let failures = (config.definition).completeness(&config.values, seconds(&self.app));
        let document = ConfigWritten {
            updated: written.updated,
            unchanged: written.unchanged,
            revision: config.revision,
            values: config.definition.masked(&config.values),
            complete: failures.is_empty(),
            issues: failures.iter().map(|it| it.issue(self.lang)).collect(),
        };
        let tag = tag(&self.plugin, &config);
        let concerns = Extension(Concerns(self.plugin));
        Ok((tag, concerns, Json(document)).into_response())
    }
}

/// Seconds since 1970 (UTC), as rules about dates take them.
fn seconds(app: &App) -> i64 {
    app.platform.settings().clock.now() / 1000
}
