//! Every command and option. What they do is in [`commands`](crate::commands).

use std::any::TypeId;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::environment;

mod admin;
mod config;
mod flow;
mod market;
mod values;
mod web;
mod webhook;

pub(crate) use admin::{
    Audit, Backup, Context, Login, Node, Operation, Rescan, Restore, Token, User,
};
pub(crate) use config::{Config, FailOn, Secrets, Seen};
pub(crate) use flow::{Rule, RuleCreate, RuleExplain, Stream};
pub(crate) use market::{
    AddMarket, InitMarket, KeyRole, Market, Place, Publish, ServeMarket, WebInstall, WebSource,
    WebUpgrade,
};
use values::{duration, pair, plain_pair, server};
pub(crate) use web::{
    Columns, DumpFormat, Import, Listed, Page, RecordAdd, RecordColumns, RecordSet, Revert, Single,
    Url, UrlCommand, Usage, Web,
};
pub(crate) use webhook::Webhook;

/// Self-hosted plugin platform: packages in, supervised plugins and flowing rows out.
#[derive(Debug, Parser)]
#[command(
    name = "plugyard",
    bin_name = "plugyard",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done · 1 failed · 2 usage · 3 not found · 4 package has errors · 5 conflict or busy · \
                  6 not permitted · 7 server not reachable · 8 wait ended, operation goes on · \
                  9 failed, previous version runs · 10 failed and undo failed"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The tree of commands as it is parsed: what names something is never empty.
    pub(crate) fn tree() -> clap::Command {
        named(Self::command())
    }

    /// Reads what was parsed.
    pub(crate) fn read(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Self::from_arg_matches(matches)?;
        let source = |name| matches.value_source(name);
        if cli.global.json {
            cli.global.output = Format::Json;
        }
        // Even with the default's value: who names a home means it, and not the context in use.
        cli.global.home_named = matches!(
            source("home"),
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        );
        for (name, value) in [
            ("server", &mut cli.global.server),
            ("context", &mut cli.global.context),
            ("token", &mut cli.global.token),
        ] {
            if value.as_deref() != Some("") {
                continue;
            }
            // A variable that is set to nothing is not set.
            if source(name) == Some(ValueSource::EnvVariable) {
                *value = None;
                continue;
            }
            let mut refused = clap::Error::new(ErrorKind::InvalidValue);
            for (kind, value) in [
                (ContextKind::InvalidArg, format!("--{name}")),
                (ContextKind::InvalidValue, String::new()),
            ] {
                refused.insert(kind, ContextValue::String(value));
            }
            return Err(refused);
        }
        Ok(cli)
    }
}

/// Positional texts are names, ids and addresses, and nothing is called by an empty one. Rules are texts of
/// their own: no rule at all is one that everything passes.
fn named(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| {
            // One of a few words is a text too.
            let is_text = argument.get_value_parser().type_id() == TypeId::of::<String>()
                && argument.get_possible_values().is_empty();
            if argument.is_positional() && is_text && argument.get_id() != "rules" {
                argument.value_parser(NonEmptyStringValueParser::new())
            } else {
                argument
            }
        })
        .mut_subcommands(named)
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Home directory of the server to serve from or to talk to
    #[arg(long, global = true, value_name = "DIR", env = environment::HOME, default_value = "plugyard-home")]
    pub(crate) home: PathBuf,
    /// Whether the home directory was named rather than the default
    #[arg(skip)]
    pub(crate) home_named: bool,
    /// Talk to the server at this address instead of the one of the home directory
    #[arg(long, global = true, value_name = "URL", env = environment::SERVER, value_parser = server)]
    pub(crate) server: Option<String>,
    /// Talk to the server of this context; see `plugyard login`
    #[arg(long, global = true, value_name = "NAME", env = environment::CONTEXT)]
    pub(crate) context: Option<String>,
    /// Token for a server that is reached by its address; `-` reads it from standard input
    #[arg(long, global = true, value_name = "TOKEN", env = environment::TOKEN, hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// How results are printed
    #[arg(
        short,
        long,
        visible_alias = "format",
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t
    )]
    pub(crate) output: Format,
    /// The same as `-o json`
    #[arg(long, global = true, conflicts_with = "output")]
    pub(crate) json: bool,
    /// Language of messages: `en` or `zh-CN` [default: from the locale]
    #[arg(long, global = true, value_name = "LANG", env = environment::LANG)]
    pub(crate) lang: Option<String>,
    /// Do not show the steps of a change
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One document, equal to the body of the HTTP interface
    Json,
    /// One document per line
    Ndjson,
    /// Names only, one per line
    Name,
    /// One document
    Yaml,
    /// SARIF 2.1.0, for `check` only
    Sarif,
}

/// The commands: verbs act on plugins, all else is noun and verb.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say everything that is wrong with packages, without a server
    Check(Check),
    /// Make a package of a directory, the same bytes on every machine
    Pack(Pack),
    /// Make the directory of a new plugin that works and tests itself
    New(New),
    /// Serve one plugin to its author: start symbols by hand, see every frame
    Dev(Dev),

    /// Install a plugin from a zip, a directory or an address
    Install(Install),
    /// Replace a plugin's version; the old one stays until the new one is ready
    Upgrade(Upgrade),
    /// Go back to the previous version, or to a named one
    Rollback(Rollback),
    /// Take plugins away
    Uninstall(Uninstall),
    /// List plugins
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a plugin: state, versions, processes, symbols
    Show(PluginArg),
    /// Print what a plugin wrote
    Logs(Logs),
    /// Let plugins run
    Enable(Plugins),
    /// Stop plugins, but keep them
    Disable(Plugins),
    /// End plugins and start them again
    Restart(Plugins),
    /// Change what a plugin may use and how it is run; rolled back when it does not start with it
    Set(Set),
    /// Look for plugins put into `plugins/` by hand, and install them
    Rescan(Rescan),

    /// What is configured of a plugin: values, their history, and what an upgrade would do to them
    #[command(subcommand, arg_required_else_help = true)]
    Config(Config),

    /// Plugins of a web application: where they are offered, and their addresses
    #[command(subcommand, arg_required_else_help = true)]
    Web(Web),

    /// Print the address of a web plugin's page, or say how it comes about; as `web url`
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Url(Url),

    /// Markets: where plugins of a web application come from, and running one
    #[command(subcommand, arg_required_else_help = true)]
    Market(Market),

    /// Streams: where rules take rows from
    #[command(subcommand, arg_required_else_help = true)]
    Stream(Stream),
    /// Rules: what happens to the rows of streams
    #[command(subcommand, arg_required_else_help = true)]
    Rule(Rule),
    /// Operations: changes with their steps
    #[command(subcommand, arg_required_else_help = true)]
    Operation(Operation),
    /// Accounts: who may sign in, and what they may
    #[command(subcommand, arg_required_else_help = true)]
    User(User),
    /// Webhooks: who is told what happens to web plugins, and may refuse it
    #[command(subcommand, arg_required_else_help = true)]
    Webhook(Webhook),

    /// Tokens: how others sign in
    #[command(subcommand, arg_required_else_help = true)]
    Token(Token),
    /// The key that secrets are encrypted with
    #[command(subcommand, arg_required_else_help = true)]
    Secrets(Secrets),
    /// Say who changed what
    Audit(Audit),
    /// Servers and what their machines can do
    #[command(subcommand, arg_required_else_help = true)]
    Node(Node),

    /// Remember a remote server and the token for it
    Login(Login),
    /// Forget the token of a remote server
    Logout {
        /// The context [default: the one in use]
        name: Option<String>,
    },
    /// Contexts: the remote servers that `login` remembered
    #[command(subcommand, arg_required_else_help = true)]
    Context(Context),

    /// Run the server
    Serve(Serve),
    /// Write the whole home into one file, whether the server runs or not
    Backup(Backup),
    /// Bring a backup back as a new home, named with `--home`
    Restore(Restore),
    /// Say for each case on standard input whether a value passes Laravel rules, without a server
    Validate(Validate),
    /// Say what this machine can and cannot enforce
    Doctor,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a page of the reference
    #[command(hide = true)]
    Reference {
        /// The page
        page: crate::reference::Page,
    },
}

/// Cases as JSON lines, `{"rules", "value"?, "others"?}`, or one rule string to explain.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(subcommand)]
    pub(crate) command: Option<ValidateCommand>,
}

/// What `validate` does other than read cases.
#[derive(Debug, Subcommand)]
pub(crate) enum ValidateCommand {
    /// Say in words what rules ask for
    Explain {
        /// The rules, for example `required|integer|min:3`
        rules: String,
    },
}

/// `check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Zip files or directories
    #[arg(required = true, value_name = "PACKAGE")]
    pub(crate) packages: Vec<PathBuf>,
    /// What kind of plugin it is, where that cannot be seen
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Name the plugin is meant to have
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Count these as errors too
    #[arg(long, value_name = "WHAT")]
    pub(crate) deny: Option<Deny>,
}

/// What `check --deny` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deny {
    /// Warnings
    Warnings,
}

/// `pack`
#[derive(Debug, Args)]
pub(crate) struct Pack {
    /// The plugin's directory
    pub(crate) directory: PathBuf,
    /// The file to write [default: the plugin's name and `.zip`, here]
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// Pack even if there are errors
    #[arg(long)]
    pub(crate) force: bool,
}

/// How to follow a change.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Change {
    /// Print the operation's id and do not wait for its end
    #[arg(long, conflicts_with_all = ["timeout", "dry_run"])]
    pub(crate) no_wait: bool,
    /// Stop waiting after this time, e.g. `30s`; the operation goes on
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Show the steps it would take, and change nothing
    #[arg(long, alias = "plan")]
    pub(crate) dry_run: bool,
}

/// `install`
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// A zip file, a directory, an http(s) address, or the name of a directory in `plugins/` of the home
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: String,
    /// What kind of plugin it is, where that cannot be seen
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Install, but do not start it
    #[arg(long)]
    pub(crate) stopped: bool,
    /// Run the seeds of a web plugin too; like `--option seed=true`
    #[arg(long)]
    pub(crate) seed: bool,
    /// An option of the plugin's kind; the value is JSON or plain text (may be repeated)
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) options: Vec<(String, serde_json::Value)>,
    /// A value to begin with, where something can be configured; `KEY=-` reads it from standard input (may be repeated)
    #[arg(long = "value", value_name = "KEY=VALUE", value_parser = plain_pair)]
    pub(crate) values: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) running: Running,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// How a plugin is run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Running {
    /// What it may use: `cpu` (cores), `memory`, `pids`, `files`, `disk` or `log`, e.g. `memory=256MiB`; `none` is no limit (may be repeated)
    #[arg(long = "limit", value_name = "LIMIT=AMOUNT", value_parser = pair)]
    pub(crate) limits: Vec<(String, serde_json::Value)>,
    /// A variable of its processes; shown to whoever may see the plugin, so no secret (may be repeated)
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = plain_pair)]
    pub(crate) env: Vec<(String, String)>,
    /// How many of its processes share the calls of its functions
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u32>,
}

/// `set`
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The plugin, as `kind:key` or its key
    pub(crate) plugin: String,
    #[command(flatten)]
    pub(crate) running: Running,
    /// An option of the plugin's kind, for portable plugins `acks_under_way`, `call_timeout`, `call_timeouts`, `function_channels`, `renew_go`, `shellParas`, `start_timeout` or `start_timeouts`; the value is JSON or plain text (may be repeated)
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) options: Vec<(String, serde_json::Value)>,
    /// Take something back to its default: an option, `limit.NAME` or `env.NAME` (may be repeated)
    #[arg(long = "unset", value_name = "NAME")]
    pub(crate) unset: Vec<String>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// `new`
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What kind of plugin
    #[arg(value_name = "KIND", value_parser = ["portable"])]
    pub(crate) kind: String,
    /// Its name: letters, digits and `_`
    pub(crate) name: String,
    /// Where to make it [default: its name, here]
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
}

/// `dev`
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The plugin's directory
    pub(crate) directory: PathBuf,
    /// Where to take requests for symbols
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:33333")]
    pub(crate) listen: std::net::SocketAddr,
    /// Wait for a plugin that is started by hand, e.g. in a debugger
    #[arg(long)]
    pub(crate) by_hand: bool,
    /// Interpreter of a plugin in Python [default: `python3`, else `python`]
    #[arg(long, value_name = "PATH", conflicts_with = "by_hand")]
    pub(crate) python: Option<String>,
    /// What the plugin keeps for itself [default: a directory that goes away at the end]
    #[arg(long, value_name = "DIR", conflicts_with = "by_hand")]
    pub(crate) data: Option<PathBuf>,
}

/// `upgrade`
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    /// The plugin, as `kind:key` or its key
    pub(crate) plugin: String,
    /// A zip file, a directory, or an http(s) address
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: String,
    /// An option of the plugin's kind; the value is JSON or plain text (may be repeated)
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) options: Vec<(String, serde_json::Value)>,
    /// Run the seeds of a web plugin too; like `--option seed=true`
    #[arg(long)]
    pub(crate) seed: bool,
    /// Leave what can be configured, and the values, as they are
    #[arg(long)]
    pub(crate) keep_definitions: bool,
    /// Go also to an older version of a web plugin, or to a definition of what can be configured that has a lower version
    #[arg(long, visible_alias = "allow-downgrade")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// `rollback`
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The plugin, as `kind:key` or its key
    pub(crate) plugin: String,
    /// The version to go to: its label, id or digest [default: the one before]
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<String>,
    /// Go also to a version that the data may not fit
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// `uninstall`
#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    /// The plugins, as `kind:key` or their keys
    #[arg(required = true, value_name = "PLUGIN")]
    pub(crate) plugins: Vec<String>,
    /// Keep what the plugin stored for itself
    #[arg(long)]
    pub(crate) keep_data: bool,
    #[command(flatten)]
    pub(crate) sure: Sure,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// For commands that destroy something.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Sure {
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// For commands that can say what they would do.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Rehearsal {
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Several plugins to change.
#[derive(Debug, Args)]
pub(crate) struct Plugins {
    /// The plugins, as `kind:key` or their keys
    #[arg(required = true, value_name = "PLUGIN")]
    pub(crate) plugins: Vec<String>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// One plugin.
#[derive(Debug, Args)]
pub(crate) struct PluginArg {
    /// The plugin, as `kind:key` or its key
    pub(crate) plugin: String,
}

/// `list`
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only plugins of this kind
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Only plugins in this state, e.g. `failed`
    #[arg(long, value_name = "STATE")]
    pub(crate) health: Option<String>,
}

/// `logs`
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The plugin, as `kind:key` or its key
    pub(crate) plugin: String,
    /// Print what follows until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the latest lines to begin with
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    pub(crate) tail: usize,
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address to listen on; port 0 takes any free one [default: 127.0.0.1:9081]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// How callers prove who they are [default: token]
    #[arg(long, value_name = "HOW")]
    pub(crate) auth: Option<Auth>,
    /// Tell the application to load no plugin; what is enabled stays so
    #[arg(long, env = environment::SAFE_MODE, value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub(crate) safe_mode: bool,
}

/// How callers of the server prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Auth {
    /// With tokens, or by being the server's own user at its local socket
    Token,
    /// Not at all; only on loopback
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(
        command: &clap::Command,
        above: &[String],
        found: &mut Vec<(Vec<String>, clap::Command)>,
    ) {
        let words = [above, &[command.get_name().to_owned()]].concat();
        if command.get_subcommands().next().is_none() {
            found.push((words.clone(), command.clone()));
        }
        for sub in command.get_subcommands() {
            leaves(sub, &words, found);
        }
    }

    #[test]
    fn nothing_is_named_by_an_empty_text() {
        let mut all = Vec::new();
        leaves(&Cli::tree(), &[], &mut all);
        let mut asked = 0;
        for (words, leaf) in all {
            let texts = leaf.get_positionals().filter(|it| it.get_id() != "rules");
            if texts.count() == 0 {
                continue;
            }
            let parsed = |text: &str| {
                let words = words.iter().map(String::as_str).chain([text]);
                Cli::tree().try_get_matches_from(words)
            };
            // Whatever else is missing, that the first is empty is said first.
            let error = parsed("").expect_err("an empty name").to_string();
            assert!(
                error.contains("a value is required")
                    || error.contains("invalid value \'\'")
                    || error.contains("invalid value ''"),
                "{words:?}: {error}"
            );
            asked += 1;
        }
        assert!(asked > 50, "{asked}");
        let role = ["plugyard", "user", "role", "owner", "ownr"];
        let near = Cli::tree().try_get_matches_from(role).unwrap_err();
        assert!(near.to_string().contains("'owner'"), "{near}");
        assert!(
            Cli::tree()
                .try_get_matches_from(["plugyard", "validate", "explain", ""])
                .is_ok()
        );
    }

    #[test]
    fn a_server_is_an_address() {
        let read = |words: &[&str]| {
            let words = [&["plugyard"], words, &["list"]].concat();
            Cli::read(&Cli::tree().try_get_matches_from(words)?).map(|cli| cli.global.server)
        };
        let server = |text: &str| read(&["--server", text]);
        assert_eq!(
            server("https://a.b/").unwrap().as_deref(),
            Some("https://a.b")
        );
        for wrong in ["nonsense", "", "localhost:9081", "ftp://a", "http://u:p@a"] {
            assert_eq!(server(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
        assert!(read(&["--context", ""]).is_err());
        assert_eq!(read(&[]).unwrap(), None);
    }

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }
}
