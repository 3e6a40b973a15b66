//! What happens while rows flow: versions change, processes end and multiply, clients come in a burst.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of a few minutes are exact in a float"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use plugyard_portable::testing::toolbox_dir;
use plugyard_symbol::{
    Body, BoundFunction, Connection, SinkObserver, SourceInbox, SymbolError, Tuple, Value,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use crate::ours::{Counter, Ours, Process};
use crate::plugins::Plugin;
use crate::works::{Effort, Row};

/// Requests of the burst, and events in each of them.
const BURST: (usize, usize) = (1000, 500);
/// Clients of the burst.
const CLIENTS: usize = 8;
/// Events per second that the established host was seen to get through to the end in the burst, at best.
const ESTABLISHED_BURST: f64 = 6800.0;
/// Between two kills of the soak.
const KILL_EVERY: Duration = Duration::from_secs(10);
/// How long anything may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Both sides of what is measured here.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// Where it runs.
    pub runtime: &'a Runtime,
    /// The product.
    pub ours: &'a Ours,
    /// The plugin made with the Python SDK.
    pub python: &'a Plugin,
    /// The bare one.
    pub bare: &'a Plugin,
    /// How long and how often.
    pub effort: Effort,
    /// Processor cores that take part.
    pub cores: usize,
}

/// Remembers the longest time between two signs of life.
#[derive(Debug)]
struct Gaps(Mutex<(Instant, Duration)>);

impl Gaps {
    fn new() -> Self {
        Self(Mutex::new((Instant::now(), Duration::ZERO)))
    }

    fn tick(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.1 = state.1.max(now - state.0);
        state.0 = now;
    }

    /// The longest since this was asked last, in ms.
    fn take(&self) -> f64 {
        self.tick();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.1).as_secs_f64() * 1e3
    }
}

/// Keeps the numbers that a source counts.
struct Numbers {
    seen: Mutex<Vec<u64>>,
    failures: AtomicU64,
    gaps: Gaps,
}

impl Numbers {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            failures: AtomicU64::new(0),
            gaps: Gaps::new(),
        })
    }

    fn count(&self) -> usize {
        let numbers = self.seen.lock();
        numbers.unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[async_trait]
impl SourceInbox for Numbers {
    fn offer(&self, tuple: Tuple) {
        #[derive(Deserialize)]
        struct Counted {
            n: u64,
        }
        self.gaps.tick();
        if let Body::Json(text) = &tuple.body
            && let Ok(row) = serde_json::from_slice::<Counted>(text.as_bytes())
        {
            let mut numbers = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.push(row.n);
        }
    }

    async fn push(&self, tuple: Tuple) {
        self.offer(tuple);
    }

    fn exception(&self, _: SymbolError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn connection(&self, _: Connection) {}
}

/// Numbers that are missing up to the largest, and those that came more than once.
fn lost_and_doubled(mut numbers: Vec<u64>) -> (u64, u64) {
    let came = numbers.len() as u64;
    numbers.sort_unstable();
    numbers.dedup();
    let different = numbers.len() as u64;
    let first = numbers.first().copied().unwrap_or_default();
    let span = numbers.last().map_or(0, |last| last - first + 1);
    (span - different, came - different)
}

impl Load<'_> {
    fn row(&self, work: String, unit: &'static str) -> Row {
        Row {
            work,
            cores: self.cores,
            unit,
            ours: 0.0,
            limit: 0.0,
            ratio: 0.0,
            ratios: Vec::new(),
            target: None,
            against: "",
            established: None,
            ours_cpu: 0.0,
            limit_cpu: 0.0,
        }
    }

    fn pause(
        &self,
        what: &str,
        swaps: usize,
        lost: u64,
        doubled: u64,
        gaps: Vec<f64>,
        calm: f64,
    ) -> Row {
        let longest = gaps.iter().copied().fold(0.0, f64::max);
        let mut sorted = gaps.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
        Row {
            ours: longest,
            limit: calm,
            ratio: longest - calm,
            ratios: gaps,
            target: Some(5.0),
            against: "longest gap while nothing changes",
            ..self.row(
                format!(
                    "hot swap ×{swaps}, {what}: longest gap ({lost} lost, {doubled} doubled; half of the \
                     swaps have none above {middle:.1} ms)"
                ),
                "ms",
            )
        }
    }

    /// Swaps in a row: calls, a source of each handover, and a sink, each under load.
    ///
    /// # Errors
    /// When a change fails.
    pub fn swaps(&self, below: &Path, swaps: usize) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (plugin, maker) in [(self.python, "Python SDK"), (self.bare, "bare plugin")] {
            rows.push(
                self.runtime
                    .block_on(self.call_swaps(plugin, maker, swaps))?,
            );
        }
        let overlap = json!({"sources": {"numbers": {"handover": "overlap"}}});
        for (handover, block) in [("exclusive", json!({})), ("overlap", overlap)] {
            let directory = below.join(format!("toolbox_{handover}"));
            fs::create_dir_all(&directory)?;
            toolbox_dir(&directory, "1")?;
            let manifest = directory.join("toolbox.json");
            let mut json: Json = serde_json::from_slice(&fs::read(&manifest)?)?;
            json["plugyard"] = block;
            fs::write(manifest, json.to_string())?;
            let toolbox = Plugin::at("toolbox", &directory);
            let work = self.row_swaps(&toolbox, handover, swaps);
            rows.extend(self.runtime.block_on(work)?);
        }
        Ok(rows)
    }

    async fn call_swaps(&self, plugin: &Plugin, maker: &str, swaps: usize) -> Result<Row> {
        let (gaps, ended) = (Arc::new(Gaps::new()), Arc::new(AtomicBool::new(false)));
        let function = self.ours.function(plugin)?;
        let (ticking, end) = (gaps.clone(), ended.clone());
        let calling = tokio::spawn(async move {
            let mut failed = 0_u64;
            while !end.load(Ordering::Relaxed) {
                let answer = function.call(&[Value::Int(1)]).await;
                failed += u64::from(answer.is_err());
                ticking.tick();
            }
            failed
        });
        tokio::time::sleep(self.effort.span).await;
        gaps.take();
        tokio::time::sleep(self.effort.span * 2).await;
        let calm = gaps.take();
        let mut each = Vec::with_capacity(swaps);
        for _ in 0..swaps {
            self.ours.swap(plugin).await?;
            each.push(gaps.take());
        }
        ended.store(true, Ordering::Relaxed);
        let lost = calling.await?;
        let what = format!("function, {maker}");
        Ok(self.pause(&what, swaps, lost, 0, each, calm))
    }

    /// A source and a sink at once.
    async fn row_swaps(&self, toolbox: &Plugin, handover: &str, swaps: usize) -> Result<Vec<Row>> {
        self.ours.install(toolbox).await?;
        let inbox = Numbers::new();
        let source = self.ours.open("numbers", inbox.clone()).await?;
        let file = format!("notebook_{handover}");
        let observer: Arc<dyn SinkObserver> = Arc::new(Counter::default());
        let properties = json!({"requireAck": true, "file": file});
        let mut sink = self.ours.drain("notebook", properties, observer).await?;
        let (gaps, ended) = (Arc::new(Gaps::new()), Arc::new(AtomicBool::new(false)));
        let (ticking, end) = (gaps.clone(), ended.clone());
        let sending = tokio::spawn(async move {
            let mut sent = 0_u64;
            while !end.load(Ordering::Relaxed) {
                let message = Bytes::from(format!(r#"[{{"n":{sent}}}]"#));
                sink.send(message).await?;
                ticking.tick();
                sent += 1;
            }
            sink.stop().await?;
            anyhow::Ok(sent)
        });
        tokio::time::sleep(self.effort.span).await;
        inbox.gaps.take();
        gaps.take();
        tokio::time::sleep(self.effort.span * 2).await;
        let calm = (inbox.gaps.take(), gaps.take());
        let (mut ins, mut outs) = (Vec::with_capacity(swaps), Vec::with_capacity(swaps));
        for _ in 0..swaps {
            let before = inbox.count();
            self.ours.swap(toolbox).await?;
            until("rows after a swap", || inbox.count() > before).await?;
            ins.push(inbox.gaps.take());
            outs.push(gaps.take());
        }
        ended.store(true, Ordering::Relaxed);
        let sent = sending.await??;
        source.stop().await?;
        let numbers =
            std::mem::take(&mut *inbox.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let (lost, doubled) = lost_and_doubled(numbers);
        let what = format!("source ({handover}), Python SDK");
        let mut rows = vec![self.pause(&what, swaps, lost, doubled, ins, calm.0)];
        let written = self.ours.data(toolbox, &file).context("no data")?;
        let written: Vec<u64> = fs::read_to_string(written)?
            .lines()
            .filter_map(|line| serde_json::from_str::<Json>(line).ok()?[0]["n"].as_u64())
            .collect();
        let (_, doubled) = lost_and_doubled(written.clone());
        let lost = sent.saturating_sub(written.len() as u64 - doubled);
        let what = format!("sink beside it ({handover}), Python SDK");
        rows.push(self.pause(&what, swaps, lost, doubled, outs, calm.1));
        Ok(rows)
    }

    /// A process is killed: how long until a call is answered again.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn killed(&self) -> Result<Row> {
        let function = self.ours.function(self.python)?;
        let mut times = Vec::new();
        self.runtime.block_on(async {
            for _ in 0..self.effort.turns {
                function.call(&[Value::Int(1)]).await?;
                self.ours.kill(self.python)?;
                let began = Instant::now();
                answered(function.as_ref()).await?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(())
        })?;
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        Ok(Row {
            ours: median,
            ratio: median,
            against: "the waits of restarts in a row, 100 ms doubling, are in it",
            ..self.row(
                "plugin killed, until a call is answered, Python SDK".to_owned(),
                "ms",
            )
        })
    }

    /// Calls through pools of several sizes, against one process.
    ///
    /// # Errors
    /// When a change or a call fails.
    pub fn pools(&self) -> Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        for workers in [1, 2, 4] {
            let options = json!({"workers": workers});
            let rate = self.runtime.block_on(async {
                self.ours.install_with(self.python, options).await?;
                self.pool_rate(workers * 2).await
            })?;
            let one = rows.first().map_or(rate, |row| row.ours);
            let times = (workers.min(self.cores)) as f64;
            rows.push(Row {
                ours: rate,
                limit: one,
                ratio: rate / one,
                target: (workers > 1).then_some(0.85 * times),
                against: "one process; target 0.85 × processes, as far as there are cores",
                ..self.row(
                    format!("worker pool of {workers}, function that computes, Python SDK"),
                    "messages/s",
                )
            });
        }
        let back = self.ours.install_with(self.python, json!({}));
        self.runtime.block_on(back)?;
        Ok(rows)
    }

    async fn pool_rate(&self, callers: usize) -> Result<f64> {
        let function = self.ours.bind(&self.python.work())?;
        let count = Arc::new(AtomicU64::new(0));
        let ended = Arc::new(AtomicBool::new(false));
        let calling: Vec<_> = (0..callers)
            .map(|_| {
                let (function, count, end) = (function.clone(), count.clone(), ended.clone());
                tokio::spawn(async move {
                    while !end.load(Ordering::Relaxed) {
                        function.call(&[Value::Int(1)]).await?;
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        tokio::time::sleep(self.effort.span).await;
        let (before, began) = (count.load(Ordering::Relaxed), Instant::now());
        tokio::time::sleep(self.effort.span * 3).await;
        let done = count.load(Ordering::Relaxed) - before;
        let rate = done as f64 / began.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        for calling in calling {
            calling.await??;
        }
        Ok(rate)
    }

    /// Half a million events in a thousand requests.
    ///
    /// # Errors
    /// When one is lost.
    pub fn burst(&self) -> Result<Row> {
        let events = (BURST.0 * BURST.1) as u64;
        let flow = self.ours.flow();
        let before = self.ours.counted();
        self.runtime.block_on(async {
            let stream = r#"CREATE STREAM burst () WITH (TYPE="httppush", DATASOURCE="/burst", FORMAT="json")"#;
            flow.create_stream(stream).await?;
            let rule = json!({"id": "burst", "sql": "SELECT id, t FROM burst WHERE s > 0", "actions": [{"count": {"sendSingle": true}}]});
            flow.create_rule(&rule.to_string()).await?;
            until("the rule listens", || {
                self.ours.push_address().port() != 0
                    && TcpStream::connect(self.ours.push_address()).is_ok()
            })
            .await
        })?;
        let address = self.ours.push_address();
        let began = Instant::now();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| std::thread::spawn(move || send_burst(address, client)))
            .collect();
        for client in clients {
            let sent = client.join();
            sent.map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        let rate = self.runtime.block_on(async {
            until("all events have come", || {
                self.ours.counted() - before >= events
            })
            .await?;
            let rate = events as f64 / began.elapsed().as_secs_f64();
            flow.delete_rule("burst").await?;
            flow.drop_stream("burst", true).await?;
            anyhow::Ok(rate)
        })?;
        let counted = self.ours.counted() - before;
        if counted != events {
            bail!("{events} events were sent, and {counted} came");
        }
        Ok(Row {
            ours: rate,
            limit: ESTABLISHED_BURST,
            ratio: rate / ESTABLISHED_BURST,
            target: Some(10.0),
            against: "established host at best, recorded; it lost 27–56 %",
            ..self.row(
                "burst over HTTP, 500,000 events in 1,000 requests, 8 clients (0 lost)".to_owned(),
                "messages/s",
            )
        })
    }

    /// A rule under load whose plugin is killed every 10 s for so long: what came of it.
    ///
    /// # Errors
    /// When it does not recover.
    pub fn soak(&self, span: Duration) -> Result<Json> {
        let column = format!("{}(data)", self.python.function());
        self.runtime.block_on(async {
            let rule = self.ours.rule(self.python, &column).await?;
            until("the first rows", || {
                rule.count().is_ok_and(|count| count > 0)
            })
            .await?;
            let before = footprint()?;
            let (mut kills, mut longest, mut most) = (0, Duration::ZERO, before.0);
            let mut left = Vec::new();
            let began = Instant::now();
            while began.elapsed() < span {
                tokio::time::sleep(KILL_EVERY).await;
                let rows = rule.count()?;
                left.push(self.ours.kill(self.python)?);
                let killed = Instant::now();
                kills += 1;
                // What was on its way still arrives: only more than that is new.
                let enough = rows + 2 * crate::plugins::WINDOW;
                until("rows after a kill", || {
                    rule.count().is_ok_and(|count| count > enough)
                })
                .await?;
                longest = longest.max(killed.elapsed());
                most = most.max(footprint()?.0);
            }
            let rows = rule.count()?;
            let after = footprint()?;
            rule.end().await?;
            left.retain(Process::lives);
            Ok(json!({
                "minutes": began.elapsed().as_secs_f64() / 60.0,
                "rows": rows,
                "kills": kills,
                "longest_outage_ms": longest.as_secs_f64() * 1e3,
                "memory_kib": {"before": before.0, "most": most, "after": after.0},
                "descriptors": {"before": before.1, "after": after.1},
                "processes_left": left.len(),
            }))
        })
    }
}

/// Resident memory of this process in KiB, and its open descriptors.
fn footprint() -> Result<(u64, usize)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    let descriptors = fs::read_dir("/proc/self/fd")?.count();
    Ok((
        resident.context("no resident memory is shown")?,
        descriptors,
    ))
}

async fn answered(function: &dyn BoundFunction) -> Result<()> {
    let began = Instant::now();
    // The first may have been under way in the process that ended.
    while function.call(&[Value::Int(1)]).await.is_err() {
        if began.elapsed() > PATIENCE {
            bail!("no answer any more");
        }
    }
    Ok(())
}

async fn until(what: &str, there: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while !there() {
        if began.elapsed() > PATIENCE {
            bail!("waited in vain for {what}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// One client's part of the burst, over one connection.
fn send_burst(address: SocketAddr, client: usize) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answer = [0; 1024];
    for request in (client..BURST.0).step_by(CLIENTS) {
        let events: Vec<String> = (0..BURST.1)
            .map(|n| {
                format!(
                    r#"{{"id":{:07},"t":21.5,"s":1}}"#,
                    1_000_000 + request * BURST.1 + n
                )
            })
            .collect();
        let body = format!("[{}]", events.join(","));
        let length = body.len();
        let head =
            format!("POST /burst HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let read = stream.read(&mut answer)?;
        if !answer[..read].starts_with(b"HTTP/1.1 200") {
            bail!("refused: {}", String::from_utf8_lossy(&answer[..read]));
        }
    }
    Ok(())
}
