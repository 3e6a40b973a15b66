//! Applications that are deployed on their own, and packages that take an entitlement.

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use super::Market;
use super::pages::{Asked, Pages, ok};
use super::site::{Site, package, sites};
use crate::support::{plugins, run};
use crate::webhooks::receiver::{Post, Receiver};

/// A package of an application.
fn application(site: &Site, fskey: &str, version: &str) -> std::path::PathBuf {
    let work = site.work.path();
    let directory = work.join(format!("{fskey}-{version}"));
    std::fs::create_dir_all(&directory).expect("a directory");
    let manifest = json!({
        "fskey": fskey,
        "type": 5,
        "name": "The App",
        "description": "Runs elsewhere",
        "author": "Ann",
        "authorLink": "https://ann.example",
        "version": version,
        "isStandalone": true,
    });
    std::fs::write(directory.join("plugin.json"), manifest.to_string()).expect("a manifest");
    plugins::zip(&directory, &work.join(format!("{fskey}-{version}.zip")))
}

fn record_of_app(site: &Site, version: &str) -> Json {
    let record = site.record("App");
    for (key, value) in [
        ("type", json!(5)),
        ("isStandalone", json!(true)),
        ("version", json!(version)),
        ("name", json!("The App")),
        ("description", json!("Runs elsewhere")),
        ("author", json!("Ann")),
        ("authorLink", json!("https://ann.example")),
        ("deletedAt", json!(null)),
        ("isUpgrade", json!(false)),
    ] {
        assert_eq!(record[key], value, "{key} of {record}");
    }
    record
}

#[test]
fn an_application_of_a_signed_market_is_handed_over_and_nothing_is_installed() {
    for site in sites("market_apps") {
        let hook = Receiver::start();
        site.server.cli_ok(&["webhook", "add", "all", &hook.url()]);
        let market = Market::serve(site.work.path());
        market.publish(&application(&site, "App", "1.0.0"));
        market.add_to(&site);
        let shown = site.server.cli_ok(&["web", "install", "App", "-o", "json"]);
        let handed: Json = serde_json::from_str(&shown.stdout).expect("JSON");
        assert_eq!(handed["operation"], json!(null), "{handed}");
        let url = handed["archive"]["url"].as_str().expect("an address");
        let bytes = site.server.http.get(url).send().expect("an answer");
        let bytes = bytes.bytes().expect("bytes");
        assert_eq!(handed["archive"]["size"], json!(bytes.len()));
        assert_eq!(
            handed["archive"]["sha256"],
            plugyard_market::Sha256::of(&bytes).to_string()
        );
        let first = record_of_app(&site, "1.0.0");
        assert_eq!(first["isEnabled"], true);
        // There is no plugin of the platform by that name, and nothing of it on the disk.
        assert_eq!(site.server.cli(&["show", "web:App"]).code, 3);
        assert!(!site.server.home.join("plugins/web/App").exists());
        hook.wait(1, |post| post.kind() == "app:handleData");
        let kinds: Vec<String> = hook.posts().iter().map(Post::kind).collect();
        assert_eq!(kinds, ["app:handleData"]);

        // A new version is announced, and handed over too.
        market.publish(&application(&site, "App", "1.1.0"));
        site.check();
        assert_eq!(site.flag("App").as_deref(), Some("1.1.0"));
        let ended = site
            .server
            .cli_ok(&["web", "upgrade", "--all", "-o", "json"]);
        let report: Json = serde_json::from_str(&ended.stdout).expect("JSON");
        let item = &report["items"][0];
        assert_eq!(
            (&item["state"], &item["to"]),
            (&json!("handedOver"), &json!("1.1.0")),
            "{report}"
        );
        assert!(item["archive"]["url"].is_string(), "{report}");
        assert_eq!(record_of_app(&site, "1.1.0")["id"], first["id"]);
        let again = site.server.cli(&["web", "upgrade", "App"]);
        assert_eq!(again.code, 5, "{again:?}");
        // For people: the address and the hash.
        let text = site.server.cli_ok(&["web", "install", "App"]).stdout;
        assert!(
            text.contains("nothing was installed") && text.contains("SHA-256"),
            "{text}"
        );
        assert_eq!(record_of_app(&site, "1.1.0")["id"], first["id"]);
    }
}

#[test]
fn an_application_of_the_old_protocol_is_asked_for_as_one() {
    for site in sites("market_old_apps") {
        let answers = Arc::new(Mutex::new(json!({})));
        let say = Arc::clone(&answers);
        let market = Pages::new(move |asked: &Asked| {
            if asked.path.contains("/check") {
                let data = json!({ "App": "1.1.0" });
                return ok(json!({ "code": 0, "message": "ok", "data": data }).to_string());
            }
            ok(say.lock().expect("no panic").to_string())
        });
        let data = |version: &str, more: Json| {
            let mut data = json!({
                "fskey": "App", "version": version, "name": "The App", "description": "Runs elsewhere",
                "author": "Ann", "authorLink": "https://ann.example",
                "zipBall": "https://download.example/app.zip?key=abc", "upgradeCode": "the-code-of-app",
            });
            for (key, value) in more.as_object().expect("an object") {
                data[key] = value.clone();
            }
            json!({ "code": 0, "message": "ok", "data": data })
        };
        let set = |answer: Json| *answers.lock().expect("no panic") = answer;
        site.add_legacy("old", &market.url());
        set(data("1.0.0", json!({})));
        let words = ["web", "install", "App", "--standalone"];
        let shown = site.server.cli_ok(&words).stdout;
        assert!(
            shown.contains("https://download.example/app.zip?key=abc"),
            "{shown}"
        );
        let asked = |call: &str, name: &str| {
            market.asked(&format!("/api/open-source/v2/{call}"), |asked| {
                asked.query(name)
            })
        };
        assert_eq!(asked("download", "type"), [Some("download".to_owned())]);
        let record = record_of_app(&site, "1.0.0");
        assert_eq!(record["hasUpgradeCode"], true);

        // From then on it is known to be one, and its code is sent.
        site.check();
        assert_eq!(site.flag("App").as_deref(), Some("1.1.0"));
        set(data("1.1.0", json!({ "upgradeCode": null })));
        site.server.cli_ok(&["web", "upgrade", "App"]);
        assert_eq!(asked("upgrade", "type"), [Some("download".to_owned())]);
        assert_eq!(
            asked("upgrade", "upgradeCode"),
            [Some("the-code-of-app".to_owned())]
        );
        assert_eq!(record_of_app(&site, "1.1.0")["hasUpgradeCode"], true);
        // An older one, or what does not fit into the table, changes nothing.
        set(data("0.9.0", json!({})));
        let (_, problem) = site.posted("/v1/web/downloads/App", &json!({}));
        assert_eq!(problem["code"], "E_DOWNGRADE", "{problem}");
        for more in [
            json!({ "name": "" }),
            json!({ "version": "2" }),
            json!({ "authorLink": "javascript:1" }),
        ] {
            set(data("2.0.0", more.clone()));
            let (_, problem) = site.posted("/v1/web/downloads/App", &json!({}));
            assert_eq!(problem["code"], "E_MARKET_RESPONSE", "{more}: {problem}");
        }
        record_of_app(&site, "1.1.0");
        assert!(!site.server.log().contains("the-code-of-app"));

        // The third generation says itself what it is, in numbers of its own.
        site.server.cli_ok(&["market", "remove", "old", "--yes"]);
        site.server.cli_ok(&[
            "market",
            "add",
            &market.url(),
            "--name",
            "new",
            "--protocol",
            "v3",
            "--allow-private",
        ]);
        let mut third = data("1.0.0", json!({ "type": 4 }));
        third["data"]["fskey"] = json!("Third");
        set(third);
        let (status, handed) = site.posted("/v1/web/downloads/Third", &json!({}));
        assert_eq!(status, 200, "{handed}");
        assert_eq!(site.record("Third")["type"], 5);
    }
}

#[test]
fn who_is_not_entitled_is_told_so_by_either_protocol() {
    let site = Site::new();
    site.install("Mall", "1.0.0");
    let market = Pages::new(|asked: &Asked| {
        let code = if asked.path.contains("/download") {
            12002
        } else {
            12001
        };
        let code = if asked.query("upgradeCode").as_deref() == Some("wrong") {
            12002
        } else {
            code
        };
        ok(json!({ "code": code, "message": "no", "data": null }).to_string())
    });
    site.add_legacy("old", &market.url());
    let (_, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(problem["code"], "E_MARKET_REFUSED", "{problem}");
    let (status, problem) = site.posted("/v1/web/downloads/Shop", &json!({}));
    assert_eq!(
        (status, &problem["code"]),
        (403, &json!("E_UPGRADE_CODE")),
        "{problem}"
    );
    site.patch("/v1/web/plugins/Mall", &json!({ "upgradeCode": "wrong" }));
    let (_, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(problem["code"], "E_UPGRADE_CODE", "{problem}");

    // And by our own server to who speaks the protocol of Fresns.
    let own = Market::serve(site.work.path());
    let zip = super::package(site.work.path(), "Paid", "1.1.0", &json!({}));
    own.ok(&["publish", &zip.display().to_string(), "--entitled"]);
    site.server.cli_ok(&["market", "remove", "old", "--yes"]);
    let base = own.url.trim_end_matches("/market").to_owned();
    site.add_legacy("own", &base);
    let refused = site.server.cli(&["web", "install", "Paid"]);
    assert!(
        refused.code == 6 && refused.stderr.contains("upgrade code"),
        "{refused:?}"
    );
    site.install("Paid", "1.0.0");
    let code = own.ok(&["code", "Paid"]).trim().to_owned();
    site.patch("/v1/web/plugins/Paid", &json!({ "upgradeCode": code }));
    site.server.cli_ok(&["web", "upgrade", "Paid"]);
    assert_eq!(site.record("Paid")["version"], "1.1.0");
}

/// Keeps a code by the command line, which reads it where no list of processes shows it.
fn entitle(site: &Site, fskey: &str, code: &str) {
    let file = site.work.path().join("code");
    std::fs::write(&file, format!("{code}\n")).expect("a file");
    let input = std::fs::File::open(&file).expect("the file");
    let mut command = site.server.command(&["market", "entitle", "own", fskey]);
    let ended = run(command.stdin(input));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.stdout.contains(code), "{ended:?}");
    std::fs::remove_file(file).expect("the file");
}

#[test]
fn an_entitled_application_is_handed_over_to_who_keeps_its_code() {
    for site in sites("market_entitled") {
        let market = Market::serve(site.work.path());
        let publish = |zip: std::path::PathBuf| {
            market.ok(&["publish", &zip.display().to_string(), "--entitled"]);
        };
        publish(application(&site, "App", "1.0.0"));
        publish(application(&site, "Other", "1.0.0"));
        publish(package(site.work.path(), "Paid", "1.0.0", &json!({})));
        market.add_to(&site);
        let install = |fskey: &str| site.server.cli(&["web", "install", fskey, "-o", "json"]);
        assert_eq!(install("App").code, 6, "without a code");
        entitle(&site, "App", "of-somebody-else");
        assert_eq!(install("App").code, 6, "with another code");
        assert_eq!(
            site.record("App")["code"],
            "E_NOT_FOUND",
            "nothing is written"
        );

        let code = market.ok(&["code", "App"]).trim().to_owned();
        entitle(&site, "App", &code);
        let handed = install("App");
        assert_eq!(handed.code, 0, "{handed:?}");
        let handed: Json = serde_json::from_str(&handed.stdout).expect("JSON");
        assert_eq!(handed["archive"]["entitled"], false, "no header is needed");
        assert!(handed["archive"]["expiresAt"].is_string(), "{handed}");
        let url = handed["archive"]["url"].as_str().expect("an address");
        let get = |url: &str| site.server.http.get(url).send().expect("an answer");
        let bytes = get(url).bytes().expect("bytes");
        assert_eq!(
            handed["archive"]["sha256"],
            plugyard_market::Sha256::of(&bytes).to_string()
        );
        // The ticket is for this package, and without it there is none.
        let (bare, _) = url.split_once('?').expect("a ticket");
        assert_eq!(get(bare).status(), 403);
        let other = url.replace("/App/", "/Other/").replace("App-", "Other-");
        assert_ne!(get(&other).status(), 200);
        record_of_app(&site, "1.0.0");

        // A plugin that was never here is installed with the code that is kept.
        assert_eq!(install("Paid").code, 6);
        let paid = market.ok(&["code", "Paid"]).trim().to_owned();
        entitle(&site, "Paid", &paid);
        assert_eq!(install("Paid").code, 0);
        assert_eq!(site.record("Paid")["version"], "1.0.0");

        // Codes are told to nobody, and stand nowhere in clear.
        let path = "/v1/web/markets/own/codes";
        let kept = |site: &Site| -> Json { site.server.get(path).send().unwrap().json().unwrap() };
        assert_eq!(
            kept(&site),
            json!({ "items": [{ "fskey": "App" }, { "fskey": "Paid" }] })
        );
        let database = std::fs::read(site.server.home.join("plugyard.db")).unwrap_or_default();
        for code in [&code, &paid] {
            let there = |bytes: &[u8]| bytes.windows(code.len()).any(|it| it == code.as_bytes());
            assert!(!there(&database), "in the database");
            assert!(!site.server.log().contains(code.as_str()), "in the log");
        }
        for (body, status) in [
            (json!({ "code": "" }), 422),
            (json!({ "code": "with spaces" }), 422),
            (json!({ "code": "x".repeat(33) }), 422),
        ] {
            let address = format!("{}{path}/App", site.server.address);
            let answer = site.server.http.put(address).json(&body).send();
            assert_eq!(answer.expect("an answer").status(), status, "{body}");
        }

        // Forgotten, with its market or by itself.
        publish(application(&site, "App", "1.1.0"));
        site.server
            .cli_ok(&["market", "entitle", "own", "App", "--forget"]);
        assert_eq!(install("App").code, 6);
        assert_eq!(site.record("App")["version"], "1.0.0");
        site.server.cli_ok(&["market", "remove", "own", "--yes"]);
        market.add_to(&site);
        assert_eq!(kept(&site), json!({ "items": [] }));
    }
}
