//! What holds for all URLs; the rows of the documented tables are in `rows.rs`.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::borrow::Cow;

use plugyard_web::url::{
    Addresses, NoUrl, Open, Origin, Page, Parameter, expand, expand_json, explain, join,
    settings_url, usage_url,
};
use proptest::prelude::*;

const SYSTEM: &str = "https://api.example.com";
const HOST: &str = "https://plug.example.net";

fn plugin<'a>(host: Option<&'a str>, path: Option<&'a str>) -> Addresses<'a> {
    Addresses {
        system_url: Some(SYSTEM),
        plugin_host: host,
        access_path: path,
        ..Addresses::default()
    }
}

fn usage(host: Option<&str>, path: &str, parameter: &str) -> String {
    usage_url(&plugin(host, Some(path)), Parameter::verbatim(parameter)).unwrap()
}

/// A theme's settings form is this server's own page.
#[test]
fn the_settings_form_of_a_theme_is_at_the_panel() {
    let theme = Addresses {
        settings_path: Some("FancyTheme"),
        own_form: true,
        panel_url: Some("https://panel.example/p/"),
        ..plugin(Some(HOST), None)
    };
    let at_site = Addresses {
        panel_url: None,
        ..theme
    };
    for (theme, url) in [
        (
            theme,
            Ok("https://panel.example/p/web/themes/FancyTheme/settings"),
        ),
        (
            at_site,
            Ok("https://api.example.com/web/themes/FancyTheme/settings"),
        ),
        (
            Addresses {
                system_url: None,
                ..at_site
            },
            Err(&NoUrl::NoBaseUrl),
        ),
        (
            Addresses {
                settings_path: None,
                ..theme
            },
            Err(&NoUrl::NoSettingsPath),
        ),
    ] {
        let made = settings_url(&theme);
        assert_eq!(made.as_deref(), url);
        assert_eq!(explain(&theme, Page::Settings).map(|it| it.url()), made);
    }
}

#[test]
fn an_absolute_path_of_an_older_table_is_kept_and_its_parameter_replaced() {
    assert_eq!(
        usage(Some(HOST), "https://old.example/a?x={parameter}", "1"),
        "https://old.example/a?x=1"
    );
    assert_eq!(
        usage(None, "http://old.example/a", "1"),
        "http://old.example/a"
    );
}

#[test]
fn web_17_only_the_parameter_changes() {
    let path =
        "/{a}/{b}?{c}={d}&{sign}={uid}&p={parameter}&{gid}#{Parameter}{parameter }{}{ parameter}{x";
    let url = usage(Some(HOST), path, "P");
    assert_eq!(url, join(HOST, &path.replacen("{parameter}", "P", 1)));
}

/// The table that every client library runs too.
const VECTORS: &str = include_str!("../../../clients/vectors/expand.json");

#[test]
fn web_18_clients_fill_the_rest() {
    let vectors: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    let numbered = cases.iter().filter(|case| case.get("row").is_some());
    assert_eq!(numbered.count(), 7, "every row of the documented table");
    for case in cases {
        let url = case["url"].as_str().unwrap();
        let values = case["values"].as_object().unwrap();
        assert_eq!(
            expand_json(url, values).as_deref(),
            Ok(case["expanded"].as_str().unwrap()),
            "{url}"
        );
    }
}

#[test]
fn values_are_single_ones() {
    let values = serde_json::json!({ "uid": [1], "gid": {}, "pid": 1 });
    assert_eq!(
        expand_json("{uid}", values.as_object().unwrap()),
        Err(vec!["gid", "uid"])
    );
}

#[test]
fn a_text_full_of_braces_is_read_once() {
    let braces = "{a".repeat(500_000);
    assert_eq!(expand(&braces, |_| None), braces);
}

#[test]
fn an_explanation_names_columns_variables_and_a_parameter_without_a_place() {
    let explanation = explain(
        &plugin(None, Some("/c/{parameter}?u={uid}&x={foo}&v={uid}")),
        Page::Access(Parameter::verbatim("7")),
    )
    .unwrap();
    let origins: Vec<_> = explanation
        .parts
        .iter()
        .map(|part| (part.text.as_str(), part.from))
        .collect();
    assert_eq!(
        origins,
        [
            (SYSTEM, Origin::SystemUrl),
            ("/", Origin::Joint),
            ("c/", Origin::AccessPath),
            ("7", Origin::Parameter),
            ("?u={uid}&x={foo}&v={uid}", Origin::AccessPath),
        ]
    );
    let open = |name: &str, known| Open {
        name: name.to_owned(),
        known,
    };
    assert_eq!(
        explanation.variables,
        [open("uid", true), open("foo", false)]
    );
    assert!(!explanation.parameter_unused);
    let unused = explain(
        &plugin(Some(HOST), Some("/mall")),
        Page::Access(Parameter::verbatim("vip")),
    );
    assert!(unused.unwrap().parameter_unused);
}

/// The rule in the plainest words: from left to right, character by character.
fn replaced(url: &str, value: &str) -> String {
    let (mut made, mut rest) = (String::new(), url);
    while let Some(first) = rest.chars().next() {
        match rest.strip_prefix("{parameter}") {
            Some(after) => {
                made.push_str(value);
                rest = after;
            }
            None => {
                made.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    made
}

proptest! {
    #[test]
    fn a_usages_url_is_the_plain_rules_whatever_the_columns_hold(
        base in prop_oneof![Just("https://h"), Just("https://h/{parameter}"), Just("http://h//")],
        path in "(\\{parameter\\}|\\{|\\}|\\{\\{|parameter|[a-z/?#&=%$\\\\中]|\\{uid\\}){1,12}",
        value in proptest::option::of("(\\{parameter\\}|\\{|\\}|parameter\\}|[a-z&=%$0\\\\中 ]){0,8}"),
        hosted in any::<bool>(),
    ) {
        let (site, host) = if hosted { (None, Some(base)) } else { (Some(base), None) };
        let addresses = Addresses {
            system_url: site,
            plugin_host: host,
            access_path: Some(&path),
            ..Addresses::default()
        };
        let whole = join(base, &path);
        let expected = match &value {
            Some(value) => replaced(&whole, value),
            None => whole,
        };
        let parameter = Parameter { value: value.as_deref(), ..Parameter::default() };
        prop_assert_eq!(usage_url(&addresses, parameter).unwrap(), expected);
    }

    #[test]
    fn a_usages_url_replaces_every_parameter_and_nothing_else(
        pieces in proptest::collection::vec("[a-z/{}?=&%中]{0,6}|\\{uid\\}|\\{Parameter\\}", 1..6),
        value in "[a-z{}%& 中]{0,8}|\\{parameter\\}",
    ) {
        let url = |token: &str| {
            let path = format!("/{}", pieces.join(token));
            (path.clone(), join(HOST, &path))
        };
        // A token that arises from the pieces themselves would be one more to replace.
        prop_assume!(pieces.iter().all(|piece| !piece.contains("{parameter}")));
        let (path, _) = url("{parameter}");
        let expected = join(HOST, path.trim_start_matches('/')).split("{parameter}").collect::<Vec<_>>().join(&value);
        let addresses = plugin(Some(HOST), Some(&path));
        let made = usage_url(&addresses, Parameter::verbatim(&value)).unwrap();
        prop_assert_eq!(&made, &expected);
        let explained = explain(&addresses, Page::Access(Parameter::verbatim(&value))).unwrap();
        prop_assert_eq!(explained.url(), made);
    }

    #[test]
    fn nothing_is_left_for_a_client_after_it_filled_a_url(
        url in "[a-z/?&={}]{0,20}(\\{[a-zA-Z0-9]{1,8}\\}[a-z/?&={}]{0,5}){0,4}",
        value in proptest::option::of("[a-z{}%& 中]{0,8}"),
    ) {
        let filled = expand(&url, |_| value.as_deref().map(Cow::Borrowed));
        if value.is_none() {
            // With nothing put in, what remains was in the URL, in its order.
            let mut rest = url.chars();
            prop_assert!(filled.chars().all(|c| rest.any(|other| other == c)));
        }
        let open = explain(&Addresses { access_path: Some(&url), system_url: Some("https://h"), ..Addresses::default() }, Page::Access(Parameter::default()));
        if let Ok(open) = open && open.variables.is_empty() {
            prop_assert_eq!(filled, url);
        }
    }
}
