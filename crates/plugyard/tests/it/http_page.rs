//! The commands of the HTTP reference, run as they stand there.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Server, plugins, python, run, sign_in_needed};

/// The blocks of shell commands in a page.
fn blocks(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page);
    let page = std::fs::read_to_string(path).expect("the page is there");
    page.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("an end").to_owned())
        .collect()
}

#[test]
fn both_languages_show_the_same_requests() {
    let english = blocks("http.md");
    assert!(english.len() >= 9, "{english:?}");
    assert_eq!(english, blocks("zh-CN/http.md"));
}

#[test]
fn the_requests_of_the_http_reference_work_as_written() {
    let Some(_) = python() else { return };
    if Command::new("curl").arg("-V").output().is_err() {
        println!("skipped: there is no curl");
        return;
    }
    let program = "from ekuiper import plugin, PluginConfig, Function\n\
        class F(Function):\n    \
            def validate(self, args): return ''\n    \
            def exec(self, args, ctx): return args[0]\n    \
            def is_aggregate(self): return False\n\
        plugin.start(PluginConfig('demo', {}, {}, {'demo_f': lambda: F()}))\n";
    let directory = tempfile::tempdir().unwrap();
    let plugin = plugins::only_function(directory.path(), "demo", program);
    plugins::zip(&plugin, &directory.path().join("demo.zip"));
    let server = Server::start_with(sign_in_needed);
    let words = [
        "token", "create", "page", "--user", "owner", "--role", "owner",
    ];
    let token = server.cli_ok(&words).stdout.trim().to_owned();
    let mut blocks = blocks("http.md").into_iter();
    let exports = blocks.next().unwrap();
    assert_eq!(exports.matches("export ").count(), 2, "{exports}");
    for block in blocks {
        for line in block.lines() {
            let mut command = Command::new("sh");
            command
                .args(["-c", &format!("set -e\n{line}")])
                .current_dir(directory.path())
                .env("API", &server.address)
                .env("TOKEN", &token)
                .env("no_proxy", "*")
                .stdin(Stdio::null());
            let ended = run(&mut command);
            assert_eq!(ended.code, 0, "`{line}`: {ended:?}");
        }
    }
}
