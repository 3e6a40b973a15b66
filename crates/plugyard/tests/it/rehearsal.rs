//! `--dry-run`: every command that changes something has it or says why not, it changes nothing, and it says
//! what would happen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use serde_json::{Value as Json, json};

use crate::support::{Ended, Server, plugins, plugyard, python, run, wait_for};

/// Commands that change nothing that anybody else sees.
const LOOK: &[&str] = &[
    "check",
    "list",
    "show",
    "logs",
    "audit",
    "validate",
    "doctor",
    "completions",
    "config get",
    "config plan",
    "config diff",
    "config history",
    "config export",
    "web list",
    "web show",
    "web doctor",
    "web verify",
    "web url",
    "web url explain",
    "url",
    "url explain",
    "web usage list",
    "web usage show",
    "market list",
    "market code",
    "stream list",
    "stream show",
    "rule list",
    "rule explain",
    "rule show",
    "rule status",
    "rule tail",
    "operation list",
    "operation show",
    "operation watch",
    "user list",
    "user show",
    "token list",
    "secrets recipient",
    "node list",
    "webhook list",
    "webhook deliveries",
    "context list",
    "context show",
    "validate explain",
];

/// Commands that change something and have no `--dry-run`, by the reason.
const WITHOUT: &[(&str, &[&str])] = &[
    (
        "it writes one file or directory that it names, and none that is there",
        &["new", "pack", "backup"],
    ),
    (
        "it runs until it is ended; what it would do is what it does",
        &["serve", "dev", "market serve"],
    ),
    (
        "it changes the user's own list of servers, or takes back what `login` did",
        &["login", "logout", "context use", "context delete"],
    ),
    (
        "one row, which the command beside it shows and takes back; refused whole or done whole",
        &[
            "stream create",
            "stream delete",
            "rule create",
            "rule delete",
            "rule start",
            "rule stop",
            "user create",
            "user role",
            "user enable",
            "user disable",
            "user delete",
            "token create",
            "token revoke",
            "webhook add",
            "webhook set",
            "webhook remove",
            "web add",
            "web set",
            "web usage add",
            "web usage set",
            "web usage remove",
            "web usage order",
            "market add",
            "market remove",
            "market entitle",
        ],
    ),
    ("it is the way back from a change", &["operation cancel"]),
    (
        "no value changes, and nothing about it can be foreseen",
        &[
            "secrets rotate",
            "market check",
            "web check",
            "web sync-status",
            "webhook test",
            "webhook retry",
        ],
    ),
    (
        "it changes the files of a market, which are signed and keep their history",
        &[
            "market init",
            "market publish",
            "market yank",
            "market rotate",
        ],
    ),
    (
        "it is shown with its consequences and asked for, or `install`, `upgrade`, `enable`, `disable` and `uninstall` say it beforehand",
        &[
            "web activate",
            "web deactivate",
            "web uninstall",
            "web purge",
            "web settings",
            "web install",
            "web upgrade",
        ],
    ),
];

/// Every command that does something, with whether it has `--dry-run`.
fn commands() -> BTreeMap<String, bool> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = run(plugyard(directory.path()).args(["reference", "cli"])).stdout;
    let mut all = BTreeMap::new();
    let mut at = None;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ").or(line.strip_prefix("### ")) {
            let usage = title.trim_matches('`');
            let words = usage.split(' ').skip(1);
            let words: Vec<_> = words.take_while(|word| !word.starts_with('<')).collect();
            let name = words.join(" ");
            all.insert(name.clone(), false);
            at = Some(name);
        } else if line.contains("`--dry-run`")
            && let Some(at) = &at
        {
            all.insert(at.clone(), true);
        }
    }
    // A noun with verbs does nothing by itself.
    let names: Vec<String> = all.keys().cloned().collect();
    let has_verbs = |name: &str| names.iter().any(|it| it.starts_with(&format!("{name} ")));
    all.retain(|name, _| {
        !has_verbs(name) || ["url", "web url", "validate"].contains(&name.as_str())
    });
    all
}

#[test]
fn every_command_that_changes_something_has_a_dry_run_or_a_reason() {
    let mut decided: BTreeSet<&str> = LOOK.iter().copied().collect();
    for (_, commands) in WITHOUT {
        decided.extend(*commands);
    }
    let commands = commands();
    assert!(commands.len() > 80, "{commands:?}");
    for (command, has) in &commands {
        assert_ne!(
            *has,
            decided.contains(command.as_str()),
            "`{command}`: give it `--dry-run`, or say here why it has none"
        );
    }
    for command in decided {
        assert!(commands.contains_key(command), "there is no `{command}`");
    }
}

/// All that a home holds, but for what ends with the process and the log of requests.
fn state(server: &Server) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    files(&server.home, &server.home, &mut all);
    let url = format!(
        "sqlite://{}?mode=ro",
        server.home.join("plugyard.db").display()
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let database = Database::connect(url).await.expect("the database");
        let ask = async |sql: String| {
            let statement = Statement::from_string(DbBackend::Sqlite, sql);
            database.query_all_raw(statement).await.expect("rows")
        };
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
        for table in ask(tables.to_owned()).await {
            let table: String = table.try_get_by_index(0).expect("a name");
            // That somebody asked is written down, whatever was asked; and how often, by SQLite.
            if ["audit_events", "sqlite_sequence"].contains(&table.as_str()) {
                continue;
            }
            let columns = ask(format!("SELECT name FROM pragma_table_info('{table}')")).await;
            let columns: Vec<String> = columns
                .iter()
                .map(|row| row.try_get_by_index(0).expect("a name"))
                // When somebody was last here is no state.
                .filter(|name| name != "last_used_at")
                .map(|name: String| format!("quote(\"{name}\")"))
                .collect();
            let sql = format!(
                "SELECT {} FROM \"{table}\" ORDER BY 1",
                columns.join(" || ',' || ")
            );
            let rows = ask(sql).await;
            let rows: Vec<String> = rows
                .iter()
                .map(|row| row.try_get_by_index(0).expect("a row"))
                .collect();
            all.insert(format!("table {table}"), rows.join("\n"));
        }
        database.close().await.expect("it closes");
    });
    all
}

fn files(root: &Path, at: &Path, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(at).expect("a directory").flatten() {
        let path = entry.path();
        let name = path
            .strip_prefix(root)
            .expect("below")
            .display()
            .to_string();
        // The database is read as such; plugins write their logs and data while they run.
        if name.starts_with("plugyard.db")
            || ["run", "logs", "plugin-data"].contains(&name.as_str())
        {
            continue;
        }
        let about = path.symlink_metadata().expect("it is there");
        if about.is_dir() {
            all.insert(name, "a directory".to_owned());
            files(root, &path, all);
        } else if about.is_symlink() {
            all.insert(name, format!("{:?}", fs::read_link(&path)));
        } else if about.is_file() {
            all.insert(
                name,
                String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned(),
            );
        }
    }
}

/// The operations that are under way have ended, and what comes after them.
fn at_rest(server: &Server) -> BTreeMap<String, String> {
    let mut before = state(server);
    wait_for("the server to be at rest", || {
        let now = state(server);
        let same = now == before;
        before = now;
        same.then_some(())
    });
    before
}

const DEFINITION: &str = r#"{"version": "1.0.0", "fields": {
    "WORD": {"type": "text", "label": "Word", "default": "a"},
    "KEY": {"type": "password", "label": "Key"}}}"#;
const WIDER: &str = r#"{"version": "1.1.0", "fields": {
    "WORD": {"type": "text", "label": "Word", "default": "a"},
    "KEY": {"type": "password", "label": "Key"},
    "MORE": {"type": "text", "label": "More", "default": "b"}}}"#;

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
}

#[expect(
    clippy::too_many_lines,
    reason = "one server, and every command that it can be asked with"
)]
#[test]
fn a_dry_run_changes_nothing_and_says_what_would_happen() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let first = plugins::pysam(directory.path());
    write(&first.join("plugyard.config.json"), DEFINITION);
    let first = plugins::zip(&first, &directory.path().join("first.zip"));
    let first = first.display().to_string();
    let second = plugins::pysam(directory.path());
    write(&second.join("plugyard.config.json"), WIDER);
    let manifest = fs::read_to_string(second.join("pysam.json")).expect("a manifest");
    write(
        &second.join("pysam.json"),
        &manifest.replace("v1.0.0", "v1.1.0"),
    );
    let program = "import time\nwhile True: time.sleep(1)\n";
    let other = plugins::only_function(directory.path(), "other", program);
    let dropped = plugins::only_function(&directory.path().join("x"), "dropped", program);

    let server = Server::start();
    server.cli_ok(&["install", &first]);
    server.cli_ok(&["config", "set", "pysam", "WORD=b"]);
    let exported = server
        .cli_ok(&["config", "export", "pysam", "-o", "json"])
        .stdout;
    let mut exported: Json = serde_json::from_str(&exported).expect("JSON");
    exported["values"]["WORD"] = json!("c");
    write(Path::new(&path("export.json")), &exported.to_string());
    server.cli_ok(&["config", "set", "pysam", "WORD=d"]);
    // So that there is something to go back to.
    server.cli_ok(&["set", "pysam", "--workers", "2"]);
    let backup = path("backup.tar.gz");
    server.cli_ok(&["backup", "--to", &backup]);
    let place = server.home.join("plugins/portable/dropped");
    fs::create_dir_all(&place).expect("a directory");
    let copied = run(std::process::Command::new("cp")
        .arg("-rT")
        .arg(&dropped)
        .arg(&place));
    assert_eq!(copied.code, 0, "{copied:?}");
    let editor = path("editor");
    write(
        Path::new(&editor),
        "#!/bin/sh\nsed -i 's/\"d\"/\"e\"/' \"$1\"\n",
    );
    let runnable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&editor, runnable).expect("a program");

    let (second, other) = (second.display().to_string(), other.display().to_string());
    let elsewhere = path("elsewhere");
    let export = path("export.json");
    let would: &[(&[&str], &str)] = &[
        (&["install", &other], "unpack"),
        (
            &["install", &other, "--stopped", "--limit", "memory=64MiB"],
            "unpack",
        ),
        (&["upgrade", "pysam", &second], "+ MORE"),
        (
            &["upgrade", "pysam", &second, "--option", "workers=3"],
            "unpack",
        ),
        (&["rollback", "pysam"], "commit"),
        (&["enable", "pysam"], "commit"),
        (&["disable", "pysam"], "commit"),
        (&["restart", "pysam"], "commit"),
        (&["uninstall", "pysam"], "commit"),
        (&["set", "pysam", "--workers", "3"], "commit"),
        (&["rescan"], "would install"),
        (&["config", "set", "pysam", "WORD=x"], "would change WORD"),
        (
            &["config", "set", "pysam", "WORD=d"],
            "nothing would change",
        ),
        (
            &["config", "set", "pysam", "KEY=a-new-secret"],
            "would change KEY",
        ),
        (&["config", "unset", "pysam", "WORD"], "would change WORD"),
        (&["config", "edit", "pysam"], "would change WORD"),
        (&["config", "restore", "pysam", "1"], "would change WORD"),
        (&["config", "import", "pysam", &export], "would change WORD"),
        (&["config", "reset", "pysam"], "would change"),
        (&["restore", &backup, "--home", &elsewhere], "would write"),
    ];
    let mut asked = BTreeSet::new();
    let before = at_rest(&server);
    let ask = |words: &[&str]| -> Ended {
        let words = [words, &["--dry-run"]].concat();
        run(server
            .command(&words)
            .env("EDITOR", &editor)
            .env_remove("VISUAL"))
    };
    for (words, says) in would {
        let ended = ask(words);
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}\n{}", server.log());
        assert!(ended.stdout.contains(says), "{words:?}: {ended:?}");
        let after = state(&server);
        for (name, held) in &before {
            assert_eq!(after.get(name), Some(held), "{words:?} changed {name}");
        }
        let new: Vec<_> = after
            .keys()
            .filter(|it| !before.contains_key(*it))
            .collect();
        assert_eq!(new, [""; 0], "{words:?} made something");
        let verb = if words[0] == "config" { 2 } else { 1 };
        asked.insert(words[..verb].join(" "));
    }
    assert!(!Path::new(&elsewhere).exists());
    // What would be refused is refused, in the same words.
    for words in [
        &["install", &first][..],
        &["install", &path("nothing.zip")],
        &["install", &other, "--value", "X=1"],
        &["rollback", "nobody"],
        &["config", "set", "pysam", "NOPE=1"],
        &["config", "restore", "pysam", "99"],
        &["restore", &first, "--home", &elsewhere],
    ] {
        let before = at_rest(&server);
        let rehearsed = ask(words);
        assert_eq!(state(&server), before, "{words:?}");
        let real = server.cli(words);
        assert_ne!(rehearsed.code, 0, "{words:?}: {rehearsed:?}");
        let said = |ended: &Ended| (ended.code, ended.stdout.clone(), ended.stderr.clone());
        assert_eq!(said(&rehearsed), said(&real), "{words:?}");
    }
    // No command that has it is left out, but for those of nouns with tests of their own.
    for (command, has) in commands() {
        let of_another = ["web ", "market ", "webhook "]
            .iter()
            .any(|it| command.starts_with(it));
        if has && !of_another {
            assert!(asked.contains(&command), "`{command}` was not tried");
        }
    }
}

#[test]
fn a_package_is_looked_at_as_it_would_be_taken_in_and_not_kept() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plugin = plugins::pysam(directory.path());
    let zip = plugins::zip(&plugin, &directory.path().join("pysam.zip"));
    let server = Server::start();
    let before = at_rest(&server);
    let form = |change: &str| {
        let file = reqwest::blocking::multipart::Part::bytes(fs::read(&zip).expect("a zip"));
        let form = reqwest::blocking::multipart::Form::new()
            .text("change", change.to_owned())
            .part("file", file.file_name("pysam.zip"));
        crate::support::answer(server.post("/v1/packages/plan").multipart(form))
    };
    let planned = form(r#"{"options": {"workers": 2}}"#);
    assert_eq!(planned.status, 200, "{planned:?}");
    let planned: Json = serde_json::from_str(&planned.body).expect("JSON");
    assert_eq!(planned["plugin"], "portable:pysam");
    assert_eq!(planned["plan"]["steps"][0]["name"], "unpack", "{planned}");
    let bytes = fs::read(&zip).expect("a zip");
    let alone = server
        .post("/v1/packages/plan")
        .header("content-type", "application/zip");
    assert_eq!(crate::support::answer(alone.body(bytes)).status, 200);
    for (change, code) in [
        (r#"{"upgrade": true}"#, "plugin_not_found"),
        (
            r#"{"options": {"workers": "many"}}"#,
            "portable_option_invalid",
        ),
        (r#"{"values": {"X": "1"}}"#, "config_not_registered"),
        (r#"{"nonsense": 1}"#, "request_invalid"),
    ] {
        let refused = form(change);
        let body: Json = serde_json::from_str(&refused.body).expect("JSON");
        assert_eq!(body["code"], code, "{change}: {refused:?}");
    }
    assert_eq!(at_rest(&server), before);
    // A web plugin that is only placed, too.
    let web = directory.path().join("web");
    fs::create_dir(&web).expect("a directory");
    let manifest =
        r#"{"fskey": "Demo", "name": "x", "description": "", "author": "me", "version": "1.0.0"}"#;
    write(&web.join("plugin.json"), manifest);
    let web = plugins::zip(&web, &directory.path().join("web.zip"));
    let web = web.display().to_string();
    for words in [
        &["web", "unzip", &web, "--dry-run"][..],
        &["web", "unzip", &web, "--dry-run", "-o", "json"],
    ] {
        let rehearsed = server.cli_ok(words);
        assert!(rehearsed.stdout.contains("place"), "{rehearsed:?}");
        assert_eq!(at_rest(&server), before, "{words:?}");
    }
    for change in [
        r#"{"unzip": true, "upgrade": true}"#,
        r#"{"unzip": true, "values": {}}"#,
    ] {
        let refused = form(change);
        let body: Json = serde_json::from_str(&refused.body).expect("JSON");
        assert_eq!(body["code"], "request_invalid", "{change}: {refused:?}");
    }
    let refused = form(r#"{"unzip": true}"#);
    let body: Json = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!(body["code"], "action_unsupported", "{refused:?}");
    assert_eq!(at_rest(&server), before);
    let named = json!({ "package": "0".repeat(64) });
    let unknown = crate::support::answer(server.post("/v1/packages/plan").json(&named));
    assert_eq!(unknown.status, 404, "{unknown:?}");
}
