//! Those who do the jobs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};

use super::entity::Model;
use super::{Job, Queue, attempts, backoff, millis, rows, wake};
use crate::StoreError;

/// The shortest pause of an idle worker: what is due may be in the hands of another at this moment.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Workers for some sorts of jobs, in this process. Jobs of other sorts are left alone: they may be of a
/// newer version of the program that runs beside this one.
pub struct Workers<C> {
    crew: Crew<C>,
    slots: BTreeMap<&'static str, usize>,
}

struct Crew<C> {
    queue: Queue,
    context: C,
    sorts: Arc<BTreeMap<&'static str, Sort<C>>>,
}

impl<C: Clone> Clone for Crew<C> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            context: self.context.clone(),
            sorts: self.sorts.clone(),
        }
    }
}

/// One sort of job without its type.
struct Sort<C> {
    queue: &'static str,
    max_attempts: u32,
    run: fn(String, C) -> BoxFuture<'static, Run>,
}

/// How a run ended.
enum Run {
    Done,
    Failed(anyhow::Error),
    /// The data are none of this sort: trying again does not help.
    Unreadable(serde_json::Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing new is begun.
    Closing,
    /// What still runs is broken off.
    Ending,
}

impl<C> fmt::Debug for Workers<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("jobs", &self.crew.sorts.keys())
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

impl<C: Clone + Send + Sync + 'static> Workers<C> {
    /// Workers that know no job yet.
    pub fn new(queue: Queue, context: C) -> Self {
        Self {
            crew: Crew {
                queue,
                context,
                sorts: Arc::default(),
            },
            slots: BTreeMap::new(),
        }
    }

    /// Lets them do jobs of this sort.
    ///
    /// # Panics
    /// For two sorts of one name: a mistake in the program.
    #[must_use]
    pub fn register<J: Job<Context = C>>(mut self) -> Self {
        let sort = Sort {
            queue: J::QUEUE,
            max_attempts: J::MAX_ATTEMPTS.max(1),
            run: |payload, context| {
                async move {
                    match serde_json::from_str::<J>(&payload) {
                        Ok(job) => match job.run(&context).await {
                            Ok(()) => Run::Done,
                            Err(error) => Run::Failed(error),
                        },
                        Err(error) => Run::Unreadable(error),
                    }
                }
                .boxed()
            },
        };
        // Nobody shares it before it is run.
        let mut sorts = Arc::into_inner(std::mem::take(&mut self.crew.sorts)).unwrap_or_default();
        let twin = sorts.insert(J::NAME, sort).is_some();
        assert!(!twin, "two sorts of jobs are called `{}`", J::NAME);
        self.crew.sorts = Arc::new(sorts);
        self
    }

    /// How many jobs of a queue run at once here; 1 for queues not named.
    #[must_use]
    pub fn slots(mut self, queue: &'static str, slots: usize) -> Self {
        self.slots.insert(queue, slots);
        self
    }

    /// Works until `shutdown` ends. Then nothing new is begun; what runs has `grace` to end, after which it
    /// is broken off and given back without counting as an attempt.
    ///
    /// Failures of the database are logged, and waited out.
    pub async fn run(self, shutdown: impl Future<Output = ()>, grace: Duration) {
        let (phase, seen) = watch::channel(Phase::Open);
        let mut slots = JoinSet::new();
        for (queue, names) in self.crew.queues() {
            for _ in 0..self.slots.get(queue).copied().unwrap_or(1) {
                let (crew, names, seen) = (self.crew.clone(), names.clone(), seen.clone());
                slots.spawn(async move { crew.serve(queue, names, seen).await });
            }
        }
        let listening = wake::listen(
            self.crew.queue.database.clone(),
            self.crew.queue.settings.poll,
        );
        tokio::select! {
            () = shutdown => {}
            () = listening => {}
        }
        phase.send_replace(Phase::Closing);
        let all = async { while slots.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            phase.send_replace(Phase::Ending);
            while slots.join_next().await.is_some() {}
        }
    }

    /// Does what is due now, one after the other, until nothing is. Says how many runs that were.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn drain(&self) -> Result<usize, StoreError> {
        let (_phase, seen) = watch::channel(Phase::Open);
        let mut runs = 0;
        for (queue, names) in self.crew.queues() {
            while let Some(claimed) = self.crew.claim(queue, &names).await? {
                self.crew.work(claimed, seen.clone()).await;
                runs += 1;
            }
        }
        Ok(runs)
    }
}

impl<C: Clone + Send + Sync + 'static> Crew<C> {
    fn queues(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        let mut queues = BTreeMap::<_, Vec<_>>::new();
        for (name, sort) in &*self.sorts {
            queues.entry(sort.queue).or_default().push(*name);
        }
        queues
    }

    /// One slot: a job after the other.
    async fn serve(
        self,
        queue: &'static str,
        names: Vec<&'static str>,
        mut phase: watch::Receiver<Phase>,
    ) {
        let mut changes = self.queue.database.job_changes();
        while *phase.borrow_and_update() == Phase::Open {
            // Before looking: what is announced from here on is not missed.
            changes.mark_unchanged();
            let pause = match self.claim(queue, &names).await {
                Ok(Some(claimed)) => {
                    self.work(claimed, phase.clone()).await;
                    continue;
                }
                Ok(None) => self.pause(queue, &names).await,
                Err(error) => {
                    tracing::error!(
                        job.queue = queue,
                        error = &error as &dyn std::error::Error,
                        "Looking for jobs of `{queue}` failed"
                    );
                    // Announcements do not help against a database that is away.
                    tokio::select! {
                        _ = phase.changed() => {}
                        () = tokio::time::sleep(self.queue.settings.poll) => {}
                    }
                    continue;
                }
            };
            tokio::select! {
                _ = phase.changed() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Until the next job is due, but not longer than `poll`.
    async fn pause(&self, queue: &str, names: &[&'static str]) -> Duration {
        let poll = self.queue.settings.poll;
        let due = rows::next_due(self.queue.database.conn(), queue, names).await;
        let Ok(Some(due)) = due else { return poll };
        let wait = due.saturating_sub(self.queue.now()).max(0).unsigned_abs();
        Duration::from_millis(wait).max(SHORTEST_PAUSE).min(poll)
    }

    /// The next job to run. One that took all its attempts with its workers is failed instead: it would
    /// go on killing them.
    async fn claim(
        &self,
        queue: &'static str,
        names: &[&'static str],
    ) -> Result<Option<Model>, StoreError> {
        let Queue { database, settings } = &self.queue;
        loop {
            let lease = millis(settings.lease);
            let Some(claimed) =
                rows::claim(database, queue, names, self.queue.now(), lease).await?
            else {
                return Ok(None);
            };
            let allowed = self.max_attempts(&claimed);
            if attempts(claimed.attempts) <= allowed {
                return Ok(Some(claimed));
            }
            let error = format!("its worker ended {allowed} times without saying how the job did");
            tracing::error!(
                job.id = %claimed.id,
                job.name = claimed.name,
                "The job `{}` is failed: {error}", claimed.name
            );
            rows::failed(database, &claimed, &error).await?;
        }
    }

    fn max_attempts(&self, claimed: &Model) -> u32 {
        self.sorts
            .get(claimed.name.as_str())
            .map_or(1, |sort| sort.max_attempts)
    }

    /// Runs a claimed job, holding its lease, and writes down how it ended.
    async fn work(&self, claimed: Model, mut phase: watch::Receiver<Phase>) {
        let Some(sort) = self.sorts.get(claimed.name.as_str()) else {
            return;
        };
        let lease = self.queue.settings.lease;
        // Ended by being dropped, should this be.
        let mut task = JoinSet::new();
        task.spawn((sort.run)(claimed.payload.clone(), self.context.clone()));
        let mut beat = tokio::time::interval(lease / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.tick().await;
        let mut held_since = Instant::now();
        loop {
            tokio::select! {
                ended = task.join_next() => {
                    if let Some(ended) = ended {
                        self.record(&claimed, ended).await;
                    }
                    return;
                }
                () = ending(&mut phase) => {
                    task.shutdown().await;
                    self.give_back(&claimed).await;
                    return;
                }
                _ = beat.tick() => {
                    let asked = Instant::now();
                    // Not longer than the lease still lasts: afterwards another may have the job.
                    let left = lease.saturating_sub(held_since.elapsed());
                    let until = self.queue.now().saturating_add(millis(lease));
                    let renewed = rows::extend(&self.queue.database, &claimed, until);
                    match tokio::time::timeout(left, renewed).await {
                        Ok(Ok(true)) => held_since = asked,
                        Ok(Err(_)) if held_since.elapsed() < lease => {}
                        _ => {
                            tracing::warn!(
                                job.id = %claimed.id,
                                job.name = claimed.name,
                                "The job `{}` is broken off: its lease is lost", claimed.name
                            );
                            task.shutdown().await;
                            return;
                        }
                    }
                }
            }
        }
    }

    async fn record(&self, claimed: &Model, ended: Result<Run, JoinError>) {
        let (error, again) = match ended {
            Ok(Run::Done) => return self.persist(claimed, &Ending::Done).await,
            Ok(Run::Failed(error)) => (format!("{error:#}"), true),
            Ok(Run::Unreadable(error)) => (format!("its data cannot be read: {error}"), false),
            Err(panic) => (panicked(panic), true),
        };
        let failed = attempts(claimed.attempts);
        if again && failed < self.max_attempts(claimed) {
            let settings = &self.queue.settings;
            let wait = backoff::wait(
                settings.first_wait,
                settings.longest_wait,
                failed,
                (settings.chance)(),
            );
            tracing::warn!(
                job.id = %claimed.id,
                job.name = claimed.name,
                "The job `{}` failed and is tried again in {wait:?}: {error}", claimed.name
            );
            let run_at = self.queue.now().saturating_add(millis(wait));
            self.persist(claimed, &Ending::Later(run_at, error)).await;
        } else {
            tracing::error!(
                job.id = %claimed.id,
                job.name = claimed.name,
                "The job `{}` failed for good: {error}", claimed.name
            );
            self.persist(claimed, &Ending::Failed(error)).await;
        }
    }

    async fn give_back(&self, claimed: &Model) {
        self.persist(claimed, &Ending::GivenBack).await;
    }

    /// Writes down an ending; should the database refuse for good, the lease ends and the job runs again.
    async fn persist(&self, claimed: &Model, ending: &Ending) {
        let database = &self.queue.database;
        for last in [false, false, true] {
            let written = match ending {
                Ending::Done => rows::done(database, claimed).await,
                Ending::Failed(error) => rows::failed(database, claimed, error).await,
                Ending::Later(run_at, error) => {
                    let back = rows::Back::later(*run_at, error);
                    rows::give_back(database, claimed, back).await
                }
                Ending::GivenBack => {
                    let back = rows::Back::uncounted(self.queue.now(), claimed);
                    rows::give_back(database, claimed, back).await
                }
            };
            match written {
                Ok(()) => return,
                Err(error) if last => tracing::error!(
                    job.id = %claimed.id,
                    job.name = claimed.name,
                    error = &error as &dyn std::error::Error,
                    "How the job `{}` ended cannot be written down; it will run again", claimed.name
                ),
                // An equal job may have come in between; it is seen the next time.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}

enum Ending {
    Done,
    Failed(String),
    Later(i64, String),
    GivenBack,
}

async fn ending(phase: &mut watch::Receiver<Phase>) {
    drop(phase.wait_for(|phase| *phase == Phase::Ending).await);
}

fn panicked(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "it was broken off".to_owned();
    };
    let said = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("it panicked: {said}")
}
