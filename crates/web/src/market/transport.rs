//! How documents and packages of a market travel: guarded, bounded, over at most five redirects, through a proxy
//! where one is wanted, and on from where they broke off.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use plugyard_market::{Refusal, Transport};
use plugyard_model::{Problem, codes};
use plugyard_platform::intake::{leads_inside, outbound, outbound_through};
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use tokio::io::AsyncWriteExt as _;

/// How often an address may point to another one.
const REDIRECTS: usize = 5;
/// How often a download that broke off goes on.
const RESUMPTIONS: usize = 5;

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
    async fn get(
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
        let path = shown(address);
        let reading = async {
            let answer = self.get(address, with).await?;
            let status = answer.status();
            if status == StatusCode::NOT_FOUND {
                return Ok(None);
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
            Ok(Some(bytes))
        };
        tokio::time::timeout(self.patience, reading)
            .await
            .unwrap_or_else(|_| {
                Err(Refusal::Unreachable {
                    path: path.clone(),
                    reason: "it took too long".to_owned(),
                })
            })
    }

    /// Loads a package into a file: at most `limit` bytes, and no longer than `patience`. What breaks off goes
    /// on where it was. `code` goes to the market's own host only.
    pub(super) async fn download(
        &self,
        address: &str,
        code: Option<&str>,
        limit: u64,
        patience: Duration,
        to: &Path,
    ) -> Result<Downloaded, Refusal> {
        let path = shown(address);
        let local = |error: std::io::Error| Refusal::Unreachable {
            path: path.clone(),
            reason: format!("it cannot be stored: {error}"),
        };
        let work = async {
            let mut file = tokio::fs::File::create(to).await.map_err(local)?;
            let mut size = 0_u64;
            let mut left = RESUMPTIONS;
            loop {
                let broken = match self.part(address, code, size).await {
                    Ok(Part::Forbidden) => return Ok(Downloaded::Forbidden),
                    Ok(Part::Body { answer, begins }) => {
                        if begins != size {
                            // Ranges are not known there: all over again.
                            file = tokio::fs::File::create(to).await.map_err(local)?;
                            size = 0;
                        }
                        let mut body = answer.bytes_stream();
                        let mut broken = None;
                        while let Some(chunk) = body.next().await {
                            let chunk = match chunk {
                                Ok(chunk) => chunk,
                                Err(error) => {
                                    broken = Some(innermost(&error));
                                    break;
                                }
                            };
                            size += chunk.len() as u64;
                            if size > limit {
                                return Ok(Downloaded::TooLarge);
                            }
                            file.write_all(&chunk).await.map_err(local)?;
                        }
                        broken
                    }
                    Err(refusal) if size == 0 => return Err(refusal),
                    Err(refusal) => Some(refusal.to_string()),
                };
                match broken {
                    None => break,
                    Some(reason) if left == 0 => {
                        return Err(Refusal::Unreachable {
                            path: path.clone(),
                            reason,
                        });
                    }
                    Some(_) => {
                        left -= 1;
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            }
            file.sync_all().await.map_err(local)?;
            Ok(Downloaded::Whole)
        };
        tokio::time::timeout(patience, work)
            .await
            .unwrap_or_else(|_| {
                Err(Refusal::Unreachable {
                    path: path.clone(),
                    reason: "the download took too long".to_owned(),
                })
            })
    }

    async fn part(&self, address: &str, code: Option<&str>, from: u64) -> Result<Part, Refusal> {
        let mut way = self.clone();
        if let Some(mut value) = code.and_then(|code| HeaderValue::from_str(code).ok()) {
            value.set_sensitive(true);
            way.headers.insert("x-plugyard-upgrade-code", value);
        }
        let answer = way
            .get(address, &move |request| {
                if from > 0 {
                    request.header(RANGE, format!("bytes={from}-"))
                } else {
                    request
                }
            })
            .await?;
        let status = answer.status();
        if status == StatusCode::FORBIDDEN {
            return Ok(Part::Forbidden);
        }
        if !status.is_success() {
            return Err(Refusal::Unreachable {
                path: shown(address),
                reason: format!("the answer is {status}"),
            });
        }
        let begins = if status == StatusCode::PARTIAL_CONTENT {
            answer
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|it| it.to_str().ok())
                .and_then(|it| it.strip_prefix("bytes "))
                .and_then(|it| it.split('-').next())
                .and_then(|it| it.parse().ok())
                .unwrap_or(0)
        } else {
            0
        };
        Ok(Part::Body { answer, begins })
    }
}

enum Part {
    Forbidden,
    Body { answer: Response, begins: u64 },
}

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Downloaded {
    Whole,
    /// It takes a code that was not sent or is not good.
    Forbidden,
    /// It is larger than it may be.
    TooLarge,
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
        Refusal::Refused { .. } => codes::E_MARKET_REFUSED,
        Refusal::Malformed { .. } => codes::E_MARKET_RESPONSE,
        Refusal::Signature { .. } => codes::E_SIGNATURE_INVALID,
        Refusal::Expired { .. } => codes::E_SIGNATURE_EXPIRED,
        Refusal::Rollback { .. } => codes::E_CATALOGUE_ROLLBACK,
        Refusal::Inconsistent { .. } => codes::E_CATALOGUE_INCONSISTENT,
        Refusal::PackageHash { .. } => codes::E_PACKAGE_HASH,
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

/// An address without its query, where codes and tickets stand.
fn shown(address: &str) -> String {
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
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
