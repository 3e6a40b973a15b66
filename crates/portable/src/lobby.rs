//! The real `/tmp` as the place where plugins and host meet, for hosts that permit no mount namespace.
//!
//! There each socket name exists once, whichever process it is meant for. So the host listens on a name
//! once, and hands each peer to the process that it descends from (HOST-8): the processes of two versions
//! or of a pool dial the same path and are told apart by their pids.
//!
//! Every socket is made in a directory of the server's own, [`Lobby::own`], and from there linked to its
//! name, which succeeds for one server only. After a crash that directory says which names to take away.
//! The socket that a plugin listens on for a sink goes the other way: it is moved into that directory
//! as soon as it is there, so that the name is free for the next process and the end of an earlier one,
//! which removes the name, removes nobody else's.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use plugyard_sandbox::shim_of;
use plugyard_sp::{Connection, Listener, Options, Protocol};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::process::is_same_user;

mod way;

/// Peers that wait to be taken by the process they belong to; more are turned away.
const WAITING: usize = 64;
/// Any right of the group and of others.
const OTHERS: u32 = 0o077;
/// How often a name is tried that changes under our hands.
const ATTEMPTS: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lobby {
    /// Where the SDKs look for sockets.
    directory: PathBuf,
    own: PathBuf,
    next: AtomicU64,
    /// Held also while a file is made or removed in the own directory, which goes when it is empty.
    desks: Mutex<HashMap<String, Desk>>,
}

/// A process, as peers are known by: the pid of its shim, 0 until that is known.
#[derive(Debug, Default)]
pub(crate) struct Visitor(AtomicU32);

/// A name on which we listen.
#[derive(Debug)]
struct Desk {
    file: SocketFile,
    protocol: Protocol,
    entries: HashMap<u64, Present>,
    router: AbortHandle,
}

/// Why a name is listened on.
#[derive(Debug)]
struct Present {
    /// Whose it is.
    visitor: Arc<Visitor>,
    /// Where its peers go; nowhere while the name is only kept.
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    options: Options,
    found: mpsc::Sender<Connection>,
}

/// A socket under its name and under ours. Dropped, both are removed.
#[derive(Debug)]
struct SocketFile {
    name: PathBuf,
    own: PathBuf,
    identity: (u64, u64),
}

/// The peers of one process under one name. Dropped, it listens no more for it.
#[derive(Debug)]
pub(crate) struct Door {
    found: mpsc::Receiver<Connection>,
    _entry: Entry,
}

/// A name that is kept from others.
#[derive(Debug)]
pub(crate) struct Claim {
    _entry: Entry,
}

#[derive(Debug)]
struct Entry {
    lobby: Weak<Lobby>,
    name: String,
    number: u64,
}

/// A file or directory of ours in the lobby. Dropped, it is removed with all that is in it.
#[derive(Debug)]
pub(crate) struct Kept {
    lobby: Arc<Lobby>,
    path: PathBuf,
}

/// Why a name cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The same process has it for something else (HOST-17).
    #[error("it is in use by the same process")]
    Twice,
    /// Somebody else has it, and it can be had nowhere else.
    #[error("`{}` cannot be had: {reason}", path.display())]
    Taken {
        path: PathBuf,
        /// Who has it, or what it is.
        reason: String,
    },
    /// The operating system's word.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Visitor {
    /// To be told before the program runs.
    pub(crate) fn announce(&self, shim: u32) {
        self.0.store(shim, Ordering::Release);
    }

    /// Whether a peer descends from it.
    pub(crate) fn is(&self, connection: &Connection) -> bool {
        let pid = connection.peer().and_then(|peer| peer.pid);
        is_same_user(connection) && pid.and_then(shim_of) == Some(self.0.load(Ordering::Acquire))
    }
}

impl Lobby {
    /// The lobby in `directory` of the servers with that instance, which come one after the other. Makes
    /// nothing yet.
    pub(crate) fn new(directory: &Path, instance: &str) -> Self {
        Self {
            own: directory.join(format!(".plugyard-{instance}")),
            directory: directory.to_owned(),
            next: AtomicU64::new(1),
            desks: Mutex::default(),
        }
    }

    /// Where the SDKs look for sockets.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes away what an earlier server left; to be called before anything else.
    pub(crate) fn clean(&self) {
        // Somebody else's directory of that name has nothing to say about sockets of ours.
        if !is_ours(&self.own) {
            return;
        }
        for entry in fs::read_dir(&self.own).into_iter().flatten().flatten() {
            let own = entry.path();
            match entry.file_name().to_str().and_then(|it| it.split_once('-')) {
                Some((_, name)) if entry.file_type().is_ok_and(|it| it.is_socket()) => {
                    let name = self.directory.join(name);
                    let Ok(identity) = identity(&own) else {
                        continue;
                    };
                    drop(SocketFile {
                        name,
                        own,
                        identity,
                    });
                }
                _ => remove(&own),
            }
        }
        remove(&self.own);
    }

    /// Keeps a name from other servers for as long as the claim lives.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub(crate) fn claim(
        self: &Arc<Self>,
        name: &str,
        protocol: Protocol,
        visitor: &Arc<Visitor>,
    ) -> Result<Claim, ListenError> {
        let present = Present {
            visitor: Arc::clone(visitor),
            waiting: None,
        };
        let entry = self.enter(name, protocol, present)?;
        Ok(Claim { _entry: entry })
    }

    /// Listens on nothing more for a process, which has ended: its names are free when this returns.
    pub(crate) fn forget(&self, visitor: &Arc<Visitor>) {
        let mut desks = self.desks.lock();
        desks.retain(|_, desk| {
            desk.entries
                .retain(|_, present| !Arc::ptr_eq(&present.visitor, visitor));
            !desk.entries.is_empty()
        });
        self.leave_empty();
    }

    /// Listens on a name for one process.
    ///
    /// # Errors
    /// Each [`ListenError`].
    pub(crate) fn listen(
        self: &Arc<Self>,
        name: &str,
        protocol: Protocol,
        options: Options,
        visitor: &Arc<Visitor>,
    ) -> Result<Door, ListenError> {
        let (sender, found) = mpsc::channel(WAITING);
        let present = Present {
            visitor: Arc::clone(visitor),
            waiting: Some(Waiting {
                options,
                found: sender,
            }),
        };
        let entry = self.enter(name, protocol, present)?;
        Ok(Door {
            found,
            _entry: entry,
        })
    }

    /// Makes way for a plugin that is about to listen under a name.
    ///
    /// # Errors
    /// Each [`ListenError`].
    pub(crate) fn make_way(&self, name: &str) -> Result<(), ListenError> {
        let path = self.directory.join(name);
        if self.desks.lock().contains_key(name) {
            let reason = "another symbol of this server has a socket of the same name".to_owned();
            return Err(ListenError::Taken { path, reason });
        }
        way::clear(&self.directory, &path)
    }

    /// Takes the socket that a plugin made under a name into our own directory, from where it is dialled.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn take(self: &Arc<Self>, name: &str) -> io::Result<Kept> {
        let kept = self.keep(&format!("{}.sink", self.number()), |_| Ok(()))?;
        fs::rename(self.directory.join(name), &kept.path)?;
        Ok(kept)
    }

    /// Gives back what was taken by mistake.
    pub(crate) fn give_back(&self, kept: &Kept, name: &str) {
        // Fails when there is something by now, which then is the one that counts.
        if fs::hard_link(&kept.path, self.directory.join(name)).is_err() {
            tracing::warn!(
                name,
                "A socket that is not a plugin's could not be put back"
            );
        }
    }

    /// A new empty directory for the files of one process.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn scratch(self: &Arc<Self>) -> io::Result<Kept> {
        self.keep(&self.number(), |path| {
            DirBuilder::new().mode(0o700).create(path)
        })
    }

    /// Puts names back that somebody removed, as those do who tidy `/tmp`.
    pub(crate) fn mend(&self) {
        for (name, desk) in &*self.desks.lock() {
            if let Err(error) = desk.file.link(&self.directory) {
                tracing::warn!(name, %error, "A socket is gone and cannot be put back");
            }
        }
    }

    fn number(&self) -> String {
        format!("{:x}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn keep(
        self: &Arc<Self>,
        name: &str,
        make: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Kept> {
        let _held = self.desks.lock();
        self.make_own()?;
        let path = self.own.join(name);
        make(&path)?;
        let lobby = Arc::clone(self);
        Ok(Kept { lobby, path })
    }

    /// Makes our directory, in which nobody else has anything to do.
    fn make_own(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.own) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => {
                return made.map_err(|error| {
                    let own = self.own.display();
                    io::Error::new(error.kind(), format!("`{own}` cannot be made: {error}"))
                });
            }
        }
        if is_ours(&self.own) {
            return Ok(());
        }
        let own = self.own.display();
        let text = format!("`{own}` is somebody else's, or others may enter it: remove it");
        Err(io::Error::new(ErrorKind::PermissionDenied, text))
    }

    fn enter(
        self: &Arc<Self>,
        name: &str,
        protocol: Protocol,
        present: Present,
    ) -> Result<Entry, ListenError> {
        let mut desks = self.desks.lock();
        if let Some(desk) = desks.get(name) {
            let twice = |other: &Present| {
                other.waiting.is_some() && Arc::ptr_eq(&present.visitor, &other.visitor)
            };
            if present.waiting.is_some() && desk.entries.values().any(twice) {
                return Err(ListenError::Twice);
            }
            if desk.protocol != protocol {
                return Err(ListenError::Taken {
                    path: self.directory.join(name),
                    reason: "this server uses the name for something else".to_owned(),
                });
            }
            desk.file.link(&self.directory)?;
        } else {
            let desk = self
                .open(name, protocol)
                .inspect_err(|_| self.leave_empty())?;
            desks.insert(name.to_owned(), desk);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(desk) = desks.get_mut(name) {
            desk.entries.insert(number, present);
        }
        Ok(Entry {
            lobby: Arc::downgrade(self),
            name: name.to_owned(),
            number,
        })
    }

    fn open(self: &Arc<Self>, name: &str, protocol: Protocol) -> Result<Desk, ListenError> {
        self.make_own()?;
        let own = self.own.join(format!("{}-{name}", self.number()));
        let mut listener = Listener::bind(&own, protocol)?;
        let file = SocketFile {
            name: self.directory.join(name),
            identity: identity(&own)?,
            own,
        };
        file.link(&self.directory)?;
        let (lobby, at) = (Arc::downgrade(self), name.to_owned());
        let router = tokio::spawn(async move {
            loop {
                let arrival = listener.accept().await;
                let Some(lobby) = lobby.upgrade() else { return };
                match arrival {
                    Ok(connection) => lobby.receive(&at, connection),
                    Err(error) => tracing::warn!(%error, name = at, "A listener cannot accept"),
                }
            }
        });
        Ok(Desk {
            file,
            protocol,
            entries: HashMap::new(),
            router: router.abort_handle(),
        })
    }

    /// Hands a peer to the process it descends from, and turns it away when there is none.
    fn receive(&self, name: &str, connection: Connection) {
        let (peer, same) = (connection.peer(), is_same_user(&connection));
        let shim = peer.and_then(|peer| peer.pid).and_then(shim_of);
        let desks = self.desks.lock();
        let of = |it: &&Present| Some(it.visitor.0.load(Ordering::Acquire)) == shim;
        let waiting = desks.get(name).filter(|_| same).and_then(|desk| {
            let mut present = desk.entries.values().filter(of);
            present.find_map(|it| it.waiting.as_ref())
        });
        let turned_away = match waiting {
            Some(waiting) => {
                let Options {
                    max_receive,
                    max_send,
                    ..
                } = waiting.options;
                let connection = connection.with_limits(max_receive, max_send);
                waiting.found.try_send(connection).is_err()
            }
            None => true,
        };
        if turned_away {
            tracing::warn!(name, ?peer, "Turned a foreign peer away");
        }
    }

    fn leave(&self, name: &str, number: u64) {
        let mut desks = self.desks.lock();
        let Some(desk) = desks.get_mut(name) else {
            return;
        };
        desk.entries.remove(&number);
        if desk.entries.is_empty() {
            drop(desks.remove(name));
            self.leave_empty();
        }
    }

    /// Our directory goes with the last thing in it.
    fn leave_empty(&self) {
        // Fails while there is something.
        let _ = fs::remove_dir(&self.own);
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.router.abort();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(lobby) = self.lobby.upgrade() {
            lobby.leave(&self.name, self.number);
        }
    }
}

impl Door {
    /// The next peer that descends from the process. Cancelling this loses nobody.
    pub(crate) async fn accept(&mut self) -> Connection {
        match self.found.recv().await {
            Some(connection) => connection,
            // Nobody comes any more; who waits is ended from elsewhere.
            None => std::future::pending().await,
        }
    }
}

impl Kept {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _held = self.lobby.desks.lock();
        remove(&self.path);
        self.lobby.leave_empty();
    }
}

impl SocketFile {
    /// Makes sure that the name leads to this socket.
    fn link(&self, directory: &Path) -> Result<(), ListenError> {
        for _ in 0..ATTEMPTS {
            if identity(&self.name).is_ok_and(|it| it == self.identity) {
                return Ok(());
            }
            match fs::hard_link(&self.own, &self.name) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    way::clear(directory, &self.name)?;
                }
                linked => return linked.map_err(ListenError::Io),
            }
        }
        Err(ListenError::Taken {
            path: self.name.clone(),
            reason: "others make sockets of that name again and again".to_owned(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.name).is_ok_and(|it| it == self.identity) {
            remove(&self.name);
        }
        remove(&self.own);
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether that is a directory which nobody but our user may enter.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| {
        metadata.is_dir()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & OTHERS == 0
    })
}

/// Links are removed, not followed.
fn remove(path: &Path) {
    let directory = fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
    let removed = if directory {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    if let Err(error) = removed
        && error.kind() != ErrorKind::NotFound
    {
        tracing::debug!(%error, path = %path.display(), "Something stays in the directory for temporary files");
    }
}

#[cfg(test)]
mod tests;
