//! The process is killed at every point there is: before and after each write of the journal and each
//! effect, in the change itself and in the recovery. What is left is the old or the new state.
//!
//! The child is this test binary again, told by its environment what to do ([`child`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use plugyard_http::PageQuery;
use plugyard_model::{VersionId, codes};
use plugyard_platform::failpoint;
use plugyard_platform::kind::Version;
use plugyard_platform::operations::{OperationFilter, OperationState};
use plugyard_platform::{
    ChangeRequest, Home, InstallationView, Outcome, Platform, Settings, Source, TakeIn,
};
use plugyard_store::testing::{self, TestDatabase};
use plugyard_store::{Database, DatabaseUrl};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{Bench, DATA, Fake, operator, package, plugin, world};

const TASK: &str = "PLUGYARD_CRASH_TASK";

/// What a child has to do.
#[derive(Serialize, Deserialize)]
struct Task {
    database: String,
    home: String,
    key: String,
    what: What,
    keep_versions: usize,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
enum What {
    TakeInAndInstall,
    Install(VersionId),
    Upgrade(VersionId),
    Rollback,
    Enable,
    Disable,
    Restart,
    Uninstall { keep_data: bool },
    Perform,
    Prepare(VersionId),
    Rescan,
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
    let mut settings = Settings::new(Home::new(home), Database::open(&url).await.unwrap());
    settings.keep_versions = task.keep_versions;
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
        What::Enable => ChangeRequest::Enable,
        What::Disable => ChangeRequest::Disable,
        What::Restart => ChangeRequest::Restart,
        What::Uninstall { keep_data } => ChangeRequest::Uninstall { keep_data },
        What::Perform => ChangeRequest::Perform { task: "note" },
        What::Prepare(version) => ChangeRequest::Prepare {
            task: "note",
            version,
        },
        What::Rescan => {
            for found in platform.rescan(&who).await.unwrap() {
                let id = found.outcome.unwrap().operation.unwrap();
                platform.wait(id).await.unwrap();
            }
            return platform.shut_down().await;
        }
        What::Recover => return platform.recover().await.unwrap(),
    };
    let id = platform.change(&who, &name, request).await.unwrap();
    platform.wait(id).await.unwrap();
    // With what nobody waits for, such as the pruning of versions.
    platform.shut_down().await;
}

/// Runs a child that is killed at its `kill_at`-th point; says whether it was. The platform of this process
/// has ended then, as two servers never share a home; [`Bench::start_again`] is what comes next.
async fn killed(bench: &Bench, key: &str, what: What, kill_at: usize) -> bool {
    bench.platform.shut_down().await;
    let task = Task {
        database: bench.test.address.clone(),
        home: bench.home.path().display().to_string(),
        key: key.to_owned(),
        what,
        keep_versions: bench.keep_versions,
    };
    failpoint::killed("crash::child", TASK, &task, kill_at).await
}

/// What a plugin's first state is, and what is done to it.
struct Scenario {
    /// What it is called in the count of cases.
    name: &'static str,
    installed: &'static [&'static str],
    /// It rests.
    rests: bool,
    /// What is wrong with the new version.
    new: serde_json::Value,
    what: fn(VersionId) -> What,
    /// Whether a second kill, in the recovery, is tried too.
    twice: bool,
    /// How many versions the killed process keeps, and those after it.
    keep_versions: usize,
}

/// A plugin's state that can be told from others: what runs, what is wanted, what the rows say.
#[derive(Debug, PartialEq)]
struct State {
    effects: BTreeMap<String, String>,
    versions: Option<(Option<VersionId>, Option<VersionId>)>,
    wanted: Option<plugyard_model::Wanted>,
    /// Labels of all versions that have a row.
    labels: Vec<String>,
}

async fn state(bench: &Bench, key: &str) -> State {
    let view = bench.platform.installation(key).await.ok();
    State {
        effects: bench.kind.effects(key),
        wanted: view.as_ref().map(|it| it.wanted),
        versions: view.map(|it| (it.current.map(|it| it.id), it.previous.map(|it| it.id))),
        labels: versions_by_label(bench, key)
            .await
            .into_iter()
            .map(|it| it.label)
            .collect(),
    }
}

/// What no kill may leave: bytes without a row or rows without bytes, half-taken packages, open operations.
async fn assert_nothing_left_over(bench: &Bench, key: &str, place: &str) {
    let platform = &bench.platform;
    let query = PageQuery {
        limit: Some(PageQuery::MAX_LIMIT),
        ..PageQuery::default()
    };
    let plugins = platform.plugins(&query).await.unwrap();
    assert_eq!(plugins.next, None, "a page holds them all");
    let listed: BTreeSet<_> = plugins
        .items
        .into_iter()
        .flat_map(|it| it.versions)
        .map(|it| it.version.digest.to_string())
        .collect();
    let objects: BTreeSet<_> = std::fs::read_dir(bench.home.path().join("objects/packages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(objects, listed, "{place}");
    let staging = std::fs::read_dir(bench.home.path().join("staging")).unwrap();
    assert_eq!(staging.count(), 0, "{place}");
    let filter = OperationFilter {
        plugin: Some(plugin(key)),
    };
    let page = PageQuery::default();
    for operation in platform.operations(&filter, &page).await.unwrap().items {
        assert_ne!(operation.state, OperationState::Running, "{place}");
        assert_ne!(operation.state, OperationState::UndoFailed, "{place}");
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
    if scenario.rests {
        let id = bench.platform.disable(&operator(), &name).await.unwrap();
        assert_eq!(bench.platform.wait(id).await.unwrap(), Outcome::Done);
    }
    let data = bench.home.path().join("effects").join(key).join(DATA);
    if !scenario.installed.is_empty() {
        std::fs::write(data, "kept").unwrap();
    }
    bench.version(key, "new", scenario.new.clone()).await
}

/// What the change leads to when nothing goes wrong, made by an unhurt run.
async fn unhurt(bench: &mut Bench, scenario: &Scenario, key: &str) -> String {
    let new = prepare(bench, scenario, key).await;
    let versions = versions_by_label(bench, key).await;
    assert!(!killed(bench, key, (scenario.what)(new.id), 0).await);
    let shape = shape(&state(bench, key).await, &versions);
    bench.start_again().await;
    shape
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
        "{effects:?} {} {:?} {:?}",
        named(format!("{:?}", state.versions)),
        state.wanted,
        state.labels,
    )
}

async fn versions_by_label(bench: &Bench, key: &str) -> Vec<Version> {
    let mut versions: Vec<_> = bench
        .platform
        .versions(&plugin(key))
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.version)
        .collect();
    versions.sort_by(|a, b| a.label.cmp(&b.label));
    versions
}

/// What a start without a change before it leads to.
async fn untouched(bench: &mut Bench, scenario: &Scenario, key: &str) -> String {
    prepare(bench, scenario, key).await;
    let versions = versions_by_label(bench, key).await;
    start_keeping(bench, scenario.keep_versions).await;
    shape(&state(bench, key).await, &versions)
}

async fn start_keeping(bench: &mut Bench, keep_versions: usize) {
    bench.keep_versions = keep_versions;
    bench.start_again().await;
}

async fn run(test: TestDatabase, scenario: Scenario) -> usize {
    let mut bench = Bench::new(test).await;
    // Nothing is pruned while states are prepared.
    start_keeping(&mut bench, usize::MAX).await;
    let old_shape = untouched(&mut bench, &scenario, "untouched").await;
    start_keeping(&mut bench, usize::MAX).await;
    bench.keep_versions = scenario.keep_versions;
    let new_shape = unhurt(&mut bench, &scenario, "unhurt").await;
    let (mut olds, mut news) = (0, 0);
    for point in 1.. {
        let key = format!("k{point}");
        let place = format!("killed at point {point} on {}", bench.test.sort);
        start_keeping(&mut bench, usize::MAX).await;
        let new = prepare(&bench, &scenario, &key).await;
        let versions = versions_by_label(&bench, &key).await;
        bench.keep_versions = scenario.keep_versions;
        if !killed(&bench, &key, (scenario.what)(new.id), point).await {
            break;
        }
        if scenario.twice {
            // Somewhere in the recovery; past its end it is a recovery that is not killed.
            killed(&bench, &key, What::Recover, 1 + point * 7 % 23).await;
        }
        bench.start_again().await;
        let after = state(&bench, &key).await;
        let after_shape = shape(&after, &versions);
        if after_shape == old_shape {
            olds += 1;
        } else {
            assert_eq!(after_shape, new_shape, "{place}");
            news += 1;
        }
        assert_nothing_left_over(&bench, &key, &place).await;
        // A second recovery finds nothing to do, and the plugin can be changed again.
        bench.start_again().await;
        assert_eq!(state(&bench, &key).await, after, "{place}");
        if after.versions.is_some() {
            let who = operator();
            let id = bench.platform.uninstall(&who, &plugin(&key), false).await;
            let outcome = bench.platform.wait(id.unwrap()).await.unwrap();
            assert_eq!(outcome, Outcome::Done);
            assert!(bench.kind.effects(&key).is_empty(), "{place}");
        }
    }
    // Both ends were seen, or the kills hit nothing.
    assert!(olds > 3, "{olds} ended old, {news} new");
    assert!(
        news > 0 || old_shape == new_shape,
        "{olds} ended old, {news} new"
    );
    olds + news
}

async fn run_everywhere(scenario: impl Fn() -> Scenario) {
    let runs = testing::databases()
        .await
        .into_iter()
        .map(|test| run(test, scenario()));
    let cases: usize = futures::future::join_all(runs).await.into_iter().sum();
    count(cases, scenario().name);
}

/// Says how many kills were survived; `cargo xtask test` adds them up.
#[expect(clippy::print_stdout, reason = "a test says what it covered")]
fn count(cases: usize, name: &str) {
    println!("{name}: {cases} cases");
    println!("counted: {cases} kills at failpoints survived");
}

/// A change to what one version of is installed.
const CHANGE: Scenario = Scenario {
    name: "",
    installed: &["1"],
    rests: false,
    new: serde_json::Value::Null,
    what: |_| What::Restart,
    twice: false,
    keep_versions: 3,
};

#[tokio::test]
async fn a_first_installation_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "install",
        installed: &[],
        what: What::Install,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn an_installation_that_fails_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "install that fails",
        installed: &[],
        new: json!({ "fail": ["probe"] }),
        what: What::Install,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "upgrade",
        what: What::Upgrade,
        twice: true,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_that_fails_survives_a_kill_at_every_point_of_its_way_back() {
    run_everywhere(|| Scenario {
        name: "upgrade that fails",
        new: json!({ "fail": ["probe"] }),
        what: What::Upgrade,
        twice: true,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_whose_commit_fails_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "upgrade whose commit fails",
        new: json!({ "fail": ["switch"] }),
        what: What::Upgrade,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_that_prunes_a_version_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "upgrade and pruning",
        installed: &["1", "2", "3"],
        what: What::Upgrade,
        keep_versions: 2,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn a_rollback_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "rollback",
        installed: &["1", "2"],
        what: |_| What::Rollback,
        twice: true,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn enabling_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "enable",
        rests: true,
        what: |_| What::Enable,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn disabling_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "disable",
        what: |_| What::Disable,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn a_restart_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "restart",
        what: |_| What::Restart,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn uninstalling_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "uninstall",
        what: |_| What::Uninstall { keep_data: false },
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn uninstalling_without_the_data_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "uninstall, data kept",
        what: |_| What::Uninstall { keep_data: true },
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn a_task_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "perform",
        what: |_| What::Perform,
        twice: true,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn a_task_of_a_plugin_that_rests_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "perform at rest",
        rests: true,
        what: |_| What::Perform,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn a_task_without_an_installation_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "prepare",
        installed: &[],
        what: What::Prepare,
        twice: true,
        ..CHANGE
    })
    .await;
}

#[tokio::test]
async fn a_task_without_an_installation_that_fails_survives_a_kill_at_every_point() {
    run_everywhere(|| Scenario {
        name: "prepare that fails",
        installed: &[],
        new: json!({ "fail": ["note"] }),
        what: What::Prepare,
        ..CHANGE
    })
    .await;
}

/// Lets all that was dropped be adopted.
async fn settle(platform: &Platform) {
    loop {
        let found = platform.rescan(&operator()).await.unwrap();
        if found.is_empty() {
            break;
        }
        for it in found {
            match it.outcome {
                Ok(adoption) => {
                    let id = adoption.operation.unwrap();
                    assert_eq!(platform.wait(id).await.unwrap(), Outcome::Done);
                }
                Err(problem) => {
                    assert_eq!(problem.code, codes::OPERATION_IN_PROGRESS);
                    let id = problem.params["operation"].parse().unwrap();
                    platform.wait(id).await.unwrap();
                }
            }
        }
    }
}

/// Waits until nothing is dropped or under way any more. The start looks for itself too, and may still be at it.
async fn adopted(platform: &Platform, key: &str) -> InstallationView {
    let looked = async {
        loop {
            let (all, page) = (OperationFilter::default(), PageQuery::default());
            for operation in platform.operations(&all, &page).await.unwrap().items {
                platform.wait(operation.id).await.unwrap();
            }
            match platform.installation(key).await {
                Ok(view)
                    if view.operation.is_none()
                        && view
                            .current
                            .as_ref()
                            .is_some_and(|it| it.label == "by hand") =>
                {
                    return view;
                }
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), looked)
        .await
        .expect("what was dropped is taken in")
}

async fn adopt(test: TestDatabase, installed: &'static [&'static str]) -> usize {
    let mut bench = Bench::new(test).await;
    let scenario = Scenario {
        installed,
        ..CHANGE
    };
    let mut cases = 0;
    for point in 1.. {
        let key = format!("k{point}");
        let place = format!("killed at point {point} on {}", bench.test.sort);
        let mut old = None;
        if !installed.is_empty() {
            prepare(&bench, &scenario, &key).await;
            old = bench.platform.installation(&key).await.unwrap().current;
        }
        let dropped = bench.kind.dropped_at(&key);
        std::fs::create_dir_all(&dropped).unwrap();
        let manifest = json!({ "name": key, "version": "by hand" }).to_string();
        std::fs::write(dropped.join("fake.json"), &manifest).unwrap();
        let hurt = killed(&bench, &key, What::Rescan, point).await;

        // What was dropped is in force after the next start, however far the last one came.
        bench.start_again().await;
        settle(&bench.platform).await;
        let view = adopted(&bench.platform, &key).await;
        let current = view.current.unwrap();
        assert_eq!(current.label, "by hand", "{place}");
        // It is taken in once.
        assert_eq!(
            view.previous.map(|it| it.id),
            old.map(|it| it.id),
            "{place}"
        );
        assert!(!dropped.exists(), "{place}");
        let put_by = bench
            .home
            .path()
            .join("put-by")
            .join(&key)
            .join("fake.json");
        assert_eq!(
            std::fs::read_to_string(put_by).unwrap(),
            manifest,
            "{place}"
        );
        let effects = bench.kind.effects(&key);
        let running: Vec<_> = effects
            .keys()
            .filter(|it| it.starts_with("started/"))
            .collect();
        assert_eq!(running, [&format!("started/{}", current.digest)], "{place}");
        assert_eq!(effects["current"], current.digest.to_string(), "{place}");
        assert_nothing_left_over(&bench, &key, &place).await;
        if !hurt {
            assert!(point > 20, "only {point} points were passed");
            break;
        }
        cases += 1;
    }
    cases
}

async fn adopt_everywhere(name: &str, installed: &'static [&'static str]) {
    let runs = testing::databases()
        .await
        .into_iter()
        .map(|test| adopt(test, installed));
    let cases: usize = futures::future::join_all(runs).await.into_iter().sum();
    count(cases, name);
}

#[tokio::test]
async fn adopting_a_new_plugin_survives_a_kill_at_every_point() {
    adopt_everywhere("adopt", &[]).await;
}

#[tokio::test]
async fn adopting_a_new_version_survives_a_kill_at_every_point() {
    adopt_everywhere("adopt over a version", &["1"]).await;
}

#[tokio::test]
async fn taking_in_survives_a_kill_at_every_point() {
    let mut cases = 0;
    for test in testing::databases().await {
        let mut bench = Bench::new(test).await;
        for point in 1.. {
            let key = format!("k{point}");
            let place = format!("killed at point {point} on {}", bench.test.sort);
            let hurt = killed(&bench, &key, What::TakeInAndInstall, point).await;
            bench.start_again().await;
            let platform = &bench.platform;
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
            assert_nothing_left_over(&bench, &key, &place).await;
            if platform.installation(&key).await.is_err() {
                assert!(bench.kind.effects(&key).is_empty(), "{place}");
                bench.installed(&key).await;
            }
            let version = bench.platform.installation(&key).await;
            let version = version.unwrap().current.unwrap();
            assert_eq!(bench.kind.effects(&key), world(&version, &[&version]));
            if !hurt {
                assert!(point > 20, "only {point} points were passed");
                break;
            }
            cases += 1;
        }
    }
    count(cases, "take in and install");
}
