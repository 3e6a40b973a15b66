//! Points at which a test ends the process, as a power cut would.
//!
//! With the feature `failpoints` (tests only), `PLUGYARD_KILL_AT=n` makes the process send itself
//! SIGKILL when it passes its `n`-th point, counted from 1. Without the feature a point is nothing.

#[cfg(feature = "failpoints")]
mod on {
    use std::os::unix::process::ExitStatusExt as _;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use serde::Serialize;

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

    /// Runs a test of this very program in a child that is killed at its `at`-th point; says whether it was, or
    /// ended well because it has fewer points.
    ///
    /// `test` is the child's name among the tests, `variable` the one by which it finds its `task`. The child is
    /// waited for aside, so that whatever this process still writes is not held up.
    ///
    /// # Panics
    /// When the child cannot be started, or ends in any other way.
    pub async fn killed(
        test: &'static str,
        variable: &str,
        task: &impl Serialize,
        at: usize,
    ) -> bool {
        let program = std::env::current_exe().expect("this program has a path");
        #[expect(
            clippy::disallowed_methods,
            reason = "the child is the test itself, not a plugin"
        )]
        let mut command = std::process::Command::new(program);
        command
            .args([test, "--exact", "--quiet", "--nocapture"])
            .env(
                variable,
                serde_json::to_string(task).expect("a task is plain data"),
            )
            .env("PLUGYARD_KILL_AT", at.to_string())
            .stdout(std::process::Stdio::null());
        let status = tokio::task::spawn_blocking(move || command.status()).await;
        let status = status
            .expect("waiting does not fail")
            .expect("the child starts");
        match status.signal() {
            Some(9) => true,
            None if status.success() => false,
            _ => panic!("the child ended with {status} at point {at}"),
        }
    }
}

#[cfg(feature = "failpoints")]
pub use on::{killed, pass, passed};

/// Passes a point: nothing without the feature.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn pass() {}
