//! Scenarios 48 to 54: on and off, and away.

use std::fs;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{Site, on_each};

/// A plugin that needs others.
fn needing(site: &Site, fskey: &str, needs: Json) -> std::path::PathBuf {
    let manifest = json!({
        "fskey": fskey, "name": "x", "description": "", "author": "me", "version": "1.0.0",
        "platform": needs,
    });
    site.package_of(fskey, &manifest, &[])
}

#[test]
fn web_48_activating_twice_is_activating_once_and_missing_files_are_told() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        let row = site.activate("DemoPlugin");
        assert_eq!(
            (&row["isEnabled"], &row["state"]),
            (&json!(true), &json!("enabled"))
        );
        let operations = || site.get("/v1/operations?plugin=web:DemoPlugin")["items"].clone();
        let before = operations();
        assert_eq!(site.activate("DemoPlugin")["updatedAt"], row["updatedAt"]);
        assert_eq!(operations(), before);
        site.deactivate("DemoPlugin");
        assert_eq!(site.status_file(), json!({ "DemoPlugin": false }));
        fs::remove_file(site.server.home.join("plugins/DemoPlugin")).unwrap();
        let path = "/v1/web/plugins/DemoPlugin/activate";
        let (status, _) = site.call(Method::POST, path, None);
        assert!(status >= 400);
        let row = site.record("DemoPlugin");
        assert_eq!(row["isEnabled"], false);
        assert!(
            row["lastError"]
                .as_str()
                .unwrap()
                .contains("plugins/DemoPlugin"),
            "{row:#}"
        );
        let found = site.get("/v1/web/doctor");
        assert_eq!(found["items"][0]["check"], "files", "{found:#}");
        assert_eq!(site.server.cli(&["web", "doctor"]).code, 1);
    });
}

#[test]
fn web_49_what_others_need_stays_unless_they_go_first() {
    on_each(|site| {
        let missing = needing(
            site,
            "MailUser",
            json!({ "dependencies": { "SmtpEmail": "^2.0.0" } }),
        );
        let ended = site
            .server
            .cli(&["install", &missing.display().to_string()]);
        assert_eq!(ended.code, 5, "{ended:?}");
        assert!(ended.stderr.contains("SmtpEmail"), "{ended:?}");
        site.install(&site.package("SmtpEmail", "2.1.0", &[]));
        site.install(&missing);
        // Dependencies must be enabled first.
        let activate = "/v1/web/plugins/MailUser/activate";
        assert_eq!(
            site.refused(Method::POST, activate, None),
            ["E_REQUIREMENTS"]
        );
        site.activate("SmtpEmail");
        site.activate("MailUser");
        site.install(&needing(
            site,
            "MailUserUser",
            json!({ "dependencies": { "MailUser": "*" } }),
        ));
        site.activate("MailUserUser");
        let path = "/v1/web/plugins/SmtpEmail/deactivate";
        assert_eq!(site.refused(Method::POST, path, None), ["E_REQUIRED_BY"]);
        let codes = site.refused(Method::DELETE, "/v1/web/plugins/SmtpEmail", None);
        assert_eq!(codes, ["E_REQUIRED_BY"]);
        let row = site.post(path, json!({ "cascade": true }));
        assert_eq!(row["cascaded"], json!(["MailUserUser", "MailUser"]));
        let off = json!({ "SmtpEmail": false, "MailUser": false, "MailUserUser": false });
        assert_eq!(site.status_file(), off);
        // Neither with what it excludes, nor in another application.
        let excludes = needing(site, "Loner", json!({ "conflicts": { "SmtpEmail": "*" } }));
        let ended = site
            .server
            .cli(&["install", &excludes.display().to_string()]);
        assert_eq!(ended.code, 5, "{ended:?}");
        let core = needing(site, "Newer", json!({ "core": ">=2.0.0" }));
        let ended = site.server.cli(&["install", &core.display().to_string()]);
        assert!(ended.stderr.contains("1.5.0"), "{ended:?}");
        site.doctor_finds_nothing();
    });
}

#[test]
fn web_50_web_52_data_go_only_when_somebody_says_so() {
    on_each(|site| {
        let package = site.package("DemoPlugin", "1.0.0", &[("database/migrations/1.php", "")]);
        let path = "/v1/web/plugins/DemoPlugin";
        site.install(&package);
        let (status, _) = site.call(Method::DELETE, &format!("{path}?cleardata=maybe"), None);
        assert_eq!(status, 400);
        let ended = site.server.cli(&[
            "web",
            "uninstall",
            "DemoPlugin",
            "--cleardata=maybe",
            "--yes",
        ]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert_eq!(site.record("DemoPlugin")["state"], "installed");
        let usage = json!({ "usageType": 9, "pluginFskey": "DemoPlugin", "name": "Demo" });
        site.post("/v1/web/usages", usage);
        for kept in ["?cleardata=false", "?cleardata=0", "?cleardata=no", ""] {
            site.ok(Method::DELETE, &format!("{path}{kept}"), None);
            assert_eq!(site.table("DemoPlugin").unwrap(), ["1.php"], "{kept}");
            site.install(&package);
            assert_eq!(site.table("DemoPlugin").unwrap(), ["1.php"], "{kept}");
        }
        let usages = site.get("/v1/web/usages?plugin=DemoPlugin");
        assert_eq!(
            usages["items"].as_array().map(Vec::len),
            Some(1),
            "{usages:#}"
        );
        site.server
            .cli_ok(&["web", "uninstall", "DemoPlugin", "--cleardata=yes", "--yes"]);
        assert_eq!(site.table("DemoPlugin"), None);
        assert!(!site.server.home.join("assets/DemoPlugin").exists());
        assert_eq!(site.status_file(), json!({}));
        site.doctor_finds_nothing();
    });
}

#[test]
fn web_51_what_is_half_gone_can_be_taken_away() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        site.activate("DemoPlugin");
        fs::remove_file(site.server.home.join("plugins/DemoPlugin")).unwrap();
        site.ok(Method::DELETE, "/v1/web/plugins/DemoPlugin", None);
        assert_eq!(site.record("DemoPlugin")["state"], "removed");
        assert!(fs::symlink_metadata(site.server.home.join("assets/DemoPlugin")).is_err());
        site.doctor_finds_nothing();
    });
}

#[test]
fn web_53_nothing_is_uninstalled_without_a_name() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        assert_eq!(site.server.cli(&["web", "uninstall", "--yes"]).code, 2);
        assert_eq!(site.server.cli(&["web", "uninstall", "", "--yes"]).code, 2);
        let (status, _) = site.call(Method::DELETE, "/v1/web/plugins/", None);
        assert!(status == 404 || status == 405, "{status}");
        assert_eq!(site.on_disk("DemoPlugin").as_deref(), Some("1.0.0"));
    });
}

#[test]
fn web_54_in_safe_mode_nothing_is_loaded_and_states_stay() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        site.install(&site.package("OtherPlugin", "1.0.0", &[]));
        site.activate("DemoPlugin");
        site.activate("OtherPlugin");
        site.restart(&["--safe-mode"]);
        assert_eq!(
            site.status_file(),
            json!({ "DemoPlugin": false, "OtherPlugin": false })
        );
        assert_eq!(site.record("DemoPlugin")["isEnabled"], true);
        site.doctor_finds_nothing();
        site.deactivate("DemoPlugin");
        site.restart(&[]);
        assert_eq!(
            site.status_file(),
            json!({ "DemoPlugin": false, "OtherPlugin": true })
        );
    });
}

#[test]
fn a_plugin_that_ends_the_application_twice_is_quarantined() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        site.activate("DemoPlugin");
        let path = "/v1/web/plugins/DemoPlugin/crash";
        let said = site.post(path, json!({ "reason": "fatal error in boot()" }));
        assert_eq!(said, json!({ "crashes": 1, "quarantined": false }));
        let said = site.post(path, json!({ "reason": "fatal error in boot()" }));
        assert_eq!(said["quarantined"], true);
        let row = site.record("DemoPlugin");
        assert_eq!(row["isEnabled"], false);
        assert!(
            row["lastError"].as_str().unwrap().contains("boot()"),
            "{row:#}"
        );
        // Somebody who activates it again gives it another chance.
        site.activate("DemoPlugin");
        assert_eq!(site.post(path, json!({}))["quarantined"], false);
    });
}

#[test]
fn states_can_be_taken_over_from_the_file_once() {
    on_each(|site| {
        for fskey in ["DemoPlugin", "OtherPlugin", "ThirdPlugin"] {
            site.install(&site.package(fskey, "1.0.0", &[]));
        }
        site.activate("OtherPlugin");
        let file = site.server.home.join("plugins.json");
        let said = json!({ "name": "mine", "plugins": { "DemoPlugin": true } });
        fs::write(&file, said.to_string()).unwrap();
        site.server.cli_ok(&["web", "sync-status", "--from-file"]);
        let on = json!({ "DemoPlugin": true, "OtherPlugin": false, "ThirdPlugin": false });
        assert_eq!(site.status_file(), on);
        assert_eq!(site.record("DemoPlugin")["isEnabled"], true);
        let document: Json = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(document["name"], "mine");
    });
}

#[test]
fn changed_files_are_found_and_brought_back() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        site.activate("DemoPlugin");
        let directory = fs::canonicalize(site.server.home.join("plugins/DemoPlugin")).unwrap();
        let file = directory.join("app/health");
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
        fs::set_permissions(&file, permissions).unwrap();
        fs::write(&file, "changed").unwrap();
        let compared = site.get("/v1/web/plugins/DemoPlugin/verify");
        assert_eq!(
            compared["files"],
            json!([{ "path": "app/health", "difference": "changed" }])
        );
        assert_eq!(site.server.cli(&["web", "verify", "DemoPlugin"]).code, 1);
        site.server.cli_ok(&["restart", "web:DemoPlugin"]);
        site.server.cli_ok(&["web", "verify", "DemoPlugin"]);
    });
}
