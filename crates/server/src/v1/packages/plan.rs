//! `/v1/packages/plan`: what installing a package, or upgrading to it, would do. Nothing of it is kept.

use std::path::PathBuf;

use axum::Extension;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Request, State};
use axum::http::Method;
use plugyard_config::{Definition, UpgradeDocument};
use plugyard_http::{ApiResult, Json, Language, Query, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{ByteSize, Digest, KindId, Lang, PluginName, Problem, Wanted, codes};
use plugyard_platform::config::{ConfigChange, ConfigInput};
use plugyard_platform::kind::Packages as _;
use plugyard_platform::{ChangeRequest, Considered, Source, TakeIn};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::source::{
    PIECES, Reference, ZipBody, body, feed_file, form, media_type, piped, referenced, unreadable,
    unsupported,
};
use super::{About, Inspection};
use crate::app::App;
use crate::peer::Peer;
use crate::v1::Entry;
use crate::v1::installations::Planned;

pub(in crate::v1) const RIGHTS: &[Entry] =
    &[(Method::POST, "/v1/packages/plan", Right::PluginInstall)];

/// Bytes of the part `change` of a form.
const CHANGE_MAX: usize = 1 << 20;
/// The task of web plugins that places a package; other kinds refuse it.
const UNZIP: &str = "unzip";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(plan))
}

/// The change that is meant, as the route that would begin it takes it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlannedChange {
    /// Whether the plugin is upgraded rather than installed.
    #[serde(default)]
    upgrade: bool,
    /// Whether the package is only placed, as `POST /v1/web/unzip` does; nothing else can be said then.
    #[serde(default)]
    unzip: bool,
    /// What the installer adds to the package.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    options: Option<Map<String, Value>>,
    /// `running` (`enabled`) unless said otherwise; for an installation only.
    #[schema(value_type = Option<String>)]
    wanted: Option<Wanted>,
    /// Values to begin with; for an installation only.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    values: Option<Map<String, Value>>,
    /// Whether the new definition of what can be configured comes into force; `true` unless said otherwise.
    update_definitions: Option<bool>,
    /// Go also to a definition of a lower version.
    #[serde(default)]
    force: bool,
}

impl PlannedChange {
    fn says_only_unzip(&self) -> bool {
        let others = self.options.is_some() || self.values.is_some() || self.wanted.is_some();
        !(self.upgrade || self.force || others || self.update_definitions.is_some())
    }
}

/// A package that is not in the body, exactly one of the first three, and the change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PlanOf {
    /// An `http` or `https` address.
    url: Option<String>,
    /// A file or directory on the server's own disk; only over the local socket.
    #[schema(value_type = Option<String>)]
    path: Option<PathBuf>,
    /// SHA-256 of a package that was handed in.
    #[schema(value_type = Option<String>)]
    package: Option<Digest>,
    /// The change; an installation without options unless said otherwise.
    #[serde(default)]
    change: PlannedChange,
}

/// The schema of a form with a change and a zip.
struct PlanForm;

impl PartialSchema for PlanForm {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::ObjectBuilder;
        use utoipa::openapi::schema::{KnownFormat, SchemaFormat, SchemaType, Type};
        let text = || ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        ObjectBuilder::new()
            .description(Some("A form; the change comes before the file"))
            .property(
                "change",
                text().description(Some("The change as JSON; may be left out")),
            )
            .property(
                "file",
                text()
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
                    .description(Some("The zip")),
            )
            .required("file")
            .into()
    }
}

impl ToSchema for PlanForm {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("PlanForm")
    }
}

/// What a package says, and what a change to it would do.
#[derive(Debug, Serialize, ToSchema)]
struct PackagePlanned {
    #[serde(flatten)]
    inspection: Inspection,
    #[serde(flatten)]
    planned: Planned,
}

/// Say what installing a package, or upgrading to it, would do
///
/// Nothing is kept and nothing changes. What would be refused is refused here in the same words.
#[utoipa::path(
    post, path = "/v1/packages/plan", tag = "packages", operation_id = "package_plan",
    params(About),
    request_body(content(
        (ZipBody = "application/zip"),
        (PlanForm = "multipart/form-data"),
        (PlanOf = "application/json"),
    )),
    responses((status = 200, description = "What it says, and what would be done", body = PackagePlanned)),
)]
async fn plan(
    State(app): State<App>,
    _: Unhurried,
    Language(lang): Language,
    Query(about): Query<About>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> ApiResult<Json<PackagePlanned>> {
    let (considered, change) = match media_type(request.headers()) {
        "application/json" => {
            let Json(of) = <Json<PlanOf> as FromRequest<()>>::from_request(request, &()).await?;
            let source = match of.package {
                Some(package) if of.url.is_none() && of.path.is_none() => {
                    kept(&app, &package).await?
                }
                Some(_) => return Err(unreadable("give one of `url`, `path` and `package`").into()),
                None => referenced(
                    Reference {
                        url: of.url,
                        path: of.path,
                    },
                    peer,
                )?,
            };
            let take_in = meant(&app, about, &of.change).await?;
            (app.platform.consider(source, take_in).await?, of.change)
        }
        "multipart/form-data" => {
            let mut form = form(&app, request).await?;
            let (feed, pieces) = mpsc::channel(PIECES);
            let first = form.next_field().await;
            let first = first.map_err(|error| unreadable(&error.body_text()))?;
            let change = match first {
                Some(field) if field.name() == Some("change") => read(field).await?,
                _ => return Err(unreadable("the form begins with the part `change`").into()),
            };
            let take_in = meant(&app, about, &change).await?;
            let considered = app.platform.consider(piped(pieces), take_in);
            let (considered, ()) = tokio::join!(considered, async move {
                feed_file(form, &feed).await;
            });
            (considered?, change)
        }
        "application/zip" | "application/octet-stream" | "application/x-zip-compressed" => {
            let source = body(&app, request)?;
            let change = PlannedChange::default();
            let take_in = meant(&app, about, &change).await?;
            (app.platform.consider(source, take_in).await?, change)
        }
        other => return Err(unsupported(other).into()),
    };
    let planned = foreseen(&app, &considered, change, lang).await?;
    let Considered { package, .. } = considered;
    Ok(Json(PackagePlanned {
        inspection: Inspection::new(package, lang),
        planned,
    }))
}

/// A package that was handed in, to be looked at anew.
pub(in crate::v1) async fn kept(app: &App, package: &Digest) -> Result<Source, Problem> {
    app.platform.package(package).await?;
    let path = app.platform.file(package).await.map_err(|error| {
        tracing::error!(%error, package = %package, "A package that has a row cannot be read");
        Problem::new(codes::OBJECTS_UNAVAILABLE)
    })?;
    Ok(Source::Path(path))
}

/// How the package is to be looked at. An upgrade keeps the options there are unless it names others.
async fn meant(app: &App, about: About, change: &PlannedChange) -> Result<TakeIn, Problem> {
    let options = match (&change.options, &about.kind, &about.key) {
        (Some(options), ..) => Some(Value::Object(options.clone())),
        (None, Some(kind), Some(key)) if change.upgrade => {
            let installed = app.platform.installation(&format!("{kind}:{key}")).await?;
            let kind = app.platform.kind(&installed.plugin.kind)?;
            installed
                .current
                .map(|it| kind.lasting_options(&it.options))
        }
        _ => None,
    };
    let mut take_in = TakeIn {
        kind: about.kind.map(KindId::from),
        expected_key: about.key,
        ..TakeIn::default()
    };
    if let Some(options) = options {
        take_in.options = options;
    }
    Ok(take_in)
}

async fn foreseen(
    app: &App,
    considered: &Considered,
    change: PlannedChange,
    lang: Lang,
) -> Result<Planned, Problem> {
    let (plugin, version) = (&considered.plugin, considered.version.id);
    let request = if change.unzip {
        if !change.says_only_unzip() {
            return Err(unreadable("`unzip` stands alone"));
        }
        ChangeRequest::Prepare {
            task: UNZIP,
            version,
        }
    } else if change.upgrade {
        ChangeRequest::Upgrade { version }
    } else {
        ChangeRequest::Install {
            version,
            wanted: change.wanted,
        }
    };
    let input = ConfigInput {
        change: ConfigChange {
            update_definitions: change.update_definitions.unwrap_or(true),
            force: change.force,
            seed: change
                .options
                .as_ref()
                .and_then(|options| options.get("seed"))
                .and_then(Value::as_bool),
        },
        values: change.values,
    };
    let plan = app
        .platform
        .foresee(plugin, request, input, Some(considered))
        .await?;
    let config = if change.upgrade {
        upgraded(app, plugin, considered.definition.as_ref(), lang).await?
    } else {
        None
    };
    Ok(Planned::new(plugin.clone(), plan, config))
}

/// What would become of the configuration; `None` where nothing can be configured, before or after.
pub(in crate::v1) async fn upgraded(
    app: &App,
    plugin: &PluginName,
    definition: Option<&Definition>,
    lang: Lang,
) -> Result<Option<UpgradeDocument>, Problem> {
    if definition.is_none() && app.platform.config(plugin).await?.is_none() {
        return Ok(None);
    }
    let empty = Definition::empty();
    let definition = definition.unwrap_or(&empty);
    let plan = app.platform.config_plan(plugin, definition).await?;
    Ok(Some(plan.document(definition, lang)))
}

/// The part `change` of a form.
async fn read(mut field: Field<'_>) -> Result<PlannedChange, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = field
        .chunk()
        .await
        .map_err(|error| unreadable(&error.body_text()))?
    {
        if text.len() + piece.len() > CHANGE_MAX {
            let limit = ByteSize(CHANGE_MAX as u64);
            return Err(Problem::new(codes::REQUEST_TOO_LARGE).with("limit", limit));
        }
        text.extend_from_slice(&piece);
    }
    serde_json::from_slice(&text)
        .map_err(|error| unreadable(&format!("the part `change`: {error}")))
}
