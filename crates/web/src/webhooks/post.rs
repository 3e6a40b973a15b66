//! One signed post to an address that an operator configured.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use plugyard_model::Lang;
use plugyard_platform::intake::{leads_inside, outbound};
use plugyard_store::SecretText;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::sign::sign;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 1 << 20;

/// What to send, and where.
pub(crate) struct Post<'a> {
    pub(crate) url: &'a str,
    /// Whether the address may be inside the server's own network.
    pub(crate) allow_private: bool,
    pub(crate) secret: &'a SecretText,
    /// The same whenever the same thing is sent again.
    pub(crate) id: &'a str,
    /// JSON.
    pub(crate) body: &'a [u8],
    /// How long the whole of it may take.
    pub(crate) limit: Duration,
    /// Milliseconds since 1970 (UTC).
    pub(crate) now: i64,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Its body as JSON.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PostError {
    /// The address is none that may be asked.
    #[error("{0}")]
    Refused(String),
    /// Nobody answers there.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("its answer has more than {MAX_ANSWER} bytes")]
    TooLarge,
}

/// Sends it once. Redirects are not followed.
pub(crate) async fn post(post: &Post<'_>) -> Result<Answer, PostError> {
    tokio::time::timeout(post.limit, send(post))
        .await
        .unwrap_or(Err(PostError::TimedOut(post.limit)))
}

async fn send(post: &Post<'_>) -> Result<Answer, PostError> {
    let (client, url) = outbound(post.url, post.allow_private)
        .map_err(|problem| PostError::Refused(problem.detail(Lang::En)))?;
    let seconds = post.now.div_euclid(1000);
    let answer = client
        .post(url)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header("webhook-id", post.id)
        .header("webhook-timestamp", seconds)
        .header(
            "webhook-signature",
            sign(post.secret, post.id, seconds, post.body),
        )
        .body(post.body.to_vec())
        .send()
        .await
        .map_err(failed)?;
    let status = answer.status().as_u16();
    let (mut body, mut chunks) = (BytesMut::new(), answer.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(failed)?;
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(PostError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        body: body.freeze(),
    })
}

fn failed(error: reqwest::Error) -> PostError {
    if leads_inside(&error) {
        return PostError::Refused("its address lies inside the server's own network".to_owned());
    }
    // The innermost cause; the address is not repeated, it may hold a password.
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    PostError::Unreachable(innermost.to_string())
}
