//! `config …` and `secrets …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Rehearsal, Sure};

/// `config`
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show the values, or one of them; secrets are eight asterisks
    Get {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// The field
        key: Option<String>,
    },
    /// Set values, all of them or none
    Set {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// Fields with their values; `KEY=-` reads the value from standard input, for secrets
        #[arg(required = true, value_name = "KEY=VALUE", value_parser = pair)]
        values: Vec<(String, String)>,
        #[command(flatten)]
        seen: Seen,
    },
    /// Clear fields
    Unset {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// The fields
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        seen: Seen,
    },
    /// Change the values in `$VISUAL` or `$EDITOR`
    Edit {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        #[command(flatten)]
        rehearsal: Rehearsal,
    },
    /// Say what another version's definition would do to the values; nothing is changed
    ///
    /// A line for each field: `+` is new, `-` goes with its value, `~` changes, `=` stays as somebody set it,
    /// `!` breaks a rule from then on or cannot stay, `?` is still to be filled in.
    Plan {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// A package: a zip, a directory, an `https://` address, or the SHA-256 of one that was sent before
        package: String,
        /// End with 1 for this
        #[arg(long, value_enum, value_name = "WHAT")]
        fail_on: Option<FailOn>,
    },
    /// Say what differs between two revisions
    Diff {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// The earlier revision [default: the one before the last write]
        from: Option<u64>,
        /// The later one [default: the one in force]
        to: Option<u64>,
    },
    /// Say who changed what, latest first
    History {
        /// The plugin, as `kind:key` or its key
        plugin: String,
    },
    /// Bring the values of a revision back, secrets too
    Restore {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// The revision
        revision: u64,
        #[command(flatten)]
        seen: Seen,
    },
    /// Print the values as a document, without secrets or with secrets sealed
    Export {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// Seal the secrets for this server: what `plugyard secrets recipient` prints there
        #[arg(long, value_name = "RECIPIENT")]
        recipient: Option<String>,
    },
    /// Take the values of an export in, all of them or none
    Import {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// The export; `-` reads it from standard input
        file: PathBuf,
        #[command(flatten)]
        seen: Seen,
    },
    /// Give fields their initial values back
    Reset {
        /// The plugin, as `kind:key` or its key
        plugin: String,
        /// The fields [default: all of them]
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        sure: Sure,
        #[command(flatten)]
        seen: Seen,
    },
}

/// The state that a write was made for, and whether it is to be done.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Seen {
    /// Only if the configuration is still at this revision
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_revision: Option<u64>,
    #[command(flatten)]
    pub(crate) rehearsal: Rehearsal,
}

/// What a plan is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Values that break a rule from then on, or cannot stay
    Invalid,
}

/// `secrets`
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Put a new master key in force, whether the server runs or not
    Rotate,
    /// Print for whom others seal secrets that this server is to read
    Recipient,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| "expected `KEY=VALUE`".to_owned())?;
    Ok((key.to_owned(), value.to_owned()))
}
