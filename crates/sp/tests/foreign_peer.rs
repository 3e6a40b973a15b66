//! nng itself, through its Python binding `pynng`, as the other side.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that goes wrong"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use plugyard_sp::{
    ConnectError, HandshakeError, Listener, Protocol, PushConnection, SendError, connect,
};
use tempfile::TempDir;

const PYTHON: &str = "PLUGYARD_TEST_PYTHON";

/// A running `peers/pynng_peer.py`; ends when dropped.
struct Peer {
    process: Child,
    lines: Option<BufReader<ChildStdout>>,
}

impl Peer {
    #[expect(clippy::disallowed_methods, reason = "a test peer, not a plugin")]
    fn start(python: &str, mode: &str, path: &Path, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/pynng_peer.py");
        let mut process = std::process::Command::new(python)
            .arg(script)
            .args([mode, path.to_str().unwrap()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = process.stdout.take().map(BufReader::new);
        Self { process, lines }
    }

    /// The next line it printed.
    async fn line(&mut self) -> String {
        let mut lines = self.lines.take().unwrap();
        let (lines, line) = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            (lines, line)
        })
        .await
        .unwrap();
        self.lines = Some(lines);
        line.trim_end().to_owned()
    }

    fn id(&self) -> u32 {
        self.process.id()
    }

    /// Lets it close its sockets and end.
    fn let_go(&mut self) {
        drop(self.process.stdin.take());
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The interpreter that has `pynng`, and a path to meet on; `None` says that the test is skipped.
#[expect(clippy::print_stdout, reason = "says why a test is skipped")]
fn meeting() -> Option<(String, TempDir, PathBuf)> {
    let Ok(python) = std::env::var(PYTHON) else {
        println!("skipped: {PYTHON} does not name a Python with pynng");
        return None;
    };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.ipc");
    Some((python, directory, path))
}

/// A bound on tests that would otherwise hang when they fail.
async fn within_a_minute<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), test)
        .await
        .expect("the peer never came along")
}

/// Dials a peer that announced itself with the line `listening`.
async fn dial(peer: &mut Peer, path: &Path) -> PushConnection {
    assert_eq!(peer.line().await, r#"["listening"]"#);
    connect(path, Protocol::Push)
        .await
        .unwrap()
        .into_push()
        .unwrap()
}

#[tokio::test]
async fn fact_26_after_a_timeout_a_request_must_be_sent_again_and_is_then_answered() {
    let Some((python, _directory, path)) = meeting() else {
        return;
    };
    within_a_minute(async {
        let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
        let mut peer = Peer::start(&python, "req_timeout", &path, &[]);
        let connection = listener.accept().await.unwrap();
        assert_eq!(connection.peer().unwrap().pid, Some(peer.id()));
        let mut rep = connection.into_rep().unwrap();
        let first = rep.recv().await.unwrap().unwrap();
        assert_eq!(first.body, "first");
        assert_eq!(peer.line().await, r#"["unanswered", "Timeout"]"#);
        assert_eq!(peer.line().await, r#"["no request", "BadState"]"#);
        let second = rep.recv().await.unwrap().unwrap();
        assert_eq!(second.body, "second");
        assert_eq!(second.id() & 0x7FFF_FFFF, (first.id() + 1) & 0x7FFF_FFFF);
        // What nobody waits for any more is ignored there.
        rep.reply(&first.backtrace, b"too late").await.unwrap();
        rep.reply(&second.backtrace, b"in time").await.unwrap();
        assert_eq!(peer.line().await, r#"["answered", "in time"]"#);
        assert!(rep.recv().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_request_sent_again_by_nng_has_the_same_id() {
    let Some((python, _directory, path)) = meeting() else {
        return;
    };
    within_a_minute(async {
        let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
        let mut peer = Peer::start(&python, "req_resend", &path, &[]);
        let mut rep = listener.accept().await.unwrap().into_rep().unwrap();
        let first = rep.recv().await.unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(rep.recv().await.unwrap().unwrap(), first);
        }
        rep.reply(&first.backtrace, b"at last").await.unwrap();
        assert_eq!(peer.line().await, r#"["answered", "at last"]"#);
    })
    .await;
}

#[tokio::test]
async fn nng_takes_three_commands_as_replies() {
    let Some((python, _directory, path)) = meeting() else {
        return;
    };
    within_a_minute(async {
        let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
        let mut peer = Peer::start(&python, "req_loop", &path, &[]);
        let mut rep = listener.accept().await.unwrap().into_rep().unwrap();
        let mut token = rep.recv().await.unwrap().unwrap();
        assert_eq!(token.body, "handshake");
        let large = "x".repeat(3_000_000);
        for command in ["start", "stop", &large] {
            rep.reply(&token.backtrace, command.as_bytes())
                .await
                .unwrap();
            assert_eq!(peer.line().await, format!(r#"["command", "{command}"]"#));
            token = rep.recv().await.unwrap().unwrap();
            assert_eq!(token.body, "ok");
        }
        peer.let_go();
        assert!(rep.recv().await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn nng_pushes_to_us() {
    let Some((python, _directory, path)) = meeting() else {
        return;
    };
    within_a_minute(async {
        let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
        let mut peer = Peer::start(&python, "push", &path, &[]);
        let mut pull = listener.accept().await.unwrap().into_pull().unwrap();
        for message in ["one", "two", "three", "", &"x".repeat(1_000_000)] {
            assert!(pull.recv().await.unwrap().unwrap() == message);
        }
        peer.let_go();
        assert_eq!(pull.recv().await.unwrap(), None);

        let mut peer = Peer::start(&python, "push_many", &path, &[]);
        let mut pull = listener.accept().await.unwrap().into_pull().unwrap();
        let mut messages = Vec::new();
        while messages.len() < 20_000 {
            assert!(pull.recv_many(&mut messages, 1000).await.unwrap() > 0);
        }
        assert!(
            (0..20_000)
                .zip(&messages)
                .all(|(number, message)| message == &number.to_string())
        );
        peer.let_go();
        assert_eq!(pull.recv().await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn we_push_to_nng_and_drain_loses_nothing() {
    let Some((python, _directory, path)) = meeting() else {
        return;
    };
    within_a_minute(async {
        let mut peer = Peer::start(&python, "pull", &path, &["0.0005"]);
        let mut push = dial(&mut peer, &path).await;
        let messages: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        push.send_many(&messages[..500]).await.unwrap();
        for message in &messages[500..] {
            push.send(message.as_bytes()).await.unwrap();
        }
        assert_eq!(push.sent(), 1000);
        push.drain().await.unwrap();
        let mut last = connect(&path, Protocol::Push)
            .await
            .unwrap()
            .into_push()
            .unwrap();
        last.send(b"end").await.unwrap();
        assert_eq!(peer.line().await, r#"["received", 1000]"#);
        last.closed().await;
    })
    .await;
}

#[tokio::test]
async fn push_notices_that_nng_died() {
    let Some((python, _directory, path)) = meeting() else {
        return;
    };
    within_a_minute(async {
        let mut peer = Peer::start(&python, "pull", &path, &[]);
        let mut push = dial(&mut peer, &path).await;
        push.send(b"alive").await.unwrap();
        drop(peer);
        push.closed().await;
        assert!(matches!(push.send(b"dead").await, Err(SendError::Closed)));
    })
    .await;
}

#[tokio::test]
async fn a_wrong_protocol_is_turned_away_on_both_sides() {
    let Some((python, _directory, path)) = meeting() else {
        return;
    };
    within_a_minute(async {
        let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
        for kind in ["Push0", "Pair0", "Rep0"] {
            let before = listener.rejected();
            let _peer = Peer::start(&python, "wrong", &path, &[kind]);
            while listener.rejected() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let (far, near) = tokio::join!(connect(&path, Protocol::Req), listener.accept());
        assert!(far.is_ok() && near.unwrap().peer().unwrap().pid == Some(std::process::id()));
        drop(listener);

        let mut peer = Peer::start(&python, "listen_wrong", &path, &[]);
        assert_eq!(peer.line().await, r#"["listening"]"#);
        assert!(matches!(
            connect(&path, Protocol::Push).await,
            Err(ConnectError::Handshake {
                source: HandshakeError::WrongPeer {
                    expected: Protocol::Pull,
                    found: 0x31
                },
                ..
            })
        ));
    })
    .await;
}
