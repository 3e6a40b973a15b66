//! `user …`.

use plugyard_model::{ExitCode, Lang};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::cli::{Sure, User};
use crate::client::{Client, segment};
use crate::commands::{Context, token};
use crate::failure::Failure;
use crate::output::{text_at, time_at};
use crate::words::word;

pub(super) async fn run(
    command: &User,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        User::List => {
            let (body, items) = client.list("/v1/accounts").await?;
            context.printer.list(
                &body,
                &items,
                |item| text_at(item, "/name"),
                &["NAME", "ROLES", "STATE", "CREATED"],
                |item| {
                    vec![
                        text_at(item, "/name"),
                        words_at(item, "roles"),
                        state(item, context.lang).to_owned(),
                        time_at(item, "/created_at"),
                    ]
                },
            );
        }
        User::Show { name } => {
            let account = client.get(&path(name)).await?;
            let tokens = format!("/v1/tokens?account={}", segment(name));
            // Who may see accounts may see tokens.
            let (_, tokens) = client.list(&tokens).await?;
            context.printer.one(&account, name, || {
                let lang = context.lang;
                let (roles, state) = (words_at(&account, "roles"), state(&account, lang));
                let tokens = token::table(&tokens, lang);
                format!("{name}: {roles} {state}\n\n{tokens}")
            });
        }
        User::Create { name, roles } => {
            let body = json!({ "name": name, "roles": roles });
            let request = client.request(Method::POST, "/v1/accounts").json(&body);
            print(&client.json(request).await?, context);
        }
        User::Role { name, roles } => {
            change(name, &json!({ "roles": roles }), client, context).await?;
        }
        User::Enable { names } => {
            for name in names {
                change(name, &json!({ "disabled": false }), client, context).await?;
            }
        }
        User::Disable { names } => {
            for name in names {
                change(name, &json!({ "disabled": true }), client, context).await?;
            }
        }
        User::Delete { name, sure } => delete(name, *sure, client, context).await?,
    }
    Ok(ExitCode::Done)
}

async fn change(
    name: &str,
    body: &Json,
    client: &Client,
    context: &Context,
) -> Result<(), Failure> {
    let request = client.request(Method::PATCH, &path(name)).json(body);
    print(&client.json(request).await?, context);
    Ok(())
}

async fn delete(name: &str, sure: Sure, client: &Client, context: &Context) -> Result<(), Failure> {
    let what = match context.lang {
        Lang::En => format!("delete the account {name} and its tokens"),
        Lang::ZhCn => format!("删除账户 {name} 及其令牌"),
    };
    context.confirm(&what, sure)?;
    client
        .json(client.request(Method::DELETE, &path(name)))
        .await?;
    Ok(())
}

fn print(account: &Json, context: &Context) {
    let name = text_at(account, "/name");
    context.printer.one(account, &name, || {
        let (roles, state) = (words_at(account, "roles"), state(account, context.lang));
        format!("{name}: {roles} {state}")
    });
}

fn path(name: &str) -> String {
    format!("/v1/accounts/{}", segment(name))
}

fn state(account: &Json, lang: Lang) -> &'static str {
    if account["disabled"] == true {
        word(lang, "disabled")
    } else {
        word(lang, "enabled")
    }
}

/// A list of words as one text.
pub(super) fn words_at(item: &Json, key: &str) -> String {
    let words = item[key].as_array().into_iter().flatten();
    let words: Vec<&str> = words.filter_map(Json::as_str).collect();
    words.join(",")
}
