//! What an earlier server left.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use plugyard_sandbox::{ExitStatus, Isolation, Spec, reap_leftovers};

use crate::support::*;

fn record(run_dir: &Path) -> PathBuf {
    let mut records = fs::read_dir(run_dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "process")
        });
    records.next().expect("a running process is recorded")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_09_a_leftover_is_killed_with_its_children() {
    let place = Place::new();
    for isolation in [Isolation::BestEffort, Isolation::Shared] {
        let launcher = place.launcher();
        let mut process = launcher
            .spawn(Spec {
                isolation,
                ..sh("sleep 1000 & echo ready; wait")
            })
            .await
            .unwrap();
        assert_eq!(line(&mut process).await, "ready");
        let family = family(process.shim_pid());
        // As a server finds it that did not start it.
        let other = place.make("other");
        // A mere copy of the directory is another server's: nothing is ended for it.
        fs::copy(record(&place.make("run")), other.join("x.process")).unwrap();
        let found = reap_leftovers(&other).unwrap();
        assert!(
            found.killed.is_empty() && !found.spared.is_empty(),
            "{found:?}"
        );
        let mut own: serde_json::Value =
            serde_json::from_slice(&fs::read(record(&place.make("run"))).unwrap()).unwrap();
        let metadata = fs::metadata(&other).unwrap();
        own["directory"] = serde_json::json!([metadata.dev(), metadata.ino()]);
        fs::write(other.join("x.process"), own.to_string()).unwrap();
        let found = tokio::task::spawn_blocking(move || reap_leftovers(&other).unwrap())
            .await
            .unwrap();
        assert!(found.killed.contains(&process.pid()), "{found:?}");
        assert!(
            found.spared.is_empty() && found.problems.is_empty(),
            "{found:?}"
        );
        assert!(!family.iter().any(|id| id.lives()));
        assert_eq!(
            process.wait().await.status,
            ExitStatus::Signal(libc::SIGKILL)
        );
        assert!(!place.make("other").join("x.process").exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_09_a_pid_that_belongs_to_somebody_else_by_now_is_spared() {
    let place = Place::new();
    let process = place.launcher().spawn(sh("sleep 1000")).await.unwrap();
    let ours = [process.pid(), process.shim_pid()].map(|pid| Id::of(pid).unwrap());
    let mut else_ = loop {
        #[expect(clippy::disallowed_methods, reason = "somebody else")]
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let started = Id::of(child.id()).unwrap().started;
        // A pid is not used twice within one tick of the clock.
        if ours.iter().all(|id| id.started != started) {
            break child;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    };
    let text = fs::read_to_string(record(&place.make("run"))).unwrap();
    let reused = text
        .replace(
            &format!("\"pid\":{},", process.pid()),
            &format!("\"pid\":{},", else_.id()),
        )
        .replace(&format!("\"pid\":{},", process.shim_pid()), "\"pid\":1,");
    assert_ne!(reused, text);
    process.kill().await;
    let other = place.make("other");
    fs::write(other.join("x.process"), reused).unwrap();
    let found = reap_leftovers(&other).unwrap();
    assert!(found.killed.is_empty(), "{found:?}");
    assert!(found.spared.contains(&else_.id()), "{found:?}");
    assert_eq!(else_.try_wait().unwrap(), None);
    else_.kill().unwrap();
    else_.wait().unwrap();
}

#[test]
fn host_09_after_a_killed_server_nothing_of_it_is_left() {
    let place = Place::new();
    let run_dir = place.make("run");
    let (mut server, shim) = start_server(&run_dir, Isolation::BestEffort);
    let groups = fs::read_to_string(format!("/proc/{shim}/task/{shim}/children"))
        .map(|children| children.split_ascii_whitespace().next().unwrap().to_owned())
        .map(|main| fs::read_to_string(format!("/proc/{main}/cgroup")).unwrap())
        .unwrap();
    let in_groups = groups.contains("/plugyard-");
    server.kill();
    let found = reap_leftovers(&run_dir).unwrap();
    assert!(found.problems.is_empty(), "{found:?}");
    assert_eq!(!found.cgroups.is_empty(), in_groups, "{found:?}");
    assert!(
        !found.cgroups.iter().any(|group| group.exists()),
        "{found:?}"
    );
    assert_eq!(fs::read_dir(&run_dir).unwrap().count(), 0);
    assert_eq!(
        reap_leftovers(&run_dir).unwrap(),
        plugyard_sandbox::Leftovers::default()
    );
}

#[test]
fn host_09_what_lost_its_shim_without_a_namespace_is_found_by_its_mark() {
    let place = Place::new();
    let run_dir = place.make("run");
    let (mut server, shim) = start_server(&run_dir, Isolation::Shared);
    eventually("all are started", || family(shim).len() >= 5);
    let carries = |id: &Id| {
        let environment = fs::read(format!("/proc/{}/environ", id.pid)).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(plugyard_sandbox::MARK)
    };
    let marked: Vec<Id> = family(shim).into_iter().filter(carries).collect();
    assert!(marked.len() >= 3, "{marked:?}");
    // So that it does not look after what is left, which is what the next one has to do.
    server.stop();
    signal(shim, rustix::process::Signal::KILL);
    eventually("the shim has ended", || Id::of(shim).is_none());
    server.kill();
    let left: Vec<Id> = marked.into_iter().filter(|id| id.lives()).collect();
    assert!(!left.is_empty());
    let found = reap_leftovers(&run_dir).unwrap();
    assert!(
        left.iter().any(|id| found.killed.contains(&id.pid)),
        "{found:?}"
    );
    assert!(!left.iter().any(|id| id.lives()), "{left:?}");
}

#[test]
fn host_09_stale_sockets_go_and_nothing_else() {
    let place = Place::new();
    let run_dir = place.make("run");
    let outside = place.make("outside");
    let stale = place.make("run/plugin").join("x.sock");
    drop(UnixListener::bind(&stale).unwrap());
    drop(UnixListener::bind(outside.join("y.sock")).unwrap());
    fs::write(run_dir.join("file"), "").unwrap();
    symlink(&outside, run_dir.join("link")).unwrap();
    let found = reap_leftovers(&run_dir).unwrap();
    assert_eq!(found.sockets, std::slice::from_ref(&stale));
    assert!(!stale.exists() && run_dir.join("file").exists());
    assert!(outside.join("y.sock").exists());
    assert_eq!(
        reap_leftovers(&run_dir.join("none")).unwrap(),
        plugyard_sandbox::Leftovers::default()
    );
}

#[test]
fn a_record_that_is_none_harms_nothing_and_is_said() {
    let place = Place::new();
    let run_dir = place.make("run");
    fs::write(run_dir.join("x.process"), "{").unwrap();
    let found = reap_leftovers(&run_dir).unwrap();
    assert_eq!(found.problems.len(), 1, "{found:?}");
}
