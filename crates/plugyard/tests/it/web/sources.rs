//! How a plugin comes, and how much of it: with or without its seeds, only its files, from a source that has to be
//! told apart, in an archive of an old program.

use std::fs;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{Site, codes_of, on_each, zip_of};

const FILES: &[(&str, &str)] = &[
    ("database/migrations/1_first.php", ""),
    ("database/seeders/a.php", ""),
];

impl Site {
    /// How often the seeds of a plugin ran.
    fn seeds(&self, fskey: &str) -> usize {
        let file = self.directory.path().join(format!("tables/{fskey}.seeds"));
        fs::read_to_string(file).map_or(0, |text| text.lines().count())
    }

    /// Begins a change by HTTP and waits for its end.
    #[track_caller]
    fn done(&self, path: &str, body: Json) -> Json {
        let begun = self.post(path, body);
        let id = begun["operation"].as_str().expect("an operation");
        self.server.cli_ok(&["operation", "watch", id]);
        self.get(&format!("/v1/operations/{id}"))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn seeds_run_from_the_command_line_only_when_asked_for() {
    on_each(|site| {
        let old = text(&site.package("DemoPlugin", "1.0.0", FILES));
        let new = text(&site.package("DemoPlugin", "1.1.0", FILES));
        let newest = text(&site.package("DemoPlugin", "1.2.0", FILES));
        let plan = |words: &[&str]| -> Vec<String> {
            let ended = site
                .server
                .cli_ok(&[words, &["--dry-run", "-o", "json"]].concat());
            let plan: Json = serde_json::from_str(&ended.stdout).expect("JSON");
            let steps = plan["plan"]["steps"].as_array().expect("steps");
            let word = |step: &Json| step["action"].as_str().unwrap_or_default().to_owned();
            steps.iter().map(word).collect()
        };
        let seeds = |words: &[&str]| plan(words).contains(&"seed".to_owned());
        assert!(!seeds(&["install", &old]));
        assert!(seeds(&["install", &old, "--seed"]));
        assert!(seeds(&["install", &old, "--option", "seed=true"]));
        let both = ["install", &old, "--seed", "--option", "seed=false"];
        assert_ne!(site.server.cli(&both).code, 0);

        site.server.cli_ok(&["install", &old]);
        assert_eq!(site.seeds("DemoPlugin"), 0);
        assert!(!seeds(&["upgrade", "web:DemoPlugin", &new]));
        site.server.cli_ok(&["upgrade", "web:DemoPlugin", &new]);
        assert_eq!(site.seeds("DemoPlugin"), 0);
        assert!(seeds(&["upgrade", "web:DemoPlugin", &newest, "--seed"]));
        site.server
            .cli_ok(&["upgrade", "web:DemoPlugin", &new, "--seed"]);
        assert_eq!(site.seeds("DemoPlugin"), 1);

        // Handed in, they run unless the request says no; what the command line said before does not last.
        site.server.cli_ok(&["upgrade", "web:DemoPlugin", &new]);
        let zip = zip_of(&[
            (
                "plugin.json",
                r#"{"fskey": "DemoPlugin", "name": "Demo", "description": "", "author": "me", "version": "1.3.0"}"#,
            ),
            ("database/seeders/a.php", ""),
        ]);
        let package = site.hand_in(zip, None).1["sha256"].clone();
        let path = "/v1/installations/web:DemoPlugin/upgrade";
        site.done(
            path,
            json!({ "package": package, "options": { "seed": false } }),
        );
        assert_eq!(site.seeds("DemoPlugin"), 1);
        site.done(path, json!({ "package": package }));
        assert_eq!(site.seeds("DemoPlugin"), 2);
        site.doctor_finds_nothing();
    });
}

#[test]
fn a_package_is_only_placed() {
    on_each(|site| {
        let package = site.package("DemoPlugin", "1.0.0", FILES);
        let home = site.server.home.clone();
        let placed = home.join("plugins/DemoPlugin");
        let ended = site
            .server
            .cli_ok(&["web", "unzip", &text(&package), "-o", "json"]);
        let operation: Json = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(
            (&operation["task"], &operation["state"]),
            (&json!("unzip"), &json!("done")),
            "{operation:#}"
        );
        // Files that are the operator's to change, and nothing else.
        assert!(!placed.is_symlink());
        fs::write(placed.join("app/health"), "ok\n").expect("it can be changed");
        assert_eq!(
            site.call(Method::GET, "/v1/web/plugins/DemoPlugin", None).0,
            404
        );
        assert_eq!(site.server.cli(&["show", "web:DemoPlugin"]).code, 3);
        assert_eq!(site.table("DemoPlugin"), None);
        assert!(site.hooks().is_empty(), "{:?}", site.hooks());
        assert!(!home.join("assets/DemoPlugin").exists());
        let found = site.get("/v1/web/doctor")["items"].to_string();
        assert!(found.contains("is not installed"), "{found}");

        // Again: what lay there is kept.
        site.server.cli_ok(&["web", "unzip", &text(&package)]);
        let kept: Vec<_> = fs::read_dir(home.join("backups/adopted"))
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path().join("app/health"))
            .collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(fs::read_to_string(&kept[0]).expect("the change"), "ok\n");

        // One that differs in case would be the same directory elsewhere.
        let twin = json!({
            "fskey": "Demoplugin", "name": "x", "description": "", "author": "me", "version": "1.0.0",
        });
        let twin = site
            .server
            .cli(&["web", "unzip", &text(&site.package_of("twin", &twin, &[]))]);
        assert!(
            twin.code != 0 && twin.stderr.contains("DemoPlugin"),
            "{twin:?}"
        );

        // Installed in place; from then on it is upgraded instead.
        site.install(&placed);
        assert!(placed.is_symlink());
        site.doctor_finds_nothing();
        let refused = site.server.cli(&["web", "unzip", &text(&package)]);
        assert_eq!(refused.code, 5, "{refused:?}");

        // A theme lies where themes do; what is deployed elsewhere lies nowhere.
        let theme = zip_of(&[(
            "theme.json",
            r#"{"fskey": "Dark", "name": "Dark", "description": "", "author": "me", "version": "1.0.0"}"#,
        )]);
        let theme = site.hand_in(theme, None).1["sha256"].clone();
        site.done("/v1/web/unzip", json!({ "package": theme }));
        assert!(home.join("themes/Dark/theme.json").is_file());
        let app = zip_of(&[(
            "plugin.json",
            r#"{"fskey": "App", "type": 5, "name": "App", "description": "", "author": "me", "version": "1.0.0"}"#,
        )]);
        let app = site.hand_in(app, None).1["sha256"].clone();
        let refused = site.refused(
            Method::POST,
            "/v1/web/unzip",
            Some(json!({ "package": app })),
        );
        assert_eq!(refused, ["E_TASK_REFUSED"]);
    });
}

#[test]
fn a_source_is_told_apart_by_how_it_looks() {
    on_each(|site| {
        let package = site.package("DemoPlugin", "1.0.0", FILES);
        for unknown in ["demo-plugin", "Demo Plugin", "no/such/path", "x.zip"] {
            let ended = site.server.cli(&["web", "install", unknown, "--json"]);
            assert_eq!(ended.code, 2, "{unknown}: {ended:?}");
            assert!(
                format!("{}{}", ended.stdout, ended.stderr).contains("E_SOURCE_UNKNOWN")
                    || ended.stderr.contains(unknown),
                "{ended:?}"
            );
        }
        let code = |words: &[&str]| site.server.cli(&[&["web", "install"], words].concat());
        // An fskey is asked of markets, of which there are none; a path is read; an address is fetched.
        assert_eq!(code(&["DemoPlugin"]).code, 3);
        assert_ne!(code(&["./DemoPlugin"]).code, 0);
        let refused = code(&["https://plugins.example.net/x.zip"]);
        assert!(
            refused.stderr.contains("plugins.example.net"),
            "{refused:?}"
        );
        let malformed = code(&["demo-plugin", "--from", "market"]);
        assert_eq!(malformed.code, 4, "{malformed:?}");
        assert_eq!(code(&[&text(&package), "--seed"]).code, 0);
        assert_eq!(site.seeds("DemoPlugin"), 1);
        assert_eq!(site.on_disk("DemoPlugin").as_deref(), Some("1.0.0"));
    });
}

#[test]
fn names_of_an_old_program_are_kept_in_utf8_and_told() {
    on_each(|site| {
        let manifest = r#"{"fskey": "DemoPlugin", "name": "Demo", "description": "", "author": "me", "version": "1.0.0"}"#;
        let mut zip = zip_of(&[
            ("plugin.json", manifest),
            ("resources/assets/NAME.css", "body {}"),
            ("resources/assets/NAME2.css", "body {}"),
        ]);
        // 插件 in GBK, in both headers.
        while let Some(at) = zip.windows(4).position(|bytes| bytes == b"NAME") {
            zip[at..at + 4].copy_from_slice(b"\xb2\xe5\xbc\xfe");
        }
        let (status, package) = site.hand_in(zip.clone(), None);
        assert_eq!(status, 201, "{package:#}");
        let findings = package["findings"].as_array().expect("findings");
        let told = findings
            .iter()
            .find(|it| it["code"] == "archive_name_ambiguous")
            .expect("it is told");
        assert_eq!(
            (
                &told["severity"],
                &told["params"]["encoding"],
                &told["params"]["count"]
            ),
            (&json!("warning"), &json!("GBK"), &json!("2")),
            "{told:#}"
        );
        let body = json!({ "package": package["sha256"] });
        site.done("/v1/installations", body);
        let asset = site.server.get("/assets/DemoPlugin/插件.css").send();
        assert_eq!(asset.expect("an answer").status(), 200);
        assert!(
            site.server
                .home
                .join("plugins/DemoPlugin/resources/assets/插件2.css")
                .is_file()
        );
        site.server.cli_ok(&["web", "verify", "DemoPlugin"]);

        // What is no name in any code page, and what leads away in one.
        for bytes in [b"caf\xe9", b"/..\xb2", b"\xb2\xe5\x01\x02"] {
            let mut zip = zip_of(&[("plugin.json", manifest), ("NAME.css", "")]);
            while let Some(at) = zip.windows(4).position(|it| it == b"NAME") {
                zip[at..at + 4].copy_from_slice(bytes);
            }
            let (status, refusal) = site.hand_in(zip, None);
            assert_eq!(status, 422, "{refusal:#}");
            assert!(codes_of(&refusal).contains(&"E_PACKAGE_UNSAFE".to_owned()));
        }
    });
}
