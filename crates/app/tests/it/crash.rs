//! Scenario 58: the process is killed at every point there is, between any two statements of an install,
//! an upgrade and an uninstall. After the next start there is the old or the new state: rows, values,
//! record, link and directories, never a mix.
//!
//! The child is this test binary again, told by its environment what to do ([`child`]).

use std::fs;
use std::path::Path;

use plugyard_app::{AppHost, AppSettings};
use plugyard_config::Body;
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_model::{KindId, PluginName, Wanted, codes};
use plugyard_platform::failpoint;
use plugyard_platform::{ChangeRequest, Home, Outcome, Platform, Settings, Source, TakeIn};
use plugyard_store::testing::{TestDatabase, databases};
use plugyard_store::{Database, DatabaseUrl};
use sea_orm::{ConnectionTrait as _, Statement};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

const TASK: &str = "PLUGYARD_APP_CRASH_TASK";

#[derive(Serialize, Deserialize)]
struct Task {
    database: String,
    home: String,
    name: String,
    what: What,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
enum What {
    Install,
    Upgrade,
    Uninstall,
}

fn who() -> Principal {
    Principal {
        name: "test".to_owned(),
        roles: vec![Role::Owner],
    }
}

async fn open(database: Database, home: &Path) -> Platform {
    let home = Home::new(home);
    let host = AppHost::new(AppSettings::default(), home.clone(), database.clone());
    Platform::open(Settings::new(home, database), vec![host.kind()])
        .await
        .unwrap()
}

/// Carries out one change, whose package is what lies in `plugins/`.
async fn change(platform: &Platform, name: &PluginName, what: What) {
    let version = || async {
        let shown = platform.home().plugins().join(name.key.as_str());
        let source = Source::Path(fs::canonicalize(shown).unwrap());
        let options = TakeIn {
            kind: Some(KindId::from_static("app")),
            expected_key: Some(name.key.to_string()),
            ..TakeIn::default()
        };
        platform.take_in(source, options).await.unwrap().version.id
    };
    let request = match what {
        What::Install => ChangeRequest::Install {
            version: version().await,
            wanted: Some(Wanted::Disabled),
        },
        What::Upgrade => ChangeRequest::Upgrade {
            version: version().await,
        },
        What::Uninstall => ChangeRequest::Uninstall { keep_data: false },
    };
    let id = platform.change(&who(), name, request).await.unwrap();
    assert_eq!(platform.wait(id).await.unwrap(), Outcome::Done);
}

/// Not a test of its own: what the children of the others run.
#[tokio::test]
async fn child() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let task: Task = serde_json::from_str(&task).unwrap();
    let url: DatabaseUrl = task.database.parse().unwrap();
    let database = Database::open(&url).await.unwrap();
    let platform = open(database, Path::new(&task.home)).await;
    change(&platform, &task.name.parse().unwrap(), task.what).await;
}

/// Runs a child that is killed at its `kill_at`-th point; says whether it was.
async fn killed(
    test: &TestDatabase,
    home: &Path,
    name: &PluginName,
    what: What,
    at: usize,
) -> bool {
    let task = Task {
        database: test.address.clone(),
        home: home.display().to_string(),
        name: name.to_string(),
        what,
    };
    failpoint::killed("crash::child", TASK, &task, at).await
}

fn definition(new: bool) -> Json {
    let mut fields = json!({
        "TIMEOUT": { "type": "number", "label": "x", "default": 30 },
        "KEY": { "type": "password", "label": "x" },
        "PAGE": { "type": "number", "label": "x", "default": if new { 20 } else { 10 } },
    });
    fields[if new { "NEW" } else { "OLD" }] =
        json!({ "type": "text", "label": "x", "default": "d" });
    json!({ "version": if new { "1.1.0" } else { "1.0.0" }, "fields": fields })
}

/// Puts a directory there as people do.
fn put(home: &Path, name: &PluginName, new: bool) {
    let directory = home.join("plugins").join(name.key.as_str());
    if directory.is_symlink() {
        fs::remove_file(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("config.json"), definition(new).to_string()).unwrap();
}

/// Everything that can be seen of a plugin, without ids and times.
async fn state(platform: &Platform, database: &Database, name: &PluginName) -> String {
    let view = match platform.installation(&name.to_string()).await {
        Ok(view) => Some(view),
        Err(problem) if problem.code == codes::PLUGIN_NOT_FOUND => None,
        Err(problem) => panic!("{problem}"),
    };
    let installed = view.as_ref().map(|view| {
        assert_eq!(view.operation, None);
        let version = view.current.as_ref().map(|it| it.label.clone());
        (version, view.wanted)
    });
    let config = match &view {
        Some(_) => platform.config(name).await.unwrap(),
        None => None,
    };
    let config = config.map(|it| {
        let values = it.definition.masked(&it.values);
        (it.definition.version().to_string(), values)
    });
    let count = |table: &str, column: &str, value: &str| {
        let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE {column} = '{value}'");
        let connection = database.conn().clone();
        async move {
            let query = Statement::from_string(connection.get_database_backend(), sql);
            let row = connection.query_one_raw(query).await.unwrap().unwrap();
            row.try_get::<i64>("", "n").unwrap()
        }
    };
    let key = name.key.as_str();
    // A record that was only discovered, at the start after the crash, is none of an install.
    let records = format!("{key}' AND installed_at IS NOT NULL AND name = '{key}");
    let records = count("app_plugins", "name", &records).await;
    let gone = format!("{key}' AND uninstalled_at IS NOT NULL AND name = '{key}");
    let gone = count("app_plugins", "name", &gone).await;
    let shown = platform.home().plugins().join(key);
    let linked = fs::read_link(&shown).is_ok();
    let file = fs::read(shown.join("config.json")).unwrap();
    let file: Json = serde_json::from_slice(&file).unwrap();
    let versions = platform.home().versions(name);
    let whole = fs::read_dir(&versions).into_iter().flatten().all(|entry| {
        let path = entry.unwrap().path();
        path.join("config.json").is_file() && path.extension().is_none()
    });
    let file = &file["version"];
    format!("{installed:?} {config:?} records={records} gone={gone} linked={linked} {file} {whole}")
}

/// Brings a plugin into the state before the change.
async fn prepare(platform: &Platform, home: &Path, name: &PluginName, what: What) {
    put(home, name, false);
    if what == What::Install {
        return;
    }
    change(platform, name, What::Install).await;
    let values = json!({ "TIMEOUT": 60, "KEY": "sk-0123456789" });
    let config = platform.config_registered(name).await.unwrap();
    let body = Body::read(values.to_string().as_bytes(), &config.definition).unwrap();
    platform
        .config_put(&who(), name, &body, None)
        .await
        .unwrap();
    if what == What::Upgrade {
        put(home, name, true);
    }
}

async fn run(test: TestDatabase, what: What) {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let mut migrations = plugyard_platform::migrations();
    migrations.extend(plugyard_app::migrations());
    test.database.migrate(migrations).await.unwrap();
    let platform = open(test.database.clone(), home).await;
    let name = |index: usize| -> PluginName { format!("app:P{index}").parse().unwrap() };

    // What the change leads to when nothing goes wrong.
    prepare(&platform, home, &name(0), what).await;
    let old = state(&platform, &test.database, &name(0)).await;
    assert!(!killed(&test, home, &name(0), what, 0).await);
    let new = state(&platform, &test.database, &name(0)).await;
    assert_ne!(old, new);
    let (mut olds, mut news) = (0, 0);
    for at in 1.. {
        let name = name(at);
        prepare(&platform, home, &name, what).await;
        if !killed(&test, home, &name, what, at).await {
            break;
        }
        // The next start.
        let platform = open(test.database.clone(), home).await;
        platform.recover().await.unwrap();
        let now = state(&platform, &test.database, &name).await;
        // The link of a directory that was exchanged is there before the rows are, and stays until then.
        if now == old {
            olds += 1;
        } else if now == new {
            news += 1;
        } else {
            panic!(
                "{}, {what:?} killed at point {at}:\n{now}\nis neither\n{old}\nnor\n{new}",
                test.sort
            );
        }
    }
    assert!(olds > 0 && news > 0, "{what:?}: {olds} old, {news} new");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_58_an_install_that_is_cut_off_leaves_all_or_nothing() {
    for test in databases().await {
        run(test, What::Install).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_58_an_upgrade_that_is_cut_off_leaves_the_old_or_the_new() {
    for test in databases().await {
        run(test, What::Upgrade).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_58_an_uninstall_that_is_cut_off_leaves_all_or_nothing() {
    for test in databases().await {
        run(test, What::Uninstall).await;
    }
}
