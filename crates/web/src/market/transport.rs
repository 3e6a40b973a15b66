//! How documents and packages of a market travel: guarded, bounded, over at most five redirects, and through a proxy
//! where one is wanted.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use plugyard_market::{Refusal, Transport};
use plugyard_model::{Problem, codes};
use plugyard_platform::intake::{leads_inside, outbound, outbound_through};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{RequestBuilder, Response, StatusCode, Url};

/// How often an address may point to another one.
const REDIRECTS: usize = 5;

/// The way to one market.
#[derive(Debug, Clone)]
pub(super) struct Way {
    /// The market's address, without a slash at its end.
    pub(super) base: String,
    /// Whether it may lead into the server's own network.
    pub(super) allow_private: bool,
    pub(super) proxy: Option<String>,
    /// What the market is told with every question; not passed on to other hosts.
    pub(super) headers: HeaderMap,
    /// How long a document or an answer may take as a whole.
    pub(super) patience: Duration,
}

impl Way {
    /// An answer that is no redirect. The headers go to the market's own host alone.
    pub(super) async fn get(
        &self,
        address: &str,
        with: &(dyn Fn(RequestBuilder) -> RequestBuilder + Send + Sync),
    ) -> Result<Response, Refusal> {
        let home = Url::parse(&self.base).ok();
        // `http` is followed only where the market itself is configured so.
        let plain = home.as_ref().is_some_and(|it| it.scheme() == "http");
        let mut address = address.to_owned();
        for _ in 0..=REDIRECTS {
            let (client, url) = match &self.proxy {
                None => outbound(&address, self.allow_private),
                Some(proxy) => outbound_through(&address, self.allow_private, proxy).await,
            }
            .map_err(|problem| refused(&address, &problem))?;
            if !self.allow_private && is_here(&url) {
                return Err(unreachable(&url, "it leads into the server's own network"));
            }
            if url.scheme() != "https" && !plain {
                return Err(unreachable(&url, "it leads from `https` to `http`"));
            }
            let mut request = client.get(url.clone());
            if home.as_ref().is_some_and(|it| it.origin() == url.origin()) {
                request = request.headers(self.headers.clone());
            }
            let answer = with(request).send().await.map_err(|error| {
                if leads_inside(&error) {
                    unreachable(&url, "it leads into the server's own network")
                } else {
                    unreachable(&url, innermost(&error))
                }
            })?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let target = answer
                .headers()
                .get(LOCATION)
                .and_then(|it| it.to_str().ok())
                .and_then(|it| url.join(it).ok())
                .ok_or_else(|| unreachable(&url, "it points nowhere"))?;
            address = target.to_string();
        }
        let url = Url::parse(&address).ok();
        let reason = format!("it points on more than {REDIRECTS} times");
        Err(match url {
            Some(url) => unreachable(&url, reason),
            None => Refusal::Unreachable {
                path: String::new(),
                reason,
            },
        })
    }

    /// The body at an address, at most `limit` bytes; `None` for one that is not there.
    pub(super) async fn read(
        &self,
        address: &str,
        limit: u64,
        with: &(dyn Fn(RequestBuilder) -> RequestBuilder + Send + Sync),
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let reading = self.reading(address, limit, with, None);
        Ok(self.patiently(address, reading).await?.flatten())
    }

    /// The same, where an answer means something of its own: `Some(None)` for it.
    pub(super) async fn read_unless(
        &self,
        address: &str,
        limit: u64,
        meant: StatusCode,
    ) -> Result<Option<Option<Vec<u8>>>, Refusal> {
        let reading = self.reading(address, limit, &|request| request, Some(meant));
        self.patiently(address, reading).await
    }

    async fn reading(
        &self,
        address: &str,
        limit: u64,
        with: &(dyn Fn(RequestBuilder) -> RequestBuilder + Send + Sync),
        meant: Option<StatusCode>,
    ) -> Result<Option<Option<Vec<u8>>>, Refusal> {
        let path = shown(address);
        let answer = self.get(address, with).await?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if meant == Some(status) {
            return Ok(Some(None));
        }
        if !status.is_success() {
            return Err(Refusal::Unreachable {
                path: path.clone(),
                reason: format!("the answer is {status}"),
            });
        }
        let mut bytes = Vec::new();
        let mut body = answer.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Refusal::Unreachable {
                path: path.clone(),
                reason: innermost(&error),
            })?;
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(Refusal::Malformed {
                    document: path.clone(),
                    reason: format!("it has more than {limit} bytes"),
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Some(Some(bytes)))
    }

    async fn patiently<T>(
        &self,
        address: &str,
        reading: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        tokio::time::timeout(self.patience, reading)
            .await
            .unwrap_or_else(|_| {
                Err(Refusal::Unreachable {
                    path: shown(address),
                    reason: "it took too long".to_owned(),
                })
            })
    }
}

#[async_trait]
impl Transport for Way {
    async fn load(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Refusal> {
        let address = format!("{}/{path}", self.base);
        self.read(&address, limit, &|request| request).await
    }
}

/// The problem of a refusal.
pub(super) fn problem(market: &str, refusal: &Refusal) -> Problem {
    let code = match refusal {
        Refusal::Unreachable { .. } => codes::E_MARKET_UNREACHABLE,
        // Who asked for a plugin says which, with a code of its own.
        Refusal::Refused { .. } | Refusal::NotEntitled { .. } => codes::E_MARKET_REFUSED,
        Refusal::Malformed { .. } | Refusal::TooManyRoots { .. } => codes::E_MARKET_RESPONSE,
        Refusal::Signature { .. } => codes::E_SIGNATURE_INVALID,
        Refusal::Expired { .. } => codes::E_SIGNATURE_EXPIRED,
        Refusal::Rollback { .. } => codes::E_CATALOGUE_ROLLBACK,
        Refusal::Inconsistent { .. } => codes::E_CATALOGUE_INCONSISTENT,
        Refusal::PackageHash { .. } | Refusal::PackageLength { .. } => codes::E_PACKAGE_HASH,
    };
    let reason = match refusal {
        Refusal::Unreachable { path, reason } if path.is_empty() => reason.clone(),
        Refusal::Refused { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    Problem::new(code)
        .with("market", market)
        .with("reason", reason.chars().take(500).collect::<String>())
}

/// Whether a name is this machine's own by its letters alone (RFC 6761): not every resolver knows it, and a
/// proxy's may.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost")
        || host
            .rsplit_once('.')
            .is_some_and(|(_, top)| top.eq_ignore_ascii_case("localhost"))
}

/// An address without its query, where codes and tickets stand.
pub(super) fn shown(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) => {
            // These fail only for addresses that have no host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        Err(_) => address
            .chars()
            .take_while(|it| *it != '?')
            .take(100)
            .collect(),
    }
}

fn unreachable(url: &Url, reason: impl Into<String>) -> Refusal {
    Refusal::Unreachable {
        path: shown(url.as_str()),
        reason: reason.into(),
    }
}

fn refused(address: &str, problem: &Problem) -> Refusal {
    let reason = problem.params.get("reason").cloned();
    Refusal::Unreachable {
        path: shown(address),
        reason: reason.unwrap_or_else(|| problem.detail(plugyard_model::Lang::En)),
    }
}

/// What a user can do something about.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
