//! Clients that mean no good: endless bodies, half-open connections, readers that do not read, two at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::support::{PATIENCE, Server, answer, plugins, python, wait_for};

/// What a server may grow by, in KiB, whatever is thrown at it: far below what is thrown.
const GROWTH: u64 = 64 * 1024;

/// The most memory that the server ever had resident, in KiB.
fn peak(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    status
        .expect("the server runs")
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .expect("a number of KiB")
}

fn connect(server: &Server) -> TcpStream {
    let address = server.address.trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("the server listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .expect("time limits");
    stream
}

/// Sends zeros in chunks until the server has enough of them; how many it took, and its answer.
fn pour(server: &Server, path: &str, content_type: &str, begin: &[u8], most: u64) -> (u64, String) {
    let mut stream = connect(server);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("a head is taken");
    if !begin.is_empty() {
        let length = format!("{:x}\r\n", begin.len());
        let first = [length.as_bytes(), begin, b"\r\n"].concat();
        stream.write_all(&first).expect("a beginning is taken");
    }
    let chunk = [b"10000\r\n".as_slice(), &vec![0; 0x1_0000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < most && stream.write_all(&chunk).is_ok() {
        sent += 0x1_0000;
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    (sent, read_answer(&mut stream))
}

/// What the server says, as far as it comes before the connection ends.
fn read_answer(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        said.extend(&piece[..read]);
        let text = String::from_utf8_lossy(&said);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if length.is_some_and(|length: usize| body.len() >= length) {
                break;
            }
        }
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn a_body_of_a_gibibyte_is_refused_early_and_never_held() {
    let server = Server::start_with(|command| {
        command.env("PLUGYARD__PACKAGES__MAX_SIZE", "4MiB");
    });
    let before = peak(&server);
    let gibibyte = 1 << 30;
    // One that says so is refused by its head alone.
    for (path, content_type) in [
        ("/v1/tokens", "application/json"),
        ("/v1/packages", "application/zip"),
        ("/streams", "application/json"),
    ] {
        let mut stream = connect(&server);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n\
             Content-Length: {gibibyte}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("a head is taken");
        let said = read_answer(&mut stream);
        assert!(said.starts_with("HTTP/1.1 413"), "{path}: {said}");
    }
    // One that does not say is cut off at the limit.
    let form = "multipart/form-data; boundary=x";
    let file = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\n";
    let note = b"--x\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n";
    let change = b"--x\r\nContent-Disposition: form-data; name=\"change\"\r\n\r\n";
    for (path, content_type, begin) in [
        ("/v1/tokens", "application/json", &b""[..]),
        ("/v1/packages", "application/zip", b""),
        ("/v1/packages", form, file),
        ("/v1/packages", form, note),
        ("/v1/packages/inspect", "application/zip", b""),
        ("/v1/packages/plan", "application/zip", b""),
        ("/v1/packages/plan", form, change),
        ("/streams", "application/json", b""),
    ] {
        let (sent, said) = pour(&server, path, content_type, begin, gibibyte);
        assert!(sent < gibibyte / 8, "{path} took {sent} bytes");
        // Who goes on sending may lose the answer together with the connection, but never gets another.
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 413"),
            "{path} {content_type}: {said}"
        );
    }
    let grown = peak(&server).saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} KiB");
    let staged = std::fs::read_dir(server.home.join("staging")).map_or(0, Iterator::count);
    assert_eq!(staged, 0, "something of a refused package was kept");
    server.cli_ok(&["list"]);
}

#[test]
fn a_thousand_half_open_connections_keep_nobody_out() {
    let server = Server::start();
    let before = peak(&server);
    let half: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = connect(&server);
            stream
                .write_all(b"GET /v1/session HTTP/1.1\r\nHost: local")
                .expect("half a head is taken");
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(answer(server.get("/v1/session")).status, 200);
    }
    server.cli_ok(&["list"]);
    let grown = peak(&server).saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} KiB");
    drop(half);
    assert_eq!(answer(server.get("/v1/session")).status, 200);
}

/// Emits as fast as it can, a kibibyte each.
const FLOOD: &str = r#"
from ekuiper import plugin, PluginConfig, Source

class Flood(Source):
    def configure(self, datasource, conf):
        pass
    def open(self, ctx):
        n = 0
        while True:
            n += 1
            ctx.emit({"n": n, "filling": "x" * 1024}, None)
    def close(self, ctx):
        pass

if __name__ == '__main__':
    plugin.start(PluginConfig("flood", {"flood": lambda: Flood()}, {}, {}))
"#;

#[test]
fn watchers_who_do_not_read_neither_stop_a_rule_nor_fill_the_memory() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plugin = plugins::python(directory.path(), "flood", FLOOD, &["flood"], &[], &[]);
    let server = Server::start();
    server.cli_ok(&["install", &plugin.display().to_string()]);
    let stream = r#"CREATE STREAM f () WITH (TYPE="flood", FORMAT="json")"#;
    server.cli_ok(&["stream", "create", stream]);
    let rule =
        json!({ "id": "r", "sql": "SELECT * FROM f", "actions": [{ "memory": { "topic": "t" } }] });
    let created = answer(server.post("/rules").json(&rule));
    assert_eq!(created.status, 201, "{created:?}");
    let rows = || -> u64 {
        let status = answer(server.get("/rules/r/status"));
        let status: Json = serde_json::from_str(&status.body).expect("JSON");
        status["source_f_0_records_out_total"].as_u64().unwrap_or(0)
    };
    wait_for("rows", || (rows() > 100).then_some(()));
    let lazy: Vec<TcpStream> = ["/v1/rules/r/tail", "/v1/events"]
        .into_iter()
        .cycle()
        .take(40)
        .map(|path| {
            let mut stream = connect(&server);
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).expect("a head is taken");
            // The stream began; from here on nothing of it is read.
            let mut first = [0; 12];
            stream.read_exact(&mut first).expect("an answer");
            assert_eq!(&first, b"HTTP/1.1 200", "{path}");
            stream
        })
        .collect();
    let before = peak(&server);
    let begun = rows();
    // More than forty sockets' buffers could hide.
    wait_for("20000 more rows", || {
        (rows() > begun + 20_000).then_some(())
    });
    let grown = peak(&server).saturating_sub(before);
    assert!(grown < GROWTH, "grown by {grown} KiB");
    server.cli_ok(&["disable", "flood"]);
    drop(lazy);
}

#[test]
fn of_two_changes_at_once_one_wins_and_the_other_is_told_so() {
    let Some(_) = python() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Never done by itself, so that the two surely meet.
    let program = "import time\nwhile True: time.sleep(1)\n";
    let plugin = plugins::only_function(directory.path(), "mute", program);
    let zip = plugins::zip(&plugin, &directory.path().join("mute.zip"));
    let server = Server::start();
    let bytes = std::fs::read(zip).expect("a zip");
    let upload = server
        .post("/v1/packages")
        .header("content-type", "application/zip")
        .body(bytes);
    let taken: Json = serde_json::from_str(&answer(upload).body).expect("JSON");
    let body = json!({ "package": taken["sha256"] });
    let gate = Barrier::new(2);
    let answers = std::thread::scope(|scope| {
        let change = || {
            gate.wait();
            answer(server.post("/v1/installations").json(&body))
        };
        let both = [scope.spawn(change), scope.spawn(change)];
        both.map(|it| it.join().expect("an answer"))
    });
    let mut statuses = answers.each_ref().map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409], "{answers:?}");
    let of = |status: u16| -> Json {
        let answer = answers.iter().find(|answer| answer.status == status);
        serde_json::from_str(&answer.expect("one of them").body).expect("JSON")
    };
    let (won, lost) = (of(202), of(409));
    assert_eq!(lost["code"], "operation_in_progress", "{lost}");
    let id = won["operation"].as_str().expect("an id");
    assert!(lost.to_string().contains(id), "{lost}");
    let cancel = server.post(&format!("/v1/operations/{id}/cancel"));
    assert_eq!(answer(cancel.timeout(Duration::from_secs(30))).status, 202);
    let ended = server.cli(&["operation", "watch", id]);
    assert_ne!(ended.code, 0, "{ended:?}");
    assert_eq!(server.cli_ok(&["list", "-o", "name"]).stdout, "");
}
