//! Finding the end of the archive, and with it the central directory. There must be one answer only.

use std::io;

use plugyard_model::codes;

use super::headers::{CENTRAL, LOCAL, u16_at, u32_at, u64_at};
use crate::ReadAt;
use crate::notes::{Notes, whole};

const END: [u8; 4] = *b"PK\x05\x06";
const END_SIZE: usize = 22;
const LOCATOR: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_SIZE: usize = 20;
const END64: [u8; 4] = *b"PK\x06\x06";
const END64_SIZE: usize = 56;
const COMMENT_MAX: usize = 0xffff;

/// Where the central directory is.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Entries the archive states.
    pub entries: u64,
    /// Where the directory begins.
    pub start: u64,
    /// Its bytes.
    pub size: u64,
    /// What has to be added to every offset, because bytes stand before the archive.
    pub base: u64,
}

/// The fields of an end record, 32 or 64 bits wide.
#[derive(PartialEq, Eq)]
struct Fields {
    disk: u32,
    directory_disk: u32,
    entries_here: u64,
    entries: u64,
    size: u64,
    offset: u64,
}

/// Finds the directory, or notes why there is none.
pub(super) fn find(source: &dyn ReadAt, notes: &mut Notes) -> io::Result<Option<End>> {
    let length = source.size()?;
    let tail_size = length.min((END_SIZE + COMMENT_MAX + LOCATOR_SIZE) as u64);
    let tail_start = length - tail_size;
    let mut tail = vec![0; usize::try_from(tail_size).unwrap_or(0)];
    source.read_exact_at(tail_start, &mut tail)?;

    let Some(at) = end_record(source, &tail, notes)? else {
        return Ok(None);
    };
    let position = tail_start + at as u64;
    let record = &tail[at..];
    let narrow = Fields {
        disk: u16_at(record, 4).into(),
        directory_disk: u16_at(record, 6).into(),
        entries_here: u16_at(record, 8).into(),
        entries: u16_at(record, 10).into(),
        size: u32_at(record, 12).into(),
        offset: u32_at(record, 16).into(),
    };
    let locator = at
        .checked_sub(LOCATOR_SIZE)
        .map(|from| &tail[from..at])
        .filter(|locator| locator.starts_with(&LOCATOR));
    let (fields, directory_end) = match locator {
        None => (narrow, position),
        Some(locator) => {
            let before = position - LOCATOR_SIZE as u64;
            match wide_record(source, locator, before, &narrow)? {
                Some(found) => found,
                None => {
                    damaged(notes, "Zip64 end record", before);
                    return Ok(None);
                }
            }
        }
    };
    if fields.disk != 0 || fields.directory_disk != 0 || fields.entries_here != fields.entries {
        notes.push(whole(codes::ARCHIVE_MULTI_DISK));
        return Ok(None);
    }
    locate(source, &fields, directory_end, notes)
}

/// Where in `tail` the end record is. Several candidates, or bytes behind it, are noted.
fn end_record(source: &dyn ReadAt, tail: &[u8], notes: &mut Notes) -> io::Result<Option<usize>> {
    let signatures: Vec<usize> = tail
        .windows(4)
        .enumerate()
        .filter(|(at, window)| *window == END && at + END_SIZE <= tail.len())
        .map(|(at, _)| at)
        .collect();
    let ends_at = |at: usize| at + END_SIZE + usize::from(u16_at(tail, at + 20));
    let exact: Vec<usize> = signatures
        .iter()
        .copied()
        .filter(|&at| ends_at(at) == tail.len())
        .collect();
    if let Some(&last) = exact.last() {
        // A reader that searches in another direction, or does not look at the comment's length,
        // would take another record and see another archive.
        if exact.len() > 1 || signatures.iter().any(|&at| at > last) {
            notes.push(whole(codes::ARCHIVE_END_AMBIGUOUS));
        }
        return Ok(Some(last));
    }
    if let Some(&at) = signatures
        .iter()
        .rev()
        .find(|&&at| ends_at(at) < tail.len())
    {
        let bytes = tail.len() - ends_at(at);
        notes.push(whole(codes::ARCHIVE_TRAILING_DATA).with("bytes", bytes));
        return Ok(Some(at));
    }
    let mut first = [0; 4];
    let begins_as_zip = source.read_exact_at(0, &mut first).is_ok() && first == LOCAL;
    if begins_as_zip || !signatures.is_empty() {
        damaged(notes, "end record", source.size()?);
    } else {
        notes.push(whole(codes::ARCHIVE_NOT_ZIP));
    }
    Ok(None)
}

/// The Zip64 record that `locator` names, which must end at `before` and agree with the narrow one.
fn wide_record(
    source: &dyn ReadAt,
    locator: &[u8],
    before: u64,
    narrow: &Fields,
) -> io::Result<Option<(Fields, u64)>> {
    let position = u64_at(locator, 8);
    if position
        .checked_add(END64_SIZE as u64)
        .is_none_or(|end| end > before)
    {
        return Ok(None);
    }
    let mut record = [0; END64_SIZE];
    source.read_exact_at(position, &mut record)?;
    let end = u64_at(&record, 4).checked_add(position + 12);
    if !record.starts_with(&END64) || end != Some(before) {
        return Ok(None);
    }
    let wide = Fields {
        disk: u32_at(&record, 16),
        directory_disk: u32_at(&record, 20),
        entries_here: u64_at(&record, 24),
        entries: u64_at(&record, 32),
        size: u64_at(&record, 40),
        offset: u64_at(&record, 48),
    };
    let agree = |narrow: u64, wide: u64, max: u64| narrow == max || narrow == wide;
    let (short, long) = (u64::from(u16::MAX), u64::from(u32::MAX));
    let agreed = agree(narrow.entries, wide.entries, short)
        && agree(narrow.entries_here, wide.entries_here, short)
        && agree(narrow.size, wide.size, long)
        && agree(narrow.offset, wide.offset, long);
    Ok(agreed.then_some((wide, position)))
}

/// Compares where the directory says it is with where it must be: right before `end`.
fn locate(
    source: &dyn ReadAt,
    fields: &Fields,
    end: u64,
    notes: &mut Notes,
) -> io::Result<Option<End>> {
    let Some(start) = end
        .checked_sub(fields.size)
        .filter(|&start| fields.offset <= start)
    else {
        damaged(notes, "central directory", fields.offset);
        return Ok(None);
    };
    let mut found = End {
        entries: fields.entries,
        start,
        size: fields.size,
        base: 0,
    };
    let gap = start - fields.offset;
    if gap > 0 {
        let mut signature = [0; 4];
        source.read_exact_at(fields.offset, &mut signature)?;
        let code = if signature == CENTRAL && fields.entries > 0 {
            found.start = fields.offset;
            codes::ARCHIVE_STRAY_BYTES
        } else {
            found.base = gap;
            codes::ARCHIVE_PREFIX_DATA
        };
        notes.push(
            whole(code)
                .with("bytes", gap)
                .with("offset", fields.offset + fields.size),
        );
    }
    Ok(Some(found))
}

/// Notes that a part of the archive cannot be read.
pub(super) fn damaged(notes: &mut Notes, part: &str, offset: u64) {
    notes.push(
        whole(codes::ARCHIVE_DAMAGED)
            .with("part", part)
            .with("offset", offset),
    );
}
