//! Messages that wait, in files: pages of a fixed number of messages, and how far they have been delivered.
//!
//! A message is on disk before it is first sent, so that neither a stop nor a kill loses it. The oldest are in
//! memory besides, up to the limit for that, so that they need not be read back. What is delivered is noted by
//! writing one place in one small file; a page that is delivered as a whole is deleted. Nothing is synced to the
//! device: this is for the death of a program, not of its machine.
//!
//! When there are too many, the oldest page is dropped. When the disk is full, the oldest page makes room; where
//! that does not help, messages wait in memory alone, and beyond that limit the newest are dropped. A page that was
//! torn or damaged gives what is sound in it.
//!
//! A record is its length (4 bytes, little endian), the CRC-32 of its bytes (4 bytes) and its bytes.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Crc;

/// Bytes before a record.
const HEAD: usize = 8;
/// Longest message.
const MAX_RECORD: usize = 256 * 1024 * 1024;
/// Bytes at which a page is full, whatever it holds.
const MAX_PAGE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of messages in memory.
const MAX_MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of all pages of a sink together.
const MAX_DISK_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) memory: usize,
    pub(super) disk: usize,
    pub(super) page: usize,
}

/// See the module. All of it blocks.
pub(super) struct Pages {
    dir: PathBuf,
    bounds: Bounds,
    /// Oldest first; the last one may be open for writing.
    files: VecDeque<Page>,
    writer: Option<File>,
    place: Option<File>,
    /// The oldest messages.
    front: VecDeque<Entry>,
    front_bytes: usize,
    /// Where the first message lies that is not in `front`.
    unread: Place,
    /// How many there are from there on.
    unread_count: usize,
    /// The number of the oldest message, counted within this run.
    first: u64,
    next_page: u64,
    damaged: u64,
}

struct Page {
    number: u64,
    /// Messages that have not been delivered or dropped.
    left: usize,
    bytes: u64,
    messages: usize,
}

struct Entry {
    message: Bytes,
    /// Where it is; nowhere when the disk did not take it.
    at: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    page: u64,
    offset: u64,
}

/// What became of messages that came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// How many were dropped for it, old ones or these.
    pub(super) dropped: u64,
    /// Why the disk did not take it.
    pub(super) trouble: Option<String>,
}

impl Pages {
    /// What is there, or an empty directory.
    pub(super) fn open(dir: &Path, bounds: Bounds) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let place = read_place(&dir.join("place"));
        let mut numbers: Vec<u64> = fs::read_dir(dir)?
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                name.to_str()?.strip_suffix(".page")?.parse().ok()
            })
            .collect();
        numbers.sort_unstable();
        let mut it = Self {
            dir: dir.to_owned(),
            bounds,
            files: VecDeque::new(),
            writer: None,
            place: None,
            front: VecDeque::new(),
            front_bytes: 0,
            unread: Place::default(),
            unread_count: 0,
            first: 0,
            next_page: numbers
                .last()
                .map_or(1, |last| last + 1)
                .max(place.page + 1),
            damaged: 0,
        };
        for number in numbers {
            let from = if number == place.page {
                place.offset
            } else {
                0
            };
            let path = it.path(number);
            let (messages, bytes) = count(&path, from)?;
            if number < place.page || messages == 0 {
                fs::remove_file(&path)?;
                continue;
            }
            if it.files.is_empty() {
                it.unread = Place {
                    page: number,
                    offset: from,
                };
            }
            it.unread_count += messages;
            it.files.push_back(Page {
                number,
                left: messages,
                bytes,
                messages,
            });
        }
        it.load();
        Ok(it)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.front.len() + self.unread_count
    }

    /// The oldest message and its number; reads it back where it has to.
    pub(super) fn oldest(&mut self) -> Option<(u64, Bytes)> {
        if self.front.is_empty() {
            self.load();
        }
        let entry = self.front.front()?;
        Some((self.first, entry.message.clone()))
    }

    /// Whether [`Pages::oldest`] would read from disk.
    pub(super) fn must_read(&self) -> bool {
        self.front.is_empty() && self.unread_count > 0
    }

    /// How many messages were found damaged since the last time this was asked.
    pub(super) fn damaged(&mut self) -> u64 {
        std::mem::take(&mut self.damaged)
    }

    /// Adds messages behind the others.
    pub(super) fn add(&mut self, messages: Vec<Bytes>) -> Kept {
        let mut kept = Kept::default();
        for message in messages {
            self.add_one(message, &mut kept);
        }
        kept
    }

    /// The message of that number has been delivered, unless it was dropped meanwhile.
    pub(super) fn done(&mut self, number: u64) {
        if number == self.first && !self.front.is_empty() {
            self.remove_oldest();
            self.note();
        }
    }

    /// Writes what the disk did not take before; how many are lost because it still does not.
    pub(super) fn settle(&mut self) -> u64 {
        if self.write_waiting().is_ok() {
            return 0;
        }
        self.front.iter().filter(|entry| entry.at.is_none()).count() as u64
    }

    /// Throws everything away.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.front.clear();
        self.files.clear();
        self.unread_count = 0;
        (self.writer, self.place) = (None, None);
        fs::remove_dir_all(&self.dir)
    }

    fn add_one(&mut self, message: Bytes, kept: &mut Kept) {
        if message.len() > MAX_RECORD {
            kept.dropped += 1;
            kept.trouble = Some(format!(
                "a message of {} bytes is too long to be kept",
                message.len()
            ));
            return;
        }
        while self.is_full(message.len()) {
            kept.dropped += self.drop_page();
        }
        let mut written = self.write_waiting().and_then(|()| self.write(&message));
        if written.is_err() && self.files.len() > 1 {
            // The disk is full, perhaps of this: the oldest page makes room.
            kept.dropped += self.drop_page();
            written = self.write_waiting().and_then(|()| self.write(&message));
        }
        let in_order = self.unread_count == 0;
        let room = self.front.len() < self.bounds.memory.max(1)
            && (self.front.is_empty() || self.front_bytes + message.len() <= MAX_MEMORY_BYTES);
        match written {
            Ok(at) if in_order && room => {
                self.front_bytes += message.len();
                self.front.push_back(Entry {
                    message,
                    at: Some(at),
                });
            }
            Ok(at) => {
                if self.unread_count == 0 {
                    self.unread = at;
                }
                self.unread_count += 1;
            }
            Err(error) => {
                kept.trouble = Some(format!("{}: {error}", self.dir.display()));
                if in_order && room {
                    self.front_bytes += message.len();
                    self.front.push_back(Entry { message, at: None });
                } else {
                    kept.dropped += 1;
                }
            }
        }
    }

    fn is_full(&self, bytes: usize) -> bool {
        let disk: u64 = self.files.iter().map(|page| page.bytes).sum();
        let on_disk = self.len();
        // One page is left to write to.
        !self.files.is_empty()
            && (on_disk >= self.bounds.memory.max(1) + self.bounds.disk
                || disk + bytes as u64 > MAX_DISK_BYTES)
    }

    /// Drops the oldest page with what is left of it.
    fn drop_page(&mut self) -> u64 {
        let Some(page) = self.files.front() else {
            return 0;
        };
        let (number, left) = (page.number, page.left);
        if self.files.len() == 1 {
            self.writer = None;
        }
        for _ in 0..left {
            if self.front.is_empty() {
                self.unread_count -= 1;
                self.first += 1;
            } else {
                self.pop_front();
            }
        }
        self.files.pop_front();
        let _ = fs::remove_file(self.path(number));
        if self.unread.page == number {
            // Nothing of it is left; the next page begins at its beginning.
            self.unread = Place {
                page: self
                    .files
                    .front()
                    .map_or(self.next_page, |page| page.number),
                offset: 0,
            };
        }
        self.note();
        left as u64
    }

    fn pop_front(&mut self) -> Option<Entry> {
        let entry = self.front.pop_front()?;
        self.front_bytes -= entry.message.len();
        self.first += 1;
        Some(entry)
    }

    fn remove_oldest(&mut self) {
        let Some(Entry { at: Some(_), .. }) = self.pop_front() else {
            return;
        };
        let Some(page) = self.files.front_mut() else {
            return;
        };
        page.left -= 1;
        if page.left == 0 && (self.files.len() > 1 || self.is_last_full()) {
            self.forget_page();
        }
    }

    fn is_last_full(&self) -> bool {
        self.files
            .back()
            .is_none_or(|page| page.messages >= self.bounds.page || page.bytes >= MAX_PAGE_BYTES)
    }

    fn forget_page(&mut self) {
        if self.files.len() == 1 {
            self.writer = None;
        }
        if let Some(page) = self.files.pop_front() {
            let _ = fs::remove_file(self.path(page.number));
        }
    }

    /// Writes what waits in memory alone, in order.
    fn write_waiting(&mut self) -> io::Result<()> {
        let waiting = self.front.iter().filter(|entry| entry.at.is_none()).count();
        for index in self.front.len() - waiting..self.front.len() {
            let message = self.front[index].message.clone();
            let at = self.write(&message)?;
            self.front[index].at = Some(at);
        }
        Ok(())
    }

    /// Writes one message at the end.
    fn write(&mut self, message: &Bytes) -> io::Result<Place> {
        if self.writer.is_none() || self.is_last_full() {
            self.begin_page()?;
        }
        let (Some(file), Some(page)) = (&mut self.writer, self.files.back_mut()) else {
            return Err(io::Error::other("no page is open"));
        };
        let mut record = Vec::with_capacity(HEAD + message.len());
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&crc(message).to_le_bytes());
        record.extend_from_slice(message);
        if let Err(error) = file.write_all(&record) {
            // A part of it must not stand before the next one.
            if file.set_len(page.bytes).is_err() || file.seek(SeekFrom::End(0)).is_err() {
                self.writer = None;
            }
            return Err(error);
        }
        let at = Place {
            page: page.number,
            offset: page.bytes,
        };
        page.bytes += record.len() as u64;
        page.left += 1;
        page.messages += 1;
        Ok(at)
    }

    fn begin_page(&mut self) -> io::Result<()> {
        if self.files.back().is_some_and(|page| page.left == 0) {
            // It was full, and everything in it is delivered.
            let number = self.files.pop_back().map(|page| page.number);
            self.writer = None;
            if let Some(number) = number {
                let _ = fs::remove_file(self.path(number));
            }
        }
        fs::create_dir_all(&self.dir)?;
        let number = self.next_page;
        let path = self.path(number);
        self.writer = Some(OpenOptions::new().write(true).create_new(true).open(path)?);
        self.next_page += 1;
        self.files.push_back(Page {
            number,
            left: 0,
            bytes: 0,
            messages: 0,
        });
        Ok(())
    }

    /// Reads messages back, as many as may be in memory.
    fn load(&mut self) {
        while self.unread_count > 0
            && self.front.len() < self.bounds.memory.max(1)
            && self.front_bytes < MAX_MEMORY_BYTES
        {
            let at = self.unread;
            let Some(index) = self.files.iter().position(|page| page.number == at.page) else {
                // Lost, with all that was in it.
                self.damaged += self.unread_count as u64;
                self.unread_count = 0;
                return;
            };
            let limit = self.bounds.memory.max(1) - self.front.len();
            let page = self.path(at.page);
            let left = self.files[index].left;
            let in_front = self
                .front
                .iter()
                .filter(|entry| entry.at.is_some_and(|it| it.page == at.page))
                .count();
            let expected = (left - in_front).min(self.unread_count);
            let (messages, end) = read(
                &page,
                at.offset,
                limit.min(expected),
                MAX_MEMORY_BYTES - self.front_bytes,
            );
            let found = messages.len();
            self.unread_count -= found;
            for (offset, message) in messages {
                self.front_bytes += message.len();
                self.front.push_back(Entry {
                    message,
                    at: Some(Place {
                        page: at.page,
                        offset,
                    }),
                });
            }
            self.unread.offset = end;
            if found == expected {
                if let Some(next) = self.files.get(index + 1) {
                    self.unread = Place {
                        page: next.number,
                        offset: 0,
                    };
                }
            } else if found == 0 {
                // The rest of the page is damaged.
                let lost = expected;
                self.damaged += lost as u64;
                self.unread_count -= lost;
                self.files[index].left -= lost;
                self.unread = Place {
                    page: self
                        .files
                        .get(index + 1)
                        .map_or(self.next_page, |page| page.number),
                    offset: 0,
                };
                if self.files[index].left == 0 && index == 0 {
                    self.forget_page();
                }
            }
        }
    }

    /// Writes down how far messages have been delivered.
    fn note(&mut self) {
        let at = self
            .front
            .iter()
            .find_map(|entry| entry.at)
            .unwrap_or(if self.unread_count > 0 {
                self.unread
            } else {
                self.files.back().map_or(
                    Place {
                        page: self.next_page,
                        offset: 0,
                    },
                    |page| Place {
                        page: page.number,
                        offset: page.bytes,
                    },
                )
            });
        let mut record = [0; 20];
        record[..8].copy_from_slice(&at.page.to_le_bytes());
        record[8..16].copy_from_slice(&at.offset.to_le_bytes());
        let sum = crc(&record[..16]);
        record[16..].copy_from_slice(&sum.to_le_bytes());
        if self.place.is_none() {
            let path = self.dir.join("place");
            let opened = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path);
            self.place = opened.ok();
        }
        if let Some(file) = &self.place
            && file.write_all_at(&record, 0).is_err()
        {
            // Some may be sent again after a restart; the next note says where.
            self.place = None;
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:020}.page"))
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn read_place(path: &Path) -> Place {
    let read = || {
        let bytes: [u8; 20] = fs::read(path).ok()?.try_into().ok()?;
        let (page, rest) = bytes.split_first_chunk::<8>()?;
        let (offset, sum) = rest.split_first_chunk::<8>()?;
        (crc(&bytes[..16]).to_le_bytes() == sum).then(|| Place {
            page: u64::from_le_bytes(*page),
            offset: u64::from_le_bytes(*offset),
        })
    };
    read().unwrap_or_default()
}

/// How many whole messages a page has from an offset on, and how many bytes it has up to the last of them.
fn count(path: &Path, from: u64) -> io::Result<(usize, u64)> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let (mut at, mut messages) = (from, 0);
    let mut reader = io::BufReader::new(&mut file);
    reader.seek(SeekFrom::Start(from))?;
    while let Ok(Some(length)) = head(&mut reader) {
        let end = at + (HEAD + length.0) as u64;
        if length.0 > MAX_RECORD || end > size {
            break;
        }
        reader.seek_relative(i64::try_from(length.0).map_err(io::Error::other)?)?;
        (at, messages) = (end, messages + 1);
    }
    Ok((messages, at))
}

/// The length and sum before a record; nothing at the end.
fn head(reader: &mut impl io::Read) -> io::Result<Option<(usize, u32)>> {
    let mut bytes = [0; HEAD];
    match reader.read_exact(&mut bytes) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let (length, sum) = bytes.split_at(4);
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .rev()
            .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte))
    };
    Ok(Some((number(length) as usize, number(sum))))
}

/// Messages of a page with their offsets, and the offset behind them; ends at what is not sound.
fn read(path: &Path, from: u64, most: usize, most_bytes: usize) -> (Vec<(u64, Bytes)>, u64) {
    let mut messages = Vec::new();
    let (mut at, mut bytes) = (from, 0);
    let Ok(file) = File::open(path) else {
        return (messages, at);
    };
    let mut reader = io::BufReader::new(file);
    if reader.seek(SeekFrom::Start(from)).is_err() {
        return (messages, at);
    }
    while messages.len() < most && (bytes < most_bytes || messages.is_empty()) {
        let Ok(Some((length, sum))) = head(&mut reader) else {
            break;
        };
        if length > MAX_RECORD {
            break;
        }
        let mut message = Vec::new();
        let taken = (&mut reader).take(length as u64).read_to_end(&mut message);
        if taken.is_err() || message.len() != length || crc(&message) != sum {
            break;
        }
        messages.push((at, message.into()));
        bytes += length;
        at += (HEAD + length) as u64;
    }
    (messages, at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        memory: 4,
        disk: 1000,
        page: 3,
    };

    fn messages(range: std::ops::Range<usize>) -> Vec<Bytes> {
        range
            .map(|number| Bytes::from(format!("message {number}")))
            .collect()
    }

    /// Delivers so many, or all.
    fn deliver(pages: &mut Pages, most: usize) -> Vec<Bytes> {
        let mut delivered = Vec::new();
        while delivered.len() < most
            && let Some((number, message)) = pages.oldest()
        {
            delivered.push(message);
            pages.done(number);
        }
        delivered
    }

    fn files(dir: &Path) -> usize {
        let pages = fs::read_dir(dir).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            Path::new(&name).extension().is_some_and(|it| it == "page")
        });
        pages.count()
    }

    #[test]
    fn messages_come_out_in_order_and_their_pages_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut pages = Pages::open(dir.path(), BOUNDS).unwrap();
        assert_eq!(pages.add(messages(0..20)), Kept::default());
        assert_eq!((pages.len(), files(dir.path())), (20, 7));
        assert_eq!(deliver(&mut pages, 10), messages(0..10));
        assert_eq!(files(dir.path()), 4);
        pages.add(messages(20..25));
        assert_eq!(deliver(&mut pages, 100), messages(10..25));
        assert_eq!(pages.len(), 0);
        assert!(files(dir.path()) <= 1);
    }

    #[test]
    fn what_is_left_is_there_after_a_kill_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut pages = Pages::open(dir.path(), BOUNDS).unwrap();
        pages.add(messages(0..11));
        assert_eq!(deliver(&mut pages, 5), messages(0..5));
        // As after a kill: nothing is closed or settled.
        std::mem::forget(pages);
        let mut pages = Pages::open(dir.path(), BOUNDS).unwrap();
        assert_eq!(pages.len(), 6);
        pages.add(messages(11..13));
        assert_eq!(deliver(&mut pages, 100), messages(5..13));
        drop(pages);
        assert_eq!(Pages::open(dir.path(), BOUNDS).unwrap().len(), 0);
    }

    #[test]
    fn a_torn_record_and_a_damaged_page_cost_only_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let mut pages = Pages::open(dir.path(), BOUNDS).unwrap();
        pages.add(messages(0..9));
        drop(pages);
        let path = |number: u64| dir.path().join(format!("{number:020}.page"));
        let last = fs::read(path(3)).unwrap();
        fs::write(path(3), &last[..last.len() - 2]).unwrap();
        let mut second = fs::read(path(2)).unwrap();
        let middle = second.len() / 2;
        second[middle] ^= 1;
        fs::write(path(2), second).unwrap();
        let mut pages = Pages::open(dir.path(), BOUNDS).unwrap();
        let delivered = deliver(&mut pages, 100);
        assert_eq!(delivered[..4], messages(0..4));
        assert_eq!(delivered[4..], messages(6..8));
        assert_eq!((pages.damaged(), pages.len()), (2, 0));
    }

    #[test]
    fn beyond_the_limit_the_oldest_page_goes_and_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            memory: 2,
            disk: 10,
            page: 3,
        };
        let mut pages = Pages::open(dir.path(), bounds).unwrap();
        let kept = pages.add(messages(0..40));
        assert_eq!(usize::try_from(kept.dropped).unwrap() + pages.len(), 40);
        assert!(pages.len() <= 12);
        let first = 40 - pages.len();
        assert_eq!(deliver(&mut pages, 100), messages(first..40));
    }

    #[test]
    fn the_one_being_sent_may_be_dropped_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds {
            memory: 1,
            disk: 2,
            page: 1,
        };
        let mut pages = Pages::open(dir.path(), bounds).unwrap();
        pages.add(messages(0..1));
        let (number, _) = pages.oldest().unwrap();
        pages.add(messages(1..8));
        let left = pages.len();
        pages.done(number);
        assert_eq!(pages.len(), left);
        assert_eq!(deliver(&mut pages, 100), messages(8 - left..8));
    }

    #[test]
    fn without_a_disk_messages_wait_in_memory_and_go_to_disk_when_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let mut pages = Pages::open(&cache, BOUNDS).unwrap();
        // A file in the way of the directory stands for a disk that takes nothing.
        fs::remove_dir(&cache).unwrap();
        fs::write(&cache, "in the way").unwrap();
        let kept = pages.add(messages(0..6));
        assert_eq!((kept.dropped, pages.len()), (2, 4));
        assert!(kept.trouble.is_some());
        assert_eq!(pages.settle(), 4);
        fs::remove_file(&cache).unwrap();
        assert_eq!(pages.add(messages(6..8)), Kept::default());
        drop(pages);
        let mut pages = Pages::open(&cache, BOUNDS).unwrap();
        let mut expected = messages(0..4);
        expected.extend(messages(6..8));
        assert_eq!(deliver(&mut pages, 100), expected);
    }

    proptest! {
        #[test]
        fn whatever_happens_messages_stay_in_order(
            steps in prop::collection::vec((0_usize..4, 1_usize..9), 1..40),
            memory in 1_usize..5, page in 1_usize..5,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let bounds = Bounds { memory, disk: 10_000, page };
            let mut pages = Pages::open(dir.path(), bounds).unwrap();
            let (mut added, mut delivered) = (0, 0);
            for (step, count) in steps {
                match step {
                    0 | 1 => {
                        prop_assert_eq!(pages.add(messages(added..added + count)), Kept::default());
                        added += count;
                    }
                    2 => {
                        let got = deliver(&mut pages, count);
                        let to = (delivered + count).min(added);
                        prop_assert_eq!(got, messages(delivered..to));
                        delivered = to;
                    }
                    _ => {
                        drop(pages);
                        pages = Pages::open(dir.path(), bounds).unwrap();
                    }
                }
                prop_assert_eq!(pages.len(), added - delivered);
            }
        }

        #[test]
        fn no_file_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), place in prop::collection::vec(any::<u8>(), 0..24)) {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(format!("{:020}.page", 1)), &bytes).unwrap();
            fs::write(dir.path().join("place"), &place).unwrap();
            let mut pages = Pages::open(dir.path(), BOUNDS).unwrap();
            deliver(&mut pages, 100);
            prop_assert_eq!(pages.len(), 0);
        }
    }
}
