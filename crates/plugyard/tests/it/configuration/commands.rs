//! The command line on configurations: in an editor, with plans of packages from everywhere, in dry runs,
//! and directories that are found.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Value as Json, json};

use crate::support::{Ended, Server, answer, leaks, plugins, run};

fn definition(version: &str, most: u32) -> Json {
    json!({
        "version": version,
        "fields": {
            "KEY": { "type": "password", "label": "Key", "validation": "nullable|string|min:10" },
            "TIMEOUT": {
                "type": "number", "label": "Timeout", "default": 30,
                "validation": format!("integer|min:1|max:{most}"),
            },
            "NOTE": { "type": "text", "label": "Note" },
        },
    })
}

/// A directory of a plugin of the kind `app`.
fn plugin(below: &Path, name: &str, definition: &Json) -> PathBuf {
    let directory = below.join(name);
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join("config.json"), definition.to_string()).expect("a file");
    directory
}

fn installed(server: &Server, below: &Path) {
    let directory = plugin(below, "Demo", &definition("1.0.0", 300));
    server.cli_ok(&[
        "install",
        "--kind",
        "app",
        directory.to_str().expect("UTF-8"),
    ]);
}

fn value(server: &Server, key: &str) -> String {
    let shown = server.cli_ok(&["config", "get", "Demo", key]).stdout;
    shown.trim().to_owned()
}

/// `config edit` with a script as editor.
fn edit(server: &Server, below: &Path, script: &str) -> Ended {
    let editor = below.join("editor");
    fs::write(&editor, format!("#!/bin/sh\nset -e\n{script}\n")).expect("a script");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o700)).expect("its mode");
    let mut command = server.command(&["config", "edit", "Demo"]);
    command.env("VISUAL", "").env("EDITOR", editor);
    run(&mut command)
}

#[test]
fn values_are_changed_in_an_editor() {
    let below = tempfile::tempdir().unwrap();
    let server = Server::start();
    installed(&server, below.path());
    let secret = leaks::secret("sk-typed-into-an-editor");
    let changed = edit(
        &server,
        below.path(),
        &format!(
            r#"sed -i 's/"TIMEOUT": 30/"TIMEOUT": 60/; s/"KEY": null/"KEY": "{secret}"/' "$1""#
        ),
    );
    assert_eq!(changed.code, 0, "{changed:?}");
    assert!(changed.stdout.contains("KEY TIMEOUT"), "{changed:?}");
    assert_eq!(value(&server, "TIMEOUT"), "60");
    assert_eq!(value(&server, "KEY"), "********");
    // The editor saw asterisks, and leaving them there keeps the secret; a line that goes clears its field.
    let seen = below.path().join("seen");
    let script = format!(
        r#"cp "$1" {}; sed -i 's/"TIMEOUT": 60/"TIMEOUT": 61/' "$1""#,
        seen.display()
    );
    assert_eq!(edit(&server, below.path(), &script).code, 0);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.contains("********") && !seen.contains(&secret),
        "{seen}"
    );
    assert_eq!(value(&server, "KEY"), "********");
    // What breaks a rule changes nothing, nor does what is no JSON, nor an editor that fails.
    for (script, code) in [
        (r#"sed -i 's/"TIMEOUT": 61/"TIMEOUT": 301/' "$1""#, 1),
        (r#"echo '{' > "$1""#, 2),
        ("exit 3", 2),
    ] {
        let refused = edit(&server, below.path(), script);
        assert_ne!(refused.code, 0, "{code} {script}: {refused:?}");
        assert_eq!(value(&server, "TIMEOUT"), "61");
    }
    let nothing = edit(&server, below.path(), "true");
    assert!(nothing.stdout.contains("nothing changed"), "{nothing:?}");
    // Somebody else was faster.
    let script = format!(
        r#"PLUGYARD_HOME={} {} config set Demo NOTE=other >/dev/null; sed -i 's/"TIMEOUT": 61/"TIMEOUT": 62/' "$1""#,
        server.home.display(),
        crate::support::PLUGYARD,
    );
    let late = edit(&server, below.path(), &script);
    assert_ne!(late.code, 0, "{late:?}");
    assert_eq!(
        (value(&server, "TIMEOUT"), value(&server, "NOTE")),
        ("61".into(), "other".into())
    );
}

/// Serves one file over and over, from a thread that ends with the test.
fn serve(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !request.windows(4).any(|it| it == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                bytes.len()
            );
            let _ = stream.write_all(&bytes);
        }
    });
    format!("http://{address}/demo.zip")
}

#[test]
fn a_plan_is_made_with_packages_from_everywhere() {
    let below = tempfile::tempdir().unwrap();
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__PACKAGES__ALLOW_PRIVATE_URLS", "true");
    });
    installed(&server, below.path());
    server.cli_ok(&["config", "set", "Demo", "TIMEOUT=60", "NOTE=mine"]);
    let newer = plugin(
        &below.path().join("newer"),
        "Demo",
        &definition("2.0.0", 50),
    );
    let zip = plugins::zip(&newer, &below.path().join("demo.zip"));
    let plan = |package: &str| {
        let ended = server.cli(&["config", "plan", "Demo", package, "-o", "json"]);
        assert_eq!(ended.code, 0, "{package}: {ended:?}");
        serde_json::from_str::<Json>(&ended.stdout).unwrap()
    };
    let here = plan(newer.to_str().unwrap());
    assert_eq!(
        (&here["from"], &here["to"]),
        (&"1.0.0".into(), &"2.0.0".into())
    );
    assert_eq!(here["issues"][0]["key"], "TIMEOUT");
    let address = serve(fs::read(&zip).unwrap());
    assert_eq!(plan(&address), here);
    // Nothing of it was kept. Handed in, its digest is enough.
    let packages = || answer(server.get("/v1/plugins"));
    assert!(!packages().body.contains("2.0.0"), "{:?}", packages());
    let upload = server
        .post("/v1/packages?kind=app&key=Demo")
        .header("content-type", "application/zip")
        .body(fs::read(&zip).unwrap());
    assert_eq!(answer(upload).status, 201);
    let packages = packages();
    let digests: Vec<&str> = packages
        .body
        .split('"')
        .filter(|it| it.len() == 64 && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .collect();
    let plans: Vec<Json> = digests.iter().map(|digest| plan(digest)).collect();
    assert!(plans.contains(&here), "{digests:?}");
    let gate = server.cli(&["config", "plan", "Demo", &address, "--fail-on", "invalid"]);
    assert_eq!(gate.code, 1, "{gate:?}");
    let unknown = server.cli(&["config", "plan", "Demo", &"0".repeat(64)]);
    assert_ne!(unknown.code, 0, "{unknown:?}");
    // A dry run says the same to people, and changes nothing either.
    let dry = server.cli_ok(&["upgrade", "Demo", newer.to_str().unwrap(), "--dry-run"]);
    for line in ["configuration: 1.0.0 -> 2.0.0", "= NOTE", "! TIMEOUT: "] {
        assert!(dry.stdout.contains(line), "{dry:?}");
    }
    assert_eq!(value(&server, "TIMEOUT"), "60");
    let shown = server
        .cli_ok(&["config", "get", "Demo", "-o", "json"])
        .stdout;
    let shown: Json = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["version"], "1.0.0");
}

#[test]
fn rescan_tells_of_directories_of_the_kind_app() {
    let server = Server::start();
    let plugins = server.home.join("plugins");
    plugin(&plugins, "Fine", &definition("1.0.0", 300));
    plugin(
        &plugins,
        "Broken",
        &json!({ "fields": { "A": { "type": "text" } } }),
    );
    let ended = server.cli(&["rescan", "-o", "json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("/fields/A"), "{ended:?}");
    let body: Json = serde_json::from_str(&ended.stdout).unwrap();
    let result = |plugin: &str| {
        let mut items = body["items"].as_array().unwrap().iter();
        items.find(|it| it["plugin"] == plugin).unwrap()["result"].clone()
    };
    assert_eq!(result("app:Fine"), "discovered");
    assert_eq!(result("app:Broken"), "broken");
    // Looked at, not installed.
    let entries = answer(server.get("/api/admin/plugins"));
    let entries: Json = serde_json::from_str(&entries.body).unwrap();
    let fine = entries["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "Fine");
    assert_eq!(fine.unwrap()["status"], "not_installed");
    fs::remove_dir_all(plugins.join("Broken")).unwrap();
    let ended = server.cli_ok(&["rescan"]);
    assert!(
        ended.stdout.contains("app:Fine") && !ended.stdout.contains("Broken"),
        "{ended:?}"
    );
}

#[test]
fn a_directory_in_the_home_is_installed_by_its_name_also_when_it_is_a_link() {
    let server = Server::start();
    let plugins = server.home.join("plugins");
    plugin(&plugins, "Demo", &definition("1.0.0", 300));
    server.cli_ok(&["install", "Demo"]);
    assert_eq!(value(&server, "TIMEOUT"), "30");
    server.cli_ok(&["uninstall", "Demo", "--yes"]);
    // What is left there leads to the version that was installed.
    let shown = plugins.join("Demo");
    assert!(fs::read_link(&shown).is_ok());
    server.cli_ok(&["install", shown.to_str().expect("UTF-8")]);
    assert_eq!(value(&server, "TIMEOUT"), "30");
    let absent = server.cli(&["install", "Nothing"]);
    assert_eq!(absent.code, 3, "{absent:?}");
}

#[test]
fn a_value_that_is_refused_is_told_in_the_words_of_its_rule() {
    let (server, below) = (Server::start(), tempfile::tempdir().expect("a directory"));
    installed(&server, below.path());
    let refused = server.cli(&["config", "set", "Demo", "TIMEOUT=0"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("Timeout must be 1 or more."),
        "{refused:?}"
    );
    assert!(
        refused.stderr.contains("--> /values/TIMEOUT"),
        "{refused:?}"
    );
}
