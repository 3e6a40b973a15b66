//! `token …`.

use plugyard_model::{ExitCode, Lang};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::cli::Token;
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::commands::user::words_at;
use crate::failure::Failure;
use crate::output::{self, text_at, time_at};

pub(super) async fn run(
    command: &Token,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Token::List { plugins: true, .. } => {
            let body = client.get("/v1/tokens?plugins=true").await?;
            let items = match body.get("plugins") {
                Some(Json::Array(items)) => items.clone(),
                _ => Vec::new(),
            };
            let id = |item: &Json| text_at(item, "/id");
            let headings = &["ID", "PLUGIN", "CREATED"];
            context.printer.list(&body, &items, id, headings, |item| {
                vec![
                    text_at(item, "/id"),
                    text_at(item, "/plugin"),
                    time_at(item, "/created_at"),
                ]
            });
        }
        Token::List { user, .. } => {
            let path = match user {
                Some(user) => format!("/v1/tokens?account={}", segment(user)),
                None => "/v1/tokens".to_owned(),
            };
            let (body, items) = client.list(&path).await?;
            context
                .printer
                .list(&body, &items, |item| text_at(item, "/id"), HEADINGS, row);
        }
        Token::Create {
            name,
            user,
            roles,
            expires,
        } => {
            let mut body = json!({ "name": name, "roles": roles, "account": user });
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

const HEADINGS: &[&str] = &["ID", "NAME", "USER", "ROLES", "EXPIRES", "LAST USED"];

fn row(item: &Json) -> Vec<String> {
    vec![
        text_at(item, "/id"),
        text_at(item, "/name"),
        text_at(item, "/account_name"),
        words_at(item, "roles"),
        time_at(item, "/expires_at"),
        time_at(item, "/last_used_at"),
    ]
}

/// Tokens for people.
pub(super) fn table(tokens: &[Json], lang: Lang) -> String {
    output::table(lang, HEADINGS, tokens.iter().map(row).collect())
}
