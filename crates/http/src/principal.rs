//! Who is asking.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use plugyard_model::rights::{Right, Role};
use plugyard_model::{Problem, codes};

use crate::ProblemResponse;

/// Who is asking. Put into the request's extensions by the server's sign-in layer; a request
/// without one is anonymous.
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
