//! Web plugins: URLs of usages, and the listing of a thousand usages for a viewer, beside what could not
//! be left out of either.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use plugyard_http::Principal;
use plugyard_model::rights::Role;
use plugyard_platform::{Home, Platform, Settings};
use plugyard_store::{Database, DatabaseUrl};
use plugyard_web::url::{Addresses, Parameter, usage_url};
use plugyard_web::{WebHost, WebSettings};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::works::{Effort, Row};

/// Usages in the listing.
const USAGES: usize = 1000;
/// How often the reading of the rows from the database the whole listing is to be done, at least: in 5 ms where
/// reading takes two and a half.
const LISTING_TARGET: f64 = 0.5;
/// What of the rate of joining known pieces the URLs are to keep, although they are looked through: a million a
/// second and core where the joining makes thirty.
const URL_TARGET: f64 = 0.03;

/// Both rows, on one core.
///
/// # Errors
/// When the database cannot be made or the listing is not answered.
pub fn rows(runtime: &Runtime, effort: Effort) -> Result<Vec<Row>> {
    Ok(vec![urls(effort), runtime.block_on(listing(effort))?])
}

/// Plugins as sites have them: own hosts and none, one place for the parameter, several, none.
const PLUGINS: [(Option<&str>, &str, &str); 4] = [
    (None, "/mall?id={parameter}&u={uid}&l={langTag}", "vip"),
    (
        Some("https://plug.example.net"),
        "/c/{parameter}?a={parameter}",
        "7",
    ),
    (
        Some("https://apps.example.net/shop"),
        "/settings/start",
        "unused",
    ),
    (None, "/post/{pid}?sign={sign}&p={parameter}", "x=1&y=2"),
];

fn urls(effort: Effort) -> Row {
    let system = "https://api.example.com";
    let made = || {
        for (host, path, parameter) in black_box(PLUGINS) {
            let addresses = Addresses {
                system_url: Some(system),
                plugin_host: host,
                access_path: Some(path),
                settings_path: None,
                own_form: false,
                panel_url: None,
            };
            let _ = black_box(usage_url(&addresses, Parameter::verbatim(parameter)));
        }
    };
    // The same bytes, had somebody cut the paths at their variables before.
    let joined = || {
        for (host, path, parameter) in black_box(PLUGINS) {
            let base = host.unwrap_or(system);
            let mut url = String::with_capacity(base.len() + path.len() + parameter.len());
            url.push_str(base);
            url.push_str(path);
            url.push_str(parameter);
            black_box(url);
        }
    };
    let per_pass = 4.0;
    let turns: Vec<(f64, f64)> = (0..effort.turns.max(1))
        .map(|_| {
            let ours = rate(effort.span, made) * per_pass;
            (ours, rate(effort.span, joined) * per_pass)
        })
        .collect();
    row(
        "URLs of usages",
        "URLs/s",
        &turns,
        URL_TARGET,
        "joining known pieces",
    )
}

async fn listing(effort: Effort) -> Result<Row> {
    let directory = tempfile::tempdir()?;
    let home = Home::new(directory.path().join("home"));
    let database = Database::open(&DatabaseUrl::sqlite(home.database())).await?;
    let mut migrations = plugyard_platform::migrations();
    migrations.extend(plugyard_web::migrations());
    database.migrate(migrations).await?;
    fill(&database).await?;
    let host = WebHost::new(
        WebSettings::default(),
        home.clone(),
        database.clone(),
        false,
    );
    let platform = Platform::open(Settings::new(home, database.clone()), vec![host.kind()]).await?;
    let routes: Router = host.routes(platform.clone()).into();
    let shown = ask(&routes).await?;
    ensure!(shown == USAGES, "{shown} usages are shown");
    let mut turns = Vec::new();
    for _ in 0..effort.turns.max(1) {
        let start = Instant::now();
        let mut lists = 0_u32;
        while start.elapsed() < effort.span {
            black_box(ask(&routes).await?);
            lists += 1;
        }
        let ours = f64::from(lists) / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut reads = 0_u32;
        while start.elapsed() < effort.span {
            black_box(read(&database).await?);
            reads += 1;
        }
        turns.push((ours, f64::from(reads) / start.elapsed().as_secs_f64()));
    }
    platform.shut_down().await;
    Ok(row(
        "listing of 1,000 usages for a viewer",
        "listings/s",
        &turns,
        LISTING_TARGET,
        "reading the rows",
    ))
}

/// Ten plugins with a hundred usages each, half of them for roles that the viewer has.
async fn fill(database: &Database) -> Result<()> {
    let mut sql = String::from(
        "INSERT INTO web_settings (key, value, updated_at) VALUES ('system_url', '\"https://api.example.com\"', 0);\
         INSERT INTO web_viewers (id, roles, groups, administered_groups, updated_at) VALUES (1, '[3,7]', '[]', '[]', 0);",
    );
    for plugin in 0..10 {
        write!(
            sql,
            "INSERT INTO plugins (fskey, type, name, description, version, author, access_path, updated_at) VALUES \
             ('Plugin{plugin}', 1, 'Plugin', '', '1.0.0', 'Ann', '/mall?id={{parameter}}&u={{uid}}', '2026-01-01 00:00:00');"
        )?;
    }
    for usage in 0..USAGES {
        let roles = if usage % 2 == 0 { "NULL" } else { "'7,8,9'" };
        write!(
            sql,
            "INSERT INTO plugin_usages (usage_type, plugin_fskey, name, roles, parameter, rating) VALUES \
             (9, 'Plugin{}', 'Usage {usage}', {roles}, 'p{usage}', {});",
            usage % 10,
            usage % 7,
        )?;
    }
    database.conn().execute_unprepared(&sql).await?;
    Ok(())
}

/// One request for the listing as the viewer sees it, without the network; how many are in the answer.
async fn ask(routes: &Router) -> Result<usize> {
    let request = Request::get("/v1/viewers/1/usages?type=9")
        .extension(Principal {
            name: "bench".to_owned(),
            roles: vec![Role::Owner],
        })
        .body(Body::empty())?;
    let response = routes.clone().oneshot(request).await?;
    ensure!(response.status().is_success(), "{}", response.status());
    let body = to_bytes(response.into_body(), 16 << 20).await?;
    Ok(body.windows(8).filter(|it| it == b"\"fskey\":").count())
}

/// The rows alone: every usage of the type, and what a listing needs of each.
async fn read(database: &Database) -> Result<usize> {
    let statement = Statement::from_string(
        DbBackend::Sqlite,
        "SELECT id, plugin_fskey, name, roles, parameter, rating FROM plugin_usages \
         WHERE usage_type = 9 ORDER BY rating, id",
    );
    let rows = database.conn().query_all_raw(statement).await?;
    for row in &rows {
        let id: i64 = row.try_get_by_index(0)?;
        let texts: [Option<String>; 4] = [
            row.try_get_by_index(1)?,
            row.try_get_by_index(2)?,
            row.try_get_by_index(3)?,
            row.try_get_by_index(4)?,
        ];
        let rating: i32 = row.try_get_by_index(5)?;
        black_box((id, texts, rating));
    }
    Ok(rows.len())
}

/// Calls per second.
fn rate(span: Duration, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < span {
        for _ in 0..100 {
            call();
        }
        count += 100;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

fn row(
    work: &str,
    unit: &'static str,
    turns: &[(f64, f64)],
    target: f64,
    against: &'static str,
) -> Row {
    let median = |mut numbers: Vec<f64>| {
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    let ratios: Vec<f64> = turns.iter().map(|(ours, limit)| ours / limit).collect();
    Row {
        work: work.to_owned(),
        cores: 1,
        unit,
        ours: median(turns.iter().map(|turn| turn.0).collect()),
        limit: median(turns.iter().map(|turn| turn.1).collect()),
        ratio: median(ratios.clone()),
        ratios,
        target: Some(target),
        against,
        established: None,
        ours_cpu: 0.0,
        limit_cpu: 0.0,
    }
}
