//! Serving a market over HTTP: documents and packages under `/market/`, and the calls of Fresns' market.
//!
//! Everything is read-only and open to anybody; only packages that take an upgrade code are not. How much
//! may go on at once is bounded: connections, requests, downloads, and how long each may take.

mod legacy;
mod listen;
mod packages;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::place::Place;
use crate::release::Offer;
use crate::repository::{Repository, RepositoryError, Ticket};

pub use listen::serve;

/// How often a serving market looks whether something is to be signed anew.
const REFRESH: Duration = Duration::from_mins(1);

/// How a market is served.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The address under which clients reach the server, without a path: for the links of the legacy calls.
    pub public_url: String,
    /// Connections at once.
    pub connections: usize,
    /// Downloads of packages at once.
    pub downloads: usize,
    /// How long a request may take until its answer begins.
    pub request_timeout: Duration,
    /// How long the download of a package may take.
    pub download_timeout: Duration,
}

impl ServerSettings {
    /// The usual limits.
    #[must_use]
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into().trim_end_matches('/').to_owned(),
            connections: 512,
            downloads: 64,
            request_timeout: Duration::from_secs(15),
            download_timeout: Duration::from_hours(1),
        }
    }
}

/// What is published, as of a version of the catalogue.
type Catalogue = BTreeMap<String, Vec<Offer>>;

/// A market that is served.
#[derive(Clone)]
pub struct Served(Arc<Inner>);

struct Inner {
    /// To read from; whoever signs opens it anew, for keys may have been exchanged.
    market: Repository,
    settings: ServerSettings,
    tickets: Ticket,
    downloads: Arc<Semaphore>,
    catalogue: Mutex<Option<(u64, Arc<Catalogue>)>>,
}

impl Served {
    /// Serves a market, also what is published while it is served.
    ///
    /// # Errors
    /// When what makes tickets does not lie with its keys.
    pub fn new(market: Repository, settings: ServerSettings) -> Result<Self, RepositoryError> {
        Ok(Self(Arc::new(Inner {
            tickets: market.tickets()?,
            market,
            downloads: Arc::new(Semaphore::new(settings.downloads)),
            settings,
            catalogue: Mutex::new(None),
        })))
    }

    /// The routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/market/metadata/{file}", get(metadata))
            .route("/market/packages/{fskey}/{file}", get(packages::package))
            .route(
                "/market/tickets/packages/{fskey}/{file}",
                get(packages::ticket),
            )
            .route("/api/open-source/{generation}/{call}", get(legacy::call))
            .with_state(self.clone())
    }

    /// Signs anew what ends soon, now and every minute. Never returns.
    pub async fn keep_fresh(&self) {
        loop {
            let served = self.clone();
            let refreshed = tokio::task::spawn_blocking(move || {
                let now = Timestamp::now();
                let mut market = served.0.market.reopen()?;
                let signed = market.refresh(now)?;
                Ok::<_, RepositoryError>((
                    signed,
                    market.next_refresh(now)?,
                    market.root_expires()?,
                ))
            })
            .await;
            let mut pause = REFRESH;
            match refreshed {
                Ok(Ok((signed, next, root))) => {
                    if signed {
                        tracing::info!("The catalogue was signed anew");
                    }
                    let left = root.as_second() - Timestamp::now().as_second();
                    if left < 30 * 24 * 60 * 60 {
                        tracing::warn!(expires = %root, "The root ends; sign a new one with `plugyard market rotate`");
                    }
                    pause = next.clamp(Duration::from_millis(200), REFRESH);
                }
                Ok(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(%error, cause, "The catalogue cannot be signed anew");
                }
                Err(error) => tracing::error!(%error, "The catalogue cannot be signed anew"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn place(&self) -> &Place {
        self.0.market.place()
    }

    /// What is published now.
    async fn catalogue(&self) -> Result<Arc<Catalogue>, Failed> {
        let served = self.clone();
        blocking(move || {
            let market = &served.0.market;
            let version = market.version()?;
            let known = |slot: &Option<(u64, Arc<Catalogue>)>| {
                slot.as_ref()
                    .filter(|(known, _)| *known == version)
                    .map(|(_, catalogue)| Arc::clone(catalogue))
            };
            let slot = &served.0.catalogue;
            if let Some(found) = known(&slot.lock().unwrap_or_else(PoisonError::into_inner)) {
                return Ok(found);
            }
            let fresh = Arc::new(market.offers()?);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((version, Arc::clone(&fresh)));
            Ok(fresh)
        })
        .await
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served")
            .field("place", self.place())
            .finish_non_exhaustive()
    }
}

/// Something that is not the asker's fault; the log says what.
struct Failed;

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, "not available\n").into_response()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RepositoryError> + Send + 'static,
) -> Result<T, Failed> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "The market cannot be read");
            Err(Failed)
        }
        Err(error) => {
            tracing::error!(%error, "The market cannot be read");
            Err(Failed)
        }
    }
}

/// A document, as it lies there.
async fn metadata(State(served): State<Served>, Path(file): Path<String>) -> Response {
    let named = file.strip_suffix(".json").is_some_and(|stem| {
        stem.bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'.')
    });
    if !named || file.starts_with('.') {
        return StatusCode::NOT_FOUND.into_response();
    }
    let path = format!("metadata/{file}");
    let reading = served.clone();
    match blocking(move || reading.place().read(&path)).await {
        Ok(Some(found)) => {
            let numbered = file.starts_with(|first: char| first.is_ascii_digit());
            let kept = if numbered {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            };
            let mut answer = found.bytes.into_response();
            let headers = answer.headers_mut();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
            answer
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(failed) => failed.into_response(),
    }
}
