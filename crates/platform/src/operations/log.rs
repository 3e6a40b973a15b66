//! What happens in an operation, for those who watch: lines and changes of steps, stored in order.
//!
//! Writing a line never waits. One writer at a time stores what has gathered, so followers, who read
//! the stored rows, see every event once and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
/// How long storing rests after it failed.
const PAUSE: Duration = Duration::from_millis(200);

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
    /// Storing failed last time, so the numbers may be taken.
    suspect: AtomicBool,
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
        let last = last_stored(database.conn(), operation).await?;
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
            suspect: AtomicBool::new(false),
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
            if let Err(error) = self.flush().await {
                self.warn(&error);
                tokio::time::sleep(PAUSE).await;
                self.wake.notify_one();
            }
        }
    }

    /// Stores what has gathered, and answers up to where. Only [`told`](Self::told), after the commit,
    /// forgets it: until then it may have to be stored again.
    pub(super) async fn flush_in(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<i64, StoreError> {
        if self.suspect.swap(true, Ordering::SeqCst) {
            self.renumber(last_stored(connection, self.operation).await?);
        }
        let (waiting, last) = {
            let buffer = self.buffer.lock();
            (buffer.waiting.clone(), buffer.last)
        };
        for batch in waiting.chunks(BATCH) {
            operation_event::Entity::insert_many(batch.to_vec())
                .exec_without_returning(connection)
                .await?;
        }
        self.suspect.store(false, Ordering::SeqCst);
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

    async fn flush(&self) -> Result<(), StoreError> {
        let _one = self.writing().await;
        let transaction = self.database.begin().await?;
        let last = self.flush_in(&*transaction).await?;
        transaction.commit().await?;
        self.told(last);
        Ok(())
    }

    fn warn(&self, error: &StoreError) {
        let error = error as &dyn std::error::Error;
        tracing::warn!(error, operation.id = %self.operation, "Log lines wait for the database");
    }

    /// Makes room for rows that came in between: the last ones of a process that was killed can become
    /// visible after this one has looked.
    fn renumber(&self, stored: i64) {
        let mut buffer = self.buffer.lock();
        let first = buffer.waiting.first().map(|event| *event.sequence.as_ref());
        if let Some(first) = first.filter(|first| *first <= stored) {
            let shift = stored - first + 1;
            for event in &mut buffer.waiting {
                event.sequence = Set(event.sequence.as_ref() + shift);
            }
            buffer.last += shift;
        }
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

async fn last_stored(
    connection: &impl ConnectionTrait,
    operation: OperationId,
) -> Result<i64, StoreError> {
    let row = operation_event::Entity::find()
        .filter(operation_event::Column::OperationId.eq(operation.0))
        .order_by_desc(operation_event::Column::Sequence)
        .one(connection)
        .await?;
    Ok(row.map_or(0, |row| row.sequence))
}

#[cfg(test)]
mod tests {
    use plugyard_store::testing;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn numbers_that_were_taken_meanwhile_are_passed_over() {
        for test in testing::databases().await {
            test.database.migrate(crate::migrations()).await.unwrap();
            let id = Uuid::now_v7();
            let row = crate::entity::operation::ActiveModel {
                id: Set(id),
                installation_id: Set(id),
                kind: Set("fake".to_owned()),
                key: Set("a".to_owned()),
                action: Set("install".to_owned()),
                state: Set("running".to_owned()),
                change: Set(json!({})),
                plan: Set(None),
                undoing: Set(false),
                unresolved: Set(false),
                failure: Set(None),
                created_by: Set(String::new()),
                created_at: Set(0),
                ended_at: Set(None),
            };
            crate::entity::operation::Entity::insert(row)
                .exec_without_returning(test.database.conn())
                .await
                .unwrap();
            let open =
                || OperationLog::open(OperationId(id), test.database.clone(), Clock::system());
            let (killed, next) = (open().await.unwrap(), open().await.unwrap());
            killed.line("the last of the old process");
            killed.flush().await.unwrap();
            next.line("the first of the new one");
            assert!(next.flush().await.is_err());
            next.line("the second");
            next.flush().await.unwrap();
            let rows = operation_event::Entity::find()
                .order_by_asc(operation_event::Column::Sequence)
                .all(test.database.conn())
                .await
                .unwrap();
            let rows: Vec<_> = rows
                .iter()
                .map(|row| (row.sequence, row.data["line"].as_str().unwrap()))
                .collect();
            assert_eq!(
                rows,
                [
                    (1, "the last of the old process"),
                    (2, "the first of the new one"),
                    (3, "the second"),
                ]
            );
        }
    }
}
