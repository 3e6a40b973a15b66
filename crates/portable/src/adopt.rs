//! Plugins that somebody put into `plugins/` by hand, as eKuiper's users do: found, and once they are
//! installed like any other, put by in `backups/adopted/`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use plugyard_model::Key;
use plugyard_platform::Home;
use plugyard_platform::kind::Dropped;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::versions::{is_directory, missing_is_fine};

/// Where they are looked for, below `plugins/`; of two of one name the first counts.
const PLACES: [&str; 2] = ["portable", "portables"];

/// The directories that are there, by name. Links are ours and hidden directories nobody's plugin.
pub(crate) fn dropped(home: &Home) -> Vec<Dropped> {
    let mut found: Vec<Dropped> = Vec::new();
    for place in PLACES {
        let entries = match fs::read_dir(home.plugins().join(place)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                tracing::warn!(%error, "`plugins/{place}` cannot be read");
                continue;
            }
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let key = name.into_owned();
            let known = found.iter().any(|it| it.key == key);
            if !key.starts_with('.') && !known && is_directory(&path) {
                found.push(Dropped { key, path });
            }
        }
    }
    found.sort_by(|a, b| a.key.cmp(&b.key));
    found
}

/// Puts a link where a directory stands, and the directory among the adopted ones, in one step: there is
/// no moment at which neither is there, nor one at which a crash leaves the directory somewhere else.
pub(crate) fn exchange(home: &Home, key: &Key, target: &Path, shown: &Path) -> io::Result<()> {
    let kept = place(home, key)?;
    symlink(target, &kept)?;
    renameat_with(CWD, &kept, CWD, shown, RenameFlags::EXCHANGE)?;
    tracing::info!(plugin.key = %key, kept = %kept.display(), "Adopted a directory");
    Ok(())
}

/// Puts by what stands in the other place under the name of a plugin that is installed now. What cannot be
/// moved is found again at the next look.
pub(crate) fn put_by(home: &Home, key: &Key) {
    for place_name in &PLACES[1..] {
        let path = home.plugins().join(place_name).join(key.as_str());
        if !is_directory(&path) {
            continue;
        }
        match place(home, key).and_then(|kept| fs::rename(&path, kept)) {
            Ok(()) => tracing::info!(path = %path.display(), "Adopted a directory"),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "A directory cannot be put by");
            }
        }
    }
}

/// What was put by under this name, oldest first.
pub(crate) fn kept(home: &Home, key: &Key) -> Vec<PathBuf> {
    let mut kept: Vec<_> = entries(home, key)
        .into_iter()
        .filter(|path| is_directory(path))
        .collect();
    kept.sort();
    kept
}

/// A free name among the adopted. Links there are what a crash left of an exchange.
fn place(home: &Home, key: &Key) -> io::Result<PathBuf> {
    let adopted = home.backups().join("adopted");
    fs::create_dir_all(&adopted)?;
    for left in entries(home, key) {
        if fs::symlink_metadata(&left).is_ok_and(|it| it.is_symlink()) {
            missing_is_fine(fs::remove_file(left))?;
        }
    }
    let mut time = crate::logs::now();
    loop {
        let path = adopted.join(format!("{key}-{time}"));
        if fs::symlink_metadata(&path).is_err() {
            return Ok(path);
        }
        time += 1;
    }
}

/// Everything kept under this name: `{key}-{milliseconds}`.
fn entries(home: &Home, key: &Key) -> Vec<PathBuf> {
    let of_key = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str()?.strip_prefix(key.as_str())?.strip_prefix('-'))
            .is_some_and(|time| !time.is_empty() && time.bytes().all(|it| it.is_ascii_digit()))
    };
    fs::read_dir(home.backups().join("adopted"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(of_key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_found_in_both_places_and_links_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        assert!(dropped(&home).is_empty());
        for path in [
            "portables/b",
            "portables/a",
            "portable/a",
            "portable/.hidden",
            "other/c",
        ] {
            fs::create_dir_all(home.plugins().join(path)).unwrap();
        }
        symlink("../other/c", home.plugins().join("portable/c")).unwrap();
        fs::write(home.plugins().join("portable/file"), "").unwrap();
        let found = dropped(&home);
        let paths: Vec<_> = found
            .iter()
            .map(|it| it.path.strip_prefix(home.plugins()).unwrap())
            .collect();
        assert_eq!(paths, [Path::new("portable/a"), Path::new("portables/b")]);
    }

    #[test]
    fn an_exchange_that_was_cut_off_is_done_again() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let key: Key = "demo".parse().unwrap();
        let shown = home.plugins().join("portable/demo");
        fs::create_dir_all(&shown).unwrap();
        fs::write(shown.join("by-hand"), "").unwrap();
        // A crash before the exchange leaves its link; another plugin's is not ours to remove.
        let adopted = home.backups().join("adopted");
        fs::create_dir_all(&adopted).unwrap();
        symlink("x", adopted.join("demo-1")).unwrap();
        symlink("x", adopted.join("demo-2-1")).unwrap();

        exchange(&home, &key, Path::new("../../versions/x"), &shown).unwrap();
        assert_eq!(
            fs::read_link(&shown).unwrap(),
            Path::new("../../versions/x")
        );
        let kept = kept(&home, &key);
        assert_eq!(kept.len(), 1);
        assert!(kept[0].join("by-hand").is_file());
        assert!(fs::symlink_metadata(adopted.join("demo-1")).is_err());
        assert!(fs::symlink_metadata(adopted.join("demo-2-1")).is_ok());
    }
}
