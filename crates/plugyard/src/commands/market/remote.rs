//! The markets that a server asks, and what it brings from there.

use std::fmt::Write as _;
use std::io::BufRead as _;
use std::path::Path;

use plugyard_model::{ExitCode, Lang, Problem, codes};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::cli::{AddMarket, Change, Install, Running, Sure, WebInstall, WebSource, WebUpgrade};
use crate::client::{Client, segment};
use crate::commands::{Context, change, operation};
use crate::failure::Failure;
use crate::output::{note, text_at};
use crate::words::word;

pub(super) async fn list(client: &Client, context: &Context) -> Result<ExitCode, Failure> {
    let body = client.get("/v1/web/markets").await?;
    let items = items(&body);
    context.printer.list(
        &body,
        &items,
        |item| text_at(item, "/name"),
        &["NAME", "ADDRESS", "PROTOCOL", "SEEN", "CHECKED", "NOTE"],
        |item| {
            let seen = &item["seen"];
            let seen = if seen.is_null() {
                String::new()
            } else {
                format!("root {}, catalogue {}", seen["root"], seen["timestamp"])
            };
            vec![
                text_at(item, "/name"),
                text_at(item, "/url"),
                text_at(item, "/protocol"),
                seen,
                text_at(item, "/succeededAt"),
                text_at(item, "/error/code"),
            ]
        },
    );
    Ok(ExitCode::Done)
}

pub(super) async fn add(
    arguments: &AddMarket,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let mut keys = Vec::new();
    let mut root = None;
    for trust in &arguments.trust {
        if trust.len() == 64 && trust.bytes().all(|it| it.is_ascii_hexdigit()) {
            keys.push(trust.clone());
        } else {
            root = Some(read_root(Path::new(trust), context)?);
        }
    }
    let mut body = json!({
        "url": arguments.url,
        "name": arguments.name,
        "protocol": arguments.protocol,
        "allowPrivate": arguments.allow_private,
        "proxy": arguments.proxy,
        "trust": { "keys": keys, "root": root },
    });
    if arguments.no_site_headers {
        body["sendSiteHeaders"] = json!(false);
    }
    let request = client.request(Method::POST, "/v1/web/markets").json(&body);
    let market = client.json(request).await?;
    let name = text_at(&market, "/name");
    context.printer.one(&market, &name, || {
        format!("{name}: {}", text_at(&market, "/url"))
    });
    Ok(ExitCode::Done)
}

fn read_root(path: &Path, context: &Context) -> Result<Json, Failure> {
    let unreadable = |reason: String| {
        context.problem(
            &Problem::new(codes::INPUT_UNREADABLE)
                .with("path", path.display())
                .with("reason", reason),
        )
    };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))
}

pub(super) async fn remove(
    name: &str,
    sure: Sure,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let what = match context.lang {
        Lang::En => format!("forget the market {name}; plugins that came from there stay"),
        Lang::ZhCn => format!("移除插件市场 {name}（由其安装的插件保留）"),
    };
    context.confirm(&what, sure)?;
    let path = format!("/v1/web/markets/{}", segment(name));
    client.send(client.request(Method::DELETE, &path)).await?;
    context
        .printer
        .one(&json!({ "name": name }), name, || name.to_owned());
    Ok(ExitCode::Done)
}

/// `market entitle`: the code comes by standard input, so that it stands in no list of processes.
pub(super) async fn entitle(
    name: &str,
    fskey: &str,
    forget: bool,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let path = format!("/v1/web/markets/{}/codes/{}", segment(name), segment(fskey));
    let request = if forget {
        client.request(Method::DELETE, &path)
    } else {
        let mut code = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut code)
            .map_err(|error| {
                let problem = Problem::new(codes::INPUT_UNREADABLE)
                    .with("path", "-")
                    .with("reason", error);
                context.problem(&problem)
            })?;
        client
            .request(Method::PUT, &path)
            .json(&json!({ "code": code.trim() }))
    };
    client.send(request).await?;
    let body = json!({ "market": name, "fskey": fskey, "kept": !forget });
    context
        .printer
        .one(&body, fskey, || match (context.lang, forget) {
            (Lang::En, false) => format!("the code of {fskey} is kept for {name}"),
            (Lang::En, true) => format!("there is no code of {fskey} for {name} any more"),
            (Lang::ZhCn, false) => format!("已为 {name} 保存 {fskey} 的升级码"),
            (Lang::ZhCn, true) => format!("已删除 {name} 中 {fskey} 的升级码"),
        });
    Ok(ExitCode::Done)
}

/// `market check` and `web check`: 1 when a market could not be asked.
pub(crate) async fn check(client: &Client, context: &Context) -> Result<ExitCode, Failure> {
    let report = client
        .json(client.request(Method::POST, "/v1/web/check"))
        .await?;
    let plugins = report["plugins"].as_array().cloned().unwrap_or_default();
    context.printer.list(
        &report,
        &plugins,
        |item| text_at(item, "/fskey"),
        &["PLUGIN", "VERSION", "NEWER", "MARKET", "NOTE"],
        |item| {
            let blocked = item["upgradeBlockedBy"].as_array().cloned();
            let blocked: Vec<String> = blocked
                .unwrap_or_default()
                .iter()
                .filter_map(|it| it.as_str().map(str::to_owned))
                .collect();
            let reason = text_at(item, "/reason");
            vec![
                text_at(item, "/fskey"),
                text_at(item, "/version"),
                text_at(item, "/upgradeVersion"),
                market(item),
                if blocked.is_empty() {
                    reason
                } else {
                    blocked.join(", ")
                },
            ]
        },
    );
    for market in report["markets"].as_array().into_iter().flatten() {
        if market["ok"] != true {
            note(&format!(
                "{}: {}: {}",
                text_at(market, "/name"),
                text_at(market, "/error/code"),
                text_at(market, "/error/detail")
            ));
        }
    }
    Ok(if report["complete"] == true {
        ExitCode::Done
    } else {
        ExitCode::Failed
    })
}

/// The market that answered for a plugin, and those that were not believed instead.
fn market(item: &Json) -> String {
    let others: Vec<&str> = item["alsoOn"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let market = text_at(item, "/market");
    if others.is_empty() {
        market
    } else {
        format!("{market} (+ {})", others.join(", "))
    }
}

/// What a source is when nobody says: an address, what is there or looks like a path, or a plugin of a market.
fn source(text: &str) -> Option<WebSource> {
    let is_path = || text.starts_with('/') || text.starts_with("./") || Path::new(text).exists();
    let is_fskey = || {
        let mut letters = text.bytes();
        letters.next().is_some_and(|it| it.is_ascii_uppercase())
            && text.len() <= 64
            && letters.all(|it| it.is_ascii_alphanumeric())
    };
    if text.contains("://") {
        Some(WebSource::Url)
    } else if is_path() {
        Some(WebSource::Local)
    } else {
        is_fskey().then_some(WebSource::Market)
    }
}

/// `web install`: from wherever.
pub(crate) async fn install(
    arguments: &WebInstall,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let Some(from) = arguments.from.or_else(|| source(&arguments.source)) else {
        let problem = Problem::new(codes::E_SOURCE_UNKNOWN).with("source", &arguments.source);
        return Err(context.problem(&problem));
    };
    if from != WebSource::Market {
        let install = Install {
            package: arguments.source.clone(),
            kind: Some("web".to_owned()),
            stopped: false,
            seed: arguments.seed,
            options: Vec::new(),
            values: Vec::new(),
            running: Running::default(),
            change: Change::default(),
        };
        return change::install(&install, client, context).await;
    }
    let path = format!("/v1/web/downloads/{}", segment(&arguments.source));
    let body = json!({ "market": arguments.market, "standalone": arguments.standalone });
    bring(&path, &body, client, context).await
}

/// `web upgrade`: one, or all with a report of each.
pub(crate) async fn upgrade(
    arguments: &WebUpgrade,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    if let Some(plugin) = &arguments.plugin {
        let path = format!("/v1/web/upgrades/{}", segment(plugin));
        let body = json!({ "market": arguments.market });
        return bring(&path, &body, client, context).await;
    }
    let report = client
        .json(client.request(Method::POST, "/v1/web/upgrades"))
        .await?;
    let items = items(&report);
    context.printer.list(
        &report,
        &items,
        |item| text_at(item, "/fskey"),
        &["PLUGIN", "FROM", "TO", "STATE", "NOTE"],
        |item| {
            let state = match item["state"].as_str() {
                Some("upgraded") => "upgraded",
                Some("rolledBack") => "rolled back",
                Some("blocked") => "blocked",
                Some("handedOver") => "handed over",
                _ => "failed",
            };
            vec![
                text_at(item, "/fskey"),
                text_at(item, "/from"),
                text_at(item, "/to"),
                word(context.lang, state).to_owned(),
                text_at(item, "/error/code"),
            ]
        },
    );
    for item in items.iter().filter(|it| !it["error"].is_null()) {
        note(&format!(
            "{}: {}",
            text_at(item, "/fskey"),
            text_at(item, "/error/detail")
        ));
    }
    Ok(if report["failed"] == 0 {
        ExitCode::Done
    } else {
        ExitCode::Failed
    })
}

async fn bring(
    path: &str,
    body: &Json,
    client: &Client,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let begun = client
        .json(client.request(Method::POST, path).json(body))
        .await?;
    let (to, market) = (text_at(&begun, "/to"), text_at(&begun, "/market"));
    if begun["operation"].is_null() {
        handed(&begun, context);
        return Ok(ExitCode::Done);
    }
    let id = text_at(&begun, "/operation");
    let operation = operation::watch(&id, None, client, context).await?;
    let code = operation::verdict(&operation, client)?;
    let plugin = text_at(&operation, "/plugin");
    context
        .printer
        .one(&operation, &plugin, || format!("{plugin} {to} ({market})"));
    Ok(code)
}

/// An application that is deployed on its own: where it is.
fn handed(begun: &Json, context: &Context) {
    let url = text_at(begun, "/archive/url");
    context.printer.one(begun, &url, || {
        let (fskey, to) = (text_at(begun, "/fskey"), text_at(begun, "/to"));
        let market = text_at(begun, "/market");
        let mut text = match context.lang {
            Lang::En => format!(
                "{fskey} {to} ({market}) is deployed on its own: nothing was installed\n{url}"
            ),
            Lang::ZhCn => format!("{fskey} {to}（{market}）为独立部署的应用，未在此安装\n{url}"),
        };
        if let Some(hash) = begun["archive"]["sha256"].as_str() {
            text = format!("{text}\nSHA-256 {hash}");
        }
        if let Some(until) = begun["archive"]["expiresAt"].as_str() {
            let _ = match context.lang {
                Lang::En => write!(text, "\nthe address is good until {until}"),
                Lang::ZhCn => write!(text, "\n该地址有效至 {until}"),
            };
        }
        if begun["archive"]["entitled"] == true {
            text.push_str(match context.lang {
                Lang::En => "\nsend the upgrade code in the header `X-Plugyard-Upgrade-Code`",
                Lang::ZhCn => "\n下载时请在请求头 `X-Plugyard-Upgrade-Code` 中附上升级码",
            });
        }
        text
    });
}

fn items(body: &Json) -> Vec<Json> {
    body["items"].as_array().cloned().unwrap_or_default()
}
