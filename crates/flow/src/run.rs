//! A running rule: tasks with a bounded queue at each hand-over.
//!
//! ```text
//! source ─► inbox ─► filter, projection, encoding (one task, fused) ─► queue ─► sink   (one task per sink)
//! ```
//!
//! Only where speeds may differ is there a queue: before the pipeline (a source must never be stalled,
//! HOST-24) and before each sink. Several messages are taken per wake-up. Metrics are atomics of the rule's
//! own nodes; no lock is shared between rules, and the database is never touched.
//!
//! A stop goes from the source to the sinks, so that what was sent is delivered, within bounds: what does
//! not end in time is cut off, and what is lost so is counted as exceptions.

mod cache;
mod checkpoint;
pub(crate) mod encode;
mod feed;
mod inbox;
mod linger;
pub(crate) mod log;
pub(crate) mod metrics;
mod operators;
mod pipeline;
mod queue;
mod row;
mod schema;
mod shape;
mod sink;
mod source;
pub(crate) mod status;
mod watermark;
mod window;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::plan::{Plan, SinkPlan};
use checkpoint::Checkpoints;
use feed::Feeds;
use inbox::Inbox;
use log::RuleLog;
use metrics::{Node, NodeKind};
use operators::Flow;
use pipeline::Pipeline;
use queue::Queue;
pub use status::RuleState;
use status::State;

/// How long a stopping rule may take to deliver what it has, before it is cut off.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a symbol may take to stop; nobody waits for it but the next start of the same rule.
const SYMBOL_STOP: Duration = Duration::from_secs(10);
/// First and longest pause between attempts to start a symbol.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Messages taken per wake-up.
const BATCH: usize = 256;

/// A rule that was started. Dropping it lets it run; [`Run::stop`] ends it.
#[derive(Clone)]
pub(crate) struct Run {
    shared: Arc<Shared>,
    stop: CancellationToken,
    done: watch::Receiver<bool>,
}

/// What the tasks of a run and its observers share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    /// In topology order.
    pub(crate) nodes: Vec<Arc<Node>>,
    state: Mutex<State>,
    /// Symbols that have not been started yet.
    pending: Mutex<usize>,
    fatal: mpsc::Sender<String>,
    places: Places,
    log: Option<Arc<RuleLog>>,
    checkpoint: Option<Arc<checkpoint::Status>>,
    end: Mutex<End>,
}

/// The directories in which rules keep what is theirs; without one, rules that need it are refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// Messages that wait for sinks.
    pub(crate) cache: Option<PathBuf>,
    /// Logs of rules.
    pub(crate) logs: Option<PathBuf>,
    /// What the windows of rules hold.
    pub(crate) state: Option<PathBuf>,
}

impl Places {
    /// Where the messages of a rule's sinks wait.
    pub(crate) fn cache_of(&self, rule: &str) -> Option<PathBuf> {
        Some(self.cache.as_ref()?.join(rule))
    }

    /// Where a rule's checkpoints are.
    pub(crate) fn state_of(&self, rule: &str) -> Option<PathBuf> {
        Some(self.state.as_ref()?.join(rule))
    }

    /// Deletes what a rule keeps.
    pub(crate) fn forget(&self, rule: &str) {
        for dir in [self.cache_of(rule), self.state_of(rule)]
            .into_iter()
            .flatten()
        {
            // Not there where the rule never kept any.
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// What becomes of a rule's files when its run has ended.
#[derive(Default)]
struct End {
    over: bool,
    forget: bool,
}

/// Ends when what came before it on the same sockets has ended.
pub(crate) type Predecessor = Option<watch::Receiver<bool>>;

impl Run {
    /// Starts a planned rule. Rows go to `tail` besides, while somebody listens. Nothing is started before
    /// `predecessor` has ended.
    pub(crate) fn start(
        plan: Plan,
        clock: Arc<dyn Clock>,
        tail: broadcast::Sender<Bytes>,
        predecessor: Predecessor,
        places: Places,
    ) -> Self {
        let (fatal, fatal_events) = mpsc::channel(1);
        let stages = Stages::new(&plan, &clock);
        let rule = &plan.rule;
        let log = rule.options.log.as_ref().zip(places.logs.as_ref());
        let log = log.map(|(options, dir)| {
            RuleLog::start(options, &rule.id, dir, clock.clone(), tail.subscribe())
        });
        let nodes = stages.in_order();
        if let Some(log) = &log {
            log.line("starting");
            for node in &nodes {
                node.logs_to(log);
            }
        }
        let shared = Arc::new(Shared {
            nodes,
            state: Mutex::new(State::starting(clock.now_ms())),
            pending: Mutex::new(1 + plan.sinks.len()),
            clock,
            fatal,
            places,
            log,
            checkpoint: checkpoint::Status::of(&plan.rule.options),
            end: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (ended, done) = watch::channel(false);
        let supervisor = Supervisor {
            plan: Arc::new(plan),
            shared: shared.clone(),
            stages,
            tail,
            stop: stop.clone(),
            fatal: fatal_events,
            ended,
        };
        tokio::spawn(supervisor.run(predecessor));
        Self { shared, stop, done }
    }

    /// Tells it to stop; [`Run::done`] tells when it has.
    pub(crate) fn stop(&self) {
        let now = self.shared.clock.now_ms();
        self.shared.state.lock().stopping(now);
        self.stop.cancel();
    }

    /// Becomes true when everything has ended.
    pub(crate) fn done(&self) -> watch::Receiver<bool> {
        self.done.clone()
    }

    /// Lets it delete the rule's files when it has ended; false when it has, so that this is the caller's.
    pub(crate) fn forget(&self) -> bool {
        let mut end = self.shared.end.lock();
        end.forget = true;
        !end.over
    }

    /// How it stands.
    pub(crate) fn state(&self) -> State {
        self.shared.state.lock().clone()
    }

    /// How it stands with its checkpoints, if it has any.
    pub(crate) fn checkpoint(&self) -> Option<&checkpoint::Status> {
        self.shared.checkpoint.as_deref()
    }

    /// Its nodes, in topology order.
    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.shared.nodes
    }
}

impl Shared {
    /// One more symbol has started; with the last one the rule is running.
    fn symbol_started(&self) {
        let mut pending = self.pending.lock();
        *pending = pending.saturating_sub(1);
        if *pending == 0 {
            self.state.lock().running();
            self.tell("running");
        }
    }

    fn tell(&self, text: &str) {
        if let Some(log) = &self.log {
            log.line(text);
        }
    }

    /// Deletes what waited for sinks that have no cache any more.
    fn clean_caches(&self, plan: &Plan) {
        let Some(dir) = self.places.cache_of(&plan.rule.id) else {
            return;
        };
        let kept: Vec<_> = plan
            .sinks
            .iter()
            .filter(|sink| sink.options.cache.is_some())
            .map(|sink| cache_name(&sink.op_id))
            .collect();
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if !kept.iter().any(|name| entry.file_name() == name.as_str()) {
                tracing::info!(
                    flow.rule = plan.rule.id,
                    "The sink of the cache {} is gone, and so is what waited for it",
                    entry.path().display()
                );
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The rule cannot go on.
    fn fail(&self, text: String) {
        // The first reason is the one that counts; without a listener the rule is ending anyway.
        let _ = self.fatal.try_send(text);
    }
}

/// The nodes and queues of a run.
struct Stages {
    source: Arc<Node>,
    /// Filter and projection, or those of the plan.
    operators: Vec<Arc<Node>>,
    sinks: Vec<SinkStages>,
    inbox: Arc<Queue<inbox::Arrival>>,
}

#[derive(Clone)]
struct SinkStages {
    batch: Option<Arc<Node>>,
    transform: Arc<Node>,
    encode: Arc<Node>,
    compress: Option<Arc<Node>>,
    encrypt: Option<Arc<Node>>,
    cache: Option<Arc<Node>>,
    sink: Arc<Node>,
    queue: Arc<Queue<Bytes>>,
    /// Rows that wait to be made a message, where that is more than encoding them.
    rows: Option<Arc<Queue<feed::Parcel>>>,
    /// How many messages wait in the cache.
    kept: Arc<AtomicUsize>,
}

impl Stages {
    fn new(plan: &Plan, clock: &Arc<dyn Clock>) -> Self {
        let inbox = Arc::new(Queue::new(plan.rule.options.buffer_length));
        let node = |kind, name: &str| Arc::new(Node::new(kind, name, clock.clone()));
        let source = node(NodeKind::Source, &plan.source_name);
        let operators: Vec<_> = plan
            .operator_names()
            .into_iter()
            .map(|name| node(NodeKind::Operator, name))
            .collect();
        if let Some(first) = operators.first() {
            source.feeds(first.name());
            first.reads(inbox.length());
        }
        let sinks = plan
            .sinks
            .iter()
            .map(|sink| SinkStages::new(sink, clock))
            .collect();
        Self {
            source,
            operators,
            sinks,
            inbox,
        }
    }

    fn in_order(&self) -> Vec<Arc<Node>> {
        let mut nodes = vec![self.source.clone()];
        nodes.extend(self.operators.iter().cloned());
        for sink in &self.sinks {
            nodes.extend(sink.in_order());
        }
        nodes
    }
}

impl SinkStages {
    fn new(plan: &SinkPlan, clock: &Arc<dyn Clock>) -> Self {
        let options = &plan.options;
        let node = |stage: &str| {
            let (index, _) = options.stages().find(|(_, name)| *name == stage)?;
            let name = format!("{}_{index}_{stage}", plan.op_id);
            Some(Arc::new(Node::new(
                NodeKind::Operator,
                &name,
                clock.clone(),
            )))
        };
        let always = |stage| node(stage).expect("a stage of every sink");
        let stages = Self {
            batch: node("batch"),
            transform: always("transform"),
            encode: always("encode"),
            compress: node("compress"),
            encrypt: node("encrypt"),
            cache: node("cache"),
            sink: Arc::new(Node::new(NodeKind::Sink, &plan.op_id, clock.clone())),
            queue: Arc::new(Queue::new(options.buffer_length)),
            rows: (!options.is_plain()).then(|| Arc::new(Queue::new(options.buffer_length))),
            kept: Arc::default(),
        };
        if stages.cache.is_some() {
            stages.sink.reads(stages.kept.clone());
        }
        let reader = stages.cache.as_ref().unwrap_or(&stages.sink);
        reader.reads(stages.queue.length());
        stages.last().feeds(reader.name());
        if let Some(rows) = &stages.rows {
            stages.first().reads(rows.length());
        }
        stages
    }

    /// The node that rows come to.
    fn first(&self) -> &Arc<Node> {
        self.batch.as_ref().unwrap_or(&self.transform)
    }

    /// The node that fills the queue of messages.
    fn last(&self) -> &Arc<Node> {
        let packed = self.encrypt.as_ref().or(self.compress.as_ref());
        packed.unwrap_or(&self.encode)
    }

    fn in_order(&self) -> impl Iterator<Item = Arc<Node>> {
        let always = |node: &Arc<Node>| Some(node.clone());
        [
            self.batch.clone(),
            always(&self.transform),
            always(&self.encode),
            self.compress.clone(),
            self.encrypt.clone(),
            self.cache.clone(),
            always(&self.sink),
        ]
        .into_iter()
        .flatten()
    }
}

/// Starts the tasks of a run and sees to their end.
struct Supervisor {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    stages: Stages,
    tail: broadcast::Sender<Bytes>,
    stop: CancellationToken,
    fatal: mpsc::Receiver<String>,
    ended: watch::Sender<bool>,
}

impl Supervisor {
    async fn run(mut self, predecessor: Predecessor) {
        let mut failure = None;
        if self.wait_for(predecessor).await {
            failure = self.run_tasks().await;
        }
        let now = self.shared.clock.now_ms();
        self.shared.tell(&match &failure {
            None => "stopped".to_owned(),
            Some(reason) => format!("stopped by error: {reason}"),
        });
        self.shared.state.lock().ended(now, failure);
        let mut end = self.shared.end.lock();
        end.over = true;
        if end.forget {
            self.shared.places.forget(&self.plan.rule.id);
        }
        drop(end);
        self.ended.send_replace(true);
    }

    /// Whether it is still wanted after what came before has ended.
    async fn wait_for(&self, predecessor: Predecessor) -> bool {
        if let Some(mut before) = predecessor {
            tokio::select! {
                // A sender that is gone has ended, too.
                _ = before.wait_for(|ended| *ended) => {}
                () = self.stop.cancelled() => return false,
            }
        }
        !self.stop.is_cancelled()
    }

    /// Runs until told to stop or until it cannot go on; gives the reason then.
    async fn run_tasks(&mut self) -> Option<String> {
        if self.shared.places.cache.is_some() {
            let (shared, plan) = (self.shared.clone(), self.plan.clone());
            let _ = spawn_blocking(move || shared.clean_caches(&plan)).await;
        }
        let cut = CancellationToken::new();
        let sinks: Vec<JoinHandle<()>> = self
            .stages
            .sinks
            .iter()
            .enumerate()
            .map(|(index, stages)| {
                tokio::spawn(sink::run(sink::SinkTask {
                    plan: self.plan.clone(),
                    index,
                    stages: stages.clone(),
                    shared: self.shared.clone(),
                    stop: self.stop.clone(),
                    cut: cut.clone(),
                }))
            })
            .collect();
        let shapers: Vec<JoinHandle<()>> = (0..self.stages.sinks.len())
            .filter_map(|index| shape::Shaper::new(&self.plan, index, &self.stages.sinks[index]))
            .map(|shaper| tokio::spawn(shaper.run(cut.clone())))
            .collect();
        let pipeline = self.spawn_pipeline(cut.clone());
        let inbox = Arc::new(Inbox::new(
            self.stages.inbox.clone(),
            self.stages.source.clone(),
            self.plan.rule.options.send_error,
        ));
        let mut source = tokio::spawn(source::run(source::SourceTask {
            plan: self.plan.clone(),
            inbox,
            node: self.stages.source.clone(),
            shared: self.shared.clone(),
            stop: self.stop.clone(),
        }));

        let failure = tokio::select! {
            () = self.stop.cancelled() => None,
            reason = self.fatal.recv() => reason,
        };
        self.stop.cancel();

        // From the source to the sinks, so that nothing on the way is lost.
        // A source that takes longer to stop than the rest may wait loses what it still sends.
        let source_ended = timeout(DRAIN, &mut source).await;
        self.stages.inbox.close();
        let mut panicked = drain(pipeline, &cut).await;
        for rows in self.stages.sinks.iter().filter_map(|it| it.rows.as_ref()) {
            rows.close();
        }
        for shaper in shapers {
            panicked |= drain(shaper, &cut).await;
        }
        for stages in &self.stages.sinks {
            stages.queue.close();
        }
        for sink in sinks {
            panicked |= drain(sink, &cut).await;
        }
        panicked |= match source_ended {
            Ok(result) => result.is_err(),
            Err(_) => join(source).await,
        };
        failure.or_else(|| panicked.then(|| "a fault in the rule's own tasks".to_owned()))
    }
}

impl Supervisor {
    /// The task between source and sinks.
    fn spawn_pipeline(&self, cut: CancellationToken) -> JoinHandle<()> {
        let (plan, shared) = (self.plan.clone(), self.shared.clone());
        let feeds = Feeds::new(&plan, &self.stages, self.tail.clone());
        match plan.operators.clone() {
            Some(operators) => {
                let checkpoints = self.checkpoints();
                let flow = Flow::new(plan, operators, shared, &self.stages, feeds, checkpoints);
                tokio::spawn(flow.run(cut))
            }
            None => tokio::spawn(Pipeline::new(plan, shared, &self.stages, feeds).run(cut)),
        }
    }
}

impl Supervisor {
    /// Those of a rule whose operators hold anything.
    fn checkpoints(&self) -> Option<Checkpoints> {
        let (plan, shared) = (&self.plan, &self.shared);
        let status = shared.checkpoint.clone()?;
        let dir = shared.places.state_of(&plan.rule.id)?;
        let index = plan.operators.as_ref()?.keeper()?;
        let node = self.stages.operators[index].clone();
        let now = shared.clock.now_ms();
        Some(Checkpoints::new(plan, dir, status, node, now))
    }
}

/// A sink's directory among those of its rule. A sink's name is its plugin's to choose.
fn cache_name(op_id: &str) -> String {
    let mut name = String::with_capacity(op_id.len());
    for byte in op_id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            name.push(byte.into());
        } else {
            // Writing into memory does not fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

/// Waits for a task within the time to drain, then cuts it off. Whether it ended by a fault.
async fn drain(mut task: JoinHandle<()>, cut: &CancellationToken) -> bool {
    match timeout(DRAIN, &mut task).await {
        Ok(result) => result.is_err(),
        Err(_) => {
            cut.cancel();
            join(task).await
        }
    }
}

async fn join(task: JoinHandle<()>) -> bool {
    task.await.is_err()
}

/// Waits before the next attempt, longer each time; whether there shall be one.
async fn pause(delay: &mut Duration, stop: &CancellationToken) -> bool {
    let waited = tokio::select! {
        () = tokio::time::sleep(*delay) => true,
        () = stop.cancelled() => false,
    };
    *delay = (*delay * 2).min(BACKOFF.1);
    waited
}
