//! A PostgreSQL of our own for the tests: fresh, on loopback and a free port, gone at the end.
//!
//! Never the machine's own cluster. Since PostgreSQL refuses to run as root, root runs it as the user
//! `postgres`, below a directory of the system's temporary one that this user may enter.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::geteuid;

use crate::process::{self, command};

const PREFIX: &str = "plugyard-test-pg-";

/// A running cluster; stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    bin: PathBuf,
    directory: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes and starts one from the programs in `bin`.
    pub(crate) fn start(bin: &Path) -> Result<Self> {
        remove_leftovers(bin);
        let directory = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self {
            bin: bin.to_owned(),
            directory,
            port,
        };
        if geteuid().is_root() {
            process::run(command("chown").arg("postgres").arg(&cluster.directory))?;
        }
        let data = cluster.data();
        process::run(
            as_owner(&cluster.bin.join("initdb"))
                .args([
                    "--auth=trust",
                    "--username=plugyard",
                    "--encoding=UTF8",
                    "--no-sync",
                    "--locale=C",
                ])
                .arg("--pgdata")
                .arg(&data)
                .stdout(Stdio::null()),
        )
        .context("cannot make a PostgreSQL cluster")?;
        // Tests check behaviour, not disks: what survives a power cut is tested with SQLite.
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
             -c full_page_writes=off -c synchronous_commit=off -c max_connections=300"
        );
        process::run(
            as_owner(&cluster.bin.join("pg_ctl"))
                .args(["start", "--wait", "--silent", "--options", &options])
                .arg("--pgdata")
                .arg(&data)
                .arg("--log")
                .arg(cluster.directory.join("log"))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
        .context("cannot start PostgreSQL")?;
        Ok(cluster)
    }

    /// Where it answers, for an account that may create databases.
    pub(crate) fn url(&self) -> String {
        format!("postgres://plugyard@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        stop(&self.bin, &self.directory);
    }
}

/// Stops what runs in a directory of ours and removes it. Not through [`process::run`], which refuses
/// to start anything once the chore was interrupted.
fn stop(bin: &Path, directory: &Path) {
    let data = directory.join("data");
    if data.join("postmaster.pid").exists() {
        let _ = as_owner(&bin.join("pg_ctl"))
            .args(["stop", "--silent", "--mode=immediate"])
            .arg("--pgdata")
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
    let _ = fs::remove_dir_all(directory);
}

/// Clusters whose chore was killed before it could stop them.
fn remove_leftovers(bin: &Path) {
    for entry in fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
            stop(bin, &entry.path());
        }
    }
}

fn as_owner(program: &Path) -> Command {
    if geteuid().is_root() {
        let mut runuser = command("runuser");
        runuser
            .args(["-u", "postgres", "--"])
            .arg(program)
            .current_dir("/");
        runuser
    } else {
        command(program)
    }
}
