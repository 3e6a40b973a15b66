//! Rules as graphs, from the request to the sink.

use plugyard_flow::RuleState;
use plugyard_symbol::SymbolKind;
use serde_json::{Value as Json, json};

use crate::support::{App, until};

/// The example of the specification.
const G1: &str = r#"{"id":"g1","graph":{
  "nodes":{"src":{"type":"source","nodeType":"pyjson","props":{}},
           "f":{"type":"operator","nodeType":"function","props":{"expr":"revert(name) as r"}},
           "out":{"type":"sink","nodeType":"print","props":{}}},
  "topo":{"sources":["src"],"edges":{"src":["f"],"f":["out"]}}}}"#;

fn operator(kind: &str, props: Json) -> Json {
    json!({"type":"operator","nodeType":kind,"props":props})
}

fn print() -> Json {
    json!({"type":"sink","nodeType":"print","props":{"sendSingle":true}})
}

/// A graph over the stream `demo`: these nodes and edges besides the source `src`.
fn graph(mut nodes: Json, edges: Json) -> Json {
    nodes["src"] = json!({"type":"source","nodeType":"pyjson","props":{"sourceType":"stream","sourceName":"demo"}});
    json!({"id":"r","graph":{"nodes":nodes,"topo":{"sources":["src"],"edges":edges}}})
}

#[tokio::test]
async fn the_example_of_the_specification_runs_and_shows_its_nodes() {
    let app = App::new().await;
    app.post("/rules", G1)
        .await
        .is(201, "Rule g1 was created successfully.");
    app.until_state("g1", RuleState::Running).await;
    app.plugins.emit("g1", r#"{"name":"abc","value":7}"#);
    assert_eq!(
        app.plugins.until_delivered(1).await,
        [r#"[{"name":"abc","r":"cba","value":7}]"#]
    );
    assert_eq!(
        app.get("/rules/g1/topo").await.json(),
        json!({"sources":["source_src"],"edges":{
            "source_src":["op_f"], "op_f":["op_out_0_transform"],
            "op_out_0_transform":["op_out_1_encode"], "op_out_1_encode":["sink_out"]}})
    );
    until("the sink has counted it", || {
        app.count("g1", "sink_out_0_records_out_total") == 1
    })
    .await;
    assert_eq!(app.count("g1", "source_src_0_records_in_total"), 1);
    assert_eq!(app.count("g1", "op_f_0_records_out_total"), 1);
    assert_eq!(app.plugins.source_requests.lock()[0].node.op_id, "src");
    assert_eq!(app.plugins.sites.lock()[0].node.op_id, "f");
    assert_eq!(app.plugins.sink_requests.lock()[0].node.op_id, "out");
    // What it needs is known, so that nobody takes it away unasked.
    for (kind, name) in [
        (SymbolKind::Source, "pyjson"),
        (SymbolKind::Function, "revert"),
        (SymbolKind::Sink, "print"),
    ] {
        assert_eq!(app.service.users_of(kind, name).rules, ["g1"], "{name}");
    }
    assert_eq!(
        app.get("/rules/g1").await.json()["graph"]["topo"]["sources"],
        json!(["src"])
    );
}

#[tokio::test]
async fn a_source_of_its_own_is_told_what_its_node_says() {
    let app = App::new().await;
    let mut rule: Json = serde_json::from_str(G1).unwrap();
    rule["graph"]["nodes"]["src"]["props"] =
        json!({"datasource":"d/1","confKey":"fast","interval":20});
    app.run(rule).await;
    let request = app.plugins.source_requests.lock()[0].clone();
    assert_eq!(request.datasource, "d/1");
    assert_eq!(request.conf_key.as_deref(), Some("fast"));
    assert_eq!(request.config["interval"], 20);
}

#[tokio::test]
async fn a_graph_branches_and_has_several_sinks() {
    let app = App::with_stream().await;
    app.run(graph(
        json!({
            "big": operator("filter", json!({"expr":"a > 10"})),
            "twice": operator("function", json!({"expr":"a * 2 AS b"})),
            "only": operator("pick", json!({"fields":["b"]})),
            "all": print(), "bigs": print(), "doubles": print(),
        }),
        json!({"src":["big","twice","all"],"big":["bigs"],"twice":["only"],"only":["doubles"]}),
    ))
    .await;
    app.plugins.emit("r", r#"{"a":5}"#);
    app.plugins.emit("r", r#"{"a":60}"#);
    app.plugins.until_delivered(5).await;
    let mut delivered = app.plugins.delivered.lock().clone();
    delivered.sort();
    let expected = [
        ("all", r#"{"a":5}"#),
        ("all", r#"{"a":60}"#),
        ("bigs", r#"{"a":60}"#),
        ("doubles", r#"{"b":10}"#),
        ("doubles", r#"{"b":120}"#),
    ];
    assert_eq!(
        delivered,
        expected.map(|(sink, row)| (sink.to_owned(), row.to_owned()))
    );
}

#[tokio::test]
async fn the_nodes_of_windows_work_as_a_statement_does() {
    let app = App::with_stream().await;
    app.run(graph(
        json!({
            "w": operator("window", json!({"type":"tumblingwindow","unit":"ss","size":10})),
            "g": operator("groupby", json!({"dimensions":["k"]})),
            "n": operator("aggfunc", json!({"expr":"count(*) AS n"})),
            "t": operator("aggfunc", json!({"expr":"total(a) AS t"})),
            "h": operator("filter", json!({"expr":"n > 1"})),
            "o": operator("orderby", json!({"sorts":[{"field":"t","order":"desc"}]})),
            "p": operator("pick", json!({"fields":["k","n","t","window_end() - window_start() AS ms"]})),
            "out": print(),
        }),
        json!({"src":["w"],"w":["g"],"g":["n"],"n":["t"],"t":["h"],"h":["o"],"o":["p"],"p":["out"]}),
    ))
    .await;
    for row in [
        r#"{"k":"x","a":1}"#,
        r#"{"k":"y","a":2}"#,
        r#"{"k":"x","a":3}"#,
        r#"{"k":"y","a":4}"#,
        r#"{"k":"z","a":9}"#,
    ] {
        app.plugins.emit("r", row);
    }
    until("the window has the rows", || {
        app.count("r", "op_w_0_messages_processed_total") == 5
    })
    .await;
    app.clock.pass(10_000);
    assert_eq!(
        app.plugins.until_delivered(2).await,
        [
            r#"{"k":"y","ms":10000,"n":2,"t":6}"#,
            r#"{"k":"x","ms":10000,"n":2,"t":4}"#
        ]
    );
}

#[tokio::test]
async fn a_switch_sends_each_row_its_way() {
    let app = App::with_stream().await;
    app.run(graph(
        json!({
            "s": operator("switch", json!({"cases":["a > 10","a > 5","a > 0"],"stopAtFirstMatch":true})),
            "high": print(), "middle": print(), "low": print(),
        }),
        json!({"src":["s"],"s":[["high"],["middle"],["low"]]}),
    ))
    .await;
    for row in [
        r#"{"a":20}"#,
        r#"{"a":7}"#,
        r#"{"a":1}"#,
        r#"{"a":0}"#,
        r#"{"a":11}"#,
    ] {
        app.plugins.emit("r", row);
    }
    app.plugins.until_delivered(4).await;
    let mut delivered = app.plugins.delivered.lock().clone();
    delivered.sort();
    let expected = [
        ("high", r#"{"a":11}"#),
        ("high", r#"{"a":20}"#),
        ("low", r#"{"a":1}"#),
        ("middle", r#"{"a":7}"#),
    ];
    assert_eq!(
        delivered,
        expected.map(|(sink, row)| (sink.to_owned(), row.to_owned()))
    );
}

#[tokio::test]
async fn what_a_graph_cannot_be_is_refused_with_the_node() {
    let app = App::with_stream().await;
    let through = json!({"src":["n"],"n":["out"]});
    let one = |node: Json| graph(json!({"n":node,"out":print()}), through.clone());
    for (rule, code, error) in [
        (
            one(operator("join", json!({"from":"a"}))),
            2101,
            "parse join n error: operator type join is not supported",
        ),
        (
            one(operator("fliter", json!({"expr":"a"}))),
            2101,
            "parse fliter n error: unknown operator type fliter, did you mean `filter`?",
        ),
        (
            one(operator("filter", json!({"expr":"a >"}))),
            2101,
            "parse filter n error: `a >`: Expected: an expression, found: the end of the statement",
        ),
        (
            one(operator("filter", json!({"exprs":"a"}))),
            2101,
            "parse filter n error: unknown property exprs, did you mean `expr`?",
        ),
        (
            one(operator("function", json!({"expr":"sum(a)"}))),
            2101,
            "parse function n error: `sum(a)`: aggregate function sum needs a window: an aggregate without a window is refused",
        ),
        (
            one(operator("function", json!({"expr":"total(a)"}))),
            2101,
            "parse graph error: aggregate function total needs a window: an aggregate without a window is refused",
        ),
        (
            one(operator("function", json!({"expr":"revrt(a)"}))),
            2101,
            "parse graph error: function revrt not found, did you mean `revert`?",
        ),
        (
            one(operator("groupby", json!({"dimensions":["a"]}))),
            2101,
            "parse groupby n error: groupby needs the rows of a window",
        ),
        (
            one(operator(
                "window",
                json!({"type":"tumblingwindow","unit":"ss"}),
            )),
            2101,
            "parse window n error: tumblingwindow needs a length",
        ),
    ] {
        let answer = app.post("/rules", &rule.to_string()).await;
        answer.fails(400, code, error);
    }
    assert!(app.service.rules().is_empty());
}

#[tokio::test]
async fn ways_that_a_graph_cannot_go_are_refused_with_the_node() {
    let app = App::with_stream().await;
    let through = json!({"src":["n"],"n":["out"]});
    let one = |node: Json| graph(json!({"n":node,"out":print()}), through.clone());
    for (rule, code, error) in [
        (
            graph(
                json!({"n":operator("filter", json!({"expr":"a"})),"out":print()}),
                json!({"src":["out"]}),
            ),
            2101,
            "no edge defined for operator node n",
        ),
        (
            graph(
                json!({"n":operator("filter", json!({"expr":"a"})),"m":operator("filter", json!({"expr":"a"})),"out":print()}),
                json!({"src":["out"],"n":["m"],"m":["n"]}),
            ),
            2101,
            "node m is part of a circle, or cannot be reached from src",
        ),
        (
            graph(
                json!({"n":operator("filter", json!({"expr":"a"})),"m":operator("filter", json!({"expr":"a"})),"out":print()}),
                json!({"src":["n","m"],"n":["m"],"m":["out"]}),
            ),
            2101,
            "operator m of type filter does not allow multiple inputs",
        ),
        (
            graph(json!({"out":print()}), json!({"src":["nowhere"]})),
            2101,
            "node nowhere is not defined",
        ),
        (
            graph(json!({"../x":print()}), json!({"src":["../x"]})),
            1000,
            "invalid rule json: node `../x`: a name has 1 to 128 letters, digits, `_` and `-`",
        ),
        (
            graph(
                json!({"out":json!({"type":"sink","nodeType":"nope"})}),
                json!({"src":["out"]}),
            ),
            2201,
            "sink nope is not defined",
        ),
    ] {
        let answer = app.post("/rules", &rule.to_string()).await;
        answer.fails(400, code, error);
    }
    let mut other = one(operator("filter", json!({"expr":"a"})));
    other["graph"]["nodes"]["src"]["nodeType"] = "mqtt".into();
    app.post("/rules", &other.to_string()).await.fails(
        400,
        2101,
        "parse source src error: source type mqtt does not match the stream type pyjson",
    );
    let mut both = one(operator("filter", json!({"expr":"a"})));
    both["actions"] = json!([{"print":{}}]);
    app.post("/rules", &both.to_string()).await.fails(
        400,
        1000,
        "invalid rule json: `actions` and `graph` cannot be used together: the sinks of a graph are nodes",
    );
    assert!(app.service.rules().is_empty());
}
