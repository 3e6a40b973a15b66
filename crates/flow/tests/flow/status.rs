//! The status document.

use expect_test::expect;
use plugyard_flow::RuleState;
use plugyard_symbol::{Connection, SymbolError};
use serde_json::json;

use crate::support::{App, NOW, Starts, until};

/// Latency is the one value that differs from run to run.
fn steady(document: &str) -> String {
    document
        .lines()
        .map(|line| match line.split_once("_process_latency_us\": ") {
            Some((key, _)) => format!("{key}_process_latency_us\": …,"),
            None => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn the_document_has_the_known_keys_in_the_known_order() {
    let app = App::with_stream().await;
    app.run(
        json!({"id":"rulePort1","sql":"SELECT a FROM demo WHERE a > 1","actions":[{"print":{}}]}),
    )
    .await;
    for a in 1..=3 {
        app.plugins.emit("rulePort1", &json!({"a":a}).to_string());
    }
    until("two rows are counted", || {
        app.count("rulePort1", "sink_print_0_0_records_out_total") == 2
    })
    .await;
    let status = app.get("/rules/rulePort1/status").await;
    assert_eq!(status.content_type, "application/json");
    expect![[r#"
        {
          "status": "running",
          "message": "",
          "lastStartTimestamp": 1795248000000,
          "lastStopTimestamp": 0,
          "nextStartTimestamp": 0,
          "source_demo_0_records_in_total": 3,
          "source_demo_0_records_out_total": 3,
          "source_demo_0_messages_processed_total": 3,
          "source_demo_0_process_latency_us": …,
          "source_demo_0_buffer_length": 0,
          "source_demo_0_last_invocation": 1795248000000,
          "source_demo_0_exceptions_total": 0,
          "source_demo_0_last_exception": "",
          "source_demo_0_last_exception_time": 0,
          "source_demo_0_connection_status": 1,
          "source_demo_0_connection_last_connected_time": 1795248000000,
          "source_demo_0_connection_last_disconnected_time": 0,
          "source_demo_0_connection_last_disconnected_message": "",
          "source_demo_0_connection_last_try_time": 1795248000000,
          "op_2_filter_0_records_in_total": 3,
          "op_2_filter_0_records_out_total": 2,
          "op_2_filter_0_messages_processed_total": 3,
          "op_2_filter_0_process_latency_us": …,
          "op_2_filter_0_buffer_length": 0,
          "op_2_filter_0_last_invocation": 1795248000000,
          "op_2_filter_0_exceptions_total": 0,
          "op_2_filter_0_last_exception": "",
          "op_2_filter_0_last_exception_time": 0,
          "op_3_project_0_records_in_total": 2,
          "op_3_project_0_records_out_total": 2,
          "op_3_project_0_messages_processed_total": 2,
          "op_3_project_0_process_latency_us": …,
          "op_3_project_0_buffer_length": 0,
          "op_3_project_0_last_invocation": 1795248000000,
          "op_3_project_0_exceptions_total": 0,
          "op_3_project_0_last_exception": "",
          "op_3_project_0_last_exception_time": 0,
          "op_print_0_0_transform_0_records_in_total": 2,
          "op_print_0_0_transform_0_records_out_total": 2,
          "op_print_0_0_transform_0_messages_processed_total": 2,
          "op_print_0_0_transform_0_process_latency_us": …,
          "op_print_0_0_transform_0_buffer_length": 0,
          "op_print_0_0_transform_0_last_invocation": 1795248000000,
          "op_print_0_0_transform_0_exceptions_total": 0,
          "op_print_0_0_transform_0_last_exception": "",
          "op_print_0_0_transform_0_last_exception_time": 0,
          "op_print_0_1_encode_0_records_in_total": 2,
          "op_print_0_1_encode_0_records_out_total": 2,
          "op_print_0_1_encode_0_messages_processed_total": 2,
          "op_print_0_1_encode_0_process_latency_us": …,
          "op_print_0_1_encode_0_buffer_length": 0,
          "op_print_0_1_encode_0_last_invocation": 1795248000000,
          "op_print_0_1_encode_0_exceptions_total": 0,
          "op_print_0_1_encode_0_last_exception": "",
          "op_print_0_1_encode_0_last_exception_time": 0,
          "sink_print_0_0_records_in_total": 2,
          "sink_print_0_0_records_out_total": 2,
          "sink_print_0_0_messages_processed_total": 2,
          "sink_print_0_0_process_latency_us": …,
          "sink_print_0_0_buffer_length": 0,
          "sink_print_0_0_last_invocation": 1795248000000,
          "sink_print_0_0_exceptions_total": 0,
          "sink_print_0_0_last_exception": "",
          "sink_print_0_0_last_exception_time": 0,
          "sink_print_0_0_connection_status": 1,
          "sink_print_0_0_connection_last_connected_time": 1795248000000,
          "sink_print_0_0_connection_last_disconnected_time": 0,
          "sink_print_0_0_connection_last_disconnected_message": "",
          "sink_print_0_0_connection_last_try_time": 1795248000000
        }"#]]
    .assert_eq(&steady(&status.body));
    let compact = app.get("/v2/rules/rulePort1/status").await;
    assert!(!compact.body.contains('\n'));
    assert_eq!(compact.json(), status.json());
}

#[tokio::test]
async fn fact_33_a_running_rule_counts_what_its_sink_took() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT revert(name) AS r FROM demo","actions":[{"print":{"requireAck":true}}]})).await;
    for _ in 0..6 {
        app.plugins.emit("r", r#"{"name":"pyjson","value":2021}"#);
    }
    until("six are taken", || {
        app.count("r", "sink_print_0_0_records_out_total") > 5
    })
    .await;
    let status = app.get("/rules/r/status").await.json();
    assert_eq!(status["status"], "running");
    assert_eq!(status["source_demo_0_last_exception"], "");
    assert_eq!(app.plugins.delivered()[0], r#"[{"r":"nosjyp"}]"#);
}

#[tokio::test]
async fn fact_36_a_restart_begins_the_counters_anew() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}]}))
        .await;
    app.plugins.emit("r", r#"{"a":1}"#);
    until("one is taken", || {
        app.count("r", "sink_print_0_0_records_out_total") == 1
    })
    .await;
    app.post("/rules/r/restart", "")
        .await
        .is(200, "Rule r was restarted");
    app.until_state("r", RuleState::Running).await;
    assert_eq!(app.count("r", "sink_print_0_0_records_out_total"), 0);
    app.plugins.emit("r", r#"{"a":1}"#);
    until("one is taken", || {
        app.count("r", "sink_print_0_0_records_out_total") == 1
    })
    .await;
}

#[tokio::test]
async fn fact_39_the_projection_of_a_function_counts_rows_and_no_exceptions() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT revert(name) FROM demo","actions":[{"print":{}}]}))
        .await;
    app.plugins.emit("r", r#"{"name":"abc"}"#);
    until("a row is projected", || {
        app.count("r", "op_2_project_0_records_out_total") != 0
    })
    .await;
    assert_eq!(app.count("r", "op_2_project_0_exceptions_total"), 0);
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [r#"[{"revert":"cba"}]"#]
    );
}

#[tokio::test]
async fn the_last_snapshot_stays_after_a_stop() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}]}))
        .await;
    app.plugins.emit("r", r#"{"a":1}"#);
    app.plugins.until_delivered(1).await;
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    let status = app.get("/rules/r/status").await.json();
    assert_eq!(status["status"], "stopped");
    assert_eq!(status["lastStopTimestamp"], NOW);
    assert_eq!(status["sink_print_0_0_records_out_total"], 1);
}

#[tokio::test]
async fn a_rule_that_was_never_started_has_only_the_leading_keys() {
    let app = App::with_stream().await;
    app.post(
        "/rules",
        r#"{"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}],"triggered":false}"#,
    )
    .await
    .is(201, "Rule r was created successfully.");
    app.get("/v2/rules/r/status").await.is(200, r#"{"status":"stopped","message":"","lastStartTimestamp":0,"lastStopTimestamp":0,"nextStartTimestamp":0}"#);
    app.get("/rules/nope/status").await.fails(
        404,
        1002,
        "get rule status error: Rule nope is not found",
    );
}

#[tokio::test]
async fn host_39_a_source_that_refuses_stops_the_rule_and_says_why() {
    let app = App::with_stream().await;
    *app.plugins.source_starts.lock() =
        Starts::Fails(SymbolError::refused("portable:pysam: no such interval"));
    app.post(
        "/rules",
        r#"{"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}]}"#,
    )
    .await
    .is(201, "Rule r was created successfully.");
    app.until_state("r", RuleState::StoppedByError).await;
    let status = app.get("/rules/r/status").await.json();
    assert_eq!(status["status"], "stopped by error");
    assert_eq!(status["message"], "portable:pysam: no such interval");
    assert_eq!(status["source_demo_0_connection_status"], -1);
    assert_eq!(
        status["source_demo_0_connection_last_disconnected_message"],
        "portable:pysam: no such interval"
    );
    assert_eq!(
        status["source_demo_0_last_exception"],
        "portable:pysam: no such interval"
    );
    assert_eq!(
        app.get("/rules/status/all").await.json(),
        json!({"r":{"status":"stopped by error","last_exception":"portable:pysam: no such interval","exceptions_total":1}})
    );

    *app.plugins.source_starts.lock() = Starts::Well;
    app.service.catalog_changed().await;
    app.until_state("r", RuleState::Running).await;
}

#[tokio::test]
async fn host_39_a_source_that_cannot_be_reached_is_tried_again_and_says_so() {
    let app = App::with_stream().await;
    *app.plugins.source_starts.lock() = Starts::Fails(SymbolError::io("no handshake"));
    app.post(
        "/rules",
        r#"{"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}]}"#,
    )
    .await
    .is(201, "Rule r was created successfully.");
    until("it was tried twice", || {
        app.count("r", "source_demo_0_exceptions_total") > 1
    })
    .await;
    assert_eq!(app.metric("r", "status"), "starting");
    assert_eq!(app.metric("r", "source_demo_0_connection_status"), -1);
    *app.plugins.source_starts.lock() = Starts::Well;
    app.until_state("r", RuleState::Running).await;
    assert_eq!(app.metric("r", "source_demo_0_connection_status"), 1);
    app.plugins
        .inbox("r")
        .connection(Connection::Disconnected("the plugin has gone".to_owned()));
    assert_eq!(app.metric("r", "source_demo_0_connection_status"), -1);
    assert_eq!(
        app.metric("r", "source_demo_0_connection_last_disconnected_message"),
        "the plugin has gone"
    );
    assert_eq!(app.metric("r", "status"), "running");
}
