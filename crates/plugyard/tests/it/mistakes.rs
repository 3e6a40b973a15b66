//! What goes wrong for somebody who tries things out, and whether what is said then helps.

use std::fs;
use std::path::Path;

use plugyard_portable::testing::mirror;
use serde_json::Value as Json;

use crate::portable::program;
use crate::support::{Server, plugins, plugyard, run};

/// Says much on one stream and the reason on the other.
const FAILING: &str = "\
i=1; while [ $i -le 100 ]; do echo \"step $i of many\"; i=$((i+1)); done
echo 'gcc: command not found' >&2
exit 7
";

#[test]
fn host_05_both_streams_of_a_failed_install_script_are_shown() {
    let Some(program) = program() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let (good, bad) = (directory.path().join("good"), directory.path().join("bad"));
    for at in [&good, &bad] {
        fs::create_dir(at).expect("a directory");
        mirror::directory(at, "mirror", &program).expect("a plugin");
    }
    fs::write(bad.join("install.sh"), FAILING).expect("a script");
    let (good, bad) = (good.to_str().expect("UTF-8"), bad.to_str().expect("UTF-8"));
    let server = Server::start();
    let shown = |text: &str| {
        for part in [
            "`install.sh` failed: exit status 7",
            "stdout:\n",
            "… (80)\n",
            "  step 81 of many\n",
            "  step 100 of many\n",
            "stderr:\n",
            "  gcc: command not found\n",
        ] {
            assert!(text.contains(part), "lacks {part:?}: {text}");
        }
        assert!(!text.contains("step 80 of many"), "bounded: {text}");
    };
    let quiet = ["install", bad, "--kind", "portable", "--no-progress"];
    let ended = server.cli(&quiet);
    assert_ne!(ended.code, 0);
    shown(&ended.stderr);
    // While it is at it, its lines pass by.
    let ended = server.cli(&["install", bad]);
    assert!(ended.stderr.contains("step 1 of many"), "{ended:?}");
    // The same where a version that works stays.
    server.cli_ok(&["install", good]);
    let ended = server.cli(&["upgrade", "mirror", bad, "--no-progress"]);
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("is running"), "{ended:?}");
    shown(&ended.stderr);
    // Programs get the operation.
    let ended = server.cli(&["upgrade", "mirror", bad, "--no-progress", "-o", "json"]);
    assert_ne!(ended.code, 0);
    let document: Json = serde_json::from_str(&ended.stdout).expect("a document");
    assert_eq!(document["state"], "rolled_back", "{document}");
    let whole = &document["error"]["findings"][0];
    assert_eq!(whole["code"], "portable_install_script_failed");
    shown(&format!("{}\n", whole["message"].as_str().expect("a text")));
    let id = document["id"].as_str().expect("an id");
    shown(&server.cli_ok(&["operation", "show", id]).stdout);
}

#[test]
fn a_package_of_a_kind_that_is_not_here_is_called_by_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    for (name, files, kind, sign) in [
        (
            "image",
            vec![("Dockerfile", "FROM scratch\n"), ("main.py", "")],
            "container",
            "`Dockerfile`",
        ),
        (
            "lamp",
            vec![("config.json", r#"{"id": "lamp", "support_devices": []}"#)],
            "container",
            "`support_devices` in `config.json`",
        ),
        (
            "catalogue",
            vec![(
                "plugins.json",
                r#"{"perf": {"category": "analyst-plugin:perf", "config_group": []}}"#,
            )],
            "tenant",
            "`config_group` in `plugins.json`",
        ),
    ] {
        let root = directory.path().join(name);
        fs::create_dir(&root).expect("a directory");
        for (file, content) in files {
            fs::write(root.join(file), content).expect("a file");
        }
        let zip = plugins::zip(&root, &directory.path().join(format!("{name}.zip")));
        let zip = zip.to_str().expect("UTF-8");
        let offline = check(directory.path(), zip);
        let online = server.cli(&["install", zip]);
        for (said, code) in [(&offline.1, offline.0), (&online.stderr, online.code)] {
            assert_eq!(code, 4, "{said}");
            assert!(
                said.contains(&format!(
                    "This looks like a package of the kind `{kind}`, for it has {sign}; there is no such kind here, \
                     there are `portable`, `app`, `web`"
                )) && said.contains("--kind"),
                "{said}"
            );
        }
        let chinese = server.cli(&["--lang", "zh-CN", "install", zip]);
        assert!(chinese.stderr.contains("此处没有该类型"), "{chinese:?}");
    }
    // What nobody knows is told with all that there are.
    let nothing = directory.path().join("nothing");
    fs::create_dir(&nothing).expect("a directory");
    fs::write(nothing.join("readme.md"), "").expect("a file");
    let (_, said) = check(directory.path(), nothing.to_str().expect("UTF-8"));
    for word in [
        "`readme.md`",
        "portable",
        "an app",
        "a web plugin",
        "--kind",
    ] {
        assert!(said.contains(word), "{said} lacks {word}");
    }
}

fn check(at: &Path, package: &str) -> (i32, String) {
    let ended = run(plugyard(&at.join("home")).args(["check", package]));
    (ended.code, format!("{}{}", ended.stdout, ended.stderr))
}
