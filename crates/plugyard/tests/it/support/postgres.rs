//! PostgreSQL: a database on the server that the tests share, and a server that a test may stop.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{leaks, run};

/// A database of its own on the tests' PostgreSQL, and the way to make it unreachable.
pub(crate) struct Postgres {
    server: String,
    name: String,
}

impl Postgres {
    /// A fresh database with this word in its name; `None`, and said so, where there is no server.
    pub(crate) fn new(word: &str) -> Option<Self> {
        let Ok(server) = std::env::var("PLUGYARD_TEST_PG") else {
            println!("skipped: PLUGYARD_TEST_PG is not set; `cargo xtask test` sets it");
            return None;
        };
        if Command::new("psql").arg("--version").output().is_err() {
            println!("skipped: there is no psql");
            return None;
        }
        let name = format!("plugyard_{word}_{}", std::process::id());
        let database = Self { server, name };
        database.sql(&format!("CREATE DATABASE {}", database.name));
        Some(database)
    }

    pub(crate) fn sql(&self, sql: &str) {
        let ended = run(Command::new("psql")
            .args([
                "--no-psqlrc",
                "--quiet",
                "--set",
                "ON_ERROR_STOP=1",
                "--command",
                sql,
            ])
            .arg(&self.server));
        assert_eq!(ended.code, 0, "{sql}: {ended:?}");
    }

    /// The one value that a query in the database answers.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let words = [
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--command",
            sql,
        ];
        let ended = run(Command::new("psql").args(words).arg(self.url()));
        assert_eq!(ended.code, 0, "{sql}: {ended:?}");
        ended.stdout.trim().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        let (front, _) = self.server.rsplit_once('/').expect("an address");
        format!("{front}/{}", self.name)
    }

    pub(crate) fn go_away(&self) {
        self.sql(&format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS false",
            self.name
        ));
        self.sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        ));
    }

    pub(crate) fn come_back(&self) {
        self.sql(&format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS true",
            self.name
        ));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Servers look through their home when they end; what they wrote here is looked through now.
        let dump = Command::new("pg_dump")
            .args(["--data-only", "--inserts", "--dbname"])
            .arg(self.url())
            .output();
        let leaks = dump.is_ok_and(|dump| leaks::holds_any(&String::from_utf8_lossy(&dump.stdout)));
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _ = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--command", &sql])
            .arg(&self.server)
            .status();
        assert!(
            !leaks || std::thread::panicking(),
            "a secret stands in clear in the database"
        );
    }
}

/// A server of its own, which may be stopped and started; gone when dropped.
pub(crate) struct Cluster {
    bin: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
}

impl Cluster {
    /// Makes and starts one; `None`, and said so, where PostgreSQL is not installed.
    pub(crate) fn new() -> Option<Self> {
        let Some(bin) = bin() else {
            println!("skipped: PostgreSQL is not installed");
            return None;
        };
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), open).expect("it is ours");
        if rustix::process::geteuid().is_root() {
            let owned = run(Command::new("chown").arg("postgres").arg(directory.path()));
            assert_eq!(owned.code, 0, "{owned:?}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let cluster = Self {
            bin,
            directory,
            port,
        };
        let words = [
            "--auth=trust",
            "--username=plugyard",
            "--no-sync",
            "--locale=C",
        ];
        let made = run(cluster.tool("initdb").args(words));
        assert_eq!(made.code, 0, "{made:?}");
        cluster.start();
        Some(cluster)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://plugyard@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn start(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=",
            self.port
        );
        let status = self
            .tool("pg_ctl")
            .args(["start", "--wait", "--silent", "--options", &options])
            .arg("--log")
            .arg(self.directory.path().join("log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "it does not start"
        );
    }

    /// Ends it as a machine that fails does.
    pub(crate) fn stop(&self) {
        let status = self
            .tool("pg_ctl")
            .args(["stop", "--wait", "--silent", "--mode=immediate"])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "it does not stop"
        );
    }

    /// One of its programs, as the user that may run it.
    fn tool(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .arg("--pgdata")
            .arg(self.directory.path().join("data"));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self
            .tool("pg_ctl")
            .args(["stop", "--silent", "--mode=immediate"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Where its programs are: the newest of Debian's, else those on the path.
fn bin() -> Option<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path));
    found.sort_by_key(|it| std::cmp::Reverse(it.clone()));
    found
        .into_iter()
        .find(|it: &PathBuf| Path::new(it).join("pg_ctl").is_file())
}
