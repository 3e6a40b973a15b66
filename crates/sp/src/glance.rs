//! Looking for an answer before the task waits for it.
//!
//! Where a peer on another core answers within microseconds, putting a thread to sleep and waking it up
//! takes longer than the answer. So the socket itself is looked at for a moment first, where that has paid
//! off lately: the more often it was in vain, the rarer it becomes.
//!
//! Where there is one core only, nothing comes while somebody looks. There the thread sleeps in the socket
//! itself, for a tick of the kernel's clock at most, and the core goes straight to the peer and back: without
//! the runtime's pass over its tasks and timers, and without asking the kernel twice, whether something has come
//! and what. Other tasks wait meanwhile, so that this too is done only where it has paid off lately, and not
//! often in a row.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long it is looked for: about what the two wake-ups of an exchange cost.
const LONGEST: Duration = Duration::from_micros(50);
/// What a look in vain counts against one that was not, because it costs more than that saves.
const IN_VAIN: u32 = 2;
/// Exchanges between two looks at most, as a power of two.
const RAREST: u32 = 9;
/// A sleep in the socket that took longer was in vain, whatever it brought: others have waited for so long.
const SHORT: Duration = Duration::from_micros(250);
/// How long is slept altogether until other tasks have their turn.
const LONG_ENOUGH: Duration = Duration::from_millis(1);

/// Threads of this process that are looking. They keep a core from the peers, who need it to answer.
static LOOKING: AtomicUsize = AtomicUsize::new(0);
/// How many may: none where there is a single core, because nothing comes while somebody looks.
static MOST: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(0, |cores| cores.get() / 2));

/// How looking paid off on one connection.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    /// Rises with each look in vain, falls with the others.
    doubt: u32,
    /// Exchanges until the next look.
    skip: u32,
    /// How long was slept since others had their turn.
    slept: Duration,
}

impl Glance {
    /// Whether it is worth a look now. To be asked once for each exchange.
    pub(crate) fn is_due(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        true
    }

    /// Whether this process has one core, so that it is to [doze](Self::doze) rather than to look.
    pub(crate) fn has_one_core() -> bool {
        *MOST == 0
    }

    /// Asks `wait` once, which sleeps until something is there, but not for long.
    pub(crate) fn doze<T>(&mut self, wait: impl FnOnce() -> Option<T>) -> Option<T> {
        let began = Instant::now();
        let found = wait();
        self.dozed(found.is_some(), began.elapsed());
        found
    }

    fn dozed(&mut self, found: bool, took: Duration) {
        if !found || took > SHORT {
            return self.in_vain();
        }
        self.paid_off();
        self.slept += took;
        if self.slept >= LONG_ENOUGH {
            self.slept = Duration::ZERO;
            self.skip = 1;
        }
    }

    /// Asks `there` again and again for a moment, until it says something.
    pub(crate) fn look<T>(&mut self, mut there: impl FnMut() -> Option<T>) -> Option<T> {
        let _looking = Looking::begin()?;
        let began = Instant::now();
        loop {
            if let Some(found) = there() {
                self.paid_off();
                return Some(found);
            }
            if began.elapsed() >= LONGEST {
                self.in_vain();
                return None;
            }
            std::hint::spin_loop();
        }
    }

    fn paid_off(&mut self) {
        self.doubt = self.doubt.saturating_sub(1);
    }

    fn in_vain(&mut self) {
        self.doubt = (self.doubt + IN_VAIN).min(RAREST);
        if self.doubt > IN_VAIN {
            self.skip = 1 << self.doubt;
        }
    }
}

/// One of those who look.
struct Looking;

impl Looking {
    fn begin() -> Option<Self> {
        let looking = Self;
        (LOOKING.fetch_add(1, Ordering::Relaxed) < *MOST).then_some(looking)
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        LOOKING.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_vain_becomes_rare_and_what_pays_off_goes_on() {
        let looks = |slow: bool| {
            let mut glance = Glance::default();
            (0..2000)
                .filter(|_| {
                    let due = glance.is_due();
                    if due {
                        // As `look` does after its time, without taking it.
                        if slow {
                            glance.in_vain();
                        } else {
                            glance.paid_off();
                        }
                    }
                    due
                })
                .count()
        };
        assert!(looks(true) < 20, "{}", looks(true));
        assert_eq!(looks(false), 2000);
    }

    #[test]
    fn host_31_others_have_their_turn_between_sleeps_and_slow_answers_are_slept_for_rarely() {
        let sleeps = |took: Duration| {
            let mut glance = Glance::default();
            (0..1700)
                .filter(|_| {
                    let due = glance.is_due();
                    if due {
                        glance.dozed(true, took);
                    }
                    due
                })
                .count()
        };
        assert_eq!(sleeps(SHORT), 1360, "four of five: a millisecond");
        assert_eq!(sleeps(SHORT / 25), 1684, "a hundred of a hundred and one");
        let slow = sleeps(SHORT + Duration::from_micros(1));
        assert!(slow < 20, "{slow}");
    }
}
