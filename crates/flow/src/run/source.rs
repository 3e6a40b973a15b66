//! The task of a source: starts it, keeps trying, stops it.

use std::sync::Arc;

use plugyard_symbol::{Connection, ErrorClass, NodeId, SourceHandle, SourceRequest};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::metrics::Node;
use super::{BACKOFF, SYMBOL_STOP, Shared, pause};
use crate::plan::Plan;

pub(super) struct SourceTask {
    pub(super) plan: Arc<Plan>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) node: Arc<Node>,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: CancellationToken,
}

pub(super) async fn run(task: SourceTask) {
    let Some(handle) = task.start().await else {
        return;
    };
    task.node.started();
    task.shared.symbol_started();
    task.stop.cancelled().await;
    match timeout(SYMBOL_STOP, handle.stop()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => task.node.failed(error.text),
        Err(_) => task.node.failed(format!(
            "the source did not stop within {} s",
            SYMBOL_STOP.as_secs()
        )),
    }
}

impl SourceTask {
    async fn start(&self) -> Option<Box<dyn SourceHandle>> {
        let mut delay = BACKOFF.0;
        loop {
            self.node.trying();
            let error = tokio::select! {
                result = self.plan.source.start(self.request(), self.inbox.clone()) => match result {
                    Ok(handle) => return Some(handle),
                    Err(error) => error,
                },
                // A start that is under way may still end well, and is then stopped like any other.
                () = cut_off(&self.stop) => return None,
            };
            self.node.failed(error.text.clone());
            self.node
                .link_changed(Connection::Disconnected(error.text.clone()));
            if error.class == ErrorClass::Refused {
                self.shared.fail(error.text);
                return None;
            }
            if !pause(&mut delay, &self.stop).await {
                return None;
            }
        }
    }

    fn request(&self) -> SourceRequest {
        let options = &self.plan.stream.options;
        SourceRequest {
            node: NodeId {
                rule_id: self.plan.rule.id.clone(),
                op_id: self.plan.source_name.clone(),
                instance_id: 0,
            },
            datasource: options.datasource.clone(),
            conf_key: (!options.conf_key.is_empty()).then(|| options.conf_key.clone()),
            config: self.plan.stream.source_config(),
        }
    }
}

/// Some time after the stop.
pub(super) async fn cut_off(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(SYMBOL_STOP).await;
}
