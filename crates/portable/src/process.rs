//! One process of a plugin: how it is started, spoken to and ended.
//!
//! Each process has a run directory of its own, which it sees as its `/tmp`. So the socket names that
//! both SDKs have compiled in mean other sockets for each process, two versions can run beside each
//! other, and whoever comes through a listener in that directory is that process (HOST-8). On a host without
//! mount namespaces they share `/tmp`, and a listener hands each process its own peers; see
//! [`Place`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use plugyard_model::VersionId;
use plugyard_model::{Code, Params, codes};
use plugyard_platform::{Home, Pass};
use plugyard_sandbox::{Limits, Process, Resource, SpawnError, Spec};
use plugyard_sp::{Options, Protocol};
use plugyard_symbol::{SymbolError, SymbolKind};
use tokio::task::JoinHandle;

use crate::attach::cannot_listen;
use crate::config::Sections;
use crate::control::Control;
use crate::environment::Environment;
use crate::lobby::ListenError;
use crate::logs::{self, Logs};
use crate::manifest::{Language, Manifest};
use crate::options::PortableOptions;
use crate::package::DOCUMENT_LIMIT;
use crate::place::{Arrivals, Ground, Place, SinkSocket};
use crate::pool::function_socket;
use crate::settings::PortableSettings;

mod orders;

use orders::Unanswered;

/// The one argument of a plugin; neither SDK does anything with it.
pub(crate) const ARGUMENT: &str = r#"{"sendTimeout":1000}"#;
/// Longest message that a Go plugin takes, request id included (HOST-18).
const GO_MESSAGE_LIMIT: usize = 1024 * 1024;
/// Longest path of a Unix socket as the plugin sees it.
const SOCKET_PATH_LIMIT: usize = 107;
/// Lines of output that stand in an error.
const LAST_LINES: usize = 20;
/// Output that is on its way when a process has ended.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// Processor use is of at least so long.
const CPU_SPAN: Duration = Duration::from_millis(500);

/// What is said of a process that does not shake hands.
pub(crate) const NO_HANDSHAKE: &str = "did not answer its handshake within";
/// Ancestors of a peer that are looked at.
const ANCESTORS: usize = 64;

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// Name of the version's directory, which identifies package and options.
    pub(crate) version: String,
    /// The version.
    pub(crate) id: VersionId,
    /// What the package calls its version.
    pub(crate) label: String,
    pub(crate) manifest: Arc<Manifest>,
    /// Where the version is unpacked.
    pub(crate) directory: PathBuf,
    /// What the plugin keeps for itself.
    pub(crate) data: PathBuf,
    /// Where its values are, when something can be configured.
    pub(crate) config: PathBuf,
    /// Where the executable stands as far as people are concerned.
    pub(crate) shown_executable: PathBuf,
    /// What is set for this installation.
    pub(crate) options: Arc<PortableOptions>,
    /// What its processes may use: what the server gives, what of it the manifest does without, and what
    /// the options say instead.
    pub(crate) limits: Limits,
    /// The Python environment that was made for it.
    pub(crate) environment: Option<Environment>,
}

impl Launch {
    /// How long a call of that function may take (HOST-32): as the options say, else the manifest, else
    /// the server.
    pub(crate) fn call_timeout(&self, function: &str, settings: &PortableSettings) -> Duration {
        let own = self.options.call_timeouts.get(function).copied();
        own.or(self.options.call_timeout)
            .or_else(|| self.manifest.call_timeout(function))
            .unwrap_or(settings.recv_timeout)
            .0
    }
}

/// One running process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) launch: Launch,
    /// Which of the plugin's processes it is, from 0.
    pub(crate) number: usize,
    pub(crate) process: Process,
    pub(crate) started_at: i64,
    control: Control,
    place: Place,
    sections: BTreeMap<String, Sections>,
    logs: Arc<Logs>,
    command_timeout: Duration,
    max_message: usize,
    /// One command at a time, so that each has its own time.
    turn: tokio::sync::Mutex<()>,
    unanswered: parking_lot::Mutex<Unanswered>,
    /// It is meant to end.
    ending: AtomicBool,
    /// What it had used of the processors when that was last looked at.
    cpu: parking_lot::Mutex<CpuUse>,
    /// Why it was ended when it did not behave.
    blame: OnceLock<String>,
    output: parking_lot::Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct CpuUse {
    at: Instant,
    /// Up to that look.
    time: Duration,
    /// On average before that look.
    cores: f64,
}

impl Worker {
    /// Starts the process and returns when its program has been executed.
    ///
    /// # Errors
    /// Why not, in eKuiper's words where it has some.
    pub(crate) async fn start(
        home: &Home,
        settings: &PortableSettings,
        ground: &Ground,
        logs: &Arc<Logs>,
        pass: Option<Pass>,
        launch: Launch,
        number: usize,
    ) -> Result<Arc<Self>, StartError> {
        let name = launch.manifest.name.clone();
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            format!("plugin {name} cannot be started: {what}: {error}")
        };
        let mut place =
            Place::new(home, ground).map_err(|error| failed("its run directory", &error))?;
        std::fs::create_dir_all(&launch.data)
            .map_err(|error| failed("its data directory", &error))?;
        let options = Options {
            max_receive: settings.max_message,
            ..Options::default()
        };
        let refused = |error: ListenError| StartError::of_socket(&name, error);
        let arrivals = place
            .listen(&format!("plugin_{name}.ipc"), Protocol::Rep, options)
            .map_err(refused)?;
        let functions = launch.manifest.symbols(SymbolKind::Function).iter();
        let names: Vec<_> = functions.map(|it| function_socket(it)).collect();
        place
            .claim(names.iter().map(String::as_str))
            .map_err(refused)?;
        let control = Control::new(arrivals);
        let sections = sections(&launch);
        let mut spec = spec(home, settings, &launch);
        place.confine(&mut spec);
        let worker = OsString::from(number.to_string());
        spec.env.insert("PLUGYARD_WORKER".into(), worker);
        // Last, so that no option puts another token in its place.
        spec.env.extend(pass.iter().flat_map(Pass::environment));
        let program = spec.program.clone();
        let mut process = ground
            .launcher
            .spawn_announced(spec, place.announce())
            .await
            .map_err(|error| refusal(&launch, &program, &error))?;
        let pid = process.pid();
        logs.limit(launch.limits.log.unwrap_or(u64::MAX));
        if let Some(pass) = pass {
            let ended = process.ended();
            tokio::spawn(async move {
                ended.await;
                drop(pass);
            });
        }
        logs.host(format!(
            "process {pid} of version {} started",
            shown(&launch.label)
        ));
        let mut output = Vec::new();
        if let Some(pipe) = process.stdout.take() {
            let logs = Arc::clone(logs);
            output.push(tokio::spawn(async move {
                logs.drain("stdout", pid, pipe).await;
            }));
        }
        if let Some(pipe) = process.stderr.take() {
            let logs = Arc::clone(logs);
            output.push(tokio::spawn(async move {
                logs.drain("stderr", pid, pipe).await;
            }));
        }
        Ok(Arc::new(Self {
            launch,
            number,
            process,
            started_at: logs::now(),
            control,
            place,
            sections,
            logs: Arc::clone(logs),
            command_timeout: settings.command_timeout.0,
            max_message: settings.max_message,
            turn: tokio::sync::Mutex::default(),
            unanswered: parking_lot::Mutex::default(),
            ending: AtomicBool::new(false),
            cpu: parking_lot::Mutex::new(CpuUse {
                at: Instant::now(),
                time: Duration::ZERO,
                cores: 0.0,
            }),
            blame: OnceLock::new(),
            output: parking_lot::Mutex::new(output),
        }))
    }

    /// Waits for the handshake.
    ///
    /// # Errors
    /// When the process ends first, or `timeout` passes; with the last lines of its output.
    pub(crate) async fn handshake(&self, timeout: Duration) -> Result<(), String> {
        let name = &self.launch.manifest.name;
        let reason = tokio::select! {
            () = self.control.handshake() => return Ok(()),
            exit = self.process.wait() => {
                format!("`portable:{name}` ended before its handshake ({}).", self.ended(&exit))
            }
            () = tokio::time::sleep(timeout) => {
                format!("`portable:{name}` {NO_HANDSHAKE} {}.", seconds(timeout))
            }
        };
        Err(format!("{reason}{}", self.last_output().await))
    }

    /// Ends the process because it does not behave; whoever watches over it starts another.
    pub(crate) fn recycle(&self, reason: &str) {
        let _ = self.blame.set(reason.to_owned());
        self.logs.host(format!(
            "process {} {reason}: it is ended",
            self.process.pid()
        ));
        // Fails for no signal that exists.
        let _ = self.process.signal(libc::SIGKILL);
    }

    /// Processors that it kept busy, on average since somebody asked before.
    pub(crate) fn cores(&self) -> f64 {
        let time = self.process.usage().cpu_time;
        let mut last = self.cpu.lock();
        let span = last.at.elapsed();
        if span >= CPU_SPAN {
            *last = CpuUse {
                at: Instant::now(),
                time,
                cores: time.saturating_sub(last.time).as_secs_f64() / span.as_secs_f64(),
            };
        }
        (last.cores * 1000.0).round() / 1000.0
    }

    /// How it ended, with the reason when it was ended because it did not behave.
    pub(crate) fn epitaph(&self, exit: &plugyard_sandbox::Exit) -> String {
        match self.blame.get() {
            Some(blame) => format!("{}: {blame}", describe(exit)),
            None => self.ended(exit),
        }
    }

    /// As [`describe`]; of a limit that was the cause it says how much it is and what to do about it.
    fn ended(&self, exit: &plugyard_sandbox::Exit) -> String {
        let Some(resource) = exit.over else {
            return describe(exit);
        };
        let limits = &self.launch.limits;
        let name = &self.launch.manifest.name;
        let (mut about, mut instead) = (String::new(), String::new());
        let limit = match resource {
            Resource::Cpu => limits.cpu.map(|it| it.to_string()),
            Resource::Memory => limits.memory.map(mebibytes),
            Resource::Pids => limits.pids.map(|it| it.to_string()),
            Resource::Files => limits.files.map(|it| it.to_string()),
            Resource::Log => limits.log.map(mebibytes),
            Resource::Disk => {
                let data = self.launch.data.display();
                if let Some(used) = self.process.usage().disk {
                    let used = mebibytes(used);
                    about = format!(", {used} used in {data} and its temporary files");
                }
                instead =
                    format!("make room in {data}, then `plugyard restart portable:{name}`, or ");
                limits.disk.map(mebibytes)
            }
        };
        let limit = limit.map_or_else(String::new, |limit| format!(": at most {limit}{about}"));
        let word = word_of(resource);
        format!(
            "{}{limit}; {instead}give it more: `plugyard set portable:{name} --limit {word}=…`",
            describe(exit)
        )
    }

    /// Asks it to end, waits for at most `grace`, then ends it with everything it started.
    pub(crate) async fn stop(&self, grace: Duration) {
        self.ending.store(true, Ordering::Release);
        let exit = self.process.stop(grace).await;
        self.place.leave();
        self.logs.host(format!(
            "process {} stopped ({})",
            self.process.pid(),
            describe(&exit)
        ));
    }

    /// Ends it at once with everything it started.
    pub(crate) async fn kill(&self) {
        self.process.kill().await;
        self.place.leave();
    }

    /// It has ended: others may have its names.
    pub(crate) fn left(&self) {
        self.place.leave();
    }

    /// Whether it was told to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Listens for this process alone under a name that the SDK dials; `what` for.
    ///
    /// # Errors
    /// When the plugin could not use the name (HOST-16), or somebody else does.
    pub(crate) fn listen(
        &self,
        what: &str,
        name: &str,
        protocol: Protocol,
    ) -> Result<Arrivals, SymbolError> {
        check_socket(name)?;
        self.place
            .listen(name, protocol, self.options())
            .map_err(|error| cannot_listen(what, &error))
    }

    /// Before a sink is started that will listen under a name.
    ///
    /// # Errors
    /// When the plugin could not use the name (HOST-16), or somebody else does.
    pub(crate) fn before_sink(&self, symbol: &str, name: &str) -> Result<(), SymbolError> {
        check_socket(name)?;
        self.place.before_sink(symbol, name)
    }

    /// Where a sink that was started listens.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn sink_socket(&self, name: &str) -> io::Result<SinkSocket> {
        self.place.sink(name)
    }

    /// Limits of its connections; `overhead` bytes of each message are the protocol's.
    pub(crate) fn options(&self) -> Options {
        let max_send = match self.launch.manifest.language {
            Language::Go => GO_MESSAGE_LIMIT,
            Language::Python => usize::MAX,
        };
        Options {
            max_receive: self.max_message,
            max_send,
            ..Options::default()
        }
    }

    /// The configuration file of a source in this version.
    pub(crate) fn sections(&self, source: &str) -> Sections {
        self.sections.get(source).cloned().unwrap_or_default()
    }

    /// The last lines that it wrote, as the end of an error: the useful line first.
    pub(crate) async fn last_output(&self) -> String {
        if self.process.try_wait().is_some() {
            let readers = std::mem::take(&mut *self.output.lock());
            // A grandchild may hold the pipe open; what is there by then has to do.
            let _ = tokio::time::timeout(OUTPUT_GRACE, futures::future::join_all(readers)).await;
        }
        let lines = self.logs.last_of(self.process.pid(), LAST_LINES);
        match lines.split_last() {
            None => " It wrote nothing.".to_owned(),
            Some((last, [])) => format!(" Its last output: `{}`", last.trim()),
            Some((last, before)) => {
                format!(" Its last output: `{}`\n{}", last.trim(), before.join("\n"))
            }
        }
    }
}

/// Why a process does not run.
#[derive(Debug, Clone)]
pub(crate) struct StartError {
    pub(crate) code: Code,
    /// For people, in eKuiper's words where it has some.
    pub(crate) text: String,
    pub(crate) params: Params,
}

impl StartError {
    fn new(code: Code, text: String) -> Self {
        let params = Params::from([("reason".to_owned(), text.clone())]);
        Self { code, text, params }
    }

    fn of_socket(plugin: &str, error: ListenError) -> Self {
        let text = format!("plugin {plugin} cannot be started: its socket: {error}");
        match error {
            ListenError::Taken { path, reason } => Self {
                code: codes::PORTABLE_SOCKET_TAKEN,
                text,
                params: Params::from([
                    ("path".to_owned(), path.display().to_string()),
                    ("holder".to_owned(), reason),
                ]),
            },
            ListenError::Twice | ListenError::Io(_) => text.into(),
        }
    }
}

impl From<String> for StartError {
    fn from(text: String) -> Self {
        Self::new(codes::PORTABLE_START_FAILED, text)
    }
}

impl From<StartError> for String {
    fn from(error: StartError) -> Self {
        error.text
    }
}

/// The word for a limit, as options have it.
const fn word_of(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "cpu",
        Resource::Memory => "memory",
        Resource::Pids => "pids",
        Resource::Files => "files",
        Resource::Disk => "disk",
        Resource::Log => "log",
    }
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// `exit status 1`, `signal: killed`, with the limit that was the cause.
pub(crate) fn describe(exit: &plugyard_sandbox::Exit) -> String {
    match exit.over {
        Some(resource) => format!("{}, over its limit of {}", exit.status, word_of(resource)),
        None => exit.status.to_string(),
    }
}

/// `60 s`, `1.5 s`, `250 ms`.
pub(crate) fn seconds(span: Duration) -> String {
    match span.as_millis() {
        millis if millis < 1000 => format!("{millis} ms"),
        millis if millis % 1000 == 0 => format!("{} s", millis / 1000),
        _ => format!("{:.1} s", span.as_secs_f64()),
    }
}

/// A version as people see it, also when it has no name.
pub(crate) fn shown(label: &str) -> &str {
    if label.is_empty() {
        "without a name"
    } else {
        label
    }
}

/// The name that the sockets of an instance begin with.
pub(crate) fn socket_stem(node: &plugyard_symbol::NodeId) -> String {
    format!("{}_{}_{}", node.rule_id, node.op_id, node.instance_id)
}

/// Whether a plugin could use a socket of that name (HOST-16).
///
/// # Errors
/// Why not, for whoever names rules.
pub(crate) fn check_socket(name: &str) -> Result<(), SymbolError> {
    if "/tmp/".len() + name.len() > SOCKET_PATH_LIMIT {
        return Err(SymbolError::refused(format!(
            "the socket name `{name}` is too long for a plugin: rule and operator together may \
             have 91 characters; choose shorter names"
        )));
    }
    if name.contains(['/', '\0']) {
        return Err(SymbolError::refused(format!(
            "`{name}` cannot be a socket's name: rules and streams are named with letters, \
             digits, `_`, `-` and `$`"
        )));
    }
    Ok(())
}

/// Whether a peer is a process that was started here, or a descendant of one, and runs as our plugins do
/// (HOST-8): the second check behind the run directory.
pub(crate) fn is_ours(connection: &plugyard_sp::Connection) -> bool {
    let pid = connection.peer().and_then(|peer| peer.pid);
    is_same_user(connection) && pid.is_none_or(descends_from_us)
}

/// Whether a peer runs as the user that our plugins run as.
pub(crate) fn is_same_user(connection: &plugyard_sp::Connection) -> bool {
    let ours = rustix::process::geteuid().as_raw();
    connection.peer().is_none_or(|peer| peer.uid == ours)
}

/// Whether this process is among the ancestors of that one.
fn descends_from_us(pid: u32) -> bool {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name, which may hold anything: state, parent.
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let ours = std::process::id();
    std::iter::successors(Some(pid), |pid| parent(*pid))
        .skip(1)
        .take(ANCESTORS)
        .any(|pid| pid == ours)
}

fn sections(launch: &Launch) -> BTreeMap<String, Sections> {
    let read = |source: &String| {
        let path = format!("sources/{source}.yaml");
        // The package was inspected: whatever `install.sh` made of it, the source shall start without.
        let yaml = plugyard_archive::read_file(&launch.directory, &path, DOCUMENT_LIMIT).ok()?;
        let sections = Sections::parse(&yaml).ok()?;
        // One whose name or value is no text sets nothing.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Some((source.clone(), sections.with_variables(source, variables)))
    };
    launch
        .manifest
        .sources
        .iter()
        .flatten()
        .filter_map(read)
        .collect()
}

fn spec(home: &Home, settings: &PortableSettings, launch: &Launch) -> Spec {
    let manifest = &launch.manifest;
    let executable = launch.directory.join(&manifest.executable);
    let python = match &launch.environment {
        Some(environment) => environment.python.clone().into_os_string(),
        None => python(settings).into(),
    };
    let (program, args): (PathBuf, Vec<OsString>) = match manifest.language {
        Language::Go => (executable.clone(), vec![ARGUMENT.into()]),
        Language::Python => match (&manifest.virtual_env_type, &manifest.env) {
            (Some(_), Some(env)) => (
                "conda".into(),
                vec![
                    "run".into(),
                    "-n".into(),
                    env.into(),
                    python,
                    executable.clone().into(),
                    ARGUMENT.into(),
                ],
            ),
            _ => {
                let args = vec!["-u".into(), executable.clone().into(), ARGUMENT.into()];
                (python.into(), args)
            }
        },
    };
    let mut spec = Spec::new(format!("portable-{}", manifest.name), program);
    spec.args = args;
    executable
        .parent()
        .unwrap_or(&launch.directory)
        .clone_into(&mut spec.cwd);
    spec.env = environment(settings, &launch.data, &manifest.name);
    if let Some(environment) = &launch.environment {
        activate(environment, &mut spec.env);
    }
    spec.env.extend(
        launch
            .options
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    spec.limits = launch.limits.clone();
    spec.readable = vec![launch.directory.clone()];
    let made = launch.environment.iter();
    spec.readable
        .extend(made.flat_map(|it| it.readable.iter().cloned()));
    spec.readable.extend(import_roots(&spec.env));
    if launch.config.is_file() {
        let file = launch.config.clone().into();
        spec.env.insert("PLUGYARD_CONFIG_FILE".into(), file);
        // A write replaces the file, which only the directory shows.
        let directory = launch.config.parent().map(Path::to_owned);
        spec.readable.extend(directory);
    }
    spec.writable = vec![launch.data.clone()];
    spec.hidden = hidden(home);
    spec
}

/// What no plugin may see: everything of the server, except what is shown to it by name.
pub(crate) fn hidden(home: &Home) -> Vec<PathBuf> {
    vec![home.root().to_owned()]
}

/// As if somebody had activated it: what the plugin starts by name is found there first.
fn activate(environment: &Environment, env: &mut BTreeMap<OsString, OsString>) {
    if let Some(parent) = environment.bin.parent() {
        env.insert("VIRTUAL_ENV".into(), parent.into());
    }
    let path = env.remove(&OsString::from("PATH")).unwrap_or_default();
    let paths = std::iter::once(environment.bin.clone()).chain(std::env::split_paths(&path));
    // Fails for a directory with a colon in its name, which then is not found by name.
    let path = std::env::join_paths(paths).unwrap_or(path);
    env.insert("PATH".into(), path);
}

/// What `PYTHONPATH` and `LD_LIBRARY_PATH` name, as far as it is there.
fn import_roots(env: &BTreeMap<OsString, OsString>) -> Vec<PathBuf> {
    ["PYTHONPATH", "LD_LIBRARY_PATH"]
        .iter()
        .filter_map(|name| env.get(&OsString::from(name)))
        .flat_map(std::env::split_paths)
        .filter(|path| path.is_absolute() && path.exists())
        .collect()
}

/// The environment of a plugin: what is named here, and nothing else.
pub(crate) fn environment(
    settings: &PortableSettings,
    data: &Path,
    name: &str,
) -> BTreeMap<OsString, OsString> {
    let passed = |name: &str| {
        matches!(
            name,
            "PATH" | "LANG" | "TZ" | "PYTHONPATH" | "LD_LIBRARY_PATH"
        ) || name.starts_with("LC_")
            || name.to_ascii_lowercase().ends_with("_proxy")
            || settings.pass_env.iter().any(|it| it == name)
    };
    let mut env: BTreeMap<OsString, OsString> = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(passed))
        .collect();
    env.entry("PATH".into())
        .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    env.insert("HOME".into(), data.into());
    env.insert("PLUGYARD_PLUGIN".into(), format!("portable:{name}").into());
    env.insert("PLUGYARD_DATA_DIR".into(), data.into());
    env.insert("PYTHONDONTWRITEBYTECODE".into(), "1".into());
    env
}

/// The interpreter: as configured, else `python3`, else `python`.
pub(crate) fn python(settings: &PortableSettings) -> String {
    if let Some(configured) = &settings.python_bin {
        return configured.clone();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    let found = ["python3", "python"].into_iter().find(|name| there(name));
    found.unwrap_or("python3").to_owned()
}

/// Why a process did not start, in eKuiper's words where it has some.
fn refusal(launch: &Launch, program: &Path, error: &SpawnError) -> StartError {
    let shown = launch.shown_executable.display();
    let text = match error {
        SpawnError::Program { source, .. } => {
            let program = if program.starts_with(&launch.directory) {
                launch.shown_executable.as_path()
            } else {
                program
            };
            format!(
                "plugin executable {shown} stops with error fork/exec {}: {}",
                program.display(),
                go_words(source)
            )
        }
        SpawnError::Isolation { reason } => {
            let text = format!(
                "plugin executable {shown} cannot be isolated on this host: {reason}\n\
                 hint: `plugyard doctor` shows what the host permits; user and mount namespaces are \
                 needed, which containers often forbid; with `portable.isolation = \"auto\"` or \
                 `\"shared\"` plugins run without them, less apart from each other"
            );
            return StartError {
                params: Params::from([("reason".to_owned(), reason.clone())]),
                ..StartError::new(codes::PORTABLE_ISOLATION_DENIED, text)
            };
        }
        other => {
            let cause = std::error::Error::source(other).map(|it| format!(": {it}"));
            format!(
                "plugin executable {shown} stops with error {other}{}",
                cause.unwrap_or_default()
            )
        }
    };
    text.into()
}

/// The kernel's answer as Go programs word it.
fn go_words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES) => "permission denied".into(),
        Some(libc::ENOENT) => "no such file or directory".into(),
        Some(libc::ENOEXEC) => "exec format error".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_an_allow_list() {
        let settings = PortableSettings::default();
        let env = environment(&settings, Path::new("/data/x"), "x");
        assert_eq!(
            env.get(&OsString::from("HOME")),
            Some(&OsString::from("/data/x"))
        );
        assert_eq!(
            env.get(&OsString::from("PLUGYARD_PLUGIN")),
            Some(&"portable:x".into())
        );
        assert!(
            env.keys()
                .all(|name| !name.to_string_lossy().starts_with("CARGO"))
        );
    }

    #[test]
    fn spans_read_like_people_say_them() {
        assert_eq!(seconds(Duration::from_mins(1)), "60 s");
        assert_eq!(seconds(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(seconds(Duration::from_millis(250)), "250 ms");
    }
}
