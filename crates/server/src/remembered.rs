//! Answers that are the same until something changes, kept in memory.
//!
//! A panel that is open asks for the same lists over and over. Reading them from the database costs many times
//! what all else about a request costs together, so they are read again only when the platform's [`Moment`]
//! is another one: any write and any change of a plugin's health makes it so, and what was remembered is
//! forgotten as a whole. [`FRESH`] bounds what nobody told the platform.
//!
//! Only for what follows from the database and the health of plugins; rights are asked for before, as for any
//! other answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use parking_lot::Mutex;
use plugyard_http::Json;
use plugyard_model::{Lang, Problem};
use plugyard_platform::{Moment, Platform};
use serde::Serialize;

/// For how long at most; only for what others do to the database.
const FRESH: Duration = Duration::from_secs(1);
/// Answers remembered at once.
const MOST: usize = 256;
/// Bytes of the largest that is remembered; [`MOST`] of them are the most memory that this takes.
const LARGEST: usize = 64 << 10;

/// The answers remembered since something changed.
#[derive(Debug)]
pub(crate) struct Remembered<V>(Mutex<Table<V>>);

#[derive(Debug)]
struct Table<V> {
    moment: Option<Moment>,
    answers: HashMap<Key, (Instant, V)>,
}

/// What was asked for: one name per route, then what the answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) route: &'static str,
    pub(crate) asked: String,
    pub(crate) lang: Lang,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self(Mutex::new(Table {
            moment: None,
            answers: HashMap::new(),
        }))
    }
}

impl<V: Clone> Remembered<V> {
    /// What was answered to the same at this moment.
    pub(crate) fn get(&self, now: Moment, key: &Key) -> Option<V> {
        let table = self.0.lock();
        if table.moment != Some(now) {
            return None;
        }
        let (made, answer) = table.answers.get(key)?;
        (made.elapsed() < FRESH).then(|| answer.clone())
    }

    /// Takes an answer that was read since `read_at`.
    pub(crate) fn put(&self, read_at: Moment, key: Key, answer: V) {
        let mut table = self.0.lock();
        if table.moment != Some(read_at) {
            table.answers.clear();
            table.moment = Some(read_at);
        } else if table.answers.len() >= MOST {
            table.answers.retain(|_, (made, _)| made.elapsed() < FRESH);
            if table.answers.len() >= MOST {
                return;
            }
        }
        table.answers.insert(key, (Instant::now(), answer));
    }
}

impl Remembered<Bytes> {
    /// The answer to a request, as it was remembered or as `make` makes it now. `make` says with it whether
    /// it follows from the database and the health of plugins alone.
    pub(crate) async fn json<T: Serialize>(
        &self,
        platform: &Platform,
        key: Key,
        make: impl AsyncFnOnce() -> Result<(T, bool), Problem>,
    ) -> Result<Response, Problem> {
        let now = platform.moment();
        if let Some(body) = self.get(now, &key) {
            return Ok(json(body));
        }
        let (answer, may_keep) = make().await?;
        let Ok(body) = serde_json::to_vec(&answer) else {
            return Ok(Json(answer).into_response());
        };
        let body = Bytes::from(body);
        if may_keep && body.len() <= LARGEST {
            self.put(now, key, body.clone());
        }
        Ok(json(body))
    }
}

impl<T> Remembered<Arc<T>> {
    /// As [`json`](Remembered::json), for a part of an answer.
    pub(crate) async fn part(
        &self,
        platform: &Platform,
        key: Key,
        make: impl AsyncFnOnce() -> Result<T, Problem>,
    ) -> Result<Arc<T>, Problem>
    where
        T: Serialize,
    {
        let now = platform.moment();
        if let Some(part) = self.get(now, &key) {
            return Ok(part);
        }
        let part = Arc::new(make().await?);
        let size = serde_json::to_vec(&*part).map_or(usize::MAX, |body| body.len());
        if size <= LARGEST {
            self.put(now, key, part.clone());
        }
        Ok(part)
    }
}

fn json(body: Bytes) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}
