//! What is configured of a plugin, from its installation to its end.

mod crash;
mod versions;

use std::collections::BTreeMap;

use futures::StreamExt as _;
use plugyard_config::{Body, Value};
use plugyard_http::PageQuery;
use plugyard_model::{Problem, codes};
use plugyard_platform::config::{
    ConfigChange, ConfigInput, ConfigRefusal, PlainConfig, Written, config_file,
};
use plugyard_platform::kind::Version;
use plugyard_platform::{ChangeRequest, Outcome, Platform, Source, TakeIn};
use serde_json::{Map, Value as Json, json};

use crate::support::{Bench, benches, operator, package, plugin};

const KEY: &str = "configured";
const SECRET: &str = "sk-0123456789-hush";

/// What a first version says can be configured.
fn definition() -> Json {
    json!({
        "version": "1.0.0",
        "fields": {
            "URL": { "type": "text", "label": "Address", "required": true, "default": "https://api.example.com", "validation": "required|string" },
            "API_KEY": { "type": "password", "label": "Key", "required": true, "validation": "required|string|min:10" },
            "TIMEOUT": { "type": "number", "label": "Timeout", "default": "30", "validation": "integer|min:1|max:300" },
            "NOTE": { "type": "text", "label": "Note" },
        },
    })
}

async fn take_in(
    platform: &Platform,
    label: &str,
    definition: Option<&Json>,
    more: Json,
) -> Version {
    let directory = package(KEY, label, more);
    if let Some(definition) = definition {
        let path = directory.path().join("plugyard.config.json");
        std::fs::write(path, definition.to_string()).unwrap();
    }
    let source = Source::Path(directory.path().to_owned());
    let taken = platform.take_in(source, TakeIn::default()).await.unwrap();
    taken.version
}

async fn change(platform: &Platform, request: ChangeRequest, config: ConfigInput) -> Outcome {
    let (who, plugin) = (operator(), plugin(KEY));
    let id = platform.change_with(&who, &plugin, request, config).await;
    platform.wait(id.unwrap()).await.unwrap()
}

async fn install(platform: &Platform, version: &Version) {
    let request = ChangeRequest::Install {
        version: version.id,
        wanted: None,
    };
    let outcome = change(platform, request, ConfigInput::default()).await;
    outcome.into_result().unwrap();
}

async fn upgrade(platform: &Platform, version: &Version) {
    let request = ChangeRequest::Upgrade {
        version: version.id,
    };
    let outcome = change(platform, request, ConfigInput::default()).await;
    outcome.into_result().unwrap();
}

async fn configured(bench: &Bench) -> Version {
    let version = take_in(&bench.platform, "1", Some(&definition()), json!({})).await;
    install(&bench.platform, &version).await;
    version
}

async fn put(
    platform: &Platform,
    values: Json,
    expected: Option<u64>,
) -> Result<Written, ConfigRefusal> {
    let Json::Object(values) = values else {
        panic!("an object")
    };
    let body = Body::flat(values);
    platform
        .config_put(&operator(), &plugin(KEY), &body, expected)
        .await
}

async fn plain(platform: &Platform) -> Map<String, Json> {
    platform.config_plain(&plugin(KEY)).await.unwrap().values
}

async fn revision(platform: &Platform) -> u64 {
    platform.config_plain(&plugin(KEY)).await.unwrap().revision
}

#[track_caller]
fn problem(refused: Result<Written, ConfigRefusal>) -> Problem {
    refused.unwrap_err().into_problem(&plugin(KEY))
}

/// What is in the file for the version's processes.
fn file(bench: &Bench, version: &Version) -> Option<Json> {
    let path = config_file(bench.platform.home(), &plugin(KEY), version.id);
    let text = std::fs::read(path).ok()?;
    serde_json::from_slice(&text).ok()
}

#[tokio::test]
async fn an_installation_begins_with_the_initial_values() {
    for bench in benches().await {
        let version = configured(&bench).await;
        let config = bench.platform.config(&plugin(KEY)).await.unwrap().unwrap();
        assert_eq!(config.revision, 1);
        assert_eq!(config.version, version.id);
        assert_eq!(config.values.value("TIMEOUT"), &Value::Int(30));
        assert_eq!(config.values.value("API_KEY"), &Value::Null);
        assert!(!config.values.user_modified("TIMEOUT"));
        let expected = json!({
            "revision": 1,
            "values": { "URL": "https://api.example.com", "API_KEY": null, "TIMEOUT": 30, "NOTE": null },
            "unreadable": [],
        });
        assert_eq!(
            file(&bench, &version),
            Some(expected),
            "{}",
            bench.test.sort
        );
    }
}

#[tokio::test]
async fn an_installation_can_bring_values_and_is_refused_with_bad_ones() {
    for bench in benches().await {
        let version = take_in(&bench.platform, "1", Some(&definition()), json!({})).await;
        let request = ChangeRequest::Install {
            version: version.id,
            wanted: None,
        };
        let with = |values: Json| ConfigInput {
            values: values.as_object().cloned(),
            ..ConfigInput::default()
        };
        let who = operator();
        let bad = with(json!({ "TIMEOUT": 0, "API_KEY": "short" }));
        let refused = bench
            .platform
            .change_with(&who, &plugin(KEY), request, bad)
            .await
            .unwrap_err();
        assert_eq!(refused.code, codes::VALIDATION_FAILED);
        assert_eq!(refused.findings.len(), 2);
        assert!(!format!("{refused:?}").contains("short"));
        assert!(bench.platform.installation(KEY).await.is_err());

        let good = with(json!({ "TIMEOUT": 60, "API_KEY": SECRET }));
        change(&bench.platform, request, good)
            .await
            .into_result()
            .unwrap();
        let values = plain(&bench.platform).await;
        assert_eq!(values["TIMEOUT"], 60);
        assert_eq!(values["API_KEY"], SECRET);
    }
}

#[tokio::test]
async fn a_failed_installation_leaves_nothing() {
    for bench in benches().await {
        let fails = json!({ "fail": ["start"] });
        let version = take_in(&bench.platform, "1", Some(&definition()), fails).await;
        let request = ChangeRequest::Install {
            version: version.id,
            wanted: None,
        };
        let input = ConfigInput {
            values: json!({ "API_KEY": SECRET }).as_object().cloned(),
            ..ConfigInput::default()
        };
        let outcome = change(&bench.platform, request, input).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        for table in [
            "config_values",
            "config_history",
            "config_definitions",
            "secrets",
            "data_keys",
        ] {
            assert_eq!(count(&bench, table).await, 0, "{table}");
        }
        wait_until(|| file(&bench, &version).is_none()).await;
    }
}

async fn count(bench: &Bench, table: &'static str) -> i64 {
    use sea_orm::ConnectionTrait as _;
    use sea_orm::sea_query::{Alias, Asterisk, Expr, Func, Query};
    let query = Query::select()
        .expr_as(Func::count(Expr::col(Asterisk)), Alias::new("n"))
        .from(table)
        .take();
    let row = bench.test.database.conn().query_one(&query).await;
    row.unwrap().unwrap().try_get("", "n").unwrap()
}

#[tokio::test]
async fn a_write_is_taken_as_a_whole_or_not_at_all() {
    for bench in benches().await {
        let version = configured(&bench).await;
        let refused = put(&bench.platform, json!({ "NOTE": "x", "TIMEOUT": 0 }), None).await;
        let refused = problem(refused);
        assert_eq!(refused.code, codes::VALIDATION_FAILED);
        assert_eq!(revision(&bench.platform).await, 1);
        assert_eq!(plain(&bench.platform).await["NOTE"], Json::Null);

        let written = put(
            &bench.platform,
            json!({ "NOTE": "x", "TIMEOUT": "60", "URL": "https://api.example.com" }),
            None,
        )
        .await
        .unwrap();
        assert_eq!(written.updated, ["NOTE", "TIMEOUT"]);
        assert_eq!(written.unchanged, ["URL"]);
        assert_eq!(written.config.revision, 2);
        assert!(written.config.values.user_modified("NOTE"));
        assert_eq!(file(&bench, &version).unwrap()["values"]["TIMEOUT"], 60);

        // Nothing to do is no write.
        let written = put(&bench.platform, json!({ "TIMEOUT": 60 }), None)
            .await
            .unwrap();
        assert_eq!(written.config.revision, 2);
    }
}

#[tokio::test]
async fn of_two_writers_who_saw_the_same_the_second_is_refused() {
    for bench in benches().await {
        configured(&bench).await;
        let (a, b) = tokio::join!(
            put(&bench.platform, json!({ "TIMEOUT": 10 }), Some(1)),
            put(&bench.platform, json!({ "TIMEOUT": 20 }), Some(1)),
        );
        let (kept, refused) = match (a, b) {
            (Ok(_), Err(refused)) => (10, refused),
            (Err(refused), Ok(_)) => (20, refused),
            other => panic!("{other:?}"),
        };
        let refused = refused.into_problem(&plugin(KEY));
        assert_eq!(refused.code, codes::REVISION_CONFLICT);
        assert_eq!(plain(&bench.platform).await["TIMEOUT"], kept);
    }
}

#[tokio::test]
async fn scenario_47_a_hundred_parallel_writers_lose_nothing() {
    for bench in benches().await {
        let fields: Map<String, Json> = (0..100)
            .map(|n| (format!("F{n}"), json!({ "type": "text", "label": "x" })))
            .collect();
        let definition = json!({ "fields": fields });
        let version = take_in(&bench.platform, "1", Some(&definition), json!({})).await;
        install(&bench.platform, &version).await;
        // A second server on the same database decides on its own.
        let other = bench.reopen().await;
        let writers = (0..100).map(|n| {
            let platform = if n % 2 == 0 { &bench.platform } else { &other };
            put(platform, json!({ format!("F{n}"): format!("{n}") }), None)
        });
        for written in futures::future::join_all(writers).await {
            written.unwrap();
        }
        assert_eq!(revision(&bench.platform).await, 101);
        let values = plain(&bench.platform).await;
        for n in 0..100 {
            assert_eq!(values[&format!("F{n}")], format!("{n}"));
        }
    }
}

#[tokio::test]
async fn secrets_are_kept_encrypted_and_forgotten_at_the_end() {
    for bench in benches().await {
        configured(&bench).await;
        put(&bench.platform, json!({ "API_KEY": SECRET }), None)
            .await
            .unwrap();
        assert_eq!(plain(&bench.platform).await["API_KEY"], SECRET);
        // Its mask means: as it is.
        put(
            &bench.platform,
            json!({ "API_KEY": "********", "TIMEOUT": 20 }),
            None,
        )
        .await
        .unwrap();
        assert_eq!(plain(&bench.platform).await["API_KEY"], SECRET);
        put(
            &bench.platform,
            json!({ "API_KEY": "another-secret" }),
            None,
        )
        .await
        .unwrap();

        let history = history(&bench.platform).await;
        assert_eq!(history[0].action, "put");
        let shown = serde_json::to_string(&history).unwrap();
        assert!(
            !shown.contains(SECRET) && !shown.contains("another"),
            "{shown}"
        );
        assert!(history[0].changes[0].secret);
        assert_clean(&bench, &[SECRET, "another-secret"]).await;

        let request = ChangeRequest::Uninstall { keep_data: false };
        let outcome = change(&bench.platform, request, ConfigInput::default()).await;
        outcome.into_result().unwrap();
        for table in [
            "config_values",
            "config_history",
            "config_definitions",
            "secrets",
            "data_keys",
        ] {
            assert_eq!(count(&bench, table).await, 0, "{table}");
        }
    }
}

async fn history(platform: &Platform) -> Vec<plugyard_platform::config::HistoryEntry> {
    let page = PageQuery {
        cursor: None,
        limit: Some(200),
    };
    platform
        .config_history(&plugin(KEY), &page)
        .await
        .unwrap()
        .items
}

/// None of these stands in the home, the files for the plugin's processes apart, nor in the database.
async fn assert_clean(bench: &Bench, secrets: &[&str]) {
    let home = bench.platform.home();
    let mut directories = vec![home.root().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path == home.plugin_config() {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in secrets {
                let found = bytes
                    .windows(secret.len())
                    .any(|it| it == secret.as_bytes());
                assert!(!found, "{} has a secret", path.display());
            }
        }
    }
    for table in [
        "config_values",
        "config_history",
        "config_definitions",
        "operations",
        "events",
    ] {
        let rows = dump(bench, table).await;
        for secret in secrets {
            assert!(!rows.contains(secret), "{table} has a secret");
        }
    }
    if let Some(path) = bench.test.address.strip_prefix("sqlite:") {
        for suffix in ["", "-wal"] {
            let Ok(bytes) = std::fs::read(format!("{path}{suffix}")) else {
                continue;
            };
            for secret in secrets {
                let found = bytes
                    .windows(secret.len())
                    .any(|it| it == secret.as_bytes());
                assert!(!found, "the database file has a secret");
            }
        }
    }
}

/// Every text and document of a table.
async fn dump(bench: &Bench, table: &str) -> String {
    use sea_orm::{FromQueryResult as _, JsonValue, Statement};
    let connection = bench.test.database.conn();
    let statement = Statement::from_string(
        connection.get_database_backend(),
        format!("SELECT * FROM {table}"),
    );
    let rows = JsonValue::find_by_statement(statement)
        .all(connection)
        .await;
    serde_json::to_string(&rows.unwrap()).unwrap()
}

#[tokio::test]
async fn reset_restore_and_delete() {
    for bench in benches().await {
        let version = configured(&bench).await;
        let platform = &bench.platform;
        put(
            platform,
            json!({ "API_KEY": SECRET, "TIMEOUT": 60, "NOTE": "a" }),
            None,
        )
        .await
        .unwrap();
        put(
            platform,
            json!({ "API_KEY": "another-secret", "NOTE": "b" }),
            None,
        )
        .await
        .unwrap();
        let who = operator();
        let keys = ["TIMEOUT".to_owned()];
        let reset = platform
            .config_reset(&who, &plugin(KEY), Some(&keys), None)
            .await
            .unwrap();
        assert_eq!(reset.updated, ["TIMEOUT"]);
        assert_eq!(plain(platform).await["TIMEOUT"], 30);
        assert!(!reset.config.values.user_modified("TIMEOUT"));
        let unknown = ["NOPE".to_owned()];
        let refused = platform
            .config_reset(&who, &plugin(KEY), Some(&unknown), None)
            .await;
        assert_eq!(problem(refused).code, codes::VALIDATION_FAILED);

        // Back to the first write, its secret too.
        platform
            .config_restore(&who, &plugin(KEY), 2, Some(4))
            .await
            .unwrap();
        let values = plain(platform).await;
        assert_eq!(values["API_KEY"], SECRET);
        assert_eq!(values["NOTE"], "a");
        assert_eq!(values["TIMEOUT"], 60);
        let missing = platform.config_restore(&who, &plugin(KEY), 99, None).await;
        assert_eq!(problem(missing).code, codes::CONFIG_REVISION_NOT_FOUND);
        let differences = platform.config_diff(&plugin(KEY), 3, 5).await.unwrap();
        let keys: Vec<_> = differences.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["API_KEY", "NOTE"]);
        assert!(differences[0].secret);
        assert_eq!(differences[1].before, "b");

        platform
            .config_reset(&who, &plugin(KEY), None, None)
            .await
            .unwrap();
        assert_eq!(plain(platform).await["API_KEY"], Json::Null);

        assert_eq!(platform.config_delete(&who, &plugin(KEY)).await.unwrap(), 4);
        assert!(platform.config(&plugin(KEY)).await.unwrap().is_none());
        assert_eq!(file(&bench, &version), None);
        let refused = put(platform, json!({ "NOTE": "x" }), None).await;
        assert_eq!(problem(refused).code, codes::CONFIG_NOT_REGISTERED);
        // Going to the version again registers it again, and the revision does not go back.
        upgrade(platform, &version).await;
        assert_eq!(plain(platform).await["TIMEOUT"], 30);
        assert!(revision(platform).await > 6);
    }
}

#[tokio::test]
async fn scenario_54_an_upgrade_takes_the_values_along_and_a_rollback_brings_them_back() {
    for bench in benches().await {
        let first = configured(&bench).await;
        let platform = &bench.platform;
        put(
            platform,
            json!({ "API_KEY": SECRET, "TIMEOUT": 60, "NOTE": "mine" }),
            None,
        )
        .await
        .unwrap();
        let mut newer = definition();
        newer["version"] = json!("1.1.0");
        newer["fields"]["URL"]["default"] = json!("https://api2.example.com");
        newer["fields"]["RETRIES"] = json!({ "type": "number", "label": "Retries", "default": 3 });
        newer["fields"].as_object_mut().unwrap().remove("NOTE");
        let second = take_in(platform, "2", Some(&newer), json!({})).await;

        let plan = platform
            .config_plan_version(&plugin(KEY), second.id)
            .await
            .unwrap();
        assert_eq!(plan.added, ["RETRIES"]);
        assert_eq!(plan.removed, ["NOTE"]);
        assert_eq!(plan.kept, ["API_KEY", "TIMEOUT"]);
        assert_eq!(revision(platform).await, 2);

        upgrade(platform, &second).await;
        let values = plain(platform).await;
        assert_eq!(values["TIMEOUT"], 60);
        assert_eq!(values["RETRIES"], 3);
        assert_eq!(values["URL"], "https://api2.example.com");
        assert_eq!(values["API_KEY"], SECRET);
        assert!(!values.contains_key("NOTE"));
        assert_eq!(file(&bench, &second).unwrap()["values"]["RETRIES"], 3);
        wait_until(|| file(&bench, &first).is_none()).await;

        let back = ChangeRequest::Rollback { to: None };
        change(platform, back, ConfigInput::default())
            .await
            .into_result()
            .unwrap();
        let values = plain(platform).await;
        assert_eq!(values["NOTE"], "mine");
        assert_eq!(values["API_KEY"], SECRET);
        assert_eq!(values["URL"], "https://api.example.com");
        assert!(!values.contains_key("RETRIES"));

        // Down is refused, unless it is meant; and without definitions nothing but the version changes.
        upgrade(platform, &second).await;
        let down = ChangeRequest::Upgrade { version: first.id };
        let refused = platform.change(&operator(), &plugin(KEY), down).await;
        assert_eq!(refused.unwrap_err().code, codes::DEFINITION_DOWNGRADE);
        let keep = ConfigInput {
            change: ConfigChange {
                update_definitions: false,
                force: true,
                ..ConfigChange::default()
            },
            values: None,
        };
        change(platform, down, keep).await.into_result().unwrap();
        let config = platform.config(&plugin(KEY)).await.unwrap().unwrap();
        assert_eq!(config.version, second.id);
        assert_eq!(config.values.value("RETRIES"), &Value::Int(3));
        let force = ConfigInput {
            change: ConfigChange {
                update_definitions: true,
                force: true,
                ..ConfigChange::default()
            },
            values: None,
        };
        change(platform, down, force).await.into_result().unwrap();
        let config = platform.config(&plugin(KEY)).await.unwrap().unwrap();
        assert_eq!(config.version, first.id);
    }
}

async fn wait_until(mut reached: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if reached() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("waited in vain");
}

#[tokio::test]
async fn a_failed_upgrade_leaves_values_and_definition_as_they_were() {
    for bench in benches().await {
        let first = configured(&bench).await;
        let platform = &bench.platform;
        put(platform, json!({ "TIMEOUT": 60, "API_KEY": SECRET }), None)
            .await
            .unwrap();
        let before = platform.config_plain(&plugin(KEY)).await.unwrap();
        let mut newer = definition();
        newer["fields"]["TIMEOUT"] = json!({ "type": "checkbox", "label": "x", "default": true });
        let fails = json!({ "fail": ["start"] });
        let second = take_in(platform, "2", Some(&newer), fails).await;
        let request = ChangeRequest::Upgrade { version: second.id };
        let outcome = change(platform, request, ConfigInput::default()).await;
        assert!(matches!(outcome, Outcome::RolledBack(_)), "{outcome:?}");
        assert_eq!(platform.config_plain(&plugin(KEY)).await.unwrap(), before);
        wait_until(|| file(&bench, &second).is_none()).await;
        assert_eq!(file(&bench, &first).unwrap()["values"]["TIMEOUT"], 60);
    }
}

#[tokio::test]
async fn scenario_56_what_becomes_a_secret_is_encrypted_and_a_secret_becomes_nothing_else() {
    for bench in benches().await {
        configured(&bench).await;
        let platform = &bench.platform;
        let values = json!({ "API_KEY": SECRET, "NOTE": "was-readable-once" });
        put(platform, values, None).await.unwrap();
        let mut newer = definition();
        newer["version"] = json!("2.0.0");
        newer["fields"]["NOTE"] = json!({ "type": "password", "label": "Note" });
        newer["fields"]["API_KEY"] = json!({ "type": "text", "label": "Key", "default": "none" });
        let second = take_in(platform, "2", Some(&newer), json!({})).await;
        upgrade(platform, &second).await;
        let values = plain(platform).await;
        assert_eq!(values["NOTE"], "was-readable-once");
        assert_eq!(values["API_KEY"], "none");
        for table in ["config_values", "config_history"] {
            let rows = dump(&bench, table).await;
            assert!(!rows.contains("was-readable-once"), "{table}: {rows}");
            assert!(!rows.contains(SECRET), "{table}: {rows}");
        }
    }
}

#[tokio::test]
async fn without_the_master_key_secrets_are_neither_shown_nor_set_nor_lost() {
    for bench in benches().await {
        configured(&bench).await;
        put(&bench.platform, json!({ "API_KEY": SECRET }), None)
            .await
            .unwrap();
        let key = bench.platform.home().master_key();
        let kept = key.with_extension("kept");
        for wrong in [false, true] {
            std::fs::rename(&key, &kept).unwrap();
            if wrong {
                let other = plugyard_store::testing::sqlite().await;
                other
                    .database
                    .migrate(plugyard_store::migrations())
                    .await
                    .unwrap();
                let from = plugyard_store::secrets::KeySource::File(key.clone());
                plugyard_store::secrets::Secrets::open(other.database.clone(), from)
                    .await
                    .unwrap();
            }
            let platform = bench.reopen().await;
            let PlainConfig {
                values, unreadable, ..
            } = platform.config_plain(&plugin(KEY)).await.unwrap();
            assert_eq!(unreadable, ["API_KEY"]);
            assert!(!values.contains_key("API_KEY"));
            let refused = put(&platform, json!({ "API_KEY": "another-secret" }), None).await;
            let refused = problem(refused);
            assert_eq!(refused.code, codes::SECRET_STORE_UNAVAILABLE);
            assert!(
                refused.params["reason"].contains("master.key"),
                "{refused:?}"
            );
            // All else goes on.
            let timeout = if wrong { 11 } else { 12 };
            put(&platform, json!({ "TIMEOUT": timeout }), None)
                .await
                .unwrap();
            let _ = std::fs::remove_file(&key);
            std::fs::rename(&kept, &key).unwrap();
        }
        let platform = bench.reopen().await;
        assert_eq!(plain(&platform).await["API_KEY"], SECRET);
        platform.secrets_rotate(&operator()).await.unwrap();
        assert_eq!(plain(&platform).await["API_KEY"], SECRET);
        // The other server reads the key again by itself.
        assert_eq!(plain(&bench.platform).await["API_KEY"], SECRET);
    }
}

#[tokio::test]
async fn listeners_are_told_every_revision_in_order() {
    for bench in benches().await {
        configured(&bench).await;
        let platform = &bench.platform;
        let name = plugin(KEY);
        let mut changes = platform.config_changes(&name, None, None).await.unwrap();
        assert_eq!(changes.next().await.unwrap().revision, 1);
        let writers = (0..10).map(|n| put(platform, json!({ "NOTE": format!("{n}") }), None));
        for written in futures::future::join_all(writers).await {
            written.unwrap();
        }
        for revision in 2..12 {
            let change = changes.next().await.unwrap();
            assert_eq!(
                (change.revision, change.keys),
                (revision, vec!["NOTE".to_owned()])
            );
        }
        // Who comes back is told what was missed, and nothing when nothing was.
        put(platform, json!({ "TIMEOUT": 61 }), None).await.unwrap();
        let mut missed = platform
            .config_changes(&name, None, Some(10))
            .await
            .unwrap();
        let missed = missed.next().await.unwrap();
        assert_eq!(missed.revision, 12);
        assert_eq!(missed.keys, ["NOTE", "TIMEOUT"]);
        let mut nothing = platform
            .config_changes(&name, None, Some(12))
            .await
            .unwrap();
        put(platform, json!({ "TIMEOUT": 62 }), None).await.unwrap();
        assert_eq!(nothing.next().await.unwrap().revision, 13);
        // A revision that never was: read everything.
        let mut other = platform
            .config_changes(&name, None, Some(99))
            .await
            .unwrap();
        assert!(other.next().await.unwrap().keys.is_empty());
    }
}

#[tokio::test]
async fn values_go_from_one_plugin_to_another_with_their_secrets_sealed() {
    for bench in benches().await {
        configured(&bench).await;
        let platform = &bench.platform;
        put(platform, json!({ "API_KEY": SECRET, "TIMEOUT": 60 }), None)
            .await
            .unwrap();
        let open = platform.config_export(&plugin(KEY), None).await.unwrap();
        assert_eq!(open.sealed, None);
        assert_eq!(open.secrets, ["API_KEY"]);
        let recipient = platform.config_recipient().await.unwrap();
        let again = recipient.to_string().parse().unwrap();
        assert_eq!(recipient, again);
        let sealed = platform
            .config_export(&plugin(KEY), Some(&again))
            .await
            .unwrap();
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains(SECRET), "{text}");

        let who = operator();
        platform
            .config_reset(&who, &plugin(KEY), None, None)
            .await
            .unwrap();
        platform
            .config_import(&who, &plugin(KEY), open, None)
            .await
            .unwrap();
        assert_eq!(plain(platform).await["API_KEY"], Json::Null);
        assert_eq!(plain(platform).await["TIMEOUT"], 60);
        platform
            .config_import(&who, &plugin(KEY), sealed.clone(), None)
            .await
            .unwrap();
        assert_eq!(plain(platform).await["API_KEY"], SECRET);

        let mut altered = sealed;
        altered.sealed = altered.sealed.map(|it| it.replacen('A', "B", 1) + "AAAA");
        let refused = platform
            .config_import(&who, &plugin(KEY), altered, None)
            .await;
        assert_eq!(problem(refused).code, codes::CONFIG_EXPORT_INVALID);
    }
}

#[tokio::test]
async fn history_keeps_the_latest_hundred_and_their_secrets() {
    for bench in benches().await {
        configured(&bench).await;
        let platform = &bench.platform;
        for n in 0..120 {
            let secret = format!("secret-number-{n:03}");
            put(platform, json!({ "API_KEY": secret }), None)
                .await
                .unwrap();
        }
        let entries = history(platform).await;
        assert_eq!(entries.len(), 100);
        // One more for what the oldest replaced would be too many, and one less would lose a way back.
        assert!(count(&bench, "secrets").await <= 101);
        let oldest = entries.last().unwrap().revision;
        platform
            .config_restore(&operator(), &plugin(KEY), oldest, None)
            .await
            .unwrap();
        let expected = format!("secret-number-{:03}", oldest - 2);
        assert_eq!(plain(platform).await["API_KEY"], expected);
    }
}

#[tokio::test]
async fn a_definition_with_mistakes_keeps_its_package_out() {
    for bench in benches().await {
        let directory = package(KEY, "1", json!({}));
        let mut bad = definition();
        bad["fields"]["URL"]["type"] = json!("Text");
        let path = directory.path().join("plugyard.config.json");
        std::fs::write(path, bad.to_string()).unwrap();
        let source = Source::Path(directory.path().to_owned());
        let refused = bench
            .platform
            .take_in(source, TakeIn::default())
            .await
            .unwrap_err();
        assert_eq!(refused.code, codes::PACKAGE_INVALID);
        let found: BTreeMap<_, _> = refused
            .findings
            .iter()
            .map(|it| (it.place.file.clone(), it.code))
            .collect();
        assert_eq!(found["plugyard.config.json"], codes::FIELD_TYPE_UNSUPPORTED);
    }
}

/// Lets every write of a history row fail in the database, or lets them be again.
async fn break_history(bench: &Bench, broken: bool) {
    use sea_orm::{ConnectionTrait as _, DbBackend};
    let connection = bench.test.database.conn();
    let statements: &[&str] = match (connection.get_database_backend(), broken) {
        (DbBackend::Postgres, true) => &[
            "CREATE FUNCTION broken() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$ LANGUAGE plpgsql",
            "CREATE TRIGGER broken BEFORE INSERT ON config_history FOR EACH ROW EXECUTE FUNCTION broken()",
        ],
        (DbBackend::Postgres, false) => &["DROP TRIGGER broken ON config_history"],
        (_, true) => &[
            "CREATE TRIGGER broken BEFORE INSERT ON config_history BEGIN SELECT RAISE(ABORT, 'broken'); END",
        ],
        (_, false) => &["DROP TRIGGER broken"],
    };
    for statement in statements {
        connection.execute_unprepared(statement).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_fails_in_the_middle_of_a_write_leaves_all_as_it_was() {
    for bench in benches().await {
        let version = configured(&bench).await;
        put(&bench.platform, json!({ "TIMEOUT": 60 }), None)
            .await
            .unwrap();
        let before = bench.platform.config_plain(&plugin(KEY)).await.unwrap();
        break_history(&bench, true).await;
        let refused = put(
            &bench.platform,
            json!({ "TIMEOUT": 70, "NOTE": "x", "API_KEY": SECRET }),
            None,
        )
        .await;
        assert_eq!(problem(refused).code, codes::STORE_UNAVAILABLE);
        let after = bench.platform.config_plain(&plugin(KEY)).await.unwrap();
        assert_eq!(after, before, "{}", bench.test.sort);
        assert_eq!(count(&bench, "secrets").await, 0);
        assert_eq!(file(&bench, &version).unwrap()["values"]["TIMEOUT"], 60);
        break_history(&bench, false).await;
        put(&bench.platform, json!({ "TIMEOUT": 70 }), None)
            .await
            .unwrap();
        assert_eq!(revision(&bench.platform).await, before.revision + 1);
    }
}
