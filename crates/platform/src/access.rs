//! Tokens of plugins' own processes.
//!
//! Each process gets one when it starts, with the address of the server, and loses it when it ends. They
//! are in memory only, as hashes: a server that starts again knows none of those it gave out before, and
//! there is nothing to tidy up after a crash.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use plugyard_http::Principal;
use plugyard_model::{PluginName, TokenId, VersionId};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Clock;
use crate::sessions::SignedIn;
use crate::tokens::{hash, random_secret, written};

/// Where processes of plugins find the server.
const API: &str = "PLUGYARD_API";
/// What they sign in with there.
const TOKEN: &str = "PLUGYARD_TOKEN";

/// Gives tokens to plugins' processes. Cheap to clone; all clones are the same.
///
/// Made before the platform, because kinds that start processes are too.
#[derive(Clone, Default)]
pub struct PluginAccess(Arc<Mutex<Desk>>);

#[derive(Default)]
struct Desk {
    api: Option<String>,
    given: HashMap<Uuid, Given>,
}

struct Given {
    plugin: PluginName,
    version: VersionId,
    hash: String,
    created_at: i64,
    ended: CancellationToken,
}

/// What is known of a plugin's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginToken {
    /// Its id.
    pub id: TokenId,
    /// Whose.
    pub plugin: PluginName,
    /// When the process was started, in milliseconds since 1970 (UTC).
    pub created_at: i64,
}

impl PluginAccess {
    /// Says where the server listens: from now on processes get tokens. An address that stands for all
    /// addresses is told as this machine's own.
    pub fn serve_at(&self, address: SocketAddr) {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let address = SocketAddr::new(ip, address.port());
        self.0.lock().api = Some(format!("http://{address}"));
    }

    /// A token for one process of a version of a plugin; `None` while the server listens nowhere a plugin
    /// could go.
    pub fn admit(&self, plugin: &PluginName, version: VersionId) -> Option<Pass> {
        let mut desk = self.0.lock();
        let api = desk.api.clone()?;
        let (id, secret) = (Uuid::now_v7(), random_secret());
        let given = Given {
            plugin: plugin.clone(),
            version,
            hash: hash(&secret),
            created_at: Clock::system().now(),
            ended: CancellationToken::new(),
        };
        desk.given.insert(id, given);
        Some(Pass {
            access: self.clone(),
            id,
            api,
            token: written(id, &secret),
        })
    }

    /// The version that the process with this token is of; `None` for one that is worth nothing.
    pub fn version_of(&self, token: TokenId) -> Option<VersionId> {
        let desk = self.0.lock();
        desk.given.get(&token.0).map(|given| given.version)
    }

    /// The tokens that are worth something, oldest first.
    pub fn list(&self) -> Vec<PluginToken> {
        let desk = self.0.lock();
        let tokens = desk.given.iter().map(|(id, given)| PluginToken {
            id: TokenId(*id),
            plugin: given.plugin.clone(),
            created_at: given.created_at,
        });
        let mut tokens: Vec<_> = tokens.collect();
        tokens.sort_by_key(|token| token.id.0);
        tokens
    }

    /// Takes one token's worth away; whether it had any.
    pub(crate) fn revoke(&self, id: Uuid) -> bool {
        let given = self.0.lock().given.remove(&id);
        given.map(|given| given.ended.cancel()).is_some()
    }

    /// Takes the worth of all of a plugin's tokens away.
    pub(crate) fn forget(&self, plugin: &PluginName) {
        self.0.lock().given.retain(|_, given| {
            let stays = given.plugin != *plugin;
            if !stays {
                given.ended.cancel();
            }
            stays
        });
    }

    /// The plugin behind a token; `None` for one that was not given out here, or is worth nothing.
    pub(crate) fn sign_in(&self, id: Uuid, secret: &SecretString) -> Option<SignedIn> {
        let desk = self.0.lock();
        let given = desk.given.get(&id)?;
        let same: bool = hash(secret).as_bytes().ct_eq(given.hash.as_bytes()).into();
        same.then(|| SignedIn {
            principal: Principal::of_plugin(&given.plugin),
            token: TokenId(id),
            ended: given.ended.clone(),
            expires_in: None,
        })
    }
}

impl fmt::Debug for PluginAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let desk = self.0.lock();
        f.debug_struct("PluginAccess")
            .field("api", &desk.api)
            .field("given", &desk.given.len())
            .finish()
    }
}

/// The token of one process. Dropping it takes its worth away, so it lives as long as the process.
pub struct Pass {
    access: PluginAccess,
    id: Uuid,
    api: String,
    token: SecretString,
}

impl Pass {
    /// What the process is to have in its environment.
    pub fn environment(&self) -> [(OsString, OsString); 2] {
        [
            (API.into(), self.api.clone().into()),
            (TOKEN.into(), self.token.expose_secret().into()),
        ]
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.access.revoke(self.id);
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::split;

    fn version() -> VersionId {
        VersionId(Uuid::from_u128(7))
    }

    fn text(pass: &Pass) -> String {
        let [_, (_, token)] = pass.environment();
        token.into_string().unwrap()
    }

    fn enters(access: &PluginAccess, text: &str) -> Option<SignedIn> {
        let (id, secret) = split(text)?;
        access.sign_in(id, &secret)
    }

    #[test]
    fn a_token_is_worth_something_as_long_as_its_process_lives() {
        let access = PluginAccess::default();
        let plugin: PluginName = "portable:a".parse().unwrap();
        assert!(
            access.admit(&plugin, version()).is_none(),
            "there is no server yet"
        );
        access.serve_at("0.0.0.0:9081".parse().unwrap());
        let pass = access.admit(&plugin, version()).unwrap();
        assert_eq!(pass.environment()[0].1, "http://127.0.0.1:9081");
        let text = text(&pass);
        let signed_in = enters(&access, &text).unwrap();
        assert_eq!(signed_in.principal.plugin(), Some(plugin.clone()));
        assert_eq!(access.version_of(signed_in.token), Some(version()));
        assert!(enters(&access, &text.replace("plugyard_0", "plugyard_1")).is_none());
        let other = PluginAccess::default();
        assert!(enters(&other, &text).is_none(), "another server");
        drop(pass);
        assert!(signed_in.ended.is_cancelled());
        assert!(enters(&access, &text).is_none());
        assert!(access.version_of(signed_in.token).is_none());
        assert!(access.list().is_empty());
    }

    #[test]
    fn an_uninstalled_plugin_has_no_token_left_and_others_keep_theirs() {
        let access = PluginAccess::default();
        access.serve_at("[::]:1".parse().unwrap());
        let [a, b] = ["portable:a", "portable:b"].map(|name| name.parse::<PluginName>().unwrap());
        let passes = [&a, &a, &b].map(|plugin| access.admit(plugin, version()).unwrap());
        access.forget(&a);
        assert!(enters(&access, &text(&passes[0])).is_none());
        assert!(enters(&access, &text(&passes[1])).is_none());
        assert!(enters(&access, &text(&passes[2])).is_some());
        assert_eq!(passes[2].environment()[0].1, "http://[::1]:1");
    }

    #[test]
    fn nothing_shows_the_secret() {
        let access = PluginAccess::default();
        access.serve_at("127.0.0.1:1".parse().unwrap());
        let pass = access
            .admit(&"portable:a".parse().unwrap(), version())
            .unwrap();
        let secret = text(&pass).rsplit('_').next().unwrap().to_owned();
        assert!(!format!("{access:?}{pass:?}{:?}", access.list()).contains(&secret));
    }
}
