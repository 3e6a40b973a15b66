//! Every environment variable that Plugyard reads or sets, declared once.
//! `docs/environment.md` is made from [`ALL`].

/// Home directory.
pub(crate) const HOME: &str = "PLUGYARD_HOME";
/// Address of a remote server.
pub(crate) const SERVER: &str = "PLUGYARD_SERVER";
/// Name of a remembered server.
pub(crate) const CONTEXT: &str = "PLUGYARD_CONTEXT";
/// Token for the remote server.
pub(crate) const TOKEN: &str = "PLUGYARD_TOKEN";
/// Language of messages.
pub(crate) const LANG: &str = "PLUGYARD_LANG";
/// Filter of the server's log.
pub(crate) const LOG: &str = "PLUGYARD_LOG";

/// Whether the application is to load no plugin.
pub(crate) const SAFE_MODE: &str = "PLUGYARD_SAFE_MODE";

/// Who uses a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The command line.
    CommandLine,
    /// The server.
    Server,
    /// Set by the server for plugin processes.
    Plugin,
    /// Tests and chores.
    Development,
}

impl Reader {
    pub(crate) const ALL: &[Self] = &[
        Self::CommandLine,
        Self::Server,
        Self::Plugin,
        Self::Development,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::CommandLine => "Read by the command line",
            Self::Server => "Read by the server",
            Self::Plugin => "Set for plugin processes",
            Self::Development => "Read by tests and chores",
        }
    }
}

/// One variable.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) reader: Reader,
    pub(crate) doc: &'static str,
    pub(crate) since: &'static str,
}

const fn variable(name: &'static str, reader: Reader, doc: &'static str) -> Variable {
    Variable {
        name,
        reader,
        doc,
        since: "0.1",
    }
}

/// All of them.
pub(crate) const ALL: &[Variable] = &[
    variable(
        HOME,
        Reader::CommandLine,
        "Home directory, as `--home`. The server reads it too.",
    ),
    variable(
        SERVER,
        Reader::CommandLine,
        "Address of a remote server, as `--server`.",
    ),
    variable(
        CONTEXT,
        Reader::CommandLine,
        "Name of a server that `plugyard login` remembered, as `--context`.",
    ),
    variable(
        TOKEN,
        Reader::CommandLine,
        "Token for the remote server, as `--token`.",
    ),
    variable(
        "XDG_CONFIG_HOME",
        Reader::CommandLine,
        "Directory of the user's configuration; contexts are in `plugyard/contexts.json` below it, else below `$HOME/.config`.",
    ),
    variable("HOME", Reader::CommandLine, "See `XDG_CONFIG_HOME`."),
    variable(
        LANG,
        Reader::CommandLine,
        "Language of messages, `en` or `zh-CN`, as `--lang`. Without it the locale decides.",
    ),
    variable(
        "LC_ALL",
        Reader::CommandLine,
        "Locale; the first set of `LC_ALL`, `LC_MESSAGES`, `LANG` decides the language of messages.",
    ),
    variable("LC_MESSAGES", Reader::CommandLine, "See `LC_ALL`."),
    variable("LANG", Reader::CommandLine, "See `LC_ALL`."),
    variable(
        "NO_COLOR",
        Reader::CommandLine,
        "Set to anything: no colours.",
    ),
    variable(
        "PLUGYARD__SECTION__KEY",
        Reader::Server,
        "Any key of the configuration: `PLUGYARD__PORTABLE__INIT_TIMEOUT=5m` is `portable.init_timeout`. Wins over `plugyard.toml`; options of the command line win over it. See configuration.md.",
    ),
    variable(
        LOG,
        Reader::Server,
        "Filter of the log, e.g. `info,plugyard_portable=debug`. Wins over `log.filter`.",
    ),
    variable(
        SAFE_MODE,
        Reader::Server,
        "`true`: the application is told to load no plugin, as with `serve --safe-mode`.",
    ),
    variable(
        "KUIPER__PORTABLE__*",
        Reader::Server,
        "eKuiper's names for `pythonBin`, `initTimeout`, `sendTimeout` and `recvTimeout` are understood as the `portable` keys of the same meaning.",
    ),
    variable(
        "PLUGYARD_PLUGIN",
        Reader::Plugin,
        "The plugin's own name, `kind:key`.",
    ),
    variable(
        "PLUGYARD_API",
        Reader::Plugin,
        "Where the server is, e.g. `http://127.0.0.1:9081`, for `GET /v1/self`.",
    ),
    variable(
        TOKEN,
        Reader::Plugin,
        "The process's own token there: for nothing but its plugin, void when the process ends. See http.md.",
    ),
    variable(
        "PLUGYARD_DATA_DIR",
        Reader::Plugin,
        "A directory that the plugin may write to and that outlives its versions.",
    ),
    variable(
        "PLUGYARD_CONFIG_FILE",
        Reader::Plugin,
        "A file with the plugin's values, when something can be configured: `{\"revision\", \"values\", \"unreadable\"}`, as `GET /v1/self/config` answers. Replaced as a whole at each change.",
    ),
    variable(
        "PLUGYARD_WORKER",
        Reader::Plugin,
        "Which of the plugin's processes it is, from 0.",
    ),
    variable(
        "VIRTUAL_ENV",
        Reader::Plugin,
        "The environment made from the package's `requirements.txt`; its `bin` is first in `PATH`.",
    ),
    variable(
        "PIP_*",
        Reader::Server,
        "Passed to pip when it makes the environment of a plugin, e.g. `PIP_INDEX_URL`; also `SSL_CERT_*`.",
    ),
    variable(
        "PLUGYARD_TEST_PYTHON",
        Reader::Development,
        "A Python with the plugin SDK. `cargo xtask test` makes one; tests that need it are skipped without it.",
    ),
    variable(
        "PLUGYARD_TEST_PG",
        Reader::Development,
        "`postgres://` address with the right to create databases. `cargo xtask test` starts one; tests use SQLite only without it.",
    ),
    variable(
        "CI",
        Reader::Development,
        "`true`: a skipped test fails `cargo xtask test`.",
    ),
];
