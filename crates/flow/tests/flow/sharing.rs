//! Shared and temporary streams, temporary rules.

use std::sync::Arc;

use plugyard_flow::RuleState;
use plugyard_symbol::SymbolError;
use serde_json::{Value as Json, json};

use crate::support::{App, Plugins, Starts, until};

/// What the shared source is called by.
const HUB: &str = "$$subtopo_s";

async fn shared() -> App {
    let app = App::new().await;
    app.post(
        "/streams",
        r#"{"sql":"CREATE STREAM s () WITH (TYPE=\"pyjson\", SHARED=\"true\")"}"#,
    )
    .await
    .is(201, "Stream s is created.");
    app
}

fn rule(id: &str, sink: &str) -> Json {
    json!({"id":id,"sql":"SELECT n FROM s","actions":[{sink:{"bufferLength":16,"sendSingle":true}}],
        "options":{"bufferLength":64}})
}

#[tokio::test]
async fn a_shared_stream_has_one_source_from_its_first_rule_to_its_last() {
    let app = shared().await;
    let described = app.get("/streams/s").await.json();
    assert_eq!(described["Options"], json!({"shared":true,"type":"pyjson"}));
    app.run(rule("a", "print")).await;
    app.run(rule("b", "print")).await;
    {
        let requests = app.plugins.source_requests.lock();
        assert_eq!(requests.len(), 1);
        assert_eq!(
            (
                requests[0].node.rule_id.as_str(),
                requests[0].node.op_id.as_str()
            ),
            (HUB, "subtopo_s")
        );
    }
    assert_eq!(app.metric("b", "source_s_0_connection_status"), 1);
    app.plugins.emit(HUB, r#"{"n":1}"#);
    app.plugins.until_delivered(2).await;
    for rule in ["a", "b"] {
        assert_eq!(app.count(rule, "source_s_0_records_in_total"), 1);
    }
    app.plugins.inbox(HUB).exception(SymbolError::io("once"));
    for rule in ["a", "b"] {
        assert_eq!(app.metric(rule, "source_s_0_last_exception"), "once");
    }
    // The first leaves; the other goes on.
    app.post("/rules/a/stop", "")
        .await
        .is(200, "Rule a was stopped.");
    app.plugins.emit(HUB, r#"{"n":2}"#);
    app.plugins.until_delivered(3).await;
    assert_eq!(app.count("a", "source_s_0_records_in_total"), 1);
    assert_eq!(app.count("b", "source_s_0_records_in_total"), 2);
    app.post("/rules/a/start", "")
        .await
        .is(200, "Rule a was started");
    app.until_state("a", RuleState::Running).await;
    assert_eq!(app.plugins.source_requests.lock().len(), 1);
    // With the last it ends, and begins anew.
    for rule in ["a", "b"] {
        app.post(&format!("/rules/{rule}/stop"), "").await;
    }
    app.plugins.emit(HUB, r#"{"n":3}"#);
    app.post("/rules/b/start", "")
        .await
        .is(200, "Rule b was started");
    app.until_state("b", RuleState::Running).await;
    assert_eq!(app.plugins.source_requests.lock().len(), 2);
    app.plugins.emit(HUB, r#"{"n":4}"#);
    assert_eq!(app.plugins.until_delivered(4).await[3], r#"{"n":4}"#);
}

#[tokio::test]
async fn a_rule_that_is_slow_drops_in_its_own_queue_and_holds_up_nobody() {
    const SENT: u64 = 2000;
    let app = shared().await;
    app.run(rule("slow", "gated")).await;
    app.run(rule("fast", "print")).await;
    for n in 0..SENT {
        app.plugins.emit(HUB, &format!(r#"{{"n":{n}}}"#));
        until("the fast one has it", || {
            app.count("fast", "op_2_project_0_records_out_total") == n + 1
        })
        .await;
    }
    app.plugins
        .until_delivered(usize::try_from(SENT).unwrap())
        .await;
    assert_eq!(app.count("fast", "source_s_0_exceptions_total"), 0);
    assert_eq!(app.count("slow", "source_s_0_records_in_total"), SENT);
    assert!(app.count("slow", "op_gated_0_1_encode_0_exceptions_total") > 0);
}

#[tokio::test]
async fn a_source_that_can_wait_follows_the_fastest_rule() {
    let app = App::new().await;
    let sql = r#"CREATE STREAM s () WITH (TYPE="simulator", SHARED="true", EXTRA='{"data":[{"n":1}],"interval":0}')"#;
    app.post("/streams", &json!({ "sql": sql }).to_string())
        .await
        .is(201, "Stream s is created.");
    app.run(rule("slow", "gated")).await;
    app.run(rule("fast", "print")).await;
    app.plugins.until_delivered(500).await;
    for rule in ["fast", "slow"] {
        app.post(&format!("/rules/{rule}/stop"), "").await;
        app.until_state(rule, RuleState::Stopped).await;
    }
}

#[tokio::test]
async fn a_shared_source_that_cannot_start_is_each_rule_s_trouble() {
    let app = shared().await;
    *app.plugins.source_starts.lock() = Starts::Fails(SymbolError::refused("no such device"));
    for id in ["a", "b"] {
        app.post("/rules", &rule(id, "print").to_string()).await;
        app.until_state(id, RuleState::StoppedByError).await;
        let status = app.service.rule_status(id).unwrap();
        assert_eq!(status["message"], "no such device");
    }
    *app.plugins.source_starts.lock() = Starts::Well;
    app.post("/rules/b/start", "")
        .await
        .is(200, "Rule b was started");
    app.until_state("b", RuleState::Running).await;
    app.plugins.emit(HUB, r#"{"n":1}"#);
    app.plugins.until_delivered(1).await;
}

#[tokio::test]
async fn what_is_temporary_is_gone_with_the_program() {
    let app = App::with_stream().await;
    app.post(
        "/streams",
        r#"{"sql":"CREATE STREAM t () WITH (TYPE=\"pyjson\", TEMP=\"true\")"}"#,
    )
    .await
    .is(201, "Stream t is created.");
    assert_eq!(
        app.get("/streams/t").await.json()["Options"],
        json!({"temp":true,"type":"pyjson"})
    );
    app.run(json!({"id":"r","temp":true,"sql":"SELECT * FROM t","actions":[{"print":{}}]}))
        .await;
    app.run(json!({"id":"k","temp":true,"sql":"SELECT * FROM demo","actions":[{"print":{}}]}))
        .await;
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    app.post("/rules/r/start", "")
        .await
        .is(200, "Rule r was started");
    // A rule becomes lasting when it is replaced by a lasting one, and the other way round.
    app.put(
        "/rules/k",
        r#"{"sql":"SELECT * FROM demo","actions":[{"print":{}}]}"#,
    )
    .await
    .is(200, "Rule k was updated successfully.");
    app.service.shutdown().await;
    let app = app.restarted(Arc::new(Plugins::default()));
    app.service.recover().await.unwrap();
    app.get("/streams").await.is(200, r#"["demo"]"#);
    assert_eq!(app.get("/rules").await.json().as_array().unwrap().len(), 1);
    app.until_state("k", RuleState::Running).await;
    app.put(
        "/rules/k",
        r#"{"temp":true,"sql":"SELECT * FROM demo","actions":[{"print":{}}]}"#,
    )
    .await
    .is(200, "Rule k was updated successfully.");
    app.service.shutdown().await;
    let app = app.restarted(Arc::new(Plugins::default()));
    app.service.recover().await.unwrap();
    app.get("/rules").await.is(200, "[]");
}
