//! Starting programs, waiting for them, and ending them when the chore is interrupted.
//!
//! A chore that was told to end (SIGINT, SIGTERM) ends its children first and then unwinds, so that
//! whatever it set up is taken down by the usual destructors.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use std::sync::OnceLock;

static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// How long children may take to end after they were asked to.
const GRACE: Duration = Duration::from_secs(10);

const BEAT: Duration = Duration::from_millis(20);

/// From now on SIGINT and SIGTERM are remembered instead of ending the chore at once.
pub(crate) fn watch_signals() -> Result<()> {
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [2_i32, 15] {
        let value = number.unsigned_abs() as usize;
        signal_hook::flag::register_usize(number, Arc::clone(&signal), value)
            .context("cannot watch for signals")?;
    }
    let _ = SIGNAL.set(signal);
    Ok(())
}

/// The exit code to end with when a signal came (130 or 143).
pub(crate) fn interrupted() -> Option<u8> {
    match SIGNAL.get()?.load(Ordering::Relaxed) {
        0 => None,
        number => Some(128 + u8::try_from(number).unwrap_or(2)),
    }
}

/// Fails when a signal came.
pub(crate) fn check_interrupted() -> Result<()> {
    if interrupted().is_some() {
        bail!("interrupted");
    }
    Ok(())
}

/// A program to be started.
#[expect(
    clippy::disallowed_methods,
    reason = "chores start programs, not plugins"
)]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// Cargo of the toolchain that runs this chore.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::workspace::root());
    cargo
}

/// A child in a process group of its own, which is ended whole when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    ended: bool,
}

impl Group {
    /// Starts it without standard input.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        check_interrupted()?;
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", describe(command)))?;
        Ok(Self {
            child,
            ended: false,
        })
    }

    /// The child itself, for its pipes and its id.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it ended, and how.
    pub(crate) fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait().context("cannot wait for a child")?;
        self.ended |= status.is_some();
        Ok(status)
    }

    /// Waits until it ends or the chore is interrupted.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            check_interrupted()?;
            thread::sleep(BEAT);
        }
    }

    /// Asks the group to end, waits, and kills it when it does not.
    pub(crate) fn end(&mut self) -> Result<ExitStatus> {
        let group = Pid::from_child(&self.child);
        if !self.ended {
            let _ = kill_process_group(group, Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            thread::sleep(BEAT);
        }
        let _ = kill_process_group(group, Signal::KILL);
        let status = self.child.wait().context("cannot wait for a child")?;
        self.ended = true;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.end();
        }
    }
}

/// Runs a program to its end with this chore's output, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = Group::start(command)?.wait()?;
    if !status.success() {
        bail!("{} ended with {status}", describe(command));
    }
    Ok(())
}

/// What a program wrote and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end and collects what it writes.
pub(crate) fn capture(command: &mut Command) -> Result<Output> {
    let mut group = Group::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let stdout = drain(group.child().stdout.take());
    let stderr = drain(group.child().stderr.take());
    let status = group.wait()?;
    Ok(Output {
        status,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}

/// What a program wrote to its standard output; fails when it fails.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = capture(command)?;
    if !output.status.success() {
        bail!(
            "{} ended with {}:\n{}",
            describe(command),
            output.status,
            output.stderr.trim_end()
        );
    }
    Ok(output.stdout)
}

/// The same, with what the program says beside its output shown as it comes.
pub(crate) fn read_shown(command: &mut Command) -> Result<String> {
    let mut group = Group::start(command.stdout(Stdio::piped()))?;
    let stdout = drain(group.child().stdout.take());
    let status = group.wait()?;
    if !status.success() {
        bail!("{} ended with {status}", describe(command));
    }
    Ok(stdout.join().unwrap_or_default())
}

/// The command line, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    format!("`{}`", words.join(" "))
}

/// Calls `probe` until it has an answer; fails when `limit` is over or the chore is interrupted.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        check_interrupted()?;
        if Instant::now() > deadline {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        thread::sleep(BEAT);
    }
}

/// Reads a pipe to its end beside the caller.
pub(crate) fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
