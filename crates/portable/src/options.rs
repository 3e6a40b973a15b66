//! What an operator sets for one installation.

use std::collections::BTreeMap;

use plugyard_sandbox::PartialLimits;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::settings::{RenewGo, Span};

/// What is set for one installation, beside what the section `portable` of the configuration says for
/// all. An unknown key is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortableOptions {
    /// Processes of the plugin that share the calls of its functions, 1 to [`Self::MAX_WORKERS`].
    /// Sources and sinks run in the first. Each process has a state of its own, so this is for
    /// functions whose result depends on nothing but their arguments. Default 1.
    pub workers: usize,
    /// Channels that each process has for one function, 1 to [`Self::MAX_CHANNELS`]; each carries one
    /// call at a time. Only the Python SDK opens more than one, each with a thread of its own that uses
    /// the same function object. Default 1.
    pub function_channels: usize,
    /// Messages that a sink with `requireAck` may have been sent before their acknowledgements have
    /// come, 1 to [`Self::MAX_ACKS_UNDER_WAY`]; acknowledgements belong to messages in order
    /// (HOST-27). Default 1: each message waits for the acknowledgement of the one before.
    pub acks_under_way: usize,
    /// One call of a function, where it shall not be what `portable.recv_timeout` says (HOST-32).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_timeout: Option<Span>,
    /// The same for single functions, by name (HOST-32).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub call_timeouts: BTreeMap<String, Span>,
    /// One command to start a source, sink or function, where it shall not be what
    /// `portable.command_timeout` says: for what has to reach something slow before it is ready (HOST-12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<Span>,
    /// The same for single sources, sinks and functions, by name (HOST-12).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub start_timeouts: BTreeMap<String, Span>,
    /// When the process of a Go plugin is replaced after one of its sinks was stopped, where it shall not be
    /// what `portable.renew_go` says (HOST-29).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_go: Option<RenewGo>,
    /// What its processes may use, where it shall not be what `portable.limits` says. May be more.
    #[serde(skip_serializing_if = "PartialLimits::is_empty")]
    pub limits: PartialLimits,
    /// Variables of its processes and of its `install.sh`, beyond what every plugin gets. They are
    /// shown to whoever may see the plugin, so they are no place for secrets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The arguments of `install.sh`.
    #[serde(rename = "shellParas", skip_serializing_if = "Vec::is_empty")]
    pub shell_paras: Vec<String>,
}

/// An option that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OptionError {
    /// Its name, as far down as it is known.
    pub(crate) option: String,
    pub(crate) reason: String,
}

/// The options of which the files of a version depend; others change nothing but its processes.
const SHAPING: [&str; 2] = ["env", "shellParas"];

/// Variables that a plugin is told about itself with.
const OWN_PREFIX: &str = "PLUGYARD_";

impl PortableOptions {
    /// Most processes of one plugin.
    pub const MAX_WORKERS: usize = 64;
    /// Most channels of one function in one process.
    pub const MAX_CHANNELS: usize = 16;
    /// Most messages of one sink whose acknowledgements have not come.
    pub const MAX_ACKS_UNDER_WAY: usize = 1024;

    /// The names of all options.
    pub const NAMES: [&str; 11] = [
        "acks_under_way",
        "call_timeout",
        "call_timeouts",
        "env",
        "function_channels",
        "limits",
        "renew_go",
        "shellParas",
        "start_timeout",
        "start_timeouts",
        "workers",
    ];

    /// Reads the options of a version.
    ///
    /// # Errors
    /// Which option cannot be, and why.
    pub(crate) fn read(options: &Json) -> Result<Self, OptionError> {
        let wrong = |option: &str, reason: String| OptionError {
            option: option.to_owned(),
            reason,
        };
        let given = match options {
            Json::Null => &Map::new(),
            Json::Object(given) => given,
            _ => return Err(wrong("options", "they are an object".to_owned())),
        };
        // One by one, so that the error can say which.
        for (name, value) in given {
            if !Self::NAMES.contains(&name.as_str()) {
                let known = Self::NAMES.join(", ");
                return Err(wrong(
                    name,
                    format!("there is no such option; known are {known}"),
                ));
            }
            let alone = Json::Object([(name.clone(), value.clone())].into_iter().collect());
            if let Err(error) = serde_json::from_value::<Self>(alone) {
                return Err(wrong(name, error.to_string()));
            }
        }
        let read: Self = serde_json::from_value(Json::Object(given.clone()))
            .map_err(|error| wrong("options", error.to_string()))?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), OptionError> {
        let wrong = |option: String, reason: String| Err(OptionError { option, reason });
        for (name, value, most) in [
            ("workers", self.workers, Self::MAX_WORKERS),
            (
                "function_channels",
                self.function_channels,
                Self::MAX_CHANNELS,
            ),
            (
                "acks_under_way",
                self.acks_under_way,
                Self::MAX_ACKS_UNDER_WAY,
            ),
        ] {
            if !(1..=most).contains(&value) {
                return wrong(name.to_owned(), format!("it is between 1 and {most}"));
            }
        }
        if let Some((limit, least)) = self.limits.unusable() {
            return wrong(format!("limits.{limit}"), format!("it is {least}"));
        }
        for (option, all, single) in [
            ("call_timeout", self.call_timeout, &self.call_timeouts),
            ("start_timeout", self.start_timeout, &self.start_timeouts),
        ] {
            let single = single
                .iter()
                .map(|(name, span)| (format!("{option}s.{name}"), *span));
            let all = all.map(|span| (option.to_owned(), span));
            for (name, span) in all.into_iter().chain(single) {
                if span.0.is_zero() {
                    return wrong(name, "it is longer than nothing".to_owned());
                }
            }
        }
        for (name, value) in &self.env {
            let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let is_name =
                name.bytes().all(letters) && !name.starts_with(|c: char| c.is_ascii_digit());
            if name.is_empty() || !is_name {
                return wrong(
                    format!("env.{name}"),
                    "a variable is named with letters, digits and `_`, and begins with no digit"
                        .to_owned(),
                );
            }
            if name.starts_with(OWN_PREFIX) || name == "HOME" {
                return wrong(format!("env.{name}"), "it is set by Plugyard".to_owned());
            }
            if value.contains('\0') {
                return wrong(format!("env.{name}"), "it has a zero byte".to_owned());
            }
        }
        Ok(())
    }

    /// Those of a version's options that its files depend on.
    pub(crate) fn shaping(options: &Json) -> BTreeMap<&String, &Json> {
        options
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| SHAPING.contains(&name.as_str()))
            .collect()
    }
}

impl Default for PortableOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            function_channels: 1,
            acks_under_way: 1,
            call_timeout: None,
            call_timeouts: BTreeMap::new(),
            start_timeout: None,
            start_timeouts: BTreeMap::new(),
            renew_go: None,
            limits: PartialLimits::default(),
            env: BTreeMap::new(),
            shell_paras: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_words_are_understood() {
        let options = PortableOptions::read(&json!({
            "workers": 3,
            "function_channels": 2,
            "acks_under_way": 8,
            "call_timeout": "1m",
            "call_timeouts": {"slow": 90_000},
            "start_timeout": "30s",
            "start_timeouts": {"far": "2m"},
            "renew_go": "at_once",
            "limits": {"memory": "256MiB", "cpu": 0.5, "pids": "none"},
            "env": {"MODE": "fast"},
            "shellParas": ["a"],
        }))
        .unwrap();
        assert_eq!((options.workers, options.acks_under_way), (3, 8));
        assert_eq!(options.call_timeout, Some(Span::secs(60)));
        assert_eq!(options.call_timeouts["slow"], Span::secs(90));
        assert_eq!(options.start_timeout, Some(Span::secs(30)));
        assert_eq!(options.start_timeouts["far"], Span::secs(120));
        assert_eq!(options.renew_go, Some(RenewGo::AtOnce));
        assert_eq!(options.limits.memory, Some(Some(256 << 20)));
        assert_eq!(options.limits.pids, Some(None));
        assert_eq!(options.env["MODE"], "fast");
        assert_eq!(options.shell_paras, ["a"]);
        let written = serde_json::to_value(&options).unwrap();
        assert_eq!(PortableOptions::read(&written), Ok(options));
        let names: Vec<_> = written.as_object().unwrap().keys().cloned().collect();
        assert!(
            PortableOptions::NAMES
                .iter()
                .all(|name| names.iter().any(|it| it == name))
        );
        assert_eq!(
            PortableOptions::read(&json!({})),
            Ok(PortableOptions::default())
        );
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (options, option) in [
            (json!([]), "options"),
            (json!({"worker": 1}), "worker"),
            (json!({"workers": 0}), "workers"),
            (json!({"workers": 65}), "workers"),
            (json!({"workers": "many"}), "workers"),
            (json!({"limits": {"ram": 1}}), "limits"),
            (json!({"limits": {"memory": "little"}}), "limits"),
            (json!({"limits": {"memory": 1}}), "limits.memory"),
            (json!({"call_timeout": 0}), "call_timeout"),
            (json!({"call_timeouts": {"f": "0s"}}), "call_timeouts.f"),
            (json!({"start_timeout": 0}), "start_timeout"),
            (json!({"start_timeouts": {"s": "0s"}}), "start_timeouts.s"),
            (json!({"renew_go": "never"}), "renew_go"),
            (json!({"env": {"1A": "x"}}), "env.1A"),
            (json!({"env": {"A=B": "x"}}), "env.A=B"),
            (json!({"env": {"HOME": "/"}}), "env.HOME"),
            (
                json!({"env": {"PLUGYARD_TOKEN": "x"}}),
                "env.PLUGYARD_TOKEN",
            ),
            (json!({"env": {"A": "\u{0}"}}), "env.A"),
            (json!({"env": {"A": 5}}), "env"),
            (json!({"shellParas": "x"}), "shellParas"),
        ] {
            let error = PortableOptions::read(&options).unwrap_err();
            assert_eq!(error.option, option, "{options}");
            assert!(!error.reason.is_empty());
        }
    }
}
