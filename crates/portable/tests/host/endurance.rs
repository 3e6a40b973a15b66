//! Again and again: swaps under load, and processes that end while rules run. Short forms of what
//! `cargo xtask bench` does for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plugyard_model::HealthState;
use plugyard_platform::kind::Action;
use plugyard_portable::Span;
use plugyard_portable::testing::{mirror, toolbox_dir};
use plugyard_symbol::Value;
use serde_json::json;

use crate::calls::{bind, text};
use crate::hostile::{program, random};
use crate::support::{PATIENCE, Process, Rig, kill, message, numbers_in, python};

/// Swaps in a row.
const SWAPS: usize = 10;
/// Times that a process is killed.
const KILLS: usize = 5;

fn numbers(inbox: &crate::support::Inbox) -> Vec<u64> {
    let rows = inbox.rows();
    rows.iter().map(|row| row["n"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_swaps_in_a_row_under_load_lose_and_double_nothing() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (source, inbox) = rig.source("numbers", "r").await;
    let (mut sink, observer) = rig.sink("notebook", "r", json!({"requireAck": true})).await;
    let same = bind(&rig, "same");
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let calling = tokio::spawn(async move {
        let mut calls = 0;
        while !end.load(Ordering::Relaxed) {
            let answer = same.call(&[Value::Int(calls)]).await.unwrap();
            assert_eq!(text(answer), calls.to_string());
            calls += 1;
        }
        calls
    });
    let end = Arc::clone(&ended);
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while !end.load(Ordering::Relaxed) {
            sink.send(message(sent)).await.unwrap();
            sent += 1;
        }
        sink.stop().await.unwrap();
        sent
    });
    for _ in 0..SWAPS {
        inbox.more(5).await;
        rig.change(Action::Restart, "toolbox", None).await.unwrap();
    }
    inbox.more(5).await;
    ended.store(true, Ordering::Relaxed);
    assert!(calling.await.unwrap() > 100);
    let sent = sending.await.unwrap();
    source.stop().await.unwrap();
    let rows = numbers(&inbox);
    assert_eq!(rows, (0..rows.len() as u64).collect::<Vec<_>>());
    let written = numbers_in(&rig.data("toolbox", "notebook"));
    assert_eq!(written, (0..sent as u64).collect::<Vec<_>>());
    assert!(inbox.exceptions().is_empty(), "{:?}", inbox.exceptions());
    assert!(observer.exceptions().is_empty());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_an_overlapping_source_loses_nothing_over_swaps_in_a_row() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let overlapping = rig.package(|at| {
        toolbox_dir(at, "v1")?;
        let path = at.join("toolbox.json");
        let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        manifest["plugyard"] = json!({"sources": {"numbers": {"handover": "overlap"}}});
        std::fs::write(path, manifest.to_string())
    });
    rig.install(&overlapping).await.unwrap();
    let (source, inbox) = rig.source("numbers", "r").await;
    for _ in 0..SWAPS {
        inbox.more(5).await;
        rig.change(Action::Restart, "toolbox", None).await.unwrap();
    }
    inbox.more(5).await;
    source.stop().await.unwrap();
    // Both count at the same time for a moment, so that numbers may come twice; none is missing.
    let mut rows = numbers(&inbox);
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows, (0..rows.len() as u64).collect::<Vec<_>>());
    assert!(inbox.exceptions().is_empty(), "{:?}", inbox.exceptions());
    rig.end().await;
}

/// A source that says nothing until the process before it has gone on for five rows, and says so when that did
/// not happen.
const PATIENT: &str = r#"
        before = int(os.pread(file, 20, 0) or b"0")
        began = time.monotonic()
        while int(os.pread(file, 20, 0) or b"0") < before + 5 and before > 0:
            if time.monotonic() - began > 20:
                ctx.emit({"n": 0, "alone": True}, None)
                break
            time.sleep(0.001)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn host_35_an_overlapping_source_goes_on_until_its_successor_has_a_row() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let overlapping = rig.package(|at| {
        toolbox_dir(at, "v1")?;
        let (path, script) = (at.join("toolbox.json"), at.join("toolbox.py"));
        let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        manifest["plugyard"] = json!({"sources": {"numbers": {"handover": "overlap"}}});
        std::fs::write(path, manifest.to_string())?;
        let text = std::fs::read_to_string(&script)?;
        let opened = r#""numbers"), os.O_RDWR | os.O_CREAT)"#;
        assert!(text.contains(opened));
        std::fs::write(script, text.replace(opened, &format!("{opened}{PATIENT}")))
    });
    rig.install(&overlapping).await.unwrap();
    let (source, inbox) = rig.source("numbers", "r").await;
    for _ in 0..3 {
        inbox.more(5).await;
        rig.change(Action::Restart, "toolbox", None).await.unwrap();
    }
    inbox.more(5).await;
    source.stop().await.unwrap();
    let alone = inbox.rows().into_iter().find(|row| row["alone"] == true);
    assert_eq!(alone, None, "its predecessor ended before");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_a_plugin_that_is_no_python_is_swapped_as_well() {
    let rig = Rig::new("python3");
    let version = rig.package(|at| mirror::directory(at, "mirror", &program()));
    rig.install(&version).await.unwrap();
    let echo = bind(&rig, "echo");
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let calling = tokio::spawn(async move {
        let mut calls = 0;
        while !end.load(Ordering::Relaxed) {
            let answer = echo.call(&[Value::Int(calls)]).await.unwrap();
            assert_eq!(text(answer), calls.to_string());
            calls += 1;
        }
        calls
    });
    for _ in 0..SWAPS {
        rig.change(Action::Restart, "mirror", None).await.unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    assert!(calling.await.unwrap() > 100);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_sources_and_sinks_that_are_no_python_are_swapped_as_well() {
    for handover in ["exclusive", "overlap"] {
        let rig = Rig::new("python3");
        let block = json!({"sources": {"random": {"handover": handover}}});
        let version = rig.package(|at| mirror::directory_with(at, "mirror", &program(), &block));
        rig.install(&version).await.unwrap();
        let config = json!({"interval": 2, "keep": "numbers"});
        let (source, inbox) = random(&rig, "r", &config).await.unwrap();
        let (mut sink, observer) = rig
            .sink("file_sink", "r", json!({"file": "notebook"}))
            .await;
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while !end.load(Ordering::Relaxed) {
                sink.send(message(sent)).await.unwrap();
                sent += 1;
                tokio::task::yield_now().await;
            }
            sink.stop().await.unwrap();
            sent
        });
        for _ in 0..SWAPS {
            inbox.more(5).await;
            rig.change(Action::Restart, "mirror", None).await.unwrap();
        }
        inbox.more(5).await;
        ended.store(true, Ordering::Relaxed);
        let sent = sending.await.unwrap();
        source.stop().await.unwrap();
        let mut rows = numbers(&inbox);
        if handover == "overlap" {
            // Both count at the same time for a moment, so that numbers may come twice; none is missing.
            rows.sort_unstable();
            rows.dedup();
        }
        assert_eq!(
            rows,
            (0..rows.len() as u64).collect::<Vec<_>>(),
            "{handover}"
        );
        let written = numbers_in(&rig.data("mirror", "notebook"));
        assert_eq!(written, (0..sent as u64).collect::<Vec<_>>());
        assert!(sent > 100);
        assert!(inbox.exceptions().is_empty(), "{:?}", inbox.exceptions());
        assert!(
            observer.exceptions().is_empty(),
            "{:?}",
            observer.exceptions()
        );
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn host_11_a_plugin_that_is_killed_again_and_again_recovers_each_time() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.restart.initial = Span::millis(10);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (source, inbox) = rig.source("numbers", "r").await;
    let (mut sink, _) = rig.sink("notebook", "r", json!({"requireAck": true})).await;
    let same = bind(&rig, "same");
    let mut processes = Vec::new();
    for n in 0..KILLS {
        inbox.more(5).await;
        let process = Process::of(rig.pid("toolbox"));
        kill(process.pid);
        processes.push(process);
        let told = n + 1;
        inbox
            .until("told", |inbox| inbox.exceptions().len() >= told)
            .await;
        rig.until("toolbox", HealthState::Ready).await;
        // All three work again, the sink as soon as it has its process.
        let number = i64::try_from(n).unwrap();
        assert_eq!(
            text(same.call(&[Value::Int(number)]).await.unwrap()),
            n.to_string()
        );
        sink.send(message(n)).await.unwrap();
        inbox.more(5).await;
    }
    processes.push(Process::of(rig.pid("toolbox")));
    source.stop().await.unwrap();
    sink.stop().await.unwrap();
    let written = numbers_in(&rig.data("toolbox", "notebook"));
    assert_eq!(written, (0..KILLS as u64).collect::<Vec<_>>());
    let directories = rig.home.run().join("p");
    let left = async |wanted: usize| {
        let gone = async {
            while std::fs::read_dir(&directories).unwrap().count() > wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.is_ok()
    };
    assert!(left(1).await, "of each process that ended nothing is left");
    rig.change(Action::Disable, "toolbox", None).await.unwrap();
    for process in processes {
        assert!(!process.lives(), "{process:?}");
    }
    assert!(left(0).await);
    rig.end().await;
}
