//! The README's commands, run as they stand there.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{PLUGYARD, python, wait_for};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The blocks of shell commands in a page, without what is said beside a command.
fn blocks(page: &str) -> Vec<Vec<String>> {
    let mut blocks = Vec::new();
    let mut block: Option<Vec<String>> = None;
    for line in page.lines() {
        match (line, &mut block) {
            ("```sh", None) => block = Some(Vec::new()),
            ("```", Some(_)) => blocks.extend(block.take()),
            (line, Some(lines)) => {
                lines.push(line.split("   #").next().unwrap_or(line).trim().to_owned());
            }
            _ => {}
        }
    }
    assert!(block.is_none(), "a block has no end");
    blocks
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).expect("the page is there")
}

/// A server that a shell started, and the shell; ended together.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
fn both_languages_show_the_same_commands() {
    let english = blocks(&page("README.md"));
    assert!(english.len() >= 5, "{english:?}");
    assert_eq!(english, blocks(&page("README.zh-CN.md")));
}

#[test]
fn five_minutes_by_hand_work_as_written() {
    let Some(python) = python() else { return };
    let page = page("README.md");
    let section = page
        .split("## Five minutes by hand")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("the section is there");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bin = Path::new(PLUGYARD).parent().expect("a directory");
    let here = |line: &str| {
        line.replace(
            "$PWD/target/tour/venv/bin/python",
            &python.display().to_string(),
        )
        .replace("$PWD/target/release", &bin.display().to_string())
        .replace("target/tour", &directory.path().display().to_string())
    };
    // What each command is run behind, as in a terminal that was left open.
    let mut exports = Vec::new();
    let mut server = None;
    let mut ran = Vec::new();
    for line in blocks(section).concat() {
        if line.starts_with("cargo build") || line.contains("-m venv") {
            continue;
        }
        let line = here(&line);
        if line.starts_with("export ") {
            exports.push(line);
            continue;
        }
        let script = format!("set -e\n{}\n{line}", exports.join("\n"));
        let mut shell = Command::new("sh");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PLUGYARD") {
                shell.env_remove(name);
            }
        }
        shell
            .args(["-c", &script])
            .current_dir(root())
            .env("PLUGYARD__SERVER__LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null());
        if line.contains("plugyard serve") {
            server = Some(serve(&mut shell));
        } else {
            let output = shell.output().expect("a shell");
            assert!(output.status.success(), "`{line}`: {output:?}");
        }
        ran.push(line);
    }
    assert!(server.is_some(), "nothing was served: {ran:?}");
    for word in [
        "check",
        "install",
        "stream create",
        "rule create",
        "rule tail",
        "uninstall",
    ] {
        let said = ran
            .iter()
            .any(|line| line.starts_with(&format!("plugyard {word}")));
        assert!(said, "`plugyard {word}` is not among {ran:?}");
    }
}

/// Starts the server, and waits until it says that it listens.
fn serve(shell: &mut Command) -> Background {
    use std::os::unix::process::CommandExt as _;

    let child = shell.stdout(Stdio::piped()).process_group(0).spawn();
    let mut server = Background(child.expect("a shell"));
    let stdout = server.0.stdout.take().expect("piped");
    let mut lines = BufReader::new(stdout).lines();
    let address = loop {
        let line = lines.next().expect("the server runs").expect("text");
        if let Some(address) = line.strip_prefix("listening on ") {
            break address.to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    let _ = rustls::crypto::ring::default_provider().install_default();
    wait_for("/readyz", || {
        let answer = reqwest::blocking::get(format!("{address}/readyz")).ok()?;
        answer.status().is_success().then_some(())
    });
    server
}
