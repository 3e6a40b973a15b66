//! What becomes of rows: on their way, under pressure, and at the end.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use plugyard_flow::{RuleState, TailEvent};
use plugyard_symbol::SymbolError;
use serde_json::json;

use crate::support::{App, tuple, until};

#[tokio::test]
async fn rows_are_sent_as_sorted_escaped_lists() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}]}))
        .await;
    app.plugins.emit("r", r#"{ "b" : 1.50, "a" : "<x> & \u4f60\u2028\/", "c": { "z": [1, {"y": 9007199254740993}], "k": null } }"#);
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [
            r#"[{"a":"\u003cx\u003e \u0026 你\u2028/","b":1.50,"c":{"k":null,"z":[1,{"y":9007199254740993}]}}]"#
        ]
    );
}

#[tokio::test]
async fn each_sink_shapes_rows_as_it_says() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT a, b FROM demo","actions":[
        {"print":{"sendSingle":true}},
        {"print":{"fields":["b"]}},
        {"print":{"excludeFields":["b"],"omitIfEmpty":true}},
    ]}))
    .await;
    app.plugins.emit("r", r#"{"a":1,"b":2,"c":3}"#);
    app.plugins.emit("r", r#"{"b":2}"#);
    app.plugins.until_delivered(5).await;
    let mut delivered = app.plugins.delivered.lock().clone();
    delivered.sort();
    let expected = [
        ("print_0", r#"{"a":1,"b":2}"#),
        ("print_0", r#"{"b":2}"#),
        ("print_1", r#"[{"b":2}]"#),
        ("print_1", r#"[{"b":2}]"#),
        ("print_2", r#"[{"a":1}]"#),
    ];
    assert_eq!(
        delivered,
        expected.map(|(op, row)| (op.to_owned(), row.to_owned()))
    );
}

#[tokio::test]
async fn options_add_meta_and_nulls() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT a, meta(topic) AS t FROM demo","actions":[{"print":{"sendSingle":true}}],
        "options":{"sendMetaToSink":true,"sendNilField":true}}))
    .await;
    app.plugins.emit("r", "{}");
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [r#"{"__meta":{"topic":"t"},"a":null,"t":"t"}"#]
    );
}

#[tokio::test]
async fn a_row_that_fails_is_dropped_counted_and_with_send_error_told() {
    let app = App::with_stream().await;
    app.run(
        json!({"id":"quiet","sql":"SELECT fail(a) FROM demo WHERE a > 0","actions":[{"print":{}}]}),
    )
    .await;
    app.run(json!({"id":"loud","sql":"SELECT fail(a) FROM demo","actions":[{"print":{}}],"options":{"sendError":true}})).await;
    app.plugins.emit("quiet", r#"{"a":1}"#);
    app.plugins.emit("quiet", r#"{"a":"x"}"#);
    app.plugins.emit("loud", r#"{"a":1}"#);
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [r#"[{"error":"run Select error: call func fail error: fail cannot do Int(1)"}]"#]
    );
    until("both failures are counted", || {
        app.count("quiet", "op_3_project_0_exceptions_total") == 1
            && app.count("quiet", "op_2_filter_0_exceptions_total") == 1
    })
    .await;
    assert_eq!(
        app.metric("quiet", "op_2_filter_0_last_exception"),
        "run Where error: invalid operation string(x) > bigint(0)"
    );
    assert_eq!(app.count("quiet", "sink_print_0_0_records_in_total"), 0);
}

#[tokio::test]
async fn host_22_an_error_of_the_source_is_an_exception_of_its_node() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}]}))
        .await;
    app.plugins
        .inbox("r")
        .exception(SymbolError::refused("emitted an error"));
    assert_eq!(
        app.metric("r", "source_demo_0_last_exception"),
        "emitted an error"
    );
    assert_eq!(app.count("r", "source_demo_0_exceptions_total"), 1);
    // Nobody asked for it at the sinks.
    app.plugins.emit("r", r#"{"a":1}"#);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"a":1}]"#]);
}

#[tokio::test]
async fn host_22_with_send_error_the_sinks_get_an_error_of_the_source_in_its_turn() {
    let app = App::with_stream().await;
    let graph = json!({
        "nodes": {
            "src": {"type": "source", "nodeType": "pyjson", "props": {}},
            "f": {"type": "operator", "nodeType": "function", "props": {"expr": "revert(a) as b"}},
            "out": {"type": "sink", "nodeType": "print", "props": {}},
        },
        "topo": {"sources": ["src"], "edges": {"src": ["f"], "f": ["out"]}},
    });
    let rule = |id: &str, sql: &str, concurrency: u32| {
        json!({"id":id,"sql":sql,"actions":[{"print":{}}],
            "options":{"sendError":true,"concurrency":concurrency}})
    };
    let mut graph = json!({"id":"graph","graph":graph,"options":{"sendError":true}});
    for (json, source, first, rows) in [
        (
            rule("as_it_comes", "SELECT * FROM demo", 1),
            "demo",
            None,
            [r#"[{"a":"xy"}]"#, r#"[{"a":"z"}]"#],
        ),
        (
            rule("calls", "SELECT revert(a) AS b FROM demo", 1),
            "demo",
            Some("2_project"),
            [r#"[{"b":"yx"}]"#, r#"[{"b":"z"}]"#],
        ),
        (
            rule("several", "SELECT revert(a) AS b FROM demo", 3),
            "demo",
            Some("2_project"),
            [r#"[{"b":"yx"}]"#, r#"[{"b":"z"}]"#],
        ),
        (
            graph.take(),
            "src",
            Some("f"),
            [r#"[{"a":"xy","b":"yx"}]"#, r#"[{"a":"z","b":"z"}]"#],
        ),
    ] {
        let id = json["id"].as_str().unwrap().to_owned();
        app.plugins.delivered.lock().clear();
        app.run(json).await;
        app.plugins.emit(&id, r#"{"a":"xy"}"#);
        let error = SymbolError::refused("emitted an \"error\"");
        app.plugins.inbox(&id).exception(error);
        app.plugins.emit(&id, r#"{"a":"z"}"#);
        let [before, after] = rows;
        assert_eq!(
            app.plugins.until_delivered(3).await,
            [before, r#"[{"error":"emitted an \"error\""}]"#, after],
            "{id}"
        );
        // It is counted once, where it happened.
        let total = format!("source_{source}_0_exceptions_total");
        assert_eq!(app.count(&id, &total), 1, "{id}");
        if let Some(first) = first {
            let operator = |metric: &str| app.count(&id, &format!("op_{first}_0_{metric}"));
            assert_eq!(operator("records_in_total"), 2, "{id}");
            assert_eq!(operator("exceptions_total"), 0, "{id}");
        }
    }
}

#[tokio::test]
async fn host_22_errors_of_a_source_for_the_sinks_are_bounded_like_its_rows() {
    let app = App::with_stream().await;
    app.run(
        json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}],
        "options":{"sendError":true,"bufferLength":4}}),
    )
    .await;
    let inbox = app.plugins.inbox("r");
    // Nothing of the rule runs in between: the test has the only thread.
    for n in 0..100 {
        inbox.exception(SymbolError::refused(n.to_string()));
    }
    let expected: Vec<_> = (96..100)
        .map(|n| format!(r#"[{{"error":"{n}"}}]"#))
        .collect();
    assert_eq!(app.plugins.until_delivered(4).await, expected);
    assert_eq!(app.count("r", "source_demo_0_records_dropped_total"), 96);
    assert_eq!(app.count("r", "source_demo_0_exceptions_total"), 196);
}

#[tokio::test]
async fn each_acknowledged_message_is_counted_when_it_is() {
    const SENT: u64 = 50;
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"acked":{}}]}))
        .await;
    for n in 0..SENT {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
    }
    let mut known = 0;
    for more in [1, 2, 1] {
        app.plugins.gate.add_permits(more);
        known += more as u64;
        until("those that have their answers are counted", || {
            app.count("r", "sink_acked_0_0_records_out_total") == known
                && app.count("r", "sink_acked_0_0_messages_processed_total") == known
        })
        .await;
    }
    // What has none when the rule is cut off is lost, and nothing else.
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    app.until_state("r", plugyard_flow::RuleState::Stopped)
        .await;
    assert_eq!(app.count("r", "sink_acked_0_0_records_out_total"), known);
    assert_eq!(
        app.count("r", "sink_acked_0_0_exceptions_total"),
        SENT - known
    );
}

#[tokio::test]
async fn a_sink_that_fails_counts_exceptions_and_no_records_out() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"broken":{}}]}))
        .await;
    app.plugins.emit("r", r#"{"a":1}"#);
    until("it is counted", || {
        app.count("r", "sink_broken_0_0_exceptions_total") == 1
    })
    .await;
    assert_eq!(
        app.metric("r", "sink_broken_0_0_last_exception"),
        "the pipe is broken"
    );
    assert_eq!(app.count("r", "sink_broken_0_0_records_out_total"), 0);
}

#[tokio::test]
async fn a_stalled_sink_drops_the_oldest_and_every_message_is_accounted_for() {
    const SENT: u64 = 10_000;
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"gated":{"bufferLength":16}}],"options":{"bufferLength":64}})).await;
    for n in 0..SENT {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let drops = || {
        app.count("r", "source_demo_0_exceptions_total")
            + app.count("r", "op_gated_0_1_encode_0_exceptions_total")
    };
    // Everything but what is waiting or in the sink's hands has been dropped.
    until("the rest is dropped", || {
        let held = app.count("r", "sink_gated_0_0_records_in_total")
            + app.count("r", "sink_gated_0_0_buffer_length");
        app.count("r", "op_2_project_0_buffer_length") == 0 && drops() + held == SENT
    })
    .await;
    // Every exception here is a drop, and they are counted as such.
    let told = |node: &str| {
        // There only where there were some.
        let status = app.service.rule_status("r").unwrap();
        let dropped = status.get(&format!("{node}_0_records_dropped_total"));
        dropped.and_then(serde_json::Value::as_u64).unwrap_or(0)
    };
    assert_eq!(told("source_demo") + told("op_gated_0_1_encode"), drops());
    let last = app.metric("r", "op_gated_0_1_encode_0_last_exception");
    let last = last.as_str().unwrap();
    assert!(
        last.starts_with("buffer full, drop message ")
            && last.ends_with(" from gated_0_1_encode to gated_0"),
        "{last}"
    );
    app.plugins.gate.add_permits(usize::try_from(SENT).unwrap());
    until("sent = delivered + drops", || {
        app.count("r", "sink_gated_0_0_records_out_total") + drops() == SENT
    })
    .await;
    assert_eq!(app.plugins.delivered().last().unwrap(), r#"[{"n":9999}]"#);
    assert_eq!(app.plugins.delivered().len() as u64 + drops(), SENT);
}

/// 30 s at 5,000 rows a second, as fast as they can be made: what is kept depends on no clock.
#[tokio::test]
async fn without_discarding_a_slow_sink_slows_the_source_and_loses_nothing() {
    const SENT: usize = 2000;
    let app = App::with_stream().await;
    app.run(
        json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"gated":{"bufferLength":4}}],
        "options":{"bufferLength":4,"disableBufferFullDiscard":true}}),
    )
    .await;
    let inbox = app.plugins.inbox("r");
    let pushing = tokio::spawn(async move {
        for n in 0..SENT {
            inbox.push(tuple(&format!(r#"{{"n":{n}}}"#))).await;
        }
    });
    until("the queues are full", || {
        app.count("r", "sink_gated_0_0_buffer_length") == 4
    })
    .await;
    assert!(!pushing.is_finished());
    app.plugins.gate.add_permits(SENT);
    let delivered = app.plugins.until_delivered(SENT).await;
    pushing.await.unwrap();
    let expected: Vec<_> = (0..SENT).map(|n| format!(r#"[{{"n":{n}}}]"#)).collect();
    assert_eq!(delivered, expected);
    assert_eq!(app.count("r", "source_demo_0_exceptions_total"), 0);
}

#[tokio::test]
async fn a_stop_delivers_what_was_sent_before_it() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"print":{}}]}))
        .await;
    for n in 0..500 {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
    }
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    assert_eq!(app.plugins.delivered().len(), 500);
}

#[tokio::test]
async fn stop_and_delete_are_answered_while_the_sink_is_stuck_and_the_loss_is_counted() {
    let app = App::with_stream().await;
    let rule = json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"gated":{}}]});
    app.run(rule.clone()).await;
    for n in 0..10 {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
    }
    until("the sink has some", || {
        app.count("r", "sink_gated_0_0_records_in_total") > 0
    })
    .await;
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    app.until_state("r", RuleState::Stopped).await;
    assert_eq!(app.count("r", "sink_gated_0_0_exceptions_total"), 10);

    app.post("/rules/r/start", "")
        .await
        .is(200, "Rule r was started");
    app.until_state("r", RuleState::Running).await;
    app.plugins.emit("r", r#"{"n":1}"#);
    until("the sink has one", || {
        app.count("r", "sink_gated_0_0_records_in_total") == 1
    })
    .await;
    let began = Instant::now();
    app.delete("/rules/r").await.is(200, "Rule r is dropped.");
    // A bound, not a measurement: without one this would never end.
    assert!(began.elapsed() < Duration::from_secs(15));
    app.run(rule).await;
}

#[tokio::test]
async fn one_stuck_rule_does_not_hold_up_another() {
    let app = App::with_stream().await;
    app.run(json!({"id":"stuck","sql":"SELECT n FROM demo","actions":[{"gated":{"bufferLength":1}}],"options":{"disableBufferFullDiscard":true}})).await;
    app.run(json!({"id":"free","sql":"SELECT n FROM demo","actions":[{"print":{}}]}))
        .await;
    for n in 0..100 {
        app.plugins.emit("stuck", &format!(r#"{{"n":{n}}}"#));
        app.plugins.emit("free", &format!(r#"{{"n":{n}}}"#));
    }
    assert_eq!(app.plugins.until_delivered(100).await.len(), 100);
}

#[tokio::test]
async fn rows_can_be_watched_and_a_slow_watcher_is_told_what_it_missed() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT n FROM demo WHERE n > 0","actions":[{"print":{}}]}))
        .await;
    let mut tail = app.service.tail_rule("r").unwrap();
    for n in 0..=300 {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
    }
    app.plugins.until_delivered(300).await;
    assert_eq!(tail.next().await, Some(TailEvent::Dropped(44)));
    assert_eq!(
        tail.next().await,
        Some(TailEvent::Row(r#"{"n":45}"#.into()))
    );
    drop(tail);

    let mut events = app.open("/v1/rules/r/tail").await.into_body();
    app.plugins.emit("r", r#"{"n":7}"#);
    let frame = events.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&frame[..], b"event: row\ndata: {\"n\":7}\n\n");
    let missing = app.get("/v1/rules/nope/tail").await;
    assert_eq!(
        (missing.status.as_u16(), missing.content_type.as_str()),
        (404, "application/problem+json")
    );
}

#[tokio::test]
async fn a_watched_rule_that_is_deleted_ends_the_watching() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"print":{}}]}))
        .await;
    let mut tail = app.service.tail_rule("r").unwrap();
    app.delete("/rules/r").await.is(200, "Rule r is dropped.");
    assert_eq!(tail.next().await, None);
}

#[tokio::test]
async fn with_strict_validation_rows_have_their_declared_types_or_are_dropped() {
    let app = App::new().await;
    for (stream, strict) in [("strict", "true"), ("loose", "false")] {
        let sql = format!(
            r#"CREATE STREAM {stream} (a bigint, b string) WITH (TYPE="pyjson", DATASOURCE="d", STRICT_VALIDATION="{strict}")"#
        );
        app.post("/streams", &json!({ "sql": sql }).to_string())
            .await
            .is(201, &format!("Stream {stream} is created."));
        app.run(
            json!({"id": stream, "sql": format!("SELECT * FROM {stream}"),
            "actions": [{"print": {"sendSingle": true}}], "options": {"sendError": true}}),
        )
        .await;
    }
    app.plugins.emit("strict", r#"{"a":1.0,"b":"x","c":true}"#);
    app.plugins.emit("strict", r#"{"a":"1","b":"x"}"#);
    app.plugins.emit("strict", r#"{"a":1}"#);
    let mismatch =
        "error in preprocessor: field a type mismatch: cannot convert string(1) to int64";
    let missing = "error in preprocessor: field b is not found";
    assert_eq!(
        app.plugins.until_delivered(3).await,
        [
            r#"{"a":1,"b":"x","c":true}"#.to_owned(),
            json!({ "error": mismatch }).to_string(),
            json!({ "error": missing }).to_string(),
        ]
    );
    assert_eq!(app.count("strict", "source_strict_0_exceptions_total"), 2);
    assert_eq!(app.count("strict", "op_2_project_0_records_in_total"), 1);
    let last = app.metric("strict", "source_strict_0_last_exception");
    assert_eq!(last, missing);
    // Without it rows are taken as they come.
    app.plugins.emit("loose", r#"{"a":"1"}"#);
    let delivered = app.plugins.until_delivered(4).await;
    assert_eq!(delivered.last().unwrap(), r#"{"a":"1"}"#);
}
