//! What waits for symbols of a plugin that is gone, when another plugin provides them.
//!
//! Rules stay up without a plugin that was uninstalled or disabled; their sources and sinks wait with it for its
//! return. Where another plugin comes with a symbol of the same name they are its own from then on, and back again
//! if that one goes, too. Functions need none of this: each call asks who has them (see `function.rs`).

use std::sync::Arc;

use super::{Instance, Plugin};
use crate::attach::{Begun as _, Owner};
use crate::registry::Registry;

impl Plugin {
    /// Takes over what waits with other plugins for symbols that are this one's now, and starts it.
    pub(crate) async fn adopt(self: &Arc<Self>, registry: &Registry, others: &[Arc<Self>]) {
        let mut coming = Vec::new();
        for other in others.iter().filter(|other| !Arc::ptr_eq(other, self)) {
            // Without its lock first: it may be busy for long with what concerns nobody else.
            if !other.leaving(self, registry).is_empty() {
                coming.extend(other.hand_over(self, registry).await);
            }
        }
        if coming.is_empty() {
            return;
        }
        let lifecycle = self.lifecycle.lock().await;
        for instance in coming {
            if instance.owner().is_none_or(Owner::has_ended) {
                continue;
            }
            let key = instance.key();
            if self.instances.lock().contains_key(&key) {
                continue;
            }
            self.instances.lock().insert(key, instance.clone());
            // Where nothing of it runs by now, what it starts next brings everything up that is in use.
            if lifecycle.current.first().is_some()
                && let Err(error) = self.attach(&instance, &lifecycle.current).await
            {
                instance.report(self, error.text);
            }
        }
    }

    async fn hand_over(&self, to: &Arc<Self>, registry: &Registry) -> Vec<Instance> {
        let _lifecycle = self.lifecycle.lock().await;
        let leaving = self.leaving(to, registry);
        let mut instances = self.instances.lock();
        for instance in &leaving {
            instances.shift_remove(&instance.key());
            if let Some(owner) = instance.owner() {
                owner.set(to);
            }
        }
        leaving
    }

    /// Sources and sinks here whose symbols are that plugin's now.
    fn leaving(&self, to: &Arc<Self>, registry: &Registry) -> Vec<Instance> {
        let instances = self.instances.lock();
        let all = instances.values().filter(|instance| {
            instance.owner().is_some()
                && registry
                    .find(instance.kind(), instance.symbol())
                    .is_some_and(|owner| Arc::ptr_eq(&owner, to))
        });
        all.cloned().collect()
    }
}

impl Instance {
    /// Who serves it, where that may change.
    fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Source(it) => Some(it.owner()),
            Self::Sink(it) => Some(it.owner()),
            Self::Function(_) => None,
        }
    }
}
