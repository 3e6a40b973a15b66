//! The process between the server and a plugin.
//!
//! The server starts its own binary with the hidden argument [`COMMAND`]; that process prepares
//! what the plugin may see and use, starts it, stays beside it as process 1 of its pid namespace,
//! reaps what it leaves, and reports how it ended. When the shim ends, everything in the namespace
//! ends; when the server ends, the shim ends.
//!
//! It is a fresh process with one thread, so that it may do what a fork of a server with many
//! threads may not: allocate, read files, and enter namespaces.
//!
//! A binary that starts plugins calls [`run_if_asked`] first thing in `main`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process;

use rustix::process::Signal;
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

/// Becomes the shim if this process was started as one, and returns at once if not.
///
/// To be called first thing in `main`, before there is a second thread. Tests whose binary has no
/// `main` of its own call it from a constructor (crate `ctor`).
pub fn run_if_asked() {
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(COMMAND)) {
        main()
    }
}

/// The shim itself. Standard input must be the socket to the server.
pub fn main() -> ! {
    // Nobody is left to tell when even this fails: the server sees the socket close.
    let code = i32::from(run().is_err());
    process::exit(code)
}

fn run() -> io::Result<()> {
    let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    // Kernels before 5.11 lack it; what is inherited there stays inherited.
    let _ = sys::close_rest_on_exec();
    // Before anything else, so that no signal to the server's group or terminal comes here. Fails
    // only for the leader of a group, which the server made no one of us.
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
