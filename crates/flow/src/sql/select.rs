//! `SELECT`: what it takes, what it refuses.

use std::sync::Arc;

use sqlparser::ast::{
    self, GroupByExpr, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::expr::{Expr, PluginCall};
use super::translate::{Scope, Translator};
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
        let mut parser = Parser::new(&RuleDialect).with_tokens_with_locations(tokens);
        let query = parser.parse_query().map_err(parser_error)?;
        while parser.consume_token(&Token::SemiColon) {}
        let rest = parser.peek_token();
        if rest.token != Token::EOF {
            return Err(SqlError::at(
                format!("Expected: end of statement, found: {}", rest.token),
                rest.span.start,
            ));
        }
        from_query(*query)
    }

    /// Whether all columns are needed.
    pub(crate) fn needs_all(&self) -> bool {
        self.items
            .iter()
            .any(|item| matches!(item, Item::All { .. }))
    }

    /// Whether rows pass unchanged: `SELECT *` and nothing else.
    pub(crate) fn passes_through(&self) -> bool {
        matches!(&self.items[..], [Item::All { except }] if except.is_empty())
    }
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

fn from_query(query: Query) -> Result<Select, SqlError> {
    if query.with.is_some() {
        return Err(refuse("WITH"));
    }
    if query.order_by.is_some() {
        return Err(refuse("ORDER BY"));
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return Err(refuse("LIMIT"));
    }
    match *query.body {
        SetExpr::Select(select) => from_select(*select),
        SetExpr::SetOperation { op, .. } => Err(refuse(&op.to_string())),
        other => Err(SqlError::new(format!("Expected: SELECT, found: {other}"))),
    }
}

fn from_select(select: ast::Select) -> Result<Select, SqlError> {
    if select.distinct.is_some() {
        return Err(refuse("SELECT DISTINCT"));
    }
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(expressions, _) => !expressions.is_empty(),
    };
    if grouped {
        return Err(SqlError::new(
            "GROUP BY and windows are not supported: a rule works on one row at a time",
        ));
    }
    if select.having.is_some() {
        return Err(refuse("HAVING"));
    }
    let (stream, alias) = source(&select.from)?;
    let mut translator = Translator::new(Scope {
        stream: stream.clone(),
        alias,
    });
    let items = select
        .projection
        .into_iter()
        .map(|item| translate_item(&mut translator, item))
        .collect::<Result<_, _>>()?;
    translator.enter_filter();
    let filter = select
        .selection
        .map(|filter| translator.expr(&filter))
        .transpose()?;
    Ok(Select {
        stream,
        items,
        filter,
        columns: translator.columns,
        calls: translator.calls,
    })
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

fn translate_item(translator: &mut Translator, item: SelectItem) -> Result<Item, SqlError> {
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
