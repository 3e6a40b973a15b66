//! `web usage`: where plugins are offered.

use plugyard_model::{ExitCode, Lang, Problem, codes};
use reqwest::Method;
use serde_json::{Map, Value as Json, json};

use crate::cli::{Columns, Usage};
use crate::client::Client;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{note, text_at};
use crate::words::word;

const PATH: &str = "/v1/web/usages";

pub(super) async fn run(
    command: &Usage,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    match command {
        Usage::List {
            usage_type,
            plugin,
            group,
            deleted,
        } => {
            let mut query = form_urlencoded::Serializer::new(String::from("limit=500"));
            if let Some(number) = usage_type {
                query.append_pair("type", &number.to_string());
            }
            if let Some(plugin) = plugin {
                query.append_pair("plugin", fskey(plugin));
            }
            if let Some(group) = group {
                query.append_pair("group", &group.to_string());
            }
            if *deleted {
                query.append_pair("include", "deleted");
            }
            let path = format!("{PATH}?{}", query.finish());
            let (body, items) = client.list(&path).await?;
            print_list(&body, &items, context);
        }
        Usage::Show { id } => print(&client.get(&one(*id)).await?, context),
        Usage::Add {
            plugin,
            usage_type,
            name,
            columns,
            disabled,
            protected,
        } => {
            let mut body = columns_of(columns, context)?;
            body.insert("pluginFskey".to_owned(), json!(fskey(plugin)));
            body.insert("usageType".to_owned(), json!(usage_type));
            body.insert("name".to_owned(), json!(name));
            body.insert("isEnabled".to_owned(), json!(!disabled));
            body.insert("canDelete".to_owned(), json!(!protected));
            let request = client.request(Method::POST, PATH).json(&body);
            stored(&client.json(request).await?, context);
        }
        Usage::Set {
            id,
            plugin,
            name,
            columns,
            enabled,
            disabled,
            unset,
        } => {
            let mut body = columns_of(columns, context)?;
            for option in unset {
                let (key, value) = default(option);
                body.insert(key.to_owned(), value);
            }
            if let Some(plugin) = plugin {
                body.insert("pluginFskey".to_owned(), json!(fskey(plugin)));
            }
            if let Some(name) = name {
                body.insert("name".to_owned(), json!(name));
            }
            if *enabled || *disabled {
                body.insert("isEnabled".to_owned(), json!(enabled));
            }
            let request = client.request(Method::PATCH, &one(*id)).json(&body);
            stored(&client.json(request).await?, context);
        }
        Usage::Remove { ids, sure } => {
            let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let texts = texts.join(", ");
            let what = match context.lang {
                Lang::En => format!("remove the usages {texts}"),
                Lang::ZhCn => format!("移除使用关联 {texts}"),
            };
            context.confirm(&what, *sure)?;
            for id in ids {
                client
                    .json(client.request(Method::DELETE, &one(*id)))
                    .await?;
            }
        }
        Usage::Order { ids } => {
            let request = client
                .request(Method::PUT, &format!("{PATH}/order"))
                .json(&json!({ "ids": ids }));
            let body = client.json(request).await?;
            let items = body["items"].as_array().cloned().unwrap_or_default();
            print_list(&body, &items, context);
        }
    }
    Ok(ExitCode::Done)
}

fn one(id: u32) -> String {
    format!("{PATH}/{id}")
}

/// The key of `web:key`.
fn fskey(plugin: &str) -> &str {
    plugin.strip_prefix("web:").unwrap_or(plugin)
}

/// The columns that were named.
fn columns_of(columns: &Columns, context: &Context) -> Result<Map<String, Json>, Failure> {
    let mut body = Map::new();
    let mut put = |key: &str, value: Json| {
        if !value.is_null() {
            body.insert(key.to_owned(), value);
        }
    };
    if !columns.names.is_empty() {
        let names: Map<String, Json> = columns
            .names
            .iter()
            .map(|(tag, name)| (tag.clone(), json!(name)))
            .collect();
        put("names", Json::Object(names));
    }
    put("iconFileUrl", json!(columns.icon));
    put("iconFileId", json!(columns.icon_file));
    put("scene", json!(columns.scene));
    put("editorToolbar", json!(columns.toolbar.then_some(true)));
    put("editorNumber", json!(columns.number));
    put("isGroupAdmin", json!(columns.group_admins.then_some(true)));
    put("groupId", json!(columns.group));
    put("roles", json!(columns.roles));
    put("parameter", json!(columns.parameter));
    put("rating", json!(columns.rating));
    if let Some(file) = &columns.data_sources {
        let unreadable = |reason: &dyn std::fmt::Display| {
            let problem = Problem::new(codes::INPUT_UNREADABLE).with("path", file.display());
            context.problem(&problem.with("reason", reason))
        };
        let text = std::fs::read(file).map_err(|error| unreadable(&error))?;
        put(
            "dataSources",
            serde_json::from_slice(&text).map_err(|error| unreadable(&error))?,
        );
    }
    Ok(body)
}

/// The key of an option, and what it is without having been set.
fn default(option: &str) -> (&'static str, Json) {
    match option {
        "names" => ("names", Json::Null),
        "icon" => ("iconFileUrl", Json::Null),
        "icon-file" => ("iconFileId", Json::Null),
        "scene" => ("scene", Json::Null),
        "toolbar" => ("editorToolbar", json!(false)),
        "number" => ("editorNumber", Json::Null),
        "group-admins" => ("isGroupAdmin", json!(false)),
        "roles" => ("roles", Json::Null),
        "rating" => ("rating", json!(9)),
        "data-sources" => ("dataSources", Json::Null),
        // The command line takes no other words.
        _ => ("parameter", Json::Null),
    }
}

/// A usage that was written, and what there is to know about it.
fn stored(body: &Json, context: &Context) {
    for warning in body["findings"].as_array().into_iter().flatten() {
        let said = word(context.lang, "warning:");
        note(&format!("{said} {}", text_at(warning, "/message")));
    }
    print(body, context);
}

fn print(body: &Json, context: &Context) {
    let id = text_at(body, "/id");
    context.printer.one(body, &id, || {
        let name = text_at(body, "/name");
        let fskey = text_at(body, "/pluginFskey");
        let url = text_at(body, "/url");
        format!(
            "{id}: {fskey} \"{name}\" {} {} {}\n{url}",
            text_at(body, "/usageType"),
            audience(body, context.lang),
            state(body, context.lang),
        )
    });
}

fn print_list(body: &Json, items: &[Json], context: &Context) {
    let lang = context.lang;
    context.printer.list(
        body,
        items,
        |item| text_at(item, "/id"),
        &[
            "ID", "TYPE", "PLUGIN", "NAME", "RATING", "FOR", "STATE", "URL",
        ],
        |item| {
            vec![
                text_at(item, "/id"),
                text_at(item, "/usageType"),
                text_at(item, "/pluginFskey"),
                text_at(item, "/name"),
                text_at(item, "/rating"),
                audience(item, lang),
                state(item, lang).to_owned(),
                text_at(item, "/url"),
            ]
        },
    );
}

/// Who is shown it.
fn audience(item: &Json, lang: Lang) -> String {
    let group = text_at(item, "/groupId");
    let group = if group.is_empty() {
        group
    } else {
        format!(" {} {group}", word(lang, "in group"))
    };
    let roles = item["roles"].as_array().into_iter().flatten();
    let roles: Vec<String> = roles.map(ToString::to_string).collect();
    let who = if item["isGroupAdmin"] == true {
        word(lang, "group administrators").to_owned()
    } else if roles.is_empty() {
        word(lang, "everyone").to_owned()
    } else {
        format!("{} {}", word(lang, "roles"), roles.join(","))
    };
    who + &group
}

fn state(item: &Json, lang: Lang) -> &'static str {
    if !item["deletedAt"].is_null() {
        word(lang, "removed")
    } else if item["isEnabled"] == true {
        word(lang, "enabled")
    } else {
        word(lang, "disabled")
    }
}
