//! `secrets …`: the master key, and the key that others seal secrets for.

use plugyard_model::{ExitCode, Lang, Problem};
use plugyard_store::Database;
use plugyard_store::secrets::{self, Secrets as Stored};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::cli::{Auth, Secrets, Serve};
use crate::commands::{Context, asynchronously, backup};
use crate::failure::Failure;
use crate::output::text_at;
use crate::{serve, settings};

pub(super) fn run(command: &Secrets, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Secrets::Rotate => {
            let remote = context.global.server.is_some() || context.global.context.is_some();
            let lock = if remote {
                None
            } else {
                backup::offline(context).map_err(|problem| context.problem(&problem))?
            };
            let body = match lock {
                Some((home, _lock)) => {
                    asynchronously(rotate(&home)).map_err(|problem| context.problem(&problem))?
                }
                None => asynchronously(async {
                    let client = context.client()?;
                    let request = client.request(Method::POST, "/v1/secrets/rotate");
                    client.json(request).await
                })?,
            };
            let (key, count) = (text_at(&body, "/key"), text_at(&body, "/data_keys"));
            context.printer.one(&body, &key, || match context.lang {
                Lang::En => format!(
                    "the master key {key} is in force; data keys encrypted with it: {count}"
                ),
                Lang::ZhCn => format!("主密钥 {key} 已生效；已用它重新加密的数据密钥：{count}"),
            });
        }
        Secrets::Recipient => asynchronously(async {
            let client = context.client()?;
            let body = client.get("/v1/secrets/recipient").await?;
            let recipient = text_at(&body, "/recipient");
            context.printer.one(&body, &recipient, || recipient.clone());
            Ok::<_, Failure>(())
        })?,
    }
    Ok(ExitCode::Done)
}

/// On a home that no server runs on.
async fn rotate(home: &plugyard_platform::Home) -> Result<Json, Problem> {
    let serve = Serve {
        listen: None,
        auth: Some(Auth::Token),
        safe_mode: false,
    };
    let settings = settings::load(home, &serve)?;
    let from = settings.secrets.source(home)?;
    let database = Database::open(&serve::database_url(home, &settings)?).await?;
    database.migrate(serve::migrations()).await?;
    let stored = Stored::open(database.clone(), from).await?;
    let secrets::Rotation { key, data_keys } = stored.rotate().await?;
    database.close().await?;
    Ok(json!({ "key": key.to_string(), "data_keys": data_keys }))
}
