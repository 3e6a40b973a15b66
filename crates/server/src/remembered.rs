//! Answers that are the same until something changes, kept in memory ([`plugyard_store::Remembered`]).
//!
//! A panel that is open asks for the same lists over and over. They are read again only when the platform's
//! [`Moment`] is another one: any write and any change of a plugin's health makes it so.
//!
//! Only for what follows from the database and the health of plugins; rights are asked for before, as for any
//! other answer.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use plugyard_http::Json;
use plugyard_model::{Lang, Problem};
use plugyard_platform::{Moment, Platform};
use plugyard_store::Remembered;
use serde::Serialize;

/// Answers of one sort.
pub(crate) type Answers<V> = Remembered<Moment, Key, V>;

/// Answers remembered at once.
pub(crate) const MOST: usize = 256;
/// Bytes of the largest that is remembered; [`MOST`] of them are the most memory that this takes.
const LARGEST: usize = 64 << 10;

/// What was asked for: one name per route, then what the answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) route: &'static str,
    pub(crate) asked: String,
    pub(crate) lang: Lang,
}

/// The answer to a request, as it was remembered or as `make` makes it now. `make` says with it whether it
/// follows from the database and the health of plugins alone.
pub(crate) async fn answer<T: Serialize>(
    answers: &Answers<Bytes>,
    platform: &Platform,
    key: Key,
    make: impl AsyncFnOnce() -> Result<(T, bool), Problem>,
) -> Result<Response, Problem> {
    let now = platform.moment();
    if let Some(body) = answers.get(&now, &key) {
        return Ok(json(body));
    }
    let (answer, may_keep) = make().await?;
    let Ok(body) = serde_json::to_vec(&answer) else {
        return Ok(Json(answer).into_response());
    };
    let body = Bytes::from(body);
    if may_keep && body.len() <= LARGEST {
        answers.put(now, key, body.clone());
    }
    Ok(json(body))
}

/// As [`answer`], for a part of an answer.
pub(crate) async fn part<T: Serialize>(
    answers: &Answers<Arc<T>>,
    platform: &Platform,
    key: Key,
    make: impl AsyncFnOnce() -> Result<T, Problem>,
) -> Result<Arc<T>, Problem> {
    let now = platform.moment();
    if let Some(part) = answers.get(&now, &key) {
        return Ok(part);
    }
    let part = Arc::new(make().await?);
    let size = serde_json::to_vec(&*part).map_or(usize::MAX, |body| body.len());
    if size <= LARGEST {
        answers.put(now, key, part.clone());
    }
    Ok(part)
}

fn json(body: Bytes) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}
