//! What the tour happens on: a server of its own with a home of its own, and the command line to it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value as Json;

use crate::process::{self, Group, command};
use crate::workspace;

use super::PLUGIN;

/// How long the server may take to answer.
const START: Duration = Duration::from_mins(1);

/// The stage. The server ends with it.
pub(super) struct Stage {
    plugyard: PathBuf,
    python: PathBuf,
    directory: PathBuf,
    server: Option<Group>,
    address: String,
    /// Two tours at once would take each other's home away.
    _lock: File,
}

impl Stage {
    /// An empty stage; what an earlier tour left is removed.
    pub(super) fn set(plugyard: &Path, python: &Path, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let lock = File::create(directory.join("lock")).context("cannot create a lock file")?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another demo is running in {}", directory.display());
        }
        for name in ["home", "packages"] {
            match fs::remove_dir_all(directory.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove the old {name}"));
                }
                _ => {}
            }
        }
        fs::create_dir_all(directory.join("packages"))?;
        Ok(Self {
            plugyard: plugyard.to_owned(),
            python: python.to_owned(),
            directory: directory.to_owned(),
            server: None,
            address: String::new(),
            _lock: lock,
        })
    }

    pub(super) fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    pub(super) fn plugyard(&self) -> &Path {
        &self.plugyard
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Where the rule's sink writes.
    pub(super) fn rows_file(&self) -> String {
        self.home()
            .join("data/files/load.jsonl")
            .display()
            .to_string()
    }

    /// Makes a package of the example with another version, sound or broken.
    pub(super) fn pack(&self, version: &str, sound: bool) -> Result<String> {
        let example = workspace::root().join("examples/portable/machine");
        let packages = self.directory.join("packages");
        let copy = packages.join(version);
        copy_tree(&example, &copy)?;
        let manifest_path = copy.join("machine.json");
        let mut manifest: Json = serde_json::from_str(
            &fs::read_to_string(&manifest_path).context("cannot read the example's manifest")?,
        )?;
        manifest["version"] = version.into();
        fs::write(&manifest_path, serde_json::to_string_pretty(&manifest)?)?;
        if !sound {
            let executable = manifest["executable"]
                .as_str()
                .context("the example has no executable")?;
            let path = copy.join(executable);
            let text = fs::read_to_string(&path)?;
            fs::write(&path, format!("import a_module_that_nobody_has\n{text}"))?;
        }
        let zip = packages.join(format!("machine-{version}.zip"));
        process::read(
            self.command(&["pack"])
                .arg(&copy)
                .arg("--to")
                .arg(&zip)
                .stderr(Stdio::inherit()),
        )?;
        Ok(zip.display().to_string())
    }

    /// Starts the server and waits until it takes commands.
    pub(super) fn serve(&mut self) -> Result<()> {
        let log = File::create(self.directory.join("server.log"))?;
        let mut serve = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        serve
            .env("PLUGYARD__PORTABLE__PYTHON_BIN", &self.python)
            .stdout(Stdio::piped())
            .stderr(log);
        let mut server = Group::start(&mut serve)?;
        let stdout = server
            .child()
            .stdout
            .take()
            .context("the server has no output")?;
        self.server = Some(server);
        let mut lines = BufReader::new(stdout).lines();
        let address = loop {
            let Some(line) = lines.next() else {
                bail!("the server ended at once:\n{}", self.log_tail());
            };
            if let Some(address) = line?.strip_prefix("listening on ") {
                break address.to_owned();
            }
        };
        // Read on, so that the server never writes into a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        self.address = address;
        process::wait_for("the server to be ready", START, || {
            self.check_alive()?;
            let answer = process::capture(&mut self.command(&["list", "--output", "json"]))?;
            Ok(answer.status.success().then_some(()))
        })
    }

    /// Fails when the server has ended.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        let Some(server) = &mut self.server else {
            bail!("the server was not started")
        };
        if let Some(status) = server.try_wait()? {
            bail!("the server ended with {status}:\n{}", self.log_tail());
        }
        Ok(())
    }

    /// Ends the server and fails when it ended in another way than asked.
    pub(super) fn end(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        let status = server.end()?;
        ensure!(
            status.success(),
            "it ended with {status}:\n{}",
            self.log_tail()
        );
        Ok(())
    }

    /// Runs a command of `plugyard` before the viewer's eyes; fails when it fails.
    pub(super) fn show(&mut self, words: &[&str]) -> Result<()> {
        let code = self.show_ending(words)?;
        ensure!(
            code == 0,
            "`plugyard {}` ended with {code}\n{}",
            words.join(" "),
            self.log_tail()
        );
        Ok(())
    }

    /// Runs a command of `plugyard` before the viewer's eyes and says how it ended.
    pub(super) fn show_ending(&mut self, words: &[&str]) -> Result<i32> {
        let shown: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        println!("$ plugyard {}", shown.join(" "));
        let status = Group::start(&mut self.command(words))?.wait()?;
        status
            .code()
            .with_context(|| format!("`plugyard {}` was ended by a signal", words.join(" ")))
    }

    /// Fails unless the plugin is ready in this version, and says so.
    pub(super) fn expect_version(&self, version: &str) -> Result<()> {
        let text = process::read(&mut self.command(&["show", PLUGIN, "--output", "json"]))?;
        let shown: Json =
            serde_json::from_str(&text).context("cannot read what `show` answered")?;
        let label = shown["version"]["label"].as_str().unwrap_or_default();
        let health = shown["health"]["state"].as_str().unwrap_or_default();
        println!("  {PLUGIN} is {health} in version {label}");
        ensure!(
            label == version && health == "ready",
            "expected {PLUGIN} to be ready in version {version}"
        );
        Ok(())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut plugyard = command(&self.plugyard);
        plugyard.args(words).env("PLUGYARD_HOME", self.home());
        for variable in ["PLUGYARD_SERVER", "PLUGYARD_TOKEN"] {
            plugyard.env_remove(variable);
        }
        plugyard
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "__pycache__" {
                copy_tree(&entry.path(), &target)?;
            }
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A word as one would type it in a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
