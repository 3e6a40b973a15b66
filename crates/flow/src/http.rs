//! The routes of streams and rules: eKuiper's, in its words, and ours for watching rows.

mod reply;
mod rights;
mod rules;
mod streams;

pub use rights::rights;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::FlowService;

/// All routes; which right each needs is in [`rights()`].
pub fn routes(service: FlowService) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(streams::list, streams::create))
        .routes(routes!(streams::details))
        .routes(routes!(
            streams::describe,
            streams::replace,
            streams::delete
        ))
        .routes(routes!(streams::schema))
        .routes(routes!(rules::list, rules::create))
        .routes(routes!(rules::validate))
        .routes(routes!(rules::all_status))
        .routes(routes!(rules::show, rules::replace, rules::delete))
        .routes(routes!(rules::start))
        .routes(routes!(rules::stop))
        .routes(routes!(rules::restart))
        .routes(routes!(rules::status))
        .routes(routes!(rules::status_v2))
        .routes(routes!(rules::topology))
        .routes(routes!(rules::explain_lines))
        .routes(routes!(rules::explain))
        .routes(routes!(rules::explain_draft))
        .routes(routes!(rules::tail))
        .with_state(service)
}
