//! `/v1/validate`: Laravel rules on values, for forms that check while one types.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::Method;
use plugyard_http::{ApiResult, Json, Language};
use plugyard_model::rights::Right;
use plugyard_model::{Lang, Problem, codes};
use plugyard_validation::{Lang as RuleLang, cases};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[(Method::POST, "/v1/validate", Right::PluginRead)];

/// How many cases one request may have; the rest is answered with an error each.
const CASES: usize = 1000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(validate))
}

/// Judge values by Laravel rules
///
/// A case is `{"rules", "value"?, "others"?}`, its answer `{"passes", "failed", "excluded"?}` or
/// `{"error": {"code", …}}` for rules that cannot be run. A list of cases has a list of answers; those
/// beyond the first 1,000 are answered with `too_many`.
#[utoipa::path(
    post, path = "/v1/validate", tag = "validation", operation_id = "validate",
    request_body = Object,
    responses((status = 200, description = "The answer, or as many answers as cases", body = Object)),
)]
async fn validate(
    State(app): State<App>,
    Language(lang): Language,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    // Not as other bodies are read: any text may be judged, also one that no database can hold.
    let body: Value = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(codes::REQUEST_INVALID).with("reason", error))?;
    let now = app.platform.settings().clock.now() / 1000;
    let lang = match lang {
        Lang::En => RuleLang::En,
        Lang::ZhCn => RuleLang::ZhCn,
    };
    // A pattern may take its time, which must not hold up other requests.
    let answered = tokio::task::spawn_blocking(move || match &body {
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(at, case)| {
                if at < CASES {
                    cases::answer(case, lang, now)
                } else {
                    json!({"error": {"code": "too_many", "params": {"limit": CASES.to_string()}}})
                }
            })
            .collect(),
        case => cases::answer(case, lang, now),
    });
    Ok(Json(answered.await.unwrap_or(Value::Null)))
}
