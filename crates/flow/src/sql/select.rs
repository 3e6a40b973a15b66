//! `SELECT`: what it takes, what it refuses.

use std::sync::Arc;

use sqlparser::ast::{
    self, GroupByExpr, LimitClause, OrderBy, OrderByExpr, OrderByKind, OrderBySort, Query,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::expr::{Expr, Place, PluginCall};
use super::translate::{Rows, Scope, Translator};
use super::window::{self, Window};
use super::{RuleDialect, SqlError, check_operators, demote_keywords, tokenize};

/// One thing to select.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// `*`, without some columns.
    All { except: Vec<String> },
    /// An expression and the column it becomes.
    Column { name: Arc<str>, expr: Expr },
}

/// A statement a rule can run.
#[derive(Debug, Clone)]
pub(crate) struct Select {
    /// The stream it reads.
    pub(crate) stream: String,
    /// What it selects.
    pub(crate) items: Vec<Item>,
    /// WHERE.
    pub(crate) filter: Option<Expr>,
    /// The columns that are looked at, each once; with `*` in the items all are needed besides.
    pub(crate) columns: Vec<Arc<str>>,
    /// The plugin calls, by slot.
    pub(crate) calls: Vec<PluginCall>,
    /// The window and what works on its rows; without one the statement works on one row at a time.
    pub(crate) windowed: Option<Box<Windowed>>,
}

/// What a statement does with the rows of a window.
#[derive(Debug, Clone)]
pub(crate) struct Windowed {
    pub(crate) window: Window,
    /// The window's FILTER: which rows go in.
    pub(crate) filter: Option<Expr>,
    /// `OVER (WHEN …)`: which rows trigger a sliding window.
    pub(crate) trigger: Option<Expr>,
    /// Of a state window.
    pub(crate) state: Option<StateConditions>,
    /// GROUP BY besides the window.
    pub(crate) keys: Vec<Expr>,
    pub(crate) having: Option<Expr>,
    /// ORDER BY: the keys, and whether each goes down.
    pub(crate) order: Vec<(Expr, bool)>,
    pub(crate) limit: Option<usize>,
    /// Whether an aggregate needs whole rows.
    pub(crate) needs_rows: bool,
}

/// What makes state windows.
#[derive(Debug, Clone)]
pub(crate) struct StateConditions {
    pub(crate) begin: Expr,
    /// When it ends; none: when another begins.
    pub(crate) emit: Option<Expr>,
    /// There is one for each of what these are.
    pub(crate) partition: Vec<Expr>,
}

impl StateConditions {
    /// The expressions it is made of.
    pub(crate) fn parts_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let begin = std::iter::once(&mut self.begin);
        begin.chain(&mut self.emit).chain(&mut self.partition)
    }
}

impl Select {
    /// Reads a statement.
    ///
    /// # Errors
    /// With position and what was expected when it is no `SELECT`, by name when it asks for what rules cannot do.
    pub(crate) fn parse(sql: &str) -> Result<Self, SqlError> {
        let mut tokens = tokenize(sql)?;
        demote_keywords(&mut tokens);
        check_operators(&tokens)?;
        check_selection(&tokens)?;
        let trigger = window::take_trigger(&mut tokens)?
            .map(parse_expression)
            .transpose()?;
        let mut parser = Parser::new(&RuleDialect).with_tokens_with_locations(tokens);
        let query = parser.parse_query().map_err(parser_error)?;
        while parser.consume_token(&Token::SemiColon) {}
        at_end(&parser, "end of statement")?;
        from_query(*query, trigger.as_ref())
    }

    /// A statement that says nothing: what a graph has in its place.
    pub(crate) fn nothing() -> Self {
        Self {
            stream: String::new(),
            items: Vec::new(),
            filter: None,
            columns: Vec::new(),
            calls: Vec::new(),
            windowed: None,
        }
    }

    /// Whether all columns are needed.
    pub(crate) fn needs_all(&self) -> bool {
        let rows = self.windowed.as_ref().is_some_and(|it| it.needs_rows);
        rows || self
            .items
            .iter()
            .any(|item| matches!(item, Item::All { .. }))
    }

    /// Whether rows pass unchanged: `SELECT *` and nothing else.
    pub(crate) fn passes_through(&self) -> bool {
        matches!(&self.items[..], [Item::All { except }] if except.is_empty())
    }
}

/// Reads a text that is one expression, or `AS` and a name after it: what a node of a graph says.
pub(crate) fn parse_item(text: &str) -> Result<SelectItem, SqlError> {
    let mut parser = parser_of(text)?;
    let item = parser.parse_select_item().map_err(parser_error)?;
    at_end(&parser, "end of the expression")?;
    Ok(item)
}

/// Reads a text that is one expression.
pub(crate) fn parse_text(text: &str) -> Result<ast::Expr, SqlError> {
    let mut parser = parser_of(text)?;
    let expr = parser.parse_expr().map_err(parser_error)?;
    at_end(&parser, "end of the expression")?;
    Ok(expr)
}

fn parser_of(text: &str) -> Result<Parser<'static>, SqlError> {
    let mut tokens = tokenize(text)?;
    demote_keywords(&mut tokens);
    check_operators(&tokens)?;
    Ok(Parser::new(&RuleDialect).with_tokens_with_locations(tokens))
}

fn parse_expression(tokens: Vec<TokenWithSpan>) -> Result<ast::Expr, SqlError> {
    let mut parser = Parser::new(&RuleDialect).with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().map_err(parser_error)?;
    at_end(&parser, ") after the condition of WHEN")?;
    Ok(expr)
}

fn at_end(parser: &Parser<'_>, expected: &str) -> Result<(), SqlError> {
    let rest = parser.peek_token();
    if rest.token == Token::EOF {
        return Ok(());
    }
    Err(SqlError::at(
        format!("Expected: {expected}, found: {}", rest.token),
        rest.span.start,
    ))
}

fn parser_error(error: ParserError) -> SqlError {
    match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            SqlError::new(text.replace("found: EOF", "found: the end of the statement"))
        }
        ParserError::RecursionLimitExceeded => SqlError::new("the statement is nested too deep"),
    }
}

/// Says where something to select is missing: the parser would point behind FROM.
fn check_selection(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let keyword = |index: usize, wanted| matches!(tokens.get(index).map(|it| &it.token), Some(Token::Word(word)) if word.keyword == wanted);
    match tokens.get(1) {
        Some(from) if keyword(0, Keyword::SELECT) && keyword(1, Keyword::FROM) => Err(
            SqlError::at("Expected: an expression, found: FROM", from.span.start),
        ),
        _ => Ok(()),
    }
}

fn refuse(what: &str) -> SqlError {
    SqlError::new(format!("{what} is not supported"))
}

fn from_query(query: Query, trigger: Option<&ast::Expr>) -> Result<Select, SqlError> {
    if query.with.is_some() {
        return Err(refuse("WITH"));
    }
    if query.fetch.is_some() {
        return Err(refuse("FETCH"));
    }
    let order = query.order_by.map_or_else(|| Ok(Vec::new()), order)?;
    let limit = query.limit_clause.map(limit).transpose()?;
    match *query.body {
        SetExpr::Select(select) => from_select(*select, &order, limit, trigger),
        SetExpr::SetOperation { op, .. } => Err(refuse(&op.to_string())),
        other => Err(SqlError::new(format!("Expected: SELECT, found: {other}"))),
    }
}

fn order(order: OrderBy) -> Result<Vec<OrderByExpr>, SqlError> {
    match order {
        OrderBy {
            kind: OrderByKind::Expressions(keys),
            interpolate: None,
        } => {
            for key in &keys {
                if key.options.nulls_first.is_some() || key.with_fill.is_some() {
                    return Err(refuse("an option after ORDER BY other than ASC and DESC"));
                }
            }
            Ok(keys)
        }
        _ => Err(refuse("ORDER BY ALL")),
    }
}

fn limit(clause: LimitClause) -> Result<usize, SqlError> {
    let LimitClause::LimitOffset {
        limit: Some(limit),
        offset: None,
        limit_by,
    } = clause
    else {
        return Err(refuse("OFFSET"));
    };
    let number = match &limit {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    match number {
        Some(number) if limit_by.is_empty() => Ok(number),
        _ => Err(SqlError::new(format!(
            "Expected: a number after LIMIT, found: {limit}"
        ))),
    }
}

fn from_select(
    select: ast::Select,
    order: &[OrderByExpr],
    limit: Option<usize>,
    trigger: Option<&ast::Expr>,
) -> Result<Select, SqlError> {
    if select.distinct.is_some() {
        return Err(refuse("SELECT DISTINCT"));
    }
    let group_by = match &select.group_by {
        GroupByExpr::All(_) => return Err(refuse("GROUP BY ALL")),
        GroupByExpr::Expressions(expressions, modifiers) if modifiers.is_empty() => expressions,
        GroupByExpr::Expressions(..) => return Err(refuse("an option after GROUP BY")),
    };
    let mut window = None;
    let mut keys = Vec::new();
    for expr in group_by {
        match window::read(expr)? {
            Some(_) if window.is_some() => {
                return Err(SqlError::new("Expected: one window in GROUP BY, found two"));
            }
            Some(found) => window = Some(found),
            None => keys.push(expr),
        }
    }
    let needs_window = [
        (!keys.is_empty(), "GROUP BY"),
        (select.having.is_some(), "HAVING"),
        (!order.is_empty(), "ORDER BY"),
        (limit.is_some(), "LIMIT"),
    ];
    if window.is_none()
        && let Some((_, clause)) = needs_window.iter().find(|(there, _)| *there)
    {
        return Err(SqlError::new(format!(
            "{clause} needs a window: without one a rule works on one row at a time"
        )));
    }
    let (stream, alias) = source(&select.from)?;
    let mut translator = Translator::new(Scope {
        stream: stream.clone(),
        alias,
    });
    let (one, several) = match window {
        Some(_) => (Rows::OneOfWindow, Rows::Group),
        None => (Rows::One, Rows::One),
    };
    translator.enter(Place::Project, several);
    let items: Vec<Item> = select
        .projection
        .into_iter()
        .map(|item| translate_item(&mut translator, item))
        .collect::<Result<_, _>>()?;
    translator.enter(Place::Filter, one);
    let filter = select
        .selection
        .map(|filter| translator.expr(&filter))
        .transpose()?;
    let windowed = match window {
        None => None,
        Some(found) => {
            let having = select.having.as_ref();
            let window = found.window;
            let clauses = Clauses {
                found,
                trigger,
                keys: &keys,
                having,
                order,
            };
            let mut windowed = clauses.translate(window, &items, &mut translator)?;
            windowed.limit = limit;
            Some(Box::new(windowed))
        }
    };
    Ok(Select {
        stream,
        items,
        filter,
        columns: translator.columns,
        calls: translator.calls,
        windowed,
    })
}

/// The parts of a statement that need a window.
struct Clauses<'a> {
    found: window::Found<'a>,
    trigger: Option<&'a ast::Expr>,
    keys: &'a [&'a ast::Expr],
    having: Option<&'a ast::Expr>,
    order: &'a [OrderByExpr],
}

impl Clauses<'_> {
    fn translate(
        &self,
        window: Window,
        items: &[Item],
        translator: &mut Translator,
    ) -> Result<Windowed, SqlError> {
        translator.enter(Place::Window, Rows::OneOfWindow);
        let mut one = |expr: Option<&ast::Expr>| expr.map(|it| translator.expr(it)).transpose();
        let (filter, trigger) = (one(self.found.filter)?, one(self.trigger)?);
        let mut state = None;
        if let [begin, rest @ ..] = &self.found.conditions[..] {
            let mut all = |exprs: &mut dyn Iterator<Item = &ast::Expr>| {
                exprs
                    .map(|it| translator.expr(it))
                    .collect::<Result<Vec<_>, _>>()
            };
            let begin = all(&mut std::iter::once(*begin))?.pop();
            state = begin.zip(Some((
                all(&mut rest.iter().copied())?.pop(),
                all(&mut self.found.partition.iter())?,
            )));
        }
        let state = state.map(|(begin, (emit, partition))| StateConditions {
            begin,
            emit,
            partition,
        });
        // Names of what is selected stand for it, except where an expression decides what the groups are made of.
        let named = items.iter().filter_map(|item| match item {
            Item::Column { name, expr } if !matches!(expr, Expr::Column(_)) => {
                Some((name.clone(), expr.clone()))
            }
            Item::Column { name, expr } => match expr {
                Expr::Column(column) if column != name => Some((name.clone(), expr.clone())),
                _ => None,
            },
            Item::All { .. } => None,
        });
        let named: Vec<_> = named.collect();
        let mut plain = named.clone();
        plain.retain_mut(|(_, expr)| !expr.has_aggregate());
        translator.know(plain);
        translator.enter(Place::Group, Rows::OneOfWindow);
        let keys = self
            .keys
            .iter()
            .map(|key| translator.expr(key))
            .collect::<Result<_, _>>()?;
        translator.know(named);
        translator.enter(Place::Having, Rows::Group);
        let having = self.having.map(|it| translator.expr(it)).transpose()?;
        translator.enter(Place::Order, Rows::Group);
        let order = self
            .order
            .iter()
            .map(|key| {
                let descending = match &key.options.sort {
                    None | Some(OrderBySort::Asc) => false,
                    Some(OrderBySort::Desc) => true,
                    Some(OrderBySort::Using(_)) => return Err(refuse("ORDER BY … USING")),
                };
                Ok((translator.expr(&key.expr)?, descending))
            })
            .collect::<Result<_, _>>()?;
        Ok(Windowed {
            window,
            filter,
            trigger,
            state,
            keys,
            having,
            order,
            limit: None,
            needs_rows: translator.needs_rows,
        })
    }
}

/// The one stream of FROM and its alias.
fn source(from: &[ast::TableWithJoins]) -> Result<(String, Option<String>), SqlError> {
    let [table] = from else {
        return Err(if from.is_empty() {
            SqlError::new("Expected: FROM and the name of a stream")
        } else {
            SqlError::new("several streams in FROM are not supported")
        });
    };
    if !table.joins.is_empty() {
        return Err(refuse("JOIN"));
    }
    let TableFactor::Table {
        name, alias, args, ..
    } = &table.relation
    else {
        return Err(SqlError::new(format!(
            "Expected: the name of a stream after FROM, found: {}",
            table.relation
        )));
    };
    match (&name.0[..], args) {
        ([part], None) => match part.as_ident() {
            Some(ident) => Ok((
                ident.value.clone(),
                alias.as_ref().map(|alias| alias.name.value.clone()),
            )),
            None => Err(refuse(&name.to_string())),
        },
        _ => Err(SqlError::new(format!(
            "Expected: the name of a stream after FROM, found: {name}"
        ))),
    }
}

pub(crate) fn translate_item(
    translator: &mut Translator,
    item: SelectItem,
) -> Result<Item, SqlError> {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            let name = translator.name_of(&expr);
            Ok(Item::Column {
                name,
                expr: translator.expr(&expr)?,
            })
        }
        SelectItem::ExprWithAlias { expr, alias } => Ok(Item::Column {
            name: alias.value.into(),
            expr: translator.expr(&expr)?,
        }),
        SelectItem::ExprWithAliases { .. } => Err(refuse("a list of aliases")),
        SelectItem::Wildcard(options) => all(options),
        SelectItem::QualifiedWildcard(kind, options) => {
            match kind {
                SelectItemQualifiedWildcardKind::ObjectName(name) => {
                    translator.check_qualifier(&name.to_string())?;
                }
                SelectItemQualifiedWildcardKind::Expr(_) => return Err(refuse("expression.*")),
            }
            all(options)
        }
    }
}

fn all(options: ast::WildcardAdditionalOptions) -> Result<Item, SqlError> {
    if options.opt_replace.is_some() {
        return Err(refuse("* REPLACE"));
    }
    if options.opt_ilike.is_some()
        || options.opt_exclude.is_some()
        || options.opt_rename.is_some()
        || options.opt_alias.is_some()
    {
        return Err(refuse("an option after *"));
    }
    let except = options.opt_except.map_or_else(Vec::new, |except| {
        std::iter::once(except.first_element)
            .chain(except.additional_elements)
            .map(|ident| ident.value)
            .collect()
    });
    Ok(Item::All { except })
}
