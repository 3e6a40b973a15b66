//! What the three kinds of things in use have in common.

use std::sync::Arc;
use std::time::Duration;

use plugyard_symbol::{Connection, SymbolError, SymbolKind};

use super::{Instance, InstanceKey, Plugin, function_key};
use crate::manifest::word;
use crate::process::Worker;
use crate::relapses::Relapses;
use crate::tally::Tally;

impl Instance {
    pub(super) fn key(&self) -> InstanceKey {
        match self {
            Self::Source(it) => it.key(),
            Self::Sink(it) => it.key(),
            Self::Function(it) => function_key(&it.symbol),
        }
    }

    pub(crate) fn kind(&self) -> SymbolKind {
        match self {
            Self::Source(_) => SymbolKind::Source,
            Self::Sink(_) => SymbolKind::Sink,
            Self::Function(_) => SymbolKind::Function,
        }
    }

    pub(crate) fn symbol(&self) -> &str {
        match self {
            Self::Source(it) => &it.symbol,
            Self::Sink(it) => &it.symbol,
            Self::Function(it) => &it.symbol,
        }
    }

    /// What went through it.
    pub(super) fn tally(&self) -> &Tally {
        match self {
            Self::Source(it) => &it.tally,
            Self::Sink(it) => &it.tally,
            Self::Function(it) => &it.tally,
        }
    }

    /// How often it ended by itself.
    pub(super) fn relapses(&self) -> Option<&Relapses> {
        match self {
            Self::Source(it) => Some(&it.relapses),
            Self::Sink(it) => Some(&it.relapses),
            Self::Function(_) => None,
        }
    }

    /// `source x`.
    pub(super) fn called(&self) -> String {
        format!("{} {}", word(self.kind()), self.symbol())
    }

    pub(super) async fn is_in(&self, worker: &Arc<Worker>) -> bool {
        match self {
            Self::Source(it) => it.is_in(worker),
            Self::Sink(it) => it.is_in(worker).await,
            Self::Function(it) => it.pool().is_some(),
        }
    }

    /// Its process has ended: nothing is left to be stopped.
    pub(super) async fn let_go(&self) {
        match self {
            Self::Source(it) => drop(it.set(None)),
            Self::Sink(it) => drop(it.set(None).await),
            Self::Function(it) => drop(it.switch(None)),
        }
    }

    /// Stops what is left of it in a process that lives, as far as that goes.
    pub(super) async fn cut_off(&self, limit: Duration) {
        let outcome = match self {
            Self::Source(it) => match it.set(None) {
                Some(attachment) => attachment.forget(limit).await,
                None => Ok(()),
            },
            Self::Sink(it) => match it.set(None).await {
                Some(attachment) => attachment.detach(Duration::ZERO, limit).await,
                None => Ok(()),
            },
            Self::Function(_) => Ok(()),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "What is left of a symbol could not be stopped");
        }
    }

    /// Nothing serves it until somebody does something about it. Sources and sinks simply wait.
    pub(super) fn withdraw(&self, reason: &str) {
        if let Self::Function(it) = self {
            it.withdraw(reason);
        }
    }

    /// Tells the rule.
    pub(super) fn report(&self, plugin: &Plugin, text: String) {
        plugin.logs.host(text.clone());
        let connection = Connection::Disconnected(text.clone());
        match self {
            Self::Source(it) => {
                it.inbox.connection(connection);
                it.inbox.exception(SymbolError::io(text));
            }
            Self::Sink(it) => {
                it.observer.connection(connection);
                it.observer.exception(SymbolError::io(text));
            }
            Self::Function(_) => {}
        }
    }
}
