//! Two changes at once: what one was planned with, the other cannot take away.

use std::thread;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{Site, codes_of, on_each, zip_of};

fn manifest(fskey: &str, version: &str, platform: &Json) -> Json {
    json!({
        "fskey": fskey, "name": fskey, "description": "", "author": "me", "version": version,
        "platform": platform,
    })
}

impl Site {
    /// Installs a plugin that needs, or excludes, others.
    fn install_with(&self, fskey: &str, version: &str, platform: &Json) {
        let manifest = manifest(fskey, version, platform);
        self.install(&self.package_of(fskey, &manifest, &[]));
    }

    /// Begins an installation over HTTP; status and body.
    fn begin(&self, fskey: &str, version: &str, platform: &Json) -> (u16, Json) {
        let manifest = manifest(fskey, version, platform).to_string();
        let files = [
            ("plugin.json", manifest.as_str()),
            ("database/migrations/1_first.php", ""),
        ];
        let (status, package) = self.hand_in(zip_of(&files), None);
        assert_eq!(status, 201, "{package:#}");
        let body = json!({ "package": package["sha256"] });
        self.call(Method::POST, "/v1/installations", Some(body))
    }

    fn is_enabled(&self, fskey: &str) -> bool {
        self.record(fskey)["isEnabled"] == true
    }
}

#[test]
fn web_49_what_is_being_activated_keeps_what_it_needs() {
    on_each(|site| {
        site.install_with("Base", "1.0.0", &json!({}));
        site.activate("Base");
        site.install_with(
            "User",
            "1.0.0",
            &json!({ "dependencies": { "Base": "^1.0.0" } }),
        );
        site.hold("User", true);
        thread::scope(|scope| {
            let activated = scope.spawn(|| site.activate("User"));
            site.asked("load User");
            // It is not enabled yet, and already counts.
            assert!(!site.is_enabled("User"));
            for (method, path) in [
                (Method::POST, "/v1/web/plugins/Base/deactivate"),
                (Method::DELETE, "/v1/web/plugins/Base"),
            ] {
                assert_eq!(
                    site.refused(method, path, None),
                    ["E_REQUIRED_BY"],
                    "{path}"
                );
            }
            site.hold("User", false);
            activated.join().expect("it is activated");
        });
        assert!(site.is_enabled("User") && site.is_enabled("Base"));
        // A promise ends with its change.
        site.deactivate("User");
        site.deactivate("Base");
        site.doctor_finds_nothing();
    });
}

#[test]
fn what_is_being_upgraded_counts_as_both_versions() {
    on_each(|site| {
        site.install_with("Base", "1.0.0", &json!({}));
        site.activate("Base");
        for (fskey, range) in [("Old", "^1.0.0"), ("Any", ">=1.0.0")] {
            site.install_with(
                fskey,
                "1.0.0",
                &json!({ "dependencies": { "Base": range } }),
            );
        }
        let newer = site.package_of("Base-2", &manifest("Base", "2.0.0", &json!({})), &[]);
        site.hold("Base", true);
        thread::scope(|scope| {
            let upgraded = scope.spawn(|| site.upgrade("Base", &newer));
            site.asked("load Base 2.0.0");
            // What needs either version alone cannot rely on it.
            assert_eq!(
                site.refused(Method::POST, "/v1/web/plugins/Old/activate", None),
                ["E_REQUIREMENTS"]
            );
            let (status, body) = site.begin(
                "New",
                "1.0.0",
                &json!({ "dependencies": { "Base": "^2.0.0" } }),
            );
            assert_eq!(
                (status, codes_of(&body)),
                (409, vec!["E_REQUIREMENTS".to_owned()])
            );
            site.activate("Any");
            site.hold("Base", false);
            let ended = upgraded.join().expect("it ends");
            assert_eq!(ended.code, 0, "{ended:?}");
        });
        site.install_with(
            "New",
            "1.0.0",
            &json!({ "dependencies": { "Base": "^2.0.0" } }),
        );
        site.activate("New");
        assert_eq!(
            site.refused(Method::POST, "/v1/web/plugins/Old/activate", None),
            ["E_REQUIREMENTS"]
        );
    });
}

#[test]
fn what_excludes_each_other_does_not_come_at_once() {
    on_each(|site| {
        site.hold("First", true);
        let (status, body) = site.begin("First", "1.0.0", &json!({}));
        assert_eq!(status, 202, "{body:#}");
        site.asked("mark First");
        let excludes = json!({ "conflicts": { "First": "*" } });
        let (status, body) = site.begin("Second", "1.0.0", &excludes);
        assert_eq!(
            (status, codes_of(&body)),
            (409, vec!["E_REQUIREMENTS".to_owned()])
        );
        // Directories may not tell letters' cases apart, so neither do plugins that are only coming.
        let (status, body) = site.begin("FIRST", "1.0.0", &json!({}));
        assert_eq!(
            (status, codes_of(&body)),
            (409, vec!["E_FSKEY_DUPLICATE".to_owned()])
        );
        let record = json!({
            "fskey": "FirsT", "type": 1, "name": "x", "description": "", "version": "1.0.0", "author": "me",
        });
        assert_eq!(
            site.refused(Method::POST, "/v1/web/plugins", Some(record)),
            ["E_FSKEY_DUPLICATE"]
        );
        site.hold("First", false);
        crate::support::wait_for("the first", || {
            (site.get("/v1/web/plugins")["items"][0]["state"] == "installed").then_some(())
        });
        let (status, body) = site.begin("Second", "1.0.0", &excludes);
        assert_eq!(
            (status, codes_of(&body)),
            (409, vec!["E_REQUIREMENTS".to_owned()])
        );
    });
}

#[test]
fn a_change_that_failed_promises_nothing_any_more() {
    on_each(|site| {
        std::fs::write(site.directory.path().join("fail-migrate"), "").expect("a flag");
        let (status, body) = site.begin("First", "1.0.0", &json!({}));
        assert_eq!(status, 202, "{body:#}");
        let id = body["operation"].as_str().expect("an operation").to_owned();
        assert_ne!(site.server.cli(&["operation", "watch", &id]).code, 0);
        std::fs::remove_file(site.directory.path().join("fail-migrate")).expect("a flag");
        let excludes = json!({ "conflicts": { "First": "*" } });
        let (status, body) = site.begin("Second", "1.0.0", &excludes);
        assert_eq!(status, 202, "{body:#}");
    });
}

#[test]
fn web_49_of_two_at_once_never_both_happen() {
    on_each(|site| {
        site.install_with("Base", "1.0.0", &json!({}));
        site.install_with("User", "1.0.0", &json!({ "dependencies": { "Base": "*" } }));
        for round in 0..12 {
            site.activate("Base");
            thread::scope(|scope| {
                let post = |path: &'static str| site.call(Method::POST, path, None);
                let on = scope.spawn(move || post("/v1/web/plugins/User/activate"));
                let off = scope.spawn(move || post("/v1/web/plugins/Base/deactivate"));
                let (on, off) = (
                    on.join().expect("an answer"),
                    off.join().expect("an answer"),
                );
                assert!(
                    on.0 != 200 || off.0 != 200,
                    "round {round}: both went well: {on:?} {off:?}"
                );
            });
            assert!(
                !site.is_enabled("User") || site.is_enabled("Base"),
                "round {round}"
            );
            if site.is_enabled("User") {
                site.deactivate("User");
            }
        }
    });
}
