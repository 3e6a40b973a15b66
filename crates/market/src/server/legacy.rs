//! The three calls of Fresns' market, over the same packages.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::packages::{code_is_good, entitled};
use super::{Catalogue, Served};
use crate::legacy::{Answer, BAD_QUESTION, NO_PACKAGE, NOT_ENTITLED, OK, Package, Versions};
use crate::release::{Channel, newest};

/// Plugins in one `check`.
const PLUGINS_MAX: usize = 1000;
/// Bytes of `fskeys`.
const TEXT_MAX: usize = 80 << 10;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Asked {
    fskeys: Option<String>,
    fskey: Option<String>,
    version: Option<String>,
    upgrade_code: Option<String>,
}

pub(super) async fn call(
    State(served): State<Served>,
    Path((generation, call)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let third = match generation.as_str() {
        "v2" => false,
        "v3" => true,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let catalogue = match served.catalogue().await {
        Ok(catalogue) => catalogue,
        Err(failed) => return failed.into_response(),
    };
    // 1 is stable, 2 is beta.
    let channel = match headers
        .get("x-fresns-build-type")
        .map(axum::http::HeaderValue::as_bytes)
    {
        Some(b"2") => Channel::Beta,
        _ => Channel::Stable,
    };
    match call.as_str() {
        "check" => check(&catalogue, channel, &asked),
        "download" | "upgrade" => {
            package(&served, &catalogue, channel, third, &asked, &headers).await
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn check(catalogue: &Catalogue, channel: Channel, asked: &Asked) -> Response {
    let text = asked.fskeys.as_deref().unwrap_or_default();
    if text.len() > TEXT_MAX {
        return refusal(BAD_QUESTION, "`fskeys` is too long");
    }
    let Ok(fskeys) = serde_json::from_str::<Vec<String>>(text) else {
        return refusal(BAD_QUESTION, "`fskeys` is a JSON array of texts");
    };
    if fskeys.len() > PLUGINS_MAX {
        return refusal(BAD_QUESTION, "`fskeys` names too many plugins");
    }
    let versions: Versions = fskeys
        .into_iter()
        .map(|fskey| {
            let found = catalogue
                .get(&fskey)
                .and_then(|offers| newest(offers, channel, None))
                .map(|offer| offer.release.version.clone());
            (fskey, found)
        })
        .collect::<BTreeMap<_, _>>();
    answer(versions)
}

async fn package(
    served: &Served,
    catalogue: &Catalogue,
    channel: Channel,
    third: bool,
    asked: &Asked,
    headers: &HeaderMap,
) -> Response {
    let Some(fskey) = asked.fskey.as_deref() else {
        return refusal(BAD_QUESTION, "`fskey` is missing");
    };
    // Who has a pre-release is offered the next one.
    let installed = asked
        .version
        .as_deref()
        .and_then(|text| Version::parse(text).ok());
    let found = catalogue
        .get(fskey)
        .and_then(|offers| newest(offers, channel, installed.as_ref()));
    let Some(offer) = found else {
        return refusal(NO_PACKAGE, "there is no package of this plugin");
    };
    let mut address = format!("{}/market/{}", served.0.settings.public_url, offer.path);
    let code = asked
        .upgrade_code
        .as_deref()
        .filter(|code| !code.is_empty());
    let mut kept = None;
    if offer.release.entitled {
        let good = match code {
            Some(code) => code_is_good(served, fskey, code).await,
            None => entitled(served, fskey, headers).await,
        };
        match good {
            Ok(true) => {}
            Ok(false) => return refusal(NOT_ENTITLED, "an upgrade code is needed"),
            Err(failed) => return failed.into_response(),
        }
        kept = code.map(str::to_owned);
        let ticket = served.0.tickets.issue(&offer.path, Timestamp::now());
        address = format!("{address}?ticket={ticket}");
    }
    let release = &offer.release;
    answer(Package {
        fskey: fskey.to_owned(),
        version: release.version.clone(),
        name: Some(release.name.clone()),
        description: Some(release.description.clone()),
        author: Some(release.author.clone()),
        author_link: release.author_link.clone(),
        zip_ball: Some(address),
        upgrade_code: kept,
        plugin_type: third.then_some(release.plugin_type),
    })
}

fn answer<T: Serialize>(data: T) -> Response {
    json(&Answer {
        code: OK,
        message: "ok".to_owned(),
        data: Some(data),
    })
}

fn refusal(code: i64, message: &str) -> Response {
    json(&Answer::<()> {
        code,
        message: message.to_owned(),
        data: None,
    })
}

fn json<T: Serialize>(answer: &Answer<T>) -> Response {
    match serde_json::to_vec(answer) {
        Ok(bytes) => (
            [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-store"),
            ],
            bytes,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
