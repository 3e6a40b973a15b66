//! Markets of Fresns' protocol: what they may answer, and what comes of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use super::pages::{Answer, Asked, Pages, ok};
use super::site::{Site, package, sites};

/// Answers `check` with these versions, whoever is asked for.
fn checking(versions: &Arc<Mutex<Json>>) -> Pages {
    let versions = Arc::clone(versions);
    Pages::new(move |asked: &Asked| {
        if asked.path.starts_with("/api/open-source/v2/check") {
            let data = versions.lock().expect("no panic").clone();
            ok(json!({ "code": 0, "message": "ok", "data": data }).to_string())
        } else {
            Answer::Body(404, Vec::new())
        }
    })
}

fn set(versions: &Arc<Mutex<Json>>, to: Json) {
    *versions.lock().expect("no panic") = to;
}

#[test]
fn web_38_web_39_what_a_market_says_flags_and_clears() {
    for site in sites("market_flags") {
        let versions = Arc::new(Mutex::new(json!({})));
        let market = checking(&versions);
        site.install("Mall", "1.9.0");
        site.install("Shop", "2.0.0-rc.1");
        site.install("Blog", "2.0.0");
        site.add_legacy("old", &market.url());
        let said = |fskey: &str, version: &str| {
            set(&versions, json!({ fskey: version }));
            site.check();
            site.flag(fskey)
        };
        for lower in ["1.8.0", "1.9.0", "1.9.0+b2"] {
            assert_eq!(said("Mall", "1.10.0").as_deref(), Some("1.10.0"));
            assert_eq!(said("Mall", lower), None, "{lower}");
        }
        assert_eq!(said("Shop", "2.0.0").as_deref(), Some("2.0.0"));
        assert_eq!(said("Blog", "2.1.0-beta.1"), None);
        assert!(site.checked_at().is_string());
    }
}

#[test]
fn web_40_what_nobody_asked_for_and_nulls_do_not_end_a_check() {
    for site in sites("market_unasked") {
        let versions = Arc::new(Mutex::new(json!({
            "Nobody": "9.9.9",
            "Mall": null,
            "Odd": "new",
            "Shop": "1.1.0",
        })));
        let market = checking(&versions);
        for fskey in ["Mall", "Odd", "Shop"] {
            site.install(fskey, "1.0.0");
        }
        site.add_legacy("old", &market.url());
        let report = site.check();
        assert_eq!(report["complete"], true, "{report}");
        assert_eq!(site.flag("Shop").as_deref(), Some("1.1.0"));
        assert_eq!((site.flag("Mall"), site.flag("Odd")), (None, None));
        let left: Vec<&Json> = report["plugins"]
            .as_array()
            .expect("plugins")
            .iter()
            .filter(|it| it["state"] == "left")
            .map(|it| &it["fskey"])
            .collect();
        assert_eq!(left, [&json!("Mall"), &json!("Odd")], "{report}");
    }
}

#[test]
fn web_41_a_market_that_is_down_changes_no_flag_and_no_time() {
    for site in sites("market_down") {
        let versions = Arc::new(Mutex::new(json!({ "Mall": "1.1.0" })));
        let market = checking(&versions);
        site.install("Mall", "1.0.0");
        site.add_legacy("old", &market.url());
        site.check();
        let time = site.checked_at();
        assert_eq!(site.flag("Mall").as_deref(), Some("1.1.0"));
        drop(market);
        let checked = site.server.cli(&["web", "check"]);
        assert_eq!(checked.code, 1, "{checked:?}");
        assert!(
            checked.stderr.contains("E_MARKET_UNREACHABLE"),
            "{checked:?}"
        );
        assert_eq!(site.flag("Mall").as_deref(), Some("1.1.0"));
        assert_eq!(site.checked_at(), time);
    }
}

#[test]
fn a_hundred_plugins_are_asked_for_at_once_and_the_site_is_told_as_the_operator_likes() {
    let site = Site::new();
    let market = Pages::new(|asked: &Asked| {
        let fskeys: Vec<String> =
            serde_json::from_str(&asked.query("fskeys").unwrap_or_default()).unwrap_or_default();
        let data: serde_json::Map<String, Json> = fskeys
            .iter()
            .map(|fskey| (fskey.clone(), json!("1.0.1")))
            .collect();
        ok(json!({ "code": 0, "message": "ok", "data": data }).to_string())
    });
    for number in 0..130 {
        let record = json!({
            "fskey": format!("Plugin{number}"),
            "type": 1,
            "name": "P",
            "description": "",
            "version": "1.0.0",
            "author": "Ann",
        });
        let (status, answer) = site.posted("/v1/web/plugins", &record);
        assert_eq!(status, 201, "{answer}");
    }
    let url = market.url();
    site.server.cli_ok(&[
        "market",
        "add",
        &url,
        "--name",
        "old",
        "--protocol",
        "v2",
        "--allow-private",
        "--no-site-headers",
    ]);
    site.check();
    assert_eq!(site.flag("Plugin129").as_deref(), Some("1.0.1"));
    let asked = market.asked("/api/open-source/v2/check", |asked| {
        let fskeys: Vec<String> =
            serde_json::from_str(&asked.query("fskeys").unwrap_or_default()).unwrap_or_default();
        (fskeys.len(), asked.headers.clone())
    });
    assert!(asked.iter().all(|(count, _)| *count <= 100));
    assert!(asked.iter().any(|(count, _)| *count == 100));
    for (_, headers) in asked {
        assert!(headers.contains_key("x-fresns-version"), "{headers:?}");
        assert!(
            headers.contains_key("x-fresns-panel-lang-tag"),
            "{headers:?}"
        );
        assert!(!headers.contains_key("x-fresns-site-name"), "{headers:?}");
        assert!(!headers.contains_key("x-fresns-system-url"), "{headers:?}");
    }
}

#[test]
fn a_market_that_was_added_is_asked_by_itself_and_the_next_time_is_kept() {
    let site = Site::new();
    let versions = Arc::new(Mutex::new(json!({ "Mall": "1.1.0" })));
    let market = checking(&versions);
    site.install("Mall", "1.0.0");
    site.add_legacy("old", &market.url());
    crate::support::wait_for("the flag", || site.flag("Mall"));
    crate::support::wait_for("the next time", || {
        let answer = site.server.get("/v1/web/settings").send().ok()?;
        let settings: Json = answer.json().ok()?;
        settings["settings"]["market.next_check_at"].as_i64()
    });
}

/// A market whose `download` and `upgrade` answer what the test says, and which has this zip.
fn offering(said: &Arc<Mutex<Json>>, zip: Vec<u8>) -> Pages {
    let said = Arc::clone(said);
    Pages::new(move |asked: &Asked| {
        if asked.path.starts_with("/api/") {
            let said = said.lock().expect("no panic").clone();
            match said["status"].as_u64() {
                Some(status) => Answer::Body(u16::try_from(status).expect("a status"), Vec::new()),
                None => ok(said.to_string()),
            }
        } else if asked.path.starts_with("/truncated") {
            ok(zip[..zip.len() / 2].to_vec())
        } else {
            ok(zip.clone())
        }
    })
}

fn package_at(url: &str, version: &str) -> Json {
    let data = json!({ "fskey": "Mall", "version": version, "zipBall": url });
    json!({ "code": 0, "message": "ok", "data": data })
}

#[test]
fn web_35_four_failures_can_be_told_apart_and_nothing_changes() {
    for site in sites("market_failures") {
        let zip = package(site.work.path(), "Mall", "1.1.0", &json!({}));
        let said = Arc::new(Mutex::new(json!({})));
        let market = offering(&said, std::fs::read(zip).expect("a zip"));
        let url = market.url();
        site.install("Mall", "1.0.0");
        site.add_legacy("old", &url);
        let before = site.record("Mall");
        let mut codes = Vec::new();
        for answer in [
            json!({ "status": 500 }),
            json!({ "code": 12001, "message": "no certificate", "data": {} }),
            json!({ "code": 0, "message": "ok", "data": { "fskey": "Mall", "version": "1.1.0" } }),
            package_at(&format!("{url}/truncated.zip"), "1.1.0"),
        ] {
            set(&said, answer);
            let (_, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
            codes.push(problem["code"].as_str().unwrap_or_default().to_owned());
            assert_eq!(site.record("Mall"), before);
        }
        assert_eq!(
            codes,
            [
                "E_MARKET_UNREACHABLE",
                "E_MARKET_REFUSED",
                "E_MARKET_RESPONSE",
                "package_invalid"
            ]
        );
        // The market's own words.
        set(&said, json!({ "code": 12001, "message": "no certificate" }));
        let refused = site.server.cli(&["web", "upgrade", "Mall"]);
        assert!(
            refused.stderr.contains("12001 no certificate"),
            "{refused:?}"
        );
    }
}

#[test]
fn web_29_a_package_of_another_plugin_is_refused() {
    for site in sites("market_mismatch") {
        let zip = package(site.work.path(), "S3Storage", "1.1.0", &json!({}));
        let said = Arc::new(Mutex::new(json!({})));
        let market = offering(&said, std::fs::read(zip).expect("a zip"));
        site.install("S3Storage", "1.0.0");
        site.add_legacy("old", &market.url());
        let before = site.record("S3Storage");
        set(
            &said,
            package_at(&format!("{}/z.zip", market.url()), "1.1.0"),
        );
        let (status, problem) = site.posted("/v1/web/downloads/SmtpEmail", &json!({}));
        assert_eq!(
            (status, &problem["code"]),
            (422, &json!("E_FSKEY_MISMATCH")),
            "{problem}"
        );
        assert_eq!(site.record("S3Storage"), before);
        // The right plugin under another version than announced.
        set(
            &said,
            package_at(&format!("{}/z.zip", market.url()), "1.2.0"),
        );
        let (_, problem) = site.posted("/v1/web/upgrades/S3Storage", &json!({}));
        assert_eq!(problem["code"], "E_VERSION_MISMATCH", "{problem}");
        assert_eq!(site.record("S3Storage"), before);
    }
}

#[test]
fn web_36_an_older_package_of_a_market_is_no_upgrade() {
    let site = Site::new();
    let zip = package(site.work.path(), "Mall", "0.9.0", &json!({}));
    let said = Arc::new(Mutex::new(json!({})));
    let market = offering(&said, std::fs::read(zip).expect("a zip"));
    site.install("Mall", "1.0.0");
    site.add_legacy("old", &market.url());
    set(
        &said,
        package_at(&format!("{}/z.zip", market.url()), "0.9.0"),
    );
    let (status, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("E_NO_UPGRADE")),
        "{problem}"
    );
    let (status, problem) = site.posted("/v1/web/downloads/Mall", &json!({}));
    assert_eq!(
        (status, &problem["code"]),
        (409, &json!("E_DOWNGRADE")),
        "{problem}"
    );
    assert_eq!(site.record("Mall")["version"], "1.0.0");
}

#[test]
fn web_42_the_code_of_a_market_is_kept_or_replaced_and_never_shown() {
    for site in sites("market_code") {
        let zips: Vec<Vec<u8>> = ["1.1.0", "1.2.0"]
            .map(|version| package(site.work.path(), "Mall", version, &json!({})))
            .iter()
            .map(|zip| std::fs::read(zip).expect("a zip"))
            .collect();
        let step = Arc::new(AtomicUsize::new(0));
        let at = Arc::clone(&step);
        let codes = ["code-of-the-first-one", "code-of-the-second-one"];
        let market = Pages::new(move |asked: &Asked| {
            let step = at.load(Ordering::SeqCst).min(1);
            if !asked.path.starts_with("/api/") {
                return ok(zips[step].clone());
            }
            let host = asked.headers["host"].clone();
            let mut answer = package_at(&format!("http://{host}/z.zip"), ["1.1.0", "1.2.0"][step]);
            answer["data"]["upgradeCode"] = json!(codes[step]);
            ok(answer.to_string())
        });
        site.install("Mall", "1.0.0");
        site.add_legacy("old", &market.url());
        site.server.cli_ok(&["web", "upgrade", "Mall"]);
        step.store(1, Ordering::SeqCst);
        site.server.cli_ok(&["web", "upgrade", "Mall"]);
        let sent = market.asked("/api/open-source/v2/upgrade", |asked| {
            asked.query("upgradeCode").unwrap_or_default()
        });
        assert_eq!(sent, ["", codes[0]]);
        let record = site.record("Mall");
        assert_eq!(
            (
                &record["version"],
                &record["hasUpgradeCode"],
                &record["isEnabled"]
            ),
            (&json!("1.2.0"), &json!(true), &json!(false))
        );
        let log = site.server.log();
        assert!(codes.iter().all(|code| !log.contains(code)));
    }
}

#[test]
fn a_market_that_is_slow_or_leads_elsewhere_is_refused_in_time() {
    let site = Site::new();
    let silent = Pages::new(|_: &Asked| Answer::Silence);
    site.install("Mall", "1.0.0");
    site.add_legacy("silent", &silent.url());
    let (status, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(
        (status, &problem["code"]),
        (502, &json!("E_MARKET_UNREACHABLE")),
        "{problem}"
    );
    site.server.cli_ok(&["market", "remove", "silent", "--yes"]);

    // In circles, and from one that may be private to what is no address of the web.
    let turning = Pages::new(|asked: &Asked| Answer::Redirect(asked.path.clone()));
    site.add_legacy("turning", &turning.url());
    let (_, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(problem["code"], "E_MARKET_UNREACHABLE", "{problem}");
    let times = turning.asked("/api/open-source/v2/upgrade", |_| ()).len();
    assert_eq!(times, 6, "the question and five redirects");
    site.server
        .cli_ok(&["market", "remove", "turning", "--yes"]);

    // Too large an answer.
    let large = Pages::new(|_: &Asked| ok(vec![b' '; 2 << 20]));
    site.add_legacy("large", &large.url());
    let (_, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(problem["code"], "E_MARKET_RESPONSE", "{problem}");
    assert_eq!(site.record("Mall")["version"], "1.0.0");
}

#[test]
fn a_market_does_not_lead_into_the_private_network() {
    let site = Site::new();
    site.install("Mall", "1.0.0");
    let inside = Pages::new(|_: &Asked| ok("{}"));
    let url = inside.url();
    // One that the operator did not allow to be there.
    site.server.cli_ok(&[
        "market",
        "add",
        &url,
        "--name",
        "inside",
        "--protocol",
        "v2",
    ]);
    let (status, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(
        (status, &problem["code"]),
        (502, &json!("E_MARKET_UNREACHABLE")),
        "{problem}"
    );
    let (_, problem) = site.posted("/v1/web/downloads/Shop", &json!({}));
    assert_eq!(problem["code"], "E_MARKET_UNREACHABLE", "{problem}");
    assert!(inside.asked("/", |_| ()).is_empty(), "it was reached");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|it| it.contains("network")),
        "{problem}"
    );
}

#[test]
fn a_proxy_is_used_and_does_not_lead_inside_either() {
    let site = Site::new();
    site.install("Mall", "1.0.0");
    let zip = package(site.work.path(), "Mall", "1.1.0", &json!({}));
    let bytes = std::fs::read(zip).expect("a zip");
    // It answers for hosts that are nowhere, as a proxy does.
    let proxy = Pages::new(move |asked: &Asked| {
        if asked.path.contains("/api/") {
            let inside = asked.path.contains("fskey=Shop");
            let host = if inside {
                "http://127.0.0.1:9"
            } else {
                "http://market.example"
            };
            ok(package_at(&format!("{host}/z.zip"), "1.1.0").to_string())
        } else {
            ok(bytes.clone())
        }
    });
    let url = proxy.url();
    site.server.cli_ok(&[
        "market",
        "add",
        "http://market.example",
        "--protocol",
        "v2",
        "--proxy",
        &url,
    ]);
    site.server.cli_ok(&["web", "upgrade", "Mall"]);
    assert_eq!(site.record("Mall")["version"], "1.1.0");
    let (_, problem) = site.posted("/v1/web/downloads/Shop", &json!({}));
    assert_eq!(problem["code"], "E_MARKET_UNREACHABLE", "{problem}");
    assert!(
        proxy.asked("http://127.0.0.1:9/", |_| ()).is_empty(),
        "it was asked for"
    );
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let site = Site::new();
    let zip = package(site.work.path(), "Mall", "1.1.0", &json!({}));
    let bytes = std::fs::read(zip).expect("a zip");
    let middle = bytes.len() / 2;
    let market = Pages::new(move |asked: &Asked| {
        if asked.path.starts_with("/api/") {
            let host = asked.headers["host"].clone();
            return ok(package_at(&format!("http://{host}/z.zip"), "1.1.0").to_string());
        }
        match asked.headers.get("range") {
            None => Answer::Broken(bytes.len(), bytes[..middle].to_vec()),
            Some(range) => {
                let from = range.trim_start_matches("bytes=").trim_end_matches('-');
                let from: usize = from.parse().expect("a number");
                Answer::Part(from, bytes[from..].to_vec())
            }
        }
    });
    site.install("Mall", "1.0.0");
    site.add_legacy("old", &market.url());
    site.server.cli_ok(&["web", "upgrade", "Mall"]);
    assert_eq!(site.record("Mall")["version"], "1.1.0");
    let ranges = market.asked("/z.zip", |asked| asked.headers.get("range").cloned());
    assert_eq!(ranges, [None, Some(format!("bytes={middle}-"))]);
}

#[test]
fn web_46_upgrading_all_goes_on_after_one_that_fails() {
    for site in sites("market_all") {
        let work = site.work.path().to_owned();
        let application = super::application();
        let market = super::Market::serve(&work);
        let names = ["Alpha", "Beta", "Gamma", "Delta", "Epsilon"];
        for fskey in names {
            market.publish(&package(
                &work,
                fskey,
                "1.0.0",
                &json!({ "healthPath": "/ok" }),
            ));
        }
        market.add_to(&site);
        for fskey in names {
            site.server.cli_ok(&["web", "install", fskey]);
            let answer = site
                .server
                .http
                .patch(format!("{}/v1/web/plugins/{fskey}", site.server.address))
                .json(&json!({ "pluginHost": application.url() }))
                .send()
                .expect("an answer");
            assert!(answer.status().is_success(), "{answer:?}");
            site.server.cli_ok(&["enable", &format!("web:{fskey}")]);
            super::settled(&site, fskey);
        }
        // Alpha needs the new Epsilon, so that comes first. Gamma does not work.
        for fskey in names {
            let platform = match fskey {
                "Alpha" => json!({ "healthPath": "/ok", "dependencies": { "Epsilon": ">=1.1.0" } }),
                "Gamma" => json!({ "healthPath": "/broken" }),
                _ => json!({ "healthPath": "/ok" }),
            };
            market.publish(&package(&work, fskey, "1.1.0", &platform));
        }
        let report = site.check();
        let alpha = report["plugins"]
            .as_array()
            .and_then(|all| all.iter().find(|it| it["fskey"] == "Alpha"))
            .expect("Alpha");
        assert_eq!(
            alpha["upgradeBlockedBy"].as_array().map(Vec::len),
            Some(1),
            "{alpha}"
        );
        let ended = site.server.cli(&["web", "upgrade", "--all", "-o", "json"]);
        assert_eq!(ended.code, 1, "{ended:?}");
        let report: Json = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(report["failed"], 1, "{report}");
        let told: Vec<(&str, &str)> = report["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|it| {
                (
                    it["fskey"].as_str().unwrap_or_default(),
                    it["state"].as_str().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("Epsilon", "upgraded"),
                ("Alpha", "upgraded"),
                ("Beta", "upgraded"),
                ("Delta", "upgraded"),
                ("Gamma", "rolledBack"),
            ],
            "{report}"
        );
        assert_eq!(site.record("Gamma")["version"], "1.0.0");
        assert_eq!(site.flag("Gamma").as_deref(), Some("1.1.0"));
        assert_eq!(site.record("Alpha")["version"], "1.1.0");
    }
}
