//! What clients that watch are told: stored with growing ids, so that a watcher can go on where it was.
//!
//! Publishing never waits: events wait in memory for one writer, which keeps their order. A watcher
//! reads stored rows and is only woken by the writer, so a slow one delays nobody. Events are news, not
//! truth: what a crash swallows, a client sees when it asks for the state itself.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use plugyard_model::{OperationId, Params, PluginName, Problem};
use plugyard_store::{Database, StoreError};
use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::entity::event;
use crate::{Clock, Platform, Settings};

/// The words events carry.
pub mod codes {
    /// A plugin's health is another one. Params: plugin, health, reason.
    pub const HEALTH_CHANGED: &str = "health_changed";
    /// An operation began. Params: operation, plugin, action.
    pub const OPERATION_STARTED: &str = "operation_started";
    /// An operation ended. Params: operation, plugin, action, state.
    pub const OPERATION_ENDED: &str = "operation_ended";
    /// An installation is another one: version, wanted state, or gone. Params: plugin, action.
    pub const INSTALLATION_CHANGED: &str = "installation_changed";
    /// A plugin's configuration was written. Params: plugin, revision, keys (those that changed, with commas).
    pub const CONFIG_CHANGED: &str = "config_changed";
    /// Events that a reader would have had to see are no longer kept: it was away for too long, or reads too
    /// slowly. What it watches has to be asked for anew. Params: from, to (the ids that are missing).
    pub const EVENTS_LOST: &str = "events_lost";
    /// A version was taken in. Params: plugin, version, digest.
    pub const VERSION_ADDED: &str = "version_added";
}

/// The topic of everything about one plugin: `plugins/{kind:key}`.
pub fn plugin_topic(plugin: &PluginName) -> String {
    format!("plugins/{plugin}")
}

/// The topic of one operation: `operations/{id}`.
pub fn operation_topic(operation: OperationId) -> String {
    format!("operations/{operation}")
}

/// The topic of what is said about the stream itself.
pub const LOST_TOPIC: &str = "events";

/// Rows kept; older ones go.
const KEPT: i64 = 10_000;
/// How often rows too many are removed: after so many new ones.
const PRUNE_EVERY: i64 = 1000;
/// Events that may wait for the writer; when the database is away, older ones go.
const WAITING: usize = 4096;
/// Rows read at once.
const BATCH: u64 = 256;
/// Rows written at once.
const TOGETHER: usize = 256;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Grows along the stream.
    pub id: u64,
    /// What it is about: `plugins/{kind:key}` or `operations/{id}`.
    pub topic: String,
    /// One of [`codes`].
    pub code: String,
    /// The particulars.
    pub params: Params,
    /// Milliseconds since 1970 (UTC).
    pub at: i64,
}

impl Platform {
    /// Events after `after`, or from now on: those that are stored and then those that come. Never ends
    /// before the platform does.
    ///
    /// A reader takes as much time as it likes, and costs no memory but a batch: what is no longer kept when
    /// it comes to it is told as one event [`EVENTS_LOST`](codes::EVENTS_LOST) of the topic
    /// [`LOST_TOPIC`]. So it goes also for an `after` older than what is kept.
    ///
    /// # Errors
    /// The problem `store_unavailable`.
    pub async fn events(&self, after: Option<u64>) -> Result<BoxStream<'static, Event>, Problem> {
        let stored = self.0.events.stored.subscribe();
        let database = self.database().clone();
        let after = match after {
            Some(after) => i64::try_from(after).unwrap_or(i64::MAX),
            None => last(&database).await?,
        };
        let follower = Follower {
            database,
            after,
            stored,
            ready: VecDeque::new(),
            lost: None,
        };
        let events = stream::unfold(
            follower,
            |mut it| async move { Some((it.next().await?, it)) },
        );
        Ok(events
            .take_until(self.0.closing.clone().cancelled_owned())
            .boxed())
    }
}

struct Follower {
    database: Database,
    after: i64,
    stored: watch::Receiver<i64>,
    ready: VecDeque<event::Model>,
    /// To be told before what is ready.
    lost: Option<Event>,
}

impl Follower {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(lost) = self.lost.take() {
                return Some(lost);
            }
            if let Some(row) = self.ready.pop_front() {
                self.after = row.id;
                return Some(Event {
                    id: row.id.unsigned_abs(),
                    topic: row.topic,
                    code: row.code,
                    params: serde_json::from_value(row.params).unwrap_or_default(),
                    at: row.at,
                });
            }
            // Seen before reading: what is stored while reading wakes the next turn.
            self.stored.borrow_and_update();
            let rows = event::Entity::find()
                .filter(event::Column::Id.gt(self.after))
                .order_by_asc(event::Column::Id)
                .limit(BATCH)
                .all(self.database.conn())
                .await;
            match rows {
                Ok(rows) if rows.is_empty() => self.stored.changed().await.ok()?,
                Ok(rows) => {
                    let newest = *self.stored.borrow();
                    self.lost = rows.first().and_then(|next| gap(self.after, next, newest));
                    self.ready = rows.into();
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "Cannot read events"
                    );
                    return None;
                }
            }
        }
    }
}

/// What is missing between an event that was read and the next row. Ids have holes of their own where a
/// write failed, so only what pruning can have taken counts.
fn gap(after: i64, next: &event::Model, newest: i64) -> Option<Event> {
    let pruned_to = newest / PRUNE_EVERY * PRUNE_EVERY - KEPT;
    if next.id <= after + 1 || after >= pruned_to {
        return None;
    }
    let params = [("from", after + 1), ("to", next.id - 1)];
    Some(Event {
        id: (next.id - 1).unsigned_abs(),
        topic: LOST_TOPIC.to_owned(),
        code: codes::EVENTS_LOST.to_owned(),
        params: params
            .map(|(name, id)| (name.to_owned(), id.to_string()))
            .into(),
        at: next.at,
    })
}

async fn last(database: &Database) -> Result<i64, StoreError> {
    let row = event::Entity::find()
        .order_by_desc(event::Column::Id)
        .one(database.conn())
        .await?;
    Ok(row.map_or(0, |row| row.id))
}

struct News {
    topic: String,
    code: &'static str,
    params: Params,
    at: i64,
}

/// The one writer of events.
pub(crate) struct EventLog {
    shared: Arc<Shared>,
    stored: watch::Sender<i64>,
}

struct Shared {
    database: Database,
    clock: Clock,
    waiting: Mutex<VecDeque<News>>,
    wake: Notify,
    /// One writer, so that ids become visible in their order.
    writing: tokio::sync::Mutex<()>,
}

impl EventLog {
    pub(crate) async fn open(
        settings: &Settings,
        closing: CancellationToken,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            database: settings.database.clone(),
            clock: settings.clock.clone(),
            waiting: Mutex::default(),
            wake: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        });
        let stored = watch::Sender::new(last(&settings.database).await?);
        let (writer, told) = (shared.clone(), stored.clone());
        tokio::spawn(closing.run_until_cancelled_owned(async move {
            loop {
                writer.wake.notified().await;
                writer.write(&told).await;
            }
        }));
        Ok(Self { shared, stored })
    }

    pub(crate) fn publish<'a>(
        &self,
        topic: String,
        code: &'static str,
        params: impl IntoIterator<Item = (&'a str, String)>,
    ) {
        let params = params
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let news = News {
            topic,
            code,
            params,
            at: self.shared.clock.now(),
        };
        let mut waiting = self.shared.waiting.lock();
        if waiting.len() >= WAITING {
            waiting.pop_front();
        }
        waiting.push_back(news);
        drop(waiting);
        self.shared.wake.notify_one();
    }

    /// Waits until everything published is stored.
    pub(crate) async fn flush(&self) {
        self.shared.write(&self.stored).await;
    }
}

impl Shared {
    /// What waits goes in as few transactions as it takes: each of them waits for the disk, and there may be an
    /// event for each of ten thousand plugins.
    async fn write(&self, stored: &watch::Sender<i64>) {
        let _one = self.writing.lock().await;
        let mut waiting = std::mem::take(&mut *self.waiting.lock());
        while !waiting.is_empty() {
            let some = waiting.len().min(TOGETHER);
            let some: Vec<_> = waiting.drain(..some).collect();
            let written = match self.insert(&some).await {
                Ok(last) => last,
                // One that cannot be stored does not take the others along.
                Err(_) if some.len() > 1 => self.insert_singly(&some).await,
                Err(error) => {
                    unstored(&some[0], &error);
                    None
                }
            };
            let Some(last) = written else { continue };
            let before = stored.send_replace(last);
            if before / PRUNE_EVERY != last / PRUNE_EVERY {
                self.prune(last / PRUNE_EVERY * PRUNE_EVERY - KEPT).await;
            }
        }
    }

    /// All of them or none; gives the last id.
    async fn insert(&self, all: &[News]) -> Result<Option<i64>, StoreError> {
        let transaction = self.database.begin().await?;
        let mut last = None;
        for news in all {
            let row = event::ActiveModel {
                id: NotSet,
                topic: Set(news.topic.clone()),
                code: Set(news.code.to_owned()),
                params: Set(serde_json::to_value(&news.params).unwrap_or_default()),
                at: Set(news.at),
            };
            let inserted = event::Entity::insert(row).exec(&*transaction).await?;
            last = Some(inserted.last_insert_id);
        }
        transaction.commit().await?;
        Ok(last)
    }

    async fn insert_singly(&self, all: &[News]) -> Option<i64> {
        let mut last = None;
        for news in all {
            match self.insert(std::slice::from_ref(news)).await {
                Ok(id) => last = id.or(last),
                Err(error) => unstored(news, &error),
            }
        }
        last
    }

    async fn prune(&self, up_to: i64) {
        let pruned = event::Entity::delete_many()
            .filter(event::Column::Id.lte(up_to))
            .exec(self.database.conn())
            .await;
        if let Err(error) = pruned {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "Cannot prune events"
            );
        }
    }
}

fn unstored(news: &News, error: &StoreError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, event.code = news.code, "Cannot store an event");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64) -> event::Model {
        event::Model {
            id,
            topic: "plugins/portable:a".to_owned(),
            code: codes::HEALTH_CHANGED.to_owned(),
            params: serde_json::json!({}),
            at: 7,
        }
    }

    #[test]
    fn who_stays_behind_is_told_what_is_missing() {
        let lost = gap(100, &row(3001), 13_000).unwrap();
        assert_eq!((lost.id, lost.code.as_str()), (3000, codes::EVENTS_LOST));
        assert_eq!(lost.params["from"], "101");
        assert_eq!(lost.params["to"], "3000");
        // From nothing seen at all it is the same.
        assert_eq!(gap(0, &row(3001), 13_999).unwrap().params["from"], "1");
    }

    #[test]
    fn a_hole_that_pruning_did_not_make_is_no_loss() {
        assert_eq!(gap(100, &row(101), 13_000), None);
        assert_eq!(gap(3000, &row(3002), 13_000), None);
        assert_eq!(gap(12_500, &row(12_600), 13_000), None);
        assert_eq!(gap(5, &row(9), 5_000), None);
    }

    fn shared(database: Database) -> Shared {
        Shared {
            database,
            clock: Clock::system(),
            waiting: Mutex::default(),
            wake: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    fn news(topic: String) -> News {
        News {
            topic,
            code: codes::HEALTH_CHANGED,
            params: Params::new(),
            at: 7,
        }
    }

    #[tokio::test]
    async fn many_events_are_stored_in_their_order_and_one_that_cannot_be_takes_none_along() {
        for test in plugyard_store::testing::databases().await {
            let database = &test.database;
            database.migrate(crate::migrations()).await.unwrap();
            let shared = shared(database.clone());
            let stored = watch::Sender::new(0);
            let count = TOGETHER * 2 + 3;
            let topics: Vec<String> = (0..count).map(|it| format!("plugins/fake:p{it}")).collect();
            let mut waiting: VecDeque<News> = topics.iter().cloned().map(news).collect();
            // PostgreSQL has no text with this character.
            waiting.insert(5, news("nul\0".to_owned()));
            *shared.waiting.lock() = waiting;
            shared.write(&stored).await;
            let rows = event::Entity::find()
                .order_by_asc(event::Column::Id)
                .all(database.conn())
                .await
                .unwrap();
            let kept = rows.iter().filter(|it| !it.topic.starts_with("nul"));
            let kept: Vec<_> = kept.map(|it| it.topic.clone()).collect();
            assert_eq!(kept, topics, "{}", test.sort);
            assert_eq!(rows.last().map(|it| it.id), Some(*stored.borrow()));
        }
    }
}
