//! Configuration keys made over eKuiper's interface, and everything as one document, out and in again.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::support::leaks::secret;
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

    // It is there after a restart, and gone when it is taken away. What is secret stands nowhere in clear.
    let sealed = json!({"password": secret("a-key-of-its-own-7291")});
    assert_eq!(
        key(&server, "sources/teller/confKeys/sealed", &sealed).status,
        200
    );
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
fn keys_that_an_earlier_version_kept_in_clear_are_taken_over() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let home = tempfile::tempdir().expect("a directory");
    let zip = teller(directory.path());
    let mut server = Server::start_in(home.path(), |_| {});
    install(&server, &zip);
    server.terminate();
    let file = server.home.join("data/portable.json");
    let earlier = json!({
        "confKeys": {"sources": {"teller": {
            "fast": {"speed": 9},
            "other": {"password": secret("kept-in-clear-4410")},
        }}},
        "requests": {},
    });
    std::fs::write(&file, earlier.to_string()).expect("a file");
    for _ in 0..2 {
        let mut server = Server::start_in(home.path(), |_| {});
        assert!(!file.exists());
        let shown = read(&answer(server.get("/metadata/sources/yaml/teller")));
        assert_eq!(shown["other"], json!({"password": "******"}));
        assert_eq!(shown["Fast"]["speed"], 9);
        server.terminate();
    }
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
    // What the key says counts as what the action says.
    let selector = json!({"connectionSelector": "mqtt.one"});
    assert_eq!(
        key(&server, "sinks/hearer/confKeys/linked", &selector).status,
        200
    );
    let rule = json!({"id": "linked", "sql": "SELECT * FROM s", "actions": [{"hearer": {"resourceId": "linked"}}]});
    let refused = answer(server.post("/rules").json(&rule));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(
        refused.body.contains("connectionSelector is not supported"),
        "{refused:?}"
    );
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
    assert_eq!(document["portablePlugins"]["teller"], request.to_string());
    assert!(text(&document["streams"]["fast"]).starts_with("CREATE STREAM fast"));
    assert!(text(&document["rules"]["r"]).contains("SELECT * FROM fast"));
    let keys = read_text(&document["sourceConfig"]["teller"]);
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

#[test]
fn what_ends_with_the_server_stays_out_of_the_document() {
    let server = Server::start();
    for (name, option) in [("stays", ""), ("passing", r#", TEMP="true""#)] {
        let sql =
            format!(r#"CREATE STREAM {name} () WITH (TYPE="memory", DATASOURCE="t"{option})"#);
        let made = answer(server.post("/streams").json(&json!({"sql": sql})));
        assert_eq!(made.status, 201, "{made:?}");
    }
    for (id, stream, temp) in [
        ("kept", "stays", false),
        ("over", "passing", false),
        ("gone", "stays", true),
    ] {
        let rule = json!({"id": id, "sql": format!("SELECT * FROM {stream}"), "temp": temp,
            "actions": [{"log": {}}]});
        let made = answer(server.post("/rules").json(&rule));
        assert_eq!(made.status, 201, "{made:?}");
    }
    let names = |of: &Json| -> Vec<String> {
        let entries = of.as_object().expect("an object");
        entries.keys().cloned().collect()
    };
    let document = read(&exported(&server));
    assert_eq!(names(&document["streams"]), ["stays"]);
    assert_eq!(names(&document["rules"]), ["kept", "over"]);
    assert_eq!(
        document["notCarried"],
        json!({"streams.passing": "it is temporary", "rules.gone": "it is temporary"})
    );
    let some = answer(server.post("/data/export").json(&["over", "gone"]));
    let some = read(&some);
    assert_eq!(names(&some["rules"]), ["over"]);
    assert_eq!(some["streams"], json!({}));
    assert_eq!(some["notCarried"], document["notCarried"]);
}

fn text(value: &Json) -> String {
    value.as_str().map(str::to_owned).expect("a text")
}

/// The document a server exports.
fn exported(server: &Server) -> Answer {
    let exported = answer(server.get("/data/export"));
    assert_eq!(exported.status, 200, "{exported:?}");
    exported
}

#[test]
fn uploads_and_plugins_without_an_address_go_to_another_server() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (first_home, second_home) = (
        directory.path().join("a home"),
        directory.path().join("another"),
    );
    for home in [&first_home, &second_home] {
        std::fs::create_dir(home).expect("a directory");
    }
    let first = Server::start_in(&first_home, |_| {});
    // One plugin came from a directory, another from an upload.
    let plugin = plugins::pysam(directory.path());
    first.cli_ok(&["install", &plugin.display().to_string()]);
    first.cli_ok(&[
        "set",
        "pysam",
        "--option",
        "workers=2",
        "--env",
        "COLOR=red",
    ]);
    let bytes = std::fs::read(teller(directory.path())).expect("a zip");
    let form = reqwest::blocking::multipart::Form::new().part(
        "uploadFile",
        reqwest::blocking::multipart::Part::bytes(bytes.clone()).file_name("mine/teller.zip"),
    );
    let upload = answer(first.post("/config/uploads").multipart(form));
    assert_eq!(upload.status, 201, "{upload:?}");
    let address = format!("file://{}", upload.body.replace(' ', "%20"));
    let body = json!({"name": "teller", "file": address});
    let made = answer(first.post("/plugins/portables").json(&body));
    assert_eq!(made.status, 201, "{made:?}");
    let note = json!({"name": "deep/er/note.txt", "content": "a \"note\""});
    assert_eq!(
        answer(first.post("/config/uploads").json(&note)).status,
        201
    );
    stream(&first, "s", "");
    rule(&first, "r", "s", &json!({"print": {"requireAck": true}}));

    let document = exported(&first);
    let seen = read(&document);
    assert_eq!(
        read_text(&seen["uploads"]["deep/er/note.txt"]),
        json!({"name": "deep/er/note.txt", "content": "a \"note\"", "file": ""})
    );
    let request = read_text(&seen["portablePlugins"]["pysam"]);
    assert_eq!(request["options"], json!({"workers": 2}));
    assert_eq!(
        seen["notCarried"],
        json!({"portablePlugins.pysam": "variables of its environment: COLOR"})
    );

    // Elsewhere, from a file, everything is there and works.
    let second = Server::start_in(&second_home, |_| {});
    let file = directory.path().join("document.json");
    std::fs::write(&file, &document.body).expect("written");
    let asked = json!({"file": format!("file://{}", file.display())});
    for _ in 0..2 {
        let taken = answer(second.post("/data/import").json(&asked));
        assert_eq!(taken.status, 200, "{taken:?}");
    }
    let uploads = answer(second.get("/config/uploads"));
    let below = second_home.join("uploads");
    let listed: Vec<PathBuf> = serde_json::from_str(&uploads.body).expect("JSON");
    assert!(
        listed.contains(&below.join("deep/er/note.txt"))
            && listed.contains(&below.join("mine/teller.zip")),
        "{listed:?}"
    );
    let same = std::fs::read(below.join("mine/teller.zip")).expect("the upload");
    assert!(same == bytes);
    assert_eq!(row(&second, "r")["speed"], 1);
    assert_eq!(
        second.shown("pysam")["version"]["digest"],
        first.shown("pysam")["version"]["digest"]
    );
    let workers = second.shown("pysam")["details"]["processes"].clone();
    assert_eq!(workers.as_array().map(Vec::len), Some(2), "{workers}");

    // What the second server exports is taken by the first, where nothing changes.
    let pid = first.plugin_pid("teller");
    let back = exported(&second).body;
    let taken = answer(
        first
            .post("/data/import?partial=1")
            .json(&json!({ "content": back })),
    );
    assert_eq!(taken.status, 200, "{taken:?}");
    assert_eq!(first.plugin_pid("teller"), pid);
    only_what_rules_need_is_exported(&first);
}

/// Of a server with the rule `r`.
fn only_what_rules_need_is_exported(server: &Server) {
    stream(server, "unused", "");
    let exported = answer(server.post("/data/export").json(&json!(["r", "nosuch"])));
    assert_eq!(exported.status, 200, "{exported:?}");
    let exported = read(&exported);
    let names = |key: &str| -> Vec<String> {
        let entries = exported[key].as_object().expect("an object");
        entries.keys().cloned().collect()
    };
    assert_eq!(names("rules"), ["r"]);
    assert_eq!(names("streams"), ["s"]);
    assert_eq!(names("portablePlugins"), ["pysam", "teller"]);
    // Of the uploads the package that nobody could fetch, and nothing else.
    let uploads = names("uploads");
    assert!(
        matches!(&uploads[..], [one] if one.starts_with("pysam-")),
        "{uploads:?}"
    );
    assert_eq!(
        exported["notCarried"]["rules.nosuch"],
        "Rule nosuch is not found."
    );
    let refused = answer(server.post("/data/export").body("{}"));
    assert_eq!(refused.status, 400, "{refused:?}");
}

fn read_text(value: &Json) -> Json {
    serde_json::from_str(&text(value)).expect("JSON")
}

#[test]
fn what_cannot_be_carried_or_taken_is_told_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start_in(home.path(), |_| {});
    let large = std::fs::File::create(home.path().join("uploads/large")).expect("a file");
    large.set_len(1 << 30).expect("sparse");
    let document = read(&exported(&server));
    let told = text(&document["notCarried"]["uploads.large"]);
    assert!(told.contains("1073741824 bytes"), "{told}");
    assert!(document["uploads"]["large"].is_null());

    let import = |body: &Json| answer(server.post("/data/import?partial=1").json(body));
    let uploads = json!({
        "../out": json!({"name": "../out", "content": "x"}).to_string(),
        "odd": "{",
        "far": json!({"name": "far", "file": "file:///nowhere/at/all"}).to_string(),
        "coded": json!({"name": "coded", "contentBase64": "%%%"}).to_string(),
        "good": json!({"name": "good", "content": "x"}).to_string(),
    });
    let content = json!({ "uploads": uploads }).to_string();
    let half = import(&json!({ "content": content }));
    assert_eq!(half.status, 400, "{half:?}");
    let told = read_text(&read(&half)["message"]);
    for (name, reason) in [
        ("../out", "path escapes from parent"),
        ("odd", "Error decoding file json"),
        ("far", "fail to download file"),
        ("coded", "Error decoding file json"),
    ] {
        let said = text(&told["uploads"][name]);
        assert!(said.contains(reason), "{name}: {said}");
    }
    assert!(told["uploads"]["good"].is_null());
    assert!(home.path().join("uploads/good").is_file());
    assert!(!home.path().join("out").exists());

    let nowhere = directory.path().join("nosuch.json");
    for file in [
        format!("file://{}", nowhere.display()),
        "file://".to_owned(),
        "nonsense".to_owned(),
        // Unless it is allowed, no address within the machine.
        "http://127.0.0.1:1/x.json".to_owned(),
    ] {
        let refused = import(&json!({ "file": file }));
        assert_eq!(refused.status, 400, "{file}: {refused:?}");
    }
}

#[test]
fn configuration_keys_speak_the_language_of_the_request() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    install(&server, &teller(directory.path()));
    let ask = |path: &str, body: &str, language: &str| {
        let request = server.put(&format!("/metadata/{path}"));
        let request = request.header("content-language", language);
        answer(request.body(body.to_owned()))
    };
    for (path, body, english, chinese) in [
        (
            "sources/nosuch/confKeys/k",
            "{}",
            r#"{"error":5000,"message":"This plugin was not found:sources.nosuch"}"#,
            r#"{"error":5000,"message":"没有找到这个插件：sources.nosuch"}"#,
        ),
        (
            "sinks/hearer/confKeys/a%20b",
            "{}",
            r#"{"error":1001,"message":"id 'a b' contains invalid characters: only alphanumeric, hyphens and underscores are allowed"}"#,
            r#"{"error":1001,"message":"id 'a b' 含有无效字符：只允许字母、数字、连字符和下划线"}"#,
        ),
        (
            "sinks/hearer/confKeys/k",
            r#"{"token":"******"}"#,
            r#"{"error":5000,"message":"`token` is masked, and its value is not known here"}"#,
            r#"{"error":5000,"message":"`token` 的值被遮盖，此处没有它的原值"}"#,
        ),
    ] {
        for (language, expected) in [("en-US", english), ("zh-CN", chinese)] {
            let refused = ask(path, body, language);
            assert_eq!(
                (refused.status, refused.body.trim_end()),
                (400, expected),
                "{path}"
            );
            assert_eq!(refused.content_type, "text/plain; charset=utf-8");
        }
    }
    let refused = ask("sinks/hearer/confKeys/k", "[1]", "zh-CN");
    assert!(
        refused.body.contains("类型转换错误：hearer."),
        "{refused:?}"
    );

    // All keys of all sources at once, or of one sort.
    let set = ask(
        "sources/teller/confKeys/fast",
        r#"{"speed":3,"sourceType":"stream","token":"t"}"#,
        "",
    );
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(
        answer(server.get("/metadata/resource?sourceType=stream")).body,
        r#"{"teller":{"Fast":{"speed":3,"sourceType":"stream","token":"******"}}}"#
    );
    let all = read(&answer(server.get("/metadata/resource")));
    assert_eq!(all["teller"]["default"]["speed"], 1);
}

/// A sink that acknowledges what it gets, and one that never does; both write it down.
const WRITERS: &str = r#"
from ekuiper import plugin, PluginConfig, Sink
import os

class Writer(Sink):
    def configure(self, conf):
        self.file = open(os.path.join(os.environ["PLUGYARD_DATA_DIR"], conf["file"]), "ab", buffering=0)
    def open(self, ctx):
        pass
    def collect(self, ctx, data):
        self.file.write(data + b"\n")
        self.answer(ctx)
    def answer(self, ctx):
        ctx.ack_ok()
    def close(self, ctx):
        pass

class Mute(Writer):
    def answer(self, ctx):
        pass

if __name__ == '__main__':
    plugin.start(PluginConfig("writers", {}, {"writer": lambda: Writer(), "mute": lambda: Mute()}, {}))
"#;

#[test]
fn a_key_may_ask_a_sink_for_acknowledgements() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let home = tempfile::tempdir().expect("a directory");
    let server = Server::start_in(home.path(), |command| {
        command.env("PLUGYARD__PORTABLE__RECV_TIMEOUT", "300ms");
    });
    let plugin = plugins::python(
        directory.path(),
        "writers",
        WRITERS,
        &[],
        &["writer", "mute"],
        &[],
    );
    server.cli_ok(&["install", &plugin.display().to_string()]);
    let sure = |sink: &str, file: &str| {
        let properties = json!({"requireAck": true, "file": file});
        let set = key(&server, &format!("sinks/{sink}/confKeys/sure"), &properties);
        assert_eq!((set.status, set.body.as_str()), (200, ""));
    };
    sure("writer", "first");
    sure("mute", "mute");
    let made = answer(server.post("/streams").json(
        &json!({"sql": r#"CREATE STREAM ticks () WITH (TYPE="simulator", EXTRA="{\"data\":[{\"n\":1}],\"interval\":20}")"#}),
    ));
    assert_eq!(made.status, 201, "{made:?}");
    for sink in ["writer", "mute"] {
        rule(
            &server,
            sink,
            "ticks",
            &json!({ sink: {"resourceId": "sure"} }),
        );
    }
    let status =
        |rule: &str| -> Json { read(&answer(server.get(&format!("/rules/{rule}/status")))) };
    // What is acknowledged counts as sent; what is not is an error of that message, and the next is tried.
    let sent = || status("writer")["sink_writer_0_0_records_out_total"].as_u64();
    wait_for("rows", || (sent()? > 2).then_some(()));
    wait_for("messages without an acknowledgement", || {
        let status = status("mute");
        let failed = status["sink_mute_0_0_exceptions_total"].as_u64()?;
        (failed > 1).then_some(())
    });
    assert_eq!(status("mute")["sink_mute_0_0_records_out_total"], 0);
    // A key can be set while its sink waits; the rule takes notice when it is started next.
    sure("mute", "other");
    sure("writer", "second");
    let before = sent();
    wait_for("more rows", || (sent() > before).then_some(()));
    for rule in ["writer", "mute"] {
        let restarted = answer(server.post(&format!("/rules/{rule}/restart")));
        assert_eq!(restarted.status, 200, "{restarted:?}");
    }
    let data = home.path().join("plugin-data/portable/writers");
    wait_for("rows in the other files", || {
        let has_rows = |name: &str| {
            let text = std::fs::read_to_string(data.join(name)).unwrap_or_default();
            text.lines().count() > 1
        };
        (has_rows("second") && has_rows("other")).then_some(())
    });
    for rule in ["writer", "mute"] {
        assert_eq!(answer(server.delete(&format!("/rules/{rule}"))).status, 200);
    }
}
