//! Plugins that somebody put into `plugins/` by hand, as eKuiper's users do: found, and once they are
//! installed like any other, put by in `backups/adopted/`.

use std::fs;
use std::io;

use plugyard_model::Key;
use plugyard_platform::kind::Dropped;
use plugyard_platform::{Home, files};

use crate::versions::is_directory;

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

/// Puts by what stands in the other place under the name of a plugin that is installed now. What cannot be
/// moved is found again at the next look.
pub(crate) fn put_by(home: &Home, key: &Key) {
    for place in &PLACES[1..] {
        let path = home.plugins().join(place).join(key.as_str());
        if !is_directory(&path) {
            continue;
        }
        if let Err(error) = files::adopt(home, &path, key.as_str()) {
            tracing::warn!(%error, path = %path.display(), "A directory cannot be put by");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

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
}
