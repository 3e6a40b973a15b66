//! Reading `CREATE STREAM` and `SELECT`.
//!
//! Words are split by `sqlparser`'s tokenizer under [`RuleDialect`]; `CREATE STREAM` has a reader of
//! its own ([`stream`]), a `SELECT` is parsed by `sqlparser` and translated at once into our own
//! typed tree ([`select`], [`expr`]), which refuses by name whatever a rule cannot do.
//!
//! Nothing in here looks at plugins: which function names exist is decided by the planner.

pub(crate) mod expr;
pub(crate) mod select;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod translate;
pub(crate) mod window;

use std::fmt;

use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// Longest statement that is read, in bytes.
pub const MAX_STATEMENT: usize = 64 * 1024;
/// Most words and signs in a statement: bounds what the parser builds.
const MAX_TOKENS: usize = 8 * 1024;
/// Most operators and keywords in a `SELECT`: the parser makes a chain of them a tree as deep, which is cleaned
/// up recursively.
const MAX_OPERATORS: usize = 1000;

/// Why a statement cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// What is wrong, and what was expected.
    pub text: String,
    /// Line and column, counted from 1, where known.
    pub at: Option<(u64, u64)>,
}

impl SqlError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            at: None,
        }
    }

    pub(crate) fn at(text: impl Into<String>, location: Location) -> Self {
        Self {
            text: text.into(),
            at: (location.line > 0).then_some((location.line, location.column)),
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.at {
            Some((line, column)) => write!(f, " at Line: {line}, Column: {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SqlError {}

/// The SQL of rules: backticks around names, both kinds of quotes around texts, `->` into objects.
#[derive(Debug)]
struct RuleDialect;

impl Dialect for RuleDialect {
    fn is_identifier_start(&self, ch: char) -> bool {
        ch == '_' || ch.is_alphabetic()
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch == '_' || ch.is_alphanumeric()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        match prec {
            Precedence::Period => 100,
            // `a->b + 1` means `(a->b) + 1`.
            Precedence::PgOther => 60,
            Precedence::DoubleColon => 50,
            Precedence::AtTz => 41,
            Precedence::MulDivModOp => 40,
            Precedence::PlusMinus => 30,
            Precedence::Xor => 24,
            Precedence::Ampersand => 23,
            Precedence::Caret => 22,
            Precedence::Pipe | Precedence::Colon => 21,
            Precedence::Between | Precedence::Eq => 20,
            Precedence::Like => 19,
            Precedence::Is => 17,
            Precedence::UnaryNot => 15,
            Precedence::And => 10,
            Precedence::Or => 5,
        }
    }
}

/// The words with a meaning in a rule; any other word of the parser's long list is a plain name here,
/// so that columns may be called `timestamp`, `interval` or `value`.
const KEYWORDS: &[Keyword] = &[
    Keyword::SELECT,
    Keyword::DISTINCT,
    Keyword::FROM,
    Keyword::WHERE,
    Keyword::GROUP,
    Keyword::BY,
    Keyword::HAVING,
    Keyword::ORDER,
    Keyword::ASC,
    Keyword::DESC,
    Keyword::LIMIT,
    Keyword::AS,
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::IN,
    Keyword::BETWEEN,
    Keyword::LIKE,
    Keyword::ESCAPE,
    Keyword::IS,
    Keyword::NULL,
    Keyword::TRUE,
    Keyword::FALSE,
    Keyword::CASE,
    Keyword::WHEN,
    Keyword::THEN,
    Keyword::ELSE,
    Keyword::END,
    Keyword::JOIN,
    Keyword::INNER,
    Keyword::LEFT,
    Keyword::RIGHT,
    Keyword::FULL,
    Keyword::OUTER,
    Keyword::CROSS,
    Keyword::ON,
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::REPLACE,
    Keyword::OVER,
    Keyword::FILTER,
    Keyword::PARTITION,
    Keyword::CAST,
];

/// Keywords that may stand before an opening bracket and stay keywords.
const BEFORE_BRACKET: &[Keyword] = &[
    Keyword::SELECT,
    Keyword::DISTINCT,
    Keyword::FROM,
    Keyword::WHERE,
    Keyword::BY,
    Keyword::HAVING,
    Keyword::AS,
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::IN,
    Keyword::BETWEEN,
    Keyword::LIKE,
    Keyword::IS,
    Keyword::CASE,
    Keyword::WHEN,
    Keyword::THEN,
    Keyword::ELSE,
    Keyword::ON,
    Keyword::EXCEPT,
    Keyword::OVER,
    Keyword::FILTER,
];

/// Splits a statement into words and signs without spaces and comments.
fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    if sql.len() > MAX_STATEMENT {
        return Err(SqlError::new(format!(
            "the statement has {} bytes, more than the {MAX_STATEMENT} allowed",
            sql.len()
        )));
    }
    let mut tokens = Tokenizer::new(&RuleDialect, sql)
        .tokenize_with_location()
        .map_err(|error| SqlError::at(error.message, error.location))?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    if tokens.len() > MAX_TOKENS {
        return Err(SqlError::new(format!(
            "the statement has {} words and signs, more than the {MAX_TOKENS} allowed",
            tokens.len()
        )));
    }
    Ok(tokens)
}

/// Makes plain names of the parser's keywords that are none in a rule, and of names before an argument list.
fn demote_keywords(tokens: &mut [TokenWithSpan]) {
    for index in 0..tokens.len() {
        let call = matches!(tokens.get(index + 1), Some(next) if next.token == Token::LParen);
        let sql_cast = call && is_sql_cast(&tokens[index + 1..]);
        // The parser takes no notice of a FILTER that has no WHERE.
        let sql_filter = call
            && matches!(tokens.get(index + 2).map(|it| &it.token), Some(Token::Word(word)) if word.keyword == Keyword::WHERE);
        let Token::Word(word) = &mut tokens[index].token else {
            continue;
        };
        let keep = KEYWORDS.contains(&word.keyword)
            && (!call
                || BEFORE_BRACKET.contains(&word.keyword)
                || (word.keyword == Keyword::CAST && sql_cast));
        let keep = keep
            && (call || word.keyword != Keyword::CAST)
            && (sql_filter || word.keyword != Keyword::FILTER);
        if !keep {
            word.keyword = Keyword::NoKeyword;
        }
    }
}

/// Refuses what would become too deep a tree.
fn check_operators(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let operators = tokens.iter().filter(|token| match &token.token {
        Token::Word(word) => !matches!(
            word.keyword,
            Keyword::NoKeyword | Keyword::AS | Keyword::NULL | Keyword::TRUE | Keyword::FALSE
        ),
        Token::Comma
        | Token::Period
        | Token::SemiColon
        | Token::LParen
        | Token::RParen
        | Token::LBracket
        | Token::RBracket
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_) => false,
        _ => true,
    });
    match operators.count() {
        0..=MAX_OPERATORS => Ok(()),
        count => Err(SqlError::new(format!(
            "the statement has {count} operators and keywords, more than the {MAX_OPERATORS} allowed"
        ))),
    }
}

/// Whether an argument list, from its opening bracket on, has an `AS` of its own, as in `CAST(a AS bigint)`.
fn is_sql_cast(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 1 => return false,
            Token::RParen => depth -= 1,
            Token::Word(word) if depth == 1 && word.keyword == Keyword::AS => return true,
            _ => {}
        }
    }
    false
}
