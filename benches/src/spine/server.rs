//! The whole server, as the binary that users start: what it holds while idle, and how long it takes to
//! be ready.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{compared, milliseconds};
use crate::plugins::Plugin;
use crate::works::{Effort, Row};

/// The row of [`memory`].
pub const MEMORY: &str = "idle memory of the server";
/// The row of [`start`].
pub const START: &str = "server start";

/// Plugins that run while memory is looked at, half of them made with the Python SDK; and the target, in MiB.
const REGISTERED: (usize, f64) = (20, 30.0);
/// Plugins that are installed when the server starts; and the target, in ms.
const INSTALLED: (usize, f64) = (50, 300.0);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long the server has nothing to do before its memory is looked at.
const IDLE: Duration = Duration::from_secs(10);

/// Memory of the server with plugins running, that of their processes not counted: all that is resident, of
/// which pages of the binary can be taken back at any time, and what is its own.
///
/// # Errors
/// When the server or a plugin does not start.
pub fn memory(python: &Path, cores: usize) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let home = directory.path().join("home");
    let (many, target) = REGISTERED;
    for n in 0..many {
        let with = (n % 2 == 0).then_some(python);
        place(&home, &format!("idle{n}"), with)?;
    }
    let server = Server::start(&home, python)?;
    server.until_running(many)?;
    std::thread::sleep(IDLE);
    let (resident, own) = (server.memory("VmRSS:")?, server.memory("RssAnon:")?);
    server.end()?;
    let row = |what: &str, mib: f64| {
        let title = format!("{MEMORY}, {what}, {many} plugins running, half of them in Python");
        let row = compared(title, cores, "MiB", &[(mib, 0.0)], Some(target), "");
        Row {
            limit: f64::NAN,
            ratio: mib,
            ratios: Vec::new(),
            against: "plugins' own processes not counted",
            ..row
        }
    };
    Ok(vec![row("resident", resident), row("its own", own)])
}

/// From the start of the binary until it says that it is ready, with plugins installed, whose processes
/// then start behind it.
///
/// # Errors
/// When the server or a plugin does not start.
pub fn start(python: &Path, effort: Effort, cores: usize) -> Result<Row> {
    let directory = tempfile::tempdir()?;
    let home = directory.path().join("home");
    let (many, target) = INSTALLED;
    for n in 0..many {
        place(&home, &format!("many{n}"), None)?;
    }
    let server = Server::start(&home, python)?;
    server.until_running(many)?;
    server.end()?;
    let mut times = Vec::new();
    for _ in 0..effort.turns {
        let began = Instant::now();
        let server = Server::start(&home, python)?;
        times.push((milliseconds(began.elapsed()), 0.0));
        server.until_running(many)?;
        server.end()?;
    }
    let title = format!("{START} until ready, {many} plugins installed");
    let row = compared(title, cores, "ms", &times, Some(target), "");
    Ok(Row {
        limit: f64::NAN,
        ratio: row.ours,
        ratios: times.into_iter().map(|it| it.0).collect(),
        against: "their processes start after that",
        ..row
    })
}

/// Puts a plugin where the server finds it: the bare one, or one for an interpreter.
fn place(home: &Path, word: &str, python: Option<&Path>) -> Result<()> {
    let below = home.join("plugins/portable");
    fs::create_dir_all(&below)?;
    match python {
        Some(python) => Plugin::python_called(&below, word, python)?,
        None => Plugin::bare(&below, &beside("plugyard-bench-peer")?, word)?,
    };
    Ok(())
}

/// A binary that was built together with this one.
fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(path.is_file(), "{} was not built", path.display());
    Ok(path)
}

/// A running server.
struct Server {
    child: Child,
    address: SocketAddr,
    /// Open, so that what it says later does not end it.
    _said: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it, and returns when it is ready.
    #[expect(
        clippy::disallowed_methods,
        reason = "the server itself, which is no plugin"
    )]
    fn start(home: &Path, python: &Path) -> Result<Self> {
        let mut child = Command::new(beside("plugyard")?)
            .args(["serve", "--listen", "127.0.0.1:0", "--auth", "none"])
            .env("PLUGYARD_HOME", home)
            .env("PLUGYARD_LOG", "error")
            .env("PLUGYARD__PORTABLE__PYTHON_BIN", python)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut said = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        let address = loop {
            line.clear();
            ensure!(said.read_line(&mut line)? > 0, "the server ended at once");
            if let Some(address) = line.trim().strip_prefix("listening on http://") {
                break address.parse()?;
            }
        };
        let server = Self {
            child,
            address,
            _said: said,
        };
        until("it is ready", || {
            Ok(server.get("/readyz")?.starts_with("HTTP/1.1 200"))
        })?;
        Ok(server)
    }

    fn until_running(&self, many: usize) -> Result<()> {
        until("all plugins run", || {
            let list = self.get("/v1/installations?limit=100")?;
            Ok(list.matches(r#""state":"ready""#).count() >= many)
        })
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        let (address, mut answer) = (self.address, Vec::new());
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A line of the kernel's about its memory, in MiB.
    fn memory(&self, name: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.split_whitespace().next());
        Ok(kib.context("no resident memory is shown")?.parse::<f64>()? / 1024.0)
    }

    /// Ends it and waits until its plugins have ended too.
    fn end(mut self) -> Result<()> {
        self.ask_to_end();
        self.child.wait()?;
        Ok(())
    }

    fn ask_to_end(&self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // Fails when it has ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ask_to_end();
        let _ = self.child.wait();
    }
}

fn until(what: &str, there: impl Fn() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !there()? {
        if began.elapsed() > PATIENCE {
            bail!("waited in vain until {what}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
