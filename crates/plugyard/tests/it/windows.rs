//! Rules with windows and rules as graphs over a real plugin: source, function and aggregate function of the
//! Python SDK.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::support::{Answer, Server, answer, plugins, python, wait_for};

/// A plugin with a source that counts, and an aggregate: the span of the numbers of a group.
const TALLY: &str = r#"
import time
from ekuiper import Function, PluginConfig, Source, plugin


class Ticks(Source):
    def configure(self, datasource, conf):
        self.running = True

    def open(self, ctx):
        number = 0
        while self.running:
            ctx.emit({"n": number, "even": number % 2 == 0}, None)
            number += 1
            time.sleep(0.01)

    def close(self, ctx):
        self.running = False


class Spread(Function):
    def validate(self, args):
        return "" if len(args) == 1 else "spread takes one argument"

    def exec(self, args, ctx):
        return max(args[0]) - min(args[0])

    def is_aggregate(self):
        return True


class Twice(Function):
    def validate(self, args):
        return ""

    def exec(self, args, ctx):
        return args[0] * 2

    def is_aggregate(self):
        return False


if __name__ == "__main__":
    plugin.start(PluginConfig("tally", {"ticks": lambda: Ticks()}, {},
        {"spread": lambda: Spread(), "twice": lambda: Twice()}))
"#;

fn install(server: &Server, directory: &Path, plugin: &Path, name: &str) {
    let zip = plugins::zip(plugin, &directory.join(format!("{name}.zip")));
    let body = json!({"name": name, "file": format!("file://{}", zip.display())});
    let installed = answer(server.post("/plugins/portables").json(&body));
    assert_eq!(installed.status, 201, "{installed:?}");
}

fn create(server: &Server, rule: &Json) -> Answer {
    answer(server.post("/rules").json(rule))
}

/// The rows that a rule has written to a file.
fn written(server: &Server, file: &str) -> Vec<Json> {
    let path = server.home.join("data/files").join(file);
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn status(server: &Server, rule: &str) -> Json {
    let answer = answer(server.get(&format!("/rules/{rule}/status")));
    serde_json::from_str(&answer.body).expect("JSON")
}

#[test]
fn host_30_windows_over_a_plugin_aggregate_lose_no_row_when_the_plugin_is_replaced() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start();
    let functions = ["spread", "twice"];
    let plugin = plugins::python(
        directory.path(),
        "tally",
        TALLY,
        &["ticks"],
        &[],
        &functions,
    );
    install(&server, directory.path(), &plugin, "tally");
    let stream = r#"CREATE STREAM ticks () WITH (TYPE="ticks")"#;
    let made = answer(server.post("/streams").json(&json!({ "sql": stream })));
    assert_eq!(made.status, 201, "{made:?}");
    let refused = create(
        &server,
        &json!({"id":"no","sql":"SELECT spread(n) FROM ticks","actions":[{"log":{}}]}),
    );
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("needs a window"), "{refused:?}");
    let made = create(
        &server,
        &json!({"id":"w","sql":"SELECT even, spread(n) AS spread, count(*) AS c, sum(twice(n)) AS s, min(n) AS least \
            FROM ticks GROUP BY even, COUNTWINDOW(10) ORDER BY least",
            "actions":[{"file":{"path":"w.jsonl","interval":10}}]}),
    );
    assert_eq!(made.status, 201, "{made:?}");
    // Each window has two groups, a row of the file for each.
    let windows = || -> Vec<[Json; 2]> {
        let mut rows = written(&server, "w.jsonl").into_iter();
        std::iter::from_fn(|| Some([rows.next()?, rows.next()?])).collect()
    };
    let total =
        |groups: &[Json; 2]| -> u64 { groups.iter().map(|it| it["c"].as_u64().unwrap_or(0)).sum() };
    let before = wait_for("three windows", || {
        let windows = windows();
        (windows.len() >= 3).then_some(windows)
    });
    for groups in &before {
        assert_eq!(total(groups), 10, "{groups:?}");
        for group in groups {
            let least = group["least"].as_i64().expect("a number");
            assert_eq!(group["spread"], 8, "{group}");
            assert_eq!(group["c"], 5, "{group}");
            assert_eq!(group["s"], 2 * (5 * least + 20), "{group}");
        }
    }
    // While a window is open, its plugin is replaced by another version: the rule goes on.
    std::fs::write(
        plugin.join("tally.py"),
        format!("# the next version\n{}", TALLY.trim_start()),
    )
    .expect("a file");
    let zip = plugins::zip(&plugin, &directory.path().join("next.zip"));
    let body = json!({"name": "tally", "file": format!("file://{}", zip.display())});
    let updated = answer(server.put("/plugins/portables/tally").json(&body));
    assert_eq!(updated.status, 200, "{updated:?}");
    let count = windows().len();
    wait_for("more windows", || {
        (windows().len() > count + 3).then_some(())
    });
    let status = status(&server, "w");
    assert_eq!(status["status"], "running");
    assert_eq!(status["op_5_project_0_exceptions_total"], 0, "{status}");
    for groups in windows() {
        assert_eq!(total(&groups), 10, "{groups:?}");
    }
    assert!(status["op_2_window_0_records_in_total"].as_u64() >= Some(60));
}

#[test]
fn the_graph_of_the_specification_runs_over_the_real_sdk() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start();
    install(
        &server,
        directory.path(),
        &plugins::pysam(directory.path()),
        "pysam",
    );
    let graph = r#"{"id":"g1","graph":{
  "nodes":{"src":{"type":"source","nodeType":"pyjson","props":{}},
           "f":{"type":"operator","nodeType":"function","props":{"expr":"revert(name) as r"}},
           "out":{"type":"sink","nodeType":"print","props":{}}},
  "topo":{"sources":["src"],"edges":{"src":["f"],"f":["out"]}}}}"#;
    let made = answer(server.post("/rules").body(graph));
    assert_eq!(
        (made.status, made.body.as_str()),
        (201, "Rule g1 was created successfully.")
    );
    let status = wait_for("rows through the graph", || {
        let status = status(&server, "g1");
        let out = status["sink_out_0_records_out_total"].as_u64();
        (out > Some(3)).then_some(status)
    });
    assert_eq!(status["status"], "running");
    assert_eq!(status["op_f_0_exceptions_total"], 0, "{status}");
    assert_eq!(status["source_src_0_last_exception"], "");
    // Its own source, sink and function are known to the plugin that serves them.
    let plugin = answer(server.get("/plugins/portables/pysam/status"));
    assert!(
        plugin.body.starts_with(r#"{"refCount":{"g1":"#),
        "{plugin:?}"
    );
    // The real plugin has reverted the real row.
    let made = create(
        &server,
        &json!({"id":"g2","graph":{
            "nodes":{
                "src":{"type":"source","nodeType":"pyjson"},
                "f":{"type":"operator","nodeType":"function","props":{"expr":"revert(name) as r"}},
                "w":{"type":"operator","nodeType":"window","props":{"type":"countwindow","size":2}},
                "n":{"type":"operator","nodeType":"aggfunc","props":{"expr":"collect(r) AS all_r"}},
                "p":{"type":"operator","nodeType":"pick","props":{"fields":["all_r"]}},
                "kept":{"type":"sink","nodeType":"file","props":{"path":"g2.jsonl","interval":10}},
                "told":{"type":"sink","nodeType":"log","props":{}}},
            "topo":{"sources":["src"],"edges":{"src":["f"],"f":["w"],"w":["n"],"n":["p"],"p":["kept","told"]}}}}),
    );
    assert_eq!(made.status, 201, "{made:?}");
    let first = wait_for("a window of the graph", || {
        written(&server, "g2.jsonl").into_iter().next()
    });
    assert_eq!(first, json!({"all_r": ["nosjyp", "nosjyp"]}));
    for rule in ["g1", "g2"] {
        let gone = answer(server.delete(&format!("/rules/{rule}")));
        assert_eq!(gone.status, 200, "{gone:?}");
    }
}

/// A source that gives two rows each time it is started.
const TWO_ROWS: &str = r#"CREATE STREAM two () WITH (TYPE="simulator", TIMESTAMP="ts",
    EXTRA="{\"data\":[{\"ts\":2000,\"a\":\"second-row\"},{\"ts\":1000,\"a\":\"first-row\"}],\"interval\":5,\"loop\":false}")"#;

#[test]
fn what_a_window_holds_survives_a_kill_of_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().join("home");
    let mut server = Server::start_in(&home, |_| {});
    let made = answer(server.post("/streams").json(&json!({ "sql": TWO_ROWS })));
    assert_eq!(made.status, 201, "{made:?}");
    for (id, event_time) in [("clock", false), ("event", true)] {
        let made = create(
            &server,
            &json!({"id":id,"sql":"SELECT collect(a) AS a FROM two GROUP BY COUNTWINDOW(4)",
                "actions":[{"file":{"path":format!("{id}.jsonl")}}],
                "options":{"qos":1,"checkpointInterval":"20ms","isEventTime":event_time,"lateTolerance":"10s"}}),
        );
        assert_eq!(made.status, 201, "{made:?}");
    }
    for id in ["clock", "event"] {
        let file = home.join("data/rule-state").join(id).join("checkpoint");
        wait_for("both rows to be saved", || {
            let bytes = std::fs::read(&file).ok()?;
            // Once is in the stream, of which it is the checkpoint.
            let holds = |text: &str| {
                let all = bytes.windows(text.len());
                all.filter(|it| *it == text.as_bytes()).count() > 1
            };
            (holds("first-row") && holds("second-row")).then_some(())
        });
    }
    server.kill();
    drop(server);
    let server = Server::start_in(&home, |_| {});
    // The source begins again, and the window with what it had.
    let rows = wait_for("the window to be full", || {
        let rows = written(&server, "clock.jsonl");
        (!rows.is_empty()).then_some(rows)
    });
    assert_eq!(
        rows,
        [json!({"a":["second-row","first-row","second-row","first-row"]})]
    );
    let status = status(&server, "event");
    assert!(
        status["checkpoint_restored_time"].as_u64() > Some(0),
        "{status}"
    );
    // By event time all four wait for the watermark, which no row has moved.
    wait_for("the rows to wait again", || {
        let status = self::status(&server, "event");
        (status["op_2_watermark_0_messages_processed_total"] == 2).then_some(())
    });
    assert!(written(&server, "event.jsonl").is_empty());
}

/// A plugin whose sink notes what it gets, as hexadecimal digits.
const NOTES: &str = r#"
import os
from ekuiper import PluginConfig, Sink, plugin


class Note(Sink):
    def configure(self, conf):
        pass

    def open(self, ctx):
        self.file = open(os.path.join(os.environ["PLUGYARD_DATA_DIR"], "notes"), "a", buffering=1)

    def collect(self, ctx, data):
        self.file.write(bytes(data).hex() + "\n")

    def close(self, ctx):
        pass


if __name__ == "__main__":
    plugin.start(PluginConfig("notes", {}, {"note": lambda: Note()}, {}))
"#;

/// Decrypts a line of hexadecimal digits as consumers of the format do.
const DECRYPT: &str = r"
import sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
message = bytes.fromhex(sys.argv[2])
print(AESGCM(sys.argv[1].encode()).decrypt(message[:12], message[12:], None).decode())
";

#[test]
fn what_a_sink_sends_encrypted_opens_with_another_library_and_the_key_is_nowhere() {
    let Some(python) = python() else {
        return;
    };
    // In base64, as in a configuration of eKuiper.
    let (key, text) = (
        "0123456789abcdefFEDCBA9876543210",
        "MDEyMzQ1Njc4OWFiY2RlZkZFRENCQTk4NzY1NDMyMTA=",
    );
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    let server = Server::start_in(&home, |command| {
        command.env("PLUGYARD__RULES__AES_KEY", "env:RULES_KEY");
        command.env("RULES_KEY", text);
    });
    let plugin = plugins::python(directory.path(), "notes", NOTES, &[], &["note"], &[]);
    install(&server, directory.path(), &plugin, "notes");
    let made = answer(server.post("/streams").json(&json!({ "sql": TWO_ROWS })));
    assert_eq!(made.status, 201, "{made:?}");
    let rule = |props: Json| {
        json!({"id":"sealed","sql":"SELECT a FROM two","actions":[{"note":{
            "sendSingle":true,"encryption":"aes","encProps":props}}]})
    };
    let refused = create(&server, &rule(json!({})));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("mode cfb"), "{refused:?}");
    let made = create(&server, &rule(json!({"mode":"gcm"})));
    assert_eq!(made.status, 201, "{made:?}");
    let notes = home.join("plugin-data/portable/notes/notes");
    let lines = wait_for("both rows to be noted", || {
        let text = std::fs::read_to_string(&notes).ok()?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        (lines.len() == 2 && text.ends_with('\n')).then_some(lines)
    });
    for (line, row) in lines.iter().zip(["second-row", "first-row"]) {
        let output = std::process::Command::new(&python)
            .args(["-c", DECRYPT, key, line])
            .output()
            .expect("Python runs");
        let opened = String::from_utf8_lossy(&output.stdout);
        assert_eq!(opened.trim(), format!(r#"{{"a":"{row}"}}"#), "{output:?}");
    }
    // The rule and the settings say where the key is, not what it is.
    for path in ["/rules/sealed", "/rules/sealed/status", "/data/export"] {
        let told = answer(server.get(path));
        assert!(
            !told.body.contains(text) && !told.body.contains(key),
            "{path}"
        );
    }
}
