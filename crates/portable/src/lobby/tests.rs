use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

struct Place {
    directory: tempfile::TempDir,
    lobby: Arc<Lobby>,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let lobby = Arc::new(Lobby::new(directory.path(), "0"));
    Place { directory, lobby }
}

impl Place {
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|it| it.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn door(&self, name: &str, visitor: &Arc<Visitor>) -> Result<Door, ListenError> {
        self.lobby
            .listen(name, Protocol::Rep, Options::default(), visitor)
    }
}

fn reason(error: ListenError) -> String {
    match error {
        ListenError::Taken { reason, .. } => reason,
        other => panic!("not taken: {other}"),
    }
}

#[tokio::test]
async fn a_name_is_there_as_long_as_somebody_waits_under_it() {
    let place = place();
    let (one, two) = (Arc::default(), Arc::default());
    let first = place.door("a.ipc", &one).unwrap();
    let second = place.door("a.ipc", &two).unwrap();
    assert!(matches!(place.door("a.ipc", &one), Err(ListenError::Twice)));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path("a.ipc")), 0o600);
    assert_eq!(mode(&place.path(".plugyard-0")), 0o700);
    drop(first);
    assert_eq!(place.names(), [".plugyard-0", "a.ipc"]);
    drop(second);
    assert_eq!(place.names(), [""; 0], "with the last its directory goes");
    let ended = Arc::default();
    let door = place.door("a.ipc", &ended).unwrap();
    place.lobby.forget(&ended);
    assert_eq!(
        place.names(),
        [""; 0],
        "nor is the door of one that has ended"
    );
    let other = place.door("a.ipc", &one).unwrap();
    drop(door);
    assert_eq!(place.names(), [".plugyard-0", "a.ipc"]);
    drop(other);
    // At once again, although the end of the first may still be under way.
    let again = place.door("a.ipc", &one).unwrap();
    UnixStream::connect(place.path("a.ipc")).unwrap();
    drop(again);
}

#[tokio::test]
async fn another_server_and_another_use_of_a_name_are_refused() {
    let place = place();
    let other = Arc::new(Lobby::new(place.directory.path(), "1"));
    let claim = place
        .lobby
        .claim("a.ipc", Protocol::Rep, &Arc::default())
        .unwrap();
    let told = reason(
        other
            .claim("a.ipc", Protocol::Rep, &Arc::default())
            .unwrap_err(),
    );
    let me = format!("process {}", std::process::id());
    assert!(told.contains(&me), "{told}");
    assert!(
        told.contains("user `root`") || told.contains("user "),
        "{told}"
    );
    let told = reason(
        place
            .lobby
            .claim("a.ipc", Protocol::Pull, &Arc::default())
            .unwrap_err(),
    );
    assert!(told.contains("something else"), "{told}");
    drop(claim);
    drop(
        other
            .claim("a.ipc", Protocol::Rep, &Arc::default())
            .unwrap(),
    );
    assert_eq!(place.names(), [""; 0], "a refusal leaves nothing either");
}

#[tokio::test]
async fn stale_sockets_make_way_and_nothing_else_does() {
    let place = place();
    drop(UnixListener::bind(place.path("stale.ipc")).unwrap());
    let claim = place
        .lobby
        .claim("stale.ipc", Protocol::Rep, &Arc::default())
        .unwrap();
    drop(claim);
    let live = UnixListener::bind(place.path("live.ipc")).unwrap();
    fs::write(place.path("file.ipc"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("link.ipc")).unwrap();
    for name in ["live.ipc", "file.ipc", "link.ipc"] {
        reason(
            place
                .lobby
                .claim(name, Protocol::Rep, &Arc::default())
                .unwrap_err(),
        );
        reason(place.lobby.make_way(name).unwrap_err());
    }
    place.lobby.make_way("nothing.ipc").unwrap();
    assert_eq!(place.names(), ["file.ipc", "link.ipc", "live.ipc"]);
    drop(live);
}

#[tokio::test]
async fn what_a_killed_server_left_is_taken_away_and_nothing_of_others() {
    let place = place();
    let claim = place
        .lobby
        .claim("a.ipc", Protocol::Rep, &Arc::default())
        .unwrap();
    let replaced = place
        .lobby
        .claim("b.ipc", Protocol::Rep, &Arc::default())
        .unwrap();
    // A sink's socket, which was moved.
    let sink = UnixListener::bind(place.path("s.ipc")).unwrap();
    let taken = place.lobby.take("s.ipc").unwrap();
    let scratch = place.lobby.scratch().unwrap();
    fs::write(scratch.path().join("file"), "").unwrap();
    fs::remove_file(place.path("b.ipc")).unwrap();
    let theirs = UnixListener::bind(place.path("b.ipc")).unwrap();
    // As a killed server does.
    std::mem::forget((claim, replaced, taken, scratch));
    drop(sink);
    assert_eq!(place.names(), [".plugyard-0", "a.ipc", "b.ipc"]);
    Lobby::new(place.directory.path(), "0").clean();
    assert_eq!(place.names(), ["b.ipc"]);
    drop(theirs);
}

#[tokio::test]
async fn names_that_somebody_removed_are_put_back() {
    let place = place();
    let _claim = place
        .lobby
        .claim("a.ipc", Protocol::Rep, &Arc::default())
        .unwrap();
    fs::remove_file(place.path("a.ipc")).unwrap();
    place.lobby.mend();
    UnixStream::connect(place.path("a.ipc")).unwrap();
    // Also when the next one comes, as a process is about to start.
    fs::remove_file(place.path("a.ipc")).unwrap();
    let _door = place.door("a.ipc", &Arc::default()).unwrap();
    UnixStream::connect(place.path("a.ipc")).unwrap();
}

#[tokio::test]
async fn a_directory_that_others_may_enter_is_not_used() {
    let place = place();
    let own = place.path(".plugyard-0");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(own.join("1-x"), "").unwrap();
    let error = place
        .lobby
        .claim("a.ipc", Protocol::Rep, &Arc::default())
        .unwrap_err();
    assert!(error.to_string().contains("others may enter"), "{error}");
    assert!(place.lobby.scratch().is_err());
    place.lobby.clean();
    assert!(own.join("1-x").exists());
}

#[tokio::test]
async fn whoever_descends_from_no_plugin_is_turned_away() {
    use std::io::{Read as _, Write as _};
    let place = place();
    let visitor = Arc::default();
    let mut door = place.door("a.ipc", &visitor).unwrap();
    let path = place.path("a.ipc");
    let stranger = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream
            .write_all(&[0, b'S', b'P', 0, 0, 0x30, 0, 0])
            .unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        said.len()
    });
    tokio::select! {
        said = stranger => assert!(said.unwrap() <= 8),
        _ = door.accept() => panic!("a stranger was let in"),
    }
}
