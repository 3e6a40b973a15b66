//! Listening and dialling on real Unix sockets.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with the first thing that goes wrong"
)]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugyard_sp::{
    ConnectError, HandshakeError, Listener, Options, Protocol, connect, connect_with,
};
use tempfile::TempDir;

fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.ipc");
    (directory, path)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Sends one message through the listener at `path` and receives it.
async fn exchange(listener: &mut Listener, path: &Path) {
    let (far, near) = tokio::join!(connect(path, Protocol::Push), listener.accept());
    let (mut push, mut pull) = (
        far.unwrap().into_push().unwrap(),
        near.unwrap().into_pull().unwrap(),
    );
    push.send(b"through").await.unwrap();
    assert_eq!(pull.recv().await.unwrap().unwrap(), "through");
}

#[tokio::test]
async fn the_file_is_private_and_goes_with_the_listener() {
    let (directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
    let metadata = std::fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(names(directory.path()), ["x.ipc"]);
    exchange(&mut listener, &path).await;
    drop(listener);
    assert_eq!(names(directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_live_listener_is_not_disturbed() {
    let (directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
    let error = Listener::bind(&path, Protocol::Pull).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("x.ipc"), "{error}");
    exchange(&mut listener, &path).await;
    assert_eq!(names(directory.path()), ["x.ipc"]);
}

#[tokio::test]
async fn a_listener_with_a_full_queue_is_alive() {
    let (_directory, path) = directory();
    let _foreign = UnixListener::bind(&path).unwrap();
    // Nobody accepts, so at some time the kernel takes no more; until then each is connected.
    let mut waiting = Vec::new();
    loop {
        let error = Listener::bind(&path, Protocol::Pull).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        match tokio::net::UnixStream::connect(&path).await {
            Ok(stream) => waiting.push(stream),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert_eq!(
        Listener::bind(&path, Protocol::Pull).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    let options = Options {
        handshake_timeout: Duration::from_millis(50),
        ..Options::default()
    };
    assert!(matches!(
        connect_with(&path, Protocol::Push, options).await,
        Err(ConnectError::Busy { .. })
    ));
}

#[tokio::test]
async fn a_stale_file_is_replaced() {
    let (directory, path) = directory();
    drop(UnixListener::bind(&path).unwrap());
    let stale = std::fs::symlink_metadata(&path).unwrap();
    let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
    assert_ne!(
        std::fs::symlink_metadata(&path).unwrap().ctime_nsec(),
        stale.ctime_nsec()
    );
    exchange(&mut listener, &path).await;
    assert_eq!(names(directory.path()), ["x.ipc"]);
}

#[tokio::test]
async fn what_is_no_socket_stays() {
    let (directory, path) = directory();
    std::fs::write(&path, "precious").unwrap();
    let error = Listener::bind(&path, Protocol::Pull).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(names(directory.path()), ["x.ipc"]);
}

#[tokio::test]
async fn a_file_that_took_the_place_of_ours_stays() {
    let (directory, path) = directory();
    let first = Listener::bind(&path, Protocol::Pull).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut second = Listener::bind(&path, Protocol::Pull).unwrap();
    drop(first);
    assert_eq!(names(directory.path()), ["x.ipc"]);
    exchange(&mut second, &path).await;
}

#[tokio::test]
async fn of_many_who_bind_at_once_one_wins_also_over_a_stale_file() {
    let (directory, path) = directory();
    for _ in 0..20 {
        drop(UnixListener::bind(&path).unwrap());
        let attempts: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                let handle = tokio::runtime::Handle::current();
                std::thread::spawn(move || {
                    let _runtime = handle.enter();
                    Listener::bind(&path, Protocol::Pull)
                })
            })
            .collect();
        let outcomes: Vec<_> = attempts
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        let mut winners = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(listener) => winners.push(listener),
                Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
            }
        }
        assert_eq!(winners.len(), 1);
        exchange(&mut winners[0], &path).await;
        drop(winners);
        assert_eq!(names(directory.path()), [""; 0]);
    }
}

#[tokio::test]
async fn paths_longer_than_an_address_work() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    for length in [1, 60, 102, 255] {
        let path = deep.join("n".repeat(length));
        let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
        exchange(&mut listener, &path).await;
        assert_eq!(
            Listener::bind(&path, Protocol::Pull).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        drop(listener);
        assert!(matches!(
            connect(&path, Protocol::Push).await,
            Err(ConnectError::NobodyListens { .. })
        ));
    }
    assert_eq!(names(&deep), [""; 0]);
}

#[tokio::test]
async fn a_path_without_a_name_or_directory_is_an_error() {
    for path in ["/", "", "/nonexistent-directory/x.ipc"] {
        let error = Listener::bind(path, Protocol::Pull).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn the_peer_is_known() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
    let (far, near) = tokio::join!(connect(&path, Protocol::Push), listener.accept());
    let owner = std::fs::symlink_metadata(&path).unwrap();
    for connection in [far.unwrap(), near.unwrap()] {
        let peer = connection.peer().unwrap();
        assert_eq!(peer.pid, Some(std::process::id()));
        assert_eq!((peer.uid, peer.gid), (owner.uid(), owner.gid()));
    }
}

#[tokio::test]
async fn bad_and_silent_peers_are_in_nobodys_way() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
    let silent: Vec<_> = (0..20)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    let mut garbage = UnixStream::connect(&path).unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut wrong = UnixStream::connect(&path).unwrap();
    wrong.write_all(&Protocol::Req.header()).unwrap();
    exchange(&mut listener, &path).await;
    // Those who spoke are shown the door; whoever is silent is left its ten seconds.
    tokio::task::spawn_blocking(move || {
        for mut peer in [garbage, wrong] {
            let mut answer = Vec::new();
            let end = peer.read_to_end(&mut answer);
            assert!(end.is_ok() || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
            assert_eq!(answer, Protocol::Pull.header());
        }
    })
    .await
    .unwrap();
    exchange(&mut listener, &path).await;
    drop(silent);
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let (_directory, path) = directory();
    let options = Options {
        handshake_timeout: Duration::from_millis(20),
        ..Options::default()
    };
    let mut listener = Listener::bind_with(&path, Protocol::Rep, options).unwrap();
    let mut silent = UnixStream::connect(&path).unwrap();
    silent.write_all(b"\0SP").unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = Vec::new();
        silent
            .read_to_end(&mut answer)
            .map(|_| answer)
            .map_err(|error| error.kind())
    });
    // Its three bytes were read, so the end is an orderly one.
    assert_eq!(answer.await.unwrap(), Ok(Protocol::Rep.header().to_vec()));
    let (far, near) = tokio::join!(connect(&path, Protocol::Req), listener.accept());
    assert!(far.is_ok() && near.is_ok());
    assert_eq!(listener.rejected(), 1);
}

#[tokio::test]
async fn more_silent_peers_than_allowed_push_out_the_oldest() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
    let mut silent: Vec<_> = (0..300)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    exchange(&mut listener, &path).await;
    let mut oldest = silent.remove(0);
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = Vec::new();
        oldest.read_to_end(&mut answer).map(|_| answer.len())
    });
    assert!(answer.await.unwrap().unwrap() <= 8);
    assert!(listener.rejected() > 0);
}

#[tokio::test]
async fn hands_are_shaken_while_nobody_accepts() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
    // Returns only after the listener's header has come.
    let mut push = connect(&path, Protocol::Push)
        .await
        .unwrap()
        .into_push()
        .unwrap();
    push.send(b"early").await.unwrap();
    drop(push);
    let mut pull = listener.accept().await.unwrap().into_pull().unwrap();
    assert_eq!(pull.recv().await.unwrap().unwrap(), "early");
    assert_eq!(pull.recv().await.unwrap(), None);
}

#[tokio::test]
async fn several_peers_are_several_connections() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
    let mut askers = Vec::new();
    let mut answerers = Vec::new();
    for number in 0..10 {
        let mut req = connect(&path, Protocol::Req)
            .await
            .unwrap()
            .into_req()
            .unwrap();
        req.send(format!("{number}")).await.unwrap();
        askers.push(req);
        answerers.push(listener.accept().await.unwrap().into_rep().unwrap());
    }
    for rep in answerers.iter_mut().rev() {
        let request = rep.recv().await.unwrap().unwrap();
        let reply = [b"re: ", &request.body[..]].concat();
        rep.reply(&request.backtrace, &reply).await.unwrap();
    }
    for (number, req) in askers.iter_mut().enumerate() {
        assert_eq!(req.recv().await.unwrap().unwrap(), format!("re: {number}"));
    }
    drop(askers.remove(3));
    assert!(answerers[3].recv().await.unwrap().is_none());
    askers[0].send("still").await.unwrap();
    assert_eq!(answerers[0].recv().await.unwrap().unwrap().body, "still");
}

#[tokio::test]
async fn connections_outlive_their_listener() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Pull).unwrap();
    let mut push = connect(&path, Protocol::Push)
        .await
        .unwrap()
        .into_push()
        .unwrap();
    let mut pull = listener.accept().await.unwrap().into_pull().unwrap();
    drop(listener);
    push.send(b"later").await.unwrap();
    assert_eq!(pull.recv().await.unwrap().unwrap(), "later");
}

#[tokio::test]
async fn a_peer_that_leaves_with_our_bytes_unread_is_an_orderly_end() {
    let (_directory, path) = directory();
    let mut listener = Listener::bind(&path, Protocol::Rep).unwrap();
    let mut req = connect(&path, Protocol::Req)
        .await
        .unwrap()
        .into_req()
        .unwrap();
    let mut rep = listener.accept().await.unwrap().into_rep().unwrap();
    req.send("handshake").await.unwrap();
    let request = rep.recv().await.unwrap().unwrap();
    rep.reply(&request.backtrace, b"never read").await.unwrap();
    req.send("last words").await.unwrap();
    drop(req);
    assert_eq!(rep.recv().await.unwrap().unwrap().body, "last words");
    assert!(rep.recv().await.unwrap().is_none());
}

#[tokio::test]
async fn dialling_tells_what_went_wrong() {
    let (_directory, path) = directory();
    assert!(matches!(
        connect(&path, Protocol::Req).await,
        Err(ConnectError::NobodyListens { .. })
    ));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(
        connect(&path, Protocol::Req).await,
        Err(ConnectError::NobodyListens { .. })
    ));
    std::fs::remove_file(&path).unwrap();
    let _listener = Listener::bind(&path, Protocol::Pull).unwrap();
    assert!(matches!(
        connect(&path, Protocol::Req).await,
        Err(ConnectError::Handshake {
            source: HandshakeError::WrongPeer {
                expected: Protocol::Rep,
                found: 0x51
            },
            ..
        })
    ));
}
