//! The five-minute tour works, works again, and notices when it should not.

use std::path::Path;
use std::process::{Command, Output};

fn demo(words: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(env!("CARGO"))
        .current_dir(root)
        .args([
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--",
            "demo",
            "--exit",
            "--binary",
            env!("CARGO_BIN_EXE_plugyard"),
        ])
        .args(words)
        .output()
        .expect("the chore starts")
}

/// One test, because tours of one checkout happen one after the other.
#[test]
fn the_tour_works_twice_and_fails_when_the_good_version_is_broken() {
    if std::env::var_os("PLUGYARD_TEST_PYTHON").is_none() {
        println!("skipped: PLUGYARD_TEST_PYTHON is not set; `cargo xtask test` sets it");
        return;
    }
    for round in 1..=2 {
        let tour = demo(&[]);
        let text = String::from_utf8_lossy(&tour.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&tour.stderr).into_owned();
        assert!(
            tour.status.success(),
            "round {round}:\n{text}\n{complaints}"
        );
        assert!(
            text.contains(" 0 missing, 0 doubled, 0 out of order"),
            "{text}"
        );
    }
    let broken = demo(&["--break-good"]);
    assert!(
        !broken.status.success(),
        "{}",
        String::from_utf8_lossy(&broken.stdout)
    );
}
