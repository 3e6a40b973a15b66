//! `CREATE STREAM name (column type, …) WITH (OPTION="value", …)`.

use serde_json::{Map, Value as Json, json};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::{SqlError, tokenize};
use crate::suggest::suggest;

/// Deepest nesting of a column's type.
const MAX_TYPE_DEPTH: usize = 16;

/// The source symbol of a stream that does not name one, as in eKuiper.
const DEFAULT_TYPE: &str = "mqtt";

/// Option names, in the order of the reference.
const OPTIONS: &[&str] = &[
    "DATASOURCE",
    "FORMAT",
    "TYPE",
    "CONF_KEY",
    "KEY",
    "SHARED",
    "SCHEMAID",
    "STRICT_VALIDATION",
    "TIMESTAMP",
    "TIMESTAMP_FORMAT",
    "DELIMITER",
    "RETAIN_SIZE",
    "KIND",
    "VERSION",
    "EXTRA",
    "TEMP",
];

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// One of `bigint`, `float`, `string`, `datetime`, `boolean`, `bytea`.
    Basic(&'static str),
    /// `array(type)`.
    Array(Box<ColumnType>),
    /// `struct(name type, …)`.
    Struct(Vec<Column>),
}

/// A declared column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
}

/// What stands in `WITH (…)`; empty, 0 or false where it is not set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StreamOptions {
    /// `DATASOURCE`: the provider's own address of the data.
    pub datasource: String,
    /// `FORMAT`, as written.
    pub format: String,
    /// `TYPE`: the source symbol.
    pub source_type: String,
    /// `CONF_KEY`: the section of the provider's configuration.
    pub conf_key: String,
    /// `KEY`.
    pub key: String,
    /// `SCHEMAID`.
    pub schema_id: String,
    /// `STRICT_VALIDATION`.
    pub strict_validation: bool,
    /// `TIMESTAMP`.
    pub timestamp: String,
    /// `TIMESTAMP_FORMAT`.
    pub timestamp_format: String,
    /// `DELIMITER`.
    pub delimiter: String,
    /// `RETAIN_SIZE`.
    pub retain_size: u32,
    /// `KIND`.
    pub kind: String,
    /// `VERSION`.
    pub version: String,
    /// `SHARED`: one running source for all rules that read it.
    pub shared: bool,
    /// `TEMP`: gone when the program ends.
    pub temp: bool,
    /// `EXTRA`: further configuration of the source, and its text as written.
    pub extra: Option<(Map<String, Json>, String)>,
}

/// A stream as it was declared.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamDefinition {
    /// Its name.
    pub name: String,
    /// Its columns; none means that any are taken.
    pub columns: Vec<Column>,
    /// Its options.
    pub options: StreamOptions,
}

impl StreamDefinition {
    /// Reads a statement.
    ///
    /// # Errors
    /// With position and what was expected; an option that is not known or not supported is refused by name.
    pub fn parse(sql: &str) -> Result<Self, SqlError> {
        Reader::new(sql)?.statement()
    }

    /// The source symbol it reads from.
    pub fn source_type(&self) -> &str {
        if self.options.source_type.is_empty() {
            DEFAULT_TYPE
        } else {
            &self.options.source_type
        }
    }

    /// The format as the list of streams shows it.
    pub fn format(&self) -> &str {
        if self.options.format.is_empty() {
            "json"
        } else {
            &self.options.format
        }
    }

    /// What a source is configured with on top of its provider's own configuration: EXTRA, then the fixed keys.
    pub fn source_config(&self) -> Map<String, Json> {
        let options = &self.options;
        let mut config = options
            .extra
            .as_ref()
            .map_or_else(Map::new, |(extra, _)| extra.clone());
        let fixed: [(&str, Json); 9] = [
            ("format", self.format().to_lowercase().into()),
            ("key", options.key.as_str().into()),
            ("datasource", options.datasource.as_str().into()),
            ("schemaId", options.schema_id.as_str().into()),
            ("delimiter", options.delimiter.as_str().into()),
            ("retainSize", options.retain_size.into()),
            ("strictValidation", options.strict_validation.into()),
            ("timestamp", options.timestamp.as_str().into()),
            ("timestampFormat", options.timestamp_format.as_str().into()),
        ];
        for (key, value) in fixed {
            config.insert(key.to_owned(), value);
        }
        config
    }

    /// The document of `GET /streams/{name}`.
    pub fn describe(&self, statement: &str) -> Json {
        json!({
            "Name": self.name,
            "StreamFields": self.columns.iter().map(Column::describe).collect::<Vec<_>>(),
            "Options": self.options.describe(),
            "StreamType": 0,
            "Statement": statement,
        })
    }

    /// The document of `GET /streams/{name}/schema`: column → type; null without columns.
    pub fn schema(&self) -> Json {
        if self.columns.is_empty() {
            Json::Null
        } else {
            schema_of(&self.columns)
        }
    }
}

fn schema_of(columns: &[Column]) -> Json {
    let mut sorted: Vec<_> = columns.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    sorted
        .into_iter()
        .map(|column| (column.name.clone(), column.column_type.schema()))
        .collect::<Map<_, _>>()
        .into()
}

impl Column {
    fn describe(&self) -> Json {
        json!({ "FieldType": self.column_type.describe(), "Name": self.name })
    }
}

impl ColumnType {
    fn describe(&self) -> Json {
        match self {
            Self::Basic(name) => (*name).into(),
            Self::Array(element) => json!({ "Type": "array", "ElementType": element.describe() }),
            Self::Struct(columns) => json!({
                "Type": "struct",
                "Fields": columns.iter().map(Column::describe).collect::<Vec<_>>(),
            }),
        }
    }

    // `index` has a place in eKuiper's answer even where it means nothing.
    fn schema(&self) -> Json {
        match self {
            Self::Basic(name) => json!({ "type": name, "index": 0 }),
            Self::Array(element) => {
                json!({ "type": "array", "items": element.schema(), "index": 0 })
            }
            Self::Struct(columns) => {
                json!({ "type": "struct", "properties": schema_of(columns), "index": 0 })
            }
        }
    }
}

impl StreamOptions {
    fn describe(&self) -> Json {
        let mut document = Map::new();
        let mut text = |key: &str, value: &str| {
            if !value.is_empty() {
                document.insert(key.to_owned(), value.into());
            }
        };
        text("datasource", &self.datasource);
        text("key", &self.key);
        text("format", &self.format);
        text("confKey", &self.conf_key);
        text("type", &self.source_type);
        text("timestamp", &self.timestamp);
        text("timestampFormat", &self.timestamp_format);
        text("schemaid", &self.schema_id);
        text("version", &self.version);
        if let Some((_, extra)) = &self.extra {
            text("extra", extra);
        }
        text("kind", &self.kind);
        text("delimiter", &self.delimiter);
        if self.strict_validation {
            document.insert("strictValidation".to_owned(), true.into());
        }
        for (key, set) in [("shared", self.shared), ("temp", self.temp)] {
            if set {
                document.insert(key.to_owned(), true.into());
            }
        }
        if self.retain_size > 0 {
            document.insert("retainSize".to_owned(), self.retain_size.into());
        }
        document.into()
    }

    fn set(&mut self, name: &str, value: String, at: Location) -> Result<(), SqlError> {
        let flag = |value: &str| match value.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            _ => Err(SqlError::at(
                format!("Expected: true or false for option {name}, found: {value}"),
                at,
            )),
        };
        let unsupported =
            |what: &str| SqlError::at(format!("option {name}{what} is not supported"), at);
        match name {
            "DATASOURCE" => self.datasource = value,
            "FORMAT" => self.format = value,
            "TYPE" => self.source_type = value,
            "CONF_KEY" => self.conf_key = value,
            "KEY" => self.key = value,
            "SHARED" => self.shared = flag(&value)?,
            "TEMP" => self.temp = flag(&value)?,
            "SCHEMAID" => self.schema_id = value,
            "STRICT_VALIDATION" => self.strict_validation = flag(&value)?,
            "TIMESTAMP" => self.timestamp = value,
            "TIMESTAMP_FORMAT" => self.timestamp_format = value,
            "DELIMITER" => self.delimiter = value,
            "RETAIN_SIZE" => {
                self.retain_size = value.parse().map_err(|_| {
                    SqlError::at(
                        format!("Expected: a number for option RETAIN_SIZE, found: {value}"),
                        at,
                    )
                })?;
            }
            "KIND" => {
                if !value.is_empty() && !value.eq_ignore_ascii_case("scan") {
                    return Err(unsupported(&format!("={value}")));
                }
                self.kind = value;
            }
            "VERSION" => self.version = value,
            "EXTRA" => {
                let extra: Map<String, Json> = serde_json::from_str(&value).map_err(|error| {
                    SqlError::at(format!("option EXTRA is no JSON object: {error}"), at)
                })?;
                if names_connection(&extra) {
                    return Err(SqlError::at(
                        "option EXTRA: property connectionSelector is not supported",
                        at,
                    ));
                }
                self.extra = Some((extra, value));
            }
            _ => {
                return Err(SqlError::at(
                    format!(
                        "unknown option {name}{}",
                        suggest(name, OPTIONS.iter().copied())
                    ),
                    at,
                ));
            }
        }
        Ok(())
    }
}

/// Goes through the words of a statement.
struct Reader {
    tokens: Vec<TokenWithSpan>,
    next: usize,
    end: Location,
}

impl Reader {
    fn new(sql: &str) -> Result<Self, SqlError> {
        let tokens = tokenize(sql)?;
        let end = tokens
            .last()
            .map_or(Location::new(1, 1), |token| token.span.end);
        Ok(Self {
            tokens,
            next: 0,
            end,
        })
    }

    fn statement(mut self) -> Result<StreamDefinition, SqlError> {
        self.word("CREATE")?;
        if self.peek_word("TABLE") {
            return Err(SqlError::at("tables are not supported", self.here()));
        }
        self.word("STREAM")?;
        let at = self.here();
        let name = self.name("the name of the stream")?;
        if !is_stream_name(&name) {
            return Err(SqlError::at(
                format!(
                    "`{name}` cannot be the name of a stream: only letters, digits, `_` and `-` are allowed"
                ),
                at,
            ));
        }
        let columns = self.columns(0)?;
        let mut options = StreamOptions::default();
        if self.peek_word("WITH") {
            self.next += 1;
            self.options(&mut options)?;
        }
        while self.take(&Token::SemiColon) {}
        if self.next < self.tokens.len() {
            return Err(self.expected(if options == StreamOptions::default() {
                "WITH or the end of the statement"
            } else {
                "the end of the statement"
            }));
        }
        Ok(StreamDefinition {
            name,
            columns,
            options,
        })
    }

    /// `(name type, …)`.
    fn columns(&mut self, depth: usize) -> Result<Vec<Column>, SqlError> {
        self.sign(&Token::LParen, "(")?;
        let mut columns: Vec<Column> = Vec::new();
        while !self.take(&Token::RParen) {
            if !columns.is_empty() {
                self.sign(&Token::Comma, ", or )")?;
            }
            let at = self.here();
            let name = self.name("the name of a column")?;
            if columns.iter().any(|column| column.name == name) {
                return Err(SqlError::at(format!("column {name} is declared twice"), at));
            }
            let column_type = self.column_type(depth)?;
            columns.push(Column { name, column_type });
        }
        Ok(columns)
    }

    fn column_type(&mut self, depth: usize) -> Result<ColumnType, SqlError> {
        const EXPECTED: &str =
            "a type (bigint, float, string, datetime, boolean, bytea, array(…) or struct(…))";
        const BASIC: &[&str] = &["bigint", "float", "string", "datetime", "boolean", "bytea"];
        if depth >= MAX_TYPE_DEPTH {
            return Err(SqlError::at(
                format!("types are nested more than {MAX_TYPE_DEPTH} levels deep"),
                self.here(),
            ));
        }
        let Some(Token::Word(word)) = self.peek() else {
            return Err(self.expected(EXPECTED));
        };
        let written = word.value.to_ascii_lowercase();
        if let Some(basic) = BASIC.iter().find(|basic| **basic == written) {
            self.next += 1;
            return Ok(ColumnType::Basic(basic));
        }
        match written.as_str() {
            "array" => {
                self.next += 1;
                self.sign(&Token::LParen, "(")?;
                let element = self.column_type(depth + 1)?;
                self.sign(&Token::RParen, ")")?;
                Ok(ColumnType::Array(Box::new(element)))
            }
            "struct" => {
                self.next += 1;
                self.columns(depth + 1).map(ColumnType::Struct)
            }
            _ => Err(self.expected(EXPECTED)),
        }
    }

    /// `(NAME="value", …)`.
    fn options(&mut self, options: &mut StreamOptions) -> Result<(), SqlError> {
        self.sign(&Token::LParen, "(")?;
        let mut seen: Vec<String> = Vec::new();
        while !self.take(&Token::RParen) {
            if !seen.is_empty() {
                self.sign(&Token::Comma, ", or )")?;
            }
            let at = self.here();
            let name = self.name("the name of an option")?.to_ascii_uppercase();
            self.sign(&Token::Eq, "=")?;
            let value = self.value()?;
            if seen.contains(&name) {
                return Err(SqlError::at(format!("option {name} is set twice"), at));
            }
            options.set(&name, value, at)?;
            seen.push(name);
        }
        Ok(())
    }

    fn value(&mut self) -> Result<String, SqlError> {
        let value = match self.peek() {
            Some(
                Token::SingleQuotedString(text)
                | Token::DoubleQuotedString(text)
                | Token::Number(text, _),
            ) => text.clone(),
            Some(Token::Word(word))
                if word.quote_style.is_none()
                    && ["true", "false"].contains(&word.value.to_ascii_lowercase().as_str()) =>
            {
                word.value.to_ascii_lowercase()
            }
            _ => return Err(self.expected("a quoted value")),
        };
        self.next += 1;
        Ok(value)
    }

    fn name(&mut self, what: &str) -> Result<String, SqlError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let name = word.value.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.expected(what)),
        }
    }

    fn word(&mut self, wanted: &str) -> Result<(), SqlError> {
        if self.peek_word(wanted) {
            self.next += 1;
            Ok(())
        } else {
            Err(self.expected(wanted))
        }
    }

    fn sign(&mut self, wanted: &Token, written: &str) -> Result<(), SqlError> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.expected(written))
        }
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn peek_word(&self, wanted: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(word))
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|token| &token.token)
    }

    fn here(&self) -> Location {
        self.tokens
            .get(self.next)
            .map_or(self.end, |token| token.span.start)
    }

    fn expected(&self, what: &str) -> SqlError {
        let found = self.peek().map_or_else(
            || "the end of the statement".to_owned(),
            ToString::to_string,
        );
        SqlError::at(format!("Expected: {what}, found: {found}"), self.here())
    }
}

/// A stream's name becomes part of socket paths, so it has to be plain.
fn is_stream_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether a source's configuration names a connection, which there are none of.
pub(crate) fn names_connection(config: &Map<String, Json>) -> bool {
    config
        .get("connectionSelector")
        .is_some_and(|selector| !selector.is_null() && selector.as_str() != Some(""))
}
