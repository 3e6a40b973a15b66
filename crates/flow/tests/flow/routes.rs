//! What each route answers, word for word.

use std::collections::BTreeSet;

use axum::http::Method;
use plugyard_flow::{RuleState, rights, routes};
use plugyard_symbol::SymbolKind;
use serde_json::json;

use crate::support::{App, Plugins};

const RULE: &str = r#"{"id":"rulePort1","sql":"SELECT revert(name) AS r FROM demo","actions":[{"print":{"requireAck":true}}]}"#;

#[tokio::test]
async fn streams_from_creation_to_the_end() {
    let app = App::new().await;
    app.get("/streams").await.is(200, "[]");
    app.post("/streams", r#"{"sql":"CREATE STREAM s (a bigint, b array(string)) WITH (TYPE=\"random\", FORMAT=\"JSON\")"}"#)
        .await
        .is(201, "Stream s is created.");
    app.get("/streams").await.is(200, r#"["s"]"#);
    app.get("/streamdetails")
        .await
        .is(200, r#"[{"name":"s","type":"random","format":"JSON"}]"#);
    app.get("/streams/s").await.is(200, r#"{"Name":"s","StreamFields":[{"FieldType":"bigint","Name":"a"},{"FieldType":{"Type":"array","ElementType":"string"},"Name":"b"}],"Options":{"format":"JSON","type":"random"},"StreamType":0,"Statement":"CREATE STREAM s (a bigint, b array(string)) WITH (TYPE=\"random\", FORMAT=\"JSON\")"}"#);
    app.get("/streams/s/schema").await.is(
        200,
        r#"{"a":{"type":"bigint","index":0},"b":{"type":"array","items":{"type":"string","index":0},"index":0}}"#,
    );
    app.put(
        "/streams/s",
        r#"{"sql":"CREATE STREAM s () WITH (TYPE=\"pyjson\")"}"#,
    )
    .await
    .is(200, "Stream s is replaced.");
    app.get("/streams/s/schema").await.is(200, "null");
    app.delete("/streams/s")
        .await
        .is(200, "Stream s is dropped.");
    app.get("/streams").await.is(200, "[]");
}

#[tokio::test]
async fn mistakes_with_streams_are_answered_in_the_known_words() {
    let app = App::with_stream().await;
    app.post("/streams", r#"{"sql":"CREATE STREAM demo ()"}"#)
        .await
        .fails(
            400,
            3000,
            "Stream command error: Create stream fails: Item demo already exists.",
        );
    app.post("/streams", r#"{"sql":"CREATE STREAM x (a"}"#).await.fails(
        400,
        2001,
        "Stream command error: Expected: a type (bigint, float, string, datetime, boolean, bytea, array(…) or struct(…)), found: the end of the statement at Line: 1, Column: 19",
    );
    app.post("/streams", "{").await.fails(
        400,
        1000,
        "Invalid body: Error decoding the statement descriptor: EOF while parsing an object at line 1 column 1",
    );
    app.get("/streams/nope").await.fails(
        400,
        3000,
        "describe stream error: Describe stream fails, nope is not found.",
    );
    app.delete("/streams/nope").await.fails(
        404,
        1002,
        "delete stream error: stream nope is not found",
    );
    app.put("/streams/nope", r#"{"sql":"CREATE STREAM nope ()"}"#)
        .await
        .fails(404, 1002, "Stream command error: stream nope is not found");
    app.put("/streams/demo", r#"{"sql":"CREATE STREAM other ()"}"#)
        .await
        .fails(
            400,
            3000,
            "Stream command error: the statement creates the stream other, not demo",
        );
    app.get("/streams/nope/schema").await.fails(
        404,
        1002,
        "get schema of stream error: stream nope is not found",
    );
}

#[tokio::test]
async fn a_stream_is_kept_while_a_rule_reads_it_unless_forced() {
    let app = App::with_stream().await;
    app.post("/rules", RULE)
        .await
        .is(201, "Rule rulePort1 was created successfully.");
    app.delete("/streams/demo").await.fails(
        400,
        1000,
        "stream demo has been referenced by other rules",
    );
    app.delete("/streams/demo?force=true")
        .await
        .is(200, "Stream demo is dropped.");
}

#[tokio::test]
async fn fact_29_a_stream_of_a_missing_plugin_is_created_and_a_rule_over_it_refused() {
    let app = App::new().await;
    app.post(
        "/streams",
        r#"{"sql":"CREATE STREAM pyjsonStream () WITH (TYPE=\"pyjsn\", FORMAT=\"json\")"}"#,
    )
    .await
    .is(201, "Stream pyjsonStream is created.");
    let rule = r#"{"id":"r","sql":"SELECT * FROM pyjsonStream","actions":[{"log":{}}]}"#;
    app.post("/rules", rule).await.fails(
        400,
        2201,
        "source type pyjsn not found, did you mean `pyjson`?",
    );
    app.get("/rules").await.is(200, "[]");
}

#[tokio::test]
async fn fact_32_the_same_stream_again_is_refused_and_the_rule_now_created() {
    let app = App::with_stream().await;
    let again = app
        .post(
            "/streams",
            r#"{"sql":"CREATE STREAM demo () WITH (TYPE=\"pyjson\")"}"#,
        )
        .await;
    assert_eq!(again.status, 400);
    app.post("/rules", RULE)
        .await
        .is(201, "Rule rulePort1 was created successfully.");
}

#[tokio::test]
async fn fact_37_deleting_is_answered_in_the_known_words() {
    let app = App::with_stream().await;
    app.post("/rules", RULE)
        .await
        .is(201, "Rule rulePort1 was created successfully.");
    app.delete("/rules/rulePort1")
        .await
        .is(200, "Rule rulePort1 is dropped.");
    app.delete("/streams/demo")
        .await
        .is(200, "Stream demo is dropped.");
    app.delete("/rules/rulePort1").await.fails(
        400,
        1000,
        "Delete rule error: rule rulePort1 not found",
    );
}

#[tokio::test]
async fn rules_are_kept_as_they_were_sent_and_listed_by_id() {
    let app = App::with_stream().await;
    let odd = "{ \"id\" : \"b\",\n\"sql\":\"SELECT * FROM demo\", \"actions\":[{\"print\":null}], \"name\":\"B\", \"version\":\"2\", \"tags\":[\"x\"], \"triggered\":false, \"whatever\":1 }";
    app.post("/rules", odd)
        .await
        .is(201, "Rule b was created successfully.");
    app.run(json!({"id":"a","sql":"SELECT * FROM demo","actions":[{"print":{}}]}))
        .await;
    app.get("/rules/b").await.is(200, odd);
    app.get("/rules").await.is(200, r#"[{"id":"a","name":"","status":"running","version":"","trace":false,"tags":[]},{"id":"b","name":"B","status":"stopped","version":"2","trace":false,"tags":["x"]}]"#);
    app.get("/rules/nope")
        .await
        .fails(404, 1002, "Describe rule error: Rule nope is not found.");
}

#[tokio::test]
async fn starting_stopping_and_restarting() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}]}))
        .await;
    app.post("/rules/r/start", "")
        .await
        .is(200, "Rule r was started");
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    assert_eq!(app.service.rule_state("r").unwrap(), RuleState::Stopped);
    app.post("/rules/r/start", "")
        .await
        .is(200, "Rule r was started");
    app.until_state("r", RuleState::Running).await;
    app.post("/rules/r/restart", "")
        .await
        .is(200, "Rule r was restarted");
    app.until_state("r", RuleState::Running).await;
    for verb in ["start", "stop", "restart"] {
        app.post(&format!("/rules/nope/{verb}"), "").await.fails(
            404,
            1002,
            &format!("{verb} rule error: Rule nope is not found in registry, please check if it is created"),
        );
    }
}

#[tokio::test]
async fn mistakes_with_rules_are_answered_all_by_name() {
    let app = App::with_stream().await;
    let refused = async |rule: serde_json::Value, code: u16, message: &str| {
        app.post("/rules", &rule.to_string())
            .await
            .fails(400, code, message);
    };
    let with = |sql: &str| json!({"id":"r","sql":sql,"actions":[{"print":{}}]});
    app.post("/rules", "{\"id\":").await.fails(
        400,
        1000,
        "invalid rule json: EOF while parsing a value at line 1 column 6",
    );
    refused(json!({"sql":"x","actions":[]}), 4000, "Missing rule id").await;
    refused(
        json!({"id":"a/b"}),
        4000,
        "id 'a/b' contains invalid characters: only alphanumeric, hyphens and underscores are allowed",
    )
    .await;
    refused(
        json!({"id":"validate"}),
        4000,
        "id 'validate' is a word of the routes and cannot be a rule's",
    )
    .await;
    refused(
        json!({"id":"r"}),
        1000,
        "invalid rule json: Missing rule SQL",
    )
    .await;
    refused(
        json!({"id":"r","sql":"SELECT 1 FROM demo"}),
        1000,
        "invalid rule json: Missing rule actions",
    )
    .await;
    refused(
        json!({"id":"r","sql":"SELECT 1 FROM demo","actions":[{"a":{},"b":{}}]}),
        1000,
        "invalid rule json: `actions[0]` must be an object with one key, the sink",
    )
    .await;
    refused(
        json!({"id":"r","graph":{"nodes":{"a":{"type":"sink","nodeType":"print"}}},"sql":"SELECT * FROM demo","actions":[{"print":{}}]}),
        1000,
        "invalid rule json: `sql` and `graph` cannot be used together",
    )
    .await;
    refused(
        with("SELECT FROM demo"),
        2001,
        "Parse SQL SELECT FROM demo error: Expected: an expression, found: FROM at Line: 1, Column: 8",
    )
    .await;
    refused(
        with("SELECT revrt(a) FROM demo"),
        2001,
        "Parse SQL SELECT revrt(a) FROM demo error: function revrt not found, did you mean `revert`?",
    )
    .await;
    refused(
        with("SELECT revert(a, b) FROM demo"),
        2001,
        "Parse SQL SELECT revert(a, b) FROM demo error: validate function revert error: validate return state is false, got &{State:false Result:revert function only supports 1 parameter but got 2}",
    )
    .await;
    refused(
        with("SELECT * FROM dem"),
        2101,
        "fail to get stream dem, please check if stream is created, did you mean `demo`?",
    )
    .await;
    refused(
        json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"prnt":{}}]}),
        2201,
        "sink prnt is not defined, did you mean `print`?",
    )
    .await;
    refused(
        json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{"dataTemplate":"{{env}}"}}]}),
        2201,
        "sink print_0: dataTemplate: function \"env\" not defined at Line: 1, Column: 3",
    )
    .await;
    app.post("/rules", RULE)
        .await
        .is(201, "Rule rulePort1 was created successfully.");
    app.post("/rules", RULE)
        .await
        .fails(400, 4000, "rule rulePort1 already exists");
}

#[tokio::test]
async fn host_30_a_plugin_aggregate_without_a_window_is_refused() {
    let app = App::with_stream().await;
    app.post("/rules", r#"{"id":"r","sql":"SELECT total(a) FROM demo","actions":[{"print":{}}]}"#)
        .await
        .fails(400, 2001, "Parse SQL SELECT total(a) FROM demo error: aggregate function total needs a window: an aggregate without a window is refused");
}

#[tokio::test]
async fn an_option_that_is_lacking_or_impossible_is_refused_by_name() {
    let app = App::with_stream().await;
    for (options, reason) in [
        (
            json!({"qos":3}),
            "qos must be 0 (at most once), 1 (at least once) or 2 (exactly once)",
        ),
        (json!({"notifySub":true}), "notifySub is not supported"),
        (
            json!({"cron":"* * * * *"}),
            "cron needs duration, which says how long each run takes",
        ),
        (
            json!({"duration":-5}),
            "duration must not be negative, got -5",
        ),
        (
            json!({"logFilename":"../etc/passwd"}),
            "logFilename must be the name of a file of letters, digits, `_`, `-` and `.`, without a directory",
        ),
        (
            json!({"restartStrategy":{"multiplier":0}}),
            "invalidRestartMultiplier:restart multiplier must be greater than 0",
        ),
        (
            json!({"restartStrategy":{"delay":0}}),
            "invalidRestartDelay:restart delay must be greater than 0",
        ),
        (
            json!({"restartStrategy":{"jitterFactor":1.1}}),
            "invalidRestartJitterFactor:restart jitterFactor must between [0, 1)",
        ),
        (
            json!({"concurrency":2000}),
            "concurrency must be a number from 1 to 1024",
        ),
        (
            json!({"restartStrategy":{"attempts":-3}}),
            "invalidRestartAttempts:restart attempts must be greater than 0",
        ),
        (
            json!({"bufferLength":-1}),
            "invalidBufferLength:bufferLength must be greater than 0",
        ),
        (
            json!({"checkpointInterval":"-5s"}),
            "invalidCheckpointInterval:checkpointInterval must be greater than 0",
        ),
        (
            json!({"lateTolerance":"soon"}),
            "lateTolerance must be milliseconds or a duration such as `1m30s`",
        ),
        (
            json!({"sendError":"yes"}),
            "sendError must be true or false",
        ),
        (
            json!({"bufferLenght":5}),
            "unknown option bufferLenght, did you mean `bufferLength`?",
        ),
        (json!([]), "`options` must be an object"),
    ] {
        let rule =
            json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}],"options":options});
        let message = format!("Rule r has invalid options: {reason}");
        app.post("/rules", &rule.to_string())
            .await
            .fails(400, 4000, &message);
    }
    // What the interfaces of others send for "not set".
    let neutral = json!({"debug":false,"logFilename":"","isEventTime":false,"lateTolerance":"1s","concurrency":1,
        "bufferLength":1024,"sendMetaToSink":false,"sendError":true,"qos":0,"checkpointInterval":"300s","cron":"",
        "duration":"","cronDatetimeRange":null,"planOptimizeStrategy":{},"notifySub":false,
        "restartStrategy":{"attempts":0,"delay":"1s","multiplier":2,"maxDelay":"30s","jitterFactor":0.1}});
    app.run(
        json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}],"options":neutral}),
    )
    .await;
}

#[tokio::test]
async fn a_column_that_a_typed_stream_does_not_declare_is_refused() {
    let app = App::new().await;
    app.post(
        "/streams",
        r#"{"sql":"CREATE STREAM t (name string) WITH (TYPE=\"pyjson\")"}"#,
    )
    .await
    .is(201, "Stream t is created.");
    app.post(
        "/rules",
        r#"{"id":"r","sql":"SELECT nme FROM t","actions":[{"print":{}}]}"#,
    )
    .await
    .fails(
        400,
        2001,
        "Parse SQL SELECT nme FROM t error: unknown field nme, did you mean `name`?",
    );
}

#[tokio::test]
async fn an_update_that_is_not_possible_leaves_the_old_rule_running() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT a FROM demo","actions":[{"print":{}}]}))
        .await;
    app.plugins.emit("r", r#"{"a":1,"b":2}"#);
    app.plugins.until_delivered(1).await;
    app.put("/rules/r", r#"{"id":"r","sql":"SELECT nope(a) FROM demo","actions":[{"print":{}}]}"#)
        .await
        .fails(400, 2001, "Update rule error: Parse SQL SELECT nope(a) FROM demo error: function nope not found, did you mean `none`?");
    app.put(
        "/rules/r",
        r#"{"id":"q","sql":"SELECT a FROM demo","actions":[{"print":{}}]}"#,
    )
    .await
    .fails(
        400,
        4000,
        "Update rule error: the rule's id `q` differs from `r` in the address",
    );
    app.plugins.emit("r", r#"{"a":2,"b":2}"#);
    app.plugins.until_delivered(2).await;
    app.put(
        "/rules/r",
        r#"{"sql":"SELECT b FROM demo","actions":[{"print":{}}]}"#,
    )
    .await
    .is(200, "Rule r was updated successfully.");
    app.until_state("r", RuleState::Running).await;
    app.plugins.emit("r", r#"{"a":3,"b":4}"#);
    assert_eq!(
        app.plugins.until_delivered(3).await,
        [r#"[{"a":1}]"#, r#"[{"a":2}]"#, r#"[{"b":4}]"#]
    );
}

#[tokio::test]
async fn validating_creates_nothing() {
    let app = App::with_stream().await;
    app.post("/rules/validate", RULE)
        .await
        .is(200, r#"{"sources":["demo"],"valid":true}"#);
    app.post("/rules/validate", &RULE.replace("revert", "nope"))
        .await
        .is(422, "Parse SQL SELECT nope(name) AS r FROM demo error: function nope not found, did you mean `none`?");
    app.get("/rules").await.is(200, "[]");
}

#[tokio::test]
async fn the_topology_names_every_node() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT a FROM demo WHERE a > 1","actions":[{"print":{}},{"log":{}}]})).await;
    assert_eq!(
        app.get("/rules/r/topo").await.json(),
        json!({
            "sources": ["source_demo"],
            "edges": {
                "source_demo": ["op_2_filter"],
                "op_2_filter": ["op_3_project"],
                "op_3_project": ["op_print_0_0_transform", "op_log_1_0_transform"],
                "op_print_0_0_transform": ["op_print_0_1_encode"],
                "op_print_0_1_encode": ["sink_print_0"],
                "op_log_1_0_transform": ["op_log_1_1_encode"],
                "op_log_1_1_encode": ["sink_log_1"],
            }
        })
    );
    app.get("/rules/nope/topo").await.fails(
        404,
        1002,
        "get rule topo error: Rule nope is not found",
    );
}

#[tokio::test]
async fn functions_and_symbols_get_the_names_of_their_nodes() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT upper(revert(a)), revert(b) FROM demo WHERE revert(c) = 'x'","actions":[{"print":{"x":1}},{"gated":{}}]})).await;
    let sites: Vec<_> = app
        .plugins
        .sites
        .lock()
        .iter()
        .map(|site| (site.node.op_id.clone(), site.func_id))
        .collect();
    let expected = [("3_project", 0), ("3_project", 2), ("2_filter", 3)];
    assert_eq!(sites, expected.map(|(op, id)| (op.to_owned(), id)));
    let source = app.plugins.source_requests.lock()[0].clone();
    assert_eq!(
        (
            source.node.rule_id.as_str(),
            source.node.op_id.as_str(),
            source.datasource.as_str()
        ),
        ("r", "demo", "d")
    );
    let mut sinks: Vec<_> = app
        .plugins
        .sink_requests
        .lock()
        .iter()
        .map(|it| it.node.op_id.clone())
        .collect();
    sinks.sort();
    assert_eq!(sinks, ["gated_1", "print_0"]);
}

#[tokio::test]
async fn who_uses_a_symbol_is_known() {
    let app = App::with_stream().await;
    app.post("/rules", RULE)
        .await
        .is(201, "Rule rulePort1 was created successfully.");
    for (kind, name, streams, rules) in [
        (
            SymbolKind::Source,
            "pyjson",
            &["demo"][..],
            &["rulePort1"][..],
        ),
        (SymbolKind::Function, "revert", &[], &["rulePort1"]),
        (SymbolKind::Sink, "print", &[], &["rulePort1"]),
        (SymbolKind::Sink, "revert", &[], &[]),
    ] {
        let users = app.service.users_of(kind, name);
        assert_eq!(
            (&users.streams[..], &users.rules[..]),
            (
                &streams.iter().map(|&s| s.to_owned()).collect::<Vec<_>>()[..],
                &rules.iter().map(|&s| s.to_owned()).collect::<Vec<_>>()[..]
            ),
            "{name}"
        );
    }
}

#[tokio::test]
async fn of_two_creations_at_once_one_succeeds() {
    let app = App::with_stream().await;
    let (a, b) = tokio::join!(app.post("/rules", RULE), app.post("/rules", RULE));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400]);
    let create = r#"{"sql":"CREATE STREAM twice ()"}"#;
    let (a, b) = tokio::join!(app.post("/streams", create), app.post("/streams", create));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400]);
}

#[tokio::test]
async fn every_operation_has_a_right_and_every_right_an_operation() {
    let app = App::new().await;
    let (_, document) = routes(app.service.clone()).split_for_parts();
    let document = serde_json::to_value(&document).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let named: BTreeSet<(String, String)> = rights()
        .into_iter()
        .map(|right| (right.method.to_string(), right.path.to_owned()))
        .collect();
    assert_eq!(described, named);
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_told_from_one_that_is() {
    let app = App::with_stream()
        .await
        .restarted(Plugins::without("print"));
    app.service.recover().await.unwrap();
    app.send(Method::POST, "/rules", RULE)
        .await
        .fails(400, 2201, "sink print is not defined");
}

#[tokio::test]
async fn a_body_that_is_no_text_is_refused_in_the_same_envelope() {
    let app = App::new().await;
    for path in ["/streams", "/rules"] {
        app.post_bytes(path, &[0xff, 0xfe])
            .await
            .fails(400, 1000, "Invalid body: Request body didn't contain valid UTF-8: invalid utf-8 sequence of 1 bytes from index 0");
    }
}
