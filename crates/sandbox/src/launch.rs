//! From a specification to a running process.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UnixStream;

use crate::cgroup::{Cgroups, Group};
use crate::error::SpawnError;
use crate::host::HostReport;
use crate::leftovers::{self, Record};
use crate::limits::{Enforced, Enforcement, How, Limits};
use crate::pidfd::Pidfd;
use crate::process::{Process, Running};
use crate::sample::Watch;
use crate::spec::{Isolated, Isolation, Spec};
use crate::wire::{self, FromShim, Request, ToShim};
use crate::{peer, proc, program, spawner};

/// Mounts and an exec take milliseconds; a file server that does not answer takes for ever.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Stays this binary when its file is replaced by a newer one.
const SELF: &str = "/proc/self/exe";

/// Starts processes. Cheap to clone; clones are the same launcher. One run directory has one.
#[derive(Debug, Clone)]
pub struct Launcher {
    inner: Arc<Inner>,
}

/// Told of a process before its program is executed.
type Announce = Box<dyn FnOnce(u32) + Send>;

#[derive(Debug)]
struct Inner {
    /// Names the servers that use the run directory, one after the other.
    instance: String,
    run_dir: PathBuf,
    shim: PathBuf,
    cgroups: Arc<Cgroups>,
}

impl Launcher {
    /// A launcher that records its processes in `run_dir` and uses this very binary as the shim,
    /// which therefore must call [`crate::shim::run_if_asked`].
    ///
    /// Makes the directory (0700) if it is not there.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read.
    pub fn new(run_dir: &Path) -> io::Result<Self> {
        Self::with(run_dir, PathBuf::from(SELF), Cgroups::open)
    }

    /// Like [`Launcher::new`], but leaves control groups alone, as on a host that lends none.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read.
    pub fn without_cgroups(run_dir: &Path) -> io::Result<Self> {
        Self::with(run_dir, PathBuf::from(SELF), |_| {
            Cgroups::none("switched off")
        })
    }

    /// Like [`Launcher::new`] with another binary as the shim.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read.
    pub fn with_shim(run_dir: &Path, shim: PathBuf) -> io::Result<Self> {
        Self::with(run_dir, shim, Cgroups::open)
    }

    fn with(
        run_dir: &Path,
        shim: PathBuf,
        cgroups: impl FnOnce(&str) -> Cgroups,
    ) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(run_dir)?;
        let run_dir = fs::canonicalize(run_dir)?;
        let instance = leftovers::instance(&run_dir)?;
        let cgroups = Arc::new(cgroups(&instance));
        Ok(Self {
            inner: Arc::new(Inner {
                instance,
                run_dir,
                shim,
                cgroups,
            }),
        })
    }

    /// Starts a process and returns when its program has been executed.
    ///
    /// Must be called in a tokio runtime with I/O and time. The process lives at most as long as
    /// the runtime. Safe to cancel: what was started is ended.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] says what could not be done; nothing is left of the process then.
    pub async fn spawn(&self, spec: Spec) -> Result<Process, SpawnError> {
        self.spawn_announced(spec, |_| {}).await
    }

    /// As [`spawn`](Self::spawn); before the program is executed, `announce` is told the pid of the shim, which
    /// is what [`crate::shim_of`] says of whatever the program starts.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub async fn spawn_announced(
        &self,
        spec: Spec,
        announce: impl FnOnce(u32) + Send + 'static,
    ) -> Result<Process, SpawnError> {
        let inner = Arc::clone(&self.inner);
        let announce: Announce = Box::new(announce);
        // A task of its own, so that a caller who stops waiting does not leave a half-made one.
        match tokio::spawn(async move { inner.start(spec, announce).await }).await {
            Ok(started) => started,
            Err(error) => Err(SpawnError::ShimLost {
                source: io::Error::other(error),
            }),
        }
    }

    /// What the servers that use this run directory one after the other have in common, and no others:
    /// 16 hexadecimal digits.
    pub fn instance(&self) -> &str {
        &self.inner.instance
    }

    /// Finds out what isolation a process gets that asks for all of it.
    ///
    /// # Errors
    ///
    /// Why none could be started.
    pub async fn isolation(&self) -> Result<Isolated, String> {
        self.inner
            .probe()
            .await
            .map_err(|error| match error.os_error() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            })
    }

    /// Finds out what this host can enforce.
    pub async fn host(&self) -> HostReport {
        let limits = Limits::default();
        let group = self.inner.cgroups.create(&Inner::name("probe"), &limits);
        let enforcement = enforcement(&limits, &group, &self.inner.cgroups);
        // Empty, so that it goes at once.
        let _ = group.remove();
        let isolation = self.isolation().await;
        HostReport {
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            root: rustix::process::geteuid().is_root(),
            pidfd: crate::pidfd::open(std::process::id()).is_ok(),
            isolation,
            cgroups: self.inner.cgroups.report(),
            enforcement,
        }
    }
}

impl Inner {
    async fn start(&self, spec: Spec, announce: Announce) -> Result<Process, SpawnError> {
        let name = Self::name(&spec.name);
        // The groups are made while the shim is started.
        let (shim, group) = tokio::join!(self.start_shim(), async {
            self.cgroups.create(&name, &spec.limits)
        });
        let mut record = None;
        let started = match shim {
            Ok(shim) => {
                self.start_in(shim, &spec, &name, &group, &mut record, announce)
                    .await
            }
            Err(error) => Err(error),
        };
        match started {
            Ok(running) => {
                let enforcement = enforcement(&spec.limits, &group, &self.cgroups);
                let watch = watch(&spec, &enforcement);
                let mark = leftovers::mark(&self.instance, &name);
                Ok(running.watched(group, record, mark, enforcement, watch))
            }
            Err(error) => {
                // Whatever was in it is gone; what cannot be removed now, the next server removes.
                let _ = tokio::task::spawn_blocking(move || group.remove()).await;
                if let Some(record) = record {
                    let _ = fs::remove_file(record);
                }
                Err(error)
            }
        }
    }

    async fn start_in(
        &self,
        mut shim: Shim,
        spec: &Spec,
        name: &str,
        group: &Group,
        record: &mut Option<PathBuf>,
        announce: Announce,
    ) -> Result<Running, SpawnError> {
        let data = spec
            .limits
            .memory
            .filter(|_| group.memory_version().is_none());
        let dialogue = async {
            let request = Request {
                groups: group.entrances().map(PathBuf::into_os_string).collect(),
                mark: leftovers::mark(&self.instance, name),
                ..request(spec, data)
            };
            shim.send(&ToShim::Request(Box::new(request))).await?;
            let (main, mut isolated) = shim.until_forked().await?;
            let attached = tokio::task::spawn_blocking(group.attach(main)).await;
            attached
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(|error| {
                    SpawnError::setup("put the process into its control group", None, error)
                })?;
            let path = Record::path(&self.run_dir, name);
            let pids = [
                shim.init.as_ref().map_or(shim.outer.pid(), Pidfd::pid),
                main,
            ];
            Record::write(&path, &pids, group.paths().map(Path::to_owned)).map_err(|error| {
                SpawnError::setup("record the process in", Some(path.clone()), error)
            })?;
            *record = Some(path);
            // Before it can connect to anything.
            peer::register(pids[0]);
            if !isolated.pid_namespace {
                peer::sharing();
            }
            announce(pids[0]);
            shim.send(&ToShim::Go).await?;
            loop {
                match shim.receive().await? {
                    FromShim::Started => return Ok((main, isolated)),
                    FromShim::Landlock(version) => isolated.landlock = version,
                    FromShim::Seccomp => isolated.seccomp = true,
                    FromShim::Missing(what) => isolated.missing.push(what),
                    other => return Err(unexpected(&other)),
                }
            }
        };
        match timed(dialogue).await {
            Ok((main, isolated)) => {
                let (init, channel, stdout, stderr) = shim.into_parts();
                Ok(Running {
                    main,
                    init,
                    isolated,
                    channel,
                    stdout,
                    stderr,
                })
            }
            Err(error) => {
                peer::unregister(shim.init.as_ref().unwrap_or(&shim.outer).pid());
                shim.abandon().await;
                Err(error)
            }
        }
    }

    async fn probe(&self) -> Result<Isolated, SpawnError> {
        let mut spec = Spec::new("probe", "/");
        spec.isolation = Isolation::BestEffort;
        // A mount that plugins need, and that some hosts refuse although they permit the namespace.
        spec.private_tmp = Some(self.run_dir.clone());
        let mut shim = self.start_shim().await?;
        let dialogue = async {
            let request = Request {
                probe: true,
                ..request(&spec, None)
            };
            shim.send(&ToShim::Request(Box::new(request))).await?;
            loop {
                match shim.receive().await? {
                    FromShim::Init { pid } => shim.meet(pid)?,
                    FromShim::Probed(isolated) => return Ok(isolated),
                    other => return Err(unexpected(&other)),
                }
            }
        };
        let probed = timed(dialogue).await;
        shim.abandon().await;
        probed
    }

    async fn start_shim(&self) -> Result<Shim, SpawnError> {
        let failed = |source| SpawnError::Shim {
            shim: self.shim.clone(),
            source,
        };
        let started = spawner::start(self.shim.clone()).await.map_err(failed)?;
        Ok(Shim {
            outer: Pidfd::of_child(started.pid).map_err(failed)?,
            init: None,
            channel: UnixStream::from_std(started.channel).map_err(failed)?,
            stdout: Some(started.stdout),
            stderr: Some(started.stderr),
        })
    }

    /// A name that no other process of this server has, and none of an earlier one whose record is
    /// still there.
    fn name(wanted: &str) -> String {
        // Of all launchers of this process: two may follow each other on one directory, while the
        // first still tidies up.
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let kept = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let mut name: String = wanted
            .chars()
            .take(100)
            .map(|c| if kept(c) { c } else { '_' })
            .collect();
        if name.starts_with('.') || name.is_empty() {
            name.insert(0, '_');
        }
        format!("{name}-{}-{number}", std::process::id())
    }
}

/// A shim that is being told what to do.
struct Shim {
    /// The process that was started; ends as soon as there is an `init`.
    outer: Pidfd,
    /// The process that stays, if it is another one.
    init: Option<Pidfd>,
    channel: UnixStream,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Shim {
    async fn send(&mut self, message: &ToShim) -> Result<(), SpawnError> {
        wire::send(&mut self.channel, message)
            .await
            .map_err(|source| SpawnError::ShimLost { source })
    }

    /// A failure that the shim reports is ours.
    async fn receive(&mut self) -> Result<FromShim, SpawnError> {
        match wire::receive(&mut self.channel).await {
            Ok(FromShim::Failed(failure)) => Err(failure.into()),
            Ok(message) => Ok(message),
            Err(source) => Err(SpawnError::ShimLost { source }),
        }
    }

    /// Waits until the main process exists, and returns its pid as this process sees it.
    async fn until_forked(&mut self) -> Result<(u32, Isolated), SpawnError> {
        let (mut met, mut forked) = (false, None);
        loop {
            // The two come from two processes, in any order.
            match self.receive().await? {
                FromShim::Init { pid } => {
                    self.meet(pid)?;
                    met = true;
                }
                FromShim::Forked { pid, isolated } => {
                    forked = Some((pid.cast_unsigned(), isolated));
                }
                other => return Err(unexpected(&other)),
            }
            if let (true, Some((inside, isolated))) = (met, &forked) {
                let init = self.init.as_ref().unwrap_or(&self.outer).pid();
                // It waits to be let go, so that it is there.
                let main = proc::children(init)
                    .into_iter()
                    .find(|pid| proc::pid_inside(*pid).is_ok_and(|pid| pid == *inside));
                let main = main.ok_or_else(|| {
                    let source = io::ErrorKind::NotFound.into();
                    SpawnError::setup("find the main process in /proc", None, source)
                })?;
                return Ok((main, isolated.clone()));
            }
        }
    }

    fn meet(&mut self, pid: i32) -> Result<(), SpawnError> {
        let pid = pid.cast_unsigned();
        if pid != self.outer.pid() {
            let init = Pidfd::of_child(pid)
                .map_err(|error| SpawnError::setup("watch the shim", None, error))?;
            self.init = Some(init);
        }
        Ok(())
    }

    /// Hands over what stays, and sees the rest off.
    fn into_parts(self) -> (Pidfd, UnixStream, Option<ChildStdout>, Option<ChildStderr>) {
        let init = match self.init {
            Some(init) => {
                tokio::spawn(async move { self.outer.reap().await });
                init
            }
            None => self.outer,
        };
        (init, self.channel, self.stdout, self.stderr)
    }

    /// Ends all of it.
    async fn abandon(self) {
        // At the closed socket the shim ends what it started, as it does when the server dies.
        drop(self.channel);
        for process in self.init.iter().chain([&self.outer]) {
            let ended = tokio::time::timeout(Duration::from_secs(2), process.reap()).await;
            if ended.is_err() {
                process.kill();
                // Ends it unless the kernel itself is stuck, and then there is nothing to wait for.
                let _ = tokio::time::timeout(Duration::from_secs(2), process.reap()).await;
            }
        }
    }
}

async fn timed<T>(dialogue: impl Future<Output = Result<T, SpawnError>>) -> Result<T, SpawnError> {
    match tokio::time::timeout(START_TIMEOUT, dialogue).await {
        Ok(ended) => ended,
        Err(_) => Err(SpawnError::Timeout {
            seconds: START_TIMEOUT.as_secs(),
        }),
    }
}

fn unexpected(message: &FromShim) -> SpawnError {
    let source = io::Error::new(
        io::ErrorKind::InvalidData,
        format!("unexpected {message:?}"),
    );
    SpawnError::ShimLost { source }
}

fn request(spec: &Spec, data: Option<u64>) -> Request {
    let raw = |paths: &[PathBuf]| {
        paths
            .iter()
            .map(|path| path.clone().into_os_string())
            .collect()
    };
    let path = spec.env.get(OsStr::new("PATH")).map(OsString::as_os_str);
    // A relative program is relative to where it will be started.
    let program = if spec.program.components().count() > 1 {
        spec.cwd.join(&spec.program)
    } else {
        spec.program.clone()
    };
    let mut implied = program::roots(&program, path);
    // Being nowhere in particular is no wish to see everything.
    if spec.cwd != Path::new("/") {
        implied.insert(spec.cwd.clone());
    }
    Request {
        server_pid: std::process::id(),
        probe: false,
        program: spec.program.clone().into_os_string(),
        args: spec.args.clone(),
        cwd: spec.cwd.clone().into_os_string(),
        env: spec
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        isolation: spec.isolation,
        user: spec.user,
        private_tmp: spec.private_tmp.clone().map(PathBuf::into_os_string),
        readable: raw(&spec.readable),
        writable: raw(&spec.writable),
        socket_dirs: raw(&spec.socket_dirs),
        hidden: raw(&spec.hidden),
        stdin: spec.stdin.clone().map(PathBuf::into_os_string),
        implied: implied.into_iter().map(PathBuf::into_os_string).collect(),
        files: spec.limits.files,
        groups: Vec::new(),
        mark: String::new(),
        data,
    }
}

/// What has to be looked at because nothing else keeps it.
fn watch(spec: &Spec, enforcement: &Enforcement) -> Watch {
    let sampled = |enforced: &Enforced, limit| {
        if enforced.how == How::Sampled {
            limit
        } else {
            None
        }
    };
    Watch {
        memory: sampled(&enforcement.memory, spec.limits.memory),
        pids: sampled(&enforcement.pids, spec.limits.pids),
        disk: sampled(&enforcement.disk, spec.limits.disk),
        directories: outermost(spec.writable.iter().chain(&spec.private_tmp)),
    }
}

/// A directory that lies in another one would be counted twice.
fn outermost<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = paths
        .filter_map(|path| fs::canonicalize(path).ok())
        .collect();
    paths.sort();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.last().is_some_and(|last| path.starts_with(last)) {
            kept.push(path);
        }
    }
    kept
}

fn enforcement(limits: &Limits, group: &Group, cgroups: &Cgroups) -> Enforcement {
    let report = cgroups.report();
    let why = |reason: Result<_, String>| match reason {
        Ok(_) => group.refused.join("; "),
        Err(reason) => reason,
    };
    let kernel = |version: crate::CgroupVersion| Enforced::new(How::Kernel, version.name());
    let sampled = |by: String| Enforced::new(How::Sampled, format!("every second; {by}"));
    let of = |set: bool, kept: Option<Enforced>, otherwise: &dyn Fn() -> Enforced| {
        if set {
            kept.unwrap_or_else(otherwise)
        } else {
            Enforced::unlimited()
        }
    };
    Enforcement {
        cpu: of(
            limits.cpu.is_some(),
            group.cpu_version().map(kernel),
            &|| Enforced::new(How::NotEnforced, why(report.cpu.clone())),
        ),
        memory: of(
            limits.memory.is_some(),
            group.memory_version().map(kernel),
            &|| {
                sampled(format!(
                    "RLIMIT_DATA for each process; {}",
                    why(report.memory.clone())
                ))
            },
        ),
        pids: of(
            limits.pids.is_some(),
            group.pids_version().map(kernel),
            &|| sampled(why(report.pids.clone())),
        ),
        files: of(
            limits.files.is_some(),
            Some(Enforced::new(How::Kernel, "RLIMIT_NOFILE for each process")),
            &Enforced::unlimited,
        ),
        disk: of(limits.disk.is_some(), None, &|| {
            sampled("directories are measured".into())
        }),
        log: of(limits.log.is_some(), None, &|| {
            Enforced::new(How::NotEnforced, "kept by whoever stores the output")
        }),
    }
}
