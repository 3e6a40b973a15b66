//! The remote servers that the user logged in to, and which server a command talks to.
//!
//! Contexts are in one file below the user's configuration directory, readable by nobody else. The
//! order in which a server is chosen: `--server`, `--context`, a home directory that was named, the
//! context in use, the default home directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;

use plugyard_model::{Problem, codes};
use rustix::termios::{self, LocalModes, OptionalActions};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::cli::Global;
use crate::output::note;

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Behind the socket of a home directory.
    Home(PathBuf),
    /// At an address.
    Remote {
        /// The address.
        server: String,
        /// What to sign in with.
        token: Option<SecretString>,
    },
}

impl Target {
    /// The server that a command means.
    pub(crate) fn of(global: &Global) -> Result<Self, Problem> {
        if let Some(server) = &global.server {
            return Ok(Self::Remote {
                server: server.clone(),
                token: given_token(global)?,
            });
        }
        if global.context.is_none() && global.home_named {
            return Ok(Self::Home(global.home.clone()));
        }
        let contexts = Contexts::load()?;
        let Some(name) = global.context.as_ref().or(contexts.current.as_ref()) else {
            return Ok(Self::Home(global.home.clone()));
        };
        let context = contexts.get(name)?;
        let remembered = context.token.clone().map(SecretString::from);
        Ok(Self::Remote {
            server: context.server.clone(),
            token: given_token(global)?.or(remembered),
        })
    }
}

/// The token of `--token` or its variable; `-` stands for a line of standard input.
pub(crate) fn given_token(global: &Global) -> Result<Option<SecretString>, Problem> {
    match global.token.as_deref() {
        Some("-") => {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            let token = line.trim();
            if read.is_err() || token.is_empty() {
                return Err(Problem::new(codes::TOKEN_NEEDED));
            }
            Ok(Some(token.into()))
        }
        token => Ok(token.map(SecretString::from)),
    }
}

/// Asks for a token at the terminal without showing it; `None` without a terminal.
pub(crate) fn ask_token(question: &str) -> Result<Option<SecretString>, Problem> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    let needed = |_| Problem::new(codes::TOKEN_NEEDED);
    let usual = termios::tcgetattr(&stdin).map_err(needed)?;
    let mut hidden = usual.clone();
    // Without signals too: an interrupted command must not leave the terminal mute.
    hidden
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    {
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question} ");
        let _ = err.flush();
    }
    termios::tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(needed)?;
    let typed = type_hidden();
    let _ = termios::tcsetattr(&stdin, OptionalActions::Flush, &usual);
    note("");
    match typed {
        Some(token) if !token.expose_secret().is_empty() => Ok(Some(token)),
        _ => Err(Problem::new(codes::TOKEN_NEEDED)),
    }
}

/// What is typed up to the end of the line; nothing when it is interrupted.
fn type_hidden() -> Option<SecretString> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const ERASE: [u8; 2] = [8, 127];
    let mut typed = Vec::new();
    loop {
        let mut byte = [0];
        if rustix::io::read(std::io::stdin(), &mut byte).ok()? == 0 {
            break;
        }
        match byte[0] {
            INTERRUPT => return None,
            b'\n' | b'\r' | END => break,
            erase if ERASE.contains(&erase) => {
                typed.pop();
            }
            _ if typed.len() >= 4096 => return None,
            other => typed.push(other),
        }
    }
    Some(String::from_utf8(typed).ok()?.trim().into())
}

/// A remembered server.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Its address.
    pub(crate) server: String,
    /// The account that logged in.
    pub(crate) account: String,
    /// What to sign in with; nothing after `logout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

/// All remembered servers.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Contexts {
    /// The one that commands talk to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Remembered>,
}

impl Contexts {
    /// Reads the file; there are none where it is not.
    pub(crate) fn load() -> Result<Self, Problem> {
        let Some(path) = path() else {
            return Ok(Self::default());
        };
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| unusable(&path, &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    /// Writes the file, as a whole or not at all, for the user's eyes only.
    pub(crate) fn save(&self) -> Result<(), Problem> {
        let path = path().ok_or_else(|| {
            let nowhere = "neither `XDG_CONFIG_HOME` nor `HOME` is set";
            unusable(&PathBuf::from("contexts.json"), &nowhere)
        })?;
        let failed = |error: std::io::Error| unusable(&path, &error);
        let directory = path.parent().map(PathBuf::from).unwrap_or_default();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| unusable(&path, &error))?;
        // Made with 0600.
        let mut file = tempfile::NamedTempFile::new_in(&directory).map_err(failed)?;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o600))
            .and_then(|()| file.write_all(&text))
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The context of that name.
    pub(crate) fn get(&self, name: &str) -> Result<&Remembered, Problem> {
        let missing = || Problem::new(codes::CONTEXT_NOT_FOUND).with("context", name);
        self.contexts.get(name).ok_or_else(missing)
    }

    /// The name given, or that of the context in use.
    pub(crate) fn named(&self, name: Option<&String>) -> Result<String, Problem> {
        let name = name.or(self.current.as_ref()).cloned().unwrap_or_default();
        self.get(&name)?;
        Ok(name)
    }
}

fn path() -> Option<PathBuf> {
    let directory = |name: &str| {
        let value = std::env::var_os(name).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    let configuration =
        directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")))?;
    Some(configuration.join("plugyard").join("contexts.json"))
}

fn unusable(path: &std::path::Path, reason: &dyn std::fmt::Display) -> Problem {
    Problem::new(codes::CONTEXTS_UNUSABLE)
        .with("path", path.display())
        .with("reason", reason)
}
