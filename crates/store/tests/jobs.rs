//! Jobs are done, at least once, on both databases, whatever happens to those who do them.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plugyard_store::jobs::{Job, JobSettings, JobState, JobView, Queue, Workers};
use plugyard_store::testing::{TestDatabase, databases};
use plugyard_store::{Database, DatabaseUrl};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Far longer than anything here takes: reached only when something is broken.
const BROKEN: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// What happens in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Began(String),
    Ended(String),
    Dropped(String),
}

#[derive(Clone)]
struct Context {
    events: mpsc::UnboundedSender<Event>,
    /// What runs that wait take one of.
    gate: Arc<Semaphore>,
}

impl Context {
    fn new() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, seen) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        (Self { events, gate }, seen)
    }
}

struct Tell<'a>(&'a Context, &'a str, bool);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        let event = if self.2 { Event::Ended } else { Event::Dropped };
        drop(self.0.events.send(event(self.1.to_owned())));
    }
}

async fn act(context: &Context, name: &str, what: &str) -> anyhow::Result<()> {
    drop(context.events.send(Event::Began(name.to_owned())));
    let mut tell = Tell(context, name, false);
    match what {
        "wait" => context.gate.acquire().await?.forget(),
        "fail" => return Err(anyhow::anyhow!("disk full").context("cannot build")),
        "panic" => panic!("a mistake"),
        _ => {}
    }
    tell.2 = true;
    Ok(())
}

macro_rules! job {
    ($job:ident, $name:literal, $priority:literal, $deduplicate:literal, $attempts:literal) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $job {
            name: String,
            what: String,
        }

        impl Job for $job {
            const NAME: &'static str = $name;
            const PRIORITY: i32 = $priority;
            const DEDUPLICATE: bool = $deduplicate;
            const MAX_ATTEMPTS: u32 = $attempts;
            type Context = Context;

            async fn run(&self, context: &Context) -> anyhow::Result<()> {
                act(context, &self.name, &self.what).await
            }
        }

        impl $job {
            fn new(name: impl ToString, what: &str) -> Self {
                Self {
                    name: name.to_string(),
                    what: what.to_owned(),
                }
            }
        }
    };
}

job!(Plain, "plain", 0, false, 3);
job!(Urgent, "urgent", 5, false, 3);
job!(Once, "once", 0, true, 3);

/// A queue whose time the test moves, and whose chance is the longest wait.
struct Bench {
    test: TestDatabase,
    time: Arc<AtomicI64>,
    queue: Queue,
    context: Context,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Bench {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for test in databases().await {
            test.database
                .migrate(plugyard_store::migrations())
                .await
                .unwrap();
            let time = Arc::new(AtomicI64::new(1_000_000_000_000));
            let (context, events) = Context::new();
            all.push(Self {
                queue: Queue::new(test.database.clone(), settings(&time)),
                test,
                time,
                context,
                events,
            });
        }
        all
    }

    async fn enqueue(&self, job: &impl Job) {
        let transaction = self.test.database.begin().await.unwrap();
        self.queue.enqueue(&transaction, job).await.unwrap();
        transaction.commit().await.unwrap();
    }

    fn workers(&self) -> Workers<Context> {
        workers(self.queue.clone(), self.context.clone())
    }

    async fn drain(&self) -> usize {
        ended(self.workers().drain()).await.unwrap()
    }

    fn pass(&self, millis: i64) {
        self.time.fetch_add(millis, Ordering::SeqCst);
    }

    async fn in_state(&self, state: JobState) -> Vec<JobView> {
        self.queue.list(state, 100).await.unwrap()
    }

    async fn next(&mut self) -> Event {
        tokio::time::timeout(BROKEN, self.events.recv())
            .await
            .expect("something happens")
            .unwrap()
    }

    fn seen(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    fn began(&mut self) -> Vec<String> {
        let began = |event| match event {
            Event::Began(name) => Some(name),
            _ => None,
        };
        self.seen().into_iter().filter_map(began).collect()
    }
}

fn settings(time: &Arc<AtomicI64>) -> JobSettings {
    let time = time.clone();
    JobSettings {
        now: Arc::new(move || time.load(Ordering::SeqCst)),
        chance: Arc::new(|| 1.0),
        poll: HOUR,
        ..JobSettings::default()
    }
}

fn workers(queue: Queue, context: Context) -> Workers<Context> {
    Workers::new(queue, context)
        .register::<Plain>()
        .register::<Urgent>()
        .register::<Once>()
}

/// Runs workers until the sender is dropped or used.
fn start(
    workers: Workers<Context>,
    grace: Duration,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(workers.run(async { drop(stopped.await) }, grace));
    (stop, running)
}

async fn ended<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(BROKEN, what).await.expect("it ends")
}

#[tokio::test]
async fn a_job_exists_exactly_when_its_transaction_was_committed() {
    for mut bench in Bench::all().await {
        let transaction = bench.test.database.begin().await.unwrap();
        let job = Plain::new("taken back", "");
        bench.queue.enqueue(&transaction, &job).await.unwrap();
        drop(transaction);
        bench.enqueue(&Plain::new("kept", "")).await;
        assert_eq!(bench.drain().await, 1, "{}", bench.test.sort);
        assert_eq!(bench.began(), ["kept"]);
        assert_eq!(bench.drain().await, 0);
    }
}

#[tokio::test]
async fn urgent_jobs_come_first_and_equal_ones_in_their_order() {
    for mut bench in Bench::all().await {
        for name in ["a", "b"] {
            bench.enqueue(&Plain::new(name, "")).await;
            bench.pass(1);
        }
        bench.enqueue(&Urgent::new("c", "")).await;
        let transaction = bench.test.database.begin().await.unwrap();
        let later = bench.time.load(Ordering::SeqCst) + 1000;
        let job = Urgent::new("d", "");
        bench
            .queue
            .enqueue_at(&transaction, &job, later)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bench.drain().await, 3);
        assert_eq!(bench.began(), ["c", "a", "b"], "{}", bench.test.sort);
        bench.pass(1000);
        assert_eq!(bench.drain().await, 1);
    }
}

#[tokio::test]
async fn many_workers_do_each_job_once() {
    for mut bench in Bench::all().await {
        for number in 0..40 {
            bench.enqueue(&Plain::new(number, "")).await;
        }
        // As two processes have it: each with connections of its own.
        let other = Database::open(&bench.test.url).await.unwrap();
        let others = Queue::new(other, settings(&bench.time));
        let running = [bench.queue.clone(), others].map(|queue| {
            let workers = workers(queue, bench.context.clone()).slots("default", 4);
            start(workers, BROKEN)
        });
        let mut done = Vec::new();
        while done.len() < 40 {
            if let Event::Ended(name) = bench.next().await {
                done.push(name.parse::<u32>().unwrap());
            }
        }
        for (stop, running) in running {
            drop(stop);
            ended(running).await.unwrap();
        }
        done.sort_unstable();
        assert_eq!(done, (0..40).collect::<Vec<_>>(), "{}", bench.test.sort);
        assert_eq!(bench.seen(), []);
        assert_eq!(bench.in_state(JobState::Running).await, []);
    }
}

#[tokio::test]
async fn equal_jobs_wait_once_but_run_again_when_one_is_running() {
    for mut bench in Bench::all().await {
        for _ in 0..3 {
            bench.enqueue(&Once::new("same", "wait")).await;
        }
        bench.enqueue(&Once::new("other", "wait")).await;
        assert_eq!(bench.in_state(JobState::Waiting).await.len(), 2);

        let (stop, running) = start(bench.workers(), BROKEN);
        assert_eq!(bench.next().await, Event::Began("same".to_owned()));
        bench.enqueue(&Once::new("same", "wait")).await;
        bench.context.gate.add_permits(3);
        let mut order = Vec::new();
        while order.len() < 2 {
            if let Event::Began(name) = bench.next().await {
                order.push(name);
            }
        }
        order.sort();
        assert_eq!(order, ["other", "same"], "{}", bench.test.sort);
        drop(stop);
        ended(running).await.unwrap();
        assert_eq!(bench.in_state(JobState::Waiting).await, []);
    }
}

#[tokio::test]
async fn a_job_that_is_asked_for_again_begins_only_after_that_was_committed() {
    for bench in Bench::all().await {
        // On SQLite one who claims waits for the transaction anyway.
        if bench.test.sort == "SQLite" {
            continue;
        }
        bench.enqueue(&Once::new("same", "")).await;
        let transaction = bench.test.database.begin().await.unwrap();
        let job = Once::new("same", "");
        bench.queue.enqueue(&transaction, &job).await.unwrap();
        assert_eq!(bench.drain().await, 0);
        transaction.commit().await.unwrap();
        assert_eq!(bench.drain().await, 1);
    }
}

#[tokio::test]
async fn a_job_that_fails_is_tried_again_later_each_time_and_then_kept() {
    for mut bench in Bench::all().await {
        bench.enqueue(&Plain::new("bad", "fail")).await;
        for (attempts, wait) in [(1, 2000), (2, 4000)] {
            assert_eq!(bench.drain().await, 1);
            let [job] = &bench.in_state(JobState::Waiting).await[..] else {
                panic!("one job waits");
            };
            let now = bench.time.load(Ordering::SeqCst);
            assert_eq!((job.attempts, job.run_at - now), (attempts, wait));
            assert_eq!(job.error.as_deref(), Some("cannot build: disk full"));
            bench.pass(wait - 1);
            assert_eq!(bench.drain().await, 0, "{}", bench.test.sort);
            bench.pass(1);
        }
        assert_eq!(bench.drain().await, 1);
        bench.pass(1_000_000);
        assert_eq!(bench.drain().await, 0);
        let [job] = &bench.in_state(JobState::Failed).await[..] else {
            panic!("one job has failed");
        };
        assert_eq!((job.attempts, job.name.as_str()), (3, "plain"));
        assert_eq!(job.error.as_deref(), Some("cannot build: disk full"));

        assert!(bench.queue.retry(job.id).await.unwrap());
        assert!(!bench.queue.retry(job.id).await.unwrap());
        assert!(!bench.queue.discard(job.id).await.unwrap());
        for _ in 0..3 {
            assert_eq!(bench.drain().await, 1);
            bench.pass(1_000_000);
        }
        assert!(bench.queue.discard(job.id).await.unwrap());
        assert_eq!(bench.in_state(JobState::Failed).await, []);
        assert_eq!(bench.began().len(), 6);
    }
}

#[tokio::test]
async fn a_failed_run_gives_way_to_an_equal_job_that_waits() {
    for mut bench in Bench::all().await {
        bench.enqueue(&Once::new("same", "fail")).await;
        for _ in 0..3 {
            assert_eq!(bench.drain().await, 1);
            bench.pass(1_000_000);
        }
        let failed = bench.in_state(JobState::Failed).await[0].id;
        bench.enqueue(&Once::new("same", "fail")).await;
        assert!(bench.queue.retry(failed).await.unwrap());
        let waiting = bench.in_state(JobState::Waiting).await;
        assert_eq!(waiting.len(), 1, "{}", bench.test.sort);
        assert_ne!(waiting[0].id, failed);
        assert_eq!(bench.in_state(JobState::Failed).await, []);
        assert_eq!(bench.began().len(), 3);
    }
}

#[tokio::test]
async fn a_panic_is_a_failed_run_and_data_that_cannot_be_read_is_the_end() {
    for mut bench in Bench::all().await {
        bench.enqueue(&Plain::new("bad", "panic")).await;
        assert_eq!(bench.drain().await, 1);
        let waiting = bench.in_state(JobState::Waiting).await;
        assert_eq!(waiting[0].error.as_deref(), Some("it panicked: a mistake"));

        let connection = bench.test.database.conn();
        connection
            .execute_unprepared("UPDATE jobs SET payload = '{}', run_at = 0")
            .await
            .unwrap();
        assert_eq!(bench.drain().await, 1);
        let failed = bench.in_state(JobState::Failed).await;
        let error = failed[0].error.as_deref().unwrap();
        assert!(
            error.contains("cannot be read: missing field `name`"),
            "{error}"
        );
        assert_eq!(bench.began().len(), 1);
    }
}

#[tokio::test]
async fn jobs_this_version_does_not_know_are_left_alone() {
    for bench in Bench::all().await {
        bench.enqueue(&Plain::new("new", "")).await;
        let old = Workers::new(bench.queue.clone(), bench.context.clone()).register::<Urgent>();
        assert_eq!(old.drain().await.unwrap(), 0);
        assert_eq!(bench.drain().await, 1, "{}", bench.test.sort);
    }
}

#[tokio::test]
async fn idle_workers_hear_of_a_new_job_at_once() {
    for mut bench in Bench::all().await {
        let (stop, running) = start(bench.workers(), BROKEN);
        bench.enqueue(&Plain::new("from here", "")).await;
        assert_eq!(bench.next().await, Event::Began("from here".to_owned()));
        assert_eq!(bench.next().await, Event::Ended("from here".to_owned()));
        if bench.test.sort == "PostgreSQL" {
            // From another process: looking would take an hour.
            let other = Database::open(&bench.test.url).await.unwrap();
            let others = Queue::new(other.clone(), settings(&bench.time));
            for name in ["from there", "again"] {
                let transaction = other.begin().await.unwrap();
                others
                    .enqueue(&transaction, &Plain::new(name, ""))
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
                assert_eq!(bench.next().await, Event::Began(name.to_owned()));
                assert_eq!(bench.next().await, Event::Ended(name.to_owned()));
            }
        }
        drop(stop);
        ended(running).await.unwrap();
    }
}

#[tokio::test]
async fn what_runs_at_the_end_may_finish_and_nothing_new_begins() {
    for mut bench in Bench::all().await {
        bench.enqueue(&Plain::new("running", "wait")).await;
        bench.enqueue(&Plain::new("waiting", "")).await;
        let (stop, running) = start(bench.workers(), BROKEN);
        assert_eq!(bench.next().await, Event::Began("running".to_owned()));
        drop(stop);
        bench.context.gate.add_permits(1);
        ended(running).await.unwrap();
        let expected = [Event::Ended("running".to_owned())];
        assert_eq!(bench.seen(), expected, "{}", bench.test.sort);
        assert_eq!(bench.in_state(JobState::Running).await, []);
        assert_eq!(bench.in_state(JobState::Waiting).await.len(), 1);
    }
}

#[tokio::test]
async fn what_does_not_end_in_time_is_given_back_uncounted() {
    for mut bench in Bench::all().await {
        bench.enqueue(&Plain::new("endless", "wait")).await;
        let (stop, running) = start(bench.workers(), Duration::ZERO);
        assert_eq!(bench.next().await, Event::Began("endless".to_owned()));
        drop(stop);
        ended(running).await.unwrap();
        assert_eq!(bench.next().await, Event::Dropped("endless".to_owned()));
        let waiting = bench.in_state(JobState::Waiting).await;
        assert_eq!(
            (waiting.len(), waiting[0].attempts),
            (1, 0),
            "{}",
            bench.test.sort
        );
        bench.context.gate.add_permits(1);
        assert_eq!(bench.drain().await, 1);
    }
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_breaks_off_and_writes_nothing() {
    for mut bench in Bench::all().await {
        let mut quick = settings(&bench.time);
        quick.lease = Duration::from_millis(300);
        let queue = Queue::new(bench.test.database.clone(), quick);
        let holder = workers(queue, bench.context.clone());
        bench.enqueue(&Plain::new("job", "wait")).await;
        let (stop, running) = start(holder, BROKEN);
        assert_eq!(bench.next().await, Event::Began("job".to_owned()));
        // Another takes it: the holder's clock stood still for longer than its lease.
        let connection = bench.test.database.conn();
        connection
            .execute_unprepared("UPDATE jobs SET attempts = 7, claim = NULL")
            .await
            .unwrap();
        assert_eq!(bench.next().await, Event::Dropped("job".to_owned()));
        drop(stop);
        ended(running).await.unwrap();
        let running = bench.in_state(JobState::Running).await;
        assert_eq!(running[0].attempts, 7, "{}", bench.test.sort);
    }
}

#[tokio::test]
async fn a_late_ending_does_not_touch_the_job_of_another() {
    for mut bench in Bench::all().await {
        bench.enqueue(&Plain::new("slow", "wait")).await;
        let (stop, running) = start(bench.workers(), BROKEN);
        assert_eq!(bench.next().await, Event::Began("slow".to_owned()));
        bench.pass(30_001);
        let second = tokio::spawn({
            let workers = bench.workers();
            async move { workers.drain().await.unwrap() }
        });
        assert_eq!(bench.next().await, Event::Began("slow".to_owned()));
        // The first in the queue for the gate is the one who lost the job.
        bench.context.gate.add_permits(1);
        assert_eq!(bench.next().await, Event::Ended("slow".to_owned()));
        drop(stop);
        ended(running).await.unwrap();
        assert_eq!(bench.in_state(JobState::Running).await.len(), 1);
        bench.context.gate.add_permits(1);
        assert_eq!(ended(second).await.unwrap(), 1);
        assert_eq!(bench.in_state(JobState::Running).await, []);
    }
}

#[tokio::test]
async fn a_job_that_takes_its_workers_along_is_failed_in_the_end() {
    for mut bench in Bench::all().await {
        bench.enqueue(&Plain::new("poison", "wait")).await;
        for _ in 0..3 {
            let workers = bench.workers();
            let drained = tokio::spawn(async move { workers.drain().await });
            assert_eq!(bench.next().await, Event::Began("poison".to_owned()));
            // As if killed: nothing is written any more.
            drained.abort();
            assert_eq!(bench.next().await, Event::Dropped("poison".to_owned()));
            bench.pass(30_001);
        }
        assert_eq!(bench.drain().await, 0);
        let failed = bench.in_state(JobState::Failed).await;
        let error = failed[0].error.as_deref().unwrap();
        assert!(
            error.contains("ended 3 times"),
            "{} {error}",
            bench.test.sort
        );
    }
}

const DATABASE: &str = "PLUGYARD_JOBS_TEST_DATABASE";

fn short_lease() -> JobSettings {
    JobSettings {
        lease: Duration::from_secs(1),
        ..JobSettings::default()
    }
}

/// Not a test of its own: the worker that is killed.
#[tokio::test]
async fn child() {
    let Ok(address) = std::env::var(DATABASE) else {
        return;
    };
    let url: DatabaseUrl = address.parse().unwrap();
    let database = Database::open(&url).await.unwrap();
    let own = short_lease();
    let (context, _events) = Context::new();
    workers(Queue::new(database, own), context)
        .run(std::future::pending(), BROKEN)
        .await;
}

#[tokio::test]
async fn a_job_of_a_worker_that_was_killed_is_finished_by_another() {
    for mut bench in Bench::all().await {
        let queue = Queue::new(bench.test.database.clone(), short_lease());
        bench.enqueue(&Plain::new("job", "wait")).await;
        #[expect(
            clippy::disallowed_methods,
            reason = "the child is this test, not a plugin"
        )]
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--quiet", "--nocapture"])
            .env(DATABASE, &bench.test.address)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let held = async {
            while bench.in_state(JobState::Running).await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        ended(held).await;
        child.kill().unwrap();
        child.wait().unwrap();

        // Nobody tells the other one; it sees when the lease ends.
        bench.context.gate.add_permits(1);
        let (stop, running) = start(workers(queue, bench.context.clone()), BROKEN);
        assert_eq!(bench.next().await, Event::Began("job".to_owned()));
        assert_eq!(bench.next().await, Event::Ended("job".to_owned()));
        drop(stop);
        ended(running).await.unwrap();
        assert_eq!(
            bench.in_state(JobState::Running).await,
            [],
            "{}",
            bench.test.sort
        );
    }
}

#[tokio::test]
async fn equal_jobs_asked_for_at_the_same_time_wait_once() {
    for bench in Bench::all().await {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let askers = (0..12).map(|_| {
            let (database, queue, ids) = (
                bench.test.database.clone(),
                bench.queue.clone(),
                ids.clone(),
            );
            tokio::spawn(async move {
                let transaction = database.begin().await.unwrap();
                let job = Once::new("same", "");
                let id = queue.enqueue(&transaction, &job).await.unwrap();
                transaction.commit().await.unwrap();
                ids.lock().unwrap().push(id);
            })
        });
        for asker in askers.collect::<Vec<_>>() {
            ended(asker).await.unwrap();
        }
        let waiting = bench.in_state(JobState::Waiting).await;
        assert_eq!(waiting.len(), 1, "{}", bench.test.sort);
        assert_eq!(*ids.lock().unwrap(), vec![waiting[0].id; 12]);
    }
}
