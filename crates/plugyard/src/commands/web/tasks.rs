//! Single steps of the lifecycle, and activation of all plugins at once.

use plugyard_model::{ExitCode, Lang, Problem, codes};
use reqwest::Method;
use serde_json::{Value as Json, json};

use super::plugins::{path, print};
use crate::cli::{Change, Revert, Single};
use crate::client::Client;
use crate::commands::Context;
use crate::commands::change::{carry_out, told};
use crate::failure::Failure;
use crate::output::text_at;

/// The files that say what plugin a directory holds.
const MANIFESTS: [&str; 2] = ["plugin.json", "theme.json"];

/// The plugins that were named, or that of the directory the command runs in.
pub(super) fn named(fskeys: &[String], context: &Context) -> Result<Vec<String>, Failure> {
    if !fskeys.is_empty() {
        return Ok(fskeys.to_vec());
    }
    match here() {
        Some(fskey) => Ok(vec![fskey]),
        None => Err(context.problem(&Problem::new(codes::PLUGIN_NOT_NAMED))),
    }
}

/// The same, or all whose packages are installed.
pub(super) async fn named_or_packaged(
    fskeys: &[String],
    client: &Client,
) -> Result<Vec<String>, Failure> {
    if !fskeys.is_empty() {
        return Ok(fskeys.to_vec());
    }
    if let Some(fskey) = here() {
        return Ok(vec![fskey]);
    }
    let (_, items) = client
        .list("/v1/web/plugins?limit=500&include=files")
        .await?;
    let packaged = items.iter().filter(|record| record["files"].is_object());
    Ok(packaged.map(|record| text_at(record, "/fskey")).collect())
}

/// The same for one.
pub(super) fn one(fskey: Option<&str>, context: &Context) -> Result<String, Failure> {
    let fskeys: Vec<String> = fskey.into_iter().map(str::to_owned).collect();
    Ok(named(&fskeys, context)?.remove(0))
}

/// The plugin whose directory this is.
fn here() -> Option<String> {
    MANIFESTS.iter().find_map(|file| {
        let bytes = std::fs::read(file).ok()?;
        let manifest: Json = serde_json::from_slice(&bytes).ok()?;
        manifest["fskey"].as_str().map(str::to_owned)
    })
}

/// A task of each of these plugins; the worst end counts.
pub(super) async fn each(
    task: &str,
    single: &Single,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    perform(
        task,
        &named(&single.fskeys, context)?,
        &single.change,
        client,
        context,
    )
    .await
}

async fn perform(
    task: &str,
    fskeys: &[String],
    change: &Change,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut worst = ExitCode::Done;
    for fskey in fskeys {
        let request = client.request(Method::POST, &format!("{}/tasks/{task}", path(fskey)));
        let ended = carry_out(request, change, client, context).await;
        worst = worst.worst(told(ended, context));
    }
    Ok(worst)
}

/// A task that takes data away, after asking.
pub(super) async fn revert(
    task: &str,
    revert: &Revert,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let fskey = one(revert.fskey.as_deref(), context)?;
    if !revert.change.dry_run {
        let what = match context.lang {
            Lang::En => format!("take migrations of {fskey} back, and its data with them"),
            Lang::ZhCn => format!("回滚 {fskey} 的迁移（其数据将一并删除）"),
        };
        context.confirm(&what, revert.sure)?;
    }
    let request = client.request(Method::POST, &format!("{}/reverts/{task}", path(&fskey)));
    carry_out(request, &revert.change, client, context).await
}

/// The named ones, or all that require something.
pub(super) async fn composer_update(
    fskeys: &[String],
    change: &Change,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    if !fskeys.is_empty() {
        return perform("composer-update", fskeys, change, client, context).await;
    }
    let mut requiring = Vec::new();
    for record in all(client).await? {
        let fskey = text_at(&record, "/fskey");
        let record = client.get(&path(&fskey)).await?;
        let requires = |pointer: &str| {
            let packages = record.pointer(pointer).and_then(Json::as_object);
            packages.is_some_and(|packages| !packages.is_empty())
        };
        if ["require", "require-dev"]
            .iter()
            .any(|part| requires(&format!("/foreignDependencies/{part}")))
        {
            requiring.push(fskey);
        }
    }
    perform("composer-update", &requiring, change, client, context).await
}

/// Activates or deactivates: those named, that of this directory, or all that can be.
pub(super) async fn switch(
    verb: &str,
    fskeys: &[String],
    cascade: bool,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut left = match here() {
        _ if !fskeys.is_empty() => fskeys.to_vec(),
        Some(fskey) => vec![fskey],
        None => {
            let switched = |record: &&Json| record["type"] != 4 && record["isStandalone"] != true;
            let records = all(client).await?;
            let records = records.iter().filter(switched);
            records.map(|record| text_at(record, "/fskey")).collect()
        }
    };
    // What needs another one goes after it, whatever the order they were named in.
    loop {
        let (mut later, before) = (Vec::new(), left.len());
        for fskey in left {
            let request = client.request(Method::POST, &format!("{}/{verb}", path(&fskey)));
            let request = if cascade {
                request.json(&json!({ "cascade": true }))
            } else {
                request
            };
            match client.json(request).await {
                Ok(record) => print(&record, context),
                Err(failure) => later.push((fskey, failure)),
            }
        }
        if later.is_empty() || later.len() == before || before == 1 {
            let mut worst = ExitCode::Done;
            for (_, failure) in later {
                failure.print(context.terminal);
                worst = worst.worst(failure.exit());
            }
            return Ok(worst);
        }
        left = later.into_iter().map(|(fskey, _)| fskey).collect();
    }
}

/// The records of all plugins that are here.
async fn all(client: &Client) -> Result<Vec<Json>, Failure> {
    let (_, items) = client.list("/v1/web/plugins?limit=500").await?;
    Ok(items)
}
