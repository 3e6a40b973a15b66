//! From the parser's expressions to ours.

use std::sync::Arc;

use plugyard_symbol::Value;
use sqlparser::ast::{
    self, AccessExpr, BinaryOperator, CastKind, Expr as Ast, FunctionArg, FunctionArgExpr,
    FunctionArguments, Subscript, UnaryOperator,
};

use super::SqlError;
use super::expr::{
    AggregateCall, AggregateFunction, Expr, Operator, Place, PluginCall, WindowTime,
};
use super::window;
use crate::eval::aggregate::{self, Aggregate};
use crate::eval::functions::{self, Builtin};

/// Deepest nesting of an expression; evaluation and cleaning up recurse as deep.
const MAX_DEPTH: usize = 128;
/// Most parts of expressions that names in a statement may stand for, all together.
const MAX_NAMED: usize = 10_000;

/// Which names stand before a column's dot.
pub(crate) struct Scope {
    pub(crate) stream: String,
    pub(crate) alias: Option<String>,
}

/// Whether aggregates are possible where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// There is one row.
    One,
    /// There is a window, but the expression is about one of its rows.
    OneOfWindow,
    /// The rows of a window, or of a group of them.
    Group,
}

/// Translates the expressions of one statement and collects what they look at.
pub(crate) struct Translator {
    scope: Scope,
    pub(crate) columns: Vec<Arc<str>>,
    pub(crate) calls: Vec<PluginCall>,
    /// Whether an aggregate needs whole rows.
    pub(crate) needs_rows: bool,
    /// Names of what is selected, where they stand for it.
    aliases: Vec<(Arc<str>, Expr)>,
    /// Parts that names have stood for.
    named: usize,
    next_func_id: u32,
    unnamed: usize,
    place: Place,
    rows: Rows,
    in_aggregate: bool,
    depth: usize,
}

impl Translator {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            columns: Vec::new(),
            calls: Vec::new(),
            needs_rows: false,
            aliases: Vec::new(),
            named: 0,
            next_func_id: 0,
            unnamed: 0,
            place: Place::Project,
            rows: Rows::One,
            in_aggregate: false,
            depth: 0,
        }
    }

    /// From here on expressions stand in that place.
    pub(crate) fn enter(&mut self, place: Place, rows: Rows) {
        self.place = place;
        self.rows = rows;
        if let Place::Node(_) = place {
            // Each node of a graph counts its calls for itself.
            self.next_func_id = 0;
            self.unnamed = 0;
        }
    }

    /// From here on these names stand for these expressions.
    pub(super) fn know(&mut self, aliases: Vec<(Arc<str>, Expr)>) {
        self.aliases = aliases;
    }

    /// The column an expression without alias becomes: its own name, or the function's, or a numbered one.
    pub(crate) fn name_of(&mut self, expr: &Ast) -> Arc<str> {
        match expr {
            Ast::Identifier(ident) => ident.value.as_str().into(),
            Ast::CompoundIdentifier(parts) => parts.last().map_or("", |part| &part.value).into(),
            Ast::Function(function) => {
                let name = function.name.to_string();
                let own = Aggregate::find(&name).is_some() || WindowTime::find(&name).is_some();
                if own {
                    name.to_lowercase().into()
                } else {
                    name.trim_matches('`').into()
                }
            }
            Ast::Cast { .. } => "cast".into(),
            Ast::Nested(inner) => self.name_of(inner),
            Ast::BinaryOp {
                op: BinaryOperator::Arrow,
                right,
                ..
            } => self.name_of(right),
            _ => {
                self.unnamed += 1;
                format!("kuiper_field_{}", self.unnamed - 1).into()
            }
        }
    }

    /// Refuses a name before a dot that is not the statement's stream.
    pub(super) fn check_qualifier(&self, name: &str) -> Result<(), SqlError> {
        if name == self.scope.stream || Some(name) == self.scope.alias.as_deref() {
            return Ok(());
        }
        Err(SqlError::new(format!(
            "stream {name} is not in FROM; the statement reads {}",
            self.scope.alias.as_ref().unwrap_or(&self.scope.stream)
        )))
    }

    /// Translates one expression.
    pub(crate) fn expr(&mut self, expr: &Ast) -> Result<Expr, SqlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let result = self.expr_inner(expr);
        self.depth -= 1;
        result
    }

    fn boxed(&mut self, expr: &Ast) -> Result<Box<Expr>, SqlError> {
        self.expr(expr).map(Box::new)
    }

    fn expr_inner(&mut self, expr: &Ast) -> Result<Expr, SqlError> {
        match expr {
            Ast::Identifier(ident) => self.column(&ident.value),
            Ast::CompoundIdentifier(parts) => self.compound(parts),
            Ast::Nested(inner) => self.expr(inner),
            Ast::Value(value) => literal(&value.value).map(Expr::Literal),
            Ast::UnaryOp { op, expr } => self.unary(*op, expr),
            Ast::BinaryOp { left, op, right } => self.binary(left, op, right),
            Ast::CompoundFieldAccess { root, access_chain } => {
                let root = self.expr(root)?;
                self.access(root, access_chain)
            }
            Ast::IsNull(value) => self.is_null(value, false),
            Ast::IsNotNull(value) => self.is_null(value, true),
            Ast::IsTrue(value) => self.is_truth(value, true, false),
            Ast::IsNotTrue(value) => self.is_truth(value, true, true),
            Ast::IsFalse(value) => self.is_truth(value, false, false),
            Ast::IsNotFalse(value) => self.is_truth(value, false, true),
            Ast::InList {
                expr,
                list,
                negated,
            } => Ok(Expr::In {
                value: self.boxed(expr)?,
                list: list
                    .iter()
                    .map(|expr| self.expr(expr))
                    .collect::<Result<_, _>>()?,
                negated: *negated,
            }),
            Ast::Between {
                expr,
                negated,
                low,
                high,
            } => Ok(Expr::Between {
                value: self.boxed(expr)?,
                low: self.boxed(low)?,
                high: self.boxed(high)?,
                negated: *negated,
            }),
            Ast::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => Ok(Expr::Like {
                value: self.boxed(expr)?,
                pattern: self.boxed(pattern)?,
                negated: *negated,
            }),
            Ast::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(operand.as_deref(), conditions, else_result.as_deref()),
            Ast::Cast {
                kind: CastKind::Cast,
                expr,
                data_type,
                ..
            } => {
                let target = data_type.to_string().to_lowercase();
                let arguments = vec![self.expr(expr)?, Expr::Literal(target.as_str().into())];
                self.call("cast", arguments)
            }
            Ast::Function(function) => self.function(function),
            other => Err(unsupported(format!("the expression `{}`", clip(other)))),
        }
    }

    fn unary(&mut self, op: UnaryOperator, operand: &Ast) -> Result<Expr, SqlError> {
        match op {
            UnaryOperator::Not => self.boxed(operand).map(Expr::Not),
            UnaryOperator::Minus => self.boxed(operand).map(Expr::Negate),
            UnaryOperator::Plus => self.expr(operand),
            other => Err(unsupported(format!("operator {other}"))),
        }
    }

    fn binary(&mut self, left: &Ast, op: &BinaryOperator, right: &Ast) -> Result<Expr, SqlError> {
        if *op == BinaryOperator::Arrow {
            let object = self.boxed(left)?;
            return self.member(object, right);
        }
        let operator = operator(op)?;
        let left = self.boxed(left)?;
        Ok(Expr::Binary(operator, left, self.boxed(right)?))
    }

    fn case(
        &mut self,
        operand: Option<&Ast>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&Ast>,
    ) -> Result<Expr, SqlError> {
        let operand = operand.map(|operand| self.boxed(operand)).transpose()?;
        let mut branches = Vec::with_capacity(conditions.len());
        for when in conditions {
            branches.push((self.expr(&when.condition)?, self.expr(&when.result)?));
        }
        Ok(Expr::Case {
            operand,
            branches,
            otherwise: otherwise.map(|result| self.boxed(result)).transpose()?,
        })
    }

    fn is_null(&mut self, value: &Ast, negated: bool) -> Result<Expr, SqlError> {
        let value = self.boxed(value)?;
        Ok(Expr::IsNull { value, negated })
    }

    fn is_truth(&mut self, value: &Ast, truth: bool, negated: bool) -> Result<Expr, SqlError> {
        let value = self.boxed(value)?;
        Ok(Expr::IsTruth {
            value,
            truth,
            negated,
        })
    }

    /// What a name stands for: something selected, or a column.
    fn column(&mut self, name: &str) -> Result<Expr, SqlError> {
        let meant = self.aliases.iter_mut().find(|(alias, _)| &**alias == name);
        let Some((_, meant)) = meant else {
            return Ok(self.stream_column(name));
        };
        if self.depth + meant.depth() > MAX_DEPTH {
            return Err(too_deep());
        }
        self.named += meant.parts();
        if self.named > MAX_NAMED {
            return Err(SqlError::new(
                "the statement uses names of long expressions too often",
            ));
        }
        Ok(meant.clone())
    }

    fn stream_column(&mut self, name: &str) -> Expr {
        match self.columns.iter().find(|column| &***column == name) {
            Some(column) => Expr::Column(column.clone()),
            None => {
                let name: Arc<str> = name.into();
                self.columns.push(name.clone());
                Expr::Column(name)
            }
        }
    }

    /// `stream.column`.
    fn compound(&mut self, parts: &[ast::Ident]) -> Result<Expr, SqlError> {
        let [qualifier, column] = parts else {
            return Err(SqlError::new(
                "Expected: stream.column; members of an object are written column->member",
            ));
        };
        self.check_qualifier(&qualifier.value)?;
        Ok(self.stream_column(&column.value))
    }

    /// The right side of `->`.
    fn member(&mut self, object: Box<Expr>, right: &Ast) -> Result<Expr, SqlError> {
        match right {
            Ast::Identifier(ident) => Ok(Expr::Member(object, ident.value.as_str().into())),
            Ast::Value(value) => match literal(&value.value)? {
                Value::Text(name) => Ok(Expr::Member(object, name)),
                _ => Err(SqlError::new("Expected: the name of a member after ->")),
            },
            Ast::CompoundFieldAccess { root, access_chain } => {
                let member = self.member(object, root)?;
                self.access(member, access_chain)
            }
            other => Err(SqlError::new(format!(
                "Expected: the name of a member after ->, found: {}",
                clip(other)
            ))),
        }
    }

    fn access(&mut self, root: Expr, chain: &[AccessExpr]) -> Result<Expr, SqlError> {
        if chain.len() > MAX_DEPTH {
            return Err(SqlError::new("too many [ ] in a row"));
        }
        let mut value = root;
        for access in chain {
            value = match access {
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    Expr::Index(Box::new(value), self.boxed(index)?)
                }
                AccessExpr::Subscript(Subscript::Slice { .. }) => {
                    return Err(unsupported("a slice [from:to]".to_owned()));
                }
                AccessExpr::Dot(member) => {
                    return Err(SqlError::new(format!(
                        "Expected: -> before the member `{}`",
                        clip(member)
                    )));
                }
            };
        }
        Ok(value)
    }

    fn function(&mut self, function: &ast::Function) -> Result<Expr, SqlError> {
        let name = match &function.name.0[..] {
            [part] => match part.as_ident() {
                Some(ident) => ident.value.clone(),
                None => return Err(unsupported(format!("function {}", function.name))),
            },
            _ => return Err(unsupported(format!("function {}", function.name))),
        };
        let aggregate = Aggregate::find(&name);
        let filtered = function.filter.is_some() && aggregate.is_none();
        if function.over.is_some() || filtered || !function.within_group.is_empty() {
            return Err(unsupported(format!("OVER or FILTER after {name}(…)")));
        }
        if window::is_window(&name) {
            return Err(SqlError::new(format!(
                "window {name} belongs after GROUP BY"
            )));
        }
        if functions::is_stateful(&name) || aggregate::is_refused(&name) {
            return Err(unsupported(format!("function {name}")));
        }
        let arguments = match &function.args {
            FunctionArguments::None => &[][..],
            FunctionArguments::List(list)
                if list.clauses.is_empty() && list.duplicate_treatment.is_none() =>
            {
                &list.args[..]
            }
            _ => return Err(unsupported(format!("what stands in {name}(…)"))),
        };
        if name.eq_ignore_ascii_case("meta") || name.eq_ignore_ascii_case("mqtt") {
            return self.meta(&name, arguments);
        }
        if let Some(time) = WindowTime::find(&name) {
            return self.window_time(&name, time, arguments);
        }
        if let Some(aggregate) = aggregate {
            return self.aggregate(&name, aggregate, arguments, function.filter.as_deref());
        }
        self.arguments(&name, arguments)
            .and_then(|arguments| self.call(&name, arguments))
    }

    fn arguments(&mut self, name: &str, arguments: &[FunctionArg]) -> Result<Vec<Expr>, SqlError> {
        let mut translated = Vec::with_capacity(arguments.len());
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                    translated.push(self.expr(expr)?);
                }
                _ => return Err(unsupported(format!("`*` or a named argument in {name}(…)"))),
            }
        }
        Ok(translated)
    }

    /// `window_start()` and the like.
    fn window_time(
        &mut self,
        name: &str,
        time: WindowTime,
        arguments: &[FunctionArg],
    ) -> Result<Expr, SqlError> {
        self.next_func_id += 1;
        if !arguments.is_empty() {
            return Err(SqlError::new(format!(
                "Expect 0 arguments but found {} in function {name}",
                arguments.len()
            )));
        }
        match (self.rows, self.place) {
            (Rows::One, _) => Err(SqlError::new(format!("{name}() needs a window"))),
            (_, Place::Filter | Place::Window | Place::Group) => Err(SqlError::new(format!(
                "{name}() cannot stand in {}",
                self.clause()
            ))),
            _ => Ok(Expr::WindowTime(time)),
        }
    }

    /// A function of the rows of a group.
    fn aggregate(
        &mut self,
        name: &str,
        aggregate: &'static Aggregate,
        arguments: &[FunctionArg],
        filter: Option<&Ast>,
    ) -> Result<Expr, SqlError> {
        match self.rows {
            Rows::One => return Err(aggregate_refused(name)),
            Rows::OneOfWindow => {
                return Err(SqlError::new(format!(
                    "aggregate function {name} cannot stand in {}",
                    self.clause()
                )));
            }
            Rows::Group if self.in_aggregate => {
                return Err(SqlError::new(format!(
                    "aggregate function {name} cannot stand inside another"
                )));
            }
            Rows::Group => {}
        }
        self.next_func_id += 1;
        self.in_aggregate = true;
        // What is selected may have the name of a column that it aggregates.
        let aliases = std::mem::take(&mut self.aliases);
        let mut translated = match arguments {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if aggregate.star => {
                self.needs_rows = true;
                vec![Expr::Row]
            }
            arguments => self.arguments(name, arguments)?,
        };
        aggregate.check(translated.len()).map_err(SqlError::new)?;
        if aggregate.rows {
            self.needs_rows = true;
            translated.insert(0, Expr::Row);
        }
        let filter = filter.map(|filter| self.expr(filter)).transpose()?;
        self.aliases = aliases;
        self.in_aggregate = false;
        Ok(Expr::Aggregate(Box::new(AggregateCall {
            function: AggregateFunction::Builtin(aggregate),
            arguments: translated,
            filter,
        })))
    }

    /// Where an expression stands, in words.
    const fn clause(&self) -> &'static str {
        match self.place {
            Place::Project => "SELECT",
            Place::Filter => "WHERE",
            Place::Window => "a condition of a window",
            Place::Group => "GROUP BY",
            Place::Having => "HAVING",
            Place::Order => "ORDER BY",
            Place::Node(_) => "this node",
        }
    }

    /// `meta(key)`: the key may be written as a name or as a text, with the stream before it or not.
    fn meta(&mut self, name: &str, arguments: &[FunctionArg]) -> Result<Expr, SqlError> {
        self.next_func_id += 1;
        match arguments {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => Ok(Expr::Meta(None)),
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(key))] => self.meta_key(key),
            _ => Err(SqlError::new(format!("Expected: one key in {name}(…)"))),
        }
    }

    fn meta_key(&mut self, key: &Ast) -> Result<Expr, SqlError> {
        match key {
            Ast::Identifier(ident) => Ok(Expr::Meta(Some(ident.value.as_str().into()))),
            Ast::CompoundIdentifier(parts) if parts.len() == 2 => {
                self.check_qualifier(&parts[0].value)?;
                Ok(Expr::Meta(Some(parts[1].value.as_str().into())))
            }
            Ast::Value(value) => match literal(&value.value)? {
                Value::Text(key) => Ok(Expr::Meta(Some(key))),
                _ => Err(SqlError::new("Expected: a key in meta(…)")),
            },
            Ast::BinaryOp {
                left,
                op: BinaryOperator::Arrow,
                right,
            } => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(SqlError::new("meta(…) is nested too deep"));
                }
                let object = Box::new(self.meta_key(left)?);
                self.depth -= 1;
                self.member(object, right)
            }
            other => Err(SqlError::new(format!(
                "Expected: a key in meta(…), found: {}",
                clip(other)
            ))),
        }
    }

    /// A call of a function, a built-in one before a plugin's.
    fn call(&mut self, name: &str, arguments: Vec<Expr>) -> Result<Expr, SqlError> {
        let func_id = self.next_func_id;
        self.next_func_id += 1;
        if let Some(builtin) = Builtin::find(name) {
            builtin.check(arguments.len()).map_err(SqlError::new)?;
            return Ok(Expr::Builtin(builtin, arguments));
        }
        let slot = self.calls.len();
        self.calls.push(PluginCall {
            name: name.to_owned(),
            arguments: arguments.len(),
            func_id,
            place: self.place,
        });
        Ok(Expr::Plugin { slot, arguments })
    }
}

/// Without a window there is nothing to aggregate over (HOST-30).
pub(crate) fn aggregate_refused(name: &str) -> SqlError {
    SqlError::new(format!(
        "aggregate function {name} needs a window: an aggregate without a window is refused"
    ))
}

fn too_deep() -> SqlError {
    SqlError::new(format!(
        "an expression is nested more than {MAX_DEPTH} levels deep; use IN for long lists"
    ))
}

fn unsupported(what: String) -> SqlError {
    SqlError::new(format!("{what} is not supported"))
}

/// An expression as text, cut where it gets long.
fn clip(expr: &Ast) -> String {
    let text = expr.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn operator(op: &BinaryOperator) -> Result<Operator, SqlError> {
    Ok(match op {
        BinaryOperator::Plus => Operator::Add,
        BinaryOperator::Minus => Operator::Subtract,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        BinaryOperator::Eq => Operator::Equal,
        BinaryOperator::NotEq => Operator::NotEqual,
        BinaryOperator::Lt => Operator::Less,
        BinaryOperator::LtEq => Operator::LessOrEqual,
        BinaryOperator::Gt => Operator::Greater,
        BinaryOperator::GtEq => Operator::GreaterOrEqual,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        other => return Err(unsupported(format!("operator {other}"))),
    })
}

fn literal(value: &ast::Value) -> Result<Value, SqlError> {
    Ok(match value {
        ast::Value::Number(text, _) => number(text)?,
        ast::Value::SingleQuotedString(text) | ast::Value::DoubleQuotedString(text) => {
            Value::Text(text.as_str().into())
        }
        ast::Value::Boolean(truth) => Value::Bool(*truth),
        ast::Value::Null => Value::Null,
        other => return Err(unsupported(format!("the literal {other}"))),
    })
}

fn number(text: &str) -> Result<Value, SqlError> {
    if let Ok(number) = text.parse() {
        return Ok(Value::Int(number));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Value::Number(text.trim_start_matches('0').into()));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        _ => Err(SqlError::new(format!("Expected: a number, found: {text}"))),
    }
}
