//! Following an operation: what is stored, and then what comes.

use std::collections::VecDeque;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use plugyard_model::{OperationId, Problem};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use super::{journal, not_found};
use crate::Platform;
use crate::entity::operation_event;

/// Rows read at once.
const BATCH: u64 = 256;

/// Something that happened in an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationEvent {
    /// From 1, growing by one.
    pub sequence: u64,
    /// `step` with `index`, `name`, `state` and `ms`; `log` with `line`; `end` with `state`; `waiting` with
    /// `code`, when the operation waits for room on the disk of the database. That one is not stored, and
    /// repeats the sequence number before it.
    pub name: String,
    /// The particulars.
    pub data: Json,
    /// Milliseconds since 1970 (UTC).
    pub at: i64,
}

impl Platform {
    /// The events of an operation after `after`, up to its end, or until it is set aside.
    ///
    /// # Errors
    /// `operation_not_found`; `store_unavailable`.
    pub async fn operation_events(
        &self,
        id: OperationId,
        after: Option<u64>,
    ) -> Result<BoxStream<'static, OperationEvent>, Problem> {
        // Before the row is read: an operation that ends between the two is then seen as ended.
        let running = self.0.running.lock().get(&id).cloned();
        let row = journal::operation_fetch(self.database().conn(), id).await?;
        row.ok_or_else(|| not_found(id))?;
        let follower = Follower {
            platform: self.clone(),
            operation: id,
            after: after.map_or(0, |after| i64::try_from(after).unwrap_or(i64::MAX)),
            stored: running.map(|running| running.log.follow()),
            ready: VecDeque::new(),
            ended: false,
        };
        let events = stream::unfold(
            follower,
            |mut it| async move { Some((it.next().await?, it)) },
        );
        Ok(events.boxed())
    }
}

struct Follower {
    platform: Platform,
    operation: OperationId,
    after: i64,
    /// `None` when nobody writes any more.
    stored: Option<watch::Receiver<i64>>,
    ready: VecDeque<operation_event::Model>,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<OperationEvent> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                self.after = row.sequence;
                self.ended = row.name == "end";
                return Some(OperationEvent {
                    sequence: row.sequence.unsigned_abs(),
                    name: row.name,
                    data: row.data,
                    at: row.at,
                });
            }
            if self.ended {
                return None;
            }
            // Seen before reading: what is stored while reading wakes the next turn.
            if let Some(stored) = &mut self.stored {
                stored.borrow_and_update();
            }
            let rows = operation_event::Entity::find()
                .filter(operation_event::Column::OperationId.eq(self.operation.0))
                .filter(operation_event::Column::Sequence.gt(self.after))
                .order_by_asc(operation_event::Column::Sequence)
                .limit(BATCH)
                .all(self.platform.database().conn())
                .await;
            match rows {
                Ok(rows) if rows.is_empty() => {
                    let Some(stored) = &mut self.stored else {
                        self.ended = true;
                        return self.waiting();
                    };
                    if stored.changed().await.is_err() {
                        self.stored = None;
                    }
                }
                Ok(rows) => self.ready = rows.into(),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, operation.id = %self.operation, "Cannot read events");
                    return None;
                }
            }
        }
    }

    /// What an operation waits for that was set aside.
    fn waiting(&self) -> Option<OperationEvent> {
        let aside = self.platform.0.aside.lock();
        let waits = aside.get(&self.operation)?.waits.as_ref()?;
        Some(OperationEvent {
            sequence: self.after.unsigned_abs(),
            name: "waiting".to_owned(),
            data: json!({ "code": waits.code.as_str() }),
            at: self.platform.now(),
        })
    }
}
