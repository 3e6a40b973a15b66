//! `ETag` and `If-Match`: editing without losing what others wrote meanwhile.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponseParts, ResponseParts};
use plugyard_model::{Digest, Problem, codes};
use sha2::{Digest as _, Sha256};

/// A strong entity tag: equal tags, equal state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of a state, from whatever identifies it.
    pub fn of(state: impl AsRef<[u8]>) -> Self {
        let digest = Digest::from_bytes(Sha256::digest(state.as_ref()).into());
        Self(format!("\"{}\"", digest.short()))
    }
}

impl IntoResponseParts for ETag {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        let value = HeaderValue::from_str(&self.0).expect("a tag is hexadecimal digits in quotes");
        parts.headers_mut().insert(header::ETAG, value);
        Ok(parts)
    }
}

/// The tags a client holds; without the header every state will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Option<String>);

impl IfMatch {
    /// Whether the header was sent, so that the current state has to be read at all.
    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// Refuses when the client holds another state than the current one.
    ///
    /// # Errors
    /// `precondition_failed`.
    pub fn check(&self, current: &ETag) -> Result<(), Problem> {
        match &self.0 {
            // Weak tags never match here (RFC 9110, 13.1.1).
            Some(wanted)
                if wanted.trim() != "*"
                    && !wanted.split(',').any(|tag| tag.trim() == current.0) =>
            {
                Err(Problem::new(codes::PRECONDITION_FAILED))
            }
            _ => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut tags = parts.headers.get_all(header::IF_MATCH).iter().peekable();
        if tags.peek().is_none() {
            return Ok(Self(None));
        }
        let tags: Vec<_> = tags.map(|value| value.to_str().unwrap_or("")).collect();
        Ok(Self(Some(tags.join(","))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_state_the_client_saw_may_be_changed() {
        let (old, new) = (ETag::of("old"), ETag::of("new"));
        assert_ne!(old, new);
        let holding = |text: &str| IfMatch(Some(text.to_owned()));
        assert!(holding(&old.0).check(&old).is_ok());
        assert!(holding(&format!("\"x\", {}", old.0)).check(&old).is_ok());
        assert!(holding("*").check(&old).is_ok());
        assert!(IfMatch(None).check(&old).is_ok());
        assert!(holding(&old.0).check(&new).is_err());
        assert!(holding(&format!("W/{}", old.0)).check(&old).is_err());
        assert!(holding("").check(&old).is_err());
    }
}
