//! What every HTTP route of Plugyard shares: who is asking, what they may, how answers and problems look.
//!
//! Routes themselves live in the crates whose resources they serve; `plugyard-server` assembles them.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

use axum::http::Method;
use plugyard_model::rights::{Right, Role};

/// In whose words a route refuses and fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// Our own: `application/problem+json` (RFC 9457).
    Native,
    /// eKuiper's: `{"error":code,"message":"…"}` and a line end, as `text/plain`.
    Ekuiper,
}

/// The right that an operation needs. A route without an entry is refused to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRight {
    /// The method.
    pub method: Method,
    /// The path as a template of axum's, e.g. `/rules/{id}`.
    pub path: &'static str,
    /// What the caller must be permitted.
    pub right: Right,
    /// How a refusal looks.
    pub envelope: Envelope,
}

/// Who is asking. Put into the request's extensions by the server's sign-in layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// For people and the audit log: an account's name, `local`, `anonymous`, `plugin:{name}`.
    pub name: String,
    /// What they are here.
    pub roles: Vec<Role>,
}

impl Principal {
    /// Whether any of the roles permits it.
    pub fn may(&self, right: Right) -> bool {
        right == Right::Public || self.roles.iter().any(|role| role.may(right))
    }
}
