//! Source `simulator`: gives the rows of a list.
//!
//! `data`: a list of objects. `interval`: time between two rows (default 1 s; 0: as fast as they are taken).
//! `loop`: begin again at the end (default true). They come from the stream's EXTRA. Rows are pushed, so a
//! slow rule slows the source and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use plugyard_symbol::{
    Body, Connection, SourceHandle, SourceInbox, SourceRequest, SourceSymbol, SymbolError, Tuple,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

pub(super) struct Simulator {
    pub(super) clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Properties {
    data: Vec<Box<RawValue>>,
    #[serde(default)]
    interval: Option<Interval>,
    #[serde(default = "yes", rename = "loop")]
    again: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Interval {
    Millis(u64),
    Text(String),
}

fn yes() -> bool {
    true
}

#[async_trait]
impl SourceSymbol for Simulator {
    fn can_wait(&self) -> bool {
        true
    }

    async fn start(
        &self,
        request: SourceRequest,
        inbox: Arc<dyn SourceInbox>,
    ) -> Result<Box<dyn SourceHandle>, SymbolError> {
        let refused = |text: String| SymbolError::refused(format!("source simulator: {text}"));
        // Through text, because raw values cannot be taken out of a tree.
        let text =
            serde_json::to_string(&request.config).map_err(|error| refused(error.to_string()))?;
        let given: Properties = serde_json::from_str(&text)
            .map_err(|error| refused(format!("{error}; EXTRA must say {{\"data\":[{{…}}]}}")))?;
        let interval = match given.interval {
            None => Duration::from_secs(1),
            Some(Interval::Millis(millis)) => Duration::from_millis(millis),
            Some(Interval::Text(text)) => {
                plugyard_model::parse_duration(&text).map_err(|error| refused(error.to_string()))?
            }
        };
        let rows = given
            .data
            .iter()
            .map(|row| Body::from_json_object(row.get().as_bytes().to_vec().into()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refused(format!("`data` must be a list of objects: {error}")))?;
        if rows.is_empty() {
            return Err(refused("`data` is empty".to_owned()));
        }
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let clock = self.clock.clone();
        inbox.connection(Connection::Connected);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = give(rows, interval, given.again, inbox, clock) => {}
                () = stopping.cancelled() => {}
            }
        });
        Ok(Box::new(Running { stop, task }))
    }
}

async fn give(
    rows: Vec<Body>,
    interval: Duration,
    again: bool,
    inbox: Arc<dyn SourceInbox>,
    clock: Arc<dyn Clock>,
) {
    loop {
        for body in &rows {
            inbox
                .push(Tuple {
                    body: body.clone(),
                    meta: None,
                    received_at: clock.now_ms(),
                })
                .await;
            if interval.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(interval).await;
            }
        }
        if !again {
            return;
        }
    }
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

#[async_trait]
impl SourceHandle for Running {
    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        self.stop.cancel();
        self.task
            .await
            .map_err(|error| SymbolError::io(format!("source simulator: {error}")))
    }
}
