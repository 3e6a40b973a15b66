//! Rules that start and end by themselves.

use std::sync::Arc;
use std::time::Duration;

use plugyard_flow::RuleState;
use plugyard_symbol::SymbolError;
use serde_json::{Value as Json, json};

use crate::support::{App, NOW, Plugins, Starts, until};

const MINUTE: Duration = Duration::from_mins(1);

fn rule(options: Json) -> Json {
    json!({"id":"r","sql":"SELECT * FROM demo","actions":[{"print":{}}],"options":options})
}

async fn create(app: &App, options: Json) {
    app.post("/rules", &rule(options).to_string())
        .await
        .is(201, "Rule r was created successfully.");
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

async fn pass(app: &App, time: Duration) {
    app.clock.pass(millis(time));
    app.service.patrol().await;
}

fn next_start(app: &App) -> i64 {
    app.metric("r", "nextStartTimestamp").as_i64().unwrap()
}

#[tokio::test]
async fn a_rule_that_an_error_stopped_is_started_again_as_often_as_it_may() {
    let app = App::with_stream().await;
    *app.plugins.source_starts.lock() = Starts::Fails(SymbolError::refused("not yet"));
    create(
        &app,
        json!({"restartStrategy":{"attempts":3,"delay":"15s","multiplier":2,"maxDelay":"1m","jitterFactor":0}}),
    )
    .await;
    let starts = || app.count("r", "source_demo_0_exceptions_total");
    app.until_state("r", RuleState::StoppedByError).await;
    let first = app.metric("r", "lastStartTimestamp");
    // The first look comes before the delay is over.
    pass(&app, Duration::from_secs(10)).await;
    assert_eq!(
        app.service.rule_state("r").unwrap(),
        RuleState::StoppedByError
    );
    assert_eq!(next_start(&app), NOW + 15_000);
    assert_eq!(app.metric("r", "message"), "not yet");
    // Between two looks nothing happens.
    pass(&app, Duration::from_secs(6)).await;
    assert_eq!(app.metric("r", "lastStartTimestamp"), first);
    pass(&app, Duration::from_secs(4)).await;
    until("it was tried again", || {
        app.metric("r", "lastStartTimestamp") != first
            && app.service.rule_state("r").unwrap() == RuleState::StoppedByError
    })
    .await;
    assert_eq!(starts(), 1);
    // Twice as long.
    pass(&app, Duration::from_secs(20)).await;
    assert_eq!(next_start(&app), NOW + 50_000);
    *app.plugins.source_starts.lock() = Starts::Well;
    pass(&app, Duration::from_secs(10)).await;
    app.until_state("r", RuleState::Running).await;
    assert_eq!(app.metric("r", "message"), "");
    app.plugins.emit("r", r#"{"a":1}"#);
    app.plugins.until_delivered(1).await;
}

#[tokio::test]
async fn after_its_attempts_a_rule_stays_stopped_until_it_has_run_well() {
    let app = App::with_stream().await;
    *app.plugins.source_starts.lock() = Starts::Fails(SymbolError::refused("never"));
    create(
        &app,
        json!({"restartStrategy":{"attempts":1,"delay":1,"jitterFactor":0}}),
    )
    .await;
    app.until_state("r", RuleState::StoppedByError).await;
    let started = || app.metric("r", "lastStartTimestamp").as_i64().unwrap();
    pass(&app, 10 * MINUTE).await;
    pass(&app, 10 * MINUTE).await;
    until("it was tried once", || {
        started() > NOW && app.service.rule_state("r").unwrap() == RuleState::StoppedByError
    })
    .await;
    let last = started();
    pass(&app, 10 * MINUTE).await;
    assert_eq!((started(), next_start(&app)), (last, 0));
    // By hand it begins anew.
    *app.plugins.source_starts.lock() = Starts::Well;
    app.post("/rules/r/start", "")
        .await
        .is(200, "Rule r was started");
    app.until_state("r", RuleState::Running).await;
}

#[tokio::test]
async fn a_rule_without_attempts_is_left_alone() {
    let app = App::with_stream().await;
    *app.plugins.source_starts.lock() = Starts::Fails(SymbolError::refused("no"));
    create(&app, json!({})).await;
    app.until_state("r", RuleState::StoppedByError).await;
    *app.plugins.source_starts.lock() = Starts::Well;
    pass(&app, 60 * MINUTE).await;
    assert_eq!(
        app.service.rule_state("r").unwrap(),
        RuleState::StoppedByError
    );
}

#[tokio::test]
async fn a_scheduled_rule_runs_from_each_of_its_times_for_its_duration() {
    let minute = millis(MINUTE);
    let app = App::with_stream().await;
    // It is eight o'clock.
    create(
        &app,
        json!({"cron":"CRON_TZ=UTC 30 * * * *","duration":"10m"}),
    )
    .await;
    let status = app.get("/rules/r/status").await;
    assert!(status.body.starts_with(&format!(
        "{{\n  \"status\": \"stopped: waiting for next schedule.\",\n  \"message\": \"\",\n  \"lastStartTimestamp\": 0,\n  \"lastStopTimestamp\": 0,\n  \"nextStartTimestamp\": {}",
        NOW + 30 * minute
    )), "{}", status.body);
    pass(&app, 29 * MINUTE).await;
    app.until_state("r", RuleState::Waiting).await;
    pass(&app, MINUTE).await;
    app.until_state("r", RuleState::Running).await;
    assert_eq!(next_start(&app), NOW + 90 * minute);
    app.plugins.emit("r", r#"{"a":1}"#);
    app.plugins.until_delivered(1).await;
    pass(&app, 10 * MINUTE).await;
    app.until_state("r", RuleState::Waiting).await;
    // What the last run counted stays.
    assert_eq!(app.count("r", "sink_print_0_0_records_out_total"), 1);
    assert_eq!(
        app.get("/rules/status/all").await.json()["r"]["status"],
        "stopped: waiting for next schedule."
    );
    // In the middle of a run's time it starts at once, also after a restart of the program.
    pass(&app, 55 * MINUTE).await;
    app.until_state("r", RuleState::Running).await;
    app.service.shutdown().await;
    let app = app.restarted(Arc::new(Plugins::default()));
    app.clock.pass(millis(35 * MINUTE));
    app.service.recover().await.unwrap();
    app.until_state("r", RuleState::Running).await;
    // Stopped by hand it is in the schedule no more.
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    assert_eq!(next_start(&app), 0);
    pass(&app, 60 * MINUTE).await;
    assert_eq!(app.service.rule_state("r").unwrap(), RuleState::Stopped);
}

#[tokio::test]
async fn a_rule_runs_within_its_ranges() {
    let app = App::with_stream().await;
    let hour = 3_600_000;
    create(
        &app,
        json!({"cronDatetimeRange":[{"beginTimestamp":NOW + hour,"endTimestamp":NOW + 2 * hour}]}),
    )
    .await;
    assert_eq!(app.service.rule_state("r").unwrap(), RuleState::Waiting);
    assert_eq!(next_start(&app), NOW + hour);
    pass(&app, 61 * MINUTE).await;
    app.until_state("r", RuleState::Running).await;
    pass(&app, 60 * MINUTE).await;
    app.until_state("r", RuleState::Waiting).await;
    assert_eq!(
        (next_start(&app), app.metric("r", "message")),
        (0, json!("schedule terminated"))
    );
}

#[tokio::test]
async fn with_a_duration_alone_a_rule_runs_once() {
    let app = App::with_stream().await;
    create(&app, json!({"duration":"5m"})).await;
    app.until_state("r", RuleState::Running).await;
    pass(&app, 4 * MINUTE).await;
    assert_eq!(app.service.rule_state("r").unwrap(), RuleState::Running);
    pass(&app, MINUTE).await;
    app.until_state("r", RuleState::Stopped).await;
    app.service.shutdown().await;
    let app = app.restarted(Arc::new(Plugins::default()));
    app.service.recover().await.unwrap();
    pass(&app, MINUTE).await;
    assert_eq!(app.service.rule_state("r").unwrap(), RuleState::Stopped);
}
