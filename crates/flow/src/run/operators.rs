//! The task between the source's inbox and the sinks' queues of a rule with windows or a graph: takes each row, and
//! each window that is due, along its operators.
//!
//! One task runs them all, one thing after the other, so that rows and windows keep their order. What an operator
//! gives goes to where it hands on before the next is taken.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use futures::future::OptionFuture;
use jiff::tz::TimeZone;
use plugyard_symbol::{Row, Tuple, Value};
use tokio_util::sync::CancellationToken;

use super::feed::Feeds;
use super::inbox::Arrival;
use super::metrics::Node;
use super::queue::{Queue, Weigh as _, row_bytes, value_bytes};
use super::row::call;
use super::schema::conform;
use super::window::{Buffer, Fired, MAX_BYTES};
use super::{BATCH, Shared, Stages};
use crate::eval::project::{Keep, project};
use crate::eval::{GroupScope, Member, Scope, Slot, Span, Stop, keeps, order, write_key};
use crate::operators::{Operators, Target, Work};
use crate::plan::Plan;
use crate::sql::expr::Expr;
use crate::sql::select::Item;
use crate::sql::window::MAX_ROWS;

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
    feeds: Feeds,
    /// Messages of the batch that have not been processed.
    waiting: usize,
}

/// What operators hand on.
#[derive(Clone)]
enum Data {
    /// A row.
    Row(Arc<Member>),
    /// The rows of a window.
    Rows(Rows),
}

#[derive(Clone)]
struct Rows {
    /// Without GROUP BY there is one.
    groups: Vec<Group>,
    /// Whether each group is one row to whatever comes after.
    grouped: bool,
    span: Span,
}

#[derive(Clone)]
struct Group {
    members: Vec<Arc<Member>>,
    /// What it is as one row, where that is more than its first.
    head: Option<Row>,
}

/// Why something goes no further: the place and the reason.
type Failure = (&'static str, String);

static NO_COLUMNS: Row = Row::new();

/// Rows after which others have their turn.
const STRETCH: usize = 1024;

/// Lets others have their turn between many rows.
async fn breathe(index: usize) {
    if index % STRETCH == STRETCH - 1 {
        tokio::task::yield_now().await;
    }
}

impl Flow {
    pub(super) fn new(
        plan: Arc<Plan>,
        operators: Arc<Operators>,
        shared: Arc<Shared>,
        stages: &Stages,
        feeds: Feeds,
    ) -> Self {
        let now = shared.clock.now_ms();
        let zone = TimeZone::system();
        let windows = operators
            .list
            .iter()
            .map(|operator| match operator.work {
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
            feeds,
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
        let mut batch = Vec::with_capacity(BATCH);
        let (inbox, shared) = (self.inbox.clone(), self.shared.clone());
        let awaits = !self.operators.calls.is_empty();
        loop {
            let due = self.windows.iter().flatten().filter_map(Buffer::due).min();
            let open = {
                let due: OptionFuture<_> = due.map(|at| shared.clock.sleep_until(at)).into();
                tokio::select! {
                    biased;
                    open = inbox.take(&mut batch, BATCH) => open,
                    Some(()) = due => true,
                }
            };
            if !open {
                return;
            }
            let mut began = Instant::now();
            let now = shared.clock.now_ms();
            self.waiting = batch.len();
            let full = batch.len() == BATCH;
            self.fire_due(now).await;
            for arrival in batch.drain(..) {
                match arrival {
                    Arrival::Tuple(tuple) => self.take(&tuple, now).await,
                    Arrival::Error(text) => self.feeds.send_error(&text),
                }
                self.waiting -= 1;
                if awaits && self.feeds.has_some() {
                    // The next row may wait for a plugin; this one is done.
                    self.feeds.hand_over(began.elapsed()).await;
                    began = Instant::now();
                }
            }
            self.feeds.hand_over(began.elapsed()).await;
            if full {
                // There is more: let others have their turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Gives away the windows that are due.
    async fn fire_due(&mut self, now: i64) {
        for index in 0..self.windows.len() {
            while let Some(fired) = self.windows[index].as_mut().and_then(|it| it.tick(now)) {
                self.hand_on(index, 0, fired.into(), now).await;
            }
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
        let row = Data::Row(Arc::new(Member {
            row,
            meta: tuple.meta.clone(),
            bytes: tuple.bytes(),
        }));
        let operators = self.operators.clone();
        self.deliver(&operators.entry, row, now).await;
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
            (Work::Window { trigger, .. }, Data::Row(row)) => {
                let fired = self.gather(index, row, trigger.as_ref(), &eval).await?;
                one(fired.map(Into::into))
            }
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
        let Some(window) = &mut self.windows[index] else {
            return Ok(None);
        };
        let (fired, dropped) = window.push(row, eval.now, *triggers.as_ref().unwrap_or(&false));
        self.nodes[index].failed_times(
            dropped,
            format!(
                "window full ({MAX_ROWS} rows, {} MiB), {dropped} oldest rows dropped",
                MAX_BYTES >> 20
            ),
        );
        // The row is in the window, whether or not it can be told if it triggers.
        triggers.map_err(|text| ("run Window error", text))?;
        Ok(fired)
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

impl From<Fired> for Data {
    fn from(fired: Fired) -> Self {
        Self::Rows(Rows {
            groups: vec![Group {
                members: fired.rows,
                head: None,
            }],
            grouped: false,
            span: fired.span,
        })
    }
}

impl Data {
    /// The rows that a sink gets of it.
    fn rows(&self) -> Vec<&Row> {
        match self {
            Self::Row(member) => vec![&member.row],
            Self::Rows(rows) if rows.grouped => rows.groups.iter().map(Group::row).collect(),
            Self::Rows(rows) => rows
                .groups
                .iter()
                .flat_map(|group| group.members.iter().map(|member| &member.row))
                .collect(),
        }
    }
}

impl Group {
    /// The group as one row.
    fn row(&self) -> &Row {
        self.head.as_ref().unwrap_or_else(|| {
            let first = self.members.first();
            first.map_or(&NO_COLUMNS, |member| &member.row)
        })
    }
}

/// Evaluates expressions at one moment.
struct Evaluation<'a> {
    plan: &'a Plan,
    now: i64,
}

impl Evaluation<'_> {
    async fn filter(
        &self,
        data: Data,
        condition: impl Fn(&Scope<'_>) -> Result<bool, Stop>,
    ) -> Result<Option<Data>, Failure> {
        let failed = |text| ("run Where error", text);
        match data {
            Data::Row(row) => {
                let keeps = self.on_row(&row, None, condition).await.map_err(failed)?;
                Ok(keeps.then_some(Data::Row(row)))
            }
            Data::Rows(rows) if rows.grouped => {
                Ok(self.having(rows, condition).await?.map(Data::Rows))
            }
            Data::Rows(mut rows) => {
                for group in &mut rows.groups {
                    let mut kept = Vec::with_capacity(group.members.len());
                    for (index, member) in
                        std::mem::take(&mut group.members).into_iter().enumerate()
                    {
                        breathe(index).await;
                        let keeps = self.on_row(&member, Some(rows.span), &condition).await;
                        if keeps.map_err(failed)? {
                            kept.push(member);
                        }
                    }
                    group.members = kept;
                }
                let some = rows.groups.iter().any(|group| !group.members.is_empty());
                Ok(some.then_some(Data::Rows(rows)))
            }
        }
    }

    async fn having(
        &self,
        mut rows: Rows,
        condition: impl Fn(&Scope<'_>) -> Result<bool, Stop>,
    ) -> Result<Option<Rows>, Failure> {
        let mut kept = Vec::with_capacity(rows.groups.len());
        for (index, group) in std::mem::take(&mut rows.groups).into_iter().enumerate() {
            breathe(index).await;
            let keeps = self.on_group(&group, rows.span, &condition).await;
            if keeps.map_err(|text| ("run Having error", text))? {
                kept.push(group);
            }
        }
        rows.groups = kept;
        Ok((!rows.groups.is_empty()).then_some(rows))
    }

    /// Parts rows by what the keys are; groups are in the order of their first rows.
    async fn group(&self, rows: Rows, keys: &[Expr]) -> Result<Rows, Failure> {
        let mut groups: Vec<Group> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let members = rows.groups.into_iter().flat_map(|group| group.members);
        for (index, member) in members.enumerate() {
            breathe(index).await;
            let key = self
                .on_row(&member, Some(rows.span), |scope| {
                    let mut text = String::new();
                    for key in keys {
                        write_key(&key.eval(scope)?, &mut text);
                    }
                    Ok(text)
                })
                .await
                .map_err(|text| ("run Group By error", text))?;
            match known.entry(key) {
                Entry::Occupied(at) => groups[*at.get()].members.push(member),
                Entry::Vacant(new) => {
                    new.insert(groups.len());
                    groups.push(Group {
                        members: vec![member],
                        head: None,
                    });
                }
            }
        }
        Ok(Rows {
            groups,
            grouped: true,
            span: rows.span,
        })
    }

    async fn column(
        &self,
        data: Data,
        name: &Arc<str>,
        expr: impl Fn(&Scope<'_>) -> Result<Value, Stop>,
    ) -> Result<Data, Failure> {
        let failed = |text| ("run Select error", text);
        let set = |member: &mut Arc<Member>, value: Value| {
            let member = Arc::make_mut(member);
            member.bytes = member.bytes.saturating_add(value_bytes(&value));
            member.row.set(name.clone(), value);
        };
        match data {
            Data::Row(mut row) => {
                let value = self.on_row(&row, None, expr).await.map_err(failed)?;
                set(&mut row, value);
                Ok(Data::Row(row))
            }
            Data::Rows(mut rows) => {
                for group in &mut rows.groups {
                    if rows.grouped {
                        let value = self.on_group(group, rows.span, &expr).await;
                        let mut head = group.row().clone();
                        head.set(name.clone(), value.map_err(failed)?);
                        group.head = Some(head);
                        continue;
                    }
                    for member in &mut group.members {
                        let value = self.on_row(member, Some(rows.span), &expr).await;
                        set(member, value.map_err(failed)?);
                    }
                }
                Ok(Data::Rows(rows))
            }
        }
    }

    async fn sort(&self, mut rows: Rows, keys: &[(Expr, bool)]) -> Result<Rows, Failure> {
        let values = |scope: &Scope<'_>| {
            keys.iter()
                .map(|(key, _)| key.eval(scope))
                .collect::<Result<Vec<_>, _>>()
        };
        let failed = |text| ("run Order By error", text);
        if rows.grouped {
            let mut sorted = Vec::with_capacity(rows.groups.len());
            for (index, group) in rows.groups.into_iter().enumerate() {
                breathe(index).await;
                let values = self.on_group(&group, rows.span, values).await;
                sorted.push((values.map_err(failed)?, group));
            }
            sorted.sort_by(|a, b| compare(keys, &a.0, &b.0));
            rows.groups = sorted.into_iter().map(|(_, group)| group).collect();
            return Ok(rows);
        }
        for group in &mut rows.groups {
            let all = group.clone();
            let mut sorted = Vec::with_capacity(all.members.len());
            for (index, member) in std::mem::take(&mut group.members).into_iter().enumerate() {
                breathe(index).await;
                let values = self.on_member(&member, &all, rows.span, values).await;
                sorted.push((values.map_err(failed)?, member));
            }
            sorted.sort_by(|a, b| compare(keys, &a.0, &b.0));
            group.members = sorted.into_iter().map(|(_, member)| member).collect();
        }
        Ok(rows)
    }

    async fn project(
        &self,
        data: Data,
        items: &[Item],
        together: bool,
        limit: Option<usize>,
    ) -> Result<Data, Failure> {
        let options = &self.plan.rule.options;
        let keep = Keep {
            nil: options.send_nil,
            meta: options.send_meta,
        };
        let row = |scope: &Scope<'_>| project(items, keep, scope);
        let failed = |text| ("run Select error", text);
        let limit = limit.unwrap_or(usize::MAX);
        match data {
            Data::Row(member) => {
                let row = self.on_row(&member, None, row).await.map_err(failed)?;
                Ok(Data::Row(projected(row, &member)))
            }
            Data::Rows(mut rows) if rows.grouped || together => {
                rows.groups.truncate(limit);
                for (index, group) in rows.groups.iter_mut().enumerate() {
                    breathe(index).await;
                    let row = self.on_group(group, rows.span, row).await;
                    group.head = Some(row.map_err(failed)?);
                }
                rows.grouped = true;
                Ok(Data::Rows(rows))
            }
            Data::Rows(mut rows) => {
                for group in &mut rows.groups {
                    group.members.truncate(limit);
                    for (index, member) in group.members.iter_mut().enumerate() {
                        breathe(index).await;
                        let row = self.on_row(member, Some(rows.span), row).await;
                        *member = projected(row.map_err(failed)?, member);
                    }
                }
                Ok(Data::Rows(rows))
            }
        }
    }

    /// Evaluates something about a row; whenever a plugin's result is needed, gets it and evaluates again.
    async fn on_row<T>(
        &self,
        member: &Member,
        window: Option<Span>,
        evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
    ) -> Result<T, String> {
        let own = (&member.row, member.meta.as_ref());
        self.until_done(own, window, None, evaluate).await
    }

    /// The same about one row among those of a window.
    async fn on_member<T>(
        &self,
        member: &Member,
        group: &Group,
        span: Span,
        evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
    ) -> Result<T, String> {
        let own = (&member.row, member.meta.as_ref());
        let group = Some(&group.members[..]);
        self.until_done(own, Some(span), group, evaluate).await
    }

    /// The same about a group.
    async fn on_group<T>(
        &self,
        group: &Group,
        span: Span,
        evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
    ) -> Result<T, String> {
        let meta = group.members.first().and_then(|first| first.meta.as_ref());
        let members = Some(&group.members[..]);
        self.until_done((group.row(), meta), Some(span), members, evaluate)
            .await
    }

    async fn until_done<T>(
        &self,
        (row, meta): (&Row, Option<&plugyard_symbol::JsonText>),
        window: Option<Span>,
        members: Option<&[Arc<Member>]>,
        evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
    ) -> Result<T, String> {
        let count = self.plan.calls.len();
        let mut slots: Vec<Slot> = vec![None; count];
        let mut member_slots: Vec<Vec<Slot>> = Vec::new();
        loop {
            let stop = {
                let group = members.map(|members| GroupScope {
                    members,
                    slots: &member_slots,
                });
                let scope = Scope {
                    row,
                    meta,
                    now: self.now,
                    rule_id: &self.plan.rule.id,
                    slots: &slots,
                    window,
                    group: group.as_ref(),
                };
                match evaluate(&scope) {
                    Ok(value) => return Ok(value),
                    Err(stop) => stop,
                }
            };
            match stop {
                Stop::Error(text) => return Err(text),
                Stop::Call(slot, arguments) => {
                    slots[slot] = Some(call(self.plan, slot, &arguments).await?);
                }
                Stop::Members(aggregate) => {
                    let members = members.unwrap_or_default();
                    member_slots.resize_with(members.len(), || vec![None; count]);
                    for (member, slots) in members.iter().zip(&mut member_slots) {
                        loop {
                            let scope = Scope {
                                row: &member.row,
                                meta: member.meta.as_ref(),
                                now: self.now,
                                rule_id: &self.plan.rule.id,
                                slots,
                                window,
                                group: None,
                            };
                            let (slot, arguments) = match aggregate.values(&scope) {
                                Ok(_) => break,
                                Err(Stop::Call(slot, arguments)) => (slot, arguments),
                                Err(Stop::Error(text)) => return Err(text),
                                Err(Stop::Members(_)) => {
                                    return Err(
                                        "an aggregate cannot stand inside another".to_owned()
                                    );
                                }
                            };
                            slots[slot] = Some(call(self.plan, slot, &arguments).await?);
                        }
                    }
                }
            }
        }
    }
}

fn projected(row: Row, of: &Member) -> Arc<Member> {
    Arc::new(Member {
        // Values may still be part of the message they came in.
        bytes: of.bytes.max(row_bytes(&row)),
        row,
        meta: of.meta.clone(),
    })
}

fn compare(keys: &[(Expr, bool)], left: &[Value], right: &[Value]) -> std::cmp::Ordering {
    keys.iter()
        .zip(left.iter().zip(right))
        .map(|((_, descending), (left, right))| {
            let ordering = order(left, right);
            if *descending {
                ordering.reverse()
            } else {
                ordering
            }
        })
        .find(|ordering| ordering.is_ne())
        .unwrap_or(std::cmp::Ordering::Equal)
}
