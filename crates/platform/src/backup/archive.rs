//! Writing the archive.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use plugyard_model::Digest;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::{DATABASE, Entry, HELD, KEYS, MANIFEST, Manifest, What, name_of};
use crate::Home;

/// Packages are compressed already, and the rest is small: speed counts more.
const LEVEL: Compression = Compression::new(3);

type Out = GzEncoder<BufWriter<File>>;

struct Writer<'a> {
    root: &'a Path,
    /// Where files that may change while they are read are copied to first.
    spool: &'a Path,
    tar: Builder<Out>,
    entries: Vec<Entry>,
}

/// Writes the archive and gives its manifest, complete.
pub(super) fn write(
    home: &Home,
    mut manifest: Manifest,
    database: Option<&Path>,
    spool: &Path,
    target: &Path,
) -> io::Result<Manifest> {
    let out = GzEncoder::new(BufWriter::new(File::create(target)?), LEVEL);
    let mut writer = Writer {
        root: home.root(),
        spool,
        tar: Builder::new(out),
        entries: Vec::new(),
    };
    if let Some(database) = database {
        let mut metadata = Stat::of(&fs::symlink_metadata(database)?);
        metadata.mode = 0o600;
        writer.file(Path::new(DATABASE), &metadata, &mut File::open(database)?)?;
    }
    for held in HELD {
        writer.parents(Path::new(held))?;
        writer.any(Path::new(held))?;
    }
    if manifest.keys {
        writer.any(Path::new(KEYS))?;
    }
    manifest.entries = writer.entries;
    let text = serde_json::to_vec_pretty(&manifest)?;
    let mut header = header(EntryType::Regular, 0o600, manifest.created_at / 1000);
    header.set_size(text.len() as u64);
    writer.tar.append_data(&mut header, MANIFEST, &*text)?;
    let mut file = writer.tar.into_inner()?.finish()?;
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(manifest)
}

/// What is kept of a file's metadata.
struct Stat {
    mode: u32,
    modified: i64,
    size: u64,
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.permissions().mode() & 0o777,
            modified: metadata.mtime(),
            size: metadata.len(),
        }
    }
}

impl Writer<'_> {
    /// The directories above a path that is held alone.
    fn parents(&mut self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent().filter(|it| !it.as_os_str().is_empty()) else {
            return Ok(());
        };
        match fs::symlink_metadata(self.root.join(path)) {
            Ok(_) => self.directory(parent, &Stat::of(&fs::metadata(self.root.join(parent))?)),
            Err(_) => Ok(()),
        }
    }

    /// Whatever is at a path below the home, with all that is in it. What is not there, or goes while we
    /// look, is left out, and so is what is neither file nor directory nor link.
    fn any(&mut self, path: &Path) -> io::Result<()> {
        let from = self.root.join(path);
        let Some(metadata) = there(fs::symlink_metadata(&from))? else {
            return Ok(());
        };
        let stat = Stat::of(&metadata);
        if metadata.is_dir() {
            self.directory(path, &stat)?;
            let Some(entries) = there(fs::read_dir(&from))? else {
                return Ok(());
            };
            let mut names = entries
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<Vec<_>>>()?;
            names.sort();
            for name in names {
                self.any(&path.join(name))?;
            }
        } else if metadata.is_symlink() {
            if let Some(target) = there(fs::read_link(&from))? {
                let mut header = header(EntryType::Symlink, 0o777, stat.modified);
                header.set_size(0);
                self.tar.append_link(&mut header, path, &target)?;
                let target = name_of(target.as_os_str().as_bytes());
                self.noted(path, What::Link { target });
            }
        } else if metadata.is_file() {
            if let Some(mut file) = there(File::open(&from))? {
                self.spooled(path, stat, &mut file)?;
            }
        } else {
            tracing::warn!(path = %from.display(), "Left out of the backup: no file");
        }
        Ok(())
    }

    fn directory(&mut self, path: &Path, stat: &Stat) -> io::Result<()> {
        let mut header = header(EntryType::Directory, stat.mode, stat.modified);
        header.set_size(0);
        self.tar.append_data(&mut header, path, io::empty())?;
        self.noted(path, What::Directory { mode: stat.mode });
        Ok(())
    }

    /// A file that somebody may be writing: as many bytes as there are by the end of a first copy.
    fn spooled(&mut self, path: &Path, mut stat: Stat, file: &mut File) -> io::Result<()> {
        let immutable = path.starts_with("objects") || path.starts_with("versions");
        if immutable {
            return self.file(path, &stat, file);
        }
        let mut copy = tempfile::tempfile_in(self.spool)?;
        stat.size = io::copy(file, &mut copy)?;
        io::Seek::rewind(&mut copy)?;
        self.file(path, &stat, &mut copy)
    }

    fn file(&mut self, path: &Path, stat: &Stat, content: &mut File) -> io::Result<()> {
        let mut header = header(EntryType::Regular, stat.mode, stat.modified);
        header.set_size(stat.size);
        let mut content = Hashed::new(content.take(stat.size));
        self.tar.append_data(&mut header, path, &mut content)?;
        let (sha256, size) = content.finish();
        if size != stat.size {
            let text = format!("`{}` changed while it was read", path.display());
            return Err(io::Error::other(text));
        }
        let mode = stat.mode;
        self.noted(path, What::File { mode, size, sha256 });
        Ok(())
    }

    fn noted(&mut self, path: &Path, what: What) {
        let path = name_of(path.as_os_str().as_bytes());
        self.entries.push(Entry { path, what });
    }
}

fn header(kind: EntryType, mode: u32, modified: i64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(modified.max(0).unsigned_abs());
    header
}

/// `None` for what is not there.
fn there<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Counts and hashes what is read through it.
pub(super) struct Hashed<R> {
    inner: R,
    hash: Sha256,
    size: u64,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }

    pub(super) fn finish(self) -> (Digest, u64) {
        (Digest::from_bytes(self.hash.finalize().into()), self.size)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}
