//! Why a process did not start.

use std::io;
use std::path::PathBuf;

use crate::wire::{Failure, Step};

/// Why a process did not start. Nothing of it is left when this is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The program is missing, not executable, or in a format that the kernel does not know. The
    /// source is the kernel's own answer.
    #[error("cannot execute `{program}`")]
    Program {
        /// What was to be executed.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The working directory cannot be entered.
    #[error("cannot enter working directory `{path}`")]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A path that the process was to see is not there.
    #[error("cannot show `{path}` to the process")]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Isolation was required and this host does not permit it.
    #[error("this host does not permit the required isolation: {reason}")]
    Isolation {
        /// What it does not permit.
        reason: String,
    },
    /// Preparing the process failed.
    #[error("cannot {what}{}", .path.as_ref().map(|path| format!(" `{}`", path.display())).unwrap_or_default())]
    Setup {
        /// What was attempted.
        what: String,
        /// With which path, if with one.
        path: Option<PathBuf>,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The shim could not be started.
    #[error("cannot start the shim `{shim}`")]
    Shim {
        /// Its executable.
        shim: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The shim ended before the program was executed, or does not speak as a shim does: is
    /// [`crate::shim::run_if_asked`] called first in its `main`?
    #[error("the shim ended before it had started the program")]
    ShimLost {
        /// What reading from it gave.
        #[source]
        source: io::Error,
    },
    /// Nothing happened for too long.
    #[error("the program was not started within {seconds} s")]
    Timeout {
        /// How long was waited.
        seconds: u64,
    },
}

impl SpawnError {
    /// The kernel's answer, where there is one: its text is such as `No such file or directory`
    /// or `Permission denied`.
    pub fn os_error(&self) -> Option<&io::Error> {
        match self {
            Self::Program { source, .. }
            | Self::WorkingDirectory { source, .. }
            | Self::Path { source, .. }
            | Self::Setup { source, .. }
            | Self::Shim { source, .. } => Some(source),
            Self::ShimLost { .. } | Self::Isolation { .. } | Self::Timeout { .. } => None,
        }
    }

    pub(crate) fn setup(what: &str, path: Option<PathBuf>, source: io::Error) -> Self {
        Self::Setup {
            what: what.to_owned(),
            path,
            source,
        }
    }
}

impl From<Failure> for SpawnError {
    fn from(Failure { step, path, errno }: Failure) -> Self {
        let path = PathBuf::from(path);
        let source = io::Error::from_raw_os_error(errno);
        match step {
            Step::Exec => Self::Program {
                program: path,
                source,
            },
            Step::Cwd => Self::WorkingDirectory { path, source },
            Step::Path => Self::Path { path, source },
            Step::Isolate(reason) => Self::Isolation { reason },
            Step::Setup(what) => {
                let path = (!path.as_os_str().is_empty()).then_some(path);
                Self::Setup { what, path, source }
            }
        }
    }
}
