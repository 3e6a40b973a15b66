//! `/v1/installations/{plugin}/config/export` and `import`: values as a document.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use plugyard_http::{ApiResult, Json, Path};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_platform::config::{Export, Recipient};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ConfigWritten, How, Writing, registered};
use crate::app::App;
use crate::v1::Entry;

pub(in crate::v1) const RIGHTS: &[Entry] = &[
    (
        Method::GET,
        "/v1/installations/{plugin}/config/export",
        Right::PluginRead,
    ),
    // Whoever may name the recipient may read every secret.
    (
        Method::POST,
        "/v1/installations/{plugin}/config/export",
        Right::Admin,
    ),
    (
        Method::POST,
        "/v1/installations/{plugin}/config/import",
        Right::PluginConfigure,
    ),
    (Method::GET, "/v1/secrets/recipient", Right::PluginRead),
];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(export, export_sealed))
        .routes(routes!(import))
        .routes(routes!(recipient))
}

/// The values of a plugin as a document.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ConfigExport)]
#[serde(deny_unknown_fields)]
struct ExportDocument {
    /// `plugyard-config-1`.
    format: String,
    /// Whose values they are; another plugin may take them all the same.
    plugin: String,
    /// The version of the definition.
    version: String,
    /// The revision they are of.
    revision: u64,
    /// Every field that is set and no secret.
    #[schema(value_type = BTreeMap<String, Value>)]
    values: Map<String, Value>,
    /// The secrets that are set: not in here, or sealed.
    #[serde(default)]
    secrets: Vec<String>,
    /// The secrets with their values, for one recipient only: base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

impl From<Export> for ExportDocument {
    fn from(it: Export) -> Self {
        Self {
            format: it.format,
            plugin: it.plugin,
            version: it.version,
            revision: it.revision,
            values: it.values,
            secrets: it.secrets,
            sealed: it.sealed,
        }
    }
}

impl From<ExportDocument> for Export {
    fn from(it: ExportDocument) -> Self {
        Self {
            format: it.format,
            plugin: it.plugin,
            version: it.version,
            revision: it.revision,
            values: it.values,
            secrets: it.secrets,
            sealed: it.sealed,
        }
    }
}

/// For whom secrets are sealed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RecipientDocument {
    /// As `GET /v1/secrets/recipient` of the server that is to read them says.
    recipient: String,
}

/// The values as a document, without secrets
#[utoipa::path(
    get, path = "/v1/installations/{plugin}/config/export", tag = "config", operation_id = "config_export",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has")),
    responses((status = 200, description = "The values that are set", body = ExportDocument)),
)]
async fn export(
    State(app): State<App>,
    Path(plugin): Path<String>,
) -> ApiResult<Json<ExportDocument>> {
    let (plugin, _) = registered(&app, &plugin).await?;
    let export = app.platform.config_export(&plugin, None).await?;
    Ok(Json(export.into()))
}

/// The values as a document, with secrets sealed for a recipient
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/config/export", tag = "config", operation_id = "config_export_sealed",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has")),
    request_body = RecipientDocument,
    responses((status = 200, description = "The values that are set", body = ExportDocument)),
)]
async fn export_sealed(
    State(app): State<App>,
    Path(plugin): Path<String>,
    Json(request): Json<RecipientDocument>,
) -> ApiResult<Json<ExportDocument>> {
    let (plugin, _) = registered(&app, &plugin).await?;
    let recipient: Recipient = request.recipient.parse().map_err(
        |error: plugyard_platform::config::ParseRecipientError| {
            Problem::new(codes::REQUEST_INVALID).with("reason", error)
        },
    )?;
    let export = app
        .platform
        .config_export(&plugin, Some(&recipient))
        .await?;
    Ok(Json(export.into()))
}

/// Take the values of an export in
///
/// As if they had been put: all of them or none.
#[utoipa::path(
    post, path = "/v1/installations/{plugin}/config/import", tag = "config", operation_id = "config_import",
    params(("plugin" = String, Path, description = "`kind:key`, or a key that only one kind has"), How),
    request_body = ExportDocument,
    responses((status = 200, description = "Done", body = ConfigWritten)),
)]
async fn import(writing: Writing, Json(request): Json<ExportDocument>) -> ApiResult<Response> {
    let (platform, to) = (&writing.app.platform, &writing);
    let written = platform
        .config_import(&to.who, &to.plugin, request.into(), to.terms)
        .await;
    writing.answer(written)
}

/// For whom others seal secrets that this server is to read
#[utoipa::path(
    get, path = "/v1/secrets/recipient", tag = "config", operation_id = "secret_recipient",
    responses((status = 200, description = "The public half of this server's key", body = RecipientDocument)),
)]
async fn recipient(State(app): State<App>) -> ApiResult<Json<RecipientDocument>> {
    let recipient = app.platform.config_recipient().await?.to_string();
    Ok(Json(RecipientDocument { recipient }))
}
