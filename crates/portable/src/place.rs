//! Where a process has its sockets and its temporary files: in a directory that it alone sees, or in the
//! `/tmp` that it shares with everybody.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plugyard_platform::Home;
use plugyard_sandbox::{Isolation, Launcher, Spec};
use plugyard_sp::{Connection, Listener, Options, Protocol};
use plugyard_symbol::SymbolError;

use crate::attach::cannot_listen;
use crate::lobby::{Claim, Door, Kept, ListenError, Lobby, Visitor};

/// Numbers run directories, so that their paths are short.
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// What all processes of a server stand on: what starts them, and how they are kept apart.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) launcher: Launcher,
    /// Where they meet the host when they have no `/tmp` of their own, and why they have none.
    pub(crate) shared: Option<(Arc<Lobby>, String)>,
}

impl Ground {
    /// What such a program sees that directory as.
    pub(crate) fn seen<'a>(&self, scratch: &'a Path) -> &'a Path {
        match self.shared {
            None => Path::new("/tmp"),
            Some(_) => scratch,
        }
    }

    /// Gives a program that is run once what it may use for temporary files: `scratch`.
    pub(crate) fn confine(&self, spec: &mut Spec, scratch: &Path) {
        match &self.shared {
            None => {
                spec.isolation = Isolation::Required;
                spec.private_tmp = Some(scratch.to_owned());
            }
            Some((lobby, _)) => share(lobby, spec, scratch),
        }
    }
}

fn share(lobby: &Lobby, spec: &mut Spec, scratch: &Path) {
    spec.isolation = Isolation::Shared;
    spec.socket_dirs = vec![lobby.directory().to_owned()];
    spec.writable.push(scratch.to_owned());
    spec.env.insert("TMPDIR".into(), scratch.into());
}

/// The place of one process.
#[derive(Debug)]
pub(crate) struct Place {
    /// Knows the process again.
    visitor: Arc<Visitor>,
    room: RoomFor,
}

#[derive(Debug)]
enum RoomFor {
    /// A directory that it sees as its `/tmp`, and nobody else does.
    Own(RunDirectory),
    /// The `/tmp` of the machine.
    Shared {
        lobby: Arc<Lobby>,
        scratch: Kept,
        /// Names that no other server may use meanwhile.
        claims: Vec<Claim>,
    },
}

/// A run directory, removed with all that is in it when the process has ended.
#[derive(Debug)]
pub(crate) struct RunDirectory(PathBuf);

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, path = %self.0.display(), "A run directory stays until the next start");
        }
    }
}

impl Place {
    pub(crate) fn new(home: &Home, ground: &Ground) -> io::Result<Self> {
        let room = match &ground.shared {
            None => RoomFor::Own(run_directory(home)?),
            Some((lobby, _)) => RoomFor::Shared {
                scratch: lobby.scratch()?,
                lobby: Arc::clone(lobby),
                claims: Vec::new(),
            },
        };
        Ok(Self {
            visitor: Arc::default(),
            room,
        })
    }

    /// Keeps names from other servers that the process will use at some time.
    ///
    /// # Errors
    /// Whose one of them is already.
    pub(crate) fn claim<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), ListenError> {
        if let RoomFor::Shared { lobby, claims, .. } = &mut self.room {
            for name in names {
                claims.push(lobby.claim(name, Protocol::Rep, &self.visitor)?);
            }
        }
        Ok(())
    }

    /// Says what the process may see and use.
    pub(crate) fn confine(&self, spec: &mut Spec) {
        match &self.room {
            RoomFor::Own(directory) => {
                spec.isolation = Isolation::Required;
                spec.private_tmp = Some(directory.0.clone());
            }
            RoomFor::Shared { lobby, scratch, .. } => share(lobby, spec, scratch.path()),
        }
    }

    /// To be told the pid of the process's shim before its program runs.
    pub(crate) fn announce(&self) -> impl FnOnce(u32) + Send + 'static {
        let visitor = Arc::clone(&self.visitor);
        move |shim| visitor.announce(shim)
    }

    /// Frees the names that others wait for, when the process has ended.
    pub(crate) fn leave(&self) {
        if let RoomFor::Shared { lobby, .. } = &self.room {
            lobby.forget(&self.visitor);
        }
    }

    /// Listens under a name of the SDKs for this process alone.
    ///
    /// # Errors
    /// Each [`ListenError`].
    pub(crate) fn listen(
        &self,
        name: &str,
        protocol: Protocol,
        options: Options,
    ) -> Result<Arrivals, ListenError> {
        match &self.room {
            RoomFor::Own(directory) => {
                match Listener::bind_with(directory.0.join(name), protocol, options) {
                    Ok(listener) => Ok(Arrivals::Own(listener)),
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        Err(ListenError::Twice)
                    }
                    Err(error) => Err(error.into()),
                }
            }
            RoomFor::Shared { lobby, .. } => {
                let door = lobby.listen(name, protocol, options, &self.visitor)?;
                Ok(Arrivals::Shared(door))
            }
        }
    }

    /// Before a sink is started that will listen under a name.
    ///
    /// # Errors
    /// When it could not.
    pub(crate) fn before_sink(&self, symbol: &str, name: &str) -> Result<(), SymbolError> {
        match &self.room {
            RoomFor::Own(_) => Ok(()),
            RoomFor::Shared { lobby, .. } => lobby
                .make_way(name)
                .map_err(|error| cannot_listen(symbol, &error)),
        }
    }

    /// The socket of a sink that was started.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn sink(&self, name: &str) -> io::Result<SinkSocket> {
        let at = match &self.room {
            RoomFor::Own(directory) => Socket::Own(directory.0.join(name)),
            RoomFor::Shared { lobby, .. } => Socket::Shared {
                kept: lobby.take(name)?,
                lobby: Arc::clone(lobby),
                name: name.to_owned(),
            },
        };
        Ok(SinkSocket {
            visitor: Arc::clone(&self.visitor),
            at,
        })
    }
}

/// Who comes under a name.
#[derive(Debug)]
pub(crate) enum Arrivals {
    /// Whoever finds the socket, which is in a directory that one process sees.
    Own(Listener),
    /// Descendants of the process.
    Shared(Door),
}

impl Arrivals {
    /// The next peer. Cancelling this loses nobody.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub(crate) async fn accept(&mut self) -> io::Result<Connection> {
        match self {
            Self::Own(listener) => listener.accept().await,
            Self::Shared(door) => Ok(door.accept().await),
        }
    }
}

/// The socket on which a process takes the messages of a sink.
#[derive(Debug)]
pub(crate) struct SinkSocket {
    visitor: Arc<Visitor>,
    at: Socket,
}

#[derive(Debug)]
enum Socket {
    Own(PathBuf),
    /// In our directory, where it stays until the sink has ended.
    Shared {
        kept: Kept,
        lobby: Arc<Lobby>,
        name: String,
    },
}

impl SinkSocket {
    /// Where it can be dialled.
    pub(crate) fn path(&self) -> &Path {
        match &self.at {
            Socket::Own(path) => path,
            Socket::Shared { kept, .. } => kept.path(),
        }
    }

    /// Whether the process itself answers there (HOST-8). Also in its own directory somebody else may: a link
    /// that a plugin puts in the place of its socket leads to another's.
    pub(crate) fn check(&self, connection: &Connection) -> Result<(), String> {
        if self.visitor.is(connection) {
            return Ok(());
        }
        if let Socket::Shared { kept, lobby, name } = &self.at {
            lobby.give_back(kept, name);
        }
        Err("another process listens in its place".to_owned())
    }
}

/// Where the run directories of all processes are; short, because sockets are in them.
pub(crate) fn run_directories(home: &Home) -> PathBuf {
    home.run().join("p")
}

fn run_directory(home: &Home) -> io::Result<RunDirectory> {
    let parent = run_directories(home);
    std::fs::create_dir_all(&parent)?;
    loop {
        let path = parent.join(format!("{:x}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(RunDirectory(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
