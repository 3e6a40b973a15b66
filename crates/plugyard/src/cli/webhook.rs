//! `webhook …`.

use clap::{Subcommand, ValueEnum};

use super::Sure;

/// `webhook`
#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    /// List webhooks
    #[command(visible_alias = "ls")]
    List,
    /// Register a webhook; its secret is shown once
    Add {
        /// How people call it
        name: String,
        /// Where events are posted
        url: String,
        /// An event, `plugin:*` for those that begin so (may be repeated) [default: all]
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// What a change becomes when the webhook cannot be reached
        #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
        on_unreachable: OnUnreachable,
    },
    /// Change a webhook
    Set {
        /// Its name or id
        webhook: String,
        /// Where events are posted
        #[arg(long)]
        url: Option<String>,
        /// An event, `plugin:*` for those that begin so (may be repeated)
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// What a change becomes when the webhook cannot be reached
        #[arg(long, value_name = "WHAT", value_enum)]
        on_unreachable: Option<OnUnreachable>,
        /// Tell it again; what waited is delivered
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Tell it nothing for now
        #[arg(long)]
        disable: bool,
    },
    /// Remove a webhook with all its deliveries
    Remove {
        /// Its name or id
        webhook: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Send an event that means nothing, at once
    Test {
        /// Its name or id
        webhook: String,
    },
    /// List what was delivered and what was not, the latest first
    Deliveries {
        /// Only those to this webhook
        webhook: Option<String>,
        /// Only those in this state
        #[arg(long, value_name = "STATE", value_enum)]
        state: Option<State>,
        /// Only those of this plugin
        #[arg(long, value_name = "FSKEY")]
        plugin: Option<String>,
    },
    /// Deliver a dead letter again
    Retry {
        /// The delivery
        id: String,
    },
}

/// What a change becomes when nobody can be asked about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnUnreachable {
    /// It goes on
    #[default]
    Allow,
    /// It is refused
    Veto,
}

impl OnUnreachable {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Veto => "veto",
        }
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// For its turn, or its next attempt
    Waiting,
    /// Taken by the webhook
    Delivered,
    /// Given up; see `webhook retry`
    Dead,
    /// Asked about a change, and had nothing against it
    Passed,
    /// Asked about a change, and refused it
    Vetoed,
    /// Could not be asked about a change
    Unreachable,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Passed => "passed",
            Self::Vetoed => "vetoed",
            Self::Unreachable => "unreachable",
        }
    }
}
