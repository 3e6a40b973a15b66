//! Shared streams: one running source for all rules that read the stream.
//!
//! It starts with the first rule and ends with the last, whose metrics and queue are its own: what one rule
//! has no room for is dropped there, and nobody else waits. A source that can wait goes on as soon as one
//! of the rules has taken everything, so that the fastest sets the pace. While it runs it stays as it was
//! started, also when the stream is replaced.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use futures::future::select_all;
use parking_lot::Mutex;
use plugyard_symbol::{
    Connection, NodeId, SourceHandle, SourceInbox, SourceRequest, SourceSymbol, SymbolError, Tuple,
};
use tokio::sync::Notify;

/// All shared streams that are, or were, in use.
#[derive(Default)]
pub(super) struct SharedStreams(Mutex<HashMap<String, Weak<Hub>>>);

impl SharedStreams {
    /// The source of a stream as its rules see it.
    pub(super) fn source(
        &self,
        stream: &str,
        inner: Arc<dyn SourceSymbol>,
    ) -> Arc<dyn SourceSymbol> {
        let mut hubs = self.0.lock();
        hubs.retain(|_, hub| hub.strong_count() > 0);
        let hub = hubs.get(stream).and_then(Weak::upgrade).unwrap_or_else(|| {
            let hub = Arc::new(Hub::new(stream));
            hubs.insert(stream.to_owned(), Arc::downgrade(&hub));
            hub
        });
        Arc::new(SharedSource { hub, inner })
    }
}

struct SharedSource {
    hub: Arc<Hub>,
    inner: Arc<dyn SourceSymbol>,
}

/// The running source and those that read it.
struct Hub {
    node: NodeId,
    /// Held while the source is being started or stopped, which concerns its own rules only.
    running: tokio::sync::Mutex<Option<Box<dyn SourceHandle>>>,
    readers: Mutex<Readers>,
    /// Readers have come or gone.
    changed: Notify,
}

#[derive(Default)]
struct Readers {
    list: Vec<(u64, Arc<dyn SourceInbox>)>,
    number: u64,
    connection: Option<Connection>,
}

#[async_trait]
impl SourceSymbol for SharedSource {
    fn check(&self, _: &NodeId) -> Result<(), SymbolError> {
        self.inner.check(&self.hub.node)
    }

    async fn start(
        &self,
        request: SourceRequest,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError> {
        let mut running = self.hub.running.lock().await;
        // Before the source starts, so that the rule misses nothing; taken away again if it does not.
        let reader = Reader::join(&self.hub, inbox);
        if running.is_none() {
            let request = SourceRequest {
                node: self.hub.node.clone(),
                ..request
            };
            *running = Some(self.inner.start(request, self.hub.clone()).await?);
        } else {
            self.hub.tell_connection(reader.number);
        }
        Ok(Box::new(reader))
    }
}

impl Hub {
    fn new(stream: &str) -> Self {
        Self {
            node: NodeId {
                rule_id: format!("$$subtopo_{stream}"),
                op_id: format!("subtopo_{stream}"),
                instance_id: 0,
            },
            running: tokio::sync::Mutex::default(),
            readers: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn inboxes(&self) -> Vec<Arc<dyn SourceInbox>> {
        let readers = self.readers.lock();
        readers
            .list
            .iter()
            .map(|(_, inbox)| inbox.clone())
            .collect()
    }

    /// Whether that reader is the only one.
    fn is_last(&self, number: u64) -> bool {
        let readers = self.readers.lock();
        readers.list.iter().all(|(other, _)| *other == number)
    }

    fn remove(&self, number: u64) {
        self.readers
            .lock()
            .list
            .retain(|(other, _)| *other != number);
        self.changed.notify_waiters();
    }

    /// How the source stands, for one that has come later.
    fn tell_connection(&self, number: u64) {
        let readers = self.readers.lock();
        let reader = readers.list.iter().find(|(other, _)| *other == number);
        if let (Some((_, inbox)), Some(connection)) = (reader, &readers.connection) {
            inbox.connection(connection.clone());
        }
    }

    /// Ends the source when nobody reads it any more. `number` reads until it has ended.
    async fn leave(&self, number: u64) -> Result<(), SymbolError> {
        let mut running = self.running.lock().await;
        let mut result = Ok(());
        if self.is_last(number)
            && let Some(handle) = running.take()
        {
            result = handle.stop().await;
            self.readers.lock().connection = None;
        }
        self.remove(number);
        result
    }
}

#[async_trait]
impl SourceInbox for Hub {
    fn offer(&self, tuple: Tuple) {
        let mut inboxes = self.inboxes();
        let last = inboxes.pop();
        for inbox in inboxes {
            inbox.offer(tuple.clone());
        }
        if let Some(last) = last {
            last.offer(tuple);
        }
    }

    fn offer_all(&self, tuples: &mut Vec<Tuple>) {
        let mut inboxes = self.inboxes();
        let last = inboxes.pop();
        for inbox in inboxes {
            inbox.offer_all(&mut tuples.clone());
        }
        match last {
            Some(last) => last.offer_all(tuples),
            None => tuples.clear(),
        }
    }

    fn is_waiting(&self) -> bool {
        self.inboxes().iter().any(|inbox| inbox.is_waiting())
    }

    async fn waiting(&self) {
        loop {
            // Before looking, so that nobody who comes or goes in between is missed.
            let changed = self.changed.notified();
            let inboxes = self.inboxes();
            if inboxes.is_empty() {
                return;
            }
            tokio::select! {
                _ = select_all(inboxes.iter().map(|inbox| inbox.waiting())) => return,
                () = changed => {}
            }
        }
    }

    async fn push(&self, tuple: Tuple) {
        self.offer(tuple);
        self.waiting().await;
    }

    async fn push_all(&self, mut tuples: Vec<Tuple>) {
        self.offer_all(&mut tuples);
        self.waiting().await;
    }

    fn exception(&self, error: SymbolError) {
        for inbox in self.inboxes() {
            inbox.exception(error.clone());
        }
    }

    fn connection(&self, connection: Connection) {
        let mut readers = self.readers.lock();
        readers.connection = Some(connection.clone());
        for (_, inbox) in &readers.list {
            inbox.connection(connection.clone());
        }
    }
}

/// A rule's part of the source. Dropped without a stop, it leaves all the same.
struct Reader {
    hub: Option<Arc<Hub>>,
    number: u64,
}

impl Reader {
    fn join(hub: &Arc<Hub>, inbox: Arc<dyn SourceInbox>) -> Self {
        let mut readers = hub.readers.lock();
        readers.number += 1;
        let number = readers.number;
        readers.list.push((number, inbox));
        drop(readers);
        hub.changed.notify_waiters();
        Self {
            hub: Some(hub.clone()),
            number,
        }
    }
}

#[async_trait]
impl SourceHandle for Reader {
    async fn stop(mut self: Box<Self>) -> Result<(), SymbolError> {
        let number = self.number;
        let Some(hub) = self.hub.clone() else {
            return Ok(());
        };
        let result = hub.leave(number).await;
        // Only now: whoever gives up waiting for the source leaves its end to the drop.
        self.hub = None;
        result
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.take() {
            let number = self.number;
            if hub.is_last(number) {
                tokio::spawn(async move {
                    // It has nobody left to tell.
                    let _ = hub.leave(number).await;
                });
            } else {
                hub.remove(number);
            }
        }
    }
}
