//! A handler at an address.

use bytes::BytesMut;
use futures::StreamExt as _;
use plugyard_platform::intake::{leads_inside, outbound};
use serde_json::Value as Json;

use super::{HandlerError, Question};
use crate::settings::AppSettings;

/// Asks by POST. The plugin's values do not go along: who answers there reads them with a token of its own.
pub(super) async fn ask(
    url: &str,
    settings: &AppSettings,
    mut question: Question,
) -> Result<Question, HandlerError> {
    let failed = |reason: String| HandlerError::Failed(reason);
    question.insert("id".to_owned(), 1.into());
    let (client, url) = outbound(url, settings.private_handlers)
        .map_err(|problem| failed(problem.detail(plugyard_model::Lang::En)))?;
    let answer = client
        .post(url)
        .json(&question)
        .send()
        .await
        .map_err(|error| {
            failed(if leads_inside(&error) {
                "its address lies inside the server's own network".to_owned()
            } else {
                cause(&error)
            })
        })?;
    if !answer.status().is_success() {
        return Err(failed(format!("its address answered {}", answer.status())));
    }
    let (mut body, mut chunks) = (BytesMut::new(), answer.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| failed(cause(&error)))?;
        if body.len() + chunk.len() > settings.handler_answer {
            return Err(failed("its answer is too large".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    match serde_json::from_slice(&body) {
        Ok(Json::Object(answer)) => Ok(answer),
        _ => Err(failed("its answer is no JSON object".to_owned())),
    }
}

/// The innermost cause. The address is not repeated: it may hold a password.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
