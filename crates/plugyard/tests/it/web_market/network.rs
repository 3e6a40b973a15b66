//! Markets on the open network that lead into the server's own one.
//!
//! There is no open network in a test, so a proxy stands in for it: it answers for `market.example`, which no
//! resolver knows, and would answer for every address it is asked for.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::Still;
use super::pages::{Answer, Asked, Pages, ok};
use super::site::Site;

/// Ways to write an address inside, with the port of something that must not be reached.
fn inside(port: u16) -> Vec<String> {
    [
        "127.0.0.1",
        // Names, which only the resolver knows to lead inside.
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "169.254.169.254",
        "10.0.0.1",
    ]
    .iter()
    .map(|host| format!("http://{host}:{port}/secret"))
    .collect()
}

#[test]
fn no_document_and_no_package_of_a_signed_market_is_loaded_from_inside() {
    let site = Site::new();
    let work = site.work.path().to_owned();
    let secret = Pages::new(|_: &Asked| ok("{}"));
    // Where questions that contain the word are led to.
    let led: Arc<Mutex<Option<(&'static str, String)>>> = Arc::default();
    let to = Arc::clone(&led);
    let mut market = Still::answering(&work.join("signed"), 3600, move |asked| {
        let to = to.lock().expect("no panic");
        let (part, address) = to.as_ref()?;
        let asked_for_it = asked.path.contains(part) || asked.path.contains("/secret");
        asked_for_it.then(|| Answer::Redirect(address.clone()))
    });
    market.publish(&work, "Mall", "1.0.0");
    let key = market.repository.root_keys().expect("keys")[0].to_string();
    let proxy = market.pages.url();
    site.server.cli_ok(&[
        "market",
        "add",
        "http://market.example",
        "--trust",
        &key,
        "--proxy",
        &proxy,
    ]);
    for word in ["timestamp.json", "snapshot.json", "Mall.json", "/packages/"] {
        for address in inside(secret.address.port()) {
            *led.lock().expect("no panic") = Some((word, address.clone()));
            let (status, problem) = site.posted("/v1/web/downloads/Mall", &json!({}));
            assert_eq!(
                (status, &problem["code"]),
                (502, &json!("E_MARKET_UNREACHABLE")),
                "{word} → {address}: {problem}"
            );
            let said = problem["detail"].as_str().unwrap_or_default();
            assert!(said.contains("network"), "{word} → {address}: {said}");
        }
    }
    assert!(secret.asked("/", |_| ()).is_empty(), "it was reached");
    // Nor was the proxy sent there: what it reaches is not ours to use either.
    let sent = market.pages.asked("http://", |asked| asked.path.clone());
    assert!(
        sent.iter()
            .all(|it| it.starts_with("http://market.example/")),
        "{sent:?}"
    );
    *led.lock().expect("no panic") = None;
    site.server.cli_ok(&["web", "install", "Mall"]);
}

#[test]
fn no_legacy_call_and_no_zip_ball_leads_inside() {
    let site = Site::new();
    site.install("Mall", "1.0.0");
    let secret = Pages::new(|_: &Asked| ok("{}"));
    let led: Arc<Mutex<(&'static str, String)>> = Arc::default();
    let to = Arc::clone(&led);
    let proxy = Pages::new(move |asked: &Asked| {
        let (word, address) = to.lock().expect("no panic").clone();
        if asked.path.contains(word) {
            return Answer::Redirect(address);
        }
        // Some are not led there, but told to go.
        let zip = if word == "told" {
            address
        } else {
            "http://market.example/z.zip".to_owned()
        };
        let data = json!({ "fskey": "Mall", "version": "1.1.0", "zipBall": zip });
        ok(json!({ "code": 0, "message": "ok", "data": data }).to_string())
    });
    let url = proxy.url();
    for protocol in ["v2", "v3"] {
        site.server.cli_ok(&[
            "market",
            "add",
            "http://market.example",
            "--name",
            "old",
            "--protocol",
            protocol,
            "--proxy",
            &url,
        ]);
        for address in inside(secret.address.port()) {
            for (word, path) in [
                ("/check", "/v1/web/check"),
                ("/upgrade", "/v1/web/upgrades/Mall"),
                ("/download", "/v1/web/downloads/Shop"),
                ("/z.zip", "/v1/web/upgrades/Mall"),
                ("told", "/v1/web/upgrades/Mall"),
            ] {
                *led.lock().expect("no panic") = (word, address.clone());
                let (_, answer) = site.posted(path, &json!({}));
                let problem = if word == "/check" {
                    answer["markets"][0]["error"].clone()
                } else {
                    answer
                };
                assert_eq!(
                    problem["code"], "E_MARKET_UNREACHABLE",
                    "{word} → {address}: {problem}"
                );
                let said = problem["detail"].as_str().unwrap_or_default();
                assert!(said.contains("network"), "{word} → {address}: {said}");
            }
        }
        site.server.cli_ok(&["market", "remove", "old", "--yes"]);
    }
    assert!(secret.asked("/", |_| ()).is_empty(), "it was reached");
    assert_eq!(site.record("Mall")["version"], "1.0.0");
}

#[test]
fn a_market_named_by_what_resolves_inside_is_not_asked() {
    let site = Site::new();
    let market = Pages::new(|_: &Asked| ok("{}"));
    for host in ["localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        let url = format!("http://{host}:{}", market.address.port());
        let added = site
            .server
            .cli(&["market", "add", &url, "--trust", &"a".repeat(64)]);
        assert_eq!(added.code, 7, "{added:?}");
        assert!(added.stderr.contains("network"), "{added:?}");
    }
    assert!(market.asked("/", |_| ()).is_empty(), "it was reached");
}
