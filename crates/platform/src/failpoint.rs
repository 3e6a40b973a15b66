//! Points at which a test ends the process, as a power cut would.
//!
//! With the feature `failpoints` (tests only), `PLUGYARD_KILL_AT=n` makes the process send itself
//! SIGKILL when it passes its `n`-th point, counted from 1. Without the feature a point is nothing.

#[cfg(feature = "failpoints")]
mod on {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static KILL_AT: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("PLUGYARD_KILL_AT").ok()?.parse().ok());
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// How many points this process has passed.
    pub fn passed() -> u64 {
        PASSED.load(Ordering::SeqCst)
    }

    /// Passes a point.
    pub fn pass() {
        let count = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        if *KILL_AT == Some(count) {
            let me = rustix::process::getpid();
            // The signal ends the process before the loop turns twice.
            loop {
                let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
                std::thread::park();
            }
        }
    }
}

#[cfg(feature = "failpoints")]
pub use on::{pass, passed};

/// Passes a point: nothing without the feature.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn pass() {}
