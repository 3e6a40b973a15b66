//! Reading values from plugin code: scenario 50, with each client library against what the server wrote.

use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use super::on_each;
use crate::support::run;

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
