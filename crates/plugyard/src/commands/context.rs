//! `login`, `logout` and `context …`.

use plugyard_model::ExitCode;
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

pub(super) fn logout(name: Option<&String>, context: &Context) -> Result<ExitCode, Failure> {
    let problem = |problem| context.problem(&problem);
    let mut contexts = Contexts::load().map_err(problem)?;
    let name = contexts
        .named(name.or(context.global.context.as_ref()))
        .map_err(problem)?;
    if let Some(remembered) = contexts.contexts.get_mut(&name) {
        remembered.token = None;
    }
    if contexts.current.as_ref() == Some(&name) {
        contexts.current = None;
    }
    contexts.save().map_err(problem)?;
    Ok(ExitCode::Done)
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
