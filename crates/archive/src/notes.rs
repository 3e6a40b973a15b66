//! Collecting findings without letting a hostile package make a hundred thousand of them.

use std::collections::BTreeMap;

use plugyard_model::{Code, Finding, Place, Severity, codes, sort_findings};

/// Findings shown of each code; an archive can have more, nobody reads more.
const SHOWN_PER_CODE: u64 = 20;

/// An error about the package as a whole.
pub(crate) fn whole(code: Code) -> Finding {
    Finding::error(code, Place::default())
}

/// Those of the findings that keep a package out.
pub(crate) fn errors(findings: &[Finding]) -> Vec<Finding> {
    let errors = findings.iter();
    errors
        .filter(|finding| finding.severity == Severity::Error)
        .cloned()
        .collect()
}

/// Findings of one package, bounded per code.
#[derive(Default)]
pub(crate) struct Notes {
    findings: Vec<Finding>,
    counts: BTreeMap<&'static str, u64>,
}

impl Notes {
    /// Takes a finding, or only counts it when enough of its code are here.
    pub(crate) fn push(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.code.as_str()).or_default();
        *count += 1;
        if *count <= SHOWN_PER_CODE {
            self.findings.push(finding);
        }
    }

    /// Whether a finding of that code is here.
    pub(crate) fn has(&self, code: Code) -> bool {
        self.counts.contains_key(code.as_str())
    }

    /// All in their one order, with a note for each code of which some are missing.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        for (code, count) in self.counts {
            if let Some(omitted) = count.checked_sub(SHOWN_PER_CODE).filter(|&n| n > 0) {
                let mut finding = whole(codes::ARCHIVE_FINDINGS_OMITTED)
                    .with("code", code)
                    .with("count", omitted);
                finding.severity = Severity::Info;
                self.findings.push(finding);
            }
        }
        sort_findings(&mut self.findings);
        self.findings
    }
}
