//! `/assets/{fskey}/…` and, as older applications spell it, `/assets/plugins/{fskey}/…`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Path};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use tokio_util::io::ReaderStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::assets;
use crate::host::Web;

pub(super) const RIGHTS: &[Entry] = &[(Method::GET, "/assets/{*path}", Right::Public)];

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(serve))
}

/// A file that a plugin publishes
#[utoipa::path(
    get, path = "/assets/{*path}", tag = "web", operation_id = "web_asset",
    params(("path" = String, Path, description = "`{fskey}/…`, or `plugins/{fskey}/…`")),
    responses(
        (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "There is no such file"),
    ),
)]
async fn serve(State(web): State<Web>, Path(path): Path<String>) -> ApiResult<Response> {
    let home = web.platform.home().clone();
    let missing = || Problem::new(codes::ROUTE_NOT_FOUND);
    let found = tokio::task::spawn_blocking(move || assets::file(&home, &path)).await;
    let file = found.ok().flatten().ok_or_else(missing)?;
    let kind = assets::content_type(&file);
    let opened = tokio::fs::File::open(&file).await.map_err(|_| missing())?;
    let size = opened.metadata().await.map_err(|_| missing())?.len();
    let mut response =
        (StatusCode::OK, Body::from_stream(ReaderStream::new(opened))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Opened on its own, a file of a plugin runs nothing in this server's name.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    if kind == "application/octet-stream" {
        headers.insert(
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment"),
        );
    }
    Ok(response)
}
