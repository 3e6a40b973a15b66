//! Markets: a running one and its clients, and those that are down, slow, lying or replayed.

mod bucket;
mod downloads;
mod legacy;
mod model;
mod network;
mod pages;
mod several;
mod site;
mod standalone;

use std::path::{Path, PathBuf};

use plugyard_market::{MarketSettings, Release, Repository, Role};
use serde_json::{Value as Json, json};

use pages::{Answer, Asked, Pages, ok};
use site::{Market, Site, package, settled, sites};

/// The application: `/ok` is well, everything else is not.
fn application() -> Pages {
    Pages::new(|asked: &Asked| {
        let status = if asked.path.ends_with("/ok") {
            200
        } else {
            500
        };
        Answer::Body(status, Vec::new())
    })
}

fn healthy(path: &str) -> Json {
    json!({ "healthPath": path })
}

#[test]
fn web_44_web_42_a_market_and_a_client_as_two_programs() {
    for site in sites("market_two") {
        let work = site.work.path().to_owned();
        let application = application();
        let market = Market::serve(&work);
        market.publish(&package(&work, "Mall", "1.0.0", &healthy("/ok")));
        market.add_to(&site);
        let server = &site.server;
        server.cli_ok(&["web", "install", "Mall"]);
        let id = site.record("Mall")["id"].clone();
        assert_eq!(site.record("Mall")["isEnabled"], false);
        let host = json!({ "pluginHost": application.url() });
        let answer = server
            .http
            .patch(format!("{}/v1/web/plugins/Mall", server.address))
            .json(&host)
            .send()
            .expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        server.cli_ok(&["enable", "web:Mall"]);
        settled(&site, "Mall");

        // A version that does not work: the former one is back by itself, and the new one still announced.
        market.publish(&package(&work, "Mall", "1.1.0", &healthy("/broken")));
        server.cli_ok(&["web", "check"]);
        assert_eq!(site.flag("Mall").as_deref(), Some("1.1.0"));
        let failed = server.cli(&["web", "upgrade", "Mall"]);
        assert_eq!(failed.code, 9, "{failed:?}");
        settled(&site, "Mall");
        let record = site.record("Mall");
        assert_eq!(record["version"], "1.0.0", "{record}");
        assert_eq!(record["isEnabled"], true, "{record}");
        assert_eq!(site.flag("Mall").as_deref(), Some("1.1.0"));

        // A version that does.
        market.publish(&package(&work, "Mall", "1.2.0", &healthy("/ok")));
        server.cli_ok(&["market", "check"]);
        assert_eq!(site.flag("Mall").as_deref(), Some("1.2.0"));
        server.cli_ok(&["web", "upgrade", "Mall"]);
        let record = site.record("Mall");
        assert_eq!(record["version"], "1.2.0", "{record}");
        assert_eq!(record["isEnabled"], true, "{record}");
        assert_eq!(record["id"], id);
        assert_eq!(site.flag("Mall"), None);
        let again = server.cli(&["web", "upgrade", "Mall"]);
        assert!(
            again.code == 5 && again.stderr.contains("1.2.0"),
            "{again:?}"
        );

        // Other keys: the client follows by itself.
        let replayed = std::fs::read(market.document("timestamp.json")).expect("a timestamp");
        market.ok(&["rotate", "root"]);
        market.ok(&["rotate", "targets"]);
        server.cli_ok(&["web", "check"]);
        let seen = listed(&site);
        assert_eq!(seen["root"], 3, "{seen}");

        // What was seen does not come back.
        market.publish(&package(&work, "Mall", "1.3.0", &healthy("/ok")));
        server.cli_ok(&["web", "check"]);
        std::fs::write(market.document("timestamp.json"), replayed).expect("a file");
        let refused = server.cli(&["web", "check"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(
            refused.stderr.contains("E_CATALOGUE_ROLLBACK"),
            "{refused:?}"
        );
        assert_eq!(site.flag("Mall").as_deref(), Some("1.3.0"));
        assert_eq!(site.record("Mall")["isEnabled"], true);
    }
}

/// The highest versions seen, as `market list` shows them.
fn listed(site: &Site) -> Json {
    let shown = site.server.cli_ok(&["market", "list", "-o", "json"]);
    let shown: Json = serde_json::from_str(&shown.stdout).expect("JSON");
    shown["items"][0]["seen"].clone()
}

/// A market whose directory is served as it lies there, and never signed anew.
struct Still {
    directory: PathBuf,
    repository: Repository,
    pages: Pages,
    /// The timestamp before the latest publication.
    before: Vec<u8>,
}

impl Still {
    fn new(directory: &Path, seconds: u64) -> Self {
        Self::answering(directory, seconds, |_| None)
    }

    /// `say` may answer in place of the directory.
    fn answering(
        directory: &Path,
        seconds: u64,
        say: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let settings = MarketSettings {
            timestamp_seconds: seconds,
            ..MarketSettings::default()
        };
        let repository =
            Repository::init(directory, settings, jiff::Timestamp::now()).expect("a market");
        let root = directory.to_owned();
        let pages = Pages::new(move |asked: &Asked| {
            if let Some(answer) = say(asked) {
                return answer;
            }
            // A proxy is asked for whole addresses.
            let path = asked.path.trim_start_matches("http://market.example");
            let path = path.trim_start_matches("/market/");
            match std::fs::read(root.join(path)) {
                Ok(bytes) => ok(bytes),
                Err(_) => Answer::Body(404, Vec::new()),
            }
        });
        Self {
            directory: directory.to_owned(),
            repository,
            pages,
            before: Vec::new(),
        }
    }

    fn publish(&mut self, work: &Path, fskey: &str, version: &str) {
        let zip = package(work, fskey, version, &json!({}));
        let timestamp = self.directory.join("metadata/timestamp.json");
        self.before = std::fs::read(timestamp).expect("a timestamp");
        let release = Release {
            fskey: fskey.to_owned(),
            version: version.to_owned(),
            ..Release::default()
        };
        self.repository
            .publish(&zip, release, jiff::Timestamp::now())
            .expect("a publication");
    }

    fn add_to(&self, site: &Site, name: &str) {
        let key = self.repository.root_keys().expect("keys")[0].to_string();
        site.server.cli_ok(&[
            "market",
            "add",
            &self.pages.url(),
            "--name",
            name,
            "--trust",
            &key,
            "--allow-private",
        ]);
    }
}

/// The code of the first market's error in a report.
fn code(report: &Json) -> String {
    report["markets"][0]["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn web_47_four_refusals_can_be_told_apart_and_nothing_stops() {
    for site in sites("market_four") {
        let work = site.work.path().to_owned();
        let directory = work.join("still");
        let mut market = Still::new(&directory, 24 * 60 * 60);
        market.publish(&work, "Mall", "1.0.0");
        market.add_to(&site, "own");
        site.server.cli_ok(&["web", "install", "Mall"]);
        site.server.cli_ok(&["enable", "web:Mall"]);
        market.publish(&work, "Mall", "1.1.0");
        site.server.cli_ok(&["web", "check"]);

        // A wrong hash: as many bytes, and others.
        let offers = market.repository.offers_of("Mall").expect("offers");
        let path = directory.join(&offers[1].path);
        let sound = std::fs::read(&path).expect("a package");
        let mut other = sound.clone();
        let last = other.len() - 1;
        other[last] ^= 1;
        std::fs::write(&path, &other).expect("a file");
        let (status, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
        assert_eq!(
            (status, &problem["code"]),
            (502, &json!("E_PACKAGE_HASH")),
            "{problem}"
        );
        // Another size.
        for bytes in [&sound[..last], &[&sound[..], b"more"].concat()] {
            std::fs::write(&path, bytes).expect("a file");
            let (_, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
            assert_eq!(problem["code"], "E_PACKAGE_HASH", "{problem}");
        }
        std::fs::write(&path, &sound).expect("a file");

        // An older catalogue.
        let metadata = directory.join("metadata");
        let timestamp = metadata.join("timestamp.json");
        let newest = std::fs::read(&timestamp).expect("a timestamp");
        let older = work.join("older");
        let mut first = Still::new(&older, 24 * 60 * 60);
        std::fs::write(&timestamp, &market.before).expect("a file");
        assert_eq!(code(&site.check()), "E_CATALOGUE_ROLLBACK");

        // An unknown signer.
        first.publish(&work, "Mall", "1.2.0");
        first.publish(&work, "Mall", "1.3.0");
        first.publish(&work, "Mall", "1.4.0");
        let foreign = std::fs::read(older.join("metadata/timestamp.json")).expect("a timestamp");
        std::fs::write(&timestamp, foreign).expect("a file");
        assert_eq!(code(&site.check()), "E_SIGNATURE_INVALID");
        std::fs::write(&timestamp, newest).expect("a file");
        assert_eq!(code(&site.check()), "");

        // One that expired: a market that nobody signs anew.
        let gone = work.join("gone");
        let expiring = Still::new(&gone, 3);
        expiring.add_to(&site, "gone");
        crate::support::wait_for("the timestamp to expire", || {
            let report = site.check();
            let market = report["markets"]
                .as_array()?
                .iter()
                .find(|it| it["name"] == "gone")?;
            (market["error"]["code"] == "E_SIGNATURE_EXPIRED").then_some(())
        });

        // All the while nothing happened to what is here.
        let record = site.record("Mall");
        assert_eq!(
            (&record["version"], &record["isEnabled"]),
            (&json!("1.0.0"), &json!(true))
        );
        assert_eq!(site.flag("Mall").as_deref(), Some("1.1.0"));
        site.server.cli_ok(&["market", "remove", "gone", "--yes"]);
        site.server.cli_ok(&["web", "upgrade", "Mall"]);
        assert_eq!(site.record("Mall")["version"], "1.1.0");
    }
}

#[test]
fn a_market_is_added_only_by_who_knows_its_key() {
    let site = Site::new();
    let work = site.work.path().to_owned();
    let mut market = Still::new(&work.join("a"), 60 * 60);
    let other = Still::new(&work.join("b"), 60 * 60);
    let wrong = other.repository.root_keys().expect("keys")[0].to_string();
    let url = market.pages.url();
    let add = |more: &[&str]| {
        let words = [&["market", "add", &url, "--name", "m"], more].concat();
        site.server.cli(&words)
    };
    let key = market.repository.root_keys().expect("keys")[0].to_string();
    let refused = add(&["--trust", &wrong, "--allow-private"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    // Nobody to believe; a key that is none; an address inside, unasked.
    for (more, code) in [
        (&["--allow-private"][..], 2),
        (&["--allow-private", "--trust", &"A".repeat(64)], 2),
        (&["--trust", &key], 7),
    ] {
        assert_eq!(add(more).code, code, "{more:?}");
    }
    let root = work.join("a/metadata/root.json").display().to_string();
    assert_eq!(add(&["--trust", &root, "--allow-private"]).code, 0);
    assert_eq!(add(&["--trust", &root, "--allow-private"]).code, 5);
    // What was added is asked with its keys also after they changed.
    market
        .repository
        .rotate(Role::Root, jiff::Timestamp::now())
        .expect("a rotation");
    assert_eq!(code(&site.check()), "");
    assert_eq!(listed(&site)["root"], 2);
    site.server.cli_ok(&["market", "remove", "m", "--yes"]);
    assert_eq!(site.server.cli(&["market", "remove", "m", "--yes"]).code, 3);
}

#[test]
fn packages_that_take_a_code_are_given_to_who_has_it() {
    let site = Site::new();
    let work = site.work.path().to_owned();
    let market = Market::serve(&work);
    let zip = package(&work, "Paid", "1.0.0", &json!({}));
    market.ok(&["publish", &zip.display().to_string(), "--entitled"]);
    market.add_to(&site);
    let refused = site.server.cli(&["web", "install", "Paid"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    // The operator has it from elsewhere, and enters the code.
    site.install("Paid", "0.9.0");
    let code = market.ok(&["code", "Paid"]).trim().to_owned();
    let answer = site
        .server
        .http
        .patch(format!("{}/v1/web/plugins/Paid", site.server.address))
        .json(&json!({ "upgradeCode": code }))
        .send()
        .expect("an answer");
    assert!(answer.status().is_success(), "{answer:?}");
    site.server.cli_ok(&["web", "check"]);
    site.server.cli_ok(&["web", "upgrade", "Paid"]);
    let record = site.record("Paid");
    assert_eq!(
        (&record["version"], &record["hasUpgradeCode"]),
        (&json!("1.0.0"), &json!(true))
    );
    assert!(!record.to_string().contains(&code));
    assert!(!site.server.log().contains(&code));
}

#[test]
fn a_yanked_version_is_offered_to_nobody() {
    let site = Site::new();
    let work = site.work.path().to_owned();
    let market = Market::serve(&work);
    market.publish(&package(&work, "Mall", "1.0.0", &json!({})));
    market.add_to(&site);
    site.server.cli_ok(&["web", "install", "Mall"]);
    market.publish(&package(&work, "Mall", "1.1.0", &json!({})));
    site.server.cli_ok(&["web", "check"]);
    assert_eq!(site.flag("Mall").as_deref(), Some("1.1.0"));
    market.ok(&["yank", "Mall", "1.1.0"]);
    site.server.cli_ok(&["web", "check"]);
    assert_eq!(site.flag("Mall"), None);
    market.ok(&["yank", "Mall", "1.1.0", "--undo"]);
    site.server.cli_ok(&["web", "check"]);
    assert_eq!(site.flag("Mall").as_deref(), Some("1.1.0"));
}

#[test]
fn a_market_refuses_what_is_no_sound_package_and_serves_the_legacy_calls() {
    let site = Site::new();
    let work = site.work.path().to_owned();
    let market = Market::serve(&work);
    let bad = work.join("bad");
    std::fs::create_dir_all(&bad).expect("a directory");
    std::fs::write(bad.join("plugin.json"), "{\"fskey\": \"demo\"}").expect("a manifest");
    let refused = crate::support::run(
        crate::support::plugyard(&work)
            .args(["market", "publish", "--in"])
            .arg(&market.directory)
            .arg(&bad),
    );
    assert_eq!(refused.code, 4, "{refused:?}");
    market.publish(&package(&work, "Mall", "1.0.0", &json!({})));
    let base = market.url.trim_end_matches("/market").to_owned();
    let get = |path: &str| -> Json {
        let answer = site.server.http.get(format!("{base}{path}")).send();
        answer.expect("an answer").json().expect("JSON")
    };
    let checked = get("/api/open-source/v2/check?fskeys=[%22Mall%22,%22Nobody%22]");
    assert_eq!(checked["code"], 0);
    assert_eq!(checked["data"], json!({ "Mall": "1.0.0", "Nobody": null }));
    let package = get("/api/open-source/v3/download?fskey=Mall");
    assert_eq!(package["data"]["type"], 1, "{package}");
    assert_eq!(
        get("/api/open-source/v2/download?fskey=Nobody")["code"],
        12001
    );
    let zip = package["data"]["zipBall"].as_str().expect("an address");
    let bytes = site.server.http.get(zip).send().expect("an answer").bytes();
    assert_eq!(&bytes.expect("bytes")[..2], b"PK");
    // The same site over the old protocol.
    site.add_legacy("old", &base);
    site.server.cli_ok(&["web", "install", "Mall"]);
    assert_eq!(site.record("Mall")["version"], "1.0.0");
}

/// The commands of the page's blocks, without what is said beside them.
fn commands(page: &str) -> Vec<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(page)).expect("the page");
    text.split("```sh\n")
        .skip(1)
        .map(|rest| {
            let block = rest.split("```").next().unwrap_or_default();
            let bare = |line: &str| line.split("   #").next().unwrap_or(line).trim().to_owned();
            block.lines().map(bare).collect()
        })
        .collect()
}

#[test]
fn the_page_about_markets_works_as_written_in_both_languages() {
    let blocks = commands("docs/market.md");
    assert_eq!(blocks, commands("docs/zh-CN/market.md"));
    // What is in a bucket, and what a code opens, are other tests'.
    let [running, _bucket, rotating, adding, _entitled] = &blocks[..] else {
        panic!("{blocks:?}");
    };
    let site = Site::new();
    let work = site.work.path().to_owned();
    package(&work, "mall", "1.0.0", &json!({}));
    std::fs::rename(work.join("mall-1.0.0"), work.join("mall")).expect("a directory");
    let manifest = work.join("mall/plugin.json");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, text.replacen("\"mall\"", "\"Mall\"", 2)).expect("a file");
    let words = |line: &str| -> Vec<String> {
        line.split(' ')
            .map(|word| word.trim_matches('"').to_owned())
            .collect()
    };
    let run_here = |line: &str| {
        let mut command = site.server.command(&[]);
        command.current_dir(&work).args(&words(line)[1..]);
        let ended = crate::support::run(&mut command);
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
        ended.stdout
    };
    let printed = run_here(&running[0]);
    let key = printed.split("--trust ").nth(1).expect("a key");
    let key = key.split_whitespace().next().expect("a key").to_owned();
    run_here(&running[1]);
    assert_eq!(running[2], "plugyard market serve");
    let market = Market::over(work.join("market"), &key);
    // The root's keys are in their place still, so they need not be brought.
    std::fs::create_dir(work.join("safe")).expect("a directory");
    for line in rotating {
        run_here(&line.replace("/media/safe", "safe"));
    }
    for (nth, line) in adding.iter().enumerate() {
        let line = line
            .replace("http://127.0.0.1:9090", &market.url)
            .replace("$KEY", &key);
        if line == "plugyard web check" {
            market.publish(&package(&work, "Mall", "1.1.0", &json!({})));
        }
        assert!(line.starts_with("plugyard "), "{nth}: {line}");
        run_here(&line);
    }
    assert_eq!(site.record("Mall")["version"], "1.1.0");
}
