//! What an author does: make a plugin, test it, try it, pack it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use crate::support::{Ended, PATIENCE, plugyard, python, run};

/// Names of their own, because the test server listens in the real `/tmp`.
fn own_name(word: &str) -> String {
    format!("{word}_{}", std::process::id())
}

fn in_directory(directory: &Path, words: &[&str]) -> Ended {
    run(plugyard(&directory.join("home"))
        .args(words)
        .current_dir(directory))
}

/// `plugyard dev`, and what it printed.
struct Dev {
    child: Child,
    lines: Receiver<Json>,
    seen: Vec<Json>,
    address: String,
}

impl Dev {
    fn start(directory: &Path, plugin: &str, more: &[&str]) -> Self {
        let mut child = plugyard(&directory.join("home"))
            .args(["dev", plugin, "--listen", "127.0.0.1:0", "-o", "ndjson"])
            .args(more)
            .current_dir(directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let (tell, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).expect("a line of JSON"));
            }
        });
        let mut dev = Self {
            child,
            lines,
            seen: Vec::new(),
            address: String::new(),
        };
        let said = dev.until("the address", |it| text(it).starts_with("listening on "));
        text(&said)["listening on ".len()..].clone_into(&mut dev.address);
        dev
    }

    /// The first frame from here on that is wanted.
    #[track_caller]
    fn until(&mut self, what: &str, wanted: impl Fn(&Json) -> bool) -> Json {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(frame) = self.lines.recv_timeout(left) else {
                panic!("waited in vain for {what}; seen: {:#?}", self.seen);
            };
            self.seen.push(frame.clone());
            if wanted(&frame) {
                return frame;
            }
        }
    }

    fn post(&self, path: &str, body: &Json) -> (u16, String) {
        let client = reqwest::blocking::Client::new();
        let answer = client
            .post(format!("{}{path}", self.address))
            .body(body.to_string())
            .send()
            .expect("an answer");
        (answer.status().as_u16(), answer.text().expect("text"))
    }

    fn get(&self, path: &str) -> Json {
        let url = format!("{}{path}", self.address);
        let text = reqwest::blocking::get(url).and_then(reqwest::blocking::Response::text);
        serde_json::from_str(&text.expect("an answer")).expect("JSON")
    }

    fn end(mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        assert!(self.child.wait().expect("an end").success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(frame: &Json) -> &str {
    frame["text"].as_str().unwrap_or_default()
}

fn is(frame: &Json, channel: &str, direction: &str) -> bool {
    frame["channel"] == channel && frame["direction"] == direction
}

/// A new plugin in a directory of its own.
fn new_plugin(word: &str) -> (tempfile::TempDir, String, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let name = own_name(word);
    let made = in_directory(directory.path(), &["new", "portable", &name]);
    assert_eq!(made.code, 0, "{made:?}");
    let plugin = directory.path().join(&name);
    (directory, name, plugin)
}

#[test]
fn a_new_plugin_passes_its_tests_its_check_and_packs() {
    let Some(python) = python() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (directory, name, plugin) = new_plugin("fresh");
    #[expect(clippy::disallowed_methods, reason = "what the author would type")]
    let tests = Command::new(python)
        .args(["-m", "unittest", "discover", "-s", "tests"])
        .current_dir(&plugin)
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&tests.stderr);
    assert!(
        tests.status.success() && said.contains("Ran 6 tests"),
        "{said}"
    );

    let checked = in_directory(directory.path(), &["check", &name, "--deny", "warnings"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(
        checked.stdout.contains(&format!("portable:{name} 0.1.0")),
        "{checked:?}"
    );
    let packed = in_directory(directory.path(), &["pack", &name]);
    assert_eq!(packed.code, 0, "{packed:?}");
    assert!(directory.path().join(format!("{name}.zip")).is_file());

    // Nothing that is there is written over, and no name that cannot be one is taken.
    let again = in_directory(directory.path(), &["new", "portable", &name]);
    assert_eq!(again.code, 1, "{again:?}");
    for name in ["../x", "my-plugin", "1st"] {
        let bad = in_directory(&plugin, &["new", "portable", name]);
        assert_eq!(bad.code, 2, "{bad:?}");
        assert!(bad.stderr.contains("begins with a letter"), "{bad:?}");
    }
    assert!(!directory.path().join("x").exists());
    // The example is what is made.
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/portable/hello");
    let main = std::fs::read_to_string(example.join("main.py")).expect("the example");
    let made = std::fs::read_to_string(plugin.join("main.py")).expect("the plugin");
    assert_eq!(made, main.replace("hello", &name));
}

#[test]
fn a_plugin_is_packed_from_within_its_directory_again_and_again() {
    let (_directory, name, plugin) = new_plugin("within");
    let first = in_directory(&plugin, &["pack", "."]);
    assert_eq!(first.code, 0, "{first:?}");
    let zip = plugin.join(format!("{name}.zip"));
    let packed = std::fs::read(&zip).expect("the package");
    let second = in_directory(&plugin, &["pack", "."]);
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(std::fs::read(&zip).expect("the package"), packed);
    let zip = zip.display().to_string();
    let checked = in_directory(&plugin, &["check", &zip, "--deny", "warnings"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}

/// The commands that started something, in their order.
fn starts(transcript: &Json) -> Vec<&str> {
    let frames = transcript.as_array().into_iter().flatten();
    frames
        .filter(|it| is(it, "control", "out"))
        .filter_map(|it| it["text"].as_str())
        .filter(|it| it.contains(r#""cmd":"start""#))
        .collect()
}

#[test]
fn host_38_a_plugin_is_served_by_hand_and_every_frame_shown() {
    let Some(python) = python() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (directory, name, plugin) = new_plugin("dev");
    let python = python.display().to_string();
    let mut dev = Dev::start(directory.path(), &name, &["--python", &python]);
    dev.until("the handshake", |it| {
        is(it, "control", "in") && text(it) == "handshake"
    });

    // A source: the meta of the request counts, its instance does not.
    let rule = own_name("r");
    let source = json!({
        "symbolName": format!("{name}_ticks"),
        "meta": {"ruleId": rule, "opId": "src", "instanceId": 7},
        "pluginType": "source",
        "config": {"interval": 20},
    });
    assert_eq!(dev.post("/symbol/start", &source), (200, "ok".to_owned()));
    let sent = dev.until("the command", |it| is(it, "control", "out"));
    assert!(text(&sent).contains(r#"\"instanceId\":0"#), "{sent}");
    dev.until("its answer", |it| {
        is(it, "control", "in") && text(it) == "ok"
    });
    let channel = format!("{rule}_src_0.ipc");
    let row = dev.until("a row", |it| is(it, &channel, "in"));
    assert!(text(&row).contains(r#""message""#), "{row}");
    let (code, said) = dev.post("/symbol/start", &source);
    let expected = format!("source symbol {name}_ticks already exists");
    assert_eq!((code, said), (400, expected));

    // A function is called with two words in turn.
    let function = json!({"symbolName": format!("{name}_greet"), "pluginType": "func"});
    assert_eq!(dev.post("/symbol/start", &function).0, 200);
    let channel = format!("func_{name}_greet.ipc");
    for word in ["twelve", "eleven"] {
        dev.until("a call", |it| {
            is(it, &channel, "out") && text(it).contains(word)
        });
        let answer = format!(r#""result": "Hello, {word}!""#);
        dev.until("its result", |it| {
            is(it, &channel, "in") && text(it).contains(&answer)
        });
    }

    // A sink gets rows in turn, and acknowledges them.
    let rule = own_name("s");
    let sink = json!({
        "symbolName": format!("{name}_notebook"),
        "meta": {"ruleId": rule, "opId": "snk"},
        "pluginType": "sink",
    });
    assert_eq!(dev.post("/symbol/start", &sink).0, 200);
    let (data, acks) = (format!("{rule}_snk_0.ipc"), format!("{rule}_snk_0_ack.ipc"));
    dev.until("a message", |it| {
        is(it, &data, "out") && text(it) == r#"{"count":5,"name":"hello"}"#
    });
    dev.until("an acknowledgement", |it| {
        is(it, &acks, "in") && text(it) == "{}"
    });
    let listed = dev.get("/symbol");
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");

    // A changed file is a new process with everything that ran.
    let main = plugin.join("main.py");
    let program = std::fs::read_to_string(&main).expect("the program");
    let program = program.replace("Hello, {", "Good day, {");
    std::fs::write(&main, program).expect("written");
    dev.until("the restart", |it| text(it).starts_with("files changed"));
    dev.until("the new greeting", |it| text(it).contains("Good day, "));

    assert_eq!(dev.post("/symbol/stop", &sink), (200, "ok".to_owned()));
    let transcript = dev.get("/transcript");
    let starts = starts(&transcript);
    assert_eq!(starts.len(), 6, "{starts:?}");
    assert_eq!(starts[3..], starts[..3], "in the order of the first time");
    let (code, said) = dev.post("/symbol/stop", &sink);
    assert_eq!(
        (code, said),
        (400, format!("Symbol {name}_notebook already close"))
    );
    for (body, wrong) in [
        (
            json!({"symbolName": "nosuch", "pluginType": "func"}),
            "nosuch",
        ),
        (json!({"symbolName": "x", "pluginType": "lookup"}), "lookup"),
        (json!({"symbolName": "x"}), "Invalid body"),
    ] {
        let (code, said) = dev.post("/symbol/start", &body);
        assert!(code == 400 && said.contains(wrong), "{said}");
    }
    let transcript = dev.get("/transcript");
    assert!(transcript.as_array().is_some_and(|it| it.len() > 10));

    // Somebody who serves the plugin already is not disturbed.
    let second = in_directory(
        directory.path(),
        &["dev", &name, "--listen", "127.0.0.1:0", "--by-hand"],
    );
    assert_eq!(second.code, 1, "{second:?}");
    assert!(
        second.stderr.contains(&format!("plugin_{name}.ipc")),
        "{second:?}"
    );
    dev.end(Signal::INT);
    assert!(!Path::new(&format!("/tmp/plugin_{name}.ipc")).exists());
}

#[test]
fn host_38_a_plugin_started_by_hand_is_waited_for() {
    let Some(python) = python() else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (directory, name, plugin) = new_plugin("hand");
    let mut dev = Dev::start(directory.path(), &name, &["--by-hand"]);
    #[expect(clippy::disallowed_methods, reason = "what the author would type")]
    let mut by_hand = Command::new(python)
        .arg(plugin.join("main.py"))
        .stdout(Stdio::null())
        .spawn()
        .expect("Python starts");
    let met = dev.until("the process", |it| text(it).starts_with("connected"));
    assert!(text(&met).contains(&by_hand.id().to_string()), "{met}");
    let function = json!({"symbolName": format!("{name}_greet"), "pluginType": "func"});
    assert_eq!(dev.post("/symbol/start", &function).0, 200);
    dev.until("a result", |it| text(it).contains("Hello, "));
    by_hand.kill().expect("it runs");
    by_hand.wait().expect("an end");
    dev.until("its end", |it| {
        is(it, "control", "note") && text(it) == "disconnected"
    });
    dev.end(Signal::TERM);
    assert!(!Path::new(&format!("/tmp/plugin_{name}.ipc")).exists());
}

#[test]
fn a_test_server_is_only_for_this_machine() {
    let (directory, name, _) = new_plugin("far");
    let refused = in_directory(
        directory.path(),
        &["dev", &name, "--listen", "0.0.0.0:0", "--by-hand"],
    );
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("other machines"), "{refused:?}");
    // And for plugins that are some.
    std::fs::remove_file(directory.path().join(&name).join("main.py")).expect("it is there");
    let refused = in_directory(directory.path(), &["dev", &name, "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.code, 4, "{refused:?}");
}
