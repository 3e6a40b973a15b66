//! `login`, `logout` and `context …`.

use plugyard_model::{ExitCode, codes};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::cli::{self, Login};
use crate::client::Client;
use crate::commands::Context;
use crate::contexts::{Contexts, Remembered, Target, ask_token, given_token};
use crate::failure::Failure;
use crate::output::{note, text_at};
use crate::words::word;
use secrecy::ExposeSecret as _;

pub(super) async fn login(login: &Login, context: &Context) -> Result<ExitCode, Failure> {
    let problem = |problem| context.problem(&problem);
    let mut contexts = Contexts::load().map_err(problem)?;
    let token = match given_token(&context.global).map_err(problem)? {
        Some(token) => Some(token),
        None => ask_token(word(context.lang, "token:")).map_err(problem)?,
    };
    let target = Target::Remote {
        server: login.url.clone(),
        token: token.clone(),
    };
    // Nothing is remembered that does not work.
    let session = Client::to(&target, context.lang)?
        .get("/v1/session")
        .await?;
    let name = login.name.clone().unwrap_or_else(|| host(&login.url));
    let account = text_at(&session, "/name");
    let remembered = Remembered {
        server: login.url.clone(),
        account,
        token: token.map(|token| token.expose_secret().to_owned()),
    };
    contexts.contexts.insert(name.clone(), remembered);
    contexts.current = Some(name.clone());
    contexts.save().map_err(problem)?;
    show(&name, &contexts, context);
    Ok(ExitCode::Done)
}

/// Forgets a token, and has the server take its worth away: a copy of it opens nothing any more.
///
/// It is forgotten also when the server cannot be told; then the command says so and fails.
pub(super) async fn logout(name: Option<&String>, context: &Context) -> Result<ExitCode, Failure> {
    let problem = |problem| context.problem(&problem);
    let mut contexts = Contexts::load().map_err(problem)?;
    let name = contexts
        .named(name.or(context.global.context.as_ref()))
        .map_err(problem)?;
    let remembered = contexts.contexts.get_mut(&name);
    let target = remembered.and_then(|it| {
        Some(Target::Remote {
            server: it.server.clone(),
            token: Some(it.token.take()?.into()),
        })
    });
    if contexts.current.as_ref() == Some(&name) {
        contexts.current = None;
    }
    contexts.save().map_err(problem)?;
    let Some(target) = target else {
        return Ok(ExitCode::Done);
    };
    let client = Client::to(&target, context.lang)?;
    let request = client.request(Method::DELETE, "/v1/session");
    match client.send(request).await {
        Ok(_) => Ok(ExitCode::Done),
        // It was worth nothing already.
        Err(failure) if failure.code() == Some(codes::NOT_SIGNED_IN) => Ok(ExitCode::Done),
        Err(failure) => {
            note(word(
                context.lang,
                "note: the token is forgotten here, but the server was not told; `plugyard token revoke` does that",
            ));
            Err(failure)
        }
    }
}

pub(super) fn run(command: &cli::Context, context: &Context) -> Result<ExitCode, Failure> {
    let problem = |problem| context.problem(&problem);
    let mut contexts = Contexts::load().map_err(problem)?;
    match command {
        cli::Context::List => {
            let items: Vec<Json> = contexts
                .contexts
                .keys()
                .map(|name| document(name, &contexts))
                .collect();
            context.printer.list(
                &json!({ "items": items, "next": null }),
                &items,
                |item| text_at(item, "/name"),
                &["NAME", "SERVER", "USER", "STATE"],
                |item| {
                    vec![
                        text_at(item, "/name"),
                        text_at(item, "/server"),
                        text_at(item, "/account"),
                        state(item, context).to_owned(),
                    ]
                },
            );
        }
        cli::Context::Show { name } => {
            let name = contexts
                .named(name.as_ref().or(context.global.context.as_ref()))
                .map_err(problem)?;
            show(&name, &contexts, context);
        }
        cli::Context::Use { name } => {
            contexts.get(name).map_err(problem)?;
            contexts.current = Some(name.clone());
            contexts.save().map_err(problem)?;
            if context.global.home_named {
                note(word(
                    context.lang,
                    "note: a home directory is named too, and wins over the context in use",
                ));
            }
        }
        cli::Context::Delete { name } => {
            contexts.get(name).map_err(problem)?;
            contexts.contexts.remove(name);
            if contexts.current.as_ref() == Some(name) {
                contexts.current = None;
            }
            contexts.save().map_err(problem)?;
        }
    }
    Ok(ExitCode::Done)
}

fn show(name: &str, contexts: &Contexts, context: &Context) {
    let body = document(name, contexts);
    context.printer.one(&body, name, || {
        let (server, account) = (text_at(&body, "/server"), text_at(&body, "/account"));
        format!("{name}: {account} @ {server} {}", state(&body, context))
    });
}

/// What may be shown of a context: everything but the token.
fn document(name: &str, contexts: &Contexts) -> Json {
    let remembered = contexts.contexts.get(name);
    json!({
        "name": name,
        "server": remembered.map(|it| &it.server),
        "account": remembered.map(|it| &it.account),
        "token": remembered.is_some_and(|it| it.token.is_some()),
        "current": contexts.current.as_deref() == Some(name),
    })
}

fn state(item: &Json, context: &Context) -> &'static str {
    if item["current"] == true {
        word(context.lang, "in use")
    } else {
        ""
    }
}

/// `https://a.example:8443/x` is called `a.example:8443`.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest).to_owned()
}
