//! `/v1/rescan`: plugins that were put into the home by hand.

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{ApiResult, Caller, FindingBody, Json, Language, ProblemBody, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{FindingDocument, KindId, OperationId, PluginName, ProblemDocument};
use plugyard_platform::rescan::Rescanned;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use super::documents::findings;
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[(Method::POST, "/v1/rescan", Right::PluginInstall)];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(rescan))
}

/// A directory that was found.
#[derive(Debug, Serialize, ToSchema)]
struct DroppedDirectory {
    /// Where it is, on the server.
    path: String,
    /// The kind whose place it stands in.
    #[schema(value_type = String)]
    kind: KindId,
    /// Its name.
    key: String,
    /// The plugin it becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    plugin: Option<PluginName>,
    /// The change that puts it in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    operation: Option<OperationId>,
    /// Why there is no such change: the directory was not touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ProblemBody>)]
    problem: Option<ProblemDocument>,
    /// What was found in it, when it was taken in all the same.
    #[schema(value_type = Vec<FindingBody>)]
    findings: Vec<FindingDocument>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
struct DroppedDirectories {
    /// By kind and name.
    items: Vec<DroppedDirectory>,
}

/// Look for plugins that were put into the home by hand, and install them
///
/// Each directory is packed and inspected like any package. One with errors is reported and stays as
/// it is. Once its operation has ended well, a directory is found below `backups/adopted/`.
#[utoipa::path(
    post, path = "/v1/rescan", tag = "packages", operation_id = "rescan",
    responses((status = 200, description = "The directories found", body = DroppedDirectories)),
)]
async fn rescan(
    State(app): State<App>,
    _: Unhurried,
    Caller(who): Caller,
    Language(lang): Language,
) -> ApiResult<Json<DroppedDirectories>> {
    let found = app.platform.rescan(&who).await?;
    let items = found.into_iter().map(|found| {
        let Rescanned {
            kind,
            key,
            path,
            findings: warnings,
            outcome,
        } = found;
        let (begun, problem) = match outcome {
            Ok(begun) => (Some(begun), None),
            Err(problem) => (None, Some(problem.document(lang, ""))),
        };
        let (plugin, operation) = begun.unzip();
        DroppedDirectory {
            path: path.display().to_string(),
            kind,
            key,
            plugin,
            operation,
            problem,
            findings: findings(&warnings, lang),
        }
    });
    Ok(Json(DroppedDirectories {
        items: items.collect(),
    }))
}
