//! Telling whether what was read still holds.

use std::sync::atomic::Ordering;

use crate::Platform;

/// A moment in the life of a platform: what was read after it was taken, and no earlier, reads the same for
/// as long as [`Platform::moment`] is equal to it.
///
/// It knows what this process wrote and how plugins are. What somebody else does to the database is not in
/// it, so that who keeps an answer should not keep it for long. What kinds, operations under way and
/// everything else tell live is not in it at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    writes: u64,
    health: u64,
}

impl Platform {
    /// The moment that is now. To be taken before reading.
    pub fn moment(&self) -> Moment {
        Moment {
            writes: self.database().writes(),
            health: self.0.health_changes.load(Ordering::Acquire),
        }
    }
}
