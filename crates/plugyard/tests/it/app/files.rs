//! What becomes of directories, and the common commands for this kind.

use std::fs;

use serde_json::{Value as Json, json};

use super::s1;
use crate::support::{Server, plugyard, run};

#[test]
fn check_says_what_is_wrong_with_a_directory_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("Demo");
    fs::create_dir_all(&plugin).unwrap();
    let check = || {
        let path = plugin.display().to_string();
        run(plugyard(directory.path()).args(["check", &path, "-o", "json"]))
    };
    fs::write(plugin.join("config.json"), s1().to_string()).unwrap();
    let ended = check();
    assert_eq!(ended.code, 0, "{ended:?}");
    fs::write(
        plugin.join("config.json"),
        r#"{"fields": {"A": {"type": "Text"}}}"#,
    )
    .unwrap();
    let ended = check();
    assert_eq!(ended.code, 4, "{ended:?}");
    let told: Json = serde_json::from_str(&ended.stdout).unwrap();
    assert!(
        told.to_string().contains("field_type_unsupported"),
        "{told:#}"
    );
}

#[test]
fn the_common_commands_work_for_a_directory_of_this_kind() {
    let server = Server::start();
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("DemoPlugin");
    fs::create_dir_all(&plugin).unwrap();
    fs::write(plugin.join("config.json"), s1().to_string()).unwrap();
    let path = plugin.display().to_string();
    server.cli_ok(&["install", &path]);
    let shown = server.shown("app:DemoPlugin");
    assert_eq!(
        (&shown["kind"], &shown["wanted"]),
        (&"app".into(), &"enabled".into())
    );
    assert_eq!(shown["health"]["state"], "ready");
    assert!(server.home.join("plugins/DemoPlugin").is_symlink());

    let new = s1().to_string().replace("1.0.0", "1.1.0");
    fs::write(plugin.join("config.json"), new).unwrap();
    server.cli_ok(&["upgrade", "DemoPlugin", &path]);
    let linked = || -> Json {
        let text = fs::read(server.home.join("plugins/DemoPlugin/config.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    assert_eq!(linked()["version"], "1.1.0");
    server.cli_ok(&["rollback", "DemoPlugin"]);
    assert_eq!(linked()["version"], "1.0.0");
    server.cli_ok(&["disable", "DemoPlugin"]);
    assert_eq!(server.shown("DemoPlugin")["health"]["state"], "stopped");
    server.cli_ok(&["uninstall", "DemoPlugin", "--yes"]);
    // What is there stays there, and can be installed again.
    assert!(server.home.join("plugins/DemoPlugin/config.json").is_file());
    let again = server.post("/api/admin/plugins/DemoPlugin/install");
    assert_eq!(super::answer(again).0, 200);
}

#[test]
fn an_installed_directory_is_put_by_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let plugin = home.join("plugins/DemoPlugin");
    fs::create_dir_all(&plugin).unwrap();
    fs::write(plugin.join("config.json"), s1().to_string()).unwrap();
    let server = Server::start_in(&home, |_| {});
    // Found at the start, and left alone.
    let list = super::answer(server.get("/api/admin/plugins")).1;
    let entry = &list["data"][0];
    assert_eq!(
        (&entry["discovered"], &entry["installed"]),
        (&true.into(), &false.into())
    );
    assert!(plugin.symlink_metadata().unwrap().is_dir());
    assert_eq!(
        super::answer(server.post("/api/admin/plugins/DemoPlugin/install")).0,
        200
    );
    assert!(plugin.is_symlink());
    let kept: Vec<_> = fs::read_dir(home.join("backups/adopted"))
        .unwrap()
        .collect();
    assert_eq!(kept.len(), 1);
    let put = server.put("/api/admin/plugins/DemoPlugin/config");
    assert_eq!(
        super::answer(put.json(&json!({ "API_TIMEOUT": 77 }))).0,
        200
    );
    drop(server);
    let server = Server::start_in(&home, |_| {});
    let values = super::answer(server.get("/api/admin/plugins/DemoPlugin/config/values")).1;
    assert_eq!(values["data"]["values"]["API_TIMEOUT"], 77);
}
