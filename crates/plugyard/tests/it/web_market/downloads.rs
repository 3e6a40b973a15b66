//! Downloads that break off, go on, and lie.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};

use super::Still;
use super::pages::{Answer, Asked, Pages, ok};
use super::site::{Site, package};

type Said = Arc<Mutex<Option<Box<dyn Fn(&Asked) -> Option<Answer> + Send>>>>;

/// A signed market that has `Mall` 1.0.0, installed here, and 1.1.0; how packages are answered is said later.
struct Bench {
    site: Site,
    market: Still,
    said: Said,
    zip: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let site = Site::new();
        let work = site.work.path().to_owned();
        let said: Said = Arc::default();
        let say = Arc::clone(&said);
        let mut market = Still::answering(&work.join("market-dir"), 3600, move |asked| {
            let said = say.lock().expect("no panic");
            let say = said
                .as_ref()
                .filter(|_| asked.path.contains("/packages/"))?;
            say(asked)
        });
        market.publish(&work, "Mall", "1.0.0");
        market.add_to(&site, "own");
        site.server.cli_ok(&["web", "install", "Mall"]);
        market.publish(&work, "Mall", "1.1.0");
        let zip = std::fs::read(work.join("Mall-1.1.0.zip")).expect("a zip");
        Self {
            site,
            market,
            said,
            zip,
        }
    }

    fn say(&self, say: impl Fn(&Asked) -> Option<Answer> + Send + 'static) {
        *self.said.lock().expect("no panic") = Some(Box::new(say));
    }

    /// Half of it comes, and then nothing any more.
    fn break_off(&self) -> usize {
        let (zip, middle) = (self.zip.clone(), self.zip.len() / 2);
        self.say(move |asked| {
            Some(match asked.headers.get("range") {
                None => Answer::Broken(zip.len(), zip[..middle].to_vec()),
                Some(_) => Answer::Body(503, Vec::new()),
            })
        });
        let (status, problem) = self.site.posted("/v1/web/upgrades/Mall", &json!({}));
        assert_eq!(
            (status, &problem["code"]),
            (502, &json!("E_MARKET_UNREACHABLE")),
            "{problem}"
        );
        middle
    }

    /// The ranges that were asked for, from one question on.
    fn ranges(&self, from: usize) -> Vec<Option<String>> {
        let asked = self.market.pages.asked("/market/packages/Mall", |asked| {
            asked.headers.get("range").cloned()
        });
        asked[from..].to_vec()
    }

    fn upgraded(&self) {
        self.site.server.cli_ok(&["web", "upgrade", "Mall"]);
        assert_eq!(self.site.record("Mall")["version"], "1.1.0");
        assert_eq!(self.staged(), 0, "what was loaded is cleared away");
    }

    fn staged(&self) -> usize {
        let downloads = self.site.server.home.join("downloads");
        std::fs::read_dir(downloads).map_or(0, Iterator::count)
    }
}

fn part(asked: &Asked, zip: &[u8]) -> Answer {
    match asked.headers.get("range") {
        None => ok(zip.to_vec()),
        Some(range) => {
            let from = range.trim_start_matches("bytes=").trim_end_matches('-');
            let from: usize = from.parse().expect("a number");
            Answer::Part(from, zip[from..].to_vec())
        }
    }
}

#[test]
fn a_download_goes_on_in_the_next_attempt() {
    let bench = Bench::new();
    let middle = bench.break_off();
    assert_eq!(bench.staged(), 1);
    let before = bench.ranges(0).len();
    let zip = bench.zip.clone();
    bench.say(move |asked| Some(part(asked, &zip)));
    bench.upgraded();
    assert_eq!(bench.ranges(before), [Some(format!("bytes={middle}-"))]);
}

#[test]
fn a_download_goes_on_after_the_server_was_started_anew() {
    let mut bench = Bench::new();
    let middle = bench.break_off();
    let before = bench.ranges(0).len();
    for kill in [true, false] {
        bench.site.start_again(kill);
        assert_eq!(bench.staged(), 1, "killed: {kill}");
    }
    let zip = bench.zip.clone();
    bench.say(move |asked| Some(part(asked, &zip)));
    bench.upgraded();
    assert_eq!(bench.ranges(before), [Some(format!("bytes={middle}-"))]);

    // A part that was changed meanwhile is no part of the package any more: all of it is loaded anew.
    let work = bench.site.work.path().to_owned();
    bench.market.publish(&work, "Mall", "1.2.0");
    bench.zip = std::fs::read(work.join("Mall-1.2.0.zip")).expect("a zip");
    bench.break_off();
    let downloads = bench.site.server.home.join("downloads");
    for entry in std::fs::read_dir(downloads).expect("a directory") {
        let path = entry.expect("an entry").path();
        let size = std::fs::metadata(&path).expect("a file").len();
        let size = usize::try_from(size).expect("a size");
        std::fs::write(path, vec![b'x'; size]).expect("other bytes");
    }
    bench.site.start_again(true);
    let zip = bench.zip.clone();
    bench.say(move |asked| Some(part(asked, &zip)));
    bench.site.server.cli_ok(&["web", "upgrade", "Mall"]);
    assert_eq!(bench.site.record("Mall")["version"], "1.2.0");
    assert_eq!(bench.staged(), 0);
}

#[test]
fn a_server_that_knows_no_ranges_sends_all_of_it_again() {
    let bench = Bench::new();
    bench.break_off();
    bench.say(|_| None);
    bench.upgraded();
}

#[test]
fn a_part_of_another_version_is_not_gone_on_with() {
    let mut bench = Bench::new();
    bench.break_off();
    let work = bench.site.work.path().to_owned();
    bench.market.publish(&work, "Mall", "1.2.0");
    let zip = std::fs::read(work.join("Mall-1.2.0.zip")).expect("a zip");
    let before = bench.ranges(0).len();
    bench.say(move |asked| Some(part(asked, &zip)));
    bench.site.server.cli_ok(&["web", "upgrade", "Mall"]);
    assert_eq!(bench.site.record("Mall")["version"], "1.2.0");
    assert_eq!(bench.ranges(before), [None]);
    assert_eq!(bench.staged(), 0);
}

#[test]
fn a_part_that_went_bad_is_loaded_anew_and_a_package_that_is_bad_is_refused() {
    let bench = Bench::new();
    // The first half comes wrong, and the rest right: together they are not the package.
    let (zip, middle) = (bench.zip.clone(), bench.zip.len() / 2);
    bench.say(move |asked| {
        Some(match asked.headers.get("range") {
            None => Answer::Broken(zip.len(), vec![b'x'; middle]),
            Some(_) => Answer::Body(503, Vec::new()),
        })
    });
    bench.site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(bench.staged(), 1);
    let (zip, before) = (bench.zip.clone(), bench.ranges(0).len());
    bench.say(move |asked| Some(part(asked, &zip)));
    bench.upgraded();
    let asked = bench.ranges(before);
    assert_eq!(asked, [Some(format!("bytes={middle}-")), None]);

    // One that is bad as a whole is not tried for ever.
    let mut bench = Bench::new();
    let bad = vec![b'x'; bench.zip.len()];
    bench.say(move |asked| Some(part(asked, &bad)));
    let (_, problem) = bench.site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(problem["code"], "E_PACKAGE_HASH", "{problem}");
    assert_eq!((bench.ranges(1).len(), bench.staged()), (1, 0));
    // Nor one that is longer than announced, with or without a word of it beforehand.
    for announced in [1, 1 << 30] {
        let long = [bench.zip.clone(), vec![0; 1 << 20]].concat();
        bench.say(move |_| {
            let length = announced.max(long.len());
            Some(Answer::Broken(length, long.clone()))
        });
        let (_, problem) = bench.site.posted("/v1/web/upgrades/Mall", &json!({}));
        assert_eq!(problem["code"], "E_PACKAGE_HASH", "{problem}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|it| it.contains("more than"))
        );
    }
    // All the while what is here works, and a good one is taken.
    assert_eq!(bench.site.record("Mall")["version"], "1.0.0");
    bench.say(|_| None);
    let work = bench.site.work.path().to_owned();
    bench.market.publish(&work, "Other", "1.0.0");
    bench.upgraded();
}

#[test]
fn answers_with_other_bytes_than_asked_for_are_not_put_together() {
    for (name, begins, more) in [("begins elsewhere", 1, 0), ("has another length", 0, 5)] {
        let bench = Bench::new();
        let middle = bench.break_off();
        let zip = bench.zip.clone();
        bench.say(move |asked| {
            asked.headers.get("range")?;
            let (from, end) = (middle + begins, zip.len() - 1);
            let range = format!("bytes {from}-{end}/{}", zip.len() + more);
            let body = zip[from..].to_vec();
            let headers = vec![("content-range", range)];
            Some(Answer::Full(206, headers, body.len(), body))
        });
        bench.upgraded();
        assert!(bench.ranges(0).len() > 2, "{name}");
    }
    // A beginning that is longer than what is there now.
    let bench = Bench::new();
    bench.break_off();
    bench.say(|asked| {
        asked
            .headers
            .get("range")
            .map(|_| Answer::Body(416, Vec::new()))
    });
    bench.upgraded();
}

/// A market of Fresns' protocol; nothing says which bytes its packages have.
fn unsigned(tags: [&'static str; 2]) -> (Site, Pages, Arc<AtomicUsize>, usize) {
    let site = Site::new();
    site.install("Mall", "1.0.0");
    let zip = package(site.work.path(), "Mall", "1.1.0", &json!({}));
    let zip = std::fs::read(zip).expect("a zip");
    let middle = zip.len() / 2;
    let step = Arc::new(AtomicUsize::new(0));
    let at = Arc::clone(&step);
    let market = Pages::new(move |asked: &Asked| {
        if asked.path.starts_with("/api/") {
            let host = &asked.headers["host"];
            let url = format!("http://{host}/z.zip");
            let data = json!({ "fskey": "Mall", "version": "1.1.0", "zipBall": url });
            return ok(json!({ "code": 0, "message": "ok", "data": data }).to_string());
        }
        let step = at.load(Ordering::SeqCst);
        let tag = vec![("etag", tags[step].to_owned())];
        let range = asked.headers.get("range");
        if step == 0 {
            return match range {
                None => Answer::Full(200, tag, zip.len(), zip[..middle].to_vec()),
                Some(_) => Answer::Body(503, Vec::new()),
            };
        }
        // As servers do: the rest only of what the client has the beginning of.
        let same = asked
            .headers
            .get("if-range")
            .is_none_or(|it| it == tags[step]);
        match range.filter(|_| same) {
            Some(_) => part(asked, &zip),
            None => Answer::Full(200, tag, zip.len(), zip.clone()),
        }
    });
    site.add_legacy("old", &market.url());
    let (status, problem) = site.posted("/v1/web/upgrades/Mall", &json!({}));
    assert_eq!(status, 502, "{problem}");
    (site, market, step, middle)
}

#[test]
fn without_a_hash_only_what_the_server_vouches_for_is_gone_on_with() {
    for (tags, continued) in [
        (["\"one\"", "\"one\""], true),
        (["\"one\"", "\"two\""], true),
        (["W/\"one\"", "W/\"one\""], false),
    ] {
        let (site, market, step, middle) = unsigned(tags);
        let look = |asked: &Asked| {
            let header = |name: &str| asked.headers.get(name).cloned();
            (header("range"), header("if-range"))
        };
        let before = market.asked("/z.zip", look).len();
        step.store(1, Ordering::SeqCst);
        site.server.cli_ok(&["web", "upgrade", "Mall"]);
        assert_eq!(site.record("Mall")["version"], "1.1.0", "{tags:?}");
        let asked = market.asked("/z.zip", look)[before..].to_vec();
        let expected = if continued {
            (Some(format!("bytes={middle}-")), Some(tags[0].to_owned()))
        } else {
            (None, None)
        };
        assert_eq!(asked, [expected], "{tags:?}");
    }
}

#[test]
fn a_market_that_drips_is_given_up_and_nothing_stays() {
    let site = Site::new();
    site.install("Mall", "1.0.0");
    let dripping = Pages::new(|_: &Asked| Answer::Drip);
    site.add_legacy("drip", &dripping.url());
    for path in ["/v1/web/upgrades/Mall", "/v1/web/downloads/Shop"] {
        let (status, problem) = site.posted(path, &json!({}));
        assert_eq!(
            (status, &problem["code"]),
            (502, &json!("E_MARKET_UNREACHABLE")),
            "{problem}"
        );
    }
    let report: Json = site.check();
    assert_eq!(report["complete"], false, "{report}");
    site.server.cli_ok(&["market", "remove", "drip", "--yes"]);
}
