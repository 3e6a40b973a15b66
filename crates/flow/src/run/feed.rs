//! The ways from a rule's operators to its sinks: encoding, and the queue before each sink.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugyard_symbol::{Body, Row, Value};
use tokio::sync::broadcast;

use super::encode::{self, TooDeep};
use super::metrics::Node;
use super::queue::Queue;
use super::{SinkStages, Stages};
use crate::plan::{Plan, SinkPlan};
use crate::rule::SinkOptions;

/// All ways of a rule, and whoever watches its rows.
pub(super) struct Feeds {
    list: Vec<Feed>,
    tail: broadcast::Sender<Bytes>,
    buffer: Vec<u8>,
    /// Wait for room instead of dropping: so that where the source can wait, nothing is dropped on the way.
    block: bool,
}

/// A result on its way to a sink that does more than encode: its rows.
pub(super) type Parcel = Vec<Body>;

/// The way to one sink.
struct Feed {
    transform: Arc<Node>,
    encode: Arc<Node>,
    queue: Arc<Queue<Bytes>>,
    options: SinkOptions,
    /// Messages of the batch that have come here.
    came: u64,
    batch: Vec<Bytes>,
    /// Instead of all that: rows go to [`super::shape`] as they are.
    shaped: Option<Shaped>,
}

struct Shaped {
    first: Arc<Node>,
    queue: Arc<Queue<Parcel>>,
    batch: Vec<Parcel>,
}

/// What leaves the last operator.
pub(super) enum Output<'a> {
    /// The body as it came.
    Body(&'a Body),
    /// A new row.
    Row(Cow<'a, Row>),
}

impl Feeds {
    pub(super) fn new(plan: &Plan, stages: &Stages, tail: broadcast::Sender<Bytes>) -> Self {
        Self {
            list: stages
                .sinks
                .iter()
                .zip(&plan.sinks)
                .map(|(stages, sink)| Feed::new(stages, sink))
                .collect(),
            tail,
            buffer: Vec::new(),
            block: plan.rule.options.block_when_full || plan.source.can_wait(),
        }
    }

    /// Encodes a row for each sink and for whoever watches.
    pub(super) fn send(&mut self, output: &Output<'_>) {
        if self.tail.receiver_count() > 0
            && let Ok(line) = encode_single(output, &mut self.buffer)
        {
            // An error says that the last watcher has just gone.
            let _ = self.tail.send(line);
        }
        for feed in &mut self.list {
            feed.came += 1;
            if let Some(shaped) = &mut feed.shaped {
                shaped.batch.push(output.parcel());
                continue;
            }
            let encoded = feed.encode(output, &mut self.buffer);
            feed.keep(encoded);
        }
    }

    /// Tells the sinks, and whoever watches, what went wrong.
    pub(super) fn send_error(&mut self, text: &str) {
        let row = Row::from_iter([("error".into(), Value::from(text))]);
        self.send(&Output::Row(Cow::Owned(row)));
    }

    /// Encodes rows for whoever watches.
    pub(super) fn watch(&mut self, rows: &[&Row]) {
        if self.tail.receiver_count() == 0 {
            return;
        }
        for row in rows {
            if let Ok(line) = encode_single(&Output::Row(Cow::Borrowed(row)), &mut self.buffer) {
                let _ = self.tail.send(line);
            }
        }
    }

    /// Encodes for one sink: one row alone, or the rows of a window, which are one message unless the sink
    /// wants them one by one.
    pub(super) fn send_to(&mut self, sink: usize, rows: &[&Row], alone: bool) {
        let Some(feed) = self.list.get_mut(sink) else {
            return;
        };
        feed.came += 1;
        if let Some(shaped) = &mut feed.shaped {
            let parcel = rows.iter().map(|row| Body::Row((*row).clone()));
            shaped.batch.push(parcel.collect());
            return;
        }
        if alone || feed.options.send_single {
            for row in rows {
                let output = Output::Row(Cow::Borrowed(row));
                let encoded = feed.encode(&output, &mut self.buffer);
                feed.keep(encoded);
            }
            return;
        }
        let encoded = feed.encode_list(rows, &mut self.buffer);
        feed.keep(encoded);
    }

    /// Whether messages have come that have not been handed over.
    pub(super) fn has_some(&self) -> bool {
        self.list.iter().any(|feed| feed.came > 0)
    }

    /// Puts what has come since the last time into the queues of the sinks.
    pub(super) async fn hand_over(&mut self, took: Duration) {
        for feed in &mut self.list {
            let came = std::mem::take(&mut feed.came);
            let count = feed.batch.len() as u64;
            if came == 0 {
                continue;
            }
            if let Some(shaped) = &mut feed.shaped {
                shaped.hand_over(self.block).await;
                continue;
            }
            for node in [&feed.transform, &feed.encode] {
                node.came_in(came);
                node.worked(came, took);
                node.went_out(count);
            }
            if self.block {
                // One leaves the batch only when the queue has it, so that none is lost from sight.
                feed.batch.reverse();
                while let Some(message) = feed.batch.last() {
                    feed.queue.push(message.clone()).await;
                    feed.batch.pop();
                }
            } else {
                feed.encode
                    .dropped(feed.queue.offer_all(feed.batch.drain(..)));
            }
        }
    }

    /// Counts what has not been handed over and never will.
    pub(super) fn count_lost(&self) {
        for feed in &self.list {
            let lost = feed.batch.len() as u64;
            feed.encode
                .failed_times(lost, format!("rule stopped, {lost} messages not delivered"));
            if let Some(shaped) = &feed.shaped {
                let lost = shaped.batch.len() as u64;
                let text = format!("rule stopped, {lost} messages not delivered");
                shaped.first.failed_times(lost, text);
            }
        }
    }
}

impl Shaped {
    async fn hand_over(&mut self, block: bool) {
        if !block {
            self.first
                .overrun(self.queue.offer_all(self.batch.drain(..)));
            return;
        }
        self.batch.reverse();
        while let Some(parcel) = self.batch.last() {
            self.queue.push(parcel.clone()).await;
            self.batch.pop();
        }
    }
}

impl Feed {
    fn new(stages: &SinkStages, plan: &SinkPlan) -> Self {
        Self {
            transform: stages.transform.clone(),
            encode: stages.encode.clone(),
            queue: stages.queue.clone(),
            options: plan.options.clone(),
            came: 0,
            batch: Vec::new(),
            shaped: stages.rows.clone().map(|queue| Shaped {
                first: stages.batch.as_ref().unwrap_or(&stages.transform).clone(),
                queue,
                batch: Vec::new(),
            }),
        }
    }

    /// Keeps a message for the next handing over, or counts why there is none.
    fn keep(&mut self, encoded: Result<Option<Bytes>, TooDeep>) {
        match encoded {
            Ok(Some(message)) => self.batch.push(message),
            Ok(None) => {}
            Err(error) => self.encode.failed(error.to_string()),
        }
    }

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

    /// The rows as one list; nothing where none has columns and empty ones are not wanted.
    fn encode_list(&self, rows: &[&Row], buffer: &mut Vec<u8>) -> Result<Option<Bytes>, TooDeep> {
        let options = &self.options;
        let all = options.fields.is_empty() && options.exclude_fields.is_empty();
        let mut empty = true;
        buffer.clear();
        buffer.push(b'[');
        for (index, row) in rows.iter().enumerate() {
            let row = Output::Row(Cow::Borrowed(row));
            let row = if all {
                row
            } else {
                Output::Row(Cow::Owned(choose(&row, options)))
            };
            empty &= row.is_empty();
            if index > 0 {
                buffer.push(b',');
            }
            row.write(buffer)?;
        }
        buffer.push(b']');
        if empty && options.omit_if_empty {
            return Ok(None);
        }
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
    let row = match output {
        Output::Body(body) => body.row(),
        Output::Row(row) => Cow::Borrowed(row.as_ref()),
    };
    wanted(&row, options)
}

/// Those of a row's columns that a sink wants.
pub(super) fn wanted(row: &Row, options: &SinkOptions) -> Row {
    let wanted = |name: &str| {
        if options.fields.is_empty() {
            !options.exclude_fields.iter().any(|field| field == name)
        } else {
            options.fields.iter().any(|field| field == name)
        }
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

    fn parcel(&self) -> Parcel {
        match self {
            Self::Body(body) => vec![(*body).clone()],
            Self::Row(row) => vec![Body::Row(row.as_ref().clone())],
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Body(body) => body.row().is_empty(),
            Self::Row(row) => row.is_empty(),
        }
    }
}
