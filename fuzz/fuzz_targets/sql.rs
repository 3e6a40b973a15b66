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
            let stream = r#"CREATE STREAM s (a bigint, b string) WITH (TYPE="memory", DATASOURCE="t", FORMAT="json")"#;
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
    let rule = serde_json::json!({ "id": "r", "sql": sql, "actions": [{ "log": {} }] }).to_string();
    WORLD.with(|world| {
        let world = world.get_or_init(World::new);
        if let Err(error) = world.runtime.block_on(world.flow.validate_rule(&rule)) {
            assert!(!error.to_string().is_empty());
        }
    });
});
