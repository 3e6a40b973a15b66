//! Changing versions under running rules (HOST-35).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plugyard_platform::kind::{Action, Version};
use plugyard_portable::Span;
use plugyard_portable::testing::{
    NEVER_HANDSHAKES, pysam_dir, script_dir, toolbox_dir, toolbox_lacking_dir,
};
use plugyard_symbol::{Connection, SymbolKind, Value};
use serde_json::json;

use crate::calls::{bind, text};
use crate::support::{Rig, message, numbers_in, python};

/// Numbers from 0 on, none missing, none twice.
fn assert_counted(numbers: &[u64]) {
    let wrong = numbers
        .iter()
        .zip(0_u64..)
        .find(|(found, wanted)| *found != wanted);
    assert_eq!(wrong, None, "of {} numbers", numbers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_calls_under_load_see_the_old_version_then_the_new_and_never_an_error() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (version, ended) = (bind(&rig, "version"), Arc::clone(&ended));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    answers.push(text(version.call(&[]).await.unwrap()));
                }
                answers
            })
        })
        .collect();
    for n in 2..6 {
        rig.upgrade(&rig.package(|at| toolbox_dir(at, &format!("v{n}"))))
            .await
            .unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    for caller in callers {
        let mut answers = caller.await.unwrap();
        assert!(answers.len() > 100);
        answers.dedup();
        assert_eq!(
            answers,
            [r#""v1""#, r#""v2""#, r#""v3""#, r#""v4""#, r#""v5""#]
        );
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_rows_of_an_exclusive_source_neither_get_lost_nor_doubled() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (source, inbox) = rig.source("numbers", "r").await;
    for n in 2..6 {
        inbox.more(30).await;
        rig.upgrade(&rig.package(|at| toolbox_dir(at, &format!("v{n}"))))
            .await
            .unwrap();
    }
    inbox.more(30).await;
    assert_eq!(rig.status("toolbox")["refCount"], json!({"r": 1}));
    source.stop().await.unwrap();
    let rows = inbox.rows();
    assert_counted(
        &rows
            .iter()
            .map(|row| row["n"].as_u64().unwrap())
            .collect::<Vec<_>>(),
    );
    let mut by: Vec<_> = rows.iter().map(|row| row["by"].clone()).collect();
    by.dedup();
    assert_eq!(by, ["v1", "v2", "v3", "v4", "v5"]);
    assert!(inbox.exceptions().is_empty(), "{:?}", inbox.exceptions());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_35_messages_to_a_sink_neither_get_lost_nor_doubled() {
    let Some(python) = python() else { return };
    for properties in [json!({"requireAck": true}), json!({})] {
        let rig = Rig::new(&python);
        rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
            .await
            .unwrap();
        let (mut sink, observer) = rig.sink("notebook", "r", properties).await;
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let sender = tokio::spawn(async move {
            let mut sent = 0;
            while !end.load(Ordering::Relaxed) {
                sink.send(message(sent)).await.unwrap();
                sent += 1;
                tokio::task::yield_now().await;
            }
            sink.stop().await.unwrap();
            sent
        });
        for n in 2..5 {
            rig.upgrade(&rig.package(|at| toolbox_dir(at, &format!("v{n}"))))
                .await
                .unwrap();
        }
        ended.store(true, Ordering::Relaxed);
        let sent = sender.await.unwrap();
        assert!(sent > 100);
        let numbers = numbers_in(&rig.data("toolbox", "notebook"));
        assert_counted(&numbers);
        assert_eq!(numbers.len(), sent);
        assert!(
            observer.exceptions().is_empty(),
            "{:?}",
            observer.exceptions()
        );
        rig.end().await;
    }
}

/// A function that is an aggregate, or is none.
fn sum(rig: &Rig, aggregate: &str) -> Version {
    let script = format!(
        r#"
from ekuiper import Function, PluginConfig, plugin

class Sum(Function):
    def validate(self, args):
        return ""

    def exec(self, args, ctx):
        return 0

    def is_aggregate(self):
        print("asked", flush=True)
        return {aggregate}

if __name__ == "__main__":
    plugin.start(PluginConfig("sum", {{}}, {{}}, {{"sum_f": Sum}}))
"#
    );
    rig.package(|at| script_dir(at, "sum", &script))
}

#[tokio::test(flavor = "multi_thread")]
async fn host_30_whether_it_is_an_aggregate_is_asked_once_and_again_after_an_update() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&sum(&rig, "False")).await.unwrap();
    let function = rig.catalog.function("sum_f").unwrap();
    for _ in 0..3 {
        assert!(!function.is_aggregate().await.unwrap());
    }
    let plugin = "portable:sum".parse().unwrap();
    let asked = || {
        let (lines, _) = rig.kind.logs(&plugin, usize::MAX);
        lines.iter().filter(|line| line.text == "asked").count()
    };
    assert_eq!(asked(), 1);
    rig.upgrade(&sum(&rig, "True")).await.unwrap();
    for _ in 0..3 {
        assert!(function.is_aggregate().await.unwrap());
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_upgrade_leaves_everything_with_the_old_version() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.init_timeout = Span::secs(8);
    });
    let first = rig.package(|at| toolbox_dir(at, "v1"));
    rig.install(&first).await.unwrap();
    let version = bind(&rig, "version");
    version.call(&[]).await.unwrap();
    let (source, inbox) = rig.source("numbers", "r").await;
    let (mut sink, _) = rig.sink("notebook", "r", json!({"requireAck": true})).await;
    sink.send(message(0)).await.unwrap();
    let pid = rig.pid("toolbox");

    // Its process lives, but lacks a function that is in use.
    let failed = rig
        .upgrade(&rig.package(|at| toolbox_lacking_dir(at, "v2")))
        .await
        .unwrap_err();
    assert_eq!(failed.step, "ready");
    assert_eq!(
        failed.error.text.lines().next(),
        Some(
            "function version did not start in the new version: receive error: KeyError: 'version'"
        )
    );
    // Its process never answers.
    let mute = rig.package(|at| {
        toolbox_dir(at, "v3")?;
        script_dir(&at.join("other"), "toolbox", NEVER_HANDSHAKES)?;
        std::fs::rename(at.join("other/toolbox.py"), at.join("toolbox.py"))?;
        std::fs::remove_dir_all(at.join("other"))
    });
    let failed = rig.upgrade(&mute).await.unwrap_err();
    assert_eq!(failed.step, "probe");
    // A source that is in use is refused by its configuration: it has moved and comes back.
    let picky = rig.package(|at| {
        toolbox_dir(at, "v4")?;
        std::fs::write(at.join("sources/numbers.yaml"), "default:\n  interval: 0\n")
    });
    let failed = rig.upgrade(&picky).await.unwrap_err();
    assert_eq!(failed.step, "ready");
    assert!(
        failed
            .error
            .text
            .contains("ValueError: interval must be positive but got 0"),
        "{failed:?}"
    );

    assert_eq!(rig.pid("toolbox"), pid);
    assert_eq!(text(version.call(&[]).await.unwrap()), r#""v1""#);
    inbox.more(20).await;
    sink.send(message(1)).await.unwrap();
    sink.stop().await.unwrap();
    source.stop().await.unwrap();
    assert_counted(
        &inbox
            .rows()
            .iter()
            .map(|row| row["n"].as_u64().unwrap())
            .collect::<Vec<_>>(),
    );
    assert_counted(&numbers_in(&rig.data("toolbox", "notebook")));
    let versions = rig.home.versions(&"portable:toolbox".parse().unwrap());
    let directories = std::fs::read_dir(versions)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir());
    assert_eq!(
        directories.count(),
        1,
        "nothing of the failed versions is left"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_an_upgrade_to_what_is_still_there() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let (first, second) = (
        rig.package(|at| toolbox_dir(at, "v1")),
        rig.package(|at| toolbox_dir(at, "v2")),
    );
    rig.install(&first).await.unwrap();
    rig.upgrade(&second).await.unwrap();
    let version = bind(&rig, "version");
    assert_eq!(text(version.call(&[]).await.unwrap()), r#""v2""#);
    let shown = rig.home.plugins().join("portable/toolbox");
    let before = std::fs::read_link(&shown).unwrap();
    rig.change(Action::Rollback, "toolbox", Some(&first))
        .await
        .unwrap();
    assert_eq!(text(version.call(&[]).await.unwrap()), r#""v1""#);
    assert_ne!(std::fs::read_link(&shown).unwrap(), before);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_function_that_is_gone_fail_at_once_with_the_reason() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        // Whoever waited would wait for ever.
        settings.recv_timeout = Span::secs(600);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let same = bind(&rig, "same");
    assert_eq!(text(same.call(&[Value::Int(1)]).await.unwrap()), "1");
    let without = rig.package(|at| {
        toolbox_dir(at, "v2")?;
        let path = at.join("toolbox.json");
        let manifest = std::fs::read_to_string(&path)?;
        std::fs::write(path, manifest.replace(r#""same","#, ""))
    });
    rig.upgrade(&without).await.unwrap();
    let error = same.call(&[Value::Int(2)]).await.unwrap_err();
    assert_eq!(
        error.text,
        "version v2 of plugin toolbox has no function same"
    );
    rig.upgrade(&rig.package(|at| toolbox_dir(at, "v3")))
        .await
        .unwrap();
    assert_eq!(text(same.call(&[Value::Int(3)]).await.unwrap()), "3");

    rig.change(Action::Disable, "toolbox", None).await.unwrap();
    let error = same.call(&[Value::Int(4)]).await.unwrap_err();
    assert_eq!(error.text, "plugin toolbox was stopped");
    rig.change(Action::Enable, "toolbox", None).await.unwrap();
    assert_eq!(text(same.call(&[Value::Int(5)]).await.unwrap()), "5");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_the_new_version_does_not_have_tells_its_rule() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (source, inbox) = rig.source("numbers", "r").await;
    inbox.more(3).await;
    let without = rig.package(|at| {
        toolbox_dir(at, "v2")?;
        let path = at.join("toolbox.json");
        let manifest = std::fs::read_to_string(&path)?;
        std::fs::write(path, manifest.replace(r#""numbers","#, ""))
    });
    rig.upgrade(&without).await.unwrap();
    inbox
        .until("told", |inbox| !inbox.exceptions().is_empty())
        .await;
    assert_eq!(
        inbox.exceptions(),
        ["version v2 of plugin toolbox has no source numbers"]
    );
    let before = inbox.count();
    // The rule stays, and the source comes back with a version that has it.
    rig.upgrade(&rig.package(|at| toolbox_dir(at, "v3")))
        .await
        .unwrap();
    inbox
        .until("rows again", |inbox| inbox.count() > before + 5)
        .await;
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_plugin_counts_on_over_an_upgrade() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/portable/machine"
    );
    rig.install(&rig.pack(example.as_ref())).await.unwrap();
    let (source, inbox) = rig.source("counters", "r").await;
    inbox.more(5).await;
    let next = rig.package(|at| {
        for entry in [
            "machine.py",
            "sources/counters.yaml",
            "sources/counters.json",
        ] {
            let target = at.join(entry);
            std::fs::create_dir_all(target.parent().unwrap())?;
            std::fs::copy(std::path::Path::new(example).join(entry), target)?;
        }
        let manifest = std::fs::read_to_string(std::path::Path::new(example).join("machine.json"))?;
        std::fs::write(at.join("machine.json"), manifest.replace("1.0.0", "1.1.0"))
    });
    rig.upgrade(&next).await.unwrap();
    inbox.more(5).await;
    let percent = bind(&rig, "percent");
    let rows = inbox.rows();
    let number = |field: &str| Value::Int(rows[0][field].as_i64().unwrap());
    let used = text(
        percent
            .call(&[number("mem_used"), number("mem_total")])
            .await
            .unwrap(),
    );
    assert!(
        (0.0..=100.0).contains(&used.parse::<f64>().unwrap()),
        "{used}"
    );
    assert_eq!(
        percent.call(&[Value::Int(1), Value::Int(0)]).await.unwrap(),
        Some(Value::Null)
    );
    let (mut sink, _) = rig.sink("notebook", "r", json!({"requireAck": true})).await;
    sink.send(message(0)).await.unwrap();
    assert_counted(&numbers_in(&rig.data("machine", "notebook.jsonl")));
    source.stop().await.unwrap();
    assert_counted(
        &inbox
            .rows()
            .iter()
            .map(|row| row["n"].as_u64().unwrap())
            .collect::<Vec<_>>(),
    );
    rig.end().await;
}

/// pysam under that name: its symbols, by another plugin.
fn pysam_as(at: &std::path::Path, name: &str) -> std::io::Result<()> {
    pysam_dir(at)?;
    std::fs::rename(at.join("pysam.json"), at.join(format!("{name}.json")))?;
    for file in [format!("{name}.json"), "pysam.py".to_owned()] {
        let text = std::fs::read_to_string(at.join(&file))?;
        std::fs::write(
            at.join(&file),
            text.replace(r#""pysam""#, &format!(r#""{name}""#)),
        )?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_removed_plugin_served_goes_on_with_another_that_has_it_and_back() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let packages = ["pysam", "other"].map(|name| rig.package(|at| pysam_as(at, name)));
    rig.install(&packages[0]).await.unwrap();
    let (source, inbox) = rig.source("pyjson", "r").await;
    let (mut sink, observer) = rig.sink("print", "r", json!({"requireAck": true})).await;
    let (revert, later) = (bind(&rig, "revert"), bind(&rig, "revert"));
    revert.call(&[Value::from("abc")]).await.unwrap();
    inbox.more(2).await;
    sink.send(message(0)).await.unwrap();
    let names = ["pysam", "other", "pysam", "other"];
    for (turn, pair) in names.windows(2).enumerate() {
        let (gone, next) = (pair[0], pair[1]);
        rig.change(Action::Uninstall, gone, None).await.unwrap();
        let removed = format!("plugin {gone} was removed");
        assert_eq!(
            inbox.connection(),
            Some(Connection::Disconnected(removed.clone()))
        );
        assert_eq!(observer.exceptions().last(), Some(&removed));
        assert_eq!(
            revert.call(&[Value::from("abc")]).await.unwrap_err().text,
            removed
        );
        assert_eq!(
            rig.catalog.absence(SymbolKind::Sink, "print").unwrap(),
            format!(
                "plugin {gone}, which provided it, was removed; install a plugin that provides it"
            )
        );
        rig.install(&packages[(turn + 1) % 2]).await.unwrap();
        inbox.more(2).await;
        assert_eq!(inbox.connection(), Some(Connection::Connected));
        sink.send(message(turn)).await.unwrap();
        assert_eq!(
            text(revert.call(&[Value::from("abc")]).await.unwrap()),
            r#""cba""#
        );
        assert_eq!(rig.status(next)["refCount"], json!({"r": 2}));
        assert_eq!(rig.status(gone)["refCount"], json!({}));
        assert_eq!(rig.catalog.absence(SymbolKind::Sink, "print"), None);
    }
    // A call that is the first of its place goes where the function is now.
    assert_eq!(
        text(later.call(&[Value::from("abc")]).await.unwrap()),
        r#""cba""#
    );
    // Stopped where they are now, not where they began.
    source.stop().await.unwrap();
    sink.stop().await.unwrap();
    assert_eq!(rig.status("other")["refCount"], json!({}));
    rig.change(Action::Disable, "other", None).await.unwrap();
    assert_eq!(
        rig.catalog.absence(SymbolKind::Function, "revert").unwrap(),
        "plugin other, which provides it, is stopped; `plugyard enable other` starts it"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_without_a_plugin_is_not_brought_back_by_the_next() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    let packages = ["pysam", "other"].map(|name| rig.package(|at| pysam_as(at, name)));
    rig.install(&packages[0]).await.unwrap();
    let (source, inbox) = rig.source("pyjson", "r").await;
    inbox.more(1).await;
    rig.change(Action::Uninstall, "pysam", None).await.unwrap();
    source.stop().await.unwrap();
    rig.install(&packages[1]).await.unwrap();
    assert_eq!(rig.status("other")["refCount"], json!({}));
    rig.end().await;
}
