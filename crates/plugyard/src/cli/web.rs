//! `web …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::{Change, Sure};

/// `web`
#[derive(Debug, Subcommand)]
pub(crate) enum Web {
    /// List the plugins of the application: their records
    List(Listed),
    /// Show a plugin's record and what is known beside it
    Show {
        /// The plugin's fskey [default: the plugin in this directory]
        fskey: Option<String>,
        /// Also one that was uninstalled
        #[arg(long)]
        with_trashed: bool,
    },
    /// Make the record of a plugin that is not installed from a package
    Add(RecordAdd),
    /// Change a plugin's record; what is not named stays
    Set(RecordSet),
    /// Let the application load plugins
    Activate {
        /// The plugins' fskeys [default: the plugin in this directory, else all]
        fskeys: Vec<String>,
    },
    /// Let the application load plugins no longer
    Deactivate {
        /// The plugins' fskeys [default: the plugin in this directory, else all]
        fskeys: Vec<String>,
        /// Also what depends on them, that first
        #[arg(long)]
        cascade: bool,
    },
    /// Uninstall a plugin; its record stays, hidden
    Uninstall {
        /// The plugin's fskey [default: the plugin in this directory]
        fskey: Option<String>,
        /// Whether its data go too
        #[arg(long, value_name = "BOOL", default_value = "false", value_parser = ["true", "1", "yes", "false", "0", "no"])]
        cleardata: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Say where table, files, assets and status file disagree
    Doctor,
    /// Compare the files of plugins with their packages
    Verify {
        /// The plugins' fskeys [default: the plugin in this directory, else all]
        fskeys: Vec<String>,
    },
    /// Show the assets of plugins
    Publish(Single),
    /// Hide the assets of plugins
    Unpublish(Single),
    /// Run the migrations of plugins that have not run
    Migrate(Single),
    /// Take back the migrations of the version in force; the plugin must be disabled
    MigrateRollback(Revert),
    /// Take back all migrations and run them again; the plugin must be disabled
    MigrateRefresh(Revert),
    /// Take back all migrations; the plugin must be disabled
    MigrateReset(Revert),
    /// Run the seeds of plugins
    Seed(Single),
    /// Resolve what the `composer.json` of plugins requires
    ComposerUpdate {
        /// The plugins' fskeys [default: all that require something]
        fskeys: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Show the site's settings, or change some
    Settings {
        /// Settings to change; the value is JSON or plain text, `null` takes the setting back to its default
        #[arg(value_name = "KEY=VALUE", value_parser = super::values::pair)]
        values: Vec<(String, serde_json::Value)>,
    },
    /// Write the file that tells the application what to load
    SyncStatus {
        /// Take over what the file says instead
        #[arg(long)]
        from_file: bool,
    },
    /// Forget a plugin that was uninstalled, for good
    Purge {
        /// The plugin's fskey
        fskey: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Print the address of a plugin's page, or say how it comes about
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Url(Url),
    /// Ask all markets for newer versions now
    Check,
    /// Install a plugin from a market, a file, a directory or an address
    Install(super::WebInstall),
    /// Place a package where plugins lie, and do nothing else
    Unzip {
        /// A zip file, a directory, or an http(s) address
        #[arg(value_name = "PACKAGE")]
        package: String,
        #[command(flatten)]
        change: Change,
    },
    /// Bring plugins to the newest versions of their markets
    Upgrade(super::WebUpgrade),
    /// Where plugins are offered to people
    #[command(subcommand, arg_required_else_help = true)]
    Usage(Usage),
    /// Take over the plugin table of a running application, out of a dump
    Import(Import),
}

/// `web add`
#[derive(Debug, Args)]
pub(crate) struct RecordAdd {
    /// Its fskey: a capital letter, then up to 63 letters and digits
    pub(crate) fskey: String,
    /// 1 extension, 2 control panel, 3 engine, 4 theme, 5 deployed on its own
    #[arg(long = "type", value_name = "NUMBER", value_parser = value_parser!(u8).range(1..=5))]
    pub(crate) plugin_type: u8,
    /// Its name
    #[arg(long)]
    pub(crate) name: String,
    /// Its version, such as `1.0.0`
    #[arg(long)]
    pub(crate) version: String,
    /// Who made it
    #[arg(long)]
    pub(crate) author: String,
    #[command(flatten)]
    pub(crate) columns: RecordColumns,
    /// Do not offer it yet
    #[arg(long)]
    pub(crate) disabled: bool,
}

/// `web set`
#[derive(Debug, Args)]
pub(crate) struct RecordSet {
    /// The plugin's fskey [default: the plugin in this directory]
    pub(crate) fskey: Option<String>,
    /// 1 extension, 2 control panel, 3 engine, 4 theme, 5 deployed on its own
    #[arg(long = "type", value_name = "NUMBER", value_parser = value_parser!(u8).range(1..=5))]
    pub(crate) plugin_type: Option<u8>,
    /// Its name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Its version, such as `1.0.0`
    #[arg(long)]
    pub(crate) version: Option<String>,
    /// Who made it
    #[arg(long)]
    pub(crate) author: Option<String>,
    #[command(flatten)]
    pub(crate) columns: RecordColumns,
    /// Offer what is deployed on its own
    #[arg(long, conflicts_with = "disabled")]
    pub(crate) enabled: bool,
    /// Do not offer what is deployed on its own
    #[arg(long)]
    pub(crate) disabled: bool,
    /// Empty a column: the name of an option (may be repeated)
    #[arg(long, value_name = "OPTION", value_parser = ["author-link", "scene", "host", "access-path", "settings-path", "upgrade-code"])]
    pub(crate) unset: Vec<String>,
}

/// Columns of a record that may be empty. Of an installed package its operator sets host and upgrade code only.
#[derive(Debug, Default, Args)]
pub(crate) struct RecordColumns {
    /// What it does, in one line
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Address of its author's page
    #[arg(long, value_name = "URL")]
    pub(crate) author_link: Option<String>,
    /// Where it can be selected, with commas, e.g. `sendEmail,extendUser`
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) scene: Option<Vec<String>>,
    /// Its own address, where its pages are not served by the site
    #[arg(long, value_name = "URL")]
    pub(crate) host: Option<String>,
    /// Its page for end users, e.g. `/mall?id={parameter}`
    #[arg(long, value_name = "PATH")]
    pub(crate) access_path: Option<String>,
    /// Its page for operators
    #[arg(long, value_name = "PATH")]
    pub(crate) settings_path: Option<String>,
    /// It is deployed on its own: nothing of it is loaded here
    #[arg(long)]
    pub(crate) standalone: bool,
    /// What entitles to its upgrades; `-` reads it from standard input
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    pub(crate) upgrade_code: Option<String>,
}

/// A single step of the lifecycle.
#[derive(Debug, Args)]
pub(crate) struct Single {
    /// The plugins' fskeys [default: the plugin in this directory]
    pub(crate) fskeys: Vec<String>,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// The same, where data go.
#[derive(Debug, Args)]
pub(crate) struct Revert {
    /// The plugin's fskey [default: the plugin in this directory]
    pub(crate) fskey: Option<String>,
    #[command(flatten)]
    pub(crate) sure: Sure,
    #[command(flatten)]
    pub(crate) change: Change,
}

/// `web list`
#[derive(Debug, Args)]
pub(crate) struct Listed {
    /// Only those of this type, 1 to 5
    #[arg(long = "type", value_name = "NUMBER", value_parser = value_parser!(u8).range(1..=5))]
    pub(crate) plugin_type: Option<u8>,
    /// Only those that can be selected there, e.g. `sendEmail`
    #[arg(long)]
    pub(crate) scene: Option<String>,
    /// Only those with this text in fskey or name
    #[arg(long)]
    pub(crate) search: Option<String>,
    /// Also those that were uninstalled
    #[arg(long)]
    pub(crate) with_trashed: bool,
}

/// `web import`
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The dump: SQL, CSV or JSON
    pub(crate) file: PathBuf,
    /// How it is written; otherwise its name tells
    #[arg(long = "dump-format", value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<DumpFormat>,
    /// What becomes of plugins that are here already
    #[arg(long, value_enum, default_value_t = Existing::Keep)]
    pub(crate) existing: Existing,
    /// Only say what would become of each row
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DumpFormat {
    /// Statements of MySQL, PostgreSQL or SQLite
    Sql,
    /// One table, its first line names the columns
    Csv,
    /// Lists of rows
    Json,
}

impl DumpFormat {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// What becomes of a plugin that is here already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Existing {
    /// It stays as it is
    Keep,
    /// Its columns become those of the dump
    Replace,
}

impl Existing {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Replace => "replace",
        }
    }
}

/// `web url`
#[derive(Debug, Args)]
pub(crate) struct Url {
    #[command(subcommand)]
    pub(crate) command: Option<UrlCommand>,
    /// The plugin, as `web:key` or its key
    #[arg(required = true)]
    pub(crate) plugin: Option<String>,
    #[command(flatten)]
    pub(crate) page: Page,
}

/// What `web url` does other than print the address.
#[derive(Debug, Subcommand)]
pub(crate) enum UrlCommand {
    /// Say of each piece of the address which column it comes from and by which rule
    Explain {
        /// The plugin, as `web:key` or its key
        plugin: String,
        #[command(flatten)]
        page: Page,
    },
}

/// Which of a plugin's pages.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Page {
    /// The page as this usage offers it
    #[arg(long, value_name = "N", conflicts_with = "settings")]
    pub(crate) usage: Option<u32>,
    /// The page for the operator
    #[arg(long)]
    pub(crate) settings: bool,
}

/// `web usage`
#[derive(Debug, Subcommand)]
pub(crate) enum Usage {
    /// List usages, by type, then in the order they are shown in
    List {
        /// Only those of this type, 1 to 9
        #[arg(long = "type", value_name = "TYPE", value_parser = value_parser!(u8).range(1..=9))]
        usage_type: Option<u8>,
        /// Only those of this plugin
        #[arg(long)]
        plugin: Option<String>,
        /// Only those of this group
        #[arg(long, value_name = "N")]
        group: Option<u32>,
        /// Those that were removed too
        #[arg(long)]
        deleted: bool,
    },
    /// Show a usage
    Show {
        /// Its number
        id: u32,
    },
    /// Offer a plugin somewhere
    Add {
        /// The plugin, or a built-in content type
        plugin: String,
        /// 1 recharge, 2 withdrawal, 3 editor, 4 content type, 5 manage menu, 6 group page, 7 user feature, 8 profile page, 9 channel
        #[arg(long = "type", value_name = "TYPE", value_parser = value_parser!(u8).range(1..=9))]
        usage_type: u8,
        /// Its name in the site's default language
        #[arg(long)]
        name: String,
        #[command(flatten)]
        columns: Columns,
        /// Do not show it yet
        #[arg(long)]
        disabled: bool,
        /// It cannot be removed
        #[arg(long)]
        protected: bool,
    },
    /// Change a usage; what is not named stays
    Set {
        /// Its number
        id: u32,
        /// Another plugin
        #[arg(long)]
        plugin: Option<String>,
        /// Its name in the site's default language
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        columns: Columns,
        /// Show it
        #[arg(long, conflicts_with = "disabled")]
        enabled: bool,
        /// Do not show it
        #[arg(long)]
        disabled: bool,
        /// Take something back to its default: the name of an option (may be repeated)
        #[arg(long, value_name = "OPTION", value_parser = UNSET)]
        unset: Vec<String>,
    },
    /// Remove usages; their rows stay, and are listed with `--deleted`
    Remove {
        /// Their numbers
        #[arg(required = true, value_name = "ID")]
        ids: Vec<u32>,
        #[command(flatten)]
        sure: Sure,
    },
    /// Put usages of one type in order; those that are not named come after them
    Order {
        /// Their numbers, in the order they are to be shown in
        #[arg(required = true, value_name = "ID")]
        ids: Vec<u32>,
    },
}

/// What `web usage set --unset` takes.
const UNSET: [&str; 11] = [
    "names",
    "icon",
    "icon-file",
    "scene",
    "toolbar",
    "number",
    "group-admins",
    "roles",
    "parameter",
    "rating",
    "data-sources",
];

/// Columns of a usage; which of them it has depends on its type.
#[derive(Debug, Default, Args)]
pub(crate) struct Columns {
    /// Its name in another language (may be repeated; replaces all of them)
    #[arg(long = "name-in", value_name = "LANG=TEXT", value_parser = super::values::plain_pair)]
    pub(crate) names: Vec<(String, String)>,
    /// Address of its icon
    #[arg(long, value_name = "URL")]
    pub(crate) icon: Option<String>,
    /// Number of its icon's file, which wins over the address
    #[arg(long, value_name = "N")]
    pub(crate) icon_file: Option<u64>,
    /// Types 3, 4, 5: 1 posts, 2 comments, 3 users, with commas
    #[arg(long, value_name = "LIST")]
    pub(crate) scene: Option<String>,
    /// Type 3: in the toolbar itself and not behind "more"
    #[arg(long)]
    pub(crate) toolbar: bool,
    /// Type 3: how often it may be used in one draft, 1 to 10
    #[arg(long, value_name = "N")]
    pub(crate) number: Option<u8>,
    /// Types 5, 6: only for who administers the group
    #[arg(long)]
    pub(crate) group_admins: bool,
    /// Type 6: the group on whose page it is
    #[arg(long, value_name = "N")]
    pub(crate) group: Option<u32>,
    /// Only for who has one of these roles, with commas
    #[arg(long, value_name = "LIST")]
    pub(crate) roles: Option<String>,
    /// What replaces `{parameter}` in the plugin's address
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) parameter: Option<String>,
    /// Sort key, lowest first
    #[arg(long, value_name = "N")]
    pub(crate) rating: Option<u16>,
    /// Type 4: a JSON file that says which plugins answer
    #[arg(long, value_name = "FILE")]
    pub(crate) data_sources: Option<PathBuf>,
}
