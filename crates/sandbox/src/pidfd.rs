//! One process that cannot be mistaken for another, whatever happens to its pid.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, waitid};
use tokio::io::unix::AsyncFd;

use crate::exit::ExitStatus;

/// A child of this process, which is reaped through this.
#[derive(Debug)]
pub(crate) struct Pidfd {
    fd: AsyncFd<OwnedFd>,
    pid: u32,
}

impl Pidfd {
    /// `pid` must be a child that was not waited for, so that the pid is still its own.
    pub(crate) fn of_child(pid: u32) -> io::Result<Self> {
        let fd = open(pid)?;
        Ok(Self {
            fd: crate::sys::readable(fd)?,
            pid,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Fails only when the process is gone, which is what is wanted of it.
    pub(crate) fn kill(&self) {
        let _ = rustix::process::pidfd_send_signal(self.fd.get_ref().as_fd(), Signal::KILL);
    }

    /// Waits for the end of the process and takes its status, which can be had once.
    pub(crate) async fn reap(&self) -> io::Result<ExitStatus> {
        loop {
            let _ready = self.fd.readable().await?;
            let id = WaitId::PidFd(self.fd.get_ref().as_fd());
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            match waitid(id, options) {
                Ok(Some(status)) => {
                    return Ok(match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => ExitStatus::Code(code),
                        (None, Some(signal)) => ExitStatus::Signal(signal),
                        (None, None) => ExitStatus::Signal(libc::SIGKILL),
                    });
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}
