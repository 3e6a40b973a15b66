//! `/v1/viewers` and `/v1/usages`: what the application tells about its users, and what they are shown.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Json, Path, Query};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::host::Web;
use crate::usage::{Query as Asked, UsageType};
use crate::usages::badges;
use crate::usages::listing::{For, Shown};
use crate::viewers::token::{HEADER, Keys};
use crate::viewers::{self, Known};

pub(super) const RIGHTS: &[Entry] = &[
    // What anybody may see who opens the application: usages for nobody, or for whom its token names.
    (Method::GET, "/v1/usages", Right::Public),
    (Method::GET, "/v1/viewers/{id}", Right::PluginRead),
    (Method::PUT, "/v1/viewers/{id}", Right::PluginConfigure),
    (Method::DELETE, "/v1/viewers/{id}", Right::PluginConfigure),
    (Method::GET, "/v1/viewers/{id}/usages", Right::PluginRead),
    (Method::GET, "/v1/viewers/{id}/badges", Right::PluginRead),
    (
        Method::PUT,
        "/v1/viewers/{id}/badges/{fskey}",
        Right::PluginConfigure,
    ),
    (
        Method::DELETE,
        "/v1/viewers/{id}/badges/{fskey}",
        Right::PluginConfigure,
    ),
];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new()
        .routes(routes!(listing_of_nobody))
        .routes(routes!(show, put, delete))
        .routes(routes!(listing_of_viewer))
        .routes(routes!(badge_list))
        .routes(routes!(badge_put, badge_delete))
}

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// The type of usages, 1 to 9.
    #[param(minimum = 1, maximum = 9)]
    r#type: i64,
    /// Only those for posts (1), comments (2) or users (3).
    #[param(minimum = 1, maximum = 3)]
    scene: Option<u8>,
    /// The group whose page it is.
    group: Option<u32>,
    /// Language tag of the names; else the viewer's, else the site's.
    lang: Option<String>,
}

/// The usages that are shown to who is not signed in, or to the viewer that the header `Plugyard-Viewer` names
#[utoipa::path(
    get, path = "/v1/usages", tag = "viewers", operation_id = "usage_listing",
    params(
        Wanted,
        ("Plugyard-Viewer" = Option<String>, Header, description = "A token that the application signed"),
    ),
    responses((status = 200, description = "In the order they are shown in", body = Vec<Shown>)),
)]
async fn listing_of_nobody(
    State(web): State<Web>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> ApiResult<Response> {
    let known = match headers.get(HEADER) {
        None => Known::default(),
        Some(token) => {
            let settings = &web.host.0.settings;
            let keys = Keys {
                secret: settings
                    .viewer_key_file
                    .as_ref()
                    .map(|file| web.host.0.home.root().join(file)),
                public: settings.viewer_public_key.clone(),
            };
            keys.viewer(token.to_str().unwrap_or_default()).await?
        }
    };
    listed(&web, &known, &wanted).await
}

/// The usages that a viewer is shown
#[utoipa::path(
    get, path = "/v1/viewers/{id}/usages", tag = "viewers", operation_id = "viewer_usages",
    params(("id" = i64, Path, description = "The viewer"), Wanted),
    responses((status = 200, description = "In the order they are shown in", body = Vec<Shown>)),
)]
async fn listing_of_viewer(
    State(web): State<Web>,
    Path(id): Path<i64>,
    Query(wanted): Query<Wanted>,
) -> ApiResult<Response> {
    let database = web.database()?;
    let (known, _) = viewers::get(database.conn(), id).await?;
    listed(&web, &known, &wanted).await
}

async fn listed(web: &Web, known: &Known, wanted: &Wanted) -> ApiResult<Response> {
    let Some(usage_type) = UsageType::from_number(wanted.r#type) else {
        let problem = Problem::new(codes::REQUEST_INVALID);
        return Err(problem.with("reason", "`type` is 1 to 9").into());
    };
    if wanted.scene.is_some_and(|scene| !(1..=3).contains(&scene)) {
        let problem = Problem::new(codes::REQUEST_INVALID);
        return Err(problem.with("reason", "`scene` is 1, 2 or 3").into());
    }
    let database = web.database()?;
    let site = web.site().await?;
    let asked = wanted.lang.as_deref().filter(|tag| !tag.is_empty());
    let language = asked
        .or(known.language.as_deref())
        .unwrap_or_else(|| site.default_language());
    let query = Asked {
        usage_type,
        scene: wanted.scene,
        group: wanted.group,
        viewer: &known.viewer,
    };
    let whom = For {
        user: known.user,
        language,
    };
    let listings = &web.host.0.listings;
    let shown = listings
        .list(database, &site, query, whom)
        .await
        .map_err(Problem::from)?;
    let mut response = Json(shown).into_response();
    // Whatever changes is seen by the next request.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What the application told about a viewer
#[utoipa::path(
    get, path = "/v1/viewers/{id}", tag = "viewers", operation_id = "viewer_show",
    params(("id" = i64, Path, description = "The viewer")),
    responses((status = 200, description = "Roles, groups and language", body = serde_json::Value)),
)]
async fn show(State(web): State<Web>, Path(id): Path<i64>) -> ApiResult<Json<Value>> {
    let database = web.database()?;
    let (known, at) = viewers::get(database.conn(), id).await?;
    Ok(Json(viewers::document(id, &known, at)))
}

/// Tell who a viewer is: roles held, groups, groups administered, language
#[utoipa::path(
    put, path = "/v1/viewers/{id}", tag = "viewers", operation_id = "viewer_put",
    params(("id" = i64, Path, description = "The application's own number of the user")),
    request_body = serde_json::Value,
    responses((status = 200, description = "What is known now", body = serde_json::Value)),
)]
async fn put(
    State(web): State<Web>,
    Path(id): Path<i64>,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<Json<Value>> {
    let database = web.database()?;
    viewers::put(database, id, &body).await?;
    let (known, at) = viewers::get(database.conn(), id).await?;
    Ok(Json(viewers::document(id, &known, at)))
}

/// Forget a viewer
#[utoipa::path(
    delete, path = "/v1/viewers/{id}", tag = "viewers", operation_id = "viewer_delete",
    params(("id" = i64, Path, description = "The viewer")),
    responses((status = 204, description = "Nothing is known any more")),
)]
async fn delete(State(web): State<Web>, Path(id): Path<i64>) -> ApiResult<StatusCode> {
    let database = web.database()?;
    viewers::delete(database.conn(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The badges of a viewer
#[utoipa::path(
    get, path = "/v1/viewers/{id}/badges", tag = "viewers", operation_id = "badge_list",
    params(("id" = i64, Path, description = "The viewer")),
    responses((status = 200, description = "By plugin", body = serde_json::Value)),
)]
async fn badge_list(State(web): State<Web>, Path(id): Path<i64>) -> ApiResult<Json<Value>> {
    let database = web.database()?;
    let rows = badges::list(database.conn(), id)
        .await
        .map_err(Problem::from)?;
    let items: Vec<Value> = rows.iter().map(badges::document).collect();
    Ok(Json(json!({ "items": items })))
}

/// Set a plugin's badge for a viewer: `badgeType` 1 (dot), 2 (number) or 3 (text), and its `badgeValue`
#[utoipa::path(
    put, path = "/v1/viewers/{id}/badges/{fskey}", tag = "viewers", operation_id = "badge_put",
    params(
        ("id" = i64, Path, description = "The viewer"),
        ("fskey" = String, Path, description = "The plugin"),
    ),
    request_body = serde_json::Value,
    responses((status = 204, description = "It is set")),
)]
async fn badge_put(
    State(web): State<Web>,
    Path((id, fskey)): Path<(i64, String)>,
    Json(body): Json<Map<String, Value>>,
) -> ApiResult<StatusCode> {
    let database = web.database()?;
    if id < 1 {
        return Err(Problem::new(codes::VIEWER_NOT_FOUND).with("id", id).into());
    }
    badges::put(database, id, &fskey, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take a plugin's badge away from a viewer
#[utoipa::path(
    delete, path = "/v1/viewers/{id}/badges/{fskey}", tag = "viewers", operation_id = "badge_delete",
    params(
        ("id" = i64, Path, description = "The viewer"),
        ("fskey" = String, Path, description = "The plugin"),
    ),
    responses((status = 204, description = "There is none now")),
)]
async fn badge_delete(
    State(web): State<Web>,
    Path((id, fskey)): Path<(i64, String)>,
) -> ApiResult<StatusCode> {
    let database = web.database()?;
    badges::delete(database.conn(), id, &fskey)
        .await
        .map_err(Problem::from)?;
    Ok(StatusCode::NO_CONTENT)
}
