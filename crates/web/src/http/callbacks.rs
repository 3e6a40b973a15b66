//! Results of plugin pages, left and fetched: `/api/v2/common/callback` as clients of Fresns know it.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Json, Language, Principal, Query};
use plugyard_model::rights::Right;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use super::pages::{Asker, asker};
use crate::host::Web;
use crate::pages::callbacks::{self, NewCallback};
use crate::pages::{Failed, Reply};
use crate::records;

pub(super) const RIGHTS: &[Entry] = &[
    // Both check who asks themselves: a signature is no sign-in.
    (Method::GET, "/api/v2/common/callback", Right::Public),
    (Method::POST, "/v1/web/callbacks", Right::Public),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(fetch))
        .routes(routes!(store))
}

/// Which result, and for whom.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
#[derive(Default)]
struct FetchQuery {
    /// The plugin that uses it.
    fskey: String,
    /// The result.
    ulid: String,
}

/// Fetch a plugin's result, once
///
/// For clients with a signed request (`X-Fresns-…`), and for the application with a token. The answer is always
/// 200; `code` says what went wrong.
#[utoipa::path(
    get, path = "/api/v2/common/callback", tag = "web", operation_id = "web_callback_fetch",
    params(FetchQuery),
    responses((status = 200, description = "The result, or why there is none", body = Reply)),
)]
async fn fetch(
    State(web): State<Web>,
    principal: Option<Extension<Principal>>,
    Language(lang): Language,
    headers: HeaderMap,
    Query(query): Query<FetchQuery>,
) -> Reply {
    let outcome = async {
        let principal = principal.map(|Extension(it)| it);
        match asker(&web, principal.as_ref(), &headers, Right::PluginRead).await? {
            Asker::Plugin(own) if own != query.fskey => return Err(Failed::from(31304)),
            Asker::Plugin(_) | Asker::Client | Asker::Application => {}
        }
        if query.fskey.is_empty() || query.ulid.is_empty() {
            return Err(30001.into());
        }
        callbacks::fetch(&web.host, &query.fskey, &query.ulid).await
    };
    Reply::of(outcome.await, lang)
}

/// Leave a plugin's result to be fetched
///
/// For the application with a token, and for a plugin with a request that its own key signed.
#[utoipa::path(
    post, path = "/v1/web/callbacks", tag = "web", operation_id = "web_callback_store",
    request_body = NewCallback,
    responses(
        (status = 201, description = "Its ULID", body = serde_json::Value),
        (status = 401, description = "The signature is refused", body = plugyard_http::ProblemBody),
        (status = 409, description = "There is one with that ULID", body = plugyard_http::ProblemBody),
        (status = 422, description = "A field cannot be used", body = plugyard_http::ProblemBody),
    ),
)]
async fn store(
    State(web): State<Web>,
    principal: Option<Extension<Principal>>,
    headers: HeaderMap,
    Json(new): Json<NewCallback>,
) -> ApiResult<Response> {
    let principal = principal.map(|Extension(it)| it);
    let who = asker(&web, principal.as_ref(), &headers, Right::PluginOperate).await;
    match who.map_err(|failed| failed.problem())? {
        Asker::Application => {}
        Asker::Plugin(own) if own == new.fskey => {}
        Asker::Plugin(_) | Asker::Client => return Err(Failed::from(31304).problem().into()),
    }
    let row = callbacks::store(&web.host, new).await?;
    let document: Value = json!({
        "ulid": row.ulid,
        "fskey": row.plugin_fskey,
        "type": row.callback_type,
        "createdAt": records::rfc3339(row.created_at),
    });
    Ok((StatusCode::CREATED, Json(document)).into_response())
}
