//! The memory of the server itself, which stands beside each plugin in the same machine.

use std::ops::Range;

use crate::sys;

/// Arenas of the C library's allocator. By default it makes eight for each core, and each keeps what it freed.
const ARENAS: i32 = 2;

/// Has the threads of this process share a few heaps. To be called before there is a second thread.
pub fn share_heaps() {
    sys::limit_arenas(ARENAS);
}

/// Gives back what only the start needed: heap that was freed, and the pages of the program that the kernel mapped
/// around those that were used. What of the program is needed again is mapped again, from the kernel's cache.
///
/// Takes a few milliseconds, in which allocations wait.
pub fn give_back() {
    sys::trim_heap();
    let program = std::fs::read_link("/proc/self/exe");
    let maps = std::fs::read_to_string("/proc/self/maps");
    // Without either there is nothing to give back.
    let (Ok(program), Ok(maps)) = (program, maps) else {
        return;
    };
    for range in maps
        .lines()
        .filter_map(|line| code(line, program.to_str()?))
    {
        sys::forget_code(&range);
    }
}

/// Where a line of `/proc/self/maps` says that code of the program is.
fn code(line: &str, program: &str) -> Option<Range<usize>> {
    let (range, rest) = line.split_once(' ')?;
    let (permissions, rest) = rest.split_once(' ')?;
    // Private, and never written to: what it holds stands in the file.
    if permissions != "r-xp" || !rest.ends_with(program) {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(from)?..address(to)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_the_program_is_given_back() {
        let line = |permissions: &str, path: &str| {
            format!("1000-3000 {permissions} 00001000 fe:00 42 {path:>40}")
        };
        assert_eq!(
            code(&line("r-xp", "/bin/p"), "/bin/p"),
            Some(0x1000..0x3000)
        );
        for (permissions, path) in [
            ("r--p", "/bin/p"),
            ("rwxp", "/bin/p"),
            ("r-xs", "/bin/p"),
            ("r-xp", "/bin/q"),
        ] {
            assert_eq!(
                code(&line(permissions, path), "/bin/p"),
                None,
                "{permissions} {path}"
            );
        }
        assert_eq!(code("", "/bin/p"), None);
    }

    #[test]
    fn a_process_goes_on_after_it_gave_back() {
        share_heaps();
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("RssFile:"));
            let kib = line.unwrap().trim().trim_end_matches(" kB");
            kib.parse::<u64>().unwrap()
        };
        let before = resident();
        give_back();
        assert!(resident() <= before, "{before}");
        let sorted = ["c", "b", "a"].map(str::to_uppercase).into_iter().rev();
        assert_eq!(sorted.collect::<String>(), "ABC");
    }
}
