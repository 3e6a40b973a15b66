//! The system calls that cannot be called safely in general, with the reason why they are safe
//! here. All other modules do without `unsafe`.
#![expect(
    unsafe_code,
    reason = "process creation and mount flags have no safe interface"
)]

use std::io;
use std::mem::size_of;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::thread::UnshareFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Which side of a fork this is.
pub(crate) enum Side {
    /// The new process.
    Child,
    /// The old one, with the pid of the new one as it sees it.
    Parent(i32),
}

/// Makes a child.
///
/// May only be called while this process has one thread; the shim has.
pub(crate) fn fork() -> io::Result<Side> {
    debug_assert!(single_threaded());
    // SAFETY: with one thread no lock can be held by a thread that the child lacks, so that the
    // child may do whatever the parent may.
    side(unsafe { libc::fork() }.into())
}

/// Makes a sibling: a process whose parent is this process's parent, which therefore can wait for
/// it after this process is gone.
///
/// May only be called while this process has one thread; the shim has.
pub(crate) fn fork_sibling() -> io::Result<Side> {
    debug_assert!(single_threaded());
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    let none: libc::c_long = 0;
    // SAFETY: without CLONE_VM and with no stack given this is a fork: the child gets a copy of
    // the address space and runs on its own copy of this stack. The arguments after the flags are
    // all zero, so that their order, which differs between architectures, does not matter. The C
    // library does not learn of the fork, which leaves it with the old thread id: it only compares
    // that id with those of other threads, of which there are none yet.
    side(unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) })
}

/// Leaves namespaces of the parent.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    assert!(
        !flags.contains(UnshareFlags::FILES),
        "descriptors stay shared"
    );
    // SAFETY: unsafe only for `FILES`, which was excluded above.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Makes the mount that `mount` refers to read-only, with everything below it if asked.
pub(crate) fn set_read_only(mount: impl AsFd, recursive: bool) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the descriptor is open, the path is a C string, and `attributes` is a `mount_attr`
    // of the size given that outlives the call, which only reads it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Keeps every descriptor but the standard three from the program that is executed next. What the
/// server itself was started with may lack the flag that does so.
pub(crate) fn close_rest_on_exec() -> io::Result<()> {
    let (first, last, flags) = (3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: sets a flag of descriptors and closes none.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets every signal back to its default action, as what ignores a signal hands that on.
pub(crate) fn default_signals() {
    // The real-time signals below 34 belong to the C library, which refuses them here.
    for signal in 1..=64 {
        // SAFETY: installs no handler; what cannot be changed is refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Waits for a descriptor to become readable.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, stays so, and stays the same descriptor until it is dropped,
    // which only `AsyncFd` does, after it has taken it off its list.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(Into::into)
}

/// Has the C library's allocator make no more than so many arenas, where it is glibc's.
pub(crate) fn limit_arenas(most: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator, which takes its own locks; what it does not know is refused.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, most);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = most;
}

/// Gives heap that is free back to the kernel, where the C library is glibc.
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches no memory that is in use, and takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the kernel forget that it mapped these pages of the program. They must be private, executable and not
/// writable, and a file's.
pub(crate) fn forget_code(pages: &Range<usize>) {
    let start = std::ptr::without_provenance_mut(pages.start);
    // SAFETY: the caller's pages were never written to, so that whoever uses them next, this thread included, finds
    // the same bytes, which the kernel maps again from the file. No Rust value lies in them that could change.
    // Whatever is no such range is refused.
    unsafe { libc::madvise(start, pages.len(), libc::MADV_DONTNEED) };
}

fn side(result: libc::c_long) -> io::Result<Side> {
    match i32::try_from(result).expect("a pid fits an i32") {
        0 => Ok(Side::Child),
        pid if pid > 0 => Ok(Side::Parent(pid)),
        _ => Err(io::Error::last_os_error()),
    }
}

fn single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}
