//! Scenarios 13 to 18: every row of the tables of URLs and of expansions.

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{HOST, SYSTEM, Site, findings, on_each};
use crate::support::wait_for;

/// The rows of the documented table that give a URL or none: number, host, path, parameter, result.
type Row = (
    u8,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
);

const PAGES: &[Row] = &[
    (
        1,
        None,
        Some("/mall"),
        None,
        Some("https://api.example.com/mall"),
    ),
    (
        2,
        Some(HOST),
        Some("/mall"),
        None,
        Some("https://plug.example.net/mall"),
    ),
    (
        3,
        Some(""),
        Some("/mall"),
        None,
        Some("https://api.example.com/mall"),
    ),
    (
        4,
        Some(HOST),
        Some("mall"),
        None,
        Some("https://plug.example.net/mall"),
    ),
    (
        5,
        Some(HOST),
        Some("//mall"),
        None,
        Some("https://plug.example.net/mall"),
    ),
    (
        6,
        Some(HOST),
        Some("/"),
        None,
        Some("https://plug.example.net/"),
    ),
    (
        7,
        Some(HOST),
        Some("/mall/"),
        None,
        Some("https://plug.example.net/mall/"),
    ),
    (
        9,
        Some("https://plug.example.net:8443"),
        Some("/mall"),
        None,
        Some("https://plug.example.net:8443/mall"),
    ),
    (
        10,
        Some("https://plug.example.net/apps/shop"),
        Some("/mall"),
        None,
        Some("https://plug.example.net/apps/shop/mall"),
    ),
    (11, Some(HOST), None, None, None),
    (12, Some(HOST), Some(""), None, None),
    (
        13,
        Some(HOST),
        Some("?tab=1"),
        None,
        Some("https://plug.example.net/?tab=1"),
    ),
    (
        14,
        Some(HOST),
        Some("/go?to=https://x.example/a"),
        None,
        Some("https://plug.example.net/go?to=https://x.example/a"),
    ),
    (
        15,
        Some(HOST),
        Some("0"),
        None,
        Some("https://plug.example.net/0"),
    ),
    (
        16,
        Some(HOST),
        Some("/mall?id={parameter}"),
        None,
        Some("https://plug.example.net/mall?id={parameter}"),
    ),
    (
        39,
        Some("https://plug.example.net//"),
        Some("//mall"),
        None,
        Some("https://plug.example.net/mall"),
    ),
];

const USAGES: &[Row] = &[
    (
        17,
        Some(HOST),
        Some("/mall?id={parameter}"),
        Some("vip"),
        Some("https://plug.example.net/mall?id=vip"),
    ),
    (
        18,
        None,
        Some("/mall/{parameter}/list"),
        Some("vip"),
        Some("https://api.example.com/mall/vip/list"),
    ),
    (
        19,
        Some(HOST),
        Some("/c/{parameter}?a={parameter}"),
        Some("7"),
        Some("https://plug.example.net/c/7?a=7"),
    ),
    (
        20,
        Some(HOST),
        Some("/mall?id={parameter}"),
        Some("0"),
        Some("https://plug.example.net/mall?id=0"),
    ),
    (
        21,
        Some(HOST),
        Some("/mall?id={parameter}"),
        None,
        Some("https://plug.example.net/mall?id={parameter}"),
    ),
    (
        22,
        Some(HOST),
        Some("/mall?id={parameter}"),
        Some(""),
        Some("https://plug.example.net/mall?id="),
    ),
    (
        23,
        Some(HOST),
        Some("/mall"),
        Some("vip"),
        Some("https://plug.example.net/mall"),
    ),
    (
        24,
        Some(HOST),
        Some("/mall?id={Parameter}"),
        Some("vip"),
        Some("https://plug.example.net/mall?id={Parameter}"),
    ),
    (
        25,
        Some(HOST),
        Some("/mall?n={parameter}"),
        Some("中文"),
        Some("https://plug.example.net/mall?n=中文"),
    ),
    (
        26,
        Some(HOST),
        Some("/mall?q={parameter}"),
        Some("a b&c=d#e"),
        Some("https://plug.example.net/mall?q=a b&c=d#e"),
    ),
    (
        27,
        Some(HOST),
        Some("/mall?{parameter}"),
        Some("x=1&y=2"),
        Some("https://plug.example.net/mall?x=1&y=2"),
    ),
    (
        28,
        Some(HOST),
        Some("/mall?id={parameter}"),
        Some("{parameter}"),
        Some("https://plug.example.net/mall?id={parameter}"),
    ),
    (
        29,
        Some(HOST),
        Some("/mall?id={parameter}"),
        Some("{uid}"),
        Some("https://plug.example.net/mall?id={uid}"),
    ),
    (
        30,
        Some(HOST),
        Some("/mall?id={parameter}"),
        Some(r"$1\0"),
        Some(r"https://plug.example.net/mall?id=$1\0"),
    ),
    (
        31,
        Some(HOST),
        Some("/mall?id={parameter}"),
        Some("50%"),
        Some("https://plug.example.net/mall?id=50%"),
    ),
    (
        32,
        Some(HOST),
        Some(
            "/p?s={sign}&l={langtag}&t={type}&sc={scene}&k={postMessageKey}&u={uid}&f={fskey}&c={parameter}",
        ),
        Some("A1"),
        Some(
            "https://plug.example.net/p?s={sign}&l={langtag}&t={type}&sc={scene}&k={postMessageKey}&u={uid}&f={fskey}&c=A1",
        ),
    ),
    (33, Some(HOST), None, Some("vip"), None),
    (
        40,
        Some(HOST),
        Some("/mall?id={parameter}"),
        Some("gold"),
        Some("https://plug.example.net/mall?id=gold"),
    ),
    (
        41,
        Some(HOST),
        Some("/mall?id={parameter}#top"),
        Some("a?b"),
        Some("https://plug.example.net/mall?id=a?b#top"),
    ),
];

/// The address, and that its explanation tells the same.
#[track_caller]
fn url(site: &Site, plugin: &str, query: &str) -> Json {
    let plain = site.get(&format!("/v1/plugins/{plugin}/url?{query}"));
    let explained = site.get(&format!("/v1/plugins/web:{plugin}/url?explain=1&{query}"));
    assert_eq!(plain["url"], explained["url"], "{plugin}");
    assert_eq!(plain.get("explanation"), None);
    let parts = explained["explanation"]["parts"].as_array().expect("parts");
    let texts = parts
        .iter()
        .map(|part| part["text"].as_str().expect("a text"));
    assert_eq!(
        texts.collect::<String>(),
        plain["url"].as_str().unwrap_or_default(),
        "{plugin}"
    );
    plain
}

#[test]
fn web_13_every_row_of_the_table_of_urls_is_answered_as_documented() {
    on_each(|site| {
        for &(row, host, path, _, expected) in PAGES {
            let plugin = format!("Page{row}");
            site.plugin(&plugin, host, path);
            assert_eq!(url(site, &plugin, "")["url"], json!(expected), "row {row}");
            let record = site.get(&format!("/v1/web/plugins/{plugin}"));
            assert_eq!(record["accessUrl"], json!(expected), "row {row}");
        }
        for &(row, host, path, parameter, expected) in USAGES {
            let plugin = format!("Usage{row}");
            site.plugin(&plugin, host, path);
            let usage = site.offer(
                &plugin,
                9,
                &json!({ "parameter": parameter, "name": plugin }),
            );
            let answer = url(site, &plugin, &format!("usage={usage}"));
            assert_eq!(answer["url"], json!(expected), "row {row}");
            // The same where it matters: in what people are shown, and to operators.
            let listed = site.shown(None, "type=9");
            let listed = listed.iter().find(|it| it["fskey"] == plugin.as_str());
            assert_eq!(
                listed.expect("it is shown")["url"],
                json!(expected),
                "row {row}"
            );
            let usage = site.get(&format!("/v1/web/usages/{usage}"));
            assert_eq!(usage["url"], json!(expected), "row {row}");
        }
        let reason = |plugin: &str| url(site, plugin, "")["reason"].clone();
        assert_eq!(
            (reason("Page11"), reason("Page12")),
            (json!("no_access_path"), json!("no_access_path"))
        );

        site.set("plugin_usages.parameter_encoding", &json!("component"));
        for (plugin, expected) in [
            (
                "Usage25",
                "https://plug.example.net/mall?n=%E4%B8%AD%E6%96%87",
            ),
            (
                "Usage26",
                "https://plug.example.net/mall?q=a%20b%26c%3Dd%23e",
            ),
            ("Usage31", "https://plug.example.net/mall?id=50%25"),
        ] {
            let items = site.get(&format!("/v1/web/usages?plugin={plugin}"));
            let usage = items["items"][0]["id"].clone();
            assert_eq!(
                url(site, plugin, &format!("usage={usage}"))["url"],
                json!(expected)
            );
        }
        site.set("plugin_usages.parameter_encoding", &Json::Null);

        // Row 40: two usages of one plugin; row 42: the page for the operator.
        let silver = site.offer(
            "Usage40",
            9,
            &json!({ "parameter": "silver", "name": "Silver" }),
        );
        assert_eq!(
            url(site, "Usage40", &format!("usage={silver}"))["url"],
            "https://plug.example.net/mall?id=silver"
        );
        site.sql(
            "UPDATE plugins SET settings_path = '/mall/admin?id={parameter}' WHERE fskey = 'Page2'",
        );
        assert_eq!(
            url(site, "Page2", "page=settings")["url"],
            "https://plug.example.net/mall/admin?id={parameter}"
        );
        assert_eq!(
            url(site, "Page4", "page=settings")["reason"],
            "no_settings_path"
        );

        // Row 8: an address with a slash at its end; row 34: none at all.
        site.set("system_url", &json!("https://api.example.com/"));
        assert_eq!(
            url(site, "Page1", "")["url"],
            "https://api.example.com/mall"
        );
        site.set("system_url", &Json::Null);
        assert_eq!(
            url(site, "Page1", ""),
            json!({
                "plugin": "web:Page1", "usage": null, "page": "access", "url": null, "reason": "no_base_url",
            })
        );
        assert_eq!(
            url(site, "Page2", "")["url"],
            "https://plug.example.net/mall"
        );
    });
}

#[test]
fn web_13_what_would_bypass_the_host_is_not_stored() {
    on_each(|site| {
        for (row, host, path, code, pointer) in [
            (
                35,
                "https://plug.example.net/",
                "/mall",
                "E_HOST_TRAILING_SLASH",
                "/pluginHost",
            ),
            (
                36,
                "ftp://plug.example.net",
                "/mall",
                "E_HOST_SCHEME",
                "/pluginHost",
            ),
            (
                37,
                HOST,
                "https://evil.example/x",
                "E_PATH_ABSOLUTE",
                "/accessPath",
            ),
            (38, HOST, "/a/../../admin", "E_PATH_DOTS", "/accessPath"),
        ] {
            let plugin = json!({
                "fskey": format!("Row{row}"), "type": 1, "name": "Row", "description": "", "version": "1.0.0",
                "author": "Ann", "pluginHost": host, "accessPath": path,
            });
            let (status, body) = site.ask(Method::POST, "/v1/web/plugins", Some(&plugin));
            assert_eq!(status, 422, "row {row}: {body}");
            assert_eq!(
                findings(&body),
                [(code.to_owned(), pointer.to_owned())],
                "row {row}"
            );
            let (status, _) = site.ask(Method::GET, &format!("/v1/web/plugins/Row{row}"), None);
            assert_eq!(status, 404, "row {row}");
        }
    });
}

#[test]
fn web_14_a_new_site_address_holds_from_the_next_request_on() {
    on_each(|site| {
        site.plugin("DemoPlugin", None, Some("/mall"));
        site.offer("DemoPlugin", 9, &json!({}));
        let seen = || {
            let url = |it: &Json| it["url"].as_str().expect("a URL").to_owned();
            [
                url(&site.get("/v1/plugins/DemoPlugin/url")),
                url(&site.shown(None, "type=9")[0]),
            ]
        };
        assert_eq!(
            seen(),
            [
                "https://api.example.com/mall",
                "https://api.example.com/mall"
            ]
        );
        site.set("system_url", &json!("https://b.example"));
        assert_eq!(seen(), ["https://b.example/mall", "https://b.example/mall"]);
        // So do another host and another path.
        site.sql(&format!("UPDATE plugins SET plugin_host = '{HOST}', access_path = '/x' WHERE fskey = 'DemoPlugin'"));
        // Written by somebody else: a listing may be as old as a second.
        let expected = ["https://plug.example.net/x", "https://plug.example.net/x"];
        wait_for("the new address", || (seen() == expected).then_some(()));
    });
}

#[test]
fn web_15_two_usages_have_their_own_urls_and_the_plugin_keeps_its_variable() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall?id={parameter}"));
        for parameter in ["gold", "silver"] {
            site.offer("DemoPlugin", 9, &json!({ "parameter": parameter }));
        }
        let shown = site.shown(None, "type=9");
        let urls: Vec<&Json> = shown.iter().map(|it| &it["url"]).collect();
        assert_eq!(
            urls,
            [
                "https://plug.example.net/mall?id=gold",
                "https://plug.example.net/mall?id=silver"
            ]
        );
        let record = site.get("/v1/web/plugins/DemoPlugin");
        assert_eq!(
            record["accessUrl"],
            "https://plug.example.net/mall?id={parameter}"
        );
    });
}

#[test]
fn web_16_a_disabled_plugins_usages_are_hidden_and_its_url_is_not() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        let usage = site.offer("DemoPlugin", 9, &json!({}));
        assert_eq!(site.names(None, "type=9"), ["DemoPlugin"]);
        // Written by somebody else: a listing may be as old as a second.
        let wait_for_names = |wanted: &[&str]| {
            let listed = || site.names(None, "type=9") == wanted;
            wait_for("the listing", || listed().then_some(()));
        };
        site.sql("UPDATE plugins SET is_enabled = 0 WHERE fskey = 'DemoPlugin'");
        wait_for_names(&[]);
        assert_eq!(
            site.get("/v1/web/plugins/DemoPlugin")["accessUrl"],
            "https://plug.example.net/mall"
        );
        let answer = site.get(&format!(
            "/v1/plugins/DemoPlugin/url?usage={usage}&explain=1"
        ));
        assert_eq!(answer["url"], "https://plug.example.net/mall");
        assert_eq!(
            answer["explanation"]["warnings"][0]["code"],
            "W_PLUGIN_DISABLED"
        );
        // Deleted, it has none; back again, all is as it was.
        site.sql("UPDATE plugins SET is_enabled = 1, deleted_at = '2026-02-01 00:00:00' WHERE fskey = 'DemoPlugin'");
        wait_for_names(&[]);
        let (status, body) = site.ask(Method::GET, "/v1/plugins/DemoPlugin/url", None);
        assert_eq!((status, &body["code"]), (404, &json!("E_NOT_FOUND")));
        site.sql("UPDATE plugins SET deleted_at = NULL WHERE fskey = 'DemoPlugin'");
        wait_for_names(&["DemoPlugin"]);
    });
}

#[test]
fn web_17_of_ten_placeholders_only_the_parameter_changes() {
    on_each(|site| {
        let path =
            "/{type}/{scene}?{sign}={uid}&p={parameter}&{gid}&{pid}&{cid}&{eid}#{Parameter}{fskey}";
        site.plugin("DemoPlugin", Some(HOST), Some(path));
        let usage = site.offer("DemoPlugin", 9, &json!({ "parameter": "P" }));
        let answer = site.get(&format!(
            "/v1/plugins/DemoPlugin/url?usage={usage}&explain=1"
        ));
        assert_eq!(
            answer["url"],
            format!("{HOST}{}", path.replacen("{parameter}", "P", 1))
        );
        let variables = answer["explanation"]["variables"]
            .as_array()
            .expect("a list");
        let names: Vec<&Json> = variables.iter().map(|it| &it["name"]).collect();
        assert_eq!(
            names,
            [
                "type",
                "scene",
                "sign",
                "uid",
                "gid",
                "pid",
                "cid",
                "eid",
                "Parameter",
                "fskey"
            ]
        );
        let unknown: Vec<&Json> = variables
            .iter()
            .filter(|it| it["known"] == false)
            .map(|it| &it["name"])
            .collect();
        assert_eq!(unknown, ["Parameter", "fskey"]);
    });
}

#[test]
fn web_18_every_row_of_the_table_of_expansions_is_answered_as_documented() {
    let vectors = include_str!("../../../../../clients/vectors/expand.json");
    let vectors: Json = serde_json::from_str(vectors).expect("JSON");
    on_each(|site| {
        for case in vectors["cases"].as_array().expect("a list") {
            let request = json!({ "url": case["url"], "values": case["values"] });
            let (status, body) = site.ask(Method::POST, "/v1/web/expand", Some(&request));
            assert_eq!((status, &body["url"]), (200, &case["expanded"]), "{case}");
        }
        for wrong in [
            json!({ "url": "{uid}", "values": { "uid": [1] } }),
            json!({ "url": "x".repeat(65_537) }),
            json!({ "values": {} }),
        ] {
            let (status, body) = site.ask(Method::POST, "/v1/web/expand", Some(&wrong));
            assert_eq!((status, &body["code"]), (400, &json!("request_invalid")));
        }
    });
}

#[test]
fn an_explanation_says_where_each_piece_comes_from() {
    on_each(|site| {
        site.plugin("DemoPlugin", None, Some("/c/{parameter}?u={uid}&x={foo}"));
        let usage = site.offer(
            "DemoPlugin",
            9,
            &json!({ "parameter": "a b", "isEnabled": false }),
        );
        let answer = site.get(&format!(
            "/v1/plugins/DemoPlugin/url?usage={usage}&explain=1"
        ));
        let explanation = &answer["explanation"];
        let parts: Vec<[&str; 3]> = explanation["parts"]
            .as_array()
            .expect("parts")
            .iter()
            .map(|part| {
                ["text", "column", "rule"].map(|key| part[key].as_str().unwrap_or_default())
            })
            .collect();
        assert_eq!(
            parts,
            [
                [SYSTEM, "web_settings.system_url", "url_base_system"],
                ["/", "", "url_joint"],
                ["c/", "plugins.access_path", "url_path"],
                ["a b", "plugin_usages.parameter", "url_parameter_verbatim"],
                ["?u={uid}&x={foo}", "plugins.access_path", "url_path"],
            ]
        );
        let warnings: Vec<&str> = explanation["warnings"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it["code"].as_str().unwrap_or_default())
            .collect();
        assert_eq!(
            warnings,
            [
                "W_PATH_VARIABLE_UNKNOWN",
                "W_USAGE_DISABLED",
                "W_PARAMETER_NOT_URL_SAFE"
            ]
        );
        // An older row: a whole address where a path belongs, and no place for the parameter.
        site.sql("UPDATE plugins SET access_path = 'http://old.example/a', plugin_host = 'x' WHERE fskey = 'DemoPlugin'");
        let answer = site.get(&format!(
            "/v1/plugins/DemoPlugin/url?usage={usage}&explain=1"
        ));
        assert_eq!(answer["url"], "http://old.example/a");
        assert_eq!(
            answer["explanation"]["parts"][0]["rule"],
            "url_path_absolute"
        );
        let warnings = answer["explanation"]["warnings"].to_string();
        for code in ["E_PATH_ABSOLUTE", "E_HOST_SCHEME", "W_PARAMETER_UNUSED"] {
            assert!(warnings.contains(code), "{code}: {warnings}");
        }
        // In the reader's language.
        let request = site
            .server
            .get("/v1/plugins/DemoPlugin/url?explain=1")
            .header("accept-language", "zh-CN");
        let chinese: Json = request.send().expect("an answer").json().expect("JSON");
        assert!(
            chinese["explanation"]["parts"][0]["note"]
                .as_str()
                .expect("a note")
                .contains("完整地址"),
            "{chinese}"
        );
    });
}

#[test]
fn what_is_no_address_of_a_plugin_is_refused() {
    on_each(|site| {
        site.plugin("DemoPlugin", Some(HOST), Some("/mall"));
        site.plugin("Other", Some(HOST), Some("/other"));
        let others = site.offer("Other", 9, &json!({}));
        for (path, status, code) in [
            ("Nowhere/url".to_owned(), 404, "E_NOT_FOUND"),
            ("web:Nowhere/url".to_owned(), 404, "E_NOT_FOUND"),
            ("portable:demo/url".to_owned(), 404, "plugin_not_found"),
            (
                format!("DemoPlugin/url?usage={others}"),
                404,
                "usage_not_found",
            ),
            (
                "DemoPlugin/url?usage=999".to_owned(),
                404,
                "usage_not_found",
            ),
            (
                "DemoPlugin/url?page=other".to_owned(),
                400,
                "request_invalid",
            ),
            (
                format!("Other/url?page=settings&usage={others}"),
                400,
                "request_invalid",
            ),
            (
                "DemoPlugin/url?explain=maybe".to_owned(),
                400,
                "request_invalid",
            ),
            ("DemoPlugin/url?what=1".to_owned(), 400, "request_invalid"),
        ] {
            let (answered, body) = site.ask(Method::GET, &format!("/v1/plugins/{path}"), None);
            assert_eq!((answered, &body["code"]), (status, &json!(code)), "{path}");
        }
    });
}
