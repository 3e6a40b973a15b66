//! Rows from sources, and messages to sinks.

use plugyard_portable::testing::{mirror, pysam_dir, toolbox_dir};
use plugyard_symbol::{Connection, ErrorClass, SymbolError, Value};
use serde_json::json;

use crate::calls::{bind, text};
use crate::hostile::{program, random};
use crate::support::{Inbox, PATIENCE, Rig, go_toolbox_dir, message, numbers_in, python};

#[tokio::test(flavor = "multi_thread")]
async fn fact_27_rows_arrive_in_order_and_again_after_a_restart_of_the_source() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    for round in 0..3 {
        let (source, inbox) = rig.source("numbers", "rule1").await;
        inbox.more(50).await;
        assert_eq!(inbox.connection(), Some(Connection::Connected));
        assert_eq!(rig.status("toolbox")["refCount"], json!({"rule1": 1}));
        source.stop().await.unwrap();
        assert_eq!(
            rig.status("toolbox")["refCount"],
            json!({}),
            "fact 24: gone at zero"
        );
        let rows = inbox.rows();
        let first = rows[0]["n"].as_u64().unwrap();
        for (row, n) in rows.iter().zip(first..) {
            assert_eq!(row["n"].as_u64(), Some(n), "round {round}");
        }
        // HOST-21: all that was sent before the stop is here, so that the file agrees.
        let next: u64 = std::fs::read_to_string(rig.data("toolbox", "numbers"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert_eq!(next, first + rows.len() as u64);
        assert!(inbox.metas()[0].as_ref().unwrap()["pid"].is_number());
        assert!(inbox.exceptions().is_empty(), "{:?}", inbox.exceptions());
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_24_two_symbols_of_one_rule_are_counted_twice() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(pysam_dir)).await.unwrap();
    let (source, inbox) = rig.source("pyjson", "rulePort1").await;
    let (mut sink, _) = rig
        .sink("print", "rulePort1", json!({"requireAck": true}))
        .await;
    inbox.more(1).await;
    assert_eq!(inbox.rows()[0], json!({"name": "pyjson", "value": 2021}));
    assert_eq!(inbox.metas()[0], None);
    sink.send(message(1)).await.unwrap();
    let status = serde_json::to_string(&rig.status("pysam")).unwrap();
    assert!(
        status.starts_with(r#"{"refCount":{"rulePort1":2},"status":"running","errMsg":"""#),
        "{status}"
    );
    sink.stop().await.unwrap();
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_16_names_too_long_for_a_socket_are_refused_with_a_reason() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(pysam_dir)).await.unwrap();
    let inbox = std::sync::Arc::new(Inbox::default());
    let error = rig
        .try_source("pyjson", &"r".repeat(100), &inbox)
        .await
        .err()
        .unwrap();
    assert_eq!(error.class, ErrorClass::Refused);
    assert!(error.text.contains("too long"), "{error}");
    let _kept = rig
        .try_source("pyjson", &"r".repeat(60), &inbox)
        .await
        .unwrap();
    let second = rig
        .try_source("pyjson", &"r".repeat(60), &inbox)
        .await
        .err()
        .unwrap();
    assert!(second.text.contains("already"), "HOST-17: {second}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_22_errors_of_a_source_are_exceptions() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (source, inbox) = rig.source("errors", "r").await;
    inbox
        .until("an exception", |inbox| inbox.exceptions().len() >= 3)
        .await;
    assert_eq!(inbox.exceptions()[0], "no luck");
    assert_eq!(inbox.count(), 0);
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_25_a_source_that_dies_is_started_again() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let before = rig.pid("toolbox");
    let (source, inbox) = rig.source("raising", "r").await;
    inbox.until("three lives", |inbox| inbox.count() >= 3).await;
    assert!(
        inbox.exceptions()[0].contains("raising"),
        "{:?}",
        inbox.exceptions()
    );
    assert!(
        inbox.exceptions()[0].contains("ended by itself"),
        "{:?}",
        inbox.exceptions()
    );
    assert_eq!(
        rig.pid("toolbox"),
        before,
        "only the symbol is started again"
    );
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_25_a_source_that_ends_again_and_again_is_started_less_and_less_often() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.restart.initial = plugyard_portable::Span::secs(200);
        settings.restart.max = plugyard_portable::Span::secs(300);
        settings.restart.reset_after = plugyard_portable::Span::secs(600);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (source, inbox) = rig.source("raising", "r").await;
    rig.until_said("toolbox", "source raising is started again in 200 s")
        .await;
    assert_eq!(inbox.count(), 2, "the first time it is started at once");
    // Also what waits can be stopped.
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_26_a_sink_that_left_out_one_acknowledgement_is_believed_again() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = plugyard_portable::Span::millis(300);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let (mut sink, _) = rig
        .sink("forgetful", "r", json!({"requireAck": true}))
        .await;
    let mut refused = 0;
    while let Err(error) = sink.send(message(refused)).await {
        assert!(error.text.contains("did not acknowledge"), "{error}");
        refused += 1;
        assert!(
            refused < 20,
            "its acknowledgements are never believed again"
        );
    }
    for n in 0..20 {
        sink.send(message(n)).await.unwrap();
    }
    sink.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_26_acknowledgements_are_awaited_or_drained_as_wanted() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.recv_timeout = plugyard_portable::Span::millis(300);
    });
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();

    let (mut strict, _) = rig
        .sink("notebook", "r1", json!({"requireAck": true, "file": "a"}))
        .await;
    for n in 0..50 {
        strict.send(message(n)).await.unwrap();
        // Acknowledged means written.
        assert_eq!(numbers_in(&rig.data("toolbox", "a")).len(), n + 1);
    }
    // Of several each is told of when it is, not all of them together at the end.
    let (mut known, written) = (50, rig.data("toolbox", "a"));
    let more = (50..60).map(message).collect();
    let mut told = |outcomes: Vec<Result<(), SymbolError>>| {
        assert_eq!(outcomes, [Ok(())]);
        known += 1;
        assert_eq!(numbers_in(&written).len(), known);
    };
    strict.send_each(more, &mut told).await;
    assert_eq!(known, 60);
    strict.stop().await.unwrap();

    // Nobody asks for them, and there are far more than any buffer holds.
    let (mut loose, observer) = rig.sink("notebook", "r2", json!({"file": "b"})).await;
    for n in 0..200 {
        let batch: Vec<_> = (0..100).map(|m| message(n * 100 + m)).collect();
        assert!(loose.send_many(batch).await.iter().all(Result::is_ok));
    }
    loose.stop().await.unwrap();
    assert_eq!(
        numbers_in(&rig.data("toolbox", "b")),
        (0..20_000).collect::<Vec<_>>()
    );
    assert!(observer.exceptions().is_empty());

    let (mut nack, _) = rig.sink("nack", "r3", json!({"requireAck": true})).await;
    let error = nack.send(message(1)).await.unwrap_err();
    assert_eq!(
        (error.class, error.text.as_str()),
        (ErrorClass::Io, "no room")
    );
    nack.stop().await.unwrap();

    let (mut silent, _) = rig.sink("silent", "r4", json!({"requireAck": true})).await;
    let error = silent.send(message(1)).await.unwrap_err();
    assert!(
        error.text.contains("did not acknowledge within 300 ms"),
        "{error}"
    );
    silent.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_40_a_stop_during_open_is_not_lost() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let before = rig.pid("toolbox");
    for _ in 0..2 {
        // The second one would find the socket in use if the first had not really ended.
        let (sink, _) = rig.sink("slow_open", "r", json!({})).await;
        tokio::time::timeout(PATIENCE, sink.stop())
            .await
            .unwrap()
            .unwrap();
    }
    let (source, _) = rig.source("numbers", "r").await;
    source.stop().await.unwrap();
    assert_eq!(rig.pid("toolbox"), before);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_28_a_sink_that_dies_is_an_error_of_the_message_and_comes_back() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    let before = rig.pid("toolbox");
    let (mut sink, observer) = rig.sink("fragile", "r", json!({"requireAck": true})).await;
    sink.send(message(0)).await.unwrap();
    let error = sink.send("crash".into()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Io);
    // Sent again as a rule would, until the sink is back.
    let mut errors = Vec::new();
    while let Err(error) = sink.send(message(1)).await {
        errors.push(error.text);
        assert!(errors.len() < 50, "{errors:?}");
    }
    assert_eq!(numbers_in(&rig.data("toolbox", "notebook")), [0, 1]);
    assert!(
        observer.exceptions()[0].contains("sink fragile"),
        "{:?}",
        observer.exceptions()
    );
    assert_eq!(
        rig.pid("toolbox"),
        before,
        "only the symbol is started again"
    );
    sink.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_28_a_sink_can_be_started_again_on_the_same_path() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    for round in 0..3 {
        let (mut sink, _) = rig.sink("notebook", "r", json!({})).await;
        for n in 0..3 {
            sink.send(message(round * 3 + n)).await.unwrap();
        }
        sink.stop().await.unwrap();
        let written = numbers_in(&rig.data("toolbox", "notebook"));
        assert_eq!(written, (0..(round as u64 + 1) * 3).collect::<Vec<_>>());
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_29_a_go_plugin_whose_last_sink_was_stopped_gets_a_new_process() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| go_toolbox_dir(at, &python)))
        .await
        .unwrap();
    let refused = rig
        .try_sink("notebook", "r", json!({"requireAck": true}))
        .await
        .err()
        .unwrap();
    assert!(
        refused.text.contains("never acknowledges"),
        "HOST-26: {refused}"
    );
    let before = rig.pid("toolbox");
    let (source, inbox) = rig.source("numbers", "r").await;
    let (mut sink, _) = rig.sink("notebook", "r", json!({})).await;
    sink.send(message(0)).await.unwrap();
    sink.stop().await.unwrap();
    assert_eq!(rig.pid("toolbox"), before, "a source of it is in use");
    let (sink, _) = rig.sink("notebook", "r", json!({})).await;
    inbox.more(3).await;
    source.stop().await.unwrap();
    sink.stop().await.unwrap();
    rig.until("toolbox", plugyard_model::HealthState::Ready)
        .await;
    assert_ne!(rig.pid("toolbox"), before);
    assert_eq!(
        rig.status("toolbox")["history"],
        json!([]),
        "it was no crash"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_29_the_process_waits_for_whatever_is_in_use_and_not_for_what_was() {
    let rig = Rig::new("python3");
    rig.install(&rig.package(|at| mirror::directory(at, "mirror", &program())))
        .await
        .unwrap();
    let renewed = async |before: i32| {
        let renewed = async {
            while rig.status("mirror")["pid"].as_i64().unwrap_or_default() == i64::from(before)
                || rig.health("mirror").await.state != plugyard_model::HealthState::Ready
            {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, renewed).await.is_ok();
        assert!(
            came,
            "the process was not replaced: {}",
            rig.status("mirror")
        );
    };
    // A source that is stopped after the sink.
    let before = rig.pid("mirror");
    let (source, _) = random(&rig, "r", &json!({"interval": 2, "keep": "count"}))
        .await
        .unwrap();
    let (sink, _) = rig.sink("file_sink", "r", json!({"file": "out"})).await;
    sink.stop().await.unwrap();
    assert_eq!(rig.pid("mirror"), before);
    source.stop().await.unwrap();
    renewed(before).await;

    // A function that a rule has called: its process stays while that rule is there.
    let before = rig.pid("mirror");
    let echo = bind(&rig, "echo");
    assert_eq!(text(echo.call(&[Value::Int(1)]).await.unwrap()), "1");
    let (sink, _) = rig.sink("file_sink", "r", json!({"file": "out"})).await;
    sink.stop().await.unwrap();
    for n in 0..20 {
        assert_eq!(
            text(echo.call(&[Value::Int(n)]).await.unwrap()),
            n.to_string()
        );
    }
    assert_eq!(rig.pid("mirror"), before, "a function of it is in use");
    drop(echo);
    renewed(before).await;

    // One that nobody refers to any more keeps nothing, and can be called again.
    let before = rig.pid("mirror");
    let (sink, _) = rig.sink("file_sink", "r", json!({"file": "out"})).await;
    sink.stop().await.unwrap();
    let echo = bind(&rig, "echo");
    assert_eq!(text(echo.call(&[Value::Int(7)]).await.unwrap()), "7");
    renewed(before).await;
    assert_eq!(
        rig.status("mirror")["history"],
        json!([]),
        "it was no crash"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_29_where_that_is_set_the_process_is_renewed_at_once_under_what_is_in_use() {
    let rig = Rig::new("python3");
    rig.install(&rig.package(|at| mirror::directory(at, "mirror", &program())))
        .await
        .unwrap();
    let mut version = rig.installation("mirror").unwrap().current;
    version.options = json!({"renew_go": "at_once"});
    rig.upgrade(&version).await.unwrap();
    let before = rig.pid("mirror");
    let (source, inbox) = random(&rig, "r", &json!({"interval": 2, "keep": "count"}))
        .await
        .unwrap();
    let (mut kept, observer) = rig.sink("file_sink", "kept", json!({"file": "kept"})).await;
    let echo = bind(&rig, "echo");
    let (sink, _) = rig.sink("file_sink", "r", json!({"file": "out"})).await;
    inbox.more(3).await;
    sink.stop().await.unwrap();
    // Rows, messages and calls while the others move.
    let mut sent = 0_u64;
    let moved = async {
        while rig.status("mirror")["pid"].as_i64() == Some(i64::from(before)) {
            let value = i64::try_from(sent).unwrap();
            let answer = echo.call(&[Value::Int(value)]).await.unwrap();
            assert_eq!(text(answer), sent.to_string());
            kept.send(message(usize::try_from(sent).unwrap()))
                .await
                .unwrap();
            sent += 1;
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.unwrap();
    inbox.more(10).await;
    assert_eq!(text(echo.call(&[Value::Int(5)]).await.unwrap()), "5");
    kept.send(message(usize::try_from(sent).unwrap()))
        .await
        .unwrap();
    kept.stop().await.unwrap();
    source.stop().await.unwrap();
    assert_eq!(inbox.exceptions(), Vec::<String>::new());
    assert_eq!(observer.exceptions(), Vec::<String>::new());
    let rows = inbox.rows();
    let counted = rows.iter().map(|row| row["n"].as_u64().unwrap());
    assert!(
        counted.eq(0..rows.len() as u64),
        "nothing lost, nothing twice"
    );
    assert_eq!(
        numbers_in(&rig.data("mirror", "kept")),
        (0..=sent).collect::<Vec<_>>()
    );
    assert_eq!(
        rig.status("mirror")["history"],
        json!([]),
        "it was no crash"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_29_a_process_that_cannot_be_renewed_at_once_goes_on() {
    let Some(python) = python() else { return };
    let rig = Rig::with(&python, |settings| {
        settings.renew_go = plugyard_portable::RenewGo::AtOnce;
    });
    // From the second process on it does not start.
    let once = rig.package(|at| {
        go_toolbox_dir(at, &python)?;
        let script = std::fs::read_to_string(at.join("toolbox.py"))?;
        let main = "if __name__ == \"__main__\":\n";
        let once = script.replace(
            main,
            &format!(
                "{main}    os.close(os.open(os.path.join(DATA, 'begun'), os.O_CREAT | os.O_EXCL))\n"
            ),
        );
        assert_ne!(once, script);
        std::fs::write(at.join("toolbox.py"), once)
    });
    rig.install(&once).await.unwrap();
    let before = rig.pid("toolbox");
    let (source, inbox) = rig.source("numbers", "r").await;
    let (sink, _) = rig.sink("notebook", "r", json!({})).await;
    sink.stop().await.unwrap();
    let told = async {
        let plugin = "portable:toolbox".parse().unwrap();
        let goes_on = format!("process {before} goes on, because no other could take over: ");
        while !rig
            .kind
            .logs(&plugin, usize::MAX)
            .0
            .iter()
            .any(|line| line.text.starts_with(&goes_on))
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    inbox.more(3).await;
    assert_eq!(rig.pid("toolbox"), before);
    assert_eq!(inbox.exceptions(), Vec::<String>::new());
    source.stop().await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_handles_that_are_given_up_leave_nothing_behind() {
    let Some(python) = python() else { return };
    let rig = Rig::new(&python);
    rig.install(&rig.package(|at| toolbox_dir(at, "v1")))
        .await
        .unwrap();
    for _ in 0..20 {
        let inbox = std::sync::Arc::new(Inbox::default());
        let starting = rig.try_source("numbers", "r", &inbox);
        let _given_up = tokio::time::timeout(std::time::Duration::from_micros(300), starting).await;
    }
    let (dropped, _) = rig.sink("notebook", "r", json!({})).await;
    drop(dropped);
    let gone = async {
        while rig.status("toolbox")["refCount"] != json!({}) {
            tokio::task::yield_now().await;
        }
        // What is still being stopped ends before this can begin.
        let (source, inbox) = rig.source("numbers", "r").await;
        inbox.more(3).await;
        source.stop().await.unwrap();
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    rig.end().await;
}
