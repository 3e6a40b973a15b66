//! The wiring of the whole server: which parts there are, in which order they begin and end.
//!
//! Order of a start: lock on the home, database and migrations, kinds, flow, platform, listeners; then
//! recovery of operations, plugins, rules; then ready. The end is the reverse: no new requests, rules,
//! plugins.

mod data;
pub(crate) mod home;
mod metrics;
mod users;

use std::sync::Arc;
use std::time::Duration;

use plugyard_app::AppHost;
use plugyard_flow::{Builtins, Combined, FlowService};
use plugyard_model::{ExitCode, Problem, codes};
use plugyard_platform::{Home, Platform};
use plugyard_portable::PortableHost;
use plugyard_server::{Bound, HttpLimits, Routes, Server, ServerSettings, StartError};
use plugyard_store::{Database, DatabaseUrl, Owner};
use plugyard_web::WebHost;
use sea_orm_migration::MigrationTrait;
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::{Auth, Serve};
use crate::commands::Context;
use crate::environment;
use crate::failure::Failure;
use crate::output::{line, note};
use crate::settings::{self, LogFormat, LogSection, Settings};
use crate::words::word;

/// How long another server on the same database may take to end before this one gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// When the start is over, plugins that are started again included, as a rule.
const SETTLED: Duration = Duration::from_secs(10);

/// Runs the server until it is told to end.
pub(crate) fn run(options: &Serve, context: &Context) -> Result<ExitCode, Failure> {
    let failed = |problem: Problem| context.problem(&problem);
    let home = home::prepare(&context.global.home).map_err(failed)?;
    let settings = settings::load(&home, options).map_err(failed)?;
    // Held to the end of the process, however that comes.
    let _lock = home::lock(&home).map_err(failed)?;
    log(&settings.log).map_err(failed)?;
    // The only provider in this binary; it is used to fetch packages.
    let _ = rustls::crypto::ring::default_provider().install_default();
    plugyard_sandbox::memory::share_heaps();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(home::unusable(&home, &error)))?;
    runtime
        .block_on(serve(home, settings, context))
        .map_err(failed)?;
    Ok(ExitCode::Done)
}

/// Everything that was put together.
struct Parts {
    platform: Platform,
    flow: FlowService,
    portable: PortableHost,
    app: AppHost,
    web: WebHost,
}

async fn serve(home: Home, settings: Settings, context: &Context) -> Result<(), Problem> {
    // Before anything is written, and to the end.
    let claim = Owner::claim(&database_url(&home, &settings)?, &own_name(), PATIENCE).await?;
    let parts = assemble(&home, &settings).await?;
    // Operations that are recovered tell their events too.
    parts.web.begin(&parts.platform);
    parts.web.begin_markets(&parts.platform);
    let owner = parts.platform.first_start().await?;
    let bound = listen(&home, &settings, &parts)
        .await
        .map_err(|error| refused(&error))?;

    let address = bound
        .addresses()
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    if let Some(owner) = owner {
        let said = word(context.lang, "token of the owner, shown this once:");
        note(&format!("{said} {}", owner.secret.expose_secret()));
    }
    let record = home::Record::write(&home, &address)?;
    line(&format!("listening on http://{address}"));

    let flow = parts.flow.clone();
    let bound = bound.after_recovery(async move {
        if let Err(error) = flow.recover().await {
            tracing::error!(%error, "Rules could not be recovered");
        }
    });
    let settling = tokio::spawn(async {
        tokio::time::sleep(SETTLED).await;
        tokio::task::spawn_blocking(plugyard_sandbox::memory::give_back).await
    });
    let follower = tokio::spawn(follow_catalog(parts.portable.clone(), parts.flow.clone()));
    let mut lost = None;
    let end = async {
        tokio::select! {
            () = asked_to_end() => {}
            error = claim.lost() => {
                tracing::error!(%error, "This server ends: the database is another one's now");
                lost = Some(error);
            }
        }
    };
    let ended = bound.run(end).await;

    tracing::info!("Stopping");
    follower.abort();
    settling.abort();
    parts.flow.shutdown().await;
    parts.web.end_markets().await;
    parts.web.end().await;
    parts.platform.shut_down().await;
    drop(record);
    tracing::info!("Stopped");
    ended.map_err(|error| refused(&error))?;
    lost.map_or(Ok(()), |error| Err(error.into()))
}

/// How this server is called where several meet: machine and process.
fn own_name() -> String {
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy().into_owned();
    format!("{machine}:{}", std::process::id())
}

/// The migrations of all crates.
pub(crate) fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    [
        plugyard_platform::migrations(),
        plugyard_flow::migrations(),
        plugyard_app::migrations(),
        plugyard_web::migrations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where the database of a home is.
pub(crate) fn database_url(home: &Home, settings: &Settings) -> Result<DatabaseUrl, Problem> {
    match &settings.database.url {
        None => Ok(DatabaseUrl::sqlite(home.database())),
        Some(url) => url.parse().map_err(|error| {
            Problem::new(codes::CONFIGURATION_INVALID)
                .with("reason", format!("database.url: {error}"))
        }),
    }
}

/// Opens what is stored and makes everything that works on it.
async fn assemble(home: &Home, settings: &Settings) -> Result<Parts, Problem> {
    let url = database_url(home, settings)?;
    let database = Database::open(&url).await?;
    database.migrate(migrations()).await?;

    let portable = PortableHost::new(settings.portable.clone(), home.clone());
    let builtins = Arc::new(Builtins::new(Some(home.data().join("files"))));
    let catalog = Arc::new(Combined::new(builtins, portable.catalog()));
    let mut flow = FlowService::new(database.conn().clone(), catalog)
        .with_directories(
            home.data().join("sink-cache"),
            home.root().join("logs").join("rules"),
        )
        .with_state_directory(home.data().join("rule-state"));
    if let Some(key) = settings.rules.sink_key(home)? {
        flow = flow.with_sink_key(key);
    }
    let app = AppHost::new(settings.app.clone(), home.clone(), database.clone());
    let web = WebHost::new(
        settings.web.clone(),
        home.clone(),
        database.clone(),
        settings.safe_mode,
    );

    let mut own = plugyard_platform::Settings::new(home.clone(), database);
    (own.objects, own.s3) = settings.objects.store(home)?;
    own.master_key = settings.secrets.source(home)?;
    own.package_limit = settings.packages.max_size;
    own.allow_private_urls = settings.packages.allow_private_urls;
    own.fetch_timeout = settings.packages.fetch_timeout.0;
    own.keep_versions = settings.packages.keep_versions;
    own.audit_retention = Some(settings.audit.retention.0).filter(|it| !it.is_zero());
    portable.set_access(own.plugin_access.clone());
    app.set_access(own.plugin_access.clone());
    own.dependents = Some(Arc::new(users::FlowUsers {
        flow: flow.clone(),
        portable: portable.clone(),
    }));
    let platform = Platform::open(own, vec![portable.kind(), app.kind(), web.kind()]).await?;
    if let Err(problem) = portable.begin(&platform).await {
        tracing::error!("Configuration keys of sources cannot be read: {problem}");
    }
    Ok(Parts {
        platform,
        flow,
        portable,
        app,
        web,
    })
}

async fn listen(home: &Home, settings: &Settings, parts: &Parts) -> Result<Bound, StartError> {
    let mut own = ServerSettings::new(
        env!("CARGO_PKG_VERSION"),
        Arc::new(plugyard_sandbox::is_plugin_peer),
    );
    let host = parts.portable.clone();
    own.host_report = Some(Arc::new(move || {
        let host = host.clone();
        Box::pin(async move {
            match host.host_report().await {
                Ok(report) => serde_json::to_value(report).unwrap_or_default(),
                Err(reason) => serde_json::json!({ "error": reason }),
            }
        })
    }));
    let (flow, portable) = (parts.flow.clone(), parts.portable.clone());
    own.metrics = vec![
        Arc::new(move |text| metrics::of_rules(&flow, text)),
        Arc::new(move |text| metrics::of_plugins(&portable, text)),
    ];
    own.listen = vec![settings.server.listen];
    own.socket = Some(home.api_socket());
    own.auth = match settings.server.auth {
        Auth::Token => plugyard_server::Auth::Tokens,
        Auth::None => plugyard_server::Auth::None,
    };
    own.limits = HttpLimits {
        body: settings.server.max_body,
        requests: settings.server.max_requests,
        connections: settings.server.max_connections,
        grace: settings.server.stop_grace.0,
        ..HttpLimits::default()
    };
    Server::new(own, parts.platform.clone(), routes(parts))?
        .bind()
        .await
}

/// The routes that are not the server's own.
fn routes(parts: &Parts) -> Vec<Routes> {
    vec![
        Routes {
            router: plugyard_flow::routes(parts.flow.clone()),
            rights: plugyard_flow::rights(),
        },
        Routes {
            router: parts.portable.routes(parts.platform.clone()),
            rights: plugyard_portable::rights(),
        },
        Routes {
            router: data::routes(data::Data {
                flow: parts.flow.clone(),
                plugins: parts.portable.transfer(parts.platform.clone()),
            }),
            rights: data::rights(),
        },
        Routes {
            router: parts.app.routes(parts.platform.clone()),
            rights: plugyard_app::rights(),
        },
        Routes {
            router: parts.web.routes(parts.platform.clone()),
            rights: plugyard_web::rights(),
        },
    ]
}

/// Symbols come and go; rules that waited for one are tried again.
async fn follow_catalog(portable: PortableHost, flow: FlowService) {
    let mut changes = portable.catalog_changes();
    while changes.changed().await.is_ok() {
        flow.catalog_changed().await;
    }
}

/// Resolves at the first SIGTERM or SIGINT; a second one ends the process at once.
async fn asked_to_end() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("Signals cannot be received; `POST /stop` ends the server");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tokio::spawn(async move {
        let code = tokio::select! {
            _ = term.recv() => 143,
            _ = int.recv() => 130,
        };
        std::process::exit(code);
    });
}

fn refused(error: &StartError) -> Problem {
    let mut causes = error.to_string();
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        causes = format!("{causes}: {source}");
        inner = source;
    }
    tracing::error!("{causes}");
    Problem::from(error)
}

/// The log goes to standard error.
fn log(settings: &LogSection) -> Result<(), Problem> {
    let written = std::env::var(environment::LOG).unwrap_or_else(|_| settings.filter.clone());
    let filter = EnvFilter::try_new(&written).map_err(|error| {
        Problem::new(codes::CONFIGURATION_INVALID).with("reason", format!("log filter: {error}"))
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match settings.format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// The OpenAPI document of a server put together like any other, on a home that goes away again.
pub(crate) fn openapi() -> Result<String, Problem> {
    let wrong = |reason: String| Problem::new(codes::CONFIGURATION_INVALID).with("reason", reason);
    let directory = tempfile::tempdir().map_err(|error| wrong(error.to_string()))?;
    let home = Home::new(directory.path());
    let runtime = tokio::runtime::Runtime::new().map_err(|error| home::unusable(&home, &error))?;
    runtime.block_on(async {
        let parts = assemble(&home, &Settings::default()).await?;
        let others = routes(&parts)
            .into_iter()
            .map(|it| (it.router.into_openapi(), it.rights));
        let document = plugyard_server::openapi(env!("CARGO_PKG_VERSION"), others)
            .map_err(|error| wrong(error.to_string()))?;
        serde_json::to_string_pretty(&document).map_err(|error| wrong(error.to_string()))
    })
}
