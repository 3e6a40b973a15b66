//! Install and values: scenarios 31 to 50.

use std::thread;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{answer, on_each, s1, s2};
use crate::support::{Server, leaks};

#[test]
fn scenario_31_a_hostile_pattern_over_http_returns_soon() {
    on_each(|app| {
        let config = json!({ "fields": {
            "A": { "type": "text", "label": "A", "validation": "regex:/^(a+)+$/" },
        } });
        app.install("Hostile", &config);
        let began = Instant::now();
        app.set_refused("Hostile", json!({ "A": "a".repeat(40) + "!" }), &["regex"]);
        // The bound is 50 ms; what is asserted is that it is not the hours a naive engine takes.
        assert!(began.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn scenario_32_an_install_takes_defaults_where_presets_are_empty() {
    on_each(|app| {
        app.put("DemoPlugin", &s1());
        let installed = app.ok(Method::POST, "/DemoPlugin/install", None);
        assert_eq!(installed["plugin"], "DemoPlugin");
        assert_eq!(installed["registered"], true);
        assert_eq!(installed["values_initialised"], 2);
        let config = app.get("/DemoPlugin/config");
        assert_eq!(
            config["fields"]["API_BASE_URL"]["value"],
            "https://api.example.com"
        );
        assert_eq!(config["fields"]["API_TIMEOUT"]["value"], 30);
        assert_eq!(config["fields"]["API_KEY"]["value"], Json::Null);
        assert_eq!(config["fields"]["API_KEY"]["is_set"], false);
        assert_eq!(config["config_complete"], false);
        assert_eq!(config["config_issues"][0]["key"], "API_KEY");
        assert_eq!(config["config_issues"][0]["message"], "API密钥为必填项。");
        let values = app.get("/DemoPlugin/config/values");
        assert_eq!(
            values["is_set"],
            json!({"API_BASE_URL": true, "API_KEY": false, "API_TIMEOUT": true})
        );
    });
}

#[test]
fn scenario_33_a_second_install_is_a_conflict() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        app.refused(
            Method::POST,
            "/DemoPlugin/install",
            None,
            409,
            "already_installed",
        );
        // `entry` fails for two of one name.
        assert_eq!(app.entry("DemoPlugin").unwrap()["installed"], true);
    });
}

#[test]
fn scenario_34_an_invalid_definition_is_not_installed() {
    on_each(|app| {
        let broken = json!({ "fields": { "ENABLED": { "type": "boolean", "label": "x" } } });
        app.put("Broken", &broken);
        let body = app.refused(Method::POST, "/Broken/install", None, 422, "config_invalid");
        assert_eq!(body["data"]["valid"], false);
        assert_eq!(body["data"]["file"], "plugins/Broken/config.json");
        let error = &body["data"]["errors"][0];
        assert_eq!(error["code"], "field_type_unsupported");
        assert_eq!(error["path"], "/fields/ENABLED/type");
        assert!(error["messages"]["zh-CN"].is_string() && error["messages"]["en"].is_string());
        let entry = app.entry("Broken").unwrap();
        assert_eq!(
            (&entry["installed"], &entry["configValid"]),
            (&false.into(), &false.into())
        );
        app.refused(
            Method::GET,
            "/Broken/config",
            None,
            404,
            "plugin_not_installed",
        );
        assert!(app.own("Broken").is_none());
    });
}

#[test]
fn scenario_35_what_is_no_name_of_a_directory_is_not_found() {
    on_each(|app| {
        let long = "x".repeat(300);
        for name in ["Nowhere", "..%2Fx", &long, "%ff"] {
            let path = format!("/{name}/install");
            app.refused(Method::POST, &path, None, 404, "plugin_not_found");
        }
    });
}

#[test]
fn scenario_36_a_checkbox_is_true_or_false() {
    on_each(|app| {
        app.install("Second", &s2());
        assert_eq!(app.values("Second")["ENABLED"], true);
        assert_eq!(app.own("Second").unwrap()["values"]["ENABLED"], true);
    });
}

#[test]
fn scenario_37_numbers_are_numbers_within_their_rules() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        app.set("DemoPlugin", json!({ "API_TIMEOUT": "60" }));
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 60);
        for (value, rule) in [
            (json!("abc"), "type"),
            (json!(0), "min"),
            (json!(301), "max"),
            (json!(1.5), "integer"),
        ] {
            app.set_refused("DemoPlugin", json!({ "API_TIMEOUT": value }), &[rule]);
        }
        let (status, _) = app.call(
            Method::PUT,
            "/DemoPlugin/config",
            Some(json!({ "API_TIMEOUT": null })),
        );
        assert_eq!(status, 422);
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 60);
    });
}

#[test]
fn scenario_38_a_nullable_address_may_be_cleared() {
    on_each(|app| {
        app.install("Second", &s2());
        app.set("Second", json!({ "WEBHOOK_URL": "https://a.example/x" }));
        app.set("Second", json!({ "WEBHOOK_URL": "" }));
        assert_eq!(app.values("Second")["WEBHOOK_URL"], Json::Null);
        let (status, _) = app.call(
            Method::PUT,
            "/Second/config",
            Some(json!({ "WEBHOOK_URL": "ftp//x" })),
        );
        assert_eq!(status, 422);
    });
}

#[test]
fn scenario_39_a_select_takes_its_options_only() {
    on_each(|app| {
        app.install("Second", &s2());
        app.set_refused("Second", json!({ "NOTIFICATION_TYPE": "sms" }), &["type"]);
        app.set("Second", json!({ "NOTIFICATION_TYPE": "both" }));
        assert_eq!(app.values("Second")["NOTIFICATION_TYPE"], "both");
    });
}

#[test]
fn scenario_40_a_checkbox_takes_the_words_for_yes_and_no() {
    on_each(|app| {
        app.install("Second", &s2());
        app.set_refused("Second", json!({ "ENABLED": "maybe" }), &["type"]);
        for off in [json!("off"), json!(0), json!(false)] {
            app.set("Second", json!({ "ENABLED": true }));
            app.set("Second", json!({ "ENABLED": off }));
            assert_eq!(app.values("Second")["ENABLED"], false);
        }
    });
}

#[test]
fn scenario_41_one_bad_key_keeps_all_from_changing() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let before = app.get("/DemoPlugin/config/values");
        app.set_refused(
            "DemoPlugin",
            json!({ "API_TIMEOUT": 10, "API_BASE_URL": "nowhere" }),
            &["url"],
        );
        assert_eq!(app.get("/DemoPlugin/config/values"), before);
    });
}

#[test]
fn scenario_42_what_is_no_value_of_a_field_is_refused() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let body = app.refused(
            Method::PUT,
            "/DemoPlugin/config",
            Some(json!({ "NOPE": 1 })),
            422,
            "unknown_field",
        );
        assert_eq!(body["details"][0]["code"], "unknown_field");
        assert_eq!(body["details"][0]["path"], "/NOPE");
        for text in [
            "[]",
            "\"x\"",
            "{bad",
            "",
            "{\"API_TIMEOUT\":1,\"API_TIMEOUT\":2}",
        ] {
            let request = app
                .request(Method::PUT, "/DemoPlugin/config")
                .header("content-type", "application/json")
                .body(text);
            let (status, body) = answer(request);
            assert_eq!(
                (status, &body["error"]),
                (400, &"bad_json".into()),
                "{text}"
            );
        }
        let twice = app
            .request(Method::PUT, "/DemoPlugin/config")
            .header("accept-language", "en")
            .body("{\"API_TIMEOUT\":1,\n\"API_TIMEOUT\":2}");
        let (_, body) = answer(twice);
        let said = body["message"].as_str().unwrap_or_default();
        assert!(said.contains("line 2, column 1"), "{body}");
        let wrong = json!({ "values": { "API_TIMEOUT": 1 }, "revision": "x" });
        let body = app.refused(
            Method::PUT,
            "/DemoPlugin/config",
            Some(wrong),
            422,
            "validation_failed",
        );
        assert_eq!(body["details"][0]["path"], "/revision");
        app.set_refused("DemoPlugin", json!({ "API_KEY": ["x"] }), &["value_type"]);
        let large = app
            .request(Method::PUT, "/DemoPlugin/config")
            .body(format!("{{\"API_KEY\": \"{}\"}}", "x".repeat(2 << 20)));
        assert_eq!(answer(large).0, 413);
        // Nothing to do is no mistake.
        assert_eq!(app.set("DemoPlugin", json!({}))["updated"], json!([]));
    });
}

#[test]
fn scenario_43_values_may_be_wrapped() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        app.set("DemoPlugin", json!({ "values": { "API_TIMEOUT": 10 } }));
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 10);
        app.set("DemoPlugin", json!({ "config": { "API_TIMEOUT": 11 } }));
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 11);
        let body = app.set_refused(
            "DemoPlugin",
            json!({ "values": { "API_TIMEOUT": 0 } }),
            &["min"],
        );
        assert_eq!(body["details"][0]["path"], "/values/API_TIMEOUT");
    });
}

#[test]
fn scenario_44_a_secret_is_only_ever_seen_by_its_plugin() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let body = app.set_refused("DemoPlugin", json!({ "API_KEY": "shorty" }), &["min"]);
        assert!(!body.to_string().contains("shorty"), "{body:#}");
        let secret = leaks::secret("sk-0123456789-of-44");
        let secret = secret.as_str();
        let saved = app.set("DemoPlugin", json!({ "API_KEY": secret }));
        assert_eq!(saved["values"]["API_KEY"], "********");
        assert_eq!(saved["config_complete"], true);
        let config = app.get("/DemoPlugin/config");
        assert_eq!(config["fields"]["API_KEY"]["value"], "********");
        assert_eq!(config["fields"]["API_KEY"]["default"], Json::Null);
        assert!(!config.to_string().contains(secret));
        assert!(!app.database_contains(secret));
        assert!(app.database_contains("DemoPlugin"));
        assert!(!app.server.log().contains(secret));
        assert_eq!(app.own("DemoPlugin").unwrap()["values"]["API_KEY"], secret);
    });
}

#[test]
fn scenario_45_the_mask_keeps_a_secret() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let secret = leaks::secret("sk-0123456789-of-45");
        let secret = secret.as_str();
        app.set("DemoPlugin", json!({ "API_KEY": secret }));
        app.set(
            "DemoPlugin",
            json!({ "API_KEY": "********", "API_TIMEOUT": 20 }),
        );
        let own = app.own("DemoPlugin").unwrap();
        assert_eq!(
            (&own["values"]["API_KEY"], &own["values"]["API_TIMEOUT"]),
            (&secret.into(), &20.into())
        );
        app.set_refused("DemoPlugin", json!({ "API_KEY": null }), &["required"]);
        assert_eq!(app.own("DemoPlugin").unwrap()["values"]["API_KEY"], secret);
    });
}

#[test]
fn scenario_46_of_two_writes_to_one_revision_the_first_counts() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let revision = app.get("/DemoPlugin/config")["revision"].clone();
        let write = |timeout: u32| {
            let request = app
                .request(Method::PUT, "/DemoPlugin/config")
                .header("if-match", format!("\"{revision}\""))
                .json(&json!({ "API_TIMEOUT": timeout }));
            answer(request)
        };
        assert_eq!(write(40).0, 200);
        let (status, body) = write(50);
        assert_eq!((status, &body["error"]), (412, &"revision_conflict".into()));
        assert_eq!(body["message"], "配置已被他人修改，请刷新后重试");
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 40);
        let wrapped = json!({ "values": { "API_TIMEOUT": 50 }, "revision": revision });
        app.refused(
            Method::PUT,
            "/DemoPlugin/config",
            Some(wrapped),
            409,
            "revision_conflict",
        );
    });
}

#[test]
fn scenario_47_a_hundred_writers_lose_nothing() {
    on_each(|app| {
        let fields: serde_json::Map<String, Json> = (0..100)
            .map(|index| {
                (
                    format!("F{index}"),
                    json!({ "type": "number", "label": "x" }),
                )
            })
            .collect();
        app.install("Many", &json!({ "fields": fields }));
        let before = app.get("/Many/config")["revision"].as_u64().unwrap();
        thread::scope(|scope| {
            for index in 0..100_u32 {
                scope.spawn(move || app.set("Many", json!({ format!("F{index}"): index })));
            }
        });
        let after = app.get("/Many/config/values");
        assert_eq!(after["revision"], before + 100);
        for index in 0..100_u32 {
            assert_eq!(after["values"][format!("F{index}")], index);
        }
    });
}

#[test]
fn scenario_48_a_reset_gives_initial_values_back() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let secret = leaks::secret("sk-0123456789-of-48");
        let changed =
            json!({ "API_TIMEOUT": 99, "API_KEY": secret, "API_BASE_URL": "https://b.example" });
        app.set("DemoPlugin", changed.clone());
        let reset = app.post(
            "/DemoPlugin/config/reset",
            json!({ "keys": ["API_TIMEOUT"] }),
        );
        assert_eq!(reset["reset"], json!(["API_TIMEOUT"]));
        assert_eq!(reset["values"]["API_TIMEOUT"], 30);
        assert_eq!(reset["values"]["API_BASE_URL"], "https://b.example");
        app.set("DemoPlugin", json!({ "API_TIMEOUT": 98 }));
        let reset = app.post("/DemoPlugin/config/reset", json!({}));
        assert_eq!(
            reset["values"],
            json!({ "API_BASE_URL": "https://api.example.com", "API_KEY": null, "API_TIMEOUT": 30 })
        );
        let fields = app.get("/DemoPlugin/config")["fields"].clone();
        for key in ["API_BASE_URL", "API_KEY", "API_TIMEOUT"] {
            assert_eq!(fields[key]["user_modified"], false, "{key}");
        }
        let body = json!({ "keys": ["NOPE"] });
        app.refused(
            Method::POST,
            "/DemoPlugin/config/reset",
            Some(body),
            422,
            "unknown_field",
        );
        // A key that is misspelt does not mean all of them.
        app.set("DemoPlugin", json!({ "API_TIMEOUT": 97 }));
        for body in [
            json!({ "keys": "API_TIMEOUT" }),
            json!({ "key": ["API_TIMEOUT"] }),
        ] {
            app.refused(
                Method::POST,
                "/DemoPlugin/config/reset",
                Some(body),
                422,
                "validation_failed",
            );
        }
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 97);
    });
}

#[test]
fn scenario_49_a_configuration_can_be_deleted_and_the_plugin_stays() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let deleted = app.ok(Method::DELETE, "/DemoPlugin/config", None);
        assert_eq!(deleted["deleted"], 3);
        let body = app.refused(
            Method::GET,
            "/DemoPlugin/config",
            None,
            404,
            "config_not_registered",
        );
        assert_eq!(body["message"], "插件没有已注册的配置");
        app.refused(
            Method::DELETE,
            "/DemoPlugin/config",
            None,
            404,
            "config_not_registered",
        );
        app.refused(
            Method::PUT,
            "/DemoPlugin/config",
            Some(json!({})),
            404,
            "config_not_registered",
        );
        assert_eq!(app.entry("DemoPlugin").unwrap()["installed"], true);
        // What the plugin would read is gone: it gets its own defaults.
        assert!(app.own("DemoPlugin").is_none());
        // An upgrade registers the definitions again.
        app.post("/DemoPlugin/upgrade", json!({}));
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 30);
    });
}

#[test]
fn a_plugin_without_a_definition_has_nothing_to_configure() {
    on_each(|app| {
        app.put_files("Plain", &[("main.php", "<?php echo 1;\n")]);
        app.post("/Plain/install", json!({}));
        let config = app.get("/Plain/config");
        assert_eq!(config["has_config"], false);
        for (part, empty) in [
            ("fields", json!({})),
            ("groups", json!({})),
            ("values", json!({})),
            ("configGroups", json!([])),
            ("config_issues", json!([])),
            ("config_complete", json!(true)),
        ] {
            assert_eq!(config[part], empty, "{part}");
        }
        let values = app.get("/Plain/config/values");
        assert_eq!(
            values,
            json!({ "values": {}, "revision": 0, "is_set": {}, "has_config": false })
        );
        let saved = app.set("Plain", json!({}));
        assert_eq!(
            saved,
            json!({ "updated": [], "unchanged": [], "revision": 0, "values": {}, "config_complete": true })
        );
        let path = "/Plain/config";
        app.refused(
            Method::PUT,
            path,
            Some(json!({ "X": 1 })),
            422,
            "unknown_field",
        );
        let reset = "/Plain/config/reset";
        assert_eq!(
            app.post(reset, json!({})),
            json!({ "reset": [], "values": {}, "revision": 0 })
        );
        let unknown = Some(json!({ "keys": ["X"] }));
        app.refused(Method::POST, reset, unknown, 422, "unknown_field");
        assert_eq!(app.ok(Method::DELETE, path, None), json!({ "deleted": 0 }));
        assert_eq!(app.get(path)["has_config"], false);
        let entry = app.entry("Plain").unwrap();
        assert_eq!(
            (&entry["hasConfig"], &entry["installed"]),
            (&json!(false), &json!(true))
        );
    });
}

#[test]
fn without_the_right_master_key_no_secret_is_taken_and_it_is_said_which() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let plugin = home.join("plugins/DemoPlugin");
    std::fs::create_dir_all(&plugin).unwrap();
    std::fs::write(plugin.join("config.json"), s1().to_string()).unwrap();
    let mut server = Server::start_in(&home, |_| {});
    let base = "/api/admin/plugins/DemoPlugin";
    let secret = leaks::secret("sk-0123456789-kept");
    let status = |request: reqwest::blocking::RequestBuilder| answer(request).0;
    assert_eq!(status(server.post(&format!("{base}/install"))), 200);
    let config = format!("{base}/config");
    let set = json!({ "API_KEY": secret });
    assert_eq!(status(server.put(&config).json(&set)), 200);
    assert!(server.terminate().success());

    let key = home.join("keys/master.key");
    let kept = directory.path().join("kept");
    std::fs::rename(&key, &kept).unwrap();
    let other = Server::start();
    let fresh = other.home.join("keys/master.key");
    for wrong in [false, true] {
        if wrong {
            // Made at the first secret.
            assert!(other.cli(&["secrets", "recipient"]).code == 0);
            std::fs::copy(&fresh, &key).unwrap();
        }
        let mut server = Server::start_in(&home, |_| {});
        let next = json!({ "API_KEY": "another-secret", "API_TIMEOUT": 7 });
        let (code, body) = answer(server.put(&config).json(&next));
        assert_eq!(
            (code, &body["error"]),
            (503, &json!("secret_store_unavailable")),
            "{body:#}"
        );
        assert_eq!(body["message"], "未配置加密密钥，无法保存敏感信息");
        let reason = body["data"]["reason"].as_str().unwrap();
        assert!(reason.contains("master.key"), "{reason}");
        // Nothing changed, not even what is no secret.
        let shown = answer(server.get(&config)).1["data"].clone();
        assert_eq!(shown["revision"], 2);
        assert_eq!(shown["fields"]["API_TIMEOUT"]["value"], 30);
        assert_eq!(shown["fields"]["API_KEY"]["value"], "********");
        assert_eq!(shown["fields"]["API_KEY"]["unreadable"], true);
        assert!(server.terminate().success());
    }
    std::fs::rename(&kept, &key).unwrap();
    let server = Server::start_in(&home, |_| {});
    let shown = answer(server.get(&config)).1["data"].clone();
    assert_eq!(shown["config_complete"], true);
    assert_eq!(shown["fields"]["API_KEY"]["unreadable"], Json::Null);
}
