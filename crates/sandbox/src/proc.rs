//! What `/proc` says of processes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// A tree that is larger than this is not walked to its end: its limit was passed long before.
const MAX_TREE: usize = 100_000;

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
