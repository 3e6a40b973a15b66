//! Symbols that do not start: what is known of each, and when it is tried again.
//!
//! Both SDKs carry out commands one after the other, so a symbol that takes its time to start holds up every
//! other start and stop of its plugin; and a process that misses two commands in a row counts as hung and is
//! ended with everything in it (HOST-12). So that one symbol does not do this to the others over and
//! over, it is tried again after pauses that grow, and nobody but its own rule notices.

use std::time::Duration;

use indexmap::IndexMap;
use parking_lot::Mutex;
use plugyard_symbol::{ErrorClass, SymbolError};
use serde_json::Value as Json;
use tokio::time::Instant;

use super::InstanceKey;
use crate::logs::now;
use crate::manifest::word;
use crate::process::seconds;
use crate::settings::RestartSettings;

/// Longest pause before another attempt.
const LONGEST: Duration = Duration::from_hours(1);
/// What nobody has tried for so long after it might have is forgotten: its rule is no more.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Failing(Mutex<IndexMap<InstanceKey, Failure>>);

#[derive(Debug, Clone)]
struct Failure {
    /// Deadlines missed in a row; 0 for another reason.
    missed: u32,
    reason: String,
    /// In milliseconds since 1970.
    since: i64,
    /// When it may be tried again.
    until: Instant,
}

impl Failing {
    /// Whether it missed its deadline when it was last tried.
    pub(super) fn was_late(&self, key: &InstanceKey) -> bool {
        self.0.lock().get(key).is_some_and(|it| it.missed > 0)
    }

    /// How long it must not be tried yet.
    pub(super) fn pause(&self, key: &InstanceKey) -> Duration {
        let all = self.0.lock();
        all.get(key).map_or(Duration::ZERO, |failure| {
            failure.until.saturating_duration_since(Instant::now())
        })
    }

    /// Says no while it must not be tried yet.
    ///
    /// # Errors
    /// Why not, and when.
    pub(super) fn refuse(&self, key: &InstanceKey) -> Result<(), SymbolError> {
        let pause = self.pause(key);
        if pause.is_zero() {
            return Ok(());
        }
        let reason = self.0.lock().get(key).map(|it| it.reason.clone());
        Err(SymbolError::timeout(format!(
            "{}. So that it does not hold up the rest of the plugin, it is tried again in {}",
            reason.unwrap_or_default(),
            seconds(Duration::from_secs(pause.as_secs() + 1))
        )))
    }

    /// It was tried; `limit` is what its start may take.
    pub(super) fn note<T>(
        &self,
        key: &InstanceKey,
        outcome: &Result<T, SymbolError>,
        limit: Duration,
        restart: &RestartSettings,
    ) {
        let mut all = self.0.lock();
        let Err(error) = outcome else {
            all.shift_remove(key);
            return;
        };
        let before = all.get(key);
        let missed = match (before, error.class) {
            (Some(before), ErrorClass::Timeout) => before.missed.saturating_add(1),
            (None, ErrorClass::Timeout) => 1,
            (_, _) => 0,
        };
        let since = before.map_or_else(now, |it| it.since);
        let failure = Failure {
            missed,
            reason: error.text.clone(),
            since,
            until: Instant::now() + pause_after(missed, limit, restart),
        };
        all.insert(key.clone(), failure);
    }

    /// It is not wanted any more.
    pub(super) fn forget(&self, key: &InstanceKey) {
        self.0.lock().shift_remove(key);
    }

    /// Somebody changed something: all may be tried again at once.
    pub(super) fn begin_anew(&self) {
        self.0.lock().clear();
    }

    /// Forgets what nobody wants any more.
    pub(super) fn tend(&self) {
        self.0
            .lock()
            .retain(|_, failure| failure.until.elapsed() < FORGOTTEN);
    }

    /// For `show`.
    pub(super) fn shown(&self) -> Vec<Json> {
        let all = self.0.lock();
        all.iter()
            .map(|(key, failure)| {
                let pause = failure.until.saturating_duration_since(Instant::now());
                let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
                serde_json::json!({
                    "symbol": format!("{} {}", word(key.kind), key.symbol),
                    "rule": key.node.as_ref().map(|node| &node.rule_id),
                    "reason": failure.reason,
                    "failing_since_at": failure.since,
                    "next_attempt_at": (pause > 0).then(|| now().saturating_add(pause)),
                })
            })
            .collect()
    }
}

/// None after the first: whether a process hangs is known after two. Then twice what it held the others up for,
/// and twice as long each time.
fn pause_after(missed: u32, limit: Duration, restart: &RestartSettings) -> Duration {
    match missed {
        0 | 1 => Duration::ZERO,
        more => limit
            .saturating_mul(2_u32.saturating_pow(more.min(30) - 1))
            .max(restart.pause(more - 2))
            .min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use plugyard_symbol::SymbolKind;

    use super::*;

    fn key(symbol: &str) -> InstanceKey {
        InstanceKey {
            kind: SymbolKind::Source,
            symbol: symbol.to_owned(),
            node: None,
        }
    }

    fn late() -> Result<(), SymbolError> {
        Err(SymbolError::timeout("too slow"))
    }

    #[tokio::test(start_paused = true)]
    async fn host_12_pauses_of_a_slow_symbol_grow_and_concern_it_alone() {
        let (failing, restart) = (Failing::default(), RestartSettings::default());
        let (slow, good, limit) = (key("slow"), key("good"), Duration::from_secs(10));
        let mut pauses = Vec::new();
        for _ in 0..14 {
            assert!(failing.refuse(&slow).is_ok());
            failing.note(&slow, &late(), limit, &restart);
            pauses.push(failing.pause(&slow).as_secs());
            tokio::time::advance(failing.pause(&slow)).await;
        }
        assert_eq!(pauses[..5], [0, 20, 40, 80, 160]);
        assert_eq!(pauses[13], 3600, "it is never given up");
        failing.note(&slow, &late(), limit, &restart);
        let refused = failing.refuse(&slow).unwrap_err();
        assert_eq!(refused.class, ErrorClass::Timeout);
        assert!(refused.text.starts_with("too slow. "), "{refused}");
        assert!(failing.refuse(&good).is_ok());
        failing.note(&slow, &Ok(()), limit, &restart);
        assert!(failing.refuse(&slow).is_ok());
        assert!(failing.shown().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn other_reasons_are_shown_without_a_pause_and_forgotten_with_their_rule() {
        let (failing, restart) = (Failing::default(), RestartSettings::default());
        let refused = Err::<(), _>(SymbolError::refused("no such topic"));
        failing.note(&key("s"), &refused, Duration::from_secs(10), &restart);
        assert!(failing.refuse(&key("s")).is_ok());
        assert_eq!(failing.shown()[0]["reason"], "no such topic");
        failing.tend();
        assert_eq!(failing.shown().len(), 1);
        tokio::time::advance(FORGOTTEN).await;
        failing.tend();
        assert!(failing.shown().is_empty());
    }
}
