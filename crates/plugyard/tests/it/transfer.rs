//! Configuration keys made over eKuiper's interface, and everything as one document, out and in again.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::support::{Answer, Server, answer, plugins, python, wait_for};

/// A plugin whose source says what it was configured with, and whose sink writes what it was configured with.
const TELLER: &str = r#"
from ekuiper import plugin, PluginConfig, Source, Sink
import time, os

class Teller(Source):
    def configure(self, datasource, conf):
        self.conf = conf
    def open(self, ctx):
        while True:
            ctx.emit({"speed": self.conf.get("speed"), "password": self.conf.get("password")}, None)
            time.sleep(0.05)
    def close(self, ctx):
        pass

class Hearer(Sink):
    def configure(self, conf):
        with open(os.path.join(os.environ["PLUGYARD_DATA_DIR"], "heard"), "w") as file:
            file.write(str(conf.get("color")) + " " + str("resourceId" in conf))
    def open(self, ctx):
        pass
    def collect(self, ctx, data):
        pass
    def close(self, ctx):
        pass

if __name__ == '__main__':
    plugin.start(PluginConfig("teller", {"teller": Teller}, {"hearer": Hearer}, {}))
"#;

/// The zip of that plugin.
fn teller(directory: &Path) -> PathBuf {
    let plugin = plugins::python(directory, "teller", TELLER, &["teller"], &["hearer"], &[]);
    let yaml = "default:\n  speed: 1\n  password: of-the-file\nFast:\n  speed: 2\n";
    std::fs::write(plugin.join("sources/teller.yaml"), yaml).expect("a file");
    plugins::zip(&plugin, &directory.join("teller.zip"))
}

fn install(server: &Server, zip: &Path) {
    let body = json!({"name": "teller", "file": format!("file://{}", zip.display())});
    let made = answer(server.post("/plugins/portables").json(&body));
    assert_eq!(made.status, 201, "{made:?}");
}

fn stream(server: &Server, name: &str, key: &str) {
    let sql = format!(r#"CREATE STREAM {name} () WITH (TYPE="teller", CONF_KEY="{key}")"#);
    let made = answer(server.post("/streams").json(&json!({"sql": sql})));
    assert_eq!(made.status, 201, "{made:?}");
}

fn rule(server: &Server, id: &str, stream: &str, sink: &Json) {
    let rule = json!({"id": id, "sql": format!("SELECT * FROM {stream}"), "actions": [sink]});
    let made = answer(server.post("/rules").json(&rule));
    assert_eq!(made.status, 201, "{made:?}");
}

/// The first row of a rule.
fn row(server: &Server, id: &str) -> Json {
    let tail = server.cli_ok(&["rule", "tail", id, "--count", "1", "-o", "ndjson"]);
    let line = tail.stdout.lines().next().expect("a line");
    serde_json::from_str(line).expect("a row")
}

fn read(answer: &Answer) -> Json {
    serde_json::from_str(&answer.body).expect("JSON")
}

fn key(server: &Server, path: &str, body: &Json) -> Answer {
    answer(server.put(&format!("/metadata/{path}")).json(body))
}

#[test]
fn a_configuration_key_is_set_shown_used_kept_and_taken_away() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let home = tempfile::tempdir().expect("a directory");
    let zip = teller(directory.path());
    let mut server = Server::start_in(home.path(), |_| {});
    let path = "sources/teller/confKeys/fast";
    // Nothing serves it yet.
    let early = key(&server, path, &json!({"speed": 3}));
    assert_eq!(
        (early.status, early.body.as_str()),
        (
            400,
            "{\"error\":5000,\"message\":\"This plugin was not found:sources.teller\"}\n"
        )
    );
    install(&server, &zip);
    let none = answer(server.get("/metadata/resources"));
    assert_eq!(none.body, r#"{"sinks":null,"sources":null}"#);
    for body in [
        json!({"speed": 3, "password": "told"}),
        json!({"speed": 4, "password": "******"}),
    ] {
        let set = key(&server, path, &body);
        assert_eq!((set.status, set.body.as_str()), (200, ""));
    }
    let shown = answer(server.get("/metadata/sources/yaml/teller"));
    assert_eq!(
        read(&shown),
        json!({"default": {"speed": 1, "password": "******"}, "Fast": {"speed": 4, "password": "******"}})
    );
    let resources = answer(server.get("/metadata/resources"));
    assert_eq!(
        resources.body,
        r#"{"sinks":null,"sources":[{"fast":"teller"}]}"#
    );
    for (path, body, message) in [
        (
            "sources/teller/confKeys/a%20b",
            "{}",
            "id 'a b' contains invalid characters",
        ),
        (
            "sources/teller/confKeys/k",
            "[1]",
            "Type conversion failed:teller.",
        ),
        (
            "sources/teller/confKeys/k",
            "{",
            "Type conversion failed:teller.",
        ),
        (
            "sources/teller/confKeys/k",
            r#"{"token":"******"}"#,
            "`token` is masked, and its value is not known here",
        ),
    ] {
        let refused = answer(server.put(&format!("/metadata/{path}")).body(body));
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.body.contains(message), "{}", refused.body);
    }
    stream(&server, "fast", "fast");
    rule(&server, "fast", "fast", &json!({"memory": {"topic": "t"}}));
    assert_eq!(
        row(&server, "fast"),
        json!({"password": "told", "speed": 4})
    );

    // It is there after a restart, and gone when it is taken away.
    server.terminate();
    let server = Server::start_in(home.path(), |_| {});
    assert_eq!(
        row(&server, "fast"),
        json!({"password": "told", "speed": 4})
    );
    let path = "/metadata/sources/teller/confKeys/fast";
    for _ in 0..2 {
        let gone = answer(server.delete(path));
        assert_eq!((gone.status, gone.body.as_str()), (200, ""));
    }
    answer(server.post("/rules/fast/restart"));
    wait_for("the rule to use the file's section", || {
        (row(&server, "fast") == json!({"password": "of-the-file", "speed": 2})).then_some(())
    });
}

#[test]
fn a_sink_takes_the_key_that_its_action_names() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start_in(home.path(), |_| {});
    install(&server, &teller(directory.path()));
    let set = key(
        &server,
        "sinks/hearer/confKeys/red",
        &json!({"color": "red"}),
    );
    assert_eq!(set.status, 200, "{set:?}");
    stream(&server, "s", "");
    let heard = home.path().join("plugin-data/portable/teller/heard");
    for (action, expect) in [
        (json!({"resourceId": "red"}), "red False"),
        (json!({"resourceId": "red", "color": "own"}), "own False"),
        (json!({"resourceId": "nosuch"}), "None True"),
    ] {
        rule(&server, "r", "s", &json!({"hearer": action}));
        wait_for("the sink's configuration", || {
            (std::fs::read_to_string(&heard).ok()? == expect).then_some(())
        });
        assert_eq!(answer(server.delete("/rules/r")).status, 200);
    }
}

#[test]
fn everything_goes_out_as_one_document_and_in_again() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let zip = teller(directory.path());
    let server = Server::start();
    install(&server, &zip);
    key(
        &server,
        "sources/teller/confKeys/fast",
        &json!({"speed": 3, "password": "told"}),
    );
    stream(&server, "fast", "fast");
    rule(&server, "r", "fast", &json!({"memory": {"topic": "t"}}));
    let exported = answer(server.get("/data/export"));
    assert_eq!(exported.status, 200, "{exported:?}");
    let request =
        json!({"name": "teller", "file": format!("file://{}", zip.display()), "shellParas": null});
    let document = read(&exported);
    let text = |value: &Json| value.as_str().map(str::to_owned).expect("a text");
    assert_eq!(document["portablePlugins"]["teller"], request.to_string());
    assert!(text(&document["streams"]["fast"]).starts_with("CREATE STREAM fast"));
    assert!(text(&document["rules"]["r"]).contains("SELECT * FROM fast"));
    let keys: Json =
        serde_json::from_str(&text(&document["sourceConfig"]["teller"])).expect("JSON");
    assert_eq!(keys, json!({"fast": {"password": "******", "speed": 3}}));
    assert_eq!(
        (&document["tables"], &document["Schema"]),
        (&json!({}), &json!({}))
    );

    // The same document changes nothing that shows; the plugin goes on in its process.
    let pid = server.plugin_pid("teller");
    stream(&server, "more", "");
    let import =
        |path: &str, content: &str| answer(server.post(path).json(&json!({ "content": content })));
    let taken = import("/data/import", &exported.body);
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(read(&taken)["ErrorMsg"], "");
    assert_eq!(server.plugin_pid("teller"), pid);
    assert_eq!(answer(server.get("/streams")).body, r#"["fast"]"#);
    assert_eq!(row(&server, "r"), json!({"password": "told", "speed": 3}));

    // What cannot be read takes nothing away, and what cannot be taken is told by name.
    for (body, message) in [
        (
            json!({"content": "{"}),
            "configuration unmarshal with error",
        ),
        (
            json!({"content": "[]"}),
            "configuration unmarshal with error",
        ),
        (json!({}), "Invalid body: must specify content or file"),
        (
            json!({"content": "{}", "file": "x"}),
            "Invalid body: Cannot specify both content and file",
        ),
    ] {
        let refused = answer(server.post("/data/import").json(&body));
        assert!(
            refused.status == 400 && refused.body.contains(message),
            "{refused:?}"
        );
    }
    assert_eq!(answer(server.get("/streams")).body, r#"["fast"]"#);
    let half = json!({
        "streams": {"good": "CREATE STREAM good () WITH (TYPE=\"teller\")", "bad": "CREATE"},
        "tables": {"t": "CREATE TABLE t ()"},
        "portablePlugins": {"other": r#"{"file":"nowhere"}"#},
        "sinkConfig": {"hearer": r#"{"k":{"secret":"******"}}"#},
    });
    let half = import("/data/import?partial=1", &half.to_string());
    assert_eq!(half.status, 400, "{half:?}");
    let told: Json = serde_json::from_str(&text(&read(&half)["message"])).expect("a document");
    assert!(told["streams"]["good"].is_null() && told["streams"]["bad"].is_string());
    assert_eq!(told["tables"]["t"], "not supported by this server");
    assert_eq!(told["portablePlugins"]["other"], "invalid uri nowhere");
    assert!(text(&told["sinkConfig"]["hearer"]).contains("masked"));
    assert_eq!(answer(server.get("/streams")).body, r#"["fast","good"]"#);

    // An empty document takes everything away; the first brings it back, but for what was masked.
    assert_eq!(import("/data/import", "{}").status, 200);
    assert_eq!(answer(server.get("/plugins/portables")).body, "[]");
    assert_eq!(answer(server.get("/rules")).body, "[]");
    let back = import("/data/import", &exported.body);
    assert_eq!(back.status, 400, "{back:?}");
    let told: Json = serde_json::from_str(&text(&read(&back)["message"])).expect("a document");
    assert!(text(&told["sourceConfig"]["teller"]).contains("`password` is masked"));
    assert_eq!(told["portablePlugins"], json!({}));
    assert_eq!(row(&server, "r")["password"], "of-the-file");
}
