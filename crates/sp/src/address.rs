//! Socket files: addresses of any length, and files that appear and disappear at the right moment.
//!
//! The kernel takes addresses of at most 107 bytes. Longer ones go through `/proc/self/fd`: a
//! listener binds below a descriptor of the directory, a dialler opens the socket file and
//! connects to that descriptor.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The longest address, in bytes, without the zero at its end.
const LONGEST: usize = 107;
/// What a listening socket lets wait before it is accepted; the kernel lowers it to its own limit.
const BACKLOG: i32 = 1024;
/// How often a path is tried that changes under our hands.
const ATTEMPTS: u32 = 16;
/// How often, and how long apart, the lock on a directory is tried; it is held for microseconds.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// Distinguishes the sockets that this process binds.
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A path that can be handed to the kernel as an address for as long as this lives.
#[derive(Debug)]
pub(crate) struct Address {
    path: PathBuf,
    _open: Option<OwnedFd>,
}

impl Address {
    /// The address of an existing socket file.
    pub(crate) fn of_existing(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self {
                path: path.to_owned(),
                _open: None,
            });
        }
        let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self {
            path: descriptor_path(&file),
            _open: Some(file),
        })
    }

    pub(crate) fn as_path(&self) -> &Path {
        &self.path
    }
}

/// The file of a listening socket. Dropping it removes the file, unless another has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    directory: Directory,
    name: OsString,
    identity: Identity,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self
            .directory
            .identity(&self.name)
            .is_ok_and(|found| found == self.identity)
        {
            // Nobody is left to tell if it fails; the next listener removes a stale file.
            let _ = self.directory.remove(&self.name);
        }
    }
}

/// Listens on `path` with a socket file of mode 0600.
///
/// The socket is bound under a passing name, listens, and only then gets its own name, so whoever
/// finds the file can connect, and a file that refuses is certainly stale.
pub(crate) fn listen(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` does not name a file", path.display()),
        )
    })?;
    let directory = Directory::open(path)?;
    let (socket, passing_name) = directory.bind_somewhere()?;
    let mut file = SocketFile {
        identity: directory.identity(&passing_name)?,
        name: passing_name,
        directory,
    };
    rustix::net::listen(&socket, BACKLOG)?;
    for _ in 0..ATTEMPTS {
        match file.directory.rename(&file.name, name) {
            Ok(()) => {
                name.clone_into(&mut file.name);
                return Ok((UnixListener::from(socket), file));
            }
            Err(Errno::EXIST) => remove_if_stale(path, &file.directory, name)?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(in_use(path))
}

/// Makes way at `path`, or says why not.
fn remove_if_stale(path: &Path, directory: &Directory, name: &OsStr) -> io::Result<()> {
    // Else another could remove the same stale file and put its own in place just before we remove.
    let _lock = directory.lock();
    let before = match directory.stat(name) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
            Identity::of(&stat)
        }
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("`{}` exists and is not a socket", path.display()),
            ));
        }
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match is_live(path) {
        Ok(true) => return Err(in_use(path)),
        Ok(false) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match directory.identity(name) {
        Ok(now) if now == before => match directory.remove(name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        },
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Is somebody listening behind this socket file? Never waits.
fn is_live(path: &Path) -> io::Result<bool> {
    let address = Address::of_existing(path)?;
    let probe = socket()?;
    match rustix::net::connect(&probe, &SocketAddrUnix::new(address.as_path())?) {
        // A full queue belongs to a listener, a socket of another type to somebody.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => Ok(true),
        Err(Errno::CONNREFUSED) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
}

fn in_use(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrInUse,
        format!("`{}` is in use by a live listener", path.display()),
    )
}

fn descriptor_path(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

/// What makes a file that file and no other of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// The directory of a socket file, held open so that it stays the same one.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    handle: OwnedFd,
}

impl Directory {
    fn open(file: &Path) -> io::Result<Self> {
        let path = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            path: path.to_owned(),
            handle,
        })
    }

    /// Keeps others from removing stale sockets here, until the descriptor is dropped.
    ///
    /// Whoever may read the directory could hold the lock for ever, so after a short while we go
    /// on without.
    fn lock(&self) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.handle, ".", flags, Mode::empty()).ok()?;
        for _ in 0..LOCK_ATTEMPTS {
            match rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Some(handle),
                Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
                Err(_) => return None,
            }
        }
        None
    }

    /// Binds a socket under a name that nobody else uses.
    fn bind_somewhere(&self) -> io::Result<(OwnedFd, OsString)> {
        let socket = socket()?;
        // The file gets the mode of the socket. Changed afterwards, by name, it could be that of whatever somebody
        // who may write to the directory has put in the file's place.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!(".{:x}-{number:x}.sp", std::process::id());
            let plain = self.path.join(&name);
            let path = if plain.as_os_str().as_bytes().len() <= LONGEST {
                plain
            } else {
                descriptor_path(&self.handle).join(&name)
            };
            match rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?) {
                Ok(()) => return Ok((socket, name.into())),
                Err(Errno::ADDRINUSE) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
        rustix::fs::renameat_with(&self.handle, from, &self.handle, to, RenameFlags::NOREPLACE)
    }

    fn stat(&self, name: &OsStr) -> rustix::io::Result<Stat> {
        rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn identity(&self, name: &OsStr) -> rustix::io::Result<Identity> {
        self.stat(name).map(|stat| Identity::of(&stat))
    }

    fn remove(&self, name: &OsStr) -> rustix::io::Result<()> {
        rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())
    }
}
