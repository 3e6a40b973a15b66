//! What is wrong with a package, as values: nothing here is an error to be propagated.

use serde::{Deserialize, Serialize};

use crate::{Code, KindId, Lang, Params};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The package cannot be accepted.
    Error,
    /// Accepted, but the author should look.
    Warning,
    /// Worth knowing.
    Info,
}

/// Where a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Path inside the package; empty when the finding is about the package as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// JSON pointer into the file; a missing key is placed at the object that lacks it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pointer: String,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl Place {
    /// A whole file.
    pub fn file(path: impl Into<String>) -> Self {
        Self {
            file: path.into(),
            ..Self::default()
        }
    }

    /// A value in a JSON file.
    pub fn pointer(path: impl Into<String>, pointer: impl Into<String>) -> Self {
        Self {
            file: path.into(),
            pointer: pointer.into(),
            ..Self::default()
        }
    }

    /// The same place with line and column (both from 1).
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }
}

/// One problem of a package: stable code, place, and the values its text mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which problem.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What its text mentions.
    pub params: Params,
    /// The text, where it is not the code's: whoever found it knows better words, such as those of the rule
    /// that a value breaks. Not stored with a package.
    pub own_text: Option<Box<Texts>>,
}

/// A text in every language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh_cn: String,
}

impl Texts {
    /// The text in a language.
    pub fn get(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::ZhCn => &self.zh_cn,
        }
    }
}

impl Finding {
    /// A finding that keeps the package out.
    pub fn error(code: Code, place: Place) -> Self {
        Self {
            code,
            severity: Severity::Error,
            place,
            params: Params::new(),
            own_text: None,
        }
    }

    /// A finding the author should look at.
    pub fn warning(code: Code, place: Place) -> Self {
        Self {
            code,
            severity: Severity::Warning,
            place,
            params: Params::new(),
            own_text: None,
        }
    }

    /// Adds a value for the text. Long values are cut at 512 characters: they come from foreign bytes.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        let value: String = value.to_string().chars().take(512).collect();
        self.params.insert(name.to_owned(), value);
        self
    }

    /// The same with a text of its own.
    #[must_use]
    pub fn saying(mut self, text: Texts) -> Self {
        self.own_text = Some(Box::new(text));
        self
    }

    /// The text in a language.
    pub fn text(&self, lang: Lang) -> String {
        match &self.own_text {
            Some(own) => own.get(lang).to_owned(),
            None => self.code.text(lang, &self.params),
        }
    }

    /// The finding as it leaves the platform, in one language.
    pub fn document(&self, lang: Lang) -> FindingDocument {
        FindingDocument {
            code: self.code.as_str().to_owned(),
            severity: self.severity,
            place: self.place.clone(),
            message: self.text(lang),
            hint: self.code.hint(lang, &self.params),
            params: self.params.clone(),
        }
    }
}

/// A finding as sent and printed: the same offline and from the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingDocument {
    /// Stable code.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong, in the reader's language.
    pub message: String,
    /// What to do about it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// The values that the message mentions.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub params: Params,
}

/// Everything a package says and everything wrong with it.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The format that was recognised, when one was.
    pub kind: Option<KindId>,
    /// The key the package gives itself, when it does so legibly; not yet checked against the rules of keys.
    pub key: Option<String>,
    /// The version the package gives itself; free text.
    pub version: Option<String>,
    /// The manifest in normal form; `null` when there is none that can be read.
    pub manifest: serde_json::Value,
    /// Everything wrong, ordered by [`sort_findings`].
    pub findings: Vec<Finding>,
}

impl Inspection {
    /// An inspection that came to nothing but these findings.
    pub fn failed(kind: Option<KindId>, mut findings: Vec<Finding>) -> Self {
        sort_findings(&mut findings);
        Self {
            kind,
            key: None,
            version: None,
            manifest: serde_json::Value::Null,
            findings,
        }
    }

    /// Whether anything keeps the package out.
    pub fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }
}

/// Puts findings in their one order: by file, then line and column where they are known (what is about the
/// whole file comes first), then pointer (array indexes as numbers), then code.
pub fn sort_findings(findings: &mut [Finding]) {
    fn key(finding: &Finding) -> impl Ord {
        let place = &finding.place;
        (
            &place.file,
            (place.line, place.column),
            pointer_key(&place.pointer),
            finding.code.as_str(),
            &finding.params,
        )
    }
    findings.sort_by(|a, b| key(a).cmp(&key(b)));
}

/// Numbers sort before names and among themselves by value.
fn pointer_key(pointer: &str) -> Vec<(bool, u64, &str)> {
    pointer
        .split('/')
        .skip(1)
        .map(|part| {
            part.parse()
                .map_or((true, 0, part), |number| (false, number, ""))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    #[test]
    fn findings_order_array_indexes_as_numbers() {
        let at = |pointer: &str| {
            Finding::error(
                codes::MANIFEST_FIELD_TYPE,
                Place::pointer("a.json", pointer),
            )
        };
        let mut findings = vec![at("/x/10"), at("/x/9"), at(""), at("/x/9/b")];
        sort_findings(&mut findings);
        let order: Vec<_> = findings.iter().map(|f| f.place.pointer.as_str()).collect();
        assert_eq!(order, ["", "/x/9", "/x/9/b", "/x/10"]);
    }

    #[test]
    fn findings_stand_in_the_order_of_the_file() {
        let at = |file: &str, pointer: &str, line: u32, column: u32| {
            let place = Place::pointer(file, pointer).at(line, column);
            Finding::error(codes::MANIFEST_FIELD_TYPE, place)
        };
        let mut findings = vec![
            at("b.json", "/a", 1, 1),
            at("a.json", "/a", 10, 1),
            at("a.json", "/z", 9, 20),
            at("a.json", "/y", 9, 3),
            Finding::error(codes::MANIFEST_FIELD_TYPE, Place::file("a.json")),
        ];
        sort_findings(&mut findings);
        let order: Vec<_> = findings.iter().map(|f| f.place.pointer.as_str()).collect();
        assert_eq!(order, ["", "/y", "/z", "/a", "/a"]);
        assert_eq!(findings[4].place.file, "b.json");
    }

    #[test]
    fn a_finding_may_have_better_words_than_its_code() {
        let finding = Finding::error(codes::RULE_FAILED, Place::default()).saying(Texts {
            en: "Timeout must be 1 or more.".to_owned(),
            zh_cn: "超时不能小于1。".to_owned(),
        });
        assert_eq!(finding.text(Lang::En), "Timeout must be 1 or more.");
        assert_eq!(finding.document(Lang::ZhCn).message, "超时不能小于1。");
    }

    #[test]
    fn a_finding_speaks_both_languages() {
        let finding = Finding::error(codes::MANIFEST_NAME_MISMATCH, Place::file("mirror.json"))
            .with("expected", "mirror")
            .with("actual", "wrr");
        assert!(finding.text(Lang::En).contains("wrr"));
        assert!(finding.text(Lang::ZhCn).contains("wrr"));
        assert_ne!(finding.text(Lang::En), finding.text(Lang::ZhCn));
    }
}
