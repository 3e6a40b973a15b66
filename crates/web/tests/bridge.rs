//! The script of plugin pages and clients, in Node with made-up windows. A real browser opens it in the tests of
//! the whole product.
#![expect(clippy::disallowed_methods, reason = "tests start programs")]

use std::process::Command;

#[test]
fn web_58_messages_from_elsewhere_change_nothing_and_failures_only_show_their_text() {
    let tests = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../clients/typescript/tests/bridge.test.mjs"
    );
    let Ok(output) = Command::new("node").args(["--test", tests]).output() else {
        println!("skipped: there is no node; `cargo xtask test` installs it");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("pass 8"), "{said}");
}
