//! What becomes of one row: filter and projection, with the calls of plugins' functions that they need.

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesOrdered, FuturesUnordered, StreamExt as _};
use plugyard_symbol::{Row, Tuple, Value};

use super::inbox::Arrival;
use super::schema::conform;
use crate::eval::project::{Keep, project};
use crate::eval::{Scope, Slot, Stop, keeps};
use crate::plan::Plan;

/// What became of a row.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was an error that the source reported.
    SourceFailed(String),
    /// It is not what the stream declares, with the reason.
    Rejected(String),
    /// The filter did not let it pass.
    Filtered,
    /// The filter failed, with the reason.
    FilterFailed(String),
    /// It goes on as it came.
    PassedThrough,
    /// It goes on as this.
    Row(Row),
    /// The projection failed, with the reason.
    Failed(String),
}

/// Takes a row through filter and projection. `slots` must be empty, one for each call.
pub(super) async fn evaluate(
    plan: &Plan,
    arrival: &Arrival,
    now: i64,
    slots: &mut [Slot],
) -> Outcome {
    let tuple = match arrival {
        Arrival::Tuple(tuple) => tuple,
        Arrival::Error(text) => return Outcome::SourceFailed(text.clone()),
    };
    let options = &plan.rule.options;
    let stream = &plan.stream;
    let strict = stream.options.strict_validation && !stream.columns.is_empty();
    let row = if strict {
        match conform(&stream.columns, &tuple.body.row()) {
            Ok(row) => Cow::Owned(row),
            Err(text) => return Outcome::Rejected(text),
        }
    } else {
        columns(plan, tuple)
    };
    let mut evaluation = Evaluation {
        plan,
        row: &row,
        tuple,
        now,
        slots,
    };
    if let Some(filter) = &plan.select.filter {
        match evaluation.until_done(|scope| keeps(filter, scope)).await {
            Ok(true) => {}
            Ok(false) => return Outcome::Filtered,
            Err(text) => return Outcome::FilterFailed(text),
        }
    }
    if plan.select.passes_through() && !options.send_meta {
        return if strict {
            Outcome::Row(row.into_owned())
        } else {
            Outcome::PassedThrough
        };
    }
    let keep = Keep {
        nil: options.send_nil,
        meta: options.send_meta,
    };
    let items = &plan.select.items;
    match evaluation
        .until_done(|scope| project(items, keep, scope))
        .await
    {
        Ok(row) => Outcome::Row(row),
        Err(text) => Outcome::Failed(text),
    }
}

struct Evaluation<'a> {
    plan: &'a Plan,
    row: &'a Row,
    tuple: &'a Tuple,
    now: i64,
    slots: &'a mut [Slot],
}

impl Evaluation<'_> {
    /// Evaluates; whenever a plugin's result is needed, gets it and evaluates again.
    async fn until_done<T>(
        &mut self,
        evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
    ) -> Result<T, String> {
        loop {
            let scope = Scope {
                row: self.row,
                meta: self.tuple.meta.as_ref(),
                at: self.tuple.received_at,
                now: self.now,
                rule_id: &self.plan.rule.id,
                slots: self.slots,
                window: None,
                group: None,
            };
            let (slot, arguments) = match evaluate(&scope) {
                Ok(value) => return Ok(value),
                Err(Stop::Error(text)) => return Err(text),
                Err(Stop::Call(slot, arguments)) => (slot, arguments),
                Err(Stop::Members(_)) => return Err("an aggregate has no rows here".to_owned()),
            };
            self.slots[slot] = Some(call(self.plan, slot, &arguments).await?);
        }
    }
}

/// Calls a plugin's function.
pub(super) async fn call(
    plan: &Plan,
    slot: usize,
    arguments: &[Value],
) -> Result<Option<Value>, String> {
    let bound = &plan.calls[slot];
    let result = bound.function.call(arguments).await;
    result.map_err(|error| format!("call func {} error: {}", bound.name, error.text))
}

/// The columns the statement looks at, and no more.
fn columns<'a>(plan: &Plan, tuple: &'a Tuple) -> Cow<'a, Row> {
    let select = &plan.select;
    let all = select.needs_all() && (!select.passes_through() || plan.rule.options.send_meta);
    if all {
        tuple.body.row()
    } else if select.columns.is_empty() {
        Cow::Owned(Row::new())
    } else {
        Cow::Owned(tuple.body.columns(&select.columns))
    }
}

/// Rows on their way at the same time.
pub(super) enum Rows {
    /// They come out as they went in.
    Ordered(FuturesOrdered<BoxFuture<'static, Done>>),
    /// They come out as they are done.
    Unordered(FuturesUnordered<BoxFuture<'static, Done>>),
}

/// A row and what became of it.
type Done = (Arrival, Outcome);

impl Rows {
    pub(super) fn new(ordered: bool) -> Self {
        if ordered {
            Self::Ordered(FuturesOrdered::new())
        } else {
            Self::Unordered(FuturesUnordered::new())
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ordered(rows) => rows.len(),
            Self::Unordered(rows) => rows.len(),
        }
    }

    pub(super) fn push(&mut self, plan: Arc<Plan>, arrival: Arrival, now: i64) {
        let row = async move {
            let mut slots = vec![None; plan.calls.len()];
            let outcome = evaluate(&plan, &arrival, now, &mut slots).await;
            (arrival, outcome)
        }
        .boxed();
        match self {
            Self::Ordered(rows) => rows.push_back(row),
            Self::Unordered(rows) => rows.push(row),
        }
    }

    /// The next row that is done; `None` when there are no rows.
    pub(super) async fn next(&mut self) -> Option<Done> {
        match self {
            Self::Ordered(rows) => rows.next().await,
            Self::Unordered(rows) => rows.next().await,
        }
    }

    /// The next row, if it is done already.
    pub(super) fn next_if_done(&mut self) -> Option<Done> {
        self.next().now_or_never().flatten()
    }
}
