//! What windows hold over the end of a run: `qos`, `checkpointInterval`, `enableSaveStateBeforeStop`.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use plugyard_flow::RuleState;
use serde_json::{Value as Json, json};

use crate::support::{App, NOW, Plugins, until};

const TUMBLING: &str = "SELECT collect(a) AS a FROM demo GROUP BY TUMBLINGWINDOW(ss, 30)";

/// A rule that is saved every ten seconds.
fn rule(sql: &str, qos: u8) -> Json {
    json!({"id":"r","sql":sql,"actions":[{"print":{}}],"options":{"qos":qos,"checkpointInterval":"10s"}})
}

impl App {
    /// Lets the source emit rows and waits until the window has them.
    async fn gather(&self, numbers: &[i64]) {
        let processed = "op_2_window_0_messages_processed_total";
        let before = self.count("r", processed);
        for number in numbers {
            self.plugins.emit("r", &json!({ "a": number }).to_string());
        }
        until("the rows are in the window", || {
            self.count("r", processed) == before + numbers.len() as u64
        })
        .await;
    }

    /// Waits until a checkpoint is of that time.
    async fn until_saved(&self, at: i64) {
        until("the checkpoint is written", || {
            self.metric("r", "checkpoint_last_time") == at
        })
        .await;
    }

    fn checkpoint(&self) -> PathBuf {
        self.home.path().join("state/r/checkpoint")
    }

    /// The program is gone without a word, and another one starts, at [`NOW`] again.
    async fn killed(self) -> Self {
        let app = self.restarted(Arc::new(Plugins::default()));
        app.service.recover().await.unwrap();
        app.until_state("r", RuleState::Running).await;
        app
    }
}

#[tokio::test]
async fn a_window_goes_on_where_the_last_checkpoint_was() {
    let app = App::with_stream().await;
    app.run(rule(TUMBLING, 1)).await;
    assert_eq!(app.metric("r", "checkpoint_qos"), 1);
    assert_eq!(
        app.metric("r", "checkpoint_delivery"),
        "at most once: the source cannot be read again"
    );
    app.gather(&[1, 2]).await;
    app.clock.pass(10_000);
    app.until_saved(NOW + 10_000).await;
    // Too late for the checkpoint.
    app.gather(&[3]).await;
    let app = app.killed().await;
    until("the checkpoint is taken over", || {
        app.metric("r", "checkpoint_restored_time") == NOW + 10_000
    })
    .await;
    app.gather(&[4]).await;
    app.clock.pass(30_000);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"a":[1,2,4]}]"#]);
}

#[tokio::test]
async fn every_kind_of_window_goes_on() {
    for (window, pass, expected) in [
        ("HOPPINGWINDOW(ss, 40, 20)", 20_000, "[1,2,3]"),
        ("SESSIONWINDOW(ss, 100, 15)", 20_000, "[1,2,3]"),
        ("SLIDINGWINDOW(ss, 40)", 0, "[1,2,3]"),
        ("SLIDINGWINDOW(ss, 40, 20)", 25_000, "[1,2,3]"),
        ("COUNTWINDOW(3)", 0, "[1,2,3]"),
        ("STATEWINDOW(a = 1, a = 3)", 0, "[1,2,3]"),
        (
            "STATEWINDOW(true, a = 3) OVER (PARTITION BY a > 0)",
            0,
            "[1,2,3]",
        ),
    ] {
        let app = App::with_stream().await;
        let sql = format!("SELECT collect(a) AS a FROM demo GROUP BY {window}");
        app.run(rule(&sql, 1)).await;
        app.gather(&[1, 2]).await;
        app.clock.pass(10_000);
        app.until_saved(NOW + 10_000).await;
        let app = app.killed().await;
        app.clock.pass(10_000);
        app.gather(&[3]).await;
        app.clock.pass(pass);
        let wanted = format!(r#"[{{"a":{expected}}}]"#);
        until(&format!("{window} gives {wanted}"), || {
            app.plugins.delivered().contains(&wanted)
        })
        .await;
    }
}

#[tokio::test]
async fn by_event_time_rows_that_wait_go_on_too_and_what_was_late_stays_late() {
    let app = App::new().await;
    let sql = r#"CREATE STREAM demo () WITH (TYPE="pyjson", TIMESTAMP="a")"#;
    let answer = app
        .post("/streams", &json!({ "sql": sql }).to_string())
        .await;
    answer.is(201, "Stream demo is created.");
    let mut rule = rule(
        "SELECT collect(a) AS a FROM demo GROUP BY TUMBLINGWINDOW(ss, 1)",
        1,
    );
    rule["options"]["isEventTime"] = true.into();
    app.run(rule).await;
    let taken = |app: &App, count: u64| {
        app.count("r", "op_2_watermark_0_messages_processed_total") == count
    };
    for time in [200, 1900, 1300] {
        app.plugins.emit("r", &json!({ "a": time }).to_string());
    }
    until("the rows are taken", || taken(&app, 3)).await;
    app.clock.pass(10_000);
    app.until_saved(NOW + 10_000).await;
    let app = app.killed().await;
    // The watermark is at 900.
    for time in [899, 1000, 4000] {
        app.plugins.emit("r", &json!({ "a": time }).to_string());
    }
    assert_eq!(
        app.plugins.until_delivered(2).await,
        [r#"[{"a":[200]}]"#, r#"[{"a":[1000,1300,1900]}]"#]
    );
    assert_eq!(app.count("r", "op_2_watermark_0_records_dropped_total"), 1);
}

#[tokio::test]
async fn a_stop_saves_only_where_the_rule_wants_that() {
    for (wants, expected) in [(false, r#"[{"a":[1,3]}]"#), (true, r#"[{"a":[1,2,3]}]"#)] {
        let app = App::with_stream().await;
        let mut rule = rule(TUMBLING, 1);
        rule["options"]["enableSaveStateBeforeStop"] = wants.into();
        app.run(rule).await;
        app.gather(&[1]).await;
        app.clock.pass(10_000);
        app.until_saved(NOW + 10_000).await;
        app.gather(&[2]).await;
        app.post("/rules/r/stop", "")
            .await
            .is(200, "Rule r was stopped.");
        app.post("/rules/r/start", "")
            .await
            .is(200, "Rule r was started");
        app.until_state("r", RuleState::Running).await;
        app.gather(&[3]).await;
        app.clock.pass(20_000);
        assert_eq!(app.plugins.until_delivered(1).await, [expected]);
    }
}

#[tokio::test]
async fn a_result_is_sent_again_after_a_kill_with_1_and_not_with_2() {
    for (qos, expected) in [(1, "[1,2]"), (2, "[2]")] {
        let app = App::with_stream().await;
        let mut rule = rule(TUMBLING, qos);
        rule["options"]["checkpointInterval"] = "25s".into();
        app.run(rule).await;
        app.gather(&[1]).await;
        app.clock.pass(25_000);
        app.until_saved(NOW + 25_000).await;
        app.clock.pass(5_000);
        let first = app.plugins.until_delivered(1).await;
        assert_eq!(first, [r#"[{"a":[1]}]"#]);
        let saved = if qos == 1 { 25_000 } else { 30_000 };
        app.until_saved(NOW + saved).await;
        let app = app.killed().await;
        app.clock.pass(29_000);
        app.gather(&[2]).await;
        app.clock.pass(31_000);
        let delivered = app.plugins.until_delivered(1).await;
        assert_eq!(delivered, [format!(r#"[{{"a":{expected}}}]"#)], "qos {qos}");
    }
}

#[tokio::test]
async fn a_rule_that_is_another_begins_anew() {
    let app = App::with_stream().await;
    app.run(rule(TUMBLING, 1)).await;
    app.gather(&[1]).await;
    app.clock.pass(10_000);
    app.until_saved(NOW + 10_000).await;
    // Another statement, over the same window.
    let mut changed = rule(&TUMBLING.replace("AS a", "AS b"), 1);
    app.put("/rules/r", &changed.to_string()).await;
    app.until_state("r", RuleState::Running).await;
    app.gather(&[2]).await;
    app.clock.pass(10_000);
    app.until_saved(NOW + 20_000).await;
    // Where its rows go makes it no other.
    changed["actions"] = json!([{"print":{"sendSingle":true}}]);
    app.put("/rules/r", &changed.to_string()).await;
    app.until_state("r", RuleState::Running).await;
    app.gather(&[3]).await;
    app.clock.pass(10_000);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"{"b":[2,3]}"#]);
    app.until_saved(NOW + 30_000).await;
    // Nor does one that is made anew have anything of the old one of its id.
    app.delete("/rules/r").await.is(200, "Rule r is dropped.");
    until("its checkpoint is gone", || !app.checkpoint().exists()).await;
    app.run(changed).await;
    app.gather(&[4]).await;
    app.clock.pass(30_000);
    assert_eq!(app.plugins.until_delivered(2).await[1], r#"{"b":[4]}"#);
}

#[tokio::test]
async fn a_checkpoint_that_is_broken_is_said_and_set_aside() {
    let app = App::with_stream().await;
    app.run(rule(TUMBLING, 1)).await;
    app.gather(&[1]).await;
    app.clock.pass(10_000);
    app.until_saved(NOW + 10_000).await;
    let mut bytes = fs::read(app.checkpoint()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(app.checkpoint(), &bytes).unwrap();
    let app = app.killed().await;
    app.gather(&[2]).await;
    let text = "checkpoint not read and set aside: it is damaged";
    assert_eq!(app.metric("r", "op_2_window_0_last_exception"), text);
    assert_eq!(app.metric("r", "checkpoint_last_error"), text);
    assert_eq!(app.metric("r", "checkpoint_restored_time"), 0);
    let aside = app.checkpoint().with_extension("broken");
    assert_eq!(fs::read(aside).unwrap(), bytes);
    app.clock.pass(30_000);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"a":[2]}]"#]);
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_written_is_an_exception_and_the_rule_goes_on() {
    let app = App::with_stream().await;
    app.run(rule(TUMBLING, 2)).await;
    app.gather(&[1]).await;
    app.clock.pass(10_000);
    app.until_saved(NOW + 10_000).await;
    // What is written before it takes the place of the last one cannot be.
    fs::create_dir(app.checkpoint().with_extension("new")).unwrap();
    app.gather(&[2]).await;
    app.clock.pass(10_000);
    until("the trouble is told", || {
        app.count("r", "op_2_window_0_exceptions_total") > 0
    })
    .await;
    let text = app.metric("r", "checkpoint_last_error");
    let text = text.as_str().unwrap();
    assert!(text.starts_with("checkpoint not written: "), "{text}");
    assert_eq!(app.metric("r", "checkpoint_last_time"), NOW + 10_000);
    app.clock.pass(10_000);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"a":[1,2]}]"#]);
}

#[tokio::test]
async fn a_rule_that_holds_nothing_has_no_checkpoint_and_says_what_qos_gives() {
    let app = App::with_stream().await;
    app.run(rule("SELECT a FROM demo", 2)).await;
    app.plugins.emit("r", r#"{"a":1}"#);
    app.plugins.until_delivered(1).await;
    app.clock.pass(100_000);
    assert_eq!(app.metric("r", "checkpoint_qos"), 2);
    assert_eq!(app.metric("r", "checkpoint_last_time"), 0);
    assert!(!app.checkpoint().exists());
}
