//! Reads the configuration of a plugin that Plugyard keeps.
//!
//! ```no_run
//! use plugyard_client::PluginConfig;
//!
//! let config = PluginConfig::from_environment(); // in a process that Plugyard started
//! let timeout = config.get_i64("API_TIMEOUT", 30)?;
//! # Ok::<(), plugyard_client::ConfigError>(())
//! ```
//!
//! A value that is not null is given as it is stored, also `false` and `0`; else the caller's default. A key
//! that does not exist gives the default too. Values are read again when they changed, so a long process
//! sees a new value no later than a second after it was stored; [`PluginConfig::on_change`] tells when that
//! was.
//!
//! Deliberately small: blocking, over a file or plain HTTP on the same machine.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};

/// After this a server is asked again, and who follows changes looks again.
const FRESH: Duration = Duration::from_millis(500);
/// After this the time of a file tells it from one that is written next.
const SETTLED: Duration = Duration::from_secs(2);
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a document that is read.
const LIMIT: u64 = 16 << 20;

/// A value cannot be read as what was asked for, or the configuration not at all.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The value is of another type, or a number that does not fit.
    #[error("`{key}` is no {expected}")]
    Type {
        /// The field.
        key: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// The secret is set, but the server could not decrypt it.
    #[error("`{key}` is set and cannot be decrypted")]
    Unreadable {
        /// The field.
        key: String,
    },
    /// The name is none that a plugin can have.
    #[error("`{name}` is not a plugin's name")]
    Name {
        /// The name.
        name: String,
    },
    /// No server runs on the home directory, so nobody knows the values.
    #[error("no server runs: there is no `{}`", ready.display())]
    NoServer {
        /// What is there while one runs.
        ready: PathBuf,
    },
    /// The file or the server cannot be read.
    #[error("the configuration cannot be read")]
    Read(#[source] std::io::Error),
    /// The server refuses.
    #[error("the server does not give the configuration: {status}")]
    Refused {
        /// The first line of its answer.
        status: String,
    },
    /// What was read is no configuration.
    #[error("the configuration cannot be understood")]
    Malformed,
}

/// All values of one moment.
#[derive(Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Grows with each write; 0 when nothing is configured.
    pub revision: u64,
    /// Each field with its value, secrets in clear; null when unset.
    pub values: Map<String, Value>,
    /// Secrets that are set and cannot be decrypted.
    pub unreadable: BTreeSet<String>,
}

impl fmt::Debug for Snapshot {
    /// Without the values, of which some are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("revision", &self.revision)
            .field("keys", &self.values.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// That values were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision there is now.
    pub revision: u64,
    /// The fields whose value is another than when last told, sorted; at first all of them.
    pub keys: Vec<String>,
}

/// Somebody who is told of changes. Dropping it ends that; a call that is under way then is finished.
#[derive(Debug)]
#[must_use = "dropping it ends the telling"]
pub struct Watch {
    _ended: mpsc::Sender<()>,
}

/// The values of one plugin. May be shared between threads.
#[derive(Debug)]
pub struct PluginConfig {
    source: Source,
    last: Mutex<Last>,
}

enum Source {
    Nothing,
    File(PathBuf),
    Plugin {
        path: PathBuf,
        /// There while a server runs.
        ready: PathBuf,
    },
    Server {
        api: String,
        token: String,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::File(path) | Self::Plugin { path, .. } => path.fmt(f),
            Self::Server { api, .. } => api.fmt(f),
        }
    }
}

#[derive(Debug, Default)]
struct Last {
    snapshot: Arc<Snapshot>,
    stamp: Option<Stamp>,
}

#[derive(Debug, PartialEq)]
enum Stamp {
    /// Every write makes a new file.
    File(PathBuf, u64, i64, i64, u64),
    Asked(Instant),
}

impl PluginConfig {
    /// In a process that Plugyard started: from the file that `PLUGYARD_CONFIG_FILE` names, else from the
    /// server at `PLUGYARD_API` with `PLUGYARD_TOKEN`. With neither every read gives the default.
    pub fn from_environment() -> Self {
        let variable = |name| {
            std::env::var(name)
                .ok()
                .filter(|it: &String| !it.is_empty())
        };
        let server = variable("PLUGYARD_API").zip(variable("PLUGYARD_TOKEN"));
        match (variable("PLUGYARD_CONFIG_FILE"), server) {
            (Some(file), _) => Self::from_file(file),
            (None, Some((api, token))) => Self::from_server(&api, token),
            (None, None) => Self::new(Source::Nothing),
        }
    }

    /// From a file as `PLUGYARD_CONFIG_FILE` names it.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(path.into()))
    }

    /// From a server (`http://…` on the same machine), with the token of the plugin.
    pub fn from_server(api: &str, token: impl Into<String>) -> Self {
        Self::new(Source::Server {
            api: api.trim_end_matches('/').to_owned(),
            token: token.into(),
        })
    }

    /// The values of an `app` plugin, read beside the home directory of Plugyard. Needs the rights of the
    /// server's user, because secrets are in them. A plugin that is not installed has none. While no server
    /// runs there the values read last stay, and without any a read is [`ConfigError::NoServer`].
    ///
    /// # Errors
    /// [`ConfigError::Name`].
    pub fn of_plugin(home: impl AsRef<Path>, plugin: &str) -> Result<Self, ConfigError> {
        let good = plugin.starts_with(|c: char| c.is_ascii_alphabetic())
            && plugin.len() <= 64
            && plugin
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !good {
            return Err(ConfigError::Name {
                name: plugin.to_owned(),
            });
        }
        let served = home.as_ref().join("plugin-config");
        // The link leads to the version in force.
        let path = served.join("app").join(plugin).join("current/config.json");
        let ready = served.join("ready");
        Ok(Self::new(Source::Plugin { path, ready }))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            last: Mutex::default(),
        }
    }

    /// The stored value; `None` where there is none.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] for a secret that cannot be decrypted, and when nothing can be read.
    pub fn get(&self, key: &str) -> Result<Option<Value>, ConfigError> {
        let snapshot = self.all()?;
        if snapshot.unreadable.contains(key) {
            return Err(ConfigError::Unreadable {
                key: key.to_owned(),
            });
        }
        Ok(snapshot
            .values
            .get(key)
            .filter(|value| !value.is_null())
            .cloned())
    }

    /// The stored value, or the default where there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_config(&self, key: &str, default: Value) -> Result<Value, ConfigError> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// The value as text: a number in decimal, a checkbox as `1` or `0`.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`ConfigError::Type`].
    pub fn get_string(&self, key: &str, default: &str) -> Result<String, ConfigError> {
        self.typed(key, default.to_owned(), "text", |value| match value {
            Value::String(text) => Some(text),
            Value::Bool(on) => Some(String::from(if on { "1" } else { "0" })),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    /// The value as a whole number.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`ConfigError::Type`].
    pub fn get_i64(&self, key: &str, default: i64) -> Result<i64, ConfigError> {
        self.typed(key, default, "whole number", |value| match value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(on) => Some(i64::from(on)),
            _ => None,
        })
    }

    /// The value as a number.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`ConfigError::Type`].
    pub fn get_f64(&self, key: &str, default: f64) -> Result<f64, ConfigError> {
        self.typed(key, default, "number", |value| match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok().filter(|it: &f64| it.is_finite()),
            _ => None,
        })
    }

    /// The value as yes or no.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`ConfigError::Type`].
    pub fn get_bool(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        self.typed(key, default, "yes or no", |value| {
            let word = match value {
                Value::Bool(on) => return Some(on),
                Value::Number(number) => number.to_string(),
                Value::String(text) => text.to_ascii_lowercase(),
                _ => return None,
            };
            match word.as_str() {
                "1" | "true" | "on" | "yes" => Some(true),
                "0" | "false" | "off" | "no" | "" => Some(false),
                _ => None,
            }
        })
    }

    fn typed<T>(
        &self,
        key: &str,
        default: T,
        expected: &'static str,
        convert: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let Some(value) = self.get(key)? else {
            return Ok(default);
        };
        convert(value).ok_or_else(|| ConfigError::Type {
            key: key.to_owned(),
            expected,
        })
    }

    /// All values of one moment, with the revision they are of.
    ///
    /// # Errors
    /// When they cannot be read or understood.
    pub fn all(&self) -> Result<Arc<Snapshot>, ConfigError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.source {
            Source::Nothing => {}
            Source::File(path) => {
                if !read_file(path, &mut last)? {
                    *last = Last::default();
                }
            }
            Source::Plugin { path, ready } => {
                // Before and after, so that a server which begins or ends in between is noticed.
                let runs = ready.exists();
                if !read_file(path, &mut last)? {
                    if runs && ready.exists() {
                        *last = Last::default();
                    } else if last.snapshot.revision == 0 {
                        let ready = ready.clone();
                        return Err(ConfigError::NoServer { ready });
                    }
                }
            }
            Source::Server { api, token } => match last.stamp {
                Some(Stamp::Asked(at)) if at.elapsed() < FRESH => {}
                _ => {
                    last.snapshot = Arc::new(ask(api, token)?);
                    last.stamp = Some(Stamp::Asked(Instant::now()));
                }
            },
        }
        Ok(Arc::clone(&last.snapshot))
    }

    /// Tells of the revision there is, and then of each write, in order, from a thread of its own. Writes
    /// that follow each other closely are told as one. While nothing can be read nothing is told.
    pub fn on_change(
        self: &Arc<Self>,
        mut callback: impl FnMut(&Change) + Send + 'static,
    ) -> Watch {
        let (ended, end) = mpsc::channel();
        let config = Arc::clone(self);
        thread::spawn(move || {
            let mut told = Arc::new(Snapshot::default());
            loop {
                // Without a server, or after an uninstall, there is nothing to tell of.
                if let Ok(now) = config.all()
                    && now.revision != 0
                    && now.revision != told.revision
                {
                    callback(&Change {
                        revision: now.revision,
                        keys: differing(&told, &now),
                    });
                    told = now;
                }
                if end.recv_timeout(FRESH) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Watch { _ended: ended }
    }
}

fn differing(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    fn seen<'a>(snapshot: &'a Snapshot, key: &str) -> (Option<&'a Value>, bool) {
        (snapshot.values.get(key), snapshot.unreadable.contains(key))
    }
    let keys: BTreeSet<&String> = [before, after]
        .into_iter()
        .flat_map(|it| it.values.keys().chain(&it.unreadable))
        .collect();
    keys.into_iter()
        .filter(|key| seen(before, key) != seen(after, key))
        .cloned()
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and to fit"
)]
fn whole(number: f64) -> Option<i64> {
    // 2^53: beyond, neighbours are no whole numbers apart.
    let fits = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    fits.then_some(number as i64)
}

/// Reads a file that changed; `false` when it is not there.
fn read_file(path: &Path, last: &mut Last) -> Result<bool, ConfigError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(false);
        }
        Err(error) => return Err(ConfigError::Read(error)),
    };
    let it = file.metadata().map_err(ConfigError::Read)?;
    let stamp = Stamp::File(
        path.to_owned(),
        it.ino(),
        it.mtime(),
        it.mtime_nsec(),
        it.len(),
    );
    if last.stamp.as_ref() == Some(&stamp) {
        return Ok(true);
    }
    let mut bytes = Vec::new();
    file.take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(ConfigError::Read)?;
    last.snapshot = Arc::new(understand(&bytes)?);
    // A file that was written just now and one that takes its place may look the same.
    let written = it.modified().map_err(ConfigError::Read)?;
    let age = SystemTime::now().duration_since(written);
    last.stamp = age.is_ok_and(|age| age > SETTLED).then_some(stamp);
    Ok(true)
}

/// One request in the oldest form of HTTP, whose answers end with the connection.
fn ask(api: &str, token: &str) -> Result<Snapshot, ConfigError> {
    let host = api.strip_prefix("http://").ok_or(ConfigError::Malformed)?;
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // In one piece.
        let request = format!(
            "GET /v1/self/config HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Accept: application/json\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(LIMIT).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(ConfigError::Read)?;
    let end = answer
        .windows(4)
        .position(|it| it == b"\r\n\r\n")
        .ok_or(ConfigError::Malformed)?;
    let status = answer
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let status = String::from_utf8_lossy(status).into_owned();
    if status.split(' ').nth(1) != Some("200") {
        return Err(ConfigError::Refused { status });
    }
    understand(&answer[end + 4..])
}

fn understand(bytes: &[u8]) -> Result<Snapshot, ConfigError> {
    let document: Value = serde_json::from_slice(bytes).map_err(|_| ConfigError::Malformed)?;
    let values = document["values"]
        .as_object()
        .ok_or(ConfigError::Malformed)?;
    let unreadable = document["unreadable"].as_array().into_iter().flatten();
    Ok(Snapshot {
        revision: document["revision"].as_u64().unwrap_or(0),
        values: values.clone(),
        unreadable: unreadable
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect(),
    })
}

#[cfg(test)]
mod tests;
