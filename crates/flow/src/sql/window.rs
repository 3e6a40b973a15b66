//! The windows of GROUP BY: `TUMBLINGWINDOW(unit, length)` and its kin, as eKuiper writes them.

use std::fmt;

use sqlparser::ast::{self, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::SqlError;

/// Longest time of a window, in milliseconds: 100 years.
const MAX_TIME: i64 = 100 * 366 * 24 * 3600 * 1000;
/// Most rows of a count window: as many as a window holds.
pub(crate) const MAX_ROWS: usize = 1_000_000;

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millisecond,
    Second,
    Minute,
    Hour,
    /// A day of the local calendar where windows are aligned, 24 hours elsewhere.
    Day,
}

impl Unit {
    /// Looks `ms`, `ss`, `mi`, `hh`, `dd` up, whatever their case.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "ms" => Self::Millisecond,
            "ss" => Self::Second,
            "mi" => Self::Minute,
            "hh" => Self::Hour,
            "dd" => Self::Day,
            _ => return None,
        })
    }

    /// How many milliseconds.
    pub(crate) const fn milliseconds(self) -> i64 {
        match self {
            Self::Millisecond => 1,
            Self::Second => 1000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }
}

/// A window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// One after the other.
    Tumbling { unit: Unit, length: i64 },
    /// One every `hop`, each over `length`.
    Hopping { unit: Unit, length: i64, hop: i64 },
    /// One for each row, over `length` before it and `delay` after it.
    Sliding { unit: Unit, length: i64, delay: i64 },
    /// Rows with less than `timeout` between them, for about `length` at most.
    Session {
        unit: Unit,
        length: i64,
        timeout: i64,
    },
    /// The last `length` rows, every `interval` rows.
    Count { length: usize, interval: usize },
    /// Between rows that conditions are true for; with one condition the row that ends one begins the next.
    State { single: bool },
}

impl Window {
    /// A window from its name and numbers; those after the first may be missing.
    ///
    /// # Errors
    /// In words, when the numbers are not possible.
    pub(crate) fn new(name: &str, unit: Option<Unit>, numbers: &[i64]) -> Result<Self, String> {
        let lower = name.to_ascii_lowercase();
        if let Some(wrong) = numbers.iter().find(|number| **number < 0) {
            return Err(format!("{name} needs numbers above 0, got {wrong}"));
        }
        let [length, rest @ ..] = numbers else {
            return Err(format!("{name} needs a length"));
        };
        if *length == 0 {
            return Err(format!("{name} needs a length above 0"));
        }
        if lower == "countwindow" {
            return Self::count(name, unit, *length, rest);
        }
        let unit = unit.ok_or_else(|| format!("{name} needs a unit: ms, ss, mi, hh or dd"))?;
        for number in numbers {
            if number.saturating_mul(unit.milliseconds()) > MAX_TIME {
                return Err(format!("{name} is longer than 100 years"));
            }
        }
        let length = *length;
        match (lower.as_str(), rest) {
            ("tumblingwindow", []) => Ok(Self::Tumbling { unit, length }),
            ("hoppingwindow", [hop]) if *hop > 0 => Ok(Self::Hopping {
                unit,
                length,
                hop: *hop,
            }),
            ("slidingwindow", []) => Ok(Self::Sliding {
                unit,
                length,
                delay: 0,
            }),
            ("slidingwindow", [delay]) => Ok(Self::Sliding {
                unit,
                length,
                delay: *delay,
            }),
            ("sessionwindow", [timeout]) if *timeout > 0 => Ok(Self::Session {
                unit,
                length,
                timeout: *timeout,
            }),
            _ => Err(format!("{name} is written {}", form(&lower))),
        }
    }

    fn count(name: &str, unit: Option<Unit>, length: i64, rest: &[i64]) -> Result<Self, String> {
        let rows = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        let length = rows(length);
        let interval = match rest {
            _ if unit.is_some() => {
                return Err(format!("{name} is written {}", form("countwindow")));
            }
            [] => length,
            [interval] if *interval > 0 => rows(*interval),
            _ => return Err(format!("{name} is written {}", form("countwindow"))),
        };
        if interval > length {
            return Err(format!(
                "the second parameter of {name} ({interval}) must not be larger than the first ({length})"
            ));
        }
        if length > MAX_ROWS {
            return Err(format!(
                "{name} holds {MAX_ROWS} rows at most, not {length}"
            ));
        }
        Ok(Self::Count { length, interval })
    }

    /// Whether WHERE applies to what a window holds rather than to what goes into it: there rows count
    /// also when they are left out afterwards.
    pub(crate) const fn depends_on_rows(&self) -> bool {
        matches!(
            self,
            Self::Sliding { .. } | Self::Count { .. } | Self::State { .. }
        )
    }
}

/// How a window is written, for errors.
fn form(name: &str) -> &'static str {
    match name {
        "tumblingwindow" => "TUMBLINGWINDOW(unit, length)",
        "hoppingwindow" => "HOPPINGWINDOW(unit, length, hop)",
        "slidingwindow" => "SLIDINGWINDOW(unit, length[, delay])",
        "sessionwindow" => "SESSIONWINDOW(unit, length, timeout)",
        "statewindow" => "STATEWINDOW(begin[, emit])",
        _ => "COUNTWINDOW(count[, interval])",
    }
}

/// The names of windows.
const NAMES: &[&str] = &[
    "countwindow",
    "hoppingwindow",
    "sessionwindow",
    "slidingwindow",
    "statewindow",
    "tumblingwindow",
];

/// Whether it is a window that rules may use.
pub(crate) fn is_window(name: &str) -> bool {
    NAMES.iter().any(|it| it.eq_ignore_ascii_case(name))
}

/// A window in GROUP BY.
pub(super) struct Found<'a> {
    pub(super) window: Window,
    /// Its FILTER.
    pub(super) filter: Option<&'a Ast>,
    /// Of a state window: when it begins and, if that is said, when it ends.
    pub(super) conditions: Vec<&'a Ast>,
    /// Of a state window: PARTITION BY.
    pub(super) partition: &'a [Ast],
}

/// The window that an expression of GROUP BY is, if it is one.
pub(super) fn read(expr: &Ast) -> Result<Option<Found<'_>>, SqlError> {
    let Ast::Function(function) = expr else {
        return Ok(None);
    };
    let name = function.name.to_string();
    if !is_window(&name) {
        return Ok(None);
    }
    let filter = function.filter.as_deref();
    if name.eq_ignore_ascii_case("statewindow") {
        let conditions = conditions(function)
            .ok_or_else(|| SqlError::new(format!("{name} is written {}", form("statewindow"))))?;
        return Ok(Some(Found {
            window: Window::State {
                single: conditions.len() == 1,
            },
            filter,
            conditions,
            partition: partition(&name, function)?,
        }));
    }
    if function.over.is_some() {
        return Err(SqlError::new(format!(
            "Expected: OVER (WHEN …) after {name}(…)"
        )));
    }
    let window = window(&name, function).map_err(SqlError::new)?;
    Ok(Some(Found {
        window,
        filter,
        conditions: Vec::new(),
        partition: &[],
    }))
}

/// The conditions of a state window: one or two.
fn conditions(function: &ast::Function) -> Option<Vec<&Ast>> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let plain = list.clauses.is_empty() && list.duplicate_treatment.is_none();
    let conditions: Option<Vec<_>> = list
        .args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(condition)) => Some(condition),
            _ => None,
        })
        .collect();
    conditions.filter(|list| plain && (1..=2).contains(&list.len()))
}

/// What stands in `OVER (PARTITION BY …)`.
fn partition<'a>(name: &str, function: &'a ast::Function) -> Result<&'a [Ast], SqlError> {
    match &function.over {
        None => Ok(&[]),
        Some(ast::WindowType::WindowSpec(spec))
            if spec.window_name.is_none()
                && spec.order_by.is_empty()
                && spec.window_frame.is_none()
                && !spec.partition_by.is_empty() =>
        {
            Ok(&spec.partition_by)
        }
        Some(_) => Err(SqlError::new(format!(
            "Expected: OVER (PARTITION BY …) after {name}(…)"
        ))),
    }
}

fn window(name: &str, function: &ast::Function) -> Result<Window, String> {
    let FunctionArguments::List(list) = &function.args else {
        return Err(format!("{name} is written {}", form(&name.to_lowercase())));
    };
    let mut unit = None;
    let mut numbers = Vec::new();
    for (index, argument) in list.args.iter().enumerate() {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else {
            return Err(format!("{name} is written {}", form(&name.to_lowercase())));
        };
        match argument {
            Ast::Identifier(ident) if index == 0 => {
                let found = Unit::find(&ident.value).ok_or_else(|| {
                    format!(
                        "unknown unit {} in {name}; ms, ss, mi, hh and dd are",
                        ident.value
                    )
                })?;
                unit = Some(found);
            }
            other => numbers.push(number(other).ok_or_else(|| {
                format!("{name} needs whole numbers that stand in the statement, got {other}")
            })?),
        }
    }
    Window::new(name, unit, &numbers)
}

fn number(expr: &Ast) -> Option<i64> {
    match expr {
        Ast::Value(value) => match &value.value {
            ast::Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        Ast::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => number(expr)?.checked_neg(),
        _ => None,
    }
}

/// Takes `OVER (WHEN …)` out of a statement, which is eKuiper's alone; what stands in its brackets.
pub(super) fn take_trigger(
    tokens: &mut Vec<TokenWithSpan>,
) -> Result<Option<Vec<TokenWithSpan>>, SqlError> {
    let is = |token: &TokenWithSpan, wanted| matches!(&token.token, Token::Word(word) if word.keyword == wanted);
    let Some(over) = tokens.windows(3).position(|three| {
        is(&three[0], Keyword::OVER)
            && three[1].token == Token::LParen
            && is(&three[2], Keyword::WHEN)
    }) else {
        return Ok(None);
    };
    if !follows_sliding_window(&tokens[..over]) {
        return Err(SqlError::at(
            "OVER (WHEN …) belongs after SLIDINGWINDOW(…)",
            tokens[over].span.start,
        ));
    }
    let mut depth = 0_usize;
    let end = tokens[over + 1..].iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let Some(end) = end.map(|end| over + 1 + end) else {
        return Err(SqlError::at(
            "Expected: ) after OVER (WHEN …",
            tokens[over].span.start,
        ));
    };
    let mut cut: Vec<_> = tokens.drain(over..=end).collect();
    cut.pop();
    cut.drain(..3);
    Ok(Some(cut))
}

/// Whether what goes before ends with `SLIDINGWINDOW(…)`, with its FILTER or not.
fn follows_sliding_window(before: &[TokenWithSpan]) -> bool {
    let Some(name) = before_brackets(before) else {
        return false;
    };
    match &before[name].token {
        Token::Word(word) if word.keyword == Keyword::FILTER => {
            follows_sliding_window(&before[..name])
        }
        Token::Word(word) => word.value.eq_ignore_ascii_case("slidingwindow"),
        _ => false,
    }
}

/// Where the word before the pair of brackets at the end is.
fn before_brackets(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().rev() {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 1 => return index.checked_sub(1),
            Token::LParen => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tumbling { .. } => "TUMBLINGWINDOW",
            Self::Hopping { .. } => "HOPPINGWINDOW",
            Self::Sliding { .. } => "SLIDINGWINDOW",
            Self::Session { .. } => "SESSIONWINDOW",
            Self::Count { .. } => "COUNTWINDOW",
            Self::State { .. } => "STATEWINDOW",
        })
    }
}
