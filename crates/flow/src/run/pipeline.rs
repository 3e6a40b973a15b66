//! The task between the source's inbox and the sinks' queues: filter, projection and encoding in one go.
//!
//! A row that calls a plugin's function has to wait. By default rows wait one after the other, so that
//! calls are made in the order of rows; with `concurrency` several are under way at once
//! ([`super::row`]). Rows that are done leave together with those behind them, but do not wait for
//! them longer than [`LINGER`].

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plugyard_symbol::{Body, Row, Tuple, Value};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::encode::{self, TooDeep};
use super::linger::Linger;
use super::metrics::Node;
use super::queue::Queue;
use super::row::{Outcome, Rows, evaluate};
use super::{BATCH, Shared, Stages};
use crate::plan::Plan;
use crate::rule::SinkOptions;

/// How long a row that is done waits at most for those behind it.
const LINGER: Duration = Duration::from_millis(1);

/// The way to one sink.
pub(super) struct Feed {
    pub(super) transform: Arc<Node>,
    pub(super) encode: Arc<Node>,
    pub(super) queue: Arc<Queue<Bytes>>,
    pub(super) options: SinkOptions,
    /// Rows of the batch that have come here.
    pub(super) came: u64,
    pub(super) batch: Vec<Bytes>,
}

/// See the module.
pub(super) struct Pipeline {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    inbox: Arc<Queue<Tuple>>,
    source: Arc<Node>,
    filter: Option<Arc<Node>>,
    project: Arc<Node>,
    feeds: Vec<Feed>,
    tail: broadcast::Sender<Bytes>,
    counts: Counts,
    buffer: Vec<u8>,
    /// Messages of the batch that have not been processed.
    waiting: usize,
}

/// What one batch did, written to the nodes at its end.
#[derive(Default)]
struct Counts {
    came: u64,
    kept: u64,
    projected: u64,
}

/// What leaves the projection.
enum Output<'a> {
    /// The body as it came.
    Body(&'a Body),
    /// A new row.
    Row(Cow<'a, Row>),
}

impl Pipeline {
    pub(super) fn new(
        plan: Arc<Plan>,
        shared: Arc<Shared>,
        stages: &Stages,
        tail: broadcast::Sender<Bytes>,
    ) -> Self {
        let feeds = stages
            .sinks
            .iter()
            .zip(&plan.sinks)
            .map(|(stages, sink)| Feed::new(stages, sink))
            .collect();
        Self {
            plan,
            shared,
            inbox: stages.inbox.clone(),
            source: stages.source.clone(),
            filter: stages.filter.clone(),
            project: stages.project.clone(),
            feeds,
            tail,
            counts: Counts::default(),
            buffer: Vec::new(),
            waiting: 0,
        }
    }

    /// Works until the inbox is closed and empty, or until it is cut off.
    pub(super) async fn run(mut self, cut: CancellationToken) {
        tokio::select! {
            () = self.work() => return,
            () = cut.cancelled() => {}
        }
        self.inbox.close();
        let lost = (self.inbox.clear() + self.waiting) as u64;
        self.source
            .failed_times(lost, format!("rule stopped, {lost} messages not processed"));
        for feed in &self.feeds {
            let lost = feed.batch.len() as u64;
            feed.encode
                .failed_times(lost, format!("rule stopped, {lost} messages not delivered"));
        }
    }

    async fn work(&mut self) {
        match self.plan.rule.options.concurrency {
            many @ 2.. if self.plan.awaits() => self.work_on_several(many).await,
            _ => self.work_in_order().await,
        }
    }

    /// One row after the other.
    async fn work_in_order(&mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let (plan, inbox) = (self.plan.clone(), self.inbox.clone());
        let mut slots = vec![None; plan.calls.len()];
        let mut linger = Linger::default();
        while inbox.take(&mut batch, BATCH).await {
            let mut began = Instant::now();
            let mut now = self.shared.clock.now_ms();
            self.waiting = batch.len();
            for tuple in &batch {
                slots.fill(None);
                let mut evaluating = pin!(evaluate(&plan, tuple, now, &mut slots));
                let outcome = match futures::poll!(evaluating.as_mut()) {
                    Poll::Ready(outcome) => outcome,
                    // The call may be slow, and rows before this one are done.
                    Poll::Pending if self.has_finished() => {
                        match linger.until(began + LINGER, evaluating.as_mut()).await {
                            Some(outcome) => outcome,
                            None => {
                                self.pass_on(began).await;
                                began = Instant::now();
                                evaluating.await
                            }
                        }
                    }
                    Poll::Pending => evaluating.await,
                };
                self.settle(&tuple.body, outcome);
                if plan.awaits() && self.waiting > 0 && began.elapsed() >= LINGER {
                    self.pass_on(began).await;
                    began = Instant::now();
                    now = self.shared.clock.now_ms();
                }
            }
            self.pass_on(began).await;
            if batch.len() == BATCH {
                // There is more: let others have their turn.
                tokio::task::yield_now().await;
            }
            batch.clear();
        }
    }

    /// Up to `most` rows at once.
    async fn work_on_several(&mut self, most: usize) {
        let (plan, inbox) = (self.plan.clone(), self.inbox.clone());
        let mut taken = Vec::with_capacity(most);
        let mut rows = Rows::new(plan.rule.options.ordered);
        let mut open = true;
        let mut began = Instant::now();
        loop {
            let free = most - rows.len();
            let done = tokio::select! {
                biased;
                Some(done) = rows.next() => Some(done),
                more = inbox.take(&mut taken, free), if open && free > 0 => {
                    open = more;
                    None
                }
                else => return,
            };
            match done {
                None => {
                    if rows.len() == 0 {
                        began = Instant::now();
                    }
                    self.waiting += taken.len();
                    let now = self.shared.clock.now_ms();
                    for tuple in taken.drain(..) {
                        rows.push(plan.clone(), tuple, now);
                    }
                }
                Some((tuple, outcome)) => {
                    self.settle(&tuple.body, outcome);
                    while let Some((tuple, outcome)) = rows.next_if_done() {
                        self.settle(&tuple.body, outcome);
                    }
                    self.pass_on(began).await;
                    began = Instant::now();
                }
            }
        }
    }

    /// Whether rows are done that have not been passed on.
    fn has_finished(&self) -> bool {
        self.feeds.iter().any(|feed| feed.came > 0)
    }

    /// Writes down what has been done since `began`, and passes it on.
    async fn pass_on(&mut self, began: Instant) {
        let took = began.elapsed();
        self.count(took);
        self.hand_over(took).await;
    }

    /// Takes in what became of a row.
    fn settle(&mut self, body: &Body, outcome: Outcome) {
        self.waiting -= 1;
        self.counts.came += 1;
        match outcome {
            Outcome::Rejected(text) => {
                // It never got as far as the first operator.
                self.counts.came -= 1;
                self.fail(Some(&self.source.clone()), "error in preprocessor", &text);
            }
            Outcome::Filtered => {}
            Outcome::FilterFailed(text) => {
                self.fail(self.filter.clone().as_ref(), "run Where error", &text);
            }
            Outcome::PassedThrough => {
                self.counts.kept += 1;
                self.counts.projected += 1;
                self.send(&Output::Body(body));
            }
            Outcome::Row(row) => {
                self.counts.kept += 1;
                self.counts.projected += 1;
                self.send(&Output::Row(Cow::Owned(row)));
            }
            Outcome::Failed(text) => {
                self.counts.kept += 1;
                self.fail(Some(&self.project.clone()), "run Select error", &text);
            }
        }
    }

    /// A message failed: it is dropped and counted, and told to the sinks where the rule wants that.
    fn fail(&mut self, node: Option<&Arc<Node>>, place: &str, text: &str) {
        let text = format!("{place}: {text}");
        if self.plan.rule.options.send_error {
            let row = Row::from_iter([("error".into(), Value::from(text.as_str()))]);
            self.send(&Output::Row(Cow::Owned(row)));
        }
        if let Some(node) = node {
            node.failed(text);
        }
    }

    /// Encodes for each sink and for whoever watches.
    fn send(&mut self, output: &Output<'_>) {
        if self.tail.receiver_count() > 0
            && let Ok(line) = encode_single(output, &mut self.buffer)
        {
            // An error says that the last watcher has just gone.
            let _ = self.tail.send(line);
        }
        for feed in &mut self.feeds {
            feed.came += 1;
            match feed.encode(output, &mut self.buffer) {
                Ok(Some(message)) => feed.batch.push(message),
                Ok(None) => {}
                Err(error) => feed.encode.failed(error.to_string()),
            }
        }
    }

    /// Writes what a batch did to the nodes. They work as one, so each shows the time of all.
    fn count(&mut self, took: Duration) {
        let Counts {
            came,
            kept,
            projected,
        } = std::mem::take(&mut self.counts);
        if let Some(filter) = &self.filter {
            filter.came_in(came);
            filter.worked(came, took);
            filter.went_out(kept);
        }
        if kept > 0 {
            self.project.came_in(kept);
            self.project.worked(kept, took);
            self.project.went_out(projected);
        }
    }

    async fn hand_over(&mut self, took: Duration) {
        // Where the source can wait, nothing is dropped on the way.
        let block = self.plan.rule.options.block_when_full || self.plan.source.can_wait();
        for feed in &mut self.feeds {
            let came = std::mem::take(&mut feed.came);
            let count = feed.batch.len() as u64;
            if came == 0 {
                continue;
            }
            for node in [&feed.transform, &feed.encode] {
                node.came_in(came);
                node.worked(came, took);
                node.went_out(count);
            }
            if block {
                // One leaves the batch only when the queue has it, so that none is lost from sight.
                feed.batch.reverse();
                while let Some(message) = feed.batch.last() {
                    feed.queue.push(message.clone()).await;
                    feed.batch.pop();
                }
            } else {
                feed.encode.dropped(feed.queue.offer_all(&mut feed.batch));
            }
        }
    }
}

impl Feed {
    /// The message for this sink, if there is one.
    fn encode(&self, output: &Output<'_>, buffer: &mut Vec<u8>) -> Result<Option<Bytes>, TooDeep> {
        let options = &self.options;
        let chosen = if options.fields.is_empty() && options.exclude_fields.is_empty() {
            None
        } else {
            Some(Output::Row(Cow::Owned(choose(output, options))))
        };
        let output = chosen.as_ref().unwrap_or(output);
        if options.omit_if_empty && output.is_empty() {
            return Ok(None);
        }
        if options.send_single {
            return encode_single(output, buffer).map(Some);
        }
        buffer.clear();
        buffer.push(b'[');
        output.write(buffer)?;
        buffer.push(b']');
        Ok(Some(Bytes::copy_from_slice(buffer)))
    }
}

fn encode_single(output: &Output<'_>, buffer: &mut Vec<u8>) -> Result<Bytes, TooDeep> {
    buffer.clear();
    output.write(buffer)?;
    Ok(Bytes::copy_from_slice(buffer))
}

/// The columns a sink wants.
fn choose(output: &Output<'_>, options: &SinkOptions) -> Row {
    let wanted = |name: &str| {
        if options.fields.is_empty() {
            !options.exclude_fields.iter().any(|field| field == name)
        } else {
            options.fields.iter().any(|field| field == name)
        }
    };
    let row = match output {
        Output::Body(body) => body.row(),
        Output::Row(row) => Cow::Borrowed(row.as_ref()),
    };
    row.iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl Output<'_> {
    fn write(&self, buffer: &mut Vec<u8>) -> Result<(), TooDeep> {
        match self {
            Self::Body(body) => encode::body(body, buffer),
            Self::Row(row) => encode::row(row, buffer),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Body(body) => body.row().is_empty(),
            Self::Row(row) => row.is_empty(),
        }
    }
}
