//! Which bytes of the archive belong to which entry: each to one, and none to nobody.

use plugyard_model::{Finding, Place, codes};

use crate::notes::{Notes, whole};

/// The bytes of one entry: header, content, descriptor.
pub(super) struct Range {
    pub start: u64,
    /// Where the content begins.
    pub content: u64,
    pub end: u64,
    /// Whether the end is only known not to be before `end`.
    pub open: bool,
    /// The entry's index.
    pub entry: usize,
}

/// Notes overlaps and gaps between `base` and the directory at `directory`; `name_of` an entry is for findings. Answers the entries that overlap.
pub(super) fn check(
    mut ranges: Vec<Range>,
    base: u64,
    directory: u64,
    name_of: impl Fn(usize) -> String,
    notes: &mut Notes,
) -> Vec<(usize, Finding)> {
    ranges.sort_by_key(|range| (range.start, range.end, range.entry));
    let mut overlapping = Vec::new();
    let mut end = base;
    let mut open = false;
    let mut before: Option<&Range> = None;
    for range in &ranges {
        match before {
            Some(other) if range.start < end => {
                for (range, other) in [(range, other), (other, range)] {
                    let finding =
                        Finding::error(codes::ARCHIVE_OVERLAP, Place::file(name_of(range.entry)))
                            .with("other", name_of(other.entry));
                    overlapping.push((range.entry, finding));
                }
            }
            Some(_) if range.start > end && !open => stray(end, range.start, notes),
            None if range.start > end => {
                notes.push(whole(codes::ARCHIVE_PREFIX_DATA).with("bytes", range.start - end));
            }
            _ => {}
        }
        if range.end >= end {
            end = range.end;
            open = range.open;
            before = Some(range);
        }
    }
    if end < directory && !open {
        if ranges.is_empty() {
            notes.push(whole(codes::ARCHIVE_PREFIX_DATA).with("bytes", directory - end));
        } else {
            stray(end, directory, notes);
        }
    }
    overlapping.sort_by_key(|(entry, _)| *entry);
    overlapping.dedup_by_key(|(entry, _)| *entry);
    for (_, finding) in &overlapping {
        notes.push(finding.clone());
    }
    overlapping
}

fn stray(from: u64, to: u64, notes: &mut Notes) {
    notes.push(
        whole(codes::ARCHIVE_STRAY_BYTES)
            .with("bytes", to - from)
            .with("offset", from),
    );
}
