//! What an earlier server on the same run directory left: processes, cgroups, sockets (eKuiper's
//! HOST-9).

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::{cgroup, pidfd, proc};

/// The variable in the environment of every process without a pid namespace that says which plugin process
/// it belongs to, so that what is left of one can be found.
pub const MARK: &str = "PLUGYARD_PROCESS";

const EXTENSION: &str = "process";
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// Rounds in which marked processes are looked for until none is there.
const SWEEPS: usize = 20;

/// One running plugin, as the next server will find it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    processes: Vec<Recorded>,
    boot_id: String,
    /// The run directory it was written in: one that was copied names processes of another server.
    directory: (u64, u64),
    cgroups: Vec<PathBuf>,
}

/// A pid alone may belong to somebody else by the time it is read.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    pid: u32,
    started: u64,
}

impl Record {
    pub(crate) fn write(
        path: &Path,
        pids: &[u32],
        cgroups: impl Iterator<Item = PathBuf>,
    ) -> io::Result<()> {
        let processes = pids
            .iter()
            .map(|&pid| {
                Ok(Recorded {
                    pid,
                    started: proc::stat(pid)?.started,
                })
            })
            .collect::<io::Result<_>>()?;
        let record = Self {
            processes,
            boot_id: proc::boot_id()?,
            directory: identity(path.parent().unwrap_or(Path::new(".")))?,
            cgroups: cgroups.collect(),
        };
        // Read only after this server ended: whole or not there, without a sync.
        let unfinished = path.with_extension("tmp");
        fs::write(&unfinished, serde_json::to_vec(&record)?)?;
        fs::rename(unfinished, path)
    }

    pub(crate) fn path(run_dir: &Path, name: &str) -> PathBuf {
        run_dir.join(format!("{name}.{EXTENSION}"))
    }
}

/// The value of [`MARK`] for one process.
pub(crate) fn mark(instance: &str, name: &str) -> String {
    format!("{instance}/{name}")
}

/// Ends what carries that mark.
pub(crate) fn sweep(mark: &str) {
    sweep_into(&format!("{mark}\0"), &mut Leftovers::default());
}

/// Ends what carries a mark that begins like this, again and again, because it may go on starting others.
fn sweep_into(mark: &str, found: &mut Leftovers) {
    let wanted = format!("{MARK}={mark}");
    for _ in 0..SWEEPS {
        let marked = proc::with_variable(wanted.as_bytes());
        if marked.is_empty() {
            return;
        }
        for (pid, started) in marked {
            kill(pid, started, found);
        }
    }
}

/// What [`reap_leftovers`] found and did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Processes of an earlier server that were killed.
    pub killed: Vec<u32>,
    /// Recorded pids that belong to somebody else by now, or to the server of a home this one was copied
    /// from; they were spared.
    pub spared: Vec<u32>,
    /// Sockets that were removed.
    pub sockets: Vec<PathBuf>,
    /// Control groups that were removed.
    pub cgroups: Vec<PathBuf>,
    /// What could not be read, killed or removed.
    pub problems: Vec<String>,
}

/// Ends and removes what an earlier server left below its run directory: processes recorded there,
/// with what they started, and their control groups, sockets and records.
///
/// To be called before the first [`crate::Launcher`] on the directory, by the only server that
/// uses it. Blocks for at most five seconds per process. Nothing outside the directory is removed,
/// and links in it are not followed.
///
/// # Errors
///
/// When the directory cannot be read, for another reason than that it does not exist.
pub fn reap_leftovers(run_dir: &Path) -> io::Result<Leftovers> {
    let mut found = Leftovers::default();
    let run_dir = match fs::canonicalize(run_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        canonical => canonical?,
    };
    let instance = instance(&run_dir)?;
    // What has lost the process that it descends from, which only its mark tells.
    sweep_into(&format!("{instance}/"), &mut found);
    for entry in fs::read_dir(&run_dir)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == EXTENSION)
        {
            match reap(&path, &mut found) {
                Ok(()) => remove(&path, &mut found.problems),
                Err(error) => found.problems.push(format!("{}: {error}", path.display())),
            }
        }
    }
    found.cgroups.extend(cgroup::destroy_all(&instance));
    remove_sockets(&run_dir, &mut found);
    Ok(found)
}

/// Names the servers that use a directory, one after the other.
pub(crate) fn instance(run_dir: &Path) -> io::Result<String> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;

    let metadata = fs::metadata(run_dir)?;
    let bytes = run_dir.as_os_str().as_bytes().iter().copied();
    let numbers = [metadata.dev(), metadata.ino()]
        .into_iter()
        .flat_map(u64::to_le_bytes);
    // FNV-1a: must be the same in every build, and nobody gains by a collision with himself.
    let hash = bytes
        .chain(numbers)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    Ok(format!("{hash:016x}"))
}

/// What tells a directory from its copy.
fn identity(directory: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    let metadata = fs::metadata(directory)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn reap(path: &Path, found: &mut Leftovers) -> io::Result<()> {
    let record: Record = serde_json::from_slice(&fs::read(path)?)?;
    if identity(path.parent().unwrap_or(Path::new(".")))? != record.directory {
        let pids = record.processes.iter().map(|it| it.pid);
        found.spared.extend(pids);
        return Ok(());
    }
    let same_boot = proc::boot_id()? == record.boot_id;
    for Recorded { pid, started } in record.processes {
        match proc::stat(pid) {
            Ok(stat) if same_boot && stat.started == started => {
                // Before the parent, at whose end the relation is lost.
                for descendant in proc::tree(pid) {
                    if let Ok(stat) = proc::stat(descendant) {
                        kill(descendant, stat.started, found);
                    }
                }
                kill(pid, started, found);
            }
            Ok(_) => found.spared.push(pid),
            Err(_) => {}
        }
    }
    for group in &record.cgroups {
        // Written by us, but read from a file: nothing but a group of ours is removed.
        let ours = group.starts_with("/sys/fs/cgroup")
            && group
                .parent()
                .and_then(Path::file_name)
                .is_some_and(|name| name.to_string_lossy().starts_with("plugyard-"));
        if !ours || !group.exists() {
            continue;
        }
        match cgroup::destroy(group) {
            Ok(()) => found.cgroups.push(group.clone()),
            Err(error) => found.problems.push(format!("{}: {error}", group.display())),
        }
    }
    Ok(())
}

/// Kills this process and no other, and waits until it has ended.
fn kill(pid: u32, started: u64, found: &mut Leftovers) {
    let Ok(fd) = pidfd::open(pid) else { return };
    // The descriptor stands for one process; only now it is certain that it is the right one.
    if !proc::stat(pid).is_ok_and(|stat| stat.started == started && !stat.zombie) {
        return;
    }
    match pidfd_send_signal(&fd, Signal::KILL) {
        Ok(()) => {}
        // It ended by itself since we looked, as the processes of a dying server do.
        Err(Errno::SRCH) => return,
        Err(error) => {
            let error = io::Error::from(error);
            found.problems.push(format!("process {pid}: {error}"));
            return;
        }
    }
    let timeout = Timespec {
        tv_sec: KILL_TIMEOUT.as_secs().cast_signed(),
        tv_nsec: KILL_TIMEOUT.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)) {
        Ok(0) => found
            .problems
            .push(format!("process {pid} was killed and does not end")),
        _ => found.killed.push(pid),
    }
}

fn remove_sockets(run_dir: &Path, found: &mut Leftovers) {
    let mut waiting = vec![run_dir.to_owned()];
    while let Some(directory) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(kind) if kind.is_socket() => {
                    remove(&entry.path(), &mut found.problems);
                    found.sockets.push(entry.path());
                }
                _ => {}
            }
        }
    }
}

fn remove(path: &Path, problems: &mut Vec<String>) {
    if let Err(error) = fs::remove_file(path) {
        problems.push(format!("{}: {error}", path.display()));
    }
}
