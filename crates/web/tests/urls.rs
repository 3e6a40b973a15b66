//! The URL table of the Fresns documentation, row by row, and what holds for all URLs.
#![expect(clippy::unwrap_used, clippy::too_many_lines, reason = "a table")]

use std::borrow::Cow;

use plugyard_web::url::{
    Addresses, Encoding, NoUrl, Open, Origin, Page, Parameter, access_url, expand, expand_json,
    explain, join, settings_url, usage_url,
};
use proptest::prelude::*;

const SYSTEM: &str = "https://api.example.com";
const HOST: &str = "https://plug.example.net";

fn plugin<'a>(host: Option<&'a str>, path: Option<&'a str>) -> Addresses<'a> {
    Addresses {
        system_url: Some(SYSTEM),
        plugin_host: host,
        access_path: path,
        settings_path: None,
    }
}

fn usage(host: Option<&str>, path: &str, parameter: &str) -> String {
    usage_url(&plugin(host, Some(path)), Parameter::verbatim(parameter)).unwrap()
}

fn component(path: &str, parameter: &str) -> String {
    let parameter = Parameter {
        value: Some(parameter),
        encoding: Encoding::Component,
    };
    usage_url(&plugin(Some(HOST), Some(path)), parameter).unwrap()
}

#[test]
fn web_13_pages_of_plugins_are_the_documented_ones() {
    let rows: &[(u8, Option<&str>, &str, &str)] = &[
        (1, None, "/mall", "https://api.example.com/mall"),
        (2, Some(HOST), "/mall", "https://plug.example.net/mall"),
        (3, Some(""), "/mall", "https://api.example.com/mall"),
        (4, Some(HOST), "mall", "https://plug.example.net/mall"),
        (5, Some(HOST), "//mall", "https://plug.example.net/mall"),
        (6, Some(HOST), "/", "https://plug.example.net/"),
        (7, Some(HOST), "/mall/", "https://plug.example.net/mall/"),
        (
            9,
            Some("https://plug.example.net:8443"),
            "/mall",
            "https://plug.example.net:8443/mall",
        ),
        (
            10,
            Some("https://plug.example.net/apps/shop"),
            "/mall",
            "https://plug.example.net/apps/shop/mall",
        ),
        (13, Some(HOST), "?tab=1", "https://plug.example.net/?tab=1"),
        (
            14,
            Some(HOST),
            "/go?to=https://x.example/a",
            "https://plug.example.net/go?to=https://x.example/a",
        ),
        (15, Some(HOST), "0", "https://plug.example.net/0"),
        (
            16,
            Some(HOST),
            "/mall?id={parameter}",
            "https://plug.example.net/mall?id={parameter}",
        ),
        (
            39,
            Some("https://plug.example.net//"),
            "//mall",
            "https://plug.example.net/mall",
        ),
    ];
    for &(row, host, path, url) in rows {
        assert_eq!(
            access_url(&plugin(host, Some(path))).as_deref(),
            Ok(url),
            "row {row}"
        );
    }
    let with_slash = Addresses {
        system_url: Some("https://api.example.com/"),
        ..plugin(None, Some("/mall"))
    };
    assert_eq!(
        access_url(&with_slash).unwrap(),
        "https://api.example.com/mall",
        "row 8"
    );
    assert_eq!(
        access_url(&plugin(Some(HOST), None)),
        Err(NoUrl::NoAccessPath),
        "row 11"
    );
    assert_eq!(
        access_url(&plugin(Some(HOST), Some(""))),
        Err(NoUrl::NoAccessPath),
        "row 12"
    );
    let nowhere = Addresses {
        system_url: None,
        ..plugin(None, Some("/mall"))
    };
    assert_eq!(access_url(&nowhere), Err(NoUrl::NoBaseUrl), "row 34");
}

#[test]
fn web_13_pages_of_usages_are_the_documented_ones() {
    let long = "/p?s={sign}&l={langtag}&t={type}&sc={scene}&k={postMessageKey}&u={uid}&f={fskey}&c={parameter}";
    let long_url = "https://plug.example.net/p?s={sign}&l={langtag}&t={type}&sc={scene}&k={postMessageKey}&u={uid}&f={fskey}&c=A1";
    let rows: &[(u8, Option<&str>, &str, &str, &str)] = &[
        (
            17,
            Some(HOST),
            "/mall?id={parameter}",
            "vip",
            "https://plug.example.net/mall?id=vip",
        ),
        (
            18,
            None,
            "/mall/{parameter}/list",
            "vip",
            "https://api.example.com/mall/vip/list",
        ),
        (
            19,
            Some(HOST),
            "/c/{parameter}?a={parameter}",
            "7",
            "https://plug.example.net/c/7?a=7",
        ),
        (
            20,
            Some(HOST),
            "/mall?id={parameter}",
            "0",
            "https://plug.example.net/mall?id=0",
        ),
        (
            22,
            Some(HOST),
            "/mall?id={parameter}",
            "",
            "https://plug.example.net/mall?id=",
        ),
        (
            23,
            Some(HOST),
            "/mall",
            "vip",
            "https://plug.example.net/mall",
        ),
        (
            24,
            Some(HOST),
            "/mall?id={Parameter}",
            "vip",
            "https://plug.example.net/mall?id={Parameter}",
        ),
        (
            25,
            Some(HOST),
            "/mall?n={parameter}",
            "中文",
            "https://plug.example.net/mall?n=中文",
        ),
        (
            26,
            Some(HOST),
            "/mall?q={parameter}",
            "a b&c=d#e",
            "https://plug.example.net/mall?q=a b&c=d#e",
        ),
        (
            27,
            Some(HOST),
            "/mall?{parameter}",
            "x=1&y=2",
            "https://plug.example.net/mall?x=1&y=2",
        ),
        (
            28,
            Some(HOST),
            "/mall?id={parameter}",
            "{parameter}",
            "https://plug.example.net/mall?id={parameter}",
        ),
        (
            29,
            Some(HOST),
            "/mall?id={parameter}",
            "{uid}",
            "https://plug.example.net/mall?id={uid}",
        ),
        (
            30,
            Some(HOST),
            "/mall?id={parameter}",
            r"$1\0",
            r"https://plug.example.net/mall?id=$1\0",
        ),
        (
            31,
            Some(HOST),
            "/mall?id={parameter}",
            "50%",
            "https://plug.example.net/mall?id=50%",
        ),
        (32, Some(HOST), long, "A1", long_url),
        (
            40,
            Some(HOST),
            "/mall?id={parameter}",
            "gold",
            "https://plug.example.net/mall?id=gold",
        ),
        (
            40,
            Some(HOST),
            "/mall?id={parameter}",
            "silver",
            "https://plug.example.net/mall?id=silver",
        ),
        (
            41,
            Some(HOST),
            "/mall?id={parameter}#top",
            "a?b",
            "https://plug.example.net/mall?id=a?b#top",
        ),
    ];
    for &(row, host, path, parameter, url) in rows {
        assert_eq!(usage(host, path, parameter), url, "row {row}");
    }
    let unset = usage_url(
        &plugin(Some(HOST), Some("/mall?id={parameter}")),
        Parameter::default(),
    );
    assert_eq!(
        unset.unwrap(),
        "https://plug.example.net/mall?id={parameter}",
        "row 21"
    );
    let pathless = usage_url(&plugin(Some(HOST), None), Parameter::verbatim("vip"));
    assert_eq!(pathless, Err(NoUrl::NoAccessPath), "row 33");
    assert_eq!(
        component("/mall?n={parameter}", "中文"),
        "https://plug.example.net/mall?n=%E4%B8%AD%E6%96%87",
        "row 25"
    );
    assert_eq!(
        component("/mall?q={parameter}", "a b&c=d#e"),
        "https://plug.example.net/mall?q=a%20b%26c%3Dd%23e",
        "row 26"
    );
    assert_eq!(
        component("/mall?id={parameter}", "50%"),
        "https://plug.example.net/mall?id=50%25",
        "row 31"
    );
    let settings = Addresses {
        settings_path: Some("/mall/admin?id={parameter}"),
        ..plugin(Some(HOST), None)
    };
    assert_eq!(
        settings_url(&settings).unwrap(),
        "https://plug.example.net/mall/admin?id={parameter}",
        "row 42"
    );
    assert_eq!(
        settings_url(&plugin(Some(HOST), Some("/a"))),
        Err(NoUrl::NoSettingsPath)
    );
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

proptest! {
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
