//! What outlives the program.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use plugyard_flow::RuleState;
use plugyard_store::testing::databases;
use serde_json::json;

use crate::support::{App, Plugins};

async fn filled(database: plugyard_store::testing::TestDatabase) -> App {
    let app = App::over(database).await;
    app.post(
        "/streams",
        r#"{"sql":"CREATE STREAM demo () WITH (TYPE=\"pyjson\")"}"#,
    )
    .await
    .is(201, "Stream demo is created.");
    for id in ["runs", "stopped", "deleted"] {
        app.run(json!({"id":id,"sql":"SELECT * FROM demo","actions":[{"print":{}}],"name":"名"}))
            .await;
    }
    app.post("/rules/stopped/stop", "")
        .await
        .is(200, "Rule stopped was stopped.");
    app.delete("/rules/deleted")
        .await
        .is(200, "Rule deleted is dropped.");
    app
}

#[tokio::test]
async fn streams_and_rules_come_back_and_run_as_they_did() {
    for database in databases().await {
        let app = filled(database).await;
        let before = app.get("/rules/runs").await.body;
        app.service.shutdown().await;
        let app = app.restarted(Arc::new(Plugins::default()));
        app.get("/rules").await.is(200, "[]");
        app.service.recover().await.unwrap();
        app.get("/streams").await.is(200, r#"["demo"]"#);
        app.until_state("runs", RuleState::Running).await;
        assert_eq!(
            app.service.rule_state("stopped").unwrap(),
            RuleState::Stopped
        );
        assert!(app.service.rule_state("deleted").is_err());
        app.get("/rules/runs").await.is(200, &before);
        app.plugins.emit("runs", r#"{"a":1}"#);
        assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"a":1}]"#]);
    }
}

#[tokio::test]
async fn updates_are_what_comes_back() {
    for database in databases().await {
        let app = filled(database).await;
        let rule = r#"{"sql":"SELECT a FROM demo","actions":[{"print":{}}],"triggered":false}"#;
        app.put("/rules/runs", rule)
            .await
            .is(200, "Rule runs was updated successfully.");
        app.put(
            "/streams/demo",
            r#"{"sql":"CREATE STREAM demo (a bigint) WITH (TYPE=\"pyjson\")"}"#,
        )
        .await
        .is(200, "Stream demo is replaced.");
        let app = app.restarted(Arc::new(Plugins::default()));
        app.service.recover().await.unwrap();
        app.get("/rules/runs").await.is(200, rule);
        assert_eq!(app.service.rule_state("runs").unwrap(), RuleState::Stopped);
        assert!(app.get("/streams/demo").await.body.contains("(a bigint)"));
    }
}

#[tokio::test]
async fn a_rule_whose_plugin_is_missing_says_so_and_runs_when_it_comes() {
    for symbol in ["pyjson", "print"] {
        let database = plugyard_store::testing::sqlite().await;
        let app = filled(database).await.restarted(Plugins::without(symbol));
        app.service.recover().await.unwrap();
        app.until_state("runs", RuleState::StoppedByError).await;
        let message = app.metric("runs", "message");
        assert!(message.as_str().unwrap().contains(symbol), "{message}");
        assert_eq!(
            app.service.rule_state("stopped").unwrap(),
            RuleState::Stopped
        );
        app.service.catalog_changed().await;
        assert_eq!(
            app.service.rule_state("runs").unwrap(),
            RuleState::StoppedByError
        );
        app.plugins.install();
        app.service.catalog_changed().await;
        app.until_state("runs", RuleState::Running).await;
        assert_eq!(app.metric("runs", "message"), "");
        assert_eq!(
            app.service.rule_state("stopped").unwrap(),
            RuleState::Stopped
        );
    }
}

#[tokio::test]
async fn a_plugin_that_does_not_answer_holds_up_its_own_rules_only() {
    let database = plugyard_store::testing::sqlite().await;
    let app = filled(database).await;
    let calls =
        r#"{"id":"calls","sql":"SELECT revert(a) AS r FROM demo","actions":[{"print":{}}]}"#;
    app.post("/rules", calls)
        .await
        .is(201, "Rule calls was created successfully.");
    app.service.shutdown().await;
    let plugins = Arc::new(Plugins::default());
    plugins.silent.store(true, Ordering::SeqCst);
    let app = app.restarted(plugins);
    // Comes to its end although `calls` cannot be planned.
    app.service.recover().await.unwrap();
    app.until_state("runs", RuleState::Running).await;
    assert_ne!(app.service.rule_state("calls").unwrap(), RuleState::Running);
}

#[tokio::test]
async fn a_rule_that_was_stopped_in_error_is_not_tried_again() {
    let database = plugyard_store::testing::sqlite().await;
    let app = filled(database).await.restarted(Plugins::without("pyjson"));
    app.service.recover().await.unwrap();
    app.post("/rules/runs/start", "").await.fails(
        400,
        2201,
        "start rule error: source type pyjson not found",
    );
    app.post("/rules/runs/stop", "")
        .await
        .is(200, "Rule runs was stopped.");
    app.plugins.install();
    app.service.catalog_changed().await;
    assert_eq!(app.service.rule_state("runs").unwrap(), RuleState::Stopped);
    app.post("/rules/runs/start", "")
        .await
        .is(200, "Rule runs was started");
    app.until_state("runs", RuleState::Running).await;
}

#[tokio::test]
async fn a_database_that_fails_is_said_and_nothing_is_kept() {
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}]}))
        .await;
    app.database.database.close().await.unwrap();
    app.post("/streams", r#"{"sql":"CREATE STREAM other ()"}"#)
        .await
        .fails(
            500,
            1000,
            "Stream command error: the database failed while storing a stream",
        );
    app.get("/streams").await.is(200, r#"["demo"]"#);
    app.delete("/streams/demo?force=true").await.fails(
        500,
        1000,
        "delete stream error: the database failed while deleting a stream",
    );
    app.get("/streams").await.is(200, r#"["demo"]"#);
    app.post(
        "/rules",
        r#"{"id":"q","sql":"SELECT * FROM demo","actions":[{"print":{}}]}"#,
    )
    .await
    .fails(500, 1000, "the database failed while storing a rule");
    app.put(
        "/rules/r",
        r#"{"sql":"SELECT 1 FROM demo","actions":[{"print":{}}]}"#,
    )
    .await
    .fails(
        500,
        1000,
        "Update rule error: the database failed while storing a rule",
    );
    app.delete("/rules/r").await.fails(
        500,
        1000,
        "Delete rule error: the database failed while deleting a rule",
    );
    // What runs needs no database.
    app.plugins.emit("r", r#"{"a":1}"#);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"a":1}]"#]);
    assert!(app.service.rule_state("q").is_err());
}
