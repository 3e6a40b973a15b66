//! Settings of the site that concern pages: rows of `web_settings`.

use reqwest::Url;
use serde_json::Value as Json;

use crate::site::Site;

/// Whether a page's credential may still be the headers themselves. Default: yes.
pub(crate) const LEGACY_CREDENTIALS: &str = "legacy_page_credentials";
/// Origins of the clients that open pages in frames: a list.
pub(crate) const CLIENT_ORIGINS: &str = "client_origins";
/// Where the application answers command words of plugins.
pub(crate) const WORDS_URL: &str = "command_words_url";
/// Where the application says whether accounts and users are who they say.
pub(crate) const IDENTITY_URL: &str = "identity_url";

/// Judges a value; `None` for a key that is not of this part. Null takes a setting away and is always good.
pub(crate) fn check(key: &str, value: &Json) -> Option<Result<(), String>> {
    if ![LEGACY_CREDENTIALS, CLIENT_ORIGINS, WORDS_URL, IDENTITY_URL].contains(&key) {
        return None;
    }
    if value.is_null() {
        return Some(Ok(()));
    }
    let verdict = match key {
        LEGACY_CREDENTIALS if value.is_boolean() => Ok(()),
        LEGACY_CREDENTIALS => Err("it is true or false".to_owned()),
        CLIENT_ORIGINS => match value.as_array() {
            Some(origins) if origins.len() <= 64 => origins.iter().try_for_each(|origin| {
                let text = origin.as_str().unwrap_or_default();
                match origin_of(text) {
                    Some(normal) if normal == text => Ok(()),
                    Some(normal) => Err(format!("`{text}` is no origin; is `{normal}` meant?")),
                    None => Err(format!(
                        "`{}` is no origin",
                        text.chars().take(200).collect::<String>()
                    )),
                }
            }),
            _ => Err("it is a list of at most 64 origins".to_owned()),
        },
        _ => match value.as_str().map(crate::webhooks::endpoints::check_url) {
            Some(Ok(())) => Ok(()),
            _ => Err("it is no address that begins with `http://` or `https://`".to_owned()),
        },
    };
    Some(verdict)
}

/// Whether the headers themselves are accepted as a page's credential.
pub(crate) fn legacy_credentials(site: &Site) -> bool {
    site.0.get(LEGACY_CREDENTIALS).and_then(Json::as_bool) != Some(false)
}

/// The origins of clients.
pub(crate) fn client_origins(site: &Site) -> Vec<String> {
    let origins = site.0.get(CLIENT_ORIGINS).and_then(Json::as_array);
    origins
        .into_iter()
        .flatten()
        .filter_map(|origin| origin.as_str().map(str::to_owned))
        .collect()
}

/// The origin of an address, as browsers write it.
pub(crate) fn origin_of(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let origin = url.origin();
    (matches!(url.scheme(), "http" | "https") && origin.is_tuple())
        .then(|| origin.ascii_serialization())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_judged() {
        let good = |key, value| check(key, &value).unwrap().is_ok();
        assert!(check("system_url", &json!(1)).is_none());
        assert!(good(LEGACY_CREDENTIALS, json!(false)));
        assert!(!good(LEGACY_CREDENTIALS, json!("off")));
        assert!(good(
            CLIENT_ORIGINS,
            json!(["https://a.example", "http://b.example:8080"])
        ));
        for bad in [
            "https://a.example/",
            "a.example",
            "HTTPS://a.example",
            "https://a.example:443",
            "data:x",
        ] {
            assert!(!good(CLIENT_ORIGINS, json!([bad])), "{bad}");
        }
        assert!(good(WORDS_URL, json!("https://a.example/words")));
        assert!(good(WORDS_URL, Json::Null));
        assert!(!good(IDENTITY_URL, json!("file:///etc/passwd")));
    }
}
