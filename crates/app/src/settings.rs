//! The `app` section of the configuration.

use plugyard_sandbox::Limits;
use serde::{Deserialize, Serialize};

/// What plugins may declare that they need.
pub(crate) const PERMISSIONS: [&str; 5] = [
    "database",
    "environment",
    "filesystem",
    "network",
    "process",
];

/// The section `app` of the configuration. An unknown key is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppSettings {
    /// Seconds that a handler has for one answer, 1 to 300. Default 30.
    pub handler_timeout: u64,
    /// Whether handlers may be at addresses of this machine and its networks. Default false.
    pub private_handlers: bool,
    /// Bytes that a handler may answer with. Default 8 MiB.
    pub handler_answer: usize,
    /// Names of variables that are passed from the server's environment to handlers, beyond `PATH`,
    /// `LANG`, `LC_*` and `TZ`.
    pub pass_env: Vec<String>,
    /// What a handler's process may use.
    pub limits: Limits,
    /// Permissions that are given when a plugin declares them; the security check reports others.
    /// Default: all there are.
    pub permissions: Vec<String>,
    /// Names that no plugin may have here; the security check reports them.
    pub denied_names: Vec<String>,
    /// SHA-256 of files that are known to be malicious, in hexadecimal.
    pub known_bad: Vec<String>,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            handler_timeout: 30,
            private_handlers: false,
            handler_answer: 8 << 20,
            pass_env: Vec::new(),
            limits: Limits::default(),
            permissions: PERMISSIONS.map(str::to_owned).to_vec(),
            denied_names: Vec::new(),
            known_bad: Vec::new(),
        }
    }
}
