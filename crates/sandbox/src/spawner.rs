//! The one thread that starts shims.
//!
//! The kernel sends a parent-death signal when the *thread* that started the process ends. This
//! thread ends with the server and not before, which no thread of an async runtime promises.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;

use tokio::sync::oneshot;

use crate::shim;

/// A shim that has been started, and our end of its socket.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) channel: UnixStream,
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
        for job in jobs {
            // A caller that no longer waits drops the socket, at which the shim ends.
            if let Err(Ok(mut unwanted)) = job.done.send(start_here(&job.shim)) {
                drop(unwanted.channel);
                let _ = unwanted.child.wait();
            }
        }
    };
    // Without the thread the jobs' receiver is dropped, which `start` reports.
    let _ = thread::Builder::new()
        .name("plugyard-spawner".into())
        .spawn(work);
    sender
}

fn start_here(shim: &Path) -> io::Result<Started> {
    let (ours, theirs) = UnixStream::pair()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the shim is how plugins are started"
    )]
    let child = Command::new(shim)
        .arg(shim::COMMAND)
        .current_dir("/")
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    ours.set_nonblocking(true)?;
    Ok(Started {
        child,
        channel: ours,
    })
}
