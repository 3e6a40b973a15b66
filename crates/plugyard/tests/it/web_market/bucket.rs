//! A market whose packages and documents lie on S3.

use std::path::{Path, PathBuf};
use std::process::Command;

use plugyard_store::testing::{TestObjects, object_stores};
use serde_json::{Value as Json, json};

use super::site::{Market, Site, package};
use crate::support::{Ended, plugyard, run};

const SECRET: &str = "hush-hush-key-of-the-bucket";

fn store() -> Option<TestObjects> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let all = runtime.block_on(object_stores());
    all.into_iter().find(|it| it.sort == "S3")
}

/// A market in a bucket, with its keys here.
struct Bucket {
    store: TestObjects,
    home: tempfile::TempDir,
    /// By variables that every client of S3 knows, or by those of the configuration.
    standard: bool,
}

impl Bucket {
    fn new(standard: bool) -> Option<Self> {
        crate::support::python()?;
        Some(Self {
            store: store()?,
            home: tempfile::tempdir().expect("a directory"),
            standard,
        })
    }

    fn url(&self) -> String {
        format!("{}/market", self.store.url)
    }

    fn keys(&self) -> PathBuf {
        self.home.path().join("keys")
    }

    fn command(&self, word: &str) -> Command {
        let mut command = plugyard(self.home.path());
        let endpoint = self.store.options.endpoint.clone().expect("an address");
        let names = if self.standard {
            [
                "AWS_ENDPOINT_URL",
                "AWS_REGION",
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_ALLOW_HTTP",
            ]
        } else {
            [
                "PLUGYARD__OBJECTS__ENDPOINT",
                "PLUGYARD__OBJECTS__REGION",
                "PLUGYARD__OBJECTS__ACCESS_KEY",
                "PLUGYARD__OBJECTS__SECRET_KEY",
                "PLUGYARD__OBJECTS__ALLOW_HTTP",
            ]
        };
        let values = [&endpoint, "us-east-1", "test", SECRET, "true"];
        command.envs(names.into_iter().zip(values));
        command.args(["market", word, "--in", &self.url(), "--keys"]);
        command.arg(self.keys());
        command
    }

    fn run(&self, word: &str, more: &[&str]) -> Ended {
        let ended = run(self.command(word).args(more));
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains(SECRET), "{said}");
        ended
    }

    #[track_caller]
    fn ok(&self, word: &str, more: &[&str]) -> String {
        let ended = self.run(word, more);
        assert_eq!(ended.code, 0, "{word} {more:?}: {ended:?}");
        ended.stdout
    }

    fn publish(&self, package: &Path) {
        self.ok("publish", &[&package.display().to_string()]);
    }

    /// The names of all objects of the bucket, as the S3 server itself lists them.
    fn listed(&self) -> Vec<String> {
        let path = "/packages-of-tests?list-type=2";
        let (status, body) = self.store.raw("GET", path, b"").expect("an S3 server");
        assert_eq!(status, 200);
        let body = String::from_utf8_lossy(&body).into_owned();
        let keys = body.split("<Key>").skip(1);
        let keys = keys.filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }
}

#[test]
fn a_market_on_s3_is_published_served_and_believed() {
    for standard in [true, false] {
        let Some(bucket) = Bucket::new(standard) else {
            return;
        };
        let site = Site::new();
        let work = site.work.path().to_owned();
        let made: Json = serde_json::from_str(&bucket.ok("init", &["-o", "json"])).expect("JSON");
        let key = made["rootKeys"][0].as_str().expect("a key").to_owned();
        assert_eq!(bucket.run("init", &[]).code, 5, "it is one already");
        bucket.publish(&package(&work, "Mall", "1.0.0", &json!({})));
        let market = Market::started(bucket.command("serve"), bucket.home.path().to_owned(), &key);
        market.add_to(&site);
        site.server.cli_ok(&["web", "install", "Mall"]);

        // Published and rotated while it is served.
        bucket.publish(&package(&work, "Mall", "1.1.0", &json!({})));
        bucket.ok("rotate", &["root"]);
        bucket.ok("rotate", &["timestamp"]);
        site.server.cli_ok(&["web", "upgrade", "Mall"]);
        assert_eq!(site.record("Mall")["version"], "1.1.0");
        let packages = bucket.listed();
        let packages = packages
            .iter()
            .filter(|it| it.contains("market/packages/Mall/"));
        assert_eq!(packages.count(), 2);

        // From where it broke off, also out of a bucket.
        let http = &site.server.http;
        let metadata = http
            .get(format!("{}/metadata/timestamp.json", market.url))
            .send();
        assert_eq!(metadata.expect("an answer").status().as_u16(), 200);
        let base = market.url.trim_end_matches("/market");
        let offer: Json = http
            .get(format!("{base}/api/open-source/v2/download?fskey=Mall"))
            .send()
            .expect("an answer")
            .json()
            .expect("JSON");
        let zip = offer["data"]["zipBall"].as_str().expect("an address");
        let whole = http
            .get(zip)
            .send()
            .expect("an answer")
            .bytes()
            .expect("bytes");
        let rest = http
            .get(zip)
            .header("range", "bytes=10-")
            .send()
            .expect("an answer");
        assert_eq!(rest.status().as_u16(), 206);
        assert_eq!(rest.bytes().expect("bytes"), whole[10..]);

        // Taken back, and codes.
        bucket.ok("yank", &["Mall", "1.1.0"]);
        let zip = package(&work, "Paid", "1.0.0", &json!({}));
        bucket.ok("publish", &[&zip.display().to_string(), "--entitled"]);
        let code = bucket.ok("code", &["Paid"]).trim().to_owned();
        site.install("Paid", "0.9.0");
        assert_eq!(site.server.cli(&["web", "upgrade", "Paid"]).code, 6);
        site.patch("/v1/web/plugins/Paid", &json!({ "upgradeCode": code }));
        site.server.cli_ok(&["web", "upgrade", "Paid"]);
        // What signs is nowhere in the bucket.
        let names = bucket.listed();
        assert!(names.iter().all(|it| !it.contains(".key")), "{names:?}");
    }
}

#[test]
fn two_that_publish_at_once_do_not_lose_one_another() {
    let Some(bucket) = Bucket::new(true) else {
        return;
    };
    let site = Site::new();
    let work = site.work.path().to_owned();
    let made: Json = serde_json::from_str(&bucket.ok("init", &["-o", "json"])).expect("JSON");
    let key = made["rootKeys"][0].as_str().expect("a key").to_owned();
    let zips: Vec<PathBuf> = (0..4)
        .map(|number| package(&work, "Mall", &format!("1.{number}.0"), &json!({})))
        .chain((0..2).map(|number| package(&work, &format!("Shop{number}"), "1.0.0", &json!({}))))
        .collect();
    std::thread::scope(|scope| {
        for zip in &zips {
            scope.spawn(|| bucket.publish(zip));
        }
    });
    let market = Market::started(bucket.command("serve"), bucket.home.path().to_owned(), &key);
    market.add_to(&site);
    for version in 0..4 {
        bucket.ok("yank", &["Mall", &format!("1.{version}.0")]);
        bucket.ok("yank", &["Mall", &format!("1.{version}.0"), "--undo"]);
    }
    for fskey in ["Mall", "Shop0", "Shop1"] {
        site.server.cli_ok(&["web", "install", fskey]);
    }
    assert_eq!(site.record("Mall")["version"], "1.3.0");
}

#[test]
fn a_bucket_that_is_away_or_not_there_is_said_without_its_key() {
    let Some(bucket) = Bucket::new(false) else {
        return;
    };
    let none = bucket.run("serve", &["--listen", "127.0.0.1:0"]);
    assert_eq!(none.code, 3, "no keys, no market: {none:?}");
    let mut nowhere = plugyard(bucket.home.path());
    nowhere
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ALLOW_HTTP", "true")
        .args(["market", "init", "--in", "s3://nowhere/market", "--keys"])
        .arg(bucket.keys());
    let refused = run(&mut nowhere);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("s3://nowhere/market"),
        "{refused:?}"
    );
    assert!(!refused.stderr.contains(SECRET), "{refused:?}");
}
