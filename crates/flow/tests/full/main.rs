//! What becomes of a window that is full. In a program of its own: it takes as much memory as a window may, which
//! other tests would see.
#![expect(clippy::unwrap_used, reason = "what the tests share is test code, too")]

#[path = "../flow/support.rs"]
#[expect(dead_code, reason = "shared with the tests that need more of it")]
mod support;

use serde_json::json;
use support::{App, until};

#[tokio::test]
async fn a_full_window_drops_its_oldest_rows_and_counts_them_as_exceptions() {
    let app = App::with_stream().await;
    let sql = "SELECT count(*) AS n FROM demo GROUP BY TUMBLINGWINDOW(hh, 1)";
    app.run(json!({"id":"r","sql":sql,"actions":[{"print":{}}]}))
        .await;
    // Each above half of what a window holds.
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(70 << 20));
    for count in 1..=2 {
        app.plugins.emit("r", &large);
        until("the row is in the window", || {
            app.count("r", "op_2_window_0_messages_processed_total") == count
        })
        .await;
    }
    assert_eq!(app.count("r", "op_2_window_0_exceptions_total"), 1);
    assert_eq!(
        app.metric("r", "op_2_window_0_last_exception"),
        "window full (1000000 rows, 128 MiB), 1 oldest rows dropped"
    );
    app.clock.pass(3_600_000);
    assert_eq!(app.plugins.until_delivered(1).await, [r#"[{"n":1}]"#]);
}
