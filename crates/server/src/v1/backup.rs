//! `/v1/backup`: the whole home as one file.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use plugyard_http::{ApiResult, Caller, Query, Unhurried};
use plugyard_model::rights::Right;
use plugyard_model::{Problem, codes};
use plugyard_platform::backup::{Backup, Options};
use serde::Deserialize;
use tokio_util::io::ReaderStream;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Entry;
use crate::app::App;

pub(super) const RIGHTS: &[Entry] = &[(Method::POST, "/v1/backup", Right::Admin)];

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(backup))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Also the keys, with which every secret in the backup can be read.
    #[serde(default)]
    keys: bool,
}

/// Back the whole home up
///
/// Changes under way are waited for, and new ones wait until the copy is complete. The answer is a
/// gzipped tar whose last entry names all others with their digests. A database in PostgreSQL is not in
/// it.
#[utoipa::path(
    post, path = "/v1/backup", tag = "server", operation_id = "backup",
    params(Wanted),
    responses((
        status = 200, description = "The backup", content_type = "application/gzip", body = Vec<u8>,
    )),
)]
async fn backup(
    State(app): State<App>,
    _: Unhurried,
    Caller(who): Caller,
    Query(wanted): Query<Wanted>,
) -> ApiResult<Response> {
    let options = Options {
        keys: wanted.keys,
        program: app.settings.version.clone(),
        ..Options::default()
    };
    let Backup { file: path, .. } = app.platform.backup(&who, options).await?;
    let failed = |error: std::io::Error| {
        Problem::new(codes::BACKUP_FAILED)
            .with("path", path.display())
            .with("reason", error)
    };
    let file = tokio::fs::File::open(&path).await.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    // The name goes, and the bytes with the last reader.
    drop(path);
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
