//! Reading an archive: first whole, to know that it is sound, and only then into a new home.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::bufread::GzDecoder;
use plugyard_model::{Problem, codes};
use tar::{Archive, EntryType};

use super::archive::Hashed;
use super::{
    DATABASE, Entry, FORMAT, HELD, KEYS, MANIFEST, Manifest, Stored, What, failed, name_of,
};

/// Entries a backup may have.
const MAX_ENTRIES: usize = 1 << 22;
/// Bytes its manifest may have.
const MANIFEST_LIMIT: u64 = 1 << 30;

/// Reads a backup whole and compares it with its manifest.
///
/// # Errors
/// `input_unreadable`; `backup_invalid` when it is none, was cut off or altered; `backup_newer` when its
/// format is newer, or its database has a migration that is not in `known`.
pub fn verify(path: &Path, known: &[String]) -> Result<Manifest, Problem> {
    let wrong = |reason: String| {
        Problem::new(codes::BACKUP_INVALID)
            .with("path", path.display())
            .with("reason", reason)
    };
    let newer = |what: String| {
        Problem::new(codes::BACKUP_NEWER)
            .with("path", path.display())
            .with("what", what)
    };
    let file = File::open(path).map_err(|error| {
        Problem::new(codes::INPUT_UNREADABLE)
            .with("path", path.display())
            .with("reason", error)
    })?;
    let mut entries = Vec::new();
    let mut look = |_: &Path, _: u64, entry: Reading<'_>| {
        let what = entry.through(&mut io::sink())?;
        entries.push(what);
        Ok(())
    };
    let manifest = walk(file, &mut look).map_err(|error| wrong(error.to_string()))?;
    // The number first: all else may look different in another format.
    let format = manifest.get("format").and_then(serde_json::Value::as_u64);
    if let Some(format) = format.filter(|&format| format > u64::from(FORMAT)) {
        return Err(newer(format!("format {format}")));
    }
    let manifest: Manifest =
        serde_json::from_value(manifest).map_err(|error| wrong(error.to_string()))?;
    if let Some(name) = manifest.migrations.iter().find(|it| !known.contains(it)) {
        return Err(newer(name.clone()));
    }
    if entries != manifest.entries {
        let first = entries
            .iter()
            .zip(&manifest.entries)
            .find(|(is, should)| is != should)
            .map_or("its end", |(_, should)| &should.path);
        return Err(wrong(format!(
            "what is in it differs from its manifest at `{first}`"
        )));
    }
    let has_database = entries.first().is_some_and(|it| it.path == DATABASE);
    if has_database != (manifest.database == Stored::Included) {
        return Err(wrong("the database is not where it should be".to_owned()));
    }
    Ok(manifest)
}

/// Verifies a backup and that it could be brought back as this home, and writes nothing.
///
/// # Errors
/// As [`restore`], but for what happens to the disk meanwhile.
pub fn foresee(path: &Path, home: &Path, known: &[String]) -> Result<Manifest, Problem> {
    has_room(home)?;
    verify(path, known)
}

/// Whether the home is there already, as an empty directory.
fn has_room(home: &Path) -> Result<bool, Problem> {
    match fs::read_dir(home).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Ok(false) => Err(Problem::new(codes::HOME_NOT_EMPTY).with("path", home.display())),
        Err(error) => Err(failed(home, &error)),
    }
}

/// Brings a backup back as a new home: `home` must not be there, or be an empty directory. The backup is
/// verified whole before anything is written, and the home appears when everything is in place.
///
/// # Errors
/// As [`verify`]; `home_not_empty`; `backup_failed` when the disk fails: then `home` is as before.
pub fn restore(path: &Path, home: &Path, known: &[String]) -> Result<Manifest, Problem> {
    let disk = |error: &io::Error| failed(home, error);
    let exists = has_room(home)?;
    let manifest = verify(path, known)?;
    // Inside a home that is there, since that may be a file system of its own.
    let beside = if exists {
        home
    } else {
        home.parent()
            .filter(|it| !it.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    };
    fs::create_dir_all(beside).map_err(|error| disk(&error))?;
    let work = tempfile::Builder::new()
        .prefix(".plugyard-restore-")
        .tempdir_in(beside)
        .map_err(|error| disk(&error))?;
    fill(path, work.path(), &manifest).map_err(|error| disk(&error))?;
    if exists {
        move_in(work.path(), home).map_err(|error| disk(&error))?;
    } else {
        fs::rename(work.path(), home).map_err(|error| disk(&error))?;
        // It is the home now.
        let _ = work.keep();
    }
    Ok(manifest)
}

/// The database last: without it there is no home that could be taken for a complete one.
fn move_in(from: &Path, home: &Path) -> io::Result<()> {
    let mut names = fs::read_dir(from)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_by_key(|name| name == DATABASE);
    names
        .iter()
        .try_for_each(|name| fs::rename(from.join(name), home.join(name)))
}

/// Writes all entries below `root`, comparing them with the manifest once more.
fn fill(path: &Path, root: &Path, manifest: &Manifest) -> io::Result<()> {
    let mut expected = manifest.entries.iter();
    let mut directories = Vec::new();
    walk(File::open(path)?, &mut |path, modified, entry| {
        let at = root.join(path);
        let found = match entry {
            Reading::Directory { mode, .. } => {
                DirBuilder::new().mode(0o700).create(&at)?;
                directories.push((at, mode));
                entry.through(&mut io::sink())?
            }
            Reading::Link { target, .. } => {
                symlink(OsStr::from_bytes(target), &at)?;
                entry.through(&mut io::sink())?
            }
            Reading::File { mode, .. } => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&at)?;
                let found = entry.through(&mut file)?;
                let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(modified));
                file.set_modified(time.unwrap_or(SystemTime::UNIX_EPOCH))?;
                file.set_permissions(Permissions::from_mode(mode))?;
                found
            }
        };
        match expected.next() {
            Some(expected) if *expected == found => Ok(()),
            _ => Err(invalid("the file changed while it was read")),
        }
    })?;
    // From the innermost: a directory without the right to write takes no more entries.
    for (directory, mode) in directories.into_iter().rev() {
        fs::set_permissions(directory, Permissions::from_mode(mode))?;
    }
    rustix::fs::syncfs(File::open(root)?)?;
    Ok(())
}

/// An entry while it is read.
enum Reading<'a> {
    Directory {
        name: String,
        mode: u32,
    },
    Link {
        name: String,
        target: &'a [u8],
    },
    File {
        name: String,
        mode: u32,
        content: &'a mut dyn Read,
    },
}

impl Reading<'_> {
    /// Passes the content on, and tells what the entry is.
    fn through(self, out: &mut impl io::Write) -> io::Result<Entry> {
        let (path, what) = match self {
            Self::Directory { name, mode } => (name, What::Directory { mode }),
            Self::Link { name, target } => {
                let target = name_of(target);
                (name, What::Link { target })
            }
            Self::File {
                name,
                mode,
                content,
            } => {
                let mut content = Hashed::new(content);
                io::copy(&mut content, out)?;
                let (sha256, size) = content.finish();
                (name, What::File { mode, size, sha256 })
            }
        };
        Ok(Entry { path, what })
    }
}

/// Goes through an archive to its very end; gives its manifest.
fn walk(
    file: File,
    visit: &mut dyn FnMut(&Path, u64, Reading<'_>) -> io::Result<()>,
) -> io::Result<serde_json::Value> {
    let mut archive = Archive::new(GzDecoder::new(BufReader::with_capacity(1 << 17, file)));
    let mut seen: HashMap<PathBuf, bool> = HashMap::new();
    let mut manifest = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        if manifest.is_some() {
            return Err(invalid("something follows the manifest"));
        }
        let bytes = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        if bytes == MANIFEST.as_bytes() && kind == EntryType::Regular {
            let mut text = Vec::new();
            entry.by_ref().take(MANIFEST_LIMIT).read_to_end(&mut text)?;
            manifest = Some(serde_json::from_slice(&text)?);
            continue;
        }
        let path = PathBuf::from(OsStr::from_bytes(
            bytes.strip_suffix(b"/").unwrap_or(&bytes),
        ));
        let name = name_of(path.as_os_str().as_bytes());
        let is_directory = kind == EntryType::Directory;
        if !is_allowed(&path, &seen) || seen.len() >= MAX_ENTRIES {
            return Err(invalid(&format!("`{name}` has no place in a home")));
        }
        seen.insert(path.clone(), is_directory);
        let mode = entry.header().mode()? & 0o777;
        let modified = entry.header().mtime()?;
        match kind {
            EntryType::Directory => visit(&path, modified, Reading::Directory { name, mode })?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = &*target;
                visit(&path, modified, Reading::Link { name, target })?;
            }
            EntryType::Regular => {
                let content = &mut entry;
                let reading = Reading::File {
                    name,
                    mode,
                    content,
                };
                visit(&path, modified, reading)?;
            }
            _ => return Err(invalid(&format!("`{name}` is neither file nor directory"))),
        }
    }
    // The checksum stands at the very end, and nothing may follow it.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    if !rest.into_inner().fill_buf()?.is_empty() {
        return Err(invalid("something follows the archive"));
    }
    manifest.ok_or_else(|| invalid("it has no manifest, so it was cut off or is no backup"))
}

/// Whether a path may be written: new, relative, below what a backup holds, and in a directory that was
/// made before it, so that no link is ever followed.
fn is_allowed(path: &Path, seen: &HashMap<PathBuf, bool>) -> bool {
    let normal = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let held = HELD
        .iter()
        .chain(&[KEYS, DATABASE])
        .any(|held| path.starts_with(held) || Path::new(held).parent() == Some(path));
    let parent = path.parent().unwrap_or(Path::new(""));
    let has_parent = parent.as_os_str().is_empty() || seen.get(parent) == Some(&true);
    normal && held && has_parent && !path.as_os_str().is_empty() && !seen.contains_key(path)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};

    use super::*;

    /// An archive with these entries, each a path, a kind and where it leads when it is a link.
    fn archive(entries: &[(&str, EntryType, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = GzEncoder::new(file.reopen().unwrap(), Compression::fast());
        let mut tar = Builder::new(out);
        for (path, kind, target) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_size(0);
            // Not through the library, which would refuse to write what must be refused when it is read.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_cksum();
            tar.append(&header, io::empty()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        file
    }

    fn refusal(entries: &[(&str, EntryType, &str)]) -> String {
        let file = archive(entries);
        let home = tempfile::tempdir().unwrap();
        let problem = restore(file.path(), home.path(), &[]).unwrap_err();
        assert_eq!(problem.code, codes::BACKUP_INVALID);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        problem.params["reason"].clone()
    }

    #[test]
    fn what_would_be_written_elsewhere_is_refused() {
        use EntryType::{Directory, Link, Regular, Symlink};
        for path in [
            "../data",
            "/etc/passwd",
            "data/../../x",
            "run/x",
            "data/x",
            ".",
            "",
        ] {
            let reason = refusal(&[(path, Regular, "")]);
            assert!(
                reason.contains("has no place in a home"),
                "{path}: {reason}"
            );
        }
        let through = [("data", Symlink, "/tmp"), ("data/x", Regular, "")];
        assert!(refusal(&through).contains("`data/x` has no place"));
        let twice = [("data", Directory, ""), ("data", Symlink, "/tmp")];
        assert!(refusal(&twice).contains("`data` has no place"));
        let hard = [("data", Directory, ""), ("data/x", Link, "/etc/passwd")];
        assert!(refusal(&hard).contains("neither file nor directory"));
        assert!(refusal(&[("data", Directory, "")]).contains("no manifest"));
    }
}
