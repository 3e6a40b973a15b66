//! Taking over the plugin table of a running application.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::support::postgres::Postgres;
use crate::support::{Server, run};

/// What a 2.x application on MySQL has: rows of today, rows nobody could enter any more, broken ones.
const DUMP: &str = r#"-- MySQL dump 10.13  Distrib 8.0
CREATE TABLE `plugins` (
  `id` int unsigned NOT NULL AUTO_INCREMENT,
  `fskey` varchar(64) NOT NULL,
  `type` tinyint unsigned NOT NULL DEFAULT '0',
  `name` varchar(64) NOT NULL,
  `description` varchar(255) NOT NULL,
  `version` varchar(16) NOT NULL,
  `author` varchar(64) NOT NULL,
  `author_link` varchar(128) DEFAULT NULL,
  `scene` json DEFAULT NULL,
  `plugin_host` varchar(128) DEFAULT NULL,
  `access_path` varchar(255) DEFAULT NULL,
  `settings_path` varchar(128) DEFAULT NULL,
  `is_standalone` tinyint unsigned NOT NULL DEFAULT '0',
  `is_upgrade` tinyint unsigned NOT NULL DEFAULT '0',
  `upgrade_code` varchar(32) DEFAULT NULL,
  `upgrade_version` varchar(16) DEFAULT NULL,
  `is_enabled` tinyint unsigned NOT NULL DEFAULT '0',
  `created_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  `updated_at` timestamp NULL DEFAULT NULL,
  `deleted_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `plugins_fskey_unique` (`fskey`)
);
INSERT INTO `users` VALUES (1,'ann');
INSERT INTO `plugins` VALUES
(11,'Mall',1,'It\'s a mall','Buy; sell','1.10.0','Ann','https://ann.example','[\"recharge\", \"extendChannel\"]',NULL,'/mall?id={parameter}','/mall/admin',0,1,'SECRETCODE0123456789','1.11.0',1,'2023-02-03 04:05:06','2023-03-03 00:00:00',NULL),
(12,'Legacy',1,'Legacy','','1.0.0','Ann','no-link','[\"extendChannel\"]','https://plug.example.net//','//old/../LONGPATH',NULL,0,0,NULL,NULL,1,'2023-02-03 04:05:06',NULL,NULL),
(13,'bad-key',1,'Bad','','1.0.0','Ann',NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,1,'2023-02-03 04:05:06',NULL,NULL),
(14,'Broken'),
(15,'Gone',1,'Gone','','1.0.0','Ann',NULL,'[\"extendChannel\"]',NULL,'/gone',NULL,0,0,NULL,NULL,1,'2023-02-03 04:05:06',NULL,'2024-01-01 00:00:00'),
(16,'Behind',1,'Behind','','2.0.0','Ann',NULL,NULL,NULL,NULL,NULL,0,1,NULL,'1.0.0',1,'2023-02-03 04:05:06',NULL,NULL);
INSERT INTO `plugin_usages` (`id`,`usage_type`,`plugin_fskey`,`name`,`parameter`,`rating`,`is_enabled`,`created_at`) VALUES
(5,9,'Mall','Gold','gold',2,1,'2023-02-03 04:05:06'),
(4,9,'Mall','Silver','silver',2,1,'2023-02-03 04:05:06'),
(6,9,'Gone','Gone',NULL,1,1,'2023-02-03 04:05:06'),
(7,9,'Nowhere','Nowhere',NULL,1,1,'2023-02-03 04:05:06'),
(8,3,'Mall','No such scene',NULL,1,1,'2023-02-03 04:05:06');
INSERT INTO `languages` (`id`,`table_name`,`table_column`,`table_id`,`lang_tag`,`lang_content`) VALUES
(1,'plugin_usages','name',5,'zh-Hans','黄金'),(2,'plugin_usages','name',5,'en','Gold!'),(3,'posts','name',5,'zh-Hans','no');
"#;

fn dump() -> String {
    DUMP.replace("LONGPATH", &"x".repeat(150))
}

/// A server on each database, and the database where it is not a file of the home.
fn servers(name: &str) -> Vec<(Server, Option<Postgres>)> {
    let mut servers = vec![(Server::start(), None)];
    if let Some(database) = Postgres::new(name) {
        let url = database.url();
        let server = Server::start_with(|command| {
            command.env("PLUGYARD__DATABASE__URL", url);
        });
        servers.push((server, Some(database)));
    }
    servers
}

fn written(directory: &Path, name: &str, text: &str) -> String {
    let file = directory.join(name);
    std::fs::write(&file, text).expect("a file");
    file.display().to_string()
}

fn asked(server: &Server, path: &str) -> Json {
    let answer = server.get(path).send().expect("an answer");
    assert!(answer.status().is_success(), "{path}: {answer:?}");
    answer.json().expect("JSON")
}

#[test]
fn a_dump_is_taken_over_row_by_row_and_a_second_time_changes_nothing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = written(directory.path(), "dump.sql", &dump());
    for (server, database) in servers("web_import") {
        let dry = server.cli(&["web", "import", &file, "--dry-run", "-o", "json"]);
        let report: Json = serde_json::from_str(&dry.stdout).expect("JSON");
        assert_eq!(report["dry_run"], true);
        assert_eq!(asked(&server, "/v1/web/plugins")["items"], json!([]));

        let done = server.cli(&["web", "import", &file, "-o", "json"]);
        assert_eq!(done.code, 4, "{done:?}");
        let report: Json = serde_json::from_str(&done.stdout).expect("JSON");
        let counts = |of: &str| {
            let counts = &report[of];
            ["read", "added", "kept", "refused"].map(|name| counts[name].as_u64().unwrap_or(99))
        };
        assert_eq!(counts("plugins"), [5, 4, 0, 1], "{report:#}");
        assert_eq!(counts("usages"), [5, 3, 0, 2], "{report:#}");
        assert_eq!(report["unreadable"], 1);
        assert_eq!(report["ignored"], json!({ "users": 1 }));
        let said: Vec<_> = report["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|it| {
                (
                    it["code"].as_str().unwrap_or(""),
                    it["severity"].as_str().unwrap_or(""),
                )
            })
            .collect();
        for expected in [
            ("E_FSKEY_FORMAT", "error"),
            ("E_IMPORT_COLUMNS", "error"),
            ("E_HOST_TRAILING_SLASH", "warning"),
            ("E_PATH_DOTS", "warning"),
            ("E_ACCESS_PATH_LENGTH", "warning"),
            ("W_IMPORT_DROPPED", "warning"),
            ("E_NOT_FOUND", "error"),
            ("E_SCENE_NOT_SUPPORTED", "error"),
        ] {
            assert!(said.contains(&expected), "{expected:?} of {said:?}");
        }

        let mall = asked(&server, "/v1/web/plugins/Mall");
        assert_eq!(mall["name"], "It's a mall");
        assert_eq!(mall["isUpgrade"], true);
        assert_eq!(mall["upgradeVersion"], "1.11.0");
        assert_eq!(mall["hasUpgradeCode"], true);
        assert!(!mall.to_string().contains("SECRETCODE"));
        assert!(!done.stdout.contains("SECRETCODE") && !done.stderr.contains("SECRETCODE"));
        assert_eq!(mall["createdAt"], "2023-02-03T04:05:06.000Z");
        assert_eq!(mall["scene"], json!(["recharge", "extendChannel"]));
        // What nobody could enter today goes on working as it did.
        let legacy = asked(&server, "/v1/web/plugins/Legacy");
        let url = legacy["accessUrl"].as_str().expect("a URL");
        assert!(
            url.starts_with("https://plug.example.net/old/../xxx"),
            "{url}"
        );
        assert_eq!(asked(&server, "/v1/web/plugins/Behind")["isUpgrade"], false);
        let listed = asked(&server, "/v1/web/plugins?include=deleted").to_string();
        assert!(listed.contains("\"Gone\""), "{listed}");

        // Of one rating, and so in the order of their numbers in the dump.
        let usages = asked(&server, "/v1/web/usages?type=9&plugin=Mall");
        let names: Vec<_> = usages["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|it| it["name"].as_str().unwrap_or(""))
            .collect();
        assert_eq!(names, ["Silver", "Gold!"]);

        let again = server.cli(&["web", "import", &file, "-o", "json"]);
        let report: Json = serde_json::from_str(&again.stdout).expect("JSON");
        assert_eq!(report["plugins"]["added"], 0, "{report:#}");
        assert_eq!(report["plugins"]["kept"], 4, "{report:#}");
        assert_eq!(report["usages"]["added"], 0, "{report:#}");
        assert_eq!(report["usages"]["kept"], 3, "{report:#}");

        let id = mall["id"].clone();
        let changed = dump().replace("It\\'s a mall", "A mall");
        let changed = written(directory.path(), "changed.sql", &changed);
        server.cli(&["web", "import", &changed, "--existing", "replace"]);
        let mall = asked(&server, "/v1/web/plugins/Mall");
        assert_eq!((&mall["name"], &mall["id"]), (&json!("A mall"), &id));
        drop(server);
        drop(database);
    }
}

#[test]
fn csv_and_json_and_the_third_generation_are_taken_over() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let csv = "id,fskey,type,name,description,version,author,panel_usages,app_host,access_path,is_enabled\n\
               1,Cloud,3,Cloud,,1.0.0,Ann,\"[\"\"accountRegister\"\"]\",https://cloud.example,/start,1\n\
               2,Skin,2,Skin,,1.0.0,Ann,,,,1\n";
    let csv = written(directory.path(), "apps.csv", csv);
    let usages = json!({ "app_usages": [{
        "id": 1, "usage_type": 9, "app_fskey": "Chan", "sort_order": 3, "is_enabled": 1,
        "name": { "en": "Channel", "zh-Hans": "频道" },
    }], "apps": [{
        "fskey": "Chan", "type": 1, "name": "Chan", "version": "1.0.0", "author": "Ann",
        "panelUsages": ["extendChannel"], "accessPath": "/c", "appHost": "https://chan.example",
    }] });
    let usages = written(directory.path(), "rows.json", &usages.to_string());
    let server = Server::start();
    server.cli_ok(&["web", "import", &csv]);
    server.cli_ok(&["web", "import", &usages]);
    let cloud = asked(&server, "/v1/web/plugins/Cloud");
    assert_eq!(
        (&cloud["type"], &cloud["isStandalone"]),
        (&json!(5), &json!(true))
    );
    assert_eq!(cloud["scene"], json!(["register"]));
    assert_eq!(cloud["accessUrl"], "https://cloud.example/start");
    assert_eq!(asked(&server, "/v1/web/plugins/Skin")["type"], 4);
    let usage = &asked(&server, "/v1/web/usages?type=9")["items"][0];
    assert_eq!(
        (&usage["name"], &usage["rating"]),
        (&json!("Channel"), &json!(3))
    );

    let unknown = written(directory.path(), "rows.txt", "x");
    let refused = server.cli(&["web", "import", &unknown]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("--dump-format"), "{refused:?}");
    let missing = server.cli(&["web", "import", "/nowhere/dump.sql"]);
    assert_eq!(missing.code, 3, "{missing:?}");
}

#[test]
fn what_looks_the_same_is_taken_over_as_often_as_it_is_there() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let usage = |id: u32, roles: &str, deleted: Json| {
        json!({
            "id": id, "usage_type": 9, "plugin_fskey": "Mall", "name": "Gold", "parameter": "gold",
            "roles": roles, "deleted_at": deleted,
        })
    };
    let rows = json!({
        "plugins": [{
            "fskey": "Mall", "type": 1, "name": "Mall", "version": "1.0.0", "author": "Ann",
            "scene": ["extendChannel"], "access_path": "/mall", "plugin_host": "https://mall.example",
        }],
        // One that was removed and made anew, and one for other roles.
        "plugin_usages": [usage(7, "", json!("2024-01-01 00:00:00")), usage(8, "", Json::Null), usage(9, "3", Json::Null)],
    });
    let file = written(directory.path(), "rows.json", &rows.to_string());
    for (server, database) in servers("web_import_same") {
        server.cli_ok(&["web", "import", &file]);
        let roles = |include: &str| {
            let listed = asked(&server, &format!("/v1/web/usages?type=9{include}"));
            let items = listed["items"].as_array().expect("items").clone();
            items
                .iter()
                .map(|it| it["roles"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(roles(""), [json!([]), json!([3])]);
        assert_eq!(roles("&include=deleted").len(), 3);
        let again = server.cli_ok(&["web", "import", &file, "-o", "json"]);
        let report: Json = serde_json::from_str(&again.stdout).expect("JSON");
        assert_eq!(
            (&report["usages"]["added"], &report["usages"]["kept"]),
            (&json!(0), &json!(3))
        );
        drop(server);
        drop(database);
    }
}

#[test]
fn what_a_package_says_is_not_the_dumps_to_say() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let package = directory.path().join("Mall");
    std::fs::create_dir(&package).expect("a directory");
    let manifest = json!({
        "fskey": "Mall", "name": "Mall", "description": "", "version": "1.0.0", "author": "Ann", "accessPath": "/mall",
    });
    written(&package, "plugin.json", &manifest.to_string());
    let rows = json!({ "plugins": [{
        "fskey": "Mall", "type": 1, "name": "Older", "version": "0.9.0", "author": "Bob", "is_enabled": 0,
        "plugin_host": "https://mall.example", "upgrade_code": "SECRETCODE", "deleted_at": "2024-01-01 00:00:00",
    }] });
    let file = written(directory.path(), "rows.json", &rows.to_string());
    for (server, database) in servers("web_import_packaged") {
        server.cli_ok(&["install", &package.display().to_string()]);
        server.cli_ok(&["web", "activate", "Mall"]);
        let done = server.cli_ok(&["web", "import", &file, "--existing", "replace"]);
        assert!(done.stderr.contains("W_IMPORT_PACKAGED"), "{done:?}");
        let mall = asked(&server, "/v1/web/plugins/Mall");
        assert_eq!(
            (&mall["name"], &mall["version"], &mall["isEnabled"]),
            (&json!("Mall"), &json!("1.0.0"), &json!(true))
        );
        assert_eq!(mall["accessUrl"], "https://mall.example/mall");
        assert_eq!(mall["hasUpgradeCode"], true);
        server.cli_ok(&["web", "doctor"]);
        drop(server);
        drop(database);
    }
}

#[test]
fn a_dump_with_nothing_in_it_is_no_success() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start();
    let other = "INSERT INTO `users` (`id`) VALUES (1);";
    for (name, text) in [("a.sql", other), ("b.json", "{}"), ("c.sql", "")] {
        let file = written(directory.path(), name, text);
        let ended = server.cli(&["web", "import", &file]);
        assert_eq!(ended.code, 4, "{name}: {ended:?}");
        assert!(ended.stderr.contains("E_IMPORT_EMPTY"), "{name}: {ended:?}");
    }
    // Of two rows that letters' cases alone tell apart, the first is the one that is there.
    let row = |fskey: &str| json!({ "fskey": fskey, "type": 1, "name": "x", "version": "1.0.0", "author": "Ann" });
    let twins = json!({ "plugins": [row("Twin"), row("TWIN")] });
    let file = written(directory.path(), "twins.json", &twins.to_string());
    let ended = server.cli(&["web", "import", &file]);
    assert!(
        ended.stderr.contains("There is `Twin` already"),
        "{ended:?}"
    );
}

/// The commands of a page of the documentation.
fn commands(page: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(page);
    let text = std::fs::read_to_string(page).expect("a page");
    let lines = text.lines().map(str::trim);
    let commands = lines.filter(|line| line.starts_with("plugyard "));
    commands.map(str::to_owned).collect()
}

#[test]
fn the_commands_of_the_page_work() {
    let all = commands("docs/web-import.md");
    assert_eq!(all, commands("docs/zh-CN/web-import.md"));
    assert!(all.len() >= 4, "{all:?}");
    let directory = tempfile::tempdir().expect("a temporary directory");
    written(directory.path(), "dump.sql", &dump());
    let server = Server::start();
    for command in all {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let mut command = server.command(&words);
        let ended = run(command.current_dir(directory.path()));
        // The dump has broken rows, which the command says.
        let expected = if words.contains(&"import") { 4 } else { 0 };
        assert_eq!(ended.code, expected, "{words:?}: {ended:?}");
    }
    let mall = asked(&server, "/v1/web/plugins/Mall");
    let url = "https://www.example.com/mall?id={parameter}";
    assert_eq!(mall["accessUrl"], url);
}
