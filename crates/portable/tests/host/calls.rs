//! Calls of functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use plugyard_portable::Span;
use plugyard_portable::testing::{mirror, pysam_dir, toolbox_dir};
use plugyard_symbol::{BoundFunction, CallSite, ErrorClass, Value};

use crate::support::{PATIENCE, Rig, go_toolbox_dir, kill, node, numbers_in, python};

pub(crate) fn bind(rig: &Rig, function: &str) -> Arc<dyn BoundFunction> {
    bind_for(rig, function, "rule1")
}

/// The function in a rule of that id.
fn bind_for(rig: &Rig, function: &str, rule: &str) -> Arc<dyn BoundFunction> {
    let function = rig
        .catalog
        .function(function)
        .expect("the function is served");
    function.bind(CallSite {
        node: node(rule, "2_project"),
        func_id: 0,
    })
}

pub(crate) fn text(value: Option<Value>) -> String {
    serde_json::to_string(&value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_is_validated_called_and_fails_in_its_own_words() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(pysam_dir)).await.unwrap();
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap_err();
    let revert = rig.catalog.function("revert").unwrap();
    revert.validate(1).await.unwrap();
    let error = revert.validate(2).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Refused);
    assert_eq!(
        error.text,
        "validate return state is false, got &{State:false Result:revert function only supports 1 parameter but got 2}"
    );
    assert!(!revert.is_aggregate().await.unwrap());
    assert_eq!(
        text(
            bind(&rig, "revert")
                .call(&[Value::from("hello")])
                .await
                .unwrap()
        ),
        r#""olleh""#
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_01_a_symbol_of_another_plugin_is_refused_and_nothing_changes() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(pysam_dir)).await.unwrap();
    let failed = rig
        .install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap_err();
    assert_eq!(failed.step, "plan");
    assert!(failed.error.text.contains("`revert`"), "{failed:?}");
    assert!(failed.error.text.contains("`pysam`"), "{failed:?}");
    assert!(rig.catalog.source("numbers").is_none());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_23_values_pass_without_losing_a_digit_and_failures_are_the_callers() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let same = bind(&rig, "same");
    for json in [
        "9007199254740993",
        r#"{"a": [1, 2.5, null]}"#,
        r#""ü\"""#,
        "null",
        "true",
    ] {
        let value = Value::Json(plugyard_symbol::JsonText::parse(json.into()).unwrap());
        let back: serde_json::Value =
            serde_json::from_str(&text(same.call(&[value]).await.unwrap())).unwrap();
        assert_eq!(
            back,
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
    }
    let error = bind(&rig, "fail").call(&[]).await.unwrap_err();
    assert_eq!(
        error.text.lines().next(),
        Some("ValueError: as you wish"),
        "HOST-20"
    );
    assert!(
        rig.catalog
            .function("total")
            .unwrap()
            .is_aggregate()
            .await
            .unwrap()
    );
    let large = "x".repeat(3 << 20);
    let value = same.call(&[Value::from(large.as_str())]).await.unwrap();
    assert_eq!(text(value).len(), large.len() + 2);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_31_a_call_over_its_deadline_fails_alone_and_the_channel_comes_back() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = Span::secs(2);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let sleep = bind(&rig, "sleep");
    assert_eq!(text(sleep.call(&[Value::Int(1)]).await.unwrap()), "1");
    let error = sleep.call(&[Value::Int(3500)]).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Timeout);
    assert!(
        error.text.starts_with(
            "time out, plugin toolbox status running, message: function sleep did not answer within "
        ),
        "{error}"
    );
    // The late result belongs to nobody: the next answers are those of the next calls.
    rig.until_said("toolbox", "slept 3500").await;
    for n in [2, 3, 4] {
        assert_eq!(
            text(sleep.call(&[Value::Int(n)]).await.unwrap()),
            n.to_string()
        );
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_many_callers_each_get_their_own_answer() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let same = bind(&rig, "same");
    let calls = (0..200).map(|n| {
        let same = Arc::clone(&same);
        async move { (n, text(same.call(&[Value::Int(n)]).await.unwrap())) }
    });
    for (n, answer) in join_all(calls).await {
        assert_eq!(answer, n.to_string());
    }
    // Callers that give up in the middle leave no answer to others.
    let sleep = bind(&rig, "sleep");
    for n in 0..5 {
        let call = sleep.call(&[Value::Int(30)]);
        let _given_up = tokio::time::timeout(Duration::from_millis(5), call).await;
        assert_eq!(
            text(sleep.call(&[Value::Int(n)]).await.unwrap()),
            n.to_string()
        );
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_15_after_a_kill_everything_in_use_works_again() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (revert, same) = (bind(&rig, "revert"), bind(&rig, "same"));
    revert.call(&[Value::from("ab")]).await.unwrap();
    same.call(&[Value::Int(1)]).await.unwrap();
    let (source, inbox) = rig.source("numbers", "r").await;
    inbox.more(5).await;
    let before = rig.pid("toolbox");
    kill(before);
    inbox
        .until("told", |inbox| !inbox.exceptions().is_empty())
        .await;
    assert!(
        inbox.exceptions()[0].contains("signal: killed"),
        "{:?}",
        inbox.exceptions()
    );
    // Calls wait for the new process; both functions are there again, and so is the source.
    assert_eq!(
        text(revert.call(&[Value::from("ab")]).await.unwrap()),
        r#""ba""#
    );
    assert_eq!(text(same.call(&[Value::Int(7)]).await.unwrap()), "7");
    inbox.more(20).await;
    assert_ne!(rig.pid("toolbox"), before);
    let status = rig.status("toolbox");
    assert_eq!(
        (&status["status"], &status["restarts"]),
        (&"running".into(), &1.into())
    );
    assert_eq!(status["history"][0]["reason"], "signal: killed");
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_under_way_when_the_process_ends_fails_at_once() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let sleep = bind(&rig, "sleep");
    sleep.call(&[Value::Int(1)]).await.unwrap();
    let pid = rig.pid("toolbox");
    let call = tokio::spawn(async move { sleep.call(&[Value::Int(4000)]).await });
    rig.until_said("toolbox", "sleeps 4000").await;
    kill(pid);
    let error = tokio::time::timeout(Duration::from_secs(3), call)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Io);
    assert!(error.text.contains("did not finish the call"), "{error}");
    rig.end().await;
}

/// A process that knocks on the sockets of a plugin, and who may.
#[tokio::test(flavor = "multi_thread")]
async fn host_08_nobody_but_the_plugin_is_let_in_to_its_sockets() {
    use std::os::unix::fs::PermissionsExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let same = bind(&rig, "same");
    assert_eq!(text(same.call(&[Value::Int(1)]).await.unwrap()), "1");
    let (source, inbox) = rig.source("numbers", "r").await;
    let (mut sink, _) = rig.sink("notebook", "r", serde_json::json!({})).await;
    let mut directories = std::fs::read_dir(rig.home.run().join("p")).unwrap();
    let directory = directories.next().unwrap().unwrap().path();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    // What a process of an earlier server would do, or any other of the same user: it is no descendant.
    for (name, protocol) in [
        ("plugin_toolbox.ipc", 0x30),
        ("func_same.ipc", 0x30),
        ("r_stream_0.ipc", 0x50),
        ("r_notebook_0_0_ack.ipc", 0x50),
    ] {
        let path = directory.join(name);
        assert_eq!(mode(&path), 0o600, "{name}");
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        // It may be closed before any of it was taken.
        let header = [0, b'S', b'P', 0, 0, protocol, 0, 0];
        let request = b"\x01\0\0\0\0\0\0\0\x06\x80\0\0\x01ok";
        let _ = stream.write_all(&header).await;
        let _ = stream.write_all(request).await;
        if protocol == 0x50 {
            // Nobody takes a second connection there; it waits for ever.
            continue;
        }
        let mut said = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said));
        let _ = closed.await.unwrap();
        assert!(said.len() <= 8, "{name}: {said:?}");
    }
    // The plugin does not notice.
    assert_eq!(text(same.call(&[Value::Int(2)]).await.unwrap()), "2");
    let version = bind(&rig, "version");
    assert_eq!(text(version.call(&[]).await.unwrap()), r#""v1""#);
    inbox.more(5).await;
    assert!(inbox.exceptions().is_empty(), "{:?}", inbox.exceptions());
    sink.send(crate::support::message(0)).await.unwrap();
    sink.stop().await.unwrap();
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_08_a_link_in_the_place_of_a_socket_leads_to_no_other_plugin() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (mut sink, _) = rig.sink("notebook", "r", serde_json::json!({})).await;
    let socket = std::fs::read_dir(rig.home.run().join("p"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("r_notebook_0_0.ipc"))
        .find(|socket| socket.exists())
        .unwrap();
    let number = socket.parent().unwrap().file_name().unwrap();
    let elsewhere = format!("../{}/r_notebook_0_0.ipc", number.display());
    let program = crate::hostile::program();
    rig.install(&rig.package(|at| mirror::directory(at, "mirror", &program)))
        .await
        .unwrap();
    // The sinks of both go through sockets in directories beside one another.
    let properties = serde_json::json!({"elsewhere": elsewhere});
    let refused = rig.try_sink("file_sink", "evil", properties).await;
    let error = refused.err().expect("it is no sink of that plugin");
    assert!(
        error.text.contains("another process listens in its place"),
        "{}",
        error.text
    );
    // The other plugin goes on, and got nothing that was not meant for it.
    sink.send(crate::support::message(0)).await.unwrap();
    sink.stop().await.unwrap();
    assert_eq!(numbers_in(&rig.data("toolbox", "notebook")), [0]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_31_a_rule_with_much_to_ask_delays_another_by_a_call() {
    const MANY: i64 = 40;
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = Span::secs(60);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let sleep = bind_for(&rig, "sleep", "busy");
    let busy: Vec<_> = (0..MANY)
        .map(|n| {
            let (sleep, answered) = (Arc::clone(&sleep), Arc::clone(&answered));
            tokio::spawn(async move {
                // Told apart in the log.
                sleep.call(&[Value::Int(10 + n)]).await.unwrap();
                answered.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    // All of them wait by the time that one is at work.
    let waiting = async {
        while answered.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    let before = answered.load(Ordering::SeqCst);
    let other = bind_for(&rig, "sleep", "other");
    other.call(&[Value::Int(1)]).await.unwrap();
    let meanwhile = answered.load(Ordering::SeqCst) - before;
    assert!(meanwhile < 10, "{meanwhile} calls of the other rule first");
    for call in busy {
        call.await.unwrap();
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_14_a_function_that_lost_its_channel_is_started_again() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let quit = bind(&rig, "quit");
    assert_eq!(text(quit.call(&[Value::Int(1)]).await.unwrap()), "1");
    let before = rig.pid("toolbox");
    let error = quit.call(&[Value::from(true)]).await.unwrap_err();
    assert!(
        error.text.contains("closed the function's channel"),
        "{error}"
    );
    assert_eq!(text(quit.call(&[Value::Int(2)]).await.unwrap()), "2");
    assert_eq!(rig.pid("toolbox"), before, "the process was not touched");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_18_what_a_go_plugin_cannot_take_fails_alone() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| go_toolbox_dir(at, &python)))
        .await
        .unwrap();
    let same = bind(&rig, "same");
    let fits = "x".repeat(1_000_000);
    assert_eq!(
        text(same.call(&[Value::from(fits.as_str())]).await.unwrap()).len(),
        1_000_002
    );
    let large = "x".repeat(1 << 20);
    let error = same.call(&[Value::from(large.as_str())]).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Refused);
    assert!(error.text.contains("at most 1048576"), "{error}");
    assert_eq!(text(same.call(&[Value::Int(1)]).await.unwrap()), "1");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_finds_every_channel_in_use_says_by_whom_and_what_to_do() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = Span::millis(1500);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let sleep = bind_for(&rig, "sleep", "slow");
    let holding = tokio::spawn(async move { sleep.call(&[Value::Int(60_000)]).await });
    rig.until_said("toolbox", "sleeps 60000").await;
    let error = rig
        .catalog
        .function("sleep")
        .unwrap()
        .validate(1)
        .await
        .unwrap_err();
    let start = "time out, plugin toolbox status running, message: \
                 the only channel of function sleep in use, by rule slow for ";
    assert!(error.text.starts_with(start), "{error}");
    assert!(error.text.contains("`workers`"), "{error}");
    assert_eq!(
        holding.await.unwrap().unwrap_err().class,
        ErrorClass::Timeout
    );
    rig.end().await;
}
