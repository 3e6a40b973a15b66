//! What to start, and what it may see.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// One process to start. Nothing is inherited from the server: what is not named here, the process
/// does not have. Standard input is `/dev/null` or [`Spec::stdin`]; standard output and error are pipes.
#[derive(Clone)]
pub struct Spec {
    /// Names the record and the cgroup of the process. Letters, digits, `.`, `_` and `-`; everything
    /// else is replaced. Need not be unique.
    pub name: String,
    /// What to execute. A name without a slash is looked up in `PATH` of [`Spec::env`].
    pub program: PathBuf,
    /// Its arguments, without the program itself.
    pub args: Vec<OsString>,
    /// Working directory. Readable by the plugin even if not listed in [`Spec::readable`], unless it
    /// is `/`.
    pub cwd: PathBuf,
    /// The whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// What to do where the host cannot isolate.
    pub isolation: Isolation,
    /// What it may use.
    pub limits: Limits,
    /// Run as somebody else. Only root may ask for it.
    pub user: Option<User>,
    /// A directory of the host that the plugin sees as its `/tmp`. Whatever of
    /// [`Spec::readable`] and [`Spec::writable`] lies below the host's `/tmp` is bound again inside,
    /// under the same path; empty directories that carry these mounts appear in the directory.
    pub private_tmp: Option<PathBuf>,
    /// What may be read and executed beyond the system's own directories. Must exist. The program's
    /// own file, its interpreter and a Python environment around it are found by themselves; what
    /// variables such as `PYTHONPATH` name is not.
    pub readable: Vec<PathBuf>,
    /// What may be read, executed and written. Must exist. [`Limits::disk`] counts what is in here
    /// and in [`Spec::private_tmp`].
    pub writable: Vec<PathBuf>,
    /// Directories of the host, such as `/tmp`, in which it may make sockets and can do nothing else: neither
    /// read nor write nor remove. For processes without a private `/tmp` that have to meet others there;
    /// held by Landlock, so where there is none, they can do what their user can. One that is named here
    /// loses what every program may otherwise do there.
    pub socket_dirs: Vec<PathBuf>,
    /// What is covered by something empty. A path that does not exist is passed over, so hide
    /// directories rather than files that may come into being later. Something readable or
    /// writable below a hidden directory stays visible.
    pub hidden: Vec<PathBuf>,
    /// A file or FIFO of the host that becomes its standard input. It is opened before anything is hidden
    /// or mounted; a FIFO needs a writer already, or starting waits for one.
    pub stdin: Option<PathBuf>,
}

impl Spec {
    /// A process with an empty environment, default limits, and the isolation this host has.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            cwd: PathBuf::from("/"),
            env: BTreeMap::new(),
            isolation: Isolation::default(),
            limits: Limits::default(),
            user: None,
            private_tmp: None,
            readable: Vec::new(),
            writable: Vec::new(),
            socket_dirs: Vec::new(),
            hidden: Vec::new(),
            stdin: None,
        }
    }
}

/// The environment may hold secrets, so that only its names are shown.
impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("name", &self.name)
            .field("program", &self.program)
            .field("args", &self.args)
            .field("cwd", &self.cwd)
            .field("env", &self.env.keys())
            .field("isolation", &self.isolation)
            .field("limits", &self.limits)
            .field("user", &self.user)
            .field("private_tmp", &self.private_tmp)
            .field("readable", &self.readable)
            .field("writable", &self.writable)
            .field("socket_dirs", &self.socket_dirs)
            .field("hidden", &self.hidden)
            .field("stdin", &self.stdin)
            .finish()
    }
}

/// What to do where the host cannot isolate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Own pid and mount namespaces, and every mount asked for, or
    /// [`crate::SpawnError::Isolation`].
    Required,
    /// What the host permits; what is missing stands in [`crate::Process::isolation`].
    #[default]
    BestEffort,
    /// No namespaces even where they are permitted: the plugin shares the host's `/tmp` and sees
    /// the host's processes. Rights are dropped and limits kept all the same. Its environment says in
    /// [`crate::MARK`] which process it belongs to.
    Shared,
}

/// A user of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id; there are no supplementary groups.
    pub gid: u32,
}

/// What isolation one process really has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that are true of a process by themselves"
)]
pub struct Isolated {
    /// It has its own pid namespace: nothing it starts outlives it.
    pub pid_namespace: bool,
    /// It has its own mount namespace.
    pub mount_namespace: bool,
    /// It lives in a user namespace (needed where the server is not root).
    pub user_namespace: bool,
    /// It sees only its own processes in `/proc`.
    pub own_proc: bool,
    /// [`Spec::private_tmp`] is its `/tmp`.
    pub private_tmp: bool,
    /// [`Spec::hidden`] is covered.
    pub hidden: bool,
    /// Version of the Landlock rules that hold for it.
    pub landlock: Option<u32>,
    /// System calls that change the machine or reach into other processes are refused.
    #[serde(default)]
    pub seccomp: bool,
    /// What was asked for and is missing, each with the reason.
    pub missing: Vec<String>,
}
