//! Rules by event time, from the request to the sink: the rows' own times decide, not the clock.

use plugyard_flow::RuleState;
use serde_json::{Value as Json, json};

use crate::support::{App, NOW, until};

/// A rule by event time, with a tolerance of a second unless it says another.
fn rule(sql: &str) -> Json {
    json!({"id":"r","sql":sql,"actions":[{"print":{}}],"options":{"isEventTime":true}})
}

/// With the stream `demo`, whose rows say their times so.
async fn app(options: &str) -> App {
    let app = App::new().await;
    let sql = format!(r#"CREATE STREAM demo () WITH (TYPE="pyjson"{options})"#);
    let answer = app
        .post("/streams", &json!({ "sql": sql }).to_string())
        .await;
    answer.is(201, "Stream demo is created.");
    app
}

async fn app_by_ts() -> App {
    app(r#", TIMESTAMP="ts""#).await
}

impl App {
    /// Lets the source emit rows with these times, counted from [`NOW`] on.
    fn emit_at(&self, times: &[i64]) {
        for time in times {
            let row = json!({"ts": NOW + time, "a": time});
            self.plugins.emit("r", &row.to_string());
        }
    }

    /// Waits until the watermark has taken so many rows.
    async fn until_taken(&self, count: u64) {
        until("the rows are taken", || {
            self.count("r", "op_2_watermark_0_messages_processed_total") == count
        })
        .await;
    }
}

#[tokio::test]
async fn windows_are_of_the_rows_own_times_and_late_rows_are_counted() {
    let app = app_by_ts().await;
    app.run(rule(
        "SELECT collect(a) AS a, event_time() AS first, window_start() AS s, window_end() AS e, window_trigger() AS t \
         FROM demo WHERE a != 2007 GROUP BY TUMBLINGWINDOW(ss, 10)",
    ))
    .await;
    app.emit_at(&[3000, 2007, 2500, 9999, 10_500, 9600]);
    // A whole day by the clock ends nothing.
    app.clock.pass(86_400_000);
    app.until_taken(6).await;
    assert!(app.plugins.delivered().is_empty());
    // The watermark comes to the end of the window; what comes before it now is late.
    app.emit_at(&[11_000, 9999, 10_000]);
    let end = NOW + 10_000;
    let first = NOW + 2500;
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [format!(
            r#"[{{"a":[2500,3000,9600,9999],"e":{end},"first":{first},"s":{NOW},"t":{end}}}]"#
        )]
    );
    app.until_taken(9).await;
    assert_eq!(app.count("r", "op_2_watermark_0_records_dropped_total"), 1);
    assert_eq!(app.count("r", "op_2_watermark_0_exceptions_total"), 1);
    assert_eq!(
        app.metric("r", "op_2_watermark_0_last_exception"),
        format!(
            "late row dropped: its time {} is before the watermark {}",
            NOW + 9999,
            NOW + 10_000
        )
    );
    // Two windows later: the one in between has no rows.
    app.emit_at(&[40_000]);
    let delivered = app.plugins.until_delivered(2).await;
    assert!(delivered[1].contains(r#""a":[10000,10500,11000]"#));
    let topo = app.get("/rules/r/topo").await.json();
    let mut edges: Vec<_> = topo["edges"].as_object().unwrap().keys().cloned().collect();
    edges.retain(|key| !key.contains("print"));
    assert_eq!(
        edges,
        [
            "source_demo",
            "op_2_watermark",
            "op_3_filter",
            "op_4_window",
            "op_5_project"
        ]
    );
    assert_eq!(app.count("r", "op_2_watermark_0_records_in_total"), 10);
    assert_eq!(app.count("r", "op_2_watermark_0_records_out_total"), 8);
}

#[tokio::test]
async fn every_kind_of_window_gives_the_same_for_rows_in_and_out_of_order() {
    let times: Vec<i64> = (0..60).map(|n| n * n * 17 % 30_000 + n).collect();
    let mut sorted = times.clone();
    sorted.sort_unstable();
    for window in [
        "TUMBLINGWINDOW(ss, 2)",
        "HOPPINGWINDOW(ss, 4, 2)",
        "SLIDINGWINDOW(ss, 2)",
        "SLIDINGWINDOW(ss, 2, 1)",
        "SESSIONWINDOW(ss, 10, 1)",
        "COUNTWINDOW(7, 3)",
    ] {
        let mut given = Vec::new();
        for times in [&sorted, &times] {
            let app = app_by_ts().await;
            let sql = format!(
                "SELECT collect(a) AS a, window_start() AS s, window_end() AS e FROM demo GROUP BY {window}"
            );
            let mut rule = rule(&sql);
            rule["options"]["lateTolerance"] = "30s".into();
            app.run(rule).await;
            app.emit_at(times);
            app.emit_at(&[100_000, 200_000, 300_000, 300_001]);
            app.until_taken(64).await;
            until("all is delivered", || {
                app.count("r", "sink_print_0_0_records_out_total")
                    == app.count("r", "op_3_window_0_records_out_total")
            })
            .await;
            assert_eq!(app.count("r", "op_2_watermark_0_exceptions_total"), 0);
            given.push(app.plugins.delivered());
        }
        assert!(given[0].len() > 5, "{window}: {:?}", given[0]);
        assert_eq!(given[0], given[1], "{window}");
    }
}

#[tokio::test]
async fn without_a_window_rows_leave_in_the_order_of_their_times() {
    let app = app_by_ts().await;
    app.run(rule(
        "SELECT a, event_time() - ts AS zero FROM demo WHERE a != 1",
    ))
    .await;
    app.emit_at(&[500, 300, 1, 400, 1400, 399, 1600]);
    assert_eq!(
        app.plugins.until_delivered(3).await,
        [
            r#"[{"a":300,"zero":0}]"#,
            r#"[{"a":400,"zero":0}]"#,
            r#"[{"a":500,"zero":0}]"#
        ]
    );
    app.until_taken(7).await;
    assert_eq!(app.count("r", "op_2_watermark_0_records_dropped_total"), 1);
    assert_eq!(app.count("r", "op_3_filter_0_records_in_total"), 4);
    assert_eq!(app.count("r", "op_4_project_0_records_in_total"), 3);
}

#[tokio::test]
async fn without_tolerance_a_row_may_still_have_the_time_of_the_last() {
    let app = app_by_ts().await;
    let mut now = rule("SELECT collect(a) AS a FROM demo GROUP BY SLIDINGWINDOW(ss, 1)");
    now["options"]["lateTolerance"] = 0.into();
    app.run(now).await;
    app.emit_at(&[100, 100, 99, 101]);
    // Nobody knows of the last window yet that no further row belongs to it.
    assert_eq!(
        app.plugins.until_delivered(2).await,
        [r#"[{"a":[100,100]}]"#, r#"[{"a":[100,100]}]"#]
    );
    app.until_taken(4).await;
    assert_eq!(app.count("r", "op_2_watermark_0_records_dropped_total"), 1);
}

#[tokio::test]
async fn a_row_whose_time_cannot_be_read_is_an_error_of_that_row() {
    let app = app(r#", TIMESTAMP="when", TIMESTAMP_FORMAT="YYYY-MM-dd'T'HH:mm:ss.SSSXXX""#).await;
    let mut telling = rule("SELECT a FROM demo GROUP BY COUNTWINDOW(2)");
    telling["options"]["sendError"] = true.into();
    app.run(telling).await;
    for row in [
        r#"{"a":1}"#,
        r#"{"a":2,"when":"soon"}"#,
        r#"{"a":3,"when":"2026-11-21T08:00:00.250+00:00"}"#,
        r#"{"a":4,"when":"2026-11-21T09:00:00.000+01:00"}"#,
        r#"{"a":5,"when":1795248060000}"#,
    ] {
        app.plugins.emit("r", row);
    }
    let delivered = app.plugins.until_delivered(3).await;
    assert_eq!(
        delivered[0],
        r#"[{"error":"error in preprocessor: cannot find timestamp field when"}]"#
    );
    let start = r#"[{"error":"error in preprocessor: cannot convert timestamp field when to timestamp with error \"soon\": "#;
    assert!(
        delivered[1].starts_with(&start.replace(r#"\"soon\""#, r#"\"\\\"soon"#))
            || delivered[1].contains("cannot convert timestamp field when"),
        "{}",
        delivered[1]
    );
    assert_eq!(delivered[2], r#"[{"a":4},{"a":3}]"#);
    assert_eq!(app.count("r", "source_demo_0_exceptions_total"), 2);
}

#[tokio::test]
async fn a_stream_that_does_not_say_where_its_time_is_is_refused() {
    for (options, reason) in [
        (
            "",
            "preprocessor is set to be event time but stream option TIMESTAMP not found",
        ),
        (
            r#", TIMESTAMP="ts", TIMESTAMP_FORMAT="YYY""#,
            "TIMESTAMP_FORMAT `YYY`: YYY is not supported",
        ),
    ] {
        let app = app(options).await;
        let answer = app
            .post("/rules", &rule("SELECT * FROM demo").to_string())
            .await;
        answer.fails(400, 2101, reason);
    }
}

#[tokio::test]
async fn what_is_open_when_the_rule_stops_is_not_given() {
    let app = app_by_ts().await;
    app.run(rule(
        "SELECT count(*) AS n FROM demo GROUP BY TUMBLINGWINDOW(ss, 10)",
    ))
    .await;
    app.emit_at(&[1000, 5000]);
    app.until_taken(2).await;
    app.post("/rules/r/restart", "")
        .await
        .is(200, "Rule r was restarted");
    app.until_state("r", RuleState::Running).await;
    app.emit_at(&[6000, 20_000]);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"n":1}]"#]);
}

#[tokio::test]
async fn a_graph_by_event_time_has_its_watermark_whether_it_says_so_or_not() {
    let node = |kind: &str, props: Json| json!({"type":"operator","nodeType":kind,"props":props});
    let mut graph = json!({"id":"r","options":{"isEventTime":true},"graph":{
        "nodes":{
            "src":{"type":"source","nodeType":"pyjson","props":{"sourceType":"stream","sourceName":"demo"}},
            "f": node("function", json!({"expr":"revert('ab') AS b"})),
            "w": node("window", json!({"type":"tumblingwindow","unit":"ss","size":1})),
            "p": node("pick", json!({"fields":["collect(a) AS a","b"]})),
            "out":{"type":"sink","nodeType":"print","props":{}}},
        "topo":{"sources":["src"],"edges":{"src":["f"],"f":["w"],"w":["p"],"p":["out"]}}}});
    let app = app_by_ts().await;
    app.run(graph.clone()).await;
    app.emit_at(&[900, 100, 5000]);
    let expected = r#"[{"a":[100,900],"b":"ba"}]"#;
    assert_eq!(app.plugins.until_delivered(1).await, [expected]);
    assert_eq!(app.count("r", "op_watermark_0_records_in_total"), 3);
    graph["graph"]["nodes"]["order"] = node("watermark", json!({"emitters":["demo"]}));
    graph["graph"]["topo"]["edges"] =
        json!({"src":["order"],"order":["f"],"f":["w"],"w":["p"],"p":["out"]});
    app.put("/rules/r", &graph.to_string()).await;
    app.until_state("r", RuleState::Running).await;
    app.emit_at(&[900, 100, 5000]);
    assert_eq!(app.plugins.until_delivered(2).await[1], expected);
    assert_eq!(app.count("r", "op_order_0_records_in_total"), 3);
    let mut refused = graph.clone();
    refused["options"] = json!({});
    let answer = app.put("/rules/r", &refused.to_string()).await;
    answer.fails(
        400,
        2101,
        "Update rule error: parse watermark order error: it needs the option isEventTime",
    );
    graph["graph"]["topo"]["edges"] =
        json!({"src":["f"],"f":["order"],"order":["w"],"w":["p"],"p":["out"]});
    let answer = app.put("/rules/r", &graph.to_string()).await;
    answer.fails(
        400,
        2101,
        "Update rule error: parse watermark order error: it must be all that the source leads to",
    );
}
