//! What `/proc` says of processes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// A tree that is larger than this is not walked to its end: its limit was passed long before.
const MAX_TREE: usize = 100_000;
/// More of an environment is not looked at; the kernel takes less than this in all.
const MAX_ENVIRONMENT: u64 = 8 * 1024 * 1024;

/// What one line of `/proc/<pid>/stat` says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    pub(crate) parent: u32,
    /// In clock ticks since the host started; together with the pid it names one process.
    pub(crate) started: u64,
    /// Processor time of the process itself.
    pub(crate) cpu: Duration,
    pub(crate) threads: u64,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    pub(crate) zombie: bool,
}

pub(crate) fn stat(pid: u32) -> io::Result<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&line).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(line: &str) -> Option<Stat> {
    // The name may hold spaces and brackets; nothing after it does.
    let (_, after) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let second = rustix::param::clock_ticks_per_second().max(1);
    let ticks = number(11)? + number(12)?;
    let resident = number(21)? * rustix::param::page_size() as u64;
    Some(Stat {
        zombie: *fields.first()? == "Z",
        parent: fields.get(1)?.parse().ok()?,
        cpu: Duration::from_millis(ticks.saturating_mul(1000) / second),
        threads: number(17)?,
        started: number(19)?,
        resident,
    })
}

/// All descendants of `root`, without itself, in no particular order.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let mut found = children(root);
    let mut next = 0;
    while next < found.len() && found.len() < MAX_TREE {
        found.extend(children(found[next]));
        next += 1;
    }
    found
}

/// The children of all threads of `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().flat_map(str::parse::<u32>)),
            // Kernels may be built without these files; the thread may also just have ended.
            Err(_) if !Path::new("/proc/thread-self/children").exists() => {
                return children_by_parent(pid);
            }
            Err(_) => {}
        }
    }
    found
}

fn children_by_parent(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid).is_ok_and(|stat| stat.parent == parent))
        .collect()
}

/// Processes whose environment has a variable that begins with `wanted` (`NAME=value`), as far as this process
/// may look at theirs, with when they started. Such as have ended are left out.
pub(crate) fn with_variable(wanted: &[u8]) -> Vec<(u32, u64)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut environment = Vec::new();
    pids.filter_map(|pid: u32| {
        environment.clear();
        File::open(format!("/proc/{pid}/environ"))
            .and_then(|file| file.take(MAX_ENVIRONMENT).read_to_end(&mut environment))
            .ok()?;
        // What follows the last zero byte does not end, as what is looked for may have to.
        let mut variables = environment.split_inclusive(|byte| *byte == 0);
        if !variables.any(|variable| variable.starts_with(wanted)) {
            return None;
        }
        let stat = stat(pid).ok().filter(|stat| !stat.zombie)?;
        Some((pid, stat.started))
    })
    .collect()
}

/// What a process gave up for good, which what it starts cannot have back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// It cannot gain privileges.
    pub(crate) no_new_privileges: bool,
    /// Filters of its system calls.
    pub(crate) filters: u32,
}

pub(crate) fn confinement(pid: u32) -> io::Result<Confinement> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let number = |key: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(key))?;
        value.trim().parse::<u32>().ok()
    };
    Ok(Confinement {
        no_new_privileges: number("NoNewPrivs:") == Some(1),
        // Kernels before 5.9 do not count them.
        filters: number("Seccomp_filters:")
            .or_else(|| number("Seccomp:").filter(|mode| *mode == FILTERED))
            .unwrap_or(0),
    })
}

/// How the kernel says that there are filters.
const FILTERED: u32 = 2;

/// The pid that the process has in its own pid namespace.
pub(crate) fn pid_inside(pid: u32) -> io::Result<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .and_then(|pids| pids.split_ascii_whitespace().last()?.parse().ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Identity of one of the namespaces of a process; `pid` may be `self`.
pub(crate) fn namespace(pid: &str, kind: &str) -> io::Result<(u64, u64)> {
    let link = fs::metadata(format!("/proc/{pid}/ns/{kind}"))?;
    Ok((link.dev(), link.ino()))
}

/// Changes with every start of the host, after which pids and start times mean nothing.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// Bytes that the files below `path` take on disk. Links are not followed and directories that
/// vanish meanwhile are passed over.
pub(crate) fn disk_usage(path: &Path) -> u64 {
    let mut sum = 0;
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        sum += metadata.blocks() * 512;
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194304 1 2 3 4 100 50 0 0 20 0 9 0 1234 5678 10 \
                    18446744073709551615";
        let stat = parse(line).unwrap();
        assert_eq!((stat.parent, stat.started, stat.threads), (3, 1234, 9));
        assert_eq!(stat.resident, 10 * rustix::param::page_size() as u64);
        assert!(!stat.zombie);
    }

    #[test]
    fn our_own_process_is_found() {
        let me = std::process::id();
        assert_eq!(pid_inside(me).unwrap(), me);
        assert!(stat(me).unwrap().threads > 0);
    }
}
