//! A plugin that means harm, or is broken, and what becomes of it and of others: nothing of theirs.
//!
//! The plugin is our own program with the manners of the Go SDK; it does on command what no plugin should.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use plugyard_model::HealthState;
use plugyard_platform::kind::Action;
use plugyard_portable::testing::{mirror, script_dir};
use plugyard_portable::{RestartSettings, Span};
use plugyard_symbol::{ErrorClass, SourceHandle, SourceInbox, SourceRequest, SymbolError, Value};
use rustix::process::{Pid, test_kill_process};

use crate::calls::{bind, text};
use crate::support::{Inbox, PATIENCE, Rig, node, python};

/// The program, which is built with these tests.
pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_mirror").into()
}

/// A rig with the plugin `mirror` in it, whose calls end soon.
pub(crate) async fn rig() -> Rig {
    rig_with(Span::secs(1)).await
}

/// The same with another time for calls.
async fn rig_with(calls: Span) -> Rig {
    let rig = Rig::with("python3", |settings| {
        settings.recv_timeout = calls;
        settings.stop_grace = Span::millis(200);
        settings.restart.initial = Span::millis(10);
    });
    let version = rig.package(|at| mirror::directory(at, "mirror", &program()));
    rig.install(&version).await.unwrap();
    rig
}

/// What `obey` says to that; an error is told as one.
pub(crate) async fn obey(rig: &Rig, command: &str) -> String {
    match bind(rig, "obey").call(&[Value::from(command)]).await {
        Ok(value) => serde_json::from_str(&text(value)).unwrap(),
        Err(error) => format!("error: {}", error.text),
    }
}

/// It works, whatever was before.
async fn assert_works(rig: &Rig) {
    let works = async {
        while bind(rig, "echo").call(&[Value::from("x")]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, works).await.is_ok());
}

fn lives(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Waits until that is so.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, holds).await.is_ok(),
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn host_11_a_plugin_that_ends_in_the_middle_of_a_call_is_started_again() {
    let rig = rig().await;
    for (command, reason) in [
        ("exit", "exit status 3"),
        // Nobody had asked it to.
        ("leave", "exit status 0"),
        ("abort", "signal: aborted"),
    ] {
        let pid = rig.pid("mirror");
        let said = obey(&rig, command).await;
        assert!(
            said.starts_with("error: ") && said.contains(&format!("its process ended ({reason}")),
            "{said}"
        );
        assert_works(&rig).await;
        assert_ne!(rig.pid("mirror"), pid);
        let status = rig.status("mirror");
        let last = status["history"].as_array().unwrap().last().unwrap();
        let told = last["reason"].as_str().unwrap();
        assert!(
            told.starts_with(reason.split(':').next().unwrap()),
            "{told}"
        );
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_answered_wrongly_fails_alone() {
    let rig = rig().await;
    // The frame without an id is nobody's; the answer after it counts.
    assert_eq!(obey(&rig, "short").await, "short");
    assert_works(&rig).await;
    // The id of a request that was answered already means that the command did not arrive.
    let error = bind(&rig, "obey").call(&[Value::from("again")]).await;
    let error = error.unwrap_err();
    assert_eq!(error.class, ErrorClass::Timeout, "{error:?}");
    assert_works(&rig).await;
    let error = bind(&rig, "obey").call(&[Value::from("silent")]).await;
    assert_eq!(error.unwrap_err().class, ErrorClass::Timeout);
    // Another function of the same process does not notice.
    assert_works(&rig).await;
    assert_eq!(rig.health("mirror").await.state, HealthState::Ready);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_gibibyte_is_never_held() {
    let rig = rig().await;
    let said = obey(&rig, "gigabyte").await;
    assert!(said.starts_with("error: "), "{said}");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(peak < 768 * 1024, "peak of {peak} KiB");
    assert_works(&rig).await;
    rig.end().await;
}

/// Instead of a handshake, the head of a message of 1 GiB and as much of it as is taken.
const HUGE_HANDSHAKE: &str = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/tmp/plugin_huge.ipc")
s.sendall(b"\0SP\0\0\x30\0\0")
s.recv(8)
s.sendall(b"\x01" + (1 << 30).to_bytes(8, "big"))
try:
    while True:
        s.sendall(bytes(65536))
except OSError as error:
    print("refused:", error, flush=True)
import time
time.sleep(600)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_of_a_gibibyte_is_none_and_a_row_of_one_breaks_its_source_alone() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.init_timeout = Span::secs(4);
        settings.stop_grace = Span::millis(200);
    });
    let huge = rig.package(|at| script_dir(at, "huge", HUGE_HANDSHAKE));
    let failed = rig.install(&huge).await.unwrap_err();
    assert_eq!(failed.step, "probe");
    assert!(
        failed.error.text.contains("did not answer its handshake")
            && failed.error.text.contains("refused:"),
        "{failed:?}"
    );
    // The kernel's buffers are all that a message may fill which is longer than any may be.
    let mirror = rig.package(|at| mirror::directory(at, "mirror", &program()));
    rig.install(&mirror).await.unwrap();
    let config = serde_json::json!({"interval": 10, "huge": true});
    let (source, inbox) = random(&rig, "r", &config).await.unwrap();
    inbox
        .until("told", |inbox| !inbox.exceptions().is_empty())
        .await;
    assert_eq!(inbox.count(), 0);
    assert_works(&rig).await;
    source.stop().await.unwrap();
    assert_eq!(rig.health("mirror").await.state, HealthState::Ready);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_without_end_is_read_and_bounded() {
    // It would wait for ever on a pipe that nobody reads.
    let rig = rig_with(Span::secs(60)).await;
    let mut version = rig.installation("mirror").unwrap().current;
    version.options = serde_json::json!({"limits": {"log": "64KiB"}});
    rig.upgrade(&version).await.unwrap();
    assert_eq!(obey(&rig, "flood").await, "flooded");
    let logs = rig.home.logs(&"portable".to_owned().into());
    let kept: u64 = ["mirror.log", "mirror.log.1"]
        .iter()
        .filter_map(|name| fs::metadata(logs.join(name)).ok())
        .map(|file| file.len())
        .sum();
    // One line more than the limit at most.
    assert!(kept > 0 && kept <= 64 * 1024 + 9 * 1024, "{kept} bytes");
    let plugin = "portable:mirror".parse().unwrap();
    let (lines, _) = rig.kind.logs(&plugin, usize::MAX);
    assert!(lines.iter().all(|line| line.text.len() <= 8 * 1024));
    assert!(lines.len() <= 2000);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_disk_end_at_their_limits_and_the_reason_is_told() {
    let rig = rig_with(Span::secs(60)).await;
    for (limits, command, word) in [
        (serde_json::json!({"memory": "64MiB"}), "eat", "memory"),
        (serde_json::json!({"disk": "8MiB"}), "fill", "disk"),
    ] {
        let mut version = rig.installation("mirror").unwrap().current;
        version.options = serde_json::json!({"limits": limits});
        rig.upgrade(&version).await.unwrap();
        let said = obey(&rig, command).await;
        assert!(said.starts_with("error: "), "{said}");
        eventually("an exit is told", || {
            let status = rig.status("mirror");
            let told = status["history"].as_array().unwrap().last().cloned();
            told.is_some_and(|it| {
                it["reason"]
                    .as_str()
                    .unwrap()
                    .contains(&format!("over its limit of {word}"))
            })
        })
        .await;
        let _ = fs::remove_file(rig.data("mirror", "full"));
        assert_works(&rig).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_whose_disk_stays_full_fails_and_says_what_helps() {
    let rig = Rig::with("python3", |settings| {
        settings.recv_timeout = Span::secs(60);
        settings.restart = RestartSettings {
            initial: Span::millis(10),
            max: Span::millis(20),
            attempts: 2,
            ..RestartSettings::default()
        };
    });
    let version = rig.package(|at| mirror::directory(at, "mirror", &program()));
    rig.install(&version).await.unwrap();
    let mut version = rig.installation("mirror").unwrap().current;
    version.options = serde_json::json!({"limits": {"disk": "8MiB"}});
    rig.upgrade(&version).await.unwrap();
    let mut events = rig.kind.watch();
    obey(&rig, "fill").await;
    // What fills it is still there after each restart.
    rig.until("mirror", HealthState::Failed).await;
    let data = rig.data("mirror", "");
    let told = |reason: &str| {
        for part in [
            "over its limit of disk: at most 8.0 MiB, ",
            " MiB used in ",
            data.to_str().unwrap().trim_end_matches('/'),
            "make room in",
            "`plugyard set portable:mirror --limit disk=",
            "`plugyard restart portable:mirror`",
        ] {
            assert!(reason.contains(part), "{reason} lacks {part}");
        }
    };
    told(&rig.health("mirror").await.reason);
    told(rig.status("mirror")["errMsg"].as_str().unwrap());
    let details = rig.kind.details(&rig.installation("mirror").unwrap()).await;
    told(details["history"][0]["reason"].as_str().unwrap());
    let failed = async {
        loop {
            let event = events.next().await.unwrap();
            if event.health.state == HealthState::Failed {
                return event.health.reason;
            }
        }
    };
    told(&tokio::time::timeout(PATIENCE, failed).await.unwrap());
    // Room was made.
    fs::remove_file(rig.data("mirror", "full")).unwrap();
    rig.change(Action::Restart, "mirror", None).await.unwrap();
    assert_works(&rig).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_in_sessions_of_their_own_go_with_the_plugin() {
    let rig = rig().await;
    let before: usize = obey(&rig, "processes").await.parse().unwrap();
    obey(&rig, "fork").await;
    let after: usize = obey(&rig, "processes").await.parse().unwrap();
    assert_eq!(after, before + 1, "it sees its own processes and no others");
    let plugin = rig.pid("mirror");
    // The child, as this process sees it: the one that descends from the plugin's first process.
    let shim = parent(plugin);
    let child = children(plugin)
        .into_iter()
        .chain(children(shim))
        .find(|pid| *pid != plugin)
        .expect("a child");
    rig.change(Action::Disable, "mirror", None).await.unwrap();
    eventually("the child is gone", || !lives(child)).await;
    assert!(!lives(plugin));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_does_not_end_when_asked_is_ended() {
    let rig = rig().await;
    assert_eq!(obey(&rig, "stubborn").await, "stubborn");
    let pid = rig.pid("mirror");
    rig.change(Action::Disable, "mirror", None).await.unwrap();
    assert!(!lives(pid));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_again_and_again_is_given_up_with_its_reason_until_somebody_asks() {
    // The defaults, but for the waits, which grow to 30 s.
    let rig = Rig::with("python3", |settings| {
        let defaults = RestartSettings::default();
        assert_eq!(
            (defaults.attempts, defaults.reset_after),
            (10, Span::secs(60))
        );
        settings.restart = RestartSettings {
            initial: Span::millis(1),
            max: Span::millis(20),
            ..defaults
        };
    });
    let version = rig.package(|at| mirror::directory(at, "mirror", &program()));
    rig.install(&version).await.unwrap();
    // Each life ends at a call; the budget is for exits in a row.
    let echo = rig.installation("mirror").unwrap();
    while rig.kind.probe(&echo).await.state != HealthState::Failed {
        let _ = tokio::time::timeout(Duration::from_secs(1), obey(&rig, "exit")).await;
    }
    let health = rig.health("mirror").await;
    assert_eq!(health.state, HealthState::Failed);
    assert!(health.reason.contains("exit status 3"), "{health:?}");
    let restarts = rig.status("mirror")["restarts"].as_u64().unwrap();
    assert_eq!(restarts, 10);
    let error = bind(&rig, "echo")
        .call(&[Value::from("x")])
        .await
        .unwrap_err();
    assert!(
        error.text.contains("exit status 3") || error.text.contains("mirror"),
        "{error:?}"
    );
    rig.change(Action::Restart, "mirror", None).await.unwrap();
    assert_works(&rig).await;
    assert_eq!(rig.health("mirror").await.state, HealthState::Ready);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_sees_nothing_of_the_server_and_of_other_plugins() {
    let rig = rig().await;
    let home = rig.home.root().to_owned();
    fs::create_dir_all(rig.home.keys()).unwrap();
    fs::write(rig.home.keys().join("master.key"), "secret").unwrap();
    fs::write(home.join("plugyard.db"), "secret").unwrap();
    let other = rig.home.plugin_data(&"portable:other".parse().unwrap());
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("mine"), "secret").unwrap();
    // What waits for sinks and what rules log is about rows of others.
    let (cache, logs) = (rig.home.data().join("sink-cache"), home.join("logs/rules"));
    for directory in [&cache, &logs] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("rows"), "secret").unwrap();
    }
    let socket = std::os::unix::net::UnixListener::bind(rig.home.api_socket()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let versions = fs::read_dir(home.join("versions/portable/mirror")).unwrap();
    let own = versions
        .flatten()
        .map(|it| it.path())
        .find(|path| path.is_dir());
    let own = own.unwrap();
    for command in [
        format!("connect {}", rig.home.api_socket().display()),
        format!("read {}/master.key", rig.home.keys().display()),
        format!("read {}/plugyard.db", home.display()),
        format!("read {}/mine", other.display()),
        format!("read {}/rows", cache.display()),
        format!("list {}", cache.display()),
        format!("read {}/rows", logs.display()),
        format!("list {}", logs.display()),
        format!("write {}/rows", cache.display()),
        format!("list {}", rig.home.run().display()),
        format!("list {}", rig.home.keys().display()),
        format!("write {}/x", own.display()),
        "read /proc/1/environ".to_owned(),
        format!("list {}", std::env::home_dir().unwrap().display()),
        format!("list {}", ["/proc/1", "root", "root"].join("/")),
        "write /etc/x".to_owned(),
    ] {
        let said = obey(&rig, &command).await;
        // An empty directory where the real one is would be as good.
        assert!(
            said.starts_with("error: ") || said.is_empty(),
            "`{command}`: {said}"
        );
    }
    assert!(socket.accept().is_err(), "nobody came");
    // Where the home would be is at most something of its own.
    obey(&rig, &format!("write {}/x", home.display())).await;
    assert!(!home.join("x").exists());
    assert_eq!(obey(&rig, "write /tmp/x").await, "written");
    let names = obey(&rig, "variables").await;
    for name in names.split(' ') {
        let known = [
            "HOME",
            "LANG",
            "PATH",
            "PYTHONDONTWRITEBYTECODE",
            "PYTHONPATH",
            "LD_LIBRARY_PATH",
            "TZ",
        ];
        assert!(
            known.contains(&name)
                || ["LC_", "PLUGYARD_"].iter().any(|it| name.starts_with(it))
                || name.to_ascii_lowercase().ends_with("_proxy"),
            "{name} of {names}"
        );
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_installs_of_one_symbol_at_once_one_wins() {
    let rig = Rig::new("python3");
    let one = rig.package(|at| mirror::directory(at, "one", &program()));
    let two = rig.package(|at| mirror::directory(at, "two", &program()));
    let (first, second) = tokio::join!(rig.install(&one), rig.install(&two));
    let failed = match (first, second) {
        (Ok(()), Err(failed)) | (Err(failed), Ok(())) => failed,
        other => panic!("not one of both: {other:?}"),
    };
    assert!(
        failed.error.text.contains("random") || failed.error.text.contains("echo"),
        "{failed:?}"
    );
    assert_works(&rig).await;
    rig.end().await;
}

fn stat(pid: i32, field: usize) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = stat.rsplit_once(')')?.1;
    rest.split_whitespace().nth(field)?.parse().ok()
}

fn parent(pid: i32) -> i32 {
    stat(pid, 1).unwrap()
}

fn children(of: i32) -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid, 1) == Some(of))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_41_echo_says_how_many_arguments_it_takes_and_returns_the_one() {
    let rig = rig().await;
    let echo = rig.catalog.function("echo").unwrap();
    let error = echo.validate(0).await.unwrap_err();
    assert_eq!(
        error.text,
        "validate return state is false, got &{State:false Result:echo function only supports 1 parameter but got 0}"
    );
    echo.validate(1).await.unwrap();
    for (argument, same) in [
        (Value::from("twelve"), r#""twelve""#),
        (Value::from(12), "12"),
        (Value::from(true), "true"),
    ] {
        let answer = bind(&rig, "echo").call(&[argument]).await.unwrap();
        assert_eq!(text(answer), same);
    }
    rig.end().await;
}

/// Starts `random` with that on top of its file.
pub(crate) async fn random(
    rig: &Rig,
    rule: &str,
    config: &serde_json::Value,
) -> Result<(Box<dyn SourceHandle>, Arc<Inbox>), SymbolError> {
    let inbox = Arc::new(Inbox::default());
    let request = SourceRequest {
        node: node(rule, "stream"),
        datasource: String::new(),
        conf_key: None,
        config: config.as_object().unwrap().clone(),
    };
    let source = rig.catalog.source("random").unwrap();
    let told = Arc::clone(&inbox) as Arc<dyn SourceInbox>;
    Ok((source.start(request, told).await?, inbox))
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_42_random_says_what_is_wrong_and_repeats_its_pattern() {
    let rig = rig().await;
    for (config, wrong) in [
        (
            serde_json::json!({"interval": -2}),
            "source `random` property `interval` must be a positive integer but got -2",
        ),
        (
            serde_json::json!({"interval": 0}),
            "source `random` property `interval` must be a positive integer but got 0",
        ),
        (
            serde_json::json!({"seed": -1}),
            "source `random` property `seed` must be a positive integer but got -1",
        ),
        (
            serde_json::json!({"pattern": null}),
            "source `random` property `pattern` is required",
        ),
    ] {
        let error = random(&rig, "bad", &config).await.err().unwrap();
        assert!(
            error.text.contains(wrong),
            "{} instead of {wrong}",
            error.text
        );
    }
    let config = serde_json::json!({"interval": 10, "seed": 1});
    let (handle, inbox) = random(&rig, "good", &config).await.unwrap();
    inbox.more(5).await;
    assert!(
        inbox
            .rows()
            .iter()
            .all(|row| *row == serde_json::json!({"count": 50}))
    );
    handle.stop().await.unwrap();
    rig.end().await;
}
