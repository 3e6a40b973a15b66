//! What the main process gives up before it becomes the plugin, and the exec itself.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use rustix::thread::{Gid, Uid};

use super::{calls, die_with_parent};
use crate::leftovers;
use crate::spec::User;
use crate::sys;
use crate::wire::{self, Failure, FromShim, Request, Step};

/// The newest rules that were tried with Python, Go and shells. Newer kernels keep to these.
const LANDLOCK: ABI = ABI::V6;

/// Where the system keeps what any program may need to read and execute. Not `/var`, `/home` and
/// `/root`: servers and people keep their secrets there. Not `/dev`, where root could read the disks.
const SYSTEM: &[&str] = &[
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr",
    "/etc",
    "/opt",
    "/nix",
    "/gnu",
    "/proc",
    "/sys",
    // Where links in /etc point to on systems whose name service is configured at run time.
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
];

/// What any program may write to.
const SCRATCH: &[&str] = &["/tmp", "/dev/shm"];

/// All of `/dev` that a program may use, beside `/dev/shm`.
const DEVICES: &[&str] = &[
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// What a plugin that runs as root keeps: what handles files of its own and listens on low ports.
/// Nothing that mounts, traces, loads, makes devices, or listens to the network's packets: tokens of
/// callers on this machine pass over its loopback in clear.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Becomes the plugin; returns why not.
///
/// `mark` is what it carries where no namespace holds its family together.
pub(super) fn exec(request: &Request, mark: Option<&str>, status: &File) -> Failure {
    match prepare(request, status) {
        Ok(()) => {}
        Err(failure) => return failure,
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that starts plugins"
    )]
    let mut command = Command::new(&request.program);
    sys::default_signals();
    // Clears the signal mask as well.
    let error = command
        .args(&request.args)
        .env_clear()
        .envs(request.env.iter().map(|(name, value)| (name, value)))
        .envs(mark.map(|mark| (leftovers::MARK, mark)))
        .exec();
    Failure::new(Step::Exec, &request.program, &error)
}

fn prepare(request: &Request, status: &File) -> Result<(), Failure> {
    std::env::set_current_dir(&request.cwd)
        .map_err(|error| Failure::new(Step::Cwd, &request.cwd, &error))?;
    // Opened while every path can still be reached, taken into force last.
    let rules = ruleset(request);
    become_user(request.user).map_err(|error| setup("change user", &error))?;
    // Changing the user clears it.
    die_with_parent().map_err(|error| setup("die with the server", &error))?;
    drop_capabilities().map_err(|error| setup("drop capabilities", &error))?;
    limit(request, status).map_err(|error| setup("set resource limits", &error))?;
    set_no_new_privs(true).map_err(|error| setup("refuse new privileges", &error.into()))?;
    let version = match rules.and_then(RulesetCreated::restrict_self) {
        Ok(restricted) => version(restricted.landlock),
        Err(error) => {
            // Best effort on every host: what is missing is said.
            let _ = wire::write(status, &FromShim::Missing(format!("Landlock: {error}")));
            None
        }
    };
    let _ = wire::write(status, &FromShim::Landlock(version));
    // After everything that it would refuse.
    match calls::refuse() {
        Ok(()) => drop(wire::write(status, &FromShim::Seccomp)),
        Err(error) => {
            let missing = format!("filter of system calls: {error}");
            let _ = wire::write(status, &FromShim::Missing(missing));
        }
    }
    Ok(())
}

/// Restricts this very process, which must have nothing left to do, to learn what is possible.
pub(super) fn landlock_version() -> Option<u32> {
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))
        .ok()?
        .create()
        .ok()?;
    version(rules.restrict_self().ok()?.landlock)
}

fn version(status: LandlockStatus) -> Option<u32> {
    match status {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi.min(LANDLOCK) as u32),
        _ => None,
    }
}

fn setup(what: &str, error: &io::Error) -> Failure {
    Failure::new(Step::Setup(what.to_owned()), "", error)
}

fn become_user(user: Option<User>) -> io::Result<()> {
    let Some(User { uid, gid }) = user else {
        return Ok(());
    };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // These change one thread, and one thread is all there is.
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Only root has something to lose; for others exec clears what a user namespace gave them.
fn drop_capabilities() -> io::Result<()> {
    let held = capabilities(None)?;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all().iter() {
            if !KEPT.contains(capability) {
                // Newer than the kernel, or not known to it: then nobody can have it either.
                let _ = remove_capability_from_bounding_set(capability);
            }
        }
    }
    set_capabilities(
        None,
        CapabilitySets {
            effective: held.effective & KEPT,
            permitted: held.permitted & KEPT,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}

fn limit(request: &Request, status: &File) -> io::Result<()> {
    // A core file would hold the plugin's secrets and escape the limit of its disk.
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    if let Some(files) = request.files {
        let hard = getrlimit(Resource::Nofile).maximum;
        let both = |limit| Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        if let (Err(_), Some(hard)) = (setrlimit(Resource::Nofile, both(files)), hard) {
            setrlimit(Resource::Nofile, both(hard))?;
            let missing = format!("{files} open files: this host permits {hard}");
            let _ = wire::write(status, &FromShim::Missing(missing));
        }
    }
    if let Some(data) = request.data {
        setrlimit(
            Resource::Data,
            Rlimit {
                current: Some(data),
                maximum: Some(data),
            },
        )?;
    }
    Ok(())
}

fn ruleset(request: &Request) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::from_read(LANDLOCK);
    let all = AccessFs::from_all(LANDLOCK);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?;
    let system = SYSTEM.iter().map(PathBuf::from);
    let readable = request
        .readable
        .iter()
        .chain(&request.implied)
        .map(PathBuf::from);
    for path in system.chain(readable) {
        rules = allow(rules, &path, read)?;
    }
    let for_sockets = |path: &PathBuf| request.socket_dirs.iter().any(|it| Path::new(it) == path);
    let scratch = SCRATCH
        .iter()
        .map(PathBuf::from)
        .filter(|path| !for_sockets(path));
    for path in scratch.chain(request.writable.iter().map(PathBuf::from)) {
        rules = allow(rules, &path, all)?;
    }
    for path in &request.socket_dirs {
        rules = allow(rules, Path::new(path), AccessFs::MakeSock.into())?;
    }
    for path in DEVICES {
        rules = allow(
            rules,
            Path::new(path),
            read | AccessFs::WriteFile | AccessFs::IoctlDev,
        )?;
    }
    Ok(rules)
}

/// A path that is not there needs no rule.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(parent) = PathFd::new(path) else {
        return Ok(rules);
    };
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(LANDLOCK)
    };
    rules.add_rule(PathBeneath::new(parent, access))
}
