//! The health gate: the application says at the plugin's `healthPath` whether it works.
//!
//! It is asked where the plugin's pages are, at its own host or the site's address. That address is guarded:
//! unless the configuration allows it, nothing inside the server's own network is asked.

use std::time::Duration;

use plugyard_platform::intake::{leads_inside, outbound};
use tokio::time::Instant;

use crate::settings::WebSettings;

/// Pause between two questions.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// Where to ask: the base address and the path, with one slash between them.
pub(crate) fn address(base: &str, path: &str) -> String {
    crate::url::join(base, path)
}

/// Asks up to the configured number of times; gives the last reason when none of the answers was good.
pub(crate) async fn tried(settings: &WebSettings, address: &str) -> Result<(), String> {
    let tries = settings.health_tries.clamp(1, 10);
    let mut reason = String::new();
    for nth in 1..=tries {
        if nth > 1 {
            tokio::time::sleep(PAUSE.min(settings.health_timeout)).await;
        }
        match asked(settings, address).await {
            Ok(()) => return Ok(()),
            Err(said) => reason = said,
        }
    }
    Err(reason)
}

/// Watches for the configured time; it must still answer at its end.
pub(crate) async fn observed(
    settings: &WebSettings,
    address: &str,
    log: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), String> {
    let end = Instant::now() + settings.observation;
    loop {
        tried(settings, address).await.inspect_err(|reason| {
            log(&format!("{address}: {reason}"));
        })?;
        let now = Instant::now();
        if now >= end {
            return Ok(());
        }
        tokio::time::sleep_until(end.min(now + PAUSE)).await;
    }
}

/// Asks once: whether the answer is 2xx and comes in time.
pub(crate) async fn asked(settings: &WebSettings, address: &str) -> Result<(), String> {
    let (client, url) = outbound(address, settings.allow_private_hosts)
        .map_err(|problem| format!("{problem}{}", hint(settings)))?;
    let answer = client
        .get(url)
        .timeout(settings.health_timeout)
        .send()
        .await;
    let status = answer
        .map_err(|error| {
            if leads_inside(&error) {
                format!(
                    "the address lies inside the server's own network{}",
                    hint(settings)
                )
            } else if error.is_timeout() {
                format!("no answer within {:?}", settings.health_timeout)
            } else {
                innermost(&error)
            }
        })?
        .status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("the answer is {status}"))
    }
}

const fn hint(settings: &WebSettings) -> &'static str {
    if settings.allow_private_hosts {
        ""
    } else {
        " (`web.allow_private_hosts` allows it)"
    }
}

/// The cause that a user can do something about.
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
