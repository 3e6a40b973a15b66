//! `plugyard web usage` and `plugyard web url`, the TypeScript client, and what the page about them shows.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use super::{HOST, on_each};
use crate::support::run;

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn usages_are_kept_from_the_terminal() {
    on_each(|site| {
        site.plugin("Mall", Some(HOST), Some("/mall?id={parameter}&u={uid}"));
        let cli = |words: &[&str]| site.server.cli_ok(words);
        let id = |words: &[&str]| cli(words).stdout.trim().to_owned();
        let gold = id(&[
            "web",
            "usage",
            "add",
            "web:Mall",
            "--type",
            "9",
            "--name",
            "Gold",
            "--name-in",
            "zh-Hans=黄金",
            "--parameter",
            "gold",
            "--roles",
            "3,7",
            "-o",
            "name",
        ]);
        let silver = id(&[
            "web", "usage", "add", "Mall", "--type", "9", "--name", "Silver", "--rating", "1",
            "-o", "name",
        ]);
        let listed = cli(&["web", "usage", "list", "--type", "9"]).stdout;
        let lines: Vec<&str> = listed.lines().collect();
        assert_eq!(lines.len(), 3, "{listed}");
        assert!(
            lines[1].contains("Silver") && lines[1].contains("everyone"),
            "{listed}"
        );
        assert!(
            lines[2].contains("roles 3,7")
                && lines[2].contains("https://plug.example.net/mall?id=gold&u={uid}"),
            "{listed}"
        );

        let changed = site.server.cli_ok(&[
            "web",
            "usage",
            "set",
            &gold,
            "--parameter",
            "a b",
            "--unset",
            "roles",
            "-o",
            "json",
        ]);
        assert!(changed.stderr.contains("warning: `a b`"), "{changed:?}");
        let changed: Json = serde_json::from_str(&changed.stdout).expect("JSON");
        assert_eq!(
            (&changed["roles"], &changed["parameter"]),
            (&json!([]), &json!("a b"))
        );
        let order = cli(&["web", "usage", "order", &gold, &silver, "-o", "name"]).stdout;
        assert_eq!(order, format!("{gold}\n{silver}\n"));
        cli(&[
            "web",
            "usage",
            "set",
            &gold,
            "--unset",
            "parameter",
            "--disabled",
        ]);

        assert_eq!(
            cli(&["web", "url", "Mall"]).stdout,
            "https://plug.example.net/mall?id={parameter}&u={uid}\n"
        );
        cli(&["web", "usage", "set", &silver, "--parameter", ""]);
        assert_eq!(
            cli(&["web", "url", "Mall", "--usage", &silver]).stdout,
            "https://plug.example.net/mall?id=&u={uid}\n"
        );
        let explained = cli(&["web", "url", "explain", "web:Mall", "--usage", &gold]).stdout;
        for word in [
            "plugins.plugin_host",
            "plugins.access_path",
            "{uid}",
            "user id",
            "W_USAGE_DISABLED",
        ] {
            assert!(explained.contains(word), "{word}: {explained}");
        }
        let none = site.server.cli(&["web", "url", "Mall", "--settings"]);
        assert_eq!((none.code, none.stdout.as_str()), (1, ""), "{none:?}");
        assert!(none.stderr.contains("settings_path"), "{none:?}");
        assert_eq!(site.server.cli(&["web", "url", "Nowhere"]).code, 3);
        assert_eq!(site.server.cli(&["web", "url"]).code, 2);
        assert_eq!(
            site.server
                .cli(&["web", "usage", "add", "Mall", "--type", "10", "--name", "x"])
                .code,
            2
        );

        // Everything that is wrong is said; nothing is destroyed unasked.
        let wrong = site.server.cli(&[
            "web", "usage", "add", "Nowhere", "--type", "6", "--name", "x", "--scene", "1",
        ]);
        assert_eq!(wrong.code, 1, "{wrong:?}");
        for word in ["Nowhere", "groupId", "scene"] {
            assert!(wrong.stderr.contains(word), "{word}: {wrong:?}");
        }
        assert_eq!(site.server.cli(&["web", "usage", "remove", &gold]).code, 2);
        cli(&["web", "usage", "remove", &gold, "--yes"]);
        assert_eq!(
            cli(&["web", "usage", "list", "--type", "9", "-o", "name"]).stdout,
            format!("{silver}\n")
        );
        let seeded = cli(&["web", "usage", "list", "--type", "4", "-o", "name"]).stdout;
        let first = seeded.lines().next().expect("a content type").to_owned();
        assert_eq!(
            site.server
                .cli(&["web", "usage", "remove", &first, "--yes"])
                .code,
            5
        );
    });
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `PLUGYARD_TEST_NODE` is a directory with `node_modules` of the client's lock file and a link `node`.
#[test]
fn the_typescript_client_compiles_and_its_own_tests_pass() {
    let Some(tools) = std::env::var_os("PLUGYARD_TEST_NODE").map(PathBuf::from) else {
        println!("skipped: PLUGYARD_TEST_NODE is not set; `cargo xtask test` sets it");
        return;
    };
    let node = tools.join("node");
    let client = root().join("clients/typescript");
    let directory = tempfile::tempdir().expect("a directory");
    let out = directory.path().join("dist");
    // Nothing is written beside the sources, and the compiler finds the types below the tools.
    let ended = run(Command::new(&node)
        .arg(tools.join("node_modules/typescript/bin/tsc"))
        .arg("--project")
        .arg(client.join("tsconfig.json"))
        .arg("--outDir")
        .arg(&out)
        .arg("--typeRoots")
        .arg(tools.join("node_modules/@types")));
    assert_eq!(ended.code, 0, "{ended:?}");
    std::fs::write(
        directory.path().join("package.json"),
        r#"{ "type": "module" }"#,
    )
    .expect("a file");
    let ended = run(Command::new(&node)
        .env(
            "PLUGYARD_VECTORS",
            root().join("clients/vectors/expand.json"),
        )
        .args(["--test", "--test-reporter", "tap"])
        .arg(out.join("tests/expand.test.js")));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("# pass 4"), "{ended:?}");
}

/// The commands of a page, in the order they stand in.
fn commands(page: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(page)).expect("the page is there");
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                commands.push(line.split("   #").next().unwrap_or(line).trim().to_owned());
            }
            _ => {}
        }
    }
    commands.retain(|line| !line.is_empty());
    commands
}

#[test]
fn the_commands_of_the_page_about_usages_work_in_both_languages() {
    let english = commands("docs/web-usages.md");
    assert_eq!(english, commands("docs/zh-CN/web-usages.md"));
    assert!(english.len() >= 8, "{english:?}");
    on_each(|site| {
        let bin = Path::new(crate::support::PLUGYARD)
            .parent()
            .expect("a directory");
        site.plugin("Mall", None, Some("/mall?id={parameter}&u={uid}"));
        let mut said = String::new();
        for line in &english {
            let mut shell = Command::new("sh");
            let path = std::env::var("PATH").unwrap_or_default();
            shell
                .args(["-ec", line])
                .env("PATH", format!("{}:{path}", bin.display()))
                .env("PLUGYARD_HOME", &site.server.home)
                .env("SERVER", &site.server.address)
                .env("NO_COLOR", "1")
                .env_remove("PLUGYARD_SERVER");
            let ended = run(&mut shell);
            assert_eq!(ended.code, 0, "`{line}`: {ended:?}");
            said += &ended.stdout;
        }
        assert!(
            said.contains("https://api.example.com/mall?id=gold&u={uid}"),
            "{said}"
        );
        assert!(
            said.contains("https://api.example.com/mall?id=gold&u=782622"),
            "{said}"
        );
    });
}
