//! Versions on disk: unpacked, built, made read-only, linked, and taken away.
//!
//! A version lies in `versions/portable/{key}/{id}` for as long as it is kept and is never changed once
//! it is built, so that a process of it may load a file late and still gets its own. What people and
//! rules see are links: `plugins/portable/{key}`, and through it the files below `etc/` and `data/`.
//! Links are made from what is installed and never read as truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use plugyard_archive::unpack;
use plugyard_model::Key;
use plugyard_platform::Home;
use plugyard_platform::files::{self, missing_is_fine};
use plugyard_platform::kind::Version;
use plugyard_sandbox::{Limits, Spec};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::adopt;
use crate::chore::{self, Ended, Log};
use crate::host::shown_directory;
use crate::manifest::{Manifest, folder};
use crate::options::PortableOptions;
use crate::place::Ground;
use crate::process::{environment, hidden};
use crate::settings::PortableSettings;

/// Run at the root of the package when it is there.
const SCRIPT: &str = "install.sh";
/// Lines of each of its streams that people are shown.
const SHOWN_LINES: usize = 20;
/// Characters of each of them.
const SHOWN_WIDTH: usize = 300;

/// What identifies a version on disk: its package and those options that its files depend on. Versions
/// that differ in others, such as limits, share a directory.
pub(crate) fn id(version: &Version) -> String {
    let options = PortableOptions::shaping(&version.options);
    let mut hash = Sha256::new();
    hash.update(version.digest.as_bytes());
    hash.update(serde_json::to_vec(&options).expect("JSON values can be written"));
    plugyard_model::Digest::from_bytes(hash.finalize().into()).to_string()
}

/// Whether a version is complete on disk.
pub(crate) fn is_built(directory: &Path) -> bool {
    marker(directory).is_file() && directory.is_dir()
}

/// Written beside the directory when everything in it is done.
fn marker(directory: &Path) -> PathBuf {
    directory.with_extension("built")
}

/// Unpacks a package; what half a run left is replaced.
pub(crate) fn unpack_package(package: &Path, directory: &Path) -> Result<u64, String> {
    discard(directory).map_err(|error| format!("cannot clear {}: {error}", directory.display()))?;
    let zip = files::open_package(package).map_err(|error| error.to_string())?;
    let report = unpack(&zip, directory, |entry| vec![entry.path.clone()])
        .map_err(|error| with_cause(&error))?;
    Ok(report.files)
}

/// Runs `install.sh`, where there is one, within its deadline and in a sandbox of its own (HOST-5).
/// Its output goes to `log` line by line.
///
/// # Errors
/// How it ended, with both streams.
pub(crate) async fn run_script(
    ground: &Ground,
    home: &Home,
    settings: &PortableSettings,
    build: &Build<'_>,
    log: Log<'_>,
    cancelled: &CancellationToken,
) -> Result<(), ScriptFailure> {
    let script = build.directory.join(SCRIPT);
    if !script.is_file() {
        return Ok(());
    }
    let failed = |error: &dyn std::error::Error| ScriptFailure::unbegun(&with_cause(error));
    let scratch = tempfile::Builder::new()
        .prefix("install-")
        .tempdir_in(home.staging())
        .map_err(|error| failed(&error))?;
    fs::create_dir_all(build.data).map_err(|error| failed(&error))?;
    let mut spec = Spec::new(format!("install-{}", build.name), "/bin/sh");
    spec.args = std::iter::once(script.into_os_string())
        .chain(build.paras.iter().map(Into::into))
        .collect();
    spec.cwd = build.directory.to_owned();
    spec.env = environment(settings, build.data, build.name);
    spec.env.extend(
        build
            .env
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    );
    spec.limits = build.limits.clone();
    spec.writable = vec![build.directory.to_owned(), build.data.to_owned()];
    spec.hidden = hidden(home);
    ground.confine(&mut spec, scratch.path());
    let limit = settings.install_timeout.0;
    let ended = chore::run(&ground.launcher, spec, limit, log, cancelled)
        .await
        .map_err(|error| ScriptFailure::unbegun(&error))?;
    match &ended.failure {
        None => Ok(()),
        Some(failure) => Err(ScriptFailure::ended(failure, &ended)),
    }
}

/// Why `install.sh` failed.
#[derive(Debug)]
pub(crate) struct ScriptFailure {
    /// As eKuiper says it: both streams whole.
    pub(crate) text: String,
    /// For people: how it ended, and the last lines of both streams.
    pub(crate) told: String,
}

impl ScriptFailure {
    fn unbegun(error: &str) -> Self {
        Self {
            text: format!("err:{error} stdout: stderr:"),
            told: format!("`{SCRIPT}` could not be run: {error}"),
        }
    }

    fn ended(failure: &str, ended: &Ended) -> Self {
        let mut told = format!("`{SCRIPT}` failed: {failure}");
        for (stream, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
            let lines: Vec<_> = text.lines().collect();
            let left_out = lines.len().saturating_sub(SHOWN_LINES);
            if !lines.is_empty() {
                let _ = write!(told, "\n{stream}:");
            }
            if left_out > 0 {
                let _ = write!(told, "\n  … ({left_out})");
            }
            for line in &lines[left_out..] {
                let cut: String = line.chars().take(SHOWN_WIDTH).collect();
                let _ = write!(told, "\n  {cut}");
                if cut.len() < line.len() {
                    told.push('…');
                }
            }
        }
        let text = format!(
            "err:{failure} stdout:{} stderr:{}",
            ended.stdout, ended.stderr
        );
        Self { text, told }
    }
}

/// What `install.sh` is run for.
pub(crate) struct Build<'a> {
    pub(crate) name: &'a str,
    pub(crate) directory: &'a Path,
    pub(crate) data: &'a Path,
    pub(crate) paras: &'a [String],
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) limits: &'a Limits,
}

/// Makes a version read-only and says that it is complete.
pub(crate) fn seal(directory: &Path) -> io::Result<()> {
    files::make_read_only(directory)?;
    let marker = marker(directory);
    fs::write(&marker, b"")?;
    fs::File::open(&marker)?.sync_all()?;
    if let Some(parent) = marker.parent() {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Whether what people see of a plugin is this version's directory.
pub(crate) fn is_shown(home: &Home, key: &Key, id: &str) -> bool {
    fs::read_link(shown_directory(home, key)).is_ok_and(|target| target.ends_with(id))
}

/// Removes a version, however much of it there is.
pub(crate) fn discard(directory: &Path) -> io::Result<()> {
    // First the sign that it is complete.
    missing_is_fine(fs::remove_file(marker(directory)))?;
    files::discard(directory)
}

/// Lets people and rules see this version: links for the files of its symbols, which lead through the one
/// link for the plugin, and last that one, replaced at once. A directory that somebody put there by
/// hand is exchanged for it and kept as `backups/adopted/{key}-{time}`.
pub(crate) fn link(home: &Home, manifest: &Manifest, key: &Key, id: &str) -> io::Result<()> {
    let shown = shown_directory(home, key);
    let kind = crate::package::KIND;
    let target = Path::new("../../versions")
        .join(kind.as_str())
        .join(key.as_str())
        .join(id);
    if let Some(parent) = shown.parent() {
        fs::create_dir_all(parent)?;
    }
    let version = home
        .versions(&plugyard_model::PluginName::new(kind.clone(), key.clone()))
        .join(id);
    let files = symbol_files(manifest, &version);
    for root in [home.etc(), home.data()] {
        remove_links(&root, key, &files)?;
        for (folder, file) in &files {
            let directory = root.join(folder);
            fs::create_dir_all(&directory)?;
            let target = Path::new("../../plugins")
                .join(kind.as_str())
                .join(key.as_str())
                .join(folder)
                .join(file);
            let path = directory.join(file);
            if fs::symlink_metadata(&path).is_ok_and(|it| !it.is_symlink()) {
                tracing::warn!(path = %path.display(), "A file stands where a plugin's file would be shown");
                continue;
            }
            place_link(&target, &path)?;
        }
    }
    // Last, so that what was put there by hand stays where it is when anything before fails.
    if is_directory(&shown) {
        files::link_to(home, &shown, &target, key.as_str())?;
    } else {
        place_link(&target, &shown)?;
    }
    adopt::put_by(home, key);
    Ok(())
}

/// Takes all links of a plugin away.
pub(crate) fn unlink(home: &Home, key: &Key) -> io::Result<()> {
    for root in [home.etc(), home.data()] {
        remove_links(&root, key, &BTreeSet::new())?;
    }
    let shown = shown_directory(home, key);
    if fs::symlink_metadata(&shown).is_ok_and(|it| it.is_symlink()) {
        missing_is_fine(fs::remove_file(shown))?;
    }
    Ok(())
}

/// The files of symbols that are there: folder and file name.
fn symbol_files(manifest: &Manifest, directory: &Path) -> BTreeSet<(&'static str, String)> {
    manifest
        .all_symbols()
        .flat_map(|(kind, symbol)| {
            ["json", "yaml"].map(|extension| (folder(kind), format!("{symbol}.{extension}")))
        })
        .filter(|(folder, file)| directory.join(folder).join(file).is_file())
        .collect()
}

/// Removes the links below `root` that lead into the plugin, except those in `keep`.
fn remove_links(root: &Path, key: &Key, keep: &BTreeSet<(&'static str, String)>) -> io::Result<()> {
    let into = Path::new("../../plugins")
        .join(crate::package::KIND.as_str())
        .join(key.as_str());
    for folder in ["sources", "sinks", "functions"] {
        let entries = match fs::read_dir(root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let ours = fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&into));
            let name = entry.file_name().to_string_lossy().into_owned();
            if ours && !keep.contains(&(folder, name)) {
                missing_is_fine(fs::remove_file(entry.path()))?;
            }
        }
    }
    Ok(())
}

/// Puts a link at `path` at once, whatever link was there.
fn place_link(target: &Path, path: &Path) -> io::Result<()> {
    // Going back to what is still there must not need room on a full disk.
    if fs::read_link(path).is_ok_and(|there| there == target) {
        return Ok(());
    }
    let mut passing = path.file_name().unwrap_or_default().to_owned();
    passing.push(format!(".{}.new", std::process::id()));
    let passing = path.with_file_name(passing);
    missing_is_fine(fs::remove_file(&passing))?;
    symlink(target, &passing)?;
    fs::rename(&passing, path)
}

/// Whether a directory stands there, and no link to one.
pub(crate) fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_dir())
}

/// An error with its causes.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Removes everything of a plugin that is not a link.
pub(crate) fn remove_installation(
    home: &Home,
    name: &plugyard_model::PluginName,
    keep_data: bool,
) -> io::Result<()> {
    let versions = home.versions(name);
    match fs::read_dir(&versions) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    discard(&entry.path())?;
                }
            }
            missing_is_fine(fs::remove_dir_all(&versions))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if !keep_data {
        missing_is_fine(fs::remove_dir_all(home.plugin_data(name)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use plugyard_model::{Digest, VersionId};
    use serde_json::{Value as Json, json};

    use super::*;

    fn version(options: Json) -> Version {
        Version {
            id: VersionId(uuid::Uuid::nil()),
            digest: Digest::from_bytes([7; 32]),
            label: String::new(),
            manifest: Json::Null,
            options,
        }
    }

    #[test]
    fn package_and_options_identify_a_version_on_disk() {
        let plain = id(&version(json!({})));
        assert_eq!(plain.len(), 64);
        assert_ne!(id(&version(json!({"shellParas": ["a", "b"]}))), plain);
        assert_ne!(
            id(&version(json!({"shellParas": ["a", "b"]}))),
            id(&version(json!({"shellParas": ["ab"]})))
        );
        assert_ne!(id(&version(json!({"env": {"A": "b"}}))), plain);
        // What changes nothing on disk.
        assert_eq!(
            id(&version(
                json!({"workers": 2, "limits": {"memory": "1GiB"}})
            )),
            plain
        );
        assert_eq!(
            id(&version(json!({"shellParas": ["a"], "env": {"A": "b"}}))),
            id(&version(json!({"env": {"A": "b"}, "shellParas": ["a"]})))
        );
    }

    #[test]
    fn links_are_replaced_and_what_stood_there_by_hand_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let key: Key = "demo".parse().unwrap();
        let manifest = |sources: &[&str]| -> Manifest {
            serde_json::from_value(json!({
                "name": "demo", "language": "go", "executable": "x", "sources": sources,
            }))
            .unwrap()
        };
        let name = "portable:demo".parse().unwrap();
        for (version, sources) in [("one", &["a", "b"][..]), ("two", &["b", "c"])] {
            let at = home.versions(&name).join(version).join("sources");
            fs::create_dir_all(&at).unwrap();
            for source in sources {
                fs::write(at.join(format!("{source}.yaml")), version).unwrap();
            }
        }
        let shown = shown_directory(&home, &key);
        fs::create_dir_all(&shown).unwrap();
        fs::write(shown.join("by-hand"), "").unwrap();

        link(&home, &manifest(&["a", "b"]), &key, "one").unwrap();
        let read = |file: &str| fs::read_to_string(home.data().join("sources").join(file));
        assert_eq!(read("a.yaml").unwrap(), "one");
        let adopted = fs::read_dir(home.backups().join("adopted"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert!(adopted.path().join("by-hand").is_file());

        // Twice, as after a crash.
        for _ in 0..2 {
            link(&home, &manifest(&["b", "c"]), &key, "two").unwrap();
        }
        assert!(read("a.yaml").is_err());
        assert_eq!(
            (read("b.yaml").unwrap(), read("c.yaml").unwrap()),
            ("two".into(), "two".into())
        );
        unlink(&home, &key).unwrap();
        assert!(read("b.yaml").is_err());
        assert!(fs::symlink_metadata(shown).is_err());
        assert_eq!(fs::read_dir(home.etc().join("sources")).unwrap().count(), 0);
    }

    #[test]
    fn a_sealed_version_is_read_only_and_can_still_be_discarded() {
        let directory = tempfile::tempdir().unwrap();
        let version = directory.path().join("version");
        fs::create_dir_all(version.join("deep")).unwrap();
        fs::write(version.join("deep/file"), "x").unwrap();
        assert!(!is_built(&version));
        seal(&version).unwrap();
        assert!(is_built(&version));
        let mode = fs::metadata(version.join("deep/file"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o222, 0);
        for _ in 0..2 {
            discard(&version).unwrap();
        }
        assert!(!is_built(&version) && !version.exists());
    }
}
