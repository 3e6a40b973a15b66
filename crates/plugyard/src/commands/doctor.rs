//! `doctor`: what this machine can and cannot enforce, found out by trying.

use plugyard_model::{ExitCode, Lang, Problem, Severity, codes};
use plugyard_platform::Home;
use plugyard_portable::IsolationMode;
use plugyard_sandbox::{Enforced, HostReport, How, Launcher};
use plugyard_store::secrets::{KeyId, KeySource, key_needed};
use plugyard_store::{Database, Objects};
use serde_json::{Value as Json, json};

use crate::cli::{Auth, Serve};
use crate::commands::{Context, asynchronously};
use crate::failure::Failure;
use crate::kinds;
use crate::output::text_at;
use crate::serve;
use crate::settings::{self, Settings};

pub(super) fn run(context: &Context) -> Result<ExitCode, Failure> {
    let unusable = |error: std::io::Error| {
        let problem = Problem::new(codes::OUTPUT_UNWRITABLE)
            .with("path", std::env::temp_dir().display())
            .with("reason", error);
        context.problem(&problem)
    };
    let directory = tempfile::tempdir().map_err(unusable)?;
    let report = asynchronously(async {
        Ok(Launcher::new(directory.path())
            .map_err(unusable)?
            .host()
            .await)
    })?;
    let mut checks = host(&report);
    checks.extend(portable(context, &report));
    checks.push(python());
    checks.extend(stores(context));
    checks.extend(dropped(context));
    let body = json!({ "checks": checks, "host": report });
    context.printer.list(
        &body,
        &checks,
        |item| text_at(item, "/check"),
        &["CHECK", "RESULT", "NOTE"],
        |item| {
            ["/check", "/result", "/note"]
                .map(|at| text_at(item, at))
                .to_vec()
        },
    );
    let unable = checks.iter().any(|check| check["result"] == "missing");
    Ok(if unable {
        ExitCode::Failed
    } else {
        ExitCode::Done
    })
}

fn check(name: &str, result: &str, note: impl Into<String>) -> Json {
    json!({ "check": name, "result": result, "note": note.into() })
}

fn host(report: &HostReport) -> Vec<Json> {
    let mut checks = vec![
        check("kernel", "ok", report.kernel.clone()),
        if report.pidfd {
            check("pidfd", "ok", "")
        } else {
            check(
                "pidfd",
                "missing",
                "no plugin can be started: Linux 5.4 or newer is needed",
            )
        },
    ];
    match &report.isolation {
        Err(reason) => checks.push(check("isolation", "missing", reason.clone())),
        Ok(isolated) => {
            let said = |missing: &str| {
                isolated
                    .missing
                    .iter()
                    .find(|line| line.contains(missing))
                    .cloned()
                    .unwrap_or_default()
            };
            let mut have = |name: &str, has: bool, without: &str| {
                checks.push(if has {
                    check(name, "ok", "")
                } else {
                    check(
                        name,
                        "weak",
                        format!("{without} {}", said(name)).trim().to_owned(),
                    )
                });
            };
            have(
                "pid namespace",
                isolated.pid_namespace,
                "a child that frees itself from its plugin's first process and control group may outlive it.",
            );
            have(
                "mount namespace",
                isolated.mount_namespace,
                "portable plugins share the host's files and its /tmp, and programs of other plugins do not start.",
            );
            have(
                "Landlock",
                isolated.landlock.is_some(),
                "plugins may read and write whatever the server's user may.",
            );
            have(
                "filter of system calls",
                isolated.seccomp,
                "plugins may call whatever the kernel lets the server's user call.",
            );
        }
    }
    let limits = &report.enforcement;
    for (name, enforced) in [
        ("limit cpu", &limits.cpu),
        ("limit memory", &limits.memory),
        ("limit pids", &limits.pids),
        ("limit files", &limits.files),
        ("limit disk", &limits.disk),
    ] {
        checks.push(limit(name, enforced));
    }
    checks
}

/// What the setting makes of what the host permits.
fn portable(context: &Context, report: &HostReport) -> Option<Json> {
    const NAME: &str = "portable plugins";
    let permitted = report
        .isolation
        .as_ref()
        .is_ok_and(|it| it.pid_namespace && it.private_tmp);
    // What is wrong with the configuration is told elsewhere.
    let settings = settings::load(&Home::new(&context.global.home), &serve_defaults()).ok()?;
    Some(match (settings.portable.isolation, permitted) {
        (IsolationMode::Namespaces, false) => check(
            NAME,
            "missing",
            "`portable.isolation` is `namespaces`, which this host does not permit: none is started; `auto` or `shared` would",
        ),
        (IsolationMode::Auto | IsolationMode::Namespaces, true) => {
            check(NAME, "ok", "namespaces: each process has a /tmp of its own")
        }
        (IsolationMode::Auto, false) | (IsolationMode::Shared, _) => check(
            NAME,
            "weak",
            "shared: one server alone on this machine can run a plugin, function or rule of a name; plugins see its processes",
        ),
    })
}

fn limit(name: &str, enforced: &Enforced) -> Json {
    let result = match enforced.how {
        How::Kernel | How::Unlimited => "ok",
        How::Sampled => "sampled",
        How::NotEnforced => "weak",
    };
    check(name, result, enforced.by.clone())
}

/// Whether what the configuration names can be used: the store of packages, and the master key.
fn stores(context: &Context) -> Vec<Json> {
    let home = Home::new(&context.global.home);
    let settings = match settings::load(&home, &serve_defaults()) {
        Ok(settings) => settings,
        Err(problem) => {
            let text = problem.detail(context.lang);
            return vec![check("configuration", "missing", text)];
        }
    };
    asynchronously(async {
        let mut checks = Vec::new();
        checks.extend(objects(&home, &settings, context.lang).await);
        checks.push(master_key(&home, &settings, context.lang).await);
        checks
    })
}

/// A server as its configuration says.
fn serve_defaults() -> Serve {
    Serve {
        listen: None,
        auth: Some(Auth::Token),
        safe_mode: false,
    }
}

/// Whether a store that `objects.url` names answers.
async fn objects(home: &Home, settings: &Settings, lang: Lang) -> Option<Json> {
    const NAME: &str = "package store";
    let (url, options) = match settings.objects.store(home) {
        Ok((Some(url), options)) => (url, options),
        Ok((None, _)) => return None,
        Err(problem) => return Some(check(NAME, "missing", problem.detail(lang))),
    };
    let cache = tempfile::tempdir().ok()?;
    let answered = match Objects::open(&url, &options, cache.path()) {
        Ok(objects) => objects.ping().await,
        Err(error) => Err(error),
    };
    Some(match answered {
        Ok(()) => check(NAME, "ok", url.to_string()),
        Err(error) => check(NAME, "missing", causes(&error)),
    })
}

/// Whether the master key is there, and is the one that the database needs.
async fn master_key(home: &Home, settings: &Settings, lang: Lang) -> Json {
    const NAME: &str = "master key";
    let from = match settings.secrets.source(home) {
        Ok(from) => from,
        Err(problem) => return check(NAME, "missing", problem.detail(lang)),
    };
    let keys = match from.keys().await {
        Ok(keys) => keys,
        Err(error) => return check(NAME, "missing", causes(&error)),
    };
    let found = keys.first().map(ToString::to_string);
    let needed = needed_key(home, settings).await;
    match (needed, found) {
        (Some(needed), found) if !keys.contains(&needed) => {
            let problem = Problem::new(codes::MASTER_KEY_WRONG)
                .with("source", from)
                .with("expected", needed);
            let problem = match found {
                Some(found) => problem.with("found", found),
                None => problem,
            };
            check(NAME, "missing", problem.detail(lang))
        }
        (_, Some(key)) => check(NAME, "ok", format!("{from}: {key}")),
        (_, None) => match from {
            KeySource::File(_) => check(NAME, "ok", format!("{from} (made at the first start)")),
            from => check(NAME, "missing", format!("{from}: -")),
        },
    }
}

/// The key that the database of a home needs; `None` when it needs none, or cannot be asked.
async fn needed_key(home: &Home, settings: &Settings) -> Option<KeyId> {
    if settings.database.url.is_none() && !home.database().exists() {
        return None;
    }
    let url = serve::database_url(home, settings).ok()?;
    let database = Database::open(&url).await.ok()?;
    let needed = key_needed(database.conn()).await.ok().flatten();
    let _ = database.close().await;
    needed
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error;
    while let Some(source) = inner.source() {
        text = format!("{text}: {source}");
        inner = source;
    }
    text
}

/// Plugins that were put into the home by hand and are not installed.
fn dropped(context: &Context) -> Vec<Json> {
    let home = Home::new(&context.global.home);
    let found = kinds::dropped(&home).into_iter();
    let told = found.map(|(dropped, inspection)| {
        let name = dropped.path.strip_prefix(home.root());
        let name = name.unwrap_or(&dropped.path).display().to_string();
        let wrong = match inspection {
            Err(problem) => Some(problem.detail(context.lang)),
            Ok(inspection) => inspection
                .findings
                .iter()
                .find(|it| it.severity == Severity::Error)
                .map(|it| it.text(context.lang)),
        };
        match wrong {
            Some(wrong) => check(&name, "refused", wrong),
            None => check(&name, "waiting", "`plugyard rescan` installs it"),
        }
    });
    told.collect()
}

/// Plugins in Python need an interpreter; the server finds it the same way.
fn python() -> Json {
    let found = ["python3", "python"].into_iter().find_map(|name| {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|directory| directory.join(name))
            .find(|path| path.is_file())
    });
    match found {
        Some(path) => check("python", "ok", path.display().to_string()),
        None => check(
            "python",
            "weak",
            "plugins in Python cannot run; `portable.python_bin` names one",
        ),
    }
}
