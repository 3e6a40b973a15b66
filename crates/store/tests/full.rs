//! A `PostgreSQL` whose own disk is full: said as what it is, nothing half written, and over when there is room.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed unwrap is a failed test"
)]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plugyard_model::{Problem, codes};
use plugyard_store::{Database, DatabaseUrl, StoreError};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

/// Set in the process that has mounts of its own.
const INSIDE: &str = "PLUGYARD_TEST_INSIDE";
/// Room for a cluster that holds nothing yet, and some more.
const ROOMY: &str = "size=160m";
/// Written in one row.
const ROW: usize = 1 << 20;

#[expect(
    clippy::disallowed_methods,
    reason = "tools of the system, not plugins"
)]
fn tool(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}

/// Runs a test with mounts of its own; true where it has them already.
#[expect(clippy::print_stdout, reason = "a test says what it skips and covers")]
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let possible = tool("unshare").args(["--mount", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: cannot make mounts of its own here");
        return false;
    }
    if programs().is_none() {
        println!("skipped: PostgreSQL is not installed");
        return false;
    }
    let ended = tool("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "it failed in there");
    assert!(said.contains("1 passed"), "no test of that name");
    false
}

/// Where the programs of `PostgreSQL` are, of the latest version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<_> = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop()
}

/// A server whose tables are on a disk of their own, and whose log of changes is on another: full, it refuses a
/// write and goes on. (With both on one disk it ends by itself, which is a database that goes away.)
struct Cluster {
    bin: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
}

impl Cluster {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let cluster = Self {
            bin: programs().unwrap(),
            directory,
            port,
        };
        let disk = cluster.disk();
        std::fs::create_dir(&disk).unwrap();
        done(
            tool("mount")
                .args(["-t", "tmpfs", "-o", ROOMY, "tmpfs"])
                .arg(&disk),
        );
        done(
            tool("chown")
                .arg("postgres")
                .arg(cluster.directory.path())
                .arg(&disk),
        );
        let log = cluster.directory.path().join("wal");
        done(
            cluster
                .tool("initdb")
                .args([
                    "--auth=trust",
                    "--username=plugyard",
                    "--no-sync",
                    "--locale=C",
                ])
                .arg("--waldir")
                .arg(log),
        );
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        );
        done(
            cluster
                .tool("pg_ctl")
                .args(["start", "--wait", "--silent", "--options", &options])
                .arg("--log")
                .arg(cluster.directory.path().join("log")),
        );
        cluster
    }

    fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// One of its programs, as the user that may run it.
    fn tool(&self, name: &str) -> Command {
        let mut command = tool("runuser");
        command
            .args(["-u", "postgres", "--"])
            .arg(self.bin.join(name))
            .arg("--pgdata")
            .arg(self.disk().join("data"))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self
            .tool("pg_ctl")
            .args(["stop", "--wait", "--silent", "--mode=immediate"])
            .status();
        let _ = tool("umount").arg("--lazy").arg(self.disk()).status();
    }
}

fn done(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// Takes what is left of a disk, but for a page or two.
fn fill(at: &Path) -> PathBuf {
    let ballast = at.join("ballast");
    let about = rustix::fs::statvfs(at).unwrap();
    let left = about.f_bavail * about.f_frsize;
    std::fs::write(&ballast, vec![0; usize::try_from(left).unwrap()]).unwrap();
    ballast
}

async fn write(database: &Database, text: &str) -> Result<(), StoreError> {
    let transaction = database.begin().await?;
    for half in [0, 1] {
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "INSERT INTO things (half, text) VALUES ($1, $2)",
            [half.into(), text.into()],
        );
        transaction.execute_raw(statement).await?;
    }
    transaction.commit().await
}

async fn count(database: &Database) -> i64 {
    let sql = "SELECT COUNT(*) AS n FROM things";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = database.conn().query_one_raw(statement).await.unwrap();
    row.unwrap().try_get("", "n").unwrap()
}

#[tokio::test]
async fn a_postgresql_without_room_says_so_writes_nothing_and_goes_on_when_there_is() {
    if !inside("a_postgresql_without_room_says_so_writes_nothing_and_goes_on_when_there_is") {
        return;
    }
    let cluster = Cluster::start();
    let url: DatabaseUrl = format!("postgres://plugyard@127.0.0.1:{}/postgres", cluster.port)
        .parse()
        .unwrap();
    let database = Database::open(&url).await.unwrap();
    // What is stored as it comes, so that a row takes as much room as its text.
    for sql in [
        "CREATE TABLE things (half INT NOT NULL, text TEXT NOT NULL)",
        "ALTER TABLE things ALTER COLUMN text SET STORAGE EXTERNAL",
    ] {
        database.conn().execute_unprepared(sql).await.unwrap();
    }
    let row = "x".repeat(ROW);
    write(&database, &row).await.unwrap();

    let ballast = fill(&cluster.disk());
    for _ in 0..3 {
        let refused = write(&database, &row).await.unwrap_err();
        assert!(refused.is_full(), "{refused:?}");
        assert_eq!(Problem::from(refused).code, codes::STORE_FULL);
        assert_eq!(
            count(&database).await,
            2,
            "reading goes on, and no half is there"
        );
    }

    std::fs::remove_file(ballast).unwrap();
    write(&database, &row).await.unwrap();
    assert_eq!(count(&database).await, 4);
    database.close().await.unwrap();
}
