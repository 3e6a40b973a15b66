//! Rules that start and end by themselves: after an error, and by their schedule.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::slot::{Slot, Wants};
use super::{FlowService, Inner};

/// How often rules that an error has stopped are looked at, in milliseconds: as in eKuiper.
const LOOK: i64 = 10_000;
/// How often schedules are looked at.
const TICK: Duration = Duration::from_secs(1);

impl FlowService {
    /// Looks at all rules once: starts what its schedule or its restart strategy wants started, and ends what
    /// its schedule wants ended. Rules stopped by an error are looked at every ten seconds by the service's
    /// clock. From [`FlowService::recover`] on this happens by itself every second; it is here for whoever
    /// holds the clock.
    pub async fn patrol(&self) {
        let now = self.now();
        let look = {
            let mut looked = self.0.looked_at.lock();
            let due = now - *looked >= LOOK;
            if due {
                *looked = now;
            }
            due
        };
        let slots: Vec<_> = {
            let registry = self.0.registry.lock();
            if registry.closed {
                return;
            }
            registry.rules.values().cloned().collect()
        };
        let wishes = slots.iter().filter_map(|slot| match slot.wants(now, look) {
            Wants::Nothing => None,
            wish => Some(self.fulfil(slot, wish)),
        });
        join_all(wishes).await;
    }

    async fn fulfil(&self, slot: &Arc<Slot>, wish: Wants) {
        match wish {
            Wants::Nothing => {}
            Wants::Start => {
                if let Err(error) = self.launch(slot).await {
                    tracing::warn!(flow.rule = slot.id, %error, "Rule `{}` cannot be started", slot.id);
                }
                slot.launched();
            }
            Wants::Pause => {
                let _changing = slot.changing.lock().await;
                // Whoever has changed the rule meanwhile knows better.
                if slot.wants(self.now(), false) == Wants::Pause {
                    slot.pause().await;
                }
            }
            Wants::End => {
                let _changing = slot.changing.lock().await;
                if slot.wants(self.now(), false) != Wants::End {
                    return;
                }
                let stored = self.0.store.rule_trigger(&slot.id, false, self.now()).await;
                if let Err(error) = stored {
                    tracing::warn!(flow.rule = slot.id, %error, "Rule `{}` stays triggered", slot.id);
                }
                slot.set_wanted(false);
                slot.stop().await;
            }
        }
    }

    /// Looks again and again, until nobody uses the service any more.
    pub(super) fn keep_patrolling(&self) {
        let inner: std::sync::Weak<Inner> = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TICK).await;
                let Some(inner) = inner.upgrade() else { return };
                let service = FlowService(inner);
                // Beside the next look: a plugin that takes its time holds up its own rules only.
                tokio::spawn(async move { service.patrol().await });
            }
        });
    }
}
