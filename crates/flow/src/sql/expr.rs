//! The typed expression tree that rules evaluate.

use std::sync::Arc;

use plugyard_symbol::Value;

use crate::eval::aggregate::Aggregate;
use crate::eval::functions::Builtin;

/// An operator between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

impl Operator {
    /// How it is written.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::And => "AND",
            Self::Or => "OR",
        }
    }
}

/// An expression.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    /// A constant.
    Literal(Value),
    /// A column of the row; absent is NULL.
    Column(Arc<str>),
    /// `object->member`.
    Member(Box<Expr>, Arc<str>),
    /// `list[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// `NOT x`.
    Not(Box<Expr>),
    /// `-x`.
    Negate(Box<Expr>),
    /// `left operator right`.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `CASE`: with an operand each condition is compared with it.
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    /// `x BETWEEN low AND high`.
    Between {
        value: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    /// `x IN (…)`.
    In {
        value: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    /// `x LIKE pattern`.
    Like {
        value: Box<Expr>,
        pattern: Box<Expr>,
        negated: bool,
    },
    /// `x IS NULL`.
    IsNull { value: Box<Expr>, negated: bool },
    /// `x IS TRUE`, `x IS FALSE`.
    IsTruth {
        value: Box<Expr>,
        truth: bool,
        negated: bool,
    },
    /// `meta(key)`; without a key the whole.
    Meta(Option<Arc<str>>),
    /// A function of ours.
    Builtin(&'static Builtin, Vec<Expr>),
    /// A function of a plugin: its result comes from outside, see [`crate::eval`].
    Plugin { slot: usize, arguments: Vec<Expr> },
    /// The whole row: the `*` of an aggregate.
    Row,
    /// A function of the rows of a group.
    Aggregate(Box<AggregateCall>),
    /// `window_start()` and the like.
    WindowTime(WindowTime),
}

/// A call of a function whose arguments are lists, one value for each row of the group.
#[derive(Debug, Clone)]
pub(crate) struct AggregateCall {
    pub(crate) function: AggregateFunction,
    pub(crate) arguments: Vec<Expr>,
    /// `FILTER (WHERE …)`: which rows take part.
    pub(crate) filter: Option<Expr>,
}

/// Whose aggregate it is.
#[derive(Debug, Clone)]
pub(crate) enum AggregateFunction {
    Builtin(&'static Aggregate),
    /// A plugin's, by slot.
    Plugin(usize),
}

/// A time of the window that a row or group is in, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowTime {
    Start,
    End,
    Trigger,
}

impl WindowTime {
    /// Looks a name up, whatever its case.
    pub(crate) fn find(name: &str) -> Option<Self> {
        [
            ("window_start", Self::Start),
            ("window_end", Self::End),
            ("window_trigger", Self::Trigger),
        ]
        .into_iter()
        .find_map(|(known, time)| known.eq_ignore_ascii_case(name).then_some(time))
    }
}

impl Expr {
    /// How many expressions it is made of, itself included.
    pub(crate) fn parts(&mut self) -> usize {
        1 + self.parts_mut().into_iter().map(Self::parts).sum::<usize>()
    }

    /// How deep it is nested: 1 for one without parts.
    pub(crate) fn depth(&mut self) -> usize {
        let parts = self.parts_mut().into_iter();
        1 + parts.map(Self::depth).max().unwrap_or(0)
    }

    /// The expressions it is made of.
    pub(crate) fn parts_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Literal(_)
            | Self::Column(_)
            | Self::Meta(_)
            | Self::Row
            | Self::WindowTime(_) => Vec::new(),
            Self::Member(value, _)
            | Self::Not(value)
            | Self::Negate(value)
            | Self::IsNull { value, .. }
            | Self::IsTruth { value, .. } => vec![value.as_mut()],
            Self::Index(left, right) | Self::Binary(_, left, right) => {
                vec![left.as_mut(), right.as_mut()]
            }
            Self::Like { value, pattern, .. } => vec![value.as_mut(), pattern.as_mut()],
            Self::Between {
                value, low, high, ..
            } => vec![value.as_mut(), low.as_mut(), high.as_mut()],
            Self::Case {
                operand,
                branches,
                otherwise,
            } => {
                let mut parts: Vec<&mut Self> = Vec::new();
                parts.extend(operand.as_deref_mut());
                for (condition, result) in branches {
                    parts.extend([condition, result]);
                }
                parts.extend(otherwise.as_deref_mut());
                parts
            }
            Self::In { value, list, .. } => {
                let mut parts = vec![value.as_mut()];
                parts.extend(list);
                parts
            }
            Self::Builtin(_, arguments) | Self::Plugin { arguments, .. } => {
                arguments.iter_mut().collect()
            }
            Self::Aggregate(call) => call.arguments.iter_mut().chain(&mut call.filter).collect(),
        }
    }
}

/// A call of a plugin's function in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginCall {
    /// The function, as written.
    pub(crate) name: String,
    /// How many arguments.
    pub(crate) arguments: usize,
    /// Zero-based index among all calls of the statement, inner ones first.
    pub(crate) func_id: u32,
    /// Where it stands.
    pub(crate) place: Place,
}

/// Which part of a statement, or which node of a graph, an expression stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// What is selected.
    Project,
    /// WHERE.
    Filter,
    /// The window's own FILTER or WHEN.
    Window,
    /// GROUP BY.
    Group,
    /// HAVING.
    Having,
    /// ORDER BY.
    Order,
    /// The operator of a graph with this index.
    Node(usize),
}
