//! The task that makes messages for a sink that wants more than encoded rows: gathering, template, chosen
//! data, other formats, packing.
//!
//! ```text
//! rows ─► batch ─► transform ─► encode ─► compress ─► encrypt ─► queue
//! ```
//!
//! With the sink's `concurrency` several messages are made at once; they leave in the order in which they
//! came. A sink without any such property has no task of this kind: see [`super::feed`].

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures::stream::{FuturesOrdered, StreamExt as _};
use plugyard_symbol::{Body, Row, Value};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::feed::{Parcel, wanted};
use super::metrics::Node;
use super::queue::{Queue, Weigh};
use super::{BATCH, SinkStages, encode};
use crate::plan::Plan;
use crate::rule::{Compression, Format, SinkOptions};
use crate::seal::SinkKey;

/// Most rows that are gathered where only the time limits them.
const MAX_GATHERED: usize = 65_536;
/// Most bytes that are gathered, roughly.
const MAX_GATHERED_BYTES: usize = 32 * 1024 * 1024;

/// See the module.
pub(super) struct Shaper {
    recipe: Arc<Recipe>,
    stages: SinkStages,
    rows: Arc<Queue<Parcel>>,
    block: bool,
    send_error: bool,
    gathered: Gathered,
    /// Rows of messages that are being made.
    under_way: u64,
    /// The first line of all messages has been written.
    headed: bool,
}

/// How messages are made.
struct Recipe {
    options: SinkOptions,
    /// What they are encrypted with.
    key: Option<SinkKey>,
}

#[derive(Default)]
struct Gathered {
    rows: Vec<Body>,
    bytes: usize,
    until: Option<Instant>,
}

/// Messages that were made.
struct Made {
    rows: u64,
    messages: Vec<Result<Bytes, Failure>>,
    took: Duration,
}

/// No message could be made.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Transform(String),
    Encode(String),
}

impl Shaper {
    /// The task of that sink, where it needs one.
    pub(super) fn new(plan: &Plan, index: usize, stages: &SinkStages) -> Option<Self> {
        Some(Self {
            recipe: Arc::new(Recipe {
                options: plan.sinks[index].options.clone(),
                key: plan.sinks[index].key.clone(),
            }),
            stages: stages.clone(),
            rows: stages.rows.clone()?,
            block: plan.rule.options.block_when_full || plan.source.can_wait(),
            send_error: plan.rule.options.send_error,
            gathered: Gathered::default(),
            under_way: 0,
            headed: false,
        })
    }

    /// Works until there are no more rows, or until it is cut off.
    pub(super) async fn run(mut self, cut: CancellationToken) {
        let cut_off = tokio::select! {
            () = self.work() => false,
            () = cut.cancelled() => true,
        };
        if cut_off {
            self.rows.close();
            let lost = self.rows.clear() as u64 + self.gathered.rows.len() as u64 + self.under_way;
            let text = format!("rule stopped, {lost} messages not delivered");
            self.stages.first().failed_times(lost, text);
        }
    }

    async fn work(&mut self) {
        let mut taken = Vec::new();
        let mut jobs: FuturesOrdered<JoinHandle<Made>> = FuturesOrdered::new();
        let rows = self.rows.clone();
        let mut open = true;
        while open || !jobs.is_empty() {
            let until = self.gathered.until;
            let free = jobs.len() < self.recipe.options.concurrency;
            tokio::select! {
                biased;
                Some(made) = jobs.next() => {
                    if let Ok(made) = made {
                        self.pass_on(made).await;
                    }
                }
                () = sleep_until(until.unwrap_or_else(Instant::now).into()), if until.is_some() && free => {
                    let rows = self.gathered.take();
                    self.make(rows, &mut jobs).await;
                }
                more = rows.take(&mut taken, BATCH), if open && free => {
                    open = more;
                    for parcel in taken.drain(..) {
                        self.came(parcel, &mut jobs).await;
                    }
                    if !open && !self.gathered.rows.is_empty() {
                        let rows = self.gathered.take();
                        self.make(rows, &mut jobs).await;
                    }
                }
            }
        }
    }

    /// Takes the rows of one result in.
    async fn came(&mut self, parcel: Parcel, jobs: &mut FuturesOrdered<JoinHandle<Made>>) {
        let Some(batch) = self.stages.batch.clone() else {
            self.make(parcel, jobs).await;
            return;
        };
        batch.came_in(parcel.len() as u64);
        let most = match self.recipe.options.batch_size {
            0 => MAX_GATHERED,
            size => size,
        };
        for row in parcel {
            self.gathered.bytes += row.bytes();
            self.gathered.rows.push(row);
            if self.gathered.until.is_none() && !self.recipe.options.linger.is_zero() {
                self.gathered.until = Some(Instant::now() + self.recipe.options.linger);
            }
            if self.gathered.rows.len() >= most || self.gathered.bytes >= MAX_GATHERED_BYTES {
                let rows = self.gathered.take();
                self.make(rows, jobs).await;
            }
        }
    }

    /// Makes the messages of some rows, here or beside others.
    async fn make(&mut self, rows: Vec<Body>, jobs: &mut FuturesOrdered<JoinHandle<Made>>) {
        if let Some(batch) = &self.stages.batch {
            batch.worked(rows.len() as u64, Duration::ZERO);
            batch.went_out(1);
        }
        let head = !std::mem::replace(&mut self.headed, true);
        let count = rows.len() as u64;
        self.under_way += count;
        if self.recipe.options.concurrency == 1 {
            let made = make(&self.recipe, rows, head);
            self.pass_on(made).await;
            return;
        }
        while jobs.len() >= self.recipe.options.concurrency {
            if let Some(Ok(made)) = jobs.next().await {
                self.pass_on(made).await;
            }
        }
        let recipe = self.recipe.clone();
        jobs.push_back(tokio::spawn(async move { make(&recipe, rows, head) }));
    }

    /// Counts what was made and gives it to the sink.
    async fn pass_on(&mut self, made: Made) {
        let stages = &self.stages;
        let (mut transformed, mut encoded) = (0, 0);
        let mut messages = Vec::with_capacity(made.messages.len());
        for message in made.messages {
            let (node, text) = match message {
                Ok(message) => {
                    transformed += 1;
                    encoded += 1;
                    messages.push(message);
                    continue;
                }
                Err(Failure::Transform(text)) => (&stages.transform, text),
                Err(Failure::Encode(text)) => {
                    transformed += 1;
                    (&stages.encode, text)
                }
            };
            if self.send_error {
                let told = serde_json::json!({ "error": text }).to_string();
                // Nothing leaves in clear where everything is to be encrypted.
                messages.extend(seal(&self.recipe, Bytes::from(told)));
            }
            node.failed(text);
        }
        count(&stages.transform, made.rows, transformed, made.took);
        count(&stages.encode, transformed, encoded, made.took);
        if let Some(compress) = &stages.compress {
            count(compress, encoded, encoded, made.took);
        }
        if let Some(encrypt) = &stages.encrypt {
            count(encrypt, encoded, encoded, made.took);
        }
        if self.block {
            for message in messages {
                stages.queue.push(message).await;
            }
        } else {
            stages
                .last()
                .dropped(stages.queue.offer_all(messages.into_iter()));
        }
        self.under_way -= made.rows;
    }
}

impl Gathered {
    fn take(&mut self) -> Vec<Body> {
        std::mem::take(self).rows
    }
}

fn count(node: &Node, came: u64, went: u64, took: Duration) {
    if came > 0 {
        node.came_in(came);
        node.worked(came, took);
        node.went_out(went);
    }
}

/// Makes the messages of some rows. `head`: they are the first of the run.
fn make(recipe: &Recipe, rows: Vec<Body>, head: bool) -> Made {
    let options = &recipe.options;
    let began = Instant::now();
    let count = rows.len() as u64;
    let rows: Vec<Row> = rows.into_iter().map(into_row).collect();
    let mut rows: Vec<Value> = rows
        .into_iter()
        .filter(|row| !(options.omit_if_empty && row.is_empty()))
        .map(Value::Object)
        .collect();
    let mut messages = Vec::new();
    if options.send_single {
        for (index, row) in rows.drain(..).enumerate() {
            messages.extend(message(recipe, row, head && index == 0).transpose());
        }
    } else if !rows.is_empty() || (count == 0 && !options.omit_if_empty) {
        // A window without rows gives an empty list.
        messages.extend(message(recipe, Value::List(rows), true).transpose());
    }
    Made {
        rows: count,
        messages,
        took: began.elapsed(),
    }
}

fn into_row(body: Body) -> Row {
    match body {
        Body::Row(row) => row,
        json @ Body::Json(_) => json.row().into_owned(),
    }
}

/// One message, if there is one.
fn message(recipe: &Recipe, data: Value, head: bool) -> Result<Option<Bytes>, Failure> {
    let options = &recipe.options;
    let selects = !options.fields.is_empty() || !options.exclude_fields.is_empty();
    let mut data = data;
    if let Some(template) = &options.template {
        let text = template.render(data).map_err(|error| {
            Failure::Transform(format!(
                "fail to encode data with dataTemplate for error {error}"
            ))
        })?;
        if options.data_field.is_empty() && !selects {
            return pack(recipe, text).map(Some);
        }
        data = serde_json::from_slice(&text).map_err(|error| {
            Failure::Transform(format!(
                "fail to decode data after applying dataTemplate for error {error}"
            ))
        })?;
    }
    if !options.data_field.is_empty() {
        data = field(data, &options.data_field)?;
    }
    if selects {
        data = chosen(data, options);
    }
    if options.omit_if_empty && is_empty(&data) {
        return Ok(None);
    }
    let mut out = Vec::new();
    match &options.format {
        Format::Json => {
            encode::json(&data, &mut out).map_err(|error| Failure::Encode(error.to_string()))?;
        }
        Format::Delimited { delimiter, header } => {
            delimited(&data, delimiter, *header && head, &options.fields, &mut out)?;
        }
    }
    pack(recipe, out).map(Some)
}

/// The value of a column; of a list, that of its first row, as in eKuiper.
fn field(data: Value, name: &str) -> Result<Value, Failure> {
    let row = match data.decoded().into_owned() {
        Value::List(rows) => match rows.into_iter().next() {
            Some(row) => row.decoded().into_owned(),
            None => return Ok(Value::Null),
        },
        other => other,
    };
    match row {
        Value::Object(row) => Ok(row.get(name).cloned().unwrap_or(Value::Null)),
        other => Err(Failure::Transform(format!(
            "dataField {name}: {} is no object",
            serde_json::to_string(&other).unwrap_or_default()
        ))),
    }
}

/// The columns that are wanted, of one row or of each.
fn chosen(data: Value, options: &SinkOptions) -> Value {
    match data.decoded().into_owned() {
        Value::Object(row) => Value::Object(wanted(&row, options)),
        Value::List(rows) => {
            let rows = rows.into_iter().map(|row| chosen(row, options));
            let kept = rows.filter(|row| !(options.omit_if_empty && is_empty(row)));
            Value::List(kept.collect())
        }
        other => other,
    }
}

fn is_empty(data: &Value) -> bool {
    match data.decoded().as_ref() {
        Value::Null => true,
        Value::Object(row) => row.is_empty(),
        Value::List(rows) => rows.is_empty(),
        _ => false,
    }
}

/// Rows as lines: the columns that are asked for, else those of the first row in their order by name.
///
/// As in eKuiper a single row ends its line and rows of a list do not end their last one.
fn delimited(
    data: &Value,
    delimiter: &str,
    header: bool,
    fields: &[String],
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let unsupported = |value: &Value| {
        let text = serde_json::to_string(value).unwrap_or_default();
        Failure::Encode(format!("unsupported type {text}, must be a map"))
    };
    let data = data.decoded();
    let (rows, single) = match data.as_ref() {
        Value::Object(row) => (vec![row.clone()], true),
        Value::List(values) => {
            let rows = values
                .iter()
                .map(|value| match value.decoded().into_owned() {
                    Value::Object(row) => Ok(row),
                    other => Err(unsupported(&other)),
                });
            (rows.collect::<Result<_, _>>()?, false)
        }
        other => return Err(unsupported(other)),
    };
    let mut columns: Vec<String> = fields.to_vec();
    if columns.is_empty()
        && let Some(first) = rows.first()
    {
        columns = first.iter().map(|(name, _)| name.to_string()).collect();
        columns.sort_unstable();
    }
    let names = columns.iter().map(|name| Value::from(name.as_str()));
    let mut lines = Vec::new();
    if header && !columns.is_empty() {
        lines.push(line(names, delimiter));
    }
    for row in &rows {
        let values = columns
            .iter()
            .map(|name| row.get(name).cloned().unwrap_or(Value::Null));
        lines.push(line(values, delimiter));
    }
    out.extend_from_slice(lines.join("\n").as_bytes());
    if single {
        out.push(b'\n');
    }
    Ok(())
}

fn line(values: impl Iterator<Item = Value>, delimiter: &str) -> String {
    let cells: Vec<String> = values.map(|value| cell(&value, delimiter)).collect();
    cells.join(delimiter)
}

/// A value as text, quoted where it could be taken for several.
fn cell(value: &Value, delimiter: &str) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::Text(text) => text.to_string(),
        other => {
            let mut out = Vec::new();
            if encode::json(other, &mut out).is_err() {
                return String::new();
            }
            let text = String::from_utf8_lossy(&out).into_owned();
            match other {
                // Their JSON is a quoted text.
                Value::Bytes(_) => text.trim_matches('"').to_owned(),
                _ => text,
            }
        }
    };
    if text.contains(delimiter) || text.contains(['"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn pack(recipe: &Recipe, bytes: Vec<u8>) -> Result<Bytes, Failure> {
    let level = flate2::Compression::default();
    let packed = match recipe.options.compression {
        None => Ok(bytes),
        Some(Compression::Gzip) => {
            let mut packer = GzEncoder::new(Vec::new(), level);
            packer.write_all(&bytes).and_then(|()| packer.finish())
        }
        Some(Compression::Zlib) => {
            let mut packer = ZlibEncoder::new(Vec::new(), level);
            packer.write_all(&bytes).and_then(|()| packer.finish())
        }
        Some(Compression::Flate) => {
            let mut packer = DeflateEncoder::new(Vec::new(), level);
            packer.write_all(&bytes).and_then(|()| packer.finish())
        }
    };
    // Packing into memory does not fail.
    let packed = packed.map_err(|error| Failure::Encode(error.to_string()))?;
    seal(recipe, packed.into())
}

fn seal(recipe: &Recipe, message: Bytes) -> Result<Bytes, Failure> {
    match &recipe.key {
        None => Ok(message),
        Some(key) => {
            let sealed = key.seal(&message);
            let sealed = sealed.map_err(|text| Failure::Encode(text.to_owned()))?;
            Ok(sealed.into())
        }
    }
}

#[cfg(test)]
mod tests;
