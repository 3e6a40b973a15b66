//! A real plugin is configured: over HTTP, by the command line, and read by itself.

mod commands;
mod rules;
mod versions;

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::support::{Server, leaks, plugins, plugyard, python, run, sign_in_needed, wait_for};

const SECRET: &str = "sk-hush-0123456789";

/// Writes down what its file and the server say of its values, each time somebody asks its function.
const READER: &str = r#"
import json, os, threading, urllib.request
from ekuiper import plugin, PluginConfig, Function

API, TOKEN = os.environ["PLUGYARD_API"], os.environ["PLUGYARD_TOKEN"]
FILE = os.environ["PLUGYARD_CONFIG_FILE"]
DATA = os.environ["PLUGYARD_DATA_DIR"]

def ask(path):
    request = urllib.request.Request(API + path)
    request.add_header("Authorization", "Bearer " + TOKEN)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=60)

def report():
    with open(FILE) as file:
        own = json.load(file)
    with ask("/v1/self/config") as answer:
        told = json.load(answer)
    # The processes of two versions may write at once, each for itself.
    path = os.path.join(DATA, "report-" + TOKEN[-8:])
    with open(path + ".new", "w") as file:
        json.dump({"file": own, "told": told}, file)
    os.rename(path + ".new", path)

def follow():
    with ask("/v1/self/config/events") as events:
        for line in events:
            if line.startswith(b"data:"):
                report()

class Same(Function):
    def validate(self, args):
        return ""
    def exec(self, args, ctx):
        return args[0]
    def is_aggregate(self):
        return False

if __name__ == '__main__':
    report()
    threading.Thread(target=follow, daemon=True).start()
    plugin.start(PluginConfig("reader", {}, {}, {"reader_f": lambda: Same()}))
"#;

fn definition() -> Json {
    json!({
        "version": "1.0.0",
        "fields": {
            "API_KEY": { "type": "password", "label": "Key", "validation": "nullable|string|min:10" },
            "TIMEOUT": { "type": "number", "label": "Timeout", "default": 30, "validation": "integer|min:1|max:300" },
            "NOTE": { "type": "text", "label": "Note" },
        },
    })
}

fn write_definition(plugin: &Path, definition: &Json) {
    let path = plugin.join("plugyard.config.json");
    std::fs::write(path, definition.to_string()).expect("a file");
}

fn installed(server: &Server, directory: &Path) -> PathBuf {
    let plugin = plugins::only_function(directory, "reader", READER);
    write_definition(&plugin, &definition());
    server.cli_ok(&["install", plugin.to_str().expect("UTF-8")]);
    plugin
}

/// What one of the plugin's processes read as soon as it has read `key` as `value`, at that revision or later.
fn read(server: &Server, revision: u64, key: &str, value: &Json) -> Json {
    let directory = server.home.join("plugin-data/portable/reader");
    wait_for("the plugin to read its values", || {
        std::fs::read_dir(&directory).ok()?.find_map(|entry| {
            let text = std::fs::read_to_string(entry.ok()?.path()).ok()?;
            let report: Json = serde_json::from_str(&text).ok()?;
            let file = &report["file"];
            let is_late = file["revision"].as_u64()? >= revision;
            (is_late && file["values"].get(key) == Some(value)).then_some(report)
        })
    })
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

/// Every file below a directory whose bytes hold `needle`.
fn holding(directory: &Path, needle: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let Ok(about) = path.symlink_metadata() else {
            continue;
        };
        if about.is_dir() {
            holding(&path, needle, found);
        } else if about.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            let has = bytes
                .windows(needle.len())
                .any(|it| it == needle.as_bytes());
            found.extend(has.then_some(path));
        }
    }
}

#[expect(
    clippy::too_many_lines,
    reason = "one course of events, each step on what the one before left"
)]
#[test]
fn a_plugin_reads_its_values_and_follows_their_changes() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let mut server = Server::start_in(&home, |command| {
        sign_in_needed(command);
        command.env("PLUGYARD_LOG", "debug,plugyard=trace");
    });
    leaks::secret(SECRET);
    let plugin = installed(&server, directory.path());
    let first = read(&server, 1, "TIMEOUT", &json!(30));
    assert_eq!(first["file"], first["told"]);
    assert_eq!(first["file"]["revision"], 1);

    let said = server.cli_ok(&[
        "config",
        "set",
        "reader",
        "TIMEOUT=60",
        &format!("API_KEY={SECRET}"),
    ]);
    assert!(!said.stdout.contains(SECRET) && !said.stderr.contains(SECRET));
    let second = read(&server, 2, "TIMEOUT", &json!(60));
    assert_eq!(second["file"]["values"]["API_KEY"], SECRET);
    assert_eq!(second["told"]["values"]["API_KEY"], SECRET);

    let refused = server.cli(&["config", "set", "reader", "TIMEOUT=0", "NOTE=x"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let shown = json(
        &server
            .cli_ok(&["config", "get", "reader", "-o", "json"])
            .stdout,
    );
    assert_eq!(shown["fields"]["API_KEY"]["value"], "********");
    assert_eq!(shown["fields"]["NOTE"]["value"], Json::Null);
    assert_eq!(shown["revision"], 2);
    let stale = server.cli(&["config", "set", "reader", "NOTE=x", "--if-revision", "1"]);
    assert_eq!(stale.code, 5, "{stale:?}");

    // What an upgrade would do, and does.
    let mut newer = definition();
    newer["version"] = json!("2.0.0");
    newer["fields"]["TIMEOUT"]["validation"] = json!("integer|min:1|max:50");
    newer["fields"]["EXTRA"] = json!({ "type": "text", "label": "Extra", "default": "new" });
    write_definition(&plugin, &newer);
    let path = plugin.to_str().unwrap();
    let plan = server.cli(&["config", "plan", "reader", path, "-o", "json"]);
    assert_eq!(plan.code, 0, "{plan:?}");
    assert_eq!(json(&plan.stdout)["added"], json!(["EXTRA"]));
    assert_eq!(json(&plan.stdout)["issues"][0]["key"], "TIMEOUT");
    let gate = server.cli(&["config", "plan", "reader", path, "--fail-on", "invalid"]);
    assert_eq!(gate.code, 1, "{gate:?}");
    server.cli_ok(&["upgrade", "reader", path]);
    let upgraded = read(&server, 3, "EXTRA", &json!("new"));
    assert_eq!(upgraded["file"]["values"]["TIMEOUT"], 60);
    assert_eq!(upgraded["file"]["values"]["API_KEY"], SECRET);
    server.cli_ok(&["rollback", "reader"]);
    wait_for("the old definition to be back", || {
        let shown = json(
            &server
                .cli_ok(&["config", "get", "reader", "-o", "json"])
                .stdout,
        );
        shown["fields"].get("EXTRA").is_none().then_some(())
    });

    // Who changed what, and back.
    let history = json(
        &server
            .cli_ok(&["config", "history", "reader", "-o", "json"])
            .stdout,
    );
    let actions: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["rollback", "upgrade", "put", "install"]);
    server.cli_ok(&["config", "restore", "reader", "1"]);
    let restored = read(&server, 5, "TIMEOUT", &json!(30));
    assert_eq!(restored["file"]["values"]["API_KEY"], Json::Null);

    // Out and in, with the secret sealed.
    server.cli_ok(&["config", "restore", "reader", "2"]);
    let recipient = server.cli_ok(&["secrets", "recipient"]).stdout;
    let export = server.cli_ok(&[
        "config",
        "export",
        "reader",
        "--recipient",
        recipient.trim(),
    ]);
    let exported = directory.path().join("export.json");
    std::fs::write(&exported, &export.stdout).unwrap();
    server.cli_ok(&["config", "reset", "reader", "--yes"]);
    server.cli_ok(&["config", "import", "reader", exported.to_str().unwrap()]);
    server.cli_ok(&["secrets", "rotate"]);
    read(&server, 8, "API_KEY", &json!(SECRET));

    let log = server.log();
    assert!(!log.contains(SECRET), "the log has the secret");
    assert!(server.terminate().success());
    // The plugin wrote it down itself.
    std::fs::remove_dir_all(home.join("plugin-data")).unwrap();
    let mut found = Vec::new();
    holding(directory.path(), SECRET, &mut found);
    assert_eq!(found, Vec::<PathBuf>::new());

    // The key can be changed without a server, too; without it the secret is set and cannot be read.
    let rotated = run(plugyard(&home).args(["secrets", "rotate", "-o", "json"]));
    assert_eq!(json(&rotated.stdout)["data_keys"], 2, "{rotated:?}");
    std::fs::rename(home.join("keys/master.key"), directory.path().join("kept")).unwrap();
    let doctor = run(plugyard(&home).args(["doctor", "-o", "json"]));
    let doctor = json(&doctor.stdout);
    let check = |name: &str| {
        let mut checks = doctor["checks"].as_array().unwrap().iter();
        checks.find(|it| it["check"] == name).unwrap()["result"].clone()
    };
    assert_eq!(check("master key"), "missing");
    let server = Server::start_in(&home, sign_in_needed);
    assert!(server.log().contains("master.key"), "{}", server.log());
    let shown = json(
        &server
            .cli_ok(&["config", "get", "reader", "-o", "json"])
            .stdout,
    );
    assert_eq!(shown["fields"]["API_KEY"]["unreadable"], true);
    let refused = server.cli(&["config", "set", "reader", &format!("API_KEY={SECRET}")]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("master.key"), "{refused:?}");
    std::fs::rename(directory.path().join("kept"), home.join("keys/master.key")).unwrap();
    wait_for("the key to be found again", || {
        let ended = server.cli(&["config", "set", "reader", "API_KEY=another-secret"]);
        (ended.code == 0).then_some(())
    });
}

#[test]
fn of_two_clients_with_the_same_tag_one_is_refused() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start();
    let plugin = plugins::only_function(directory.path(), "reader", READER);
    write_definition(&plugin, &definition());
    server.cli_ok(&["install", "--no-wait", plugin.to_str().unwrap()]);
    let path = "/v1/installations/reader/config";
    let tag = wait_for("the configuration", || {
        let answer = server.get(path).send().ok()?;
        let tag = answer.headers().get("etag")?.to_str().ok()?.to_owned();
        answer.status().is_success().then_some(tag)
    });
    let put = |value: &str| {
        let request = server.put(path).header("if-match", &tag);
        let answer = request.json(&json!({ "NOTE": value })).send().unwrap();
        answer.status().as_u16()
    };
    let mut statuses = std::thread::scope(|scope| {
        let both = [scope.spawn(|| put("a")), scope.spawn(|| put("b"))];
        both.map(|it| it.join().unwrap())
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    for (body, status) in [
        ("{bad", 400),
        ("[]", 400),
        (r#"{"NOPE":1}"#, 422),
        (r#"{"NOTE":["x"]}"#, 422),
        (r#"{"values":{"NOTE":"c"},"revision":1}"#, 409),
        (r#"{"values":{"NOTE":"c"}}"#, 200),
        ("{}", 200),
    ] {
        let answer = server.put(path).body(body).send().unwrap();
        assert_eq!(answer.status().as_u16(), status, "{body}");
    }
    let large = format!(r#"{{"NOTE":"{}"}}"#, "x".repeat(2 << 20));
    let answer = server.put(path).body(large).send().unwrap();
    assert_eq!(answer.status().as_u16(), 413);
}
