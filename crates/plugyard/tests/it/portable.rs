//! Portable plugins over the whole product: a program with the manners of the Go SDK, limits and variables
//! set by hand, a plugin that looks around.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use plugyard_portable::testing::mirror;
use serde_json::{Value as Json, json};

use crate::support::{PLUGYARD, Server, answer, plugins, wait_for};

/// The program, which is built with the tests of the kind; without it the test says that it is skipped.
fn program() -> Option<PathBuf> {
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
