//! `backup` and `restore`: the whole home as one file, and back.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use plugyard_model::{ByteSize, ExitCode, Lang, Problem, codes};
use plugyard_platform::backup::{self, Manifest, Options, Stored};
use plugyard_platform::{Clock, Home};
use plugyard_store::Database;
use reqwest::Method;
use serde_json::json;

use crate::cli::{self, Auth, Serve};
use crate::client::Client;
use crate::commands::{Context, asynchronously};
use crate::failure::Failure;
use crate::output::note;
use crate::serve;
use crate::settings;

pub(super) fn backup(arguments: &cli::Backup, context: &Context) -> Result<ExitCode, Failure> {
    let failed = |problem: Problem| context.problem(&problem);
    let target = match &arguments.to {
        Some(target) => target.clone(),
        None => {
            let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
            PathBuf::from(format!("plugyard-backup-{now}.tar.gz"))
        }
    };
    let unwritable = |reason: std::io::Error| {
        Problem::new(codes::OUTPUT_UNWRITABLE)
            .with("path", target.display())
            .with("reason", reason)
    };
    if target.exists() {
        let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(failed(unwritable(there)));
    }
    let directory = target
        .parent()
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Under its name only when it is complete.
    let part = tempfile::Builder::new()
        .prefix(".plugyard-backup-")
        .tempfile_in(directory)
        .map_err(|error| failed(unwritable(error)))?
        .into_temp_path();

    let lock = if context.global.server.is_some() {
        None
    } else {
        offline(context).map_err(failed)?
    };
    match lock {
        Some((home, _lock)) => {
            let written = asynchronously(write(&home, arguments, &part));
            written.map_err(failed)?;
        }
        None => asynchronously(fetch(arguments, &part, context))?,
    }
    let manifest = backup::verify(&part, &known()).map_err(failed)?;
    part.persist_noclobber(&target)
        .map_err(|error| failed(unwritable(error.error)))?;
    print(&manifest, &target, false, context);
    warn(&manifest, context.lang);
    Ok(ExitCode::Done)
}

pub(super) fn restore(arguments: &cli::Restore, context: &Context) -> Result<ExitCode, Failure> {
    let home = &context.global.home;
    let dry_run = arguments.rehearsal.dry_run;
    let manifest = if dry_run {
        backup::foresee(&arguments.file, home, &known())
    } else {
        backup::restore(&arguments.file, home, &known())
    };
    let manifest = manifest.map_err(|problem| context.problem(&problem))?;
    print(&manifest, home, dry_run, context);
    warn(&manifest, context.lang);
    Ok(ExitCode::Done)
}

/// The home with its lock, when no server runs on it.
pub(super) fn offline(context: &Context) -> Result<Option<(Home, std::fs::File)>, Problem> {
    let home = context
        .global
        .home
        .canonicalize()
        .map_err(|error| serve::home::unusable(&Home::new(&context.global.home), &error))?;
    let home = Home::new(home);
    match serve::home::lock(&home) {
        Ok(lock) => Ok(Some((home, lock))),
        Err(problem) if problem.code == codes::HOME_IN_USE => Ok(None),
        Err(problem) => Err(problem),
    }
}

async fn write(home: &Home, arguments: &cli::Backup, to: &Path) -> Result<(), Problem> {
    let listen = Serve {
        listen: None,
        auth: Some(Auth::Token),
        safe_mode: false,
    };
    let settings = settings::load(home, &listen)?;
    if settings.database.url.is_none() && !home.database().exists() {
        let absent = std::io::Error::new(std::io::ErrorKind::NotFound, "it has no database");
        return Err(serve::home::unusable(home, &absent));
    }
    let database = Database::open(&serve::database_url(home, &settings)?).await?;
    let options = Options {
        keys: arguments.keys,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        objects_elsewhere: settings.objects.url.is_some(),
    };
    let now = Clock::system().now();
    let written = backup::write(home, &database, options, now, to).await;
    database.close().await?;
    written.map(drop)
}

/// From the server, which holds changes back while it copies.
async fn fetch(arguments: &cli::Backup, to: &Path, context: &Context) -> Result<(), Failure> {
    let client: Client = context.client()?;
    let request = client
        .request(Method::POST, "/v1/backup")
        .query(&[("keys", arguments.keys)]);
    let response = client.send(request).await?;
    let unwritable = |reason: std::io::Error| {
        let problem = Problem::new(codes::OUTPUT_UNWRITABLE)
            .with("path", to.display())
            .with("reason", reason);
        context.problem(&problem)
    };
    let mut file = OpenOptions::new()
        .write(true)
        .mode(0o600)
        .open(to)
        .map_err(unwritable)?;
    let mut body = response.bytes_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| client.unreachable(&error))?;
        file.write_all(&chunk).map_err(unwritable)?;
    }
    file.sync_all().map_err(unwritable)
}

/// The migrations this program knows.
fn known() -> Vec<String> {
    let all = serve::migrations();
    all.iter().map(|it| it.name().to_owned()).collect()
}

fn print(manifest: &Manifest, path: &Path, dry_run: bool, context: &Context) {
    let (files, bytes) = manifest.totals();
    let shown = path.display().to_string();
    let body = json!({
        "path": shown,
        "program": manifest.program,
        "created_at": manifest.created_at,
        "database": manifest.database,
        "keys": manifest.keys,
        "objects": manifest.objects,
        "master_key": manifest.master_key,
        "files": files,
        "bytes": bytes,
    });
    let size = ByteSize(bytes);
    context
        .printer
        .one(&body, &shown, || match (context.lang, dry_run) {
            (Lang::En, false) => format!("{shown}: {files} files, {size}"),
            (Lang::ZhCn, false) => format!("{shown}：{files} 个文件，{size}"),
            (Lang::En, true) => format!("{shown}: would write {files} files, {size}"),
            (Lang::ZhCn, true) => format!("{shown}：将写入 {files} 个文件，{size}"),
        });
}

fn warn(manifest: &Manifest, lang: Lang) {
    let keys = match (manifest.keys, lang) {
        (true, Lang::En) => {
            "warning: the keys are in it; whoever has the file can read every secret"
        }
        (true, Lang::ZhCn) => "警告：其中包含密钥；持有该文件者可读取所有机密",
        (false, Lang::En) => {
            "note: the keys are not in it; without `keys/` stored secrets cannot be read"
        }
        (false, Lang::ZhCn) => "提示：其中不含密钥；没有 `keys/` 目录将无法读取已存储的机密",
    };
    note(keys);
    if let Some(key) = manifest.master_key.as_ref().filter(|_| !manifest.keys) {
        note(&match lang {
            Lang::En => {
                format!("warning: its secrets need the master key {key}; keep that key elsewhere")
            }
            Lang::ZhCn => format!("警告：其中的机密需要主密钥 {key}；请另行保存该密钥"),
        });
    }
    if manifest.objects == Stored::External {
        note(match lang {
            Lang::En => {
                "warning: the packages are where `objects.url` says and not in it; back that store up too"
            }
            Lang::ZhCn => "警告：插件包位于 `objects.url` 指向的存储，不在其中；请同时备份该存储",
        });
    }
    if manifest.database == Stored::External {
        note(match lang {
            Lang::En => {
                "warning: the database is a PostgreSQL and not in it; back it up with `pg_dump` at the same time"
            }
            Lang::ZhCn => "警告：数据库是 PostgreSQL，不在其中；请同时用 `pg_dump` 备份",
        });
    }
}
