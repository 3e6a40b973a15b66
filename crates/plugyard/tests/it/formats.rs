//! Whatever lists or shows something prints it in every format, and says nothing beside it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value as Json;

use crate::support::{Ended, Server, plugins, plugyard, python, run};

/// Commands that list or show, of nouns that have tests of their own for it.
const ELSEWHERE: [&str; 3] = ["plugyard web", "plugyard webhook", "plugyard market"];

/// The leaves of the tree of commands, as the reference page names them.
fn leaves() -> Vec<String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let page = run(plugyard(directory.path()).args(["reference", "cli"])).stdout;
    let titles = page
        .lines()
        .filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")));
    titles
        .map(|title| {
            let usage = title.trim_matches('`');
            let words = usage.split(' ').take_while(|word| !word.starts_with('<'));
            words.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn check(format: &str, words: &[&str], ended: &Ended) {
    let at = format!("{words:?} -o {format}: {ended:?}");
    assert_eq!(ended.code, 0, "{at}");
    assert_eq!(ended.stderr, "", "{at}");
    assert!(!ended.stdout.trim().is_empty(), "{at}");
    match format {
        "json" => assert!(serde_json::from_str::<Json>(&ended.stdout).is_ok(), "{at}"),
        "ndjson" => {
            for line in ended.stdout.lines() {
                assert!(serde_json::from_str::<Json>(line).is_ok(), "{at}");
            }
        }
        "yaml" => assert!(
            serde_saphyr::from_str::<Json>(&ended.stdout).is_ok(),
            "{at}"
        ),
        "name" => {
            for line in ended.stdout.lines() {
                assert!(!line.trim().is_empty() && !line.contains('{'), "{at}");
            }
        }
        _ => {}
    }
}

#[test]
fn what_lists_or_shows_prints_every_format() {
    let server = Server::start();
    let mut asked: Vec<Vec<&str>> = vec![
        vec!["user", "list"],
        vec!["user", "show", "ann"],
        vec!["token", "list"],
        vec!["audit"],
        vec!["node", "list"],
        vec!["stream", "list"],
        vec!["stream", "show", "s"],
        vec!["rule", "list"],
        vec!["rule", "show", "r"],
        vec!["rule", "status", "r"],
        vec!["context", "list"],
        vec!["context", "show", "here"],
        vec!["doctor"],
        vec!["secrets", "recipient"],
        vec!["validate", "explain", "required|integer"],
    ];
    server.cli_ok(&["user", "create", "ann"]);
    server.cli_ok(&["token", "create", "ci", "--user", "ann"]);
    server.cli_ok(&[
        "stream",
        "create",
        r#"CREATE STREAM s () WITH (TYPE="simulator", FORMAT="json")"#,
    ]);
    server.cli_ok(&[
        "rule",
        "create",
        "r",
        "--sql",
        "SELECT * FROM s",
        "--sink",
        "log",
        "--stopped",
    ]);
    let contexts = server.home.join("contexts");
    let asks = |words: &[&str], format: &str| {
        let mut command = server.command(words);
        if !format.is_empty() {
            command.args(["-o", format]);
        }
        run(command.env("XDG_CONFIG_HOME", &contexts))
    };
    let ended = asks(&["login", &server.address, "--name", "here"], "");
    assert_eq!(ended.code, 0, "{ended:?}");
    let plugin = tempfile::tempdir().unwrap();
    let operation;
    if python().is_some() {
        let directory = plugins::pysam(plugin.path());
        let definition = r#"{"version": "1.0.0", "fields": {"WORD": {"type": "text", "label": "Word", "default": "a"}}}"#;
        fs::write(directory.join("plugyard.config.json"), definition).unwrap();
        let package = plugins::zip(&directory, &plugin.path().join("pysam.zip"));
        server.cli_ok(&["install", package.to_str().unwrap()]);
        server.cli_ok(&["config", "set", "pysam", "WORD=b"]);
        operation = server.cli_ok(&["operation", "list", "-o", "name"]).stdout;
        asked.extend([
            vec!["list"],
            vec!["show", "pysam"],
            vec!["operation", "list"],
            vec!["operation", "show", operation.lines().next().unwrap()],
            vec!["config", "get", "pysam"],
            vec!["config", "get", "pysam", "WORD"],
            vec!["config", "history", "pysam"],
            vec!["config", "diff", "pysam", "1", "2"],
            vec!["config", "export", "pysam"],
        ]);
    }
    for words in &asked {
        // The address of the context would win over the home otherwise.
        for format in ["table", "json", "ndjson", "yaml", "name"] {
            check(format, words, &asks(words, format));
        }
    }

    let known: BTreeSet<String> = asked
        .iter()
        .map(|words| {
            let verbs = if words.len() > 1 && !matches!(words[0], "show") {
                2
            } else {
                1
            };
            format!("plugyard {}", words[..verbs].join(" "))
        })
        .collect();
    for leaf in leaves() {
        let verb = leaf.rsplit(' ').next().unwrap();
        let of_another = ELSEWHERE.iter().any(|noun| leaf.starts_with(noun));
        if matches!(verb, "list" | "show" | "status" | "history")
            && !of_another
            && python().is_some()
        {
            assert!(known.contains(&leaf), "`{leaf}` is asked in no format here");
        }
    }
}

#[test]
fn a_refusal_in_a_format_for_programs_leaves_standard_output_empty() {
    let server = Server::start();
    for (words, code) in [
        (&["show", "nobody"][..], 3),
        (
            &["operation", "show", "01890a5d-ac96-774b-bcce-b302099a8057"],
            3,
        ),
        (&["operation", "show", "x"], 2),
        (&["user", "show", "nobody"], 3),
        (&["rule", "show", "nobody"], 3),
        (&["stream", "show", "nobody"], 3),
        (&["config", "get", "nobody"], 3),
        (&["restart", "nobody"], 3),
        (&["uninstall", "nobody"], 2),
        (&["uninstall", "nobody", "--yes"], 3),
        (
            &[
                "token",
                "revoke",
                "01890a5d-ac96-774b-bcce-b302099a8057",
                "--yes",
            ],
            3,
        ),
        (&["install", "/nonexistent.zip"], 3),
        (&["list", "--health", "sick"], 2),
        (&["list", "-o", "sarif"], 2),
        (&["context", "show", "nobody"], 3),
        (&["context", "use", "nobody"], 3),
    ] {
        let words = [words, &["-o", "json"][..]].concat();
        let words: Vec<_> = if words.contains(&"sarif") {
            words[..words.len() - 2].to_vec()
        } else {
            words
        };
        let contexts = server.home.join("contexts");
        let ended = run(server.command(&words).env("XDG_CONFIG_HOME", &contexts));
        assert_eq!(ended.code, code, "{words:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{words:?}");
        assert!(ended.stderr.starts_with("error: "), "{words:?}: {ended:?}");
        // What can be done next, unless it is a file that is simply not there.
        let next = ended.stderr.contains("hint: ") || ended.stderr.contains("--help");
        assert!(
            next || words.contains(&"/nonexistent.zip"),
            "{words:?}: {ended:?}"
        );
    }
}

#[test]
fn help_and_refusals_are_in_the_readers_language() {
    let directory = tempfile::tempdir().unwrap();
    let said = |set: &dyn Fn(&mut std::process::Command), words: &[&str]| {
        let mut command = plugyard(&directory.path().join("home"));
        set(&mut command);
        run(command.args(words))
    };
    let with_lang = said(&|_| {}, &["--lang", "zh-CN", "install", "--help"]);
    assert_eq!((with_lang.code, with_lang.stderr.as_str()), (0, ""));
    assert!(
        with_lang.stdout.contains("用法：") && with_lang.stdout.contains("选项："),
        "{with_lang:?}"
    );
    assert!(!with_lang.stdout.contains("Options:"), "{with_lang:?}");
    let by_locale = said(
        &|it| {
            it.env("LANG", "zh_CN.UTF-8");
        },
        &["install", "--help"],
    );
    assert_eq!(by_locale.stdout, with_lang.stdout);
    let by_variable = said(
        &|it| {
            it.env("PLUGYARD_LANG", "zh-CN");
        },
        &["install", "--help"],
    );
    // But for the variable's own value, which stands at its option.
    let own = "PLUGYARD_LANG=zh-CN";
    assert!(by_variable.stdout.contains(own), "{by_variable:?}");
    let without = by_variable.stdout.replace(own, "PLUGYARD_LANG=");
    assert_eq!(without, with_lang.stdout);
    let english = said(
        &|it| {
            it.env("LANG", "zh_CN.UTF-8");
        },
        &["--lang=en", "install", "--help"],
    );
    assert!(
        english.stdout.contains("Usage: plugyard install"),
        "{english:?}"
    );
    let wrong = said(&|_| {}, &["--lang", "zh-CN", "instal"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
    assert!(
        wrong.stderr.contains("没有命令 `instal`") && wrong.stderr.contains("`install`"),
        "{wrong:?}"
    );
    let bare = said(&|_| {}, &["--lang", "zh-CN", "rule"]);
    assert_eq!((bare.code, bare.stdout.as_str()), (2, ""));
    assert!(
        bare.stderr.contains("用法：plugyard rule") || bare.stderr.contains("用法： plugyard rule"),
        "{bare:?}"
    );
}
