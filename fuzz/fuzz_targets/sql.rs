//! The SQL of streams and rules: any text is taken or refused in words, with a place inside of it.

#![no_main]

use std::cell::OnceCell;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use plugyard_flow::{Builtins, FlowService, StreamDefinition};
use plugyard_store::testing::{TestDatabase, sqlite};
use tokio::runtime::Runtime;

struct World {
    runtime: Runtime,
    flow: FlowService,
    _database: TestDatabase,
}

impl World {
    /// One stream, `s`, for the rules.
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (flow, database) = runtime.block_on(async {
            let database = sqlite().await;
            database.database.migrate(plugyard_flow::migrations()).await.expect("tables");
            let flow = FlowService::new(database.database.conn().clone(), Arc::new(Builtins::new(None)));
            let stream = r#"CREATE STREAM s (a bigint, b string) WITH (TYPE="memory", DATASOURCE="t", FORMAT="json", TIMESTAMP="a")"#;
            flow.create_stream(stream).await.expect("a stream");
            (flow, database)
        });
        Self { runtime, flow, _database: database }
    }
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

fuzz_target!(|sql: &str| {
    match StreamDefinition::parse(sql) {
        Ok(stream) => {
            stream.schema();
            assert_eq!(StreamDefinition::parse(sql).map(|again| again.name), Ok(stream.name));
        }
        Err(error) => {
            assert!(!error.text.is_empty());
            let lines = sql.split('\n').count() as u64;
            assert!(error.at.is_none_or(|(line, column)| line <= lines && column >= 1), "{error}");
        }
    }
    let timed = |sql: &str, timed: bool| serde_json::json!({ "id": "r", "sql": sql, "actions": [{ "log": {} }], "options": { "isEventTime": timed } });
    let select = |sql: &str| timed(sql, false);
    // The text as a whole, as a part of a statement with a window, as what nodes of a graph say, by event time, as the
    // conditions of a state window, and as the format of times.
    let windowed = format!("SELECT count(*) AS n, {sql} FROM s GROUP BY b, TUMBLINGWINDOW(ss, 10) HAVING n > 1 ORDER BY b LIMIT 3");
    let grouped = format!("SELECT a FROM s GROUP BY {sql}");
    let stated = format!("SELECT collect(a) FROM s GROUP BY STATEWINDOW({sql}) OVER (PARTITION BY {sql})");
    let rules = [
        select(sql),
        select(&windowed),
        select(&grouped),
        select(&stated),
        timed(&windowed, true),
        timed(sql, true),
        graph(sql),
        formatted(sql),
    ];
    WORLD.with(|world| {
        let world = world.get_or_init(World::new);
        for rule in rules {
            if let Err(error) = world.runtime.block_on(world.flow.validate_rule(&rule.to_string())) {
                assert!(!error.to_string().is_empty());
            }
        }
    });
});

/// A graph in which each kind of operator says `text`.
fn graph(text: &str) -> serde_json::Value {
    let node = |kind: &str, props: serde_json::Value| serde_json::json!({ "type": "operator", "nodeType": kind, "props": props });
    serde_json::json!({ "id": "g", "graph": {
        "nodes": {
            "s": { "type": "source", "nodeType": "memory", "props": { "sourceType": "stream", "sourceName": "s" } },
            "f": node("function", serde_json::json!({ "expr": text })),
            "w": node("window", serde_json::json!({ "type": "countwindow", "size": 2 })),
            "g": node("groupby", serde_json::json!({ "dimensions": [text] })),
            "a": node("aggfunc", serde_json::json!({ "expr": text })),
            "h": node("filter", serde_json::json!({ "expr": text })),
            "p": node("pick", serde_json::json!({ "fields": [text] })),
            "out": { "type": "sink", "nodeType": "log" },
        },
        "topo": { "sources": ["s"], "edges": { "s": ["f"], "f": ["w"], "w": ["g"], "g": ["a"], "a": ["h"], "h": ["p"], "p": ["out"] } },
    } })
}

/// A graph whose rows say their times in the format `text`.
fn formatted(text: &str) -> serde_json::Value {
    serde_json::json!({ "id": "f", "options": { "isEventTime": true }, "graph": {
        "nodes": {
            "s": { "type": "source", "nodeType": "memory", "props": { "datasource": "t", "timestamp": "a", "timestampFormat": text } },
            "w": { "type": "operator", "nodeType": "window", "props": { "type": "tumblingwindow", "unit": "ss", "size": 1 } },
            "out": { "type": "sink", "nodeType": "log" },
        },
        "topo": { "sources": ["s"], "edges": { "s": ["w"], "w": ["out"] } },
    } })
}
