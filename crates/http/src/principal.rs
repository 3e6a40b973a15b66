//! Who is asking.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use plugyard_model::rights::{Right, Role};
use plugyard_model::{PluginName, Problem, codes};

use crate::ProblemResponse;

/// Who is asking. Put into the request's extensions by the server's sign-in layer; a request
/// without one is anonymous.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// For people and the audit log: an account's name, `local`, `anonymous`, `plugin:{kind}:{key}`.
    pub name: String,
    /// What they are here.
    pub roles: Vec<Role>,
}

/// What the names of plugins' own processes begin with; no account's name has a colon.
const PLUGIN: &str = "plugin:";

impl Principal {
    /// A plugin's own process.
    pub fn of_plugin(plugin: &PluginName) -> Self {
        Self {
            name: format!("{PLUGIN}{plugin}"),
            roles: vec![Role::Plugin],
        }
    }

    /// The plugin, when it is one's own process that asks.
    pub fn plugin(&self) -> Option<PluginName> {
        let name = self.name.strip_prefix(PLUGIN)?;
        (self.roles == [Role::Plugin]).then(|| name.parse().ok())?
    }

    /// Whether any of the roles permits it.
    pub fn may(&self, right: Right) -> bool {
        right == Right::Public || self.roles.iter().any(|role| role.may(right))
    }
}

/// Extractor for handlers that need to know who asks, e.g. for the audit log.
///
/// Refuses an anonymous request with `not_signed_in`; on a route of [`Right::Public`] take
/// `Option<Extension<Principal>>` instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ProblemResponse> {
        parts
            .extensions
            .get::<Principal>()
            .cloned()
            .map(Self)
            .ok_or_else(|| Problem::new(codes::NOT_SIGNED_IN).into())
    }
}

/// Extractor for routes of [`Right::PluginSelf`]: the plugin that asks about itself.
///
/// Refuses whoever is no plugin with `not_permitted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPlugin(pub PluginName);

impl<S: Send + Sync> FromRequestParts<S> for OwnPlugin {
    type Rejection = ProblemResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ProblemResponse> {
        let Caller(who) = Caller::from_request_parts(parts, state).await?;
        who.plugin().map(Self).ok_or_else(|| {
            Problem::new(codes::NOT_PERMITTED)
                .with("right", Right::PluginSelf.as_str())
                .with("who", who.name)
                .into()
        })
    }
}
