//! Events of §4.9: which, in which order, and what a veto does.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_model::{KindId, PluginName, VersionId};
use plugyard_platform::{ChangeRequest, Home, Outcome, Platform, Settings, Source, TakeIn};
use plugyard_store::testing::databases;
use plugyard_store::{StoreError, Transaction};
use plugyard_web::events::{Event, Listener, Veto};
use plugyard_web::{Hooks, WebHost, WebSettings};
use serde_json::json;

/// Writes down what it is told, and refuses what it was asked to.
#[derive(Default)]
struct Diary {
    told: Mutex<Vec<String>>,
    refuses: Mutex<Option<&'static str>>,
}

#[async_trait]
impl Listener for Diary {
    async fn before(&self, event: &Event) -> Result<(), Veto> {
        assert!(event.name.is_before());
        self.told
            .lock()
            .unwrap()
            .push(event.name.as_str().to_owned());
        match *self.refuses.lock().unwrap() {
            Some(name) if name == event.name.as_str() => Err(Veto {
                who: "diary".to_owned(),
                reason: "not today".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    async fn after(&self, event: &Event, _: &Transaction) -> Result<(), StoreError> {
        assert!(!event.name.is_before());
        assert_eq!(event.payload["fskey"], event.fskey);
        let mut more = String::new();
        for key in ["from", "to", "reason"] {
            if let Some(text) = event.payload[key].as_str() {
                more = format!("{more} {key}={text}");
            }
        }
        let told = format!("{}{more}", event.name.as_str());
        self.told.lock().unwrap().push(told);
        Ok(())
    }
}

struct World {
    platform: Platform,
    diary: Arc<Diary>,
    directory: tempfile::TempDir,
    plugin: PluginName,
}

fn who() -> Principal {
    Principal {
        name: "test".to_owned(),
        roles: vec![Role::Owner],
    }
}

impl World {
    async fn version(&self, version: &str, more: &[&str]) -> VersionId {
        let directory: PathBuf = self.directory.path().join("packages").join(version);
        let manifest = json!({
            "fskey": "DemoPlugin", "name": "x", "description": "", "author": "me", "version": version,
        });
        let manifest = manifest.to_string();
        let mut files = vec![("plugin.json", manifest.as_str())];
        files.extend(more.iter().map(|path| (*path, "")));
        for (path, content) in files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let options = TakeIn {
            kind: Some(KindId::from_static("web")),
            ..TakeIn::default()
        };
        let taken = self
            .platform
            .take_in(Source::Path(directory), options)
            .await;
        taken.unwrap().version.id
    }

    /// Carries out a change; says how it ended and what was told meanwhile.
    async fn change(&self, request: ChangeRequest) -> (Outcome, Vec<String>) {
        let who = who();
        let begun = self.platform.change(&who, &self.plugin, request).await;
        let outcome = self.platform.wait(begun.unwrap()).await.unwrap();
        let told = std::mem::take(&mut *self.diary.told.lock().unwrap());
        (outcome, told)
    }

    async fn done(&self, request: ChangeRequest) -> Vec<String> {
        let (outcome, told) = self.change(request).await;
        assert_eq!(outcome, Outcome::Done);
        told
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_26_web_44_web_48_events_come_in_order_and_the_first_veto_counts() {
    for test in databases().await {
        let directory = tempfile::tempdir().unwrap();
        let mut migrations = plugyard_platform::migrations();
        migrations.extend(plugyard_web::migrations());
        test.database.migrate(migrations).await.unwrap();
        let home = Home::new(directory.path());
        let load = ["sh", "-c", "[ ! -e \"$PLUGYARD_DIRECTORY/broken\" ]"];
        let settings = WebSettings {
            hooks: Hooks {
                load: load.map(str::to_owned).to_vec(),
                ..Hooks::default()
            },
            observation: std::time::Duration::ZERO,
            ..WebSettings::default()
        };
        let host = WebHost::new(settings, home.clone(), test.database.clone(), false);
        let diary = Arc::new(Diary::default());
        host.listen(diary.clone());
        let settings = Settings::new(home, test.database.clone());
        let platform = Platform::open(settings, vec![host.kind()]).await.unwrap();
        let world = World {
            platform,
            diary,
            directory,
            plugin: "web:DemoPlugin".parse().unwrap(),
        };
        let version = world.version("1.0.0", &[]).await;
        let install = ChangeRequest::Install {
            version,
            wanted: None,
        };
        *world.diary.refuses.lock().unwrap() = Some("plugin:installing");
        let (outcome, told) = world.change(install).await;
        assert!(
            matches!(outcome, Outcome::Failed(ref it) if it.code.as_str() == "E_VETO"),
            "{outcome:?}"
        );
        assert_eq!(told, ["plugin:installing"]);
        assert!(!world.directory.path().join("plugins/DemoPlugin").exists());
        *world.diary.refuses.lock().unwrap() = None;

        assert_eq!(
            world.done(install).await,
            ["plugin:installing", "plugin:installed"]
        );
        assert_eq!(
            world.done(ChangeRequest::Enable).await,
            ["plugin:activating", "plugin:activated"]
        );
        assert_eq!(world.done(ChangeRequest::Enable).await, [""; 0]);
        let version = world.version("1.1.0", &[]).await;
        assert_eq!(
            world.done(ChangeRequest::Upgrade { version }).await,
            [
                "plugin:upgrading",
                "plugin:installing",
                "plugin:installed",
                "plugin:upgraded from=1.0.0 to=1.1.0"
            ]
        );
        let version = world.version("2.0.0", &["broken"]).await;
        let (outcome, told) = world.change(ChangeRequest::Upgrade { version }).await;
        assert!(matches!(outcome, Outcome::RolledBack(_)), "{outcome:?}");
        assert_eq!(told[..2], ["plugin:upgrading", "plugin:installing"]);
        assert!(
            told[2].starts_with("plugin:rolledBack from=1.1.0 to=2.0.0 reason=the command `load`"),
            "{told:?}"
        );
        assert_eq!(told.len(), 3);
        assert_eq!(
            world.done(ChangeRequest::Disable).await,
            ["plugin:deactivating", "plugin:deactivated"]
        );
        world.done(ChangeRequest::Enable).await;
        assert_eq!(
            world
                .done(ChangeRequest::Uninstall { keep_data: true })
                .await,
            [
                "plugin:uninstalling",
                "plugin:deactivating",
                "plugin:deactivated",
                "plugin:uninstalled"
            ]
        );
        world.platform.shut_down().await;
    }
}
