//! The facts about a Python plugin that eKuiper's own tests assert, by their numbers, over HTTP against the
//! started binary with the real SDK.

use std::path::{Path, PathBuf};

use crate::support::{Answer, Server, answer, plugins, python, wait_for};
use serde_json::{Value as Json, json};

const STREAM: &str = r#"CREATE STREAM pyjsonStream () WITH (TYPE="pyjson", FORMAT="json")"#;

/// A server and the zip of `pysam`, at which the facts are shown in their order.
struct Stage {
    server: Server,
    zip: PathBuf,
    _directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Option<Self> {
        python()?;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let plugin = plugins::pysam(directory.path());
        let zip = plugins::zip(&plugin, &directory.path().join("pysam.zip"));
        Some(Self {
            server: Server::start(),
            zip,
            _directory: directory,
        })
    }

    fn create_stream(&self) -> Answer {
        answer(self.server.post("/streams").json(&json!({ "sql": STREAM })))
    }

    fn create_rule(&self) -> Answer {
        answer(self.server.post("/rules").json(&json!({
            "id": "rulePort1",
            "sql": "SELECT * FROM pyjsonStream",
            "actions": [{"print": {"requireAck": true}}],
        })))
    }

    fn body(&self) -> Json {
        json!({ "name": "pysam", "file": format!("file://{}", self.zip.display()) })
    }

    fn install(&self) -> Answer {
        answer(self.server.post("/plugins/portables").json(&self.body()))
    }

    /// With the plugin, the stream and the rule in place.
    fn running() -> Option<Self> {
        let stage = Self::new()?;
        assert_eq!(stage.create_stream().status, 201);
        assert_eq!(stage.install().status, 201);
        stage.assert_real_sdk();
        assert_eq!(stage.create_rule().status, 201);
        Some(stage)
    }

    /// Whatever answers is the real SDK with the real nng below it.
    fn assert_real_sdk(&self) {
        let root = self.server.plugin_pid("pysam");
        let mapped = tree(root).into_iter().any(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/maps"))
                .is_ok_and(|maps| maps.contains("pynng"))
        });
        assert!(
            mapped,
            "no process of the plugin has pynng in its address space"
        );
    }

    fn status(&self, rule: &str) -> Json {
        let answer = answer(self.server.get(&format!("/rules/{rule}/status")));
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Fact 33, asked until it holds.
    fn assert_rows_flow(&self) {
        let status = wait_for("more than 5 rows", || {
            let status = self.status("rulePort1");
            let out = status["sink_print_0_0_records_out_total"]
                .as_u64()
                .unwrap_or(0);
            (status["status"] == "running" && out > 5).then_some(status)
        });
        assert_eq!(status["source_pyjsonStream_0_last_exception"], "");
    }

    /// Fact 34.
    fn assert_plugin_status(&self) {
        let answer = answer(self.server.get("/plugins/portables/pysam/status"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let expected = r#"{"refCount":{"rulePort1":2},"status":"running","errMsg":"""#;
        assert!(answer.body.starts_with(expected), "{}", answer.body);
    }
}

/// A process and everything below it.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&pid) = found.get(at) {
        at += 1;
        for task in std::fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let children =
                std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            );
        }
    }
    found
}

#[test]
fn fact_29_a_stream_may_come_before_its_plugin_but_a_rule_may_not() {
    let server = Server::start();
    let stream = answer(server.post("/streams").json(&json!({ "sql": STREAM })));
    assert_eq!(
        (stream.status, stream.body.as_str()),
        (201, "Stream pyjsonStream is created.")
    );
    let rule = answer(server.post("/rules").json(&json!({
        "id": "rulePort1",
        "sql": "SELECT * FROM pyjsonStream",
        "actions": [{"print": {"requireAck": true}}],
    })));
    assert_eq!(rule.status, 400);
    assert_eq!(rule.content_type, "text/plain; charset=utf-8");
    assert!(
        rule.body.starts_with("{\"error\":") && rule.body.ends_with("}\n"),
        "{}",
        rule.body
    );
    assert!(
        rule.body.contains("source type pyjson not found"),
        "{}",
        rule.body
    );
}

#[test]
fn fact_30_a_plugin_is_installed_from_a_file_address() {
    let Some(stage) = Stage::new() else { return };
    let made = stage.install();
    assert_eq!(
        (made.status, made.body.as_str()),
        (201, "portable plugin pysam is created")
    );
    stage.assert_real_sdk();
}

#[test]
fn fact_31_the_list_has_exactly_these_bytes() {
    let Some(stage) = Stage::new() else { return };
    let empty = answer(stage.server.get("/plugins/portables"));
    assert_eq!((empty.status, empty.body.as_str()), (200, "[]"));
    assert_eq!(stage.install().status, 201);
    stage.assert_real_sdk();
    let list = answer(stage.server.get("/plugins/portables"));
    let root = stage.server.home.canonicalize().unwrap();
    let executable = root.join("plugins/portable/pysam/pysam.py");
    let expected = format!(
        "[{{\"name\":\"pysam\",\"version\":\"v1.0.0\",\"language\":\"python\",\"executable\":\"{}\",\"sources\":[\"pyjson\"],\"sinks\":[\"print\"],\"functions\":[\"revert\"]}}]",
        executable.display()
    );
    assert_eq!(list.body, expected);
    assert_eq!(list.content_type, "application/json");
    assert!(Path::new(&executable).is_file());
}

#[test]
fn fact_32_a_stream_is_made_once_and_the_rule_after_its_plugin() {
    let Some(stage) = Stage::running() else {
        return;
    };
    let again = stage.create_stream();
    assert_eq!(again.status, 400);
    let body: Json = serde_json::from_str(again.body.trim_end()).unwrap();
    assert_eq!(body["error"], 3000, "{body}");
    assert_eq!(
        body["message"],
        "Stream command error: Create stream fails: Item pyjsonStream already exists."
    );
}

#[test]
fn fact_33_rows_reach_the_acking_sink() {
    let Some(stage) = Stage::running() else {
        return;
    };
    stage.assert_rows_flow();
}

#[test]
fn fact_34_the_plugin_counts_the_symbols_a_rule_uses() {
    let Some(stage) = Stage::running() else {
        return;
    };
    stage.assert_rows_flow();
    stage.assert_plugin_status();
}

#[test]
fn fact_35_an_update_with_the_same_zip_disturbs_nothing() {
    let Some(stage) = Stage::running() else {
        return;
    };
    stage.assert_rows_flow();
    let updated = answer(
        stage
            .server
            .put("/plugins/portables/pysam")
            .json(&stage.body()),
    );
    assert_eq!(
        (updated.status, updated.body.as_str()),
        (200, "portable plugin pysam is updated")
    );
    stage.assert_plugin_status();
    let before = stage.status("rulePort1")["sink_print_0_0_records_out_total"]
        .as_u64()
        .unwrap();
    wait_for("rows after the update", || {
        let now = stage.status("rulePort1")["sink_print_0_0_records_out_total"].as_u64()?;
        (now > before + 3).then_some(())
    });
}

#[test]
fn fact_36_a_restarted_rule_counts_from_zero_and_flows() {
    let Some(stage) = Stage::running() else {
        return;
    };
    stage.assert_rows_flow();
    let sent = |status: &Json| status["sink_print_0_0_records_out_total"].as_u64().unwrap();
    let before = wait_for("enough rows to tell old counters from new", || {
        let status = stage.status("rulePort1");
        (sent(&status) > 20).then_some(status)
    });
    let restarted = answer(stage.server.post("/rules/rulePort1/restart"));
    assert_eq!(restarted.status, 200);
    assert_eq!(restarted.body, "Rule rulePort1 was restarted");
    let after = stage.status("rulePort1");
    assert!(sent(&after) < sent(&before), "counters went on: {after}");
    assert!(after["lastStartTimestamp"].as_i64() > before["lastStartTimestamp"].as_i64());
    stage.assert_rows_flow();
    stage.assert_plugin_status();
}

#[test]
fn fact_37_everything_can_be_deleted() {
    let Some(stage) = Stage::running() else {
        return;
    };
    stage.assert_rows_flow();
    for (path, said) in [
        ("/rules/rulePort1", "Rule rulePort1 is dropped."),
        ("/streams/pyjsonStream", "Stream pyjsonStream is dropped."),
        (
            "/plugins/portables/pysam",
            "portable plugin pysam is deleted",
        ),
    ] {
        let deleted = answer(stage.server.delete(path));
        assert_eq!(
            (deleted.status, deleted.body.as_str()),
            (200, said),
            "{path}"
        );
    }
    assert_eq!(answer(stage.server.get("/plugins/portables")).body, "[]");
}

#[test]
fn fact_39_a_function_works_in_a_rule_and_after_an_update() {
    let Some(stage) = Stage::new() else { return };
    assert_eq!(stage.create_stream().status, 201);
    assert_eq!(stage.install().status, 201);
    stage.assert_real_sdk();
    let made = answer(stage.server.post("/rules").json(&json!({
        "id": "reverting",
        "sql": "SELECT revert(name) AS r FROM pyjsonStream",
        "actions": [{"print": {}}],
    })));
    assert_eq!(made.status, 201, "{made:?}");
    let flows = |after: u64| {
        let status = wait_for("projected rows", || {
            let status = stage.status("reverting");
            let out = status["op_2_project_0_records_out_total"].as_u64()?;
            (out > after).then_some(status)
        });
        assert_eq!(status["op_2_project_0_exceptions_total"], 0, "{status}");
        status["op_2_project_0_records_out_total"].as_u64().unwrap()
    };
    let before = flows(0);
    let updated = answer(
        stage
            .server
            .put("/plugins/portables/pysam")
            .json(&stage.body()),
    );
    assert_eq!(updated.status, 200, "{updated:?}");
    flows(before + 2);
}

#[test]
fn host_10_what_we_add_to_the_status_comes_after_what_clients_expect() {
    let Some(stage) = Stage::running() else {
        return;
    };
    stage.assert_rows_flow();
    stage.assert_plugin_status();
    let status = answer(stage.server.get("/plugins/portables/pysam/status"));
    let document: Json = serde_json::from_str(&status.body).expect("JSON");
    let pid = u64::from(stage.server.plugin_pid("pysam"));
    assert_eq!(document["pid"].as_u64(), Some(pid), "{document}");
}

#[test]
fn host_37_functions_of_plugins_are_listed_once_with_their_plugin() {
    let Some(stage) = Stage::new() else { return };
    assert_eq!(stage.install().status, 201);
    let list = answer(stage.server.get("/plugins/udfs"));
    assert_eq!((list.status, list.body.as_str()), (200, r#"["revert"]"#));
    let one = answer(stage.server.get("/plugins/udfs/revert"));
    assert_eq!(
        (one.status, one.body.as_str()),
        (200, r#"{"name":"revert","plugin":"pysam"}"#)
    );
}

#[test]
fn there_are_no_native_plugins_to_download() {
    let server = Server::start();
    for symbols in ["sources", "sinks", "functions"] {
        let none = answer(server.get(&format!("/plugins/{symbols}/prebuild")));
        assert_eq!((none.status, none.body.as_str()), (200, "{}"), "{symbols}");
    }
    let other = answer(server.get("/plugins/others/prebuild"));
    assert_eq!(other.status, 404, "{other:?}");
    assert!(other.body.contains(r#""error":1002"#), "{other:?}");
}
