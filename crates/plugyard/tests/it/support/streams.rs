//! Listens to whatever a server tells without being asked again, so that secrets are looked for there too.
//!
//! Beside each server of the tests somebody follows `/v1/events` from the first event on. When the server is
//! about to end, the events of its operations, the logs of its plugins as a list and as a stream, and its
//! audit log are read. All that is searched like the answers that tests read themselves.
//!
//! It goes through the local socket, where nobody needs a token.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::leaks;

/// How long to wait for an answer that ends, and for the first part of one that does not.
const PATIENCE: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(100);
/// More of an event stream than any test causes.
const MOST: usize = 16 << 20;

/// Somebody who follows the events of a server.
pub(crate) struct Listener {
    socket: PathBuf,
    heard: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub(crate) fn new(home: &Path) -> Self {
        let socket = home.join("run/api.sock");
        let heard = Arc::new(Mutex::default());
        let (from, into) = (socket.clone(), Arc::clone(&heard));
        let thread = thread::spawn(move || follow(&from, &into));
        Self {
            socket,
            heard,
            thread: Some(thread),
        }
    }

    /// Reads what the server still has to say, while it runs.
    pub(crate) fn ask(&self) {
        let mut said = Vec::new();
        let operations = get(&self.socket, "/v1/operations?limit=500");
        for operation in items(&operations) {
            let id = operation["id"].as_str().unwrap_or_default();
            let path = format!("/v1/operations/{id}/events");
            // An operation that is stuck tells no end.
            said.extend(read(&self.socket, &path, true, GLANCE));
        }
        let plugins = get(&self.socket, "/v1/installations?limit=500");
        for plugin in items(&plugins) {
            let plugin = plugin["plugin"].as_str().unwrap_or_default();
            let path = format!("/v1/installations/{plugin}/logs?tail=1000");
            said.extend(read(&self.socket, &path, false, PATIENCE));
            said.extend(read(
                &self.socket,
                &format!("{path}&follow=true"),
                true,
                GLANCE,
            ));
        }
        said.extend(operations);
        said.extend(plugins);
        said.extend(get(&self.socket, "/v1/audit?limit=500"));
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(said);
    }

    /// What was heard, after the server has ended.
    pub(crate) fn leaks(mut self) -> Vec<String> {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        leaks::search_told(&String::from_utf8_lossy(&heard))
    }
}

/// Reads events until the server ends.
fn follow(socket: &Path, into: &Mutex<Vec<u8>>) {
    let Some(mut stream) = send(socket, "/v1/events", true) else {
        return;
    };
    let mut piece = [0; 8192];
    loop {
        match stream.read(&mut piece) {
            Ok(read @ 1..) => {
                let mut heard = into.lock().unwrap_or_else(PoisonError::into_inner);
                if heard.len() < MOST {
                    heard.extend_from_slice(&piece[..read]);
                }
            }
            _ => return,
        }
    }
}

fn send(socket: &Path, path: &str, events: bool) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let accept = if events {
        "text/event-stream"
    } else {
        "application/json"
    };
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(head.as_bytes()).ok()?;
    Some(stream)
}

/// An answer up to its end, or as much of it as came until nothing more did.
fn read(socket: &Path, path: &str, events: bool, quiet: Duration) -> Vec<u8> {
    let mut answer = Vec::new();
    let Some(mut stream) = send(socket, path, events) else {
        return answer;
    };
    let _ = stream.set_read_timeout(Some(if events { quiet } else { PATIENCE }));
    let begun = Instant::now();
    let mut piece = [0; 8192];
    while answer.len() < MOST && begun.elapsed() < PATIENCE {
        match stream.read(&mut piece) {
            Ok(read @ 1..) => answer.extend_from_slice(&piece[..read]),
            _ => break,
        }
    }
    answer
}

fn get(socket: &Path, path: &str) -> Vec<u8> {
    read(socket, path, false, PATIENCE)
}

/// The items of a list in an answer as it came over the wire.
fn items(answer: &[u8]) -> Vec<Json> {
    let text = String::from_utf8_lossy(answer);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    // Also where the answer came in one chunk, with its length around it.
    let from = body.find('{').unwrap_or(body.len());
    let mut documents = serde_json::Deserializer::from_str(&body[from..]).into_iter::<Json>();
    match documents.next() {
        Some(Ok(mut document)) => match document["items"].take() {
            Json::Array(items) => items,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[test]
fn a_secret_in_the_events_of_a_server_is_found() {
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(home.path().join("run")).expect("a directory");
    let socket = home.path().join("run/api.sock");
    let server = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let listener = Listener::new(home.path());
    let (mut stream, _) = server.accept().expect("the listener");
    let mut asked = [0; 1024];
    let read = stream.read(&mut asked).expect("a request");
    let asked: BTreeSet<_> = std::str::from_utf8(&asked[..read])
        .expect("ASCII")
        .lines()
        .collect();
    assert!(asked.contains("GET /v1/events HTTP/1.1"), "{asked:?}");
    let secret = leaks::secret("told by the test of event streams");
    let event = format!("event: event\ndata: {{\"why\":\"{secret}\"}}\n\n");
    stream.write_all(event.as_bytes()).expect("an event");
    drop(stream);
    assert_eq!(listener.leaks(), ["the events"]);
}
