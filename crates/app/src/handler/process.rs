//! A handler as a process.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use plugyard_model::VersionId;
use plugyard_platform::{Pass, PluginAccess};
use plugyard_sandbox::{Isolation, Launcher, Process, Spec};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::{HandlerError, Handlers, Launch, Question};
use crate::logs::Log;

/// What a process is given to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of a line that is kept in the log.
const LOGGED: usize = 8 << 10;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Question>>>>;

/// A process that answers. Dropping it ends it.
pub(super) struct Running {
    pub(super) version: VersionId,
    process: Process,
    input: tokio::sync::Mutex<Option<pipe::Sender>>,
    waiting: Waiting,
    alive: Arc<AtomicBool>,
    next: AtomicU64,
    log: Arc<Log>,
    /// Its token is worth something for as long as it lives.
    _pass: Option<Pass>,
    _directory: tempfile::TempDir,
}

impl Running {
    pub(super) async fn start(
        handlers: &Handlers,
        launcher: &Launcher,
        access: Option<&PluginAccess>,
        launch: &Launch,
        log: Arc<Log>,
    ) -> Result<Self, HandlerError> {
        let failed = |reason: String| HandlerError::Failed(reason);
        let data = handlers.home.plugin_data(&launch.plugin);
        let prepared = prepare(&handlers.home.run().join("app-handlers"), &data);
        let (directory, fifo, tmp) =
            prepared.map_err(|error| failed(format!("no place for its process: {error}")))?;
        let pass = match access {
            Some(access) => access.admit(&launch.plugin, launch.version.id),
            None => None,
        };
        let spec = spec(handlers, launch, &data, &fifo, tmp, pass.as_ref());
        // Opened for both, so that neither side waits for the other to open it.
        let input = pipe::OpenOptions::new()
            .read_write(true)
            .open_sender(&fifo)
            .map_err(|error| failed(format!("its input cannot be opened: {error}")))?;
        let mut process = launcher.spawn(spec).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(|it| format!(": {it}"));
            failed(format!(
                "it cannot be started: {error}{}",
                cause.unwrap_or_default()
            ))
        })?;
        log.host(&format!("Started the handler, process {}", process.pid()));
        let (waiting, alive) = (Waiting::default(), Arc::new(AtomicBool::new(true)));
        if let Some(stdout) = process.stdout.take() {
            let lines = Lines {
                waiting: Arc::clone(&waiting),
                log: Arc::clone(&log),
                pid: process.pid(),
                limit: handlers.settings.handler_answer,
            };
            let alive = Arc::clone(&alive);
            tokio::spawn(async move {
                let waiting = Arc::clone(&lines.waiting);
                lines.answers(stdout).await;
                // Nobody answers any more; whoever waits is told by its sender being dropped.
                alive.store(false, Ordering::Release);
                waiting.lock().clear();
            });
        }
        if let Some(stderr) = process.stderr.take() {
            tokio::spawn(stderr_lines(stderr, process.pid(), Arc::clone(&log)));
        }
        Ok(Self {
            version: launch.version.id,
            process,
            input: tokio::sync::Mutex::new(Some(input)),
            waiting,
            alive,
            next: AtomicU64::new(1),
            log,
            _pass: pass,
            _directory: directory,
        })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire) && self.process.try_wait().is_none()
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// One question, and its answer.
    pub(super) async fn ask(&self, mut question: Question) -> Result<Question, HandlerError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        question.insert("id".to_owned(), id.into());
        let mut line = serde_json::to_vec(&question)
            .map_err(|error| HandlerError::Failed(error.to_string()))?;
        line.push(b'\n');
        let (tell, told) = oneshot::channel();
        self.waiting.lock().insert(id, tell);
        let _forget = Forget {
            waiting: &self.waiting,
            id,
        };
        if !self.is_alive() {
            return Err(self.ended().await);
        }
        {
            let mut input = self.input.lock().await;
            let Some(input) = input.as_mut() else {
                return Err(self.ended().await);
            };
            tokio::select! {
                written = input.write_all(&line) => written.map_err(|error| {
                    HandlerError::Failed(format!("it takes no questions: {error}"))
                })?,
                _ = self.process.wait() => return Err(self.ended().await),
            }
        }
        match told.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.ended().await),
        }
    }

    async fn ended(&self) -> HandlerError {
        // Its output ends a moment before it does.
        match tokio::time::timeout(GRACE, self.process.wait()).await {
            Ok(exit) => {
                let said = self.log.last_words(self.pid());
                let said = said.map(|said| format!("; it said: {said}"));
                let status = exit.status;
                HandlerError::Failed(format!(
                    "its process ended: {status}{}",
                    said.unwrap_or_default()
                ))
            }
            Err(_) => HandlerError::Failed("it closed its output".to_owned()),
        }
    }

    pub(super) async fn stop(&self) {
        self.alive.store(false, Ordering::Release);
        // A question may be waiting for room in the pipe of a process that reads nothing.
        if let Ok(mut input) = self.input.try_lock() {
            input.take();
        }
        self.process.stop(GRACE).await;
    }
}

/// Nobody waits for this answer any more, however that came.
struct Forget<'a> {
    waiting: &'a Waiting,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.id);
    }
}

struct Lines {
    waiting: Waiting,
    log: Arc<Log>,
    pid: u32,
    limit: usize,
}

impl Lines {
    async fn answers(self, stdout: impl AsyncRead + Unpin) {
        let (log, limit) = (Arc::clone(&self.log), self.limit);
        let whole = lines(stdout, limit, |line| self.answer(line)).await;
        if !whole {
            log.host("The handler wrote a line that is too long; it is ended");
        }
    }

    fn answer(&self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Ok(Json::Object(answer)) = serde_json::from_slice(line) else {
            // Often a text that was meant for the log.
            self.log.line("stdout", self.pid, &text(line));
            return;
        };
        let waiting = answer
            .get("id")
            .and_then(Json::as_u64)
            .and_then(|id| self.waiting.lock().remove(&id));
        match waiting {
            Some(waiting) => {
                // Whoever asked may have given up.
                let _ = waiting.send(answer);
            }
            None => self.log.line("stdout", self.pid, &text(line)),
        }
    }
}

async fn stderr_lines(stderr: impl AsyncRead + Unpin, pid: u32, log: Arc<Log>) {
    let take = |line: &[u8]| log.line("stderr", pid, &text(line));
    lines(stderr, usize::MAX, take).await;
}

/// Gives each line to `take`. Ends at the end of the stream, or, with `false`, at a line above `limit` bytes.
/// Without a limit what is above the log's is passed over.
async fn lines(mut stream: impl AsyncRead + Unpin, limit: usize, take: impl Fn(&[u8])) -> bool {
    let (mut line, mut chunk) = (Vec::new(), vec![0; 16 << 10]);
    let keep = if limit == usize::MAX { LOGGED } else { limit };
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        for part in chunk[..read].split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            let room = keep.saturating_sub(line.len());
            if text.len() > room && limit != usize::MAX {
                return false;
            }
            line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                take(&line);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        take(&line);
    }
    true
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(LOGGED)]).into_owned()
}

/// A directory for one process: its input, and its `/tmp`.
fn prepare(run: &Path, data: &Path) -> std::io::Result<(tempfile::TempDir, PathBuf, PathBuf)> {
    fs::create_dir_all(run)?;
    fs::create_dir_all(data)?;
    let directory = tempfile::tempdir_in(run)?;
    let (fifo, tmp) = (directory.path().join("input"), directory.path().join("tmp"));
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    fs::create_dir(&tmp)?;
    Ok((directory, fifo, tmp))
}

fn spec(
    handlers: &Handlers,
    launch: &Launch,
    data: &Path,
    fifo: &Path,
    tmp: PathBuf,
    pass: Option<&Pass>,
) -> Spec {
    let home = &handlers.home;
    let program = launch.words.first().cloned().unwrap_or_default();
    let program = if program.contains('/') {
        launch.directory.join(program)
    } else {
        program.into()
    };
    let mut spec = Spec::new(format!("app-{}", launch.plugin.key), program);
    spec.args = launch.words.iter().skip(1).map(OsString::from).collect();
    spec.cwd.clone_from(&launch.directory);
    spec.env = environment(&handlers.settings.pass_env);
    spec.env.insert("HOME".into(), data.into());
    spec.env.insert("PLUGYARD_DATA_DIR".into(), data.into());
    let plugin = launch.plugin.to_string();
    spec.env.insert("PLUGYARD_PLUGIN".into(), plugin.into());
    if let Some(pass) = pass {
        for (name, value) in pass.environment() {
            spec.env.insert(name, value);
        }
    }
    spec.isolation = Isolation::Required;
    spec.limits = handlers.settings.limits.clone();
    spec.private_tmp = Some(tmp);
    spec.readable = vec![launch.directory.clone()];
    let config = plugyard_platform::config::config_file(home, &launch.plugin, launch.version.id);
    if let Some(directory) = config.parent().filter(|_| config.is_file()) {
        spec.readable.push(directory.to_owned());
        spec.env
            .insert("PLUGYARD_CONFIG_FILE".into(), config.clone().into());
    }
    spec.writable = vec![data.to_owned()];
    spec.hidden = vec![home.root().to_owned()];
    spec.stdin = Some(fifo.to_owned());
    spec
}

/// What is passed on from the server: named here, and nothing else.
fn environment(also: &[String]) -> BTreeMap<OsString, OsString> {
    let passed = |name: &str| {
        matches!(name, "PATH" | "LANG" | "TZ")
            || name.starts_with("LC_")
            || also.iter().any(|it| it == name)
    };
    let mut env: BTreeMap<OsString, OsString> = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(passed))
        .collect();
    env.entry("PATH".into())
        .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    env.insert("PYTHONDONTWRITEBYTECODE".into(), "1".into());
    env
}
