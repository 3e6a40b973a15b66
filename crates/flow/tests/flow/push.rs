//! Rows that clients send over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plugyard_flow::{Builtins, Combined, FlowService, RuleState, migrations};
use plugyard_store::testing::{TestDatabase, sqlite};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Plugins, until};

struct Pushed {
    service: FlowService,
    builtins: Arc<Builtins>,
    plugins: Arc<Plugins>,
    _database: TestDatabase,
}

impl Pushed {
    async fn new() -> Self {
        let database = sqlite().await;
        database.database.migrate(migrations()).await.unwrap();
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let builtins = Arc::new(Builtins::new(None).with_push_address(address));
        let plugins = Arc::new(Plugins::default());
        let catalog = Combined::new(builtins.clone(), plugins.clone().catalog());
        let service = FlowService::new(database.database.conn().clone(), Arc::new(catalog));
        Self {
            service,
            builtins,
            plugins,
            _database: database,
        }
    }

    async fn run(&self, stream: &str, rule: Json) {
        self.service.create_stream(stream).await.unwrap();
        let id = rule["id"].as_str().unwrap().to_owned();
        self.service.create_rule(&rule.to_string()).await.unwrap();
        until("the rule runs", || {
            self.service.rule_state(&id).unwrap() == RuleState::Running
        })
        .await;
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.builtins.push_address())
            .await
            .unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer[9..12].parse().unwrap();
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        (status, body.to_owned())
    }

    fn count(&self, metric: &str) -> u64 {
        let status = self.service.rule_status("r").unwrap();
        status[metric].as_u64().unwrap()
    }
}

const STREAM: &str =
    r#"CREATE STREAM pushed () WITH (TYPE="httppush", DATASOURCE="/api/data", FORMAT="json")"#;

#[tokio::test]
async fn objects_and_lists_of_objects_become_rows() {
    let app = Pushed::new().await;
    app.run(
        STREAM,
        json!({"id":"r","sql":"SELECT n FROM pushed","actions":[{"print":{"sendSingle":true}}]}),
    )
    .await;
    let ok = (200, "ok".to_owned());
    assert_eq!(app.send("POST", "/api/data", r#"{"n":1,"m":2}"#).await, ok);
    assert_eq!(
        app.send("POST", "/api/data", r#"[{"n":2},{"n":3}]"#).await,
        ok
    );
    assert_eq!(app.send("POST", "/api/data", "[]").await, ok);
    let rows = app.plugins.until_delivered(3).await;
    assert_eq!(rows, [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#]);

    assert_eq!(app.send("POST", "/other", "{}").await.0, 404);
    assert_eq!(app.send("PUT", "/api/data", "{}").await.0, 405);
    let (status, text) = app.send("POST", "/api/data", "[1]").await;
    assert_eq!(status, 400);
    assert!(
        text.starts_with("the body is neither an object nor a list of objects: "),
        "{text}"
    );
    assert_eq!(app.count("source_pushed_0_exceptions_total"), 1);
    assert_eq!(app.count("source_pushed_0_records_in_total"), 3);

    // With the last source the server goes.
    let address = app.builtins.push_address();
    app.service.delete_rule("r").await.unwrap();
    let listening = async || TcpStream::connect(address).await.is_ok();
    for _ in 0..1000 {
        if !listening().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!listening().await);
}

#[tokio::test]
async fn a_client_waits_while_the_sink_does_and_nothing_is_lost() {
    const ROWS: usize = 5000;
    let app = Pushed::new().await;
    app.run(
        STREAM,
        json!({"id":"r","sql":"SELECT n FROM pushed","actions":[{"gated":{"sendSingle":true,"bufferLength":16}}],
            "options":{"bufferLength":16}}),
    )
    .await;
    let rows: Vec<Json> = (0..ROWS).map(|n| json!({"n": n})).collect();
    let body = Json::from(rows).to_string();
    let mut sending = std::pin::pin!(app.send("POST", "/api/data", &body));
    let full = until("the sink's queue is full", || {
        app.count("sink_gated_0_0_buffer_length") == 16
    });
    tokio::select! {
        answer = &mut sending => panic!("answered before there was room: {answer:?}"),
        () = full => {}
    }
    app.plugins.gate.add_permits(ROWS);
    assert_eq!(sending.await, (200, "ok".to_owned()));
    let delivered = app.plugins.until_delivered(ROWS).await;
    let wanted: Vec<_> = (0..ROWS).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    assert_eq!(delivered, wanted);
    assert_eq!(app.count("source_pushed_0_exceptions_total"), 0);
    assert_eq!(app.count("op_gated_0_1_encode_0_exceptions_total"), 0);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let app = Pushed::new().await;
    for (options, reason) in [
        (r#"DATASOURCE="data""#, "DATASOURCE must be the path"),
        (
            r#"DATASOURCE="/data", EXTRA='{"method":"GET"}'"#,
            "method must be POST or PUT, got GET",
        ),
    ] {
        let stream =
            format!(r#"CREATE STREAM pushed () WITH (TYPE="httppush", FORMAT="json", {options})"#);
        app.service.create_stream(&stream).await.unwrap();
        let rule = json!({"id":"r","sql":"SELECT n FROM pushed","actions":[{"print":{}}]});
        app.service.create_rule(&rule.to_string()).await.unwrap();
        until("it stops", || {
            app.service.rule_status("r").unwrap()["status"] == "stopped by error"
        })
        .await;
        let message = app.service.rule_status("r").unwrap()["message"].clone();
        assert!(message.as_str().unwrap().contains(reason), "{message}");
        app.service.delete_rule("r").await.unwrap();
        app.service.drop_stream("pushed", true).await.unwrap();
    }
}
