//! Scenarios 1 to 12: what the table holds and takes.

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::on_each;

fn record(fskey: &str) -> Json {
    json!({
        "fskey": fskey, "type": 1, "name": "Demo", "description": "", "version": "1.0.0", "author": "me",
    })
}

fn with(fskey: &str, key: &str, value: Json) -> Json {
    let mut body = record(fskey);
    body[key] = value;
    body
}

const PLUGINS: &str = "/v1/web/plugins";

#[test]
fn web_01_a_row_with_only_the_required_columns_reads_right() {
    on_each(|site| {
        site.sql(
            "INSERT INTO plugins (fskey, type, name, description, version, author, updated_at) \
             VALUES ('DemoPlugin', 1, 'Demo', '', '1.0.0', 'me', CURRENT_TIMESTAMP)",
        );
        let row = site.record("DemoPlugin");
        assert_eq!(row["isStandalone"], false);
        assert_eq!(row["isUpgrade"], false);
        assert_eq!(row["isEnabled"], true);
        assert_eq!(row["scene"], json!([]));
        assert_eq!(row["deletedAt"], Json::Null);
        assert_eq!(row["upgradeVersion"], Json::Null);
        assert!(row["createdAt"].as_str().unwrap().ends_with('Z'), "{row:#}");
    });
}

#[test]
fn web_02_an_fskey_is_there_once_whatever_the_case_of_its_letters() {
    on_each(|site| {
        site.post(PLUGINS, record("DemoPlugin"));
        let before = site.get(PLUGINS);
        for again in ["DemoPlugin", "Demoplugin"] {
            let codes = site.refused(Method::POST, PLUGINS, Some(record(again)));
            assert_eq!(codes, ["E_FSKEY_DUPLICATE"], "{again}");
        }
        assert_eq!(site.get(PLUGINS), before);
        site.get("/v1/web/plugins/DemoPlugin");
        site.refused(Method::GET, "/v1/web/plugins/Demoplugin", None);
    });
}

#[test]
fn web_03_an_fskey_is_a_word_in_pascal_case() {
    on_each(|site| {
        let long = format!("A{}", "a".repeat(64));
        let bad = [
            "",
            "demo",
            "Demo-Plugin",
            "../Evil",
            "Démo",
            "1Demo",
            &long,
            "Text",
            "Fresns",
        ];
        for fskey in bad {
            let codes = site.refused(Method::POST, PLUGINS, Some(record(fskey)));
            let expected = match fskey {
                "Text" | "Fresns" => "E_FSKEY_RESERVED",
                _ => "E_FSKEY_FORMAT",
            };
            assert_eq!(codes, [expected], "{fskey}");
        }
        for fskey in ["S3Storage", &long[..64]] {
            site.post(PLUGINS, record(fskey));
        }
    });
}

#[test]
fn web_04_a_type_is_a_number_from_1_to_5() {
    on_each(|site| {
        for bad in [
            json!(0),
            json!(6),
            json!(-1),
            json!("1"),
            json!(1.5),
            Json::Null,
        ] {
            let body = with("DemoPlugin", "type", bad.clone());
            let codes = site.refused(Method::POST, PLUGINS, Some(body));
            assert_eq!(codes, ["E_TYPE_RANGE"], "{bad}");
        }
        for good in 1..=5 {
            site.post(PLUGINS, with(&format!("Demo{good}"), "type", json!(good)));
        }
    });
}

#[test]
fn web_05_what_is_deployed_on_its_own_says_so() {
    on_each(|site| {
        let row = site.post(PLUGINS, with("DemoPlugin", "type", json!(5)));
        assert_eq!(row["isStandalone"], true);
        let mut body = with("OtherPlugin", "type", json!(5));
        body["isStandalone"] = json!(false);
        let codes = site.refused(Method::POST, PLUGINS, Some(body));
        assert_eq!(codes, ["E_TYPE_STANDALONE_MISMATCH"]);
    });
}

#[test]
fn web_06_a_version_is_semantic_and_short() {
    on_each(|site| {
        for (bad, code) in [
            ("1.0", "E_VERSION_FORMAT"),
            ("v1.0.0", "E_VERSION_FORMAT"),
            ("1.0.0-01", "E_VERSION_FORMAT"),
            ("1.0.0-alpha.beta1", "E_VERSION_LENGTH"),
        ] {
            let body = with("DemoPlugin", "version", json!(bad));
            assert_eq!(
                site.refused(Method::POST, PLUGINS, Some(body)),
                [code],
                "{bad}"
            );
        }
        site.post(
            PLUGINS,
            with("DemoPlugin", "version", json!("100.200.300-rc.1")),
        );
    });
}

#[test]
fn web_07_a_scene_is_a_list_of_words() {
    on_each(|site| {
        for bad in [json!({ "a": 1 }), json!("apiKey"), json!(["apiKey", 3])] {
            let body = with("DemoPlugin", "scene", bad.clone());
            let codes = site.refused(Method::POST, PLUGINS, Some(body));
            assert_eq!(codes, ["E_SCENE_FORMAT"], "{bad}");
        }
        let twice = json!(["apiKey", "register", "apiKey"]);
        let row = site.post(PLUGINS, with("DemoPlugin", "scene", twice));
        assert_eq!(row["scene"], json!(["apiKey", "register"]));
        let row = site.post(
            PLUGINS,
            with("OtherPlugin", "scene", json!(["futureThing"])),
        );
        assert_eq!(row["scene"], json!(["futureThing"]));
        assert_eq!(row["findings"][0]["code"], "W_SCENE_UNKNOWN");
    });
}

#[test]
fn web_08_a_host_is_an_address_without_a_slash_at_its_end() {
    on_each(|site| {
        for (bad, code) in [
            ("https://a.example/", "E_HOST_TRAILING_SLASH"),
            ("ftp://a.example", "E_HOST_SCHEME"),
            ("a.example", "E_HOST_SCHEME"),
            ("HTTPS://a.example", "E_HOST_SCHEME"),
            ("https://u:p@a.example", "E_HOST_FORMAT"),
            ("https://a.example?x", "E_HOST_FORMAT"),
            ("https://{parameter}.example", "E_HOST_FORMAT"),
        ] {
            let body = with("DemoPlugin", "pluginHost", json!(bad));
            assert_eq!(
                site.refused(Method::POST, PLUGINS, Some(body)),
                [code],
                "{bad}"
            );
        }
        let row = site.post(PLUGINS, with("DemoPlugin", "pluginHost", json!("")));
        assert_eq!(row["pluginHost"], Json::Null);
    });
}

#[test]
fn web_09_a_path_is_as_long_as_the_site_allows() {
    on_each(|site| {
        let path = |length: usize| json!(format!("/{}", "a".repeat(length - 1)));
        site.post(PLUGINS, with("DemoPlugin", "accessPath", path(128)));
        let body = with("OtherPlugin", "accessPath", path(129));
        let codes = site.refused(Method::POST, PLUGINS, Some(body.clone()));
        assert_eq!(codes, ["E_ACCESS_PATH_LENGTH"]);
        let wrong = json!({ "plugins.access_path_max": 256, "plugins.acess_path_max": 1 });
        let codes = site.refused(Method::PATCH, "/v1/web/settings", Some(wrong));
        assert_eq!(codes, ["setting_invalid", "setting_unknown"]);
        let wider = json!({ "plugins.access_path_max": 255 });
        site.ok(Method::PATCH, "/v1/web/settings", Some(wider));
        site.post(PLUGINS, body);
        site.post(PLUGINS, with("ThirdPlugin", "accessPath", path(255)));
    });
}

#[test]
fn web_10_an_upgrade_code_is_told_nobody() {
    on_each(|site| {
        let code = "c0de-that-nobody-sees";
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        let row = site.ok(
            Method::PATCH,
            "/v1/web/plugins/DemoPlugin",
            Some(json!({ "upgradeCode": code })),
        );
        assert_eq!(row["hasUpgradeCode"], true);
        for path in [
            PLUGINS,
            "/v1/web/plugins/DemoPlugin",
            "/v1/installations/web:DemoPlugin",
            "/v1/operations",
            "/v1/web/settings",
            "/v1/audit",
        ] {
            let text = site.get(path).to_string();
            assert!(!text.contains(code), "{path}: {text}");
        }
        assert!(!site.server.log().contains(code));
        let (_, refused) = site.call(
            Method::PATCH,
            "/v1/web/plugins/DemoPlugin",
            Some(json!({ "upgradeCode": "another secret that is far too long for it" })),
        );
        assert!(!refused.to_string().contains("another secret"), "{refused}");
        // Nor in what others are told.
        let ear = json!({
            "name": "ear", "url": "https://hooks.example.net/", "events": ["app:handleData"],
        });
        site.post("/v1/webhooks", ear);
        let mut cloud = with("Cloud", "type", json!(5));
        cloud["upgradeCode"] = json!(code);
        site.post(PLUGINS, cloud);
        let deliveries = site.get("/v1/webhook-deliveries");
        let id = deliveries["items"][0]["id"].as_str().expect("a delivery");
        let told = site
            .get(&format!("/v1/webhook-deliveries/{id}"))
            .to_string();
        assert!(told.contains("Cloud") && !told.contains(code), "{told}");
    });
}

#[test]
fn web_11_what_was_uninstalled_lives_again_in_its_row() {
    on_each(|site| {
        let package = site.package("DemoPlugin", "1.0.0", &[]);
        site.install(&package);
        let host = json!({ "pluginHost": "https://plug.example.net" });
        site.ok(Method::PATCH, "/v1/web/plugins/DemoPlugin", Some(host));
        let before = site.record("DemoPlugin");
        site.server
            .cli_ok(&["uninstall", "web:DemoPlugin", "--yes"]);
        assert_eq!(site.get(PLUGINS)["items"], json!([]));
        let gone = site.get("/v1/web/plugins?include=deleted");
        assert_eq!(gone["items"][0]["state"], "removed");
        assert_eq!(gone["items"][0]["accessUrl"], Json::Null);
        let listed = site
            .server
            .cli_ok(&["web", "list", "--with-trashed", "-o", "name"]);
        assert_eq!(listed.stdout.trim(), "DemoPlugin");
        site.install(&package);
        let after = site.record("DemoPlugin");
        for key in ["id", "createdAt", "pluginHost"] {
            assert_eq!(after[key], before[key], "{key}");
        }
        assert_eq!(after["deletedAt"], Json::Null);
        assert_eq!(after["isEnabled"], false);
        site.doctor_finds_nothing();
        // For good, and then its number is not used again.
        let id = after["id"].as_i64().unwrap();
        let codes = site.refused(Method::POST, "/v1/web/plugins/DemoPlugin/purge", None);
        assert_eq!(codes, ["E_PURGE_REFUSED"]);
        site.server
            .cli_ok(&["uninstall", "web:DemoPlugin", "--yes"]);
        site.server.cli_ok(&["web", "purge", "DemoPlugin", "--yes"]);
        site.install(&package);
        assert!(site.record("DemoPlugin")["id"].as_i64().unwrap() > id);
    });
}

#[test]
fn web_12_a_service_needs_a_plugin_with_its_scene() {
    on_each(|site| {
        let settings = "/v1/web/settings";
        site.post(PLUGINS, with("SmtpEmail", "scene", json!(["sendEmail"])));
        site.post(PLUGINS, record("DemoPlugin"));
        let choose = |fskey: &str| Some(json!({ "send_email_service": fskey }));
        for fskey in ["DemoPlugin", "NoSuchPlugin"] {
            let codes = site.refused(Method::PATCH, settings, choose(fskey));
            assert_eq!(codes, ["E_SCENE_NOT_SUPPORTED"], "{fskey}");
        }
        let code = |expected: u16| {
            let now = site.get(settings);
            assert_eq!(
                now["providers"]["send_email_service"]["code"], expected,
                "{now:#}"
            );
        };
        code(32100);
        site.ok(Method::PATCH, settings, choose("SmtpEmail"));
        code(0);
        site.deactivate("SmtpEmail");
        code(32102);
        site.ok(Method::DELETE, "/v1/web/plugins/SmtpEmail", None);
        code(32101);
        let codes = site.refused(Method::PATCH, settings, choose("SmtpEmail"));
        assert_eq!(codes, ["E_SCENE_NOT_SUPPORTED"]);
    });
}

#[test]
fn everything_wrong_with_a_record_is_told_at_once() {
    on_each(|site| {
        let body = json!({
            "fskey": "demo", "type": 9, "name": " ", "version": "1", "isEnabled": 2, "id": 7, "nmae": "x",
        });
        let mut codes = site.refused(Method::POST, PLUGINS, Some(body));
        codes.sort();
        assert_eq!(
            codes,
            [
                "E_FIELD_FORMAT",
                "E_FIELD_LENGTH",
                "E_FIELD_READ_ONLY",
                "E_FIELD_REQUIRED",
                "E_FIELD_REQUIRED",
                "E_FIELD_UNKNOWN",
                "E_FSKEY_FORMAT",
                "E_TYPE_RANGE",
                "E_VERSION_FORMAT",
            ]
        );
        assert_eq!(site.get(PLUGINS)["items"], json!([]));
    });
}

#[test]
fn what_was_written_stands_in_the_answer_and_secrets_do_not() {
    on_each(|site| {
        let body = json!({
            "fskey": "DemoPlugin", "type": 1, "name": " ", "description": "", "version": "1.0.0-alpha.beta1",
            "author": "me", "scene": { "a": 1 }, "isStandalone": 2, "upgradeCode": "with a space", "upgradecode": "typo",
        });
        let (status, answer) = site.call(Method::POST, PLUGINS, Some(body));
        assert_eq!(status, 422);
        let findings = answer["findings"].as_array().expect("findings");
        let value = |pointer: &str| {
            let found = findings.iter().find(|it| it["pointer"] == pointer);
            found.expect(pointer)["params"]["value"].clone()
        };
        assert_eq!(value("/name"), " ");
        assert_eq!(value("/version"), "1.0.0-alpha.beta1");
        assert_eq!(value("/scene"), "{\"a\":1}");
        assert_eq!(value("/isStandalone"), "2");
        assert_eq!(value("/upgradeCode"), Json::Null);
        assert_eq!(value("/upgradecode"), Json::Null);
    });
}

#[test]
fn a_record_that_lives_again_says_what_the_new_one_says() {
    on_each(|site| {
        let full = json!({
            "fskey": "DemoPlugin", "type": 1, "name": "Old", "description": "", "version": "1.0.0", "author": "me",
            "scene": ["extendChannel"], "accessPath": "/old", "settingsPath": "/old", "authorLink": "https://a.example",
            "pluginHost": "https://plug.example.net", "upgradeCode": "code",
        });
        let before = site.post(PLUGINS, full);
        site.ok(Method::DELETE, "/v1/web/plugins/DemoPlugin", None);
        let after = site.post(PLUGINS, record("DemoPlugin"));
        for key in ["id", "createdAt", "pluginHost", "hasUpgradeCode"] {
            assert_eq!(after[key], before[key], "{key}");
        }
        for key in ["accessPath", "settingsPath", "authorLink", "deletedAt"] {
            assert_eq!(after[key], Json::Null, "{key}");
        }
        assert_eq!(after["scene"], json!([]));
        // A theme is always enabled, and whoever says otherwise is told.
        let mut theme = with("FancyTheme", "type", json!(4));
        theme["isEnabled"] = json!(false);
        let codes = site.refused(Method::POST, PLUGINS, Some(theme));
        assert_eq!(codes, ["E_THEME_NOT_ACTIVATABLE"]);
    });
}

#[test]
fn a_record_is_made_and_changed_on_the_command_line() {
    on_each(|site| {
        let cli = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            site.server.cli(&words)
        };
        let made = cli(
            "web add Mall --type 5 --name Mall --version 1.0.0 --author me --scene extendChannel,extendUser \
             --access-path /mall?id={parameter} -o json",
        );
        assert_eq!(made.code, 0, "{made:?}");
        let record: Json = serde_json::from_str(&made.stdout).expect("JSON");
        assert_eq!(record["scene"], json!(["extendChannel", "extendUser"]));
        assert_eq!(cli("web settings system_url=null").code, 0);
        let url = cli("url Mall");
        assert_eq!(url.code, 1, "{url:?}");
        assert!(url.stderr.contains("plugyard web set"), "{url:?}");
        let set = cli("web set Mall --host https://mall.example --upgrade-code c0de --disabled");
        assert_eq!(set.code, 0, "{set:?}");
        assert!(!set.stdout.contains("c0de") && !set.stderr.contains("c0de"));
        let record = site.record("Mall");
        assert_eq!(
            (&record["hasUpgradeCode"], &record["isEnabled"]),
            (&json!(true), &json!(false))
        );
        let explained = cli("url explain Mall");
        assert!(
            explained.stdout.contains("plugins.plugin_host"),
            "{explained:?}"
        );
        assert_eq!(cli("url Mall").stdout, cli("web url Mall").stdout);
        assert_eq!(
            cli("web set Mall --unset host --unset upgrade-code").code,
            0
        );
        let record = site.record("Mall");
        assert_eq!(
            (&record["pluginHost"], &record["hasUpgradeCode"]),
            (&Json::Null, &json!(false))
        );
        let refused = cli("web set Mall --host https://mall.example/");
        assert_ne!(refused.code, 0);
        assert!(
            refused.stderr.contains("E_HOST_TRAILING_SLASH"),
            "{refused:?}"
        );
        // Nothing is named, so all packages are compared; there are none.
        assert_eq!(cli("web verify").code, 0);
        let doctor = cli("web doctor");
        assert!(doctor.stderr.contains("agree"), "{doctor:?}");
        site.post(PLUGINS, with("DemoPlugin", "type", json!(1)));
        let status = site.directory.path().join("home/plugins.json");
        std::fs::write(status, "{}").expect("a file");
        let doctor = cli("web doctor");
        assert_eq!(doctor.code, 1, "{doctor:?}");
        assert!(
            doctor.stderr.contains("plugyard web sync-status"),
            "{doctor:?}"
        );
        assert_eq!(cli("web sync-status").code, 0);
        assert_eq!(cli("web doctor").code, 0);
    });
}
