//! The one thread that starts shims, and the process that it has them started from.
//!
//! The kernel sends a parent-death signal when the *thread* that started the process ends. This
//! thread ends with the server and not before, which no thread of an async runtime promises.
//!
//! To execute a program as large as a server takes milliseconds and megabytes each time, nearly all of
//! them for its loader. So that is done once, for the [starter](crate::shim), and each shim is a copy of it.

use std::collections::HashMap;
use std::io::{self, IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::sync::oneshot;

use crate::shim;

/// A fork takes less than a millisecond; a starter that needs this long is stopped or stuck.
const STARTER_TIMEOUT: Duration = Duration::from_secs(10);

/// A shim that has been started, and our ends of its socket and its output.
pub(crate) struct Started {
    /// A child of this process, which nobody has waited for.
    pub(crate) pid: u32,
    pub(crate) channel: UnixStream,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

struct Job {
    shim: PathBuf,
    done: oneshot::Sender<io::Result<Started>>,
}

/// Starts `shim` with standard output and error as pipes and nothing else in common with us.
pub(crate) async fn start(shim: PathBuf) -> io::Result<Started> {
    static THREAD: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let (done, started) = oneshot::channel();
    {
        let jobs = THREAD.get_or_init(|| Mutex::new(spawn_thread()));
        let jobs = jobs
            .lock()
            .map_err(|_| io::Error::other("the spawning thread is gone"))?;
        jobs.send(Job { shim, done }).map_err(io::Error::other)?;
    }
    started.await.map_err(io::Error::other)?
}

fn spawn_thread() -> Sender<Job> {
    let (sender, jobs) = channel::<Job>();
    let work = move || {
        let mut starters = HashMap::new();
        for job in jobs {
            // A caller that no longer waits drops the socket, at which the shim ends.
            if let Err(Ok(unwanted)) = job.done.send(start_here(&mut starters, &job.shim)) {
                drop(unwanted.channel);
                let _ = waitpid(pid_of(unwanted.pid), WaitOptions::empty());
            }
        }
    };
    // Without the thread the jobs' receiver is dropped, which `start` reports.
    let _ = thread::Builder::new()
        .name("plugyard-spawner".into())
        .spawn(work);
    sender
}

/// Has a shim started, by a new starter where the one before is gone.
fn start_here(starters: &mut HashMap<PathBuf, Starter>, shim: &Path) -> io::Result<Started> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let (stdout, their_stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (stderr, their_stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    let theirs = [theirs.into(), their_stdout, their_stderr];
    let answer = match starters.get_mut(shim).map(|it| it.fork(&theirs)) {
        Some(Ok(answer)) => answer,
        gone => {
            if gone.is_some() {
                starters.remove(shim);
            }
            let mut starter = Starter::begin(shim)?;
            let answer = starter.fork(&theirs)?;
            starters.insert(shim.to_owned(), starter);
            answer
        }
    };
    let pid = answer.map_err(io::Error::from_raw_os_error)?;
    Ok(Started {
        pid,
        channel: ours,
        stdout: stdout.into(),
        stderr: stderr.into(),
    })
}

/// The process that shims are copies of. It ends with its socket.
struct Starter {
    process: Child,
    socket: UnixStream,
}

impl Starter {
    fn begin(shim: &Path) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(STARTER_TIMEOUT))?;
        socket.set_write_timeout(Some(STARTER_TIMEOUT))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the shim is how plugins are started"
        )]
        let process = Command::new(shim)
            .arg(shim::COMMAND)
            .current_dir("/")
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, socket })
    }

    /// A shim with this socket and these outputs: its pid, or the number of the error why the kernel made
    /// none.
    ///
    /// # Errors
    ///
    /// When the starter is gone or does not answer.
    fn fork(&mut self, theirs: &[OwnedFd; 3]) -> io::Result<Result<u32, i32>> {
        let descriptors = theirs.each_ref().map(|it| it.as_fd());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let order = [IoSlice::new(&[0])];
        sendmsg(&self.socket, &order, &mut control, SendFlags::NOSIGNAL)?;
        let mut answer = [0; 4];
        self.socket.read_exact(&mut answer)?;
        let answer = i32::from_le_bytes(answer);
        Ok(u32::try_from(answer).map_err(|_| answer.saturating_neg()))
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        // Gone already, or of no use any more. What it started is not its child and stays.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(pid.cast_signed())
}
