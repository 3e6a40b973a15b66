//! `/v1/web/import`: taking over the plugin table of a running application.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::Method;
use plugyard_http::{ApiResult, Json, Language, Query, Unhurried};
use plugyard_model::Problem;
use plugyard_model::rights::Right;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::Entry;
use crate::host::Web;
use crate::import::{self, Existing, Format, Report};
use crate::package::KIND;

pub(super) const RIGHTS: &[Entry] = &[(Method::POST, "/v1/web/import", Right::PluginInstall)];

/// Largest dump. Whole applications are dumped with millions of rows of other tables; the two tables alone are small.
const LIMIT: usize = 64 << 20;

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(take_over).layer(DefaultBodyLimit::max(LIMIT)))
}

/// How to take a dump over.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// How the dump is written.
    #[param(inline)]
    format: Format,
    /// What becomes of plugins that are here already; `keep` unless said otherwise.
    #[serde(default)]
    #[param(inline)]
    existing: Existing,
    /// Only say what would become of each row.
    #[serde(default)]
    dry_run: bool,
    /// What findings call the dump; `dump` unless said otherwise.
    file: Option<String>,
}

/// Take over rows of `plugins` and `plugin_usages` out of a dump
///
/// The body is the dump itself, at most 64 MiB. Rows that are sound are written together; the report says what
/// became of the others. Doing it twice has the effect of doing it once.
#[utoipa::path(
    post, path = "/v1/web/import", tag = "web", operation_id = "web_import", params(ImportQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, description = "What became of the rows", body = Report)),
)]
async fn take_over(
    _: Unhurried,
    State(web): State<Web>,
    Language(lang): Language,
    Query(query): Query<ImportQuery>,
    body: Bytes,
) -> ApiResult<Json<Report>> {
    let file: String = query.file.unwrap_or_else(|| "dump".to_owned());
    let file: String = file.chars().take(255).collect();
    let database = web.database()?;
    let (name, format) = (file.clone(), query.format);
    let dump = tokio::task::spawn_blocking(move || import::read(&body, format, &name))
        .await
        .map_err(|error| {
            tracing::error!(%error, "Reading a dump failed");
            Problem::new(plugyard_model::codes::INTERNAL).with("request", "-")
        })?;
    let installed = web.platform.installations_of(&KIND).await?;
    let packaged = installed.iter().filter(|view| view.installed().is_some());
    let packaged = packaged
        .map(|view| view.plugin.key.as_str().to_owned())
        .collect();
    let applied = import::apply(
        database,
        dump,
        &file,
        query.existing,
        &packaged,
        query.dry_run,
    )
    .await;
    let applied = applied.map_err(Problem::from)?;
    if !query.dry_run {
        // The rows are there; `plugyard web doctor` says when the file is not.
        if let Err(error) = web.host.export_status().await {
            tracing::warn!(%error, "The status file cannot be written");
        }
    }
    Ok(Json(applied.report(lang)))
}
