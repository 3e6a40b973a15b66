//! `stream …` and `rule …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Sure;
use super::values::{pair, sink};

/// `stream …`
#[derive(Debug, Subcommand)]
pub(crate) enum Stream {
    /// List streams
    #[command(visible_alias = "ls")]
    List,
    /// Show a stream
    Show {
        /// Its name
        name: String,
    },
    /// Make a stream
    Create {
        /// The statement, e.g. `CREATE STREAM s () WITH (TYPE="counters", FORMAT="json")`
        sql: String,
    },
    /// Delete a stream
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// `rule …`
#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// List rules
    #[command(visible_alias = "ls")]
    List,
    /// Show a rule as it was given
    Show(RuleArg),
    /// Make a rule and start it
    Create(RuleCreate),
    /// Delete rules
    Delete {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        #[command(flatten)]
        sure: Sure,
    },
    /// Start a rule
    Start(RuleArg),
    /// Stop a rule
    Stop(RuleArg),
    /// Show how a rule is: state and counters of each node
    Status(RuleArg),
    /// Show what a rule does: its nodes, the plugins behind them, and what is in force
    Explain(RuleExplain),
    /// Print the rows that a rule gives to its sinks, as they pass
    Tail {
        /// Its id
        id: String,
        /// End after this many rows
        #[arg(short, long, value_name = "ROWS")]
        count: Option<u64>,
    },
}

/// One rule.
#[derive(Debug, Args)]
pub(crate) struct RuleArg {
    /// Its id
    pub(crate) id: String,
}

/// `rule create`
#[derive(Debug, Args)]
pub(crate) struct RuleCreate {
    /// Its id
    pub(crate) id: String,
    /// The statement, e.g. `SELECT n FROM s WHERE n > 3`
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    pub(crate) sql: Option<String>,
    /// Where rows go: a sink, or `name={"property": …}` (may be repeated)
    #[arg(long = "sink", value_name = "SINK", value_parser = sink, required_unless_present = "file", conflicts_with = "file")]
    pub(crate) sinks: Vec<(String, serde_json::Value)>,
    /// An option of the rule, e.g. `bufferLength=64` (may be repeated)
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) options: Vec<(String, serde_json::Value)>,
    /// Take the whole rule from a JSON file (`-` for standard input)
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Make it without starting it
    #[arg(long)]
    pub(crate) stopped: bool,
}

/// `rule explain`
#[derive(Debug, Args)]
pub(crate) struct RuleExplain {
    /// Its id; without it, a rule that is given here and not made
    #[arg(required_unless_present_any = ["sql", "file"])]
    pub(crate) id: Option<String>,
    /// The statement, e.g. `SELECT n FROM s WHERE n > 3`
    #[arg(long, conflicts_with_all = ["id", "file"])]
    pub(crate) sql: Option<String>,
    /// Where rows go: a sink, or `name={"property": …}` (may be repeated)
    #[arg(long = "sink", value_name = "SINK", value_parser = sink, requires = "sql")]
    pub(crate) sinks: Vec<(String, serde_json::Value)>,
    /// An option of the rule, e.g. `bufferLength=64` (may be repeated)
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair, conflicts_with = "id")]
    pub(crate) options: Vec<(String, serde_json::Value)>,
    /// Take the whole rule from a JSON file (`-` for standard input)
    #[arg(short, long, value_name = "FILE", conflicts_with = "id")]
    pub(crate) file: Option<PathBuf>,
}
