//! What reached the sink's file: counted, with what is missing and what is there twice.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value as Json;

/// The rows of a file, one JSON document per line.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Rows {
    count: u64,
    gaps: u64,
    duplicates: u64,
    /// Rows out of order.
    backwards: u64,
    /// Milliseconds between two rows, at most.
    longest_pause: u64,
}

impl Rows {
    /// Reads the file; one that is not there yet has no rows.
    pub(super) fn read(path: &str) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::count_all(&text).with_context(|| format!("cannot read {path}")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {path}")),
        }
    }

    fn count_all(text: &str) -> Result<Self> {
        let mut rows = Self::default();
        let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
        let mut last: Option<(u64, u64)> = None;
        // A line without its end is still being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let document: Json = serde_json::from_str(line).with_context(|| format!("`{line}`"))?;
            let documents = match document {
                Json::Array(rows) => rows,
                row => vec![row],
            };
            for row in documents {
                let number = row["n"]
                    .as_u64()
                    .with_context(|| format!("a row without `n`: {row}"))?;
                let at = row["at"]
                    .as_u64()
                    .with_context(|| format!("a row without `at`: {row}"))?;
                rows.count += 1;
                *seen.entry(number).or_default() += 1;
                if let Some((before, then)) = last {
                    rows.longest_pause = rows.longest_pause.max(at.saturating_sub(then));
                    rows.backwards += u64::from(number < before);
                }
                last = Some((number, at));
            }
        }
        rows.duplicates = seen.values().map(|times| times - 1).sum();
        if let (Some((first, _)), Some((last, _))) = (seen.first_key_value(), seen.last_key_value())
        {
            rows.gaps = last - first + 1 - seen.len() as u64;
        }
        Ok(rows)
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Whether each row is there once and in order.
    pub(super) const fn whole(&self) -> bool {
        self.count > 0 && self.gaps == 0 && self.duplicates == 0 && self.backwards == 0
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows, {} missing, {} doubled, {} out of order, longest pause between two rows {} ms",
            self.count, self.gaps, self.duplicates, self.backwards, self.longest_pause
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::Rows;

    fn check(numbers: &[u64], expect: &str) {
        let mut text = String::new();
        for (index, n) in numbers.iter().enumerate() {
            let _ = writeln!(text, "{{\"n\":{n},\"at\":{index}}}");
        }
        assert!(
            Rows::count_all(&text)
                .unwrap()
                .to_string()
                .starts_with(expect),
            "{numbers:?}"
        );
    }

    #[test]
    fn what_is_missing_or_doubled_is_counted() {
        check(&[3, 4, 5], "3 rows, 0 missing, 0 doubled, 0 out of order");
        check(&[3, 6, 6], "3 rows, 2 missing, 1 doubled, 0 out of order");
        check(&[4, 3], "2 rows, 0 missing, 0 doubled, 1 out of order");
        check(&[], "0 rows");
    }

    #[test]
    fn a_line_that_is_still_being_written_does_not_count() {
        let rows = Rows::count_all("{\"n\":1,\"at\":1}\n{\"n\":2,\"a").unwrap();
        assert_eq!(rows.count(), 1);
    }
}
