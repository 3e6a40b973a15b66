//! What much data costs: a window that is full, a sink that stalls. In a program of its own, one after the other: the one
//! takes as much memory as a window may, and the other looks at the memory of the whole process.
#![expect(clippy::unwrap_used, reason = "what the tests share is test code, too")]

#[path = "../flow/support.rs"]
#[expect(dead_code, reason = "shared with the tests that need more of it")]
mod support;

use serde_json::json;
use support::{App, tuple, until};
use tokio::sync::Mutex;

/// Held by the test that runs.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_full_window_drops_its_oldest_rows_and_counts_them_as_exceptions() {
    let _alone = ALONE.lock().await;
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

#[tokio::test]
async fn a_sink_that_stalls_for_long_costs_no_more_memory_than_its_queues_hold() {
    const SENT: u64 = 30 * 5000;
    let _alone = ALONE.lock().await;
    let app = App::with_stream().await;
    app.run(json!({"id":"r","sql":"SELECT n, pad FROM demo","actions":[{"gated":{}}]}))
        .await;
    let pad = "x".repeat(1000);
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let word = line.unwrap().split_whitespace().nth(1).unwrap();
        word.parse::<u64>().unwrap()
    };
    let inbox = app.plugins.inbox("r");
    let send = async |from: u64, to: u64| {
        for n in from..to {
            inbox.offer(tuple(&format!(r#"{{"n":{n},"pad":"{pad}"}}"#)));
            if n % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    // The queues are full after a small part of it.
    send(0, SENT / 10).await;
    let early = resident();
    send(SENT / 10, SENT).await;
    // 135 MB have passed since.
    let grown = resident().saturating_sub(early);
    assert!(grown < 64 * 1024, "grown by {grown} KiB");
    let drops = || {
        app.count("r", "source_demo_0_exceptions_total")
            + app.count("r", "op_gated_0_1_encode_0_exceptions_total")
    };
    app.plugins.gate.add_permits(usize::try_from(SENT).unwrap());
    until("sent = delivered + drops", || {
        app.count("r", "sink_gated_0_0_records_out_total") + drops() == SENT
    })
    .await;
    assert_eq!(app.plugins.delivered().len() as u64 + drops(), SENT);
}
