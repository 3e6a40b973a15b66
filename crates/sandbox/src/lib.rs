//! Starting processes that are not trusted: isolated, limited, signalled, counted, and reaped to
//! the last one. Linux only.
//!
//! A server that uses this crate
//!
//! 1. calls [`shim::run_if_asked`] first thing in `main`, because its own binary is also the
//!    process that stands between it and each plugin;
//! 2. calls [`reap_leftovers`] for its run directory before it starts anything;
//! 3. makes one [`Launcher`] and gives it a [`Spec`] for each process.
//!
//! What a host cannot enforce is not passed over in silence: [`Process::isolation`] and
//! [`Process::enforcement`] say it of one process, [`Launcher::host`] of the host.
//!
//! What always holds, with namespaces: nothing that a plugin starts outlives the plugin, its shim
//! or the server, whichever ends first and however it ends. Without them, the shim inherits whatever
//! loses its parent and ends all of it with the main process, and when the server is gone; the kernel ends
//! the main process with the shim. A shim that was killed itself leaves children: those are found by
//! their control group or by [`MARK`] in their environment, at once by a server that lives and at the
//! next start by another. What leaves both behind may outlive it.
//!
//! [`memory`] is about the server's own, which is one with the plugins' in the end.
//!
//! What it deliberately does not do: it knows no plugin format, restarts nothing, keeps no output,
//! and leaves the network as it is.
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod cgroup;
mod error;
mod exit;
mod host;
mod launch;
mod leftovers;
mod limits;
pub mod memory;
mod peer;
mod pidfd;
mod proc;
mod process;
mod program;
mod sample;
pub mod shim;
mod spawner;
mod spec;
mod sys;
mod wire;

pub use cgroup::{CgroupReport, CgroupVersion};
pub use error::SpawnError;
pub use exit::{Exit, ExitStatus};
pub use host::HostReport;
pub use launch::Launcher;
pub use leftovers::{Leftovers, MARK, reap_leftovers};
pub use limits::{Enforced, Enforcement, How, Limits, PartialLimits, Resource};
pub use peer::{is_plugin_peer, shim_of};
pub use process::{Process, Usage};
pub use spec::{Isolated, Isolation, Spec, User};
