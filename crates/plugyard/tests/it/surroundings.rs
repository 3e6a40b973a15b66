//! A machine that lets the server down: a full disk, a database that goes away, a network that leads elsewhere.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::{Value as Json, json};

use crate::support::postgres::Postgres;
use crate::support::{Server, answer, plugins, python, run, wait_for};

/// Says to a test that it is already in surroundings of its own.
const INSIDE: &str = "PLUGYARD_TEST_INSIDE";

/// Runs a test of this module in namespaces of its own; true where it is in them already.
fn inside(namespaces: &[&str], test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let possible = Command::new("unshare")
        .args(namespaces)
        .arg("true")
        .output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: cannot make {} here", namespaces.join(" "));
        return false;
    }
    let mut again = Command::new("unshare");
    again
        .args(namespaces)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("surroundings::{test}"), "--nocapture"])
        .env(INSIDE, "1");
    let ended = run(&mut again);
    print!("{}", ended.stdout);
    eprint!("{}", ended.stderr);
    assert_eq!(ended.code, 0, "it failed in there");
    assert!(ended.stdout.contains("1 passed"), "no test of that name");
    false
}

/// Fills the disk until only `leave` bytes are free; room comes back when the file is removed.
fn fill(home: &Path, leave: u64) -> PathBuf {
    let path = home.join("filling");
    let mut file = File::create(&path).expect("a file");
    let free = || {
        let about = rustix::fs::statvfs(home).expect("a disk");
        about.f_bavail * about.f_frsize
    };
    let block = vec![0; 4096];
    while free() > leave && file.write_all(&block).is_ok() {}
    path
}

/// Names of all files below a directory, besides what logs and the database keep for themselves.
fn tree(directory: &Path) -> Vec<String> {
    fn walk(at: &Path, root: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(at).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path
                .strip_prefix(root)
                .expect("below")
                .display()
                .to_string();
            if path.is_dir() && !path.is_symlink() {
                walk(&path, root, names);
            } else {
                names.push(name);
            }
        }
    }
    let mut names = Vec::new();
    for part in ["versions", "plugins", "etc", "data", "staging"] {
        let at = directory.join(part);
        walk(&at, directory, &mut names);
    }
    names.sort();
    names
}

#[test]
fn a_disk_that_fills_up_during_an_install_leaves_what_was() {
    let Some(_) = python() else { return };
    if !inside(
        &["--mount"],
        "a_disk_that_fills_up_during_an_install_leaves_what_was",
    ) {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let home = directory.path().join("home");
    fs::create_dir(&home).expect("a directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"])
        .arg(&home)
        .status();
    assert!(mounted.is_ok_and(|status| status.success()), "no tmpfs");
    let plugin = plugins::pysam(directory.path());
    // Something that takes room when it is unpacked.
    let mut ballast = vec![0; 2_000_000];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut ballast))
        .expect("random bytes");
    fs::write(plugin.join("ballast.bin"), ballast).expect("a file");
    let plugin = plugin.display().to_string();
    let server = Server::start_in(&home, |_| {});
    let before = tree(&home);
    // Room for a part of the package; for the package, but not for what is in it; for everything.
    for (leave, place) in [(1 << 20, "package"), (3 << 20, "unpack")] {
        let filling = fill(&home, leave);
        let ended = server.cli(&["install", &plugin]);
        fs::remove_file(&filling).expect("room is made");
        assert_ne!(ended.code, 0, "{leave} bytes were enough: {ended:?}");
        assert!(ended.stderr.contains(place), "{leave}: {ended:?}");
        let reason = ended.stderr.to_lowercase();
        assert!(reason.contains("no space left"), "{leave}: {ended:?}");
        assert!(reason.contains("make room"), "{leave}: {ended:?}");
        assert_eq!(server.cli_ok(&["list", "-o", "name"]).stdout, "");
        assert_eq!(tree(&home), before, "with {leave} bytes free");
    }
    server.cli_ok(&["install", &plugin]);
    assert_eq!(server.shown("pysam")["health"]["state"], "ready");
    drop(server);
    let _ = Command::new("umount").arg(&home).status();
}

#[test]
fn while_the_database_is_away_rules_flow_and_requests_are_told() {
    let Some(_) = python() else { return };
    let Some(database) = Postgres::new("gone") else {
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plugin = plugins::pysam(directory.path()).display().to_string();
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__DATABASE__URL", database.url());
    });
    server.cli_ok(&["install", &plugin]);
    let stream = r#"CREATE STREAM p () WITH (TYPE="pyjson", FORMAT="json")"#;
    server.cli_ok(&["stream", "create", stream]);
    let rule =
        json!({ "id": "r", "sql": "SELECT * FROM p", "actions": [{ "memory": { "topic": "t" } }] });
    assert_eq!(answer(server.post("/rules").json(&rule)).status, 201);
    let rows = || -> u64 {
        let status: Json =
            serde_json::from_str(&answer(server.get("/rules/r/status")).body).expect("JSON");
        status["source_p_0_records_out_total"].as_u64().unwrap_or(0)
    };
    wait_for("rows", || (rows() > 2).then_some(()));
    let pid = server.plugin_pid("pysam");

    database.go_away();
    let refused = wait_for("a refusal", || {
        let answer = answer(server.get("/v1/operations"));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.status, 503, "{refused:?}");
    let document: Json = serde_json::from_str(&refused.body).expect("JSON");
    assert_eq!(document["code"], "store_unavailable", "{document}");
    let change = answer(
        server
            .post("/v1/installations/pysam/restart")
            .json(&json!({})),
    );
    assert_eq!(change.status, 503, "{change:?}");
    let begun = rows();
    wait_for("rows without a database", || {
        (rows() > begun + 5).then_some(())
    });
    assert_eq!(answer(server.get("/healthz")).status, 200);

    database.come_back();
    wait_for("the database again", || {
        (answer(server.get("/v1/operations")).status == 200).then_some(())
    });
    assert_eq!(server.plugin_pid("pysam"), pid, "the plugin was disturbed");
    server.cli_ok(&["restart", "pysam"]);
    server.cli_ok(&["rule", "delete", "r", "--yes"]);
    server.cli_ok(&["uninstall", "pysam", "--yes"]);
    drop(server);
}

#[test]
fn a_full_disk_of_the_database_is_told_at_once_and_heals() {
    let Some(_) = python() else { return };
    if !inside(
        &["--mount"],
        "a_full_disk_of_the_database_is_told_at_once_and_heals",
    ) {
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = directory.path().join("disk");
    fs::create_dir(&disk).expect("a directory");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
        .arg(&disk)
        .status();
    assert!(mounted.is_ok_and(|status| status.success()), "no tmpfs");
    let home = directory.path().join("home");
    let plugin = plugins::pysam(directory.path()).display().to_string();
    let server = Server::start_in(&home, |command| {
        let url = format!("sqlite:{}", disk.join("plugyard.db").display());
        command.env("PLUGYARD__DATABASE__URL", url);
    });
    let before = tree(&home);
    let (mut refused, mut stopped) = (0, 0);
    // From a disk that takes nothing to one that takes the first steps, and then all of them.
    for pages in (0..).step_by(6) {
        let filling = fill(&disk, pages * 4096);
        let ended = server.cli(&["install", &plugin]);
        fs::remove_file(&filling).expect("room is made");
        if ended.code == 0 {
            break;
        }
        let said = &ended.stderr;
        assert!(
            said.contains("disk of the database is full"),
            "{pages}: {ended:?}"
        );
        assert!(said.contains("make room"), "{pages}: {ended:?}");
        if said.contains("the step") {
            assert!(said.contains("pysam"), "{pages}: {ended:?}");
            stopped += 1;
        } else {
            refused += 1;
        }
        // With room again what was begun comes to its end by itself.
        let settled = wait_for("the end of what was begun", || {
            let operations = answer(server.get("/v1/operations")).body;
            (!operations.contains(r#""state":"running""#)).then_some(operations)
        });
        if server.cli_ok(&["list", "-o", "name"]).stdout.is_empty() {
            assert_eq!(tree(&home), before, "{pages}: {settled}");
        } else {
            // It had begun to commit, so it went on.
            assert_eq!(server.shown("pysam")["health"]["state"], "ready");
            server.cli_ok(&["uninstall", "pysam", "--yes"]);
        }
    }
    assert!(
        refused + stopped > 1,
        "{refused} refused, {stopped} stopped"
    );
    assert_eq!(server.shown("pysam")["health"]["state"], "ready");
    drop(server);
    let _ = Command::new("umount").arg(&disk).status();
}

/// Answers each path with bytes as they are; what ends with `…` is never ended.
fn site(listener: TcpListener, answers: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1)
            {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let answer = answers(head.split(' ').nth(1).unwrap_or("/"));
            let _ = stream.write_all(&answer);
            if answer.ends_with("…".as_bytes()) {
                open.push(stream);
            }
        }
    });
    format!("http://{address}")
}

fn served(length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[test]
fn packages_from_slow_and_lying_sites_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plugin = plugins::pysam(directory.path());
    let zip = fs::read(plugins::zip(&plugin, &directory.path().join("pysam.zip"))).expect("a zip");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let whole = zip.clone();
    let site = site(listener, move |path| match path {
        "/good.zip" => served(whole.len(), &whole),
        "/less.zip" => served(whole.len() + 10, &whole),
        "/more.zip" => served(whole.len() - 10, &whole),
        "/none.zip" => served(0, &whole),
        "/huge.zip" => served(1 << 40, &whole),
        "/word.zip" => b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nPK".to_vec(),
        // A few bytes, and then nothing for ever.
        "/slow.zip" => served(whole.len(), "PK\u{3}\u{4}…".as_bytes()),
        _ => "HTTP/1.1 200 OK\r\nX: …".as_bytes().to_vec(),
    });
    let server = Server::start_with(|command| {
        command
            .env("PLUGYARD__PACKAGES__ALLOW_PRIVATE_URLS", "true")
            .env("PLUGYARD__PACKAGES__FETCH_TIMEOUT", "1s");
    });
    let fetch = |path: &str| {
        let request = server
            .post("/v1/packages")
            .json(&json!({ "url": format!("{site}{path}") }));
        let answer = answer(request);
        let document: Json = serde_json::from_str(&answer.body).expect("JSON");
        (
            answer.status,
            document["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for (path, expected) in [
        ("/less.zip", (422, "package_fetch_failed")),
        ("/more.zip", (422, "package_invalid")),
        ("/none.zip", (422, "package_invalid")),
        ("/huge.zip", (413, "package_too_large")),
        ("/word.zip", (422, "package_fetch_failed")),
        ("/slow.zip", (422, "package_fetch_failed")),
        ("/head", (422, "package_fetch_failed")),
    ] {
        let (status, code) = fetch(path);
        assert_eq!((status, code.as_str()), expected, "{path}");
    }
    assert_eq!(
        fs::read_dir(server.home.join("staging")).map_or(0, Iterator::count),
        0
    );
    assert_eq!(fetch("/good.zip"), (201, String::new()));
}

#[test]
fn a_public_site_cannot_point_into_private_networks() {
    if !inside(
        &["--net"],
        "a_public_site_cannot_point_into_private_networks",
    ) {
        return;
    }
    // An address that anybody else would reach through the Internet; here it is ours, and nobody's besides.
    for words in [
        vec!["link", "set", "lo", "up"],
        vec!["addr", "add", "8.7.6.5/32", "dev", "lo"],
        vec!["addr", "add", "10.1.2.3/32", "dev", "lo"],
    ] {
        match Command::new("ip").args(&words).status() {
            Ok(status) => assert!(status.success(), "ip {words:?}"),
            Err(error) => {
                println!("skipped: there is no `ip`: {error}");
                return;
            }
        }
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plugin = plugins::pysam(directory.path());
    let zip = fs::read(plugins::zip(&plugin, &directory.path().join("pysam.zip"))).expect("a zip");
    let inner = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = inner.local_addr().expect("an address").port();
    let whole = zip.clone();
    // The inner site would give the package to whoever reaches it.
    site(inner, move |_| served(whole.len(), &whole));
    let outer = TcpListener::bind("8.7.6.5:0").expect("a port");
    let outer = site(outer, move |path| match path.trim_start_matches('/') {
        "good.zip" => served(zip.len(), &zip),
        inner => format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{inner}:{port}/x.zip\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        )
        .into_bytes(),
    });
    let server = Server::start();
    let fetch = |path: &str| {
        let request = server
            .post("/v1/packages")
            .json(&json!({ "url": format!("{outer}/{path}") }));
        answer(request)
    };
    for inner in [
        "127.0.0.1",
        "10.1.2.3",
        "localhost",
        "[::1]",
        "[::ffff:10.1.2.3]",
        "169.254.169.254",
        "0.0.0.0",
    ] {
        let answer = fetch(inner);
        assert_eq!(answer.status, 422, "{inner}: {answer:?}");
        assert!(
            answer.body.contains("package_url_refused"),
            "{inner}: {answer:?}"
        );
    }
    // The way itself works: pointed on to a public address, and without being pointed on.
    assert_eq!(fetch("8.7.6.5").status, 201);
    let direct = fetch("good.zip");
    assert!(matches!(direct.status, 200 | 201), "{direct:?}");
    assert!(
        TcpStream::connect(("10.1.2.3", port)).is_ok(),
        "there was nothing to reach"
    );
}
