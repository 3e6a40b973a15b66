//! Limits that the kernel keeps for a whole process tree: control groups, version 2 where they are
//! delegated to us, else the hierarchies of version 1 that may be written.
//!
//! Our groups lie below the group the server itself is in, so that whatever limits the server
//! limits its plugins too: `<server's group>/plugyard-<id>/<process>`. The id is made from the run
//! directory, so that the next server on the same directory finds what an earlier one left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::limits::Limits;

const PERIOD_MICROS: u32 = 100_000;
/// The kernel refuses less than a millisecond per period.
const MIN_QUOTA_MICROS: f64 = 1_000.0;

/// Where the server moves to in version 2, as it ends its path.
const SERVER_LEAF: &str = "/plugyard-server";

/// What of cgroups this host lets us use, each resource by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupReport {
    /// Processor time.
    pub cpu: Result<CgroupVersion, String>,
    /// Memory.
    pub memory: Result<CgroupVersion, String>,
    /// Number of processes.
    pub pids: Result<CgroupVersion, String>,
}

/// Version of a control group hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupVersion {
    /// One hierarchy per controller.
    V1,
    /// The unified hierarchy.
    V2,
}

impl CgroupVersion {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1 => "cgroup v1",
            Self::V2 => "cgroup v2",
        }
    }
}

/// The directories in which the groups of single processes are made.
#[derive(Debug)]
pub(crate) struct Cgroups {
    cpu: Result<Parent, String>,
    memory: Result<Parent, String>,
    pids: Result<Parent, String>,
    /// Version 1 counts processor time in a hierarchy of its own.
    accounting: Option<Parent>,
}

#[derive(Debug, Clone)]
struct Parent {
    version: CgroupVersion,
    path: PathBuf,
}

/// The groups of one process, at most one directory per hierarchy.
#[derive(Debug, Default)]
pub(crate) struct Group {
    paths: BTreeMap<PathBuf, CgroupVersion>,
    memory: Option<Parent>,
    pids: Option<Parent>,
    cpu: Option<Parent>,
    accounting: Option<Parent>,
    /// Why a limit that the hierarchy could keep is not set.
    pub(crate) refused: Vec<String>,
    /// Must stay for as long as there is something in them.
    parents: Option<Arc<Cgroups>>,
}

impl Cgroups {
    /// Finds what may be used, and makes our own directory there.
    pub(crate) fn open(id: &str) -> Self {
        let name = directory(id);
        let hierarchies = Hierarchies::read();
        let open = |controller: &str| hierarchies.open(controller, &name);
        let cpu = open("cpu");
        let accounting = match &cpu {
            Ok(parent) if parent.version == CgroupVersion::V2 => None,
            _ => open("cpuacct").ok(),
        };
        Self {
            cpu,
            memory: open("memory"),
            pids: open("pids"),
            accounting,
        }
    }

    pub(crate) fn none(reason: &str) -> Self {
        let none = || Err(reason.to_owned());
        Self {
            cpu: none(),
            memory: none(),
            pids: none(),
            accounting: None,
        }
    }

    pub(crate) fn report(&self) -> CgroupReport {
        let version = |parent: &Result<Parent, String>| match parent {
            Ok(parent) => Ok(parent.version),
            Err(reason) => Err(reason.clone()),
        };
        CgroupReport {
            cpu: version(&self.cpu),
            memory: version(&self.memory),
            pids: version(&self.pids),
        }
    }

    /// Makes the groups of one process. Whatever fails is left to other means and noted.
    pub(crate) fn create(self: &Arc<Self>, name: &str, limits: &Limits) -> Group {
        let mut group = Group::default();
        group.parents = Some(Arc::clone(self));
        group.memory = group.child(self.memory.as_ref().ok(), name, |dir, version| {
            limits
                .memory
                .map_or(Ok(()), |bytes| limit_memory(dir, version, bytes))
        });
        group.pids = group.child(self.pids.as_ref().ok(), name, |dir, _| {
            limits.pids.map_or(Ok(()), |pids| {
                fs::write(dir.join("pids.max"), pids.to_string())
            })
        });
        group.cpu = group.child(self.cpu.as_ref().ok(), name, |dir, version| {
            limits
                .cpu
                .map_or(Ok(()), |cores| limit_cpu(dir, version, cores))
        });
        group.accounting = group.child(self.accounting.as_ref(), name, |_, _| Ok(()));
        group
    }
}

/// Nothing of ours stays in the hierarchies of the host.
impl Drop for Cgroups {
    fn drop(&mut self) {
        let limited = [&self.cpu, &self.memory, &self.pids].into_iter().flatten();
        for parent in limited.chain(&self.accounting) {
            // Refused while somebody else still has a group in it.
            let _ = fs::remove_dir(&parent.path);
        }
    }
}

/// Usually gone by then. A runtime that is shut down drops what watches over its processes.
impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "control group of an ended process cannot be removed");
        }
        self.parents = None;
    }
}

impl Group {
    fn child(
        &mut self,
        parent: Option<&Parent>,
        name: &str,
        limit: impl FnOnce(&Path, CgroupVersion) -> io::Result<()>,
    ) -> Option<Parent> {
        let parent = parent?;
        let path = parent.path.join(name);
        let made = match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Somebody tidied up an empty group.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(&path),
            made => made,
        };
        if made.is_ok() {
            self.paths.insert(path.clone(), parent.version);
        }
        match made.and_then(|()| limit(&path, parent.version)) {
            Ok(()) => Some(Parent {
                version: parent.version,
                path,
            }),
            Err(error) => {
                self.refused.push(format!("{}: {error}", path.display()));
                None
            }
        }
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.keys().map(PathBuf::as_path)
    }

    pub(crate) fn memory_version(&self) -> Option<CgroupVersion> {
        self.memory.as_ref().map(|parent| parent.version)
    }

    pub(crate) fn pids_version(&self) -> Option<CgroupVersion> {
        self.pids.as_ref().map(|parent| parent.version)
    }

    pub(crate) fn cpu_version(&self) -> Option<CgroupVersion> {
        self.cpu.as_ref().map(|parent| parent.version)
    }

    /// Where a thread enters by writing `0`, which the kernel does at once. Moving a whole process, which
    /// is all that there is in version 2, makes it wait some 20 ms for every processor to have passed a quiet
    /// state, and makes everybody who forks meanwhile wait too.
    pub(crate) fn entrances(&self) -> impl Iterator<Item = PathBuf> {
        self.of(CgroupVersion::V1, "tasks")
    }

    /// Takes a process in where it cannot enter by itself, with what it will start. Blocks for a while.
    pub(crate) fn attach(&self, pid: u32) -> impl FnOnce() -> io::Result<()> + Send + 'static {
        let files: Vec<_> = self.of(CgroupVersion::V2, "cgroup.procs").collect();
        move || {
            let mut files = files.iter();
            files.try_for_each(|file| fs::write(file, pid.to_string()))
        }
    }

    fn of(&self, version: CgroupVersion, file: &str) -> impl Iterator<Item = PathBuf> {
        let paths = self.paths.iter().filter(move |(_, its)| **its == version);
        paths.map(move |(path, _)| path.join(file))
    }

    /// Bytes in use, without what the kernel would give back at once.
    pub(crate) fn memory_used(&self) -> Option<u64> {
        let Parent { version, path } = self.memory.as_ref()?;
        let (used, cache) = match version {
            CgroupVersion::V1 => ("memory.usage_in_bytes", "total_inactive_file"),
            CgroupVersion::V2 => ("memory.current", "inactive_file"),
        };
        let used = number(&path.join(used))?;
        let cache = entry(&path.join("memory.stat"), cache).unwrap_or(0);
        Some(used.saturating_sub(cache))
    }

    pub(crate) fn pids_used(&self) -> Option<u64> {
        number(&self.pids.as_ref()?.path.join("pids.current"))
    }

    pub(crate) fn cpu_used(&self) -> Option<Duration> {
        if let Some(Parent { path, .. }) = &self.accounting {
            return Some(Duration::from_nanos(number(&path.join("cpuacct.usage"))?));
        }
        let Parent { path, .. } = self
            .cpu
            .as_ref()
            .filter(|parent| parent.version == CgroupVersion::V2)?;
        Some(Duration::from_micros(entry(
            &path.join("cpu.stat"),
            "usage_usec",
        )?))
    }

    /// How many of its processes the kernel killed because the memory ran out.
    pub(crate) fn out_of_memory_kills(&self) -> u64 {
        let Some(Parent { version, path }) = &self.memory else {
            return 0;
        };
        let file = match version {
            CgroupVersion::V1 => "memory.oom_control",
            CgroupVersion::V2 => "memory.events",
        };
        entry(&path.join(file), "oom_kill").unwrap_or(0)
    }

    /// Kills what is left in it and takes it away. Blocks for a bounded time.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for path in self.paths.keys() {
            destroy(path)?;
        }
        Ok(())
    }
}

/// Kills everything in one group and removes it; a group that is not there is removed already.
/// Blocks for at most five seconds.
pub(crate) fn destroy(path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if tries == 1000 => return Err(error),
            Err(_) => {}
        }
        if fs::write(path.join("cgroup.kill"), "1").is_err() {
            for pid in members(path) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        // A process that was killed leaves its group a moment later.
        if tries > 0 {
            thread::sleep(Duration::from_millis(5));
        }
        tries += 1;
    }
}

/// Removes what an earlier server with this id left in the hierarchies, and returns the groups.
pub(crate) fn destroy_all(id: &str) -> Vec<PathBuf> {
    let name = directory(id);
    let mut removed = Vec::new();
    for base in Hierarchies::read().bases() {
        let ours = base.join(&name);
        let Ok(entries) = fs::read_dir(&ours) else {
            continue;
        };
        for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
            if destroy(&entry.path()).is_ok() {
                removed.push(entry.path());
            }
        }
        let _ = fs::remove_dir(&ours);
    }
    removed
}

/// The processes in one group, not counting those in groups below.
fn members(path: &Path) -> Vec<Pid> {
    let list = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    list.lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
        .collect()
}

fn directory(id: &str) -> String {
    format!("plugyard-{id}")
}

fn limit_memory(dir: &Path, version: CgroupVersion, bytes: u64) -> io::Result<()> {
    match version {
        CgroupVersion::V1 => {
            fs::write(dir.join("memory.limit_in_bytes"), bytes.to_string())?;
            // Memory and swap together, so that there is no way out; absent without swap accounting.
            ignore_missing(fs::write(
                dir.join("memory.memsw.limit_in_bytes"),
                bytes.to_string(),
            ))
        }
        CgroupVersion::V2 => {
            fs::write(dir.join("memory.max"), bytes.to_string())?;
            ignore_missing(fs::write(dir.join("memory.swap.max"), "0"))
        }
    }
}

fn limit_cpu(dir: &Path, version: CgroupVersion, cores: f64) -> io::Result<()> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates, and a negative one is raised to the minimum"
    )]
    let quota = (cores * f64::from(PERIOD_MICROS)).max(MIN_QUOTA_MICROS) as u64;
    match version {
        CgroupVersion::V1 => {
            fs::write(dir.join("cpu.cfs_period_us"), PERIOD_MICROS.to_string())?;
            fs::write(dir.join("cpu.cfs_quota_us"), quota.to_string())
        }
        CgroupVersion::V2 => fs::write(dir.join("cpu.max"), format!("{quota} {PERIOD_MICROS}")),
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        // A file that does not exist cannot be made there either, which some kernels call a
        // missing permission.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The figure after `key` in a file of `key figure` lines.
fn entry(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

/// Where the server's own groups are.
#[derive(Debug, Default, PartialEq)]
struct Hierarchies {
    unified: Option<PathBuf>,
    /// Controller and the server's own group in its hierarchy.
    v1: Vec<(String, PathBuf)>,
}

impl Hierarchies {
    fn read() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::parse(&own, &mounts)
    }

    fn parse(own: &str, mounts: &str) -> Self {
        let mut found = Self::default();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(group)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if controllers.is_empty() {
                // Where an earlier look moved the server into a leaf of its own group.
                let group = group.strip_suffix(SERVER_LEAF).unwrap_or(group);
                let group = if group.is_empty() { "/" } else { group };
                found.unified = mounts
                    .lines()
                    .find_map(|mount| place(mount, "cgroup2", None, group));
                continue;
            }
            for controller in controllers.split(',') {
                let place = mounts
                    .lines()
                    .find_map(|mount| place(mount, "cgroup", Some(controller), group));
                found
                    .v1
                    .extend(place.map(|place| (controller.to_owned(), place)));
            }
        }
        found
    }

    fn bases(&self) -> BTreeSet<&Path> {
        let v1 = self.v1.iter().map(|(_, path)| path.as_path());
        v1.chain(self.unified.as_deref()).collect()
    }

    /// Makes our directory in the hierarchy that has the controller.
    fn open(&self, controller: &str, name: &str) -> Result<Parent, String> {
        let v2 = match &self.unified {
            Some(own) => match open_v2(own, controller, name) {
                Ok(path) => {
                    return Ok(Parent {
                        version: CgroupVersion::V2,
                        path,
                    });
                }
                Err(reason) => reason,
            },
            None => "v2 is not mounted".into(),
        };
        let Some((_, own)) = self.v1.iter().find(|(has, _)| has == controller) else {
            return Err(format!("{v2}; v1 has no hierarchy with {controller}"));
        };
        let path = own.join(name);
        make(&path).map_err(|error| format!("{v2}; v1: {}: {error}", path.display()))?;
        Ok(Parent {
            version: CgroupVersion::V1,
            path,
        })
    }
}

/// Version 2 wants a controller to be handed down by each group above, and a group that hands down
/// to have no processes of its own.
fn open_v2(own: &Path, controller: &str, name: &str) -> Result<PathBuf, String> {
    let has = |path: &Path| {
        fs::read_to_string(path)
            .is_ok_and(|list| list.split_ascii_whitespace().any(|it| it == controller))
    };
    if !has(&own.join("cgroup.controllers")) {
        return Err(format!(
            "v2 does not hand {controller} to {}",
            own.display()
        ));
    }
    let hand_down = |group: &Path| -> io::Result<()> {
        let control = group.join("cgroup.subtree_control");
        if has(&control) {
            Ok(())
        } else {
            fs::write(control, format!("+{controller}"))
        }
    };
    let ours = own.join(name);
    if hand_down(own).is_err() {
        let me = std::process::id();
        let alone = members(own)
            .iter()
            .all(|pid| pid.as_raw_nonzero().get().cast_unsigned() == me);
        if !alone {
            return Err(format!(
                "v2: {} has other processes than this server; start it as a unit with Delegate=yes",
                own.display()
            ));
        }
        let leaf = own.join(&SERVER_LEAF[1..]);
        let moved = make(&leaf).and_then(|()| fs::write(leaf.join("cgroup.procs"), me.to_string()));
        moved
            .and_then(|()| hand_down(own))
            .map_err(|error| format!("v2: {}: {error}", own.display()))?;
    }
    make(&ours)
        .and_then(|()| hand_down(&ours))
        .map_err(|error| format!("v2: {}: {error}", ours.display()))?;
    Ok(ours)
}

fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    // That it is there does not say that we may use it.
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?;
    Ok(())
}

/// The directory of `group`, if this line of mountinfo is the mount of its hierarchy.
fn place(mount: &str, kind: &str, controller: Option<&str>, group: &str) -> Option<PathBuf> {
    let (before, after) = mount.split_once(" - ")?;
    let mut after = after.split(' ');
    if after.next()? != kind {
        return None;
    }
    let options = after.nth(1)?;
    if controller.is_some_and(|wanted| !options.split(',').any(|option| option == wanted)) {
        return None;
    }
    let mut before = before.split(' ');
    let root = before.nth(3)?;
    let point = Path::new(before.next()?);
    // In a container the mount may begin at our own group while the path is counted from the top.
    let below = Path::new(group).strip_prefix(root).ok()?;
    Some(point.join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_groups_are_found_in_both_versions() {
        let own = "5:cpu,cpuacct:/a\n4:memory:/docker/c1/x\n0::/user.slice/s.scope\n";
        let mounts = "\
30 20 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
31 20 0:2 /docker/c1 /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory
32 20 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
";
        let found = Hierarchies::parse(own, mounts);
        assert_eq!(
            found,
            Hierarchies {
                unified: Some("/sys/fs/cgroup/unified/user.slice/s.scope".into()),
                v1: vec![
                    ("cpu".into(), "/sys/fs/cgroup/cpu/a".into()),
                    ("cpuacct".into(), "/sys/fs/cgroup/cpu/a".into()),
                    ("memory".into(), "/sys/fs/cgroup/memory/x".into()),
                ],
            }
        );
    }
}
