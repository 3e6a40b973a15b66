//! Scenarios 42 to 45: to another version, and back.

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{Site, on_each};

const MIGRATIONS: [(&str, &str); 2] = [
    ("database/migrations/1_first.php", ""),
    ("database/migrations/2_second.php", ""),
];

#[test]
fn web_42_web_43_an_upgrade_keeps_what_was_enabled_and_what_was_not() {
    on_each(|site| {
        for (fskey, on) in [("DemoPlugin", true), ("OtherPlugin", false)] {
            site.install(&site.package(fskey, "1.9.0", &MIGRATIONS[..1]));
            if on {
                site.activate(fskey);
            }
            site.sql(&format!(
                "UPDATE plugins SET is_upgrade = 1, upgrade_version = '1.10.0', upgrade_code = 'kept' \
                 WHERE fskey = '{fskey}'"
            ));
            let before = site.record(fskey);
            let ended = site.upgrade(fskey, &site.package(fskey, "1.10.0", &MIGRATIONS));
            assert_eq!(ended.code, 0, "{ended:?}\n{}", site.server.log());
            let after = site.record(fskey);
            assert_eq!(after["version"], "1.10.0");
            assert_eq!(after["isEnabled"], on);
            assert_eq!(
                (&after["isUpgrade"], &after["upgradeVersion"]),
                (&json!(false), &Json::Null)
            );
            assert_eq!(after["hasUpgradeCode"], true);
            assert_eq!(after["id"], before["id"]);
            assert_eq!(site.table(fskey).unwrap(), ["1_first.php", "2_second.php"]);
            assert_eq!(site.status_file()[fskey], on);
        }
        site.doctor_finds_nothing();
    });
}

/// Without a mark the way back would take all data of the plugin, that of the old version too.
#[test]
fn web_44_an_upgrade_stops_before_its_migrations_where_nobody_says_where_they_stand() {
    on_each(|site| {
        let silent = site.directory.path().join("silent-mark");
        std::fs::write(&silent, "").expect("a flag");
        // A first version has nothing that could be lost.
        site.install(&site.package("DemoPlugin", "1.0.0", &MIGRATIONS[..1]));
        let health = [MIGRATIONS[0], MIGRATIONS[1], ("app/health", "500")];
        let ended = site.upgrade("DemoPlugin", &site.package("DemoPlugin", "2.0.0", &health));
        assert_eq!(ended.code, 1, "{ended:?}");
        let said = "`mark` for `DemoPlugin` failed: it printed nothing";
        assert!(ended.stderr.contains(said), "{ended:?}");
        assert_eq!(site.record("DemoPlugin")["version"], "1.0.0");
        assert_eq!(site.table("DemoPlugin").expect("is there"), ["1_first.php"]);
        std::fs::remove_file(silent).expect("a flag");
        site.doctor_finds_nothing();
    });
}

/// Upgrades an enabled plugin to a version that the application is not well with.
fn comes_back(site: &mut Site, health: &str) {
    site.install(&site.package("DemoPlugin", "1.0.0", &MIGRATIONS[..1]));
    site.activate("DemoPlugin");
    site.sql(
        "UPDATE plugins SET is_upgrade = 1, upgrade_version = '2.0.0' WHERE fskey = 'DemoPlugin'",
    );
    let more = [MIGRATIONS[0], MIGRATIONS[1], ("app/health", health)];
    let ended = site.upgrade("DemoPlugin", &site.package("DemoPlugin", "2.0.0", &more));
    assert_eq!(ended.code, 9, "{health}: {ended:?}\n{}", site.server.log());
    let row = site.record("DemoPlugin");
    assert_eq!(row["version"], "1.0.0");
    assert_eq!(row["isEnabled"], true);
    // It is still announced, and tried again only when somebody asks.
    assert_eq!(row["upgradeVersion"], "2.0.0");
    assert_eq!(row["failedVersion"], "2.0.0");
    assert!(row["lastError"].is_string(), "{row:#}");
    assert_eq!(site.on_disk("DemoPlugin").as_deref(), Some("1.0.0"));
    assert_eq!(site.table("DemoPlugin").expect("is there"), ["1_first.php"]);
    let css = site
        .server
        .get("/assets/DemoPlugin/css/a.css")
        .send()
        .expect("is there");
    assert_eq!(css.status(), 200);
    site.doctor_finds_nothing();
    let count = || {
        let operations = site.get("/v1/operations?plugin=web:DemoPlugin");
        operations["items"].as_array().map(Vec::len)
    };
    let before = count();
    // What else is done meanwhile, from its beginning to its end, brings no other try with it.
    site.install(&site.package("OtherPlugin", "1.0.0", &MIGRATIONS));
    assert_eq!(count(), before, "nobody asked for another try");
    // The good one goes through.
    let ended = site.upgrade(
        "DemoPlugin",
        &site.package("DemoPlugin", "2.0.1", &MIGRATIONS),
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    let row = site.record("DemoPlugin");
    assert_eq!(
        (&row["version"], &row["isEnabled"]),
        (&json!("2.0.1"), &json!(true))
    );
    assert_eq!(row["failedVersion"], Json::Null);
    site.doctor_finds_nothing();
}

#[test]
fn web_44_a_version_whose_health_answers_500_is_taken_back() {
    on_each(|site| comes_back(site, "broken"));
}

#[test]
fn web_44_a_version_whose_health_hangs_is_taken_back() {
    on_each(|site| comes_back(site, "hangs"));
}

#[test]
fn web_44_a_version_that_answers_once_and_dies_is_taken_back() {
    on_each(|site| comes_back(site, "once"));
}

#[test]
fn web_44_a_version_that_does_not_load_is_taken_back() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        site.activate("DemoPlugin");
        let more = [("app/unloadable", "")];
        let ended = site.upgrade("DemoPlugin", &site.package("DemoPlugin", "2.0.0", &more));
        assert_eq!(ended.code, 9, "{ended:?}");
        let row = site.record("DemoPlugin");
        assert_eq!(
            (&row["version"], &row["isEnabled"]),
            (&json!("1.0.0"), &json!(true))
        );
        assert!(row["lastError"].as_str().unwrap().contains("no such class"));
        site.doctor_finds_nothing();
    });
}

#[test]
fn an_address_inside_is_not_asked_unless_that_is_allowed() {
    on_each(|site| {
        let settings = site.server.home.join("plugyard.toml");
        let text = std::fs::read_to_string(&settings).unwrap();
        let text = text.replace("allow_private_hosts = true", "allow_private_hosts = false");
        std::fs::write(&settings, text).unwrap();
        site.restart(&[]);
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        site.activate("DemoPlugin");
        let ended = site.upgrade("DemoPlugin", &site.package("DemoPlugin", "1.1.0", &[]));
        assert_eq!(ended.code, 9, "{ended:?}");
        let reason = site.record("DemoPlugin")["lastError"].to_string();
        assert!(
            reason.contains("inside the server's own network"),
            "{reason}"
        );
    });
}

#[test]
fn web_45_going_back_lands_on_the_named_version() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.5.6", &MIGRATIONS[..1]));
        site.activate("DemoPlugin");
        for (version, migrations) in [
            ("1.5.7", &MIGRATIONS[..1]),
            ("1.6.0", &MIGRATIONS),
            ("1.7.0", &MIGRATIONS),
        ] {
            let ended = site.upgrade(
                "DemoPlugin",
                &site.package("DemoPlugin", version, migrations),
            );
            assert_eq!(ended.code, 0, "{version}: {ended:?}");
        }
        let path = "/v1/web/plugins/DemoPlugin/rollback";
        let row = site.post(path, json!({ "to": "1.5.7" }));
        assert_eq!(
            (&row["version"], &row["isEnabled"]),
            (&json!("1.5.7"), &json!(true))
        );
        assert_eq!(site.on_disk("DemoPlugin").as_deref(), Some("1.5.7"));
        // Migrations that came after it are taken back.
        assert_eq!(site.table("DemoPlugin").unwrap(), ["1_first.php"]);
        assert_eq!(
            site.refused(Method::POST, path, Some(json!({ "to": "9.9.9" }))),
            ["version_not_found"]
        );
        let ended = site.upgrade(
            "DemoPlugin",
            &site.package("DemoPlugin", "1.7.0", &MIGRATIONS),
        );
        assert_eq!(ended.code, 0, "{ended:?}");
        assert_eq!(
            site.table("DemoPlugin").unwrap(),
            ["1_first.php", "2_second.php"]
        );
        site.server
            .cli_ok(&["rollback", "web:DemoPlugin", "--to", "1.6.0"]);
        assert_eq!(site.record("DemoPlugin")["version"], "1.6.0");
        site.doctor_finds_nothing();
    });
}

#[test]
fn going_back_below_what_fits_the_data_is_asked_for_twice() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        let manifest = json!({
            "fskey": "DemoPlugin", "name": "x", "description": "", "author": "me", "version": "2.0.0",
            "platform": { "compatibleSince": "1.5.0" },
        });
        let ended = site.upgrade("DemoPlugin", &site.package_of("two", &manifest, &[]));
        assert_eq!(ended.code, 0, "{ended:?}");
        let path = "/v1/web/plugins/DemoPlugin/rollback";
        let codes = site.refused(Method::POST, path, Some(json!({ "to": "1.0.0" })));
        assert_eq!(codes, ["E_DATA_INCOMPATIBLE"]);
        let row = site.post(path, json!({ "to": "1.0.0", "force": true }));
        assert_eq!(row["version"], "1.0.0");
    });
}

#[test]
fn going_back_keeps_announced_only_what_is_newer() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        let newer = site.package("DemoPlugin", "1.1.0", &[]);
        assert_eq!(site.upgrade("DemoPlugin", &newer).code, 0);
        let announced = |version: &str| {
            site.sql(&format!(
                "UPDATE plugins SET is_upgrade = 1, upgrade_version = '{version}' WHERE fskey = 'DemoPlugin'"
            ));
        };
        let back = |to: &str| {
            let path = "/v1/web/plugins/DemoPlugin/rollback";
            let record = site.post(path, json!({ "to": to }));
            assert_eq!(record["version"], to);
            (
                record["isUpgrade"].clone(),
                record["upgradeVersion"].clone(),
            )
        };
        announced("2.0.0");
        assert_eq!(back("1.0.0"), (json!(true), json!("2.0.0")));
        // To a version that is later than this one, and is what was announced.
        announced("1.1.0");
        assert_eq!(back("1.1.0"), (json!(false), Json::Null));
        site.doctor_finds_nothing();
    });
}

#[test]
fn web_44_a_version_without_a_health_path_is_watched_too() {
    on_each(|site| {
        let package = |version: &str| {
            let manifest = json!({
                "fskey": "DemoPlugin", "name": "x", "description": "", "author": "me", "version": version,
            });
            site.package_of(&format!("plain-{version}"), &manifest, &[])
        };
        site.install(&package("1.0.0"));
        site.activate("DemoPlugin");
        assert_eq!(site.upgrade("DemoPlugin", &package("1.1.0")).code, 0);
        let newer = package("1.2.0");
        std::thread::scope(|scope| {
            let upgraded = scope.spawn(|| site.upgrade("DemoPlugin", &newer));
            site.asked("load DemoPlugin 1.2.0");
            // The application says, while it is watched, that the new version ended it.
            crate::support::wait_for("the probe", || {
                let operations = site.get("/v1/operations?plugin=web:DemoPlugin");
                let steps = operations["items"][0]["steps"].as_array()?.clone();
                let probe = steps.iter().find(|it| it["action"] == "health")?;
                (probe["state"] == "running").then_some(())
            });
            site.post(
                "/v1/web/plugins/DemoPlugin/crash",
                json!({ "reason": "boom" }),
            );
            let ended = upgraded.join().expect("it ends");
            assert_eq!(ended.code, 9, "{ended:?}");
        });
        let record = site.record("DemoPlugin");
        assert_eq!(
            (
                &record["version"],
                &record["isEnabled"],
                &record["failedVersion"]
            ),
            (&json!("1.1.0"), &json!(true), &json!("1.2.0"))
        );
        site.doctor_finds_nothing();
    });
}
