//! The typed expression tree that rules evaluate.

use std::sync::Arc;

use plugyard_symbol::Value;

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
    /// Whether it stands in WHERE.
    pub(crate) in_filter: bool,
}
