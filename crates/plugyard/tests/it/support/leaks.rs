//! What a test saw of secrets, and the search for them in whatever a server leaves.
//!
//! Every token that any answer, command or log of a test shows is remembered here, and every other secret that a
//! test declares with [`secret`]. When a server ends, none of them may stand in a file of its home, the database
//! among them, nor in its log, except for the one line that shows the owner's token. What a test declared must
//! not stand in any answer or event either, nor in what a command prints. Only the plugin itself may have it:
//! the directories `plugin-config` and `plugin-data` are its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

/// The parts that matter: what all tokens have in common is not secret.
static SEEN: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
/// Those that an answer has told.
static TOLD: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
/// Those that a test declared.
static DECLARED: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
/// Larger files are none in which anything is written down.
const LARGEST: u64 = 64 << 20;

/// A secret of the caller's own, which no server may write down in clear.
pub(crate) fn secret(text: &str) -> String {
    let mut declared = DECLARED.lock().unwrap_or_else(PoisonError::into_inner);
    declared.insert(text.to_owned());
    text.to_owned()
}

/// Fails when a declared secret stands in what somebody is told.
#[track_caller]
pub(crate) fn forbid_in(told: &str) {
    let declared = DECLARED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = declared
        .iter()
        .find(|secret| told.contains(secret.as_str()));
    assert!(found.is_none(), "a secret is told: {told}");
}

/// Remembers the tokens in a text.
pub(crate) fn note(text: &str) {
    for token in tokens(text) {
        remember(token);
    }
}

/// Remembers the tokens in an answer of a server, events among them: each is told once, when it is made.
#[track_caller]
pub(crate) fn note_answer(body: &str) {
    forbid_in(body);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    for token in tokens(body) {
        remember(token);
        assert!(
            told.insert(token.to_owned()),
            "an answer tells a token again"
        );
    }
}

/// The secret parts of the tokens in a text: `plugyard_`, 32 digits, `_`, 64 digits.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split("plugyard_").skip(1).filter_map(|rest| {
        let (id, secret) = rest.split_once('_')?;
        let secret = secret.get(..64)?;
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (id.len() == 32 && hex(id) && hex(secret)).then_some(secret)
    })
}

/// Looks for every secret seen so far in a home and a log; says where one stands.
pub(crate) fn search(home: &Path, log: &str) -> Vec<String> {
    note(log);
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut found = Vec::new();
    for secret in &seen {
        // The owner's token is shown once, where a person starts the server.
        let shown = log.matches(secret.as_str()).count();
        let allowed = log
            .lines()
            .filter(|line| line.contains("shown this once") && line.contains(secret))
            .count();
        if shown > allowed.min(1) {
            found.push("the log".to_owned());
        }
    }
    walk(home, &seen, &[], &mut found);
    let declared = DECLARED.lock().unwrap_or_else(PoisonError::into_inner);
    if declared.iter().any(|secret| log.contains(secret.as_str())) {
        found.push("the log".to_owned());
    }
    let own = ["plugin-config", "plugin-data"].map(|name| home.join(name));
    walk(home, &declared, &own, &mut found);
    found
}

/// Looks for every secret in what a server told without being asked for it: there even a token that was just
/// made has no place.
pub(crate) fn search_told(told: &str) -> Vec<String> {
    holds_any(told)
        .then(|| "the events".to_owned())
        .into_iter()
        .collect()
}

/// Whether a text holds a secret that was seen or declared.
pub(crate) fn holds_any(text: &str) -> bool {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let declared = DECLARED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut secrets = seen.iter().chain(&*declared);
    secrets.any(|secret| text.contains(secret.as_str()))
}

fn walk(directory: &Path, seen: &BTreeSet<String>, but: &[PathBuf], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if but.contains(&path) {
            continue;
        }
        let Ok(about) = path.symlink_metadata() else {
            continue;
        };
        if about.is_dir() {
            walk(&path, seen, but, found);
        } else if about.is_file() && about.len() <= LARGEST {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            if seen.iter().any(|secret| text.contains(secret.as_str())) {
                found.push(path.display().to_string());
            }
        }
    }
}

fn remember(secret: &str) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.insert(secret.to_owned());
}

#[test]
#[should_panic(expected = "an answer tells a token again")]
fn a_token_in_a_second_answer_is_found() {
    let answer = format!(
        "{{\"token\":\"plugyard_{}_{}\"}}",
        "b".repeat(32),
        "f".repeat(64)
    );
    note_answer(&answer);
    note_answer(&answer);
}

#[test]
#[should_panic(expected = "a secret is told")]
fn a_declared_secret_in_an_answer_is_found() {
    note_answer(&format!(
        "{{\"value\":\"{}\"}}",
        secret("told by the test of leaks")
    ));
}

#[test]
fn a_secret_in_a_home_or_twice_in_a_log_is_found() {
    let token = format!(
        "plugyard_{}_{}",
        "a".repeat(32),
        "0123456789abcdef".repeat(4)
    );
    let line = format!("token of the owner, shown this once: {token}\n");
    let home = tempfile::tempdir().expect("a temporary directory");
    assert_eq!(search(home.path(), &line), [""; 0]);
    assert_eq!(search(home.path(), &line.repeat(2)), ["the log"]);
    std::fs::create_dir(home.path().join("logs")).expect("a directory");
    let file = home.path().join("logs/x");
    std::fs::write(&file, format!("\u{0}…{token}")).expect("a file");
    assert_eq!(search(home.path(), ""), [file.display().to_string()]);
    std::fs::write(&file, secret("hunter2 of the test of leaks")).expect("a file");
    assert_eq!(search(home.path(), ""), [file.display().to_string()]);
    assert_eq!(
        search(home.path(), "x hunter2 of the test of leaks")[0],
        "the log"
    );
    // The plugin itself has it.
    std::fs::create_dir(home.path().join("plugin-data")).expect("a directory");
    std::fs::rename(&file, home.path().join("plugin-data/x")).expect("a file");
    assert_eq!(search(home.path(), ""), [""; 0]);
}
