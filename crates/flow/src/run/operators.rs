//! The task between the source's inbox and the sinks' queues of a rule with windows or a graph: takes each row, and
//! each window that is due, along its operators.
//!
//! One task runs them all, one thing after the other, so that rows and windows keep their order. What an operator
//! gives goes to where it hands on before the next is taken.
//!
//! By processing time the clock says when windows are due. By event time the rows do: they pass in the order of
//! their own times, once the watermark has reached them, and before each the windows that end by then are due.

mod evaluation;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::OptionFuture;
use jiff::tz::TimeZone;
use plugyard_symbol::Tuple;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{Checkpoints, Snapshot, WatermarkState};
use super::feed::Feeds;
use super::inbox::Arrival;
use super::metrics::Node;
use super::queue::{Queue, Weigh as _};
use super::schema::conform;
use super::watermark::Watermark;
use super::window::{Buffer, Fired, MAX_BYTES};
use super::{BATCH, Shared, Stages};
use crate::eval::{Member, keeps};
use crate::operators::{Operators, Target, Work};
use crate::plan::Plan;
use crate::sql::expr::Expr;
use crate::sql::select::StateConditions;
use crate::sql::window::MAX_ROWS;
use evaluation::{Data, Evaluation, Failure, breathe};

/// See the module.
pub(super) struct Flow {
    plan: Arc<Plan>,
    operators: Arc<Operators>,
    shared: Arc<Shared>,
    inbox: Arc<Queue<Arrival>>,
    source: Arc<Node>,
    /// One for each operator.
    nodes: Vec<Arc<Node>>,
    /// One for each operator that is a window.
    windows: Vec<Option<Buffer>>,
    /// By event time: the operator that puts rows into order, and those that wait in it.
    watermark: Option<(usize, Watermark<Arc<Member>>)>,
    feeds: Feeds,
    /// With `qos` above 0, where there is anything to save.
    checkpoints: Option<Checkpoints>,
    /// Messages of the batch that have not been processed.
    waiting: usize,
}

/// Windows after which what they gave is handed over.
const FIRED: usize = 64;

impl Flow {
    pub(super) fn new(
        plan: Arc<Plan>,
        operators: Arc<Operators>,
        shared: Arc<Shared>,
        stages: &Stages,
        feeds: Feeds,
        checkpoints: Option<Checkpoints>,
    ) -> Self {
        let now = shared.clock.now_ms();
        let zone = TimeZone::system();
        let watermark = operators.watermark().map(|index| {
            let tolerance = plan.rule.options.late_tolerance;
            (index, Watermark::new(tolerance))
        });
        let windows = operators
            .list
            .iter()
            .map(|operator| match operator.work {
                Work::Window { window, .. } if watermark.is_some() => {
                    Some(Buffer::by_event(window, zone.clone()))
                }
                Work::Window { window, .. } => Some(Buffer::new(window, now, zone.clone())),
                _ => None,
            })
            .collect();
        Self {
            plan,
            operators,
            shared,
            inbox: stages.inbox.clone(),
            source: stages.source.clone(),
            nodes: stages.operators.clone(),
            windows,
            watermark,
            feeds,
            checkpoints,
            waiting: 0,
        }
    }

    /// Works until the inbox is closed and empty, or until it is cut off. Windows that are open then are given up.
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
        self.restore().await;
        let mut batch = Vec::with_capacity(BATCH);
        let (inbox, shared) = (self.inbox.clone(), self.shared.clone());
        let awaits = !self.operators.calls.is_empty();
        loop {
            let due = self.due();
            let open = {
                let due: OptionFuture<_> = due.map(|at| shared.clock.sleep_until(at)).into();
                tokio::select! {
                    biased;
                    open = inbox.take(&mut batch, BATCH) => open,
                    Some(()) = due => true,
                }
            };
            if !open {
                return self.save_last().await;
            }
            let mut began = Instant::now();
            let now = shared.clock.now_ms();
            self.waiting = batch.len();
            let full = batch.len() == BATCH;
            if self.watermark.is_none() {
                self.fire_due(now, now).await;
            }
            for arrival in batch.drain(..) {
                match arrival {
                    Arrival::Tuple(tuple) => self.take(&tuple, now).await,
                    Arrival::Error(text) => self.feeds.send_error(&text),
                }
                self.waiting -= 1;
                if awaits && self.feeds.has_some() {
                    // The next row may wait for a plugin; this one is done.
                    self.hand_over(began.elapsed()).await;
                    began = Instant::now();
                }
            }
            self.hand_over(began.elapsed()).await;
            self.save_when_due();
            if full {
                // There is more: let others have their turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// When the clock has something to do: with windows by processing time, or with a checkpoint.
    fn due(&self) -> Option<i64> {
        let windows = self.windows.iter().flatten().filter_map(Buffer::due);
        let window = windows.min().filter(|_| self.watermark.is_none());
        let checkpoint = self.checkpoints.as_ref().and_then(Checkpoints::due);
        window.into_iter().chain(checkpoint).min()
    }

    /// Gives to the sinks what has come together for them.
    async fn hand_over(&mut self, took: Duration) {
        if self.feeds.has_some()
            && let Some(mut checkpoints) = self.checkpoints.take_if(|it| it.is_first())
        {
            let now = self.shared.clock.now_ms();
            checkpoints.save_now(now, self.snapshot()).await;
            self.checkpoints = Some(checkpoints);
        }
        self.feeds.hand_over(took).await;
    }

    /// Goes on with what the last run of the rule had in hand.
    async fn restore(&mut self) {
        let Some(checkpoints) = &self.checkpoints else {
            return;
        };
        let Some(snapshot) = checkpoints.restore().await else {
            return;
        };
        for (window, state) in self.windows.iter_mut().zip(snapshot.windows) {
            if let (Some(window), Some(state)) = (window, state) {
                window.restore(state);
            }
        }
        if let (Some((_, watermark)), Some(state)) = (&mut self.watermark, snapshot.watermark) {
            let rows = state.rows.into_iter();
            watermark.restore(state.time, rows.map(|row| (row.at, row.bytes, row)));
        }
    }

    fn save_when_due(&mut self) {
        let now = self.shared.clock.now_ms();
        let due = |it: &mut Checkpoints| it.due().is_some_and(|due| due <= now);
        if let Some(mut checkpoints) = self.checkpoints.take_if(due) {
            checkpoints.save(now, || self.snapshot());
            self.checkpoints = Some(checkpoints);
        }
    }

    /// The rule ends.
    async fn save_last(&mut self) {
        let Some(mut checkpoints) = self.checkpoints.take() else {
            return;
        };
        if checkpoints.is_last() {
            let now = self.shared.clock.now_ms();
            checkpoints.save_now(now, self.snapshot()).await;
        }
        checkpoints.settle().await;
    }

    fn snapshot(&self) -> Snapshot {
        let windows = self.windows.iter();
        Snapshot {
            windows: windows.map(|it| it.as_ref().map(Buffer::state)).collect(),
            watermark: self
                .watermark
                .as_ref()
                .map(|(_, watermark)| WatermarkState {
                    time: watermark.time(),
                    rows: watermark.waiting().cloned().collect(),
                }),
        }
    }

    /// Something has changed that a checkpoint holds.
    fn touch(&mut self) {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.touch();
        }
    }

    /// Gives away the windows that are due at this time; `now` is the clock's.
    async fn fire_due(&mut self, time: i64, now: i64) {
        let mut fired = 0;
        for index in 0..self.windows.len() {
            while let Some(window) = self.windows[index].as_mut().and_then(|it| it.tick(time)) {
                self.touch();
                self.hand_on(index, 0, window.into(), now).await;
                fired += 1;
                if fired % FIRED == 0 {
                    // Many may be due at once where time has leapt.
                    self.hand_over(Duration::ZERO).await;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// By event time: hands on the rows that the watermark has reached, in order, and the windows that have ended.
    async fn advance(&mut self, now: i64) {
        let Some((index, _)) = self.watermark else {
            return;
        };
        let mut passed = 0;
        while let Some((at, row)) = self.watermark.as_mut().and_then(|(_, it)| it.next()) {
            self.fire_due(at, now).await;
            self.hand_on(index, 0, Data::Row(row), now).await;
            breathe(passed).await;
            passed += 1;
        }
        if let Some(time) = self.watermark.as_ref().and_then(|(_, it)| it.time()) {
            self.fire_due(time, now).await;
        }
    }

    /// Takes a message of the source along the operators.
    async fn take(&mut self, tuple: &Tuple, now: i64) {
        let stream = &self.plan.stream;
        let row = if stream.options.strict_validation && !stream.columns.is_empty() {
            match conform(&stream.columns, &tuple.body.row()) {
                Ok(row) => row,
                Err(text) => {
                    self.fail(None, ("error in preprocessor", text));
                    return;
                }
            }
        } else {
            match &self.operators.columns {
                Some(columns) => tuple.body.columns(columns),
                None => tuple.body.row().into_owned(),
            }
        };
        let at = match &self.plan.timestamps {
            None => Ok(now),
            Some(timestamps) => timestamps.of(&row),
        };
        let at = match at {
            Ok(at) => at,
            Err(text) => {
                self.fail(None, ("error in preprocessor", text));
                return;
            }
        };
        let bytes = tuple.bytes();
        let row = Arc::new(Member {
            row,
            meta: tuple.meta.clone(),
            bytes,
            at,
        });
        let Some((index, watermark)) = &mut self.watermark else {
            let operators = self.operators.clone();
            self.deliver(&operators.entry, Data::Row(row), now).await;
            return;
        };
        let node = &self.nodes[*index];
        node.came_in(1);
        node.worked(1, Duration::ZERO);
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.touch();
        }
        match watermark.take(at, bytes, row) {
            Ok(()) => self.advance(now).await,
            Err(late) => node.lost(1, format!("late row dropped: {late}")),
        }
    }

    /// Hands something to where an operator's output leads.
    async fn hand_on(&mut self, index: usize, output: usize, data: Data, now: i64) {
        self.nodes[index].went_out(1);
        let operators = self.operators.clone();
        self.deliver(&operators.list[index].outputs[output], data, now)
            .await;
    }

    /// Takes something to these targets and on from there.
    async fn deliver(&mut self, targets: &[Target], data: Data, now: i64) {
        let mut todo = Vec::new();
        self.spread(targets, data, &mut todo);
        while let Some((index, data)) = todo.pop() {
            let began = Instant::now();
            let result = self.operate(index, data, now).await;
            let node = &self.nodes[index];
            node.came_in(1);
            node.worked(1, began.elapsed());
            match result {
                Ok(given) => {
                    let operators = self.operators.clone();
                    // The last is taken out first.
                    for (output, data) in given.into_iter().rev() {
                        self.nodes[index].went_out(1);
                        let targets = &operators.list[index].outputs[output];
                        self.spread(targets, data, &mut todo);
                    }
                }
                Err(failure) => self.fail(Some(index), failure),
            }
        }
    }

    /// Sends to the sinks among the targets, and notes the operators as next to do.
    fn spread(&mut self, targets: &[Target], data: Data, todo: &mut Vec<(usize, Data)>) {
        let sinks = || {
            targets.iter().filter_map(|target| match target {
                Target::Sink(index) => Some(*index),
                Target::Operator(_) => None,
            })
        };
        if sinks().next().is_some() {
            let rows = data.rows();
            let alone = matches!(data, Data::Row(_));
            self.feeds.watch(&rows);
            for sink in sinks() {
                self.feeds.send_to(sink, &rows, alone);
            }
        }
        let mut operators: Vec<_> = targets
            .iter()
            .filter_map(|target| match target {
                Target::Operator(index) => Some(*index),
                Target::Sink(_) => None,
            })
            .collect();
        let Some(last) = operators.pop() else { return };
        let at = todo.len();
        for index in operators {
            todo.push((index, data.clone()));
        }
        todo.push((last, data));
        // The first is taken out first.
        todo[at..].reverse();
    }

    /// Does an operator's work; what it gives, with the output that goes to.
    async fn operate(
        &mut self,
        index: usize,
        data: Data,
        now: i64,
    ) -> Result<Vec<(usize, Data)>, Failure> {
        let operators = self.operators.clone();
        let eval = Evaluation {
            plan: &self.plan.clone(),
            now,
        };
        let one = |data: Option<Data>| Ok(data.map(|data| (0, data)).into_iter().collect());
        match (&operators.list[index].work, data) {
            (Work::Filter(condition), data) => {
                one(eval.filter(data, |scope| keeps(condition, scope)).await?)
            }
            (
                Work::Window {
                    state: Some(state), ..
                },
                Data::Row(row),
            ) => {
                let fired = self.gather_state(index, row, state, &eval).await?;
                one(fired.map(Into::into))
            }
            (Work::Window { trigger, .. }, Data::Row(row)) => {
                let fired = self.gather(index, row, trigger.as_ref(), &eval).await?;
                one(fired.map(Into::into))
            }
            // Rows come to it on the way in, and leave it in order.
            (Work::Watermark, data) => one(Some(data)),
            (Work::Having(condition), Data::Rows(rows)) => one(eval
                .having(rows, |scope| keeps(condition, scope))
                .await?
                .map(Data::Rows)),
            (Work::Group(keys), Data::Rows(rows)) => {
                let rows = eval.group(rows, keys).await?;
                one((!rows.groups.is_empty()).then_some(Data::Rows(rows)))
            }
            (Work::Column { name, expr }, data) => {
                let data = eval.column(data, name, |scope| expr.eval(scope)).await?;
                one(Some(data))
            }
            (Work::Aggregate { name, expr }, Data::Rows(mut rows)) => {
                for group in &mut rows.groups {
                    let value = eval
                        .on_group(group, rows.span, |scope| expr.eval(scope))
                        .await;
                    let value = value.map_err(|text| ("run Select error", text))?;
                    let mut head = group.row().clone();
                    head.set(name.clone(), value);
                    group.head = Some(head);
                }
                rows.grouped = true;
                one(Some(Data::Rows(rows)))
            }
            (Work::Order(keys), Data::Rows(rows)) => {
                one(Some(Data::Rows(eval.sort(rows, keys).await?)))
            }
            (
                Work::Project {
                    items,
                    together,
                    limit,
                },
                data,
            ) => one(Some(eval.project(data, items, *together, *limit).await?)),
            (Work::Switch { cases, first_only }, data) => {
                let mut given = Vec::new();
                for (output, case) in cases.iter().enumerate() {
                    let kept = eval
                        .filter(data.clone(), |scope| keeps(case, scope))
                        .await?;
                    let Some(kept) = kept else { continue };
                    given.push((output, kept));
                    if *first_only {
                        break;
                    }
                }
                Ok(given)
            }
            // A graph where this could happen is refused when it is made.
            (_, _) => Err((
                "run error",
                "this operator needs the rows of a window".to_owned(),
            )),
        }
    }

    /// Puts a row into a window.
    async fn gather(
        &mut self,
        index: usize,
        row: Arc<Member>,
        trigger: Option<&Expr>,
        eval: &Evaluation<'_>,
    ) -> Result<Option<Fired>, Failure> {
        let triggers = match trigger {
            Some(trigger) => eval.on_row(&row, None, |scope| keeps(trigger, scope)).await,
            None => Ok(true),
        };
        self.touch();
        let Some(window) = &mut self.windows[index] else {
            return Ok(None);
        };
        let (fired, dropped) = window.push(row, *triggers.as_ref().unwrap_or(&false));
        self.window_full(index, dropped);
        // The row is in the window, whether or not it can be told if it triggers.
        triggers.map_err(|text| ("run Window error", text))?;
        Ok(fired)
    }

    /// Puts a row into a state window, if it belongs to one.
    async fn gather_state(
        &mut self,
        index: usize,
        row: Arc<Member>,
        state: &StateConditions,
        eval: &Evaluation<'_>,
    ) -> Result<Option<Fired>, Failure> {
        let failed = |text| ("run Window error", text);
        let key = eval.key(&row, None, &state.partition).await;
        let key = key.map_err(failed)?;
        let is_open = self.windows[index]
            .as_ref()
            .is_some_and(|it| it.is_open(&key));
        let condition = state.emit.as_ref().filter(|_| is_open);
        let condition = condition.unwrap_or(&state.begin);
        let matches = eval
            .on_row(&row, None, |scope| keeps(condition, scope))
            .await;
        self.touch();
        let Some(window) = &mut self.windows[index] else {
            return Ok(None);
        };
        let is_true = *matches.as_ref().unwrap_or(&false);
        let (fired, dropped) = window.push_state(&key, row, is_true);
        self.window_full(index, dropped);
        matches.map_err(failed)?;
        Ok(fired)
    }

    fn window_full(&self, index: usize, dropped: u64) {
        self.nodes[index].failed_times(
            dropped,
            format!(
                "window full ({MAX_ROWS} rows, {} MiB), {dropped} oldest rows dropped",
                MAX_BYTES >> 20
            ),
        );
    }

    /// Something failed: it is dropped and counted, and told to the sinks where the rule wants that.
    fn fail(&mut self, index: Option<usize>, (place, text): Failure) {
        let text = format!("{place}: {text}");
        if self.plan.rule.options.send_error {
            self.feeds.send_error(&text);
        }
        let node = index.map_or(&self.source, |index| &self.nodes[index]);
        node.failed(text);
    }
}
