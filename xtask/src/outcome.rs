//! Counting what passed, failed and could not run, out of what test runners print.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Totals of several runners.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    /// Why tests were skipped, each reason once.
    pub(crate) reasons: BTreeSet<String>,
    /// What tests say they counted, added up.
    pub(crate) counted: BTreeMap<String, usize>,
}

impl Totals {
    /// Counts one check as a whole.
    pub(crate) fn check(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// Counts something that could not run.
    pub(crate) fn skip(&mut self, reason: &str) {
        self.skipped += 1;
        self.reasons.insert(reason.to_owned());
    }

    /// Adds what a `JUnit` report of `cargo nextest` holds.
    pub(crate) fn add_junit(&mut self, report: &str) {
        self.add_counted(report);
        for case in report.split("<testcase").skip(1) {
            let case = case.split("</testcase>").next().unwrap_or(case);
            if case.contains("<failure") || case.contains("<error") {
                self.failed += 1;
            } else if let Some(reason) = case.lines().find_map(skip_reason) {
                self.skip(&unescape(&reason));
            } else {
                self.passed += 1;
            }
        }
    }

    /// Adds what `cargo test` printed (with `--show-output`, else skips cannot be seen).
    pub(crate) fn add_libtest(&mut self, printed: &str) {
        self.add_counted(printed);
        let mut reasons = Vec::new();
        for line in printed.lines() {
            if let Some(counts) = line.strip_prefix("test result: ") {
                let count = |word: &str| {
                    counts
                        .split([';', '.'])
                        .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
                        .unwrap_or(0)
                };
                self.passed += count(" passed");
                self.failed += count(" failed");
                self.skipped += count(" ignored");
            } else if let Some(reason) = skip_reason(line) {
                reasons.push(reason);
            }
        }
        // The runner counted them as passed.
        self.passed = self.passed.saturating_sub(reasons.len());
        for reason in reasons {
            self.skip(&reason);
        }
    }
}

impl Totals {
    /// A test says by `counted: <number> <what>` on a line of its own how many cases it went through.
    fn add_counted(&mut self, printed: &str) {
        for line in printed.lines() {
            let Some((number, what)) = line
                .trim()
                .strip_prefix("counted: ")
                .and_then(|rest| rest.split_once(' '))
            else {
                continue;
            };
            if let Ok(number) = number.parse::<usize>() {
                let what = what.split("</system-").next().unwrap_or(what);
                *self.counted.entry(what.to_owned()).or_default() += number;
            }
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// A test says by `skipped: <reason>` on a line of its own that it could not run.
fn skip_reason(line: &str) -> Option<String> {
    // In a report the first line of output stands behind its opening tag.
    let line = line
        .rsplit_once("<system-out>")
        .map_or(line, |(_, rest)| rest);
    let line = line
        .rsplit_once("<system-err>")
        .map_or(line, |(_, rest)| rest);
    let reason = line.trim().strip_prefix("skipped: ")?;
    let reason = reason.split("</system-").next().unwrap_or(reason).trim();
    (!reason.is_empty()).then(|| reason.to_owned())
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_a_report_of_nextest() {
        let mut totals = Totals::default();
        totals.add_junit(
            r#"<testsuites><testsuite name="a"><testcase name="x" time="0.1"/>
<testcase name="y"><failure type="test failure">no</failure><system-out>skipped: not this one
</system-out></testcase>
<testcase name="z"><system-out>
running 1 test
skipped: &quot;pg&quot; is not set
</system-out></testcase></testsuite></testsuites>"#,
        );
        assert_eq!((totals.passed, totals.failed, totals.skipped), (1, 1, 1));
        assert!(totals.reasons.contains("\"pg\" is not set"), "{totals:?}");
    }

    #[test]
    fn adds_up_what_tests_counted() {
        let mut totals = Totals::default();
        totals.add_junit(
            "<testcase name=\"x\"><system-out>\nrunning 1 test\ncounted: 12 kills survived\n\
             </system-out></testcase><testcase name=\"y\"><system-out>\ncounted: 30 kills survived</system-out></testcase>",
        );
        totals.add_libtest("counted: x\ncounted: 1 fish\n");
        let counted: Vec<_> = totals.counted.into_iter().collect();
        assert_eq!(
            counted,
            [("fish".to_owned(), 1), ("kills survived".to_owned(), 42)]
        );
    }

    #[test]
    fn counts_what_cargo_test_prints() {
        let mut totals = Totals::default();
        totals.add_libtest(
            "skipped: no python\n\
             test result: ok. 5 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.00s\n\
             test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n",
        );
        assert_eq!(totals.to_string(), "5 passed, 3 failed, 3 skipped");
    }
}
