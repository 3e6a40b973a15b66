//! The plugins that both sides drive.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

/// Bytes of a row in its frame, and of a function's argument.
pub const SIZE: usize = 100;
/// Rows between source and sink of a rule at most, so that none is dropped on the way.
pub const WINDOW: u64 = 64;

/// One of the plugins, as a directory and as a program.
#[derive(Debug)]
pub struct Plugin {
    /// Its name. Names are unique among all runs on a machine, because the minimal loop's sockets are
    /// in the one `/tmp`.
    pub name: String,
    /// What is to be packed.
    pub directory: PathBuf,
    python: Option<PathBuf>,
}

impl Plugin {
    /// The plugin made with the Python SDK, for the interpreter `python`.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn python(below: &Path, python: &Path) -> io::Result<Self> {
        Self::python_called(below, "python", python)
    }

    /// The same; `word` tells several of them apart.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn python_called(below: &Path, word: &str, python: &Path) -> io::Result<Self> {
        let plugin = Self::new(below, word, Some(python))?;
        let script = PYTHON
            .replace("@NAME@", &plugin.name)
            .replace("@WINDOW@", &WINDOW.to_string());
        fs::write(plugin.executable(), script)?;
        Ok(plugin)
    }

    /// The bare plugin, whose program is `peer`; `word` tells several of them apart.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub fn bare(below: &Path, peer: &Path, word: &str) -> io::Result<Self> {
        let plugin = Self::new(below, word, None)?;
        fs::copy(peer, plugin.executable())?;
        Ok(plugin)
    }

    /// A plugin whose files are there already.
    pub fn at(name: &str, directory: &Path) -> Self {
        Self {
            name: name.to_owned(),
            directory: directory.to_owned(),
            python: None,
        }
    }

    fn new(below: &Path, word: &str, python: Option<&Path>) -> io::Result<Self> {
        let name = format!("bench_{word}_{}", std::process::id());
        let directory = below.join(&name);
        for folder in ["sources", "sinks", "functions"] {
            fs::create_dir_all(directory.join(folder))?;
        }
        let plugin = Self {
            name,
            directory,
            python: python.map(Path::to_owned),
        };
        let manifest = json!({
            "version": "1",
            "language": if python.is_some() { "python" } else { "go" },
            "executable": plugin.file(),
            "sources": [plugin.source()],
            "sinks": [plugin.sink()],
            "functions": [plugin.function(), plugin.work()],
        });
        let manifest_file = plugin.directory.join(format!("{}.json", plugin.name));
        fs::write(manifest_file, manifest.to_string())?;
        let sections = format!("default:\n  window: 0\nclosed:\n  window: {WINDOW}\n");
        let yaml = format!("sources/{}.yaml", plugin.source());
        fs::write(plugin.directory.join(yaml), sections)?;
        Ok(plugin)
    }

    /// Its source: rows of [`SIZE`] bytes as fast as it can, or with at most [`WINDOW`] on their way
    /// where the section `closed` applies.
    pub fn source(&self) -> String {
        format!("source_{}", self.name)
    }

    /// Its sink: takes what comes.
    pub fn sink(&self) -> String {
        format!("sink_{}", self.name)
    }

    /// Its function: gives back its argument.
    pub fn function(&self) -> String {
        format!("echo_{}", self.name)
    }

    /// Its function that keeps a processor busy for a while, of the Python plugin.
    pub fn work(&self) -> String {
        format!("work_{}", self.name)
    }

    /// Starts it without anything around it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the minimal loop has no sandbox: what that costs is ours to bear"
    )]
    pub fn command(&self) -> Command {
        let mut command = match &self.python {
            Some(python) => {
                let mut command = Command::new(python);
                command.arg("-u").arg(self.executable());
                command
            }
            None => Command::new(self.executable()),
        };
        command
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn executable(&self) -> PathBuf {
        self.directory.join(self.file())
    }

    fn file(&self) -> String {
        match self.python {
            Some(_) => format!("{}.py", self.name),
            None => self.name.clone(),
        }
    }
}

/// What the bare plugin's source sends, in the Go SDK's spelling.
pub fn bare_message() -> String {
    let (head, tail) = (r#"{"message":{"data":""#, r#""},"meta":null}"#);
    let data = "x".repeat(SIZE - head.len() - tail.len());
    format!("{head}{data}{tail}")
}

const PYTHON: &str = r#"
import threading

from ekuiper import Function, PluginConfig, Sink, Source, plugin

room = None


class Rows(Source):
    def configure(self, datasource, conf):
        self.window = conf.get("window", 0)
        self.wanted = True

    def open(self, ctx):
        global room
        row = {"data": "x" * 61}
        if self.window:
            room = threading.Semaphore(self.window)
            while self.wanted:
                if room.acquire(timeout=1):
                    ctx.emit(row, None)
        while self.wanted:
            ctx.emit(row, None)

    def close(self, ctx):
        self.wanted = False


class Taking(Sink):
    def configure(self, conf):
        pass

    def open(self, ctx):
        pass

    def collect(self, ctx, data):
        if room is not None:
            room.release()

    def close(self, ctx):
        pass


class Echo(Function):
    def validate(self, args):
        return ""

    def exec(self, args, ctx):
        return args[0]

    def is_aggregate(self):
        return False


class Work(Echo):
    def exec(self, args, ctx):
        return sum(range(20000))


if __name__ == "__main__":
    plugin.start(PluginConfig(
        "@NAME@", {"source_@NAME@": Rows}, {"sink_@NAME@": Taking},
        {"echo_@NAME@": Echo, "work_@NAME@": Work}
    ))
"#;
