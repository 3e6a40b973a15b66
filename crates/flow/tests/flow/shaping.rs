//! Messages that are more than one encoded row.

use plugyard_flow::RuleState;
use serde_json::json;

use crate::support::{App, until};

#[tokio::test]
async fn rows_are_gathered_until_there_are_enough_or_the_time_is_over() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"print":{"batchSize":3}}]}))
        .await;
    for n in 0..7 {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
    }
    assert_eq!(
        app.plugins.until_delivered(2).await,
        [
            r#"[{"n":0},{"n":1},{"n":2}]"#,
            r#"[{"n":3},{"n":4},{"n":5}]"#
        ]
    );
    // A stop sends what has gathered.
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    assert_eq!(app.plugins.until_delivered(3).await[2], r#"[{"n":6}]"#);
    assert_eq!(app.count("r", "op_print_0_0_batch_0_records_in_total"), 7);
    assert_eq!(app.count("r", "op_print_0_0_batch_0_records_out_total"), 3);
    app.run(json!({"id":"t","sql":"SELECT n FROM demo","actions":[{"print":{"lingerInterval":"20ms"}}]}))
        .await;
    app.plugins.emit("t", r#"{"n":1}"#);
    assert_eq!(app.plugins.until_delivered(4).await[3], r#"[{"n":1}]"#);
}

#[tokio::test]
async fn several_workers_keep_the_order() {
    let app = App::with_stream().await;
    app.run(
        json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"print":{
        "sendSingle":true,"concurrency":8,"dataTemplate":"{{range .n}}{{end}}{{.n}}"}}]}),
    )
    .await;
    // The work differs from row to row.
    let numbers: Vec<String> = (0..300).map(|n| ((n * 7919) % 997).to_string()).collect();
    for n in &numbers {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
    }
    assert_eq!(app.plugins.until_delivered(300).await, numbers);
}

#[tokio::test]
async fn each_stage_is_a_node_in_order() {
    let app = App::with_stream().await;
    app.run(
        json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{
        "batchSize":1,"compression":"gzip","enableCache":true}}]}),
    )
    .await;
    let status = app.service.rule_status("r").unwrap();
    let nodes: Vec<_> = status
        .keys()
        .filter_map(|key| key.strip_suffix("_0_records_in_total"))
        .collect();
    let stages = [
        "0_batch",
        "1_transform",
        "2_encode",
        "3_compress",
        "4_cache",
    ];
    let mut expected = vec!["source_demo".to_owned(), "op_2_project".to_owned()];
    expected.extend(stages.map(|stage| format!("op_print_0_{stage}")));
    expected.push("sink_print_0".to_owned());
    assert_eq!(nodes, expected);
    assert_eq!(
        app.get("/rules/r/topo").await.json(),
        json!({"sources":["source_demo"],"edges":{
            "source_demo":["op_2_project"],
            "op_2_project":["op_print_0_0_batch"],
            "op_print_0_0_batch":["op_print_0_1_transform"],
            "op_print_0_1_transform":["op_print_0_2_encode"],
            "op_print_0_2_encode":["op_print_0_3_compress"],
            "op_print_0_3_compress":["op_print_0_4_cache"],
            "op_print_0_4_cache":["sink_print_0"]}})
    );
}

#[tokio::test]
async fn a_template_that_fails_is_counted_and_told_where_that_is_wanted() {
    let app = App::with_stream().await;
    app.run(
        json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{
        "sendSingle":true,"dataTemplate":"{{.a.b}}"}}],"options":{"sendError":true}}),
    )
    .await;
    app.plugins.emit("r", r#"{"a":1}"#);
    app.plugins.emit("r", r#"{"a":{"b":"ok"}}"#);
    let text =
        "fail to encode data with dataTemplate for error can't evaluate field b in type int64";
    assert_eq!(
        app.plugins.until_delivered(2).await,
        [json!({ "error": text }).to_string(), "ok".to_owned()]
    );
    assert_eq!(
        app.count("r", "op_print_0_0_transform_0_exceptions_total"),
        1
    );
    assert_eq!(
        app.metric("r", "op_print_0_0_transform_0_last_exception"),
        text
    );
}

#[tokio::test]
async fn a_slow_sink_holds_up_shaped_rows_no_further_than_its_queues() {
    const SENT: u64 = 5000;
    let app = App::with_stream().await;
    app.run(
        json!({"id":"r","sql":"SELECT n FROM demo","actions":[{"gated":{
        "bufferLength":16,"dataTemplate":"{{json .}}"}}]}),
    )
    .await;
    for n in 0..SENT {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let dropped = || {
        let status = app.service.rule_status("r").unwrap();
        let of = |node: &str| {
            status
                .get(&format!("{node}_0_records_dropped_total"))
                .map_or(0, |count| count.as_u64().unwrap())
        };
        of("source_demo") + of("op_gated_0_0_transform") + of("op_gated_0_1_encode")
    };
    until("the rest is dropped", || {
        let held = app.count("r", "sink_gated_0_0_records_in_total")
            + app.count("r", "sink_gated_0_0_buffer_length");
        dropped() + held == SENT
    })
    .await;
    app.plugins.gate.add_permits(usize::try_from(SENT).unwrap());
    app.until_state("r", RuleState::Running).await;
}

#[tokio::test]
async fn encryption_without_a_key_or_where_nobody_could_read_it_is_refused() {
    let app = App::with_stream().await;
    for (sink, reason) in [
        (
            "print",
            "sink print_0: AES key is not defined; `rules.aes_key` of the server says where it is",
        ),
        (
            "log",
            "sink log_0: sink log: encryption is not supported here",
        ),
        (
            "memory",
            "sink memory_0: sink memory: encryption is not supported here",
        ),
        (
            "file",
            "sink file_0: sink file: encryption is not supported here",
        ),
    ] {
        let properties =
            json!({"encryption":"aes","encProps":{"mode":"gcm"},"topic":"t","path":"p"});
        let rule = json!({"id":"r","sql":"SELECT * FROM demo","actions":[{ sink: properties }]});
        let answer = app.post("/rules", &rule.to_string()).await;
        answer.fails(400, 2201, reason);
    }
}
