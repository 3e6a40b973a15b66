//! The sources and sinks of ours.
//!
//! | symbol | what it does |
//! |---|---|
//! | source `simulator` | gives the rows of a list, again and again |
//! | source `httppush` | takes rows that clients send over HTTP |
//! | source `memory` | gives what `memory` sinks put on a topic |
//! | sink `memory` | puts rows on a topic |
//! | sink `log` | writes rows to the server's log |
//! | sink `file` | writes rows to a file below one directory, one line each |

mod file;
mod httppush;
mod log;
mod memory;
mod simulator;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use plugyard_symbol::{
    Catalog, FunctionSymbol, SinkRequest, SinkSymbol, SourceSymbol, SymbolError, SymbolKind,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::clock::{Clock, SystemClock};
pub use memory::{Subscription, Topics};

/// The catalogue of the symbols of ours.
#[derive(Clone)]
pub struct Builtins {
    clock: Arc<dyn Clock>,
    topics: Topics,
    files: Option<PathBuf>,
    push: httppush::PushServer,
}

impl std::fmt::Debug for Builtins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builtins")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Builtins {
    /// Files of the sink `file` may be written below `files` only; without it the sink refuses to start.
    pub fn new(files: Option<PathBuf>) -> Self {
        Self {
            clock: Arc::new(SystemClock),
            topics: Topics::default(),
            files,
            push: httppush::PushServer::new(httppush::ADDRESS),
        }
    }

    /// Where the sources `httppush` listen, while there are any; default `127.0.0.1:10081`. With port 0 the
    /// system chooses one.
    #[must_use]
    pub fn with_push_address(mut self, address: SocketAddr) -> Self {
        self.push = httppush::PushServer::new(address);
        self
    }

    /// Where the sources `httppush` listen.
    pub fn push_address(&self) -> SocketAddr {
        self.push.address()
    }

    /// The topics of the symbols `memory`: to read what rules put there, or to feed them.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }
}

const SOURCES: &[&str] = &["httppush", "memory", "simulator"];
const SINKS: &[&str] = &["file", "log", "memory"];

impl Catalog for Builtins {
    fn source(&self, name: &str) -> Option<Arc<dyn SourceSymbol>> {
        match name {
            "httppush" => Some(Arc::new(httppush::HttpPush {
                server: self.push.clone(),
                clock: self.clock.clone(),
            })),
            "memory" => Some(Arc::new(memory::MemorySource {
                topics: self.topics.clone(),
                clock: self.clock.clone(),
            })),
            "simulator" => Some(Arc::new(simulator::Simulator {
                clock: self.clock.clone(),
            })),
            _ => None,
        }
    }

    fn sink(&self, name: &str) -> Option<Arc<dyn SinkSymbol>> {
        match name {
            "file" => Some(Arc::new(file::FileSink {
                below: self.files.clone(),
            })),
            "log" => Some(Arc::new(log::LogSink)),
            "memory" => Some(Arc::new(memory::MemorySink {
                topics: self.topics.clone(),
            })),
            _ => None,
        }
    }

    fn function(&self, _: &str) -> Option<Arc<dyn FunctionSymbol>> {
        // Functions of ours are part of the statement; see `crate::BUILTINS`.
        None
    }

    fn names(&self, kind: SymbolKind) -> Vec<String> {
        let names = match kind {
            SymbolKind::Source => SOURCES,
            SymbolKind::Sink => SINKS,
            SymbolKind::Function => &[],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }
}

/// Refuses what would not be text any more.
fn not_packed(sink: &str, request: &SinkRequest) -> Result<(), SymbolError> {
    match request.properties.get("compression").and_then(Json::as_str) {
        None | Some("") => Ok(()),
        Some(_) => Err(SymbolError::refused(format!(
            "sink {sink}: compression is not supported here"
        ))),
    }?;
    not_encrypted(sink, request)
}

/// Refuses what nobody could part into messages again.
fn not_encrypted(sink: &str, request: &SinkRequest) -> Result<(), SymbolError> {
    match request.properties.get("encryption").and_then(Json::as_str) {
        None | Some("") => Ok(()),
        Some(_) => Err(SymbolError::refused(format!(
            "sink {sink}: encryption is not supported here"
        ))),
    }
}

/// Refuses what whoever reads it could not take for rows.
fn only_json(sink: &str, request: &SinkRequest) -> Result<(), SymbolError> {
    not_packed(sink, request)?;
    match request.properties.get("format").and_then(Json::as_str) {
        Some(format) if !format.is_empty() && !format.eq_ignore_ascii_case("json") => {
            Err(SymbolError::refused(format!(
                "sink {sink}: format {format} is not supported here; json is"
            )))
        }
        _ => Ok(()),
    }
}

/// Reads the properties of a symbol of ours.
fn properties<T: DeserializeOwned>(
    what: &str,
    properties: &Map<String, Json>,
) -> Result<T, SymbolError> {
    serde_json::from_value(Json::Object(properties.clone()))
        .map_err(|error| SymbolError::refused(format!("{what}: {error}")))
}
