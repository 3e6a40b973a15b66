//! Commands to a process: each within its time, and what is made of those that get no answer (HOST-12).

use std::time::{Duration, Instant};

use plugyard_symbol::{SymbolError, SymbolKind};

use super::{Worker, describe, seconds};
use crate::command::{Order, read_reply};
use crate::control::Silence;
use crate::manifest::word;

/// Commands without an answer, one after the other, after which a process counts as hung.
const HUNG_AFTER: u32 = 2;

/// Commands that missed their deadline.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    /// One after the other, while the process answered nothing.
    in_a_row: u32,
    /// Results up to the last of them.
    results: u64,
    /// What the process has not answered since when, where that is known.
    busy: Option<(String, Instant)>,
}

impl Worker {
    /// Gives a command and waits for its `ok`.
    ///
    /// # Errors
    /// The plugin's own text, or that there was no answer.
    pub(crate) async fn command(&self, bytes: &[u8]) -> Result<(), SymbolError> {
        self.order(bytes, self.command_timeout, None).await
    }

    /// Has a symbol started, within the time that is set for it.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub(crate) async fn start_symbol(
        &self,
        kind: SymbolKind,
        symbol: &str,
        order: &Order,
    ) -> Result<(), SymbolError> {
        self.order(
            order.start(),
            self.start_timeout(symbol),
            Some((kind, symbol)),
        )
        .await
    }

    /// How long the command that starts a symbol may take (HOST-12).
    pub(crate) fn start_timeout(&self, symbol: &str) -> Duration {
        let options = &self.launch.options;
        let own = options.start_timeouts.get(symbol).copied();
        own.or(options.start_timeout)
            .map_or(self.command_timeout, |span| span.0)
    }

    async fn order(
        &self,
        bytes: &[u8],
        limit: Duration,
        starts: Option<(SymbolKind, &str)>,
    ) -> Result<(), SymbolError> {
        let name = &self.launch.manifest.name;
        // Its time does not begin while another's has not ended: the SDKs do one thing after the other.
        let _turn = self.turn.lock().await;
        let began = Instant::now();
        let answer = tokio::select! {
            answer = self.control.command(bytes, limit) => answer,
            exit = self.process.wait() => return Err(SymbolError::io(format!(
                "plugin {name} is not running successfully, please make sure it is valid: its process ended ({})",
                describe(&exit)
            ))),
        };
        match answer {
            Ok(reply) => {
                *self.unanswered.lock() = Unanswered::default();
                read_reply(&reply)
                    .map_err(|text| SymbolError::refused(format!("receive error: {text}")))
            }
            Err(Silence::Deadline) => Err(self.missed(limit, began, starts)),
            Err(Silence::Closed) => Err(SymbolError::io(format!(
                "the control channel of plugin {name} is closed"
            ))),
        }
    }

    /// A command had no answer in time. A process that misses two, and answers nothing meanwhile, hangs.
    fn missed(
        &self,
        limit: Duration,
        began: Instant,
        starts: Option<(SymbolKind, &str)>,
    ) -> SymbolError {
        let name = &self.launch.manifest.name;
        let wait = seconds(limit);
        let results = self.control.results();
        let mut unanswered = self.unanswered.lock();
        if unanswered.results != results {
            // A late answer, but an answer: it was busy, and does not hang.
            *unanswered = Unanswered {
                results,
                ..Unanswered::default()
            };
        }
        unanswered.in_a_row += 1;
        let called = starts.map(|(kind, symbol)| format!("{} {symbol}", word(kind)));
        let text = match (&unanswered.busy, starts) {
            (Some((busy, since)), _) if called.as_ref() != Some(busy) => format!(
                "time out, plugin {name} did not answer a command within {wait}: it has been starting {busy} for {}",
                seconds(Duration::from_secs(since.elapsed().as_secs()))
            ),
            (_, Some((kind, symbol))) => format!(
                "time out, plugin {name} did not answer a command within {wait}: {kind} {symbol} takes longer to start. \
                 If that is its way, give it more: plugyard set portable:{name} --option 'start_timeouts={{\"{symbol}\":\"1m\"}}'",
                kind = word(kind)
            ),
            _ => format!("time out, plugin {name} did not answer a command within {wait}"),
        };
        if unanswered.busy.is_none() {
            unanswered.busy = called.map(|called| (called, began));
        }
        let hangs = unanswered.in_a_row >= HUNG_AFTER;
        let busy = unanswered.busy.take_if(|_| hangs);
        drop(unanswered);
        if hangs {
            let with =
                busy.map_or_else(String::new, |(busy, _)| format!(" while it started {busy}"));
            self.recycle(&format!(
                "did not answer {HUNG_AFTER} commands in a row{with}"
            ));
        }
        SymbolError::timeout(text)
    }
}
