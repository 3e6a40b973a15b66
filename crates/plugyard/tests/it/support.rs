//! A started `plugyard serve` with a home and a port of its own, and ways to talk to it.

pub(crate) mod leaks;
pub(crate) mod plugins;
pub(crate) mod postgres;
pub(crate) mod streams;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

/// How long anything may take before a test fails. Never a verdict about speed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The binary under test.
pub(crate) const PLUGYARD: &str = env!("CARGO_BIN_EXE_plugyard");

/// A Python with the plugin SDK; without one the test says that it is skipped.
pub(crate) fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PLUGYARD_TEST_PYTHON").map(PathBuf::from);
    if python.is_none() {
        println!("skipped: PLUGYARD_TEST_PYTHON is not set; `cargo xtask test` sets it");
    }
    python
}

/// Waits until `probe` has an answer.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// `plugyard` without anything from the caller's surroundings.
pub(crate) fn plugyard(home: &Path) -> Command {
    let mut command = Command::new(PLUGYARD);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("PLUGYARD_") || name.starts_with("KUIPER_") || name.starts_with("LC_") {
            command.env_remove(name);
        }
    }
    command
        .env("PLUGYARD_HOME", home)
        .env("LANG", "C")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// Lets a server be started as it is without `--auth none`.
pub(crate) fn sign_in_needed(command: &mut Command) {
    let mut fresh = Command::new(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => fresh.env(name, value),
            None => fresh.env_remove(name),
        };
    }
    fresh.args(["serve", "--listen", "127.0.0.1:0"]);
    *command = fresh;
}

/// How a command ended and what it wrote.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    ended(command.output().expect("the command starts"))
}

/// What a command that has ended wrote, after it was searched for secrets.
#[track_caller]
pub(crate) fn ended(output: std::process::Output) -> Ended {
    let ended = Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("output is UTF-8"),
    };
    for printed in [&ended.stdout, &ended.stderr] {
        leaks::note(printed);
        leaks::forbid_in(printed);
    }
    ended
}

/// A running server. Ended when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) home: PathBuf,
    pub(crate) address: String,
    pub(crate) http: Client,
    log: PathBuf,
    /// Hears what the server tells without being asked.
    listener: Option<streams::Listener>,
    /// Removed after the server has ended.
    directory: Option<tempfile::TempDir>,
}

impl Server {
    /// A server on a fresh home, without sign-in.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// The same after `prepare` had its way with the command.
    pub(crate) fn start_with(prepare: impl FnOnce(&mut Command)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let home = directory.path().join("home");
        let mut server = Self::start_in(&home, prepare);
        server.directory = Some(directory);
        server
    }

    /// A server on a home that the caller keeps.
    pub(crate) fn start_in(home: &Path, prepare: impl FnOnce(&mut Command)) -> Self {
        std::fs::create_dir_all(home).expect("a home");
        let log = home.with_extension("log");
        let mut command = plugyard(home);
        command.args(["serve", "--listen", "127.0.0.1:0", "--auth", "none"]);
        if let Some(python) = std::env::var_os("PLUGYARD_TEST_PYTHON") {
            command.env("PLUGYARD__PORTABLE__PYTHON_BIN", python);
        }
        prepare(&mut command);
        // The HTTP client has none of its own; every test may come first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client");
        let stderr = std::fs::File::create(&log).expect("a log");
        let child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the server starts");
        // From here on whatever panics ends the server too.
        let mut server = Self {
            child,
            home: home.to_owned(),
            address: String::new(),
            http,
            log,
            listener: None,
            directory: None,
        };
        let mut lines = BufReader::new(server.child.stdout.take().expect("piped")).lines();
        server.address = loop {
            match lines.next() {
                Some(Ok(line)) => {
                    if let Some(address) = line.strip_prefix("listening on ") {
                        break address.to_owned();
                    }
                }
                _ => panic!("the server ended at once"),
            }
        };
        thread::spawn(move || lines.for_each(drop));
        wait_for("/readyz", || {
            let answer = server.get("/readyz").send().ok()?;
            answer.status().is_success().then_some(())
        });
        server.listener = Some(streams::Listener::new(home));
        server
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.address))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.address))
    }

    pub(crate) fn put(&self, path: &str) -> RequestBuilder {
        self.http.put(format!("{}{path}", self.address))
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.http.delete(format!("{}{path}", self.address))
    }

    /// The command line, talking to this server.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = plugyard(&self.home);
        command.args(words);
        command
    }

    /// Runs the command line against this server.
    #[track_caller]
    pub(crate) fn cli(&self, words: &[&str]) -> Ended {
        run(&mut self.command(words))
    }

    /// Runs the command line against this server; it must succeed.
    #[track_caller]
    pub(crate) fn cli_ok(&self, words: &[&str]) -> Ended {
        let ended = self.cli(words);
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}\n{}", self.log());
        ended
    }

    /// What the server wrote to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What `show` says of a plugin.
    #[track_caller]
    pub(crate) fn shown(&self, plugin: &str) -> Json {
        let shown = self.cli_ok(&["show", plugin, "-o", "json"]).stdout;
        serde_json::from_str(&shown).expect("JSON")
    }

    /// The process of a plugin.
    #[track_caller]
    pub(crate) fn plugin_pid(&self, plugin: &str) -> u32 {
        let shown = self.shown(plugin);
        let pid = shown["details"]["process"]["pid"].as_u64();
        pid.and_then(|pid| u32::try_from(pid).ok())
            .unwrap_or_else(|| panic!("no pid in {shown}"))
    }

    /// Asks the server to end and waits for it.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.hear();
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        wait_for("the server to end", || {
            self.child.try_wait().expect("a child")
        })
    }

    /// Waits until the server has ended by itself, and says with which code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        wait_for("the server to end", || {
            self.child.try_wait().expect("a child")
        })
        .code()
    }

    /// Hears what the server still has to say before it ends.
    fn hear(&self) {
        if let Some(listener) = &self.listener {
            listener.ask();
        }
    }

    /// Ends the server without asking.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.hear();
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(20);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
        }
        self.kill();
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        } else {
            let mut leaks = leaks::search(&self.home, &self.log());
            leaks.extend(
                self.listener
                    .take()
                    .into_iter()
                    .flat_map(streams::Listener::leaks),
            );
            assert_eq!(leaks, [""; 0], "a secret stands in clear");
        }
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim_start()
            .starts_with('Z')
    })
}

/// Status, headers that matter, and the exact bytes of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

/// Sends a request and takes the answer as it is.
#[track_caller]
pub(crate) fn answer(request: RequestBuilder) -> Answer {
    let mut response = request.send().expect("an answer");
    let content_type = response
        .headers()
        .get("content-type")
        .map(|value| value.to_str().expect("ASCII").to_owned())
        .unwrap_or_default();
    let mut body = String::new();
    response
        .read_to_string(&mut body)
        .expect("the body is UTF-8");
    leaks::note_answer(&body);
    Answer {
        status: response.status().as_u16(),
        content_type,
        body,
    }
}
