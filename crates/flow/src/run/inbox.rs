//! Where a source puts its tuples.

use std::sync::Arc;

use async_trait::async_trait;
use plugyard_symbol::{Connection, SourceInbox, SymbolError, Tuple};

use super::metrics::Node;
use super::queue::{Queue, Weigh};

/// What a source has brought.
pub(super) enum Arrival {
    /// A message.
    Tuple(Tuple),
    /// An error that it reported between messages, counted already, in a rule that tells its sinks (HOST-22).
    Error(String),
}

impl Weigh for Arrival {
    fn bytes(&self) -> usize {
        match self {
            Self::Tuple(tuple) => tuple.bytes(),
            Self::Error(text) => text.len(),
        }
    }
}

/// The bounded queue behind a source (HOST-24), and the node that counts for it.
pub(super) struct Inbox {
    queue: Arc<Queue<Arrival>>,
    node: Arc<Node>,
    /// The rule's `sendError`.
    tells_errors: bool,
}

impl Inbox {
    pub(super) fn new(queue: Arc<Queue<Arrival>>, node: Arc<Node>, tells_errors: bool) -> Self {
        Self {
            queue,
            node,
            tells_errors,
        }
    }

    fn count(&self, messages: u64) {
        self.node.came_in(messages);
        self.node.went_out(messages);
        self.node.worked(messages, std::time::Duration::ZERO);
    }
}

#[async_trait]
impl SourceInbox for Inbox {
    fn offer(&self, tuple: Tuple) {
        self.count(1);
        self.node.dropped(self.queue.offer(Arrival::Tuple(tuple)));
    }

    fn offer_all(&self, tuples: &mut Vec<Tuple>) {
        self.count(tuples.len() as u64);
        let arrivals = tuples.drain(..).map(Arrival::Tuple);
        self.node.dropped(self.queue.offer_all(arrivals));
    }

    fn is_waiting(&self) -> bool {
        self.queue.reader_waits()
    }

    async fn waiting(&self) {
        self.queue.reader_waiting().await;
    }

    async fn push(&self, tuple: Tuple) {
        self.count(1);
        if !self.queue.push(Arrival::Tuple(tuple)).await {
            self.node.failed("rule stopped, 1 message dropped");
        }
    }

    async fn push_all(&self, tuples: Vec<Tuple>) {
        self.count(tuples.len() as u64);
        let arrivals = tuples.into_iter().map(Arrival::Tuple);
        let lost = self.queue.push_all(arrivals).await as u64;
        self.node
            .failed_times(lost, format!("rule stopped, {lost} messages dropped"));
    }

    fn exception(&self, error: SymbolError) {
        if self.tells_errors {
            self.node.failed(error.text.clone());
            // In turn with the messages, and bounded with them.
            self.node
                .dropped(self.queue.offer(Arrival::Error(error.text)));
        } else {
            self.node.failed(error.text);
        }
    }

    fn connection(&self, connection: Connection) {
        self.node.link_changed(connection);
    }
}
