//! Sources and sinks of ours.

use plugyard_flow::{Builtins, Combined, FlowService, RuleState, migrations};
use plugyard_store::testing::sqlite;
use plugyard_symbol::{Catalog, SymbolKind};
use serde_json::json;
use std::sync::Arc;

use crate::support::{App, until};

const SIMULATED: &str = r#"{"sql":"CREATE STREAM sim () WITH (TYPE=\"simulator\", EXTRA='{\"data\":[{\"n\":1},{\"n\":2}],\"interval\":0,\"loop\":false}')"}"#;

#[tokio::test]
async fn a_simulated_stream_is_written_to_a_file_line_by_line() {
    let home = tempfile::tempdir().unwrap();
    let files = home.path().join("files");
    let database = sqlite().await;
    database.database.migrate(migrations()).await.unwrap();
    let service = FlowService::new(
        database.database.conn().clone(),
        Arc::new(Builtins::new(Some(files.clone()))),
    );
    let sql: serde_json::Value = serde_json::from_str(SIMULATED).unwrap();
    service
        .create_stream(sql["sql"].as_str().unwrap())
        .await
        .unwrap();
    let rule = |id: &str, path: &str, mode: &str| {
        json!({"id":id,"sql":"SELECT n, n * 2 AS twice FROM sim","actions":[{"file":{"path":path,"mode":mode}}]}).to_string()
    };
    let run = async |id: &str, path: &str, mode: &str| {
        service.create_rule(&rule(id, path, mode)).await.unwrap();
        let done = || {
            let status = service.rule_status(id).unwrap();
            status.get("sink_file_0_0_records_out_total") == Some(&json!(2))
                || status["status"] == "stopped by error"
        };
        until("both rows are written or refused", done).await;
        service.rule_status(id).unwrap()["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let lines = "{\"n\":1,\"twice\":2}\n{\"n\":2,\"twice\":4}\n";
    assert_eq!(run("one", "sub/out.jsonl", "append").await, "");
    assert_eq!(
        std::fs::read_to_string(files.join("sub/out.jsonl")).unwrap(),
        lines
    );
    assert_eq!(run("two", "sub/out.jsonl", "append").await, "");
    assert_eq!(
        std::fs::read_to_string(files.join("sub/out.jsonl")).unwrap(),
        lines.repeat(2)
    );
    assert_eq!(run("three", "sub/out.jsonl", "truncate").await, "");
    assert_eq!(
        std::fs::read_to_string(files.join("sub/out.jsonl")).unwrap(),
        lines
    );

    std::os::unix::fs::symlink(home.path(), files.join("way-out")).unwrap();
    std::os::unix::fs::symlink(home.path().join("x"), files.join("link")).unwrap();
    let outside = [
        ("a", "../out.jsonl", "must be a path below"),
        ("b", "/etc/out.jsonl", "must be a path below"),
        ("c", "sub/../../x", "must be a path below"),
        ("d", "way-out/new/x", "leads out of"),
        ("e", "link", "is no regular file"),
        ("f", "", "must be a path below"),
    ];
    for (id, path, reason) in outside {
        let message = run(id, path, "append").await;
        assert!(message.contains(reason), "{path}: {message}");
    }
    let names: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name == "x" || name == "new" || name == "out.jsonl"),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_simulator_without_data_is_refused_by_name() {
    let app = App::new().await;
    app.post(
        "/streams",
        r#"{"sql":"CREATE STREAM sim () WITH (TYPE=\"simulator\")"}"#,
    )
    .await
    .is(201, "Stream sim is created.");
    app.post(
        "/rules",
        r#"{"id":"r","sql":"SELECT * FROM sim","actions":[{"log":{}}]}"#,
    )
    .await
    .is(201, "Rule r was created successfully.");
    app.until_state("r", RuleState::StoppedByError).await;
    let message = app.metric("r", "message");
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("source simulator: missing field `data`"),
        "{message}"
    );
}

#[tokio::test]
async fn memory_joins_one_rule_to_another() {
    let app = App::new().await;
    app.post(
        "/streams",
        r#"{"sql":"CREATE STREAM joined () WITH (TYPE=\"memory\", DATASOURCE=\"t\")"}"#,
    )
    .await
    .is(201, "Stream joined is created.");
    app.post("/streams", SIMULATED)
        .await
        .is(201, "Stream sim is created.");
    app.run(json!({"id":"second","sql":"SELECT n + 1 AS m FROM joined","actions":[{"memory":{"topic":"end","sendSingle":true}}]})).await;
    let mut end = app.builtins.topics().subscribe("end");
    app.run(json!({"id":"first","sql":"SELECT n FROM sim","actions":[{"memory":{"topic":"t"}}]}))
        .await;
    assert_eq!(end.next().await.unwrap(), r#"{"m":2}"#);
    assert_eq!(end.next().await.unwrap(), r#"{"m":3}"#);
    app.post("/rules/second/stop", "")
        .await
        .is(200, "Rule second was stopped.");
}

#[tokio::test]
async fn built_in_symbols_hide_those_of_plugins() {
    let ours = Builtins::new(None);
    let both = Combined::new(Arc::new(ours.clone()), Arc::new(ours));
    assert_eq!(both.names(SymbolKind::Sink), ["file", "log", "memory"]);
    assert!(both.sink("file").is_some() && both.source("simulator").is_some());
    assert!(both.sink("File").is_none());
}
