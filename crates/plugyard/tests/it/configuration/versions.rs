//! Two versions of a plugin run beside each other: each reads its own values.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{definition, write_definition};
use crate::support::{Server, plugins, python, wait_for};

/// Reads again and again what its file and the server say of its values, and writes it down under its version.
/// The second version does so for as long as nobody lets it begin.
const WATCHER: &str = r#"
import json, os, threading, time, urllib.request
from ekuiper import plugin, PluginConfig, Function

VERSION = "%VERSION%"
API, TOKEN = os.environ["PLUGYARD_API"], os.environ["PLUGYARD_TOKEN"]
FILE, DATA = os.environ["PLUGYARD_CONFIG_FILE"], os.environ["PLUGYARD_DATA_DIR"]
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))

def told():
    request = urllib.request.Request(API + "/v1/self/config")
    request.add_header("Authorization", "Bearer " + TOKEN)
    with OPENER.open(request, timeout=60) as answer:
        return json.load(answer)

def report(count):
    with open(FILE) as file:
        own = json.load(file)
    path = os.path.join(DATA, "version-" + VERSION)
    with open(path + ".new", "w") as file:
        json.dump({"count": count, "file": own, "told": told()}, file)
    os.rename(path + ".new", path)

def follow():
    count = 0
    while True:
        count += 1
        report(count)
        time.sleep(0.02)

class Same(Function):
    def validate(self, args):
        return ""
    def exec(self, args, ctx):
        return args[0]
    def is_aggregate(self):
        return False

if __name__ == '__main__':
    threading.Thread(target=follow, daemon=True).start()
    while VERSION == "2" and not os.path.exists(os.path.join(DATA, "begin")):
        time.sleep(0.01)
    plugin.start(PluginConfig("watcher", {}, {}, {"watcher_f": lambda: Same()}))
"#;

fn version(directory: &Path, version: &str, definition: &Json) -> String {
    let source = WATCHER.replace("%VERSION%", version);
    let plugin = plugins::only_function(directory, "watcher", &source);
    write_definition(&plugin, definition);
    plugin.to_str().expect("UTF-8").to_owned()
}

/// The next thing that a version's process reads: nothing that it read before this was asked.
fn next(server: &Server, version: &str) -> Json {
    let path = server
        .home
        .join("plugin-data/portable/watcher")
        .join(format!("version-{version}"));
    let now = || -> Option<Json> {
        let text = std::fs::read_to_string(&path).ok()?;
        serde_json::from_str(&text).ok()
    };
    let count = |report: &Json| report["count"].as_u64().expect("a count");
    let seen = now().as_ref().map_or(0, count);
    wait_for("the process to read its values", || {
        now().filter(|report| count(report) > seen + 1)
    })
}

#[test]
fn until_an_upgrade_takes_effect_each_process_reads_the_values_of_its_version() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(|command| {
        // The second version takes its time until the test lets it begin.
        command.env("PLUGYARD__PORTABLE__INIT_TIMEOUT", "5m");
    });
    let first = version(directory.path(), "1", &definition());
    server.cli_ok(&["install", &first]);
    server.cli_ok(&["config", "set", "watcher", "TIMEOUT=60"]);

    let mut newer = definition();
    newer["version"] = json!("2.0.0");
    newer["fields"]["NOTE"]["default"] = json!("from the second");
    newer["fields"]["EXTRA"] = json!({ "type": "text", "label": "Extra", "default": "new" });
    let second = version(directory.path(), "2", &newer);
    server.cli_ok(&["upgrade", "--no-wait", "watcher", &second]);

    let to_come = next(&server, "2");
    let in_force = next(&server, "1");
    assert_eq!(to_come["told"], to_come["file"]);
    assert_eq!(to_come["told"]["revision"], 3);
    assert_eq!(to_come["told"]["values"]["EXTRA"], "new");
    assert_eq!(to_come["told"]["values"]["NOTE"], "from the second");
    assert_eq!(to_come["told"]["values"]["TIMEOUT"], 60);
    assert_eq!(in_force["told"], in_force["file"]);
    assert_eq!(in_force["told"]["revision"], 2);
    assert_eq!(in_force["told"]["values"].get("EXTRA"), None);
    assert_eq!(in_force["told"]["values"]["NOTE"], Json::Null);

    // A value that is set meanwhile is for both, in the form of each.
    server.cli_ok(&["config", "set", "watcher", "TIMEOUT=61"]);
    for (of, revision) in [("1", 3), ("2", 4)] {
        let read = next(&server, of);
        assert_eq!(read["told"], read["file"]);
        assert_eq!(read["told"]["values"]["TIMEOUT"], 61);
        assert_eq!(read["told"]["revision"], revision);
    }

    std::fs::write(server.home.join("plugin-data/portable/watcher/begin"), "").unwrap();
    wait_for("the upgrade", || {
        let shown = server.get("/v1/installations/watcher").send().ok()?;
        let shown: Json = shown.json().ok()?;
        shown["operation"].is_null().then_some(())
    });
    let after = next(&server, "2");
    assert_eq!(after["told"], after["file"]);
    assert_eq!(after["told"]["revision"], 4);
    assert_eq!(after["told"]["values"]["EXTRA"], "new");
}
