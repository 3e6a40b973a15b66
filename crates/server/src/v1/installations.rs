//! `/v1/installations`: what is here; [`changes`] has every change to it.

mod changes;

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, ETag, Json, Language, Page, PageQuery, Path, Query};
use plugyard_model::rights::Right;
use plugyard_model::{HealthState, InstallationId, KindId, Lang, PluginName};
use plugyard_platform::installations::InstallationFilter;
use plugyard_platform::kind::Installation;
use plugyard_platform::{Dependent, InstallationView};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use super::documents::{InstallationDocument, VersionListed};
use super::operations::invalid;
use crate::app::App;
use crate::remembered::{self, Key};

pub(super) use self::changes::{Planned, RIGHTS as CHANGES_RIGHTS};

pub(super) const RIGHTS: &[Entry] = &[
    (Method::GET, "/v1/installations", Right::PluginRead),
    (Method::GET, "/v1/installations/{plugin}", Right::PluginRead),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .merge(changes::router())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Of this kind only.
    kind: Option<String>,
    /// In this health only.
    #[param(value_type = Option<String>)]
    health: Option<HealthState>,
}

/// The installations, by name
#[utoipa::path(
    get, path = "/v1/installations", tag = "installations", operation_id = "installation_list",
    params(Filter, PageQuery),
    responses((status = 200, description = "A page of them", body = Page<InstallationDocument>)),
)]
async fn list(
    State(app): State<App>,
    Query(filter): Query<Filter>,
    Query(page): Query<PageQuery>,
) -> ApiResult<Response> {
    let filter = InstallationFilter {
        kind: filter.kind.map(KindId::from),
        health: filter.health,
    };
    let key = Key {
        route: "installations",
        asked: format!("{filter:?} {page:?}"),
        lang: Lang::default(),
    };
    let make = async || {
        let page = app.platform.installations(&filter, &page).await?;
        let documents: Page<InstallationDocument> = Page {
            items: page.items.into_iter().map(Into::into).collect(),
            next: page.next,
        };
        Ok((documents, true))
    };
    Ok(remembered::answer(&app.lists, &app.platform, key, make).await?)
}

/// What the database says of an installation, and how it is.
#[derive(Debug, Serialize)]
pub(crate) struct Recorded {
    #[serde(skip)]
    id: InstallationId,
    #[serde(skip)]
    revision: u64,
    #[serde(skip)]
    plugin: PluginName,
    #[serde(skip)]
    installed: Option<Installation>,
    document: InstallationDocument,
    versions: Vec<VersionListed>,
}

/// An installation with its versions and what its kind says about it.
#[derive(Debug, Serialize, ToSchema)]
struct InstallationShown<'a> {
    #[serde(flatten)]
    installation: &'a InstallationDocument,
    /// The versions that are here, latest first.
    versions: &'a [VersionListed],
    /// What uses it now, and would have to do without it when it is disabled or uninstalled.
    used_by: Vec<UserDocument>,
    /// The kind's own part: processes, symbols, limits, ….
    details: Value,
}

/// Something that uses a plugin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginUser)]
struct UserDocument {
    /// `rule` or `stream`.
    kind: &'static str,
    /// Its name.
    name: String,
}

/// One installation
#[utoipa::path(
    get, path = "/v1/installations/{plugin}", tag = "installations", operation_id = "installation_show",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has")),
    responses((status = 200, description = "The installation; `ETag` names its state", body = InstallationShown)),
)]
async fn show(
    State(app): State<App>,
    Language(lang): Language,
    Path(plugin): Path<String>,
) -> ApiResult<Response> {
    let key = Key {
        route: "installation",
        asked: plugin.clone(),
        lang,
    };
    let make = async || {
        let view = app.platform.installation(&plugin).await?;
        let versions = app.platform.versions(&view.plugin).await?;
        Ok(Recorded {
            id: view.id,
            revision: view.revision,
            plugin: view.plugin.clone(),
            installed: view.installed(),
            document: view.into(),
            versions: versions
                .into_iter()
                .map(|version| VersionListed::new(version, lang))
                .collect(),
        })
    };
    let recorded = remembered::part(&app.installations, &app.platform, key, make).await?;
    // A plugin whose kind this server does not serve is still shown; its health says why it does nothing.
    let kind = app.platform.kind(&recorded.plugin.kind);
    let details = match (&recorded.installed, kind) {
        (Some(installed), Ok(kind)) => kind.details(installed).await,
        _ => Value::Object(serde_json::Map::new()),
    };
    let shown = InstallationShown {
        used_by: used_by(&app, &recorded.plugin).await,
        installation: &recorded.document,
        versions: &recorded.versions,
        details,
    };
    let tag = tag(recorded.id, recorded.revision);
    Ok((tag, Json(shown)).into_response())
}

/// Names the state that changes change; health comes and goes without one.
fn etag(view: &InstallationView) -> ETag {
    tag(view.id, view.revision)
}

fn tag(id: InstallationId, revision: u64) -> ETag {
    ETag::of(format!("{id}/{revision}"))
}

/// What would miss the plugin.
async fn used_by(app: &App, plugin: &PluginName) -> Vec<UserDocument> {
    let users = app.platform.dependents(plugin).await;
    users
        .into_iter()
        .map(|Dependent { kind, name }| UserDocument { kind, name })
        .collect()
}
