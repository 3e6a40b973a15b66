//! The task between the source's inbox and the sinks' queues: filter, projection and encoding in one go.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plugyard_symbol::{Body, Row, Tuple, Value};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::encode::{self, TooDeep};
use super::metrics::Node;
use super::queue::Queue;
use super::{BATCH, Shared, Stages};
use crate::eval::project::{Keep, project};
use crate::eval::{Scope, Slot, Stop, keeps};
use crate::plan::Plan;
use crate::rule::SinkOptions;

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
    slots: Vec<Slot>,
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
            slots: vec![None; plan.calls.len()],
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
        let mut batch = Vec::with_capacity(BATCH);
        // A call takes longer than a hand-over: rows that wait for one go on as soon as they can.
        let most = if self.plan.awaits() { 1 } else { BATCH };
        let inbox = self.inbox.clone();
        while inbox.take(&mut batch, most).await {
            let began = Instant::now();
            let now = self.shared.clock.now_ms();
            self.waiting = batch.len();
            for tuple in &batch {
                self.process(tuple, now).await;
                self.waiting -= 1;
            }
            let took = began.elapsed();
            self.count(took);
            self.hand_over(took).await;
            if batch.len() == BATCH {
                // There is more: let others have their turn.
                tokio::task::yield_now().await;
            }
            batch.clear();
        }
    }

    /// Takes one message through filter and projection to the sinks' batches.
    async fn process(&mut self, tuple: &Tuple, now: i64) {
        let plan = self.plan.clone();
        self.counts.came += 1;
        let row = columns(&plan, tuple);
        self.slots.fill(None);
        if let Some(filter) = &plan.select.filter {
            match self
                .until_done(&row, tuple, now, |scope| keeps(filter, scope))
                .await
            {
                Ok(true) => {}
                Ok(false) => return,
                Err(text) => {
                    self.fail(self.filter.clone().as_ref(), "run Where error", &text);
                    return;
                }
            }
        }
        self.counts.kept += 1;
        let keep = Keep {
            nil: plan.rule.options.send_nil,
            meta: plan.rule.options.send_meta,
        };
        if plan.select.passes_through() && !plan.rule.options.send_meta {
            self.counts.projected += 1;
            self.send(&Output::Body(&tuple.body));
            return;
        }
        match self
            .until_done(&row, tuple, now, |scope| {
                project(&plan.select.items, keep, scope)
            })
            .await
        {
            Ok(row) => {
                self.counts.projected += 1;
                self.send(&Output::Row(Cow::Owned(row)));
            }
            Err(text) => self.fail(Some(&self.project.clone()), "run Select error", &text),
        }
    }

    /// Evaluates; whenever a plugin's result is needed, gets it and evaluates again.
    async fn until_done<T>(
        &mut self,
        row: &Row,
        tuple: &Tuple,
        now: i64,
        evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
    ) -> Result<T, String> {
        loop {
            let scope = Scope {
                row,
                tuple,
                now,
                rule_id: &self.plan.rule.id,
                slots: &self.slots,
            };
            let (slot, arguments) = match evaluate(&scope) {
                Ok(value) => return Ok(value),
                Err(Stop::Error(text)) => return Err(text),
                Err(Stop::Call(slot, arguments)) => (slot, arguments),
            };
            let result = self.plan.calls[slot]
                .call(&arguments)
                .await
                .map_err(|error| {
                    format!(
                        "call func {} error: {}",
                        self.plan.select.calls[slot].name, error.text
                    )
                })?;
            self.slots[slot] = Some(result);
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
        let block = self.plan.rule.options.block_when_full;
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
                let (dropped, last) = feed.queue.offer_all(&mut feed.batch);
                feed.encode.dropped(dropped, last);
            }
        }
    }
}

/// The columns the statement looks at, and no more.
fn columns<'a>(plan: &Plan, tuple: &'a Tuple) -> Cow<'a, Row> {
    let select = &plan.select;
    let all = select.needs_all() && (!select.passes_through() || plan.rule.options.send_meta);
    if all {
        tuple.body.row()
    } else if select.columns.is_empty() {
        Cow::Owned(Row::new())
    } else {
        Cow::Owned(tuple.body.columns(&select.columns))
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
