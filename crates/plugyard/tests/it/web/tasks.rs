//! Single steps of the lifecycle: each an operation of its own, with its way back.

use std::fs;

use reqwest::Method;
use serde_json::{Value as Json, json};

use super::{Site, codes_of, on_each};
use crate::support::run;

const FILES: &[(&str, &str)] = &[
    ("database/migrations/1_first.php", ""),
    ("database/migrations/2_second.php", ""),
    ("database/seeders/a.php", ""),
    ("composer.json", r#"{"require": {"some/package": "^1.0"}}"#),
];

impl Site {
    fn flag(&self, hook: &str, on: bool) {
        let flag = self.directory.path().join(format!("fail-{hook}"));
        if on {
            fs::write(flag, "").expect("a flag");
        } else {
            fs::remove_file(flag).expect("a flag");
        }
    }

    /// What `/assets/…` answers for a file of the plugin.
    fn sees(&self, fskey: &str) -> u16 {
        let path = format!("/assets/{fskey}/css/a.css");
        let answer = self.server.get(&path).send().expect("an answer");
        answer.status().as_u16()
    }

    fn lines(&self, fskey: &str) -> Vec<String> {
        self.table(fskey).unwrap_or_default()
    }

    /// The steps that a dry run names.
    #[track_caller]
    fn plan(&self, path: &str) -> Vec<String> {
        let planned = self.ok(Method::POST, &format!("{path}?dry_run=true"), None);
        let steps = planned["plan"]["steps"].as_array().expect("steps").clone();
        let names = steps
            .iter()
            .map(|it| it["action"].as_str().expect("a word").to_owned());
        names.collect()
    }
}

#[test]
fn assets_are_hidden_and_shown_by_themselves() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", FILES));
        site.activate("DemoPlugin");
        assert_eq!(site.sees("DemoPlugin"), 200);
        site.server.cli_ok(&["web", "unpublish", "DemoPlugin"]);
        assert_eq!(site.sees("DemoPlugin"), 404);
        let files = site.record("DemoPlugin")["files"].clone();
        assert_eq!(
            (&files["matches"], &files["published"]),
            (&json!(true), &json!(false))
        );
        // Somebody meant it: nothing is wrong, and a repair does not undo it.
        site.doctor_finds_nothing();
        site.server.cli_ok(&["restart", "web:DemoPlugin"]);
        assert_eq!(site.sees("DemoPlugin"), 404);
        site.server.cli_ok(&["web", "publish", "DemoPlugin"]);
        assert_eq!(site.sees("DemoPlugin"), 200);
        site.doctor_finds_nothing();
        // A new version is seen, whatever became of the old one's.
        site.server.cli_ok(&["web", "unpublish", "DemoPlugin"]);
        let newer = site.package("DemoPlugin", "1.1.0", FILES);
        assert_eq!(site.upgrade("DemoPlugin", &newer).code, 0);
        assert_eq!(site.sees("DemoPlugin"), 200);
        let listed = site.get("/v1/web/plugins?include=files");
        let files = &listed["items"][0]["files"];
        for fact in ["matches", "loadable", "published"] {
            assert_eq!(files[fact], true, "{files:#}");
        }
        let directory = files["directory"].as_str().expect("a path");
        assert!(directory.ends_with("plugins/DemoPlugin"), "{directory}");
        assert_eq!(site.get("/v1/web/plugins")["items"][0].get("files"), None);
    });
}

#[test]
fn migrations_and_seeds_run_by_themselves_as_operations() {
    on_each(|site| {
        let package = site.package("DemoPlugin", "1.0.0", FILES);
        site.server
            .cli_ok(&["install", &package.display().to_string(), "--seed"]);
        let both = ["1_first.php", "2_second.php"];
        assert_eq!(site.lines("DemoPlugin"), both);
        fs::remove_file(site.directory.path().join("tables/DemoPlugin.seeds")).expect("seeds");
        let before = site.hooks().len();
        let path = "/v1/web/plugins/DemoPlugin";
        assert_eq!(
            site.plan(&format!("{path}/tasks/migrate")),
            ["begin", "mark_task", "migrate", "record", "export"]
        );
        assert_eq!(
            site.plan(&format!("{path}/reverts/migrate-refresh")),
            ["begin", "snapshot", "clear", "migrate", "record", "export"]
        );
        assert_eq!(site.hooks().len(), before, "a dry run does nothing");

        let words = ["web", "migrate", "DemoPlugin", "-o", "json"];
        let ended = site.server.cli_ok(&words).stdout;
        let operation: Json = serde_json::from_str(&ended).expect("JSON");
        assert_eq!(
            (
                &operation["action"],
                &operation["task"],
                &operation["state"]
            ),
            (&json!("perform"), &json!("migrate"), &json!("done")),
            "{operation:#}"
        );
        assert_eq!(site.lines("DemoPlugin"), both);
        site.server.cli_ok(&["web", "seed", "DemoPlugin"]);
        assert!(
            site.directory
                .path()
                .join("tables/DemoPlugin.seeds")
                .exists()
        );
        site.server.cli_ok(&["web", "composer-update", "--json"]);
        let resolved = site.hooks();
        let resolved = resolved.iter().filter(|it| it.starts_with("dependencies"));
        assert_eq!(resolved.count(), 2, "once with the installation, once now");

        site.server
            .cli_ok(&["web", "migrate-reset", "DemoPlugin", "--yes"]);
        assert_eq!(site.table("DemoPlugin"), None);
        site.server.cli_ok(&["web", "migrate", "DemoPlugin"]);
        assert_eq!(site.lines("DemoPlugin"), both);
        site.server
            .cli_ok(&["web", "migrate-refresh", "DemoPlugin", "--yes"]);
        assert_eq!(site.lines("DemoPlugin"), both);
        site.server
            .cli_ok(&["web", "migrate-rollback", "DemoPlugin", "--yes"]);
        assert_eq!(site.table("DemoPlugin"), None);
        site.server.cli_ok(&["web", "migrate", "DemoPlugin"]);

        // What a version brought goes by itself; the rest stays.
        let mut more = FILES.to_vec();
        more.push(("database/migrations/3_third.php", ""));
        let newer = site.package("DemoPlugin", "1.1.0", &more);
        assert_eq!(site.upgrade("DemoPlugin", &newer).code, 0);
        assert_eq!(site.lines("DemoPlugin").len(), 3);
        site.server
            .cli_ok(&["web", "migrate-rollback", "DemoPlugin", "--yes"]);
        assert_eq!(site.lines("DemoPlugin"), both);
        site.doctor_finds_nothing();
        let audited = site.get("/v1/audit?limit=100").to_string();
        for path in ["/tasks/{task}", "/reverts/{task}"] {
            assert!(audited.contains(path), "{path} in {audited}");
        }
    });
}

#[test]
fn a_task_that_fails_leaves_all_as_before() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", FILES));
        let path = "/v1/web/plugins/DemoPlugin";
        let before = site.lines("DemoPlugin");
        for (route, hook, code) in [
            ("tasks/migrate", "migrate", "E_MIGRATION"),
            ("tasks/seed", "seed", "E_MIGRATION"),
            ("tasks/composer-update", "dependencies", "E_DEPENDENCY_HOOK"),
            ("reverts/migrate-refresh", "migrate", "E_MIGRATION"),
            ("reverts/migrate-reset", "revert", "E_MIGRATION"),
            ("reverts/migrate-rollback", "revert", "E_MIGRATION"),
        ] {
            site.flag(hook, true);
            let begun = site.ok(Method::POST, &format!("{path}/{route}"), None);
            let id = begun["operation"]
                .as_str()
                .expect("an operation")
                .to_owned();
            assert_ne!(
                site.server.cli(&["operation", "watch", &id]).code,
                0,
                "{route}"
            );
            site.flag(hook, false);
            let operation = site.get(&format!("/v1/operations/{id}"));
            assert_eq!(operation["state"], "failed", "{operation:#}");
            assert_eq!(operation["error"]["code"], code, "{operation:#}");
            assert_eq!(site.lines("DemoPlugin"), before, "{route}");
            let error = site.record("DemoPlugin")["lastError"].clone();
            assert!(
                error.to_string().contains("told to fail"),
                "{route}: {error}"
            );
        }
        site.server.cli_ok(&["web", "migrate", "DemoPlugin"]);
        assert_eq!(site.record("DemoPlugin")["lastError"], Json::Null);
        site.doctor_finds_nothing();
    });
}

#[test]
fn what_is_not_possible_is_refused_with_the_reason() {
    on_each(|site| {
        site.install(&site.package("DemoPlugin", "1.0.0", FILES));
        site.activate("DemoPlugin");
        let path = "/v1/web/plugins/DemoPlugin";
        let before = site.lines("DemoPlugin");
        for task in ["migrate-rollback", "migrate-reset", "migrate-refresh"] {
            let (status, body) = site.call(Method::POST, &format!("{path}/reverts/{task}"), None);
            assert_eq!(
                (status, codes_of(&body)),
                (409, vec!["E_TASK_REFUSED".to_owned()])
            );
            assert!(
                body["detail"].as_str().expect("a text").contains("enabled"),
                "{body:#}"
            );
            // Data go by the other route only, which needs another right.
            let other = site.call(Method::POST, &format!("{path}/tasks/{task}"), None);
            assert_eq!(other.0, 400, "{other:?}");
            let unsure = site.server.cli(&["web", task, "DemoPlugin"]);
            assert_eq!(unsure.code, 2, "{unsure:?}");
        }
        assert_eq!(site.lines("DemoPlugin"), before);
        assert_eq!(
            site.refused(Method::POST, &format!("{path}/tasks/dance"), None),
            ["request_invalid"]
        );
        assert_eq!(
            site.refused(Method::POST, "/v1/web/plugins/Missing/tasks/migrate", None),
            ["E_NOT_FOUND"]
        );
        let record = json!({
            "fskey": "Bare", "type": 1, "name": "x", "description": "", "version": "1.0.0", "author": "me",
        });
        site.post("/v1/web/plugins", record);
        assert_eq!(
            site.refused(Method::POST, "/v1/web/plugins/Bare/tasks/publish", None),
            ["E_NOT_FOUND"]
        );
        // One at a time, here as everywhere.
        site.hold("DemoPlugin", true);
        let begun = site.ok(Method::POST, &format!("{path}/tasks/seed"), None);
        assert_eq!(
            site.refused(Method::POST, &format!("{path}/tasks/migrate"), None),
            ["operation_in_progress"]
        );
        site.hold("DemoPlugin", false);
        let id = begun["operation"].as_str().expect("an operation");
        site.server.cli_ok(&["operation", "watch", id]);
    });
}

#[test]
fn inside_a_plugins_directory_its_name_may_be_left_out() {
    on_each(|site| {
        let package = site.package("DemoPlugin", "1.0.0", FILES);
        site.install(&package);
        let base = json!({
            "fskey": "Base", "name": "x", "description": "", "author": "me", "version": "1.0.0",
        });
        site.install(&site.package_of("base", &base, &[]));
        let needing = json!({
            "fskey": "Alpha", "name": "x", "description": "", "author": "me", "version": "1.0.0",
            "platform": { "dependencies": { "Base": "*" } },
        });
        site.install(&site.package_of("alpha", &needing, &[]));
        let inside = |words: &[&str]| run(site.server.command(words).current_dir(&package));
        let outside = |words: &[&str]| run(site.server.command(words).current_dir("/"));
        let enabled =
            || ["Alpha", "Base", "DemoPlugin"].map(|fskey| site.record(fskey)["isEnabled"] == true);
        assert_eq!(inside(&["web", "activate"]).code, 0);
        assert_eq!(enabled(), [false, false, true]);
        let shown = inside(&["web", "show", "--json"]);
        let record: Json = serde_json::from_str(&shown.stdout).expect("JSON");
        assert_eq!(record["fskey"], "DemoPlugin");
        assert_eq!(inside(&["web", "verify"]).code, 0);
        assert_eq!(inside(&["web", "publish"]).code, 0);
        for verb in ["show", "publish", "migrate", "uninstall", "migrate-reset"] {
            let refused = outside(&["web", verb]);
            assert_eq!(refused.code, 2, "{verb}: {refused:?}");
        }
        // What only looks is about all packages.
        let compared = outside(&["web", "verify", "-o", "name"]);
        assert_eq!(
            (compared.code, compared.stdout.as_str()),
            (0, "Alpha\nBase\nDemoPlugin\n")
        );
        // Everywhere else activation is of all, whatever the order that needs.
        let ended = outside(&["web", "activate"]);
        assert_eq!(
            (ended.code, enabled()),
            (0, [true, true, true]),
            "{ended:?}"
        );
        let ended = outside(&["web", "deactivate"]);
        assert_eq!(
            (ended.code, enabled()),
            (0, [false, false, false]),
            "{ended:?}"
        );
        site.flag("load", true);
        assert_eq!(outside(&["web", "activate"]).code, 1, "one failed");
        site.flag("load", false);
        assert_eq!(inside(&["web", "uninstall", "--yes"]).code, 0);
        assert_eq!(site.record("DemoPlugin")["state"], "removed");
    });
}

#[test]
fn a_site_keeps_as_many_former_versions_as_it_wants() {
    on_each(|site| {
        site.ok(
            Method::PATCH,
            "/v1/web/settings",
            Some(json!({ "plugins.backups_kept": 1 })),
        );
        let codes = site.refused(
            Method::PATCH,
            "/v1/web/settings",
            Some(json!({ "plugins.backups_kept": -1 })),
        );
        assert_eq!(codes, ["setting_invalid"]);
        site.install(&site.package("DemoPlugin", "1.0.0", &[]));
        for version in ["1.1.0", "1.2.0", "1.3.0"] {
            let newer = site.package("DemoPlugin", version, &[]);
            assert_eq!(site.upgrade("DemoPlugin", &newer).code, 0);
        }
        let kept = crate::support::wait_for("the others gone", || {
            let shown = site.get("/v1/installations/web:DemoPlugin");
            let versions = shown["versions"].as_array().expect("versions").clone();
            (versions.len() == 2).then_some(versions)
        });
        let mut labels: Vec<&str> = kept.iter().filter_map(|it| it["label"].as_str()).collect();
        labels.sort_unstable();
        assert_eq!(labels, ["1.2.0", "1.3.0"]);
        let path = "/v1/web/plugins/DemoPlugin/rollback";
        site.post(path, json!({ "to": "1.2.0" }));
        assert_eq!(site.on_disk("DemoPlugin").as_deref(), Some("1.2.0"));
    });
}
