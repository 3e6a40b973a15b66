//! A disk that fills up, at every moment there is: the change ends in the old or the new state, and whoever
//! waits is told that it is the disk.
//!
//! The disk is a small file system in memory that only this process sees; it is made smaller and larger.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use plugyard_model::codes;
use plugyard_platform::operations::OperationState;
use plugyard_platform::{Home, Outcome, Platform, Settings, Source, TakeIn};
use plugyard_store::{Database, DatabaseUrl};
use sea_orm::ConnectionTrait as _;
use serde_json::json;

use crate::support::{Fake, operator, package, plugin, world};

/// Says to a test that it is already in surroundings of its own.
const INSIDE: &str = "PLUGYARD_TEST_INSIDE";
/// What a file system in memory gives out room in.
const PAGE: u64 = 4096;
const ROOMY: u64 = 64 << 20;

/// A disk whose size can be changed.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts one below `directory`; `None` where that is not permitted.
    fn new(directory: &Path) -> Self {
        let at = directory.join("disk");
        std::fs::create_dir(&at).unwrap();
        mount(
            &["-t", "tmpfs", "-o", &format!("size={ROOMY}"), "tmpfs"],
            &at,
        );
        Self { at }
    }

    fn resize(&self, size: u64) {
        mount(&["-o", &format!("remount,size={size}")], &self.at);
    }

    /// Leaves room for so many bytes beyond what is used. What somebody writes between the look and the change
    /// makes it impossible; then it is looked again.
    fn leave(&self, room: u64) {
        let resized = (0..100).any(|_| {
            let size = format!("remount,size={}", self.used() + room);
            let status = tool("mount").args(["-o", &size]).arg(&self.at).status();
            status.unwrap().success()
        });
        assert!(resized, "the disk cannot be made smaller");
    }

    fn used(&self) -> u64 {
        let about = rustix::fs::statvfs(&self.at).unwrap();
        (about.f_blocks - about.f_bfree) * about.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = tool("umount").arg("--lazy").arg(&self.at).status();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tools of the system, not plugins"
)]
fn tool(name: &str) -> Command {
    Command::new(name)
}

fn mount(words: &[&str], at: &Path) {
    let status = tool("mount").args(words).arg(at).status().unwrap();
    assert!(status.success(), "mount {words:?}");
}

/// Runs a test of this module with mounts of its own; true where it has them already.
#[expect(clippy::print_stdout, reason = "a test says what it skips and covers")]
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let possible = tool("unshare").args(["--mount", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: cannot make mounts of its own here");
        return false;
    }
    let ended = tool("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("full::{test}"), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "it failed in there");
    assert!(said.contains("1 passed"), "no test of that name");
    false
}

/// A platform whose home is on one disk and whose database on another.
struct Machine {
    home: Disk,
    database: Disk,
    store: Database,
    kind: std::sync::Arc<Fake>,
    platform: Platform,
    _directories: [tempfile::TempDir; 2],
}

impl Machine {
    async fn new() -> Self {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [home, database] = directories.each_ref().map(|it| Disk::new(it.path()));
        let url = DatabaseUrl::sqlite(database.at.join("plugyard.db"));
        let store = Database::open(&url).await.unwrap();
        store
            .migrate(plugyard_platform::migrations())
            .await
            .unwrap();
        let kind = Fake::new(&home.at);
        let mut settings = Settings::new(Home::new(&home.at), store.clone());
        // What goes by itself would be taken for what was left out.
        settings.keep_versions = usize::MAX;
        let platform = Platform::open(settings, vec![kind.clone()]).await.unwrap();
        platform.recover().await.unwrap();
        Self {
            home,
            database,
            store,
            kind,
            platform,
            _directories: directories,
        }
    }

    /// Moves the write-ahead log into the database, so that writing needs room again.
    async fn settle(&self) {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.store
            .conn()
            .execute_unprepared(checkpoint)
            .await
            .unwrap();
    }

    async fn installed(&self, key: &str) -> plugyard_platform::kind::Version {
        let version = crate::support::take_in(&self.platform, key, "1", json!({})).await;
        let options = plugyard_platform::operations::InstallOptions::default();
        let id = self
            .platform
            .install(&operator(), &plugin(key), version.id, options)
            .await
            .unwrap();
        assert_eq!(self.platform.wait(id).await.unwrap(), Outcome::Done);
        version
    }
}

/// Waits until a probe answers yes.
async fn until(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if probe().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain until {what}");
}

#[tokio::test]
async fn with_any_room_for_the_database_a_change_ends_old_or_new() {
    if !inside("with_any_room_for_the_database_a_change_ends_old_or_new") {
        return;
    }
    let machine = Machine::new().await;
    let name = plugin("a");
    let old = machine.installed("a").await;
    let (mut refused, mut told, mut back) = (0, 0, 0);
    for pages in 0.. {
        let label = format!("with {pages} pages");
        let new = crate::support::take_in(&machine.platform, "a", &label, json!({})).await;
        let before = machine.kind.effects("a");
        assert_eq!(before["current"], old.digest.to_string(), "{label}");
        machine.settle().await;
        machine.database.leave(pages * PAGE);
        let begun = machine.platform.upgrade(&operator(), &name, new.id).await;
        let outcome = match &begun {
            Ok(id) => machine.platform.wait(*id).await,
            Err(problem) => Err(problem.clone()),
        };
        match &outcome {
            Ok(Outcome::Done) => {}
            Ok(Outcome::RolledBack(problem) | Outcome::Failed(problem)) => {
                assert_eq!(problem.params["plugin"], "fake:a", "{label}");
                assert!(!problem.params["step"].is_empty(), "{label}");
                let reason = &problem.params["reason"];
                assert!(
                    reason.contains("disk of the database is full"),
                    "{label}: {reason}"
                );
                back += 1;
            }
            Err(problem) if problem.code == codes::STEP_STORE_FULL => {
                assert_eq!(problem.params["plugin"], "fake:a", "{label}");
                assert!(!problem.params["step"].is_empty(), "{label}");
                told += 1;
            }
            Err(problem) if problem.code == codes::STORE_FULL => refused += 1,
            other => panic!("{label}: {other:?}"),
        }
        machine.database.resize(ROOMY);
        // With room it comes to an end by itself.
        if let Ok(id) = begun {
            until("it has ended", async || {
                let view = machine.platform.operation(id).await;
                view.is_ok_and(|it| it.state != OperationState::Running)
            })
            .await;
        }
        until("nothing is claimed", async || {
            machine
                .platform
                .restart(&operator(), &name)
                .await
                .is_ok_and(|_| true)
        })
        .await;
        until("the restart has ended", async || {
            let all = plugyard_platform::operations::OperationFilter::default();
            let page = plugyard_http::PageQuery::default();
            let operations = machine
                .platform
                .operations(&all, &page)
                .await
                .unwrap()
                .items;
            operations.iter().all(|it| it.ended_at.is_some())
        })
        .await;
        let after = machine.kind.effects("a");
        let view = machine.platform.installation("a").await.unwrap();
        let current = view.current.unwrap();
        assert_eq!(after["current"], current.digest.to_string(), "{label}");
        if current.id == old.id {
            assert_eq!(after, before, "{label}");
            continue;
        }
        assert_eq!(current.id, new.id, "{label}");
        assert!(
            after.contains_key(&format!("started/{}", new.digest)),
            "{label}"
        );
        assert!(
            !after.contains_key(&format!("started/{}", old.digest)),
            "{label}"
        );
        if outcome == Ok(Outcome::Done) {
            break;
        }
        // It waited with its commit done: back to where the next one begins.
        let id = machine
            .platform
            .rollback(&operator(), &name, Some(old.id))
            .await
            .unwrap();
        assert_eq!(machine.platform.wait(id).await.unwrap(), Outcome::Done);
    }
    say(&format!(
        "{refused} refused, {back} went back, {told} waited"
    ));
    assert!(refused > 0 && back + told > 0);
}

#[expect(clippy::print_stdout, reason = "a test says what it covered")]
fn say(text: &str) {
    println!("{text}");
}

#[tokio::test]
async fn with_any_room_for_the_home_a_package_is_kept_whole_or_not_at_all() {
    if !inside("with_any_room_for_the_home_a_package_is_kept_whole_or_not_at_all") {
        return;
    }
    let machine = Machine::new().await;
    let old = machine.installed("a").await;
    let name = plugin("a");
    // Bytes that do not become fewer by packing, 20 pages of them; unpacked, ten pages more.
    let mut random = vec![0; 80 << 10];
    getrandom::fill(&mut random).unwrap();
    let directory = package("a", "2", json!({ "files": 8192 }));
    std::fs::write(directory.path().join("ballast"), random).unwrap();
    let mut taken: Option<plugyard_platform::kind::Version> = None;
    let (mut packages, mut unpacks, mut pages) = (0, 0, 0);
    loop {
        let label = format!("with {pages} pages, {unpacks} changes failed");
        machine.home.leave(pages * PAGE);
        let source = Source::Path(directory.path().to_owned());
        let fits = match &taken {
            Some(version) => Ok(version.clone()),
            None => machine
                .platform
                .take_in(source, TakeIn::default())
                .await
                .map(|it| it.version),
        };
        let outcome = match fits {
            Err(problem) => {
                packages += 1;
                pages += 1;
                let text = problem.detail(plugyard_model::Lang::En);
                assert_eq!(problem.code, codes::HOME_FULL, "{label}: {text}");
                assert!(
                    text.to_lowercase().contains("no space left"),
                    "{label}: {text}"
                );
                None
            }
            Ok(version) => {
                let id = machine
                    .platform
                    .upgrade(&operator(), &name, version.id)
                    .await
                    .unwrap();
                // From here on the package is there, so that all room is for what is in it.
                pages = if taken.is_none() { 0 } else { pages + 1 };
                taken = Some(version.clone());
                Some((version, machine.platform.wait(id).await.unwrap()))
            }
        };
        machine.home.resize(ROOMY);
        let staging = std::fs::read_dir(machine.home.at.join("staging")).unwrap();
        assert_eq!(staging.count(), 0, "{label}");
        match outcome {
            None => {
                let objects = std::fs::read_dir(machine.home.at.join("objects/packages"));
                assert_eq!(objects.unwrap().count(), 1, "{label}");
            }
            Some((new, Outcome::Done)) => {
                let mut expected = world(&new, &[&old, &new]);
                expected.insert(format!("unpacked/{}", new.digest), "files".repeat(8192));
                assert_eq!(machine.kind.effects("a"), expected, "{label}");
                break;
            }
            Some((_, Outcome::RolledBack(problem) | Outcome::Failed(problem))) => {
                unpacks += 1;
                assert_eq!(problem.params["plugin"], "fake:a", "{label}");
                assert_eq!(machine.kind.effects("a"), world(&old, &[&old]), "{label}");
                let reason = problem.params["reason"].to_lowercase();
                assert!(reason.contains("no space left"), "{label}: {reason}");
            }
            Some((_, other)) => panic!("{label}: {other:?}"),
        }
    }
    say(&format!(
        "{packages} packages and {unpacks} changes did not fit"
    ));
    assert!(packages > 20 && unpacks > 2);
}
