//! The `portable` section of the configuration.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How long, written as an integer (milliseconds) or as a Go duration such as `1m30s`: eKuiper's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}ms", self.0.as_millis()))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Millis(u64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Millis(millis) => millis.to_string(),
            Written::Text(text) => text,
        };
        plugyard_model::parse_duration(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// The section `portable` of the configuration. An unknown key is an error.
///
/// The keys of eKuiper's section of the same name are understood in its spelling too: `pythonBin`,
/// `initTimeout`, `sendTimeout`, `recvTimeout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortableSettings {
    /// Interpreter of Python plugins: a path, or a name to be found in `PATH`. Default: the first of
    /// `python3` and `python` that exists.
    #[serde(alias = "pythonBin", alias = "pythonbin")]
    pub python_bin: Option<String>,
    /// From the start of a process to its handshake. Default 60 s.
    #[serde(alias = "initTimeout", alias = "inittimeout")]
    pub init_timeout: Span,
    /// One message to a sink, until the plugin's side has room for it. Default 5 s.
    #[serde(alias = "sendTimeout", alias = "sendtimeout")]
    pub send_timeout: Span,
    /// One call of a function, and one acknowledgement of a sink. Default 5 s.
    #[serde(alias = "recvTimeout", alias = "recvtimeout")]
    pub recv_timeout: Span,
    /// One command to start or stop a symbol (HOST-12). Default 10 s.
    pub command_timeout: Span,
    /// How long a process, or a sink with work left, is given to end by itself. Default 2 s.
    pub stop_grace: Span,
    /// `install.sh` of a package. Default 5 min.
    pub install_timeout: Span,
    /// When an ended process is started again.
    pub restart: RestartSettings,
    /// When the process of a Go plugin is replaced after one of its sinks was stopped (HOST-29). Default
    /// `unused`.
    pub renew_go: RenewGo,
    /// How plugins are kept apart from each other and from the machine. Default `auto`.
    pub isolation: IsolationMode,
    /// Names of variables that are passed from the server's environment to every plugin, beyond
    /// `PATH`, `LANG`, `LC_*`, `TZ`, `PYTHONPATH`, `LD_LIBRARY_PATH` and `*_proxy`.
    pub pass_env: Vec<String>,
    /// What every plugin process may use.
    pub limits: plugyard_sandbox::Limits,
    /// Longest message taken from a plugin, in bytes. Default 64 MiB.
    pub max_message: usize,
    /// Whether the eKuiper-compatible routes may install from any file of this machine
    /// (`file:///…`), as eKuiper ships. Only for callers with the right `admin`, because it reads the
    /// server's disk; others, and all with false, may name files below `uploads/`. Default true.
    pub external_files: bool,
}

impl Default for PortableSettings {
    fn default() -> Self {
        Self {
            python_bin: None,
            init_timeout: Span::secs(60),
            send_timeout: Span::secs(5),
            recv_timeout: Span::secs(5),
            command_timeout: Span::secs(10),
            stop_grace: Span::secs(2),
            install_timeout: Span::secs(300),
            restart: RestartSettings::default(),
            renew_go: RenewGo::default(),
            isolation: IsolationMode::default(),
            pass_env: Vec::new(),
            limits: plugyard_sandbox::Limits::default(),
            max_message: 64 * 1024 * 1024,
            external_files: true,
        }
    }
}

/// How plugins are kept apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IsolationMode {
    /// As with `namespaces` where the host permits them, else as with `shared`.
    #[default]
    Auto,
    /// Each process has a `/tmp`, processes and files of its own. Where the host does not permit that,
    /// nothing is started.
    Namespaces,
    /// All share the machine's `/tmp`, where the sockets of the SDKs are, and see its processes; files are
    /// kept from them by Landlock alone. For containers that forbid namespaces.
    Shared,
}

/// When the process of a Go plugin is replaced after one of its sinks was stopped: from then on the SDK spins
/// on the closed socket and keeps most of a processor busy (HOST-29).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenewGo {
    /// As soon as no rule uses anything of it.
    #[default]
    Unused,
    /// At once. What rules use of it moves to the new process as in an upgrade.
    AtOnce,
}

/// When a process that ended without being asked to is started again (HOST-11).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartSettings {
    /// Wait before the first restart; doubles with each. Default 100 ms.
    pub initial: Span,
    /// Longest wait. Default 30 s.
    pub max: Span,
    /// After so much time without an exit the count begins anew. Default 60 s.
    pub reset_after: Span,
    /// Restarts in a row before the plugin counts as failed. Default 10.
    pub attempts: u32,
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self {
            initial: Span::millis(100),
            max: Span::secs(30),
            reset_after: Span::secs(60),
            attempts: 10,
        }
    }
}

impl RestartSettings {
    /// The wait before restart number `attempt` (from 0), or `None` when the budget is used up.
    pub fn wait(&self, attempt: u32) -> Option<Duration> {
        (attempt < self.attempts).then(|| self.pause(attempt))
    }

    /// The same where nothing is ever given up.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        self.initial
            .0
            .saturating_mul(2_u32.saturating_pow(attempt.min(30)))
            .min(self.max.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_milliseconds_or_go_texts_and_ekuiper_spelling_is_understood() {
        let settings: PortableSettings = serde_json::from_str(
            r#"{"initTimeout":"1m30s","recv_timeout":250,"restart":{"reset_after":"5s"}}"#,
        )
        .unwrap();
        assert_eq!(settings.init_timeout, Span::secs(90));
        assert_eq!(settings.recv_timeout, Span::millis(250));
        assert_eq!(settings.restart.reset_after, Span::secs(5));
        assert_eq!(settings.restart.attempts, 10);
        assert_eq!(settings.isolation, IsolationMode::Auto);
        for (word, mode) in [
            ("namespaces", IsolationMode::Namespaces),
            ("shared", IsolationMode::Shared),
        ] {
            let text = format!(r#"{{"isolation":"{word}"}}"#);
            let settings: PortableSettings = serde_json::from_str(&text).unwrap();
            assert_eq!(settings.isolation, mode);
        }
        assert!(serde_json::from_str::<PortableSettings>(r#"{"isolation":"none"}"#).is_err());
        assert_eq!(settings.renew_go, RenewGo::Unused);
        let at_once: PortableSettings = serde_json::from_str(r#"{"renew_go":"at_once"}"#).unwrap();
        assert_eq!(at_once.renew_go, RenewGo::AtOnce);
        let written = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<PortableSettings>(&written).unwrap(),
            settings
        );
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(serde_json::from_str::<PortableSettings>(r#"{"pythonbim":"x"}"#).is_err());
    }

    #[test]
    fn host_11_waits_double_up_to_the_cap_and_end_with_the_budget() {
        let restart = RestartSettings::default();
        let waits: Vec<_> = (0..11)
            .map(|n| restart.wait(n).map(|w| w.as_millis()))
            .collect();
        assert_eq!(waits[..3], [Some(100), Some(200), Some(400)]);
        assert_eq!(waits[9], Some(30_000));
        assert_eq!(waits[10], None);
    }
}
