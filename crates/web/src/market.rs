//! Markets: where plugins come from, and whether they have newer versions.
//!
//! A market speaks the protocol of this product (signed catalogues, crate `plugyard-market`) or that of
//! Fresns. What comes from either goes the way of every package: inspected, kept, and installed by an
//! operation that goes back when it fails.
//!
//! Which market answers for a plugin: the one it came from; for others the first one that knows it, in the
//! order in which they were added. So a market added later cannot slip a package under a name that
//! another one has.

mod ask;
mod check;
pub(crate) mod codes;
mod decide;
mod download;
mod schedule;
pub(crate) mod schema;
pub(crate) mod settings;
mod standalone;
pub(crate) mod store;
mod take;
mod transport;
mod words;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use plugyard_market::{PublicKey, Trust, client};
use plugyard_model::{Problem, codes as problems};
use plugyard_platform::Platform;
use serde_json::Value as Json;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::host::{Web, WebHost, now};
use crate::site::Site;
use store::{NewMarket, Protocol};
use transport::{Way, problem};

pub(crate) use check::upgrades;
pub(crate) use take::{Taken, Wanted, Wish};

/// What belongs to the markets of one host.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// One check at a time: a second one would only ask the same.
    checking: Mutex<()>,
    /// Packages that are loaded, or were in part.
    parts: download::Parts,
    /// Wakes the schedule.
    changed: Notify,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// What somebody says of a market to add.
#[derive(Debug)]
pub(crate) struct Adding {
    pub(crate) name: Option<String>,
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    /// Public keys of its root.
    pub(crate) keys: Vec<String>,
    /// A root that was brought along.
    pub(crate) root: Option<Json>,
    pub(crate) allow_private: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) send_site_headers: Option<bool>,
}

impl WebHost {
    /// Begins to ask markets for new versions now and then, and to answer command words about them. Before
    /// requests are answered.
    pub fn begin_markets(&self, platform: &Platform) {
        let web = Web {
            host: self.clone(),
            platform: platform.clone(),
        };
        self.set_market_words(Arc::new(words::Words(web.clone())));
        let (parts, home) = (self.0.markets.parts.clone(), platform.home().downloads());
        let bytes = web.parts_limit();
        let tidied = move || parts.tidy(&home, bytes);
        drop(self.0.markets.tasks.spawn_blocking(tidied));
        let closing = self.0.markets.closing.clone();
        self.0.markets.tasks.spawn(async move {
            closing.run_until_cancelled(schedule::follow(&web)).await;
        });
    }

    /// Ends what [`begin_markets`](Self::begin_markets) began.
    pub async fn end_markets(&self) {
        let markets = &self.0.markets;
        markets.closing.cancel();
        markets.tasks.close();
        markets.tasks.wait().await;
    }

    /// Markets or their settings are others now: they are asked soon.
    pub(crate) fn market_settings_changed(&self) {
        self.0.markets.changed.notify_one();
    }

    /// Remembers a market. One of our protocol is asked first, so that what is remembered is a root that was
    /// seen and is trusted.
    pub(crate) async fn market_add(&self, adding: Adding) -> Result<Json, Problem> {
        let mut url = settings::address(&adding.url).map_err(|reason| invalid("url", reason))?;
        let parsed =
            reqwest::Url::parse(&url).map_err(|error| invalid("url", error.to_string()))?;
        if adding.protocol == Protocol::Own && matches!(parsed.path(), "" | "/") {
            // Where `plugyard market serve` has it.
            url.push_str("/market");
        }
        let proxy = match &adding.proxy {
            Some(proxy) => {
                Some(settings::address(proxy).map_err(|reason| invalid("proxy", reason))?)
            }
            None => None,
        };
        let name = match adding.name {
            Some(name) => name,
            None => {
                let host = parsed.host_str().unwrap_or_default();
                host.trim_matches(['[', ']']).to_owned()
            }
        };
        let formed = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'_' | b':'))
            && name != "settings";
        if !formed {
            let reason = "it is 1 to 64 letters, digits, `.`, `-` or `_`";
            return Err(invalid("name", reason.to_owned()));
        }
        let site = self.site().await?;
        let trust = match adding.protocol {
            Protocol::Fresns(_) if adding.keys.is_empty() && adding.root.is_none() => None,
            Protocol::Fresns(_) => {
                let reason = "catalogues of this protocol are not signed";
                return Err(invalid("trust", reason.to_owned()));
            }
            Protocol::Own => {
                let way = Way {
                    base: url.clone(),
                    allow_private: adding.allow_private,
                    proxy: proxy
                        .clone()
                        .or_else(|| site.text(settings::PROXY).map(str::to_owned)),
                    headers: reqwest::header::HeaderMap::new(),
                    patience: self.market_patience(),
                };
                let mut trust = trust(&name, &way, &adding.keys, adding.root.as_ref()).await?;
                client::refresh(&mut trust, &way, Timestamp::now())
                    .await
                    .map_err(|refusal| problem(&name, &refusal))?;
                Some(trust)
            }
        };
        let new = NewMarket {
            name,
            url,
            protocol: adding.protocol,
            allow_private: adding.allow_private,
            proxy,
            send_site_headers: adding.send_site_headers,
            trust,
        };
        let row = store::add(self.database()?, new, now()).await?;
        self.market_settings_changed();
        Ok(store::document(&row))
    }

    /// Forgets a market.
    pub(crate) async fn market_remove(&self, name: &str) -> Result<(), Problem> {
        store::remove(self.database()?, name).await?;
        self.market_settings_changed();
        Ok(())
    }

    fn market_patience(&self) -> Duration {
        self.0.settings.market_timeout
    }

    fn way(&self, market: &store::Market, site: &Site) -> Way {
        let channel = settings::channel(site);
        ask::way(market, site, channel, self.market_patience())
    }
}

/// The trust to begin with.
async fn trust(
    name: &str,
    way: &Way,
    keys: &[String],
    root: Option<&Json>,
) -> Result<Trust, Problem> {
    if let Some(root) = root {
        let bytes = serde_json::to_vec(root).unwrap_or_default();
        return Trust::from_root(&bytes).map_err(|refusal| invalid("trust", refusal.to_string()));
    }
    let keys: Result<Vec<PublicKey>, _> = keys.iter().map(|key| key.parse()).collect();
    let keys = keys.map_err(|error| invalid("trust", error.to_string()))?;
    if keys.is_empty() {
        let reason = "a key of the market's root, or its root document, is needed";
        return Err(invalid("trust", reason.to_owned()));
    }
    client::trust_by_keys(way, &keys)
        .await
        .map_err(|refusal| problem(name, &refusal))
}

fn invalid(field: &str, reason: String) -> Problem {
    Problem::new(problems::E_MARKET_INVALID)
        .with("field", field)
        .with("reason", reason)
}
