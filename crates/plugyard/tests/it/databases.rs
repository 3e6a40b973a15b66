//! PostgreSQL behind the server: one server at a time, stops and starts, backups.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::support::postgres::{Cluster, Postgres};
use crate::support::{Server, plugins, plugyard, python, run, wait_for};

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

fn on(url: String) -> impl FnOnce(&mut Command) {
    move |command| {
        command.env("PLUGYARD__DATABASE__URL", url);
    }
}

/// A server that must not start, on a home of its own.
fn refused(home: &Path, url: &str) -> String {
    let ended = run(plugyard(home)
        .args(["serve", "--listen", "127.0.0.1:0", "--auth", "none"])
        .env("PLUGYARD__DATABASE__URL", url));
    assert_eq!(ended.code, 5, "{ended:?}");
    ended.stderr
}

#[test]
fn a_second_server_on_the_same_postgresql_is_refused_by_name() {
    let Some(database) = Postgres::new("second") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let mut first = Server::start_in(&at("first"), on(database.url()));
    let said = refused(&at("second"), &database.url());
    assert!(said.contains(&format!(":{}", first.pid())), "{said}");
    assert!(said.contains("database.url"), "{said}");
    first.cli_ok(&["list"]);
    // However the first one ends, the next one can begin at once.
    first.kill();
    let second = Server::start_in(&at("second"), on(database.url()));
    second.cli_ok(&["list"]);
    drop(second);
    drop(first);
}

#[test]
fn a_server_whose_database_was_taken_over_while_it_was_away_ends() {
    let Some(database) = Postgres::new("taken") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let mut first = Server::start_in(&at("first"), on(database.url()));
    // Somebody holds the lock the moment the first one loses its session.
    let key = 0x706c_7567_6f77_6e72_i64;
    let lock = format!("SELECT pg_advisory_lock({key}); SELECT pg_sleep(600)");
    let mut other = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", "--command", &lock])
        .env("PGAPPNAME", "plugyard other:1")
        .arg(database.url())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("psql starts");
    wait_for("the other to stand in line", || {
        let waits = database.ask(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE application_name = 'plugyard other:1' AND wait_event_type = 'Lock'",
        );
        (waits == "1").then_some(())
    });
    database.ask(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    );
    let code = first.ended();
    assert_eq!(code, Some(5), "{}", first.log());
    assert!(first.log().contains("plugyard other:1"), "{}", first.log());
    let _ = other.kill();
    let _ = other.wait();
}

#[test]
fn a_postgresql_that_stops_during_a_change_and_starts_again_loses_nothing() {
    let Some(_) = python() else { return };
    let Some(cluster) = Cluster::new() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    let server = Server::start_in(&home, on(cluster.url()));
    let plugin = plugins::pysam(directory.path());
    server.cli_ok(&["install", plugin.to_str().expect("UTF-8")]);
    let before = server.plugin_pid("pysam");
    // A new version that is being built for as long as the test wants.
    let script = "while [ ! -e \"$PLUGYARD_DATA_DIR/go\" ]; do sleep 0.05; done\n";
    fs::write(plugin.join("install.sh"), script).expect("a file");
    let begun = server.cli_ok(&[
        "upgrade",
        "pysam",
        plugin.to_str().expect("UTF-8"),
        "--no-wait",
    ]);
    let id = begun.stdout.trim().to_owned();
    let step = |id: &str| -> Option<String> {
        let ended = server.cli(&["operation", "show", id, "-o", "json"]);
        let operation = (ended.code == 0).then(|| json(&ended.stdout))?;
        let steps = operation["steps"].as_array()?.clone();
        let running = steps.iter().find(|it| it["state"] == "running")?;
        Some(running["name"].as_str()?.to_owned())
    };
    wait_for("the build", || (step(&id)? == "build").then_some(()));
    cluster.stop();
    // Said so, or not answered in time: where connections are waited for, that takes its time.
    wait_for("a refusal", || {
        (server.cli(&["list"]).code != 0).then_some(())
    });
    // The step ends while nothing can be written about it.
    let go = home.join("plugin-data/portable/pysam/go");
    fs::write(&go, "").expect("a file");
    cluster.start();
    let ended = wait_for("the end of the change", || {
        let ended = server.cli(&["operation", "show", &id, "-o", "json"]);
        let operation = (ended.code == 0).then(|| json(&ended.stdout))?;
        (operation["state"] != "running").then_some(operation)
    });
    assert_eq!(ended["state"], "done", "{ended}");
    assert_ne!(server.plugin_pid("pysam"), before);
    // The server has its database to itself again, once it has noticed that it is back.
    wait_for("the lock", || {
        server.log().contains("The database is back").then_some(())
    });
    let said = refused(&directory.path().join("second"), &cluster.url());
    assert!(said.contains(&format!(":{}", server.pid())), "{said}");
    assert!(said.contains("another server"), "{said}");
    drop(server);
}

#[test]
fn a_backup_with_postgresql_says_that_the_database_is_elsewhere() {
    let Some(_) = python() else { return };
    let Some(database) = Postgres::new("backup") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| directory.path().join(name);
    let mut server = Server::start_in(&at("home"), on(database.url()));
    let pysam = plugins::pysam(directory.path());
    server.cli_ok(&["install", pysam.to_str().expect("UTF-8")]);
    let file = at("home.tar.gz").display().to_string();
    let made = server.cli_ok(&["backup", "--to", &file, "-o", "json"]);
    assert_eq!(json(&made.stdout)["database"], "external", "{made:?}");
    assert!(server.terminate().success());
    drop(server);

    // With the database where it is, and the files brought back, all is as before.
    let restored = run(plugyard(&at("other")).args(["restore", &file]));
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(!at("other").join("plugyard.db").exists());
    let copy = Server::start_in(&at("other"), on(database.url()));
    wait_for("the plugin", || {
        (copy.shown("pysam")["health"]["state"] == "ready").then_some(())
    });
    // And with files alone, without what was unpacked, they are made again.
    drop(copy);
    fs::remove_dir_all(at("other").join("versions")).expect("they are there");
    let copy = Server::start_in(&at("other"), on(database.url()));
    wait_for("the plugin again", || {
        let shown = copy.shown("pysam");
        (shown["health"]["state"] == "ready" && shown["operation"].is_null()).then_some(())
    });
    let audit = copy.cli_ok(&["operation", "list", "-o", "json"]).stdout;
    assert!(audit.contains("\"server\""), "{audit}");
    drop(copy);
}
