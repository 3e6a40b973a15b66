//! Rules with windows, from the request to the sink, with the clock in hand.

use plugyard_flow::RuleState;
use serde_json::{Value as Json, json};

use crate::support::{App, NOW, until};

fn rule(sql: &str) -> Json {
    json!({"id":"r","sql":sql,"actions":[{"print":{}}]})
}

impl App {
    /// Lets the source emit these rows and waits until the rule has taken them in.
    async fn take(&self, rows: &[&str]) {
        let before = self.count("r", "source_demo_0_records_in_total");
        for row in rows {
            self.plugins.emit("r", row);
        }
        let wanted = before + rows.len() as u64;
        until("the rows are taken", || {
            let status = self.service.rule_status("r").unwrap();
            let taken = |suffix: &str| {
                status
                    .iter()
                    .find(|(key, _)| key.starts_with("op_2_") && key.ends_with(suffix))
                    .and_then(|(_, value)| value.as_u64())
            };
            taken("_0_messages_processed_total") >= Some(wanted)
        })
        .await;
    }

    async fn refuses(&self, sql: &str, error: &str) {
        let answer = self.post("/rules", &rule(sql).to_string()).await;
        answer.fails(400, 2001, &format!("Parse SQL {sql} error: {error}"));
    }
}

#[tokio::test]
async fn rows_of_a_tumbling_window_are_grouped_filtered_sorted_and_limited() {
    let app = App::with_stream().await;
    app.run(rule(
        "SELECT city, count(*) AS n, sum(t) AS total, avg(t) AS mean, min(t), max(t), \
         window_start() AS s, window_end() AS e FROM demo WHERE t > 0 \
         GROUP BY city, TUMBLINGWINDOW(ss, 10) HAVING n > 1 ORDER BY total DESC LIMIT 2",
    ))
    .await;
    app.take(&[
        r#"{"city":"a","t":1}"#,
        r#"{"city":"b","t":20}"#,
        r#"{"city":"a","t":2}"#,
        r#"{"city":"b","t":21}"#,
        r#"{"city":"c","t":99}"#,
        r#"{"city":"d","t":3}"#,
        r#"{"city":"d","t":4}"#,
        r#"{"city":"a","t":-5}"#,
    ])
    .await;
    assert!(app.plugins.delivered().is_empty());
    app.clock.pass(10_000);
    let (start, end) = (NOW, NOW + 10_000);
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [format!(
            r#"[{{"city":"b","e":{end},"max":21,"mean":20.5,"min":20,"n":2,"s":{start},"total":41}},{{"city":"d","e":{end},"max":4,"mean":3.5,"min":3,"n":2,"s":{start},"total":7}}]"#
        )]
    );
    // Each operator takes the next number, as eKuiper's do.
    let topo = app.get("/rules/r/topo").await.json();
    let mut edges: Vec<_> = topo["edges"].as_object().unwrap().keys().cloned().collect();
    edges.retain(|key| !key.contains("print"));
    assert_eq!(
        edges,
        [
            "source_demo",
            "op_2_filter",
            "op_3_window",
            "op_4_aggregate",
            "op_5_having",
            "op_6_order",
            "op_7_project"
        ]
    );
    assert_eq!(app.count("r", "op_2_filter_0_records_in_total"), 8);
    assert_eq!(app.count("r", "op_3_window_0_records_in_total"), 7);
    assert_eq!(app.count("r", "op_3_window_0_records_out_total"), 1);
    assert_eq!(app.count("r", "op_7_project_0_records_out_total"), 1);
}

#[tokio::test]
async fn without_aggregates_the_rows_of_a_window_are_one_message() {
    let app = App::with_stream().await;
    let mut rule = rule("SELECT a FROM demo GROUP BY COUNTWINDOW(2)");
    rule["actions"] = json!([{"print":{}},{"print":{"sendSingle":true}}]);
    app.run(rule).await;
    app.take(&[r#"{"a":1,"b":1}"#, r#"{"a":2}"#, r#"{"a":3}"#])
        .await;
    app.plugins.until_delivered(3).await;
    let mut delivered = app.plugins.delivered.lock().clone();
    delivered.sort();
    let expected = [
        ("print_0", r#"[{"a":1},{"a":2}]"#),
        ("print_1", r#"{"a":1}"#),
        ("print_1", r#"{"a":2}"#),
    ];
    let expected = expected.map(|(sink, row)| (sink.to_owned(), row.to_owned()));
    assert_eq!(delivered, expected);
}

#[tokio::test]
async fn an_empty_window_counts_nothing_and_may_be_left_out() {
    let app = App::with_stream().await;
    let mut counting = rule("SELECT count(*) AS n FROM demo GROUP BY TUMBLINGWINDOW(ss, 1)");
    app.run(counting.clone()).await;
    app.clock.pass(1000);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"n":0}]"#]);
    counting["sql"] = "SELECT a FROM demo GROUP BY TUMBLINGWINDOW(ss, 1)".into();
    counting["actions"] = json!([{"print":{"omitIfEmpty":true}},{"gated":{}}]);
    app.plugins.gate.add_permits(10);
    app.put("/rules/r", &counting.to_string()).await;
    app.until_state("r", RuleState::Running).await;
    app.clock.pass(1000);
    assert_eq!(app.plugins.until_delivered(2).await[1], "[]");
    assert_eq!(app.plugins.delivered.lock()[1].0, "gated_1");
}

#[tokio::test]
async fn hopping_sliding_and_session_windows_follow_the_clock() {
    let app = App::with_stream().await;
    let count = |window: &str| {
        rule(&format!(
            "SELECT collect(a) AS a FROM demo GROUP BY {window}"
        ))
    };
    app.run(count("HOPPINGWINDOW(ss, 4, 2)")).await;
    app.take(&[r#"{"a":1}"#]).await;
    app.clock.pass(2000);
    app.plugins.until_delivered(1).await;
    app.take(&[r#"{"a":2}"#]).await;
    app.clock.pass(2000);
    assert_eq!(
        app.plugins.until_delivered(2).await,
        [r#"[{"a":[1]}]"#, r#"[{"a":[1,2]}]"#]
    );
    app.put(
        "/rules/r",
        &count("SLIDINGWINDOW(ss, 2) OVER (WHEN a > 3)").to_string(),
    )
    .await;
    app.until_state("r", RuleState::Running).await;
    app.take(&[r#"{"a":3}"#, r#"{"a":4}"#]).await;
    app.clock.pass(2000);
    app.take(&[r#"{"a":5}"#]).await;
    assert_eq!(
        app.plugins.until_delivered(4).await[2..],
        [r#"[{"a":[3,4]}]"#, r#"[{"a":[5]}]"#]
    );
    app.put("/rules/r", &count("SESSIONWINDOW(mi, 5, 1)").to_string())
        .await;
    app.until_state("r", RuleState::Running).await;
    app.take(&[r#"{"a":6}"#]).await;
    app.clock.pass(59_000);
    app.take(&[r#"{"a":7}"#]).await;
    app.clock.pass(59_999);
    assert_eq!(app.plugins.delivered().len(), 4);
    app.clock.pass(1);
    assert_eq!(app.plugins.until_delivered(5).await[4], r#"[{"a":[6,7]}]"#);
}

#[tokio::test]
async fn where_works_on_what_a_count_window_holds_and_filter_on_what_goes_in() {
    let app = App::with_stream().await;
    app.run(rule(
        "SELECT a FROM demo WHERE a > 1 GROUP BY COUNTWINDOW(3)",
    ))
    .await;
    app.take(&[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]).await;
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [r#"[{"a":2},{"a":3}]"#]
    );
    assert_eq!(app.count("r", "op_3_filter_0_records_in_total"), 1);
    let filter = rule("SELECT a FROM demo GROUP BY COUNTWINDOW(2) FILTER (WHERE a > 1)");
    app.put("/rules/r", &filter.to_string()).await;
    app.until_state("r", RuleState::Running).await;
    app.take(&[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]).await;
    assert_eq!(
        app.plugins.until_delivered(2).await[1],
        r#"[{"a":2},{"a":3}]"#
    );
    assert_eq!(app.count("r", "op_2_windowFilter_0_records_in_total"), 3);
    assert_eq!(app.count("r", "op_2_window_0_records_in_total"), 2);
}

#[tokio::test]
async fn the_aggregates_say_what_they_should() {
    let app = App::with_stream().await;
    app.run(rule(
        "SELECT count(a) AS c, count(*) AS c2, sum(a) AS s, collect(a) AS l, last_value(a, true) AS lv, \
         last_value(a, false) AS lv2, median(a) AS m, percentile_cont(a, 0.25) AS p, percentile_disc(a, 0.5) AS pd, \
         stddev(a) AS sd, vars(a) AS v, deduplicate(b, true) AS d, merge_agg(*) AS mg, \
         count(*) FILTER (WHERE a > 2) AS f, max(b) AS mx, a AS first FROM demo GROUP BY COUNTWINDOW(5)",
    ))
    .await;
    app.take(&[
        r#"{"a":1,"b":"x"}"#,
        r#"{"a":2,"b":"y"}"#,
        r#"{"a":3,"b":"x"}"#,
        r#"{"a":4,"b":"x"}"#,
        r#"{"b":"z"}"#,
    ])
    .await;
    let delivered = app.plugins.until_delivered(1).await;
    let rows: Json = serde_json::from_str(&delivered[0]).unwrap();
    let sd = 1.25_f64.sqrt();
    assert_eq!(
        rows,
        json!([{
            "c": 4, "c2": 5, "s": 10, "l": [1, 2, 3, 4, null], "lv": 4, "m": 2.5, "p": 1.75, "pd": 2,
            "sd": sd, "v": 5.0 / 3.0, "f": 2, "mx": "z", "first": 1,
            "d": [{"a":1,"b":"x"},{"a":2,"b":"y"},{"b":"z"}],
            "mg": {"a":4,"b":"z"},
        }])
    );
}

#[tokio::test]
async fn host_30_a_plugin_aggregate_gets_the_lists_of_a_group() {
    let app = App::with_stream().await;
    app.run(rule(
        "SELECT k, total(a) AS t, collect(revert(k)) AS back, revert(k) AS own FROM demo \
         GROUP BY k, COUNTWINDOW(3) HAVING total(a) > 2",
    ))
    .await;
    app.take(&[
        r#"{"k":"ab","a":1}"#,
        r#"{"k":"cd","a":2}"#,
        r#"{"k":"ab","a":3}"#,
    ])
    .await;
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [r#"[{"back":["ba","ba"],"k":"ab","own":"ba","t":4}]"#]
    );
    let sites = app.plugins.sites.lock().clone();
    let ops: Vec<_> = sites.iter().map(|site| site.node.op_id.as_str()).collect();
    assert_eq!(ops, ["5_project", "5_project", "5_project", "4_having"]);
}

#[tokio::test]
async fn host_30_a_plugin_aggregate_where_there_is_one_row_is_refused() {
    let app = App::with_stream().await;
    for sql in [
        "SELECT a FROM demo WHERE total(a) > 1 GROUP BY COUNTWINDOW(2)",
        "SELECT sum(total(a)) FROM demo GROUP BY COUNTWINDOW(2)",
        "SELECT a FROM demo GROUP BY total(a), COUNTWINDOW(2)",
    ] {
        app.refuses(
            sql,
            "aggregate function total needs a window: an aggregate without a window is refused",
        )
        .await;
    }
}

#[tokio::test]
async fn what_a_window_cannot_do_is_refused_by_name() {
    let app = App::with_stream().await;
    for (window, error) in [
        ("TUMBLINGWINDOW(ss)", "TUMBLINGWINDOW needs a length"),
        (
            "TUMBLINGWINDOW(10)",
            "TUMBLINGWINDOW needs a unit: ms, ss, mi, hh or dd",
        ),
        (
            "TUMBLINGWINDOW(yy, 1)",
            "unknown unit yy in TUMBLINGWINDOW; ms, ss, mi, hh and dd are",
        ),
        (
            "TUMBLINGWINDOW(ss, 0)",
            "TUMBLINGWINDOW needs a length above 0",
        ),
        (
            "TUMBLINGWINDOW(ss, -1)",
            "TUMBLINGWINDOW needs numbers above 0, got -1",
        ),
        (
            "TUMBLINGWINDOW(ss, a)",
            "TUMBLINGWINDOW needs whole numbers that stand in the statement, got a",
        ),
        (
            "TUMBLINGWINDOW(dd, 999999)",
            "TUMBLINGWINDOW is longer than 100 years",
        ),
        (
            "HOPPINGWINDOW(ss, 10)",
            "HOPPINGWINDOW is written HOPPINGWINDOW(unit, length, hop)",
        ),
        (
            "COUNTWINDOW(2, 3)",
            "the second parameter of COUNTWINDOW (3) must not be larger than the first (2)",
        ),
        (
            "COUNTWINDOW(2000000)",
            "COUNTWINDOW holds 1000000 rows at most, not 2000000",
        ),
        (
            "STATEWINDOW()",
            "STATEWINDOW is written STATEWINDOW(begin[, emit])",
        ),
        (
            "STATEWINDOW(a, b, c)",
            "STATEWINDOW is written STATEWINDOW(begin[, emit])",
        ),
        (
            "STATEWINDOW(a > 1) OVER (ORDER BY a)",
            "Expected: OVER (PARTITION BY …) after STATEWINDOW(…)",
        ),
        (
            "STATEWINDOW(sum(a) > 1)",
            "aggregate function sum cannot stand in a condition of a window",
        ),
    ] {
        app.refuses(&format!("SELECT a FROM demo GROUP BY {window}"), error)
            .await;
    }
    for (sql, error) in [
        (
            "SELECT a FROM demo GROUP BY COUNTWINDOW(2) OVER (WHEN a > 1)",
            "OVER (WHEN …) belongs after SLIDINGWINDOW(…) at Line: 1, Column: 44",
        ),
        (
            "SELECT sum(count(a)) FROM demo GROUP BY COUNTWINDOW(2)",
            "aggregate function count cannot stand inside another",
        ),
        (
            "SELECT a FROM demo WHERE sum(a) > 1 GROUP BY COUNTWINDOW(2)",
            "aggregate function sum cannot stand in WHERE",
        ),
        (
            "SELECT window_start() FROM demo",
            "window_start() needs a window",
        ),
        (
            "SELECT a FROM demo HAVING a > 1",
            "HAVING needs a window: without one a rule works on one row at a time",
        ),
        (
            "SELECT agg_by_key(a) FROM demo GROUP BY COUNTWINDOW(2)",
            "function agg_by_key is not supported",
        ),
    ] {
        app.refuses(sql, error).await;
    }
}

#[tokio::test]
async fn a_join_and_options_that_a_window_cannot_have_are_refused_by_name() {
    let app = App::with_stream().await;
    let mut joined =
        rule("SELECT a FROM demo INNER JOIN other ON demo.a = other.a GROUP BY COUNTWINDOW(2)");
    let sql = joined["sql"].as_str().unwrap().to_owned();
    app.refuses(&sql, "JOIN is not supported").await;
    joined["sql"] = "SELECT a FROM demo GROUP BY COUNTWINDOW(2)".into();
    for (option, reason) in [
        (
            json!({"concurrency": 2}),
            "concurrency greater than 1 is not supported with a window, a graph or event time",
        ),
        (
            json!({"sendMetaToSink": true}),
            "sendMetaToSink cannot be applied to a window",
        ),
        (
            json!({"isEventTime": "yes"}),
            "isEventTime must be true or false",
        ),
    ] {
        joined["options"] = option;
        let answer = app.post("/rules", &joined.to_string()).await;
        answer.fails(400, 4000, &format!("Rule r has invalid options: {reason}"));
    }
}

#[tokio::test]
async fn what_fails_in_a_window_is_counted_where_it_fails_and_told() {
    let app = App::with_stream().await;
    let mut failing =
        rule("SELECT sum(a) AS s FROM demo GROUP BY COUNTWINDOW(2) HAVING max(b) > 0");
    failing["options"] = json!({"sendError": true});
    app.run(failing).await;
    app.take(&[r#"{"a":1,"b":1}"#, r#"{"a":"x","b":1}"#]).await;
    app.take(&[r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"y"}"#])
        .await;
    app.take(&[r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#]).await;
    assert_eq!(
        app.plugins.until_delivered(3).await,
        [
            r#"[{"error":"run Select error: sum needs numbers, got string(x)"}]"#,
            r#"[{"error":"run Having error: invalid operation string(y) \u003e bigint(0)"}]"#,
            r#"[{"s":3}]"#,
        ]
    );
    assert_eq!(app.count("r", "op_4_project_0_exceptions_total"), 1);
    assert_eq!(app.count("r", "op_3_having_0_exceptions_total"), 1);
}

#[tokio::test]
async fn a_rule_that_starts_anew_begins_with_an_empty_window() {
    let app = App::with_stream().await;
    app.run(rule(
        "SELECT count(*) AS n FROM demo GROUP BY TUMBLINGWINDOW(ss, 10)",
    ))
    .await;
    app.take(&[r#"{"a":1}"#, r#"{"a":2}"#]).await;
    app.post("/rules/r/restart", "")
        .await
        .is(200, "Rule r was restarted");
    app.until_state("r", RuleState::Running).await;
    app.take(&[r#"{"a":3}"#]).await;
    app.clock.pass(10_000);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"n":1}]"#]);
}

#[tokio::test]
async fn a_state_window_is_between_rows_that_say_so() {
    for (window, expected) in [
        (
            "STATEWINDOW(a = 1, a = 5)",
            &[r#"[{"a":[1,2,5],"e":true}]"#, r#"[{"a":[1,5],"e":true}]"#][..],
        ),
        (
            "STATEWINDOW(a = 1)",
            &[r#"[{"a":[1,2,5,4],"e":true}]"#, r#"[{"a":[1,5],"e":true}]"#],
        ),
        (
            "STATEWINDOW(a = 1, a = 5) FILTER (WHERE a != 2)",
            &[r#"[{"a":[1,5],"e":true}]"#, r#"[{"a":[1,5],"e":true}]"#],
        ),
        (
            "STATEWINDOW(a = 1, a = 5) OVER (PARTITION BY k)",
            &[r#"[{"a":[1,5],"e":true}]"#, r#"[{"a":[1,2,5],"e":true}]"#],
        ),
    ] {
        let app = App::with_stream().await;
        app.run(rule(&format!(
            "SELECT collect(a) AS a, window_start() <= window_end() AS e FROM demo GROUP BY {window}"
        )))
        .await;
        for (a, k) in [
            (3, "x"),
            (1, "x"),
            (2, "y"),
            (5, "x"),
            (4, "y"),
            (1, "y"),
            (5, "z"),
        ] {
            app.plugins.emit("r", &json!({"a":a,"k":k}).to_string());
        }
        // With keys, the second one of y; without, one more that begins.
        for (a, k) in [(2, "y"), (5, "y"), (1, "x")] {
            if window.contains("PARTITION") || a == 1 {
                app.plugins.emit("r", &json!({"a":a,"k":k}).to_string());
            }
        }
        assert_eq!(app.plugins.until_delivered(2).await, expected, "{window}");
    }
}

#[tokio::test]
async fn a_condition_of_a_state_window_that_fails_is_told_and_the_row_stays() {
    let app = App::with_stream().await;
    app.run(rule(
        "SELECT collect(a) AS a FROM demo GROUP BY STATEWINDOW(a = 1, a > 4)",
    ))
    .await;
    app.take(&[r#"{"a":"x"}"#, r#"{"a":1}"#, r#"{"a":"y"}"#, r#"{"a":5}"#])
        .await;
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [r#"[{"a":[1,"y",5]}]"#]
    );
    assert_eq!(app.count("r", "op_2_window_0_exceptions_total"), 2);
}
