//! What a program needs to see in order to start.
//!
//! An executable is rarely one file: `venv/bin/python` is a link to an interpreter elsewhere, whose
//! library lies beside it, and a script names its interpreter in its first line.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// As many links and scripts in a row as the kernel itself would follow.
const MAX_HOPS: usize = 40;

/// The directories (or files) that `program` needs, as far as that can be seen from outside.
///
/// `path` is the `PATH` it will be started with.
pub(crate) fn roots(program: &Path, path: Option<&OsStr>) -> BTreeSet<PathBuf> {
    let mut roots = BTreeSet::new();
    let mut waiting = vec![program.to_owned()];
    for _ in 0..MAX_HOPS {
        let Some(program) = waiting.pop().and_then(|program| find(&program, path)) else {
            break;
        };
        roots.extend(surroundings(&program));
        if let Ok(target) = fs::read_link(&program) {
            let target = program.parent().unwrap_or(Path::new("/")).join(target);
            // `bin/../lib` must not look like something below `bin`.
            let parent = target
                .parent()
                .map_or_else(|| PathBuf::from("/"), canonical);
            waiting.push(parent.join(target.file_name().unwrap_or_default()));
        } else {
            waiting.extend(interpreter(&program));
        }
    }
    roots
}

fn find(program: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    std::env::split_paths(path?)
        .map(|directory| directory.join(program))
        .find(|it| it.is_file())
}

/// The program itself, and the Python environment around it.
fn surroundings(program: &Path) -> Vec<PathBuf> {
    let mut found = vec![program.to_owned()];
    let Some(bin) = program.parent().filter(|parent| parent.ends_with("bin")) else {
        return found;
    };
    let Some(prefix) = bin.parent().filter(|prefix| *prefix != Path::new("/")) else {
        return found;
    };
    let configuration = fs::read_to_string(prefix.join("pyvenv.cfg")).ok();
    if configuration.is_some() || has_python(prefix) || prefix.join("conda-meta").is_dir() {
        found.push(prefix.to_owned());
    }
    // The interpreter that an environment was made from, whose library it goes on using.
    let home = configuration
        .iter()
        .flat_map(|text| text.lines())
        .find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == "home").then(|| PathBuf::from(value.trim()))
        });
    if let Some(base) = home
        .as_deref()
        .and_then(Path::parent)
        .filter(|base| has_python(base))
    {
        found.push(base.to_owned());
    }
    found
}

fn has_python(prefix: &Path) -> bool {
    fs::read_dir(prefix.join("lib")).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().as_bytes().starts_with(b"python"))
    })
}

/// What the first line of a script names: `#!/usr/bin/env python3` is `python3`.
fn interpreter(script: &Path) -> Option<PathBuf> {
    // As much as the kernel itself reads.
    let mut start = [0; 256];
    let length = File::open(script).ok()?.read(&mut start).ok()?;
    let line = start[..length]
        .split(|byte| *byte == b'\n')
        .next()?
        .strip_prefix(b"#!")?;
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(OsStr::from_bytes);
    let first = PathBuf::from(words.next()?);
    if first.ends_with("env") {
        return words
            .find(|word| !word.as_bytes().starts_with(b"-"))
            .map(PathBuf::from);
    }
    Some(first)
}

fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_environment_leads_to_the_interpreter_it_was_made_from() {
        let home = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(home.path()).unwrap();
        let (base, venv) = (home.join("base"), home.join("venv"));
        fs::create_dir_all(base.join("bin")).unwrap();
        fs::create_dir_all(base.join("lib/python3.11")).unwrap();
        fs::create_dir_all(venv.join("bin")).unwrap();
        fs::write(base.join("bin/python3"), "").unwrap();
        fs::write(
            venv.join("pyvenv.cfg"),
            format!("home = {}/bin\n", base.display()),
        )
        .unwrap();
        symlink(base.join("bin/python3"), venv.join("bin/python3")).unwrap();
        symlink("python3", venv.join("bin/python")).unwrap();
        let script = home.join("script");
        fs::write(&script, "#!/usr/bin/env -S python\nprint()\n").unwrap();

        let roots = roots(&script, Some(venv.join("bin").as_os_str()));
        assert!(roots.contains(&script));
        assert!(roots.contains(&venv));
        assert!(roots.contains(&base));
        assert!(!roots.contains(&home));
    }

    #[test]
    fn links_in_a_circle_end() {
        let home = tempfile::tempdir().unwrap();
        symlink("b", home.path().join("a")).unwrap();
        symlink("a", home.path().join("b")).unwrap();
        assert_eq!(roots(&home.path().join("a"), None).len(), 2);
    }
}
