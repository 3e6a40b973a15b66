//! The `web.webhooks` section of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::settings::span;

/// The section `web.webhooks` of the configuration. An unknown key is an error.
///
/// It holds for all addresses of the application that this server posts to: webhooks, command words and the
/// check of identities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSettings {
    /// Whether they may be at addresses of this machine and its networks. Default false.
    pub allow_private: bool,
    /// How long a delivery may take. Default 15 s.
    #[serde(with = "span")]
    pub timeout: Duration,
    /// How long an endpoint has to say whether it refuses a change. Default 5 s.
    #[serde(with = "span")]
    pub deadline: Duration,
    /// How often a delivery is tried before it is a dead letter, 1 to 100. Default 12.
    pub max_attempts: u32,
    /// The pause after the first attempt that failed; each further one doubles it. Default 5 s.
    #[serde(with = "span")]
    pub first_wait: Duration,
    /// The longest pause. Default 6 h.
    #[serde(with = "span")]
    pub longest_wait: Duration,
    /// How long what was delivered stays in the list. Default 7 days.
    #[serde(with = "span")]
    pub keep: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            allow_private: false,
            timeout: Duration::from_secs(15),
            deadline: Duration::from_secs(5),
            max_attempts: 12,
            first_wait: Duration::from_secs(5),
            longest_wait: Duration::from_hours(6),
            keep: Duration::from_hours(7 * 24),
        }
    }
}
