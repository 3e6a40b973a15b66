//! What a rule does, told before and while it runs.

use serde_json::json;

use crate::support::App;

#[tokio::test]
async fn a_rule_is_explained_whether_it_is_made_or_not() {
    let app = App::with_stream().await;
    let rule = json!({"id":"r",
        "sql":"SELECT revert(name) AS r, count(*) AS n FROM demo WHERE n > 1 GROUP BY TUMBLINGWINDOW(ss, 10), name",
        "actions":[{"print":{"sendSingle":true,"lingerInterval":5,"custom":"x"}}],
        "options":{"bufferLength":7}});
    let answer = app.post("/v1/rules/explain", &rule.to_string()).await;
    let draft = answer.json();
    app.get("/rules/r")
        .await
        .fails(404, 1002, "Describe rule error: Rule r is not found.");
    assert_eq!(draft["id"], "r");
    assert_eq!(draft["source"]["node"], "source_demo");
    assert_eq!(draft["source"]["type"], "pyjson");
    assert_eq!(draft["source"]["config"]["format"], "json");
    let operators: Vec<_> = draft["operators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["node"].as_str().unwrap())
        .collect();
    assert_eq!(
        operators,
        [
            "op_2_filter",
            "op_3_window",
            "op_4_aggregate",
            "op_5_project"
        ]
    );
    assert_eq!(
        draft["operators"][1]["window"],
        json!({"type":"tumbling","lengthMs":10_000})
    );
    assert_eq!(draft["functions"][0]["name"], "revert");
    assert_eq!(draft["functions"][0]["node"], "op_5_project");
    assert_eq!(draft["functions"][0]["aggregate"], false);
    let sink = &draft["sinks"][0];
    assert_eq!(
        sink["nodes"],
        json!([
            "op_print_0_0_batch",
            "op_print_0_1_transform",
            "op_print_0_2_encode",
            "sink_print_0"
        ])
    );
    // What was said, what was made of it, and what holds where nothing was said.
    assert_eq!(sink["properties"]["sendSingle"], true);
    assert_eq!(sink["properties"]["lingerInterval"], 5);
    assert_eq!(sink["properties"]["custom"], "x");
    assert_eq!(sink["properties"]["bufferLength"], 7);
    assert_eq!(sink["properties"]["enableCache"], false);
    assert_eq!(draft["options"]["bufferLength"], 7);
    assert_eq!(draft["options"]["sendError"], false);
    assert_eq!(draft["options"]["restartStrategy"]["maxDelay"], 30_000);

    app.run(rule).await;
    assert_eq!(app.get("/v1/rules/r/explain").await.json(), draft);
    assert_eq!(app.get("/rules/r/topo").await.json(), draft["topology"]);
    // Each node of the document is one of the status.
    let status = app.service.rule_status("r").unwrap();
    for node in operators {
        assert!(
            status.contains_key(&format!("{node}_0_records_in_total")),
            "{node}"
        );
    }
}

#[tokio::test]
async fn ekuiper_s_form_has_a_line_for_each_operator_from_the_last() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT count(*) AS n FROM demo GROUP BY COUNTWINDOW(4)","actions":[{"print":{}}]}))
        .await;
    let answer = app.get("/rules/r/explain").await;
    answer.is(
        200,
        "{\"op\":\"ProjectPlan_0\",\"info\":\"\"}\n\
         \t{\"op\":\"WindowPlan_1\",\"info\":\"{ length:4, windowType:COUNT_WINDOW, limit: 0 }\"}\n\
         \t\t\t{\"op\":\"DataSourcePlan_2\",\"info\":\"StreamName: demo\"}",
    );
    app.get("/rules/nope/explain").await.fails(
        404,
        1002,
        "explain rules error: Rule nope is not found",
    );
    let unknown = app
        .post(
            "/v1/rules/explain",
            r#"{"id":"x","sql":"SELECT * FROM nowhere","actions":[{"print":{}}]}"#,
        )
        .await;
    assert_eq!(unknown.status, 400, "{}", unknown.body);
}

#[tokio::test]
async fn a_connection_is_refused_by_name() {
    let app = App::with_stream().await;
    let rule = json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{"connectionSelector":"one"}}]});
    app.post("/rules", &rule.to_string()).await.fails(
        400,
        2201,
        "sink print_0: property connectionSelector is not supported",
    );
    let stream = json!({"sql":r#"CREATE STREAM c () WITH (TYPE="pyjson", EXTRA="{\"connectionSelector\":\"one\"}")"#});
    let answer = app.post("/streams", &stream.to_string()).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .contains("option EXTRA: property connectionSelector is not supported"),
        "{}",
        answer.body
    );
    let graph = json!({"id":"g","graph":{
        "nodes":{"src":{"type":"source","nodeType":"pyjson","props":{"connectionSelector":"one"}},
            "out":{"type":"sink","nodeType":"print","props":{}}},
        "topo":{"sources":["src"],"edges":{"src":["out"]}}}});
    let answer = app.post("/rules", &graph.to_string()).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer
            .body
            .contains("source src: property connectionSelector is not supported"),
        "{}",
        answer.body
    );
}
