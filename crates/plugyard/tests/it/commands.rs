//! Whole invocations of the command line: exit code, standard output, standard error.

use std::fs;
use std::io::BufRead as _;
use std::path::Path;

use crate::support::{Ended, Server, plugins, plugyard, python, run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

/// Exit code, output and messages of a command without a server, with the directory's name taken out.
fn offline(directory: &Path, words: &[&str]) -> Ended {
    let mut ended = run(plugyard(&directory.join("no-home"))
        .current_dir(directory)
        .args(words));
    let name = directory.display().to_string();
    ended.stdout = ended.stdout.replace(&name, "[dir]");
    ended.stderr = ended.stderr.replace(&name, "[dir]");
    ended
}

#[test]
fn a_bare_noun_prints_its_help_and_an_unknown_command_a_suggestion() {
    let directory = tempfile::tempdir().unwrap();
    let bare = offline(directory.path(), &["rule"]);
    assert_eq!(bare.code, 2);
    assert!(bare.stderr.contains("Usage: plugyard rule"), "{bare:?}");
    assert_eq!(bare.stdout, "");
    let wrong = offline(directory.path(), &["instal", "x"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("'install'"), "{wrong:?}");
}

#[test]
fn without_a_server_the_command_says_where_it_looked() {
    let directory = tempfile::tempdir().unwrap();
    let ended = offline(directory.path(), &["list"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (7, ""));
    assert!(
        ended
            .stderr
            .starts_with("error: No Plugyard server answers at [dir]/no-home/run/api.sock"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("\nhint: `plugyard serve` starts one"),
        "{ended:?}"
    );
    let chinese = offline(directory.path(), &["--lang", "zh-CN", "list"]);
    assert!(
        chinese.stderr.contains("没有 Plugyard 服务器响应"),
        "{chinese:?}"
    );
}

#[test]
fn a_zip_that_is_none_is_a_finding() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("x.zip"), "not a zip at all").unwrap();
    let ended = offline(directory.path(), &["check", "x.zip"]);
    assert_eq!(ended.code, 4);
    assert!(
        ended.stdout.starts_with("error[archive_not_zip]: "),
        "{ended:?}"
    );
    assert_eq!(ended.stderr, "");
    let json = offline(directory.path(), &["check", "x.zip", "-o", "json"]);
    assert_eq!(json.code, 4);
    let document: Json = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(document["findings"][0]["code"], "archive_not_zip");
}

#[test]
fn a_manifest_that_is_none_is_found_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path());
    fs::write(
        plugin.join("pysam.json"),
        "{\"language\": \"python\",\n \"executable\": }",
    )
    .unwrap();
    let ended = offline(
        directory.path(),
        &["check", "--kind", "portable", "--name", "pysam", "pysam"],
    );
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(
        ended.stdout.contains("  --> pysam: pysam.json:2:"),
        "{ended:?}"
    );
    let sarif = offline(
        directory.path(),
        &[
            "check", "--kind", "portable", "--name", "pysam", "./pysam", "-o", "sarif",
        ],
    );
    let document: Json = serde_json::from_str(&sarif.stdout).unwrap();
    let place = &document["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "pysam/pysam.json");
    assert_eq!(place["region"]["startLine"], 2);
    assert!(place["region"]["startColumn"].as_u64().unwrap() > 0);
}

#[test]
fn the_same_package_gives_the_same_findings_as_directory_zip_and_sarif() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path());
    fs::remove_file(plugin.join("sources/pyjson.yaml")).unwrap();
    plugins::zip(&plugin, &directory.path().join("pysam.zip"));
    let codes = |ended: &Ended| -> Vec<String> {
        let document: Json = serde_json::from_str(&ended.stdout).unwrap();
        document["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect()
    };
    let of_zip = offline(directory.path(), &["check", "pysam.zip", "-o", "json"]);
    let of_directory = offline(directory.path(), &["check", "pysam", "-o", "json"]);
    assert_eq!(of_zip.code, 4);
    assert!(!codes(&of_zip).is_empty());
    assert_eq!(codes(&of_zip), codes(&of_directory));
    let sarif = offline(directory.path(), &["check", "pysam.zip", "-o", "sarif"]);
    assert_eq!(sarif.code, 4);
    let document: Json = serde_json::from_str(&sarif.stdout).unwrap();
    assert_eq!(document["version"], "2.1.0");
    assert_eq!(
        document["runs"][0]["results"].as_array().unwrap().len(),
        codes(&of_zip).len()
    );
    let elsewhere = offline(directory.path(), &["list", "-o", "sarif"]);
    assert_eq!(elsewhere.code, 2);
}

#[test]
fn packing_twice_gives_the_same_bytes_and_a_sound_package() {
    let directory = tempfile::tempdir().unwrap();
    plugins::pysam(directory.path());
    let digest = |ended: &Ended| {
        let document: Json = serde_json::from_str(&ended.stdout).unwrap();
        document["sha256"].as_str().unwrap().to_owned()
    };
    let first = offline(directory.path(), &["pack", "pysam", "-o", "json"]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(directory.path().join("pysam.zip").is_file());
    let second = offline(
        directory.path(),
        &["pack", "pysam", "--to", "b.zip", "-o", "json"],
    );
    assert_eq!(digest(&first), digest(&second));
    let checked = offline(directory.path(), &["check", "b.zip"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, "b.zip: portable:pysam v1.0.0: no errors\n")
    );
}

#[test]
fn packing_what_no_server_would_take_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path());
    fs::remove_file(plugin.join("pysam.py")).unwrap();
    let ended = offline(directory.path(), &["pack", "pysam"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (4, ""));
    assert!(
        ended
            .stderr
            .starts_with("error: The package has 1 error(s)"),
        "{ended:?}"
    );
    assert!(!directory.path().join("pysam.zip").exists());
}

#[test]
fn input_that_is_not_there_is_not_found() {
    let directory = tempfile::tempdir().unwrap();
    let ended = offline(directory.path(), &["check", "nothing.zip"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (3, ""));
    assert!(
        ended
            .stderr
            .starts_with("error: `nothing.zip` cannot be read: "),
        "{ended:?}"
    );
}

#[test]
fn serving_without_sign_in_beyond_loopback_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ended = offline(
        directory.path(),
        &["serve", "--listen", "0.0.0.0:0", "--auth", "none"],
    );
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert!(
        ended
            .stderr
            .contains("only for loopback addresses, not 0.0.0.0:0"),
        "{ended:?}"
    );
}

#[test]
fn an_unknown_key_keeps_the_server_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = plugyard(&directory.path().join("home"));
    let ended = run(command
        .args(["serve"])
        .env("PLUGYARD__SERVER__LISEN", "127.0.0.1:0"));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("lisen"), "{ended:?}");
}

#[test]
fn two_servers_do_not_share_a_home() {
    let server = Server::start();
    let ended = server.cli(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code, 5, "{ended:?}");
    assert!(
        ended.stderr.contains("is in use by another server"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains(&server.pid().to_string()),
        "{ended:?}"
    );
    server.cli_ok(&["list"]);
}

#[test]
fn the_owners_token_is_shown_once_and_opens_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let with_tokens = |command: &mut std::process::Command| {
        command.args(["--auth", "token"]);
    };
    let start = || {
        // The support's own `--auth none` is overridden by the variable's absence: start it by hand.
        Server::start_in(&home, |command| {
            *command = plugyard(&home);
            command.args(["serve", "--listen", "127.0.0.1:0"]);
            with_tokens(command);
        })
    };
    let mut server = start();
    let log = server.log();
    let token = log
        .split_whitespace()
        .find(|word| word.starts_with("plugyard_"))
        .unwrap_or_else(|| panic!("no token in {log}"))
        .to_owned();
    let refused = run(plugyard(&directory.path().join("elsewhere")).args([
        "--server",
        &server.address,
        "list",
    ]));
    assert_eq!(refused.code, 6, "{refused:?}");
    let allowed = run(plugyard(&directory.path().join("elsewhere"))
        .args(["--server", &server.address, "list", "-o", "json"])
        .env("PLUGYARD_TOKEN", &token));
    assert_eq!(allowed.code, 0, "{allowed:?}");
    assert!(server.terminate().success());
    drop(server);
    let server = start();
    assert!(
        !server.log().contains("plugyard_"),
        "shown again:\n{}",
        server.log()
    );
}

#[test]
fn rules_and_streams_that_cannot_be_are_refused_in_words() {
    let server = Server::start();
    let stream = server.cli(&["stream", "create", "CREATE STREAM ("]);
    assert_eq!((stream.code, stream.stdout.as_str()), (1, ""), "{stream:?}");
    assert!(stream.stderr.starts_with("error: "), "{stream:?}");
    let rule = server.cli(&[
        "rule",
        "create",
        "r",
        "--sql",
        "SELECT * FROM nowhere",
        "--sink",
        "log",
    ]);
    assert!(matches!(rule.code, 1 | 3), "{rule:?}");
    assert!(rule.stderr.contains("nowhere"), "{rule:?}");
    let sql = server.cli(&["rule", "create", "r", "--sql", "SELEC 1", "--sink", "log"]);
    assert_eq!((sql.code, sql.stdout.as_str()), (1, ""), "{sql:?}");
    let missing = server.cli(&["rule", "status", "r"]);
    assert_eq!(missing.code, 3, "{missing:?}");
    let unsure = server.cli(&["rule", "delete", "r"]);
    assert_eq!(unsure.code, 2, "{unsure:?}");
    assert!(
        unsure.stderr.contains("hint: repeat it with `--yes`"),
        "{unsure:?}"
    );
}

#[test]
fn a_plugin_goes_through_its_whole_life() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path());
    let path = plugin.display().to_string();
    let server = Server::start();

    let installed = server.cli_ok(&["install", &path]);
    assert_eq!(installed.stdout, "portable:pysam v1.0.0 ready\n");
    assert!(installed.stderr.contains("probe"), "{installed:?}");
    let again = server.cli(&["install", &path]);
    assert_eq!(again.code, 5, "{again:?}");

    let listed = server.cli_ok(&["list", "-o", "name"]);
    assert_eq!(listed.stdout, "portable:pysam\n");
    assert_eq!(server.shown("pysam")["health"]["state"], "ready");
    let wrong = server.cli(&["show", "pysan"]);
    assert_eq!(wrong.code, 3);
    assert!(
        wrong.stderr.contains("portable:pysam"),
        "no suggestion: {wrong:?}"
    );

    for (verb, wanted) in [
        ("disable", "stopped"),
        ("enable", "running"),
        ("restart", "running"),
    ] {
        server.cli_ok(&[verb, "pysam"]);
        assert_eq!(server.shown("pysam")["wanted"], wanted, "{verb}");
    }
    let nothing = server.cli(&["rollback", "pysam"]);
    assert_eq!(nothing.code, 5, "{nothing:?}");
    server.cli_ok(&["uninstall", "pysam", "--yes"]);
    assert_eq!(server.cli_ok(&["list", "-o", "name"]).stdout, "");
}

#[test]
fn host_03_a_plugin_that_ends_at_once_leaves_nothing_but_its_last_words() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::only_function(
        directory.path(),
        "quitter",
        "import a_module_that_is_not_there\n",
    );
    let server = Server::start();
    let ended = server.cli(&["install", &plugin.display().to_string()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
    assert!(
        ended.stderr.contains("a_module_that_is_not_there"),
        "{ended:?}"
    );
    assert_eq!(server.cli_ok(&["list", "-o", "name"]).stdout, "");
}

#[test]
fn a_plugin_that_never_shakes_hands_is_given_up() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let program = "import time\nprint('here I am', flush=True)\nwhile True: time.sleep(1)\n";
    let plugin = plugins::only_function(directory.path(), "mute", program);
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__PORTABLE__INIT_TIMEOUT", "500ms");
    });
    let ended = server.cli(&["install", &plugin.display().to_string()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
    assert!(ended.stderr.contains("handshake"), "{ended:?}");
    assert_eq!(server.cli_ok(&["list", "-o", "name"]).stdout, "");
}

#[test]
fn a_failed_upgrade_says_that_the_previous_version_runs() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path()).display().to_string();
    let server = Server::start();
    server.cli_ok(&["install", &plugin]);
    let pid = server.plugin_pid("pysam");
    let program = directory.path().join("pysam/pysam.py");
    let text = fs::read_to_string(&program).unwrap();
    fs::write(
        &program,
        format!("import a_module_that_is_not_there\n{text}"),
    )
    .unwrap();
    let ended = server.cli(&["upgrade", "pysam", &plugin]);
    assert_eq!((ended.code, ended.stdout.as_str()), (9, ""), "{ended:?}");
    assert!(
        ended.stderr.contains("a_module_that_is_not_there"),
        "{ended:?}"
    );
    assert_eq!(
        server.plugin_pid("pysam"),
        pid,
        "the old process was disturbed"
    );
}

#[test]
fn watching_can_stop_while_the_operation_goes_on() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let program = "import time\nwhile True: time.sleep(1)\n";
    let plugin = plugins::only_function(directory.path(), "slow", program)
        .display()
        .to_string();
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__PORTABLE__INIT_TIMEOUT", "10s");
    });
    let ended = server.cli(&["install", &plugin, "--timeout", "200ms"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (8, ""), "{ended:?}");
    let id = ended
        .stderr
        .split("plugyard operation watch ")
        .nth(1)
        .and_then(|rest| rest.split('`').next())
        .unwrap_or_else(|| panic!("no operation named: {ended:?}"))
        .to_owned();
    // Ctrl-C is the same.
    let mut watching = server
        .command(&["operation", "watch", &id])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(watching.stderr.take().unwrap()).lines();
    assert!(
        said.next().unwrap().unwrap().contains("unpack"),
        "it shows the steps so far"
    );
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    let last: Vec<String> = said.map(Result::unwrap).collect();
    assert_eq!(watching.wait().unwrap().code(), Some(8), "{last:?}");
    assert!(
        last.iter()
            .any(|line| line.contains(&format!("operation watch {id}"))),
        "{last:?}"
    );

    let watched = server.cli(&["operation", "watch", &id]);
    assert_eq!(watched.code, 1, "{watched:?}");
}

#[test]
fn bash_completes_the_names_of_plugins() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path()).display().to_string();
    let server = Server::start();
    server.cli_ok(&["install", &plugin]);
    let script = server.cli_ok(&["completions", "bash"]).stdout;
    let file = directory.path().join("completions");
    std::fs::write(&file, script).unwrap();
    let complete = |words: &str, at: usize| {
        let bin = std::path::Path::new(crate::support::PLUGYARD)
            .parent()
            .unwrap();
        let script = format!(
            "PATH={}:$PATH; . {}; COMP_WORDS=({words}); COMP_CWORD={at}; \
             _plugyard_with_plugins plugyard \"${{COMP_WORDS[{at}]}}\" x; echo \"${{COMPREPLY[*]}}\"",
            bin.display(),
            file.display()
        );
        let mut shell = std::process::Command::new("bash");
        shell
            .args(["-c", &script])
            .env("PLUGYARD_HOME", &server.home);
        crate::support::run(&mut shell)
    };
    let shown = complete("plugyard show py", 2);
    assert!(
        shown.stdout.split_whitespace().any(|it| it == "pysam"),
        "{shown:?}"
    );
    let verb = complete("plugyard unin", 1);
    assert!(verb.stdout.contains("uninstall"), "{verb:?}");
    let other = complete("plugyard operation li", 2);
    assert!(!other.stdout.contains("pysam"), "{other:?}");
}

#[test]
fn a_second_interruption_cancels_the_operation() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let program = "import time\nwhile True: time.sleep(1)\n";
    let plugin = plugins::only_function(directory.path(), "slow", program)
        .display()
        .to_string();
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__PORTABLE__INIT_TIMEOUT", "5m");
    });
    let mut watching = server
        .command(&["install", &plugin])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(watching.stderr.take().unwrap()).lines();
    let mut read_to = |words: &str| {
        let mut read = said.by_ref().map(Result::unwrap);
        assert!(read.any(|line| line.contains(words)), "{words}");
    };
    read_to("start");
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    read_to("Ctrl-C again cancels");
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    read_to("cancelling");
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    let code = watching.wait().unwrap().code();
    assert_eq!(code, Some(1), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.contains("cancelled")),
        "{rest:?}"
    );
    assert_eq!(server.cli_ok(&["list", "-o", "name"]).stdout, "");
}

#[test]
fn a_dry_run_shows_the_steps_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::pysam(directory.path()).display().to_string();
    let server = Server::start();
    let planned = server.cli_ok(&["install", &plugin, "--dry-run", "-o", "json"]);
    let plan: Json = serde_json::from_str(&planned.stdout).unwrap();
    let steps = plan
        .pointer("/plan/steps")
        .or_else(|| plan.pointer("/steps"))
        .unwrap();
    assert!(
        steps
            .as_array()
            .unwrap()
            .iter()
            .any(|step| step["commit"] == true),
        "{plan}"
    );
    assert_eq!(server.cli_ok(&["list", "-o", "name"]).stdout, "");
    assert_eq!(
        server.cli_ok(&["operation", "list", "-o", "name"]).stdout,
        ""
    );
}
