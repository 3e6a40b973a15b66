//! Versions on disk and the links to them, for kinds whose plugins are directories that others read.
//!
//! A version lies in `versions/{kind}/{key}/{digest}`, complete from the moment it has that name and read-only
//! ([`place()`]). A link where people and the application look, such as `plugins/{Name}`, leads to the one
//! in force ([`link()`]). A directory that somebody put there is exchanged for the link and kept in
//! `backups/adopted/`; [`unlink()`] brings it back.
//!
//! Everything here blocks, and can be done again after half a run.

use std::fs::{self, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use plugyard_archive::{Contents, Directory, Limits, PackageReader, Policy, Zip, unpack};
use plugyard_model::{Digest, PluginName};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest as _, Sha256};

use crate::Home;

/// Where people and the application find a plugin: `plugins/{key}`.
pub fn shown(home: &Home, key: &str) -> PathBuf {
    home.plugins().join(key)
}

/// Where a version lies.
pub fn version_directory(home: &Home, plugin: &PluginName, digest: &Digest) -> PathBuf {
    home.versions(plugin).join(digest.to_string())
}

/// Whether a directory, or a link to one, is there.
pub fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_dir())
}

/// Bytes that were inspected when they were taken in, and are known by their digest since.
///
/// # Errors
/// When the file cannot be read or is no zip.
pub fn open_package(package: &Path) -> io::Result<Zip> {
    // The bounds they had to keep then may have been others.
    let policy = Policy {
        contents: Contents::WhenRead,
        ..Policy::within(Limits::MOST)
    };
    Zip::open_path(package, &policy)
}

/// How a file of a directory differs from a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The package has it, the directory does not.
    Missing,
    /// Both have it with other content.
    Changed,
    /// Only the directory has it.
    Foreign,
}

/// In what a directory differs from a package, by path.
///
/// # Errors
/// When the package cannot be read, in words.
pub fn differences(
    package: &dyn PackageReader,
    directory: &Path,
) -> Result<Vec<(String, Difference)>, String> {
    let actual = Directory::open(directory, &Policy::within(Limits::MOST));
    let mut found = Vec::new();
    for entry in package.listing().files() {
        let Some(here) = actual.listing().find(&entry.path).filter(|it| it.is_file()) else {
            found.push((entry.path.clone(), Difference::Missing));
            continue;
        };
        let same = here.size == entry.size
            && file_digest(&directory.join(&entry.path)).ok()
                == Some(content_digest(package, &entry.path, entry.size)?);
        if !same {
            found.push((entry.path.clone(), Difference::Changed));
        }
    }
    let foreign = actual
        .listing()
        .files()
        .filter(|entry| !package.listing().has_file(&entry.path))
        .map(|entry| (entry.path.clone(), Difference::Foreign));
    found.extend(foreign);
    found.sort();
    Ok(found)
}

fn content_digest(package: &dyn PackageReader, path: &str, size: u64) -> Result<[u8; 32], String> {
    let mut hash = Hashing(Sha256::new());
    package
        .copy_to(path, size, &mut hash)
        .map_err(|error| error.to_string())?;
    Ok(hash.0.finalize().into())
}

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub fn file_digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = fs::File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Sees to it that a version is on disk as it is in its package. What was changed in it by hand is replaced,
/// at once.
///
/// Says whether anything was written.
///
/// # Errors
/// When the package cannot be read or the directory not be written, in words.
pub fn place(package: &dyn PackageReader, directory: &Path) -> Result<bool, String> {
    let there = is_there(directory);
    if there && differences(package, directory)?.is_empty() {
        return Ok(false);
    }
    let part = directory.with_extension("part");
    discard(&part).map_err(|error| format!("cannot clear {}: {error}", part.display()))?;
    unpack(package, &part, |entry| vec![entry.path.clone()]).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|it| format!(": {it}"));
        format!("{error}{}", cause.unwrap_or_default())
    })?;
    let place = || -> io::Result<()> {
        make_read_only(&part)?;
        // A directory must be its owner's to be renamed.
        let mode = fs::metadata(&part)?.permissions().mode();
        fs::set_permissions(&part, Permissions::from_mode(mode | 0o200))?;
        if there {
            renameat_with(CWD, &part, CWD, directory, RenameFlags::EXCHANGE)?;
            discard(&part)?;
        } else {
            fs::rename(&part, directory)?;
        }
        sync_parent(directory)
    };
    place().map_err(|error| format!("cannot place {}: {error}", directory.display()))?;
    Ok(true)
}

/// Makes a directory and all that is in it read-only.
///
/// # Errors
/// When the permissions of something cannot be changed.
pub fn make_read_only(directory: &Path) -> io::Result<()> {
    walk(directory, &|path, permissions| {
        fs::set_permissions(path, Permissions::from_mode(permissions.mode() & !0o222))
    })
}

/// Removes a version, however much of it there is, and read-only as it is.
///
/// # Errors
/// When something of it stays.
pub fn discard(directory: &Path) -> io::Result<()> {
    if fs::symlink_metadata(directory).is_err() {
        return Ok(());
    }
    walk(directory, &|path, permissions| {
        if permissions.mode() & 0o200 == 0 {
            fs::set_permissions(path, Permissions::from_mode(permissions.mode() | 0o700))?;
        }
        Ok(())
    })?;
    missing_is_fine(fs::remove_dir_all(directory))
}

/// Does something with a directory and all that is in it, directories before what is in them; links are
/// left alone.
fn walk(path: &Path, act: &dyn Fn(&Path, &Permissions) -> io::Result<()>) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    act(path, &metadata.permissions())?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            walk(&entry?.path(), act)?;
        }
    }
    Ok(())
}

/// Lets people and the application see this version at `shown`, whatever they saw there before. `shown` is in
/// a directory of the home, such as `plugins/`.
///
/// # Errors
/// When the link cannot be made; then what was there is still there.
pub fn link(home: &Home, shown: &Path, plugin: &PluginName, digest: &Digest) -> io::Result<()> {
    let target = Path::new("../versions")
        .join(plugin.kind.as_str())
        .join(plugin.key.as_str())
        .join(digest.to_string());
    link_to(home, shown, &target, plugin.key.as_str())
}

/// The same with any target, relative to the directory of `shown`. A directory that was there is kept under
/// `name`.
///
/// # Errors
/// When the link cannot be made; then what was there is still there.
pub fn link_to(home: &Home, shown: &Path, target: &Path, name: &str) -> io::Result<()> {
    if fs::read_link(shown).is_ok_and(|now| now == target) {
        return Ok(());
    }
    if let Some(parent) = shown.parent() {
        fs::create_dir_all(parent)?;
    }
    if fs::symlink_metadata(shown).is_ok_and(|it| it.is_dir()) {
        let kept = free_place(home, name)?;
        symlink(target, &kept)?;
        renameat_with(CWD, &kept, CWD, shown, RenameFlags::EXCHANGE)?;
        tracing::info!(name, kept = %kept.display(), "Adopted a directory");
    } else {
        let passing = shown.with_file_name(format!(".{name}.{}.new", std::process::id()));
        missing_is_fine(fs::remove_file(&passing))?;
        symlink(target, &passing)?;
        fs::rename(&passing, shown)?;
    }
    sync_parent(shown)
}

/// Takes a link away of what was never installed before, and puts back what it was exchanged for: the directory
/// kept under `name`, which is the plugin's key unless [`link_to`] had another.
///
/// # Errors
/// When the link stays.
pub fn unlink(home: &Home, shown: &Path, name: &str) -> io::Result<()> {
    if !fs::symlink_metadata(shown).is_ok_and(|it| it.is_symlink()) {
        return Ok(());
    }
    match adopted(home, name).pop() {
        Some(kept) => {
            renameat_with(CWD, &kept, CWD, shown, RenameFlags::EXCHANGE)?;
            missing_is_fine(fs::remove_file(&kept))?;
        }
        None => missing_is_fine(fs::remove_file(shown))?,
    }
    sync_parent(shown)
}

/// Keeps a directory that somebody put in the way, under `name` in `backups/adopted/`.
///
/// # Errors
/// When it cannot be moved; then it is where it was.
pub fn adopt(home: &Home, directory: &Path, name: &str) -> io::Result<()> {
    let kept = free_place(home, name)?;
    fs::rename(directory, &kept)?;
    tracing::info!(name, kept = %kept.display(), "Adopted a directory");
    Ok(())
}

/// The directories kept under `name`, oldest first.
pub fn adopted(home: &Home, name: &str) -> Vec<PathBuf> {
    let mut kept = entries(home, name);
    kept.retain(|path| fs::symlink_metadata(path).is_ok_and(|it| it.is_dir()));
    kept.sort();
    kept
}

/// A free name among the adopted. Links there are what a crash left of an exchange.
fn free_place(home: &Home, key: &str) -> io::Result<PathBuf> {
    let directory = home.backups().join("adopted");
    fs::create_dir_all(&directory)?;
    for left in entries(home, key) {
        if fs::symlink_metadata(&left).is_ok_and(|it| it.is_symlink()) {
            missing_is_fine(fs::remove_file(left))?;
        }
    }
    let mut time = now();
    loop {
        let path = directory.join(format!("{key}-{time}"));
        if fs::symlink_metadata(&path).is_err() {
            return Ok(path);
        }
        time += 1;
    }
}

/// Everything kept under this name: `{key}-{milliseconds}`.
fn entries(home: &Home, key: &str) -> Vec<PathBuf> {
    let of_key = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str()?.strip_prefix(key)?.strip_prefix('-'))
            .is_some_and(|time| !time.is_empty() && time.bytes().all(|it| it.is_ascii_digit()))
    };
    fs::read_dir(home.backups().join("adopted"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(of_key)
        .collect()
}

fn now() -> u128 {
    std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_millis())
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Counts what was not there as done.
///
/// # Errors
/// Each other one that `outcome` is.
pub fn missing_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use plugyard_archive::pack_to_file;

    use super::*;

    struct World {
        _directory: tempfile::TempDir,
        home: Home,
        plugin: PluginName,
    }

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let home = Home::new(directory.path());
            fs::create_dir_all(home.plugins()).unwrap();
            Self {
                _directory: directory,
                home,
                plugin: "app:Demo".parse().unwrap(),
            }
        }

        fn package(&self, content: &str) -> (PathBuf, Digest) {
            let source = self.home.root().join("source");
            fs::create_dir_all(source.join("deep")).unwrap();
            fs::write(source.join("deep/a.php"), content).unwrap();
            fs::write(source.join("b.php"), "b").unwrap();
            let package = self.home.root().join(format!("{}.zip", content.len()));
            let report = pack_to_file(&source, &package, &Policy::default()).unwrap();
            (package, report.digest)
        }

        fn directory(&self, digest: &Digest) -> PathBuf {
            version_directory(&self.home, &self.plugin, digest)
        }
    }

    fn placed(package: &Path, directory: &Path) -> bool {
        place(&open_package(package).unwrap(), directory).unwrap()
    }

    #[test]
    fn a_version_is_placed_once_and_mended_when_it_was_changed() {
        let world = World::new();
        let (package, digest) = world.package("one");
        let directory = world.directory(&digest);
        fs::create_dir_all(directory.parent().unwrap()).unwrap();
        assert!(placed(&package, &directory));
        assert!(!placed(&package, &directory));

        let file = directory.join("deep/a.php");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(directory.join("deep"), Permissions::from_mode(0o755)).unwrap();
        fs::write(&file, "ONE").unwrap();
        fs::write(directory.join("deep/new.php"), "").unwrap();
        fs::remove_file(directory.join("b.php")).unwrap();
        let zip = open_package(&package).unwrap();
        assert_eq!(
            differences(&zip, &directory).unwrap(),
            [
                ("b.php".to_owned(), Difference::Missing),
                ("deep/a.php".to_owned(), Difference::Changed),
                ("deep/new.php".to_owned(), Difference::Foreign),
            ]
        );
        assert!(placed(&package, &directory));
        assert_eq!(differences(&zip, &directory).unwrap(), []);
        assert!(!directory.with_extension("part").exists());
        discard(&directory).unwrap();
        assert!(!directory.exists());
    }

    #[test]
    fn a_directory_is_exchanged_for_the_link_and_comes_back_when_that_is_undone() {
        let world = World::new();
        let shown = shown(&world.home, "Demo");
        fs::create_dir_all(&shown).unwrap();
        fs::write(shown.join("by-hand"), "").unwrap();
        let (package, digest) = world.package("one");
        let directory = world.directory(&digest);
        fs::create_dir_all(directory.parent().unwrap()).unwrap();
        assert!(placed(&package, &directory));
        for _ in 0..2 {
            link(&world.home, &shown, &world.plugin, &digest).unwrap();
            assert_eq!(fs::read_to_string(shown.join("deep/a.php")).unwrap(), "one");
        }
        let kept = adopted(&world.home, "Demo");
        assert_eq!(kept.len(), 1);
        assert!(kept[0].join("by-hand").exists());
        for _ in 0..2 {
            unlink(&world.home, &shown, "Demo").unwrap();
            assert!(shown.join("by-hand").exists());
        }
        assert!(adopted(&world.home, "Demo").is_empty());
    }
    #[test]
    fn an_exchange_that_was_cut_off_is_done_again() {
        let world = World::new();
        let home = &world.home;
        let shown = home.plugins().join("demo");
        fs::create_dir_all(&shown).unwrap();
        fs::write(shown.join("by-hand"), "").unwrap();
        // A crash before the exchange leaves its link; another plugin's is not ours to remove.
        let kept = home.backups().join("adopted");
        fs::create_dir_all(&kept).unwrap();
        symlink("x", kept.join("demo-1")).unwrap();
        symlink("x", kept.join("demo-2-1")).unwrap();

        let target = Path::new("../versions/x");
        link_to(home, &shown, target, "demo").unwrap();
        assert_eq!(fs::read_link(&shown).unwrap(), target);
        let found = adopted(home, "demo");
        assert_eq!(found.len(), 1);
        assert!(found[0].join("by-hand").is_file());
        assert!(fs::symlink_metadata(kept.join("demo-1")).is_err());
        assert!(fs::symlink_metadata(kept.join("demo-2-1")).is_ok());
    }
}
