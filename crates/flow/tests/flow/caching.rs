//! What waits for a sink that cannot take it now.

use std::sync::Arc;

use plugyard_flow::RuleState;
use plugyard_symbol::SymbolError;
use serde_json::{Value as Json, json};

use crate::support::{App, Plugins, until};

fn cached(properties: &Json) -> Json {
    let mut all = json!({"enableCache":true,"resendInterval":5,"sendSingle":true});
    let all_of = all.as_object_mut().unwrap();
    all_of.extend(properties.as_object().unwrap().clone());
    json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"moody":all}]})
}

fn rows(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!(r#"{{"n":{n}}}"#)).collect()
}

fn emit(app: &App, range: std::ops::Range<u32>) {
    for row in rows(range) {
        app.plugins.emit("r", &row);
    }
}

async fn until_kept(app: &App, count: u64) {
    until(&format!("{count} messages are kept"), || {
        app.count("r", "sink_moody_0_0_buffer_length") == count
    })
    .await;
}

/// A rule whose sink does not answer, with so many rows that wait for it.
async fn stuck(properties: &Json, count: u32) -> App {
    let app = App::with_stream().await;
    *app.plugins.mood.lock() = Some(SymbolError::io("no acknowledgement"));
    app.run(cached(properties)).await;
    emit(&app, 0..count);
    until_kept(&app, count.into()).await;
    app
}

#[tokio::test]
async fn what_fails_on_the_way_is_sent_again_in_order_and_counted_once() {
    let app = stuck(&json!({}), 300).await;
    until("some attempts have failed", || {
        app.count("r", "sink_moody_0_0_exceptions_total") >= 3
    })
    .await;
    assert_eq!(app.count("r", "sink_moody_0_0_records_out_total"), 0);
    assert_eq!(app.count("r", "sink_moody_0_0_records_in_total"), 1);
    *app.plugins.mood.lock() = None;
    assert_eq!(app.plugins.until_delivered(300).await, rows(0..300));
    until_kept(&app, 0).await;
    until("all are counted", || {
        app.count("r", "sink_moody_0_0_records_out_total") == 300
    })
    .await;
    assert_eq!(app.count("r", "sink_moody_0_0_records_in_total"), 300);
    assert_eq!(
        app.count("r", "op_moody_0_2_cache_0_records_out_total"),
        300
    );
    emit(&app, 300..301);
    app.plugins.until_delivered(301).await;
}

#[tokio::test]
async fn what_waits_when_a_rule_stops_is_sent_by_its_next_run_also_of_the_next_program() {
    let app = stuck(&json!({"memoryCacheThreshold":4,"bufferPageSize":3}), 50).await;
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    app.post("/rules/r/start", "")
        .await
        .is(200, "Rule r was started");
    app.until_state("r", RuleState::Running).await;
    until_kept(&app, 50).await;
    app.service.shutdown().await;
    let app = app.restarted(Arc::new(Plugins::default()));
    app.service.recover().await.unwrap();
    assert_eq!(app.plugins.until_delivered(50).await, rows(0..50));
}

#[tokio::test]
async fn a_cache_is_cleaned_at_a_stop_where_that_is_wanted() {
    let app = stuck(&json!({"cleanCacheAtStop":true}), 5).await;
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    assert_eq!(
        app.metric("r", "sink_moody_0_0_last_exception"),
        "rule stopped, 5 messages cleaned from the cache"
    );
    *app.plugins.mood.lock() = None;
    app.post("/rules/r/start", "")
        .await
        .is(200, "Rule r was started");
    app.until_state("r", RuleState::Running).await;
    emit(&app, 7..8);
    assert_eq!(app.plugins.until_delivered(1).await, rows(7..8));
}

#[tokio::test]
async fn what_a_sink_refuses_for_good_is_dropped_and_the_next_is_sent() {
    let app = App::with_stream().await;
    *app.plugins.mood.lock() = Some(SymbolError::refused("too long"));
    app.run(cached(&json!({}))).await;
    emit(&app, 0..2);
    until("both are refused", || {
        app.count("r", "sink_moody_0_0_exceptions_total") == 2
    })
    .await;
    until_kept(&app, 0).await;
    *app.plugins.mood.lock() = None;
    emit(&app, 2..3);
    assert_eq!(app.plugins.until_delivered(1).await, rows(2..3));
}

#[tokio::test]
async fn a_full_cache_drops_its_oldest_page_and_every_message_is_accounted_for() {
    let app = App::with_stream().await;
    *app.plugins.mood.lock() = Some(SymbolError::io("no acknowledgement"));
    app.run(cached(
        &json!({"memoryCacheThreshold":2,"maxDiskCache":10,"bufferPageSize":3}),
    ))
    .await;
    emit(&app, 0..100);
    let dropped = || {
        let status = app.service.rule_status("r").unwrap();
        let dropped = status.get("op_moody_0_2_cache_0_records_dropped_total");
        dropped.map_or(0, |count| count.as_u64().unwrap())
    };
    until("all are kept or dropped", || {
        dropped() + app.count("r", "sink_moody_0_0_buffer_length") == 100
    })
    .await;
    let left = app.count("r", "sink_moody_0_0_buffer_length");
    assert!((1..=12).contains(&left), "{left}");
    *app.plugins.mood.lock() = None;
    let left = u32::try_from(left).unwrap();
    let first = 100 - left;
    let delivered = app.plugins.until_delivered(left.try_into().unwrap()).await;
    assert_eq!(delivered, rows(first..100));
}

#[tokio::test]
async fn apart_from_what_waits_new_messages_go_on() {
    let app = App::with_stream().await;
    *app.plugins.mood.lock() = Some(SymbolError::timeout("no answer"));
    app.run(cached(
        &json!({"resendAlterQueue":true,"resendPriority":-1,"resendInterval":"1h"}),
    ))
    .await;
    emit(&app, 0..3);
    until_kept(&app, 3).await;
    *app.plugins.mood.lock() = None;
    emit(&app, 3..5);
    assert_eq!(app.plugins.until_delivered(2).await, rows(3..5));
    // The next run begins with an attempt.
    app.post("/rules/r/restart", "")
        .await
        .is(200, "Rule r was restarted");
    assert_eq!(app.plugins.until_delivered(5).await[2..], rows(0..3));
}

#[tokio::test]
async fn rows_wait_while_a_sink_cannot_even_be_started() {
    let app = App::with_stream().await;
    *app.plugins.sink_starts.lock() = crate::support::Starts::Fails(SymbolError::io("not yet"));
    app.post("/rules", &cached(&json!({})).to_string())
        .await
        .is(201, "Rule r was created successfully.");
    until("the source runs", || {
        app.plugins.source_requests.lock().len() == 1
    })
    .await;
    until("rows come", || {
        app.metric("r", "source_demo_0_connection_status") == 1
    })
    .await;
    emit(&app, 0..5);
    until_kept(&app, 5).await;
    *app.plugins.sink_starts.lock() = crate::support::Starts::Well;
    assert_eq!(app.plugins.until_delivered(5).await, rows(0..5));
}

#[tokio::test]
async fn a_rule_s_cache_goes_with_it_and_with_the_sink_that_has_none_any_more() {
    let app = stuck(&json!({}), 3).await;
    let dir = app.home.path().join("cache/r");
    assert!(dir.join("moody_0").is_dir());
    let without = json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"print":{}}]});
    app.put("/rules/r", &without.to_string())
        .await
        .is(200, "Rule r was updated successfully.");
    until("it is cleaned", || !dir.join("moody_0").exists()).await;
    let app = stuck(&json!({}), 3).await;
    let dir = app.home.path().join("cache/r");
    app.delete("/rules/r").await.is(200, "Rule r is dropped.");
    until("it is gone", || !dir.exists()).await;
}

#[tokio::test]
async fn a_log_of_a_rule_s_own_tells_what_it_does() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT fail(n) AS f, n FROM demo WHERE n > 1","actions":[{"print":{}}],
        "options":{"logFilename":"mine.log"}}))
    .await;
    app.run(json!({"id":"d","sql":"SELECT n FROM demo","actions":[{"print":{}}],"options":{"debug":true}}))
        .await;
    app.plugins.emit("r", r#"{"n":2}"#);
    app.plugins.emit("d", r#"{"n":2}"#);
    let read = |name: &str| {
        std::fs::read_to_string(app.home.path().join("logs").join(name)).unwrap_or_default()
    };
    until("the failure is told", || {
        read("mine.log").contains(
            "exception 3_project: run Select error: call func fail error: fail cannot do Int(2)\n",
        )
    })
    .await;
    until("the row is told", || {
        read("d.log").contains(" row {\"n\":2}\n")
    })
    .await;
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    until("the end is told", || {
        read("mine.log").ends_with(" stopped\n")
    })
    .await;
    let log = read("mine.log");
    assert!(
        log.starts_with("2026-11-21T08:00:00.000Z starting\n2026-11-21T08:00:00.000Z running\n"),
        "{log}"
    );
    assert!(!log.contains(" row "), "{log}");
}
