//! `/v1/packages` and `/v1/plugins`: what was handed in, and the catalogue made of it.

mod plan;
mod source;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{
    ApiResult, FindingBody, Json, Language, Page, PageQuery, Path, Query, Unhurried,
};
use plugyard_model::rights::Right;
use plugyard_model::{Digest, FindingDocument, KindId, Lang, PluginName, VersionId};
use plugyard_platform::TakeIn;
use plugyard_platform::intake::Inspected;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::source::{FormBody, Reference, ZipBody, source};
use super::Entry;
use super::documents::{VersionListed, findings};
use crate::app::App;
use crate::peer::Peer;

pub(super) use self::plan::{RIGHTS as PLAN_RIGHTS, kept, upgraded};

pub(super) const RIGHTS: &[Entry] = &[
    (Method::POST, "/v1/packages", Right::PluginInstall),
    (Method::POST, "/v1/packages/inspect", Right::PluginInstall),
    (Method::GET, "/v1/packages/{sha256}", Right::PluginRead),
    (Method::GET, "/v1/plugins", Right::PluginRead),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(upload))
        .routes(routes!(inspect))
        .merge(plan::router())
        .routes(routes!(show))
        .routes(routes!(plugins))
}

/// What the client says about the package it hands in.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct About {
    /// The kind it is of; else the package itself says.
    kind: Option<String>,
    /// The key it must have; else the package's own.
    key: Option<String>,
}

impl From<About> for TakeIn {
    fn from(about: About) -> Self {
        Self {
            kind: about.kind.map(KindId::from),
            expected_key: about.key,
            ..Self::default()
        }
    }
}

/// What a package says, and what is wrong with it.
#[derive(Debug, Serialize, ToSchema)]
struct Inspection {
    /// SHA-256 of its bytes.
    #[schema(value_type = String)]
    sha256: Digest,
    /// Bytes.
    size: u64,
    /// The format that was recognised.
    #[schema(value_type = Option<String>)]
    kind: Option<KindId>,
    /// The key the package gives itself.
    key: Option<String>,
    /// The version the package gives itself; free text.
    version: Option<String>,
    /// The manifest in the kind's normal form.
    manifest: Value,
    /// Everything wrong with it, in order.
    #[schema(value_type = Vec<FindingBody>)]
    findings: Vec<FindingDocument>,
}

impl Inspection {
    fn new(inspected: Inspected, lang: Lang) -> Self {
        Self {
            sha256: inspected.digest,
            size: inspected.size,
            findings: findings(&inspected.inspection.findings, lang),
            kind: inspected.inspection.kind,
            key: inspected.inspection.key,
            version: inspected.inspection.version,
            manifest: inspected.inspection.manifest,
        }
    }
}

/// A package that was taken in.
#[derive(Debug, Serialize, ToSchema)]
struct PackageAccepted {
    #[serde(flatten)]
    inspection: Inspection,
    /// What it is a version of.
    #[schema(value_type = String)]
    plugin: PluginName,
    /// The version.
    #[schema(value_type = String, format = Uuid)]
    version_id: VersionId,
    /// Whether it was not here before.
    new: bool,
}

/// Hand a package in
///
/// The body is the zip itself, or `multipart/form-data` with one file, or JSON that says where the
/// package is. The same bytes may be handed in any number of times.
#[utoipa::path(
    post, path = "/v1/packages", tag = "packages", operation_id = "package_upload",
    params(About),
    request_body(content(
        (ZipBody = "application/zip"),
        (FormBody = "multipart/form-data"),
        (Reference = "application/json"),
    )),
    responses((status = 201, description = "Taken in", body = PackageAccepted)),
)]
async fn upload(
    State(app): State<App>,
    _: Unhurried,
    Language(lang): Language,
    Query(about): Query<About>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> ApiResult<Response> {
    let (source, feeder) = source(&app, peer, request).await?;
    let taken = app.platform.take_in(source, about.into());
    let (taken, ()) = tokio::join!(taken, feeder);
    let taken = taken?;
    let body = PackageAccepted {
        inspection: Inspection {
            sha256: taken.digest,
            size: taken.size,
            kind: Some(taken.plugin.kind.clone()),
            key: Some(taken.plugin.key.to_string()),
            version: taken.inspection.version,
            manifest: taken.inspection.manifest,
            findings: findings(&taken.inspection.findings, lang),
        },
        plugin: taken.plugin,
        version_id: taken.version.id,
        new: taken.new,
    };
    let location = [(header::LOCATION, format!("/v1/packages/{}", taken.digest))];
    Ok((StatusCode::CREATED, location, Json(body)).into_response())
}

/// Look at a package and keep nothing
#[utoipa::path(
    post, path = "/v1/packages/inspect", tag = "packages", operation_id = "package_inspect",
    params(About),
    request_body(content(
        (ZipBody = "application/zip"),
        (FormBody = "multipart/form-data"),
        (Reference = "application/json"),
    )),
    responses((status = 200, description = "What it says; that it is bad is no error here", body = Inspection)),
)]
async fn inspect(
    State(app): State<App>,
    _: Unhurried,
    Language(lang): Language,
    Query(about): Query<About>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> ApiResult<Json<Inspection>> {
    let (source, feeder) = source(&app, peer, request).await?;
    let options = about.into();
    let inspected = app.platform.inspect(source, &options);
    let (inspected, ()) = tokio::join!(inspected, feeder);
    let inspected = inspected?;
    Ok(Json(Inspection::new(inspected, lang)))
}

/// A package that is here.
#[derive(Debug, Serialize, ToSchema)]
struct Package {
    /// SHA-256 of its bytes.
    #[schema(value_type = String)]
    sha256: Digest,
    /// Bytes.
    size: u64,
    /// Milliseconds since 1970 (UTC) when it first came.
    created_at: i64,
    /// What it is a version of: one for each plugin and set of options.
    versions: Vec<PackageVersion>,
}

/// A version with the plugin it is of.
#[derive(Debug, Serialize, ToSchema)]
struct PackageVersion {
    /// Whose.
    #[schema(value_type = String)]
    plugin: PluginName,
    #[serde(flatten)]
    version: VersionListed,
}

/// A package and its versions
#[utoipa::path(
    get, path = "/v1/packages/{sha256}", tag = "packages", operation_id = "package_show",
    params(("sha256" = String, Path, description = "SHA-256 of the package, 64 hexadecimal digits")),
    responses((status = 200, description = "The package", body = Package)),
)]
async fn show(
    State(app): State<App>,
    Language(lang): Language,
    Path(digest): Path<Digest>,
) -> ApiResult<Json<Package>> {
    let view = app.platform.package(&digest).await?;
    Ok(Json(Package {
        sha256: view.sha256,
        size: view.size,
        created_at: view.created_at,
        versions: view
            .versions
            .into_iter()
            .map(|version| PackageVersion {
                plugin: version.plugin.clone(),
                version: VersionListed::new(version, lang),
            })
            .collect(),
    }))
}

/// A plugin of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
struct Plugin {
    /// Its name, `kind:key`.
    #[schema(value_type = String)]
    plugin: PluginName,
    /// Latest first.
    versions: Vec<VersionListed>,
}

/// The catalogue: every plugin that was taken in, installed or not, by name
#[utoipa::path(
    get, path = "/v1/plugins", tag = "packages", operation_id = "plugin_list",
    params(PageQuery),
    responses((status = 200, description = "A page of the plugins", body = Page<Plugin>)),
)]
async fn plugins(
    State(app): State<App>,
    Language(lang): Language,
    Query(page): Query<PageQuery>,
) -> ApiResult<Json<Page<Plugin>>> {
    let page = app.platform.plugins(&page).await?;
    let items = page.items.into_iter().map(|it| Plugin {
        plugin: it.plugin,
        versions: it
            .versions
            .into_iter()
            .map(|version| VersionListed::new(version, lang))
            .collect(),
    });
    Ok(Json(Page {
        items: items.collect(),
        next: page.next,
    }))
}
