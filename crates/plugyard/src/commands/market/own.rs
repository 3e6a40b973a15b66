//! A market of one's own: its directory, and serving it.

use std::error::Error;
use std::io::BufRead as _;
use std::path::Path;

use jiff::Timestamp;
use plugyard_archive::pack_to_file;
use plugyard_market::server::{self, Served, ServerSettings};
use plugyard_market::{MarketSettings, PublicKey, Release, RepositoryError, Role};
use plugyard_model::{ExitCode, Lang, Problem, Severity, codes};
use plugyard_web::package::{KIND, Manifest};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::place::Opened;
use crate::cli::{InitMarket, KeyRole, Place, Publish, ServeMarket};
use crate::commands::{Context, asynchronously, check};
use crate::failure::{Failure, finding_text};
use crate::kinds;
use crate::output::{line, note};

pub(super) fn init(arguments: &InitMarket, context: &Context) -> Result<ExitCode, Failure> {
    let settings = MarketSettings {
        root_keys: arguments.root_keys,
        root_threshold: arguments.threshold,
        timestamp_seconds: arguments.timestamp_life.as_secs().max(1),
        ..MarketSettings::default()
    };
    let opened = Opened::new(&arguments.place, context)?;
    let market = opened
        .init(settings)
        .map_err(|error| failed(&error, context))?;
    let keys = market
        .root_keys()
        .map_err(|error| failed(&error, context))?;
    let (place, directory) = (market.place().to_string(), opened.keys().display());
    let body = json!({
        "place": place,
        "keys": opened.keys(),
        "rootKeys": texts(&keys),
        "root": format!("{place}/metadata/root.json"),
    });
    context.printer.one(&body, &place, || {
        let trust = texts(&keys)
            .iter()
            .map(|key| format!("--trust {key}"))
            .collect::<Vec<_>>()
            .join(" ");
        match context.lang {
            Lang::En => format!(
                "{place} is a market now\nclients add it with: plugyard market add URL {trust}\nkeep its keys in `{directory}` safe, and a copy of them elsewhere"
            ),
            Lang::ZhCn => format!(
                "{place} 现在是插件市场\n客户端用以下命令添加：plugyard market add 地址 {trust}\n请妥善保管 `{directory}` 中的密钥，并在别处留存副本"
            ),
        }
    });
    Ok(ExitCode::Done)
}

pub(super) fn publish(arguments: &Publish, context: &Context) -> Result<ExitCode, Failure> {
    let package = check::open(&arguments.package, Some(KIND.as_str()), context)?;
    let inspection = kinds::inspect(&*package, Some(KIND.as_str()), None)
        .map_err(|problem| context.problem(&problem))?;
    let shown = arguments.package.display().to_string();
    for finding in &inspection.findings {
        let document = finding.document(context.lang);
        note(finding_text(&document, &shown, context.lang, context.terminal).trim_end());
    }
    let errors = inspection
        .findings
        .iter()
        .filter(|it| it.severity == Severity::Error);
    let errors = errors.count();
    let manifest: Option<Manifest> = serde_json::from_value(inspection.manifest.clone()).ok();
    let Some(manifest) = manifest.filter(|_| errors == 0) else {
        let problem = Problem::new(codes::PACKAGE_INVALID)
            .with("errors", errors)
            .with("first", "");
        return Err(context.problem(&problem));
    };
    let opened = Opened::new(&arguments.place, context)?;
    let mut market = opened.market(context)?;
    // A directory is packed first; the same bytes on every machine.
    let packed = if arguments.package.is_dir() {
        let file = tempfile::NamedTempFile::new()
            .map(tempfile::NamedTempFile::into_temp_path)
            .map_err(|error| unreadable(&arguments.package, &error, context))?;
        pack_to_file(&arguments.package, &file, &kinds::policy(Some(&KIND)))
            .map_err(|error| unreadable(&arguments.package, &error, context))?;
        Some(file)
    } else {
        None
    };
    let file = packed.as_deref().unwrap_or(&arguments.package);
    let release = release(manifest, arguments);
    let published = market
        .publish(file, release, Timestamp::now())
        .map_err(|error| failed(&error, context))?;
    let offer = &published.offer;
    let (fskey, version) = (&offer.release.fskey, &offer.release.version);
    let body = json!({
        "fskey": fskey,
        "version": version,
        "sha256": offer.sha256,
        "size": offer.size,
        "path": offer.path,
        "new": published.new,
    });
    context
        .printer
        .one(&body, fskey, || match (context.lang, published.new) {
            (Lang::En, true) => format!("{fskey} {version} is published"),
            (Lang::En, false) => format!("{fskey} {version} was published already"),
            (Lang::ZhCn, true) => format!("{fskey} {version} 已发布"),
            (Lang::ZhCn, false) => format!("{fskey} {version} 先前已发布"),
        });
    Ok(ExitCode::Done)
}

fn release(manifest: Manifest, arguments: &Publish) -> Release {
    Release {
        fskey: manifest.fskey,
        version: manifest.version,
        plugin_type: manifest.plugin_type,
        name: manifest.name,
        description: manifest.description,
        author: manifest.author,
        author_link: manifest.author_link,
        min_core: manifest.platform.core,
        dependencies: manifest.platform.dependencies,
        conflicts: manifest.platform.conflicts,
        changelog_url: arguments.changelog.clone(),
        yanked: false,
        entitled: arguments.entitled,
    }
}

pub(super) fn yank(
    place: &Place,
    fskey: &str,
    version: &str,
    yanked: bool,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let opened = Opened::new(place, context)?;
    let mut market = opened.market(context)?;
    market
        .yank(fskey, version, yanked, Timestamp::now())
        .map_err(|error| failed(&error, context))?;
    let body = json!({ "fskey": fskey, "version": version, "yanked": yanked });
    context
        .printer
        .one(&body, fskey, || match (context.lang, yanked) {
            (Lang::En, true) => format!("{fskey} {version} is offered no more"),
            (Lang::En, false) => format!("{fskey} {version} is offered again"),
            (Lang::ZhCn, true) => format!("不再提供 {fskey} {version}"),
            (Lang::ZhCn, false) => format!("重新提供 {fskey} {version}"),
        });
    Ok(ExitCode::Done)
}

pub(super) fn rotate(place: &Place, role: KeyRole, context: &Context) -> Result<ExitCode, Failure> {
    let opened = Opened::new(place, context)?;
    let mut market = opened.market(context)?;
    let role = match role {
        KeyRole::Root => Role::Root,
        KeyRole::Targets => Role::Targets,
        KeyRole::Snapshot => Role::Snapshot,
        KeyRole::Timestamp => Role::Timestamp,
    };
    let rotated = market
        .rotate(role, Timestamp::now())
        .map_err(|error| failed(&error, context))?;
    let keys = texts(&rotated.keys);
    let body = json!({ "role": role.as_str(), "root": rotated.root, "keys": keys });
    context.printer.one(&body, role.as_str(), || {
        let keys = keys.join("\n");
        match context.lang {
            Lang::En => format!(
                "root {} is in force; keys that sign `{}` now:\n{keys}",
                rotated.root,
                role.as_str()
            ),
            Lang::ZhCn => format!(
                "根文档 {} 已生效；现在为 `{}` 签名的密钥：\n{keys}",
                rotated.root,
                role.as_str()
            ),
        }
    });
    Ok(ExitCode::Done)
}

pub(super) fn code(
    place: &Place,
    fskey: &str,
    revoke: bool,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let opened = Opened::new(place, context)?;
    let mut market = opened.market(context)?;
    if !revoke {
        let code = market
            .code_issue(fskey)
            .map_err(|error| failed(&error, context))?;
        let body = json!({ "fskey": fskey, "code": code });
        context.printer.one(&body, &code, || code.clone());
        return Ok(ExitCode::Done);
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut text)
        .map_err(|error| unreadable(Path::new("-"), &error, context))?;
    let revoked = market
        .code_revoke(fskey, text.trim())
        .map_err(|error| failed(&error, context))?;
    let body = json!({ "fskey": fskey, "revoked": revoked });
    context
        .printer
        .one(&body, fskey, || match (context.lang, revoked) {
            (Lang::En, true) => "the code is good no more".to_owned(),
            (Lang::En, false) => "there was no such code".to_owned(),
            (Lang::ZhCn, true) => "该升级码已失效".to_owned(),
            (Lang::ZhCn, false) => "没有这个升级码".to_owned(),
        });
    Ok(if revoked {
        ExitCode::Done
    } else {
        ExitCode::NotFound
    })
}

pub(super) fn serve(arguments: &ServeMarket, context: &Context) -> Result<ExitCode, Failure> {
    let opened = Opened::new(&arguments.place, context)?;
    let market = opened.market(context)?;
    // A log that cannot be set up says nothing; the market works without.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
    asynchronously(async {
        let unbound = |error: std::io::Error| {
            context.problem(
                &Problem::new(codes::LISTEN_FAILED)
                    .with("address", arguments.listen)
                    .with("reason", error),
            )
        };
        let listener = tokio::net::TcpListener::bind(arguments.listen)
            .await
            .map_err(unbound)?;
        let address = listener.local_addr().map_err(unbound)?;
        let url = arguments
            .url
            .clone()
            .unwrap_or_else(|| format!("http://{address}"));
        let settings = ServerSettings::new(url);
        let served =
            Served::new(market, settings.clone()).map_err(|error| failed(&error, context))?;
        line(&format!("market at {}/market", settings.public_url));
        let (Ok(mut term), Ok(mut int)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            return Err(unbound(std::io::Error::other("signals cannot be received")));
        };
        let end = async {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        };
        tokio::select! {
            () = served.keep_fresh() => {}
            () = server::serve(listener, served.router(), &settings, end) => {}
        }
        Ok(ExitCode::Done)
    })
}

fn texts(keys: &[PublicKey]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}

/// A market's own trouble, with its cause.
pub(super) fn failed(error: &RepositoryError, context: &Context) -> Failure {
    let code = match error {
        RepositoryError::NotThere(_) | RepositoryError::Unknown(_) => codes::E_MARKET_NOT_THERE,
        RepositoryError::Exists(_) => codes::E_MARKET_TAKEN,
        RepositoryError::VersionTaken { .. } => codes::E_MARKET_VERSION_TAKEN,
        _ => codes::E_MARKET_UNUSABLE,
    };
    let mut reason = error.to_string();
    let mut inner: &dyn Error = error;
    while let Some(cause) = inner.source() {
        reason = format!("{reason}: {cause}");
        inner = cause;
    }
    context.problem(&Problem::new(code).with("reason", reason))
}

fn unreadable(path: &Path, error: &dyn Error, context: &Context) -> Failure {
    let reason = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    context.problem(
        &Problem::new(codes::INPUT_UNREADABLE)
            .with("path", path.display())
            .with("reason", reason),
    )
}
