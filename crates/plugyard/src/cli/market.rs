//! `market …`, and what `web …` brings from markets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use plugyard_store::ObjectsUrl;

use super::Sure;

/// `market`
#[derive(Debug, Subcommand)]
pub(crate) enum Market {
    /// List the markets that plugins come from, with the highest versions seen
    #[command(visible_alias = "ls")]
    List,
    /// Add a market that plugins come from
    Add(AddMarket),
    /// Forget a market; plugins that came from there stay
    Remove {
        /// The market
        name: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Ask all markets for newer versions now
    Check,

    /// Make a market of a new directory or a bucket: keys, and a catalogue without plugins
    Init(InitMarket),
    /// Put a package into a market's catalogue
    Publish(Publish),
    /// Take a version back: it is offered to nobody any more
    Yank {
        #[command(flatten)]
        place: Place,
        /// The plugin
        fskey: String,
        /// The version
        version: String,
        /// Offer it again
        #[arg(long)]
        undo: bool,
    },
    /// Exchange the keys of a role; clients follow by themselves
    Rotate {
        #[command(flatten)]
        place: Place,
        /// What the keys sign
        #[arg(value_enum)]
        role: KeyRole,
    },
    /// Make an upgrade code for a plugin, shown this once
    Code {
        #[command(flatten)]
        place: Place,
        /// The plugin
        fskey: String,
        /// Take the code on standard input back instead
        #[arg(long)]
        revoke: bool,
    },
    /// Keep an upgrade code, read from standard input, for a plugin of a market that plugins come from
    Entitle {
        /// The market
        name: String,
        /// The plugin; it need not be here
        fskey: String,
        /// Forget the code instead
        #[arg(long)]
        forget: bool,
    },
    /// Serve a market
    Serve(ServeMarket),
}

/// Where a market is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Where the market is: a directory, or `s3://BUCKET/PREFIX`
    #[arg(long = "in", value_name = "DIR|S3", default_value = "market")]
    pub(crate) place: ObjectsUrl,
    /// Directory with private keys (may be repeated); those of a market in a bucket are in the first [default: `keys` in the market's directory; `market-keys` for a bucket]
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Vec<PathBuf>,
}

/// `market add`
#[derive(Debug, Args)]
pub(crate) struct AddMarket {
    /// The market's address
    pub(crate) url: String,
    /// Whom to believe: a key of the market's root, or a file with the root itself; all keys must have signed it (may be repeated)
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) trust: Vec<String>,
    /// How the market is called here [default: its host]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What the market speaks: `plugyard` (signed catalogues), or `v2` or `v3` of Fresns (not signed)
    #[arg(long, value_name = "PROTOCOL", default_value = "plugyard", value_parser = ["plugyard", "v2", "v3"])]
    pub(crate) protocol: String,
    /// The market, and where it leads, may lie in the server's own network
    #[arg(long)]
    pub(crate) allow_private: bool,
    /// An HTTP proxy on the way there
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Do not tell the market whose site asks; for `v2` and `v3`
    #[arg(long)]
    pub(crate) no_site_headers: bool,
}

/// `market init`
#[derive(Debug, Args)]
pub(crate) struct InitMarket {
    #[command(flatten)]
    pub(crate) place: Place,
    /// How many keys the root has
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) root_keys: usize,
    /// How many of them it takes to sign a root
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threshold: u64,
    /// How long a timestamp is good: the longest that anybody can hold news back unnoticed
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub(crate) timestamp_life: Duration,
}

/// `market publish`
#[derive(Debug, Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    pub(crate) place: Place,
    /// A zip file or a directory
    pub(crate) package: PathBuf,
    /// Where its changes are told
    #[arg(long, value_name = "URL")]
    pub(crate) changelog: Option<String>,
    /// Only who has an upgrade code may load it
    #[arg(long)]
    pub(crate) entitled: bool,
}

/// `market serve`
#[derive(Debug, Args)]
pub(crate) struct ServeMarket {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where to answer
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    pub(crate) listen: SocketAddr,
    /// The address under which clients reach it, e.g. behind a proxy [default: where it answers]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// What keys sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyRole {
    /// Which keys sign what
    Root,
    /// Packages
    Targets,
    /// The versions of all documents
    Snapshot,
    /// Which catalogue is the newest
    Timestamp,
}

/// `web upgrade`
#[derive(Debug, Args)]
pub(crate) struct WebUpgrade {
    /// The plugin
    #[arg(required_unless_present = "all")]
    pub(crate) plugin: Option<String>,
    /// All plugins that have a newer version, each for itself
    #[arg(long, conflicts_with_all = ["plugin", "market"])]
    pub(crate) all: bool,
    /// The market [default: the one the plugin came from]
    #[arg(long, value_name = "NAME")]
    pub(crate) market: Option<String>,
}

/// `web install`
#[derive(Debug, Args)]
pub(crate) struct WebInstall {
    /// The plugin's fskey at a market, a zip file or a directory, or an http(s) address
    pub(crate) source: String,
    /// What the source is [default: as it looks]
    #[arg(long, value_enum, alias = "install_type", alias = "install-type")]
    pub(crate) from: Option<WebSource>,
    /// Run the seeds too, of a file, a directory or an address; those from a market run always
    #[arg(long)]
    pub(crate) seed: bool,
    /// The market [default: the first that has the plugin]
    #[arg(long, value_name = "NAME")]
    pub(crate) market: Option<String>,
    /// It is deployed on its own: nothing is installed, the archive's address is shown (only markets of `v2` have to be told)
    #[arg(long)]
    pub(crate) standalone: bool,
}

/// Where a plugin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WebSource {
    /// A market, by its fskey
    Market,
    /// A file or a directory
    Local,
    /// An address, of a host that the server trusts
    Url,
}

fn duration(text: &str) -> Result<Duration, String> {
    plugyard_model::parse_duration(text).map_err(|error| error.to_string())
}
