//! One running process.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::cgroup::Group;
use crate::exit::{Exit, ExitStatus};
use crate::leftovers;
use crate::limits::{Enforcement, Resource};
use crate::peer;
use crate::pidfd::Pidfd;
use crate::sample::{self, Sample, Watch};
use crate::spec::Isolated;
use crate::wire::{self, FromShim, ToShim};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looking costs at most this part of a processor.
const LOOK_SHARE: u32 = 20;
/// How long a shim without a namespace may take to find and end what it started.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);
/// No disk was measured yet.
const UNKNOWN: u64 = u64::MAX;

/// A running process, with everything it started. Dropping it ends all of them.
#[derive(Debug)]
pub struct Process {
    /// Standard output, until somebody takes it.
    pub stdout: Option<tokio::process::ChildStdout>,
    /// Standard error, until somebody takes it.
    pub stderr: Option<tokio::process::ChildStderr>,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<ToShim>,
    exit: watch::Receiver<Option<Exit>>,
}

/// What a process uses at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of memory: charged to its control group without reclaimable cache, else resident.
    pub memory: u64,
    /// Processor time; without a control group only that of processes that still live.
    pub cpu_time: Duration,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes below its writable directories, as last measured.
    pub disk: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    main: u32,
    init: Pidfd,
    isolated: Isolated,
    enforcement: Enforcement,
    group: Group,
    record: Option<PathBuf>,
    /// What its processes carry, where no namespace holds them together.
    mark: Option<String>,
    watch: Watch,
    disk: AtomicU64,
}

/// A process that has just begun, without what watches over it.
pub(crate) struct Running {
    pub(crate) main: u32,
    pub(crate) init: Pidfd,
    pub(crate) isolated: Isolated,
    pub(crate) channel: UnixStream,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

impl Process {
    /// The main process, as this process sees it.
    pub fn pid(&self) -> u32 {
        self.shared.main
    }

    /// The process beside it, of which everything that the plugin starts is a descendant.
    pub fn shim_pid(&self) -> u32 {
        self.shared.init.pid()
    }

    /// Waits for the end of the main process and of everything it left. May be called at any time
    /// and by several at once.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await.map(|exit| *exit) {
            Ok(Some(exit)) => exit,
            // The task that watches ends without a word only with the runtime.
            _ => Exit {
                status: ExitStatus::Signal(libc::SIGKILL),
                over: None,
            },
        }
    }

    /// Resolves when it has ended, without keeping it.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut exit = self.exit.clone();
        async move {
            // Fails when nobody watches it any more: then it has ended too.
            let _ = exit.wait_for(Option::is_some).await;
        }
    }

    /// How it ended, if it did.
    pub fn try_wait(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Sends a signal (`libc::SIGHUP`, …) to the process group of the main process. To a process
    /// that has ended, nothing is sent and nothing is said.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for a number that is no signal with a name.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        Signal::from_named_raw(number).ok_or(io::ErrorKind::InvalidInput)?;
        // Fails when nobody watches any more, because the process has ended.
        let _ = self.commands.send(ToShim::Signal(number));
        Ok(())
    }

    /// Asks the main process group to end (SIGTERM), waits for at most `grace`, and then ends
    /// everything (eKuiper's HOST-13).
    pub async fn stop(&self, grace: Duration) -> Exit {
        let _ = self.commands.send(ToShim::Signal(libc::SIGTERM));
        if let Ok(exit) = timeout(grace, self.wait()).await {
            return exit;
        }
        self.kill().await
    }

    /// Ends the process and everything it started, at once.
    pub async fn kill(&self) -> Exit {
        self.end();
        self.wait().await
    }

    /// What it uses now. Reads a few files.
    pub fn usage(&self) -> Usage {
        let Shared {
            group, init, disk, ..
        } = &*self.shared;
        let (memory, pids, cpu) = (group.memory_used(), group.pids_used(), group.cpu_used());
        let (memory, pids, cpu_time) =
            if let (Some(memory), Some(pids), Some(cpu)) = (memory, pids, cpu) {
                (memory, pids, cpu)
            } else {
                let tree = sample::tree(init.pid());
                (
                    memory.unwrap_or(tree.memory),
                    pids.unwrap_or(tree.pids),
                    cpu.unwrap_or(tree.cpu),
                )
            };
        let disk = Some(disk.load(Ordering::Relaxed)).filter(|disk| *disk != UNKNOWN);
        Usage {
            memory,
            cpu_time,
            pids,
            disk,
        }
    }

    /// Who keeps which of its limits.
    pub fn enforcement(&self) -> &Enforcement {
        &self.shared.enforcement
    }

    /// What isolation it has, and what of it is missing.
    pub fn isolation(&self) -> &Isolated {
        &self.shared.isolated
    }

    fn end(&self) {
        let _ = self.commands.send(ToShim::Kill);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl Running {
    /// Sets the task on it that waits, looks and tidies up.
    pub(crate) fn watched(
        self,
        group: Group,
        record: Option<PathBuf>,
        mark: String,
        enforcement: Enforcement,
        watch: Watch,
    ) -> Process {
        let mark = (!self.isolated.pid_namespace).then_some(mark);
        let shared = Arc::new(Shared {
            main: self.main,
            init: self.init,
            isolated: self.isolated,
            enforcement,
            group,
            record,
            mark,
            watch,
            disk: AtomicU64::new(UNKNOWN),
        });
        let (commands, orders) = mpsc::unbounded_channel();
        let (tell, exit) = watch::channel(None);
        let (reader, writer) = self.channel.into_split();
        let status = tokio::spawn(exit_status(reader));
        let warden = Arc::clone(&shared);
        tokio::spawn(async move {
            let (shim, over) = warden.supervise(orders, writer).await;
            // The socket has nobody left at its other end, so that this ends.
            let status = status.await.ok().flatten().unwrap_or(shim);
            let over = warden.tidy(over).await;
            tell.send_replace(Some(Exit { status, over }));
        });
        Process {
            // These fail only outside a runtime.
            stdout: self
                .stdout
                .and_then(|pipe| tokio::process::ChildStdout::from_std(pipe).ok()),
            stderr: self
                .stderr
                .and_then(|pipe| tokio::process::ChildStderr::from_std(pipe).ok()),
            shared,
            commands,
            exit,
        }
    }
}

impl Shared {
    /// Until the shim has ended, which is after the main process and, in a namespace, after
    /// everything.
    async fn supervise(
        self: &Arc<Self>,
        mut orders: mpsc::UnboundedReceiver<ToShim>,
        mut writer: OwnedWriteHalf,
    ) -> (ExitStatus, Option<Resource>) {
        let mut over = None;
        let mut look_at = Instant::now() + LOOK_EVERY;
        let mut kill_at = None;
        let ended = self.init.reap();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                status = &mut ended => {
                    let killed = ExitStatus::Signal(libc::SIGKILL);
                    return (status.unwrap_or(killed), over);
                }
                Some(order) = orders.recv() => {
                    if matches!(order, ToShim::Kill) {
                        kill_at = kill_at.or(Some(self.kill()));
                    }
                    // Fails only when the shim has ended, which the arm above sees.
                    let _ = wire::send(&mut writer, &order).await;
                }
                () = sleep_until(kill_at.unwrap_or(look_at)), if kill_at.is_some() => {
                    self.init.kill();
                    // It is dying; there is nothing more to do to it.
                    kill_at = Some(Instant::now() + KILL_TIMEOUT);
                }
                () = sleep_until(look_at), if !self.watch.is_empty() => {
                    let began = Instant::now();
                    let sample = self.look().await;
                    if let Some(disk) = sample.disk {
                        self.disk.store(disk, Ordering::Relaxed);
                    }
                    if let Some(resource) = sample.over.filter(|_| over.is_none()) {
                        over = Some(resource);
                        kill_at = Some(self.kill());
                        let _ = wire::send(&mut writer, &ToShim::Kill).await;
                    }
                    look_at = Instant::now() + LOOK_EVERY.max(began.elapsed() * LOOK_SHARE);
                }
            }
        }
    }

    /// Ends it the quick way where that reaches everything, and says when to use it anyway.
    fn kill(&self) -> Instant {
        if self.isolated.pid_namespace {
            self.init.kill();
        }
        Instant::now() + KILL_TIMEOUT
    }

    async fn look(self: &Arc<Self>) -> Sample {
        let this = Arc::clone(self);
        let look = move || this.watch.look(this.init.pid());
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Leaves nothing of it, and says which limit it ran into.
    async fn tidy(self: &Arc<Self>, over: Option<Resource>) -> Option<Resource> {
        peer::unregister(self.init.pid());
        let this = Arc::clone(self);
        let work = move || {
            // A shim that was killed could not look after what it had started.
            if let Some(mark) = &this.mark {
                leftovers::sweep(mark);
            }
            let memory = (this.group.out_of_memory_kills() > 0).then_some(Resource::Memory);
            if let Err(error) = this.group.remove() {
                tracing::warn!(%error, "control group of an ended process cannot be removed");
                // The record leads the next server there.
                return memory;
            }
            if let Some(record) = &this.record
                && let Err(error) = fs::remove_file(record)
            {
                tracing::warn!(%error, path = %record.display(), "record of an ended process cannot be removed");
            }
            memory
        };
        over.or(tokio::task::spawn_blocking(work).await.ok().flatten())
    }
}

/// What the shim says of the main process, if it comes to say it.
async fn exit_status(mut reader: OwnedReadHalf) -> Option<ExitStatus> {
    loop {
        match wire::receive(&mut reader).await {
            Ok(FromShim::Exited(status)) => return Some(status),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}
