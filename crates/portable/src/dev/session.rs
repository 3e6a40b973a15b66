//! The channels of the plugin under test and the symbols that run on them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use plugyard_sp::{Listener, Options, Protocol, connect};
use plugyard_symbol::{NodeId, SymbolKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

use super::{DevError, Direction, Transcript};
use crate::command::{Order, PluginType, read_reply};
use crate::control::{Control, Observer, Seen};
use crate::manifest::Manifest;
use crate::process::seconds;

/// One command, and one call.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two rows for a sink, and between two calls of a function.
const EVERY: Duration = Duration::from_secs(1);
/// Between two attempts to reach a sink that is not there yet.
const RETRY: Duration = Duration::from_millis(100);

/// What a sink is given in turn, as eKuiper's plugin server does: single rows, as of a rule with `sendSingle`.
const ROWS: [&str; 2] = [
    r#"{"count":5,"name":"hello"}"#,
    r#"{"count":10,"name":"world"}"#,
];
/// What a function is called with in turn.
const ARGUMENTS: [&str; 2] = ["twelve", "eleven"];

/// A request to start or stop a symbol: the `arg` of the command, of which most may be left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    symbol_name: String,
    plugin_type: String,
    #[serde(default)]
    meta: Meta,
    #[serde(default)]
    data_source: String,
    #[serde(default)]
    config: Map<String, Json>,
}

/// Where a symbol would be in a rule. `instanceId` is 0 whatever is said, as the Go SDK assumes.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    rule_id: String,
    op_id: String,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            rule_id: "rule1".to_owned(),
            op_id: "op1".to_owned(),
        }
    }
}

/// A symbol that runs.
#[derive(Debug)]
struct Symbol {
    order: Order,
    node: NodeId,
    /// Ends with it.
    _work: JoinSet<()>,
}

/// How a running symbol is listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    symbol_name: String,
    plugin_type: &'static str,
    rule_id: String,
    op_id: String,
}

/// One plugin under test.
pub(super) struct Session {
    sockets: PathBuf,
    manifest: Manifest,
    transcript: Arc<Transcript>,
    control: Control,
    /// A process connected.
    met: Arc<Notify>,
    /// In the order in which they were started.
    symbols: Mutex<IndexMap<(&'static str, String), Symbol>>,
}

impl Session {
    pub(super) fn open(
        sockets: &Path,
        manifest: Manifest,
        transcript: Arc<Transcript>,
    ) -> Result<Arc<Self>, DevError> {
        let path = sockets.join(format!("plugin_{}.ipc", manifest.name));
        let met = Arc::new(Notify::new());
        let observer = observe("control", &transcript, Some(Arc::clone(&met)));
        let control = Control::observed(&path, Options::default(), observer)
            .map_err(|source| DevError::Socket { path, source })?;
        Ok(Arc::new(Self {
            sockets: sockets.to_owned(),
            manifest,
            transcript,
            control,
            met,
            symbols: Mutex::default(),
        }))
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Starts in each new process what was running in the one before. Never ends.
    pub(super) async fn follow(&self) {
        loop {
            self.met.notified().await;
            let symbols = self.symbols.lock().await;
            for ((_, name), symbol) in &*symbols {
                if let Err(error) = self.command(symbol.order.start()).await {
                    self.transcript
                        .note(format!("{name} did not start again: {error}"));
                }
            }
        }
    }

    pub(super) async fn start(&self, request: Request) -> Result<(), String> {
        let (plugin_type, word, kind) = read_type(&request.plugin_type)?;
        let name = request.symbol_name;
        if !self.manifest.serves(kind, &name) {
            let known = self.manifest.symbols(kind).join(", ");
            return Err(format!(
                "the manifest has no {word} `{name}`; it has: {known}"
            ));
        }
        let mut symbols = self.symbols.lock().await;
        if symbols.contains_key(&(word, name.clone())) {
            return Err(format!("{word} symbol {name} already exists"));
        }
        let node = NodeId {
            rule_id: request.meta.rule_id,
            op_id: request.meta.op_id,
            instance_id: 0,
        };
        let order = match plugin_type {
            PluginType::Function => Order::function(&name),
            _ => Order::new(
                plugin_type,
                &name,
                &node,
                &request.data_source,
                &request.config,
            ),
        };
        // Listened to before the command, in which both SDKs dial.
        let channels = self
            .listen(plugin_type, &name, &node)
            .map_err(|error| format!("{word} {name} has no channel: {error}"))?;
        self.command(order.start()).await?;
        let symbol = Symbol {
            order,
            node,
            _work: channels,
        };
        symbols.insert((word, name), symbol);
        Ok(())
    }

    pub(super) async fn stop(&self, request: &Request) -> Result<(), String> {
        let (_, word, _) = read_type(&request.plugin_type)?;
        let name = &request.symbol_name;
        let mut symbols = self.symbols.lock().await;
        let Some(symbol) = symbols.shift_remove(&(word, name.clone())) else {
            return Err(format!("Symbol {name} already close"));
        };
        // Its channels stay until it has answered.
        self.command(symbol.order.stop()).await
    }

    pub(super) async fn list(&self) -> Vec<Listed> {
        let symbols = self.symbols.lock().await;
        let listed = |((word, name), symbol): (&(&'static str, String), &Symbol)| Listed {
            symbol_name: name.clone(),
            plugin_type: word,
            rule_id: symbol.node.rule_id.clone(),
            op_id: symbol.node.op_id.clone(),
        };
        let mut all: Vec<Listed> = symbols.iter().map(listed).collect();
        all.sort_by(|a, b| (a.plugin_type, &a.symbol_name).cmp(&(b.plugin_type, &b.symbol_name)));
        all
    }

    /// Stops everything, as far as there is somebody to stop it.
    pub(super) async fn close(&self) {
        let symbols = std::mem::take(&mut *self.symbols.lock().await);
        for ((_, name), symbol) in symbols {
            let stopped = self.control.command(symbol.order.stop(), EVERY).await;
            if stopped.is_err() {
                self.transcript.note(format!("{name} was not stopped"));
                return;
            }
        }
    }

    async fn command(&self, bytes: &[u8]) -> Result<(), String> {
        match self.control.command(bytes, ANSWER_WITHIN).await {
            Ok(reply) => read_reply(&reply),
            Err(_) => Err(format!(
                "the plugin did not answer within {}; does it run?",
                seconds(ANSWER_WITHIN)
            )),
        }
    }

    /// Opens the channels of a symbol and does on them what a rule would.
    fn listen(
        &self,
        plugin_type: PluginType,
        name: &str,
        node: &NodeId,
    ) -> io::Result<JoinSet<()>> {
        let mut work = JoinSet::new();
        let base = format!("{}_{}_{}", node.rule_id, node.op_id, node.instance_id);
        if base.contains('/') {
            return Err(io::Error::other(
                "names of rules and operators have no slash",
            ));
        }
        let transcript = Arc::clone(&self.transcript);
        match plugin_type {
            PluginType::Source => {
                let channel = format!("{base}.ipc");
                let listener = Listener::bind(self.sockets.join(&channel), Protocol::Pull)?;
                work.spawn(pull(listener, channel, transcript));
            }
            PluginType::Sink => {
                let (channel, acks) = (format!("{base}.ipc"), format!("{base}_ack.ipc"));
                let listener = Listener::bind(self.sockets.join(&acks), Protocol::Pull)?;
                work.spawn(pull(listener, acks, Arc::clone(&transcript)));
                work.spawn(push(self.sockets.join(&channel), channel, transcript));
            }
            PluginType::Function => {
                let channel = format!("func_{name}.ipc");
                let observer = observe(&channel, &transcript, None);
                let path = self.sockets.join(&channel);
                let function = Control::observed(&path, Options::default(), observer)?;
                work.spawn(call(function, transcript, channel));
            }
        }
        Ok(work)
    }
}

fn read_type(word: &str) -> Result<(PluginType, &'static str, SymbolKind), String> {
    Ok(match word {
        "source" => (PluginType::Source, "source", SymbolKind::Source),
        "sink" => (PluginType::Sink, "sink", SymbolKind::Sink),
        "func" => (PluginType::Function, "func", SymbolKind::Function),
        other => {
            return Err(format!(
                "invalid plugin type `{other}`: it is `source`, `sink` or `func`"
            ));
        }
    })
}

fn observe(channel: &str, transcript: &Arc<Transcript>, met: Option<Arc<Notify>>) -> Observer {
    let (channel, transcript) = (channel.to_owned(), Arc::clone(transcript));
    Arc::new(move |seen| match seen {
        Seen::Met(pid) => {
            let pid = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            transcript.frame(
                &channel,
                Direction::Note,
                format!("connected{pid}").as_bytes(),
            );
            if let Some(met) = &met {
                met.notify_one();
            }
        }
        Seen::Lost => transcript.frame(&channel, Direction::Note, b"disconnected"),
        Seen::In(bytes) => transcript.frame(&channel, Direction::In, bytes),
        Seen::Out(bytes) => transcript.frame(&channel, Direction::Out, bytes),
    })
}

/// Shows what comes, from one process after the other.
async fn pull(mut listener: Listener, channel: String, transcript: Arc<Transcript>) {
    loop {
        let Ok(connection) = listener.accept().await else {
            continue;
        };
        let Ok(mut pull) = connection.into_pull() else {
            continue;
        };
        transcript.frame(&channel, Direction::Note, b"connected");
        while let Ok(Some(message)) = pull.recv().await {
            transcript.frame(&channel, Direction::In, &message);
        }
        transcript.frame(&channel, Direction::Note, b"disconnected");
    }
}

/// Sends a row every second, to one process after the other.
async fn push(path: PathBuf, channel: String, transcript: Arc<Transcript>) {
    let mut rows = ROWS.iter().cycle();
    loop {
        let connected = connect(&path, Protocol::Push).await;
        let Some(Ok(mut push)) = connected.ok().map(plugyard_sp::Connection::into_push) else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        transcript.frame(&channel, Direction::Note, b"connected");
        for row in rows.by_ref() {
            let sent = tokio::select! {
                sent = push.send(row.as_bytes()) => sent.is_ok(),
                () = tokio::time::sleep(ANSWER_WITHIN) => false,
            };
            if !sent {
                break;
            }
            transcript.frame(&channel, Direction::Out, row.as_bytes());
            tokio::time::sleep(EVERY).await;
        }
        transcript.frame(&channel, Direction::Note, b"disconnected");
    }
}

/// Calls a function every second.
async fn call(function: Control, transcript: Arc<Transcript>, channel: String) {
    function.handshake().await;
    for argument in ARGUMENTS.iter().cycle() {
        let context = r#"{"ruleId":"rule1","opId":"op1","instanceId":0,"funcId":1}"#;
        let call = serde_json::json!({"func": "Exec", "arg": [argument, context]});
        if function
            .command(call.to_string().as_bytes(), ANSWER_WITHIN)
            .await
            .is_err()
        {
            transcript.frame(&channel, Direction::Note, b"no answer");
        }
        tokio::time::sleep(EVERY).await;
    }
}
