//! The one pass over all headers, and the check of all contents.

use std::io;

use plugyard_model::{Code, Finding, Place, Severity, codes};

use super::content::{self, Located, Method, Scratch};
use super::end::{self, End};
use super::headers::{
    Central, FLAG_PATCH, FLAG_STREAMED, FLAG_UTF8, FLAGS_ENCRYPTED, LOCAL_SIZE, Local, descriptor,
    local_variable_size,
};
use super::layout::{self, Range};
use super::names::Reading;
use crate::name::{self, Names};
use crate::notes::{Notes, whole};
use crate::source::Window;
use crate::tree::{self, DIRECTORY_MODE, FILE_MODE};
use crate::{Contents, Entry, EntryKind, Limits, Listing, Policy, ReadAt};

/// The longest data descriptor.
const DESCRIPTOR_MAX: usize = 24;
/// Host systems whose external attributes hold a Unix mode: Unix and macOS.
const MADE_BY_UNIX: [u8; 2] = [3, 19];
/// The directory mark of the others.
const DOS_DIRECTORY: u32 = 0x10;

/// What an inspection comes to.
#[derive(Default)]
pub(crate) struct Inspected {
    pub(crate) listing: Listing,
    pub(super) contents: Vec<Located>,
    pub(crate) findings: Vec<Finding>,
}

/// Looks at everything in an archive.
pub(crate) fn inspect(source: &dyn ReadAt, policy: &Policy) -> Inspected {
    let mut notes = Notes::default();
    let mut inspected = match inspect_headers(source, policy, &mut notes) {
        Ok(inspected) => inspected,
        Err(error) => {
            notes.push(whole(codes::ARCHIVE_UNREADABLE).with("reason", error));
            Inspected::default()
        }
    };
    let oversized = notes.has(codes::ARCHIVE_TOTAL_TOO_LARGE) || notes.has(codes::ARCHIVE_RATIO);
    if policy.contents == Contents::OnOpen && !oversized {
        check_contents(source, &mut inspected, &mut notes);
    }
    inspected.findings = notes.finish();
    inspected
}

fn inspect_headers(
    source: &dyn ReadAt,
    policy: &Policy,
    notes: &mut Notes,
) -> io::Result<Inspected> {
    let limits = &policy.limits;
    let Some(end) = end::find(source, notes)? else {
        return Ok(Inspected::default());
    };
    if end.size > limits.directory {
        notes.push(
            whole(codes::ARCHIVE_DIRECTORY_TOO_LARGE)
                .with("size", end.size)
                .with("limit", limits.directory),
        );
        return Ok(Inspected::default());
    }
    let directory = read_directory(source, &end, limits, notes)?;
    let reading = Reading::of(&directory.entries, notes);
    let mut pass = Pass {
        window: Window::new(source, end.start),
        policy,
        end,
        reading,
        names: Names::new(),
        entries: Vec::new(),
        contents: Vec::new(),
        ranges: Vec::new(),
        listed: Vec::new(),
    };
    for (index, central) in directory.entries.iter().enumerate() {
        pass.entry(index, central, notes)?;
    }
    pass.names.note_files_as_directories(notes);
    if directory.whole {
        let ranges = std::mem::take(&mut pass.ranges);
        let name_of = |index: usize| name::shown(&reading.name(&directory.entries[index]));
        for (index, finding) in layout::check(ranges, end.base, end.start, name_of, notes) {
            if let Some(position) = pass.listed.get(index).copied().flatten() {
                let content: &mut Located = &mut pass.contents[position];
                content.refused.get_or_insert_with(|| Box::new(finding));
            }
        }
    }
    check_bounds(&pass.entries, &pass.contents, limits, notes);
    Ok(Inspected {
        listing: Listing::new(pass.entries, end.entries),
        contents: pass.contents,
        findings: Vec::new(),
    })
}

/// The entries of the central directory.
struct Directory {
    entries: Vec<Central>,
    /// Whether these are all.
    whole: bool,
}

fn read_directory(
    source: &dyn ReadAt,
    end: &End,
    limits: &Limits,
    notes: &mut Notes,
) -> io::Result<Directory> {
    let mut bytes = vec![0; usize::try_from(end.size).unwrap_or(0)];
    source.read_exact_at(end.start, &mut bytes)?;
    let mut rest = &bytes[..];
    let mut entries = Vec::new();
    let mut whole_directory = true;
    if end.entries > limits.entries {
        notes.push(
            whole(codes::ARCHIVE_TOO_MANY_ENTRIES)
                .with("count", end.entries)
                .with("limit", limits.entries),
        );
        whole_directory = false;
    }
    while !rest.is_empty() && entries.len() as u64 != limits.entries {
        let Some((central, length)) = Central::read(rest) else {
            break;
        };
        entries.push(central);
        rest = &rest[length..];
    }
    let complete = rest.is_empty() && entries.len() as u64 == end.entries;
    if whole_directory && !complete {
        let at = end.start + (bytes.len() - rest.len()) as u64;
        end::damaged(notes, "central directory", at);
        whole_directory = false;
    }
    Ok(Directory {
        entries,
        whole: whole_directory,
    })
}

/// What an entry is by its marks.
enum Kind {
    Known(EntryKind, u32),
    Refused(Code),
}

/// The pass over the entries in the order of the central directory.
struct Pass<'a> {
    /// Everything before the directory.
    window: Window<'a>,
    policy: &'a Policy,
    end: End,
    /// How names are read.
    reading: Reading,
    names: Names,
    entries: Vec<Entry>,
    contents: Vec<Located>,
    ranges: Vec<Range>,
    /// For each entry of the directory its place in the listing.
    listed: Vec<Option<usize>>,
}

impl Pass<'_> {
    fn entry(&mut self, index: usize, central: &Central, notes: &mut Notes) -> io::Result<()> {
        let name = self.reading.name(central);
        let shown = name::shown(&name);
        let mut refused = self.compare(index, central, &shown, notes)?;
        let mut refuse = |finding: Finding, notes: &mut Notes| {
            refused.get_or_insert_with(|| Box::new(finding.clone()));
            notes.push(finding);
        };
        let error = |code| Finding::error(code, Place::file(&shown));
        if central.flags & FLAGS_ENCRYPTED != 0 {
            refuse(error(codes::ARCHIVE_ENCRYPTED), notes);
        }
        let method = match central.method {
            0 => Some(Method::Stored),
            8 => Some(Method::Deflate),
            _ => None,
        };
        if method.is_none() || central.flags & FLAG_PATCH != 0 {
            let finding = error(codes::ARCHIVE_METHOD_UNSUPPORTED);
            refuse(finding.with("method", central.method), notes);
        }
        if method == Some(Method::Stored) && central.packed != central.size {
            let finding = error(codes::ARCHIVE_SIZE_MISMATCH);
            refuse(finding.with("size", central.size), notes);
        }
        let limit = self.policy.limits.entry;
        if central.size > limit {
            let finding = error(codes::ARCHIVE_ENTRY_TOO_LARGE);
            refuse(
                finding.with("size", central.size).with("limit", limit),
                notes,
            );
        }
        let ratio = self.policy.limits.entry_ratio;
        if central.size > Limits::ENTRY_RATIO_FROM
            && central.size > central.packed.saturating_mul(ratio)
        {
            let finding = error(codes::ARCHIVE_RATIO)
                .with("limit", ratio)
                .with("packed", central.packed)
                .with("size", central.size);
            refuse(finding, notes);
        }

        self.listed.push(None);
        let path = match name::clean(&name, index + 1, &self.policy.limits) {
            Ok(path) => path,
            Err(finding) => {
                notes.push(finding);
                return Ok(());
            }
        };
        let (kind, mode) = match kind(central, &name) {
            Kind::Known(kind, mode) => (kind, mode),
            Kind::Refused(code) => {
                notes.push(error(code));
                return Ok(());
            }
        };
        if path.is_empty() {
            // `./` names the root, which is there anyway; some archivers write it.
            if kind == EntryKind::File {
                notes.push(error(codes::ARCHIVE_NAME_EMPTY).with("index", index + 1));
            }
            return Ok(());
        }
        if !self.names.add(&path, kind, self.policy, notes) {
            return Ok(());
        }
        self.listed[index] = Some(self.entries.len());
        self.entries.push(Entry {
            path,
            kind,
            size: central.size,
            mode,
        });
        let local = self.ranges.last().filter(|range| range.entry == index);
        self.contents.push(Located {
            start: local.map_or(0, |range| range.content),
            packed: central.packed,
            size: central.size,
            crc: central.crc,
            method: method.unwrap_or(Method::Stored),
            refused,
        });
        Ok(())
    }

    /// Compares an entry with its own header and notes the bytes it takes. Answers why it may not be read.
    fn compare(
        &mut self,
        index: usize,
        central: &Central,
        shown: &str,
        notes: &mut Notes,
    ) -> io::Result<Option<Box<Finding>>> {
        let mut refused = None;
        let mut note = |finding: Finding| {
            refused.get_or_insert_with(|| Box::new(finding.clone()));
            notes.push(finding);
        };
        let error = |code| Finding::error(code, Place::file(shown));
        let start = central.offset.saturating_add(self.end.base);
        let local = match self.local(start)? {
            Some(local) if central.disk == 0 => local,
            _ => {
                let finding = error(codes::ARCHIVE_DAMAGED);
                note(finding.with("part", "local header").with("offset", start));
                return Ok(refused);
            }
        };
        for (field, in_local, in_central) in differences(&local, central) {
            let finding = error(codes::ARCHIVE_HEADER_MISMATCH);
            note(
                finding
                    .with("field", field)
                    .with("local", in_local)
                    .with("central", in_central),
            );
        }
        let content = start + local.length;
        let Some(content_end) = content
            .checked_add(central.packed)
            .filter(|&end| end <= self.end.start)
        else {
            let finding = error(codes::ARCHIVE_DAMAGED);
            note(finding.with("part", "content").with("offset", content));
            return Ok(refused);
        };
        let mut range = Range {
            start,
            content,
            end: content_end,
            open: false,
            entry: index,
        };
        if central.flags & FLAG_STREAMED != 0 {
            let bytes = self.window.get(content_end, DESCRIPTOR_MAX)?;
            match descriptor(bytes, central.crc, central.packed, central.size) {
                Some(length) => range.end += length as u64,
                None => {
                    range.open = true;
                    let finding = error(codes::ARCHIVE_HEADER_MISMATCH);
                    note(
                        finding
                            .with("field", "data descriptor")
                            .with("local", "-")
                            .with("central", format_args!("{:08x}", central.crc)),
                    );
                }
            }
        }
        self.ranges.push(range);
        Ok(refused)
    }

    /// The local header at `start`; `None` when there is none before the directory.
    fn local(&mut self, start: u64) -> io::Result<Option<Local>> {
        let fixed = self.window.get(start, LOCAL_SIZE)?;
        let Some(size) = local_variable_size(fixed) else {
            return Ok(None);
        };
        let header = self.window.get(start, LOCAL_SIZE + size)?;
        Ok(Local::read(header).filter(|local| local.length == (LOCAL_SIZE + size) as u64))
    }
}

/// The fields on which two readers could disagree, with both values.
fn differences(local: &Local, central: &Central) -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    let mut differ = |field, local: String, central: String| found.push((field, local, central));
    if local.name != central.name {
        differ("name", name::shown(&local.name), name::shown(&central.name));
    }
    let local_only = local
        .unicode
        .as_ref()
        .filter(|name| central.unicode.as_ref() != Some(name));
    for other in [&local.other_name, &central.other_name]
        .into_iter()
        .flatten()
        .chain(local_only)
    {
        differ(
            "Unicode name",
            name::shown(other),
            name::shown(&central.name),
        );
    }
    if local.method != central.method {
        differ(
            "method",
            local.method.to_string(),
            central.method.to_string(),
        );
    }
    let mut flags = FLAGS_ENCRYPTED | FLAG_STREAMED | FLAG_PATCH;
    if std::str::from_utf8(&central.name).is_err() {
        // It decides what the name is.
        flags |= FLAG_UTF8;
    }
    if local.flags & flags != central.flags & flags {
        let show = |flags: u16| format!("{flags:#06x}");
        differ("flags", show(local.flags), show(central.flags));
    }
    // A streamed entry's header is written before its size is known.
    let later = central.flags & FLAG_STREAMED != 0;
    let unlike = |local: u64, central: u64| local != central && !(later && local == 0);
    if unlike(local.crc.into(), central.crc.into()) {
        differ(
            "checksum",
            format!("{:08x}", local.crc),
            format!("{:08x}", central.crc),
        );
    }
    if unlike(local.packed, central.packed) {
        differ(
            "packed size",
            local.packed.to_string(),
            central.packed.to_string(),
        );
    }
    if unlike(local.size, central.size) {
        differ("size", local.size.to_string(), central.size.to_string());
    }
    found
}

/// File or directory, and its permissions, by name and attributes.
fn kind(central: &Central, name: &[u8]) -> Kind {
    let last = name.rsplit(|&byte| byte == b'/').next();
    let slash = matches!(last, Some(b"" | b"."));
    let unix = MADE_BY_UNIX.contains(&central.made_by);
    let mode = if unix { central.external >> 16 } else { 0 };
    let directory = match tree::kind_of_mode(mode) {
        Some(Ok(EntryKind::Directory)) => true,
        Some(Ok(EntryKind::File)) if !slash => false,
        Some(Ok(EntryKind::File)) => return Kind::Refused(codes::ARCHIVE_TYPE_CONFLICT),
        Some(Err(code)) => return Kind::Refused(code),
        None => slash || central.external & DOS_DIRECTORY != 0,
    };
    if directory && (!slash || central.size != 0) {
        return Kind::Refused(codes::ARCHIVE_TYPE_CONFLICT);
    }
    let (kind, usual) = if directory {
        (EntryKind::Directory, DIRECTORY_MODE)
    } else {
        (EntryKind::File, FILE_MODE)
    };
    let bits = mode & 0o777;
    Kind::Known(kind, if bits == 0 { usual } else { bits })
}

/// Bounds of all entries together.
fn check_bounds(entries: &[Entry], contents: &[Located], limits: &Limits, notes: &mut Notes) {
    let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
    let size = sum(&mut entries.iter().map(|entry| entry.size));
    let packed = sum(&mut contents.iter().map(|content| content.packed));
    if size > limits.total {
        notes.push(
            whole(codes::ARCHIVE_TOTAL_TOO_LARGE)
                .with("size", size)
                .with("limit", limits.total),
        );
    }
    if size > Limits::TOTAL_RATIO_FROM && size > packed.saturating_mul(limits.total_ratio) {
        notes.push(
            whole(codes::ARCHIVE_RATIO)
                .with("limit", limits.total_ratio)
                .with("packed", packed)
                .with("size", size),
        );
    }
}

/// Reads every content that is not refused already, to nowhere.
fn check_contents(source: &dyn ReadAt, inspected: &mut Inspected, notes: &mut Notes) {
    let mut scratch = Scratch::new();
    for (entry, located) in inspected
        .listing
        .entries
        .iter()
        .zip(&mut inspected.contents)
    {
        if located.refused.is_some() {
            continue;
        }
        let outcome = content::copy(
            source,
            &entry.path,
            located,
            u64::MAX,
            &mut io::sink(),
            &mut scratch,
        );
        if let Err(error) = outcome {
            let finding = error.to_finding();
            debug_assert_eq!(finding.severity, Severity::Error);
            notes.push(finding.clone());
            located.refused = Some(Box::new(finding));
        }
    }
}
