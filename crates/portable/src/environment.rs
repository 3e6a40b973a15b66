//! Python environments that are made for plugins from their `requirements.txt`.
//!
//! An environment is known by a digest over everything that decides what is in it (interpreter,
//! requirements, wheels, index), lies in `cache/python/{digest}`, and is shared by all versions that
//! need the same one. It is made by pip in a sandbox, from wheels only: those in the package's
//! `wheels/` when it has that directory, and then nothing is fetched, else those of pip's index. Below
//! what was asked for it sees what the configured interpreter has, above all the SDK.
//!
//! A version refers to its environment by a file beside its directory, written before the environment
//! is made, so that what nothing refers to can be swept away at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use plugyard_archive::digest_file;
use plugyard_platform::Home;
use plugyard_platform::files::missing_is_fine;
use plugyard_sandbox::{Limits, Spec};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::chore::{self, Log};
use crate::package::KIND;
use crate::place::Ground;
use crate::process::{environment, hidden, python};
use crate::settings::PortableSettings;
use crate::versions::{discard, is_built, seal, with_cause};

pub(crate) mod requirements;

/// Asked of the interpreter before anything is made.
const FACTS: &str = "import json,site,sys,sysconfig\n\
    print(json.dumps({'version':sys.version,'platform':sysconfig.get_platform(),\
    'prefixes':sorted({sys.prefix,sys.base_prefix,sys.exec_prefix}),'site':site.getsitepackages()}))";

/// What a version's process is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    /// `bin` of it.
    pub(crate) bin: PathBuf,
    /// The interpreter.
    pub(crate) python: PathBuf,
    /// What the process has to be able to read.
    pub(crate) readable: Vec<PathBuf>,
}

/// What to make an environment for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    /// Where the version is unpacked.
    pub(crate) directory: &'a Path,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) limits: &'a Limits,
}

/// What stands in the file by which a version refers to its environment.
#[derive(Debug, Serialize, Deserialize)]
struct Reference {
    digest: String,
    /// Directories of the interpreter that it was made with.
    interpreter: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Facts {
    version: String,
    platform: String,
    prefixes: Vec<PathBuf>,
    site: Vec<PathBuf>,
}

/// The environment of an unpacked version, when it has one.
pub(crate) fn of(home: &Home, version: &Path) -> Option<Environment> {
    let reference: Reference = serde_json::from_slice(&fs::read(reference(version)).ok()?).ok()?;
    let directory = place(home, &reference.digest);
    let mut readable = reference.interpreter;
    readable.push(directory.clone());
    readable.retain(|path| path.exists());
    let bin = directory.join("bin");
    Some(Environment {
        python: bin.join("python"),
        bin,
        readable,
    })
}

/// Whether what a version's process is started with is there: always, for one without an environment.
pub(crate) fn is_there(home: &Home, version: &Path) -> bool {
    of(home, version).is_none_or(|it| it.is_usable())
}

impl Environment {
    /// It was made to its end, and the interpreter that it was made with is still where it was.
    fn is_usable(&self) -> bool {
        self.bin.parent().is_some_and(is_built) && self.python.is_file()
    }
}

/// Makes the environment of an unpacked version, unless there is one. Does nothing for a version without
/// `requirements.txt`.
///
/// # Errors
/// What pip could not do, its last error first.
pub(crate) async fn ensure(
    ground: &Ground,
    home: &Home,
    settings: &PortableSettings,
    wanted: Wanted<'_>,
    log: Log<'_>,
    cancelled: &CancellationToken,
) -> Result<(), String> {
    let requirements = wanted.directory.join(requirements::FILE);
    if !requirements.is_file() {
        return Ok(());
    }
    if of(home, wanted.directory).is_some_and(|it| it.is_usable()) {
        return Ok(());
    }
    let maker = Maker {
        ground,
        home,
        settings,
        wanted,
        log,
        cancelled,
    };
    let facts = maker.facts().await?;
    let digest = maker.digest(&facts).await?;
    let refer = Reference {
        digest: digest.clone(),
        interpreter: facts.prefixes.clone(),
    };
    let written = serde_json::to_vec(&refer).expect("texts and paths of UTF-8 can be written");
    fs::write(reference(wanted.directory), written).map_err(|error| error.to_string())?;

    let lock = lock(&digest);
    let _one_at_a_time = lock.lock().await;
    let directory = place(home, &digest);
    if is_built(&directory) && directory.join("bin/python").is_file() {
        log(&format!("environment {} is there already", &digest[..12]));
        return Ok(());
    }
    log(&format!("environment {} is made", &digest[..12]));
    maker.make(&directory, &facts).await
}

/// Forgets which environment a version has, and removes environments that no version has.
pub(crate) fn forget(home: &Home, version: &Path) -> io::Result<()> {
    missing_is_fine(fs::remove_file(reference(version)))?;
    sweep(home)
}

/// Removes what no version refers to.
pub(crate) fn sweep(home: &Home) -> io::Result<()> {
    for entry in entries(cache(home)) {
        let directory = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !directory.is_dir() || used(home).contains(&name) {
            continue;
        }
        let lock = lock(&name);
        // Somebody who has it is about to use it.
        let Ok(_mine) = lock.try_lock() else { continue };
        // Whoever refers to it from now on waits for us, and makes it anew.
        if !used(home).contains(&name) {
            discard(&directory)?;
        }
    }
    Ok(())
}

/// The environments that versions refer to.
fn used(home: &Home) -> BTreeSet<String> {
    let versions = home.root().join("versions").join(KIND.as_str());
    entries(versions)
        .flat_map(|plugin| entries(plugin.path()))
        .filter(|entry| entry.path().extension().is_some_and(|it| it == EXTENSION))
        .filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok())
        .map(|it: Reference| it.digest)
        .collect()
}

/// What is in a directory; nothing, where there is none.
fn entries(path: PathBuf) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(path).into_iter().flatten().flatten()
}

/// Of the file beside a version's directory.
const EXTENSION: &str = "environment";

fn reference(version: &Path) -> PathBuf {
    version.with_extension(EXTENSION)
}

fn cache(home: &Home) -> PathBuf {
    home.cache().join("python")
}

fn place(home: &Home, digest: &str) -> PathBuf {
    cache(home).join(digest)
}

/// Two versions that need the same environment at the same time make it once.
fn lock(digest: &str) -> Arc<tokio::sync::Mutex<()>> {
    static LOCKS: Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>> =
        Mutex::new(BTreeMap::new());
    let mut locks = LOCKS.lock();
    locks.retain(|_, lock| lock.strong_count() > 0);
    if let Some(lock) = locks.get(digest).and_then(Weak::upgrade) {
        return lock;
    }
    let lock = Arc::default();
    locks.insert(digest.to_owned(), Arc::downgrade(&lock));
    lock
}

/// Everything it takes.
struct Maker<'a> {
    ground: &'a Ground,
    home: &'a Home,
    settings: &'a PortableSettings,
    wanted: Wanted<'a>,
    log: Log<'a>,
    cancelled: &'a CancellationToken,
}

impl Maker<'_> {
    async fn facts(&self) -> Result<Facts, String> {
        let (spec, _scratch) =
            self.spec(python(self.settings).into(), &["-I", "-c", FACTS], None)?;
        let limit = self.settings.install_timeout.0;
        let ended = chore::run(&self.ground.launcher, spec, limit, &|_| {}, self.cancelled).await?;
        let read = serde_json::from_str(ended.stdout.trim());
        read.map_err(|error| {
            let reason = ended.failure.unwrap_or_else(|| error.to_string());
            let last = last_error(&ended.stderr).unwrap_or_default();
            format!("the interpreter does not say what it is ({reason}): {last}")
        })
    }

    /// Of all that decides what is in the environment.
    async fn digest(&self, facts: &Facts) -> Result<String, String> {
        let mut parts: Vec<Vec<u8>> = vec![
            facts.version.clone().into_bytes(),
            facts.platform.clone().into_bytes(),
        ];
        for path in facts.prefixes.iter().chain(&facts.site) {
            parts.push(path.as_os_str().as_encoded_bytes().to_vec());
        }
        let file = self.wanted.directory.join(requirements::FILE);
        let wheels = self.wheels();
        if wheels.is_none() {
            // Another index, another environment.
            for (name, value) in self.pip_variables() {
                parts.push(name.into_encoded_bytes());
                parts.push(value.into_encoded_bytes());
            }
        }
        // Wheels may be large.
        let digested = tokio::task::spawn_blocking(move || {
            let digested = digest_of(parts, &file, wheels.as_deref());
            digested.map_err(|error| error.to_string())
        });
        digested
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn make(&self, directory: &Path, facts: &Facts) -> Result<(), String> {
        let io = |error: io::Error| error.to_string();
        discard(directory).map_err(io)?;
        fs::create_dir_all(directory).map_err(io)?;
        let made = self.fill(directory, facts).await;
        if made.is_err() {
            // Begun anew by whoever comes next.
            discard(directory).map_err(io)?;
        }
        made
    }

    async fn fill(&self, directory: &Path, facts: &Facts) -> Result<(), String> {
        let at = directory.as_os_str();
        let interpreter = python(self.settings).into();
        let venv = ["-I".as_ref(), "-m".as_ref(), "venv".as_ref(), at];
        self.step("an empty environment", interpreter, &venv, directory)
            .await?;
        let mut pip: Vec<OsString> = [
            "-I",
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "--no-cache-dir",
            "--progress-bar",
            "off",
            "--only-binary",
            ":all:",
        ]
        .map(Into::into)
        .into();
        if let Some(wheels) = self.wheels() {
            pip.extend(["--no-index".into(), "--find-links".into(), wheels.into()]);
        }
        pip.extend([
            "-r".into(),
            self.wanted.directory.join(requirements::FILE).into(),
        ]);
        let interpreter = directory.join("bin/python");
        self.step(
            "what `requirements.txt` asks for",
            interpreter,
            &pip,
            directory,
        )
        .await?;
        let io = |error: io::Error| error.to_string();
        let paths: Vec<_> = facts
            .site
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        for library in fs::read_dir(directory.join("lib")).map_err(io)?.flatten() {
            let site = library.path().join("site-packages");
            if site.is_dir() {
                fs::write(site.join("plugyard.pth"), paths.join("\n") + "\n").map_err(io)?;
            }
        }
        seal(directory).map_err(io)
    }

    async fn step<T: AsRef<std::ffi::OsStr>>(
        &self,
        what: &str,
        program: PathBuf,
        args: &[T],
        directory: &Path,
    ) -> Result<(), String> {
        let (spec, _scratch) = self.spec(program, args, Some(directory))?;
        let limit = self.settings.install_timeout.0;
        let ended =
            chore::run(&self.ground.launcher, spec, limit, self.log, self.cancelled).await?;
        let Some(failure) = ended.failure else {
            return Ok(());
        };
        let last = last_error(&ended.stderr).or_else(|| last_error(&ended.stdout));
        let last = last.map_or_else(String::new, |line| format!(": {line}"));
        let rest = ended.stderr.trim();
        Err(format!(
            "{what} could not be installed ({failure}){last}\n{rest}"
        ))
    }

    /// How a step is run: it sees the version and writes the environment, nothing else.
    fn spec<T: AsRef<std::ffi::OsStr>>(
        &self,
        program: PathBuf,
        args: &[T],
        writable: Option<&Path>,
    ) -> Result<(Spec, tempfile::TempDir), String> {
        let scratch = tempfile::Builder::new()
            .prefix("environment-")
            .tempdir_in(self.home.staging())
            .map_err(|error| with_cause(&error))?;
        let mut spec = Spec::new(format!("environment-{}", self.wanted.name), program);
        spec.args = args.iter().map(|it| it.as_ref().to_owned()).collect();
        self.wanted.directory.clone_into(&mut spec.cwd);
        let own = self.ground.seen(scratch.path());
        spec.env = environment(self.settings, own, self.wanted.name);
        spec.env.remove(&OsString::from("PLUGYARD_DATA_DIR"));
        spec.env.extend(self.pip_variables());
        spec.limits = self.wanted.limits.clone();
        spec.readable = vec![self.wanted.directory.to_owned()];
        spec.writable = writable.map(Path::to_owned).into_iter().collect();
        spec.hidden = hidden(self.home);
        self.ground.confine(&mut spec, scratch.path());
        Ok((spec, scratch))
    }

    fn wheels(&self) -> Option<PathBuf> {
        let wheels = self.wanted.directory.join(requirements::WHEELS);
        wheels.is_dir().then_some(wheels)
    }

    /// How pip is told about indexes: by the server's environment, and by the installation's.
    fn pip_variables(&self) -> BTreeMap<OsString, OsString> {
        let is_pips = |name: &str| name.starts_with("PIP_") || name.starts_with("SSL_CERT_");
        let servers = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_pips));
        let own = self.wanted.env.iter().filter(|(name, _)| is_pips(name));
        let own = own.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        servers.chain(own).collect()
    }
}

/// Of the parts, the requirements, and each wheel with its name.
fn digest_of(
    mut parts: Vec<Vec<u8>>,
    requirements: &Path,
    wheels: Option<&Path>,
) -> io::Result<String> {
    parts.push(fs::read(requirements)?);
    if let Some(directory) = wheels {
        let mut files: Vec<PathBuf> = fs::read_dir(directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_file())
            .collect();
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default();
            parts.push(name.as_encoded_bytes().to_vec());
            parts.push(digest_file(&file)?.0.as_bytes().to_vec());
        }
    }
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Ok(plugyard_model::Digest::from_bytes(hash.finalize().into()).to_string())
}

/// The last line that pip marks as an error, else the last one at all.
fn last_error(output: &str) -> Option<&str> {
    let lines = || {
        output
            .lines()
            .rev()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let marked = lines().find_map(|line| line.strip_prefix("ERROR: "));
    marked.or_else(|| lines().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_pips_output_the_last_error_counts() {
        let output =
            "x\nERROR: first\nERROR: No matching distribution found for a==1\nnotice: new pip\n";
        assert_eq!(
            last_error(output),
            Some("No matching distribution found for a==1")
        );
        assert_eq!(
            last_error("Traceback\nOSError: no\n\n"),
            Some("OSError: no")
        );
        assert_eq!(last_error(" \n"), None);
    }

    #[test]
    fn environments_that_no_version_has_are_swept_away() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        let version = home.root().join("versions/portable/p/v");
        for path in [&version, &place(&home, "used"), &place(&home, "unused")] {
            fs::create_dir_all(path).unwrap();
        }
        assert_eq!(of(&home, &version), None);
        let refer = Reference {
            digest: "used".into(),
            interpreter: vec!["/nowhere".into()],
        };
        fs::write(reference(&version), serde_json::to_vec(&refer).unwrap()).unwrap();
        sweep(&home).unwrap();
        assert!(place(&home, "used").exists() && !place(&home, "unused").exists());
        let found = of(&home, &version).unwrap();
        assert_eq!(found.readable, [place(&home, "used")]);
        forget(&home, &version).unwrap();
        assert!(!place(&home, "used").exists());
    }
}
