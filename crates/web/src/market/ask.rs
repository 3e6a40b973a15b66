//! Asking one market, whichever protocol it speaks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plugyard_market::{Catalogue, Channel, Offer, Refusal, Release, client, legacy, newest};
use plugyard_model::{Problem, codes};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use semver::Version;

use super::decide::Answer;
use super::settings;
use super::standalone::About;
use super::store::{Market, Protocol};
use super::transport::{Way, problem};
use crate::site::Site;

/// Plugins in one question.
const BATCH: usize = 100;

/// What a market says of a plugin.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) answer: Answer,
    /// What the version needs, where the market tells.
    pub(super) release: Option<Release>,
}

/// A package that can be loaded.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) version: String,
    /// The whole address.
    pub(super) address: String,
    /// What it must be, where the market vouches for it.
    pub(super) vouched: Option<Offer>,
    /// The code for the next upgrade, if the market gave one.
    pub(super) code: Option<String>,
    /// The code to send for this one.
    pub(super) send_code: bool,
    /// What the market says of it, when it is an application that is deployed on its own.
    pub(super) standalone: Option<About>,
}

/// What is here of a plugin that is looked for, deleted or not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Here<'a> {
    pub(super) version: Option<&'a str>,
    pub(super) code: Option<&'a str>,
    /// It is an application that is deployed on its own, or is said to be one.
    pub(super) standalone: bool,
}

/// What is installed of plugins, by fskey.
pub(super) type Installed = BTreeMap<String, String>;

pub(super) fn way(market: &Market, site: &Site, channel: Channel, patience: Duration) -> Way {
    let headers = match market.protocol {
        Protocol::Own => HeaderMap::new(),
        Protocol::Fresns(_) => site_headers(site, channel, market.send_site_headers),
    };
    Way {
        base: market.url.clone(),
        allow_private: market.allow_private,
        proxy: market.proxy.clone(),
        headers,
        patience,
    }
}

/// Asks for the newest versions of what is installed. Moves what is trusted on, also when it fails.
pub(super) async fn versions(
    market: &mut Market,
    way: &Way,
    installed: &Installed,
    channel: Channel,
) -> Result<BTreeMap<String, Said>, Problem> {
    let name = market.name.clone();
    let said = match market.protocol {
        Protocol::Own => own_versions(market, way, installed, channel).await,
        Protocol::Fresns(generation) => legacy_versions(way, generation, installed).await,
    };
    said.map_err(|refusal| problem(&name, &refusal))
}

async fn own_versions(
    market: &mut Market,
    way: &Way,
    installed: &Installed,
    channel: Channel,
) -> Result<BTreeMap<String, Said>, Refusal> {
    let now = Timestamp::now();
    let catalogue = refresh(market, way, now).await?;
    let mut said = BTreeMap::new();
    for (fskey, version) in installed {
        let Some(offers) = client::offers(&catalogue, way, fskey, now).await? else {
            continue;
        };
        let installed = Version::parse(version).ok();
        let (answer, release) = match newest(&offers, channel, installed.as_ref()) {
            Some(offer) => (
                Answer::Newest(offer.release.version.clone()),
                Some(offer.release.clone()),
            ),
            None => (Answer::Nothing, None),
        };
        said.insert(fskey.clone(), Said { answer, release });
    }
    Ok(said)
}

async fn legacy_versions(
    way: &Way,
    generation: &str,
    installed: &Installed,
) -> Result<BTreeMap<String, Said>, Refusal> {
    let fskeys: Vec<&String> = installed.keys().collect();
    let mut said = BTreeMap::new();
    for batch in fskeys.chunks(BATCH) {
        let text = serde_json::to_string(batch).unwrap_or_default();
        let path = format!("api/open-source/{generation}/check");
        let bytes = call(way, &path, &[("fskeys", &text)]).await?;
        let asked: BTreeSet<&String> = batch.iter().copied().collect();
        for (fskey, version) in legacy::read_versions(&path, &bytes)? {
            // What nobody asked for is of no interest.
            if !asked.contains(&fskey) {
                continue;
            }
            let answer = version.map_or(Answer::Unknown, Answer::Newest);
            let release = None;
            said.insert(fskey, Said { answer, release });
        }
    }
    Ok(said)
}

/// Finds the package to take: the newest for this site. `None` when the market does not know the plugin.
pub(super) async fn find(
    market: &mut Market,
    way: &Way,
    fskey: &str,
    here: Here<'_>,
    channel: Channel,
) -> Result<Option<Found>, Problem> {
    let name = market.name.clone();
    let found = match market.protocol {
        Protocol::Own => own_package(market, way, fskey, here, channel).await,
        Protocol::Fresns(generation) => legacy_package(way, generation, fskey, here).await,
    };
    found.map_err(|refusal| match refusal {
        Refusal::NotEntitled { .. } => Problem::new(codes::E_UPGRADE_CODE)
            .with("market", &name)
            .with("fskey", fskey),
        other => problem(&name, &other),
    })
}

async fn own_package(
    market: &mut Market,
    way: &Way,
    fskey: &str,
    here: Here<'_>,
    channel: Channel,
) -> Result<Option<Found>, Refusal> {
    let now = Timestamp::now();
    let catalogue = refresh(market, way, now).await?;
    let Some(offers) = client::offers(&catalogue, way, fskey, now).await? else {
        return Ok(None);
    };
    let installed = here.version.and_then(|it| Version::parse(it).ok());
    let Some(offer) = newest(&offers, channel, installed.as_ref()) else {
        return Ok(None);
    };
    Ok(Some(Found {
        version: offer.release.version.clone(),
        address: format!("{}/{}", way.base, offer.path),
        send_code: offer.release.entitled,
        standalone: About::of_release(&offer.release),
        vouched: Some(offer.clone()),
        code: None,
    }))
}

async fn legacy_package(
    way: &Way,
    generation: &str,
    fskey: &str,
    here: Here<'_>,
) -> Result<Option<Found>, Refusal> {
    let mut asked = vec![("fskey", fskey)];
    let mut call_name = "download";
    if let Some(version) = here.version {
        // Also for a deleted one, so that its code counts.
        call_name = "upgrade";
        asked.push(("version", version));
        asked.push(("upgradeCode", here.code.unwrap_or_default()));
    } else if let Some(code) = here.code {
        // One that the operator has before the plugin is here.
        asked.push(("upgradeCode", code));
    }
    if here.standalone {
        asked.push(("type", "download"));
    }
    let path = format!("api/open-source/{generation}/{call_name}");
    let bytes = call(way, &path, &asked).await?;
    let mut package = legacy::read_package(&path, &bytes)?;
    fskey.clone_into(&mut package.fskey);
    let standalone = About::of_package(&package, here.standalone);
    let address = package.zip_ball.unwrap_or_default();
    if reqwest::Url::parse(&address).is_err() {
        return Err(Refusal::Malformed {
            document: path,
            reason: "its `zipBall` is no address".to_owned(),
        });
    }
    Ok(Some(Found {
        version: package.version,
        address,
        vouched: None,
        standalone,
        code: package.upgrade_code.filter(|code| is_code(code)),
        send_code: false,
    }))
}

/// Whether a text can be an upgrade code: 1 to 32 printable ASCII characters without spaces.
pub(super) fn is_code(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

async fn refresh(market: &mut Market, way: &Way, now: Timestamp) -> Result<Catalogue, Refusal> {
    match &mut market.trust {
        Some(trust) => client::refresh(trust, way, now).await,
        None => Err(Refusal::Signature {
            document: "root".to_owned(),
            valid: 0,
            threshold: 1,
        }),
    }
}

/// One of the three calls. Codes stand in the query, as the protocol wants it, and in no log of ours.
async fn call(way: &Way, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>, Refusal> {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    let address = format!("{}/{path}?{query}", way.base);
    let found = way
        .read(&address, legacy::ANSWER_LIMIT, &|request| {
            request.header(ACCEPT, "application/json")
        })
        .await?;
    found.ok_or_else(|| Refusal::Unreachable {
        path: format!("{}/{path}", way.base),
        reason: "the answer is 404 Not Found".to_owned(),
    })
}

/// What markets of Fresns' protocol are told: version and language always, who asks as the operator likes.
fn site_headers(site: &Site, channel: Channel, all: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()),
            HeaderValue::from_str(value),
        ) {
            headers.insert(name, value);
        }
    };
    put("X-Fresns-Version", env!("CARGO_PKG_VERSION"));
    let language = site.text(settings::LANGUAGE).unwrap_or("en");
    put("X-Fresns-Panel-Lang-Tag", language);
    put(
        "X-Fresns-Build-Type",
        if channel == Channel::Beta { "2" } else { "1" },
    );
    if !all {
        return headers;
    }
    put("X-Fresns-Site-Language", language);
    for (key, header, encoded) in settings::SITE_TEXTS {
        let text = site.text(key).unwrap_or_default();
        if encoded {
            put(header, &STANDARD.encode(text));
        } else {
            put(header, text);
        }
    }
    if let Some(address) = site.system_url() {
        put("X-Fresns-System-Url", address);
        if let Ok(url) = reqwest::Url::parse(address) {
            put(
                "X-Fresns-Http-Ssl",
                if url.scheme() == "https" { "1" } else { "0" },
            );
            put("X-Fresns-Http-Host", url.host_str().unwrap_or_default());
            let port = url.port_or_known_default().unwrap_or_default();
            put("X-Fresns-Http-Port", &port.to_string());
        }
    }
    headers
}
