//! Watching the rows of a rule.

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// What a watcher gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailEvent {
    /// A row the rule gives to its sinks, as a JSON object.
    Row(Bytes),
    /// The watcher was too slow: so many rows before the next one are not shown. The rule itself never waits.
    Dropped(u64),
}

/// The rows of a rule from now on, whichever run they come from; it ends when the rule is deleted.
#[derive(Debug)]
pub struct Tail(pub(super) broadcast::Receiver<Bytes>);

impl Tail {
    /// The next event; nothing when the rule is gone. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<TailEvent> {
        match self.0.recv().await {
            Ok(row) => Some(TailEvent::Row(row)),
            Err(RecvError::Lagged(count)) => Some(TailEvent::Dropped(count)),
            Err(RecvError::Closed) => None,
        }
    }
}
