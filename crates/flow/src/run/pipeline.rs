//! The task between the source's inbox and the sinks' queues: filter, projection and encoding in one go.
//!
//! A row that calls a plugin's function has to wait. By default rows wait one after the other, so that
//! calls are made in the order of rows; with `concurrency` several are under way at once
//! ([`super::row`]). Rows that are done leave together with those behind them, but do not wait for
//! them longer than [`LINGER`].

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::feed::{Feeds, Output};
use super::inbox::Arrival;
use super::linger::Linger;
use super::metrics::Node;
use super::queue::Queue;
use super::row::{Outcome, Rows, evaluate};
use super::{BATCH, Shared, Stages};
use crate::plan::Plan;

/// How long a row that is done waits at most for those behind it.
const LINGER: Duration = Duration::from_millis(1);

/// See the module.
pub(super) struct Pipeline {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    inbox: Arc<Queue<Arrival>>,
    source: Arc<Node>,
    filter: Option<Arc<Node>>,
    project: Arc<Node>,
    feeds: Feeds,
    counts: Counts,
    /// Messages of the batch that have not been processed.
    waiting: usize,
}

/// What one batch did, written to the nodes at its end.
#[derive(Default)]
struct Counts {
    came: u64,
    kept: u64,
    projected: u64,
}

impl Pipeline {
    pub(super) fn new(plan: Arc<Plan>, shared: Arc<Shared>, stages: &Stages, feeds: Feeds) -> Self {
        let (filter, project) = match &stages.operators[..] {
            [filter, project] => (Some(filter.clone()), project.clone()),
            operators => (None, operators[0].clone()),
        };
        Self {
            feeds,
            plan,
            shared,
            inbox: stages.inbox.clone(),
            source: stages.source.clone(),
            filter,
            project,
            counts: Counts::default(),
            waiting: 0,
        }
    }

    /// Works until the inbox is closed and empty, or until it is cut off.
    pub(super) async fn run(mut self, cut: CancellationToken) {
        tokio::select! {
            () = self.work() => return,
            () = cut.cancelled() => {}
        }
        self.inbox.close();
        let lost = (self.inbox.clear() + self.waiting) as u64;
        self.source
            .failed_times(lost, format!("rule stopped, {lost} messages not processed"));
        self.feeds.count_lost();
    }

    async fn work(&mut self) {
        match self.plan.rule.options.concurrency {
            many @ 2.. if self.plan.awaits() => self.work_on_several(many).await,
            _ => self.work_in_order().await,
        }
    }

    /// One row after the other.
    async fn work_in_order(&mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let (plan, inbox) = (self.plan.clone(), self.inbox.clone());
        let mut slots = vec![None; plan.calls.len()];
        let mut linger = Linger::default();
        while inbox.take(&mut batch, BATCH).await {
            let mut began = Instant::now();
            let mut now = self.shared.clock.now_ms();
            self.waiting = batch.len();
            for arrival in &batch {
                slots.fill(None);
                let mut evaluating = pin!(evaluate(&plan, arrival, now, &mut slots));
                let outcome = match futures::poll!(evaluating.as_mut()) {
                    Poll::Ready(outcome) => outcome,
                    // The call may be slow, and rows before this one are done.
                    Poll::Pending if self.feeds.has_some() => {
                        match linger.until(began + LINGER, evaluating.as_mut()).await {
                            Some(outcome) => outcome,
                            None => {
                                self.pass_on(began).await;
                                began = Instant::now();
                                evaluating.await
                            }
                        }
                    }
                    Poll::Pending => evaluating.await,
                };
                self.settle(arrival, outcome);
                if plan.awaits() && self.waiting > 0 && began.elapsed() >= LINGER {
                    self.pass_on(began).await;
                    began = Instant::now();
                    now = self.shared.clock.now_ms();
                }
            }
            self.pass_on(began).await;
            if batch.len() == BATCH {
                // There is more: let others have their turn.
                tokio::task::yield_now().await;
            }
            batch.clear();
        }
    }

    /// Up to `most` rows at once.
    async fn work_on_several(&mut self, most: usize) {
        let (plan, inbox) = (self.plan.clone(), self.inbox.clone());
        let mut taken = Vec::with_capacity(most);
        let mut rows = Rows::new(plan.rule.options.ordered);
        let mut open = true;
        let mut began = Instant::now();
        loop {
            let free = most - rows.len();
            let done = tokio::select! {
                biased;
                Some(done) = rows.next() => Some(done),
                more = inbox.take(&mut taken, free), if open && free > 0 => {
                    open = more;
                    None
                }
                else => return,
            };
            match done {
                None => {
                    if rows.len() == 0 {
                        began = Instant::now();
                    }
                    self.waiting += taken.len();
                    let now = self.shared.clock.now_ms();
                    for arrival in taken.drain(..) {
                        rows.push(plan.clone(), arrival, now);
                    }
                }
                Some((arrival, outcome)) => {
                    self.settle(&arrival, outcome);
                    while let Some((arrival, outcome)) = rows.next_if_done() {
                        self.settle(&arrival, outcome);
                    }
                    self.pass_on(began).await;
                    began = Instant::now();
                }
            }
        }
    }

    /// Writes down what has been done since `began`, and passes it on.
    async fn pass_on(&mut self, began: Instant) {
        let took = began.elapsed();
        self.count(took);
        self.feeds.hand_over(took).await;
    }

    /// Takes in what became of a row.
    fn settle(&mut self, arrival: &Arrival, outcome: Outcome) {
        self.waiting -= 1;
        self.counts.came += 1;
        match outcome {
            Outcome::SourceFailed(text) => {
                self.counts.came -= 1;
                self.feeds.send_error(&text);
            }
            Outcome::Rejected(text) => {
                // It never got as far as the first operator.
                self.counts.came -= 1;
                self.fail(Some(&self.source.clone()), "error in preprocessor", &text);
            }
            Outcome::Filtered => {}
            Outcome::FilterFailed(text) => {
                self.fail(self.filter.clone().as_ref(), "run Where error", &text);
            }
            Outcome::PassedThrough => {
                self.counts.kept += 1;
                self.counts.projected += 1;
                if let Arrival::Tuple(tuple) = arrival {
                    self.feeds.send(&Output::Body(&tuple.body));
                }
            }
            Outcome::Row(row) => {
                self.counts.kept += 1;
                self.counts.projected += 1;
                self.feeds.send(&Output::Row(Cow::Owned(row)));
            }
            Outcome::Failed(text) => {
                self.counts.kept += 1;
                self.fail(Some(&self.project.clone()), "run Select error", &text);
            }
        }
    }

    /// A message failed: it is dropped and counted, and told to the sinks where the rule wants that.
    fn fail(&mut self, node: Option<&Arc<Node>>, place: &str, text: &str) {
        let text = format!("{place}: {text}");
        if self.plan.rule.options.send_error {
            self.feeds.send_error(&text);
        }
        if let Some(node) = node {
            node.failed(text);
        }
    }

    /// Writes what a batch did to the nodes. They work as one, so each shows the time of all.
    fn count(&mut self, took: Duration) {
        let Counts {
            came,
            kept,
            projected,
        } = std::mem::take(&mut self.counts);
        if let Some(filter) = &self.filter {
            filter.came_in(came);
            filter.worked(came, took);
            filter.went_out(kept);
        }
        if kept > 0 {
            self.project.came_in(kept);
            self.project.worked(kept, took);
            self.project.went_out(projected);
        }
    }
}
