//! The process between the server and a plugin.
//!
//! The server starts its own binary with the hidden argument [`COMMAND`]: that is the *starter*, which
//! does nothing but fork when it is told to. Each of its forks is a shim and a child of the server: it
//! prepares what the plugin may see and use, starts it, stays beside it as process 1 of its pid namespace,
//! reaps what it leaves, and reports how it ended. When the shim ends, everything in the namespace
//! ends; when the server ends, starter and shims end.
//!
//! The starter is a fresh process with one thread, so that its forks may do what a fork of a server with
//! many threads may not: allocate, read files, and enter namespaces. It was never told anything of any
//! plugin, so that nothing of one can be found in the shim of another.
//!
//! A binary that starts plugins calls [`run_if_asked`] first thing in `main`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::io::{IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior};
use rustix::thread::UnshareFlags;

use crate::spec::{Isolated, Isolation};
use crate::sys::{self, Side};
use crate::wire::{self, Failure, FromShim, Step, ToShim};

mod calls;
mod confine;
mod init;
mod mounts;

/// The first argument of the hidden command.
pub const COMMAND: &str = "__plugyard-shim";

/// Becomes the starter if this process was started as one, and returns at once if not.
///
/// To be called first thing in `main`, before there is a second thread. Tests whose binary has no
/// `main` of its own call it from a constructor (crate `ctor`).
pub fn run_if_asked() {
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(COMMAND)) {
        main()
    }
}

/// The starter itself. Standard input must be the socket to the server.
pub fn main() -> ! {
    // Nobody is left to tell when even this fails: the server sees the socket close.
    let code = i32::from(start().is_err());
    process::exit(code)
}

/// What the server wants of a shim's descriptors: its socket, standard output and standard error.
type Ends = [OwnedFd; 3];

/// Forks a shim whenever the server asks for one, until it closes the socket.
fn start() -> io::Result<()> {
    let server = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    // Kernels before 5.11 lack it; what is inherited there stays inherited.
    let _ = sys::close_rest_on_exec();
    // Before anything else, so that no signal to the server's group or terminal comes here. Fails
    // only for the leader of a group, which the server made no one of us.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"shim-starter");
    // A server that ended before sent no signal; its end of the socket is closed.
    die_with_parent()?;
    // A plugin of the same user must not be able to trace what other plugins' shims are made of.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    while let Some(ends) = order(&server)? {
        let answer = match sys::fork_sibling() {
            Ok(Side::Child) => {
                drop(server);
                return run(ends);
            }
            Ok(Side::Parent(pid)) => pid,
            Err(error) => -error.raw_os_error().unwrap_or(libc::EAGAIN),
        };
        drop(ends);
        (&server).write_all(&answer.to_le_bytes())?;
    }
    Ok(())
}

/// The next order; `None` when there will be no more.
fn order(server: &UnixStream) -> io::Result<Option<Ends>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let received = recvmsg(server, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let ends: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(ends) => Some(ends),
            _ => None,
        })
        .flatten()
        .collect();
    let ends = ends.try_into();
    ends.map(Some)
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The shim.
fn run([channel, stdout, stderr]: Ends) -> io::Result<()> {
    let channel = UnixStream::from(channel);
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    // As after an exec: files that say which user this is in its namespace are its own to write.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    let _ = rustix::thread::set_name(c"plugyard-shim");
    // Neither shares a group with another, nor a terminal with the server.
    let _ = rustix::process::setsid();
    die_with_parent()?;

    let ToShim::Request(request) = wire::read(&channel)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    // A server that ended before the line above sent no signal; it is no longer our parent.
    if rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned())
        != Some(request.server_pid)
    {
        return Ok(());
    }

    if let Some(path) = &request.stdin {
        let opened = fs::File::open(path).and_then(|file| Ok(rustix::stdio::dup2_stdin(file)?));
        if let Err(error) = opened {
            let failure = Failure::new(Step::Path, path, &error);
            return wire::write(&channel, &FromShim::Failed(failure));
        }
    }

    // While they can be seen and written to.
    let mut groups = Vec::with_capacity(request.groups.len());
    for path in &request.groups {
        match fs::File::options().write(true).open(path) {
            Ok(group) => groups.push(group),
            Err(error) => {
                let failure = Failure::new(Step::Setup(init::ENTER.into()), path, &error);
                return wire::write(&channel, &FromShim::Failed(failure));
            }
        }
    }

    let mut isolated = Isolated::default();
    if request.isolation != Isolation::Shared {
        match enter_namespaces() {
            Ok(user_namespace) => {
                isolated.pid_namespace = true;
                isolated.mount_namespace = true;
                isolated.user_namespace = user_namespace;
            }
            Err(reason) if request.isolation == Isolation::Required => {
                let failure = Failure::new(Step::Isolate(why_none(&reason)), "", &reason);
                return wire::write(&channel, &FromShim::Failed(failure));
            }
            Err(reason) => isolated.missing.push(why_none(&reason)),
        }
    }

    if !isolated.pid_namespace {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        wire::write(&channel, &FromShim::Init { pid })?;
        return init::run(&channel, &request, &groups, isolated);
    }
    match sys::fork_sibling() {
        Ok(Side::Parent(pid)) => wire::write(&channel, &FromShim::Init { pid }),
        Ok(Side::Child) => {
            die_with_parent()?;
            init::run(&channel, &request, &groups, isolated)
        }
        Err(error) => {
            let failure = Failure::new(Step::Setup("start process 1".into()), "", &error);
            wire::write(&channel, &FromShim::Failed(failure))
        }
    }
}

/// Why there are no namespaces, in words of this matter: the kernel says of too many that a disk is full.
fn why_none(error: &io::Error) -> String {
    if error.raw_os_error() == Some(libc::ENOSPC) {
        return "pid and mount namespaces: user.max_user_namespaces permits no more".to_owned();
    }
    format!("pid and mount namespaces: {error}")
}

/// Leaves the server's pid and mount namespaces, and says whether a user namespace was needed.
/// Of the pid namespace the next child will be process 1.
fn enter_namespaces() -> io::Result<bool> {
    let namespaces = UnshareFlags::NEWPID | UnshareFlags::NEWNS;
    let Err(error) = sys::unshare(namespaces) else {
        return Ok(false);
    };
    if error.raw_os_error() != Some(libc::EPERM) {
        return Err(error);
    }
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    sys::unshare(namespaces | UnshareFlags::NEWUSER)?;
    // The plugin keeps the ids it would have had: nothing it sees of them changes.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{0} {0} 1", uid.as_raw()))?;
    fs::write("/proc/self/gid_map", format!("{0} {0} 1", gid.as_raw()))?;
    Ok(true)
}

fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}
