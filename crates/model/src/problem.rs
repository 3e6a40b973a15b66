//! An error as it leaves the platform: RFC 9457 problem documents.

use serde::{Deserialize, Serialize};

use crate::{Code, Finding, FindingDocument, Lang, Params, PluginName};

/// What went wrong, in words of the domain, ready to be sent in either language.
///
/// It names the plugin, what was attempted and what to do next; causes that are not for strangers
/// go to the log, not in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which problem; decides status, exit code, title and hint.
    pub code: Code,
    /// The values its texts mention.
    pub params: Params,
    /// The plugin it is about.
    pub plugin: Option<PluginName>,
    /// Findings of the package it is about.
    pub findings: Vec<Finding>,
}

impl Problem {
    /// A problem without particulars.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            params: Params::new(),
            plugin: None,
            findings: Vec::new(),
        }
    }

    /// Adds a value for the texts.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.params.insert(name.to_owned(), value.to_string());
        self
    }

    /// Says which plugin it is about, also to the texts as `{plugin}`.
    #[must_use]
    pub fn about(mut self, plugin: &PluginName) -> Self {
        self.params.insert("plugin".to_owned(), plugin.to_string());
        self.plugin = Some(plugin.clone());
        self
    }

    /// Attaches what was found in the package.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }

    /// What happened, in a language.
    pub fn detail(&self, lang: Lang) -> String {
        self.code.text(lang, &self.params)
    }

    /// What to do next, in a language; may be empty.
    ///
    /// A parameter `similar` (names that may have been meant) is asked about first, whatever the code.
    pub fn hint(&self, lang: Lang) -> String {
        let hint = self.code.hint(lang, &self.params);
        let Some(similar) = self.params.get("similar").filter(|names| !names.is_empty()) else {
            return hint;
        };
        match lang {
            Lang::En => format!("did you mean {similar}? {hint}"),
            Lang::ZhCn => format!("是否想输入 {similar}？{hint}"),
        }
        .trim_end()
        .to_owned()
    }

    /// The document to send, in a language. `instance` is the path that was asked for, or empty.
    pub fn document(&self, lang: Lang, instance: &str) -> ProblemDocument {
        ProblemDocument {
            kind: format!("/docs/errors#{}", self.code.as_str()),
            title: self.code.title(lang).to_owned(),
            status: self.code.status(),
            detail: self.detail(lang),
            instance: instance.to_owned(),
            code: self.code.as_str().to_owned(),
            hint: self.hint(lang),
            plugin: self.plugin.clone(),
            findings: self
                .findings
                .iter()
                .map(|finding| finding.document(lang))
                .collect(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail(Lang::En))
    }
}

impl std::error::Error for Problem {}

/// A problem as sent: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemDocument {
    /// Address of the explanation of this code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of this code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The path that was asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Stable code.
    pub code: String,
    /// What to do next; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The plugin it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginName>,
    /// What was found in the package.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingDocument>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn names_that_may_have_been_meant_come_first_in_the_hint() {
        let problem = Problem::new(codes::PLUGIN_NOT_FOUND).with("plugin", "pysan");
        let plain = problem.hint(Lang::En);
        assert_eq!(problem.clone().with("similar", "").hint(Lang::En), plain);
        let asked = problem.with("similar", "portable:pysam");
        assert_eq!(
            asked.hint(Lang::En),
            format!("did you mean portable:pysam? {plain}")
        );
        assert!(
            asked
                .document(Lang::ZhCn, "")
                .hint
                .starts_with("是否想输入 portable:pysam？")
        );
    }
}
