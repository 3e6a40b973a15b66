//! A real plugin asks the server about itself, and is refused everything else.

use std::path::Path;

use serde_json::Value as Json;

use crate::support::{Server, plugins, python, sign_in_needed, wait_for};

/// Asks with what its surroundings give it, writes down what it was told, and goes on as a plugin.
const CURIOUS: &str = r#"
import json, os, urllib.error, urllib.request
from ekuiper import plugin, PluginConfig, Function

API, TOKEN = os.environ["PLUGYARD_API"], os.environ["PLUGYARD_TOKEN"]

def ask(method, path, token=TOKEN):
    request = urllib.request.Request(API + path, method=method)
    if token:
        request.add_header("Authorization", "Bearer " + token)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return [answer.status, json.load(answer)]
    except urllib.error.HTTPError as error:
        return [error.code, None]

report = {
    "token": TOKEN,
    "self": ask("GET", "/v1/self"),
    "others": [ask(*it)[0] for it in [
        ("GET", "/v1/installations"),
        ("GET", "/v1/installations/portable:curious"),
        ("GET", "/v1/tokens"),
        ("GET", "/v1/events"),
        ("GET", "/v1/session"),
        ("POST", "/v1/tokens"),
        ("DELETE", "/v1/installations/portable:curious"),
        ("GET", "/plugins/portables"),
        ("POST", "/rules"),
        ("POST", "/stop"),
    ]],
    "anonymous": ask("GET", "/v1/self", None)[0],
}
path = os.path.join(os.environ["PLUGYARD_DATA_DIR"], "report.json")
with open(path + ".new", "w") as file:
    json.dump(report, file)
os.rename(path + ".new", path)

class Same(Function):
    def validate(self, args):
        return ""
    def exec(self, args, ctx):
        return args[0]
    def is_aggregate(self):
        return False

if __name__ == '__main__':
    plugin.start(PluginConfig("curious", {}, {}, {"curious_f": lambda: Same()}))
"#;

fn report(server: &Server) -> Json {
    let path = server.home.join("plugin-data/portable/curious/report.json");
    wait_for("the plugin's report", || {
        let text = std::fs::read_to_string(&path).ok()?;
        let _ = std::fs::remove_file(&path);
        serde_json::from_str(&text).ok()
    })
}

fn enters(server: &Server, token: &str) -> u16 {
    let request = server.get("/v1/self").bearer_auth(token);
    request.send().expect("an answer").status().as_u16()
}

fn install(server: &Server, directory: &Path) {
    let plugin = plugins::only_function(directory, "curious", CURIOUS);
    server.cli_ok(&["install", plugin.to_str().expect("UTF-8")]);
}

fn signed_in_server(home: &Path) -> Server {
    Server::start_in(home, sign_in_needed)
}

#[test]
fn a_plugin_reads_about_itself_and_its_token_ends_with_its_process() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut server = signed_in_server(&directory.path().join("home"));
    install(&server, directory.path());
    let first = report(&server);
    assert_eq!(first["self"][0], 200, "{first}");
    let own = &first["self"][1];
    assert_eq!(own["plugin"], "portable:curious");
    // It asks while it is being installed: nothing is in force yet.
    assert_eq!(own.get("version"), None);
    let others = first["others"].as_array().unwrap();
    assert!(others.iter().all(|status| *status == 403), "{others:?}");
    assert_eq!(first["anonymous"], 401);

    let token = first["token"].as_str().unwrap();
    assert_eq!(enters(&server, token), 200);
    let listed = server.cli_ok(&["token", "list", "--plugins"]).stdout;
    assert!(listed.contains("portable:curious"), "{listed}");
    let people = server.cli_ok(&["token", "list"]).stdout;
    assert!(!people.contains("curious"), "{people}");

    // Another process, another token.
    server.cli_ok(&["restart", "curious"]);
    let second = report(&server);
    let newer = second["token"].as_str().unwrap();
    assert_eq!(second["self"][1]["version"]["label"], "v1.0.0");
    assert_eq!(second["self"][1]["wanted"], "running");
    assert_ne!(newer, token);
    assert_eq!((enters(&server, token), enters(&server, newer)), (401, 200));

    // Another server, another again: what an earlier one gave out is void.
    server.kill();
    drop(server);
    let server = signed_in_server(&directory.path().join("home"));
    let third = report(&server);
    let newest = third["token"].as_str().unwrap();
    assert_eq!(
        (enters(&server, newer), enters(&server, newest)),
        (401, 200)
    );

    server.cli_ok(&["uninstall", "curious", "--yes"]);
    assert_eq!(enters(&server, newest), 401);
    // No secret of a plugin stands where it can be read later.
    let secret = newest.rsplit('_').next().unwrap();
    assert!(!server.log().contains(secret));
    let audit = server.cli_ok(&["audit", "-o", "json"]).stdout;
    assert!(!audit.contains(secret) && audit.contains("plugin:portable:curious"));
}

#[test]
fn the_compatible_routes_leave_the_plugins_name_in_the_audit_log() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    let package = plugins::zip(
        &plugins::pysam(directory.path()),
        &directory.path().join("pysam.zip"),
    );
    let form = reqwest::blocking::multipart::Form::new()
        .text("name", "pysam")
        .file("uploadFile", &package)
        .unwrap();
    let made = server
        .post("/plugins/portables")
        .multipart(form)
        .send()
        .unwrap();
    assert_eq!(made.status(), 201, "{}", made.text().unwrap());
    let gone = server.delete("/plugins/portables/pysam").send().unwrap();
    assert_eq!(gone.status(), 200);
    // Also one that fails.
    let again = server.delete("/plugins/portables/pysam").send().unwrap();
    assert_eq!(again.status(), 400);
    let words = ["audit", "--plugin", "portable:pysam", "-o", "json"];
    let log: Json = serde_json::from_str(&server.cli_ok(&words).stdout).unwrap();
    let rows: Vec<(&str, &str)> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |field: &str| row[field].as_str().unwrap();
            (text("action"), text("result"))
        })
        .collect();
    let delete = "DELETE /plugins/portables/{name}";
    assert_eq!(
        rows,
        [
            (delete, "400"),
            (delete, "ok"),
            ("POST /plugins/portables", "ok"),
        ]
    );
}

#[test]
fn before_a_plugin_goes_its_users_are_named() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path()).display().to_string();
    let server = Server::start();
    server.cli_ok(&["install", &plugin]);
    let shown = server.shown("pysam");
    assert_eq!(shown["used_by"], serde_json::json!([]));
    for (path, body) in [
        (
            "/streams",
            r#"{"sql":"CREATE STREAM s () WITH (TYPE=\"pyjson\", FORMAT=\"JSON\")"}"#,
        ),
        (
            "/rules",
            r#"{"id":"r1","sql":"SELECT revert(name) AS n FROM s","actions":[{"log":{}}]}"#,
        ),
    ] {
        let made = server.post(path).body(body).send().unwrap();
        assert_eq!(made.status(), 201, "{}", made.text().unwrap());
    }
    let users = serde_json::json!([
        { "kind": "rule", "name": "r1" },
        { "kind": "stream", "name": "s" },
    ]);
    assert_eq!(server.shown("pysam")["used_by"], users);
    let planned = server.cli_ok(&["uninstall", "pysam", "--dry-run", "-o", "json"]);
    let planned: Json = serde_json::from_str(&planned.stdout).unwrap();
    assert_eq!(planned["used_by"], users);
    // Without a terminal it refuses, and says for whose sake.
    let unsure = server.cli(&["uninstall", "pysam"]);
    assert_eq!(unsure.code, 2);
    assert!(unsure.stderr.contains("rule r1, stream s"), "{unsure:?}");
    let rests = server.cli_ok(&["disable", "pysam"]);
    assert!(
        rests.stderr.contains("note: rule r1, stream s"),
        "{rests:?}"
    );
    // Nothing is refused for it.
    server.cli_ok(&["enable", "pysam"]);
    let gone = server.cli_ok(&["uninstall", "pysam", "--yes"]);
    assert!(gone.stderr.contains("note: rule r1, stream s"), "{gone:?}");
}

#[test]
fn rules_and_plugins_are_counted() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path()).display().to_string();
    let server = Server::start();
    server.cli_ok(&["install", &plugin]);
    for (path, body) in [
        (
            "/streams",
            r#"{"sql":"CREATE STREAM s () WITH (TYPE=\"pyjson\", FORMAT=\"JSON\")"}"#,
        ),
        (
            "/rules",
            r#"{"id":"r1","sql":"SELECT name FROM s","actions":[{"log":{}}]}"#,
        ),
    ] {
        let made = server.post(path).body(body).send().unwrap();
        assert_eq!(made.status(), 201, "{}", made.text().unwrap());
    }
    let metrics = || server.get("/metrics").send().unwrap().text().unwrap();
    let value = |text: &str, line: &str| {
        let rest = text.lines().find_map(|it| it.strip_prefix(line))?;
        rest.trim().parse::<f64>().ok()
    };
    let text = wait_for("rows to be counted", || {
        let text = metrics();
        let came = value(
            &text,
            r#"plugyard_rule_records_in_total{rule="r1",node="sink"}"#,
        )?;
        (came >= 2.0).then_some(text)
    });
    for (line, expected) in [
        (r#"plugyard_rules{state="running"}"#, 1.0),
        (r#"plugyard_plugin_running{plugin="portable:pysam"}"#, 1.0),
        (
            r#"plugyard_plugin_restarts_total{plugin="portable:pysam"}"#,
            0.0,
        ),
        (
            r#"plugyard_rule_exceptions_total{rule="r1",node="op"}"#,
            0.0,
        ),
    ] {
        assert_eq!(value(&text, line), Some(expected), "{line}\n{text}");
    }
    // Each family is announced once.
    let mut families: Vec<&str> = text.lines().filter(|it| it.starts_with("# TYPE")).collect();
    let all = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), all, "{text}");
}
