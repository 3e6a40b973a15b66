//! Scenario 34: the process is killed at every point there is, between any two statements of an install, an
//! upgrade of an enabled plugin and an uninstall. After the next start there is the old or the new state:
//! rows, files, assets, tables and status file, never a mix; and the doctor finds nothing.
//!
//! The child is this test binary again, told by its environment what to do ([`child`]).

use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::Request;
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_model::{KindId, PluginName, Wanted, codes};
use plugyard_platform::failpoint;
use plugyard_platform::{ChangeRequest, Home, Outcome, Platform, Settings, Source, TakeIn};
use plugyard_store::testing::{TestDatabase, databases};
use plugyard_store::{Database, DatabaseUrl};
use plugyard_web::{Hooks, WebHost, WebSettings};
use sea_orm::{ConnectionTrait as _, Statement};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

const TASK: &str = "PLUGYARD_WEB_CRASH_TASK";

/// The application's tables are files of lines, one for each migration.
const SCRIPT: &str = r#"
table="$(dirname "$0")/tables-$PLUGYARD_FSKEY"
case $PLUGYARD_HOOK in
mark) if [ -e "$table" ]; then wc -l < "$table"; else echo 0; fi ;;
migrate)
    for file in "$PLUGYARD_DIRECTORY"/database/migrations/*; do
        name=$(basename "$file")
        grep -qx "$name" "$table" 2>/dev/null || echo "$name" >> "$table"
    done ;;
revert)
    if [ -z "$PLUGYARD_MARK" ] || [ "$PLUGYARD_MARK" = 0 ]; then rm -f "$table"
    else head -n "$PLUGYARD_MARK" "$table" > "$table.new"; mv "$table.new" "$table"; fi ;;
esac
"#;

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
    /// All migrations taken back, of a plugin that is disabled.
    Reset,
    /// A package placed over what somebody put there.
    Unzip,
}

fn who() -> Principal {
    Principal {
        name: "test".to_owned(),
        roles: vec![Role::Owner],
    }
}

async fn open(database: Database, home: &Path) -> Platform {
    open_with_host(database, home).await.1
}

async fn open_with_host(database: Database, home: &Path) -> (WebHost, Platform) {
    let words = vec!["sh".to_owned(), home.join("hook.sh").display().to_string()];
    let settings = WebSettings {
        hooks: Hooks {
            mark: words.clone(),
            migrate: words.clone(),
            revert: words,
            ..Hooks::default()
        },
        observation: std::time::Duration::ZERO,
        ..WebSettings::default()
    };
    let home = Home::new(home);
    let host = WebHost::new(settings, home.clone(), database.clone(), false);
    let platform = Platform::open(Settings::new(home, database), vec![host.kind()]).await;
    (host, platform.unwrap())
}

/// What the doctor finds wrong.
async fn found(host: &WebHost, platform: &Platform) -> Vec<Json> {
    let (router, _) = host.routes(platform.clone()).split_for_parts();
    let request = Request::get("/v1/web/doctor").body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
    let body: Json = serde_json::from_slice(&body.unwrap()).unwrap();
    body["items"].as_array().unwrap().clone()
}

fn package(home: &Path, fskey: &str, new: bool) -> PathBuf {
    let directory = home.join(format!("packages/{fskey}-{new}"));
    let manifest = json!({
        "fskey": fskey, "name": "x", "description": "", "author": "me",
        "version": if new { "1.1.0" } else { "1.0.0" },
    });
    let mut files = vec![
        ("plugin.json", manifest.to_string()),
        ("resources/assets/a.css", format!("{new}")),
        ("database/migrations/1_first.php", String::new()),
    ];
    if new {
        files.push(("database/migrations/2_second.php", String::new()));
    }
    for (path, content) in files {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

/// Carries out one change.
async fn change(platform: &Platform, name: &PluginName, what: What) {
    let version = |new: bool| async move {
        let directory = package(platform.home().root(), name.key.as_str(), new);
        let options = TakeIn {
            kind: Some(KindId::from_static("web")),
            ..TakeIn::default()
        };
        let taken = platform.take_in(Source::Path(directory), options).await;
        taken.unwrap().version.id
    };
    let request = match what {
        What::Install => ChangeRequest::Install {
            version: version(false).await,
            wanted: None,
        },
        What::Upgrade => ChangeRequest::Upgrade {
            version: version(true).await,
        },
        What::Uninstall => ChangeRequest::Uninstall { keep_data: false },
        What::Reset => ChangeRequest::Perform {
            task: "migrate-reset",
        },
        What::Unzip => ChangeRequest::Prepare {
            task: "unzip",
            version: version(true).await,
        },
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

/// Runs a child that is killed at its `at`-th point; says whether it was.
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

/// Everything that can be seen of a plugin, without ids and times.
async fn state(platform: &Platform, database: &Database, name: &PluginName) -> String {
    let key = name.key.as_str();
    let installed = match platform.installation(&name.to_string()).await {
        Ok(view) => {
            assert_eq!(view.operation, None, "a lock remains");
            Some((view.current.map(|it| it.label), view.wanted))
        }
        Err(problem) if problem.code == codes::PLUGIN_NOT_FOUND => None,
        Err(problem) => panic!("{problem}"),
    };
    let sql = format!(
        "SELECT version, is_enabled, CASE WHEN deleted_at IS NULL THEN 0 ELSE 1 END AS gone \
         FROM plugins WHERE fskey = '{key}'"
    );
    let connection = database.conn();
    let query = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(query).await.unwrap().map(|row| {
        let version: String = row.try_get("", "version").unwrap();
        let enabled: i16 = row.try_get("", "is_enabled").unwrap();
        let gone: i32 = row.try_get("", "gone").unwrap();
        (version, enabled, gone)
    });
    let home = platform.home();
    let shown = fs::read(home.plugins().join(key).join("plugin.json")).ok();
    let shown: Option<Json> = shown.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let shown = shown.map(|it| it["version"].to_string());
    let css = fs::read_to_string(home.assets().join(key).join("a.css")).ok();
    let table = fs::read_to_string(home.root().join(format!("tables-{key}"))).ok();
    let status = fs::read(home.root().join("plugins.json")).unwrap_or_default();
    let status: Json = serde_json::from_slice(&status).unwrap_or_default();
    let whole = fs::read_dir(home.versions(name))
        .into_iter()
        .flatten()
        .all(|entry| {
            let path = entry.unwrap().path();
            path.join("plugin.json").is_file() && path.extension().is_none()
        });
    let status = status["plugins"][key].clone();
    format!("{installed:?} {row:?} {shown:?} {css:?} {table:?} status={status} whole={whole}")
}

/// Brings a plugin into the state before the change.
async fn prepare(platform: &Platform, name: &PluginName, what: What) {
    if what == What::Install {
        return;
    }
    if what == What::Unzip {
        let there = platform.home().plugins().join(name.key.as_str());
        fs::create_dir_all(&there).unwrap();
        let manifest = json!({ "version": "by hand" }).to_string();
        fs::write(there.join("plugin.json"), manifest).unwrap();
        return;
    }
    change(platform, name, What::Install).await;
    if what == What::Reset {
        return;
    }
    let id = platform.enable(&who(), name).await.unwrap();
    assert_eq!(platform.wait(id).await.unwrap(), Outcome::Done);
    let view = platform.installation(&name.to_string()).await.unwrap();
    assert_eq!(view.wanted, Wanted::Enabled);
}

async fn run(test: TestDatabase, what: What) {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    fs::write(home.join("hook.sh"), SCRIPT).unwrap();
    let mut migrations = plugyard_platform::migrations();
    migrations.extend(plugyard_web::migrations());
    test.database.migrate(migrations).await.unwrap();
    let platform = open(test.database.clone(), home).await;
    let name = |index: usize| -> PluginName { format!("web:Plugin{index}").parse().unwrap() };
    // As a start writes the status file, so both states are seen after one.
    let settled = async |name: &PluginName| {
        let (host, platform) = open_with_host(test.database.clone(), home).await;
        platform.recover().await.unwrap();
        let mut found = found(&host, &platform).await;
        if what == What::Unzip {
            // Files of plugins that are not installed, and nothing else.
            let reason = |it: &Json| it["reason"].as_str().unwrap_or_default().to_owned();
            found.retain(|it| !reason(it).ends_with("is not installed"));
            let hidden = fs::read_dir(platform.home().plugins()).unwrap().any(|it| {
                let name = it.unwrap().file_name();
                name.as_encoded_bytes().starts_with(b".")
            });
            assert!(!hidden, "{name}: half of a package remains");
        }
        assert_eq!(found, [] as [Json; 0], "{name}");
        let state = state(&platform, &test.database, name).await;
        platform.shut_down().await;
        state
    };

    // What the change leads to when nothing goes wrong.
    let plain = |state: String, index: usize| state.replace(&format!("Plugin{index}"), "P");
    prepare(&platform, &name(0), what).await;
    let old = plain(settled(&name(0)).await, 0);
    assert!(!killed(&test, home, &name(0), what, 0).await);
    let new = plain(settled(&name(0)).await, 0);
    assert_ne!(old, new);
    let (mut olds, mut news) = (0, 0);
    for at in 1.. {
        let name = name(at);
        prepare(&platform, &name, what).await;
        if !killed(&test, home, &name, what, at).await {
            break;
        }
        let now = plain(settled(&name).await, at);
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
    platform.shut_down().await;
    assert!(olds > 0 && news > 0, "{what:?}: {olds} old, {news} new");
}

#[tokio::test(flavor = "multi_thread")]
async fn web_34_an_install_that_is_cut_off_leaves_all_or_nothing() {
    for test in databases().await {
        run(test, What::Install).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_34_an_upgrade_that_is_cut_off_leaves_the_old_or_the_new() {
    for test in databases().await {
        run(test, What::Upgrade).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_34_a_task_that_is_cut_off_leaves_all_or_nothing() {
    for test in databases().await {
        run(test, What::Reset).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_34_a_package_that_is_placed_and_cut_off_leaves_all_or_nothing() {
    for test in databases().await {
        run(test, What::Unzip).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_34_an_uninstall_that_is_cut_off_leaves_all_or_nothing() {
    for test in databases().await {
        run(test, What::Uninstall).await;
    }
}
