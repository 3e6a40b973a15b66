//! The `web` section of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use plugyard_model::parse_duration;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::package::PackageLimits;

/// The section `web` of the configuration. An unknown key is an error.
///
/// What belongs to the site and not to this machine stands in the table `web_settings`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSettings {
    /// Whether a plugin's health may be asked for at addresses of this machine and its networks. Default
    /// false.
    pub allow_private_hosts: bool,
    /// How long one answer about a plugin's health may take. Default 10 s.
    #[serde(with = "span")]
    pub health_timeout: Duration,
    /// How often it is asked before it counts as failed, 1 to 10. Default 3.
    pub health_tries: u8,
    /// How long a new version is watched before it stays. Default 30 s.
    #[serde(with = "span")]
    pub observation: Duration,
    /// Hosts that packages may be fetched from by their address, e.g. `plugins.example.net`. Default: none.
    /// Markets are added by `plugyard market add` and need not stand here.
    pub package_hosts: Vec<String>,
    /// How large packages may be.
    pub package_limits: PackageLimits,
    /// The file that tells the application which plugins to load; relative to the home. Default
    /// `plugins.json`.
    pub status_file: PathBuf,
    /// Version of the application, which a manifest's `platform.core` is compared with. Default: unknown,
    /// and nothing is compared.
    pub core_version: Option<semver::Version>,
    /// A file with the secret that the application signs viewers' tokens with (`HS256`), at least 32 bytes;
    /// relative to the home. Default: none, and such tokens are refused.
    pub viewer_key_file: Option<PathBuf>,
    /// The public half of the Ed25519 key that the application signs viewers' tokens with (`EdDSA`), in
    /// base64url. Default: none, and such tokens are refused.
    pub viewer_public_key: Option<String>,
    /// How long a document of a market, or an answer, may take. Default 30 s.
    #[serde(with = "span")]
    pub market_timeout: Duration,
    /// How long the download of a package from a market may take. Default 1 h.
    #[serde(with = "span")]
    pub download_timeout: Duration,
    /// Commands of the application.
    pub hooks: Hooks,
    /// Posts to webhooks and to other addresses of the application.
    pub webhooks: crate::webhooks::WebhookSettings,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            allow_private_hosts: false,
            health_timeout: Duration::from_secs(10),
            health_tries: 3,
            observation: Duration::from_secs(30),
            package_hosts: Vec::new(),
            package_limits: PackageLimits::default(),
            status_file: PathBuf::from("plugins.json"),
            core_version: None,
            viewer_key_file: None,
            viewer_public_key: None,
            market_timeout: Duration::from_secs(30),
            download_timeout: Duration::from_hours(1),
            hooks: Hooks::default(),
            webhooks: crate::webhooks::WebhookSettings::default(),
        }
    }
}

/// Programs of the application that do what only it can. Each is a list of words, the first one the program;
/// no shell is involved. `{fskey}`, `{directory}`, `{version}`, `{from}`, `{mark}` and `{snapshot}` in a word
/// are replaced; the same stand in the environment as `PLUGYARD_FSKEY` and so on. An empty list: there is
/// none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hooks {
    /// Where they run; relative to the home. Default: the home.
    pub directory: PathBuf,
    /// How long each may take. Default 900 s.
    #[serde(with = "span")]
    pub timeout: Duration,
    /// Resolves what the `composer.json` of plugins require.
    pub dependencies: Vec<String>,
    /// Says where the plugin's migrations stand: its last line of output is the mark.
    pub mark: Vec<String>,
    /// Runs the plugin's migrations.
    pub migrate: Vec<String>,
    /// Runs the plugin's seeds.
    pub seed: Vec<String>,
    /// Takes the plugin's migrations above the mark back; all of them without a mark.
    pub revert: Vec<String>,
    /// Writes the plugin's data to the file `{snapshot}`, before it is taken away.
    pub snapshot: Vec<String>,
    /// Brings it back from there.
    pub restore: Vec<String>,
    /// Loads the plugin's entry points, to see whether they load.
    pub load: Vec<String>,
    /// Unloads the plugin.
    pub unload: Vec<String>,
    /// Names of variables that are passed from the server's environment, beyond `PATH`, `LANG`, `LC_*`,
    /// `HOME` and `TZ`.
    pub pass_env: Vec<String>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            timeout: Duration::from_mins(15),
            dependencies: Vec::new(),
            mark: Vec::new(),
            migrate: Vec::new(),
            seed: Vec::new(),
            revert: Vec::new(),
            snapshot: Vec::new(),
            restore: Vec::new(),
            load: Vec::new(),
            unload: Vec::new(),
            pass_env: Vec::new(),
        }
    }
}

/// A span of time as a text (`1m30s`), or a number of milliseconds.
pub(crate) mod span {
    use super::{Deserialize, Deserializer, Duration, Serializer, parse_duration};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{}ms", span.as_millis()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Millis(u64),
            Text(String),
        }
        let text = match Written::deserialize(from)? {
            Written::Millis(millis) => millis.to_string(),
            Written::Text(text) => text,
        };
        parse_duration(&text).map_err(serde::de::Error::custom)
    }
}
