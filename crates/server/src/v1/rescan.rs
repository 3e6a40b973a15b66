//! `/v1/rescan`: plugins that were put into the home by hand.

use axum::extract::State;
use axum::http::Method;
use plugyard_http::{
    ApiResult, Caller, FindingBody, Json, Language, ProblemBody, Query, Unhurried,
};
use plugyard_model::rights::Right;
use plugyard_model::{FindingDocument, KindId, OperationId, PluginName, ProblemDocument};
use plugyard_platform::rescan::Rescanned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
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
    /// Whether the plugin is here and gets another version.
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade: Option<bool>,
    /// The change that puts it in force; none in a dry run.
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

#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// Say what would be installed, and do nothing.
    #[serde(default)]
    dry_run: bool,
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
    params(How),
    responses((status = 200, description = "The directories found", body = DroppedDirectories)),
)]
async fn rescan(
    State(app): State<App>,
    _: Unhurried,
    Caller(who): Caller,
    Language(lang): Language,
    Query(how): Query<How>,
) -> ApiResult<Json<DroppedDirectories>> {
    let found = if how.dry_run {
        app.platform.rescan_foresee().await?
    } else {
        app.platform.rescan(&who).await?
    };
    let items = found.into_iter().map(|found| {
        let Rescanned {
            kind,
            key,
            path,
            findings: warnings,
            outcome,
        } = found;
        let (adoption, problem) = match outcome {
            Ok(adoption) => (Some(adoption), None),
            Err(problem) => (None, Some(problem.document(lang, ""))),
        };
        DroppedDirectory {
            path: path.display().to_string(),
            kind,
            key,
            upgrade: adoption.as_ref().map(|it| it.upgrade),
            operation: adoption.as_ref().and_then(|it| it.operation),
            plugin: adoption.map(|it| it.plugin),
            problem,
            findings: findings(&warnings, lang),
        }
    });
    Ok(Json(DroppedDirectories {
        items: items.collect(),
    }))
}
