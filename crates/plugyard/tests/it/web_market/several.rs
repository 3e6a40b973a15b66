//! Several markets at once, and the one of the site's settings.

use serde_json::{Value as Json, json};

use super::Still;
use super::pages::{Asked, Pages, ok};
use super::site::{Site, package, settled, sites};

/// What a check says of a plugin.
fn said(report: &Json, fskey: &str) -> Json {
    let all = report["plugins"].as_array().expect("plugins");
    let found = all.iter().find(|it| it["fskey"] == fskey);
    found.expect("the plugin").clone()
}

#[test]
fn of_two_markets_that_have_a_plugin_the_first_wins_and_then_the_one_it_came_from() {
    for site in sites("market_several") {
        let work = site.work.path().to_owned();
        let mut first = Still::new(&work.join("first"), 3600);
        let mut second = Still::new(&work.join("second"), 3600);
        first.publish(&work, "Mall", "1.1.0");
        second.publish(&work, "Mall", "2.0.0");
        second.publish(&work, "Shop", "1.0.0");
        first.add_to(&site, "first");
        second.add_to(&site, "second");

        // From a file: the first that knows it answers, and the other is named.
        site.install("Mall", "1.0.0");
        let report = site.check();
        let mall = said(&report, "Mall");
        assert_eq!(mall["upgradeVersion"], "1.1.0", "{report}");
        assert_eq!(mall["market"], "first", "{report}");
        assert_eq!(mall["alsoOn"], json!(["second"]), "{report}");
        let shown = site.server.cli_ok(&["web", "check"]).stdout;
        assert!(shown.contains("first (+ second)"), "{shown}");

        // Whoever upgrades is told from where.
        let upgraded = site.server.cli_ok(&["web", "upgrade", "Mall"]).stdout;
        assert!(upgraded.contains("web:Mall 1.1.0 (first)"), "{upgraded}");
        let installed = site.server.cli_ok(&["web", "install", "Shop"]).stdout;
        assert!(installed.contains("web:Shop 1.0.0 (second)"), "{installed}");
        settled(&site, "Shop");

        // It came from the first now: what the second has is nothing to it, unless it is named.
        let again = site.server.cli(&["web", "upgrade", "Mall"]);
        assert_eq!(again.code, 5, "{again:?}");
        assert_eq!(site.flag("Mall"), None);
        site.server
            .cli_ok(&["web", "upgrade", "Mall", "--market", "second"]);
        assert_eq!(site.record("Mall")["version"], "2.0.0");
        crate::support::wait_for("the second to be its market", || {
            second_answers(&site).then_some(())
        });
        let unknown = site
            .server
            .cli(&["web", "install", "Mall", "--market", "third"]);
        assert_eq!(unknown.code, 3, "{unknown:?}");

        // A market that is kept from answering is not stood in for.
        let gone = second.pages.url();
        drop(second);
        let report = site.check();
        let mall = said(&report, "Mall");
        assert_eq!(
            (&mall["state"], &mall["reason"]),
            (&json!("left"), &json!("unreachable")),
            "{report} {gone}"
        );
        // One that is forgotten is.
        site.server.cli_ok(&["market", "remove", "second", "--yes"]);
        assert_eq!(said(&site.check(), "Mall")["market"], "first");
        assert_eq!(site.record("Mall")["isEnabled"], false);
    }
}

/// Whether the second market answers for `Mall`.
fn second_answers(site: &Site) -> bool {
    said(&site.check(), "Mall")["market"] == "second"
}

#[test]
fn the_settings_name_a_market_a_channel_and_a_proxy() {
    for site in sites("market_settings") {
        let work = site.work.path().to_owned();
        let zip = package(&work, "Mall", "1.1.0-beta.1", &json!({}));
        let zip = std::fs::read(zip).expect("a zip");
        // It stands in for the open network, where `market.example` would be.
        let proxy = Pages::new(move |asked: &Asked| {
            if asked.path.contains("/check") {
                let data = json!({ "Mall": "1.1.0-beta.1" });
                return ok(json!({ "code": 0, "message": "ok", "data": data }).to_string());
            }
            if asked.path.contains("/api/") {
                let url = "http://market.example/z.zip";
                let data = json!({ "fskey": "Mall", "version": "1.1.0-beta.1", "zipBall": url });
                return ok(json!({ "code": 0, "message": "ok", "data": data }).to_string());
            }
            ok(zip.clone())
        });
        site.install("Mall", "1.0.0");
        // Nothing is asked before somebody says so.
        assert_eq!(said(&site.check(), "Mall")["reason"], "unknown");
        assert!(proxy.asked("", |_| ()).is_empty());
        site.patch(
            "/v1/web/settings",
            &json!({
                "market.base_url": "http://market.example/",
                "market.proxy": proxy.url(),
                "market.send_site_headers": false,
                "site_name": "the site",
            }),
        );
        // A change of these settings is a reason to ask.
        crate::support::wait_for("the market to be asked", || {
            let asked = proxy.asked("http://market.example/api/open-source/v2/check", |_| ());
            (!asked.is_empty()).then_some(())
        });
        let report = site.check();
        assert_eq!(said(&report, "Mall")["market"], "settings", "{report}");
        assert_eq!(site.flag("Mall"), None, "pre-releases are for who asks");
        site.patch("/v1/web/settings", &json!({ "market.channel": "beta" }));
        site.check();
        assert_eq!(site.flag("Mall").as_deref(), Some("1.1.0-beta.1"));
        let types = |build: &str| {
            let asked = proxy.asked("http://market.example/api/", |asked| {
                let name = asked.headers.contains_key("x-fresns-site-name");
                (asked.headers["x-fresns-build-type"] == build, name)
            });
            assert!(
                asked.iter().all(|(_, named)| !named),
                "it tells whose site it is"
            );
            asked.iter().filter(|(same, _)| *same).count()
        };
        assert!(types("1") > 0 && types("2") > 0);
        site.server.cli_ok(&["web", "upgrade", "Mall"]);
        assert_eq!(site.record("Mall")["version"], "1.1.0-beta.1");
        for (key, value) in [
            ("market.base_url", json!("ftp://market.example")),
            ("market.base_url", json!("http://u:p@market.example")),
            ("market.channel", json!("nightly")),
            ("market.proxy", json!("socks")),
            ("market.check_interval_hours", json!(0)),
        ] {
            let request = site
                .server
                .http
                .patch(format!("{}/v1/web/settings", site.server.address));
            let answer = request
                .json(&json!({ key: value }))
                .send()
                .expect("an answer");
            assert_eq!(answer.status().as_u16(), 422, "{key} {value}");
        }
        // Without the market, nothing is asked any more.
        site.patch("/v1/web/settings", &json!({ "market.base_url": null }));
        assert_eq!(said(&site.check(), "Mall")["reason"], "unknown");
    }
}
