//! Answers that are looked for before the task sleeps: the same messages, however they come.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that goes wrong"
)]

use plugyard_sp::{Listener, Protocol, RepConnection, ReqConnection, connect};

/// Both ends of a connection over a real socket.
async fn pair() -> (ReqConnection, RepConnection, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.ipc");
    let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
    let (far, near) = tokio::join!(connect(&path, Protocol::Req), listener.accept());
    let (req, rep) = (far.unwrap().into_req(), near.unwrap().into_rep());
    (req.unwrap(), rep.unwrap(), directory)
}

/// What the peer asks for the `n`th time: short and long ones, far longer than one look takes in.
fn question(n: usize) -> Vec<u8> {
    let length = [0, 1, 100, 5_000, 100_000][n % 5];
    vec![u8::try_from(n % 251).unwrap(); length]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_of_receiving_give_every_message_once_and_in_order() {
    const MANY: usize = 500;
    let (mut req, mut rep, _directory) = pair().await;
    let asking = tokio::spawn(async move {
        for n in 0..MANY {
            req.send(question(n)).await.unwrap();
            let reply = req.recv().await.unwrap().unwrap();
            assert_eq!(reply, n.to_string());
        }
    });
    for n in 0..MANY {
        let request = match n % 3 {
            0 => rep.recv().await,
            _ => rep.recv_soon().await,
        };
        let request = request.unwrap().unwrap();
        assert_eq!(request.body, question(n));
        let reply = n.to_string();
        rep.reply(&request.backtrace, reply.as_bytes())
            .await
            .unwrap();
    }
    asking.await.unwrap();
    // The peer has gone: an end, and not a message.
    assert!(rep.recv_soon().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_its_time_is_waited_for() {
    let (mut req, mut rep, _directory) = pair().await;
    let receiving = tokio::spawn(async move {
        let request = rep.recv_soon().await.unwrap().unwrap();
        request.body
    });
    // Long after nobody looks any more.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    req.send(&b"late"[..]).await.unwrap();
    assert_eq!(receiving.await.unwrap(), "late");
}
