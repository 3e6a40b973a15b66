//! Taking over the plugin table of a running application: out of a dump, row by row, with a report.
//!
//! Three forms: SQL as databases dump it, CSV as panels export it, JSON. Tables of the 2.x generation and of 3.x
//! are understood; what 3.x calls otherwise is brought back. [`read`] is pure and keeps what it can read, whatever
//! is wrong beside it; [`apply()`] writes what is sound in one transaction. Rows that an older application
//! wrote may have hosts and paths that nobody could enter today: those are kept as they are, with a warning.

mod apply;
mod plain;
mod rows;
mod sql;

use std::collections::BTreeMap;

use plugyard_model::{Finding, Place, codes};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

pub(crate) use apply::{Existing, Report, apply};

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebDumpFormat)]
pub(crate) enum Format {
    /// Statements of a dump of MySQL, PostgreSQL or SQLite.
    Sql,
    /// A first line with the columns, then one line for each row.
    Csv,
    /// `{"plugins": […], "plugin_usages": […]}`, or a list of rows.
    Json,
}

/// The tables that are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Plugins,
    Usages,
    /// Names of usages in other languages, among others.
    Languages,
}

/// Which generation of the application a row is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    Second,
    Third,
}

impl Table {
    fn of_name(name: &str) -> Option<Self> {
        // Installations may put a prefix before all names.
        let name = name.to_ascii_lowercase();
        let is = |word: &str| name == word || name.ends_with(&format!("_{word}"));
        if is("plugin_usages") || is("app_usages") {
            Some(Self::Usages)
        } else if is("plugins") || is("apps") {
            Some(Self::Plugins)
        } else if is("languages") {
            Some(Self::Languages)
        } else {
            None
        }
    }

    fn generation_of(name: &str) -> Generation {
        let name = name.to_ascii_lowercase();
        if name.ends_with("apps") || name.ends_with("app_usages") {
            Generation::Third
        } else {
            Generation::Second
        }
    }
}

/// One row as the dump has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) table: Table,
    pub(crate) generation: Generation,
    /// Where it begins, from 1; for JSON its position in its list.
    pub(crate) line: u32,
    /// Values by column, in lower case with underscores.
    pub(crate) columns: BTreeMap<String, Json>,
}

/// Everything a dump says that concerns us.
#[derive(Debug, Default)]
pub(crate) struct Dump {
    pub(crate) rows: Vec<Row>,
    pub(crate) findings: Vec<Finding>,
    /// Rows that could not even be read.
    pub(crate) unreadable: usize,
    /// Other tables, with how often something was put into them.
    pub(crate) ignored: BTreeMap<String, usize>,
}

/// Reads a dump. `file` is what findings call it.
pub(crate) fn read(bytes: &[u8], format: Format, file: &str) -> Dump {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
            let line = 1 + before.matches('\n').count();
            let place = Place::file(file).at(u32::try_from(line).unwrap_or(u32::MAX), 1);
            return Dump {
                findings: vec![Finding::error(codes::E_IMPORT_ENCODING, place)],
                ..Dump::default()
            };
        }
    };
    let mut dump = match format {
        Format::Sql => sql::read(text, file),
        Format::Csv => plain::csv(text, file),
        Format::Json => plain::json(text, file),
    };
    if dump.rows.is_empty() && dump.findings.is_empty() {
        let tables: Vec<_> = dump.ignored.keys().map(|it| format!("`{it}`")).collect();
        let finding = Finding::error(codes::E_IMPORT_EMPTY, Place::file(file));
        dump.findings
            .push(finding.with("tables", tables.join(", ")));
    }
    dump
}

#[cfg(test)]
mod tests;
