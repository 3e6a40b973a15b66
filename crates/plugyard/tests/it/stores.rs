//! Packages in an S3-compatible store.

use std::path::Path;
use std::process::Command;

use plugyard_store::testing::{TestObjects, object_stores};
use serde_json::{Value as Json, json};

use crate::support::{Server, plugins, plugyard, python, run, wait_for};

fn store() -> Option<TestObjects> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let all = runtime.block_on(object_stores());
    all.into_iter().find(|it| it.sort == "S3")
}

/// Lets a server keep its packages there.
fn keeps_in(store: &TestObjects) -> impl Fn(&mut Command) + use<> {
    let (url, options) = (store.url.to_string(), store.options.clone());
    move |command| {
        let secret = options.secret_key.as_ref().expect("a key").expose();
        command
            .env("PLUGYARD__OBJECTS__URL", &url)
            .env(
                "PLUGYARD__OBJECTS__ENDPOINT",
                options.endpoint.as_ref().expect("an address"),
            )
            .env("PLUGYARD__OBJECTS__REGION", "us-east-1")
            .env("PLUGYARD__OBJECTS__ACCESS_KEY", "test")
            .env("PLUGYARD__OBJECTS__SECRET_KEY", secret)
            .env("PLUGYARD__OBJECTS__ALLOW_HTTP", "true");
    }
}

/// The names of all objects of the bucket, as the S3 server itself lists them.
fn listed(store: &TestObjects) -> Vec<String> {
    let (status, body) = store
        .raw("GET", "/packages-of-tests?list-type=2", b"")
        .expect("an S3 server");
    assert_eq!(status, 200);
    let body = String::from_utf8_lossy(&body).into_owned();
    let keys = body.split("<Key>").skip(1);
    let keys = keys.filter_map(|rest| rest.split("</Key>").next());
    keys.map(str::to_owned).collect()
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

fn state(server: &Server, plugin: &str) -> Json {
    let ended = server.cli_ok(&["show", plugin, "-o", "json"]);
    json(&ended.stdout)["health"]["state"].clone()
}

fn version(directory: &Path, name: &str, number: u32) -> String {
    let plugin = plugins::pysam(&directory.join(format!("{name}-{number}")));
    std::fs::write(plugin.join("number.txt"), number.to_string()).expect("a file");
    plugin.to_str().expect("UTF-8").to_owned()
}

#[test]
fn packages_live_on_s3_and_a_store_that_goes_away_breaks_nothing() {
    let Some(_) = python() else { return };
    let Some(store) = store() else { return };
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    // Somebody else's things in the same bucket, one of them looking like ours.
    let foreign = [
        "/packages-of-tests/some/prefix/packages/0000000000000000000000000000000000000000000000000000000000000000",
        "/packages-of-tests/some/other",
    ];
    for path in foreign {
        assert_eq!(store.raw("PUT", path, b"theirs").unwrap().0, 200);
    }
    let mut server = Server::start_in(&home, keeps_in(&store));
    server.cli_ok(&["install", &version(directory.path(), "pysam", 1)]);
    let all = listed(&store);
    let packages = all
        .iter()
        .filter(|it| it.contains("prefix/packages/"))
        .count();
    assert_eq!(packages, 2, "{all:?}");
    assert!(
        all.iter()
            .any(|it| it.ends_with("prefix/plugyard-instance")),
        "{all:?}"
    );
    assert!(!home.join("objects").exists());

    // Versions that are pruned go there too, and nothing else does.
    for number in 2..7 {
        server.cli_ok(&[
            "upgrade",
            "pysam",
            &version(directory.path(), "pysam", number),
        ]);
    }
    wait_for("old packages to be removed", || {
        (listed(&store).len() == 3 + 3).then_some(())
    });
    assert!(server.terminate().success());

    // The copies are only copies.
    std::fs::remove_dir_all(home.join("cache")).unwrap();
    let server = Server::start_in(&home, keeps_in(&store));
    server.cli_ok(&["rollback", "pysam"]);
    let all = listed(&store);
    assert!(all.iter().any(|it| it.contains("/0000000000")), "{all:?}");
    assert!(all.iter().any(|it| it == "some/other"), "{all:?}");

    // Another installation is refused, and says why.
    let other = directory.path().join("other");
    std::fs::create_dir_all(&other).unwrap();
    let mut command = plugyard(&other);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    keeps_in(&store)(&mut command);
    let refused = run(&mut command);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(
        refused.stderr.contains("belongs to another Plugyard"),
        "{refused:?}"
    );

    let backup = directory.path().join("backup.tar.gz");
    let mut command = server.command(&["backup", "-o", "json", "--to"]);
    let made = run(command.arg(&backup));
    assert_eq!(json(&made.stdout)["objects"], "external", "{made:?}");
    assert!(made.stderr.contains("objects.url"), "{made:?}");

    // The store goes away.
    let keep = keeps_in(&store);
    drop(store);
    let before = server.cli_ok(&["show", "pysam", "-o", "json"]).stdout;
    let upgrade = server.cli(&["upgrade", "pysam", &version(directory.path(), "pysam", 9)]);
    assert_eq!(upgrade.code, 1, "{upgrade:?}");
    assert!(upgrade.stderr.contains("objects.url"), "{upgrade:?}");
    let after = server.cli_ok(&["show", "pysam", "-o", "json"]).stdout;
    let same = |text: &str| {
        (
            json(text)["version"].clone(),
            json(text)["versions"].clone(),
        )
    };
    assert_eq!(same(&before), same(&after));
    assert_eq!(state(&server, "pysam"), "ready");
    let mut command = server.command(&["doctor", "-o", "json"]);
    keep(&mut command);
    let doctor = json(&run(&mut command).stdout);
    let mut checks = doctor["checks"].as_array().unwrap().iter();
    let check = checks.find(|it| it["check"] == "package store").unwrap();
    assert_eq!(check["result"], "missing", "{check}");

    // What runs, runs without it, also after a start.
    drop(server);
    let server = Server::start_in(&home, keep);
    wait_for("the plugin to be ready", || {
        (state(&server, "pysam") == json!("ready")).then_some(())
    });
    assert!(!server.log().contains("secret_key"), "{}", server.log());
}
