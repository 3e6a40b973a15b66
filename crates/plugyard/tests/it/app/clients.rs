//! Reading values from plugin code: scenario 50, with each client library against what the server wrote.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{App, on_each};
use crate::support::{Server, run};

/// Where the clients lie.
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients");

fn config() -> Json {
    json!({ "fields": {
        "API_TIMEOUT": { "type": "number", "label": "x" },
        "ON": { "type": "checkbox", "label": "x", "default": false },
        "ZERO": { "type": "number", "label": "x", "default": 0 },
        "API_KEY": { "type": "password", "label": "x" },
    }})
}

/// What every client must print.
const EXPECTED: &str = "[30,30,false,0,\"sk-0123456789\",31]";

fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        println!("skipped: there is no {program}");
    }
    there
}

#[test]
fn scenario_50_a_read_gives_the_stored_value_or_the_callers_default() {
    on_each(|app| {
        app.install("DemoPlugin", &config());
        app.set("DemoPlugin", json!({ "API_KEY": "sk-0123456789" }));
        let home = app.server.home.display().to_string();
        if has("php") {
            let code = "require $argv[1]; $c = PlugyardConfig::ofPlugin($argv[2], 'DemoPlugin');\
                        echo json_encode([$c->getConfig('API_TIMEOUT', 30), $c->getConfig('NOPE', 30),\
                        $c->getConfig('ON', true), $c->getConfig('ZERO', 7), $c->getConfig('API_KEY'),\
                        PlugyardConfig::ofPlugin($argv[2], 'Other')->getConfig('API_TIMEOUT', 31)]);";
            let file = format!("{CLIENTS}/php/PlugyardConfig.php");
            let ended = run(Command::new("php").args(["-r", code, "--", &file, &home]));
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (0, EXPECTED),
                "{ended:?}"
            );
        }
        if has("python3") {
            let code = "import json, sys\nsys.path.insert(0, sys.argv[1])\nsys.dont_write_bytecode = True\n\
                        from plugyard_config import PluginConfig as P\nc = P.of_plugin(sys.argv[2], 'DemoPlugin')\n\
                        v = [c.get_config('API_TIMEOUT', 30), c.get_config('NOPE', 30), c.get_config('ON', True),\n\
                        c.get_config('ZERO', 7), c.get_config('API_KEY'), P.of_plugin(sys.argv[2], 'Other').get_config('API_TIMEOUT', 31)]\n\
                        print(json.dumps(v, separators=(',', ':')), end='')";
            let ended = run(Command::new("python3").args([
                "-c",
                code,
                &format!("{CLIENTS}/python"),
                &home,
            ]));
            assert_eq!(
                (ended.code, ended.stdout.as_str()),
                (0, EXPECTED),
                "{ended:?}"
            );
        }
        let read = |plugin: &str| plugyard_client::PluginConfig::of_plugin(&home, plugin).unwrap();
        let config = read("DemoPlugin");
        let get = |key, default| config.get_config(key, default).unwrap();
        let values = json!([
            get("API_TIMEOUT", json!(30)),
            get("NOPE", json!(30)),
            get("ON", json!(true)),
            get("ZERO", json!(7)),
            get("API_KEY", json!(null)),
            read("Other").get_i64("API_TIMEOUT", 31).unwrap(),
        ]);
        assert_eq!(values.to_string(), EXPECTED);
        // Seen at once by who goes on reading.
        app.set("DemoPlugin", json!({ "API_TIMEOUT": 45 }));
        assert_eq!(get("API_TIMEOUT", json!(30)), 45);
    });
}

/// Starts a program that prints a line for each change, and changes a value after its first line.
#[track_caller]
fn told(app: &App, command: &mut Command, timeout: u32) -> [Json; 2] {
    let mut program = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(program.stdout.take().expect("its output")).lines();
    let mut next = || -> Json {
        let line = lines.next().expect("a line").expect("text");
        serde_json::from_str(&line).expect("JSON")
    };
    let first = next();
    app.set("DemoPlugin", json!({ "API_TIMEOUT": timeout }));
    let told = [first, next()];
    assert!(program.wait().expect("it ends").success());
    told
}

#[test]
fn a_change_is_told_to_who_follows_with_its_keys_and_no_values() {
    on_each(|app| {
        app.install("DemoPlugin", &config());
        let home = app.server.home.display().to_string();
        let all = json!(["API_KEY", "API_TIMEOUT", "ON", "ZERO"]);
        let mut revision = 1;
        let mut check = |told: [Json; 2]| {
            assert_eq!(told[0], json!([revision, all]));
            assert_eq!(told[1], json!([revision + 1, ["API_TIMEOUT"]]));
            revision += 1;
        };
        if has("php") {
            let code = "require $argv[1]; PlugyardConfig::ofPlugin($argv[2], 'DemoPlugin')->onChange(\
                        function ($revision, $keys) { static $calls = 0; echo json_encode([$revision, $keys]), \"\\n\"; return ++$calls < 2; });";
            let file = format!("{CLIENTS}/php/PlugyardConfig.php");
            let mut php = Command::new("php");
            check(told(app, php.args(["-r", code, "--", &file, &home]), 45));
        }
        if has("python3") {
            let code = "import json, sys, threading\nsys.path.insert(0, sys.argv[1])\nsys.dont_write_bytecode = True\n\
                        from plugyard_config import PluginConfig as P\ntwice = threading.Semaphore(0)\n\
                        def tell(change):\n  print(json.dumps([change.revision, change.keys]), flush=True)\n  twice.release()\n\
                        P.of_plugin(sys.argv[2], 'DemoPlugin').on_change(tell)\ntwice.acquire()\ntwice.acquire()";
            let mut python = Command::new("python3");
            let clients = format!("{CLIENTS}/python");
            check(told(app, python.args(["-c", code, &clients, &home]), 46));
        }
        let config = plugyard_client::PluginConfig::of_plugin(&home, "DemoPlugin").unwrap();
        let (tell, told) = mpsc::channel();
        let watch = Arc::new(config).on_change(move |change| tell.send(change.clone()).unwrap());
        let next = || {
            let change = told.recv_timeout(Duration::from_mins(1)).expect("a change");
            json!([change.revision, change.keys])
        };
        let first = next();
        app.set("DemoPlugin", json!({ "API_TIMEOUT": 47 }));
        check([first, next()]);
        drop(watch);
    });
}

#[test]
fn while_no_server_runs_clients_do_not_make_values_up() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let plugin = home.join("plugins/DemoPlugin");
    std::fs::create_dir_all(&plugin).unwrap();
    std::fs::write(plugin.join("config.json"), config().to_string()).unwrap();
    let mut server = Server::start_in(&home, |_| {});
    let install = server.post("/api/admin/plugins/DemoPlugin/install");
    assert_eq!(install.send().unwrap().status().as_u16(), 200);
    let open = || plugyard_client::PluginConfig::of_plugin(&home, "DemoPlugin").unwrap();
    let kept = open();
    assert!(!kept.get_bool("ON", true).unwrap());
    assert!(server.terminate().success());
    // What was read stays; nobody takes the callers' defaults for what is set.
    assert!(!kept.get_bool("ON", true).unwrap());
    assert!(matches!(
        open().get_bool("ON", true),
        Err(plugyard_client::ConfigError::NoServer { .. })
    ));
    let _server = Server::start_in(&home, |_| {});
    assert!(!open().get_bool("ON", true).unwrap());
    assert!(!kept.get_bool("ON", true).unwrap());
}

#[test]
fn the_clients_own_tests_pass() {
    if has("php") {
        let ended =
            run(Command::new("php").arg(Path::new(CLIENTS).join("php/tests/config_test.php")));
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    if has("python3") {
        let tests = format!("{CLIENTS}/python/tests");
        let ended = run(Command::new("python3")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["-m", "unittest", "discover", &tests]));
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}
