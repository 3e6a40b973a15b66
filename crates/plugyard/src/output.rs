//! Printing: results on standard output in the format asked for, everything else on standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use plugyard_model::Lang;
use serde::Serialize;
use serde_json::Value as Json;

use crate::cli::Format;
use crate::words::word;

/// What the terminal behind standard error can show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    colour: bool,
}

impl Terminal {
    /// Colours only on a terminal, and never against `NO_COLOR`.
    pub(crate) fn detect() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            colour: wanted && io::stderr().is_terminal(),
        }
    }

    /// Without colours.
    pub(crate) const fn plain() -> Self {
        Self { colour: false }
    }

    /// The text in a colour (a parameter of the escape sequence "select graphic rendition").
    pub(crate) fn paint(self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Prints results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    /// As asked for.
    pub(crate) format: Format,
    /// Of table headings.
    pub(crate) lang: Lang,
}

impl Printer {
    /// A list: the body as answered, its items, how an item is called, and its columns.
    pub(crate) fn list(
        self,
        body: &Json,
        items: &[Json],
        name: impl Fn(&Json) -> String,
        headings: &[&'static str],
        row: impl Fn(&Json) -> Vec<String>,
    ) {
        match self.format {
            Format::Table => {
                if items.is_empty() {
                    note(word(self.lang, "nothing here yet"));
                } else {
                    let rows = items.iter().map(row).collect();
                    line(&table(self.lang, headings, rows));
                }
            }
            Format::Ndjson => items.iter().for_each(|item| line(&item.to_string())),
            Format::Name => items.iter().for_each(|item| line(&name(item))),
            _ => self.document(body),
        }
    }

    /// One thing: the body as answered, how it is called, and its text for people.
    pub(crate) fn one(self, body: &Json, name: &str, text: impl FnOnce() -> String) {
        match self.format {
            Format::Table => line(visible(&text()).trim_end()),
            Format::Name => line(name),
            _ => self.document(body),
        }
    }

    /// A document in one of the formats for programs.
    pub(crate) fn document(self, body: &impl Serialize) {
        let text = match self.format {
            Format::Yaml => serde_saphyr::to_string(body).unwrap_or_default(),
            Format::Ndjson => serde_json::to_string(body).unwrap_or_default(),
            _ => serde_json::to_string_pretty(body).unwrap_or_default(),
        };
        line(text.trim_end());
    }
}

/// A line of results. When nobody reads any more, the command ends like any other in a pipe.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        std::process::exit(0);
    }
}

/// A line for people beside the results.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Columns with headings, two blanks between them.
pub(crate) fn table(lang: Lang, headings: &[&'static str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(headings.iter().map(|heading| word(lang, heading)));
    for row in rows {
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    let mut last = 0;
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        last = index;
    }
    if let Some(column) = table.column_mut(last) {
        column.set_padding((0, 0));
    }
    table
        .to_string()
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A text that somebody else wrote, for a terminal: what would steer it is shown instead.
fn visible(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

/// The text at a pointer; numbers and truth values as text, nothing for what is not there.
pub(crate) fn text_at(body: &Json, pointer: &str) -> String {
    match body.pointer(pointer) {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Milliseconds since 1970 as people write it, in UTC.
pub(crate) fn time_at(body: &Json, pointer: &str) -> String {
    body.pointer(pointer)
        .and_then(Json::as_i64)
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// A length of time as people write it.
pub(crate) fn took(ms: i64) -> String {
    if ms < 1000 {
        format!("{ms} ms")
    } else {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_does_not_steer_the_terminal() {
        let rows = vec![vec!["a\u{1b}[2J\u{9b}31m".to_owned(), "名称\tb".to_owned()]];
        let shown = table(Lang::En, &["NAME", "LABEL"], rows);
        assert!(shown.contains(r"a\u{1b}[2J\u{9b}31m"), "{shown}");
        assert!(
            !shown.contains('\u{1b}') && shown.contains("名称"),
            "{shown}"
        );
        assert_eq!(visible("two\nlines"), "two\nlines");
    }
}
