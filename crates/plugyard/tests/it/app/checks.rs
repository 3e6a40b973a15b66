//! Security check, discovery, actions, sign-in and languages: scenarios 59 to 64.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use plugyard_store::testing::databases;
use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{answer, on_each, s1};
use crate::support::{Server, sign_in_needed};

fn errors(category: &Json) -> Vec<(String, String, Option<u64>)> {
    let text = |it: &Json, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    category["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|it| (text(it, "code"), text(it, "file"), it["line"].as_u64()))
        .collect()
}

#[test]
fn scenario_59_a_security_check_tells_files_and_lines() {
    on_each(|app| {
        let code = "<?php\nfunction run($x)\n{\n    return $x; // eval($x)\n}\n";
        let files = [
            ("config.json", s1().to_string()),
            ("src/Run.php", code.to_owned()),
        ];
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        app.put_files("DemoPlugin", &files);
        app.ok(Method::POST, "/DemoPlugin/install", None);
        let clean = app.get("/DemoPlugin/security-check");
        assert_eq!(clean["valid"], true, "{clean:#}");
        for category in ["file_integrity", "code_security", "permissions"] {
            assert_eq!(
                clean[category],
                json!({ "valid": true, "errors": [], "warnings": [] })
            );
        }
        assert_eq!(clean["config"]["valid"], true);
        assert!(clean["checked_at"].is_string() && clean["digest"].is_string());

        let file = app.directory("DemoPlugin").join("src/Run.php");
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        fs::write(
            &file,
            "<?php\nfunction run($x)\n{\n    return eval($x);\n}\n",
        )
        .unwrap();
        let found = app.get("/DemoPlugin/security-check");
        assert_eq!(found["valid"], false);
        let at = |code: &str, line| (code.to_owned(), "src/Run.php".to_owned(), line);
        assert_eq!(
            errors(&found["file_integrity"]),
            [at("security_hash_mismatch", None)]
        );
        assert_eq!(
            errors(&found["code_security"]),
            [at("security_dynamic_evaluation", Some(4))]
        );
        assert_eq!(
            errors(&found["permissions"]),
            [at("security_world_writable", None)]
        );
        assert_eq!(found["permissions"]["valid"], false);
        let item = &found["code_security"]["errors"][0];
        assert_eq!(item["message"], item["messages"]["zh-CN"]);
        app.refused(
            Method::GET,
            "/Never/security-check",
            None,
            404,
            "plugin_not_found",
        );
        // An upgrade takes the change over, and an intact version is on disk again.
        app.post("/DemoPlugin/upgrade", json!({}));
        let found = app.get("/DemoPlugin/security-check");
        assert_eq!(errors(&found["file_integrity"]), []);
        assert_eq!(errors(&found["code_security"]).len(), 1);
    });
}

#[test]
fn scenario_60_discovery_registers_and_never_installs() {
    on_each(|app| {
        app.install("Installed", &s1());
        app.put("Fresh", &s1());
        app.put(
            "Broken",
            &json!({ "fields": { "A": { "type": "Text", "label": "x" } } }),
        );
        app.put("Passing", &s1());
        let status = app.get("/discovery-status");
        assert_eq!(
            status["filesystem_plugins"],
            json!(["Broken", "Fresh", "Installed", "Passing"])
        );
        assert_eq!(
            status["unregistered_plugins"],
            json!(["Broken", "Fresh", "Passing"])
        );
        assert_eq!(app.entry("Fresh").unwrap()["discovered"], false);

        let found = app.ok(Method::POST, "/discover", None);
        assert_eq!(
            (&found["discovered"], &found["registered"], &found["failed"]),
            (&4.into(), &3.into(), &1.into())
        );
        assert_eq!(found["results"]["Fresh"]["success"], true);
        let broken = &found["results"]["Broken"];
        assert_eq!(
            (&broken["success"], &broken["errors"][0]["code"]),
            (&false.into(), &"field_type_unsupported".into())
        );
        let fresh = app.entry("Fresh").unwrap();
        assert_eq!(
            (&fresh["discovered"], &fresh["status"]),
            (&true.into(), &"not_installed".into())
        );
        assert_eq!(app.entry("Installed").unwrap()["installed"], true);

        fs::remove_dir_all(app.directory("Passing")).unwrap();
        assert_eq!(app.entry("Passing").unwrap()["status"], "missing");
        fs::remove_file(app.directory("Installed")).unwrap();
        app.ok(Method::POST, "/rescan", None);
        assert!(app.entry("Passing").is_none());
        assert_eq!(app.entry("Installed").unwrap()["installed"], true);
        let status = app.get("/discovery-status");
        assert_eq!(
            status["stats"]["database"],
            json!({ "total": 3, "installed": 1, "enabled": 0 })
        );
        assert_eq!(status["stats"]["filesystem"]["invalid"], 1);
        assert!(status["last_check"].is_string());

        let one = app.ok(Method::POST, "/Fresh/discover", None);
        assert_eq!(one["registration"]["success"], true);
        let body = app.refused(
            Method::POST,
            "/Broken/discover",
            None,
            422,
            "config_invalid",
        );
        assert_eq!(body["data"]["valid"], false);
        app.refused(
            Method::POST,
            "/Gone/discover",
            None,
            404,
            "plugin_not_found",
        );
        app.put("fresh", &s1());
        let found = app.ok(Method::POST, "/discover", None);
        assert_eq!(
            found["results"]["fresh"]["errors"][0]["code"],
            "plugin_name_conflict"
        );
        app.put("rescan", &s1());
        let found = app.ok(Method::POST, "/discover", None);
        assert_eq!(
            found["results"]["rescan"]["errors"][0]["code"],
            "plugin_name_reserved"
        );
        assert!(app.entry("rescan").is_none());
    });
}

/// Installs the example, enabled.
fn example(app: &super::App) {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/app/Notices");
    let paths = [
        "config.json",
        "plugyard.app.json",
        "handler.py",
        "src/Notices.php",
    ];
    let read = |path: &str| fs::read_to_string(format!("{directory}/{path}")).expect("the example");
    let texts: Vec<_> = paths.iter().map(|path| read(path)).collect();
    let files: Vec<_> = paths
        .iter()
        .copied()
        .zip(texts.iter().map(String::as_str))
        .collect();
    app.put_files("Notices", &files);
    app.ok(Method::POST, "/Notices/install", None);
    app.ok(Method::POST, "/Notices/enable", None);
}

#[test]
fn scenario_61_actions_need_a_handler_and_an_enabled_plugin() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let action = json!({ "action": "sync_templates", "config_key": "API_KEY", "params": {} });
        let path = "/DemoPlugin/config/actions";
        app.refused(Method::POST, path, Some(action.clone()), 409, "not_enabled");
        app.ok(Method::POST, "/DemoPlugin/enable", None);
        let (status, body) = app.call(Method::POST, path, Some(json!({ "config_key": "A" })));
        assert_eq!(status, 422);
        assert_eq!(body["errors"]["action"][0], "action为必填项。");
        let body = app.refused(
            Method::POST,
            path,
            Some(action.clone()),
            501,
            "action_unsupported",
        );
        assert_eq!(body["message"], "插件不支持此操作");
        app.refused(
            Method::POST,
            "/Never/config/actions",
            Some(action),
            404,
            "plugin_not_found",
        );

        example(app);
        app.set(
            "Notices",
            json!({ "PREFIX": "!", "TOKEN": crate::support::leaks::secret("tk-0123456789-of-61") }),
        );
        let path = "/Notices/config/actions";
        let action =
            json!({ "action": "preview", "config_key": "PREFIX", "params": { "text": "hello" } });
        let told = app.post(path, action);
        assert_eq!(told["success"], true);
        assert_eq!(told["data"], json!({ "text": "! hello", "signed": true }));
        let action = json!({ "action": "fly", "config_key": "PREFIX" });
        app.refused(Method::POST, path, Some(action), 501, "action_unsupported");
        let action = json!({ "action": "crash", "config_key": "PREFIX" });
        app.refused(Method::POST, path, Some(action), 502, "handler_failed");
        // The next one gets a new process.
        let action =
            json!({ "action": "preview", "config_key": "PREFIX", "params": { "text": "x" } });
        assert_eq!(app.post(path, action)["success"], true);
    });
}

#[test]
fn scenario_62_tables_are_clamped_and_known_by_name() {
    on_each(|app| {
        example(app);
        let table = app
            .get("/Notices/config/data-tables/templates?page_size=1000&search=a&sort_order=desc");
        assert_eq!(table["page_size"], 100);
        assert_eq!(table["page"], 1);
        let total = table["total"].as_u64().unwrap();
        assert_eq!(table["data"].as_array().unwrap().len() as u64, total);
        assert_eq!(table["total_pages"], 1);
        let page = app.get("/Notices/config/data-tables/templates?page=2&page_size=1");
        assert_eq!((&page["page"], &page["page_size"]), (&2.into(), &10.into()));
        assert_eq!(
            page["total_pages"],
            page["total"].as_u64().unwrap().div_ceil(10)
        );
        app.refused(
            Method::GET,
            "/Notices/config/data-tables/T",
            None,
            404,
            "table_unknown",
        );
        app.install("DemoPlugin", &s1());
        let path = "/DemoPlugin/config/data-tables/T";
        app.refused(Method::GET, path, None, 409, "not_enabled");
        app.ok(Method::POST, "/DemoPlugin/enable", None);
        app.refused(Method::GET, path, None, 501, "action_unsupported");
    });
}

/// Everything there is, with a body that would do.
const ROUTES: [(&str, &str); 18] = [
    ("GET", ""),
    ("POST", "/discover"),
    ("POST", "/rescan"),
    ("GET", "/discovery-status"),
    ("POST", "/DemoPlugin/discover"),
    ("POST", "/DemoPlugin/install"),
    ("POST", "/DemoPlugin/upgrade"),
    ("DELETE", "/DemoPlugin"),
    ("POST", "/DemoPlugin/enable"),
    ("POST", "/DemoPlugin/disable"),
    ("GET", "/DemoPlugin/security-check"),
    ("GET", "/DemoPlugin/config"),
    ("PUT", "/DemoPlugin/config"),
    ("DELETE", "/DemoPlugin/config"),
    ("GET", "/DemoPlugin/config/values"),
    ("POST", "/DemoPlugin/config/reset"),
    ("POST", "/DemoPlugin/config/actions"),
    ("GET", "/DemoPlugin/config/data-tables/T"),
];

#[test]
fn scenario_63_nothing_is_told_without_a_token() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for database in runtime.block_on(databases()) {
        println!("on {}", database.sort);
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join("home");
        fs::create_dir_all(home.join("plugins/DemoPlugin")).unwrap();
        let config = home.join("plugins/DemoPlugin/config.json");
        fs::write(config, s1().to_string()).unwrap();
        let server = Server::start_in(&home, |command| {
            sign_in_needed(command);
            command.env("PLUGYARD__DATABASE__URL", &database.address);
        });
        walk_without_rights(&server);
        drop(server);
        let _entered = runtime.enter();
        drop(database);
    }
}

fn walk_without_rights(server: &Server) {
    let viewer = server.cli_ok(&["token", "create", "look", "--role", "viewer", "-o", "json"]);
    let viewer: Json = serde_json::from_str(&viewer.stdout).expect("JSON");
    let viewer = viewer["secret"].as_str().expect("a token");
    for (method, path) in ROUTES {
        let request = || {
            let address = format!("{}/api/admin/plugins{path}", server.address);
            server
                .http
                .request(method.parse().expect("a method"), address)
        };
        let (status, body) = answer(request());
        assert_eq!(
            (status, &body["error"]),
            (401, &"unauthenticated".into()),
            "{method} {path}"
        );
        let (status, body) = answer(request().bearer_auth("nonsense"));
        assert_eq!(
            (status, &body["error"]),
            (401, &"unauthenticated".into()),
            "{method} {path}"
        );
        let (status, body) = answer(request().bearer_auth(viewer));
        if method == "GET" {
            assert_ne!(status, 403, "{path}: {body:#}");
        } else {
            assert_eq!(
                (status, &body["error"]),
                (403, &"forbidden".into()),
                "{method} {path}"
            );
        }
    }
    let audit = server.cli_ok(&["audit", "-o", "json"]).stdout;
    assert!(
        audit.contains("POST /api/admin/plugins/{name}/install"),
        "{audit}"
    );
}

#[test]
fn scenario_64_the_language_is_the_readers() {
    on_each(|app| {
        app.install("DemoPlugin", &s1());
        let write = |languages: Option<&str>| {
            let mut request = app
                .request(Method::PUT, "/DemoPlugin/config")
                .json(&json!({ "API_TIMEOUT": 301 }));
            if let Some(languages) = languages {
                request = request.header("accept-language", languages);
            }
            answer(request).1
        };
        let zh = write(None);
        assert_eq!(zh["message"], "配置校验失败");
        assert_eq!(zh["errors"]["API_TIMEOUT"][0], "请求超时不能大于300。");
        assert_eq!(write(Some("fr"))["message"], zh["message"]);
        let en = write(Some("en"));
        assert_eq!(en["message"], "Configuration is not valid");
        assert_eq!(
            en["errors"]["API_TIMEOUT"][0],
            "请求超时 must be 300 or less."
        );
        assert_eq!(en["details"][0]["messages"], zh["details"][0]["messages"]);
        let not_found = app
            .request(Method::GET, "/Never/config")
            .header("accept-language", "en");
        assert_eq!(answer(not_found).1["message"], "Plugin not found");
        let wrong = app.request(Method::PATCH, "/DemoPlugin/config");
        assert_eq!(answer(wrong).0, 405);
    });
}

/// A handler that never answers, and one that takes no questions.
const SILENT: &str = "import sys, time\nfor line in sys.stdin:\n    time.sleep(600)\n";
const DEAF: &str = "import time\ntime.sleep(600)\n";

#[test]
fn a_handler_that_takes_too_long_is_ended_at_its_limit() {
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__APP__HANDLER_TIMEOUT", "1");
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
    });
    for (name, script) in [("Silent", SILENT), ("Deaf", DEAF)] {
        let directory = server.home.join("plugins").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("config.json"), s1().to_string()).unwrap();
        fs::write(directory.join("handler.py"), script).unwrap();
        let handler = json!({ "command": ["python3", "handler.py"] });
        let manifest = json!({ "tables": ["T"], "handler": handler });
        fs::write(directory.join("plugyard.app.json"), manifest.to_string()).unwrap();
        for step in ["install", "enable"] {
            let path = format!("/api/admin/plugins/{name}/{step}");
            assert_eq!(answer(server.post(&path)).0, 200);
        }
        // The second question gets a new process, which is not better.
        for _ in 0..2 {
            let actions = format!("/api/admin/plugins/{name}/config/actions");
            let action = json!({ "action": "a", "config_key": "API_KEY" });
            let (status, body) = answer(server.post(&actions).json(&action));
            assert_eq!(
                (status, &body["error"]),
                (504, &"handler_timeout".into()),
                "{body:#}"
            );
        }
        let table = format!("/api/admin/plugins/{name}/config/data-tables/T");
        assert_eq!(answer(server.get(&table)).0, 504);
    }
}

#[test]
fn a_handler_at_an_address_is_asked_unless_it_is_inside() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__APP__PRIVATE_HANDLERS", "true");
    });
    let guarded = Server::start();
    for server in [&server, &guarded] {
        let directory = server.home.join("plugins/Remote");
        fs::create_dir_all(&directory).unwrap();
        let manifest = json!({ "handler": { "url": format!("http://{address}/hook") } });
        fs::write(directory.join("plugyard.app.json"), manifest.to_string()).unwrap();
        for step in ["install", "enable"] {
            let path = format!("/api/admin/plugins/Remote/{step}");
            assert_eq!(answer(server.post(&path)).0, 200);
        }
    }
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 8192];
        let mut read = 0;
        while !request[..read].ends_with(b"}") {
            read += stream.read(&mut request[read..]).unwrap();
        }
        let body = r#"{"success": true, "message": "done", "data": [1]}"#;
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .unwrap();
        String::from_utf8(request[..read].to_vec()).unwrap()
    });
    let act = |server: &Server| {
        let request = server.post("/api/admin/plugins/Remote/config/actions");
        answer(request.json(&json!({ "action": "a", "config_key": "k" })))
    };
    let (status, body) = act(&server);
    assert_eq!(
        (status, &body["data"]["data"]),
        (200, &json!([1])),
        "{body:#}"
    );
    let request = asked.join().unwrap();
    assert!(
        request.starts_with("POST /hook ") && request.contains("\"action\":\"a\""),
        "{request}"
    );
    let (status, body) = act(&guarded);
    assert_eq!(
        (status, &body["error"]),
        (502, &"handler_failed".into()),
        "{body:#}"
    );
}

#[test]
fn the_list_is_narrowed_by_status_and_text_and_has_every_key() {
    on_each(|app| {
        app.install("Alpha", &s1());
        app.post("/Alpha/enable", json!({}));
        app.install("Beta", &s1());
        app.put("Gamma", &s1());
        app.put("Gone", &s1());
        app.ok(Method::POST, "/discover", None);
        fs::remove_dir_all(app.directory("Gone")).unwrap();
        let names = |query: &str| -> Vec<String> {
            let all = app.get(query);
            let all = all.as_array().unwrap().iter();
            all.map(|it| it["name"].as_str().unwrap().to_owned())
                .collect()
        };
        for (query, expected) in [
            ("", &["Alpha", "Beta", "Gamma", "Gone"][..]),
            ("?status=active", &["Alpha"]),
            ("?status=installed", &["Beta"]),
            ("?status=not_installed", &["Gamma"]),
            ("?status=missing", &["Gone"]),
            ("?status=other", &[]),
            ("?search=ALP", &["Alpha"]),
            ("?search=a&status=not_installed", &["Gamma"]),
            ("?status=&search=", &["Alpha", "Beta", "Gamma", "Gone"]),
        ] {
            assert_eq!(names(query), expected, "{query}");
        }
        let entry = app.entry("Alpha").unwrap();
        let mut keys: Vec<_> = entry
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        let mut expected = [
            "id",
            "name",
            "displayName",
            "description",
            "version",
            "author",
            "status",
            "installStatus",
            "installed",
            "enabled",
            "discovered",
            "hasConfig",
            "configValid",
            "configComplete",
            "category",
            "dependencies",
            "requirements",
            "installedAt",
            "enabledAt",
            "disabledAt",
            "uninstalledAt",
            "lastUpdated",
        ];
        expected.sort_unstable();
        assert_eq!(keys, expected);
        assert_eq!(
            (
                &entry["installStatus"],
                &entry["configComplete"],
                &entry["disabledAt"]
            ),
            (&json!("installed"), &json!(false), &Json::Null)
        );
        let at = entry["enabledAt"].as_str().unwrap();
        assert!(
            at.len() == 24 && at.ends_with('Z') && at.as_bytes()[19] == b'.',
            "{at}"
        );
        assert!(
            !entry
                .to_string()
                .contains(&app.server.home.display().to_string())
        );
    });
}
