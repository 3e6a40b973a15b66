//! No plugin outlives its server, however that ends.

use crate::support::{Server, is_alive, plugins, python, wait_for};

fn with_plugin() -> Option<(tempfile::TempDir, Server)> {
    python()?;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plugin = plugins::pysam(directory.path());
    let server = Server::start_in(&directory.path().join("home"), |_| {});
    server.cli_ok(&["install", &plugin.display().to_string()]);
    Some((directory, server))
}

#[test]
fn host_09_a_killed_server_leaves_no_plugin_process() {
    let Some((directory, mut server)) = with_plugin() else {
        return;
    };
    let pid = server.plugin_pid("pysam");
    assert!(is_alive(pid));
    server.kill();
    wait_for("the plugin to end with its server", || {
        (!is_alive(pid)).then_some(())
    });
    drop(server);
    // The next server finds everything as it was.
    let server = Server::start_in(&directory.path().join("home"), |_| {});
    wait_for("the plugin to be ready again", || {
        let shown = server.cli(&["show", "pysam", "-o", "json"]);
        shown.stdout.contains("\"ready\"").then_some(())
    });
}

#[test]
fn host_09_a_stopped_server_stops_its_plugins_first() {
    let Some((_directory, mut server)) = with_plugin() else {
        return;
    };
    let pid = server.plugin_pid("pysam");
    assert!(server.terminate().success(), "{}", server.log());
    assert!(!is_alive(pid));
}
