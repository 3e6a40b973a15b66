//! Lifecycle: scenarios 51 to 57. Scenario 58 is tested in `crates/app`, whose tests can end the process
//! at every point.

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{on_each, s1};
use crate::support::{is_alive, wait_for};

fn changed(mut config: Json, change: impl FnOnce(&mut Json)) -> Json {
    change(&mut config);
    config
}

#[test]
fn scenario_51_enabling_needs_an_install_and_happens_once() {
    on_each(|app| {
        app.put("DemoPlugin", &s1());
        app.refused(
            Method::POST,
            "/DemoPlugin/enable",
            None,
            409,
            "not_installed",
        );
        app.refused(
            Method::POST,
            "/DemoPlugin/disable",
            None,
            409,
            "not_installed",
        );
        app.ok(Method::POST, "/DemoPlugin/install", None);
        assert_eq!(app.entry("DemoPlugin").unwrap()["enabled"], false);
        let enabled = app.post("/DemoPlugin/enable", json!({}));
        assert_eq!(enabled["changed"], true);
        assert_eq!(enabled["warnings"][0]["key"], "API_KEY");
        let entry = app.entry("DemoPlugin").unwrap();
        assert_eq!(
            (&entry["enabled"], &entry["status"]),
            (&true.into(), &"active".into())
        );
        assert!(
            entry["enabledAt"].is_string() && entry["disabledAt"].is_null(),
            "{entry:#}"
        );
        assert_eq!(app.post("/DemoPlugin/enable", json!({}))["changed"], false);
        assert_eq!(app.post("/DemoPlugin/disable", json!({}))["changed"], true);
        assert_eq!(app.post("/DemoPlugin/disable", json!({}))["changed"], false);
        let entry = app.entry("DemoPlugin").unwrap();
        assert_eq!(
            (&entry["enabled"], &entry["status"]),
            (&false.into(), &"installed".into())
        );
        assert!(entry["disabledAt"].is_string(), "{entry:#}");
    });
}

#[test]
fn scenario_52_an_uninstall_leaves_the_record_and_no_process() {
    on_each(|app| {
        let manifest = r#"{"handler": {"command": ["python3", "-u", "handler.py"]}}"#;
        let handler = "import json, os, sys\nfor line in sys.stdin:\n    q = json.loads(line)\n    \
                       print(json.dumps({'id': q['id'], 'success': True, 'data': os.getpid()}), flush=True)\n";
        app.put_files(
            "DemoPlugin",
            &[
                ("config.json", &s1().to_string()),
                ("plugyard.app.json", manifest),
                ("handler.py", handler),
            ],
        );
        app.ok(Method::POST, "/DemoPlugin/install", None);
        app.ok(Method::POST, "/DemoPlugin/enable", None);
        let action = json!({ "action": "pid", "config_key": "API_KEY" });
        app.post("/DemoPlugin/config/actions", action);
        let pid = app.server.shown("app:DemoPlugin")["details"]["handler"]["pid"].as_u64();
        let pid = u32::try_from(pid.expect("a process")).unwrap();
        assert!(is_alive(pid));

        let gone = app.ok(Method::DELETE, "/DemoPlugin", None);
        assert_eq!(gone, json!({ "plugin": "DemoPlugin", "changed": true }));
        wait_for("the process to end", || (!is_alive(pid)).then_some(()));
        let entry = app.entry("DemoPlugin").unwrap();
        assert_eq!(
            (&entry["installed"], &entry["enabled"], &entry["status"]),
            (&false.into(), &false.into(), &"not_installed".into())
        );
        assert!(entry["uninstalledAt"].is_string() && entry["disabledAt"].is_string());
        app.refused(
            Method::GET,
            "/DemoPlugin/config",
            None,
            404,
            "plugin_not_installed",
        );
        assert!(app.own("DemoPlugin").is_none());
        for table in ["config_values", "config_history", "config_definitions"] {
            assert_eq!(app.rows(table), 0, "{table}");
        }
        // Again: nothing happens, and the time stays.
        let again = app.ok(Method::DELETE, "/DemoPlugin", None);
        assert_eq!(again["changed"], false);
        assert_eq!(
            app.entry("DemoPlugin").unwrap()["uninstalledAt"],
            entry["uninstalledAt"]
        );
        app.refused(Method::DELETE, "/Never", None, 404, "plugin_not_found");
    });
}

#[test]
fn scenario_53_a_reinstall_revives_the_record() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let before = app.entry("DemoPlugin").unwrap();
        app.set("DemoPlugin", json!({ "API_TIMEOUT": 99 }));
        app.ok(Method::DELETE, "/DemoPlugin", None);
        app.ok(Method::POST, "/DemoPlugin/install", None);
        let after = app.entry("DemoPlugin").unwrap();
        assert_eq!(after["id"], before["id"]);
        assert!(after["id"].is_string());
        assert_eq!(
            (&after["installed"], &after["uninstalledAt"]),
            (&true.into(), &Json::Null)
        );
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 30);
    });
}

#[test]
fn scenario_54_an_upgrade_keeps_what_people_changed() {
    on_each(|app| {
        let old = changed(s1(), |it| {
            it["fields"]["OLD"] = json!({ "type": "text", "label": "old", "default": "x" });
            it["fields"]["PAGE"] = json!({ "type": "number", "label": "page", "default": 10 });
        });
        app.install("DemoPlugin", &old);
        app.set("DemoPlugin", json!({ "API_TIMEOUT": 60 }));
        let new = changed(s1(), |it| {
            it["version"] = "1.1.0".into();
            it["fields"]["NEW"] = json!({ "type": "text", "label": "new", "default": "y" });
            it["fields"]["PAGE"] = json!({ "type": "number", "label": "page", "default": 20 });
        });
        app.put("DemoPlugin", &new);
        let plan = app.post("/DemoPlugin/upgrade", json!({}));
        assert_eq!(
            (&plan["from"], &plan["to"]),
            (&"1.0.0".into(), &"1.1.0".into())
        );
        assert_eq!(plan["added"], json!(["NEW"]));
        assert_eq!(plan["removed"], json!(["OLD"]));
        assert_eq!(plan["kept"], json!(["API_TIMEOUT"]));
        let values = app.values("DemoPlugin");
        assert_eq!(values["API_TIMEOUT"], 60);
        assert_eq!(values["NEW"], "y");
        assert_eq!(values["PAGE"], 20);
        assert!(values.get("OLD").is_none());
        assert_eq!(app.entry("DemoPlugin").unwrap()["version"], "1.1.0");
        // Back again only with force.
        app.put("DemoPlugin", &old);
        app.refused(
            Method::POST,
            "/DemoPlugin/upgrade",
            None,
            409,
            "definition_downgrade",
        );
        app.post("/DemoPlugin/upgrade", json!({ "force": true }));
        assert_eq!(app.entry("DemoPlugin").unwrap()["version"], "1.0.0");
        app.put("Other", &s1());
        app.refused(Method::POST, "/Other/upgrade", None, 409, "not_installed");
        app.refused(
            Method::POST,
            "/Never/upgrade",
            None,
            404,
            "plugin_not_found",
        );
    });
}

#[test]
fn scenario_55_a_value_that_breaks_a_new_rule_stays_and_is_told() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        app.set(
            "DemoPlugin",
            json!({ "API_TIMEOUT": 60, "API_KEY": crate::support::leaks::secret("sk-0123456789-of-54") }),
        );
        app.ok(Method::POST, "/DemoPlugin/enable", None);
        app.put(
            "DemoPlugin",
            &changed(s1(), |it| {
                it["version"] = "1.1.0".into();
                it["fields"]["API_TIMEOUT"]["validation"] = "integer|min:1|max:50".into();
            }),
        );
        let plan = app.post("/DemoPlugin/upgrade", json!({}));
        assert_eq!(plan["issues"][0]["key"], "API_TIMEOUT");
        assert_eq!(plan["issues"][0]["rule"], "max");
        assert_eq!(app.values("DemoPlugin")["API_TIMEOUT"], 60);
        assert_eq!(app.get("/DemoPlugin/config")["config_complete"], false);
        let entry = app.entry("DemoPlugin").unwrap();
        assert_eq!(
            (&entry["enabled"], &entry["configComplete"]),
            (&true.into(), &false.into())
        );
    });
}

#[test]
fn scenario_56_a_field_of_another_type_is_converted_or_reset() {
    on_each(|app| {
        let typed = |version: &str, token: &str, timeout: &str| {
            json!({
                "version": version,
                "fields": {
                    "TOKEN": { "type": token, "label": "token" },
                    "TIMEOUT": { "type": timeout, "label": "timeout", "default": if timeout == "number" { json!(5) } else { json!("1") } },
                },
            })
        };
        app.install("DemoPlugin", &typed("1.0.0", "text", "number"));
        app.set(
            "DemoPlugin",
            json!({ "TOKEN": "tk-secret-77", "TIMEOUT": 60 }),
        );
        app.put("DemoPlugin", &typed("1.1.0", "password", "checkbox"));
        let plan = app.post("/DemoPlugin/upgrade", json!({}));
        assert_eq!(plan["reset"][0]["key"], "TIMEOUT");
        assert!(plan["reset"][0]["reason"].is_string());
        let values = app.values("DemoPlugin");
        assert_eq!(
            (&values["TOKEN"], &values["TIMEOUT"]),
            (&"********".into(), &true.into())
        );
        assert_eq!(
            app.own("DemoPlugin").unwrap()["values"]["TOKEN"],
            "tk-secret-77"
        );
        app.set("DemoPlugin", json!({ "TOKEN": "tk-secret-88" }));
        assert!(!app.database_contains("tk-secret-88"));
        app.put("DemoPlugin", &typed("1.2.0", "text", "checkbox"));
        let plan = app.post("/DemoPlugin/upgrade", json!({}));
        assert_eq!(plan["reset"][0]["key"], "TOKEN");
        assert_eq!(app.values("DemoPlugin")["TOKEN"], Json::Null);
        assert!(
            !app.get("/DemoPlugin/config")
                .to_string()
                .contains("tk-secret")
        );
        assert!(
            !app.own("DemoPlugin")
                .unwrap()
                .to_string()
                .contains("tk-secret")
        );
        assert!(!app.database_contains("tk-secret-88"));
    });
}

#[test]
fn scenario_57_a_dry_run_changes_nothing_and_definitions_may_stay() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        app.put(
            "DemoPlugin",
            &changed(s1(), |it| {
                it["version"] = "2.0.0".into();
                it["fields"]["NEW"] = json!({ "type": "text", "label": "new" });
            }),
        );
        let (config, entry) = (app.get("/DemoPlugin/config"), app.entry("DemoPlugin"));
        let plan = app.post("/DemoPlugin/upgrade", json!({ "dry_run": true }));
        assert_eq!(plan["added"], json!(["NEW"]));
        assert_eq!(app.get("/DemoPlugin/config"), config);
        assert_eq!(app.entry("DemoPlugin"), entry);
        let kept = app.post(
            "/DemoPlugin/upgrade",
            json!({ "update_definitions": false }),
        );
        assert_eq!((&kept["to"], &kept["added"]), (&"2.0.0".into(), &json!([])));
        assert_eq!(app.entry("DemoPlugin").unwrap()["version"], "2.0.0");
        assert!(app.values("DemoPlugin").get("NEW").is_none());
        // What is misspelt must not upgrade after all.
        for wrong in [json!({ "dry_run": "yes" }), json!({ "dryRun": true })] {
            app.refused(
                Method::POST,
                "/DemoPlugin/upgrade",
                Some(wrong),
                422,
                "validation_failed",
            );
        }
        assert!(app.values("DemoPlugin").get("NEW").is_none());
    });
}
