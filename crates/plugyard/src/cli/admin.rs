//! The nouns of whoever runs a server: operations, tokens, accounts, audit, contexts, backups.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::{address, duration, moment};
use super::{Rehearsal, Sure};

/// `operation …`
#[derive(Debug, Subcommand)]
pub(crate) enum Operation {
    /// List the latest operations
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this plugin
        #[arg(long)]
        plugin: Option<String>,
    },
    /// Show an operation with its steps
    Show(OperationArg),
    /// Follow an operation to its end
    Watch {
        /// Its id
        id: String,
        /// Stop waiting after this time, e.g. `30s`; the operation goes on
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        timeout: Option<Duration>,
    },
    /// Cancel an operation that has not taken effect yet
    Cancel(OperationArg),
}

/// One operation.
#[derive(Debug, Args)]
pub(crate) struct OperationArg {
    /// Its id
    pub(crate) id: String,
}

/// `token …`
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// List tokens, without what they open
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this account
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Those of plugins' running processes instead
        #[arg(long, conflicts_with = "user")]
        plugins: bool,
    },
    /// Make a token; it is shown once
    Create {
        /// What it is for
        name: String,
        /// The account it speaks for [default: one's own]
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// What its bearer is (may be repeated)
        #[arg(long = "role", value_name = "ROLE", default_value = "viewer", value_parser = ROLES)]
        roles: Vec<String>,
        /// How long it is valid, e.g. `720h` [default: until revoked]
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires: Option<Duration>,
    },
    /// Revoke a token at once
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// `rescan`
#[derive(Debug, Args)]
pub(crate) struct Rescan {
    /// Print what was found and do not wait for the operations
    #[arg(long, conflicts_with_all = ["timeout", "dry_run"])]
    pub(crate) no_wait: bool,
    /// Stop waiting for an operation after this time, e.g. `30s`; it goes on
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) rehearsal: Rehearsal,
}

/// `backup`
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write [default: `plugyard-backup-` with the time, here]
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Also the keys, with which every secret in the backup can be read
    #[arg(long)]
    pub(crate) keys: bool,
}

/// `restore`
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) rehearsal: Rehearsal,
}

/// What an account can be; a plugin's role is nobody's to give.
const ROLES: [&str; 4] = ["owner", "operator", "author", "viewer"];

/// `user …`
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// List accounts
    #[command(visible_alias = "ls")]
    List,
    /// Show an account with its tokens
    Show {
        /// Its name
        name: String,
    },
    /// Make an account; `token create --user` gives it a way in
    Create {
        /// Its name: lower-case letters, digits and any of `._-@`
        name: String,
        /// What it is (may be repeated)
        #[arg(long = "role", value_name = "ROLE", default_value = "viewer", value_parser = ROLES)]
        roles: Vec<String>,
    },
    /// Change what an account is, with effect on its tokens at once
    Role {
        /// Its name
        name: String,
        /// What it is from now on
        #[arg(required = true, value_name = "ROLE", value_parser = ROLES)]
        roles: Vec<String>,
    },
    /// Let accounts sign in again
    Enable {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Let the tokens of accounts be worth nothing until they are enabled again
    Disable {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Delete an account and its tokens
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// `audit`
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only what concerns this plugin, `kind:key` or its key
    #[arg(long)]
    pub(crate) plugin: Option<String>,
    /// Only what this account did; `local` is the server's own user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Only since then: how long ago (`36h`, `7d`) or a time (`2026-11-21`, `2026-11-21T09:00:00Z`)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub(crate) since: Option<jiff::Timestamp>,
    /// Only before then
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub(crate) until: Option<jiff::Timestamp>,
    /// How many of the latest rows
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 100)]
    pub(crate) limit: usize,
}

/// `node …`
#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// List servers
    #[command(visible_alias = "ls")]
    List,
}

/// `login`
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Its address, e.g. `https://plugyard.example.org`
    #[arg(value_name = "URL", value_parser = address)]
    pub(crate) url: String,
    /// How the context is called [default: the host and port of the address]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// `context …`
#[derive(Debug, Subcommand)]
pub(crate) enum Context {
    /// List contexts
    #[command(visible_alias = "ls")]
    List,
    /// Show a context, without its token
    Show {
        /// Its name [default: the one in use]
        name: Option<String>,
    },
    /// Let commands talk to the server of a context from now on
    Use {
        /// Its name
        name: String,
    },
    /// Delete a context with its token
    Delete {
        /// Its name
        name: String,
    },
}
