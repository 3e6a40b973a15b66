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

    fn count(&self) {
        self.node.came_in(1);
        self.node.went_out(1);
        self.node.worked(1, std::time::Duration::ZERO);
    }
}

#[async_trait]
impl SourceInbox for Inbox {
    fn offer(&self, tuple: Tuple) {
        self.count();
        if let Some(number) = self.queue.offer(tuple) {
            self.node.dropped(1, number);
        }
    }

    async fn push(&self, tuple: Tuple) {
        self.count();
        if !self.queue.push(tuple).await {
            self.node.failed("rule stopped, 1 message dropped");
        }
    }

    fn exception(&self, error: SymbolError) {
        self.node.failed(error.text);
    }

    fn connection(&self, connection: Connection) {
        self.node.link_changed(connection);
    }
}
