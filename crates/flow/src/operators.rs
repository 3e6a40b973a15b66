//! A rule as operators that hand rows to one another: statements with windows, and graphs.
//!
//! Both become the same list, so that one thing runs both. A statement without a window does not come here:
//! it works on one row at a time and has a shorter way (`run::pipeline`).

use std::sync::Arc;

use crate::sql::SqlError;
use crate::sql::expr::{
    AggregateCall, AggregateFunction, Expr, Operator as Sign, Place, PluginCall,
};
use crate::sql::select::{Item, Select, StateConditions, Windowed};
use crate::sql::window::Window;

/// Where something goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The operator with this index.
    Operator(usize),
    /// The sink with this index.
    Sink(usize),
}

/// What an operator does.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Lets rows pass, or of groups those for which it is true.
    Filter(Expr),
    /// Lets groups pass; rows that are not in groups all or none.
    Having(Expr),
    /// Puts rows into the order of their own times.
    Watermark,
    /// Gathers rows; a sliding window is triggered by those for which the condition is true.
    Window {
        window: Window,
        trigger: Option<Expr>,
        /// Of a state window.
        state: Option<Box<StateConditions>>,
    },
    /// Parts the rows of a window.
    Group(Vec<Expr>),
    /// Adds a column.
    Column { name: Arc<str>, expr: Expr },
    /// Adds a column for the rows of a window, or of each group, together.
    Aggregate { name: Arc<str>, expr: Expr },
    /// Sorts; a key may go down.
    Order(Vec<(Expr, bool)>),
    /// Makes new rows.
    Project {
        items: Vec<Item>,
        /// Whether all rows of a window become one.
        together: bool,
        limit: Option<usize>,
    },
    /// Sends each row to the outputs whose condition is true.
    Switch { cases: Vec<Expr>, first_only: bool },
}

/// An operator.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    /// Its name in topology and metrics.
    pub(crate) name: String,
    pub(crate) work: Work,
    /// Where it hands on; a switch has an output for each case, others have one.
    pub(crate) outputs: Vec<Vec<Target>>,
}

/// The operators of a rule. No way leads back.
#[derive(Debug, Clone)]
pub(crate) struct Operators {
    pub(crate) list: Vec<Operator>,
    /// Where the source hands on.
    pub(crate) entry: Vec<Target>,
    /// The columns that are looked at; `None` for all.
    pub(crate) columns: Option<Vec<Arc<str>>>,
    /// The plugin calls, by slot.
    pub(crate) calls: Vec<PluginCall>,
}

impl Operators {
    /// Those of a statement, with so many sinks behind it: one after the other, named as eKuiper names them.
    pub(crate) fn of(select: &Select, event_time: bool, sinks: usize) -> Self {
        let mut chain = Chain::default();
        if event_time {
            chain.add("watermark", Work::Watermark, &[]);
        }
        match select.windowed.as_deref() {
            Some(windowed) => chain.add_windowed(select, windowed),
            None => {
                if let Some(filter) = &select.filter {
                    chain.add("filter", Work::Filter(filter.clone()), &[Place::Filter]);
                }
            }
        }
        let limit = select.windowed.as_deref().and_then(|it| it.limit);
        let project = Work::Project {
            items: select.items.clone(),
            together: false,
            limit,
        };
        chain.add("project", project, &[Place::Project]);
        let mut list = chain.list;
        let end = list.len() - 1;
        for (index, operator) in list.iter_mut().enumerate() {
            operator.outputs = vec![if index < end {
                vec![Target::Operator(index + 1)]
            } else {
                (0..sinks).map(Target::Sink).collect()
            }];
        }
        let mut calls = select.calls.clone();
        for call in &mut calls {
            let place = chain.places.iter().find(|(place, _)| *place == call.place);
            call.place = Place::Node(place.map_or(end, |(_, index)| *index));
        }
        Self {
            list,
            entry: vec![Target::Operator(0)],
            columns: (!select.needs_all()).then(|| select.columns.clone()),
            calls,
        }
    }

    /// The name of the operator that a call stands in.
    pub(crate) fn site(&self, call: &PluginCall) -> &str {
        match call.place {
            Place::Node(index) => &self.list[index].name,
            _ => "",
        }
    }

    /// The operator that puts rows into order, by event time: the first.
    pub(crate) fn watermark(&self) -> Option<usize> {
        self.list
            .iter()
            .position(|operator| matches!(operator.work, Work::Watermark))
    }

    /// Puts one of that name before all others.
    pub(crate) fn order_first(&mut self, name: String) {
        for target in self
            .list
            .iter_mut()
            .flat_map(|it| it.outputs.iter_mut().flatten())
            .chain(&mut self.entry)
        {
            if let Target::Operator(index) = target {
                *index += 1;
            }
        }
        for call in &mut self.calls {
            if let Place::Node(index) = &mut call.place {
                *index += 1;
            }
        }
        let entry = std::mem::replace(&mut self.entry, vec![Target::Operator(0)]);
        let first = Operator {
            name,
            work: Work::Watermark,
            outputs: vec![entry],
        };
        self.list.insert(0, first);
    }

    /// The first that holds rows back: a window or, by event time, the first of all.
    pub(crate) fn keeper(&self) -> Option<usize> {
        self.list
            .iter()
            .position(|operator| matches!(operator.work, Work::Window { .. } | Work::Watermark))
    }

    /// Whether it holds a window.
    pub(crate) fn has_window(&self) -> bool {
        self.list
            .iter()
            .any(|operator| matches!(operator.work, Work::Window { .. }))
    }

    /// Makes aggregates of the calls whose functions are; which they are only their plugins know.
    ///
    /// # Errors
    /// Where one stands where there are no rows to aggregate over (HOST-30).
    pub(crate) fn settle(&mut self, is_aggregate: &[bool]) -> Result<(), SqlError> {
        let calls = &self.calls;
        let mut after_window = vec![false; self.list.len()];
        for index in 0..self.list.len() {
            let operator = &mut self.list[index];
            let is_window = matches!(operator.work, Work::Window { .. });
            let behind = after_window[index] || is_window;
            for target in operator.outputs.iter().flatten() {
                if let Target::Operator(next) = target {
                    after_window[*next] |= behind;
                }
            }
            let settle = |expr: &mut Expr, allowed: bool| {
                settle(expr, is_aggregate, allowed && behind && !is_window).map_err(|slot| {
                    SqlError::new(format!(
                        "aggregate function {} needs a window: an aggregate without a window is refused",
                        calls[slot].name
                    ))
                })
            };
            match &mut operator.work {
                Work::Filter(expr) | Work::Column { expr, .. } => settle(expr, false)?,
                Work::Having(expr) | Work::Aggregate { expr, .. } => settle(expr, true)?,
                Work::Window { trigger, state, .. } => {
                    let state = state.iter_mut().flat_map(|it| it.parts_mut());
                    for expr in trigger.iter_mut().chain(state) {
                        settle(expr, false)?;
                    }
                }
                Work::Group(exprs) | Work::Switch { cases: exprs, .. } => {
                    for expr in exprs {
                        settle(expr, false)?;
                    }
                }
                Work::Order(keys) => {
                    for (expr, _) in keys {
                        settle(expr, true)?;
                    }
                }
                Work::Watermark => {}
                Work::Project {
                    items, together, ..
                } => {
                    for item in items {
                        if let Item::Column { expr, .. } = item {
                            settle(expr, true)?;
                            *together |= expr.has_aggregate();
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Both conditions as one.
fn both(left: Option<&Expr>, right: Option<&Expr>) -> Option<Expr> {
    match (left, right) {
        (Some(left), Some(right)) => Some(Expr::Binary(
            Sign::And,
            Box::new(left.clone()),
            Box::new(right.clone()),
        )),
        (one, other) => one.or(other).cloned(),
    }
}

/// Makes aggregates of calls; the slot of one that cannot be.
fn settle(expr: &mut Expr, is_aggregate: &[bool], allowed: bool) -> Result<(), usize> {
    let slot = match expr {
        Expr::Plugin { slot, .. } if is_aggregate.get(*slot) == Some(&true) => Some(*slot),
        _ => None,
    };
    if slot.is_some_and(|_| !allowed) {
        return slot.map_or(Ok(()), Err);
    }
    let inside = allowed && slot.is_none() && !matches!(expr, Expr::Aggregate(_));
    for part in expr.parts_mut() {
        settle(part, is_aggregate, inside)?;
    }
    if let (Some(slot), Expr::Plugin { arguments, .. }) = (slot, &mut *expr) {
        let arguments = std::mem::take(arguments);
        *expr = Expr::Aggregate(Box::new(AggregateCall {
            function: AggregateFunction::Plugin(slot),
            arguments,
            filter: None,
        }));
    }
    Ok(())
}

/// Operators one after the other.
struct Chain {
    list: Vec<Operator>,
    /// Which operator has what stands in which part of the statement.
    places: Vec<(Place, usize)>,
    /// The number of the next one; the source has 1.
    next: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            places: Vec::new(),
            next: 2,
        }
    }
}

impl Chain {
    fn add(&mut self, what: &str, work: Work, places: &[Place]) {
        self.put(format!("{}_{what}", self.next), work, places);
        self.next += 1;
    }

    /// The window of a statement, and what it does with its rows.
    fn add_windowed(&mut self, select: &Select, windowed: &Windowed) {
        let Windowed {
            window,
            filter,
            trigger,
            state,
            keys,
            having,
            order,
            limit: _,
            needs_rows: _,
        } = windowed;
        let after = window.depends_on_rows();
        if after {
            if let Some(filter) = filter {
                // As in eKuiper it shares the number of the window.
                let name = format!("{}_windowFilter", self.next);
                self.put(name, Work::Filter(filter.clone()), &[Place::Window]);
            }
        } else if let Some(filter) = both(filter.as_ref(), select.filter.as_ref()) {
            let places = [Place::Window, Place::Filter];
            self.add("filter", Work::Filter(filter), &places);
        }
        let trigger = trigger.clone();
        let work = Work::Window {
            window: *window,
            trigger,
            state: state.clone().map(Box::new),
        };
        self.add("window", work, &[Place::Window]);
        if after && let Some(filter) = &select.filter {
            self.add("filter", Work::Filter(filter.clone()), &[Place::Filter]);
        }
        if !keys.is_empty() {
            self.add("aggregate", Work::Group(keys.clone()), &[Place::Group]);
        }
        if let Some(having) = having {
            self.add("having", Work::Having(having.clone()), &[Place::Having]);
        }
        if !order.is_empty() {
            self.add("order", Work::Order(order.clone()), &[Place::Order]);
        }
    }

    fn put(&mut self, name: String, work: Work, places: &[Place]) {
        let index = self.list.len();
        self.places
            .extend(places.iter().map(|place| (*place, index)));
        self.list.push(Operator {
            name,
            work,
            outputs: Vec::new(),
        });
    }
}
