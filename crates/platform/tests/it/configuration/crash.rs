//! The process is killed at every point of what changes a configuration.

use plugyard_config::Body;
use plugyard_platform::failpoint;
use plugyard_platform::kind::Version;
use plugyard_platform::{ChangeRequest, Platform, Source, TakeIn};
use serde_json::{Value as Json, json};

use super::{SECRET, definition, dump};
use crate::support::{Bench, benches, operator, package, plugin};

const TASK: &str = "PLUGYARD_CONFIG_CRASH_TASK";

/// What a child has to do that is killed on the way.
#[derive(serde::Serialize, serde::Deserialize)]
struct Task {
    database: String,
    home: String,
    key: String,
    what: What,
}

#[derive(serde::Serialize, serde::Deserialize, Clone, Copy, Debug)]
enum What {
    Put,
    Install(plugyard_model::VersionId),
    Upgrade(plugyard_model::VersionId),
    Uninstall,
}

/// Not a test of its own: what the children of the next one run.
#[tokio::test]
async fn child() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let task: Task = serde_json::from_str(&task).unwrap();
    let url: plugyard_store::DatabaseUrl = task.database.parse().unwrap();
    let database = plugyard_store::Database::open(&url).await.unwrap();
    let home = std::path::Path::new(&task.home);
    let settings = plugyard_platform::Settings::new(plugyard_platform::Home::new(home), database);
    let kind = crate::support::Fake::new(home);
    let platform = Platform::open(settings, vec![kind]).await.unwrap();
    let (who, name) = (operator(), plugin(&task.key));
    let request = match task.what {
        What::Put => {
            let values = json!({ "TIMEOUT": 99, "API_KEY": SECRET });
            let body = Body::flat(values.as_object().cloned().unwrap());
            platform.config_put(&who, &name, &body, None).await.unwrap();
            return;
        }
        What::Install(version) => ChangeRequest::Install {
            version,
            wanted: None,
        },
        What::Upgrade(version) => ChangeRequest::Upgrade { version },
        What::Uninstall => ChangeRequest::Uninstall { keep_data: false },
    };
    let id = platform.change(&who, &name, request).await.unwrap();
    platform.wait(id).await.unwrap();
}

async fn killed(bench: &Bench, key: &str, what: What, kill_at: usize) -> bool {
    // Two servers never share a home.
    bench.platform.shut_down().await;
    let task = Task {
        database: bench.test.address.clone(),
        home: bench.home.path().display().to_string(),
        key: key.to_owned(),
        what,
    };
    failpoint::killed("configuration::crash::child", TASK, &task, kill_at).await
}

async fn take_in_as(platform: &Platform, key: &str, label: &str, definition: &Json) -> Version {
    let directory = package(key, label, json!({}));
    let path = directory.path().join("plugyard.config.json");
    std::fs::write(path, definition.to_string()).unwrap();
    let source = Source::Path(directory.path().to_owned());
    let taken = platform.take_in(source, TakeIn::default()).await.unwrap();
    taken.version
}

#[tokio::test]
async fn scenario_58_a_crash_leaves_the_old_configuration_or_the_new_one() {
    let mut newer = definition();
    newer["version"] = json!("1.1.0");
    newer["fields"]["RETRIES"] = json!({ "type": "number", "label": "Retries", "default": 3 });
    newer["fields"].as_object_mut().unwrap().remove("NOTE");
    let old =
        json!({ "URL": "https://api.example.com", "API_KEY": null, "TIMEOUT": 60, "NOTE": "mine" });
    let fresh =
        json!({ "URL": "https://api.example.com", "API_KEY": null, "TIMEOUT": 30, "NOTE": null });
    let put_to = json!({ "URL": "https://api.example.com", "API_KEY": SECRET, "TIMEOUT": 99, "NOTE": "mine" });
    let upgraded =
        json!({ "URL": "https://api.example.com", "API_KEY": null, "TIMEOUT": 60, "RETRIES": 3 });
    for mut bench in benches().await {
        for course in ["put", "install", "upgrade", "uninstall"] {
            let mut cases = 0;
            for kill_at in 1.. {
                let key = format!("{course}{kill_at}");
                let first = take_in_as(&bench.platform, &key, "1", &definition()).await;
                let second = take_in_as(&bench.platform, &key, "2", &newer).await;
                let (who, name) = (operator(), plugin(&key));
                if course != "install" {
                    let install = ChangeRequest::Install {
                        version: first.id,
                        wanted: None,
                    };
                    let id = bench.platform.change(&who, &name, install).await.unwrap();
                    let outcome = bench.platform.wait(id).await.unwrap();
                    outcome.into_result().unwrap();
                    let values = json!({ "TIMEOUT": 60, "NOTE": "mine" });
                    let body = Body::flat(values.as_object().cloned().unwrap());
                    let written = bench.platform.config_put(&who, &name, &body, None).await;
                    written.unwrap();
                }
                let (what, before, after) = match course {
                    "put" => (What::Put, Some(&old), Some(&put_to)),
                    "install" => (What::Install(first.id), None, Some(&fresh)),
                    "upgrade" => (What::Upgrade(second.id), Some(&old), Some(&upgraded)),
                    _ => (What::Uninstall, Some(&old), None),
                };
                let was_killed = killed(&bench, &key, what, kill_at).await;
                bench.start_again().await;
                let platform = &bench.platform;
                let left = platform.config_plain(&name).await.ok();
                let left = left.map(|it| Json::Object(it.values));
                let at = format!("{} {course} at {kill_at}", bench.test.sort);
                if was_killed {
                    assert!([before, after].contains(&left.as_ref()), "{at}: {left:?}");
                } else {
                    assert_eq!(left.as_ref(), after, "{at}");
                }
                // The definition is the version's, and an installation that is not there left no rows.
                let current = platform.installation(&name.to_string()).await.ok();
                let current = current.and_then(|it| it.current);
                assert_eq!(current.is_some(), left.is_some(), "{at}");
                if let Some(current) = current {
                    let config = platform.config(&name).await.unwrap().unwrap();
                    assert_eq!(config.version, current.id, "{at}");
                } else {
                    let rows = dump(&bench, "installations").await;
                    assert!(!rows.contains(&key), "{at}: {rows}");
                }
                cases += 1;
                if !was_killed {
                    break;
                }
            }
            println!("{}: {course}: {cases} cases", bench.test.sort);
            assert!(cases > 2, "{course} has failpoints");
        }
    }
}
