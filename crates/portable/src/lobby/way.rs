//! Making way at a name that somebody may have: a socket on which nobody listens any more goes, everything
//! else stays, and it is said whose it is.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::ListenError;

/// How often, and how long apart, the lock on the directory is tried; it is held for microseconds.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// Whether somebody listens on a socket.
enum Found {
    /// Somebody does; known are process and user, as far as they can be.
    Live(Option<(u32, u32)>),
    Stale,
    Gone,
    /// It may not be asked.
    Closed,
}

/// Removes a stale socket.
///
/// # Errors
/// Whose it is, or what, when there is anything that stays.
pub(super) fn clear(directory: &Path, path: &Path) -> Result<(), ListenError> {
    let taken = |reason: String| {
        Err(ListenError::Taken {
            path: path.to_owned(),
            reason,
        })
    };
    // Else another could remove the same stale socket and put its own in place just before we remove.
    let _lock = lock(directory);
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if !metadata.file_type().is_socket() {
        return taken("there is something that is no socket; remove it".to_owned());
    }
    let owner = user(metadata.uid());
    match probe(path)? {
        Found::Gone => Ok(()),
        Found::Live(who) => {
            let who = match who {
                Some((pid, uid)) => format!("{} of {}", process(pid), user(uid)),
                None => format!("a process of {owner}"),
            };
            taken(format!(
                "{who} listens there. The SDKs fix the names of sockets, so while plugins share `{}`, one \
                 server alone on this machine can run a plugin, function or rule of a name",
                directory.display()
            ))
        }
        Found::Closed => taken(format!(
            "there is a socket of {owner}, who alone knows whether it is in use"
        )),
        Found::Stale => match fs::remove_file(path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => taken(format!(
                "{owner} left a socket on which nobody listens, and it cannot be removed ({error}): have it removed"
            )),
        },
    }
}

/// Looks whether somebody listens. Never waits.
fn probe(path: &Path) -> io::Result<Found> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    Ok(
        match rustix::net::connect(&socket, &SocketAddrUnix::new(path)?) {
            Ok(()) => Found::Live(socket_peercred(&socket).ok().map(|peer| {
                let pid = peer.pid.as_raw_nonzero().get().cast_unsigned();
                (pid, peer.uid.as_raw())
            })),
            // A full queue belongs to a listener, a socket of another type to somebody.
            Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => Found::Live(None),
            Err(Errno::CONNREFUSED) => Found::Stale,
            Err(Errno::NOENT) => Found::Gone,
            Err(Errno::ACCESS | Errno::PERM) => Found::Closed,
            Err(error) => return Err(error.into()),
        },
    )
}

/// Keeps other servers from removing stale sockets, until the descriptor is dropped.
///
/// Whoever may read the directory could hold the lock for ever, so after a short while we go on without.
fn lock(directory: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::open(directory, flags, Mode::empty()).ok()?;
    for _ in 0..LOCK_ATTEMPTS {
        match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(handle),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

/// A process as people know it.
fn process(pid: u32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim_end()),
        Err(_) => format!("process {pid}"),
    }
}

/// A user as people know them.
fn user(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    });
    match name {
        Some(name) => format!("user `{name}`"),
        None => format!("user {uid}"),
    }
}
