//! Installations: a page of them and one of them, when there are ten and when there are ten thousand.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use plugyard_http::PageQuery;
use plugyard_model::Problem;
use plugyard_platform::installations::InstallationFilter;
use plugyard_platform::{Home, Platform, Settings};
use plugyard_store::{Database, DatabaseUrl};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use super::{compared, median, milliseconds, percentile, seed};
use crate::works::{Effort, Row};

/// The rows of [`rows`].
pub const TITLE: &str = "installations";

const FEW: u32 = 10;
const MANY: u32 = 10_000;
/// Installations of a page.
const PAGE: u32 = 100;
/// How much longer one among many may take to find.
const GET_TARGET: f64 = 1.2;
/// How often the bare query's time a page may take.
const LIST_TARGET: f64 = 10.0;
/// What a page is read from, in its order.
const QUERY: &str = "SELECT i.*, v.digest, v.options, v.label, v.manifest \
    FROM installations i LEFT JOIN versions v ON v.id = i.current_version \
    ORDER BY i.kind, i.key LIMIT 100";

/// One among many against one among few; a page against the query for the same rows.
///
/// # Errors
/// When a database cannot be made, or does not answer.
pub async fn rows(effort: Effort, cores: usize) -> Result<Vec<Row>> {
    let few = Filled::new(FEW).await?;
    let many = Filled::new(MANY).await?;
    let span = effort.span / 2;
    let (mut gets, mut few_lists, mut many_lists) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.turns.max(1) {
        let least = median(times(span, async || few.get().await).await?.into_iter());
        let most = median(times(span, async || many.get().await).await?.into_iter());
        gets.push((most, least));
        for (filled, into) in [(&few, &mut few_lists), (&many, &mut many_lists)] {
            let ours = times(span, async || filled.list().await).await?;
            let bare = times(span, async || filled.query().await).await?;
            into.push((percentile(ours.into_iter(), 99), median(bare.into_iter())));
        }
    }
    few.end().await;
    many.end().await;
    let get = format!("{TITLE}: get of one among {MANY}, median");
    let list = |count: u32| format!("{TITLE}: list, page of {PAGE} of {count}, p99");
    let (among_few, query) = (
        "the same among 10",
        "the bare SQL query for the same rows on the same connection, median",
    );
    Ok(vec![
        compared(get, cores, "ms", &gets, Some(GET_TARGET), among_few),
        compared(list(FEW), cores, "ms", &few_lists, Some(LIST_TARGET), query),
        compared(
            list(MANY),
            cores,
            "ms",
            &many_lists,
            Some(LIST_TARGET),
            query,
        ),
    ])
}

/// A platform with so many installations.
struct Filled {
    platform: Platform,
    database: Database,
    count: u32,
    _directory: tempfile::TempDir,
}

impl Filled {
    async fn new(count: u32) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let home = Home::new(directory.path());
        let database = Database::open(&DatabaseUrl::sqlite(home.database())).await?;
        database.migrate(plugyard_platform::migrations()).await?;
        seed(&database, 0..count).await?;
        let settings = Settings::new(home, database.clone());
        let platform = Platform::open(settings, Vec::new()).await?;
        Ok(Self {
            platform,
            database,
            count,
            _directory: directory,
        })
    }

    async fn get(&self) -> Result<()> {
        let name = format!("app:plugin-{:05}", self.count / 2);
        let found = self.platform.installation(&name).await.map_err(said)?;
        ensure!(found.current.is_some(), "{name} has no version");
        Ok(())
    }

    async fn list(&self) -> Result<()> {
        let page = PageQuery {
            cursor: None,
            limit: Some(PAGE),
        };
        let filter = InstallationFilter::default();
        let found = self
            .platform
            .installations(&filter, &page)
            .await
            .map_err(said)?;
        self.right(found.items.len())
    }

    async fn query(&self) -> Result<()> {
        let statement = Statement::from_string(DbBackend::Sqlite, QUERY);
        let found = self.database.conn().query_all_raw(statement).await?;
        self.right(found.len())
    }

    fn right(&self, found: usize) -> Result<()> {
        let wanted = self.count.min(PAGE);
        ensure!(
            found == wanted as usize,
            "{found} installations instead of {wanted}"
        );
        Ok(())
    }

    async fn end(self) {
        self.platform.shut_down().await;
    }
}

fn said(problem: Problem) -> anyhow::Error {
    anyhow!("{problem:?}")
}

/// How long each of the acts of a span took, in ms; the first, which finds nothing in memory, is left out.
async fn times(span: Duration, act: impl AsyncFn() -> Result<()>) -> Result<Vec<f64>> {
    act().await?;
    let (began, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || began.elapsed() < span {
        let start = Instant::now();
        act().await?;
        times.push(milliseconds(start.elapsed()));
    }
    Ok(times)
}
