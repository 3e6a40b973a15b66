//! What rules say of the plugins they need, and what becomes of them without: with the real SDK.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::support::{Server, answer, plugins, python, wait_for};

/// pysam, or another plugin with its symbols.
fn install(server: &Server, directory: &Path, name: &str) {
    let at = directory.join(format!("of-{name}"));
    let plugin = plugins::pysam(&at);
    let zip = directory.join(format!("{name}.zip"));
    if name != "pysam" {
        let (manifest, script) = (plugin.join("pysam.json"), plugin.join("pysam.py"));
        let program = std::fs::read_to_string(&script).expect("a program");
        let program = program.replace(r#""pysam""#, &format!("\"{name}\""));
        std::fs::write(&script, program).expect("a program");
        std::fs::rename(&manifest, plugin.join(format!("{name}.json"))).expect("a manifest");
    }
    let zip = plugins::zip(&plugin, &zip);
    let body = json!({"name": name, "file": format!("file://{}", zip.display())});
    let installed = answer(server.post("/plugins/portables").json(&body));
    assert_eq!(installed.status, 201, "{}", installed.body);
}

fn remove(server: &Server, name: &str) {
    let removed = answer(server.delete(&format!("/plugins/portables/{name}")));
    assert_eq!(removed.status, 200, "{}", removed.body);
}

fn status(server: &Server) -> Json {
    let answer = answer(server.get("/rules/r/status"));
    serde_json::from_str(&answer.body).expect("JSON")
}

fn sent(status: &Json) -> u64 {
    status["sink_print_0_0_records_out_total"]
        .as_u64()
        .unwrap_or(0)
}

/// A rule that needs a source, a sink and a function.
fn start(server: &Server) {
    let stream = r#"CREATE STREAM s () WITH (TYPE="pyjson")"#;
    let made = answer(server.post("/streams").json(&json!({ "sql": stream })));
    assert_eq!(made.status, 201, "{}", made.body);
    let rule = json!({"id": "r", "sql": "SELECT revert(name) AS r FROM s",
        "actions": [{"print": {"requireAck": true}}]});
    let made = answer(server.post("/rules").json(&rule));
    assert_eq!(made.status, 201, "{}", made.body);
    wait_for("rows", || (sent(&status(server)) > 1).then_some(()));
}

#[test]
fn a_rule_goes_on_with_whichever_plugin_has_its_symbols() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    install(&server, directory.path(), "pysam");
    start(&server);
    for (gone, next) in [("pysam", "other"), ("other", "pysam")] {
        remove(&server, gone);
        let text = format!("plugin {gone} was removed");
        let before = wait_for("the rule to say it", || {
            let status = status(&server);
            (status["source_s_0_connection_last_disconnected_message"] == text.as_str()
                && status["sink_print_0_0_connection_status"] == -1)
                .then_some(status)
        });
        assert_eq!(before["status"], "running");
        install(&server, directory.path(), next);
        wait_for("rows through the other plugin", || {
            let status = status(&server);
            (sent(&status) > sent(&before) + 2 && status["source_s_0_connection_status"] == 1)
                .then_some(())
        });
        let plugin = answer(server.get(&format!("/plugins/portables/{next}/status")));
        assert!(
            plugin
                .body
                .starts_with(r#"{"refCount":{"r":2},"status":"running""#),
            "{}",
            plugin.body
        );
    }
}

#[test]
fn a_rule_over_a_stopped_plugin_is_refused_with_the_way_out() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    install(&server, directory.path(), "pysam");
    start(&server);
    server.cli_ok(&["disable", "pysam"]);
    let why = "plugin pysam, which provides it, is stopped; `plugyard enable pysam` starts it";
    for (sql, sink, start) in [
        (
            "SELECT revert(name) FROM s",
            "log",
            "function revert not found: ",
        ),
        ("SELECT * FROM s", "log", "source type pyjson not found: "),
    ] {
        let rule = json!({"id": "x", "sql": sql, "actions": [{sink: {}}]});
        let refused = answer(server.post("/rules").json(&rule));
        assert_eq!(refused.status, 400);
        assert!(
            refused.body.contains(&format!("{start}{why}")),
            "{}",
            refused.body
        );
    }
    // Removed, it cannot be enabled.
    remove(&server, "pysam");
    let rule = json!({"id": "x", "sql": "SELECT revert(name) FROM s", "actions": [{"log": {}}]});
    let refused = answer(server.post("/rules").json(&rule));
    assert!(
        refused
            .body
            .contains("plugin pysam, which provided it, was removed"),
        "{}",
        refused.body
    );
}

#[test]
fn a_rule_shows_one_line_of_what_an_ended_plugin_wrote() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    install(&server, directory.path(), "pysam");
    start(&server);
    let pid = i32::try_from(server.plugin_pid("pysam")).expect("a pid");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).expect("a pid"),
        rustix::process::Signal::KILL,
    )
    .expect("a process");
    let status = wait_for("the rule to notice", || {
        let status = status(&server);
        status["source_s_0_last_exception"]
            .as_str()
            .is_some_and(|text| text.starts_with("the process of plugin pysam ended"))
            .then_some(status)
    });
    for key in [
        "source_s_0_last_exception",
        "source_s_0_connection_last_disconnected_message",
    ] {
        let text = status[key].as_str().expect("a text");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with("; `plugyard logs pysam` has more"), "{text}");
    }
}

#[test]
fn rule_explain_shows_the_plan_of_a_rule_and_of_one_that_is_not_made() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    install(&server, directory.path(), "pysam");
    start(&server);
    let shown = server.cli_ok(&["rule", "explain", "r"]).stdout;
    for part in [
        "source_s",
        "op_2_project",
        "revert()",
        "sink_print_0",
        "pysam v1.0.0",
        "requireAck=true",
        "restartStrategy",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let json = server
        .cli_ok(&["rule", "explain", "r", "-o", "json"])
        .stdout;
    let plan: Json = serde_json::from_str(&json).expect("JSON");
    let provider = json!({"plugin": "pysam", "version": "v1.0.0"});
    for at in ["/source", "/functions/0", "/sinks/0"] {
        assert_eq!(plan.pointer(at).expect(at)["provider"], provider, "{at}");
    }
    let draft = server
        .cli_ok(&[
            "rule",
            "explain",
            "--sql",
            "SELECT count(*) AS n FROM s GROUP BY COUNTWINDOW(3)",
            "--option",
            "bufferLength=9",
            "-o",
            "json",
        ])
        .stdout;
    let draft: Json = serde_json::from_str(&draft).expect("JSON");
    assert_eq!(draft["operators"][0]["window"]["rows"], 3);
    assert_eq!(draft["options"]["bufferLength"], 9);
    assert_eq!(draft["sinks"][0]["provider"], json!({"builtin": true}));
    let rules = server.cli_ok(&["rule", "list", "-o", "name"]).stdout;
    assert_eq!(rules.trim(), "r");
    let wrong = server.cli(&["rule", "explain", "--sql", "SELECT nofn(a) FROM s"]);
    assert!(
        wrong.stderr.contains("function nofn not found"),
        "{wrong:?}"
    );
    let missing = server.cli(&["rule", "explain", "nope"]);
    assert!(missing.stderr.contains("nope"), "{missing:?}");
}
