//! The settings form of a theme, which this server renders itself.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{Site, on_each};
use crate::support::run;

impl Site {
    fn theme(&self, fskey: &str, more: &Json) -> PathBuf {
        let directory = self.directory.path().join("packages").join(fskey);
        fs::create_dir_all(directory.join("assets")).expect("a directory");
        let mut manifest = json!({
            "fskey": fskey, "name": format!("The {fskey}"), "description": "", "author": "me",
            "version": "1.0.0",
        });
        for (key, value) in more.as_object().expect("an object") {
            manifest[key] = value.clone();
        }
        fs::write(directory.join("theme.json"), manifest.to_string()).expect("a file");
        fs::write(directory.join("assets/fresns.png"), "x").expect("a file");
        directory
    }
}

fn form() -> Json {
    let field =
        |key: &str, kind: &str| json!({ "itemKey": key, "itemType": kind, "itemTag": "themes" });
    let mut title = field("fancy_title", "string");
    title["isMultilingual"] = json!(true);
    let mut colour = field("fancy_colour", "string");
    colour["options"] =
        json!([{ "label": "Red", "value": "red" }, { "label": "Blue", "value": "blue" }]);
    json!({
        "functions": true,
        "functionKeys": [
            title, colour, field("fancy_count", "number"), field("fancy_on", "boolean"),
            field("fancy_list", "array"), field("fancy_map", "object"), field("fancy_logo", "file"),
            field("fancy_plugin", "plugin"), field("fancy_plugins", "plugins"),
            // A theme cannot reach the site's own settings.
            field("system_url", "string"),
        ],
    })
}

const PATH: &str = "/v1/web/themes/FancyTheme/settings";

#[test]
fn a_theme_has_a_form_whose_empty_fields_are_empty_values() {
    on_each(|site| {
        site.install(&site.theme("FancyTheme", &form()));
        let shown = site.get(PATH);
        let fields = shown["fields"].as_array().expect("fields");
        let values: Vec<(&str, &Json)> = fields
            .iter()
            .map(|it| (it["itemKey"].as_str().expect("a key"), &it["value"]))
            .collect();
        assert_eq!(
            values,
            [
                ("fancy_title", &json!({})),
                ("fancy_colour", &json!("")),
                ("fancy_count", &json!(0)),
                ("fancy_on", &json!(false)),
                ("fancy_list", &json!([])),
                ("fancy_map", &json!({})),
                ("fancy_logo", &json!("")),
                ("fancy_plugin", &json!("")),
                ("fancy_plugins", &json!([])),
            ]
        );
        assert_eq!(
            fields[1]["options"][0],
            json!({ "label": "Red", "value": "red" })
        );
        let changed = site.ok(
            Method::PATCH,
            PATH,
            Some(json!({
                "fancy_title": { "en": "Hello", "zh-Hans": "你好" }, "fancy_colour": "blue", "fancy_count": 1.5,
                "fancy_on": true, "fancy_list": [1], "fancy_map": { "a": 1 }, "fancy_logo": 7,
                "fancy_plugin": "FancyTheme", "fancy_plugins": ["FancyTheme"],
            })),
        );
        assert_eq!(
            changed["fields"][0]["value"]["zh-Hans"], "你好",
            "{changed:#}"
        );
        assert_eq!(changed["languages"], json!(["en", "zh-Hans"]));
        assert!(
            changed["fields"]
                .as_array()
                .expect("fields")
                .iter()
                .all(|it| it["isSet"] == true)
        );
        // The same values as everywhere.
        assert_eq!(
            site.get("/v1/web/settings")["settings"]["fancy_colour"],
            "blue"
        );
        // Null takes one back; the others stay.
        let back = site.ok(Method::PATCH, PATH, Some(json!({ "fancy_colour": null })));
        assert_eq!(
            (&back["fields"][1]["value"], &back["fields"][1]["isSet"]),
            (&json!(""), &json!(false))
        );
        assert_eq!(back["fields"][2]["value"], 1.5);
    });
}

#[test]
fn what_a_field_does_not_take_is_refused_and_nothing_changes() {
    on_each(|site| {
        site.install(&site.theme("FancyTheme", &form()));
        let wrong = json!({
            "fancy_title": "no languages", "fancy_colour": "green", "fancy_count": "1", "fancy_on": 1,
            "fancy_list": {}, "fancy_map": [], "fancy_logo": -1, "fancy_plugin": "Missing",
            "fancy_plugins": ["FancyTheme", 1],
        });
        let codes = site.refused(Method::PATCH, PATH, Some(wrong));
        assert_eq!(codes.len(), 9, "{codes:?}");
        assert_eq!(
            codes.iter().filter(|it| *it == "E_NOT_FOUND").count(),
            1,
            "{codes:?}"
        );
        let reached = json!({ "system_url": "https://evil.example", "fancy_count": 2 });
        assert_eq!(
            site.refused(Method::PATCH, PATH, Some(reached)),
            ["setting_unknown"]
        );
        let before = site.get(PATH);
        assert!(
            before["fields"]
                .as_array()
                .expect("fields")
                .iter()
                .all(|it| it["isSet"] == false)
        );
        assert!(site.get("/v1/web/settings")["settings"]["system_url"] != "https://evil.example");
        // A theme that was not installed, one without a form, and what is no theme.
        site.install(&site.theme("PlainTheme", &json!({})));
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        for (fskey, code) in [
            ("Missing", "E_THEME_NOT_FOUND"),
            ("PlainTheme", "E_THEME_NO_FORM"),
            ("DemoPlugin", "E_THEME_NOT_FOUND"),
        ] {
            let path = format!("/v1/web/themes/{fskey}/settings");
            assert_eq!(site.refused(Method::GET, &path, None), [code], "{fskey}");
        }
        assert_eq!(site.record("PlainTheme")["settingsUrl"], Json::Null);
        // Taking the theme away with its data leaves what is the site's own.
        let address = site.get("/v1/web/settings")["settings"]["system_url"].clone();
        site.ok(Method::PATCH, PATH, Some(json!({ "fancy_count": 3 })));
        site.ok(
            Method::DELETE,
            "/v1/web/plugins/FancyTheme?cleardata=yes",
            None,
        );
        let settings = site.get("/v1/web/settings")["settings"].clone();
        assert_eq!(settings["system_url"], address);
        assert_eq!(settings.get("fancy_count"), None, "{settings:#}");
    });
}

#[test]
fn the_settings_page_of_a_theme_is_a_page_of_this_server() {
    on_each(|site| {
        site.install(&site.theme("FancyTheme", &form()));
        let record = site.record("FancyTheme");
        assert_eq!(record["settingsPath"], "FancyTheme");
        let address = site.server.address.clone();
        let settings = json!({ "panel_url": address, "client_origins": ["https://app.example"] });
        site.ok(Method::PATCH, "/v1/web/settings", Some(settings));
        let url = format!("{address}/web/themes/FancyTheme/settings");
        assert_eq!(site.record("FancyTheme")["settingsUrl"], url);
        let told = site.get("/v1/plugins/FancyTheme/url?page=settings&explain=1");
        assert_eq!(told["url"], url);
        let parts = told["explanation"]["parts"].as_array().expect("parts");
        assert_eq!(parts[0]["column"], "web_settings.panel_url");
        assert_eq!(parts[3]["column"], "plugins.settings_path");
        let frame = site.get("/v1/web/plugins/FancyTheme/settings-frame");
        assert_eq!(frame["url"], url);
        let sandbox = frame["attributes"]["sandbox"].as_str().expect("a text");
        assert!(sandbox.contains("allow-same-origin"), "{sandbox}");

        let page = site.server.http.get(&url).send().expect("an answer");
        assert_eq!(page.status(), 200);
        let header = |name: &str| page.headers()[name].to_str().expect("a text").to_owned();
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(
            policy.contains("frame-ancestors https://app.example"),
            "{policy}"
        );
        assert_eq!(header("referrer-policy"), "no-referrer");
        let text = page.text().expect("a page");
        assert!(
            !text.contains("fancy"),
            "nothing of the site stands in it: {text}"
        );
    });
}

#[test]
fn an_operator_fills_the_form_in_a_real_browser() {
    for program in ["node", "chromium"] {
        if Command::new(program).arg("--version").output().is_err() {
            println!("skipped: there is no {program}; `cargo xtask test` installs it");
            return;
        }
    }
    on_each(|site| {
        site.install(&site.theme("FancyTheme", &form()));
        let journey = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../examples/web/tests/theme.mjs"
        );
        let mut node = Command::new("node");
        let ended = run(node.arg(journey).arg(&site.server.address));
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(
            ended.stdout,
            "shown: 9 fields\nsaved: Hello blue 4\nrefused: kept\n"
        );
        let settings = site.get("/v1/web/settings")["settings"].clone();
        assert_eq!(settings["fancy_title"], json!({ "en": "Hello" }));
        assert_eq!(
            (
                &settings["fancy_colour"],
                &settings["fancy_count"],
                &settings["fancy_on"]
            ),
            (&json!("blue"), &json!(4), &json!(true))
        );
    });
}
