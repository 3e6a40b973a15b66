//! The process is killed at every point there is: before and after each write of the journal and each
//! effect, in the change itself and in the recovery. What is left is the old or the new state.
//!
//! The child is this test binary again, told by its environment what to do ([`child`]).

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use plugyard_http::PageQuery;
use plugyard_model::VersionId;
use plugyard_platform::kind::Version;
use plugyard_platform::operations::{OperationFilter, OperationState};
use plugyard_platform::{ChangeRequest, Home, Outcome, Platform, Settings, Source, TakeIn};
use plugyard_store::testing::{self, TestDatabase};
use plugyard_store::{Database, DatabaseUrl};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{Bench, Fake, operator, package, plugin, world};

const TASK: &str = "PLUGYARD_CRASH_TASK";

/// What a child has to do.
#[derive(Serialize, Deserialize)]
struct Task {
    database: String,
    home: String,
    key: String,
    what: What,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
enum What {
    TakeInAndInstall,
    Install(VersionId),
    Upgrade(VersionId),
    Rollback,
    Disable,
    Uninstall,
    Recover,
}

/// Not a test of its own: what the children of the others run.
#[tokio::test]
async fn child() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let task: Task = serde_json::from_str(&task).unwrap();
    let url: DatabaseUrl = task.database.parse().unwrap();
    let home = Path::new(&task.home);
    let settings = Settings::new(Home::new(home), Database::open(&url).await.unwrap());
    let platform = Platform::open(settings, vec![Fake::new(home)])
        .await
        .unwrap();
    let (who, name) = (operator(), plugin(&task.key));
    let request = match task.what {
        What::TakeInAndInstall => {
            let directory = package(&task.key, "1", json!({}));
            let source = Source::Path(directory.path().to_owned());
            let intake = platform.take_in(source, TakeIn::default()).await.unwrap();
            ChangeRequest::Install {
                version: intake.version.id,
                wanted: None,
            }
        }
        What::Install(version) => ChangeRequest::Install {
            version,
            wanted: None,
        },
        What::Upgrade(version) => ChangeRequest::Upgrade { version },
        What::Rollback => ChangeRequest::Rollback { to: None },
        What::Disable => ChangeRequest::Disable,
        What::Uninstall => ChangeRequest::Uninstall { keep_data: false },
        What::Recover => return platform.recover().await.unwrap(),
    };
    let id = platform.change(&who, &name, request).await.unwrap();
    platform.wait(id).await.unwrap();
}

/// Runs a child that is killed at its `kill_at`-th point; says whether it was.
async fn killed(bench: &Bench, key: &str, what: What, kill_at: usize) -> bool {
    let task = Task {
        database: bench.test.address.clone(),
        home: bench.home.path().display().to_string(),
        key: key.to_owned(),
        what,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "the child is this test, not a plugin"
    )]
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["crash::child", "--exact", "--quiet", "--nocapture"])
        .env(TASK, serde_json::to_string(&task).unwrap())
        .env("PLUGYARD_KILL_AT", kill_at.to_string())
        .stdout(Stdio::null());
    // Aside: what this process still writes must not be held up, the child waits for it.
    let status = tokio::task::spawn_blocking(move || command.status())
        .await
        .unwrap()
        .unwrap();
    match status.signal() {
        Some(9) => true,
        None if status.success() => false,
        _ => panic!("the child ended with {status} at point {kill_at}"),
    }
}

/// What a plugin's first state is, and what is done to it.
struct Scenario {
    installed: &'static [&'static str],
    /// What is wrong with the new version.
    new: serde_json::Value,
    what: fn(VersionId) -> What,
    /// Whether a second kill, in the recovery, is tried too.
    twice: bool,
}

/// A plugin's state that can be told from others: what runs, what is wanted, what the rows say.
#[derive(Debug, PartialEq)]
struct State {
    effects: BTreeMap<String, String>,
    versions: Option<(Option<VersionId>, Option<VersionId>)>,
    wanted: Option<plugyard_model::Wanted>,
}

async fn state(bench: &Bench, platform: &Platform, key: &str) -> State {
    let view = platform.installation(key).await.ok();
    State {
        effects: bench.kind.effects(key),
        wanted: view.as_ref().map(|it| it.wanted),
        versions: view.map(|it| (it.current.map(|it| it.id), it.previous.map(|it| it.id))),
    }
}

/// Brings a plugin into the scenario's first state, and makes the new version.
async fn prepare(bench: &Bench, scenario: &Scenario, key: &str) -> Version {
    let name = plugin(key);
    for (index, label) in scenario.installed.iter().enumerate() {
        let version = bench.version(key, label, json!({})).await;
        let request = match index {
            0 => ChangeRequest::Install {
                version: version.id,
                wanted: None,
            },
            _ => ChangeRequest::Upgrade {
                version: version.id,
            },
        };
        let id = bench
            .platform
            .change(&operator(), &name, request)
            .await
            .unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
    }
    bench.version(key, "new", scenario.new.clone()).await
}

/// What the change leads to when nothing goes wrong, made by an unhurt run.
async fn unhurt(bench: &Bench, scenario: &Scenario, key: &str) -> State {
    let new = prepare(bench, scenario, key).await;
    assert!(!killed(bench, key, (scenario.what)(new.id), 0).await);
    state(bench, &bench.platform, key).await
}

/// States of different plugins, whose ids and digests differ, are compared by their shape.
fn shape(state: &State, versions: &[Version]) -> String {
    let named = |text: String| {
        versions
            .iter()
            .enumerate()
            .fold(text, |text, (index, version)| {
                text.replace(&version.digest.to_string(), &format!("DIGEST{index}"))
                    .replace(&format!("{:?}", version.id), &format!("ID{index}"))
            })
    };
    let effects: BTreeMap<_, _> = state
        .effects
        .iter()
        .map(|(name, content)| (named(name.clone()), named(content.clone())))
        .collect();
    format!(
        "{effects:?} {} {:?}",
        named(format!("{:?}", state.versions)),
        state.wanted
    )
}

async fn versions_by_label(platform: &Platform, key: &str) -> Vec<Version> {
    let mut versions: Vec<_> = platform
        .versions(&plugin(key))
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.version)
        .collect();
    versions.sort_by(|a, b| a.label.cmp(&b.label));
    versions
}

async fn run(test: TestDatabase, scenario: Scenario) {
    let bench = Bench::new(test).await;
    let new_state = unhurt(&bench, &scenario, "unhurt").await;
    let versions = versions_by_label(&bench.platform, "unhurt").await;
    let new_shape = shape(&new_state, &versions);
    let (mut olds, mut news) = (0, 0);
    for point in 1.. {
        let key = format!("k{point}");
        let new = prepare(&bench, &scenario, &key).await;
        let versions = versions_by_label(&bench.platform, &key).await;
        let old_shape = shape(&state(&bench, &bench.platform, &key).await, &versions);
        if !killed(&bench, &key, (scenario.what)(new.id), point).await {
            break;
        }
        if scenario.twice {
            // Somewhere in the recovery; past its end it is a recovery that is not killed.
            killed(&bench, &key, What::Recover, 1 + point * 7 % 23).await;
        }
        let platform = bench.reopen().await;
        let after = state(&bench, &platform, &key).await;
        let after_shape = shape(&after, &versions);
        if after_shape == old_shape {
            olds += 1;
        } else {
            assert_eq!(
                after_shape, new_shape,
                "killed at point {point} on {}",
                bench.test.sort
            );
            news += 1;
        }
        let filter = OperationFilter {
            plugin: Some(plugin(&key)),
        };
        let page = platform
            .operations(&filter, &PageQuery::default())
            .await
            .unwrap();
        for operation in page.items {
            assert_ne!(operation.state, OperationState::Running, "point {point}");
            assert_ne!(operation.state, OperationState::UndoFailed, "point {point}");
        }
        // A second recovery finds nothing to do, and the plugin can be changed again.
        let platform = bench.reopen().await;
        assert_eq!(state(&bench, &platform, &key).await, after, "point {point}");
        if after.versions.is_some() {
            let id = platform
                .uninstall(&operator(), &plugin(&key), false)
                .await
                .unwrap();
            assert_eq!(platform.wait(id).await.unwrap(), Outcome::Done);
        }
        assert!(bench.kind.effects(&key).is_empty());
    }
    // Both ends were seen, or the kills hit nothing.
    assert!(olds > 3, "{olds} ended old, {news} new");
    assert!(
        news > 0 || scenario.new["fail"].is_array(),
        "{olds} ended old, {news} new"
    );
}

async fn run_everywhere(scenario: impl Fn() -> Scenario) {
    let runs = testing::databases()
        .await
        .into_iter()
        .map(|test| run(test, scenario()));
    futures::future::join_all(runs).await;
}

#[tokio::test]
async fn a_first_installation_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        installed: &[],
        new: json!({}),
        what: What::Install,
        twice: false,
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        installed: &["1"],
        new: json!({}),
        what: What::Upgrade,
        twice: true,
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_that_fails_survives_a_kill_at_every_point_of_its_way_back() {
    run_everywhere(|| Scenario {
        installed: &["1"],
        new: json!({ "fail": ["probe"] }),
        what: What::Upgrade,
        twice: true,
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_whose_commit_fails_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        installed: &["1"],
        new: json!({ "fail": ["switch"] }),
        what: What::Upgrade,
        twice: false,
    })
    .await;
}

#[tokio::test]
async fn a_rollback_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        installed: &["1", "2"],
        new: json!({}),
        what: |_| What::Rollback,
        twice: false,
    })
    .await;
}

#[tokio::test]
async fn disabling_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        installed: &["1"],
        new: json!({}),
        what: |_| What::Disable,
        twice: false,
    })
    .await;
}

#[tokio::test]
async fn uninstalling_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        installed: &["1"],
        new: json!({}),
        what: |_| What::Uninstall,
        twice: false,
    })
    .await;
}

#[tokio::test]
async fn taking_in_survives_a_kill_at_every_point() {
    for test in testing::databases().await {
        let bench = Bench::new(test).await;
        for point in 1.. {
            let key = format!("k{point}");
            let hurt = killed(&bench, &key, What::TakeInAndInstall, point).await;
            let platform = bench.reopen().await;
            // A version that is listed has its bytes.
            for view in platform.versions(&plugin(&key)).await.unwrap() {
                let objects = plugyard_store::Objects::local(bench.home.path().join("objects"));
                let file = objects
                    .unwrap()
                    .local_file(&view.version.digest)
                    .await
                    .unwrap();
                let (digest, _) = plugyard_archive::digest_file(file).unwrap();
                assert_eq!(digest, view.version.digest);
            }
            // And there are no bytes that are not listed.
            let objects = std::fs::read_dir(bench.home.path().join("objects/packages")).unwrap();
            let packages = platform.plugins().await.unwrap();
            let listed: usize = packages.iter().map(|it| it.versions.len()).sum();
            assert_eq!(objects.count(), listed, "point {point}");
            let staging = std::fs::read_dir(bench.home.path().join("staging")).unwrap();
            assert_eq!(staging.count(), 0, "point {point}");
            if platform.installation(&key).await.is_err() {
                assert!(bench.kind.effects(&key).is_empty(), "point {point}");
                bench.installed(&key).await;
            }
            let version = platform.installation(&key).await.unwrap().current.unwrap();
            assert_eq!(bench.kind.effects(&key), world(&version, &[&version]));
            if !hurt {
                assert!(point > 20, "only {point} points were passed");
                break;
            }
        }
    }
}
