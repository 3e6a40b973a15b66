//! Rows that wait for functions of plugins: how many at once, and in which order they leave.

use serde_json::json;

use crate::support::{App, until};

async fn hold(options: serde_json::Value) -> App {
    let app = App::with_stream().await;
    app.run(
        json!({"id":"r","sql":"SELECT hold(n) AS n FROM demo","actions":[{"print":{"sendSingle":true}}],
        "options":options}),
    )
    .await;
    app
}

fn emit(app: &App, numbers: std::ops::Range<i64>) {
    for n in numbers {
        app.plugins.emit("r", &format!(r#"{{"n":{n}}}"#));
    }
}

async fn until_called(app: &App, wanted: &[i64]) {
    until(&format!("called with {wanted:?}"), || {
        // Those that are under way at once get there in any order.
        let mut called = app.plugins.called.lock().clone();
        called.sort_unstable();
        called == wanted
    })
    .await;
}

fn rows(numbers: &[i64]) -> Vec<String> {
    numbers.iter().map(|n| format!(r#"{{"n":{n}}}"#)).collect()
}

#[tokio::test]
async fn by_default_one_call_is_made_after_the_other_and_what_is_done_does_not_wait() {
    let app = hold(json!({})).await;
    emit(&app, 0..4);
    until_called(&app, &[0]).await;
    app.plugins.answer(&[0, 1]);
    // The third call takes as long as it likes: the rows before it are there.
    until_called(&app, &[0, 1, 2]).await;
    assert_eq!(app.plugins.until_delivered(2).await, rows(&[0, 1]));
    app.plugins.answer(&[3]);
    assert_eq!(*app.plugins.called.lock(), [0, 1, 2]);
    app.plugins.answer(&[2]);
    assert_eq!(app.plugins.until_delivered(4).await, rows(&[0, 1, 2, 3]));
}

#[tokio::test]
async fn with_concurrency_calls_overlap_and_rows_keep_their_order() {
    let app = hold(json!({"concurrency":3})).await;
    emit(&app, 0..6);
    until_called(&app, &[0, 1, 2]).await;
    app.plugins.answer(&[1, 2]);
    app.plugins.answer(&[0]);
    until_called(&app, &[0, 1, 2, 3, 4, 5]).await;
    app.plugins.answer(&[5]);
    assert_eq!(app.plugins.until_delivered(3).await, rows(&[0, 1, 2]));
    app.plugins.answer(&[3, 4]);
    assert_eq!(
        app.plugins.until_delivered(6).await,
        rows(&[0, 1, 2, 3, 4, 5])
    );
    assert_eq!(app.count("r", "op_2_project_0_records_out_total"), 6);
}

#[tokio::test]
async fn without_order_rows_leave_as_they_are_done() {
    let app = hold(json!({"concurrency":2,"ordered":false})).await;
    emit(&app, 0..3);
    until_called(&app, &[0, 1]).await;
    app.plugins.answer(&[1]);
    // The place of the one that is done goes to the next.
    until_called(&app, &[0, 1, 2]).await;
    app.plugins.answer(&[2]);
    assert_eq!(app.plugins.until_delivered(2).await, rows(&[1, 2]));
    app.plugins.answer(&[0]);
    assert_eq!(app.plugins.until_delivered(3).await, rows(&[1, 2, 0]));
}

#[tokio::test]
async fn rows_that_wait_for_calls_when_a_rule_is_cut_off_are_counted() {
    let app = hold(json!({"concurrency":2})).await;
    emit(&app, 0..5);
    until_called(&app, &[0, 1]).await;
    app.post("/rules/r/stop", "")
        .await
        .is(200, "Rule r was stopped.");
    app.until_state("r", plugyard_flow::RuleState::Stopped)
        .await;
    assert_eq!(app.count("r", "source_demo_0_exceptions_total"), 5);
}
