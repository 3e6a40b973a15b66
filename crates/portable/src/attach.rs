//! What sources and sinks have in common: how an instance is begun, given up and stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
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

    /// Who serves it.
    fn owner(&self) -> &Owner;

    /// Starts it in the plugin's first process.
    async fn start(self: &Arc<Self>, plugin: &Arc<Plugin>) -> Result<(), SymbolError>;

    /// Stops it, unless another plugin serves it by now: then there is no result.
    async fn stop(self: &Arc<Self>, plugin: &Arc<Plugin>) -> Option<Result<(), SymbolError>>;

    /// Stops it wherever it runs; `first` is the plugin it began with.
    async fn stop_anywhere(self: &Arc<Self>, first: &Arc<Plugin>) -> Result<(), SymbolError> {
        self.owner().ended.store(true, Ordering::Release);
        loop {
            let plugin = self.owner().get().unwrap_or_else(|| Arc::clone(first));
            if let Some(stopped) = self.stop(&plugin).await {
                return stopped;
            }
        }
    }
}

/// The plugin that serves an instance: another one once the one it began with is gone and another provides the
/// symbol.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    plugin: Mutex<Weak<Plugin>>,
    /// The rule has no use for the instance any more.
    ended: AtomicBool,
}

impl Owner {
    pub(crate) fn get(&self) -> Option<Arc<Plugin>> {
        self.plugin.lock().upgrade()
    }

    /// To be called under the lock of the plugin that loses it, if there is one.
    pub(crate) fn set(&self, plugin: &Arc<Plugin>) {
        *self.plugin.lock() = Arc::downgrade(plugin);
    }

    /// Whether another plugin serves it than that one.
    pub(crate) fn is_other(&self, plugin: &Arc<Plugin>) -> bool {
        self.get().is_some_and(|owner| !Arc::ptr_eq(&owner, plugin))
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// An instance that was started. Dropped without having been stopped, it is stopped in the background.
pub(crate) struct Running<I: Begun> {
    /// The one it began with.
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
        let stopped = self.instance.stop_anywhere(&self.plugin).await;
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
            runtime.spawn(async move { instance.stop_anywhere(&plugin).await });
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
