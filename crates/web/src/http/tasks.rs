//! Single steps of the lifecycle, each as an operation: `/v1/web/plugins/{fskey}/tasks/{task}`, and
//! `…/reverts/{task}` for those that take data away, which need another right.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Caller, Concerns, Json, Path, Principal, Query};
use plugyard_model::rights::Right;
use plugyard_model::{Digest, PluginName, Problem, codes};
use plugyard_platform::ChangeRequest;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::Web;
use crate::lifecycle::tasks::Task;
use crate::package::KIND;
use crate::records;

pub(super) const RIGHTS: &[Entry] = &[
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/tasks/{task}",
        Right::PluginOperate,
    ),
    (
        Method::POST,
        "/v1/web/plugins/{fskey}/reverts/{task}",
        Right::PluginRemove,
    ),
    (Method::POST, "/v1/web/unzip", Right::PluginInstall),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(task))
        .routes(routes!(revert))
        .routes(routes!(unzip))
}

/// How to do it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct How {
    /// Say what would be done, and do nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Do a single step of a plugin's lifecycle
///
/// `publish` and `unpublish` its assets; `migrate`, `seed`: run its migrations or seeds by the application's
/// commands; `composer-update`: resolve what its `composer.json` requires.
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/tasks/{task}", tag = "web", operation_id = "web_task",
    params(
        ("fskey" = String, Path, description = "The plugin, which came as a package"),
        ("task" = String, Path, description = "`publish`, `unpublish`, `migrate`, `seed` or `composer-update`"),
        How,
    ),
    responses(
        (status = 200, description = "What would be done", body = serde_json::Value),
        (status = 202, description = "The operation that does it", body = serde_json::Value),
        (status = 404, description = "No such plugin", body = plugyard_http::ProblemBody),
        (status = 409, description = "It is not possible now", body = plugyard_http::ProblemBody),
    ),
)]
async fn task(
    State(web): State<Web>,
    Caller(who): Caller,
    Path((fskey, word)): Path<(String, String)>,
    Query(how): Query<How>,
) -> ApiResult<Response> {
    web.perform(&who, &fskey, &word, false, how.dry_run).await
}

/// Take migrations of a plugin back, and with them data
///
/// `migrate-rollback`: those of the version in force; `migrate-reset`: all; `migrate-refresh`: all, and run them
/// again. The plugin must be disabled.
#[utoipa::path(
    post, path = "/v1/web/plugins/{fskey}/reverts/{task}", tag = "web", operation_id = "web_revert",
    params(
        ("fskey" = String, Path, description = "The plugin, which came as a package"),
        ("task" = String, Path, description = "`migrate-rollback`, `migrate-reset` or `migrate-refresh`"),
        How,
    ),
    responses(
        (status = 200, description = "What would be done", body = serde_json::Value),
        (status = 202, description = "The operation that does it", body = serde_json::Value),
        (status = 404, description = "No such plugin", body = plugyard_http::ProblemBody),
        (status = 409, description = "It is not possible now", body = plugyard_http::ProblemBody),
    ),
)]
async fn revert(
    State(web): State<Web>,
    Caller(who): Caller,
    Path((fskey, word)): Path<(String, String)>,
    Query(how): Query<How>,
) -> ApiResult<Response> {
    web.perform(&who, &fskey, &word, true, how.dry_run).await
}

/// A package to place.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebUnzip)]
struct Unzip {
    /// SHA-256 of a package that was handed in.
    #[schema(value_type = String)]
    package: Digest,
}

/// Place a package where plugins lie, and do nothing else
///
/// Its files lie in `plugins/{fskey}` (a theme's in `themes/{fskey}`) for you to look at and to change; nothing is
/// recorded, migrated or shown. What lay there is kept in `backups/adopted/`. A plugin that is installed is
/// upgraded instead.
#[utoipa::path(
    post, path = "/v1/web/unzip", tag = "web", operation_id = "web_unzip", params(How),
    request_body = Unzip,
    responses(
        (status = 200, description = "What would be done", body = serde_json::Value),
        (status = 202, description = "The operation that does it", body = serde_json::Value),
        (status = 404, description = "No such package", body = plugyard_http::ProblemBody),
        (status = 409, description = "The plugin is installed", body = plugyard_http::ProblemBody),
    ),
)]
async fn unzip(
    State(web): State<Web>,
    Caller(who): Caller,
    Query(how): Query<How>,
    Json(body): Json<Unzip>,
) -> ApiResult<Response> {
    let versions = web.platform.package(&body.package).await?.versions;
    let ours = versions.iter().find(|it| it.plugin.kind == KIND);
    let Some(version) = ours else {
        let reason = "the package is of another kind";
        return Err(Problem::new(codes::REQUEST_INVALID)
            .with("reason", reason)
            .into());
    };
    let request = ChangeRequest::Prepare {
        task: Task::Unzip.as_str(),
        version: version.version.id,
    };
    let plugin = version.plugin.clone();
    web.begin(&who, plugin, request, how.dry_run).await
}

impl Web {
    async fn perform(
        &self,
        who: &Principal,
        fskey: &str,
        word: &str,
        takes_data: bool,
        dry_run: bool,
    ) -> ApiResult<Response> {
        let fits = |it: &Task| it.takes_data() == takes_data;
        let Some(task) = Task::from_word(word).filter(fits) else {
            let here: Vec<_> = Task::ALL.into_iter().filter(fits).collect();
            let words: Vec<_> = here.iter().map(|it| format!("`{}`", it.as_str())).collect();
            let reason = format!("the task is {}", words.join(", "));
            return Err(Problem::new(codes::REQUEST_INVALID)
                .with("reason", reason)
                .into());
        };
        let view = self.installation(fskey).await?;
        let plugin = view.ok_or_else(|| records::not_found(fskey))?.plugin;
        let request = ChangeRequest::Perform {
            task: task.as_str(),
        };
        self.begin(who, plugin, request, dry_run).await
    }

    async fn begin(
        &self,
        who: &Principal,
        plugin: PluginName,
        request: ChangeRequest,
        dry_run: bool,
    ) -> ApiResult<Response> {
        if dry_run {
            let plan = self.platform.plan_only(&plugin, request).await?;
            let steps = plan.steps.iter().map(
                |step| json!({ "name": step.name, "action": step.action, "commit": step.commit }),
            );
            let steps: Vec<_> = steps.collect();
            let answer = json!({ "plugin": plugin, "plan": { "steps": steps } });
            return Ok(Json(answer).into_response());
        }
        let operation = self.platform.change(who, &plugin, request).await?;
        let body = json!({ "operation": operation, "plugin": plugin });
        let concerns = Extension(Concerns(plugin));
        let mut response = (StatusCode::ACCEPTED, concerns, Json(body)).into_response();
        if let Ok(location) = HeaderValue::try_from(format!("/v1/operations/{operation}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }
}
