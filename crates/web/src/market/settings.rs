//! Settings of the site that concern markets: rows of `web_settings`.

use plugyard_market::Channel;
use reqwest::Url;
use serde_json::Value as Json;

use crate::site::Site;

/// The one market of an application that has its address in its settings; it speaks the protocol of Fresns.
pub(crate) const BASE_URL: &str = "market.base_url";
/// `stable`, or `beta` to be offered pre-releases too.
pub(crate) const CHANNEL: &str = "market.channel";
/// An HTTP proxy for markets that name none of their own.
pub(crate) const PROXY: &str = "market.proxy";
/// Whether markets of Fresns' protocol are told whose site asks.
pub(crate) const SEND_SITE_HEADERS: &str = "market.send_site_headers";
/// How often markets are asked for new versions.
pub(crate) const CHECK_INTERVAL: &str = "market.check_interval_hours";
/// When they were asked with success; written here, read by others.
pub(crate) const CHECKED: &str = "check_version_datetime";
/// When they are asked next.
pub(super) const NEXT_CHECK: &str = "market.next_check_at";

/// What markets of Fresns' protocol are told of the site, with the header.
pub(super) const SITE_TEXTS: [(&str, &str, bool); 6] = [
    ("site_url", "X-Fresns-Site-Url", false),
    ("site_name", "X-Fresns-Site-Name", true),
    ("site_desc", "X-Fresns-Site-Desc", true),
    ("site_copyright", "X-Fresns-Site-Copyright", true),
    ("install_datetime", "X-Fresns-Install-Datetime", false),
    ("database", "X-Fresns-Database", false),
];

/// The language of the site's operators.
pub(super) const LANGUAGE: &str = "site_language";

/// Judges a value; `None` for a key that is not of this part. Null takes a setting away and is always good.
pub(crate) fn check(key: &str, value: &Json) -> Option<Result<(), String>> {
    let is_text = SITE_TEXTS.iter().any(|(known, ..)| *known == key) || key == LANGUAGE;
    let is_own = [BASE_URL, CHANNEL, PROXY, SEND_SITE_HEADERS, CHECK_INTERVAL].contains(&key);
    if !(is_text || is_own) {
        return None;
    }
    if value.is_null() {
        return Some(Ok(()));
    }
    let verdict = match key {
        BASE_URL | PROXY => match value.as_str().map(address) {
            Some(Ok(_)) => Ok(()),
            Some(Err(reason)) => Err(reason),
            None => Err("it is an address".to_owned()),
        },
        CHANNEL if matches!(value.as_str(), Some("stable" | "beta")) => Ok(()),
        CHANNEL => Err("it is `stable` or `beta`".to_owned()),
        SEND_SITE_HEADERS if value.is_boolean() => Ok(()),
        SEND_SITE_HEADERS => Err("it is true or false".to_owned()),
        CHECK_INTERVAL if value.as_u64().is_some_and(|it| (1..=720).contains(&it)) => Ok(()),
        CHECK_INTERVAL => Err("it is a number of hours, 1 to 720".to_owned()),
        _ if value.as_str().is_some_and(|text| text.len() <= 2000) => Ok(()),
        _ => Err("it is a text of at most 2000 bytes".to_owned()),
    };
    Some(verdict)
}

/// An address that a market or a proxy can have: `http` or `https`, a host, no user, no query; without a
/// slash at its end.
pub(super) fn address(text: &str) -> Result<String, String> {
    if text.len() > 255 {
        return Err("it is longer than 255 characters".to_owned());
    }
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("it does not begin with `http://` or `https://`".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it has a user or a password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a query or a fragment".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Who is offered what.
pub(super) fn channel(site: &Site) -> Channel {
    match site.text(CHANNEL) {
        Some("beta") => Channel::Beta,
        _ => Channel::Stable,
    }
}

/// Hours between two checks.
pub(super) fn interval(site: &Site) -> u64 {
    site.number(CHECK_INTERVAL)
        .filter(|hours| (1..=720).contains(hours))
        .unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_of_markets_are_judged() {
        for (key, value, good) in [
            (BASE_URL, json!("https://market.example.com/"), true),
            (BASE_URL, json!("ftp://market.example.com"), false),
            (BASE_URL, json!("https://u:p@market.example.com"), false),
            (PROXY, json!("http://127.0.0.1:3128"), true),
            (PROXY, json!(1), false),
            (CHANNEL, json!("beta"), true),
            (CHANNEL, json!("nightly"), false),
            (CHECK_INTERVAL, json!(8), true),
            (CHECK_INTERVAL, json!(0), false),
            (SEND_SITE_HEADERS, json!(false), true),
            (SEND_SITE_HEADERS, json!("no"), false),
            (SEND_SITE_HEADERS, Json::Null, true),
            (LANGUAGE, json!("zh-Hans"), true),
        ] {
            assert_eq!(
                check(key, &value).map(|it| it.is_ok()),
                Some(good),
                "{key} {value}"
            );
        }
        assert_eq!(check("system_url", &json!("x")), None);
    }
}
