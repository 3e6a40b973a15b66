//! The server's configuration: `plugyard.toml` in the home directory, `PLUGYARD__SECTION__KEY` in the
//! environment, options of the command line; the later wins. An unknown key is an error.
//!
//! Every key is listed in [`KEYS`], from which `docs/configuration.md` is made; a test keeps the list
//! and the types together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use plugyard_app::AppSettings;
use plugyard_flow::SinkKey;
use plugyard_model::{ByteSize, Problem, codes};
use plugyard_platform::Home;
use plugyard_portable::{PortableSettings, Span};
use plugyard_store::secrets::KeySource;
use plugyard_store::{ObjectsUrl, S3Options, SecretText};
use plugyard_web::WebSettings;
use serde::{Deserialize, Serialize};

use crate::cli::{Auth, Serve};

/// Everything that can be configured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) server: ServerSection,
    pub(crate) database: DatabaseSection,
    pub(crate) objects: ObjectsSection,
    pub(crate) secrets: SecretsSection,
    pub(crate) packages: PackagesSection,
    pub(crate) rules: RulesSection,
    pub(crate) portable: PortableSettings,
    pub(crate) app: AppSettings,
    pub(crate) web: WebSettings,
    pub(crate) audit: AuditSection,
    pub(crate) log: LogSection,
    /// From the command line or the environment only.
    #[serde(skip)]
    pub(crate) safe_mode: bool,
}

/// `server`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerSection {
    pub(crate) listen: SocketAddr,
    pub(crate) auth: Auth,
    pub(crate) max_body: ByteSize,
    pub(crate) max_requests: usize,
    pub(crate) max_connections: usize,
    pub(crate) stop_grace: Span,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9081)),
            auth: Auth::Token,
            max_body: ByteSize::mib(1),
            max_requests: 512,
            max_connections: 2048,
            stop_grace: Span(Duration::from_secs(10)),
        }
    }
}

/// `database`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DatabaseSection {
    pub(crate) url: Option<String>,
}

/// `objects`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ObjectsSection {
    pub(crate) url: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) access_key: Option<String>,
    pub(crate) secret_key: Option<SecretText>,
    pub(crate) secret_key_file: Option<PathBuf>,
    pub(crate) session_token: Option<SecretText>,
    pub(crate) allow_http: bool,
}

impl ObjectsSection {
    /// Where the packages are, and how to get there; relative paths are below the home.
    pub(crate) fn store(&self, home: &Home) -> Result<(Option<ObjectsUrl>, S3Options), Problem> {
        let wrong = |key: &str, reason: &dyn std::fmt::Display| {
            Problem::new(codes::CONFIGURATION_INVALID)
                .with("reason", format!("objects.{key}: {reason}"))
        };
        let mut url: Option<ObjectsUrl> = match &self.url {
            None => None,
            Some(text) => Some(text.parse().map_err(|error| wrong("url", &error))?),
        };
        if let Some(directory) = url.as_ref().and_then(ObjectsUrl::as_directory) {
            url = Some(ObjectsUrl::directory(home.root().join(directory)));
        }
        let secret_key = match (&self.secret_key, &self.secret_key_file) {
            (Some(_), Some(_)) => {
                return Err(wrong("secret_key_file", &"`secret_key` is there too"));
            }
            (key, None) => key.clone(),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(home.root().join(file))
                    .map_err(|error| wrong("secret_key_file", &error))?;
                Some(SecretText::new(text.trim()))
            }
        };
        let options = S3Options {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key: self.access_key.clone(),
            secret_key,
            session_token: self.session_token.clone(),
            allow_http: self.allow_http,
        };
        Ok((url, options))
    }
}

/// `secrets`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SecretsSection {
    pub(crate) key: KeyPlace,
}

impl SecretsSection {
    /// Where the master key is; relative paths are below the home.
    pub(crate) fn source(&self, home: &Home) -> Result<KeySource, Problem> {
        let text = match &self.key {
            KeyPlace::Command(words) if words.is_empty() => "",
            KeyPlace::Command(words) => return Ok(KeySource::Command(words.clone())),
            KeyPlace::Named(text) => text,
        };
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => {
                Ok(KeySource::File(home.root().join(path)))
            }
            Some(("env", name)) if !name.is_empty() => {
                Ok(KeySource::Environment(name.to_owned()))
            }
            // What stands there may be the key itself, so it is not repeated.
            _ => Err(Problem::new(codes::CONFIGURATION_INVALID).with(
                "reason",
                "secrets.key: expected `file:<path>`, `env:<variable>` or a list of a program and its arguments",
            )),
        }
    }
}

/// `file:<path>`, `env:<variable>`, or the words of a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum KeyPlace {
    Named(String),
    Command(Vec<String>),
}

impl Default for KeyPlace {
    fn default() -> Self {
        Self::Named("file:keys/master.key".to_owned())
    }
}

/// `rules`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RulesSection {
    pub(crate) aes_key: Option<String>,
}

impl RulesSection {
    /// The key of sinks that encrypt, if there is one; relative paths are below the home.
    pub(crate) fn sink_key(&self, home: &Home) -> Result<Option<SinkKey>, Problem> {
        let wrong = |reason: &dyn std::fmt::Display| {
            Problem::new(codes::CONFIGURATION_INVALID)
                .with("reason", format!("rules.aes_key: {reason}"))
        };
        let Some(place) = &self.aes_key else {
            return Ok(None);
        };
        let text = match place.split_once(':') {
            Some(("file", path)) if !path.is_empty() => {
                std::fs::read_to_string(home.root().join(path)).map_err(|error| wrong(&error))
            }
            Some(("env", name)) if !name.is_empty() => {
                std::env::var(name).map_err(|error| wrong(&error))
            }
            // What stands there may be the key itself, so it is not repeated.
            _ => Err(wrong(&"expected `file:<path>` or `env:<variable>`")),
        };
        let key = SinkKey::from_base64(SecretText::new(text?).expose());
        key.map(Some).map_err(|error| wrong(&error))
    }
}

/// `packages`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PackagesSection {
    pub(crate) max_size: ByteSize,
    pub(crate) fetch_timeout: Span,
    pub(crate) allow_private_urls: bool,
    pub(crate) keep_versions: usize,
}

impl Default for PackagesSection {
    fn default() -> Self {
        Self {
            max_size: ByteSize::mib(512),
            fetch_timeout: Span(Duration::from_mins(10)),
            allow_private_urls: false,
            keep_versions: 3,
        }
    }
}

/// `audit`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AuditSection {
    pub(crate) retention: Span,
}

impl Default for AuditSection {
    fn default() -> Self {
        Self {
            retention: Span(Duration::from_hours(365 * 24)),
        }
    }
}

/// `log`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSection {
    pub(crate) format: LogFormat,
    pub(crate) filter: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".to_owned(),
        }
    }
}

/// How the server writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON document per line.
    Json,
}

/// Reads everything that says how the server should run.
pub(crate) fn load(home: &Home, options: &Serve) -> Result<Settings, Problem> {
    let mut figment = Figment::from(Toml::file(home.configuration()))
        .merge(kuiper())
        .merge(Env::prefixed("PLUGYARD__").split("__"));
    if let Some(listen) = &options.listen {
        figment = figment.merge(Serialized::default("server.listen", listen));
    }
    if let Some(auth) = options.auth {
        figment = figment.merge(Serialized::default("server.auth", auth));
    }
    let mut settings: Settings = figment.extract().map_err(|errors| {
        let all: Vec<String> = errors.into_iter().map(|error| error.to_string()).collect();
        Problem::new(codes::CONFIGURATION_INVALID).with("reason", all.join("; "))
    })?;
    settings.safe_mode = options.safe_mode;
    if settings.server.auth == Auth::None && !settings.server.listen.ip().is_loopback() {
        return Err(
            Problem::new(codes::AUTH_NONE_NOT_LOOPBACK).with("address", settings.server.listen)
        );
    }
    Ok(settings)
}

/// eKuiper's own variables for the section that both have.
fn kuiper() -> Env {
    Env::prefixed("KUIPER__PORTABLE__")
        .filter_map(|key| {
            let ours = match key.as_str().to_ascii_lowercase().as_str() {
                "pythonbin" => "portable.python_bin",
                "inittimeout" => "portable.init_timeout",
                "sendtimeout" => "portable.send_timeout",
                "recvtimeout" => "portable.recv_timeout",
                _ => return None,
            };
            Some(ours.into())
        })
        .split(".")
}

/// Every key, with what it means. Defaults are those of the types.
pub(crate) const KEYS: &[(&str, &str)] = &[
    (
        "server.listen",
        "Address of the one listener. Port 0 takes any free one.",
    ),
    (
        "server.auth",
        "`token`: bearer tokens, and the server's own user at `run/api.sock`. `none`: nobody signs in; refused unless `server.listen` is loopback.",
    ),
    (
        "server.max_body",
        "Largest body of a request, except where a route takes packages.",
    ),
    (
        "server.max_requests",
        "Most requests worked on at once; more are answered with 503.",
    ),
    (
        "server.max_connections",
        "Most connections at once; more wait.",
    ),
    (
        "server.stop_grace",
        "How long requests may go on when the server stops.",
    ),
    (
        "database.url",
        "`postgres://…`, or `sqlite:<path>`. Default: `plugyard.db` in the home directory.",
    ),
    (
        "objects.url",
        "Where packages are kept: `s3://<bucket>/<prefix>`, or a directory. Default: `objects/` in the home directory. Each installation needs a prefix of its own.",
    ),
    (
        "objects.endpoint",
        "Address of an S3-compatible store that is not Amazon's; default `AWS_ENDPOINT_URL`.",
    ),
    (
        "objects.region",
        "Region of the bucket; default `AWS_REGION`.",
    ),
    (
        "objects.access_key",
        "Name of the access key; default `AWS_ACCESS_KEY_ID`, else the role of the machine.",
    ),
    (
        "objects.secret_key",
        "The access key itself, never shown; default `AWS_SECRET_ACCESS_KEY`.",
    ),
    (
        "objects.secret_key_file",
        "A file that holds the access key, in place of `objects.secret_key`.",
    ),
    (
        "objects.session_token",
        "What goes with a key that was lent for a time, never shown; default `AWS_SESSION_TOKEN`.",
    ),
    (
        "objects.allow_http",
        "Whether an `http://` endpoint is accepted: packages can be read on the way.",
    ),
    (
        "secrets.key",
        "Where the master key of the secrets is: `file:<path>` (made at the first start, for the server's user alone), `env:<variable>`, or a list of a program and its arguments that writes it to its standard output.",
    ),
    (
        "rules.aes_key",
        "Where the key is that sinks with `encryption` use: `file:<path>` or `env:<variable>`; 16 or 32 bytes in base64, as eKuiper's `aesKey`. Without it such rules are refused.",
    ),
    ("packages.max_size", "Largest package as it comes in."),
    (
        "packages.fetch_timeout",
        "How long fetching a package from an address may take.",
    ),
    (
        "packages.allow_private_urls",
        "Whether packages may be fetched from private, loopback and link-local addresses.",
    ),
    (
        "packages.keep_versions",
        "How many versions of a plugin stay besides the current and the previous one. What was handed in during the last ten minutes stays too, until it is installed.",
    ),
    (
        "portable.python_bin",
        "Interpreter of plugins in Python: a path, or a name to be found in `PATH`. Default: the first of `python3` and `python` that exists.",
    ),
    (
        "portable.init_timeout",
        "From the start of a process to its handshake.",
    ),
    (
        "portable.send_timeout",
        "One message to a sink, until the plugin has room for it.",
    ),
    (
        "portable.recv_timeout",
        "One call of a function, and one acknowledgement of a sink.",
    ),
    (
        "portable.command_timeout",
        "One command to start or stop a symbol.",
    ),
    (
        "portable.stop_grace",
        "How long a process, or a sink with work left, is given to end by itself.",
    ),
    ("portable.install_timeout", "`install.sh` of a package."),
    (
        "portable.restart.initial",
        "Pause before the first restart of a process that ended unasked; doubles with each.",
    ),
    ("portable.restart.max", "Longest pause before a restart."),
    (
        "portable.restart.reset_after",
        "After so much time without an exit the count of restarts begins anew.",
    ),
    (
        "portable.restart.attempts",
        "Restarts in a row before the plugin counts as failed.",
    ),
    (
        "portable.renew_go",
        "When the process of a Go plugin is replaced after one of its sinks was stopped, which its SDK needs: `unused` (as soon as no rule uses anything of it) or `at_once` (what rules use of it moves to the new process as in an upgrade).",
    ),
    (
        "portable.isolation",
        "How plugins are kept apart: `namespaces` (each process has a `/tmp` and processes of its own; nothing starts where the host permits none), `shared` (all share the machine's `/tmp`; for containers without namespaces), or `auto`: the first where the host permits it, else the second.",
    ),
    (
        "portable.pass_env",
        "Names of variables passed from the server's environment to plugins, besides `PATH`, `LANG`, `LC_*`, `TZ`, `PYTHONPATH`, `LD_LIBRARY_PATH` and `*_proxy`.",
    ),
    (
        "portable.limits.cpu",
        "Processor time of one plugin process and its children, in cores; `none` for no limit.",
    ),
    (
        "portable.limits.memory",
        "Memory of the same, in bytes; `none` for no limit.",
    ),
    (
        "portable.limits.pids",
        "Processes and threads of the same; `none` for no limit.",
    ),
    (
        "portable.limits.files",
        "Open files of each process; `none` for no limit.",
    ),
    (
        "portable.limits.disk",
        "Bytes in the directories it may write; watched every second; `none` for no limit.",
    ),
    (
        "portable.limits.log",
        "Bytes of output kept; `none` for no limit.",
    ),
    (
        "portable.max_message",
        "Longest message taken from a plugin, in bytes.",
    ),
    (
        "portable.external_files",
        "Whether the eKuiper-compatible routes may install from any file of this machine (`file:///…`); with `false` only from `uploads/`.",
    ),
    (
        "app.handler_timeout",
        "Seconds that the handler of a plugin has for one answer, 1 to 300.",
    ),
    (
        "app.private_handlers",
        "Whether handlers may be at addresses of this machine and its networks.",
    ),
    (
        "app.handler_answer",
        "Longest answer taken from a handler, in bytes.",
    ),
    (
        "app.pass_env",
        "Names of variables passed from the server's environment to handlers, besides `PATH`, `LANG`, `LC_*` and `TZ`.",
    ),
    (
        "app.limits.cpu",
        "Processor time of one handler and its children, in cores; `none` for no limit.",
    ),
    (
        "app.limits.memory",
        "Memory of the same, in bytes; `none` for no limit.",
    ),
    (
        "app.limits.pids",
        "Processes and threads of the same; `none` for no limit.",
    ),
    (
        "app.limits.files",
        "Open files of each process; `none` for no limit.",
    ),
    (
        "app.limits.disk",
        "Bytes in the directories it may write; watched every second; `none` for no limit.",
    ),
    (
        "app.limits.log",
        "Bytes of output kept; `none` for no limit.",
    ),
    (
        "app.permissions",
        "Permissions that are given when a plugin declares them; the security check reports others.",
    ),
    (
        "app.denied_names",
        "Names that no plugin may have; the security check reports them.",
    ),
    (
        "app.known_bad",
        "SHA-256 of files that are known to be malicious; the security check reports them.",
    ),
    (
        "web.allow_private_hosts",
        "Whether the health of web plugins may be asked for at addresses of this machine and its networks.",
    ),
    (
        "web.health_timeout",
        "How long one answer about a web plugin's health may take.",
    ),
    (
        "web.health_tries",
        "How often it is asked before it counts as failed, 1 to 10.",
    ),
    (
        "web.observation",
        "How long a new version of an enabled web plugin is watched before it stays.",
    ),
    (
        "web.package_hosts",
        "Hosts that packages of web plugins may be fetched from by their address; markets need not stand here.",
    ),
    (
        "web.package_limits.unpacked",
        "All files of a package of a web plugin together, unpacked; up to `64GiB`.",
    ),
    (
        "web.package_limits.entries",
        "Files and directories in it, up to 1000000.",
    ),
    (
        "web.package_limits.ratio",
        "Unpacked to packed bytes of a file above 1 MiB, and of all files together above 10 MiB; up to 10000.",
    ),
    (
        "web.package_limits.depth",
        "Parts of a path in it, up to 256.",
    ),
    (
        "web.package_limits.path_length",
        "Characters of a path in it, up to 1024.",
    ),
    (
        "web.status_file",
        "The file that tells the application which plugins to load; relative to the home directory.",
    ),
    (
        "web.core_version",
        "Version of the application, which `platform.core` of manifests is compared with. Without it nothing is compared.",
    ),
    (
        "web.viewer_key_file",
        "A file with the secret that the application signs viewers' tokens with (HS256), at least 32 bytes; relative to the home.",
    ),
    (
        "web.viewer_public_key",
        "The public half of the Ed25519 key that the application signs viewers' tokens with (EdDSA), in base64url.",
    ),
    (
        "web.market_timeout",
        "How long a market may take to answer what is asked of it.",
    ),
    (
        "web.download_timeout",
        "How long fetching a package from a market may take.",
    ),
    (
        "web.webhooks.allow_private",
        "Whether webhooks and other addresses of the application may be at addresses of this machine and its networks.",
    ),
    (
        "web.webhooks.timeout",
        "How long a delivery, a command word or a check of an identity may take.",
    ),
    (
        "web.webhooks.deadline",
        "How long a webhook has to say whether it refuses a change.",
    ),
    (
        "web.webhooks.max_attempts",
        "How often a delivery is tried before it is a dead letter, 1 to 100.",
    ),
    (
        "web.webhooks.first_wait",
        "The pause after the first attempt that failed; each further one doubles it.",
    ),
    (
        "web.webhooks.longest_wait",
        "The longest pause between two attempts.",
    ),
    (
        "web.webhooks.keep",
        "How long what was delivered stays in the list; dead letters stay four times as long.",
    ),
    (
        "web.hooks.directory",
        "Where the commands of the application run; relative to the home directory.",
    ),
    ("web.hooks.timeout", "How long each of them may take."),
    (
        "web.hooks.dependencies",
        "Resolves what the `composer.json` of plugins require: a list of a program and its arguments, as all of these. `{fskey}`, `{directory}`, `{version}`, `{from}`, `{mark}` and `{snapshot}` in a word are replaced; no shell is involved.",
    ),
    (
        "web.hooks.mark",
        "Says where a plugin's migrations stand: its last line of output is the mark.",
    ),
    ("web.hooks.migrate", "Runs a plugin's migrations."),
    ("web.hooks.seed", "Runs a plugin's seeds."),
    (
        "web.hooks.revert",
        "Takes a plugin's migrations above the mark back; all of them without a mark.",
    ),
    (
        "web.hooks.snapshot",
        "Writes a plugin's data to the file `{snapshot}`, before it is taken away.",
    ),
    ("web.hooks.restore", "Brings it back from there."),
    (
        "web.hooks.load",
        "Loads a plugin's entry points, to see whether they load.",
    ),
    ("web.hooks.unload", "Unloads a plugin."),
    (
        "web.hooks.pass_env",
        "Names of variables passed from the server's environment to these commands, besides `PATH`, `LANG`, `LC_*`, `HOME` and `TZ`.",
    ),
    (
        "audit.retention",
        "How long rows of the audit log are kept; `0` for ever.",
    ),
    ("log.format", "`text` or `json`, on standard error."),
    (
        "log.filter",
        "Least level, also by module: `info,plugyard_portable=debug`.",
    ),
];

/// The defaults as one value for each key.
pub(crate) fn defaults() -> Vec<(String, serde_json::Value)> {
    fn flatten(
        prefix: &str,
        value: serde_json::Value,
        into: &mut Vec<(String, serde_json::Value)>,
    ) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    let key = if prefix.is_empty() {
                        name
                    } else {
                        format!("{prefix}.{name}")
                    };
                    flatten(&key, value, into);
                }
            }
            other => into.push((prefix.to_owned(), other)),
        }
    }
    let mut all = Vec::new();
    let value = serde_json::to_value(Settings::default()).unwrap_or_default();
    flatten("", value, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_is_documented_and_every_documented_key_exists() {
        let listed: BTreeSet<String> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        let there: BTreeSet<String> = defaults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(listed, there);
    }

    #[test]
    fn defaults_read_back_as_themselves() {
        let written = serde_json::to_value(Settings::default()).unwrap();
        let read: Settings = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), written);
    }

    fn load_toml(text: &str, options: &Serve) -> Result<Settings, Problem> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("plugyard.toml"), text).unwrap();
        load(&Home::new(directory.path()), options)
    }

    const PLAIN: Serve = Serve {
        listen: None,
        auth: None,
        safe_mode: false,
    };

    #[test]
    fn a_misspelt_key_is_named() {
        let problem = load_toml("[server]\nlisen = \"127.0.0.1:1\"\n", &PLAIN).unwrap_err();
        assert_eq!(problem.code, codes::CONFIGURATION_INVALID);
        assert!(problem.to_string().contains("lisen"), "{problem}");
    }

    #[test]
    fn options_win_over_the_file() {
        let text = "[server]\nlisten = \"127.0.0.1:7\"\n[portable]\ninitTimeout = \"5m\"\n";
        let options = Serve {
            listen: Some("127.0.0.1:8".to_owned()),
            auth: None,
            safe_mode: false,
        };
        let settings = load_toml(text, &options).unwrap();
        assert_eq!(settings.server.listen.port(), 8);
        assert_eq!(settings.portable.init_timeout, Span::secs(300));
    }

    #[test]
    fn serving_without_sign_in_is_for_loopback_only() {
        let options = Serve {
            listen: Some("0.0.0.0:0".to_owned()),
            auth: Some(Auth::None),
            safe_mode: false,
        };
        let problem = load_toml("", &options).unwrap_err();
        assert_eq!(problem.code, codes::AUTH_NONE_NOT_LOOPBACK);
    }
}
