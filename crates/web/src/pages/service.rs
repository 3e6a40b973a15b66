//! What of this part of a host lives as long as the server: jobs, schedules, and who delivers to whom.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use plugyard_model::{Problem, codes};
use plugyard_platform::Platform;
use plugyard_store::StoreError;
use plugyard_store::jobs::{JobSettings, Queue, Workers};
use plugyard_store::secrets::Secrets;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::words::{CallWord, MarketWords};
use super::{callbacks, items, tickets};
use crate::host::{WebHost, now};
use crate::webhooks::deliver::{self, Deliver};

/// How many jobs of each sort run at once.
const SLOTS: usize = 16;
/// How many deliveries to one endpoint are under way at once, so that a slow one leaves slots to the others.
const PER_ENDPOINT: usize = 4;
/// What runs when the server ends has so long.
const GRACE: Duration = Duration::from_secs(5);
/// How often what is over is removed.
const CLEANING: Duration = Duration::from_mins(10);

/// The part of a host that belongs to pages.
#[derive(Default)]
pub(crate) struct Shared {
    /// There while the server runs.
    platform: RwLock<Option<Platform>>,
    pub(crate) turns: Turns,
    /// A schedule was added, changed or taken away.
    pub(crate) schedules: Notify,
    pub(crate) market: OnceLock<Arc<dyn MarketWords>>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// Who delivers at this moment.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Busy>);

#[derive(Default)]
struct Busy {
    pairs: HashSet<(Uuid, String)>,
    endpoints: HashMap<Uuid, usize>,
}

/// The right to deliver to an endpoint what concerns a plugin, until dropped.
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    pair: (Uuid, String),
}

impl Turns {
    /// The turn, unless another has it or the endpoint has enough to do.
    pub(crate) fn take(&self, endpoint: Uuid, fskey: &str) -> Option<Turn<'_>> {
        let pair = (endpoint, fskey.to_owned());
        let mut busy = self.0.lock();
        if busy.endpoints.get(&endpoint).copied().unwrap_or(0) >= PER_ENDPOINT
            || !busy.pairs.insert(pair.clone())
        {
            return None;
        }
        *busy.endpoints.entry(endpoint).or_default() += 1;
        Some(Turn { turns: self, pair })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut busy = self.turns.0.lock();
        busy.pairs.remove(&self.pair);
        if let Some(count) = busy.endpoints.get_mut(&self.pair.0) {
            *count -= 1;
            if *count == 0 {
                busy.endpoints.remove(&self.pair.0);
            }
        }
    }
}

impl WebHost {
    /// Begins to tell webhooks, to do jobs and to follow schedules. Before operations are recovered, which tell
    /// their events too.
    pub fn begin(&self, platform: &Platform) {
        *self.pages().platform.write() = Some(platform.clone());
        self.listen(Arc::new(crate::webhooks::Webhooks(self.clone())));
        let Ok(queue) = self.queue() else { return };
        let workers = Workers::new(queue, self.clone())
            .register::<Deliver>()
            .register::<CallWord>()
            .slots("webhooks", SLOTS)
            .slots("command_words", SLOTS);
        let closing = self.pages().closing.clone();
        self.pages().tasks.spawn(async move {
            workers.run(closing.cancelled_owned(), GRACE).await;
        });
        let host = self.clone();
        self.spawn(async move { items::follow_schedules(&host).await });
        let host = self.clone();
        self.spawn(async move { host.clean().await });
    }

    /// Ends what [`begin`](Self::begin) began, within a few seconds. What waits goes on after the next start.
    pub async fn end(&self) {
        let pages = self.pages();
        pages.closing.cancel();
        pages.tasks.close();
        pages.tasks.wait().await;
        pages.platform.write().take();
    }

    /// Who answers the command words of the market.
    pub fn set_market_words(&self, market: Arc<dyn MarketWords>) {
        // Told once, when everything is put together.
        let _ = self.pages().market.set(market);
    }

    pub(crate) fn pages(&self) -> &Shared {
        &self.0.pages
    }

    pub(crate) fn settings(&self) -> &crate::settings::WebSettings {
        &self.0.settings
    }

    /// Whether the application was told to load no plugin.
    pub(crate) fn is_safe_mode(&self) -> bool {
        self.0.safe_mode
    }

    pub(crate) fn queue(&self) -> Result<Queue, StoreError> {
        Ok(Queue::new(self.database()?.clone(), JobSettings::default()))
    }

    /// The secrets of keys and endpoints.
    pub(crate) async fn secrets(&self) -> Result<Secrets, Problem> {
        let platform = self.pages().platform.read().clone();
        match platform {
            Some(platform) => platform.secrets().await,
            None => Err(Problem::new(codes::SECRET_STORE_UNAVAILABLE)
                .with("reason", "the server is not running")),
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let closing = self.pages().closing.clone();
        self.pages().tasks.spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Removes what is over, and looks for deliveries whose job was lost.
    async fn clean(&self) {
        loop {
            let cleaned = async {
                tickets::clean(self).await?;
                callbacks::clean(self).await?;
                items::clean(self).await?;
                deliver::ask_for_all(self, None).await
            };
            if let Err(error) = cleaned.await {
                tracing::warn!(%error, "What is over could not be removed; it is tried again");
            }
            tokio::time::sleep(CLEANING).await;
        }
    }
}

/// Milliseconds before now.
pub(crate) fn ago(span: Duration) -> i64 {
    now().saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_delivers_for_a_pair_and_few_to_an_endpoint() {
        let turns = Turns::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let held = turns.take(one, "A").unwrap();
        assert!(turns.take(one, "A").is_none());
        assert!(turns.take(other, "A").is_some());
        let more: Vec<_> = ["B", "C", "D"]
            .map(|it| turns.take(one, it).unwrap())
            .into();
        assert!(turns.take(one, "E").is_none());
        drop(held);
        assert!(turns.take(one, "E").is_some());
        drop(more);
        assert!(turns.0.lock().endpoints.is_empty());
    }
}
