//! What must always hold of `is_upgrade`: random sequences of market answers and operations, compared with a
//! plain model.

use std::sync::{Arc, Mutex};

use semver::Version;
use serde_json::{Value as Json, json};

use super::pages::{Answer, Asked, Pages, ok};
use super::site::{Site, package, settled, sites};

/// In order; the model relies on it.
const VERSIONS: [&str; 6] = ["1.0.0", "1.1.0-beta.1", "1.1.0", "1.9.0", "1.10.0", "2.0.0"];

/// What a record should say.
#[derive(Debug, Default, Clone, PartialEq)]
struct Model {
    installed: Option<usize>,
    flag: Option<String>,
    enabled: bool,
    /// What is in force, and what was before: the version, and its bytes, as there may be others of the same name.
    now: Option<(usize, String)>,
    before: Option<(usize, String)>,
    /// How often it went back, to be sure that it did.
    went_back: usize,
}

impl Model {
    fn check(&mut self, answer: Option<&str>) {
        let (Some(installed), Some(answer)) = (self.installed, answer) else {
            return;
        };
        let Ok(offered) = Version::parse(answer) else {
            return;
        };
        let here = Version::parse(VERSIONS[installed]).expect("a version");
        let allowed = offered.pre.is_empty() || !here.pre.is_empty();
        let newer = offered.cmp_precedence(&here).is_gt();
        self.flag = (newer && allowed).then(|| answer.to_owned());
    }

    fn goes_to(&mut self, version: usize, site: &Site) {
        self.flag = None;
        self.is_now(version, site);
    }

    /// Going back leaves announced what is still newer.
    fn goes_back_to(&mut self, version: usize, site: &Site) {
        let here = Version::parse(VERSIONS[version]).expect("a version");
        let newer = |flag: &String| {
            let flag = Version::parse(flag).expect("a version");
            flag.cmp_precedence(&here).is_gt()
        };
        self.flag = self.flag.take().filter(newer);
        self.is_now(version, site);
        self.went_back += 1;
    }

    fn is_now(&mut self, version: usize, site: &Site) {
        let digest = site.server.shown("web:Mall")["version"]["digest"].to_string();
        let next = Some((version, digest));
        if self.now.is_some() && self.now != next {
            self.before = self.now.take();
        }
        self.now = next;
        self.installed = Some(version);
    }
}

/// A plain generator, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = usize::try_from(self.0 >> 33).expect("31 bits");
        high % bound
    }
}

#[test]
fn web_38_the_flag_and_its_version_agree_after_any_sequence() {
    for (round, site) in sites("market_model").into_iter().enumerate() {
        let zips: Vec<Vec<u8>> = VERSIONS
            .iter()
            .map(|version| {
                let zip = package(site.work.path(), "Mall", version, &json!({}));
                std::fs::read(zip).expect("a zip")
            })
            .collect();
        // What the market says, and the package it has.
        let said: Arc<Mutex<(Json, usize)>> = Arc::new(Mutex::new((Json::Null, 0)));
        let told = Arc::clone(&said);
        let market = Pages::new(move |asked: &Asked| {
            let (answer, at) = told.lock().expect("no panic").clone();
            let host = asked.headers.get("host").cloned().unwrap_or_default();
            if asked.path.contains("/check") {
                match answer.as_u64() {
                    Some(status) => {
                        Answer::Body(u16::try_from(status).expect("a status"), Vec::new())
                    }
                    None => ok(json!({ "code": 0, "data": { "Mall": answer } }).to_string()),
                }
            } else if asked.path.starts_with("/api/") {
                let data = json!({ "fskey": "Mall", "version": VERSIONS[at], "zipBall": format!("http://{host}/z.zip") });
                ok(json!({ "code": 0, "data": data }).to_string())
            } else {
                ok(zips[at].clone())
            }
        });
        site.add_legacy("old", &market.url());
        let mut model = Model::default();
        let mut dice = Dice(7 + round as u64);
        for step in 0..90 {
            act(&site, &said, &mut model, &mut dice);
            if model.installed.is_some() {
                let record = site.record("Mall");
                assert_eq!(record["isEnabled"], model.enabled, "step {step}: {model:?}");
                let flag = site.flag("Mall");
                let installed = model.installed.map(|it| VERSIONS[it]);
                assert_eq!(
                    record["version"].as_str(),
                    installed,
                    "step {step}: {model:?}"
                );
                assert_eq!(flag, model.flag, "step {step}: {model:?} {record}");
                if let Some(flag) = flag {
                    let version = |text: &str| Version::parse(text).expect("a version");
                    let here = version(record["version"].as_str().expect("a version"));
                    assert!(
                        version(&flag).cmp_precedence(&here).is_gt(),
                        "step {step}: {record}"
                    );
                }
            }
        }
        assert!(model.went_back > 3, "round {round}: {model:?}");
    }
}

fn act(site: &Site, said: &Mutex<(Json, usize)>, model: &mut Model, dice: &mut Dice) {
    let at = dice.below(VERSIONS.len());
    match dice.below(15) {
        0..=3 => {
            let odd = [json!(null), json!(500), json!("new"), json!("1.9.0+b2")];
            let answer = match dice.below(3) {
                0 => odd[dice.below(odd.len())].clone(),
                _ => json!(VERSIONS[at]),
            };
            said.lock().expect("no panic").0 = answer.clone();
            site.check();
            model.check(answer.as_str());
        }
        4 | 5 => {
            said.lock().expect("no panic").1 = at;
            let (status, answer) = site.posted("/v1/web/downloads/Mall", &json!({}));
            if model.installed.is_some_and(|here| here > at) {
                assert_eq!(answer["code"], "E_DOWNGRADE");
            } else {
                assert_eq!(status, 202, "{answer}");
                let id = answer["operation"].as_str().expect("an operation");
                site.server.cli_ok(&["operation", "watch", id]);
                model.goes_to(at, site);
            }
        }
        6 => {
            said.lock().expect("no panic").1 = at;
            let (status, answer) = site.posted("/v1/web/upgrades/Mall", &json!({}));
            match model.installed {
                Some(here) if at > here => {
                    assert_eq!(status, 202, "{answer}");
                    let id = answer["operation"].as_str().expect("an operation");
                    site.server.cli_ok(&["operation", "watch", id]);
                    model.goes_to(at, site);
                }
                Some(_) => assert_eq!(answer["code"], "E_NO_UPGRADE"),
                None => assert_eq!(answer["code"], "E_NOT_FOUND"),
            }
        }
        7 => leave(site, model, dice),
        8 | 9 => {
            let (status, answer) = site.posted("/v1/web/plugins/Mall/rollback", &json!({}));
            match model.before.clone() {
                Some((to, _)) => {
                    assert_eq!(status, 200, "{answer}");
                    model.goes_back_to(to, site);
                }
                None => assert!((400..500).contains(&status), "{answer}"),
            }
        }
        10 => {
            // Older versions may be gone: three are kept beside the one in force.
            let to = json!({ "to": VERSIONS[at] });
            let (status, answer) = site.posted("/v1/web/plugins/Mall/rollback", &to);
            if status == 200 {
                model.goes_back_to(at, site);
            } else {
                assert!(matches!(status, 404 | 409), "{answer}");
            }
        }
        11 | 12 => from_here(site, at, model, dice),
        13 => {
            let verb = if model.enabled {
                "deactivate"
            } else {
                "activate"
            };
            let (status, answer) = site.posted(&format!("/v1/web/plugins/Mall/{verb}"), &json!({}));
            if model.installed.is_some() {
                assert_eq!(status, 200, "{answer}");
                model.enabled = !model.enabled;
            }
        }
        _ if model.enabled => {
            // It cannot say that it works, so it goes back; what was announced stays announced.
            let platform = json!({ "healthPath": "/health" });
            let zip = package(site.work.path(), "Mall", "9.0.0", &platform);
            let zip = zip.display().to_string();
            let ended = site.server.cli(&["upgrade", "web:Mall", &zip]);
            assert_ne!(ended.code, 0, "{ended:?}");
        }
        _ => {}
    }
    if model.installed.is_some() {
        settled(site, "Mall");
    }
}

/// Uninstalled, and now and then forgotten altogether. A plugin that comes again is not flagged by what was said of
/// it before.
fn leave(site: &Site, model: &mut Model, dice: &mut Dice) {
    if model.installed.is_none() {
        return;
    }
    site.server
        .cli_ok(&["uninstall", "web:Mall", "--keep-data", "--yes"]);
    *model = Model {
        went_back: model.went_back,
        ..Model::default()
    };
    if dice.below(2) == 0 {
        site.server.cli_ok(&["web", "purge", "Mall", "--yes"]);
    }
}

/// A package from this machine, also an older one.
fn from_here(site: &Site, at: usize, model: &mut Model, dice: &mut Dice) {
    let zip = package(site.work.path(), "Mall", VERSIONS[at], &json!({}));
    let zip = zip.display().to_string();
    let Some(here) = model.installed else {
        site.server.cli_ok(&["install", &zip]);
        model.goes_to(at, site);
        return;
    };
    if dice.below(2) == 0 {
        site.server
            .cli_ok(&["upgrade", "web:Mall", &zip, "--allow-downgrade"]);
        model.goes_to(at, site);
    } else {
        let ended = site.server.cli(&["upgrade", "web:Mall", &zip]);
        assert_eq!(ended.code == 0, at >= here, "{ended:?}");
        if at >= here {
            model.goes_to(at, site);
        }
    }
}
