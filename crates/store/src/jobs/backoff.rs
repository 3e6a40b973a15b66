//! How long a job waits between two runs.

use std::time::Duration;

/// Doubles with each failed run up to `longest`, and lies by `chance` (0 to 1) between half and all of
/// that, so that jobs that failed together do not come back together.
pub(super) fn wait(first: Duration, longest: Duration, failed: u32, chance: f64) -> Duration {
    let doubled = 2_u32
        .checked_pow(failed.saturating_sub(1))
        .and_then(|factor| first.checked_mul(factor))
        .map_or(longest, |wait| wait.min(longest));
    let chance = if chance.is_nan() { 0.5 } else { chance };
    doubled.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest() {
        let at =
            |failed| wait(Duration::from_secs(2), Duration::from_mins(1), failed, 1.0).as_secs();
        assert_eq!(
            [1, 2, 3, 5, 6, 7, u32::MAX].map(at),
            [2, 4, 8, 32, 60, 60, 60]
        );
    }

    proptest! {
        #[test]
        fn it_lies_between_half_and_all(failed in any::<u32>(), chance in any::<f64>()) {
            let (first, longest) = (Duration::from_secs(2), Duration::from_hours(1));
            let full = wait(first, longest, failed, 1.0);
            let wait = wait(first, longest, failed, chance);
            prop_assert!(wait <= full && wait >= full / 2, "{wait:?}");
            prop_assert!(full >= first && full <= longest);
        }
    }
}
