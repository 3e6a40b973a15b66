//! `token …`.

use plugyard_model::{ExitCode, Lang};
use reqwest::Method;
use serde_json::json;

use crate::cli::Token;
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{text_at, time_at};

pub(super) async fn run(
    command: &Token,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Token::List => {
            let (body, items) = client.list("/v1/tokens").await?;
            context.printer.list(
                &body,
                &items,
                |item| text_at(item, "/id"),
                &["ID", "NAME", "ROLES", "EXPIRES"],
                |item| {
                    let roles = item["roles"].as_array().into_iter().flatten();
                    let roles: Vec<&str> = roles.filter_map(serde_json::Value::as_str).collect();
                    vec![
                        text_at(item, "/id"),
                        text_at(item, "/name"),
                        roles.join(","),
                        time_at(item, "/expires_at"),
                    ]
                },
            );
        }
        Token::Create {
            name,
            roles,
            expires,
        } => {
            let mut body = json!({ "name": name, "roles": roles });
            if let Some(expires) = expires {
                let from_now = i64::try_from(expires.as_millis()).unwrap_or(i64::MAX);
                let at = jiff::Timestamp::now()
                    .as_millisecond()
                    .saturating_add(from_now);
                body["expires_at"] = at.into();
            }
            let request = client.request(Method::POST, "/v1/tokens").json(&body);
            let made = client.json(request).await?;
            context
                .printer
                .one(&made, &text_at(&made, "/id"), || text_at(&made, "/secret"));
        }
        Token::Revoke { id, sure } => {
            let what = match context.lang {
                Lang::En => format!("revoke the token {id}"),
                Lang::ZhCn => format!("吊销令牌 {id}"),
            };
            context.confirm(&what, *sure)?;
            let request = client.request(Method::DELETE, &format!("/v1/tokens/{}", segment(id)));
            client.json(request).await?;
        }
    }
    Ok(ExitCode::Done)
}
