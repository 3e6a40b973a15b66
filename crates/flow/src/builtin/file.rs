//! Sink `file`: writes each row as one line of JSON.
//!
//! `path`: the file, relative to the one directory that is open to rules; what would lie outside is refused,
//! also by way of a symbolic link. `mode`: `append` (default) or `truncate`. A list is taken apart into its
//! rows, so `sendSingle` makes no difference here. Messages that wait are written and flushed together, before
//! any of them counts as delivered. What the rule has packed with `gzip` is written one behind the other, which is
//! a file of that kind again; of the other kinds no file with more than one message could be read.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use plugyard_symbol::{Connection, SinkHandle, SinkObserver, SinkRequest, SinkSymbol, SymbolError};
use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use super::{not_encrypted, properties};

pub(super) struct FileSink {
    pub(super) below: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Properties {
    path: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    compression: String,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Append,
    Truncate,
}

#[async_trait]
impl SinkSymbol for FileSink {
    fn check(&self, request: &SinkRequest) -> Result<(), SymbolError> {
        not_encrypted("file", request)?;
        match request.properties.get("compression").and_then(Json::as_str) {
            None | Some("" | "gzip") => Ok(()),
            Some(other) => Err(SymbolError::refused(format!(
                "sink file: compression {other} is not supported here; gzip is"
            ))),
        }
    }

    async fn start(
        &self,
        request: SinkRequest,
        observer: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError> {
        let given: Properties = properties("sink file", &request.properties)?;
        let below = self.below.clone().ok_or_else(|| {
            SymbolError::refused("sink file: this server has no directory that rules may write to")
        })?;
        let path = resolve(&below, &given.path)?;
        let file = open(&below, &path, given.mode).await?;
        observer.connection(Connection::Connected);
        let packed = !given.compression.is_empty();
        Ok(Box::new(Running { file, path, packed }))
    }
}

/// The place of a path below the directory; says no to what names another place.
fn resolve(below: &Path, path: &str) -> Result<PathBuf, SymbolError> {
    let refused = || {
        SymbolError::refused(format!(
            "sink file: `{path}` must be a path below {}, without `..`",
            below.display()
        ))
    };
    let given = Path::new(path);
    let relative = given.strip_prefix(below).unwrap_or(given);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if relative.as_os_str().is_empty() || !plain || path.contains('\0') {
        return Err(refused());
    }
    Ok(below.join(relative))
}

async fn open(below: &Path, path: &Path, mode: Mode) -> Result<File, SymbolError> {
    let io =
        |error: std::io::Error| SymbolError::io(format!("sink file {}: {error}", path.display()));
    let parent = path.parent().unwrap_or(below);
    // Looked at before anything is made: a link on the way may lead out.
    leads_out(below, parent).await?;
    tokio::fs::create_dir_all(parent).await.map_err(io)?;
    if tokio::fs::symlink_metadata(path)
        .await
        .is_ok_and(|metadata| !metadata.is_file())
    {
        return Err(SymbolError::refused(format!(
            "sink file: {} is no regular file",
            path.display()
        )));
    }
    OpenOptions::new()
        .create(true)
        .write(true)
        .append(mode == Mode::Append)
        .truncate(mode == Mode::Truncate)
        .open(path)
        .await
        .map_err(io)
}

/// Refuses a directory of which an existing part lies, by symbolic links, outside `below`.
async fn leads_out(below: &Path, directory: &Path) -> Result<(), SymbolError> {
    let Ok(root) = tokio::fs::canonicalize(below).await else {
        // Nothing is there yet, so no link is either.
        return Ok(());
    };
    for part in directory.ancestors() {
        if let Ok(real) = tokio::fs::canonicalize(part).await {
            return if real.starts_with(&root) {
                Ok(())
            } else {
                Err(SymbolError::refused(format!(
                    "sink file: {} leads out of {}",
                    part.display(),
                    below.display()
                )))
            };
        }
    }
    Ok(())
}

/// Adds the rows of a message, which is one or a list of them, or lines already.
fn add_lines(lines: &mut Vec<u8>, message: &[u8]) {
    let mut add = |line: &[u8]| {
        lines.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            lines.push(b'\n');
        }
    };
    match serde_json::from_slice::<Vec<&RawValue>>(message) {
        Ok(rows) => rows.iter().for_each(|row| add(row.get().as_bytes())),
        Err(_) => add(message),
    }
}

struct Running {
    file: File,
    path: PathBuf,
    /// Messages are written as they are.
    packed: bool,
}

impl Running {
    fn add(&self, out: &mut Vec<u8>, message: &[u8]) {
        if self.packed {
            out.extend_from_slice(message);
        } else {
            add_lines(out, message);
        }
    }

    async fn write(&mut self, lines: &[u8]) -> Result<(), SymbolError> {
        let result = match self.file.write_all(lines).await {
            Ok(()) => self.file.flush().await,
            Err(error) => Err(error),
        };
        result
            .map_err(|error| SymbolError::io(format!("sink file {}: {error}", self.path.display())))
    }
}

#[async_trait]
impl SinkHandle for Running {
    async fn send(&mut self, message: Bytes) -> Result<(), SymbolError> {
        let mut lines = Vec::with_capacity(message.len() + 1);
        self.add(&mut lines, &message);
        self.write(&lines).await
    }

    async fn send_many(&mut self, messages: Vec<Bytes>) -> Vec<Result<(), SymbolError>> {
        let mut lines = Vec::with_capacity(messages.iter().map(|it| it.len() + 1).sum());
        for message in &messages {
            self.add(&mut lines, message);
        }
        let result = self.write(&lines).await;
        vec![result; messages.len()]
    }

    async fn stop(mut self: Box<Self>) -> Result<(), SymbolError> {
        self.file
            .sync_data()
            .await
            .map_err(|error| SymbolError::io(format!("sink file {}: {error}", self.path.display())))
    }
}
