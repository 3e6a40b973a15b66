//! Where a source puts its tuples.

use std::sync::Arc;

use async_trait::async_trait;
use plugyard_symbol::{Connection, SourceInbox, SymbolError, Tuple};

use super::metrics::Node;
use super::queue::Queue;

/// The bounded queue behind a source (HOST-24), and the node that counts for it.
pub(super) struct Inbox {
    queue: Arc<Queue<Tuple>>,
    node: Arc<Node>,
}

impl Inbox {
    pub(super) fn new(queue: Arc<Queue<Tuple>>, node: Arc<Node>) -> Self {
        Self { queue, node }
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
        self.node.dropped(self.queue.offer(tuple));
    }

    fn offer_all(&self, tuples: &mut Vec<Tuple>) {
        self.count(tuples.len() as u64);
        self.node.dropped(self.queue.offer_all(tuples));
    }

    fn is_waiting(&self) -> bool {
        self.queue.reader_waits()
    }

    async fn waiting(&self) {
        self.queue.reader_waiting().await;
    }

    async fn push(&self, tuple: Tuple) {
        self.count(1);
        if !self.queue.push(tuple).await {
            self.node.failed("rule stopped, 1 message dropped");
        }
    }

    async fn push_all(&self, tuples: Vec<Tuple>) {
        self.count(tuples.len() as u64);
        let lost = self.queue.push_all(tuples).await as u64;
        self.node
            .failed_times(lost, format!("rule stopped, {lost} messages dropped"));
    }

    fn exception(&self, error: SymbolError) {
        self.node.failed(error.text);
    }

    fn connection(&self, connection: Connection) {
        self.node.link_changed(connection);
    }
}
