//! Versions between being handed in and being installed.
//!
//! Whoever hands a package in asks for the change to it next, in a request of its own. Until then no row refers to
//! the version, and other changes of the plugin that end meanwhile must not take it away.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use plugyard_model::{PluginName, VersionId};

/// How long a version waits for its change.
const PATIENCE: Duration = Duration::from_mins(10);
/// How many versions of a plugin wait at most; the one handed in first gives way.
const MOST: usize = 16;

/// Who waits, the earliest first.
type Waiting = VecDeque<(VersionId, Instant)>;

/// The versions that wait. After a restart none does: those handed in last are among the latest.
#[derive(Default)]
pub(crate) struct HandedIn(Mutex<HashMap<PluginName, Waiting>>);

impl HandedIn {
    /// Lets a version wait, anew when it does already.
    pub(crate) fn add(&self, plugin: &PluginName, version: VersionId) {
        let mut all = self.0.lock();
        all.retain(|_, waiting| {
            waiting.retain(|(_, since)| since.elapsed() < PATIENCE);
            !waiting.is_empty()
        });
        let waiting = all.entry(plugin.clone()).or_default();
        waiting.retain(|(id, _)| *id != version);
        if waiting.len() == MOST {
            waiting.pop_front();
        }
        waiting.push_back((version, Instant::now()));
    }

    /// A change has claimed it.
    pub(crate) fn remove(&self, plugin: &PluginName, version: VersionId) {
        if let Some(waiting) = self.0.lock().get_mut(plugin) {
            waiting.retain(|(id, _)| *id != version);
        }
    }

    /// Those of a plugin.
    pub(crate) fn of(&self, plugin: &PluginName) -> Vec<VersionId> {
        let all = self.0.lock();
        let waiting = all.get(plugin).into_iter().flatten();
        let waiting = waiting.filter(|(_, since)| since.elapsed() < PATIENCE);
        waiting.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_ends_with_its_change() {
        let plugin: PluginName = "portable:a".parse().unwrap();
        let other: PluginName = "portable:b".parse().unwrap();
        let handed_in = HandedIn::default();
        let ids: Vec<_> = (0..=MOST)
            .map(|_| VersionId(uuid::Uuid::now_v7()))
            .collect();
        for id in &ids {
            handed_in.add(&plugin, *id);
        }
        // Again is no second place.
        handed_in.add(&plugin, ids[MOST]);
        assert_eq!(handed_in.of(&plugin), ids[1..]);
        assert_eq!(handed_in.of(&other), []);
        handed_in.remove(&plugin, ids[5]);
        handed_in.remove(&other, ids[6]);
        let left: Vec<_> = ids[1..]
            .iter()
            .copied()
            .filter(|id| *id != ids[5])
            .collect();
        assert_eq!(handed_in.of(&plugin), left);
    }
}
