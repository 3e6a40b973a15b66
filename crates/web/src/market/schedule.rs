//! When markets are asked by themselves: every so many hours at a random minute, so that not all sites ask at
//! once. The next time is stored, so that a restart neither asks again at once nor forgets it.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;

use super::settings;
use crate::host::{Web, now};
use crate::site;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// How long a server that was down over the time waits at most, in minutes.
const LATE: u32 = 10;

/// Asks again and again. Never returns.
pub(super) async fn follow(web: &Web) {
    loop {
        let next = match next(web).await {
            Ok(next) => next,
            Err(problem) => {
                tracing::error!(
                    code = problem.code.as_str(),
                    "The time of the next check is not known"
                );
                now() + HOUR
            }
        };
        let wait = u64::try_from(next - now()).unwrap_or(0);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => {}
            () = web.host.0.markets.changed.notified() => {
                // What was changed is asked at once; the schedule goes on from there.
            }
        }
        match web.host.market_check().await {
            Ok(report) if report.complete => tracing::info!("Markets were asked for new versions"),
            Ok(_) => tracing::warn!("Not all markets could be asked for new versions"),
            Err(problem) => {
                tracing::warn!(
                    code = problem.code.as_str(),
                    "Markets could not be asked for new versions"
                );
            }
        }
        if let Err(problem) = set_next(web).await {
            tracing::error!(
                code = problem.code.as_str(),
                "The time of the next check is not stored"
            );
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
    }
}

async fn next(web: &Web) -> Result<i64, plugyard_model::Problem> {
    let site = web.host.site().await?;
    let hours = settings::interval(&site);
    let stored = site
        .0
        .get(settings::NEXT_CHECK)
        .and_then(serde_json::Value::as_i64);
    Ok(decide(now(), stored, hours, random))
}

async fn set_next(web: &Web) -> Result<(), plugyard_model::Problem> {
    let site = web.host.site().await?;
    let now = now();
    let next = after(now, settings::interval(&site), random);
    let connection = web.host.database()?.conn();
    site::put(connection, settings::NEXT_CHECK, json!(next), None, now).await?;
    Ok(())
}

/// When to ask, given when it was decided to.
fn decide(now: i64, stored: Option<i64>, hours: u64, random: impl Fn(u32) -> u32) -> i64 {
    let latest = now.saturating_add(span(hours) + HOUR);
    match stored {
        // A clock that was wrong, or an interval that became shorter.
        Some(next) if next > latest => after(now, hours, random),
        Some(next) if next > now => next,
        // It passed while nobody was there, or there is none yet.
        _ => now + i64::from(random(LATE)) * MINUTE + MINUTE,
    }
}

/// The hour after so many hours, at a random minute.
fn after(now: i64, hours: u64, random: impl Fn(u32) -> u32) -> i64 {
    let then = now.saturating_add(span(hours));
    then - then.rem_euclid(HOUR) + i64::from(random(60)) * MINUTE
}

fn span(hours: u64) -> i64 {
    i64::try_from(hours).unwrap_or(8).saturating_mul(HOUR)
}

/// Below `bound`.
fn random(bound: u32) -> u32 {
    let mut bytes = [0; 4];
    // Without random bytes all ask at minute 0.
    let _ = SystemRandom::new().fill(&mut bytes);
    u32::from_le_bytes(bytes) % bound.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_014_400_000 - 1_800_014_400_000 % HOUR;

    #[test]
    fn the_next_time_is_hours_later_at_a_random_minute() {
        for minute in [0, 17, 59] {
            let next = after(NOON + 25 * MINUTE, 8, |_| minute);
            assert_eq!(next, NOON + 8 * HOUR + i64::from(minute) * MINUTE);
        }
        let drawn: std::collections::BTreeSet<u32> = (0..500).map(|_| random(60)).collect();
        assert!(drawn.len() > 30 && drawn.iter().all(|it| *it < 60));
    }

    #[test]
    fn a_restart_keeps_the_time() {
        let stored = Some(NOON + 3 * HOUR);
        assert_eq!(decide(NOON, stored, 8, |_| 0), NOON + 3 * HOUR);
    }

    #[test]
    fn a_time_that_passed_is_made_up_for_soon() {
        for stored in [None, Some(NOON - HOUR)] {
            let next = decide(NOON, stored, 8, |bound| bound - 1);
            assert!(next > NOON && next <= NOON + 11 * MINUTE);
        }
    }

    #[test]
    fn a_time_that_is_too_far_away_is_drawn_again() {
        let next = decide(NOON, Some(NOON + 700 * HOUR), 8, |_| 5);
        assert_eq!(next, NOON + 8 * HOUR + 5 * MINUTE);
    }
}
