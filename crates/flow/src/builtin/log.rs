//! Sink `log`: writes rows to the server's log, at level info.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use plugyard_symbol::{SinkHandle, SinkObserver, SinkRequest, SinkSymbol, SymbolError};

use super::not_packed;

pub(super) struct LogSink;

#[async_trait]
impl SinkSymbol for LogSink {
    fn check(&self, request: &SinkRequest) -> Result<(), SymbolError> {
        not_packed("log", request)
    }

    async fn start(
        &self,
        request: SinkRequest,
        _: Arc<dyn SinkObserver>,
    ) -> Result<Box<dyn SinkHandle>, SymbolError> {
        Ok(Box::new(Running {
            rule: request.node.rule_id,
        }))
    }
}

struct Running {
    rule: String,
}

#[async_trait]
impl SinkHandle for Running {
    async fn send(&mut self, message: Bytes) -> Result<(), SymbolError> {
        let rows = String::from_utf8_lossy(&message);
        tracing::info!(flow.rule = self.rule, %rows, "Rule `{}` gives {rows}", self.rule);
        Ok(())
    }

    async fn stop(self: Box<Self>) -> Result<(), SymbolError> {
        Ok(())
    }
}
