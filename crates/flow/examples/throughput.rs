//! How many rows a second pass a rule: a source that pushes as fast as rows are taken, a sink that only counts.
//!
//! `cargo run --release -p plugyard-flow --example throughput [rows]`; one line per statement.
#![expect(clippy::print_stdout, reason = "its whole purpose")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use plugyard_flow::{FlowService, migrations};
use plugyard_symbol::{
    Body, BoundFunction, CallSite, Catalog, FunctionSymbol, SinkHandle, SinkObserver, SinkRequest,
    SinkSymbol, SourceHandle, SourceInbox, SourceRequest, SourceSymbol, SymbolError, SymbolKind,
    Tuple, Value,
};
use serde_json::json;
use tokio::task::JoinHandle;

/// About a hundred bytes, as a sensor sends them.
const ROW: &str = r#"{"device":"sensor-17","temperature":21.5,"humidity":40,"at":1795248000000,"tags":["a","b"],"ok":true}"#;

#[derive(Clone)]
struct Bench {
    rows: u64,
    taken: Arc<AtomicU64>,
}

impl Catalog for Bench {
    fn source(&self, _: &str) -> Option<Arc<dyn SourceSymbol>> {
        Some(Arc::new(self.clone()))
    }

    fn sink(&self, _: &str) -> Option<Arc<dyn SinkSymbol>> {
        Some(Arc::new(self.clone()))
    }

    fn function(&self, _: &str) -> Option<Arc<dyn FunctionSymbol>> {
        Some(Arc::new(self.clone()))
    }

    fn names(&self, _: SymbolKind) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl SourceSymbol for Bench {
    async fn start(
        &self,
        _: SourceRequest,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError> {
        let rows = self.rows;
        let task = tokio::spawn(async move {
            // Each row is a slice of its own frame and is checked as JSON, as from a plugin.
            for _ in 0..rows {
                let body = Body::from_json_object(Bytes::from_static(ROW.as_bytes()));
                inbox
                    .push(Tuple {
                        body: body.expect("the row is JSON"),
                        meta: None,
                        received_at: 0,
                    })
                    .await;
            }
        });
        Ok(Box::new(Source(task)))
    }
}

struct Source(JoinHandle<()>);

#[async_trait]
impl SourceHandle for Source {
    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        self.0.abort();
        Ok(())
    }
}

#[async_trait]
impl SinkSymbol for Bench {
    async fn start(
        &self,
        _: SinkRequest,
        _: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl SinkHandle for Bench {
    async fn send(&mut self, _: Bytes) -> Result<(), SymbolError> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn send_many(&mut self, messages: Vec<Bytes>) -> Vec<Result<(), SymbolError>> {
        self.taken
            .fetch_add(messages.len() as u64, Ordering::Relaxed);
        vec![Ok(()); messages.len()]
    }

    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        Ok(())
    }
}

#[async_trait]
impl FunctionSymbol for Bench {
    async fn validate(&self, _: usize) -> Result<(), SymbolError> {
        Ok(())
    }

    async fn is_aggregate(&self) -> Result<bool, SymbolError> {
        Ok(false)
    }

    fn bind(&self, _: CallSite) -> Arc<dyn BoundFunction> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl BoundFunction for Bench {
    async fn call(&self, arguments: &[Value]) -> Result<Option<Value>, SymbolError> {
        Ok(arguments.first().cloned())
    }
}

#[tokio::main]
async fn main() {
    let rows = std::env::args()
        .nth(1)
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(1_000_000);
    let statements = [
        "SELECT * FROM s",
        "SELECT device, temperature FROM s",
        "SELECT device, temperature * 1.8 + 32 AS f FROM s WHERE humidity > 10",
        "SELECT *, upper(device) AS name FROM s",
        "SELECT echo(device) AS d FROM s",
    ];
    for sql in statements {
        let took = measure(sql, rows).await;
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = rows as f64 / took.as_secs_f64();
        println!("{rate:>12.0} rows/s | {sql}");
    }
}

async fn measure(sql: &str, rows: u64) -> Duration {
    let database = plugyard_store::testing::sqlite().await;
    let migrated = database.database.migrate(migrations()).await;
    migrated.expect("the schema can be made");
    let taken = Arc::new(AtomicU64::new(0));
    let bench = Bench {
        rows,
        taken: taken.clone(),
    };
    let service = FlowService::new(database.database.conn().clone(), Arc::new(bench));
    let stream = service.create_stream("CREATE STREAM s ()").await;
    stream.expect("the stream can be made");
    let began = Instant::now();
    let rule = json!({"id": "r", "sql": sql, "actions": [{"count": {}}],
        "options": {"disableBufferFullDiscard": true}});
    let created = service.create_rule(&rule.to_string()).await;
    created.expect("the rule can be made");
    while taken.load(Ordering::Relaxed) < rows {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    service.shutdown().await;
    took
}
