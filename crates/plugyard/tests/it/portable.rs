//! Portable plugins over the whole product: a program with the manners of the Go SDK, limits and variables
//! set by hand, a plugin that looks around.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use plugyard_portable::testing::mirror;
use serde_json::{Value as Json, json};

use crate::support::{PLUGYARD, Server, answer, plugins, wait_for};

/// The program, which is built with the tests of the kind; without it the test says that it is skipped.
pub(crate) fn program() -> Option<PathBuf> {
    let program = Path::new(PLUGYARD).with_file_name("mirror");
    if !program.is_file() {
        println!(
            "skipped: `{}` is built by `cargo test -p plugyard-portable`",
            program.display()
        );
        return None;
    }
    Some(program)
}

/// The plugin's directory.
fn plugin(at: &Path, program: &Path) -> PathBuf {
    let directory = at.join("mirror-source");
    std::fs::create_dir(&directory).expect("a directory");
    mirror::directory(&directory, "mirror", program).expect("a plugin");
    directory
}

/// A site with one file.
fn site(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let length = bytes.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&bytes);
        }
    });
    format!("http://{address}/mirror.zip")
}

#[test]
fn fact_38_a_plugin_from_a_web_address_feeds_a_file() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let zip = plugins::zip(
        &plugin(directory.path(), &program),
        &directory.path().join("m.zip"),
    );
    let address = site(std::fs::read(zip).expect("a zip"));
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__PACKAGES__ALLOW_PRIVATE_URLS", "true");
    });
    let body = json!({"name": "mirror", "file": address});
    let made = answer(server.post("/plugins/portables").json(&body));
    assert_eq!(made.status, 201, "{made:?}");
    let described = answer(server.get("/plugins/portables/mirror"));
    assert!(
        described.status == 200 && described.body.contains("mirror"),
        "{described:?}"
    );
    let sql = r#"CREATE STREAM ext (count bigint) WITH (DATASOURCE="users", FORMAT="JSON", TYPE="random", CONF_KEY="ext")"#;
    let stream = answer(server.post("/streams").json(&json!({"sql": sql})));
    assert_eq!(stream.status, 201, "{stream:?}");
    let rule = json!({
        "id": "ruleExtG",
        "sql": "SELECT * FROM ext",
        "actions": [{"file": {"path": "ext.jsonl", "interval": 10}}],
    });
    let rule = answer(server.post("/rules").json(&rule));
    assert_eq!(rule.status, 201, "{rule:?}");
    wait_for("rows in the file", || {
        let status = answer(server.get("/rules/ruleExtG/status")).body;
        let status: Json = serde_json::from_str(&status).ok()?;
        (status["sink_file_0_0_records_out_total"].as_u64()? > 0).then_some(())
    });
    for (path, text) in [
        ("/rules/ruleExtG", "Rule ruleExtG is dropped."),
        ("/streams/ext", "Stream ext is dropped."),
        (
            "/plugins/portables/mirror",
            "portable plugin mirror is deleted",
        ),
    ] {
        let gone = answer(server.delete(path));
        assert_eq!((gone.status, gone.body.as_str()), (200, text));
    }
}

#[test]
fn host_29_rules_that_stop_let_go_of_a_go_plugin_and_its_process_is_renewed() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let source = plugin(directory.path(), &program);
    let server = Server::start();
    server.cli_ok(&["install", source.to_str().expect("a path of text")]);
    let sql = r#"CREATE STREAM ext (count bigint) WITH (TYPE="random", CONF_KEY="ext")"#;
    let stream = answer(server.post("/streams").json(&json!({"sql": sql})));
    assert_eq!(stream.status, 201, "{stream:?}");
    let out = |rule: &str| -> Option<u64> {
        let status = answer(server.get(&format!("/rules/{rule}/status"))).body;
        let status: Json = serde_json::from_str(&status).ok()?;
        status["sink_file_sink_0_0_records_out_total"].as_u64()
    };
    for rule in ["sending", "calling"] {
        let body = json!({
            "id": rule,
            "sql": "SELECT echo(count) AS said FROM ext",
            "actions": [{"file_sink": {"file": rule}}],
        });
        let made = answer(server.post("/rules").json(&body));
        assert_eq!(made.status, 201, "{made:?}");
        wait_for("rows in the file", || (out(rule)? > 0).then_some(()));
    }
    let pid = server.plugin_pid("portable:mirror");
    // The other one goes on, and with it the process.
    assert_eq!(answer(server.post("/rules/sending/stop")).status, 200);
    let before = out("calling").unwrap_or_default();
    wait_for("more rows", || {
        (out("calling")? > before + 10).then_some(())
    });
    assert_eq!(server.plugin_pid("portable:mirror"), pid);
    // Now nothing of it is in use, although its function was called.
    assert_eq!(answer(server.post("/rules/calling/stop")).status, 200);
    wait_for("another process", || {
        let status = answer(server.get("/plugins/portables/mirror/status")).body;
        let status: Json = serde_json::from_str(&status).ok()?;
        let renewed = status["pid"].as_u64()? != u64::from(pid);
        (renewed && status["cpu"].is_number() && status["history"] == json!([])).then_some(())
    });
    assert_eq!(answer(server.post("/rules/sending/start")).status, 200);
    wait_for("rows again", || (out("sending")? > 0).then_some(()));
}

/// What the plugin's function answers when it is told to do that.
fn obey(server: &Server, command: &str) -> String {
    let rule = json!({
        "id": "told",
        "sql": format!("SELECT obey('{command}') AS said FROM told"),
        "actions": [{"memory": {"topic": "told"}}],
        "options": {"sendError": true},
    });
    let _ = answer(server.delete("/rules/told"));
    let made = answer(server.post("/rules").json(&rule));
    assert_eq!(made.status, 201, "{made:?}");
    let tail = server.cli_ok(&["rule", "tail", "told", "--count", "1", "-o", "ndjson"]);
    answer(server.delete("/rules/told"));
    tail.stdout
}

#[test]
fn what_a_plugin_may_use_is_set_at_install_changed_later_and_shown() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let source = plugin(directory.path(), &program);
    let source = source.to_str().expect("a path of text");
    let server = Server::start();
    server.cli_ok(&[
        "install",
        source,
        "--limit",
        "memory=256MiB",
        "--env",
        "MODE=fast",
    ]);
    let show = || -> Json {
        let shown = server.cli_ok(&["show", "mirror", "-o", "json"]).stdout;
        serde_json::from_str(&shown).expect("JSON")
    };
    let shown = show();
    assert_eq!(
        shown["version"]["options"],
        json!({"limits": {"memory": "256MiB"}, "env": {"MODE": "fast"}})
    );
    let memory = &shown["details"]["limits"]["memory"];
    assert_eq!(memory["limit"], 256 << 20, "{shown}");
    assert!(
        memory["enforced"] == "kernel" || memory["enforced"] == "sampled",
        "{memory}"
    );
    assert!(
        server
            .cli_ok(&["show", "mirror"])
            .stdout
            .contains("256.0 MiB")
    );

    server.cli_ok(&["set", "mirror", "--limit", "pids=64", "--unset", "env.MODE"]);
    let shown = show();
    assert_eq!(
        shown["version"]["options"],
        json!({"limits": {"memory": "256MiB", "pids": 64}})
    );
    assert_eq!(shown["details"]["limits"]["pids"]["limit"], 64);
    // The way back is the one of every change.
    server.cli_ok(&["rollback", "mirror"]);
    assert_eq!(show()["version"]["options"]["env"]["MODE"], "fast");

    for (words, told) in [
        (["set", "mirror", "--limit", "ram=1"], "limits"),
        (["set", "mirror", "--workers", "0"], "workers"),
        (["set", "mirror", "--unset", "env.NOSUCH"], "env.NOSUCH"),
        (["set", "mirror", "--env", "HOME=/"], "env.HOME"),
    ] {
        let refused = server.cli(&words);
        assert_eq!(refused.code, 2, "{words:?}: {refused:?}");
        assert!(refused.stderr.contains(told), "{refused:?}");
    }
}

#[test]
fn a_plugin_that_looks_around_gets_nothing_of_the_server() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let source = plugin(directory.path(), &program);
    let server = Server::start();
    server.cli_ok(&["install", source.to_str().expect("a path of text")]);
    let sql = r#"CREATE STREAM told () WITH (TYPE="random", CONF_KEY="ext", FORMAT="json")"#;
    assert_eq!(
        answer(server.post("/streams").json(&json!({"sql": sql}))).status,
        201
    );
    let home = server.home.display();
    for command in [
        format!("connect {home}/run/api.sock"),
        format!("list {home}/keys"),
        format!("read {home}/plugyard.db"),
        format!("read {home}/plugyard.toml"),
        format!("read {}", ["/proc/1", "root", "etc/shadow"].join("/")),
    ] {
        let said = obey(&server, &command);
        let nothing = said.contains("No such file")
            || said.contains("ermission denied")
            || said.contains(r#""said":"""#);
        assert!(nothing, "`{command}`: {said}");
    }
    // Over TCP it is told apart by what it is, also where nobody has to sign in.
    let address = server.address.trim_start_matches("http://");
    for path in ["/v1/installations", "/plugins/portables", "/v1/tokens"] {
        let said = obey(&server, &format!("get {address} {path}"));
        assert!(
            said.contains("401") || said.contains("403"),
            "{path}: {said}"
        );
    }
}

/// A zip with these files.
fn zip_of(at: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let root = at.join(name);
    for (file, content) in files {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, content).expect("a file");
    }
    plugins::zip(&root, &at.join(format!("{name}.zip")))
}

const MANIFEST: &str = r#"{"language": "python", "executable": "bad.py", "functions": ["bad_f"]}"#;

type Files = &'static [(&'static str, &'static str)];

/// Names, what is in the zip, eKuiper's words for it and the code of the finding.
const NO_PACKAGES: [(&str, Files, &str, &str); 8] = [
    // Everything in a directory of its own.
    (
        "wrapped",
        &[("bad/bad.json", MANIFEST), ("bad/bad.py", "")],
        "missing or invalid json file bad.json, found 3 files in total",
        "package_wrapped",
    ),
    // A package of another format.
    (
        "container",
        &[("Dockerfile", "FROM scratch\n"), ("config.json", "{}")],
        "missing or invalid json file bad.json, found 2 files in total",
        "portable_other_kind",
    ),
    (
        "web",
        &[("plugin.json", "{}")],
        "missing or invalid json file bad.json, found 1 files in total",
        "portable_other_kind",
    ),
    (
        "lacking",
        &[("bad.json", MANIFEST)],
        "missing bad.py",
        "portable_executable_absent",
    ),
    (
        "tongue",
        &[(
            "bad.json",
            r#"{"language": "c", "executable": "x", "sinks": ["bad_s"]}"#,
        )],
        "invalid plugin, language 'c' is not supported",
        "portable_language_unsupported",
    ),
    (
        "otherwise",
        &[("bad.json", r#"{"name": "wrr"}"#)],
        "invalid plugin, expect name 'bad' but got 'wrr'",
        "manifest_name_mismatch",
    ),
    (
        "venv",
        &[
            (
                "bad.json",
                r#"{"language": "python", "executable": "x", "functions": ["f"], "virtualEnvType": "venv", "env": "e"}"#,
            ),
            ("x", ""),
        ],
        "fail to start plugin bad: unsupported virtual type: venv",
        "portable_environment_unsupported",
    ),
    (
        "odd",
        &[
            (
                "bad.json",
                r#"{"language": "python", "executable": "x", "functions": ["a/b"]}"#,
            ),
            ("x", ""),
        ],
        "",
        "portable_name_invalid",
    ),
];

#[test]
fn packages_that_are_none_are_refused_in_ekuipers_words_and_with_findings() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    for (name, files, words, code) in NO_PACKAGES {
        let zip = zip_of(directory.path(), name, files);
        let body = json!({"name": "bad", "file": format!("file://{}", zip.display())});
        let refused = answer(server.post("/plugins/portables").json(&body));
        let whole = format!(
            "{{\"error\":1001,\"message\":\"portable plugin create command error: fail to install plugin: {words}\"}}\n"
        );
        assert_eq!(refused.status, 400, "{name}: {refused:?}");
        if words.is_empty() {
            assert!(refused.body.contains("a/b"), "{refused:?}");
        } else {
            assert_eq!(refused.body, whole, "{name}");
        }
        // The same on the server's own interface and without any server, as findings.
        let bytes = std::fs::read(&zip).expect("the zip");
        let upload = server
            .post("/v1/packages?kind=portable&key=bad")
            .header("content-type", "application/zip");
        let told = answer(upload.body(bytes));
        let told: Json = serde_json::from_str(&told.body).expect("a problem");
        let codes: Vec<&str> = told["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|finding| finding["code"].as_str())
            .collect();
        assert!(codes.contains(&code), "{name}: {told}");
        let zip = zip.display().to_string();
        let checked = server.cli(&[
            "check", &zip, "--kind", "portable", "--name", "bad", "-o", "json",
        ]);
        assert_eq!(checked.code, 4, "{name}: {checked:?}");
        assert!(checked.stdout.contains(code), "{name}: {checked:?}");
    }
    assert_eq!(answer(server.get("/plugins/portables")).body, "[]");
}

#[test]
fn links_that_install_sh_leaves_behind_show_nothing_of_the_server() {
    if crate::support::python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret");
    // It can be read as YAML and as JSON.
    let told = json!({"default": {"interval": 50, "code": "told-by-mistake"}, "about": {"author": {"name": "told-by-mistake"}}});
    std::fs::write(&secret, told.to_string()).expect("a file");
    let plugin = directory.path().join("toolbox");
    std::fs::create_dir(&plugin).expect("a directory");
    plugyard_portable::testing::toolbox_dir(&plugin, "v1").expect("a plugin");
    let script = format!(
        "set -e\nmkdir -p functions\nln -sf '{0}' functions/same.json\nmkfifo functions/version.json\nln -sf '{0}' sources/numbers.yaml\nrm -r sinks; ln -s / sinks\n",
        secret.display()
    );
    std::fs::write(plugin.join("install.sh"), script).expect("a script");
    std::fs::create_dir_all(plugin.join("sinks")).expect("a directory");
    std::fs::write(plugin.join("sinks/notebook.json"), "{}").expect("a file");
    let server = Server::start();
    server.cli_ok(&["install", &plugin.display().to_string()]);
    for path in [
        "/metadata/functions",
        "/metadata/sources",
        "/metadata/sources/numbers",
        "/metadata/sources/yaml/numbers",
        "/metadata/sinks/yaml/notebook",
    ] {
        let shown = answer(server.get(path));
        assert!(!shown.body.contains("told-by-mistake"), "{path}: {shown:?}");
    }
    // Nor does the plugin get to see it by its configuration.
    let sql = r#"CREATE STREAM s () WITH (TYPE="numbers", FORMAT="json")"#;
    server.cli_ok(&["stream", "create", sql]);
    server.cli_ok(&[
        "rule",
        "create",
        "r",
        "--sql",
        "SELECT * FROM s",
        "--sink",
        "log",
    ]);
    wait_for("rows", || {
        let status = answer(server.get("/v2/rules/r/status"));
        let status: Json = serde_json::from_str(&status.body).expect("JSON");
        (status["source_s_0_records_in_total"].as_u64() > Some(1)).then_some(())
    });
    let logs = server.cli_ok(&["logs", "toolbox"]);
    assert!(!logs.stdout.contains("told-by-mistake"), "{logs:?}");
}

#[test]
fn a_plugin_that_never_shakes_hands_is_told_in_ekuipers_words() {
    if crate::support::python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let program = "import time\nprint('here I am')\ntime.sleep(600)\n";
    let mute = plugins::only_function(directory.path(), "mute", program);
    let zip = plugins::zip(&mute, &directory.path().join("mute.zip"));
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__PORTABLE__INIT_TIMEOUT", "2s");
    });
    let body = json!({"name": "mute", "file": format!("file://{}", zip.display())});
    let refused = answer(server.post("/plugins/portables").json(&body));
    assert_eq!(refused.status, 400, "{refused:?}");
    let executable = server.home.join("plugins/portable/mute/mute.py");
    let begin = format!(
        "portable plugin create command error: fail to install plugin: plugin {} control handshake error: ",
        executable.display()
    );
    let told: Json = serde_json::from_str(&refused.body).expect("JSON");
    let message = told["message"].as_str().expect("a text");
    assert!(
        message.starts_with(&begin) && message.contains("here I am"),
        "{message}"
    );
    assert_eq!(answer(server.get("/plugins/portables")).body, "[]");
}

#[test]
fn of_two_installs_of_one_name_at_once_one_wins_also_on_ekuipers_routes() {
    if crate::support::python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let zip = plugins::zip(
        &plugins::pysam(directory.path()),
        &directory.path().join("pysam.zip"),
    );
    let body = json!({"name": "pysam", "file": format!("file://{}", zip.display())});
    let server = Server::start();
    for round in 0..3 {
        let gate = std::sync::Barrier::new(2);
        let answers = std::thread::scope(|scope| {
            let install = || {
                gate.wait();
                answer(server.post("/plugins/portables").json(&body))
            };
            let both = [scope.spawn(install), scope.spawn(install)];
            both.map(|it| it.join().expect("an answer"))
        });
        let mut statuses = answers.each_ref().map(|answer| answer.status);
        statuses.sort_unstable();
        assert_eq!(statuses[0], 201, "{round}: {answers:?}");
        // Told as eKuiper does, or that another change is under way.
        assert!([400, 409].contains(&statuses[1]), "{round}: {answers:?}");
        let listed = answer(server.get("/plugins/portables")).body;
        let listed: Vec<Json> = serde_json::from_str(&listed).expect("JSON");
        assert_eq!(listed.len(), 1);
        let status = answer(server.get("/plugins/portables/pysam/status")).body;
        assert!(status.contains(r#""status":"running""#), "{status}");
        let gone = answer(server.delete("/plugins/portables/pysam"));
        assert_eq!(gone.status, 200, "{gone:?}");
    }
}

#[test]
fn host_26_what_a_rule_can_never_do_is_said_when_it_is_made() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let source = plugin(directory.path(), &program);
    let server = Server::start();
    server.cli_ok(&["install", source.to_str().expect("a path of text")]);
    let sql = r#"CREATE STREAM s () WITH (TYPE="random", CONF_KEY="ext")"#;
    let made = answer(server.post("/streams").json(&json!({"sql": sql})));
    assert_eq!(made.status, 201, "{made:?}");
    let create = |id: &str, sink: &Json| {
        let rule = json!({"id": id, "sql": "SELECT * FROM s", "actions": [{"file_sink": sink}]});
        answer(server.post("/rules").json(&rule))
    };
    let refused = create("sure", &json!({"requireAck": true}));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(
        refused.body,
        "{\"error\":2201,\"message\":\"sink file_sink_0: sink file_sink belongs to a plugin written in Go, \
         whose SDK never acknowledges: leave out `requireAck`\"}\n"
    );
    // Also where a configuration key asks for it.
    let key = server.put("/metadata/sinks/file_sink/confKeys/sure");
    assert_eq!(answer(key.json(&json!({"requireAck": true}))).status, 200);
    let refused = create("sure", &json!({"resourceId": "sure"}));
    assert!(refused.body.contains("never acknowledges"), "{refused:?}");
    // HOST-16: the socket's path has an end.
    let long = "r".repeat(90);
    let refused = create(&long, &json!({}));
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(
        refused.body.contains("is too long for a plugin"),
        "{refused:?}"
    );
    assert_eq!(answer(server.get("/rules")).body, "[]");
    // Without it the sink gets what comes.
    let made = create("plain", &json!({"file": "got"}));
    assert_eq!(made.status, 201, "{made:?}");
    let got = server.home.join("plugin-data/portable/mirror/got");
    wait_for("rows", || {
        let text = std::fs::read_to_string(&got).ok()?;
        text.contains(r#"[{"count":50}]"#).then_some(())
    });
    // What goes through is shown, with each process and what it wrote, as text.
    let shown = wait_for("figures of the symbols", || {
        let shown = server.cli_ok(&["show", "mirror"]).stdout;
        shown.contains(" so far, ").then_some(shown)
    });
    for line in ["    - worker: 0", "      random: ", "      file_sink: "] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    assert!(!shown.contains(r#"{""#), "{shown}");
    let activity = server.shown("mirror")["details"]["activity"].clone();
    assert!(
        activity["sources"]["random"]["count"].as_u64() > Some(0),
        "{activity}"
    );
    assert_eq!(activity["sinks"]["file_sink"]["uses"], 1);
}
