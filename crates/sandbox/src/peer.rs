//! Telling plugins from people on a local socket.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::proc;

/// Deeper than any real chain of parents.
const MAX_ANCESTORS: usize = 4096;

static SHIMS: Mutex<Option<HashSet<u32>>> = Mutex::new(None);

/// Is the process at the other end of a socket a plugin, or started by one?
///
/// `pid` is the peer's as this process sees it (`SO_PEERCRED`). It is a plugin if it lives in
/// another pid or mount namespace than this process, or descends from a shim of this process. What
/// cannot be looked at (the process has ended, or belongs to somebody we may not look at) counts as
/// a plugin: a plugin is never the owner.
pub fn is_plugin_peer(pid: u32) -> bool {
    let same = |kind| {
        matches!(
            (proc::namespace("self", kind), proc::namespace(&pid.to_string(), kind)),
            (Ok(ours), Ok(theirs)) if ours == theirs
        )
    };
    !same("pid") || !same("mnt") || descends_from_shim(pid)
}

pub(crate) fn register(shim: u32) {
    shims().get_or_insert_default().insert(shim);
}

pub(crate) fn unregister(shim: u32) {
    shims().get_or_insert_default().remove(&shim);
}

fn descends_from_shim(pid: u32) -> bool {
    let shims = shims().clone().unwrap_or_default();
    let mut at = pid;
    for _ in 0..MAX_ANCESTORS {
        if shims.contains(&at) {
            return true;
        }
        // Process 1 has parent 0.
        match proc::stat(at) {
            Ok(stat) if stat.parent == 0 => return false,
            Ok(stat) => at = stat.parent,
            Err(_) => return true,
        }
    }
    true
}

fn shims() -> MutexGuard<'static, Option<HashSet<u32>>> {
    // A set of numbers is whole even if a holder panicked.
    SHIMS.lock().unwrap_or_else(PoisonError::into_inner)
}
