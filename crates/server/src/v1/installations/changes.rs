//! Every change to an installation: begun here, carried out as an operation.

use axum::Extension;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_config::UpgradeDocument;
use plugyard_http::{
    ApiResult, Caller, Concerns, IfMatch, Json, Language, Path, Principal, ProblemResponse, Query,
    Unhurried,
};
use plugyard_model::rights::Right;
use plugyard_model::{Digest, OperationId, PluginName, Problem, VersionId, Wanted, codes};
use plugyard_platform::config::{ConfigChange, ConfigInput};
use plugyard_platform::kind::{Plan, StepSpec};
use plugyard_platform::versions::VersionView;
use plugyard_platform::{ChangeRequest, Considered, Expected, InstallationView, TakeIn};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Entry, UserDocument, etag, invalid, tag, used_by};
use crate::app::App;
use crate::v1::packages::{kept, upgraded};

pub(in crate::v1) const RIGHTS: &[Entry] = &[
    (Method::POST, "/v1/installations", Right::PluginInstall),
    (
        Method::DELETE,
        "/v1/installations/{plugin}",
        Right::PluginRemove,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/upgrade",
        Right::PluginInstall,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/rollback",
        Right::PluginInstall,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/enable",
        Right::PluginOperate,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/disable",
        Right::PluginOperate,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/restart",
        Right::PluginOperate,
    ),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(install))
        .routes(routes!(uninstall))
        .routes(routes!(upgrade))
        .routes(routes!(rollback))
        .routes(routes!(enable))
        .routes(routes!(disable))
        .routes(routes!(restart))
}

/// A plugin to be installed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Install {
    /// SHA-256 of a package that was handed in.
    #[schema(value_type = String)]
    package: Digest,
    /// Whose version the package is meant as, where it is one of several plugins.
    #[schema(value_type = Option<String>)]
    plugin: Option<PluginName>,
    /// What the installer adds to the package, e.g. `shellParas`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    options: Option<Value>,
    /// `running` (`enabled`) unless said otherwise.
    #[schema(value_type = Option<String>)]
    wanted: Option<Wanted>,
    /// Values to begin with, where something can be configured; the others get their initial values.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    values: Option<serde_json::Map<String, Value>>,
}

/// The package of another version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Upgrade {
    /// SHA-256 of a package that was handed in.
    #[schema(value_type = String)]
    package: Digest,
    /// What the installer adds to the package; those of the version in force unless said otherwise.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    options: Option<Value>,
    /// Whether the new version's definition of what can be configured comes into force; `true` unless said
    /// otherwise. Without, definition and values stay as they are.
    #[serde(default)]
    update_definitions: Option<bool>,
    /// Go also to a definition of a lower version.
    #[serde(default)]
    force: bool,
}

/// Where to go back to.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rollback {
    /// The version: its id, its label or its digest; the previous one unless said otherwise.
    to: Option<String>,
    /// Go also to a version that the data may not fit.
    #[serde(default)]
    force: bool,
}

/// A change that began.
#[derive(Debug, Serialize, ToSchema)]
struct Started {
    /// The operation that carries it out.
    #[schema(value_type = String, format = Uuid)]
    operation: OperationId,
    /// Whose.
    #[schema(value_type = String)]
    plugin: PluginName,
}

/// What a change would do.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::v1) struct Planned {
    /// Whose.
    #[schema(value_type = String)]
    plugin: PluginName,
    /// What would be done.
    plan: PlannedSteps,
    /// What uses the plugin and would have to do without it; only for `disable` and uninstall.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    used_by: Vec<UserDocument>,
    /// What would become of the configuration; only for an upgrade, where something can be configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<UpgradeDocument>,
}

impl Planned {
    pub(in crate::v1) fn new(
        plugin: PluginName,
        plan: Plan,
        config: Option<UpgradeDocument>,
    ) -> Self {
        let steps = plan.steps.into_iter().map(Into::into).collect();
        Self {
            plugin,
            plan: PlannedSteps { steps },
            used_by: Vec::new(),
            config,
        }
    }
}

/// Steps that would be done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
struct PlannedSteps {
    /// In order.
    steps: Vec<PlannedStep>,
}

/// A step that would be done.
#[derive(Debug, Serialize, ToSchema)]
struct PlannedStep {
    /// The word people see.
    name: &'static str,
    /// What the kind does under that word.
    action: String,
    /// Whether the new state holds from here on.
    commit: bool,
}

impl From<StepSpec> for PlannedStep {
    fn from(step: StepSpec) -> Self {
        Self {
            name: step.name.as_str(),
            action: step.action,
            commit: step.commit,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// Say what would be done, and do nothing.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HowToRemove {
    /// Keep what the plugin stored for itself. Unless said otherwise, data of plugins of an application stay,
    /// and others go.
    #[serde(default)]
    keep_data: Option<bool>,
    /// Say what would be done, and do nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Install a plugin
#[utoipa::path(
    post, path = "/v1/installations", tag = "installations", operation_id = "installation_install",
    params(How, ("Idempotency-Key" = Option<String>, Header, description = "The same key, the same answer")),
    request_body = Install,
    responses(
        (status = 202, description = "Begun; `Location` is the operation", body = Started),
        (status = 200, description = "With `dry_run`: what would be done", body = Planned),
    ),
)]
async fn install(
    State(app): State<App>,
    Caller(who): Caller,
    _: Unhurried,
    Query(how): Query<How>,
    Json(request): Json<Install>,
) -> ApiResult<Response> {
    let options = request.options.unwrap_or_else(no_options);
    let seed = seed_of(&options);
    let meant = version_of(
        &app,
        request.package,
        options,
        request.plugin.as_ref(),
        how.dry_run,
    );
    let meant = meant.await?;
    let (plugin, version) = meant.named();
    let change = ChangeRequest::Install {
        version,
        wanted: request.wanted,
    };
    let config = ConfigInput {
        values: request.values,
        change: ConfigChange {
            seed,
            ..ConfigChange::default()
        },
    };
    if how.dry_run {
        let considered = meant.considered();
        let plan = app
            .platform
            .foresee(&plugin, change, config, considered)
            .await?;
        let planned = Planned::new(plugin, plan, None);
        return Ok(Json(planned).into_response());
    }
    begin_with(&app, &who, &plugin, change, config, None).await
}

/// Go to another version
///
/// The old one works until the new one does, where the kind can; when it does not become ready, the
/// old one stays in force.
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/upgrade", tag = "installations", operation_id = "installation_upgrade",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    request_body = Upgrade,
    responses(
        (status = 202, description = "Begun; `Location` is the operation", body = Started),
        (status = 200, description = "With `dry_run`: what would be done", body = Planned),
    ),
)]
async fn upgrade(
    changing: Changing,
    _: Unhurried,
    Language(lang): Language,
    Query(how): Query<How>,
    Json(request): Json<Upgrade>,
) -> ApiResult<Response> {
    let Changing { app, view, .. } = &changing;
    let kind = app.platform.kind(&view.plugin.kind)?;
    let options = request
        .options
        .or_else(|| Some(kind.lasting_options(&view.current.as_ref()?.options)))
        .unwrap_or_else(no_options);
    let seed = seed_of(&options);
    let meant = version_of(
        app,
        request.package,
        options,
        Some(&view.plugin),
        how.dry_run,
    );
    let meant = meant.await?;
    let (plugin, version) = meant.named();
    let change = ChangeRequest::Upgrade { version };
    let config = ConfigInput {
        change: ConfigChange {
            update_definitions: request.update_definitions.unwrap_or(true),
            force: request.force,
            seed,
        },
        values: None,
    };
    if how.dry_run {
        let considered = meant.considered();
        let plan = app
            .platform
            .foresee(&plugin, change, config, considered)
            .await?;
        let definition = match considered {
            Some(considered) => considered.definition.clone(),
            None => app.platform.config_definition(&plugin, version).await?,
        };
        let config = upgraded(app, &plugin, definition.as_ref(), lang).await?;
        let planned = Planned::new(plugin, plan, config);
        return Ok(Json(planned).into_response());
    }
    changing.begin_with(change, config, how.dry_run).await
}

/// Go back to an earlier version
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/rollback", tag = "installations", operation_id = "installation_rollback",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    request_body = Option<Rollback>,
    responses(
        (status = 202, description = "Begun; `Location` is the operation", body = Started),
        (status = 200, description = "With `dry_run`: what would be done", body = Planned),
    ),
)]
async fn rollback(
    changing: Changing,
    Query(how): Query<How>,
    request: Option<Json<Rollback>>,
) -> ApiResult<Response> {
    let Rollback { to, force } = request.map(|Json(request)| request).unwrap_or_default();
    let to = match to {
        Some(name) => {
            let (platform, plugin) = (&changing.app.platform, &changing.view.plugin);
            Some(platform.version_named(plugin, &name).await?)
        }
        None => None,
    };
    let config = ConfigInput {
        change: ConfigChange {
            force,
            ..ConfigChange::default()
        },
        values: None,
    };
    let change = ChangeRequest::Rollback { to };
    changing.begin_with(change, config, how.dry_run).await
}

/// Let a plugin work
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/enable", tag = "installations", operation_id = "installation_enable",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    responses(
        (status = 202, description = "Begun; `Location` is the operation", body = Started),
        (status = 200, description = "With `dry_run`: what would be done", body = Planned),
    ),
)]
async fn enable(changing: Changing, Query(how): Query<How>) -> ApiResult<Response> {
    changing.begin(ChangeRequest::Enable, how.dry_run).await
}

/// Let a plugin rest, but keep it
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/disable", tag = "installations", operation_id = "installation_disable",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    responses(
        (status = 202, description = "Begun; `Location` is the operation", body = Started),
        (status = 200, description = "With `dry_run`: what would be done", body = Planned),
    ),
)]
async fn disable(changing: Changing, Query(how): Query<How>) -> ApiResult<Response> {
    changing.begin(ChangeRequest::Disable, how.dry_run).await
}

/// End and start the same version
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/restart", tag = "installations", operation_id = "installation_restart",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    responses(
        (status = 202, description = "Begun; `Location` is the operation", body = Started),
        (status = 200, description = "With `dry_run`: what would be done", body = Planned),
    ),
)]
async fn restart(changing: Changing, Query(how): Query<How>) -> ApiResult<Response> {
    changing.begin(ChangeRequest::Restart, how.dry_run).await
}

/// Take a plugin away
#[utoipa::path(
    delete, path = "/v1/installations/{plugin}", tag = "installations", operation_id = "installation_uninstall",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), HowToRemove),
    responses(
        (status = 202, description = "Begun; `Location` is the operation", body = Started),
        (status = 200, description = "With `dry_run`: what would be done", body = Planned),
    ),
)]
async fn uninstall(changing: Changing, Query(how): Query<HowToRemove>) -> ApiResult<Response> {
    let kind = changing.app.platform.kind(&changing.view.plugin.kind)?;
    let keep_data = how.keep_data.unwrap_or_else(|| kind.keeps_data());
    let change = ChangeRequest::Uninstall { keep_data };
    changing.begin(change, how.dry_run).await
}

/// What the client holds, to be compared in the transaction that begins the change.
fn expected(if_match: IfMatch) -> Expected {
    Expected::new(move |installation| match installation {
        Some((id, revision)) => if_match.check(&tag(id, revision)),
        None => Err(Problem::new(codes::PRECONDITION_FAILED)),
    })
}

/// Somebody who changes an installation that is there.
struct Changing {
    app: App,
    who: Principal,
    /// As it is now.
    view: InstallationView,
    if_match: IfMatch,
}

impl FromRequestParts<App> for Changing {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ProblemResponse> {
        let Caller(who) = Caller::from_request_parts(parts, app).await?;
        let Ok(if_match) = IfMatch::from_request_parts(parts, app).await;
        let Path(plugin) = Path::<String>::from_request_parts(parts, app).await?;
        let view = app.platform.installation(&plugin).await?;
        // So a plan is refused too, and a package is not looked at in vain; what counts is `expected`.
        if_match.check(&etag(&view))?;
        Ok(Self {
            app: app.clone(),
            who,
            view,
            if_match,
        })
    }
}

impl Changing {
    /// Begins a change that has nothing to say about the configuration, or says what it would do.
    async fn begin(self, change: ChangeRequest, dry_run: bool) -> ApiResult<Response> {
        let config = ConfigInput::default();
        self.begin_with(change, config, dry_run).await
    }

    async fn begin_with(
        self,
        change: ChangeRequest,
        config: ConfigInput,
        dry_run: bool,
    ) -> ApiResult<Response> {
        let (plugin, if_match) = (&self.view.plugin, Some(self.if_match));
        if dry_run {
            let planned = planned(&self.app, plugin, change, config).await?;
            return Ok(Json(planned).into_response());
        }
        begin_with(&self.app, &self.who, plugin, change, config, if_match).await
    }
}

/// Begins a change.
async fn begin_with(
    app: &App,
    who: &Principal,
    plugin: &PluginName,
    change: ChangeRequest,
    config: ConfigInput,
    if_match: Option<IfMatch>,
) -> ApiResult<Response> {
    let expected = if_match.filter(IfMatch::is_given).map(expected);
    let operation = app
        .platform
        .change_expecting(who, plugin, change, config, expected)
        .await?;
    let mut response = (
        StatusCode::ACCEPTED,
        Extension(Concerns(plugin.clone())),
        Json(Started {
            operation,
            plugin: plugin.clone(),
        }),
    )
        .into_response();
    let location = HeaderValue::try_from(format!("/v1/operations/{operation}"))
        .expect("an id is plain characters");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// What a change to what is here would do.
async fn planned(
    app: &App,
    plugin: &PluginName,
    change: ChangeRequest,
    config: ConfigInput,
) -> Result<Planned, Problem> {
    let plan = app.platform.foresee(plugin, change, config, None).await?;
    let rests = matches!(
        change,
        ChangeRequest::Disable | ChangeRequest::Uninstall { .. }
    );
    let mut planned = Planned::new(plugin.clone(), plan, None);
    if rests {
        planned.used_by = used_by(app, plugin).await;
    }
    Ok(planned)
}

/// The version that a package is meant as.
enum Meant {
    /// It is here.
    Kept(PluginName, VersionId),
    /// It would be made.
    Considered(Box<Considered>),
}

impl Meant {
    fn named(&self) -> (PluginName, VersionId) {
        match self {
            Self::Kept(plugin, version) => (plugin.clone(), *version),
            Self::Considered(it) => (it.plugin.clone(), it.version.id),
        }
    }

    fn considered(&self) -> Option<&Considered> {
        match self {
            Self::Kept(..) => None,
            Self::Considered(it) => Some(it),
        }
    }
}

/// The version that a package is with these options: one that is here, or a new one of the same bytes, which a
/// dry run does not make.
async fn version_of(
    app: &App,
    package: Digest,
    options: Value,
    plugin: Option<&PluginName>,
    dry_run: bool,
) -> Result<Meant, Problem> {
    if !options.is_object() {
        return Err(invalid("`options` must be an object"));
    }
    let versions = app.platform.package(&package).await?.versions;
    let of_plugin: Vec<&VersionView> = versions
        .iter()
        .filter(|it| plugin.is_none_or(|plugin| it.plugin == *plugin))
        .collect();
    let Some(first) = of_plugin.first() else {
        return Err(mismatch(&versions, plugin, &package));
    };
    if of_plugin.iter().any(|it| it.plugin != first.plugin) {
        return Err(invalid(
            "the package is one of several plugins: say which as `plugin`",
        ));
    }
    // What is about this change alone makes no version of its own.
    let kind = app.platform.kind(&first.plugin.kind)?;
    let options = kind.lasting_options(&options);
    if let Some(same) = of_plugin.iter().find(|it| it.version.options == options) {
        return Ok(Meant::Kept(same.plugin.clone(), same.version.id));
    }
    let source = kept(app, &package).await?;
    let take_in = TakeIn {
        kind: Some(first.plugin.kind.clone()),
        expected_key: Some(first.plugin.key.to_string()),
        options,
    };
    if dry_run {
        let considered = app.platform.consider(source, take_in).await?;
        return Ok(Meant::Considered(Box::new(considered)));
    }
    let taken = app.platform.take_in(source, take_in).await?;
    Ok(Meant::Kept(taken.plugin, taken.version.id))
}

fn mismatch(versions: &[VersionView], plugin: Option<&PluginName>, package: &Digest) -> Problem {
    match (versions.first(), plugin) {
        (Some(actual), Some(plugin)) => Problem::new(codes::PLUGIN_MISMATCH)
            .about(plugin)
            .with("actual", &actual.plugin),
        _ => Problem::new(codes::PACKAGE_NOT_FOUND).with("digest", package),
    }
}

/// Whether first data are written, as the options say.
pub(in crate::v1) fn seed_of(options: &Value) -> Option<bool> {
    options.get("seed").and_then(Value::as_bool)
}

fn no_options() -> Value {
    Value::Object(serde_json::Map::new())
}
