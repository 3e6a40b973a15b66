//! What programs written for eKuiper's control and data channels rely on, as far as it is a matter
//! of the protocols alone. The numbers are those of the conformance list in the documentation.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that goes wrong"
)]

use std::path::PathBuf;

use bytes::Bytes;
use plugyard_sp::{ConnectError, Listener, Protocol, RepConnection, connect};
use tempfile::TempDir;

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plugin_mirror.ipc");
    (directory, path)
}

/// A plugin that shakes hands and then answers `ok` to as many commands as come.
fn plugin(path: PathBuf) -> tokio::task::JoinHandle<Vec<Bytes>> {
    tokio::spawn(async move {
        let mut req = connect(&path, Protocol::Req)
            .await
            .unwrap()
            .into_req()
            .unwrap();
        let mut commands = Vec::new();
        req.send("handshake").await.unwrap();
        while let Some(command) = req.recv().await.unwrap() {
            commands.push(command);
            req.send("ok").await.unwrap();
        }
        commands
    })
}

/// Gives a command as the reply to the last request and returns the plugin's answer.
async fn command(rep: &mut RepConnection, token: &mut plugyard_sp::Request, text: &str) -> Bytes {
    rep.reply(&token.backtrace, text.as_bytes()).await.unwrap();
    *token = rep.recv().await.unwrap().unwrap();
    token.body.clone()
}

#[tokio::test]
async fn fact_19_three_commands_in_a_row_each_get_ok_after_the_handshake() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
    let plugin = plugin(path);
    let mut rep = listener.accept().await.unwrap().into_rep().unwrap();
    let mut token = rep.recv().await.unwrap().unwrap();
    assert_eq!(token.body, "handshake");
    for text in ["first", "second", "third"] {
        assert_eq!(command(&mut rep, &mut token, text).await, "ok");
    }
    drop(rep);
    assert_eq!(plugin.await.unwrap(), ["first", "second", "third"]);
}

#[tokio::test]
async fn fact_20_the_path_is_free_at_once_even_with_an_old_client_open() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
    let accepted_client = connect(&path, Protocol::Req).await.unwrap();
    let accepted = listener.accept().await.unwrap();
    let waiting_client = connect(&path, Protocol::Req).await.unwrap();
    drop(listener);
    let mut again = Listener::bind(&path, Protocol::Rep).unwrap();
    let mut req = connect(&path, Protocol::Req)
        .await
        .unwrap()
        .into_req()
        .unwrap();
    req.send("handshake").await.unwrap();
    let mut rep = again.accept().await.unwrap().into_rep().unwrap();
    assert_eq!(rep.recv().await.unwrap().unwrap().body, "handshake");
    drop((accepted_client, accepted, waiting_client));
}

#[tokio::test]
async fn fact_21_dialling_without_a_listener_fails() {
    let (_directory, path) = directory();
    assert!(matches!(
        connect(&path, Protocol::Req).await,
        Err(ConnectError::NobodyListens { .. })
    ));
    drop(Listener::bind(&path, Protocol::Rep).unwrap());
    assert!(matches!(
        connect(&path, Protocol::Req).await,
        Err(ConnectError::NobodyListens { .. })
    ));
    // A file left behind by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(
        connect(&path, Protocol::Req).await,
        Err(ConnectError::NobodyListens { .. })
    ));
}

#[tokio::test]
async fn fact_22_a_pending_handshake_is_the_token_of_the_first_command() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
    let plugin = plugin(path);
    let mut rep = listener.accept().await.unwrap().into_rep().unwrap();
    // No step of its own for the handshake: whatever was asked last is answered with the command.
    let mut token = rep.recv().await.unwrap().unwrap();
    assert_eq!(command(&mut rep, &mut token, "start").await, "ok");
    drop(rep);
    assert_eq!(plugin.await.unwrap(), ["start"]);
}

#[tokio::test]
async fn fact_27_three_messages_arrive_in_order_and_again_after_reopen() {
    let (_directory, path) = directory();
    for _ in 0..2 {
        let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
        let mut push = connect(&path, Protocol::Push)
            .await
            .unwrap()
            .into_push()
            .unwrap();
        let mut pull = listener.accept().await.unwrap().into_pull().unwrap();
        for message in ["one", "two", "three"] {
            push.send(message.as_bytes()).await.unwrap();
        }
        for message in ["one", "two", "three"] {
            assert_eq!(pull.recv().await.unwrap().unwrap(), message);
        }
        drop(push);
        assert_eq!(pull.recv().await.unwrap(), None);
    }
}

#[tokio::test]
async fn fact_28_a_sink_that_listens_gets_three_messages_and_again_after_reopen() {
    let (_directory, path) = directory();
    for _ in 0..2 {
        let mut sink = Listener::bind(&path, Protocol::Pull).unwrap();
        let host = tokio::spawn({
            let path = path.clone();
            async move {
                let mut push = connect(&path, Protocol::Push)
                    .await
                    .unwrap()
                    .into_push()
                    .unwrap();
                push.send_many(&["one", "two", "three"]).await.unwrap();
                push.drain().await.unwrap();
            }
        });
        let mut pull = sink.accept().await.unwrap().into_pull().unwrap();
        for message in ["one", "two", "three"] {
            assert_eq!(pull.recv().await.unwrap().unwrap(), message);
        }
        assert_eq!(pull.recv().await.unwrap(), None);
        drop(pull);
        host.await.unwrap();
    }
}
