//! What happens in an operation, for those who watch: lines and changes of steps, stored in order.
//!
//! Writing a line never waits. One writer at a time stores what has gathered, so followers, who read
//! the stored rows, see every event once and in order.

use std::sync::Arc;

use parking_lot::Mutex;
use plugyard_model::OperationId;
use plugyard_store::{Database, StoreError};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use serde_json::{Value as Json, json};
use tokio::sync::{Notify, watch};

use crate::Clock;
use crate::entity::operation_event;

/// Bytes of lines kept of one operation; what comes after is counted and left out.
const BYTES: usize = 4 << 20;
/// Bytes of one line.
const LINE: usize = 8 << 10;
/// Rows stored with one statement: SQLite bounds the number of values.
const BATCH: usize = 500;

/// The log of one operation.
#[derive(Debug)]
pub(super) struct OperationLog {
    operation: OperationId,
    database: Database,
    clock: Clock,
    buffer: Mutex<Buffer>,
    wake: Notify,
    /// The last sequence number that is stored.
    stored: watch::Sender<i64>,
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Buffer {
    last: i64,
    waiting: Vec<operation_event::ActiveModel>,
    bytes: usize,
    left_out: u64,
}

impl OperationLog {
    /// The log of an operation, going on after what is stored of it.
    pub(super) async fn open(
        operation: OperationId,
        database: Database,
        clock: Clock,
    ) -> Result<Arc<Self>, StoreError> {
        let last = operation_event::Entity::find()
            .filter(operation_event::Column::OperationId.eq(operation.0))
            .order_by_desc(operation_event::Column::Sequence)
            .one(database.conn())
            .await?
            .map_or(0, |row| row.sequence);
        Ok(Arc::new(Self {
            operation,
            database,
            clock,
            buffer: Mutex::new(Buffer {
                last,
                ..Buffer::default()
            }),
            wake: Notify::new(),
            stored: watch::Sender::new(last),
            writing: tokio::sync::Mutex::default(),
        }))
    }

    /// Adds lines of text.
    pub(super) fn line(&self, text: &str) {
        for line in text.lines() {
            let mut end = line.len().min(LINE);
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            let mut buffer = self.buffer.lock();
            if buffer.bytes + end > BYTES {
                buffer.left_out += 1;
            } else {
                // An empty line is a row, too.
                buffer.bytes += end + 64;
                self.add(&mut buffer, "log", json!({ "line": &line[..end] }));
            }
        }
        self.wake.notify_one();
    }

    /// Adds an event that is never left out.
    pub(super) fn push(&self, name: &'static str, data: Json) {
        self.add(&mut self.buffer.lock(), name, data);
        self.wake.notify_one();
    }

    /// Says how many lines were left out, if any were.
    pub(super) fn close(&self) {
        let mut buffer = self.buffer.lock();
        let left_out = std::mem::take(&mut buffer.left_out);
        if left_out > 0 {
            let line = format!("… {left_out} more lines were left out");
            self.add(&mut buffer, "log", json!({ "line": line }));
        }
    }

    /// Stores what gathers, until it is dropped.
    pub(super) async fn keep_storing(&self) {
        loop {
            self.wake.notified().await;
            if let Err(error) = self.flush(self.database.conn()).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, operation.id = %self.operation, "Cannot store log lines");
            }
        }
    }

    /// Stores what has gathered, and answers up to where. Only [`told`](Self::told), after the commit,
    /// forgets it: until then it may have to be stored again.
    pub(super) async fn flush_in(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<i64, StoreError> {
        let (waiting, last) = {
            let buffer = self.buffer.lock();
            (buffer.waiting.clone(), buffer.last)
        };
        for batch in waiting.chunks(BATCH) {
            operation_event::Entity::insert_many(batch.to_vec())
                .exec_without_returning(connection)
                .await?;
        }
        Ok(last)
    }

    /// Forgets events up to `last`, which are stored, and tells followers of them.
    pub(super) fn told(&self, last: i64) {
        self.buffer
            .lock()
            .waiting
            .retain(|event| *event.sequence.as_ref() > last);
        self.stored.send_replace(last);
    }

    /// Wakes when more is stored.
    pub(super) fn follow(&self) -> watch::Receiver<i64> {
        self.stored.subscribe()
    }

    /// Held by whoever stores, from taking the events to telling of them.
    pub(super) async fn writing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    async fn flush(&self, connection: &impl ConnectionTrait) -> Result<(), StoreError> {
        let _one = self.writing().await;
        let last = self.flush_in(connection).await?;
        self.told(last);
        Ok(())
    }

    fn add(&self, buffer: &mut Buffer, name: &str, data: Json) {
        buffer.last += 1;
        buffer.waiting.push(operation_event::ActiveModel {
            operation_id: Set(self.operation.0),
            sequence: Set(buffer.last),
            name: Set(name.to_owned()),
            data: Set(data),
            at: Set(self.clock.now()),
        });
    }
}
