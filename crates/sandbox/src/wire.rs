//! What the server and the shim say to each other, over the socket that is the shim's standard
//! input: frames of a little-endian length and JSON. The specification goes this way and not in
//! arguments, which everybody on the host can read, because the environment may hold secrets.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::exit::ExitStatus;
use crate::spec::{Isolated, Isolation, User};

/// A specification with its environment and lists of paths may be large, but not this large.
const MAX_FRAME: u32 = 16 * 1024 * 1024;

/// From the server to the shim.
#[derive(Serialize, Deserialize)]
pub(crate) enum ToShim {
    Request(Box<Request>),
    /// The process is recorded and in its cgroups: execute.
    Go,
    /// To the process group of the main process.
    Signal(i32),
    /// End everything.
    Kill,
}

/// Paths are `OsString`s here, because serde writes only UTF-8 as a `PathBuf`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) server_pid: u32,
    /// Only try out what the host permits.
    pub(crate) probe: bool,
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) cwd: OsString,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) isolation: Isolation,
    pub(crate) user: Option<User>,
    pub(crate) private_tmp: Option<OsString>,
    pub(crate) readable: Vec<OsString>,
    pub(crate) writable: Vec<OsString>,
    pub(crate) socket_dirs: Vec<OsString>,
    pub(crate) hidden: Vec<OsString>,
    pub(crate) stdin: Option<OsString>,
    /// Found by ourselves: visible if nothing else says so, and missing without harm.
    pub(crate) implied: Vec<OsString>,
    pub(crate) files: Option<u64>,
    /// The value of [`crate::MARK`] for a process without a pid namespace.
    pub(crate) mark: String,
    /// Files to which the main process writes `0` to enter its control groups.
    pub(crate) groups: Vec<OsString>,
    /// Set where no cgroup keeps the memory.
    pub(crate) data: Option<u64>,
}

/// From the shim to the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromShim {
    /// The process that will stay beside the plugin, as the server sees it.
    Init { pid: i32 },
    /// The main process exists, waits for [`ToShim::Go`], and has this pid in its namespace.
    Forked { pid: i32, isolated: Isolated },
    /// The version of Landlock that holds.
    Landlock(Option<u32>),
    /// The filter of system calls holds.
    Seccomp,
    /// Something was asked for that the main process could not have.
    Missing(String),
    /// The program was executed.
    Started,
    /// It was not.
    Failed(Failure),
    /// The main process ended.
    Exited(ExitStatus),
    /// Answer to a probe.
    Probed(Isolated),
}

/// Why a process could not be started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) step: Step,
    pub(crate) path: OsString,
    pub(crate) errno: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    Isolate(String),
    Path,
    Setup(String),
    Cwd,
    Exec,
}

impl Failure {
    pub(crate) fn new(step: Step, path: impl Into<OsString>, error: &io::Error) -> Self {
        // An error without a number can only be one of our own making.
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        Self {
            step,
            path: path.into(),
            errno,
        }
    }
}

pub(crate) fn write<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    to.write_all(&frame(message)?)
}

pub(crate) fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut body = vec![0; checked(length)?];
    from.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

pub(crate) async fn send<T: Serialize>(
    mut to: impl AsyncWrite + Unpin,
    message: &T,
) -> io::Result<()> {
    to.write_all(&frame(message)?).await
}

/// Not safe to cancel: bytes may be lost.
pub(crate) async fn receive<T: DeserializeOwned>(
    mut from: impl AsyncRead + Unpin,
) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let mut body = vec![0; checked(length)?];
    from.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// One buffer, so that two processes that share the socket do not write into each other's frames.
fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4)
        .ok()
        .filter(|length| *length <= MAX_FRAME)
        .ok_or(io::ErrorKind::InvalidInput)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

fn checked(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(length);
    if length > MAX_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(length as usize)
}
