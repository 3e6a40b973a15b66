//! The home as a whole: plugins put into it by hand, backed up, brought back, copied.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use plugyard_store::{Database, DatabaseUrl};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value as Json, json};

use crate::support::{Server, answer, is_alive, plugins, plugyard, python, run, wait_for};

/// Copies a tree: directories, files and links; sockets stay.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the files are there");
    for entry in fs::read_dir(from).expect("the files are there") {
        let entry = entry.expect("the files are there");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            copy(&path, &target);
        } else if metadata.is_symlink() {
            symlink(fs::read_link(&path).expect("the files are there"), &target)
                .expect("the files are there");
        } else if metadata.is_file() {
            fs::copy(&path, &target).expect("the files are there");
        }
    }
}

/// Every file below a directory with its bytes, except what a look at it makes.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the files are there") {
            let path = entry.expect("the files are there").path();
            let passing = ["plugyard.lock", "plugyard.db-wal", "plugyard.db-shm"];
            if passing.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else {
                files.insert(path.clone(), fs::read(&path).expect("the files are there"));
            }
        }
    }
    files
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink())
}

fn health(server: &Server, plugin: &str) -> Option<String> {
    let shown = server.cli(&["show", plugin, "-o", "json"]);
    let shown = (shown.code == 0).then(|| json(&shown.stdout))?;
    Some(shown["health"]["state"].as_str()?.to_owned())
}

fn wait_until_ready(server: &Server, plugin: &str) {
    wait_for("the plugin to be ready", || {
        (health(server, plugin)? == "ready").then_some(())
    });
}

#[test]
fn a_directory_dropped_into_the_home_is_installed_at_the_start_and_by_rescan() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let portable = home.join("plugins/portable");
    plugins::pysam(&portable);
    // Its manifest says another name: it is refused, and stays.
    let bad = plugins::only_function(&portable, "bad", "pass");
    fs::rename(&bad, portable.join("worse")).unwrap();
    let before = files(&portable.join("worse"));

    let mut server = Server::start_in(&home, |_| {});
    wait_until_ready(&server, "pysam");
    // It is ready a moment before the change is in force.
    let settled = || {
        let shown = server.shown("pysam");
        shown["operation"].is_null().then_some(shown)
    };
    let shown = wait_for("the change to end", settled);
    assert!(is_link(&portable.join("pysam")));
    let adopted = shown["details"]["adopted"][0].as_str().unwrap().to_owned();
    assert!(adopted.starts_with("backups/adopted/pysam-"), "{adopted}");
    assert!(home.join(&adopted).join("pysam.py").is_file());
    wait_for("the log to name the other one", || {
        server
            .log()
            .contains("plugins/portable/worse")
            .then_some(())
    });

    // Again, with one more in the other place that eKuiper's users know.
    plugins::only_function(&home.join("plugins/portables"), "more", MORE);
    let ended = server.cli(&["rescan", "-o", "json"]);
    assert_eq!(ended.code, 4, "{ended:?}");
    let items = json(&ended.stdout)["items"].as_array().unwrap().clone();
    let keys: Vec<_> = items.iter().map(|it| it["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["more", "worse"]);
    assert_eq!(items[1]["problem"]["code"], "package_invalid");
    assert!(
        !items[1]["problem"]["findings"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(health(&server, "more").as_deref(), Some("ready"));
    assert!(!home.join("plugins/portables/more").exists());
    assert!(is_link(&portable.join("more")));
    assert_eq!(files(&portable.join("worse")), before);

    // What was adopted is not found again, and doctor tells of what was not.
    let again = json(&server.cli(&["rescan", "-o", "json"]).stdout);
    assert_eq!(again["items"].as_array().unwrap().len(), 1);
    let doctor = json(&server.cli(&["doctor", "-o", "json"]).stdout);
    let check = doctor["checks"].as_array().unwrap().iter();
    let check: Vec<_> = check
        .filter(|it| it["check"] == "plugins/portable/worse")
        .collect();
    assert_eq!(check[0]["result"], "refused");

    // A directory in the place of the link is a new version, found at the next start.
    assert!(server.terminate().success());
    fs::remove_file(portable.join("pysam")).unwrap();
    plugins::pysam(&portable);
    fs::write(portable.join("pysam/extra.txt"), "new").unwrap();
    let server = Server::start_in(&home, |_| {});
    wait_for("the directory to be adopted", || {
        is_link(&portable.join("pysam")).then_some(())
    });
    assert!(portable.join("pysam/extra.txt").is_file());
    let shown = wait_for("the change to end", || {
        let shown = server.shown("pysam");
        shown["operation"].is_null().then_some(shown)
    });
    assert!(shown["previous"].is_object(), "{shown}");
}

/// A plugin with the function `more_f`.
const MORE: &str = r#"
from ekuiper import plugin, PluginConfig, Function

class F(Function):
    def validate(self, args):
        return ""
    def exec(self, args, ctx):
        return args[0]
    def is_aggregate(self):
        return False

if __name__ == '__main__':
    plugin.start(PluginConfig("more", {}, {}, {"more_f": lambda: F()}))
"#;

#[test]
fn a_backup_of_a_running_server_comes_back_as_another_home() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let server = Server::start_in(&at("home"), |_| {});
    let pysam = plugins::pysam(directory.path());
    server.cli_ok(&["install", pysam.to_str().unwrap()]);
    let notes = server.home.join("plugin-data/portable/pysam/notes");
    fs::create_dir_all(notes.parent().unwrap()).unwrap();
    fs::write(&notes, "kept").unwrap();
    fs::write(server.home.join("keys/secret"), "key").unwrap();

    let file = at("home.tar.gz");
    let path = file.to_str().unwrap();
    let made = server.cli_ok(&["backup", "--to", path, "-o", "json"]);
    assert_eq!(json(&made.stdout)["database"], "included");
    assert!(made.stderr.contains("keys"), "{made:?}");
    // Never over another file.
    assert_eq!(server.cli(&["backup", "--to", path]).code, 1);

    let other = at("other");
    let restored = run(plugyard(&other).args(["restore", path]));
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(!other.join("keys/secret").exists());
    let copy = Server::start_in(&other, |_| {});
    wait_until_ready(&copy, "pysam");
    let kept = other.join("plugin-data/portable/pysam/notes");
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
    assert_eq!(health(&server, "pysam").as_deref(), Some("ready"));
    drop(copy);

    // Into what is empty only.
    let refused = run(plugyard(&other).args(["restore", path]));
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("not empty"), "{refused:?}");

    // Offline, with the keys.
    drop(server);
    let offline = at("offline.tar.gz");
    let words = ["backup", "--keys", "--to", offline.to_str().unwrap()];
    let made = run(plugyard(&at("home")).args(words));
    assert_eq!(made.code, 0, "{made:?}");
    fs::create_dir(at("empty")).unwrap();
    let restored = run(plugyard(&at("empty")).args(["restore", offline.to_str().unwrap()]));
    assert_eq!(restored.code, 0, "{restored:?}");
    assert_eq!(fs::read_to_string(at("empty/keys/secret")).unwrap(), "key");
    assert!(at("empty/plugyard.db").is_file());
}

#[test]
fn a_backup_that_is_not_whole_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let server = Server::start_in(&at("home"), |_| {});
    let good = at("good.tar.gz");
    server.cli_ok(&["backup", "--to", good.to_str().unwrap()]);
    let bytes = fs::read(&good).unwrap();
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&*bytes)
        .read_to_end(&mut plain)
        .unwrap();
    let zipped = |plain: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    };
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = memchr(&plain, from.as_bytes());
        let mut altered = plain.clone();
        altered[at..at + to.len()].copy_from_slice(to.as_bytes());
        zipped(&altered)
    };
    let mut longer = bytes.clone();
    longer.push(0);
    let cases = [
        ("cut off", bytes[..bytes.len() / 2].to_vec(), 1),
        (
            "without its last byte",
            bytes[..bytes.len() - 1].to_vec(),
            1,
        ),
        ("with more behind it", longer, 1),
        ("no archive", b"what".to_vec(), 1),
        ("an empty file", Vec::new(), 1),
        ("altered", replaced("SQLite format 3", "SQLite format 4"), 1),
        ("newer", replaced("\"format\": 1", "\"format\": 2"), 5),
        (
            "of a newer database",
            replaced("platform_initial", "platform_unknown"),
            1,
        ),
        (
            "out of the home",
            replaced("plugyard.db\0", "../yard.db\0\0"),
            1,
        ),
    ];
    for (what, content, code) in cases {
        let file = at("bad.tar.gz");
        fs::write(&file, content).unwrap();
        let ended = run(plugyard(&at("new/home")).args(["restore", file.to_str().unwrap()]));
        assert_eq!(ended.code, code, "{what}: {ended:?}");
        assert!(
            ended.stderr.contains("nothing was written"),
            "{what}: {ended:?}"
        );
        assert!(!at("new").exists(), "{what}");
    }
}

#[test]
fn a_backup_waits_for_what_is_open_and_rows_go_on_meanwhile() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let server = Server::start_in(&at("home"), |_| {});
    let pysam = plugins::pysam(directory.path());
    server.cli_ok(&["install", pysam.to_str().unwrap()]);
    let stream = r#"CREATE STREAM p () WITH (TYPE="pyjson", FORMAT="json")"#;
    server.cli_ok(&["stream", "create", stream]);
    let rule =
        json!({ "id": "r", "sql": "SELECT * FROM p", "actions": [{ "memory": { "topic": "t" } }] });
    assert_eq!(answer(server.post("/rules").json(&rule)).status, 201);
    let rows = || -> u64 {
        let status = answer(server.get("/rules/r/status")).body;
        json(&status)["source_p_0_records_out_total"]
            .as_u64()
            .unwrap_or(0)
    };
    wait_for("rows", || (rows() > 0).then_some(()));
    // A new version that is being built for as long as the test wants.
    let script = "while [ ! -e \"$PLUGYARD_DATA_DIR/go\" ]; do sleep 0.05; done\n";
    fs::write(pysam.join("install.sh"), script).unwrap();
    let words = ["upgrade", "pysam", pysam.to_str().unwrap(), "--no-wait"];
    let id = server.cli_ok(&words).stdout.trim().to_owned();
    let file = at("home.tar.gz");
    let mut backup = server
        .command(&["backup", "--to", file.to_str().unwrap(), "-o", "json"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // It waits, and whatever is no change goes on.
    let begun = rows();
    wait_for("rows beside a backup", || {
        (rows() > begun + 5).then_some(())
    });
    assert!(backup.try_wait().unwrap().is_none(), "it did not wait");
    fs::write(server.home.join("plugin-data/portable/pysam/go"), "").unwrap();
    assert!(backup.wait().unwrap().success());
    let ended = server.cli_ok(&["operation", "watch", &id]);
    assert!(
        ended.stderr.contains("done") || ended.stdout.contains("done"),
        "{ended:?}"
    );

    // It holds the change as a whole: the new version is in force, and works.
    let other = at("other");
    let restored = run(plugyard(&other).args(["restore", file.to_str().unwrap()]));
    assert_eq!(restored.code, 0, "{restored:?}");
    let copy = Server::start_in(&other, |_| {});
    wait_until_ready(&copy, "pysam");
    assert!(copy.shown("pysam")["previous"].is_object());
    assert!(other.join("plugins/portable/pysam/install.sh").is_file());
}

fn memchr(all: &[u8], part: &[u8]) -> usize {
    all.windows(part.len())
        .position(|it| it == part)
        .expect("it is there")
}

#[test]
fn a_home_of_a_newer_version_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let mut server = Server::start_in(&home, |_| {});
    assert!(server.terminate().success());
    drop(server);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let url = DatabaseUrl::sqlite(home.join("plugyard.db"));
        let database = Database::open(&url).await.unwrap();
        let insert = "INSERT INTO schema_migrations (name) VALUES ('m299901010000_later')";
        database.conn().execute_unprepared(insert).await.unwrap();
        database.close().await.unwrap();
    });
    // Nothing that a start would make or empty.
    fs::remove_dir_all(home.join("run")).unwrap();
    fs::write(home.join("staging/left"), "").unwrap();
    let before = files(&home);
    let ended = run(plugyard(&home).args(["serve", "--listen", "127.0.0.1:0"]));
    assert_ne!(ended.code, 0);
    assert!(ended.stderr.contains("m299901010000_later"), "{ended:?}");
    assert_eq!(files(&home), before);
    assert!(!home.join("run").exists());
}

#[test]
fn a_home_copied_from_a_running_server_works_elsewhere() {
    if python().is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_in(&directory.path().join("home"), |_| {});
    let pysam = plugins::pysam(directory.path());
    server.cli_ok(&["install", pysam.to_str().unwrap()]);
    let pid = server.plugin_pid("pysam");
    let other = directory.path().join("other");
    copy(&server.home, &other);

    let copied = Server::start_in(&other, |_| {});
    wait_until_ready(&copied, "pysam");
    assert_ne!(copied.plugin_pid("pysam"), pid);
    let ended = copied.cli(&["restart", "pysam"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    // The original was left alone.
    assert!(is_alive(pid));
    assert_eq!(server.plugin_pid("pysam"), pid);
    assert_eq!(json!(health(&server, "pysam")), "ready");
}
