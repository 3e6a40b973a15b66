//! Rows out of a dump in SQL, as `mysqldump`, `pg_dump`, `sqlite3 .dump` and web panels write them.
//!
//! Nothing is executed, and of a dump of a whole application only the wanted tables are kept. A row that cannot be
//! read is a finding, and the rows after it are still read.

use std::collections::HashMap;

use plugyard_model::{Finding, Place, codes};
use serde_json::Value as Json;

use super::{Dump, Row, Table};

/// Reads what a dump says about the wanted tables.
pub(super) fn read(text: &str, file: &str) -> Dump {
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        // What only MySQL writes says how its texts are escaped; the standard knows doubled quotes only.
        backslashes: text.contains('`') || text.contains("-- MySQL dump"),
        file,
        columns: HashMap::new(),
        dump: Dump::default(),
    };
    reader.statements();
    reader.dump
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    backslashes: bool,
    file: &'a str,
    /// Columns in the order that `CREATE TABLE` has them, for inserts that name none.
    columns: HashMap<String, Vec<String>>,
    dump: Dump,
}

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A bare word or number.
    Word(String),
    /// A quoted name.
    Name(String),
    Text(String),
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(it) if it.eq_ignore_ascii_case(word))
    }

    /// What it names, when it can name something.
    fn name(self) -> Option<String> {
        match self {
            // SQLite and careless hands quote names like texts.
            Self::Word(name) | Self::Name(name) | Self::Text(name) => Some(name),
            Self::Sign(_) => None,
        }
    }
}

impl Reader<'_> {
    fn statements(&mut self) {
        while let Some(token) = self.next() {
            if token.is("INSERT") || token.is("REPLACE") {
                self.insert();
            } else if token.is("CREATE") {
                self.create();
            } else if token.is("COPY") {
                self.copy();
            } else if token != Token::Sign(';') {
                self.skip_statement();
            }
        }
    }

    /// `INSERT [IGNORE] INTO [schema.]table [(columns)] VALUES (…), (…);`
    fn insert(&mut self) {
        let mut token = self.next();
        while token.as_ref().is_some_and(|it| !it.is("INTO")) {
            if token == Some(Token::Sign(';')) {
                return;
            }
            token = self.next();
        }
        let Some((name, mut token)) = self.table_name() else {
            return;
        };
        let Some(table) = Table::of_name(&name) else {
            *self.dump.ignored.entry(name).or_default() += 1;
            return self.skip_from(token);
        };
        let mut columns = self.columns.get(&name).cloned().unwrap_or_default();
        if token == Some(Token::Sign('(')) {
            columns = self.name_list();
            token = self.next();
        }
        if !token.as_ref().is_some_and(|it| it.is("VALUES")) {
            self.malformed(&name);
            return self.skip_from(token);
        }
        loop {
            match self.next() {
                Some(Token::Sign('(')) => {
                    let line = self.line;
                    let values = self.values();
                    self.row(table, &name, &columns, line, values);
                }
                Some(Token::Sign(',')) => {}
                Some(Token::Sign(';')) | None => return,
                // `ON CONFLICT …`, `ON DUPLICATE KEY …`
                Some(_) => return self.skip_statement(),
            }
        }
    }

    /// `CREATE TABLE [IF NOT EXISTS] name (column type …, …)`: its columns in order.
    fn create(&mut self) {
        let mut token = self.next();
        if !token.as_ref().is_some_and(|it| it.is("TABLE")) {
            return self.skip_from(token);
        }
        loop {
            let before = (self.at, self.line);
            token = self.next();
            let is_extra = |word: &str| token.as_ref().is_some_and(|it| it.is(word));
            if !["IF", "NOT", "EXISTS"].into_iter().any(is_extra) {
                (self.at, self.line) = before;
                break;
            }
        }
        let Some((name, token)) = self.table_name() else {
            return;
        };
        if token != Some(Token::Sign('(')) {
            return self.skip_from(token);
        }
        let mut columns = Vec::new();
        let (mut depth, mut first) = (1, true);
        while let Some(token) = self.next() {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth -= 1,
                Token::Sign(',') if depth == 1 => {
                    first = true;
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if first && !is_constraint(&token) {
                columns.extend(token.name());
            }
            first = false;
        }
        self.columns.insert(name, columns);
        self.skip_statement();
    }

    /// `COPY [schema.]table (columns) FROM stdin;`, then lines with tabs up to `\.`.
    fn copy(&mut self) {
        let Some((name, token)) = self.table_name() else {
            return;
        };
        let columns = if token == Some(Token::Sign('(')) {
            self.name_list()
        } else {
            self.columns.get(&name).cloned().unwrap_or_default()
        };
        self.skip_from(token);
        let table = Table::of_name(&name);
        self.rest_of_line();
        while self.at < self.text.len() {
            let line = self.line;
            let content = self.rest_of_line();
            if content == "\\." {
                break;
            }
            match table {
                Some(table) => {
                    let values = content.split('\t').map(copied).collect();
                    self.row(table, &name, &columns, line, Some(values));
                }
                None => *self.dump.ignored.entry(name.clone()).or_default() += 1,
            }
        }
    }

    fn row(
        &mut self,
        table: Table,
        name: &str,
        columns: &[String],
        line: u32,
        values: Option<Vec<Json>>,
    ) {
        let Some(values) = values else {
            return self.broken(name, line);
        };
        if columns.len() != values.len() {
            let place = Place::file(self.file).at(line, 1);
            self.dump.unreadable += 1;
            return self.dump.findings.push(
                Finding::error(codes::E_IMPORT_COLUMNS, place)
                    .with("table", name)
                    .with("expected", columns.len())
                    .with("actual", values.len()),
            );
        }
        let columns = columns.iter().map(|it| it.to_ascii_lowercase());
        self.dump.rows.push(Row {
            table,
            generation: Table::generation_of(name),
            line,
            columns: columns.zip(values).collect(),
        });
    }

    /// The values up to the closing parenthesis; `None` when one cannot be read. The reader is behind the row
    /// in either case.
    fn values(&mut self) -> Option<Vec<Json>> {
        let (mut values, mut sound) = (Vec::new(), true);
        loop {
            let value = match self.next()? {
                Token::Text(text) => Json::from(text),
                Token::Word(word) => match self.word(&word) {
                    Some(value) => value,
                    None => {
                        sound = false;
                        Json::Null
                    }
                },
                _ => {
                    sound = false;
                    Json::Null
                }
            };
            values.push(value);
            // What follows a value (a cast, a call's arguments) is no part of it that we know.
            let mut depth = 0;
            loop {
                match self.next()? {
                    Token::Sign('(') => {
                        depth += 1;
                        sound = false;
                    }
                    Token::Sign(')') if depth == 0 => return sound.then_some(values),
                    Token::Sign(')') => depth -= 1,
                    Token::Sign(',') if depth == 0 => break,
                    Token::Sign(';') => return None,
                    // `'…'::json`, as PostgreSQL writes.
                    Token::Sign(':') | Token::Word(_) => {}
                    _ => sound = false,
                }
            }
        }
    }

    fn word(&mut self, word: &str) -> Option<Json> {
        if word.eq_ignore_ascii_case("null") {
            return Some(Json::Null);
        }
        if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
            return Some(Json::from(word.eq_ignore_ascii_case("true")));
        }
        if let Some(digits) = word.strip_prefix("0x") {
            return from_hex(digits).map(Json::from);
        }
        if word.starts_with('_') || word.eq_ignore_ascii_case("n") || word.eq_ignore_ascii_case("e")
        {
            // `_utf8mb4'…'`: the character set of the text that follows.
            return match self.next()? {
                Token::Text(text) => Some(Json::from(text)),
                _ => None,
            };
        }
        let number = word.parse::<i64>().ok().map(Json::from);
        number.or_else(|| word.parse::<f64>().ok().map(Json::from))
    }

    /// A table's name without its schema, and the token behind it.
    fn table_name(&mut self) -> Option<(String, Option<Token>)> {
        let mut name = self.next()?.name()?;
        let mut token = self.next();
        while token == Some(Token::Sign('.')) {
            name = self.next()?.name()?;
            token = self.next();
        }
        Some((name, token))
    }

    fn name_list(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(token) = self.next() {
            match token {
                Token::Sign(')') => break,
                Token::Sign(',') => {}
                token => names.extend(token.name()),
            }
        }
        names
    }

    fn malformed(&mut self, name: &str) {
        self.broken(name, self.line);
    }

    fn broken(&mut self, name: &str, line: u32) {
        self.dump.unreadable += 1;
        let place = Place::file(self.file).at(line, 1);
        let finding = Finding::error(codes::E_IMPORT_ROW, place).with("table", name);
        self.dump.findings.push(finding);
    }

    fn skip_from(&mut self, token: Option<Token>) {
        if token.is_some_and(|it| it != Token::Sign(';')) {
            self.skip_statement();
        }
    }

    fn skip_statement(&mut self) {
        while let Some(token) = self.next() {
            if token == Token::Sign(';') {
                break;
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn step(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(c)
    }

    fn rest_of_line(&mut self) -> String {
        let from = self.at;
        while self.step().is_some_and(|c| c != '\n') {}
        let line = &self.text[from..self.at];
        line.trim_end_matches('\n')
            .trim_end_matches('\r')
            .to_owned()
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = &self.text[self.at..];
            if rest.starts_with("--") || (rest.starts_with('#') && self.backslashes) {
                self.rest_of_line();
            } else if rest.starts_with("/*") {
                self.comment();
            } else if self.peek()?.is_whitespace() {
                self.step();
            } else {
                break;
            }
        }
        let first = self.step()?;
        Some(match first {
            '\'' => Token::Text(self.quoted('\'')),
            // MySQL takes both quotes for texts.
            '"' if self.backslashes => Token::Text(self.quoted('"')),
            '"' => Token::Name(self.quoted('"')),
            '`' => Token::Name(self.quoted('`')),
            c if c.is_alphanumeric() || matches!(c, '_' | '-' | '+') => Token::Word(self.bare(c)),
            c => Token::Sign(c),
        })
    }

    fn comment(&mut self) {
        let rest = &self.text[self.at..];
        let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
        for _ in rest[..length].chars() {
            self.step();
        }
    }

    fn bare(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(c) = self
            .peek()
            .filter(|&c| c.is_alphanumeric() || matches!(c, '_' | '.' | '$'))
        {
            // A dot separates names and is part of numbers.
            if c == '.' && !word.bytes().all(|it| it.is_ascii_digit() || it == b'-') {
                break;
            }
            word.push(c);
            self.step();
        }
        word
    }

    /// The inside of quotes, which are behind the reader already; up to the end where they are not closed.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(c) = self.step() {
            if c == quote {
                if self.peek() != Some(quote) {
                    break;
                }
                self.step();
                text.push(quote);
            } else if c == '\\' && quote != '`' && self.backslashes {
                match self.step() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('0') => text.push('\0'),
                    Some('b') => text.push('\u{8}'),
                    Some('Z') => text.push('\u{1a}'),
                    Some(other) => text.push(other),
                    None => {}
                }
            } else {
                text.push(c);
            }
        }
        text
    }
}

/// Whether a definition inside `CREATE TABLE` is no column.
fn is_constraint(token: &Token) -> bool {
    [
        "PRIMARY",
        "KEY",
        "UNIQUE",
        "INDEX",
        "CONSTRAINT",
        "CHECK",
        "FOREIGN",
        "FULLTEXT",
        "SPATIAL",
        "EXCLUDE",
    ]
    .into_iter()
    .any(|word| token.is(word))
}

/// A value of a line of `COPY`.
fn copied(field: &str) -> Json {
    if field == "\\N" {
        return Json::Null;
    }
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        });
    }
    Json::from(text)
}

fn from_hex(digits: &str) -> Option<String> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}
