//! `web list`, `show`, `activate` and their like: records, and whether all agrees.

use plugyard_model::{ExitCode, Lang};
use reqwest::Method;
use serde_json::{Map, Value as Json, json};

use crate::cli::{Format, Listed, Sure};
use crate::client::{Client, segment};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{line, note, table, text_at};
use crate::words::word;

pub(super) async fn list(
    arguments: &Listed,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut query = vec!["limit=500".to_owned()];
    if let Some(number) = arguments.plugin_type {
        query.push(format!("type={number}"));
    }
    if let Some(scene) = &arguments.scene {
        query.push(format!("scene={}", segment(scene)));
    }
    if let Some(text) = &arguments.search {
        query.push(format!("search={}", segment(text)));
    }
    query.push(if arguments.with_trashed {
        "include=deleted,files".to_owned()
    } else {
        "include=files".to_owned()
    });
    let path = format!("/v1/web/plugins?{}", query.join("&"));
    let (body, items) = client.list(&path).await?;
    context.printer.list(
        &body,
        &items,
        |item| text_at(item, "/fskey"),
        &[
            "PLUGIN", "TYPE", "VERSION", "NEWER", "STATE", "FILES", "ASSETS", "NAME",
        ],
        |item| {
            let mut row = ["/fskey", "/type", "/version", "/upgradeVersion", "/state"]
                .map(|pointer| text_at(item, pointer))
                .to_vec();
            for (pointer, good, bad) in [
                ("/files/matches", "ok", "differ"),
                ("/files/published", "published", "-"),
            ] {
                let told = item.pointer(pointer).and_then(Json::as_bool);
                row.push(
                    told.map_or("-", |yes| if yes { good } else { bad })
                        .to_owned(),
                );
            }
            row.push(text_at(item, "/name"));
            row
        },
    );
    Ok(ExitCode::Done)
}

pub(super) async fn show(
    fskey: &str,
    with_trashed: bool,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let include = if with_trashed { "?include=deleted" } else { "" };
    let record = client.get(&format!("{}{include}", path(fskey))).await?;
    print(&record, context);
    Ok(ExitCode::Done)
}

pub(super) async fn uninstall(
    fskey: &str,
    cleardata: &str,
    sure: Sure,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let clears = matches!(cleardata, "true" | "1" | "yes");
    let what = match (context.lang, clears) {
        (Lang::En, true) => format!("uninstall {fskey} and delete its data"),
        (Lang::En, false) => format!("uninstall {fskey} and keep its data"),
        (Lang::ZhCn, true) => format!("卸载 {fskey} 并删除其数据"),
        (Lang::ZhCn, false) => format!("卸载 {fskey}（保留数据）"),
    };
    context.confirm(&what, sure)?;
    let request = client
        .request(Method::DELETE, &path(fskey))
        .query(&[("cleardata", cleardata)]);
    print(&client.json(request).await?, context);
    Ok(ExitCode::Done)
}

/// What to do about what the doctor finds, by what was compared.
const REPAIRS: &[(&str, &str)] = &[
    (
        "assets",
        "`plugyard web publish PLUGIN` shows them as they are in the package",
    ),
    (
        "files",
        "`plugyard web verify PLUGIN` names them; `plugyard upgrade web:PLUGIN PACKAGE` puts them there again",
    ),
    (
        "operation",
        "`plugyard operation list` has its steps; repeat the change when the cause is gone",
    ),
    ("status_file", "`plugyard web sync-status` writes it anew"),
    (
        "table",
        "`plugyard web activate` and `deactivate` say again what is wanted; `plugyard upgrade web:PLUGIN PACKAGE` writes the record anew",
    ),
];

pub(super) async fn doctor(client: &Client, context: &Context) -> Result<ExitCode, Failure> {
    let found = client.get("/v1/web/doctor").await?;
    let items = found["items"].as_array().cloned().unwrap_or_default();
    if items.is_empty() && context.printer.format == Format::Table {
        note(word(context.lang, "all of them agree"));
        return Ok(ExitCode::Done);
    }
    context.printer.list(
        &found,
        &items,
        |item| text_at(item, "/fskey"),
        &["PLUGIN", "CHECK", "REASON"],
        |item| {
            ["/fskey", "/check", "/reason"]
                .map(|pointer| text_at(item, pointer))
                .to_vec()
        },
    );
    for (check, next) in REPAIRS {
        if items.iter().any(|item| item["check"] == *check) {
            let hint = word(context.lang, "hint:");
            note(&format!("{hint} {check}: {}", word(context.lang, next)));
        }
    }
    Ok(if items.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::Failed
    })
}

pub(super) async fn verify(
    fskeys: &[String],
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut worst = ExitCode::Done;
    for fskey in fskeys {
        let compared = client.get(&format!("{}/verify", path(fskey))).await?;
        if compared["whole"] != true {
            worst = ExitCode::Failed;
        }
        context.printer.one(&compared, fskey, || {
            let files = compared["files"].as_array().into_iter().flatten();
            let rows: Vec<Vec<String>> = files
                .map(|file| vec![text_at(file, "/difference"), text_at(file, "/path")])
                .collect();
            let version = text_at(&compared, "/version");
            match (rows.is_empty(), context.lang) {
                (true, Lang::En) => format!("{fskey} {version}: as in its package"),
                (true, Lang::ZhCn) => format!("{fskey} {version}：与插件包一致"),
                _ => format!(
                    "{fskey} {version}\n{}",
                    table(context.lang, &["STATE", "PATH"], rows)
                ),
            }
        });
    }
    Ok(worst)
}

pub(super) async fn settings(
    values: &[(String, Json)],
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let answer = if values.is_empty() {
        client.get("/v1/web/settings").await?
    } else {
        let body: Map<String, Json> = values.iter().cloned().collect();
        let request = client
            .request(Method::PATCH, "/v1/web/settings")
            .json(&body);
        client.json(request).await?
    };
    context.printer.one(&answer, "settings", || {
        let rows = answer["settings"].as_object().into_iter().flatten();
        let rows = rows.map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            vec![
                key.clone(),
                if value.is_null() { String::new() } else { text },
            ]
        });
        table(context.lang, &["KEY", "VALUE"], rows.collect())
    });
    Ok(ExitCode::Done)
}

pub(super) async fn sync_status(
    from_file: bool,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let body = json!({ "fromFile": from_file });
    let request = client
        .request(Method::POST, "/v1/web/sync-status")
        .json(&body);
    let answer = client.json(request).await?;
    context.printer.one(&answer, "sync-status", || {
        let list = |pointer: &str| {
            let items = answer.pointer(pointer).and_then(Json::as_array);
            items
                .into_iter()
                .flatten()
                .map(|it| text_at(it, "/fskey"))
                .collect::<Vec<_>>()
        };
        let file = text_at(&answer, "/file");
        format!("{file}: {}", list("/changed").join(", "))
    });
    let failed = answer["failed"].as_array().is_some_and(|it| !it.is_empty());
    Ok(if failed {
        ExitCode::Failed
    } else {
        ExitCode::Done
    })
}

pub(super) async fn purge(
    fskey: &str,
    sure: Sure,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let what = match context.lang {
        Lang::En => format!("forget the record of {fskey} for good"),
        Lang::ZhCn => format!("永久清除 {fskey} 的记录"),
    };
    context.confirm(&what, sure)?;
    let request = client.request(Method::POST, &format!("{}/purge", path(fskey)));
    client.send(request).await?;
    line(fskey);
    Ok(ExitCode::Done)
}

pub(super) fn path(fskey: &str) -> String {
    format!("/v1/web/plugins/{}", segment(fskey))
}

pub(super) fn print(record: &Json, context: &Context) {
    let name = text_at(record, "/fskey");
    context.printer.one(record, &name, || {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for key in [
            "name",
            "version",
            "state",
            "upgradeVersion",
            "scene",
            "pluginHost",
            "accessUrl",
            "settingsUrl",
            "lastError",
        ] {
            let text = text_at(record, &format!("/{key}"));
            if !text.is_empty() {
                rows.push(vec![key.to_owned(), text]);
            }
        }
        table(context.lang, &["KEY", "VALUE"], rows)
    });
}
