//! Sources: one listener and one reader for each running instance.
//!
//! A plugin gives up on a source whose messages are not taken within a second, so the reader never
//! waits for anybody (HOST-24): what the rule cannot take is dropped, and counted, behind the inbox.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plugyard_sp::{Protocol, PullConnection};
use plugyard_symbol::{
    Body, Connection, JsonText, NodeId, SourceHandle, SourceInbox, SourceRequest, SourceSymbol,
    SymbolError, SymbolKind, Tuple,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::attach::{Begun, Owner, Running, accept, stop_until_ended};
use crate::command::{Order, PluginType, useful_first};
use crate::config::{refuse_connection, source_config};
use crate::host::Host;
use crate::kept::Kept;
use crate::logs::now;
use crate::manifest::Language;
use crate::place::Arrivals;
use crate::plugin::{InstanceKey, Plugin};
use crate::process::{Worker, check_socket, socket_stem};
use crate::relapses::Relapses;
use crate::tally::Tally;

/// Messages taken from a connection before others have their turn.
const BATCH: usize = 256;
/// A read that brought fewer messages was hardly worth its wake-up.
const FEW: usize = 16;
/// How long messages may gather while the rule is busy; far below the second after which a plugin gives up.
const GATHER: Duration = Duration::from_millis(1);
/// A Go plugin comes back by itself within this time after its connection broke.
const GO_RECONNECT: Duration = Duration::from_secs(6);

/// A source in use, whichever process serves it at the moment.
pub(crate) struct SourceInstance {
    pub(crate) symbol: String,
    pub(crate) request: SourceRequest,
    kept: Arc<Kept>,
    pub(crate) inbox: Arc<dyn SourceInbox>,
    attachment: parking_lot::Mutex<Option<SourceAttachment>>,
    /// Its rows.
    pub(crate) tally: Arc<Tally>,
    pub(crate) relapses: Relapses,
    pub(crate) owner: Owner,
}

impl fmt::Debug for SourceInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceInstance")
            .field("symbol", &self.symbol)
            .field("node", &self.request.node)
            .finish_non_exhaustive()
    }
}

/// A source running in one process.
#[derive(Debug)]
pub(crate) struct SourceAttachment {
    pub(crate) worker: Arc<Worker>,
    order: Order,
    /// Its end is wanted.
    stopping: CancellationToken,
    /// Its first row has come.
    begun: CancellationToken,
    /// Its end has come: the pipe has ended and everything in it was taken.
    reader: JoinHandle<()>,
}

/// A source that is listened for and was not started yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    worker: Arc<Worker>,
    order: Order,
    listener: Arrivals,
}

impl Drop for SourceAttachment {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl SourceInstance {
    pub(crate) fn new(
        symbol: &str,
        request: SourceRequest,
        kept: Arc<Kept>,
        inbox: Arc<dyn SourceInbox>,
    ) -> Self {
        Self {
            symbol: symbol.to_owned(),
            request,
            kept,
            inbox,
            attachment: parking_lot::Mutex::default(),
            tally: Arc::default(),
            relapses: Relapses::default(),
            owner: Owner::default(),
        }
    }

    pub(crate) fn key(&self) -> InstanceKey {
        InstanceKey {
            kind: SymbolKind::Source,
            symbol: self.symbol.clone(),
            node: Some(self.request.node.clone()),
        }
    }

    pub(crate) fn set(&self, attachment: Option<SourceAttachment>) -> Option<SourceAttachment> {
        std::mem::replace(&mut *self.attachment.lock(), attachment)
    }

    /// Whether it runs in that process.
    pub(crate) fn is_in(&self, worker: &Arc<Worker>) -> bool {
        self.attachment
            .lock()
            .as_ref()
            .is_some_and(|it| Arc::ptr_eq(&it.worker, worker))
    }

    /// Starts it in a process; `ended` is told when it ends there by itself.
    pub(crate) async fn attach(
        &self,
        worker: &Arc<Worker>,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<SourceAttachment, SymbolError> {
        self.begin(self.prepare(worker)?, ended).await
    }

    /// Does what can be done before it is started in a process.
    pub(crate) fn prepare(&self, worker: &Arc<Worker>) -> Result<Prepared, SymbolError> {
        let node = &self.request.node;
        let name = format!("{}.ipc", socket_stem(node));
        let listener = worker.listen(&self.symbol, &name, Protocol::Pull)?;
        let sections = worker.sections(&self.symbol);
        let sections = self.kept.over(SymbolKind::Source, &self.symbol, sections);
        let config = source_config(
            &sections.map_err(SymbolError::io)?,
            self.request.conf_key.as_deref(),
            &self.request.config,
            &self.request.datasource,
        );
        refuse_connection("source", &self.symbol, &config)?;
        let order = Order::new(
            PluginType::Source,
            &self.symbol,
            node,
            &self.request.datasource,
            &config,
        );
        Ok(Prepared {
            worker: Arc::clone(worker),
            order,
            listener,
        })
    }

    /// Starts it where that was prepared.
    pub(crate) async fn begin(
        &self,
        prepared: Prepared,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<SourceAttachment, SymbolError> {
        let Prepared {
            worker,
            order,
            mut listener,
        } = prepared;
        self.inbox.connection(Connection::Connecting);
        let mut starting =
            std::pin::pin!(worker.start_symbol(SymbolKind::Source, &self.symbol, &order));
        let mut answered = false;
        let pull = tokio::select! {
            // The SDKs dial before they answer: rows are taken as soon as they come.
            pull = accept(&mut listener) => pull,
            answer = &mut starting => {
                answer?;
                answered = true;
                let accepting = accept(&mut listener);
                let Ok(pull) = timeout(worker.options().handshake_timeout, accepting).await else {
                    // Whatever it did start is not wanted now.
                    let _ = worker.command(order.stop()).await;
                    return Err(SymbolError::timeout(format!(
                        "source {} was started, but did not open its channel",
                        self.symbol
                    )));
                };
                pull
            }
        };
        self.inbox.connection(Connection::Connected);
        let (stopping, begun) = (CancellationToken::new(), CancellationToken::new());
        let reading = Reading {
            symbol: self.symbol.clone(),
            inbox: Arc::clone(&self.inbox),
            tally: Arc::clone(&self.tally),
            listener,
            worker: Arc::clone(&worker),
            stopping: stopping.clone(),
            begun: begun.clone(),
        };
        let (confirmed, confirmation) = oneshot::channel();
        let reader = tokio::spawn(async move {
            // One that was not started has no end of its own.
            if reading.run(pull).await && confirmation.await.is_ok() {
                ended();
            }
        });
        let attachment = SourceAttachment {
            worker: Arc::clone(&worker),
            order: order.clone(),
            stopping,
            begun,
            reader,
        };
        if !answered {
            starting.await?;
        }
        // Fails when it has been stopped already.
        let _ = confirmed.send(());
        Ok(attachment)
    }
}

impl SourceAttachment {
    /// Resolves when its first row has come.
    pub(crate) fn begun(&self) -> impl Future<Output = ()> + Send + use<> {
        self.begun.clone().cancelled_owned()
    }

    /// Ends what may be left of it after it ended by itself: the Python SDK has forgotten it and says
    /// `ok`, others may not.
    pub(crate) async fn forget(self, limit: Duration) -> Result<(), SymbolError> {
        if self.reader.is_finished() {
            self.stopping.cancel();
            return self.worker.command(self.order.stop()).await;
        }
        self.detach(limit).await
    }

    /// Stops it; when this returns, everything it sent is in the inbox.
    ///
    /// # Errors
    /// When its pipe did not end within `limit`; it is cut off then.
    pub(crate) async fn detach(mut self, limit: Duration) -> Result<(), SymbolError> {
        self.stopping.cancel();
        let (worker, order) = (Arc::clone(&self.worker), self.order.clone());
        stop_until_ended(SymbolKind::Source, &worker, &order, &mut self.reader, limit).await
    }
}

/// The dedicated reader of one source.
struct Reading {
    symbol: String,
    inbox: Arc<dyn SourceInbox>,
    tally: Arc<Tally>,
    listener: Arrivals,
    worker: Arc<Worker>,
    stopping: CancellationToken,
    begun: CancellationToken,
}

impl Reading {
    /// Reads to the end; true when the end came unasked while the process lives on.
    async fn run(mut self, mut pull: PullConnection) -> bool {
        loop {
            self.drain(&mut pull).await;
            if self.stopping.is_cancelled() {
                return false;
            }
            // A Go plugin reconnects; a process that is ending takes its pipes with it.
            let patience = match self.worker.launch.manifest.language {
                Language::Go => GO_RECONNECT,
                Language::Python => Duration::from_millis(100),
            };
            tokio::select! {
                again = timeout(patience, accept(&mut self.listener)) => match again {
                    Ok(again) => pull = again,
                    Err(_) => break,
                },
                () = self.stopping.cancelled() => return false,
                _ = self.worker.process.wait() => return false,
            }
        }
        !self.worker.is_ending()
    }

    async fn drain(&self, pull: &mut PullConnection) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut tuples = Vec::with_capacity(BATCH);
        let mut said = false;
        loop {
            match pull.recv_many(&mut batch, BATCH).await {
                Ok(0) => return,
                Ok(_) => {
                    let received_at = now();
                    for frame in batch.drain(..) {
                        match read(&frame, received_at) {
                            Ok(tuple) => tuples.push(tuple),
                            Err(text) => self.inbox.exception(SymbolError::refused(text)),
                        }
                    }
                    let few = tuples.len() < FEW;
                    self.tally.add(tuples.len());
                    let came = !tuples.is_empty();
                    self.inbox.offer_all(&mut tuples);
                    if came && !said {
                        said = true;
                        self.begun.cancel();
                    }
                    // Each wake-up costs more than a row: while the rule is at work on others anyway, they
                    // gather in the socket, which has room for many times as many.
                    if few && !self.inbox.is_waiting() {
                        let _ = timeout(GATHER, self.inbox.waiting()).await;
                    }
                }
                Err(error) => {
                    self.inbox.exception(SymbolError::io(format!(
                        "source {} broke its channel: {error}",
                        self.symbol
                    )));
                    return;
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default, rename = "message")]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Splits a message without building a tree: what it holds stays a slice of the frame.
///
/// # Errors
/// With the text of the exception that it is instead (HOST-22).
fn read(frame: &Bytes, received_at: i64) -> Result<Tuple, String> {
    if frame.first() == Some(&b'"') {
        return Err(go_error(frame));
    }
    let undecodable = |error: serde_json::Error| {
        let shown = String::from_utf8_lossy(&frame[..frame.len().min(256)]);
        format!("Invalid data format, cannot decode {shown} to json format with error {error}")
    };
    let message: Message<'_> = serde_json::from_slice(frame).map_err(undecodable)?;
    let Some(content) = message.content else {
        return Err(match message.error {
            Some(error) => error_text(error),
            None => undecodable(serde::de::Error::custom("there is no `message` in it")),
        });
    };
    if !content.get().starts_with('{') {
        return Err(undecodable(serde::de::Error::custom("expected an object")));
    }
    let meta = message.meta.filter(|meta| meta.get() != "null");
    let body = Body::Json(JsonText::within(frame, content));
    let meta = meta.map(|meta| JsonText::within(frame, meta));
    Ok(Tuple {
        body,
        meta,
        received_at,
    })
}

/// The Go SDK reports errors as an object within a text.
fn go_error(frame: &[u8]) -> String {
    let Ok(text) = serde_json::from_slice::<String>(frame) else {
        return "the source reported an error that cannot be read".into();
    };
    match serde_json::from_str::<Message<'_>>(&text) {
        Ok(Message {
            error: Some(error), ..
        }) => error_text(error),
        _ => text,
    }
}

fn error_text(error: &RawValue) -> String {
    let text = serde_json::from_str(error.get()).unwrap_or_else(|_| error.get().to_owned());
    useful_first(&text)
}

/// A source as the catalogue hands it out.
#[derive(Debug)]
pub(crate) struct PortableSource {
    pub(crate) host: Arc<Host>,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) symbol: String,
}

#[async_trait]
impl SourceSymbol for PortableSource {
    fn check(&self, node: &NodeId) -> Result<(), SymbolError> {
        check_socket(&format!("{}.ipc", socket_stem(node)))
    }

    async fn start(
        &self,
        request: SourceRequest,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError> {
        let plugin = self
            .host
            .provider(SymbolKind::Source, &self.symbol, &self.plugin)?;
        let instance = SourceInstance::new(&self.symbol, request, plugin.kept(), inbox);
        let running = Running::start(&plugin, instance).await?;
        Ok(Box::new(RunningSource(running)))
    }
}

#[async_trait]
impl Begun for SourceInstance {
    const KIND: SymbolKind = SymbolKind::Source;

    fn owner(&self) -> &Owner {
        &self.owner
    }

    async fn start(self: &Arc<Self>, plugin: &Arc<Plugin>) -> Result<(), SymbolError> {
        plugin.start_source(self).await
    }

    async fn stop(self: &Arc<Self>, plugin: &Arc<Plugin>) -> Option<Result<(), SymbolError>> {
        plugin.stop_source(self).await
    }
}

struct RunningSource(Running<SourceInstance>);

#[async_trait]
impl SourceHandle for RunningSource {
    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        self.0.stop().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(text: &'static str) -> Result<(String, Option<String>), String> {
        let frame = Bytes::from_static(text.as_bytes());
        let tuple = read(&frame, 5)?;
        let Body::Json(body) = tuple.body else {
            panic!("the body was decoded")
        };
        let range = frame.as_ptr_range();
        assert!(
            range.contains(&body.as_bytes().as_ptr()),
            "the body was copied"
        );
        let text = |it: JsonText| String::from_utf8(it.as_bytes().to_vec()).unwrap();
        Ok((text(body), tuple.meta.map(text)))
    }

    #[test]
    fn a_message_is_a_slice_of_its_frame() {
        assert_eq!(
            tuple(r#"{"message": {"name": "pyjson", "value": 2021}, "meta": null}"#),
            Ok((r#"{"name": "pyjson", "value": 2021}"#.into(), None))
        );
        assert_eq!(
            tuple(r#"{"message":{"n":9007199254740993},"meta":{"topic":"t"}}"#),
            Ok((
                r#"{"n":9007199254740993}"#.into(),
                Some(r#"{"topic":"t"}"#.into())
            ))
        );
    }

    #[test]
    fn host_22_errors_are_exceptions_and_not_tuples() {
        assert_eq!(tuple(r#"{"error": "boom"}"#), Err("boom".into()));
        assert_eq!(tuple(r#""{\"error\":\"boom\"}""#), Err("boom".into()));
        for bad in [
            "[1]",
            "{",
            "{}",
            "nonsense",
            r#"{"message":[1],"meta":null}"#,
            r#"{"message":null}"#,
            "",
        ] {
            assert!(tuple(bad).is_err(), "{bad}");
        }
        assert!(
            tuple("nonsense")
                .unwrap_err()
                .starts_with("Invalid data format, cannot decode nonsense")
        );
    }
}
