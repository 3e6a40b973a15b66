//! How single values of the command line are read.

use std::time::Duration;

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    plugyard_model::parse_duration(text).map_err(|error| error.to_string())
}

/// So long ago, or a day (its begin, UTC), or a point in time.
pub(super) fn moment(text: &str) -> Result<jiff::Timestamp, String> {
    let ago = match text.strip_suffix('d').map(str::parse::<u32>) {
        Some(Ok(days)) => Ok(Duration::from_hours(24) * days),
        _ => plugyard_model::parse_duration(text),
    };
    let wrong = || {
        "expected how long ago (`36h`, `7d`), a day or a time (`2026-11-21T09:00:00Z`)".to_owned()
    };
    // A number alone would be milliseconds, which nobody means here.
    if let Ok(ago) = ago
        && text.ends_with(|c: char| c.is_ascii_alphabetic())
    {
        return jiff::Timestamp::now().checked_sub(ago).map_err(|_| wrong());
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>()
        && text.len() == 10
    {
        let begin = day.to_zoned(jiff::tz::TimeZone::UTC);
        return begin.map(|it| it.timestamp()).map_err(|_| wrong());
    }
    text.parse().map_err(|_| wrong())
}

/// An address of a server, or nothing: a variable that is set to nothing is not set.
pub(super) fn server(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    address(text)
}

/// An address of a server, without a slash at its end.
pub(super) fn address(text: &str) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            if url.username().is_empty() && url.password().is_none() {
                Ok(text.trim_end_matches('/').to_owned())
            } else {
                Err("an address has no user and no password".to_owned())
            }
        }
        _ => Err("expected `https://…` or `http://…`".to_owned()),
    }
}

/// `name=value`, the value being JSON if it can be read as such and else the text itself.
pub(super) fn pair(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected `name=value`")?;
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// `name=value`, both as they stand.
pub(super) fn plain_pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected `name=value`")?;
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// `name` or `name={…}`.
pub(super) fn sink(text: &str) -> Result<(String, serde_json::Value), String> {
    let Some((name, properties)) = text.split_once('=') else {
        return Ok((text.to_owned(), serde_json::json!({})));
    };
    match serde_json::from_str(properties) {
        Ok(value @ serde_json::Value::Object(_)) => Ok((name.to_owned(), value)),
        Ok(_) => Err("the properties of a sink are a JSON object".to_owned()),
        Err(error) => Err(format!(
            "the properties of a sink are a JSON object: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_are_names_with_or_without_properties() {
        assert_eq!(sink("log"), Ok(("log".to_owned(), serde_json::json!({}))));
        assert_eq!(
            sink(r#"file={"path":"a=b"}"#),
            Ok(("file".to_owned(), serde_json::json!({"path": "a=b"})))
        );
        assert!(sink("file=[1]").is_err());
        assert!(sink("file={").is_err());
    }

    #[test]
    fn times_are_ago_or_absolute() {
        let hour = jiff::SignedDuration::from_hours(1);
        for (text, hours) in [("36h", 36), ("7d", 168)] {
            let then = moment(text).unwrap();
            let ago = jiff::Timestamp::now().duration_since(then);
            assert!(ago >= hour * hours && ago < hour * (hours + 1), "{text}");
        }
        let day = "2026-11-21T00:00:00Z".parse().unwrap();
        assert_eq!(moment("2026-11-21"), Ok(day));
        assert_eq!(moment("2026-11-21T00:00:00Z"), Ok(day));
        for wrong in ["", "5", "yesterday", "-1h", "2026-13-01"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_http_and_keep_no_secret() {
        let read = |text| address(text).ok();
        assert_eq!(read("https://a.b/"), Some("https://a.b".to_owned()));
        for wrong in ["localhost:9081", "ftp://a", "https://u:p@a", "a", "http://"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn values_of_options_are_json_or_text() {
        assert_eq!(pair("a=1"), Ok(("a".to_owned(), serde_json::json!(1))));
        assert_eq!(
            pair("a=b c"),
            Ok(("a".to_owned(), serde_json::json!("b c")))
        );
        assert!(pair("a").is_err());
        assert!(pair("=1").is_err());
    }
}
