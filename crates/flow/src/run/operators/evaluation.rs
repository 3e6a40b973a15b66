//! What operators hand on, and what expressions say about it: one row, the rows of a window, groups of them.
//!
//! Whenever an expression needs the result of a plugin's function, it is called and the expression evaluated again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use plugyard_symbol::{JsonText, Row, Value};

use super::super::queue::{row_bytes, value_bytes};
use super::super::row::call;
use super::super::window::Fired;
use crate::eval::project::{Keep, project};
use crate::eval::{GroupScope, Member, Scope, Slot, Span, Stop, order, write_key};
use crate::plan::Plan;
use crate::sql::expr::Expr;
use crate::sql::select::Item;

/// What operators hand on.
#[derive(Clone)]
pub(super) enum Data {
    /// A row.
    Row(Arc<Member>),
    /// The rows of a window.
    Rows(Rows),
}

#[derive(Clone)]
pub(super) struct Rows {
    /// Without GROUP BY there is one.
    pub(super) groups: Vec<Group>,
    /// Whether each group is one row to whatever comes after.
    pub(super) grouped: bool,
    pub(super) span: Span,
}

#[derive(Clone)]
pub(super) struct Group {
    pub(super) members: Vec<Arc<Member>>,
    /// What it is as one row, where that is more than its first.
    pub(super) head: Option<Row>,
}

/// Why something goes no further: the place and the reason.
pub(super) type Failure = (&'static str, String);

static NO_COLUMNS: Row = Row::new();

/// Rows after which others have their turn.
const STRETCH: usize = 1024;

/// Lets others have their turn between many rows.
pub(super) async fn breathe(index: usize) {
    if index % STRETCH == STRETCH - 1 {
        tokio::task::yield_now().await;
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
    pub(super) fn rows(&self) -> Vec<&Row> {
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
    pub(super) fn row(&self) -> &Row {
        self.head.as_ref().unwrap_or_else(|| {
            let first = self.members.first();
            first.map_or(&NO_COLUMNS, |member| &member.row)
        })
    }
}

/// Evaluates expressions at one moment.
pub(super) struct Evaluation<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: i64,
}

impl Evaluation<'_> {
    pub(super) async fn filter(
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

    pub(super) async fn having(
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

    /// What makes a row belong with others: the values of these expressions.
    pub(super) async fn key(
        &self,
        row: &Member,
        window: Option<Span>,
        keys: &[Expr],
    ) -> Result<String, String> {
        self.on_row(row, window, |scope| {
            let mut text = String::new();
            for key in keys {
                write_key(&key.eval(scope)?, &mut text);
            }
            Ok(text)
        })
        .await
    }

    /// Parts rows by what the keys are; groups are in the order of their first rows.
    pub(super) async fn group(&self, rows: Rows, keys: &[Expr]) -> Result<Rows, Failure> {
        let mut groups: Vec<Group> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let members = rows.groups.into_iter().flat_map(|group| group.members);
        for (index, member) in members.enumerate() {
            breathe(index).await;
            let key = self.key(&member, Some(rows.span), keys).await;
            let key = key.map_err(|text| ("run Group By error", text))?;
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

    pub(super) async fn column(
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

    pub(super) async fn sort(
        &self,
        mut rows: Rows,
        keys: &[(Expr, bool)],
    ) -> Result<Rows, Failure> {
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

    pub(super) async fn project(
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
    pub(super) async fn on_row<T>(
        &self,
        member: &Member,
        window: Option<Span>,
        evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
    ) -> Result<T, String> {
        let own = (&member.row, member.meta.as_ref(), member.at);
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
        let own = (&member.row, member.meta.as_ref(), member.at);
        let group = Some(&group.members[..]);
        self.until_done(own, Some(span), group, evaluate).await
    }

    /// The same about a group.
    pub(super) async fn on_group<T>(
        &self,
        group: &Group,
        span: Span,
        evaluate: impl Fn(&Scope<'_>) -> Result<T, Stop>,
    ) -> Result<T, String> {
        let first = group.members.first();
        let meta = first.and_then(|first| first.meta.as_ref());
        let at = first.map_or(span.start, |first| first.at);
        let members = Some(&group.members[..]);
        self.until_done((group.row(), meta, at), Some(span), members, evaluate)
            .await
    }

    async fn until_done<T>(
        &self,
        (row, meta, at): (&Row, Option<&JsonText>, i64),
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
                    at,
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
                                at: member.at,
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
        at: of.at,
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
