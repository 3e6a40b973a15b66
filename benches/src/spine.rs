//! What every kind stands on: looking at packages, finding installations among many, and answering over
//! HTTP, each beside the plainest thing that does the same.
//!
//! * [`packages`]: inspection of a large package, rejection of bombs.
//! * [`listing`]: installations, ten and ten thousand of them.
//! * [`api`]: reads over HTTP.
//! * [`server`]: the whole server, idle and starting.
//!
//! A part that cannot be measured here gives a row without figures that says why.

pub mod api;
pub mod listing;
pub mod packages;
pub mod server;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use plugyard_store::Database;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::works::{Effort, Row};

/// The rows whose titles are wanted, measured on so many cores.
pub fn rows(
    runtime: &Runtime,
    effort: Effort,
    cores: usize,
    python: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Row> {
    let mut rows = Vec::new();
    if wanted(packages::INSPECTION) {
        rows.extend(found(
            packages::INSPECTION,
            cores,
            packages::inspection(effort, cores),
        ));
    }
    if wanted(packages::REJECTION) {
        rows.extend(found(
            packages::REJECTION,
            cores,
            packages::rejection(effort, cores),
        ));
    }
    if wanted(listing::TITLE) {
        let measured = runtime.block_on(listing::rows(effort, cores));
        rows.extend(found(listing::TITLE, cores, measured));
    }
    if wanted(api::TITLE) {
        let measured = runtime
            .block_on(api::row(effort, cores))
            .map(|row| vec![row]);
        rows.extend(found(api::TITLE, cores, measured));
    }
    // The processes of the plugins want cores of their own.
    if wanted(server::MEMORY) && cores > 1 {
        let measured = server::memory(python, cores);
        rows.extend(found(server::MEMORY, cores, measured));
    }
    if wanted(server::START) && cores > 1 {
        let measured = server::start(python, effort, cores).map(|row| vec![row]);
        rows.extend(found(server::START, cores, measured));
    }
    rows
}

/// What was measured, or one row that says why nothing was.
fn found(title: &str, cores: usize, measured: Result<Vec<Row>>) -> Vec<Row> {
    measured.unwrap_or_else(|error| {
        let work = format!("{title}: not measured: {error:#}");
        vec![Row {
            ours: f64::NAN,
            limit: f64::NAN,
            ratio: f64::NAN,
            ratios: Vec::new(),
            ..compared(work, cores, "", &[], None, "")
        }]
    })
}

/// A row of what was measured in turns: ours and what it is compared to. The ratio is the median of the turns'.
fn compared(
    work: impl Into<String>,
    cores: usize,
    unit: &'static str,
    turns: &[(f64, f64)],
    target: Option<f64>,
    against: &'static str,
) -> Row {
    let ratios: Vec<f64> = turns.iter().map(|(ours, limit)| ours / limit).collect();
    Row {
        work: work.into(),
        cores,
        unit,
        ours: median(turns.iter().map(|turn| turn.0)),
        limit: median(turns.iter().map(|turn| turn.1)),
        ratio: median(ratios.iter().copied()),
        ratios,
        target,
        against,
        established: None,
        ours_cpu: 0.0,
        limit_cpu: 0.0,
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    percentile(numbers, 50)
}

/// The number that so many of a hundred do not exceed; no number of none.
fn percentile(numbers: impl Iterator<Item = f64>, percent: usize) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let at = numbers.len() * percent / 100;
    let last = numbers.len().saturating_sub(1);
    numbers.get(at.min(last)).copied().unwrap_or(f64::NAN)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Puts installations of the kind `app` into the database without installing them, each with its version.
async fn seed(database: &Database, installations: std::ops::Range<u32>) -> Result<()> {
    let transaction = database.begin().await?;
    let digest = "ab".repeat(32);
    let run = async |sql: &str, values: Vec<sea_orm::Value>| {
        let statement = Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
        transaction.execute_raw(statement).await
    };
    run(
        "INSERT OR IGNORE INTO packages (digest, size, created_at) VALUES (?, 1000, 1)",
        vec![digest.clone().into()],
    )
    .await?;
    for n in installations {
        let (id, version) = (Uuid::now_v7(), Uuid::now_v7());
        let key = format!("plugin-{n:05}");
        let manifest = serde_json::json!({"version": "1.0.0", "language": "go", "executable": "run", "functions": ["f"]});
        run(
            "INSERT INTO versions (id, kind, key, digest, options, options_digest, label, manifest, findings, \
             created_at, used_at) VALUES (?, 'app', ?, ?, '{}', '', '1.0.0', ?, '[]', 1, 1)",
            vec![version.into(), key.clone().into(), digest.clone().into(), manifest.to_string().into()],
        )
        .await?;
        run(
            "INSERT INTO installations (id, kind, key, wanted, current_version, revision, created_at, updated_at) \
             VALUES (?, 'app', ?, 'stopped', ?, 1, 1, 1)",
            vec![id.into(), key.into(), version.into()],
        )
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}
