//! Rows out of CSV and JSON.

use std::collections::BTreeMap;

use plugyard_model::{Finding, Place, codes};
use serde_json::Value as Json;

use super::{Dump, Generation, Row, Table};

/// A table's export: the first line names the columns.
pub(super) fn csv(text: &str, file: &str) -> Dump {
    let mut dump = Dump::default();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let headers: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(str::to_owned).collect(),
        Err(_) => Vec::new(),
    };
    let named: BTreeMap<String, Json> = headers
        .iter()
        .map(|header| (column(header), Json::Null))
        .collect();
    let Some((table, generation)) = recognise(&named) else {
        dump.findings.push(unrecognised(file, None));
        return dump;
    };
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = line_of(text, error.position());
                dump.unreadable += 1;
                dump.findings.push(broken(file, line, "csv"));
                continue;
            }
        };
        let line = line_of(text, record.position());
        if record.len() != headers.len() {
            dump.unreadable += 1;
            dump.findings.push(
                Finding::error(codes::E_IMPORT_COLUMNS, place(file, line))
                    .with("table", "csv")
                    .with("expected", headers.len())
                    .with("actual", record.len()),
            );
            continue;
        }
        let columns = headers.iter().zip(&record);
        dump.rows.push(Row {
            table,
            generation,
            line: u32::try_from(line).unwrap_or(u32::MAX),
            // An export in CSV cannot tell null from empty: empty is null here.
            columns: columns
                .filter(|(_, value)| !value.is_empty() && *value != "NULL" && *value != "\\N")
                .map(|(header, value)| (column(header), Json::from(value)))
                .collect(),
        });
    }
    dump
}

/// The reader's own count falls behind where lines end in two characters.
fn line_of(text: &str, position: Option<&csv::Position>) -> u64 {
    let begins = position.map_or(0, csv::Position::byte);
    let begins = usize::try_from(begins).unwrap_or(text.len());
    let (before, after) = text.split_at_checked(begins).unwrap_or((text, ""));
    let ended = before.matches('\n').count();
    1 + ended as u64 + u64::from(after.starts_with('\n'))
}

/// An object with a list of rows for each table, or one list.
pub(super) fn json(text: &str, file: &str) -> Dump {
    let mut dump = Dump::default();
    let document: Json = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            let place = place(file, error.line() as u64);
            let finding = Finding::error(codes::E_IMPORT_SYNTAX, place);
            dump.findings.push(finding.with("reason", error));
            return dump;
        }
    };
    match document {
        Json::Object(tables) => {
            for (name, rows) in tables {
                match (Table::of_name(&name), rows) {
                    (Some(table), Json::Array(rows)) => {
                        let generation = Table::generation_of(&name);
                        list(rows, Some((table, generation)), file, &mut dump);
                    }
                    _ => *dump.ignored.entry(name).or_default() += 1,
                }
            }
        }
        Json::Array(rows) => list(rows, None, file, &mut dump),
        _ => dump.findings.push(unrecognised(file, None)),
    }
    dump
}

fn list(rows: Vec<Json>, known: Option<(Table, Generation)>, file: &str, dump: &mut Dump) {
    for (index, row) in rows.into_iter().enumerate() {
        let number = index as u64 + 1;
        let Json::Object(row) = row else {
            dump.unreadable += 1;
            dump.findings.push(broken(file, number, "json"));
            continue;
        };
        let columns: BTreeMap<String, Json> = row
            .into_iter()
            .map(|(key, value)| (column(&key), value))
            .collect();
        let Some((table, generation)) = known.or_else(|| recognise(&columns)) else {
            dump.unreadable += 1;
            dump.findings.push(unrecognised(file, Some(number)));
            continue;
        };
        dump.rows.push(Row {
            table,
            generation,
            line: u32::try_from(number).unwrap_or(u32::MAX),
            columns,
        });
    }
}

/// Which table has these columns.
fn recognise(columns: &BTreeMap<String, Json>) -> Option<(Table, Generation)> {
    let has = |name: &str| columns.contains_key(name);
    if has("usage_type") {
        let third = has("app_fskey") || has("sort_order");
        return Some((Table::Usages, generation(third)));
    }
    if has("fskey") {
        let third = has("panel_usages") || has("app_host");
        return Some((Table::Plugins, generation(third)));
    }
    (has("lang_tag") && has("table_name")).then_some((Table::Languages, Generation::Second))
}

fn generation(third: bool) -> Generation {
    if third {
        Generation::Third
    } else {
        Generation::Second
    }
}

/// `accessPath` and `access_path` are one column.
fn column(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    for c in key.trim().chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn place(file: &str, line: u64) -> Place {
    Place::file(file).at(u32::try_from(line).unwrap_or(u32::MAX), 1)
}

fn broken(file: &str, line: u64, table: &str) -> Finding {
    Finding::error(codes::E_IMPORT_ROW, place(file, line)).with("table", table)
}

fn unrecognised(file: &str, row: Option<u64>) -> Finding {
    let place = row.map_or_else(|| Place::file(file), |row| place(file, row));
    Finding::error(codes::E_IMPORT_TABLE, place)
}
