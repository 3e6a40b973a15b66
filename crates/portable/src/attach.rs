//! What sources and sinks have in common: how an instance is begun, given up and stopped.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use plugyard_sp::PullConnection;
use plugyard_symbol::{SymbolError, SymbolKind};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::command::Order;
use crate::lobby::ListenError;
use crate::manifest::word;
use crate::place::Arrivals;
use crate::plugin::Plugin;
use crate::process::{Worker, is_ours};

/// Between two stop commands that the plugin answered without ending the symbol (HOST-40).
const STOP_AGAIN: Duration = Duration::from_millis(100);

/// A source or sink of a rule.
#[async_trait]
pub(crate) trait Begun: Send + Sync + Sized + 'static {
    const KIND: SymbolKind;

    /// Starts it in the plugin's first process.
    async fn start(self: &Arc<Self>, plugin: &Arc<Plugin>) -> Result<(), SymbolError>;

    /// Stops it wherever it runs.
    async fn stop(self: &Arc<Self>, plugin: &Arc<Plugin>) -> Result<(), SymbolError>;
}

/// An instance that was started. Dropped without having been stopped, it is stopped in the background.
pub(crate) struct Running<I: Begun> {
    plugin: Arc<Plugin>,
    pub(crate) instance: Arc<I>,
    stopped: bool,
}

impl<I: Begun> Running<I> {
    /// Starts an instance. Begun, it is finished: if nobody takes the handle any more, that stops the
    /// instance again.
    pub(crate) async fn start(plugin: &Arc<Plugin>, instance: I) -> Result<Self, SymbolError> {
        let (plugin, instance) = (Arc::clone(plugin), Arc::new(instance));
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let started = instance.start(&plugin).await;
            let _ = tell.send(started.map(|()| Self {
                plugin,
                instance,
                stopped: false,
            }));
        });
        told.await.unwrap_or_else(|_| {
            Err(SymbolError::io(format!(
                "the {} was not started: the server is ending",
                word(I::KIND)
            )))
        })
    }

    /// Stops it.
    pub(crate) async fn stop(mut self) -> Result<(), SymbolError> {
        let stopped = self.instance.stop(&self.plugin).await;
        self.stopped = true;
        stopped
    }
}

impl<I: Begun> Drop for Running<I> {
    fn drop(&mut self) {
        if !self.stopped
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (plugin, instance) = (Arc::clone(&self.plugin), Arc::clone(&self.instance));
            runtime.spawn(async move { instance.stop(&plugin).await });
        }
    }
}

/// The next connection of the process that is listened for.
pub(crate) async fn accept(listener: &mut Arrivals) -> PullConnection {
    loop {
        let Ok(connection) = listener.accept().await else {
            continue;
        };
        if is_ours(&connection)
            && let Ok(pull) = connection.into_pull()
        {
            return pull;
        }
    }
}

/// Gives `stop` until the pipe that `reader` reads has ended, for a plugin may answer `ok` and go on
/// (HOST-40).
///
/// # Errors
/// When it did not end within `limit`.
pub(crate) async fn stop_until_ended(
    kind: SymbolKind,
    worker: &Worker,
    order: &Order,
    reader: &mut JoinHandle<()>,
    limit: Duration,
) -> Result<(), SymbolError> {
    let deadline = Instant::now() + limit;
    let mut pause = STOP_AGAIN;
    loop {
        if reader.is_finished() {
            return Ok(());
        }
        tokio::select! {
            // An answer says less than the pipe: what counts is whether it ends.
            _ = &mut *reader => return Ok(()),
            answer = worker.command(order.stop()) => if let Err(error) = answer {
                tracing::debug!(%error, kind = word(kind), "A symbol was not stopped at once");
            },
        }
        if timeout(pause, &mut *reader).await.is_ok() || worker.process.try_wait().is_some() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(SymbolError::timeout(format!(
                "the {} answered `stop`, but went on",
                word(kind)
            )));
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

pub(crate) fn cannot_listen(symbol: &str, error: &ListenError) -> SymbolError {
    match error {
        ListenError::Twice => SymbolError::refused(format!(
            "{symbol} cannot run here: another instance has a socket of the same name, which rule, \
             stream and instance make up together"
        )),
        ListenError::Taken { .. } => {
            SymbolError::refused(format!("{symbol} cannot run here: {error}"))
        }
        ListenError::Io(error) => SymbolError::io(format!("{symbol} cannot listen: {error}")),
    }
}
