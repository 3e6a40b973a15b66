//! Accounts, tokens, the audit log, remote servers: whole invocations against a server that asks
//! everybody to sign in.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::support::{Ended, Server, ended, plugyard, run, sign_in_needed};

fn server() -> Server {
    Server::start_with(sign_in_needed)
}

fn json(ended: &Ended) -> Json {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("no JSON: {ended:?}"))
}

/// Makes an account with a token; gives the token.
fn somebody(server: &Server, name: &str, role: &str) -> String {
    server.cli_ok(&["user", "create", name, "--role", role]);
    let words = ["token", "create", "t", "--user", name, "--role", role];
    server.cli_ok(&words).stdout.trim().to_owned()
}

/// Somebody's own machine: another home of theirs, and none of the server's.
fn elsewhere(directory: &Path, words: &[&str]) -> Command {
    let mut command = plugyard(directory);
    command
        .env_remove("PLUGYARD_HOME")
        .env("XDG_CONFIG_HOME", directory)
        .current_dir(directory)
        .args(words);
    command
}

fn with_input(command: &mut Command, input: &str) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // A command that refuses reads nothing.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes());
    ended(child.wait_with_output().expect("the command ends"))
}

#[test]
fn an_account_lives_from_create_to_delete() {
    let server = server();
    let made = server.cli_ok(&["user", "create", "ada", "--role", "operator"]);
    assert_eq!(made.stdout, "ada: operator enabled\n");
    let again = server.cli(&["user", "create", "ada"]);
    assert_eq!(again.code, 5, "{again:?}");
    assert!(
        again.stderr.contains("hint: `plugyard user role ada"),
        "{again:?}"
    );
    let beyond = server.cli(&["token", "create", "t", "--user", "ada", "--role", "owner"]);
    assert_eq!(beyond.code, 5, "{beyond:?}");
    server.cli_ok(&[
        "token",
        "create",
        "laptop",
        "--user",
        "ada",
        "--expires",
        "1h",
    ]);
    let shown = server.cli_ok(&["user", "show", "ada"]).stdout;
    assert!(shown.starts_with("ada: operator enabled\n"), "{shown}");
    assert!(shown.contains("laptop"), "{shown}");
    let disabled = server.cli_ok(&["user", "disable", "ada"]);
    assert_eq!(disabled.stdout, "ada: operator disabled\n");
    server.cli_ok(&["user", "enable", "ada"]);
    let role = server.cli_ok(&["user", "role", "ada", "viewer", "author"]);
    assert_eq!(role.stdout, "ada: viewer,author enabled\n");
    let names = server.cli_ok(&["user", "list", "-o", "name"]).stdout;
    assert_eq!(names, "ada\nowner\n");
    let unsure = server.cli(&["user", "delete", "ada"]);
    assert_eq!(unsure.code, 2, "{unsure:?}");
    server.cli_ok(&["user", "delete", "ada", "--yes"]);
    assert_eq!(server.cli(&["user", "show", "ada"]).code, 3);
    let tokens = json(&server.cli_ok(&["token", "list", "-o", "json"]));
    assert_eq!(tokens["items"].as_array().unwrap().len(), 1, "{tokens}");
}

#[test]
fn the_last_owner_stays_one() {
    let server = server();
    for words in [
        &["user", "delete", "owner", "--yes"][..],
        &["user", "disable", "owner"],
        &["user", "role", "owner", "viewer"],
    ] {
        let ended = server.cli(words);
        assert_eq!(ended.code, 5, "{ended:?}");
        assert!(ended.stderr.contains("the last enabled owner"), "{ended:?}");
    }
    let unknown = server.cli(&["user", "role", "owner", "ownr"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("'owner'"), "{unknown:?}");
}

#[test]
fn a_login_is_remembered_for_its_user_alone() {
    let server = server();
    let token = somebody(&server, "ada", "viewer");
    let own = tempfile::tempdir().unwrap();
    let login = ["login", &server.address, "--name", "yard", "--token", "-"];
    let wrong = with_input(&mut elsewhere(own.path(), &login), "plugyard_wrong\n");
    assert_eq!(wrong.code, 6, "{wrong:?}");
    let nothing = with_input(&mut elsewhere(own.path(), &login), "");
    assert_eq!(nothing.code, 2, "{nothing:?}");
    let file = own.path().join("plugyard/contexts.json");
    assert!(!file.exists(), "what does not work is not remembered");

    let logged_in = with_input(&mut elsewhere(own.path(), &login), &format!("{token}\n"));
    assert_eq!(logged_in.code, 0, "{logged_in:?}");
    assert!(
        logged_in.stdout.starts_with("yard: ada @ http://"),
        "{logged_in:?}"
    );
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);

    // From here on commands talk to that server as that account.
    let words = |words: &[&str]| run(&mut elsewhere(own.path(), words));
    assert_eq!(words(&["list"]).code, 0);
    assert_eq!(words(&["user", "list"]).code, 6);
    let listed = words(&["context", "list", "-o", "json"]);
    assert!(!listed.stdout.contains(&token), "{listed:?}");
    assert_eq!(json(&listed)["items"][0]["current"], true);
    // A home that is named is meant.
    let home = own.path().join("none");
    let local = words(&["list", "--home", home.to_str().unwrap()]);
    assert_eq!(local.code, 7, "{local:?}");

    let bearer = |token: &str| {
        let request = server.get("/v1/session").bearer_auth(token);
        request.send().unwrap().status().as_u16()
    };
    assert_eq!(bearer(&token), 200);
    assert_eq!(words(&["logout"]).code, 0);
    assert_eq!(bearer(&token), 401, "what was forgotten opens nothing");
    assert!(!std::fs::read_to_string(&file).unwrap().contains(&token));
    assert_eq!(words(&["list"]).code, 7, "the default home again");
    assert_eq!(words(&["list", "--context", "yard"]).code, 6);
    assert_eq!(words(&["context", "use", "yrd"]).code, 3);
    assert_eq!(words(&["context", "delete", "yard"]).code, 0);
    assert_eq!(words(&["context", "show", "yard"]).code, 3);
}

#[test]
fn contexts_that_cannot_be_read_are_said_with_their_file() {
    let own = tempfile::tempdir().unwrap();
    let directory = own.path().join("plugyard");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("contexts.json"), "{ not json").unwrap();
    let ended = run(&mut elsewhere(own.path(), &["list"]));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("plugyard/contexts.json"), "{ended:?}");
}

#[test]
fn the_audit_log_tells_who_changed_what() {
    let server = server();
    let token = somebody(&server, "ada", "operator");
    let own = tempfile::tempdir().unwrap();
    let as_ada = |words: &[&str]| {
        run(elsewhere(own.path(), words)
            .env("PLUGYARD_SERVER", &server.address)
            .env("PLUGYARD_TOKEN", &token))
    };
    assert_eq!(as_ada(&["restart", "portable:nobody"]).code, 3);
    let sql = "CREATE STREAM s () WITH (TYPE=\"memory\", DATASOURCE=\"t\", FORMAT=\"json\")";
    let stream = as_ada(&["stream", "create", sql]);
    assert_eq!(stream.code, 0, "{stream:?}");
    assert_eq!(as_ada(&["audit"]).code, 6, "an operator does not read it");
    let mut stranger = elsewhere(own.path(), &["list", "--server", &server.address]);
    stranger.args(["--token", "plugyard_nothing"]);
    assert_eq!(run(&mut stranger).code, 6);

    let rows = |words: &[&str]| -> Vec<(String, String)> {
        let words = [&["audit", "-o", "json"], words].concat();
        let text = |row: &Json, key: &str| row[key].as_str().unwrap().to_owned();
        let log = json(&server.cli_ok(&words));
        let items = log["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|row| (text(row, "action"), text(row, "result")))
            .collect()
    };
    let row = |action: &str, result: &str| (action.to_owned(), result.to_owned());
    let restart = "POST /v1/installations/{plugin}/restart";
    assert_eq!(
        rows(&["--user", "ada"]),
        [row("POST /streams", "ok"), row(restart, "plugin_not_found")]
    );
    assert_eq!(
        rows(&["--plugin", "portable:nobody"]),
        [row(restart, "plugin_not_found")]
    );
    assert_eq!(
        rows(&["--user", "nobody"]),
        [row("sign in from 127.0.0.1", "not_signed_in")]
    );
    assert_eq!(
        rows(&["--user", "local", "--since", "1h"]),
        [row("POST /v1/tokens", "ok"), row("POST /v1/accounts", "ok")]
    );
    assert_eq!(rows(&["-n", "1"]).len(), 1);
    assert_eq!(rows(&["--until", "2026-01-01"]), []);
    let table = server.cli_ok(&["audit"]).stdout;
    assert!(table.starts_with("TIME"), "{table}");
    assert!(!table.contains("plugyard_nothing"), "{table}");
}

#[test]
fn a_node_tells_its_version_and_what_its_machine_can_do() {
    let server = server();
    let nodes = json(&server.cli_ok(&["node", "list", "-o", "json"]));
    let node = &nodes["items"][0];
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(node["ready"], true);
    assert!(node["host"]["kernel"].is_string(), "{node}");
    let table = server.cli_ok(&["node", "list"]).stdout;
    assert!(table.contains("api,runtime"), "{table}");
}
