//! Packages: whole, or from where an earlier download broke off.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Deserialize;

use super::{Served, blocking};
use crate::document::is_plugin_name;

/// The header that carries an upgrade code, so that it stands in no address and no log.
pub(crate) const CODE_HEADER: &str = "x-plugyard-upgrade-code";

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    ticket: Option<String>,
}

pub(super) async fn package(
    State(served): State<Served>,
    Path((fskey, file)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let path = format!("packages/{fskey}/{file}");
    let catalogue = match served.catalogue().await {
        Ok(catalogue) => catalogue,
        Err(failed) => return failed.into_response(),
    };
    // Only what the catalogue lists is served, so nothing else of the disk can be named.
    let listed = catalogue
        .get(&fskey)
        .and_then(|offers| offers.iter().find(|offer| offer.path == path));
    let Some(offer) = listed.filter(|_| is_plugin_name(&fskey)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if offer.release.entitled {
        let ticket = asked
            .ticket
            .is_some_and(|ticket| served.0.tickets.admits(&path, &ticket, Timestamp::now()));
        if !ticket {
            match entitled(&served, &fskey, &headers).await {
                Ok(true) => {}
                Ok(false) => {
                    return (StatusCode::FORBIDDEN, "an upgrade code is needed\n").into_response();
                }
                Err(failed) => return failed.into_response(),
            }
        }
    }
    let Ok(permit) = std::sync::Arc::clone(&served.0.downloads).try_acquire_owned() else {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "5")],
            "too many downloads\n",
        )
            .into_response();
    };
    let size = offer.size;
    let Ok(begin) = beginning(&headers, size) else {
        return (
            StatusCode::RANGE_NOT_SATISFIABLE,
            [(header::CONTENT_RANGE, format!("bytes */{size}"))],
        )
            .into_response();
    };
    let bytes = match served.place().stream(&path, begin, size).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(%error, place = %served.place(), path, "A package cannot be read");
            return super::Failed.into_response();
        }
    };
    let end = tokio::time::sleep(served.0.settings.download_timeout);
    let stream = bytes.take_until(end).map(move |chunk| {
        // Held as long as bytes go out.
        let _ = &permit;
        chunk
    });
    let mut answer = Response::builder()
        .header(header::CONTENT_TYPE, "application/zip")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::ETAG, format!("\"{}\"", offer.sha256))
        .header(header::CONTENT_LENGTH, size - begin);
    if begin > 0 {
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header(
            header::CONTENT_RANGE,
            format!("bytes {begin}-{}/{size}", size - 1),
        );
    }
    answer
        .body(Body::from_stream(stream))
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// A ticket for a package that takes a code, in exchange for the code: so that somebody else, or a browser, can load
/// it without knowing the code.
pub(super) async fn ticket(
    State(served): State<Served>,
    Path((fskey, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let path = format!("packages/{fskey}/{file}");
    let catalogue = match served.catalogue().await {
        Ok(catalogue) => catalogue,
        Err(failed) => return failed.into_response(),
    };
    let listed = catalogue
        .get(&fskey)
        .is_some_and(|offers| offers.iter().any(|offer| offer.path == path));
    if !listed || !is_plugin_name(&fskey) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match entitled(&served, &fskey, &headers).await {
        Ok(true) => {}
        Ok(false) => {
            return (StatusCode::FORBIDDEN, "an upgrade code is needed\n").into_response();
        }
        Err(failed) => return failed.into_response(),
    }
    let now = Timestamp::now();
    let (ticket, until) = served.0.tickets.issue_until(&path, now);
    let body = serde_json::json!({ "ticket": ticket, "expiresAt": until.to_string() });
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        body.to_string(),
    )
        .into_response()
}

/// Whether a request has a code that entitles to the plugin.
pub(super) async fn entitled(
    served: &Served,
    fskey: &str,
    headers: &HeaderMap,
) -> Result<bool, super::Failed> {
    let code = headers.get(CODE_HEADER).and_then(|it| it.to_str().ok());
    match code {
        Some(code) => code_is_good(served, fskey, code).await,
        None => Ok(false),
    }
}

pub(super) async fn code_is_good(
    served: &Served,
    fskey: &str,
    code: &str,
) -> Result<bool, super::Failed> {
    let (served, fskey, code) = (served.clone(), fskey.to_owned(), code.to_owned());
    blocking(move || served.0.market.code_is_good(&fskey, &code)).await
}

/// Where to begin: `bytes=N-` goes on there. Other forms of ranges get the whole, as HTTP allows.
fn beginning(headers: &HeaderMap, size: u64) -> Result<u64, ()> {
    let asked = headers
        .get(header::RANGE)
        .and_then(|it| it.to_str().ok())
        .and_then(|it| it.strip_prefix("bytes="))
        .and_then(|it| it.strip_suffix('-'))
        .and_then(|it| it.parse().ok());
    match asked {
        Some(begin) if begin >= size => Err(()),
        Some(begin) => Ok(begin),
        None => Ok(0),
    }
}
