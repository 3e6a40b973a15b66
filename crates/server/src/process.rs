//! What this process uses: for `/metrics` and eKuiper's `GET /`.

use std::time::Duration;

/// Used so far by this process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Processor time.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
}

/// Reads `/proc/self`; zeros where it cannot be read.
pub(crate) fn usage() -> Usage {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let stat = read("/proc/self/stat");
    // The second field is the command in parentheses and may contain blanks.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
    let number = |index: usize| -> u64 {
        fields
            .get(index)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    };
    // utime and stime, fields 14 and 15 of proc(5), in ticks.
    let ticks = number(11) + number(12);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let pages: u64 = read("/proc/self/statm")
        .split_whitespace()
        .nth(1)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0);
    Usage {
        cpu: Duration::from_millis(ticks.saturating_mul(1000) / per_second),
        resident: pages * rustix::param::page_size() as u64,
    }
}

/// The machine's memory in bytes; 0 where it cannot be read.
pub(crate) fn memory_total() -> u64 {
    std::fs::read_to_string("/proc/meminfo")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| {
            rest.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<u64>()
                .ok()
        })
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_uses_memory() {
        assert!(usage().resident > 100_000);
        assert!(memory_total() > usage().resident);
    }
}
