//! Looking at a process tree where the kernel does not keep its limits.

use std::path::PathBuf;
use std::time::Duration;

use crate::limits::Resource;
use crate::proc;

/// What is looked at, and how much of it is allowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    pub(crate) memory: Option<u64>,
    pub(crate) pids: Option<u64>,
    pub(crate) disk: Option<u64>,
    pub(crate) directories: Vec<PathBuf>,
}

/// What a look found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) over: Option<Resource>,
    pub(crate) disk: Option<u64>,
}

/// Resources of a whole tree at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tree {
    pub(crate) memory: u64,
    pub(crate) pids: u64,
    /// Of the processes that live; those that ended are not counted.
    pub(crate) cpu: Duration,
}

impl Watch {
    pub(crate) fn is_empty(&self) -> bool {
        self.memory.is_none() && self.pids.is_none() && self.disk.is_none()
    }

    /// Looks once. Reads files, so not to be called on an async thread.
    pub(crate) fn look(&self, shim: u32) -> Sample {
        let over = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used > limit);
        let mut sample = Sample::default();
        if self.memory.is_some() || self.pids.is_some() {
            let tree = tree(shim);
            if over(self.memory, tree.memory) {
                sample.over = Some(Resource::Memory);
            } else if over(self.pids, tree.pids) {
                sample.over = Some(Resource::Pids);
            }
        }
        if self.disk.is_some() {
            let used = self
                .directories
                .iter()
                .map(|path| proc::disk_usage(path))
                .sum();
            sample.disk = Some(used);
            if over(self.disk, used) {
                sample.over = sample.over.or(Some(Resource::Disk));
            }
        }
        sample
    }
}

/// The plugin's processes, which are what descends from its shim.
pub(crate) fn tree(shim: u32) -> Tree {
    proc::tree(shim)
        .into_iter()
        .filter_map(|pid| proc::stat(pid).ok())
        .fold(Tree::default(), |sum, stat| Tree {
            memory: sum.memory + stat.resident,
            pids: sum.pids + stat.threads,
            cpu: sum.cpu + stat.cpu,
        })
}
