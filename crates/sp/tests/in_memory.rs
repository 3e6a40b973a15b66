//! The roles over streams in memory, with well-behaved and with lying peers.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that goes wrong"
)]

use std::time::Duration;

use bytes::Bytes;
use plugyard_sp::frame::{self, FrameError};
use plugyard_sp::{
    Connection, HandshakeError, Options, Protocol, RecvError, RoleError, SendError, pair,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const CAPACITY: usize = 1 << 20;

/// Our side in role `ours`, and the bare stream of a peer that has sent a proper header.
async fn with_raw_peer(ours: Protocol, options: Options) -> (Connection, DuplexStream) {
    let (near, mut far) = tokio::io::duplex(CAPACITY);
    far.write_all(&ours.peer().header()).await.unwrap();
    let connection = Connection::establish(near, ours, options).await.unwrap();
    let mut header = [0; 8];
    far.read_exact(&mut header).await.unwrap();
    assert_eq!(header, ours.header());
    (connection, far)
}

fn encoded(payloads: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    for payload in payloads {
        frame::encode(payload, &mut wire);
    }
    wire
}

/// Polls `future` until it waits for its peer, then drops it.
async fn begin_and_cancel(future: impl Future) {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        assert!(
            future.as_mut().poll(cx).is_pending(),
            "nothing was left to cancel"
        );
        std::task::Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_request_finds_its_reply() {
    let (req, rep) = pair(Protocol::Req, CAPACITY, Options::default());
    let (mut req, mut rep) = (req.into_req().unwrap(), rep.into_rep().unwrap());
    let first = req.send("one").await.unwrap();
    let request = rep.recv().await.unwrap().unwrap();
    assert_eq!((request.id(), &request.body[..]), (first, &b"one"[..]));
    assert!(first >= 0x8000_0000);
    rep.reply(&request.backtrace, b"1").await.unwrap();
    assert_eq!(req.recv().await.unwrap().unwrap(), "1");

    let second = req.send("two").await.unwrap();
    assert_eq!(second & 0x7FFF_FFFF, (first + 1) & 0x7FFF_FFFF);
    assert!(matches!(rep.try_recv(), Ok(None)), "nothing was read yet");
    assert_eq!(rep.recv().await.unwrap().unwrap().id(), second);
}

#[tokio::test]
async fn replies_go_out_in_any_order_and_twice() {
    let (connection, mut far) = with_raw_peer(Protocol::Rep, Options::default()).await;
    let (mut reader, mut writer) = connection.into_rep().unwrap().split();
    far.write_all(&encoded(&[b"\x80\0\0\x01a", b"\0\0\0\x07\x80\0\0\x02b"]))
        .await
        .unwrap();
    let first = reader.recv().await.unwrap().unwrap();
    let second = reader.try_recv().unwrap().unwrap();
    assert_eq!((&first.body[..], &second.body[..]), (&b"a"[..], &b"b"[..]));
    for (request, body) in [(&second, "B"), (&first, "A"), (&first, "A")] {
        writer
            .reply(&request.backtrace, body.as_bytes())
            .await
            .unwrap();
    }
    assert_eq!(writer.sent(), 3);
    let expected = encoded(&[
        b"\0\0\0\x07\x80\0\0\x02B",
        b"\x80\0\0\x01A",
        b"\x80\0\0\x01A",
    ]);
    let mut wire = vec![0; expected.len()];
    far.read_exact(&mut wire).await.unwrap();
    assert_eq!(wire, expected);
}

#[tokio::test]
async fn requests_without_an_id_are_discarded_and_the_rest_goes_on() {
    let (connection, mut far) = with_raw_peer(Protocol::Rep, Options::default()).await;
    let (mut reader, _writer) = connection.into_rep().unwrap().split();
    let endless = [0_u8; 64];
    far.write_all(&encoded(&[
        b"",
        b"abc",
        b"\0\0\0\x01",
        &endless,
        b"\x80\0\0\x09ok",
    ]))
    .await
    .unwrap();
    let request = reader.recv().await.unwrap().unwrap();
    assert_eq!((request.id(), &request.body[..]), (0x8000_0009, &b"ok"[..]));
    assert_eq!(reader.discarded(), 4);
}

#[tokio::test]
async fn a_reply_with_another_id_is_ignored() {
    let (connection, mut far) = with_raw_peer(Protocol::Req, Options::default()).await;
    let mut req = connection.into_req().unwrap();
    let id = req.send("q").await.unwrap();
    let right = [&id.to_be_bytes()[..], b"right"].concat();
    let wrong = [&(id ^ 1).to_be_bytes()[..], b"wrong"].concat();
    far.write_all(&encoded(&[&wrong, b"xy", &right]))
        .await
        .unwrap();
    assert_eq!(req.recv().await.unwrap().unwrap(), "right");
    assert!(matches!(req.recv().await, Err(RecvError::NoRequest)));
    assert!(matches!(req.resend().await, Err(SendError::NoRequest)));
}

#[tokio::test]
async fn a_request_is_sent_again_with_its_id_also_on_a_new_connection() {
    let (req, rep) = pair(Protocol::Req, CAPACITY, Options::default());
    let (mut req, mut rep) = (req.into_req().unwrap(), rep.into_rep().unwrap());
    let id = req.send("q").await.unwrap();
    req.resend().await.unwrap();
    for _ in 0..2 {
        assert_eq!(rep.recv().await.unwrap().unwrap().id(), id);
    }
    drop(rep);
    assert_eq!(req.recv().await.unwrap(), None);

    let (again, rep) = pair(Protocol::Req, CAPACITY, Options::default());
    req.reconnect(again).unwrap();
    req.resend().await.unwrap();
    let mut rep = rep.into_rep().unwrap();
    let request = rep.recv().await.unwrap().unwrap();
    assert_eq!((request.id(), &request.body[..]), (id, &b"q"[..]));
    rep.reply(&request.backtrace, b"a").await.unwrap();
    assert_eq!(req.recv().await.unwrap().unwrap(), "a");
    req.send("given up").await.unwrap();
    req.forget();
    assert!(matches!(req.recv().await, Err(RecvError::NoRequest)));
}

#[tokio::test]
async fn what_was_sent_before_the_end_arrives_and_then_the_end() {
    let (push, pull) = pair(Protocol::Push, CAPACITY, Options::default());
    let (mut push, mut pull) = (push.into_push().unwrap(), pull.into_pull().unwrap());
    push.send(b"a").await.unwrap();
    push.send(b"").await.unwrap();
    push.send_many(&[b"b", b"c"]).await.unwrap();
    assert_eq!(push.sent(), 4);
    drop(push);
    let mut all = Vec::new();
    assert_eq!(pull.recv_many(&mut all, 3).await.unwrap(), 3);
    assert_eq!(pull.try_recv().unwrap().unwrap(), "c");
    assert_eq!(all, ["a", "", "b"]);
    assert_eq!(pull.recv_many(&mut all, 3).await.unwrap(), 0);
    assert_eq!(pull.recv().await.unwrap(), None);
    assert_eq!(pull.recv().await.unwrap(), None);
}

#[tokio::test]
async fn an_incomplete_frame_at_the_end_is_an_error_after_the_complete_ones() {
    let (connection, mut far) = with_raw_peer(Protocol::Pull, Options::default()).await;
    let mut pull = connection.into_pull().unwrap();
    far.write_all(&encoded(&[b"whole", b"half"])[..25])
        .await
        .unwrap();
    drop(far);
    assert_eq!(pull.recv().await.unwrap().unwrap(), "whole");
    for _ in 0..2 {
        assert!(matches!(
            pull.recv().await,
            Err(RecvError::Frame(FrameError::Truncated { received: 11 }))
        ));
    }
}

#[tokio::test]
async fn an_error_in_a_batch_waits_until_the_messages_before_it_are_out() {
    let (connection, mut far) = with_raw_peer(Protocol::Pull, Options::default()).await;
    let mut pull = connection.into_pull().unwrap();
    let mut wire = encoded(&[b"a", b"b"]);
    wire.push(7);
    far.write_all(&wire).await.unwrap();
    let mut all = Vec::new();
    assert_eq!(pull.recv_many(&mut all, 100).await.unwrap(), 2);
    assert!(matches!(
        pull.recv_many(&mut all, 100).await,
        Err(RecvError::Frame(FrameError::Marker { found: 7 }))
    ));
    assert_eq!(all, ["a", "b"]);
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_at_the_header() {
    let options = Options {
        max_receive: 1000,
        ..Options::default()
    };
    let (connection, mut far) = with_raw_peer(Protocol::Pull, options).await;
    let mut pull = connection.into_pull().unwrap();
    far.write_all(&encoded(&[&[5; 1000]])).await.unwrap();
    far.write_all(&frame::header(1001)).await.unwrap();
    assert_eq!(pull.recv().await.unwrap().unwrap().len(), 1000);
    assert!(matches!(
        pull.recv().await,
        Err(RecvError::Frame(FrameError::TooLong {
            length: 1001,
            limit: 1000
        }))
    ));
}

#[tokio::test]
async fn messages_of_all_sizes_pass_through_a_narrow_pipe() {
    let (push, pull) = pair(Protocol::Push, 777, Options::default());
    let (mut push, mut pull) = (push.into_push().unwrap(), pull.into_pull().unwrap());
    let lengths = [
        0, 1, 100, 16_384, 16_385, 65_536, 65_537, 300_000, 3, 1_000_000, 0, 5,
    ];
    let messages: Vec<Bytes> = lengths
        .iter()
        .zip(1_u8..)
        .map(|(length, byte)| Bytes::from(vec![byte; *length]))
        .collect();
    let sent = messages.clone();
    let sending = tokio::spawn(async move {
        push.send_many(&sent).await.unwrap();
        for message in &sent {
            push.send(message).await.unwrap();
        }
        push.sent()
    });
    for message in messages.iter().chain(&messages) {
        assert!(
            pull.recv().await.unwrap().unwrap() == *message,
            "{} bytes",
            message.len()
        );
    }
    assert_eq!(pull.recv().await.unwrap(), None);
    assert_eq!(sending.await.unwrap(), 24);
}

#[tokio::test]
async fn a_send_cancelled_amid_a_frame_poisons_and_counts_the_whole_frames() {
    let (push, mut far) = tokio::io::duplex(64);
    far.write_all(&Protocol::Pull.header()).await.unwrap();
    let push = Connection::establish(push, Protocol::Push, Options::default())
        .await
        .unwrap();
    let mut push = push.into_push().unwrap();
    // The header and two frames fit into the pipe, the third frame only in part.
    begin_and_cancel(push.send_many(&[[1_u8; 10]; 3])).await;
    assert_eq!(push.sent(), 2);
    let mut wire = [0; 8 + 19 + 19];
    far.read_exact(&mut wire).await.unwrap();
    assert!(matches!(push.send(b"more").await, Err(SendError::Poisoned)));
    assert!(matches!(push.drain().await, Err(SendError::Poisoned)));
}

#[tokio::test]
async fn a_send_cancelled_before_its_first_byte_does_no_harm() {
    let (push, pull) = pair(Protocol::Push, 19, Options::default());
    let (mut push, mut pull) = (push.into_push().unwrap(), pull.into_pull().unwrap());
    push.send(&[1; 10]).await.unwrap();
    begin_and_cancel(push.send(&[2; 10])).await;
    assert_eq!(pull.recv().await.unwrap().unwrap(), [1; 10][..]);
    push.send(&[3; 10]).await.unwrap();
    assert_eq!(pull.recv().await.unwrap().unwrap(), [3; 10][..]);
    assert_eq!(push.sent(), 2);
}

#[tokio::test]
async fn a_message_over_the_send_limit_is_refused_and_the_connection_stays_good() {
    let (rep, req) = pair(Protocol::Rep, CAPACITY, Options::default());
    let mut rep = rep.with_limits(1000, 14).into_rep().unwrap();
    let mut req = req.into_req().unwrap();
    req.send("q").await.unwrap();
    let request = rep.recv().await.unwrap().unwrap();
    assert!(matches!(
        rep.reply(&request.backtrace, &[0; 11]).await,
        Err(SendError::TooLong {
            length: 15,
            limit: 14
        })
    ));
    rep.reply(&request.backtrace, &[0; 10]).await.unwrap();
    assert_eq!(req.recv().await.unwrap().unwrap().len(), 10);
}

#[tokio::test]
async fn push_notices_the_end_while_idle_and_forgets_what_it_is_told() {
    let (connection, mut far) = with_raw_peer(Protocol::Push, Options::default()).await;
    let mut push = connection.into_push().unwrap();
    far.write_all(&[9; 5000]).await.unwrap();
    begin_and_cancel(push.closed()).await;
    push.send(b"still here").await.unwrap();
    drop(far);
    push.closed().await;
    push.closed().await;
    assert!(matches!(push.send(b"x").await, Err(SendError::Closed)));
}

#[tokio::test]
async fn drain_ends_when_the_peer_has_taken_everything() {
    let (push, pull) = pair(Protocol::Push, CAPACITY, Options::default());
    let (mut push, mut pull) = (push.into_push().unwrap(), pull.into_pull().unwrap());
    push.send_many(&[b"a", b"b"]).await.unwrap();
    let draining = tokio::spawn(push.drain());
    let mut all = Vec::new();
    while pull.recv_many(&mut all, 10).await.unwrap() > 0 {}
    assert_eq!(all, ["a", "b"]);
    assert!(
        !draining.is_finished(),
        "it did not wait for the peer to close"
    );
    drop(pull);
    draining.await.unwrap().unwrap();
}

#[tokio::test]
async fn each_bad_header_is_told_apart() {
    async fn establish(bytes: &[u8], close: bool) -> HandshakeError {
        let (near, mut far) = tokio::io::duplex(100);
        far.write_all(bytes).await.unwrap();
        let far = (!close).then_some(far);
        let options = Options {
            handshake_timeout: Duration::from_millis(20),
            ..Options::default()
        };
        let outcome = Connection::establish(near, Protocol::Rep, options).await;
        drop(far);
        outcome.unwrap_err()
    }
    assert!(
        matches!(establish(b"GET / HTTP/1.1\r\n", false).await, HandshakeError::NotSp { header }
        if &header == b"GET / HT")
    );
    assert!(matches!(
        establish(&Protocol::Push.header(), false).await,
        HandshakeError::WrongPeer {
            expected: Protocol::Req,
            found: 0x50
        }
    ));
    assert!(matches!(establish(b"", true).await, HandshakeError::Closed));
    assert!(matches!(
        establish(b"\0SP", true).await,
        HandshakeError::Closed
    ));
    assert!(matches!(
        establish(b"\0SP", false).await,
        HandshakeError::TimedOut { .. }
    ));
}

#[tokio::test]
async fn a_connection_plays_only_the_role_it_was_opened_with() {
    let (push, pull) = pair(Protocol::Push, 100, Options::default());
    assert_eq!(
        push.into_rep().unwrap_err(),
        RoleError {
            opened: Protocol::Push,
            wanted: Protocol::Rep
        }
    );
    assert!(pull.into_req().is_err());
}
