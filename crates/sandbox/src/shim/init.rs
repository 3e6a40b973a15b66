//! Process 1 of the plugin: starts the main process, reaps, passes signals on, and ends with it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process;
use std::thread;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group,
    set_dumpable_behavior, wait,
};

use super::{calls, confine, die_with_parent, mounts};
use crate::exit::ExitStatus;
use crate::proc;
use crate::spec::Isolated;
use crate::sys::{self, Side};
use crate::wire::{self, Failure, FromShim, Request, Step, ToShim};

/// What fails when a process cannot enter its control groups.
pub(super) const ENTER: &str = "enter the control group";

/// Returns when the plugin has ended, or has never begun.
pub(super) fn run(
    channel: &UnixStream,
    request: &Request,
    groups: &[File],
    mut isolated: Isolated,
) -> io::Result<()> {
    if let Err(failure) = mounts::apply(request, &mut isolated) {
        return wire::write(channel, &FromShim::Failed(failure));
    }
    if request.probe {
        isolated.landlock = confine::landlock_version();
        match calls::refuse() {
            Ok(()) => isolated.seccomp = true,
            Err(error) => {
                let missing = format!("filter of system calls: {error}");
                isolated.missing.push(missing);
            }
        }
        return wire::write(channel, &FromShim::Probed(isolated));
    }

    // Closed without a word by a successful exec.
    let (status_reader, status_writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let (gate_reader, gate_writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let own_namespace = isolated.pid_namespace;
    let main = match sys::fork() {
        Ok(Side::Child) => {
            drop((status_reader, gate_writer));
            let (gate, status) = (File::from(gate_reader), File::from(status_writer));
            return main_process(request, groups, own_namespace, gate, status);
        }
        Ok(Side::Parent(pid)) => Pid::from_raw(pid).expect("the kernel gives no pid of 0"),
        Err(error) => {
            let failure = Failure::new(Step::Setup("start the main process".into()), "", &error);
            return wire::write(channel, &FromShim::Failed(failure));
        }
    };
    drop((status_writer, gate_reader));
    // A plugin of the same user must not be able to trace the process that could undo its mounts.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    // The ends of the plugin's output that are open here would keep its readers waiting.
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;

    wire::write(
        channel,
        &FromShim::Forked {
            pid: main.as_raw_nonzero().get(),
            isolated,
        },
    )?;
    // Also where a server that died before the death signal was set is noticed.
    let ToShim::Go = wire::read(channel)? else {
        return Ok(());
    };
    File::from(gate_writer).write_all(&[1])?;

    let mut status = File::from(status_reader);
    let mut failed = false;
    while let Ok(message) = wire::read::<FromShim>(&mut status) {
        failed |= matches!(message, FromShim::Failed(_));
        wire::write(channel, &message)?;
    }
    if failed {
        return Ok(());
    }
    wire::write(channel, &FromShim::Started)?;

    let commands = channel.try_clone()?;
    thread::Builder::new()
        .name("commands".into())
        .stack_size(64 * 1024)
        .spawn(move || obey(&commands, main, own_namespace))?;
    if !own_namespace {
        // Killed with the server, this process could end nothing but the main process. It sees the socket
        // close instead, and ends everything.
        rustix::process::set_parent_process_death_signal(None)?;
    }
    reap(channel, main, own_namespace)
}

/// Waits for every child until the main process ends, which ends everything.
fn reap(channel: &UnixStream, main: Pid, own_namespace: bool) -> io::Result<()> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == main => {
                if let Some(status) = exit_status(status) {
                    // First, because a server that is gone makes telling it the end of us.
                    if !own_namespace {
                        end_family();
                    }
                    // In a namespace our own end, which follows, is the end of everything.
                    return wire::write(channel, &FromShim::Exited(status));
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Carries out what the server says until it says no more.
fn obey(mut commands: impl Read, main: Pid, own_namespace: bool) {
    loop {
        let order = wire::read(&mut commands);
        let gone = order.is_err();
        match order {
            Ok(ToShim::Signal(number)) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    // Only fails when there is nothing left to signal.
                    let _ = kill_process_group(main, signal);
                }
            }
            Ok(ToShim::Go | ToShim::Request(_)) => {}
            // A server that closed the socket is gone or wants the plugin gone.
            Ok(ToShim::Kill) | Err(_) if own_namespace => process::exit(0),
            // The end of the main process makes the other thread end the rest, and reap it.
            Ok(ToShim::Kill) | Err(_) => kill_family(),
        }
        if gone {
            return;
        }
    }
}

/// Ends and reaps all our descendants.
///
/// As a subreaper we inherit what loses its parent, so that killing our children again and again
/// reaches everything. What forks faster than this is left to the server, which kills the control
/// group.
fn end_family() {
    for _ in 0..1000 {
        kill_family();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn kill_family() {
    for pid in proc::tree(process::id()) {
        if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn exit_status(status: WaitStatus) -> Option<ExitStatus> {
    status
        .exit_status()
        .map(ExitStatus::Code)
        .or_else(|| status.terminating_signal().map(ExitStatus::Signal))
}

/// The main process, until it becomes the plugin. Returns only when it does not.
fn main_process(
    request: &Request,
    groups: &[File],
    own_namespace: bool,
    mut gate: File,
    mut status: File,
) -> io::Result<()> {
    die_with_parent()?;
    rustix::process::setsid()?;
    // An end without a byte is the end of the shim.
    gate.read_exact(&mut [0])?;
    for (mut group, path) in groups.iter().zip(&request.groups) {
        // The one thread that there is.
        if let Err(error) = group.write_all(b"0") {
            let failure = Failure::new(Step::Setup(ENTER.into()), path, &error);
            return wire::write(&mut status, &FromShim::Failed(failure));
        }
    }
    // Under memory pressure a plugin goes before the server. May be refused; nothing depends on it.
    let _ = fs::write("/proc/self/oom_score_adj", "300");
    let mark = (!own_namespace).then_some(request.mark.as_str());
    let failure = confine::exec(request, mark, &status);
    wire::write(&mut status, &FromShim::Failed(failure))
}
