//! Source and sink `memory`: topics within the program, which join one rule to another.
//!
//! Both take `topic` (the source's stream may give it as DATASOURCE). A sink waits while a source that
//! reads its topic has no room, so nothing is lost between them; without a reader rows go nowhere.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use plugyard_symbol::{
    Body, Connection, SinkHandle, SinkObserver, SinkRequest, SinkSymbol, SourceHandle, SourceInbox,
    SourceRequest, SourceSymbol, SymbolError, Tuple,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{only_json, properties};
use crate::clock::Clock;

/// Messages between a sink and a source.
const CAPACITY: usize = 1024;

/// The topics of one program. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Topics(Arc<Mutex<HashMap<String, Vec<mpsc::Sender<Bytes>>>>>);

/// What is put on a topic from now on.
#[derive(Debug)]
pub struct Subscription(mpsc::Receiver<Bytes>);

impl Topics {
    /// Begins to read a topic. Whoever does not keep up holds up those that write.
    pub fn subscribe(&self, topic: &str) -> Subscription {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        self.0
            .lock()
            .entry(topic.to_owned())
            .or_default()
            .push(sender);
        Subscription(receiver)
    }

    /// Puts a message on a topic, waiting for room at its readers.
    pub async fn publish(&self, topic: &str, message: Bytes) {
        let readers = self.0.lock().get(topic).cloned().unwrap_or_default();
        let mut gone = false;
        for reader in readers {
            gone |= reader.send(message.clone()).await.is_err();
        }
        if gone {
            let mut topics = self.0.lock();
            if let Some(readers) = topics.get_mut(topic) {
                readers.retain(|reader| !reader.is_closed());
                if readers.is_empty() {
                    topics.remove(topic);
                }
            }
        }
    }
}

impl Subscription {
    /// The next message.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

#[derive(Deserialize)]
struct Properties {
    #[serde(default)]
    topic: String,
    #[serde(default)]
    datasource: String,
}

fn topic(what: &str, given: Properties) -> Result<String, SymbolError> {
    let topic = if given.topic.is_empty() {
        given.datasource
    } else {
        given.topic
    };
    if topic.is_empty() {
        return Err(SymbolError::refused(format!("{what}: `topic` is missing")));
    }
    Ok(topic)
}

pub(super) struct MemorySink {
    pub(super) topics: Topics,
}

#[async_trait]
impl SinkSymbol for MemorySink {
    fn check(&self, request: &SinkRequest) -> Result<(), SymbolError> {
        only_json("memory", request)
    }

    async fn start(
        &self,
        request: SinkRequest,
        _: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError> {
        let given = properties("sink memory", &request.properties)?;
        Ok(Box::new(RunningSink {
            topics: self.topics.clone(),
            topic: topic("sink memory", given)?,
        }))
    }
}

struct RunningSink {
    topics: Topics,
    topic: String,
}

#[async_trait]
impl SinkHandle for RunningSink {
    async fn send(&mut self, message: Bytes) -> Result<(), SymbolError> {
        self.topics.publish(&self.topic, message).await;
        Ok(())
    }

    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        Ok(())
    }
}

pub(super) struct MemorySource {
    pub(super) topics: Topics,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl SourceSymbol for MemorySource {
    fn can_wait(&self) -> bool {
        true
    }

    async fn start(
        &self,
        request: SourceRequest,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError> {
        let given = properties("source memory", &request.config)?;
        let topic = topic("source memory", given)?;
        let mut messages = self.topics.subscribe(&topic);
        let clock = self.clock.clone();
        inbox.connection(Connection::Connected);
        let (stop, mut stopping) = mpsc::channel::<()>(1);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    message = messages.next() => match message {
                        Some(message) => deliver(&message, inbox.as_ref(), clock.now_ms()).await,
                        None => return,
                    },
                    // What is there already is read to its end first.
                    _ = stopping.recv() => return,
                }
            }
        });
        Ok(Box::new(RunningSource { stop, task }))
    }
}

/// Gives the objects of a message, which is one or a list of them, to the inbox.
async fn deliver(message: &Bytes, inbox: &dyn SourceInbox, now: i64) {
    match objects(message) {
        Ok(bodies) => {
            for body in bodies {
                inbox
                    .push(Tuple {
                        body,
                        meta: None,
                        received_at: now,
                    })
                    .await;
            }
        }
        Err(error) => inbox.exception(SymbolError::refused(format!(
            "source memory: a message is neither an object nor a list of objects: {error}"
        ))),
    }
}

/// The objects of a message, which is one or a list of them.
pub(super) fn objects(message: &Bytes) -> Result<Vec<Body>, serde_json::Error> {
    if message.first() != Some(&b'[') {
        return Ok(vec![Body::from_json_object(message.clone())?]);
    }
    let parts: Vec<&RawValue> = serde_json::from_slice(message)?;
    parts
        .into_iter()
        .map(|part| Body::from_json_object(message.slice_ref(part.get().as_bytes())))
        .collect()
}

struct RunningSource {
    stop: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

#[async_trait]
impl SourceHandle for RunningSource {
    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        drop(self.stop);
        self.task
            .await
            .map_err(|error| SymbolError::io(format!("source memory: {error}")))
    }
}
