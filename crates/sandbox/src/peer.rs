//! Telling plugins from people on a local socket.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::proc;

/// Deeper than any real chain of parents.
const MAX_ANCESTORS: usize = 4096;
/// Filters of system calls that every plugin gets.
const FILTERS: u32 = 2;

static SHIMS: Mutex<Option<HashSet<u32>>> = Mutex::new(None);

/// Whether this process has ever started one that shares its namespaces, so that these tell nothing.
static SHARED: AtomicBool = AtomicBool::new(false);

/// Is the process at the other end of a socket a plugin, or started by one?
///
/// `pid` is the peer's as this process sees it (`SO_PEERCRED`). It is a plugin if it lives in
/// another pid or mount namespace than this process, or descends from a shim of this process. What
/// cannot be looked at (the process has ended, or belongs to somebody we may not look at) counts as
/// a plugin: a plugin is never the owner.
///
/// Once a process was started without namespaces, so does whoever gave up as much as plugins do, which cannot be
/// taken back: a child of a plugin that lost its shim descends from nobody.
pub fn is_plugin_peer(pid: u32) -> bool {
    let same = |kind| {
        matches!(
            (proc::namespace("self", kind), proc::namespace(&pid.to_string(), kind)),
            (Ok(ours), Ok(theirs)) if ours == theirs
        )
    };
    !same("pid")
        || !same("mnt")
        || !matches!(shim_above(pid), Ok(None))
        || (SHARED.load(Ordering::Acquire) && is_confined(pid))
}

/// The shim, as [`crate::Process::shim_pid`] names it, that the process descends from; `None` for one that
/// descends from none of this process's, and for one that has ended.
pub fn shim_of(pid: u32) -> Option<u32> {
    shim_above(pid).ok().flatten()
}

pub(crate) fn register(shim: u32) {
    shims().get_or_insert_default().insert(shim);
}

pub(crate) fn unregister(shim: u32) {
    shims().get_or_insert_default().remove(&shim);
}

/// From now on there are processes that share our namespaces.
pub(crate) fn sharing() {
    SHARED.store(true, Ordering::Release);
}

/// The nearest shim among the process and its ancestors.
///
/// # Errors
///
/// When one of them cannot be looked at any more.
fn shim_above(pid: u32) -> io::Result<Option<u32>> {
    let shims = shims().clone().unwrap_or_default();
    let mut at = pid;
    for _ in 0..MAX_ANCESTORS {
        if shims.contains(&at) {
            return Ok(Some(at));
        }
        // Process 1 has parent 0.
        match proc::stat(at)?.parent {
            0 => return Ok(None),
            parent => at = parent,
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Has it given up what plugins give up, and this process has not?
fn is_confined(pid: u32) -> bool {
    match (
        proc::confinement(std::process::id()),
        proc::confinement(pid),
    ) {
        (Ok(ours), Ok(theirs)) => {
            theirs.no_new_privileges && theirs.filters >= ours.filters + FILTERS
        }
        _ => true,
    }
}

fn shims() -> MutexGuard<'static, Option<HashSet<u32>>> {
    // A set of numbers is whole even if a holder panicked.
    SHIMS.lock().unwrap_or_else(PoisonError::into_inner)
}
